//! The numbers of a run: per question always, and their means with intervals.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::measures::{self, Measure, Over, refusal};
use crate::records::{Header, Record, Run};
use crate::statistics::{Resampling, Statistic, intervals};

/// Tag that questions asked after others have without being given it, so that follow-ups are reported
/// apart.
pub const FOLLOW_UP: &str = "follow-up";

/// All numbers of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Of which run.
    pub run: Header,
    /// Per question, in the order of the run.
    pub questions: Vec<QuestionScores>,
    /// Over all questions, by name of the measure, in the order of [`crate::measures`].
    pub all: Vec<(String, Estimate)>,
    /// Over the questions of one tag, by tag.
    pub tags: BTreeMap<String, Vec<(String, Estimate)>>,
}

/// The numbers of one question, the mean over its repeats.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QuestionScores {
    /// The question's.
    pub id: String,
    /// The question's, each once, in order; with [`FOLLOW_UP`].
    pub tags: Vec<String>,
    /// Whether the documentation answers it, where that is known ([`refusal::answerable`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answerable: Option<bool>,
    /// By name of the measure. A measure that says nothing about this question is absent: nDCG of a
    /// question to be refused, a fact where none is named. Where the number over all questions is no
    /// mean, this is what it is made of: a time, or for `refusal:AUROC` the evidence.
    pub values: BTreeMap<String, f64>,
}

/// A number over many questions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean, or the share.
    pub value: f64,
    /// Lower end of the 95 % bootstrap interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Questions that it is over.
    pub n: usize,
}

/// What is computed, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreOptions {
    /// Which measures, in which order.
    pub measures: Vec<Measure>,
    /// How intervals are found.
    pub resampling: Resampling,
}

impl Default for ScoreOptions {
    fn default() -> Self {
        Self { measures: measures::defaults(), resampling: Resampling::default() }
    }
}

/// All numbers of a run. A measure that says nothing about any question is absent.
pub fn score(run: &Run, options: &ScoreOptions) -> Scores {
    let questions = per_question(&run.records, &options.measures);
    let tags: BTreeSet<&String> = questions.iter().flat_map(|question| &question.tags).collect();
    let of_tag = |tag: &String| {
        let tagged: Vec<&QuestionScores> = questions.iter().filter(|question| question.tags.contains(tag)).collect();
        (tag.clone(), estimates(&tagged, options))
    };
    let tags = tags.into_iter().map(of_tag).collect();
    let all = estimates(&questions.iter().collect::<Vec<_>>(), options);
    Scores { run: run.header.clone(), all, tags, questions }
}

/// The repeats of a question become one.
fn per_question(records: &[Record], measures: &[Measure]) -> Vec<QuestionScores> {
    let mut order: BTreeMap<&str, usize> = BTreeMap::new();
    let mut repeats: Vec<Vec<&Record>> = Vec::new();
    for record in records {
        let place = *order.entry(&record.question.id).or_insert(repeats.len());
        match repeats.get_mut(place) {
            Some(known) => known.push(record),
            None => repeats.push(vec![record]),
        }
    }
    repeats.iter().filter_map(|repeats| question_scores(repeats, measures)).collect()
}

fn question_scores(repeats: &[&Record], measures: &[Measure]) -> Option<QuestionScores> {
    let question = &repeats.first()?.question;
    let mut tags: BTreeSet<String> = question.tags.iter().cloned().collect();
    if !question.turns.is_empty() {
        tags.insert(FOLLOW_UP.to_owned());
    }
    let value = |measure: &Measure| {
        let values: Vec<f64> = repeats.iter().filter_map(|record| measure.of(record)).collect();
        #[allow(clippy::cast_precision_loss)] // a handful of repeats
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (!values.is_empty()).then(|| (measure.name.clone(), mean))
    };
    Some(QuestionScores {
        id: question.id.clone(),
        tags: tags.into_iter().collect(),
        answerable: refusal::answerable(question),
        values: measures.iter().filter_map(value).collect(),
    })
}

/// The numbers over some questions: a report may ask for any group of them.
pub fn estimates(questions: &[&QuestionScores], options: &ScoreOptions) -> Vec<(String, Estimate)> {
    let statistics: Vec<Statistic> = options.measures.iter().map(|measure| statistic(measure, questions)).collect();
    let intervals = intervals(&statistics, questions.len(), options.resampling);
    let once = vec![1; questions.len()];
    let estimate = |((measure, statistic), interval): ((&Measure, &Statistic), Option<(f64, f64)>)| {
        let value = statistic.weighted(&once)?;
        let (low, high) = interval.unwrap_or((value, value));
        Some((measure.name.clone(), Estimate { value, low, high, n: statistic.n() }))
    };
    options.measures.iter().zip(&statistics).zip(intervals).filter_map(estimate).collect()
}

/// What a measure is over some questions: [`Statistic::weighted`] makes it a number.
pub fn statistic(measure: &Measure, questions: &[&QuestionScores]) -> Statistic {
    let values = questions.iter().map(|question| question.values.get(&measure.name).copied());
    let present = || values.clone().enumerate().filter_map(|(index, value)| Some((index, value?)));
    match measure.over {
        Over::Mean => Statistic::mean(present().collect()),
        Over::Median => Statistic::quantile(0.5, present().collect()),
        Over::P95 => Statistic::quantile(0.95, present().collect()),
        Over::Auroc => {
            let answerable = |index: usize| questions.get(index).and_then(|question| question.answerable);
            Statistic::auroc(present().filter_map(|(index, value)| Some((index, value, answerable(index)?))).collect())
        }
    }
}
