//! `docent-eval import`: questions out of other programs' datasets, and out of what visitors asked.
//!
//! What is imported was written by strangers. Its text is cut to what the API takes and loses its
//! control characters, and what visitors asked is a draft until a person has looked at it.
#![allow(clippy::doc_markdown)] // the documentation of arguments is what --help prints, as it is

mod feedback;
mod promptfoo;
mod ragas;
mod trace;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use docent_core::api::MAX_MESSAGE_CHARS;
use docent_ingest::cli::Deployed;

use super::read::text_of;
use super::{Question, lint, trec, write};

/// Earlier turns that are taken over at most: the bot remembers no more than 6 unless told so.
const MAX_TURNS: usize = 20;

/// Arguments of `docent-eval import`.
#[derive(Debug, clap::Args)]
pub struct Import {
    /// What is imported.
    #[arg(long, value_name = "FORMAT")]
    pub from: Format,

    /// Files of that format. Without any, feedback is read from the bot's D1 database.
    pub files: Vec<PathBuf>,

    /// Qrels that judge the topics of --from trec.
    #[arg(long, value_name = "FILE")]
    pub qrels: Option<PathBuf>,

    /// File to write, as YAML; standard output without it.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Where the documentation is published, for the file that is written.
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,

    /// Database of the feedback.
    #[command(flatten)]
    pub deployed: Deployed,
}

/// Whose form it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON lines of ragas, single-turn or multi-turn.
    Ragas,
    /// A test file of promptfoo, in YAML.
    Promptfoo,
    /// Topics, with --qrels.
    Trec,
    /// What visitors thought of answers: rows of the table feedback in D1, or JSON lines of them.
    Feedback,
    /// Traces of answers as `docent why --json` prints them, or answers with a trace in them, as JSON lines.
    Trace,
}

impl Import {
    /// Writes the questions, and says what could not be carried over.
    ///
    /// # Errors
    /// What cannot be read or written, in words.
    pub fn run(&self) -> Result<ExitCode, String> {
        let mut imported = Imported::default();
        if self.from == Format::Feedback && self.files.is_empty() {
            let connection = self.deployed.connection().map_err(|problems| problems.to_string())?;
            let rows = match feedback::rows(&connection) {
                Ok(rows) => rows,
                Err(error) => {
                    eprintln!("docent-eval: {error}");
                    return Ok(ExitCode::from(3));
                }
            };
            feedback::import(&rows, &mut imported);
        } else if self.files.is_empty() {
            return Err("no file is named to import from".to_owned());
        }
        for path in &self.files {
            self.import(path, &mut imported)?;
        }
        let questions = imported.questions();
        write::out(self.out.as_deref(), &write::yaml(self.base_url.as_deref(), &questions)?)?;
        for (what, count) in &imported.lost {
            eprintln!("not carried over: {what} ({count} times)");
        }
        eprintln!("{} questions", questions.len());
        Ok(ExitCode::SUCCESS)
    }

    fn import(&self, path: &Path, imported: &mut Imported) -> Result<(), String> {
        let shown = path.display().to_string();
        if self.from == Format::Trec {
            let set = trec::read(path, self.qrels.as_deref()).map_err(|error| error.to_string())?;
            set.questions.into_iter().for_each(|question| imported.add(question));
            return Ok(());
        }
        let text = text_of(path).map_err(|error| error.to_string())?;
        match self.from {
            Format::Ragas => ragas::import(&text, imported),
            Format::Promptfoo => promptfoo::import(&text, imported),
            Format::Trace => trace::import(&text, imported),
            Format::Feedback | Format::Trec => feedback::parsed(&text).map(|rows| feedback::import(&rows, imported)),
        }
        .map_err(|reason| format!("{shown}{reason}"))
    }
}

/// What was taken over so far.
#[derive(Default)]
struct Imported {
    order: Vec<String>,
    /// By what they ask.
    asked: BTreeMap<String, Question>,
    /// What the questions cannot hold, and how often it was met.
    lost: BTreeMap<String, usize>,
}

impl Imported {
    fn lost(&mut self, what: impl Into<String>) {
        *self.lost.entry(what.into()).or_default() += 1;
    }

    /// Adds a question; of two that ask the same, the first is kept, with the pages of both.
    fn add(&mut self, mut question: Question) {
        question.question = cleaned(&question.question);
        question.turns = question.turns.iter().map(|turn| cleaned(turn)).filter(|turn| !turn.is_empty()).collect();
        let beyond = question.turns.len().saturating_sub(MAX_TURNS);
        question.turns.drain(..beyond);
        if question.question.is_empty() {
            return self.lost("questions without text");
        }
        let asks = lint::same(&question);
        if let Some(first) = self.asked.get_mut(&asks) {
            first.pages.0.append(&mut question.pages.0);
            first.passages.0.append(&mut question.passages.0);
            return self.lost("questions that ask the same as another");
        }
        self.order.push(asks.clone());
        self.asked.insert(asks, question);
    }

    /// In the order in which they were met.
    fn questions(&self) -> Vec<Question> {
        self.order.iter().filter_map(|asks| self.asked.get(asks)).cloned().collect()
    }
}

/// Text of a stranger: within the limit of the API, and nothing that a terminal obeys.
fn cleaned(text: &str) -> String {
    let kept = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c });
    let kept: String = kept.take(MAX_MESSAGE_CHARS).collect();
    kept.trim().to_owned()
}

/// One JSON value a line; the first line that is none is an error.
fn json_lines<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<Vec<T>, String> {
    let lines = (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty());
    let parsed = |(line, text): (u64, &str)| {
        serde_json::from_str(text).map_err(|error| format!(":{line}: {error}; each line is {what} as JSON"))
    };
    lines.map(parsed).collect()
}

/// Addresses to pages, or to passages where they have an anchor.
fn judged(question: &mut Question, addresses: impl IntoIterator<Item = String>) {
    for address in addresses {
        let address: String = cleaned(&address).split_whitespace().collect::<Vec<_>>().join("%20");
        let grades = if address.contains('#') { &mut question.passages } else { &mut question.pages };
        grades.0.insert(address, 1);
    }
}
