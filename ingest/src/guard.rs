//! Reasons not to let an index go live, each of which can be overruled by its name.
//!
//! An index that answers nothing is seen at once; one that lost a third of its pages is not. So
//! what looks like an accident is refused, and whoever means it says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use clap::ValueEnum;
use docent_core::embedding::{FINGERPRINT, SPEC};
use serde::{Deserialize, Serialize};

use crate::navigation::MOSTLY;
use crate::plan::Plan;
use crate::reading::Reading;
use crate::state::State;

/// Fewer pages than this may vanish whatever their share is, unless all do.
const FEW_PAGES: usize = 3;
/// Pages that a refusal names one by one.
const NAMED: usize = 20;

/// What can be overruled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// Many pages vanished, or have no text any more.
    Vanished,
    /// Pages consist mostly of what stands on every page.
    Navigation,
    /// Questions that found their page do not find it any more.
    Golden,
    /// The embedding spec is another one: everything is embedded again.
    Spec,
    /// It is the documentation that was rolled back from.
    RolledBack,
}

/// A guard that says no, with everything that a person needs to decide.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "guard", rename_all = "kebab-case")]
pub enum Concern {
    /// See [`Guard::Vanished`].
    Vanished {
        /// Their paths.
        pages: Vec<String>,
        /// Pages of the live index.
        of: usize,
        /// What may vanish, percent.
        limit: u8,
    },
    /// See [`Guard::Navigation`].
    Navigation {
        /// Their paths.
        pages: Vec<String>,
    },
    /// See [`Guard::Golden`].
    Golden {
        /// The questions.
        questions: Vec<String>,
    },
    /// See [`Guard::Spec`].
    Spec {
        /// Fingerprint of the live index.
        live: String,
        /// Fingerprint of this program.
        ours: String,
        /// Chunks to embed.
        chunks: usize,
    },
    /// See [`Guard::RolledBack`].
    RolledBack {
        /// Which one.
        generation: u64,
    },
}

impl Concern {
    /// Its name on the command line.
    pub fn guard(&self) -> Guard {
        match self {
            Self::Vanished { .. } => Guard::Vanished,
            Self::Navigation { .. } => Guard::Navigation,
            Self::Golden { .. } => Guard::Golden,
            Self::Spec { .. } => Guard::Spec,
            Self::RolledBack { .. } => Guard::RolledBack,
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vanished { pages, of, limit } => {
                write!(f, "{} of {of} pages vanished or have no text any more, and {limit} % may", pages.len())?;
                list(f, pages)
            }
            Self::Navigation { pages } => {
                write!(f, "{} pages consist mostly of lines that stand on half of all pages", pages.len())?;
                list(f, pages)
            }
            Self::Golden { questions } => {
                write!(f, "{} golden questions do not find their page any more", questions.len())?;
                list(f, questions)
            }
            Self::Spec { live, ours, chunks } => write!(
                f,
                "the live index was embedded by spec {live}, this docent embeds by {ours}: all {chunks} chunks would \
                 be embedded again, and only a Worker of this version can search them"
            ),
            Self::RolledBack { generation } => write!(
                f,
                "the documentation is that of generation {generation}, which was rolled back; change it first"
            ),
        }?;
        write!(f, "\n  overrule with --allow {}", self.guard())
    }
}

fn list(f: &mut fmt::Formatter<'_>, names: &[String]) -> fmt::Result {
    for name in names.iter().take(NAMED) {
        write!(f, "\n    {name}")?;
    }
    match names.len().saturating_sub(NAMED) {
        0 => Ok(()),
        more => write!(f, "\n    and {more} more"),
    }
}

/// What can be seen before anything is written.
pub(crate) fn before_writing(
    state: &State,
    reading: &Reading,
    plan: &Plan,
    max_vanished: u8,
) -> std::io::Result<Vec<Concern>> {
    let mut concerns = Vec::new();
    concerns.extend(vanished(state, plan, max_vanished));
    concerns.extend(navigation(reading)?);
    concerns.extend(other_spec(state, reading));
    concerns.extend(rolled_back(state, reading, plan));
    Ok(concerns)
}

fn vanished(state: &State, plan: &Plan, limit: u8) -> Option<Concern> {
    let of = state.live_pages().len();
    let gone = plan.removed.len();
    let is_much = gone * 100 > of * usize::from(limit) && (gone >= FEW_PAGES || gone == of);
    is_much.then(|| Concern::Vanished { pages: plan.removed.clone(), of, limit })
}

/// Only pages with new chunks are looked at; the others have passed before.
fn navigation(reading: &Reading) -> std::io::Result<Option<Concern>> {
    let mut shares: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for waiting in reading.new.read()? {
        let chunk = waiting?.into_chunk();
        let (everywhere, all) = reading.repeated.share(&chunk);
        let share = shares.entry(chunk.metadata.path).or_default();
        *share = (share.0 + everywhere, share.1 + all);
    }
    #[allow(clippy::cast_precision_loss)] // characters of a page
    let mostly = |(everywhere, all): (usize, usize)| everywhere as f64 > all as f64 * MOSTLY;
    let pages: Vec<String> = shares.into_iter().filter_map(|(path, share)| mostly(share).then_some(path)).collect();
    Ok((!pages.is_empty()).then_some(Concern::Navigation { pages }))
}

fn other_spec(state: &State, reading: &Reading) -> Option<Concern> {
    let live = state.live()?.spec.clone();
    let ours = FINGERPRINT.clone();
    (live != ours).then_some(Concern::Spec { live, ours, chunks: reading.new.to_embed })
}

/// A job that ingests after every push would undo a rollback within minutes.
fn rolled_back(state: &State, reading: &Reading, plan: &Plan) -> Option<Concern> {
    let newest = state.complete().next_back()?.number;
    let is_newer = state.live.is_some_and(|live| live.generation < newest);
    let same: BTreeSet<(&str, &str)> =
        state.pages(newest).map(|page| (page.path.as_str(), page.hash.as_str())).collect();
    let now = reading.pages.iter().map(|page| (page.path.as_str(), page.hash.as_str())).collect();
    (is_newer && !plan.is_empty() && same == now).then_some(Concern::RolledBack { generation: newest })
}

/// A question with the pages that answer it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Golden {
    /// As a visitor asks it.
    pub question: String,
    /// Paths or addresses; one of them is enough.
    pub pages: Vec<String>,
}

/// Reads a file of golden questions: JSON, one on a line.
pub(crate) fn golden(path: &Path) -> Result<Vec<Golden>, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("--golden: cannot read {shown}: {error}"))?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let golden: Golden = serde_json::from_str(line)
                .map_err(|error| format!("--golden: {shown}, line {number}: {error}; a line is {EXAMPLE}"))?;
            if golden.question.trim().is_empty() || golden.pages.is_empty() {
                return Err(format!(
                    "--golden: {shown}, line {number} has no question or no pages; a line is {EXAMPLE}"
                ));
            }
            Ok(golden)
        })
        .collect()
}

const EXAMPLE: &str = r#"{"question":"How do I …?","pages":["guides/install.md"]}"#;

/// Whether one of the pages is among what was found, given as path and address each.
pub(crate) fn is_found(golden: &Golden, found: &[(String, String)]) -> bool {
    let is_it = |page: &String| {
        found.iter().any(|(path, url)| path == page || url.trim_end_matches('/') == page.trim_end_matches('/'))
    };
    golden.pages.iter().any(is_it)
}

/// Questions of one embedding call.
pub(crate) const GOLDEN_BATCH: usize = 50;
/// How many different pages an answer reads; the Worker's `TOP_K` is 6 passages.
pub(crate) const GOLDEN_TOP_K: usize = 6;

/// Text of a question as the Worker embeds it.
pub(crate) fn text_to_embed(golden: &Golden) -> String {
    format!("{}{}", SPEC.query_instruction, golden.question)
}
