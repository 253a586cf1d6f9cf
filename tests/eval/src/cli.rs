//! The command line of `docent-eval`.
#![allow(clippy::doc_markdown)] // these comments are the text of --help

use std::fmt::Display;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::calibrate::Calibrate;
use crate::compare::Compare;
use crate::gate::Check;
use crate::judge::Judge;
use crate::questions::draft::Draft;
use crate::questions::export::Export;
use crate::questions::import::Import;
use crate::questions::lint::Lint;
use crate::report::Report;
use crate::retrieval::Retrieval;
use crate::sweep::Sweep;

/// Measures how well a docent bot answers, offline or against a deployed one: the same numbers every time.
#[derive(Debug, Parser)]
#[command(name = "docent-eval", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Action,
}

/// What `docent-eval` can do, in the order one does it.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Propose questions that the documentation answers, for you to confirm.
    Draft(Draft),
    /// Take over questions from ragas, promptfoo, TREC, visitors' feedback or traces.
    Import(Import),
    /// Check a file of questions, and with --docs also that its pages and sections exist.
    ///
    /// Exit code 1 when it has faults.
    Lint(Lint),
    /// Write questions in the form of TREC, promptfoo or ragas.
    Export(Export),
    /// Ask a bot the questions, and keep what comes back.
    Run(crate::run::Args),
    /// Have a model judge the answers of a run, beside the measures.
    Judge(Judge),
    /// Compare two runs of the same questions: by measure, and question by question.
    Compare(Compare),
    /// Compare the answers over two states of the documentation.
    Diff(crate::diff::Diff),
    /// Fail when the numbers of a run do not keep the bounds of a file.
    Gate(Check),
    /// Show the numbers of runs: in the terminal, as a page, and for other programs.
    Report(Report),
    /// Measure how well search alone finds pages: by words, by vectors, by both.
    Retrieval(Retrieval),
    /// Measure search under many settings, and say which of them really differ.
    Sweep(Sweep),
    /// Fit the refusal threshold and the weights of fusion to a run.
    Calibrate(Calibrate),
}

impl Cli {
    /// Does it, says what went wrong, and gives the exit code.
    pub fn run(self) -> ExitCode {
        match &self.command {
            Action::Draft(draft) => ended(draft.run()),
            Action::Import(import) => ended(import.run()),
            Action::Lint(lint) => ended(lint.run()),
            Action::Export(export) => ended(export.run()),
            Action::Run(run) => run.run().unwrap_or_else(|error| failed(&error, error.exit_code())),
            Action::Judge(judge) => ended(judge.run()),
            Action::Compare(compare) => ended(compare.run()),
            Action::Diff(diff) => diff.run().unwrap_or_else(|error| failed(&error, error.exit_code())),
            Action::Gate(check) => ended(check.run()),
            Action::Report(report) => ended(report.run()),
            Action::Retrieval(retrieval) => ended(retrieval.run()),
            Action::Sweep(sweep) => ended(sweep.run()),
            Action::Calibrate(calibrate) => ended(calibrate.run()),
        }
    }
}

/// What cannot be done at all is wrong usage or configuration.
fn ended(outcome: Result<ExitCode, impl Display>) -> ExitCode {
    outcome.unwrap_or_else(|error| failed(&error, 2))
}

fn failed(error: &impl Display, code: u8) -> ExitCode {
    eprintln!("docent-eval: {error}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_documentation_lists_every_command_and_option() {
        let overview = include_str!("../../../docs/evaluation.md");
        // The account and its services are named as for `docent`.
        let pages = [
            include_str!("../../../docs/ingest.md"),
            include_str!("../../../docs/evaluation/questions.md"),
            include_str!("../../../docs/evaluation/run.md"),
            include_str!("../../../docs/evaluation/measures.md"),
            include_str!("../../../docs/evaluation/reports.md"),
            include_str!("../../../docs/evaluation/tuning.md"),
        ]
        .concat();
        let mut cli = Cli::command();
        cli.build();
        for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
            let name = command.get_name();
            assert!(overview.contains(&format!("`{name}`")), "add {name} to docs/evaluation.md");
            for option in command.get_arguments().filter_map(clap::Arg::get_long).filter(|option| *option != "help") {
                let is_told = ["`", " "].iter().any(|end| pages.contains(&format!("--{option}{end}")));
                assert!(is_told, "{name} --{option} is on no page below docs/evaluation");
            }
        }
    }
}
