//! What a run says, for people and for other programs: a page, a summary, tables, and the formats of
//! those who measure too.
#![allow(clippy::doc_markdown)] // these comments are the text of --help

pub mod html;
mod junit;
mod markdown;
mod page;
mod plots;
mod questions;
mod ragas;
mod selection;
mod spreadsheet;
pub mod text;
mod trec;
mod verdict;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::measures::{self, Measure, UnknownMeasure};
use crate::questions::{QuestionsError, read as read_questions};
use crate::records::{Run, RunError};
use crate::report::text::{Table, number};
use crate::scores::{Estimate, ScoreOptions, Scores, score};
use crate::statistics::Resampling;

pub use verdict::Verdict;

/// Shows the numbers of runs, several side by side: in the terminal, and in the files named.
#[derive(Debug, Args)]
pub struct Report {
    /// The runs.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// A page with plots and every question; it opens from disk and needs no network.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// A summary in Markdown, for a CI job.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// A row for each question and run.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// JUnit XML, a test case for each question.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// TREC run files and qrels into this folder.
    #[arg(long, value_name = "FOLDER")]
    trec: Option<PathBuf>,
    /// Samples as ragas reads them, JSON lines; of one run.
    #[arg(long, value_name = "FILE")]
    ragas: Option<PathBuf>,
    /// All numbers as JSON, which a gate takes as its baseline; of one run.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Judge by what this file expects instead of what the runs were asked with.
    #[arg(long, value_name = "FILE")]
    questions: Option<PathBuf>,
    /// Only questions with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Measures, instead of all: `nDCG@10,R@5`.
    #[arg(long, value_delimiter = ',')]
    measures: Vec<String>,
    /// Seed of the intervals.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A run cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What is expected.
    #[error(transparent)]
    Questions(#[from] QuestionsError),
    /// Nothing to report.
    #[error("no question of {run} is left to report{why}")]
    Nothing {
        /// Which run.
        run: String,
        /// What left them out.
        why: String,
    },
    /// A measure is not known.
    #[error(transparent)]
    Measure(#[from] UnknownMeasure),
    /// A file holds what one run says.
    #[error("{0} takes one run; name the one that is meant")]
    OneRun(&'static str),
    /// A file cannot be written.
    #[error("cannot write {path}: {reason}")]
    Write {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
}

/// A run with its numbers.
#[derive(Debug)]
pub struct Reported {
    /// What came back.
    pub run: Run,
    /// What it is worth.
    pub scores: Scores,
}

impl Report {
    /// Reads, scores, writes what is wanted, and prints the table of numbers.
    ///
    /// # Errors
    /// [`ReportError`]
    pub fn run(&self) -> Result<ExitCode, ReportError> {
        let options = ScoreOptions { measures: self.measures()?, resampling: self.resampling() };
        let mut reported = Vec::new();
        for path in &self.runs {
            let run = self.selected(path)?;
            reported.push(Reported { scores: score(&run, &options), run });
        }
        self.write_all(&reported)?;
        crate::output::show(numbers(&reported).plain());
        Ok(ExitCode::SUCCESS)
    }

    fn selected(&self, path: &Path) -> Result<Run, ReportError> {
        let mut run = Run::read(path)?;
        if let Some(questions) = &self.questions {
            let left_out = selection::judge_by(&mut run, read_questions(questions)?.askable());
            if left_out > 0 {
                let file = questions.display();
                eprintln!("docent-eval: {left_out} answers are left out: {file} does not have their questions");
            }
        }
        if let Some(tag) = &self.tag {
            selection::keep_tag(&mut run, tag);
        }
        if run.records.is_empty() {
            let why = self.tag.as_ref().map(|tag| format!(": none has the tag {tag}")).unwrap_or_default();
            return Err(ReportError::Nothing { run: path.display().to_string(), why });
        }
        Ok(run)
    }

    fn measures(&self) -> Result<Vec<Measure>, UnknownMeasure> {
        if self.measures.is_empty() {
            return Ok(measures::defaults());
        }
        self.measures.iter().map(|name| measures::parse(name)).collect()
    }

    fn resampling(&self) -> Resampling {
        Resampling { seed: self.seed, ..Resampling::default() }
    }

    fn write_all(&self, reported: &[Reported]) -> Result<(), ReportError> {
        let one = |what| match reported {
            [one] => Ok(one),
            _ => Err(ReportError::OneRun(what)),
        };
        if let Some(path) = &self.html {
            write(path, &html::report(reported))?;
        }
        if let Some(path) = &self.markdown {
            write(path, &markdown::summary(reported))?;
        }
        if let Some(path) = &self.csv {
            let rows = spreadsheet::rows(reported).map_err(|error| failed(path, error))?;
            write(path, &rows)?;
        }
        if let Some(path) = &self.junit {
            let cases = junit::cases(reported).map_err(|error| failed(path, error))?;
            write(path, &cases)?;
        }
        if let Some(path) = &self.ragas {
            write(path, &ragas::samples(&one("--ragas")?.run))?;
        }
        if let Some(path) = &self.json {
            let scores = serde_json::to_string_pretty(&one("--json")?.scores).map_err(|error| failed(path, error))?;
            write(path, &format!("{scores}\n"))?;
        }
        let Some(folder) = &self.trec else { return Ok(()) };
        std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        trec::files(reported).iter().try_for_each(|(name, text)| write(&folder.join(name), text))
    }
}

fn write(path: &Path, text: &str) -> Result<(), ReportError> {
    std::fs::write(path, text).map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: impl std::fmt::Display) -> ReportError {
    ReportError::Write { path: path.display().to_string(), reason: error.to_string() }
}

/// Measures that come first: what a reader looks at to know whether the bot is good.
const HEADLINES: [&str; 11] = [
    "CRAG",
    "nDCG@10",
    "R@5",
    "Success@1",
    "RR",
    "refusal:recall",
    "refusal:false",
    "facts:present",
    "citation:precision",
    "citation:recall",
    "supported",
];

/// Names of the headline measures that the runs have; of runs with none of them, all that they have.
fn headlines(reported: &[Reported]) -> Vec<String> {
    let all = measure_names(reported);
    let headlines: Vec<String> = HEADLINES.iter().map(|it| (*it).to_owned()).filter(|it| all.contains(it)).collect();
    if headlines.is_empty() { all } else { headlines }
}

/// Names of all measures that one of the runs has, in the order of the first that has them.
fn measure_names(reported: &[Reported]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in reported.iter().flat_map(|it| &it.scores.all) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn estimate(scores: &[(String, Estimate)], measure: &str) -> Option<Estimate> {
    scores.iter().find(|(name, _)| name == measure).map(|(_, estimate)| *estimate)
}

/// The labels of the runs, told apart where they are the same.
fn labels(reported: &[Reported]) -> Vec<String> {
    let label = |(place, it): (usize, &Reported)| {
        let label = text::line(&it.run.header.label);
        let is_taken = reported.iter().take(place).any(|before| before.run.header.label == it.run.header.label);
        if is_taken || label.is_empty() { format!("{label}({})", place + 1) } else { label }
    };
    reported.iter().enumerate().map(label).collect()
}

/// All measures with their intervals.
fn numbers(reported: &[Reported]) -> Table {
    let mut head = vec!["measure".to_owned()];
    for label in labels(reported) {
        head.extend([label, "95 %".to_owned(), "n".to_owned()]);
    }
    let cells = |measure: &String| {
        let mut row = vec![measure.clone()];
        for it in reported {
            row.extend(cells_of(measure, estimate(&it.scores.all, measure)));
        }
        row
    };
    Table { head, rows: measure_names(reported).iter().map(cells).collect() }
}

fn cells_of(measure: &str, estimate: Option<Estimate>) -> [String; 3] {
    let Some(it) = estimate else { return Default::default() };
    [
        number(measure, it.value),
        format!("{} to {}", number(measure, it.low), number(measure, it.high)),
        it.n.to_string(),
    ]
}
