//! The command line of `docent-eval`.
#![allow(clippy::doc_markdown)] // these comments are the text of --help

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::questions::draft::Draft;
use crate::questions::export::Export;
use crate::questions::import::Import;
use crate::questions::lint::Lint;

/// Measures how well a docent bot answers, offline or against a deployed one: the same numbers every time.
#[derive(Debug, Parser)]
#[command(name = "docent-eval", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Action,
}

/// What `docent-eval` can do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Check a file of questions, and with --docs also that its pages and sections exist.
    ///
    /// Exit code 1 when it has faults.
    Lint(Lint),
    /// Propose questions that the documentation answers, for you to confirm.
    Draft(Draft),
    /// Take over questions from ragas, promptfoo, TREC, visitors' feedback or traces.
    Import(Import),
    /// Write questions in the form of TREC, promptfoo or ragas.
    Export(Export),
}

impl Cli {
    /// Does it, says what went wrong, and gives the exit code.
    pub fn run(self) -> ExitCode {
        ended(match &self.command {
            Action::Lint(lint) => lint.run(),
            Action::Draft(draft) => draft.run(),
            Action::Import(import) => import.run(),
            Action::Export(export) => export.run(),
        })
    }
}

/// What cannot be done at all is wrong usage or configuration.
fn ended(outcome: Result<ExitCode, impl std::fmt::Display>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::from(2)
    })
}
