//! A bot behind its HTTP API, asked as any client asks it. What that API is stands in
//! `docs/http-api.md`.

use std::io::Read as _;
use std::time::{Duration, Instant};

use docent_core::trace::Trace;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::http::{Request, Response, header};

use self::stream::{Reply, Source, Stream, WireError};
use crate::questions::Question;
use crate::records::Failure;

pub mod stream;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest body read that is no stream: an error, or the health. Bytes.
const MAX_BODY: u64 = 1024 * 1024;

/// A bot to ask.
#[derive(Debug)]
pub struct Bot {
    agent: ureq::Agent,
    /// Without a slash at its end.
    url: String,
    /// Shows that the harness may see the way to an answer; never printed.
    trace_key: Option<String>,
}

/// Why a question, or the whole run, has no answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// This question got none, or a part of one.
    Question {
        /// What came all the same; its `error` says what is wrong.
        reply: Box<Reply>,
        /// Whether another try may succeed.
        again: Again,
    },
    /// No question would get one.
    Run(String),
}

/// Whether another try may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It would end alike.
    Never,
    /// Nobody knows when.
    Soon,
    /// Then, the bot says.
    After(Duration),
}

impl Again {
    fn when(may_pass: bool, seconds: Option<u64>) -> Self {
        match (may_pass, seconds) {
            (false, _) => Self::Never,
            (true, None) => Self::Soon,
            (true, Some(seconds)) => Self::After(Duration::from_secs(seconds)),
        }
    }
}

/// What a bot says of itself.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Health {
    /// `ok`, or what else.
    pub status: String,
    /// Version of docent.
    #[serde(default)]
    pub version: String,
    /// Fingerprint of the embedding spec.
    #[serde(default)]
    pub spec: String,
    /// The live generation.
    #[serde(default)]
    pub index: Option<Index>,
    /// In words.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// The live generation of a bot's index.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Index {
    /// Its number.
    pub generation: u64,
}

/// What a widget is told; here, for the names of the models.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Config {
    /// In the order they are asked.
    #[serde(default)]
    pub models: Vec<String>,
}

/// A bot that cannot be asked anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

impl Bot {
    /// Speaks to the bot at `url`; `timeout` is for one answer, to its end.
    pub fn new(url: &str, trace_key: Option<String>, timeout: Duration) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(timeout))
            .user_agent(concat!("docent-eval/", env!("CARGO_PKG_VERSION")))
            // Packed, the words of an answer would come late and together.
            .accept_encoding("identity")
            .build()
            .into();
        Self { agent, url: url.trim_end_matches('/').to_owned(), trace_key }
    }

    /// How it is. One that is not ready is not asked: all its answers would be the same error.
    ///
    /// # Errors
    /// [`Unreachable`], with what to do.
    pub fn health(&self) -> Result<Health, Unreachable> {
        let health: Health = self.get("/v1/health")?;
        if health.status != "ok" {
            let problems = health.problems.join("; ");
            return Err(Unreachable(format!("the bot at {} is not ready: {problems}", self.url)));
        }
        Ok(health)
    }

    /// What it tells a widget.
    ///
    /// # Errors
    /// [`Unreachable`], with what to do.
    pub fn config(&self) -> Result<Config, Unreachable> {
        self.get("/v1/config")
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Unreachable> {
        let url = format!("{}{path}", self.url);
        let response = self.agent.get(&url).call().map_err(|error| {
            Unreachable(format!("no bot answers at {url}: {error}; start it, or give its address with --bot"))
        })?;
        let (status, body) = read(response);
        serde_json::from_slice(&body).map_err(|error| {
            Unreachable(format!(
                "what answers {status} at {url} is no docent bot ({error}); --bot wants the address that /v1/chat is below"
            ))
        })
    }

    /// Asks a question after the turns before it, all in one new conversation. A try that failed leaves
    /// a turn behind, so another try is another conversation.
    ///
    /// `pace` is called before each call.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn ask(&self, question: &Question, pace: &impl Fn()) -> Result<Reply, Refusal> {
        let mut session = None;
        for turn in &question.turns {
            pace();
            session = self.call(&body(question, turn, session.as_deref()), false)?.session;
        }
        pace();
        self.call(&body(question, &question.question, session.as_deref()), self.trace_key.is_some())
    }

    fn call(&self, body: &serde_json::Map<String, serde_json::Value>, traced: bool) -> Result<Reply, Refusal> {
        let mut body = body.clone();
        let mut request =
            Request::post(format!("{}/v1/chat", self.url)).header(header::CONTENT_TYPE, "application/json");
        if let (true, Some(key)) = (traced, &self.trace_key) {
            body.insert("trace".to_owned(), true.into());
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let body = serde_json::Value::Object(body).to_string();
        let sent = Instant::now();
        let response = request.body(body).map_err(ureq::Error::from).and_then(|request| self.agent.run(request));
        match response {
            Ok(response) if response.status() == 200 => receive(response, sent),
            Ok(response) => Err(self.refused(response, traced)),
            Err(error) => {
                let timed_out = matches!(error, ureq::Error::Timeout(_));
                let code = if timed_out { "cut" } else { "unreachable" };
                Err(refusal(code, &error.to_string(), Reply::default(), Again::when(!timed_out, None)))
            }
        }
    }

    fn refused(&self, response: Response<ureq::Body>, traced: bool) -> Refusal {
        #[derive(Deserialize)]
        struct Envelope {
            error: WireError,
            #[serde(default)]
            sources: Vec<Source>,
            #[serde(default)]
            trace: Option<Trace>,
        }
        let waits = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let (status, body) = read(response);
        let Ok(Envelope { error, sources, trace }) = serde_json::from_slice(&body) else {
            let message = format!("{}/v1/chat answered {status} without a body of docent's", self.url);
            return refusal(
                "unreadable",
                &message,
                Reply::default(),
                Again::when(matches!(status, 429 | 502..=504), waits),
            );
        };
        if traced && status == 400 && error.message.contains("`trace`") {
            return Refusal::Run(
                "this bot is too old to tell how it came to an answer; leave --trace-key out, or update the bot"
                    .to_owned(),
            );
        }
        if traced && matches!(status, 401 | 403) && error.code != "bad_session" {
            return Refusal::Run(format!("the bot refused the trace key: {}", error.message));
        }
        if error.code == "budget_exhausted" {
            return Refusal::Run(format!(
                "{}; run the same command again then, what was answered is kept",
                error.message
            ));
        }
        let waits = error.retry_after.or(waits);
        let again = Again::when(may_pass(&error.code, waits), waits);
        refusal(&error.code, &error.message, Reply { sources, trace, ..Reply::default() }, again)
    }
}

/// Whether what was wrong may be over soon, by the codes of the API.
fn may_pass(code: &str, seconds: Option<u64>) -> bool {
    matches!(code, "rate_limited" | "over_capacity") || (code == "not_ready" && seconds.is_some())
}

fn body(question: &Question, message: &str, session: Option<&str>) -> serde_json::Map<String, serde_json::Value> {
    let mut body = serde_json::Map::new();
    body.insert("message".to_owned(), message.into());
    body.insert("stream".to_owned(), true.into());
    if let Some(session) = session {
        body.insert("session".to_owned(), session.into());
    }
    if let Some(page) = &question.page {
        body.insert("page".to_owned(), page.as_str().into());
    }
    if question.filter != docent_core::vectorize::Filter::default() {
        body.insert("filter".to_owned(), serde_json::json!(question.filter));
    }
    body
}

fn refusal(code: &str, message: &str, reply: Reply, again: Again) -> Refusal {
    let error = Some(Failure { code: code.to_owned(), message: message.to_owned() });
    Refusal::Question { reply: Box::new(Reply { error, ..reply }), again }
}

fn read(mut response: Response<ureq::Body>) -> (u16, Vec<u8>) {
    let status = response.status().as_u16();
    (status, response.body_mut().with_config().limit(MAX_BODY).read_to_vec().unwrap_or_default())
}

/// Reads the stream to its end.
fn receive(response: Response<ureq::Body>, sent: Instant) -> Result<Reply, Refusal> {
    let since = || sent.elapsed().as_secs_f64() * 1000.0;
    let mut body = response.into_body().into_reader();
    let (mut stream, mut buffer) = (Stream::default(), vec![0; 16 * 1024]);
    let broken = loop {
        match body.read(&mut buffer) {
            Ok(0) => break None,
            Ok(length) => stream.push(buffer.get(..length).unwrap_or_default(), since()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => break Some(error.to_string()),
        }
    };
    let (reply, waits) = stream.finish(since(), broken.as_deref());
    match &reply.error {
        None => Ok(reply),
        Some(error) if error.code == "budget_exhausted" => Err(Refusal::Run(error.message.clone())),
        Some(error) => {
            let again = Again::when(may_pass(&error.code, waits), waits);
            Err(Refusal::Question { reply: Box::new(reply), again })
        }
    }
}
