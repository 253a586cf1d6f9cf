//! A model's opinion of the answers, for what words compared cannot tell. Optional, and never the only
//! thing that a gate goes by: a model's verdicts wander, prefer long answers, and can be talked into.
//!
//! Each answer is judged at least three times, and how far the verdicts lie apart is shown beside their
//! mean. Every reply is appended to a file as it comes, so a broken-off judging goes on where it was. A
//! reply that is not exactly the verdict asked for is counted as unreadable; nothing is guessed.
//!
//! Question, answer and passages reach the judge as one JSON object, which nothing in them can close.
//! That keeps the roles apart; it cannot keep a weak model from believing an answer that says "give this
//! full marks".

pub mod prompt;
pub mod summary;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ureq::Agent;

use crate::records::{Record, Run, RunError};

/// Has a model judge the answers of a run, beside the measures.
#[derive(Debug, Args)]
pub struct Judge {
    /// The run.
    run: PathBuf,
    /// Base address of an OpenAI-compatible API, as `http://localhost:11434/v1`.
    #[arg(long, value_name = "URL")]
    endpoint: String,
    /// The judging model.
    #[arg(long, value_name = "NAME")]
    model: String,
    /// Key of the API.
    #[arg(long, env = "DOCENT_JUDGE_KEY", hide_env_values = true)]
    key: Option<String>,
    /// How often each answer is judged.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(3..=100))]
    repeat: u32,
    /// Where verdicts are kept; those already there are not asked for again. Beside the run when absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

/// Why judging stopped.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// The run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The file of verdicts.
    #[error("cannot use the verdicts {path}: {reason}")]
    Verdicts {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// The API.
    #[error(
        "the judge at {url} did not answer: {reason}; the verdicts so far are kept in {kept}: start again to go on"
    )]
    Service {
        /// Which.
        url: String,
        /// Why.
        reason: String,
        /// The file of verdicts.
        kept: String,
    },
    /// The summary.
    #[error("cannot write the summary: {0}")]
    Output(#[from] serde_json::Error),
}

/// A line of the file of verdicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Id of the question.
    pub question: String,
    /// Of the run, from 0.
    pub repeat: u32,
    /// Which judging of this answer, from 0.
    pub judging: u32,
    /// The model that judged.
    pub model: String,
    /// Hash over what it was asked: another answer or prompt is judged anew.
    pub asked: String,
    /// What was to be judged.
    pub aspects: Vec<prompt::Aspect>,
    /// The reply as it came.
    pub reply: String,
}

impl Judge {
    /// Judges what is not judged yet, and prints the summary. Exit code 3 when the judge does not answer.
    ///
    /// # Errors
    /// [`JudgeError`]
    pub fn run(&self) -> Result<ExitCode, JudgeError> {
        match self.judge_run() {
            Err(error @ JudgeError::Service { .. }) => {
                eprintln!("docent-eval: {error}");
                Ok(ExitCode::from(3))
            }
            judged => judged.map(|()| ExitCode::SUCCESS),
        }
    }

    fn judge_run(&self) -> Result<(), JudgeError> {
        let run = Run::read(&self.run)?;
        let path = self.out.clone().unwrap_or_else(|| self.run.with_extension("verdicts.jsonl"));
        let mut verdicts = read_verdicts(&path)?;
        let known: BTreeSet<(String, u32)> = verdicts.iter().map(|it| (it.asked.clone(), it.judging)).collect();
        let mut file = open(&path)?;
        let mut asked_now = BTreeSet::new();
        for record in &run.records {
            let Some(asked) = prompt::Asked::about(record, &self.model) else { continue };
            for judging in 0..self.repeat {
                asked_now.insert((asked.hash.clone(), judging));
                if known.contains(&(asked.hash.clone(), judging)) {
                    continue;
                }
                let verdict = self.judge(record, &asked, judging, &path)?;
                append(&mut file, &path, &verdict)?;
                verdicts.push(verdict);
            }
        }
        verdicts.retain(|verdict| asked_now.contains(&(verdict.asked.clone(), verdict.judging)));
        let summary = summary::of(&verdicts, run.header.seed);
        if self.json {
            crate::output::show(format_args!("{}\n", serde_json::to_string_pretty(&summary)?));
        } else {
            crate::output::show(&summary);
        }
        Ok(())
    }

    fn judge(&self, record: &Record, asked: &prompt::Asked, judging: u32, kept: &Path) -> Result<Verdict, JudgeError> {
        let url = format!("{}/chat/completions", self.endpoint.trim_end_matches('/'));
        let reply = self.ask(&url, asked, judging).map_err(|reason| {
            let kept = kept.display().to_string();
            JudgeError::Service { url, reason, kept }
        })?;
        Ok(Verdict {
            question: record.question.id.clone(),
            repeat: record.repeat,
            judging,
            model: self.model.clone(),
            asked: asked.hash.clone(),
            aspects: asked.aspects.clone(),
            reply,
        })
    }

    /// One call. The judge draws its words anew each time, from a seed of its own: at temperature 0 the
    /// repeats would agree, and show nothing.
    fn ask(&self, url: &str, asked: &prompt::Asked, judging: u32) -> Result<String, String> {
        let body = json!({
            "model": self.model,
            "messages": asked.messages,
            "temperature": 1.0,
            "seed": judging,
            "response_format": { "type": "json_object" },
        });
        let mut waits = WAITS_SECONDS.iter();
        loop {
            match self.call(url, &body) {
                Err(Refused { again: true, reason }) => match waits.next() {
                    Some(seconds) => std::thread::sleep(Duration::from_secs(*seconds)),
                    None => return Err(reason),
                },
                Err(Refused { reason, .. }) => return Err(reason),
                Ok(reply) => return Ok(reply),
            }
        }
    }

    fn call(&self, url: &str, body: &Value) -> Result<String, Refused> {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT));
        let agent: Agent = config.build().into();
        let mut request = agent.post(url);
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let lost = |error: ureq::Error| Refused { again: false, reason: error.to_string() };
        let mut response = request.send_json(body).map_err(lost)?;
        let status = response.status();
        let text = response.body_mut().read_to_string().map_err(lost)?;
        if !status.is_success() {
            let start: String = text.chars().take(200).filter(|c| !c.is_control()).collect();
            let again = status.as_u16() == 429 || status.is_server_error();
            return Err(Refused { again, reason: format!("HTTP {}: {start}", status.as_u16()) });
        }
        let reply: Value = serde_json::from_str(&text).unwrap_or_default();
        let content = reply.pointer("/choices/0/message/content").and_then(Value::as_str);
        content.map(str::to_owned).ok_or_else(|| Refused {
            again: false,
            reason: "its reply is no chat completion; --endpoint is the base address, which ends in /v1 with most"
                .to_owned(),
        })
    }
}

/// A call without a reply.
struct Refused {
    /// Whether the same call may work later.
    again: bool,
    reason: String,
}

/// Before a call is tried again: busy servers are given a moment.
const WAITS_SECONDS: [u64; 3] = [1, 4, 16];

/// A large model on a small machine takes minutes.
const TIMEOUT: Duration = Duration::from_mins(10);

/// The verdicts of a file; none when there is no such file. A last line without its end was broken off.
///
/// # Errors
/// [`JudgeError::Verdicts`]
pub fn read_verdicts(path: &Path) -> Result<Vec<Verdict>, JudgeError> {
    let refuse = |reason: String| JudgeError::Verdicts { path: path.display().to_string(), reason };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(refuse(error.to_string())),
    };
    let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
    let read = |(line, text): (usize, &str)| {
        serde_json::from_str(text).map_err(|error| refuse(format!("line {line}: {error}; --out names another file")))
    };
    (1..).zip(whole.lines()).map(read).collect()
}

/// To append; a broken-off last line goes.
fn open(path: &Path) -> Result<File, JudgeError> {
    let failed =
        |error: std::io::Error| JudgeError::Verdicts { path: path.display().to_string(), reason: error.to_string() };
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
    let text = std::fs::read(path).map_err(failed)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    file.set_len(whole as u64).map_err(failed)?;
    Ok(file)
}

fn append(file: &mut File, path: &Path, verdict: &Verdict) -> Result<(), JudgeError> {
    let line = serde_json::to_string(verdict)? + "\n";
    let failed =
        |error: std::io::Error| JudgeError::Verdicts { path: path.display().to_string(), reason: error.to_string() };
    file.write_all(line.as_bytes()).map_err(failed)
}
