//! Samples as `ragas.EvaluationDataset.from_jsonl` reads them, a JSON object on each line.
//!
//! A question with turns before it is one `user_input`: all that the visitor said, a line each, since
//! ragas' conversations also want the answers in between, which a run does not keep.

use serde::Serialize;

use crate::records::{Found, Record, Run};

/// ragas' `SingleTurnSample`.
#[derive(Serialize)]
struct Sample<'a> {
    user_input: String,
    retrieved_contexts: Vec<&'a str>,
    retrieved_context_ids: Vec<&'a str>,
    response: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_context_ids: Option<Vec<&'a str>>,
}

/// The file. What got an error has no response and is left out.
pub(super) fn samples(run: &Run) -> String {
    let answered = run.records.iter().filter(|record| record.error.is_none());
    answered.filter_map(|record| serde_json::to_string(&sample(record)).ok()).map(|line| line + "\n").collect()
}

fn sample(record: &Record) -> Sample<'_> {
    let question = &record.question;
    let said: Vec<&str> = question.turns.iter().chain([&question.question]).map(String::as_str).collect();
    // What the model saw; of a search alone, all that was found.
    let offered = |found: &&Found| record.answer.is_none() || found.n.is_some();
    let found: Vec<&Found> = record.ranking.iter().filter(offered).collect();
    let by_passage = !question.passages.is_empty();
    let graded = if by_passage { &question.passages } else { &question.pages };
    let relevant: Vec<&str> = graded.0.iter().filter(|(_, grade)| **grade > 0).map(|(name, _)| name.as_str()).collect();
    Sample {
        user_input: said.join("\n"),
        retrieved_contexts: found.iter().map(|found| found.text.as_str()).collect(),
        retrieved_context_ids: found
            .iter()
            .map(|it| if by_passage { &it.passage } else { &it.page }.as_str())
            .collect(),
        response: record.answer.as_ref().map_or("", |answer| &answer.text),
        reference: question.answer.reference.as_deref(),
        reference_context_ids: (!relevant.is_empty()).then_some(relevant),
    }
}
