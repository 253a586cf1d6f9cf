//! What came back, question by question. A run is a file of JSON lines: a header, then a record for
//! each question, with the question in it, so that the file alone can be judged, compared and shown.
//!
//! Two runs of the same bot over the same index differ in times only: `started_at`, [`Times`] and
//! [`docent_core::trace::Steps`]. Ids that are drawn anew each time are not recorded.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use docent_core::trace::Trace;
use docent_core::workers_ai::Usage;
use serde::{Deserialize, Serialize};

use crate::questions::Question;

/// Version of the file's form.
pub const RUN_VERSION: u32 = 1;

/// A run, read whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What was asked, and whom.
    pub header: Header,
    /// In the order of the questions, then by repeat.
    pub records: Vec<Record>,
}

/// Why a run cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The file itself.
    #[error("cannot read the run {path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A line of it.
    #[error("{path}, line {line}: {reason}; a run is a file that docent-eval run or retrieval wrote")]
    Line {
        /// Which file.
        path: String,
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

impl Run {
    /// Reads a run.
    ///
    /// # Errors
    /// [`RunError`]. A last line without its end, which a broken-off run leaves, is no error: that
    /// question counts as not asked.
    pub fn read(path: &Path) -> Result<Self, RunError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| RunError::File { path: name.clone(), source })?;
        let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
        let refuse = |line: usize, reason: String| RunError::Line { path: name.clone(), line, reason };
        let mut lines = (1..).zip(whole.lines());
        let (_, first) = lines.next().ok_or_else(|| refuse(1, "the file is empty".to_owned()))?;
        let header: Header = serde_json::from_str(first).map_err(|error| refuse(1, error.to_string()))?;
        if header.docent_eval_run != RUN_VERSION {
            let reason = format!("written by another version of docent-eval (form {})", header.docent_eval_run);
            return Err(refuse(1, reason));
        }
        let record = |(line, text)| serde_json::from_str(text).map_err(|error| refuse(line, error.to_string()));
        let records = lines.map(record).collect::<Result<_, _>>()?;
        Ok(Self { header, records })
    }
}

/// A run's file while it is written. A kill at any moment leaves a file that [`Run::read`] reads and
/// that can be gone on with.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
}

/// Why a run cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file itself.
    #[error("cannot write the run {path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Two programs would mix their records.
    #[error("another docent-eval is writing {0}; wait until it is done, or name another file with --out")]
    InUse(String),
}

impl Writer {
    /// Begins a file with what is already known; what was in it goes.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn begin(path: &Path, run: &Run) -> Result<Self, WriteError> {
        let failed = |source| WriteError::File { path: path.display().to_string(), source };
        let lock = |file: &File| match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(WriteError::InUse(path.display().to_string())),
            // A file system without locks is written without them.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
        };
        if let Ok(before) = File::open(path) {
            lock(&before)?;
        }
        run.write(path).map_err(failed)?;
        let file = OpenOptions::new().append(true).open(path).map_err(failed)?;
        lock(&file)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Adds a record; it is with the system when this returns.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn add(&mut self, record: &Record) -> Result<(), WriteError> {
        let written = line(record).and_then(|line| self.file.write_all(line.as_bytes()));
        written.map_err(|source| WriteError::File { path: self.path.display().to_string(), source })
    }

    /// Replaces what was added by the run in its order.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn end(self, run: &Run) -> Result<(), WriteError> {
        run.write(&self.path).map_err(|source| WriteError::File { path: self.path.display().to_string(), source })
    }
}

impl Run {
    /// Writes it whole: a reader sees the file as it was before, or as it is now.
    ///
    /// # Errors
    /// Those of the file.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let mut text = line(&self.header)?;
        for record in &self.records {
            text.push_str(&line(record)?);
        }
        std::fs::write(&part, text)?;
        std::fs::rename(&part, path)
    }
}

fn line(value: &impl Serialize) -> std::io::Result<String> {
    Ok(serde_json::to_string(value)? + "\n")
}

impl Header {
    /// What keeps a run under `self` from being gone on with under `other`, in words. When it began and
    /// what it is called do not matter.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let fields = |header: &Self| match serde_json::to_value(header) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let (here, there) = (fields(self), fields(other));
        let counts = |name: &str| name != "started_at" && name != "label";
        let differs = here.iter().filter(|(name, value)| counts(name) && there.get(*name) != Some(value));
        differs
            .map(|(name, value)| format!("{name} was {value} and is {}", there.get(name).unwrap_or_default()))
            .collect()
    }
}

/// What was asked, and whom: enough to know whether two runs may be compared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`RUN_VERSION`].
    pub docent_eval_run: u32,
    /// What tables and plots call it.
    pub label: String,
    /// Whether answers were asked for, or only pages.
    pub kind: Kind,
    /// Address of the bot, or `local`.
    pub bot: String,
    /// Where the documentation is published; names of pages are relative to it.
    pub base_url: String,
    /// Version of docent that answered.
    pub version: String,
    /// Fingerprint of the index's embedding spec.
    pub spec: String,
    /// Generation of the index, as it was before the first question.
    pub generation: Option<u64>,
    /// Hash over the documents, where the harness read them itself.
    pub corpus: Option<String>,
    /// What made the vectors. A lexical embedder says so here.
    pub embedder: String,
    /// What wrote the answers.
    pub answerer: String,
    /// Hash over the questions.
    pub questions: String,
    /// Seed of everything drawn by chance.
    pub seed: u64,
    /// How often each question was asked.
    pub repeats: u32,
    /// Settings that were other than the bot's own, by name.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// When it began (RFC 3339, UTC).
    pub started_at: String,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Answers with their sources, from a bot.
    #[default]
    Answers,
    /// A ranking of pages, by search alone.
    Retrieval,
}

/// What one question got.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// With what was expected.
    pub question: Question,
    /// From 0.
    #[serde(default)]
    pub repeat: u32,
    /// Why there is no answer, or only a part of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// What was found, best first: everything in the trace, or else the sources. A page may be in it
    /// several times, with other sections.
    pub ranking: Vec<Found>,
    /// What was answered; of a search alone, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// How long it took.
    #[serde(default)]
    pub times: Times,
}

/// Why there is no answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Code of the API, or `unreachable`, `unreadable`, `cut` for what the harness saw.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A passage that was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Name of its page, as [`crate::pages`] makes it; comparable with [`Question::pages`].
    pub page: String,
    /// The page with the anchor, `page#anchor`; the page alone where there is none.
    pub passage: String,
    /// Address with anchor.
    pub url: String,
    /// Page title.
    pub title: String,
    /// Heading trail.
    pub heading: String,
    /// What it was ranked by: descending, and equal only for what is really equal. A bot's own ranking
    /// has one over the rank here, since what is behind it (cosine, fusion) is not of one scale.
    pub score: f64,
    /// Number it was offered to the model under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// Markdown of the passage, or what is known of it: a snippet where the bot gave no trace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// What was answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Markdown with `[n]`.
    pub text: String,
    /// Whether the bot said that it does not know.
    pub refused: bool,
    /// `stop`, `length` or `error`.
    pub finish: String,
    /// Model that wrote it; empty when none was asked.
    pub model: String,
    /// Tokens of the chat call.
    pub usage: Usage,
    /// US dollars, where the price is known.
    pub cost_usd: Option<f64>,
    /// The way to the answer, where the bot gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
}

/// Milliseconds from sending the last question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Until the first event of the stream.
    pub first_event_ms: Option<f64>,
    /// Until the first word of the answer.
    pub first_token_ms: Option<f64>,
    /// Until the stream ended.
    pub last_ms: Option<f64>,
}
