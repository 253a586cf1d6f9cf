//! What happened on the way to an answer, step by step, for those who may see it: it tells what was
//! found and why, which visitors are not told.

use serde::{Deserialize, Serialize};

/// The way to one answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The question as it was asked.
    pub question: String,
    /// What was searched for: the question, and in a conversation also the question in its light.
    pub queries: Vec<String>,
    /// Generation of the index that was searched.
    pub generation: u64,
    /// Fingerprint of the index's embedding spec.
    pub spec: String,
    /// Everything that was found, best first. The first ones were offered to the model.
    pub candidates: Vec<Candidate>,
    /// Best cosine of a candidate with the question alone; what refusing was decided by. 0 when nothing
    /// was found.
    pub evidence: f64,
    /// Who refused, if anybody did.
    pub refused_by: Option<RefusedBy>,
    /// How long the steps took.
    pub steps: Steps,
}

/// One chunk that was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Id of the chunk.
    pub id: String,
    /// Address with anchor.
    pub url: String,
    /// Page title.
    pub title: String,
    /// Heading trail below the title.
    pub heading: String,
    /// Markdown.
    pub text: String,
    /// Rank from 1 in the result list of each query, in the order of [`Trace::queries`]; null where
    /// that list does not have it.
    pub ranks: Vec<Option<u32>>,
    /// Cosine with each query, likewise.
    pub scores: Vec<Option<f64>>,
    /// Number it was offered under.
    pub n: Option<u32>,
}

/// Who refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedBy {
    /// The search found nothing.
    Search,
    /// The evidence was below `REFUSE_BELOW`.
    Threshold,
    /// The model said so, or a guardrail kept it from answering.
    Model,
}

/// Milliseconds from the arrival of the question until a step was done; 0 for one that was not taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps {
    /// Earlier turns were read.
    pub recalled_ms: u64,
    /// The queries were embedded, and the live generation known.
    pub embedded_ms: u64,
    /// The index was searched.
    pub searched_ms: u64,
    /// The first word came from the model.
    pub first_word_ms: u64,
    /// The answer was complete.
    pub answered_ms: u64,
}
