//! `docent-eval run`: questions go to a bot, records come back.
//!
//! What comes is written at once, so a run that was broken off is gone on with by the same command. A
//! run that is complete is written once more in the order of the questions.

use std::collections::{BTreeMap, HashMap};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use docent_core::embedding::{FINGERPRINT, SPEC};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use self::asking::{Pace, Task, ask_all};
use crate::bot::{Bot, Health, Unreachable};
use crate::local::{self, Local, LocalError, Parts, hex};
use crate::questions::{Question, QuestionsError, read_judged};
use crate::records::{Header, Kind, RUN_VERSION, Record, Run, WriteError, Writer};

pub(crate) mod asking;

/// Arguments of `docent-eval run`.
#[derive(Debug, clap::Args)]
#[allow(clippy::doc_markdown)] // these comments are the text of --help
pub struct Args {
    /// Which questions, and how they are asked.
    #[command(flatten)]
    pub asked: Asked,

    /// Address of the bot: what /v1/chat is below.
    #[arg(long, value_name = "URL", required_unless_present = "local", conflicts_with = "local")]
    pub bot: Option<String>,

    /// Documentation to start a bot over, on this machine and without network.
    #[arg(long, value_name = "DOCS")]
    pub local: Option<PathBuf>,

    /// File that the records go to. What is missing or failed in it is asked, the rest is kept.
    #[arg(long, value_name = "FILE", default_value = "run.jsonl")]
    pub out: PathBuf,

    /// Begin the file anew.
    #[arg(long)]
    pub overwrite: bool,

    /// What tables and plots call the run; the name of its file when absent.
    #[arg(long, value_name = "NAME")]
    pub label: Option<String>,

    /// The bot's TRACE_KEY: it then says everything that it found, not only what it offered to the model.
    ///
    /// A bot that --local starts says it in any case.
    #[arg(long, value_name = "KEY", env = "DOCENT_TRACE_KEY", hide_env_values = true)]
    pub trace_key: Option<String>,

    /// Of the local bot.
    #[command(flatten)]
    pub parts: Parts,

    /// Print what became of it as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Which questions, and how they are asked.
#[derive(Debug, Clone, clap::Args)]
#[allow(clippy::doc_markdown)] // these comments are the text of --help
pub struct Asked {
    /// File of questions: YAML, JSONL or TREC topics.
    #[arg(long, value_name = "FILE")]
    pub questions: PathBuf,

    /// TREC qrels that say which pages answer the topics.
    #[arg(long, value_name = "FILE")]
    pub qrels: Option<PathBuf>,

    /// Only questions with this tag; may be given again.
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,

    /// Only so many of them, drawn by the seed.
    #[arg(long, value_name = "N")]
    pub sample: Option<usize>,

    /// Where the documentation is published; names of pages are relative to it. The question file may say it.
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,

    /// Questions at a time; 4, of a local bot 2.
    #[arg(long, value_name = "N")]
    pub concurrency: Option<usize>,

    /// Calls a second at most.
    #[arg(long, value_name = "N", value_parser = read_rate)]
    pub rate: Option<f64>,

    /// How often each question is asked.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,

    /// Draws the order of asking, and what --sample takes.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Seconds that one answer may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub timeout: u64,
}

fn read_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if rate.is_finite() && rate > 0.0 { Ok(rate) } else { Err("expected a number above 0".to_owned()) }
}

/// Why there is no run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The questions have faults.
    #[error(transparent)]
    Questions(#[from] QuestionsError),
    /// Of the questions, none is left.
    #[error("nothing of {0} is to be asked: drafts are not, nor what --tag does not name")]
    Nothing(PathBuf),
    /// Something that was given is wrong.
    #[error("{0}")]
    Usage(String),
    /// The local bot did not start.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// No bot answers.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The file.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// What was to be gone on with is no run.
    #[error("{0}; --overwrite begins it anew")]
    Read(#[from] crate::records::RunError),
    /// It is a run of something else.
    #[error("{path} is another run: {}; name another file with --out, or begin it anew with --overwrite", .differences.join("; "))]
    Other {
        /// Which file.
        path: String,
        /// What is different.
        differences: Vec<String>,
    },
}

impl RunError {
    /// Exit code for the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Questions(QuestionsError::Faults(_)) => 1,
            Self::Unreachable(_) => 3,
            _ => 2,
        }
    }
}

/// What became of a run.
#[derive(Debug)]
pub struct Done {
    /// All records, in the order of the questions.
    pub run: Run,
    /// How many of them were there before.
    pub kept: usize,
    /// Why it stopped before the end.
    pub stopped: Option<String>,
}

/// What became of a run, in numbers; printed by `--json` as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The file.
    pub out: PathBuf,
    /// Questions, each repeat counted.
    pub questions: usize,
    /// Of these, answered.
    pub answered: usize,
    /// Of these, refused: the bot said that it does not know.
    pub refused: usize,
    /// Questions without an answer, or with a part of one.
    pub failed: usize,
    /// Questions that were not asked, since the run stopped.
    pub missing: usize,
    /// Records that were there before.
    pub kept: usize,
    /// Failures by code.
    pub failures: BTreeMap<String, usize>,
    /// Why it stopped.
    pub stopped: Option<String>,
}

impl Args {
    /// Runs it and says what became of it.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn run(&self) -> Result<ExitCode, RunError> {
        let questions = self.asked.read()?;
        let done = match &self.local {
            Some(docs) => self.asked.run_local(&questions, docs, &self.parts, self.target())?,
            None => self.run_remote(&questions)?,
        };
        let summary = done.summary(&self.out, questions.questions.len() * self.asked.repeat as usize);
        print(&summary, self.json);
        Ok(ExitCode::from(summary.exit_code()))
    }

    fn target(&self) -> Target<'_> {
        Target { out: &self.out, overwrite: self.overwrite, label: self.label.as_deref() }
    }

    fn run_remote(&self, set: &Selected) -> Result<Done, RunError> {
        let url = self.bot.as_deref().unwrap_or_default();
        let key = self.trace_key.clone().filter(|key| !key.is_empty());
        let bot = Bot::new(url, key, Duration::from_secs(self.asked.timeout));
        let health = bot.health()?;
        let names_pages =
            set.questions.iter().any(|question| !question.pages.is_empty() || !question.passages.is_empty());
        if names_pages && set.base_url.is_empty() {
            return Err(RunError::Usage(
                "the questions name pages, so --base-url is needed (or base_url in the question file): the address \
                 that the documentation is published at"
                    .to_owned(),
            ));
        }
        let (embedder, answerer) = models(&bot, url, &health);
        let header =
            Header { bot: url.to_owned(), embedder, answerer, ..self.asked.header(set, &health, self.target()) };
        let plan = Plan { header, questions: &set.questions, concurrency: self.asked.concurrency.unwrap_or(4) };
        plan.carry_out(&bot, self.asked.rate, self.target())
    }
}

/// What a bot elsewhere answers with, as far as it says so.
fn models(bot: &Bot, url: &str, health: &Health) -> (String, String) {
    let host = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    if ["127.0.0.1", "localhost", "[::1]"].contains(&host.as_str()) {
        // It names the models that it would have at Cloudflare.
        let unknown = "unknown: a bot on this machine does not say what stands in for its models";
        return (unknown.to_owned(), unknown.to_owned());
    }
    let embedder = if health.spec == *FINGERPRINT { SPEC.model } else { "that of the bot's spec" };
    (embedder.to_owned(), bot.config().unwrap_or_default().models.join(", "))
}

/// Where the records go.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The file.
    pub out: &'a Path,
    /// Whether what is in it goes.
    pub overwrite: bool,
    /// What the run is called; the name of the file when absent.
    pub label: Option<&'a str>,
}

/// The questions that are asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selected {
    /// In the order of their file.
    pub questions: Vec<Question>,
    /// Where the documentation is published; empty when nobody says so.
    pub base_url: String,
}

impl Asked {
    /// Reads the file and takes what is to be asked of it.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn read(&self) -> Result<Selected, RunError> {
        let set = read_judged(&self.questions, self.qrels.as_deref())?;
        let wanted = |question: &Question| {
            !question.draft && (self.tag.is_empty() || question.tags.iter().any(|tag| self.tag.contains(tag)))
        };
        let mut questions: Vec<Question> = set.questions.into_iter().filter(wanted).collect();
        if let Some(sample) = self.sample.filter(|sample| *sample < questions.len()) {
            let mut drawn: Vec<_> = questions.iter().map(|question| draw(self.seed, &question.id, 0)).collect();
            drawn.sort_unstable();
            let drawn = drawn.into_iter().take(sample).max();
            questions.retain(|question| Some(draw(self.seed, &question.id, 0)) <= drawn);
        }
        if questions.is_empty() {
            return Err(RunError::Nothing(self.questions.clone()));
        }
        let base_url = self.base_url.clone().or(set.base_url).unwrap_or_default();
        let questions = questions.into_iter().map(|question| question.named(&base_url)).collect();
        Ok(Selected { questions, base_url })
    }

    /// Starts a bot over `docs` and asks it.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn run_local(&self, set: &Selected, docs: &Path, parts: &Parts, target: Target<'_>) -> Result<Done, RunError> {
        let base_url = if set.base_url.is_empty() { local::BASE_URL } else { &set.base_url };
        let local = Local::start(parts, docs, base_url)?;
        for failure in &local.report.failed {
            say(&format!("not in the index: {}: {}", failure.path, failure.reason));
        }
        let bot = Bot::new(&local.url(), Some(local.trace_key.clone()), Duration::from_secs(self.timeout));
        let health = bot.health()?;
        let header = Header {
            bot: LOCAL.to_owned(),
            base_url: base_url.to_owned(),
            corpus: Some(local.corpus.clone()),
            embedder: local.embedder.clone(),
            answerer: local.answerer.clone(),
            settings: parts.settings(),
            ..self.header(set, &health, target)
        };
        let plan = Plan { header, questions: &set.questions, concurrency: self.concurrency.unwrap_or(2) };
        plan.carry_out(&bot, self.rate, target)
    }

    fn header(&self, set: &Selected, health: &Health, target: Target<'_>) -> Header {
        let name = || target.out.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Header {
            docent_eval_run: RUN_VERSION,
            label: target.label.map_or_else(name, str::to_owned),
            kind: Kind::Answers,
            base_url: set.base_url.clone(),
            version: health.version.clone(),
            spec: health.spec.clone(),
            generation: health.index.as_ref().map(|index| index.generation),
            questions: fingerprint(&set.questions),
            seed: self.seed,
            repeats: self.repeat,
            started_at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            ..Header::default()
        }
    }
}

/// What a header calls a bot that the harness started itself.
pub(crate) const LOCAL: &str = "local";

/// Where chance puts a question: the same place whatever other questions there are.
fn draw(seed: u64, id: &str, repeat: u32) -> [u8; 32] {
    Sha256::digest(format!("{seed} {repeat} {id}")).into()
}

/// Hash over questions.
fn fingerprint(questions: &[Question]) -> String {
    let mut hash = Sha256::new();
    for question in questions {
        hash.update(serde_json::to_string(question).unwrap_or_default());
        hash.update("\n");
    }
    hex(&hash.finalize())
}

/// A run before it is carried out.
struct Plan<'a> {
    header: Header,
    questions: &'a [Question],
    concurrency: usize,
}

impl Plan<'_> {
    fn carry_out(self, bot: &Bot, rate: Option<f64>, target: Target<'_>) -> Result<Done, RunError> {
        let mut run = self.begin(target)?;
        let kept = run.records.len();
        let tasks = self.missing(&run.records);
        let mut writer = Writer::begin(target.out, &run)?;
        let bar = bar(self.questions.len() * self.header.repeats as usize, kept);
        let is_local = self.header.bot == LOCAL;
        let each = |mut record: Record| {
            if let Some(answer) = record.answer.as_mut().filter(|answer| is_local && !answer.model.is_empty()) {
                // The bot names the model that it asked for, and not what stood in for it.
                answer.model.clone_from(&self.header.answerer);
            }
            writer.add(&record)?;
            run.records.push(record);
            bar.inc(1);
            Ok::<(), WriteError>(())
        };
        let stopped = ask_all(bot, &self.header.base_url, tasks, &Pace::new(rate), self.concurrency, each);
        bar.finish_and_clear();
        let stopped = stopped?;
        self.sort(&mut run.records);
        writer.end(&run)?;
        Ok(Done { run, kept, stopped })
    }

    /// What is known from before: of the same questions to the same bot, what did not fail.
    fn begin(&self, target: Target<'_>) -> Result<Run, RunError> {
        if target.overwrite || !target.out.exists() {
            return Ok(Run { header: self.header.clone(), records: Vec::new() });
        }
        let mut run = Run::read(target.out)?;
        let differences = run.header.differences(&self.header);
        if !differences.is_empty() {
            return Err(RunError::Other { path: target.out.display().to_string(), differences });
        }
        run.header.label.clone_from(&self.header.label);
        run.records.retain(|record| record.error.is_none());
        Ok(run)
    }

    /// In the order that chance gives.
    fn missing(&self, known: &[Record]) -> Vec<Task<'_>> {
        let is_known = |task: &Task<'_>| {
            known.iter().any(|record| record.repeat == task.repeat && record.question.id == task.question.id)
        };
        let repeats = 0..self.header.repeats;
        let all = repeats.flat_map(|repeat| self.questions.iter().map(move |question| Task { question, repeat }));
        let mut tasks: Vec<_> = all.filter(|task| !is_known(task)).collect();
        tasks.sort_by_cached_key(|task| draw(self.header.seed, &task.question.id, task.repeat));
        tasks
    }

    fn sort(&self, records: &mut [Record]) {
        let places: HashMap<&str, usize> =
            self.questions.iter().enumerate().map(|(place, question)| (question.id.as_str(), place)).collect();
        records.sort_by_key(|record| (places.get(record.question.id.as_str()).copied(), record.repeat));
    }
}

/// On a terminal only.
pub(crate) fn bar(all: usize, kept: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("asking {wide_bar} {pos}/{len}  {per_sec}  {eta} left");
    ProgressBar::new(all as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_position(kept as u64)
}

impl Done {
    /// In numbers; `asked` is how many records there should be.
    pub fn summary(&self, out: &Path, asked: usize) -> Summary {
        let records = &self.run.records;
        let mut failures = BTreeMap::new();
        for error in records.iter().filter_map(|record| record.error.as_ref()) {
            *failures.entry(error.code.clone()).or_default() += 1;
        }
        let failed = failures.values().sum();
        let refused = |record: &&Record| record.answer.as_ref().is_some_and(|answer| answer.refused);
        Summary {
            out: out.to_owned(),
            questions: asked,
            answered: records.len() - failed,
            refused: records.iter().filter(|record| record.error.is_none()).filter(refused).count(),
            failed,
            missing: asked.saturating_sub(records.len()),
            kept: self.kept,
            failures,
            stopped: self.stopped.clone(),
        }
    }
}

impl Summary {
    /// 0 when all is answered, 4 when some is not, 3 when nothing is or the run stopped.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self { stopped: Some(_), .. } | Self { answered: 0, .. } => 3,
            Self { failed: 0, missing: 0, .. } => 0,
            _ => 4,
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { questions, answered, refused, failed, missing, kept, .. } = self;
        write!(f, "{questions} questions: {answered} answered ({refused} of them refused), {failed} failed")?;
        if *missing > 0 {
            write!(f, ", {missing} not asked")?;
        }
        if *kept > 0 {
            write!(f, "; {kept} were there before")?;
        }
        for (code, count) in &self.failures {
            write!(f, "\n  {code}: {count}")?;
        }
        if let Some(reason) = &self.stopped {
            write!(f, "\nstopped: {reason}")?;
        }
        write!(f, "\nrecords: {}", self.out.display())
    }
}

#[allow(clippy::print_stdout)] // the program's own output
fn print(summary: &Summary, as_json: bool) {
    if as_json {
        crate::output::show(format_args!("{}\n", serde_json::json!(summary)));
        return;
    }
    crate::output::show(format_args!("{summary}\n"));
    let out = summary.out.display();
    if summary.failed + summary.missing > 0 {
        say(&format!("the same command asks again what has no answer in {out}"));
    } else {
        say(&format!("next: docent-eval report {out}"));
    }
}

fn say(line: &str) {
    docent_local::console::say(line);
}
