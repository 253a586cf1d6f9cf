//! What an ingest did, for people and as JSON.

use std::fmt;

use serde::Serialize;

/// A file, and why it is not in the index as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Its path, as far as known.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl Failure {
    /// From anything that says it.
    pub fn new(path: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self { path: path.to_string(), reason: reason.to_string() }
    }
}

/// The outcome; printed by `--json` as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Whether this was only a plan.
    pub dry_run: bool,
    /// Whether anything was, or would be, written.
    pub changed: bool,
    /// Vectorize index.
    pub index: String,
    /// Generation of the index afterwards.
    pub generation: u64,
    /// Documents in the index afterwards.
    pub documents: usize,
    /// Chunks in the index afterwards.
    pub chunks: usize,
    /// Chunks that were embedded.
    pub new: usize,
    /// Chunks that were there already.
    pub unchanged: usize,
    /// Chunks that were deleted.
    pub deleted: usize,
    /// Tokens of the chunks that were embedded.
    pub tokens: usize,
    /// What embedding them takes of the Workers AI allocation.
    pub neurons: f64,
    /// And what that costs beyond the free one, US dollars.
    pub cost_usd: f64,
    /// Pages that ask not to be found, with the front matter field that says so.
    pub skipped: Vec<Failure>,
    /// Files that could not be ingested.
    pub failed: Vec<Failure>,
    /// Wall time.
    pub seconds: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Failure { path, reason } in &self.failed {
            writeln!(f, "failed   {path}: {reason}")?;
        }
        for Failure { path, reason } in &self.skipped {
            writeln!(f, "skipped  {path}: {reason}")?;
        }
        let Self { index, documents, chunks, new, unchanged, deleted, .. } = self;
        match (self.dry_run, self.changed) {
            (_, false) => {
                write!(f, "nothing has changed: index {index} holds {chunks} chunks of {documents} documents")
            }
            (true, true) => write!(
                f,
                "would embed {new} chunks ({} tokens, {:.0} neurons, ${:.4}), keep {unchanged} and delete {deleted}; \
                 index {index} would then hold {chunks} chunks of {documents} documents",
                self.tokens, self.neurons, self.cost_usd
            ),
            (false, true) => write!(
                f,
                "index {index}, generation {}: {chunks} chunks of {documents} documents\n\
                 {new} embedded ({} tokens, {:.0} neurons, ${:.4}), {unchanged} unchanged, {deleted} deleted, {:.1} s",
                self.generation, self.tokens, self.neurons, self.cost_usd, self.seconds
            ),
        }
    }
}
