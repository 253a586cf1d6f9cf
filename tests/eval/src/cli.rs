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
pub enum Action {}

impl Cli {
    /// Does it, says what went wrong, and gives the exit code.
    pub fn run(self) -> ExitCode {
        match self.command {}
    }
}
