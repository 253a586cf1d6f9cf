//! One call of the REST API: authorised, repeated while that makes sense, its envelope opened.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use docent_core::workers_ai::AiError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::http::{HeaderMap, Request, header};

use crate::settings::{Connection, Token};

/// An upsert carries up to 100 MB; a call that takes longer than this has broken off unnoticed.
const TIMEOUT: Duration = Duration::from_mins(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A call is repeated that often, after pauses of about 0.5, 1, 2, 4, 8 and 16 seconds.
const RETRIES: usize = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest `Retry-After` that is waited for.
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// Calls of one token in [`WINDOW`], over all of Cloudflare's REST API ("API rate limits"); going
/// beyond blocks the token for the rest of the window, so some are left for others.
const MAX_CALLS: usize = 1_150;
const WINDOW: Duration = Duration::from_mins(5);

/// A call that failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// Method and path below the account.
    pub call: String,
    /// `None` when no answer came.
    pub status: Option<u16>,
    /// Cloudflare's own code.
    pub code: Option<u32>,
    /// The service's words.
    pub message: String,
    retry_after: Option<Duration>,
    may_pass: bool,
}

impl std::error::Error for ApiError {}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.call)?;
        if let Some(status) = self.status {
            write!(f, " answered {status}")?;
        }
        if let Some(code) = self.code {
            write!(f, ", code {code}")?;
        }
        write!(f, ": {}{}", self.message, self.advice())
    }
}

impl ApiError {
    /// Something is wrong with a successful answer.
    pub(crate) fn answer(call: &str, message: impl fmt::Display) -> Self {
        let message = message.to_string();
        Self { call: call.to_owned(), status: None, code: None, message, retry_after: None, may_pass: false }
    }

    /// Whether the token is at fault.
    pub fn is_auth(&self) -> bool {
        matches!(self.status, Some(401 | 403)) || matches!(self.code, Some(10_000 | 9_109))
    }

    /// A body that the service would not take.
    pub(crate) fn too_large(call: &str, bytes: usize) -> Self {
        Self { status: Some(413), ..Self::answer(call, format!("{bytes} bytes are too many for one call")) }
    }

    /// Whether one vector of several may be at fault: too large a request, too much metadata, or a
    /// line that cannot be read (Vectorize's codes).
    pub(crate) fn is_bad_vector(&self) -> bool {
        self.status == Some(413) || matches!(self.code, Some(40_008 | 40_016 | 40_023))
    }

    pub(crate) fn is_missing(&self) -> bool {
        // 3000 is Vectorize's `vectorize.index.not_found`, whatever status carries it.
        (matches!(self.status, Some(404 | 410)) || self.code == Some(3_000)) && self.code != Some(7_003)
    }

    /// Whether fewer or shorter texts might do: platform codes for a request that is too large, and
    /// for one that the model's schema refuses.
    pub(crate) fn is_too_large(&self) -> bool {
        self.status == Some(413) || matches!(self.code, Some(3_006 | 3_010 | 5_006 | 5_021))
    }

    /// What would make it go away.
    fn advice(&self) -> &'static str {
        match (self.code, self.status) {
            (Some(3_036), _) => {
                "; the free daily allocation of Workers AI is used up until 00:00 UTC: run the same command then, \
                 what is done is kept"
            }
            (Some(7_003), _) => "; check CLOUDFLARE_ACCOUNT_ID",
            (Some(40_006), _) => "; the index was made for another model: name another index, or delete this one",
            (Some(10_013), _) => "; check the id of the KV namespace SESSIONS",
            (Some(5_007 | 5_028), _) => "; Workers AI no longer offers this model: update docent",
            _ if self.is_auth() => {
                "; the API token needs the permissions Workers AI: Read, Vectorize: Edit, D1: Edit and Workers KV \
                 Storage: Edit, and must belong to this account"
            }
            (_, Some(429 | 500..)) => "; run the same command again, what is done is kept",
            _ => "",
        }
    }
}

/// A successful answer.
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
    /// The service's clock.
    pub(crate) date: Option<SystemTime>,
}

/// What goes to the service.
#[derive(Clone, Copy)]
pub(crate) struct Body<'a> {
    pub(crate) kind: &'static str,
    pub(crate) bytes: &'a [u8],
}

/// When the last calls were made, so that no more are made than the service allows.
#[derive(Default)]
struct Pace(VecDeque<Instant>);

impl Pace {
    /// How long to wait before a call at this moment.
    fn wait(&mut self, now: Instant) -> Duration {
        while self.0.front().is_some_and(|call| now.duration_since(*call) >= WINDOW) {
            self.0.pop_front();
        }
        let wait = match self.0.front() {
            Some(first) if self.0.len() >= MAX_CALLS => WINDOW.saturating_sub(now.duration_since(*first)),
            _ => Duration::ZERO,
        };
        if wait.is_zero() {
            self.0.push_back(now);
        }
        wait
    }
}

pub(crate) struct Http {
    agent: ureq::Agent,
    account: String,
    token: Token,
    /// None for a stand-in on this machine.
    pace: Option<Mutex<Pace>>,
}

impl Http {
    pub(crate) fn new(settings: &Connection) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("docent/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let account = format!("{}/accounts/{}", settings.api_base, settings.account_id);
        let pace = (!settings.is_local()).then(Mutex::default);
        Self { agent, account, token: settings.api_token.clone(), pace }
    }

    /// Waits until a call is allowed.
    fn pace(&self) {
        let Some(pace) = &self.pace else { return };
        loop {
            let wait = pace.lock().unwrap_or_else(PoisonError::into_inner).wait(Instant::now());
            if wait.is_zero() {
                return;
            }
            std::thread::sleep(wait);
        }
    }

    /// Calls, and calls again after a pause while the failure may pass.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<Body<'_>>) -> Result<Answer, ApiError> {
        let mut pause = FIRST_PAUSE;
        for _ in 0..RETRIES {
            match self.call_once(method, path, body) {
                Err(error) if error.may_pass => {
                    let asked = error.retry_after.unwrap_or_default().min(MAX_PAUSE);
                    std::thread::sleep(asked.max(pause.mul_f64(0.5 + fastrand::f64())));
                    pause *= 2;
                }
                outcome => return outcome,
            }
        }
        self.call_once(method, path, body)
    }

    fn call_once(&self, method: &str, path: &str, body: Option<Body<'_>>) -> Result<Answer, ApiError> {
        self.pace();
        let call = format!("{method} {path}");
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.account))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.0));
        let sent = match body {
            Some(Body { kind, bytes }) => {
                let request = request.header(header::CONTENT_TYPE, kind).body(bytes);
                request.map_err(ureq::Error::from).and_then(|request| self.agent.run(request))
            }
            None => request.body(()).map_err(ureq::Error::from).and_then(|request| self.agent.run(request)),
        };
        let mut response = sent.map_err(|error| unreachable(&call, &error))?;
        let status = response.status().as_u16();
        // An upsert's answer is small, an embedding call's is 50 vectors: a few megabytes at most.
        let read = response.body_mut().with_config().limit(64 * 1024 * 1024).read_to_vec();
        let body = read.map_err(|error| unreachable(&call, &error))?;
        if (200..300).contains(&status) {
            return Ok(Answer { body, date: date(response.headers(), header::DATE.as_str()) });
        }
        Err(failure(call, status, response.headers(), &body))
    }

    /// Calls, and opens the envelope `{success, result, errors}`.
    pub(crate) fn result<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<Body<'_>>,
    ) -> Result<(T, Option<SystemTime>), ApiError> {
        #[derive(Deserialize)]
        struct Envelope<T> {
            result: T,
        }
        let Answer { body, date } = self.call(method, path, body)?;
        match serde_json::from_slice::<Envelope<T>>(&body) {
            Ok(Envelope { result }) => Ok((result, date)),
            Err(error) => {
                Err(ApiError::answer(&format!("{method} {path}"), format!("the answer cannot be read: {error}")))
            }
        }
    }
}

fn unreachable(call: &str, error: &ureq::Error) -> ApiError {
    let refused = matches!(error, ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused);
    let for_good = refused || matches!(error, ureq::Error::HostNotFound | ureq::Error::BadUri(_));
    ApiError { may_pass: !for_good, ..ApiError::answer(call, format!("no answer: {error}")) }
}

/// Cloudflare's own client repeats after these; code 3036 is the daily allocation, which does not
/// come back within minutes.
fn failure(call: String, status: u16, headers: &HeaderMap, body: &[u8]) -> ApiError {
    let AiError { code, message, .. } = AiError::read(status, body);
    let passes = matches!(status, 408 | 409 | 429 | 500..) || code == Some(40_041);
    let retry_after = retry_after(headers);
    ApiError { call, status: Some(status), code, message, retry_after, may_pass: passes && code != Some(3_036) }
}

/// How long `Retry-After` asks to wait: seconds, or a date.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let until = |date: SystemTime| date.duration_since(SystemTime::now()).unwrap_or_default();
    value.parse().map(Duration::from_secs).ok().or_else(|| httpdate::parse_http_date(value).ok().map(until))
}

fn date(headers: &HeaderMap, name: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_window_holds_more_calls_than_are_allowed() {
        let (mut pace, mut now, mut made) = (Pace::default(), Instant::now(), Vec::new());
        for _ in 0..3 * MAX_CALLS {
            let wait = pace.wait(now);
            if !wait.is_zero() {
                now += wait;
                assert!(pace.wait(now).is_zero());
            }
            made.push(now);
            now += Duration::from_millis(100);
        }
        for (first, call) in made.iter().zip(made.iter().skip(MAX_CALLS)) {
            assert!(call.duration_since(*first) >= WINDOW);
        }
        assert!(now.duration_since(*made.first().unwrap()) < 3 * WINDOW, "and it does not wait for nothing");
    }
}
