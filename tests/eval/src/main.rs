//! The `docent-eval` command.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    docent_eval::cli::Cli::parse().run()
}
