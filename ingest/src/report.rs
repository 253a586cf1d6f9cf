//! What an ingest did, for people and as JSON.

use std::fmt;

use docent_core::injection::Suspicion;
use serde::Serialize;

use crate::guard::Concern;
use crate::plan::Plan;

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

/// Something in a page that looks as if it were meant for the model and not for readers. The page is
/// ingested all the same: documentation may speak of such things.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suspect {
    /// Path of the page.
    pub path: String,
    /// Heading that it stands under; may be empty.
    pub heading: String,
    /// What it looks like.
    pub kind: Suspicion,
    /// The words themselves, on one line; of characters that no reader sees, their code points.
    pub phrase: String,
}

impl fmt::Display for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, heading, kind, phrase } = self;
        let trail = if heading.is_empty() { String::new() } else { format!(", {heading}") };
        write!(f, "{path}{trail}: {}: {phrase:?}", kind.as_str())
    }
}

/// The outcome; printed by `--json` as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Whether this was only a plan.
    pub dry_run: bool,
    /// Whether readers see, or would see, anything else than before.
    pub changed: bool,
    /// Vectorize index.
    pub index: String,
    /// Generation that is live afterwards.
    pub generation: u64,
    /// Documents in it.
    pub documents: usize,
    /// Chunks in it.
    pub chunks: usize,
    /// Which pages are new, changed, moved and gone, and how many chunks stay and go.
    pub plan: Plan,
    /// Chunks that were embedded.
    pub embedded: usize,
    /// Chunks whose vector was copied from one with the same text.
    pub copied: usize,
    /// Tokens of the chunks that were embedded.
    pub tokens: usize,
    /// What embedding them takes of the Workers AI allocation.
    pub neurons: f64,
    /// And what that costs beyond the free one, US dollars.
    pub cost_usd: f64,
    /// Pages that ask not to be found, with what says so.
    pub skipped: Vec<Failure>,
    /// Files that could not be ingested.
    pub failed: Vec<Failure>,
    /// Pages without text.
    pub empty: Vec<String>,
    /// What in new and changed pages looks as if it were meant for the model.
    pub suspects: Vec<Suspect>,
    /// Guards that would refuse it; only in a plan.
    pub concerns: Vec<Concern>,
    /// Wall time.
    pub seconds: f64,
}

/// Pages of a plan that are named one by one; `--json` has them all.
const NAMED: usize = 50;
/// Pages that are left out and are named one by one.
const NAMED_LEFT_OUT: usize = 10;

fn named(f: &mut fmt::Formatter<'_>, what: &str, mut lines: impl ExactSizeIterator<Item = String>) -> fmt::Result {
    for line in lines.by_ref().take(NAMED_LEFT_OUT) {
        writeln!(f, "{what}  {line}")?;
    }
    match lines.len() {
        0 => Ok(()),
        more => writeln!(f, "{what}  and {more} more, which --json lists"),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Failure { path, reason } in &self.failed {
            writeln!(f, "failed   {path}: {reason}")?;
        }
        named(f, "skipped", self.skipped.iter().map(|Failure { path, reason }| format!("{path}: {reason}")))?;
        named(f, "empty  ", self.empty.iter().map(|path| format!("{path}: no text")))?;
        named(f, "suspect", self.suspects.iter().map(ToString::to_string))?;
        let Self { index, generation, documents, chunks, embedded, copied, .. } = self;
        if !self.changed {
            return write!(
                f,
                "nothing has changed: index {index}, generation {generation}, {chunks} chunks of {documents} documents"
            );
        }
        let Plan { unchanged_chunks, removed_chunks, .. } = self.plan;
        let cost = format!("{} tokens, {:.0} neurons, ${:.4}", self.tokens, self.neurons, self.cost_usd);
        let copied = if *copied == 0 { String::new() } else { format!(", {copied} copied") };
        if self.dry_run {
            self.pages(f)?;
            for concern in &self.concerns {
                writeln!(f, "refused  {concern}")?;
            }
            return write!(
                f,
                "would embed {embedded} chunks ({cost}){copied}, keep {unchanged_chunks} and remove {removed_chunks}; \
                 generation {generation} of index {index} would hold {chunks} chunks of {documents} documents"
            );
        }
        write!(
            f,
            "index {index}, generation {generation}: {chunks} chunks of {documents} documents ({})\n\
             {embedded} embedded ({cost}){copied}, {unchanged_chunks} unchanged, {removed_chunks} removed, {:.1} s",
            self.counts(),
            self.seconds
        )
    }
}

impl Report {
    fn counts(&self) -> String {
        let Plan { added, changed, moved, removed, .. } = &self.plan;
        let counts =
            [(added.len(), "new"), (changed.len(), "changed"), (moved.len(), "moved"), (removed.len(), "gone")];
        let counts: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        if counts.is_empty() { "the same pages".to_owned() } else { counts.join(", ") }
    }

    fn pages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { added, changed, moved, removed, .. } = &self.plan;
        let moved = moved.iter().map(|(from, to)| ("moved  ", format!("{from} -> {to}")));
        let of =
            |what: &'static str, paths: &[String]| paths.iter().map(|path| (what, path.clone())).collect::<Vec<_>>();
        let all: Vec<(&str, String)> = of("changed", changed)
            .into_iter()
            .chain(moved)
            .chain(of("gone   ", removed))
            .chain(of("new    ", added))
            .collect();
        for (what, page) in all.iter().take(NAMED) {
            writeln!(f, "{what}  {page}")?;
        }
        match all.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => writeln!(f, "and {more} more pages"),
        }
    }
}
