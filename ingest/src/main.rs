//! The `docent` command.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    docent_ingest::cli::Cli::parse().run()
}
