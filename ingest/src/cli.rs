//! The command line, and what it prints.
#![allow(clippy::doc_markdown, rustdoc::bare_urls)] // the documentation of arguments is what --help prints, as it is

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use docent_core::document::UrlStyle;
use indicatif::{ProgressBar, ProgressStyle};

use crate::report::Report;
use crate::run::{self, IngestError};
use crate::settings::{Given, Settings};

const EXIT_CODES: &str = "\
Environment:
  CLOUDFLARE_ACCOUNT_ID  the account that the index belongs to
  CLOUDFLARE_API_TOKEN   a token with Workers AI: Read, Vectorize: Edit and Workers KV Storage: Edit

Exit codes:
  0  the index is in step with the documents
  1  a service failed, or gave an answer that cannot be used; run the same command again
  2  something on the command line, in the environment or in wrangler.toml is missing or wrong
  3  no text was found; the index is left as it is
  4  some files could not be ingested, all others were
  5  the API token was refused";

/// Keeps the index of a docent bot in step with its documentation.
#[derive(Debug, Parser)]
#[command(name = "docent", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Action,
}

/// What `docent` can do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Bring the index in step with the Markdown files below the given paths.
    ///
    /// Only chunks that are new or changed are embedded. Chunks that left the documents are deleted
    /// once the new ones can be found. A run that was broken off is continued by the next one.
    ///
    /// The given paths are the whole documentation: what is in the index and not below them is
    /// deleted.
    #[command(after_help = EXIT_CODES)]
    Ingest(Ingest),
}

/// Arguments of `docent ingest`.
#[derive(Debug, clap::Args)]
pub struct Ingest {
    /// Folders and files. Files that .gitignore or .ignore name, and hidden ones, are left out.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Address under which the pages are published, such as https://docs.example.com.
    #[arg(long, value_name = "URL", env = "DOCENT_BASE_URL")]
    pub base_url: Option<String>,

    /// How the site spells the address of guides/install.md.
    #[arg(long, value_enum, default_value = "clean")]
    pub url_style: Style,

    /// Deployment file: the names of the Vectorize index INDEX and the KV namespace SESSIONS stand there.
    #[arg(long, value_name = "FILE", default_value = "wrangler.toml")]
    pub config: PathBuf,

    /// Environment of the deployment file: its [env.NAME] block.
    #[arg(long, value_name = "NAME", env = "CLOUDFLARE_ENV")]
    pub env: Option<String>,

    /// Vectorize index, instead of the one in the deployment file.
    #[arg(long, value_name = "NAME", env = "DOCENT_INDEX")]
    pub index: Option<String>,

    /// KV namespace id, instead of the one in the deployment file.
    #[arg(long, value_name = "ID", env = "DOCENT_KV_ID")]
    pub kv_id: Option<String>,

    /// Where the REST API is; CLOUDFLARE_API_BASE_URL is read as well.
    ///
    /// [default: https://api.cloudflare.com/client/v4]
    #[arg(long, value_name = "URL", env = "DOCENT_API_BASE")]
    pub api_base: Option<String>,

    /// Embedding calls at a time.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub concurrency: u8,

    /// Say what would be done and what it costs, and write nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,

    /// Print errors only.
    #[arg(long, short)]
    pub quiet: bool,
}

/// [`UrlStyle`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Style {
    /// guides/install
    Clean,
    /// guides/install/
    Slash,
    /// guides/install.html
    Html,
}

impl Cli {
    /// Does it, and prints the outcome.
    pub fn run(self) -> ExitCode {
        let Action::Ingest(arguments) = self.command;
        let (json, quiet) = (arguments.json, arguments.quiet);
        let settings = match Settings::new(arguments.given(|name| std::env::var(name).ok())) {
            Ok(settings) => settings,
            Err(problems) => return fail(&problems, 2),
        };
        let bar = if quiet { ProgressBar::hidden() } else { progress_bar() };
        let outcome = run::run(&settings, &|stage, done, all| show(&bar, stage, done, all));
        bar.finish_and_clear();
        match outcome {
            Ok(report) => {
                print(&report, json, quiet);
                ExitCode::from(if report.failed.is_empty() { 0 } else { 4 })
            }
            Err(error) => fail(&error, exit_code(&error)),
        }
    }
}

impl Ingest {
    fn given(self, variable: impl Fn(&str) -> Option<String>) -> Given {
        let url_style = match self.url_style {
            Style::Clean => UrlStyle::Clean,
            Style::Slash => UrlStyle::Slash,
            Style::Html => UrlStyle::Html,
        };
        Given {
            paths: self.paths,
            base_url: self.base_url,
            url_style,
            config: self.config,
            env: self.env,
            index: self.index,
            kv_id: self.kv_id,
            api_base: self.api_base.or_else(|| variable("CLOUDFLARE_API_BASE_URL")),
            account_id: variable("CLOUDFLARE_ACCOUNT_ID"),
            api_token: variable("CLOUDFLARE_API_TOKEN"),
            concurrency: self.concurrency.into(),
            dry_run: self.dry_run,
        }
    }
}

fn exit_code(error: &IngestError) -> u8 {
    match error {
        IngestError::Nothing(_) => 3,
        IngestError::OtherIndex { .. } => 2,
        IngestError::Api(error) if error.is_auth() => 5,
        IngestError::Api(_) | IngestError::NotVisible | IngestError::Manifest(_) => 1,
    }
}

#[allow(clippy::print_stderr)] // the program's own output
fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    for line in error.to_string().lines() {
        eprintln!("docent: {line}");
    }
    ExitCode::from(code)
}

#[allow(clippy::print_stderr)]
fn print(report: &Report, json: bool, quiet: bool) {
    if quiet && !json {
        return report.failed.iter().for_each(|failure| eprintln!("docent: {}: {}", failure.path, failure.reason));
    }
    let text = if json { serde_json::to_string_pretty(report).unwrap_or_default() } else { report.to_string() };
    // Nobody may be reading any more, as in `docent ingest … | head`; the ingest is done all the same.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Shows nothing where standard error is no terminal.
fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg:32} {wide_bar} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, stage: &str, done: usize, all: usize) {
    if all > 0 {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    }
    bar.set_message(stage.to_owned());
    bar.tick();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn the_documentation_lists_every_option_and_exit_code() {
        use clap::CommandFactory as _;
        let page = include_str!("../../docs/ingest.md");
        let command = Cli::command();
        let ingest = command.find_subcommand("ingest").unwrap();
        let options: Vec<_> = ingest.get_arguments().filter_map(|argument| argument.get_long()).collect();
        for option in options.iter().filter(|option| **option != "help") {
            assert!(page.contains(&format!("`--{option}")), "--{option} is not in docs/ingest.md");
        }
        let documented = page.lines().filter_map(|line| line.strip_prefix("| `--")?.split([' ', '`']).next());
        for option in documented {
            assert!(options.contains(&option), "--{option} of docs/ingest.md does not exist");
        }
        for line in EXIT_CODES.lines().filter(|line| line.starts_with(' ')) {
            let code = line.trim().split_once("  ").unwrap().0;
            assert!(page.contains(code), "{code} is not in docs/ingest.md");
        }
    }
}
