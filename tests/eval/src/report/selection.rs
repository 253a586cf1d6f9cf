//! What of a run is reported: all of it, or the questions of a tag, judged by what the run was asked
//! with or by a newer file.

use std::collections::BTreeMap;

use crate::questions::Question;
use crate::records::Run;
use crate::scores::FOLLOW_UP;

/// Leaves only the questions with a tag.
pub(super) fn keep_tag(run: &mut Run, tag: &str) {
    let has = |question: &Question| {
        question.tags.iter().any(|known| known == tag) || (tag == FOLLOW_UP && !question.turns.is_empty())
    };
    run.records.retain(|record| has(&record.question));
}

/// Takes what is expected from other questions, by id, and returns how many answers are left out: those
/// to what the questions do not have, or ask in other words.
pub(super) fn judge_by<'a>(run: &mut Run, questions: impl Iterator<Item = &'a Question>) -> usize {
    let by_id: BTreeMap<&str, &Question> = questions.map(|question| (question.id.as_str(), question)).collect();
    let before = run.records.len();
    run.records.retain_mut(|record| {
        let same = |it: &&&Question| it.question == record.question.question && it.turns == record.question.turns;
        let found = by_id.get(record.question.id.as_str()).filter(same);
        found.map(|question| record.question = (*question).clone().named(&run.header.base_url)).is_some()
    });
    before - run.records.len()
}
