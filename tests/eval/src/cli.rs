//! The command line of `docent-eval`.
#![allow(clippy::doc_markdown)] // these comments are the text of --help

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// Compares two runs of the same questions: by measure, and question by question.
    Compare(crate::compare::Compare),
    /// Computes the measures of a run.
    Score(crate::scores::command::Score),
    /// Has a model judge the answers of a run, beside the measures.
    Judge(crate::judge::Judge),
    /// Fails when the numbers of a run do not keep the bounds of a file.
    Gate(crate::gate::Check),
}

impl Cli {
    /// Does it, says what went wrong, and gives the exit code.
    pub fn run(self) -> ExitCode {
        let done = match self.command {
            Action::Compare(compare) => compare.run().map_err(|error| error.to_string()),
            Action::Score(score) => score.run().map_err(|error| error.to_string()),
            Action::Judge(judge) => judge.run().map_err(|error| error.to_string()),
            Action::Gate(check) => check.run().map_err(|error| error.to_string()),
        };
        done.unwrap_or_else(|error| {
            eprintln!("docent-eval: {error}");
            ExitCode::from(2)
        })
    }
}
