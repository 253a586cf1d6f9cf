//! What happened on the way to an answer, step by step, for those who may see it: it tells what was
//! found and why, which visitors are not told.

use serde::{Deserialize, Serialize};

use crate::error::{ApiError, Code};
use crate::session;

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
    /// Everything that was found and is live, best first. The first ones were offered to the model.
    pub candidates: Vec<Candidate>,
    /// Best cosine of a candidate with the question, alone or in the light of the one before it; what
    /// refusing is decided by. 0 when nothing was found.
    pub evidence: f64,
    /// Who refused, if anybody did.
    pub refused_by: Option<RefusedBy>,
    /// How long the steps took.
    pub steps: Steps,
}

impl Trace {
    /// Numbers the first candidates, as they were offered to the model.
    pub(crate) fn offer(&mut self, offered: usize) {
        for (n, candidate) in (1..).zip(self.candidates.iter_mut().take(offered)) {
            candidate.n = Some(n);
        }
    }
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
    /// Number it was offered to the model under, the last time that one was asked; null when the
    /// prompt had no room for it, or no model was asked.
    pub n: Option<u32>,
    /// Whether it is of the page that the visitor reads.
    #[serde(default)]
    pub here: bool,
}

impl Candidate {
    /// Best cosine with any of the queries.
    pub fn score(&self) -> f64 {
        self.scores.iter().flatten().copied().reduce(f64::max).unwrap_or(0.0)
    }
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
    /// A model was asked, and the first word was passed on.
    pub first_word_ms: u64,
    /// The answer was complete.
    pub answered_ms: u64,
}

/// Lets a caller see a trace who sends the key as `Authorization: Bearer <key>`.
///
/// # Errors
/// `unauthorized`, also where no key is set: then nobody may.
pub fn admit(key: Option<&str>, authorization: Option<&str>) -> Result<(), ApiError> {
    let Some(key) = key else {
        return Err(ApiError::new(Code::Unauthorized, "this bot shows no traces; its operator can set TRACE_KEY"));
    };
    let given = authorization.and_then(|header| header.split_once(' '));
    match given {
        Some((scheme, given)) if scheme.eq_ignore_ascii_case("bearer") && session::same(key, given.trim()) => Ok(()),
        _ => Err(ApiError::new(
            Code::Unauthorized,
            "a trace is shown only to who sends the bot's TRACE_KEY, as `Authorization: Bearer <key>`",
        )),
    }
}
