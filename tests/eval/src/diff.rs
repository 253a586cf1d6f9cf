//! `docent-eval diff`: what a change of the documentation does to the answers. The questions go to two
//! bots on this machine, one over the documentation before the change and one over it after.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use tempfile::TempDir;

use crate::compare::{self, CompareError, Output};
use crate::local::Parts;
use crate::run::{Asked, Done, RunError, Selected, Target};

/// Arguments of `docent-eval diff`.
#[derive(Debug, clap::Args)]
#[allow(clippy::doc_markdown)] // these comments are the text of --help
pub struct Diff {
    /// Documentation before the change: a folder, or a folder of a git revision such as main:docs.
    #[arg(value_name = "DOCS_BEFORE")]
    before: String,

    /// Documentation after the change, likewise.
    #[arg(value_name = "DOCS_AFTER")]
    after: String,

    /// Folder that both runs are kept in, as before.jsonl and after.jsonl; none when absent.
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,

    #[command(flatten)]
    asked: Asked,

    #[command(flatten)]
    parts: Parts,

    #[command(flatten)]
    output: Output,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// Documentation that is not there.
    #[error("{given}: {reason}; give a folder, or a folder of a git revision, such as main:docs")]
    Docs {
        /// As it was given.
        given: String,
        /// Why.
        reason: String,
    },
    /// There is nowhere to write to.
    #[error("cannot write into {path}: {source}")]
    Folder {
        /// Which folder.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A run came to nothing.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A run stopped before its end.
    #[error("{docs}: {reason}")]
    Stopped {
        /// Over which documentation.
        docs: String,
        /// Why.
        reason: String,
    },
    /// They cannot be compared, or the comparison cannot be written.
    #[error(transparent)]
    Compare(#[from] CompareError),
}

impl DiffError {
    /// Exit code for the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Run(error) => error.exit_code(),
            Self::Stopped { .. } => 3,
            _ => 2,
        }
    }
}

impl Diff {
    /// Asks both, compares and shows.
    ///
    /// # Errors
    /// [`DiffError`].
    pub fn run(&self) -> Result<ExitCode, DiffError> {
        let questions = self.asked.read()?;
        let docs = (Docs::find(&self.before)?, Docs::find(&self.after)?);
        let kept = TempDir::new().map_err(|source| folder(Path::new("the temporary folder"), source))?;
        let out = self.out_dir.as_deref().unwrap_or(kept.path());
        std::fs::create_dir_all(out).map_err(|source| folder(out, source))?;
        let before = self.ask(&questions, &docs.0, &self.before, &out.join("before.jsonl"))?;
        let after = self.ask(&questions, &docs.1, &self.after, &out.join("after.jsonl"))?;
        let comparison = compare::compare(&before.run, &after.run, &compare::Options::default())?;
        self.output.show(&comparison)?;
        let failed = [&before, &after].iter().any(|done| done.run.records.iter().any(|record| record.error.is_some()));
        Ok(if failed { ExitCode::from(4) } else { ExitCode::SUCCESS })
    }

    fn ask(&self, questions: &Selected, docs: &Docs, given: &str, out: &Path) -> Result<Done, DiffError> {
        let target = Target { out, overwrite: true, label: Some(given) };
        let done = self.asked.run_local(questions, &docs.path, &self.parts, target)?;
        match done.stopped {
            Some(reason) => Err(DiffError::Stopped { docs: given.to_owned(), reason }),
            None => Ok(done),
        }
    }
}

fn folder(path: &Path, source: std::io::Error) -> DiffError {
    DiffError::Folder { path: path.display().to_string(), source }
}

/// Documentation on the disk, for as long as the value lives.
#[derive(Debug)]
struct Docs {
    path: PathBuf,
    _checkout: Option<TempDir>,
}

impl Docs {
    /// A path that is there is that path, whatever it is called.
    fn find(given: &str) -> Result<Self, DiffError> {
        let failed = |reason: String| DiffError::Docs { given: given.to_owned(), reason };
        if Path::new(given).exists() {
            return Ok(Self { path: PathBuf::from(given), _checkout: None });
        }
        if !given.contains(':') {
            return Err(failed("there is no such folder".to_owned()));
        }
        let checkout = TempDir::new().map_err(|error| failed(error.to_string()))?;
        let path = checkout.path().join("docs");
        check_out(given, checkout.path(), &path).map_err(failed)?;
        Ok(Self { path, _checkout: Some(checkout) })
    }
}

/// Writes a folder of a revision to `path`. It goes through an index of its own, so that neither the
/// work in the repository nor what is staged there is touched.
fn check_out(given: &str, scratch: &Path, path: &Path) -> Result<(), String> {
    let index = scratch.join("index");
    let tree = git(&index, &["rev-parse", "--verify", "--end-of-options", given])?;
    git(&index, &["read-tree", tree.trim()])?;
    // A slash at the end of the prefix makes it a folder.
    git(&index, &["checkout-index", "--all", &format!("--prefix={}/", path.display())])?;
    if path.exists() { Ok(()) } else { Err("the folder is empty".to_owned()) }
}

fn git(index: &Path, arguments: &[&str]) -> Result<String, String> {
    let run = Command::new("git").args(arguments).env("GIT_INDEX_FILE", index).output();
    let run = run.map_err(|error| format!("there is no such folder, and git cannot be run: {error}"))?;
    if run.status.success() {
        return Ok(String::from_utf8_lossy(&run.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&run.stderr);
    Err(format!("git says: {}", said.trim().lines().last().unwrap_or("nothing")))
}
