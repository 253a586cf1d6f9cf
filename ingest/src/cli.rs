//! The command line, and what it prints.
#![allow(clippy::doc_markdown, rustdoc::bare_urls)] // the documentation of arguments is what --help prints, as it is

use std::collections::BTreeSet;
use std::fmt;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use docent_core::document::{Generator, UrlStyle};
use serde::Serialize;

use crate::books::BooksError;
use crate::cloudflare::ApiError;
use crate::guard::Guard;
use crate::lease::LeaseError;
use crate::progress::Shown;
use crate::run::{self, IngestError};
use crate::settings::{Connection, DEFAULT_KEEP, Given, GivenConnection, Problems, Settings};
use crate::why::WhyError;
use crate::{upkeep, watch, why};

const EXAMPLES: &str = "\
Examples:
  docent ingest docs --base-url https://docs.example.com --dry-run
      what would change, and what it would cost
  docent ingest docs --base-url https://docs.example.com --create-index
      the first time
  docent ingest --wait 10m
      in a job, with everything else in docent.toml
  docent ingest --watch
      again and again, while you write

Environment:
  CLOUDFLARE_ACCOUNT_ID  the account that the index belongs to
  CLOUDFLARE_API_TOKEN   a token with Workers AI: Read, Vectorize: Edit, D1: Edit and Workers KV Storage: Edit

";

const EXIT_CODES: &str = "\
Exit codes:
  0  done; the index is in step with the documents
  1  a service failed, or gave an answer that cannot be used; run the same command again
  2  something on the command line, in the environment, in docent.toml or in wrangler.toml is missing or wrong
  3  no text was found; the index is left as it is
  4  some files could not be ingested, all others were
  5  the API token was refused
  6  a guard refused to let the index go live; it is left as it is
  7  another ingest is writing to the index
  8  verify found something that is not as it should be, and did not mend it";

/// Keeps the index of a docent bot in step with its documentation.
#[derive(Debug, Parser)]
#[command(name = "docent", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Action,
}

/// What `docent` can do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Bring the index in step with documentation.
    ///
    /// Only chunks that are new or changed are embedded. Readers see the old index until the new one
    /// is complete, and then the new one. A run that was broken off is continued by the next one.
    ///
    /// What is given is the whole documentation: what is in the index and not there any more leaves
    /// it.
    #[command(after_help = format!("{EXAMPLES}{EXIT_CODES}"))]
    Ingest(Ingest),
    /// Show what is live, and whether anything is amiss.
    Status(Look),
    /// List the generations that are kept.
    History(Look),
    /// Let readers see an earlier generation, at once.
    ///
    /// The next ingest of changed documentation goes forward again; of the same documentation it is
    /// refused.
    Rollback(Rollback),
    /// Let old generations go, and delete what only they hold.
    Prune(Prune),
    /// Compare the state, the vectors and the rows with each other.
    Verify(Verify),
    /// Tell how the bot came to an answer, or list what was asked.
    ///
    /// The bot keeps a trace of each answer in D1 for TRACE_DAYS. Without an id, the latest questions
    /// are listed, with their ids.
    Why(Why),
    /// Print completions for a shell.
    Completions {
        /// Shell.
        shell: clap_complete::Shell,
    },
}

/// Where the index is.
#[derive(Debug, clap::Args)]
pub struct Deployed {
    /// Deployment file: the names of the Vectorize index INDEX, the KV namespace SESSIONS and the D1 database CONTENT stand there.
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

    /// D1 database id, instead of the one in the deployment file; empty for none.
    #[arg(long, value_name = "ID", env = "DOCENT_D1_ID")]
    pub d1_id: Option<String>,

    /// Where the REST API is; CLOUDFLARE_API_BASE_URL is read as well.
    ///
    /// [default: https://api.cloudflare.com/client/v4]
    #[arg(long, value_name = "URL", env = "DOCENT_API_BASE")]
    pub api_base: Option<String>,
}

/// Where the index is, and how to print.
#[derive(Debug, clap::Args)]
pub struct Look {
    #[command(flatten)]
    deployed: Deployed,

    /// Print the outcome as JSON.
    #[arg(long)]
    pub json: bool,

    /// Print errors only.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Where the index is, for commands that write.
#[derive(Debug, clap::Args)]
pub struct Change {
    #[command(flatten)]
    look: Look,

    /// How long to wait while another ingest writes, such as 10m; without it, that is an error.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
}

/// Arguments of `docent ingest`.
#[derive(Debug, clap::Args)]
pub struct Ingest {
    /// Folders, files, patterns and addresses of web sites; default: sources in docent.toml. Files that .gitignore or .ignore name, and hidden ones, are left out.
    #[arg(value_name = "SOURCE")]
    pub paths: Vec<PathBuf>,

    /// Address under which the pages are published, such as https://docs.example.com.
    #[arg(long, value_name = "URL", env = "DOCENT_BASE_URL")]
    pub base_url: Option<String>,

    /// Program that makes the site, where its configuration does not tell.
    #[arg(long, value_name = "GENERATOR", value_parser = generator())]
    pub site: Option<Generator>,

    /// How the site spells the address of guides/install.md, where the generator does not tell.
    #[arg(long, value_enum)]
    pub url_style: Option<Style>,

    /// Files and folders to leave out, such as 'drafts' or '**/*.test.md'; may be given again.
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,

    /// Pages of a web site to ask for at most [default: 10000].
    #[arg(long, value_name = "N")]
    pub max_pages: Option<usize>,

    /// Settings file [default: docent.toml, if it is there].
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,

    /// Embedding calls at a time [default: 4].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub concurrency: Option<u8>,

    /// Earlier generations to keep for a rollback [default: 2].
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,

    /// Percent of the pages that may vanish without a question [default: 20].
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub max_vanished: Option<u8>,

    /// File of questions with the pages that answer them: they must not lose these.
    #[arg(long, value_name = "FILE")]
    pub golden: Option<PathBuf>,

    /// Guards to overrule.
    #[arg(long, value_enum, value_name = "GUARD", value_delimiter = ',')]
    pub allow: Vec<Guard>,

    /// Create the Vectorize index if it is not there.
    #[arg(long)]
    pub create_index: bool,

    /// Say what would be done and what it costs, and write nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// Ingest again whenever a file changes, until interrupted.
    #[arg(long, conflicts_with_all = ["dry_run", "json"])]
    pub watch: bool,

    #[command(flatten)]
    change: Change,
}

/// Arguments of `docent rollback`.
#[derive(Debug, clap::Args)]
pub struct Rollback {
    /// Generation to go to; default: the one before the live one.
    #[arg(value_name = "GENERATION")]
    pub generation: Option<u64>,

    #[command(flatten)]
    change: Change,
}

/// Arguments of `docent prune`.
#[derive(Debug, clap::Args)]
pub struct Prune {
    /// Generations to keep beside the live one.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_KEEP)]
    pub keep: usize,

    #[command(flatten)]
    change: Change,
}

/// Arguments of `docent verify`.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// Put in order what is not.
    #[arg(long)]
    pub fix: bool,

    #[command(flatten)]
    change: Change,
}

/// Arguments of `docent why`.
#[derive(Debug, clap::Args)]
pub struct Why {
    /// Trace id of an answer, or its message id.
    #[arg(value_name = "ID", conflicts_with_all = ["last", "unanswered"])]
    pub id: Option<String>,

    /// List so many of the latest questions.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub last: u16,

    /// List only questions that were refused, that failed, or whose answer was rated down.
    #[arg(long, alias = "refused")]
    pub unanswered: bool,

    /// Tell where the page was that should have answered: its path or address, or a part of it.
    #[arg(long, value_name = "PAGE", requires = "id")]
    pub page: Option<String>,

    /// Print the passages that the model was offered.
    #[arg(long, requires = "id")]
    pub passages: bool,

    #[command(flatten)]
    look: Look,
}

/// Reads the name of a generator.
pub fn generator() -> impl TypedValueParser<Value = Generator> {
    let names = Generator::ALL.iter().map(|generator| generator.name());
    PossibleValuesParser::new(names)
        .map(|name| Generator::ALL.iter().copied().find(|generator| generator.name() == name).unwrap_or_default())
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
        match self.command {
            Action::Ingest(arguments) => arguments.run(),
            Action::Status(look) => {
                let (connection, json, quiet) = (look.deployed.connection(), look.json, look.quiet);
                outcome(connection, json, quiet, |connection, _| upkeep::status(connection), |_| 0)
            }
            Action::History(look) => {
                let (connection, json, quiet) = (look.deployed.connection(), look.json, look.quiet);
                outcome(connection, json, quiet, |connection, _| upkeep::history(connection).map(Lines), |_| 0)
            }
            Action::Rollback(Rollback { generation, change }) => change.run(
                |connection, wait, shown| {
                    upkeep::rollback(connection, generation, wait, &|stage, done, all| shown.show(stage, done, all))
                        .map(RolledBack)
                },
                |_| 0,
            ),
            Action::Prune(Prune { keep, change }) => change.run(
                |connection, wait, shown| {
                    upkeep::prune(connection, keep, wait, &|stage, done, all| shown.show(stage, done, all)).map(Pruned)
                },
                |_| 0,
            ),
            Action::Verify(Verify { fix, change }) => change.run(
                |connection, wait, shown| {
                    upkeep::verify(connection, fix, wait, &|stage, done, all| shown.show(stage, done, all))
                },
                |found| if found.is_clean() || found.fixed { 0 } else { 8 },
            ),
            Action::Why(Why { id, last, unanswered, page, passages, look }) => {
                let (connection, json, quiet) = (look.deployed.connection(), look.json, look.quiet);
                match id {
                    Some(id) => outcome(
                        connection,
                        json,
                        quiet,
                        |connection, _| Ok(why::explain(connection, &id, passages, page.as_deref())?),
                        |_| 0,
                    ),
                    None => outcome(
                        connection,
                        json,
                        quiet,
                        |connection, _| Ok(why::recent(connection, usize::from(last), unanswered)?),
                        |_| 0,
                    ),
                }
            }
            Action::Completions { shell } => {
                clap_complete::generate(shell, &mut Self::command(), "docent", &mut std::io::stdout());
                ExitCode::SUCCESS
            }
        }
    }
}

impl Deployed {
    fn given(&self) -> GivenConnection {
        let variable = |name: &str| std::env::var(name).ok();
        GivenConnection {
            config: self.config.clone(),
            env: self.env.clone(),
            index: self.index.clone(),
            kv_id: self.kv_id.clone(),
            d1_id: self.d1_id.clone(),
            api_base: self.api_base.clone().or_else(|| variable("CLOUDFLARE_API_BASE_URL")),
            account_id: variable("CLOUDFLARE_ACCOUNT_ID"),
            api_token: variable("CLOUDFLARE_API_TOKEN"),
        }
    }

    /// Checks everything, and reads the deployment file if names are to come from it.
    ///
    /// # Errors
    /// Everything that is missing or wrong.
    pub fn connection(&self) -> Result<Connection, Problems> {
        Connection::new(self.given())
    }
}

impl Change {
    fn run<T: Serialize + fmt::Display>(
        &self,
        work: impl FnOnce(&Connection, Duration, &Shown) -> Result<T, IngestError>,
        code: impl FnOnce(&T) -> u8,
    ) -> ExitCode {
        let wait = self.wait.unwrap_or_default();
        let (connection, json, quiet) = (self.look.deployed.connection(), self.look.json, self.look.quiet);
        outcome(connection, json, quiet, |connection, shown| work(connection, wait, shown), code)
    }
}

/// Does something with an index, and prints what came of it.
fn outcome<T: Serialize + fmt::Display>(
    connection: Result<Connection, Problems>,
    json: bool,
    quiet: bool,
    work: impl FnOnce(&Connection, &Shown) -> Result<T, IngestError>,
    code: impl FnOnce(&T) -> u8,
) -> ExitCode {
    let connection = match connection {
        Ok(connection) => connection,
        Err(problems) => return fail(&problems, 2),
    };
    let shown = Shown::new(quiet);
    let done = work(&connection, &shown);
    shown.end();
    match done {
        Ok(done) => {
            print(&done, json, quiet);
            ExitCode::from(code(&done))
        }
        Err(error) => fail(&error, exit_code(&error)),
    }
}

impl Ingest {
    fn run(self) -> ExitCode {
        let (json, quiet, watches) = (self.change.look.json, self.change.look.quiet, self.watch);
        let mut settings = match Settings::new(self.given()) {
            Ok(settings) => settings,
            Err(problems) => return fail(&problems, 2),
        };
        if !quiet {
            complain(settings.detected.iter().cloned());
        }
        let mut code = ingest(&settings, json, quiet);
        if code == Err(Missing::Index) && asks_to_create(&settings.connection.index) {
            settings.create_index = true;
            code = ingest(&settings, json, quiet);
        }
        if watches {
            return match watch::on_change(&settings.sources, || drop(ingest(&settings, json, quiet))) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error, 1),
            };
        }
        ExitCode::from(code.unwrap_or(2))
    }

    fn given(&self) -> Given {
        let url_style = self.url_style.map(|style| match style {
            Style::Clean => UrlStyle::Clean,
            Style::Slash => UrlStyle::Slash,
            Style::Html => UrlStyle::Html,
        });
        Given {
            connection: self.change.look.deployed.given(),
            settings: self.settings.clone(),
            paths: self.paths.clone(),
            base_url: self.base_url.clone(),
            site: self.site,
            url_style,
            exclude: self.exclude.clone(),
            max_pages: self.max_pages,
            concurrency: self.concurrency.map(usize::from),
            keep: self.keep,
            max_vanished: self.max_vanished,
            allow: self.allow.iter().copied().collect::<BTreeSet<_>>(),
            golden: self.golden.clone(),
            wait: self.change.wait,
            create_index: self.create_index,
            dry_run: self.dry_run,
        }
    }
}

/// What can be mended on the spot.
#[derive(Debug, PartialEq, Eq)]
enum Missing {
    Index,
}

/// One ingest, printed; its exit code.
fn ingest(settings: &Settings, json: bool, quiet: bool) -> Result<u8, Missing> {
    let shown = Shown::new(quiet);
    let outcome = run::run(settings, &|stage, done, all| shown.show(stage, done, all));
    shown.end();
    match outcome {
        Ok(report) => {
            if quiet && !json {
                complain(report.failed.iter().map(|failure| format!("{}: {}", failure.path, failure.reason)));
            }
            print(&report, json, quiet);
            Ok(if report.failed.is_empty() { 0 } else { 4 })
        }
        Err(error) => {
            complain(error.to_string().lines().map(str::to_owned));
            if matches!(error, IngestError::NoIndex(_)) { Err(Missing::Index) } else { Ok(exit_code(&error)) }
        }
    }
}

/// Asks where there is somebody to answer.
#[allow(clippy::print_stderr)] // the program's own output
fn asks_to_create(index: &str) -> bool {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return false;
    }
    eprint!("docent: create the index {index} now? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok_and(|_| answer.trim().eq_ignore_ascii_case("y"))
}

fn exit_code(error: &IngestError) -> u8 {
    match error {
        IngestError::Nothing(_) => 3,
        IngestError::OtherIndex { .. }
        | IngestError::NoIndex(_)
        | IngestError::Rollback(_)
        | IngestError::Why(
            WhyError::NoDatabase
            | WhyError::NoTable(_)
            | WhyError::NoId(_)
            | WhyError::Expired { .. }
            | WhyError::Unknown(_)
            | WhyError::None,
        )
        | IngestError::Books(BooksError::OldSchema(_) | BooksError::OtherVersion(..)) => 2,
        IngestError::Refused(_) => 6,
        IngestError::Lease(LeaseError::Busy(_)) | IngestError::Overtaken => 7,
        error if api_error(error).is_some_and(ApiError::is_auth) => 5,
        _ => 1,
    }
}

fn api_error(error: &IngestError) -> Option<&ApiError> {
    match error {
        IngestError::Api(error)
        | IngestError::Why(WhyError::Api(error))
        | IngestError::Books(BooksError::Api(error))
        | IngestError::Lease(LeaseError::Books(BooksError::Api(error))) => Some(error),
        _ => None,
    }
}

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    complain(error.to_string().lines().map(str::to_owned));
    ExitCode::from(code)
}

#[allow(clippy::print_stderr)] // the program's own output
fn complain(lines: impl Iterator<Item = String>) {
    lines.for_each(|line| eprintln!("docent: {line}"));
}

fn print<T: Serialize + fmt::Display>(outcome: &T, json: bool, quiet: bool) {
    if quiet && !json {
        return;
    }
    let text = if json { serde_json::to_string_pretty(outcome).unwrap_or_default() } else { outcome.to_string() };
    // Nobody may be reading any more, as in `docent ingest … | head`; the work is done all the same.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// One thing a line.
#[derive(Serialize)]
#[serde(transparent)]
struct Lines<T>(Vec<T>);

impl<T: fmt::Display> fmt::Display for Lines<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(if lines.is_empty() { "nothing has been ingested yet" } else { "" })?;
        f.write_str(&lines.join("\n"))
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct RolledBack(crate::state::Generation);

impl fmt::Display for RolledBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let crate::state::Generation { number, documents, chunks, .. } = &self.0;
        write!(f, "generation {number} is live: {chunks} chunks of {documents} documents")
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Pruned(Vec<u64>);

impl fmt::Display for Pruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        match numbers.len() {
            0 => f.write_str("there was nothing to let go"),
            1 => write!(f, "generation {} is gone", numbers.join("")),
            _ => write!(f, "generations {} are gone", numbers.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_documentation_lists_every_command_option_and_exit_code() {
        let page = include_str!("../../docs/ingest.md");
        let command = Cli::command();
        let mut options = BTreeSet::new();
        for command in command.get_subcommands() {
            assert!(page.contains(&format!("`docent {}", command.get_name())), "{}", command.get_name());
            options.extend(command.get_arguments().filter_map(|argument| argument.get_long()).map(str::to_owned));
        }
        for option in options.iter().filter(|option| *option != "help") {
            assert!(page.contains(&format!("`--{option}")), "--{option} is not in docs/ingest.md");
        }
        let documented = page.lines().filter_map(|line| line.strip_prefix("| `--")?.split([' ', '`']).next());
        for option in documented {
            assert!(options.contains(option), "--{option} of docs/ingest.md does not exist");
        }
        for line in EXIT_CODES.lines().filter(|line| line.starts_with(' ')) {
            let (code, meaning) = line.trim().split_once("  ").unwrap();
            let row = page.lines().find(|row| row.starts_with(&format!("| {code} |")));
            let words = |text: &str| text.to_lowercase().replace(['`', '.'], "");
            let begin: String = words(meaning).chars().take(20).collect();
            assert!(row.is_some_and(|row| words(row).contains(&begin)), "exit code {code}");
        }
        for guard in Guard::value_variants() {
            assert!(page.contains(&format!("| `{guard}` |")), "{guard} is not in docs/ingest.md");
        }
    }
}
