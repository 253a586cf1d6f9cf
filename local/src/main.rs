//! `docent-local`: docent without an account. All of it is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use docent_local::cli::{Action, Cli};
use docent_local::console::say;
use docent_local::serve;

fn main() -> ExitCode {
    let Cli { command: Action::Serve(arguments) } = Cli::parse();
    match serve::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("docent-local: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}
