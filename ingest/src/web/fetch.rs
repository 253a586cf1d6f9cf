//! Asking a site for its pages as a good guest does: few requests at a time, a pause between them,
//! none that need not be, and none to anybody else.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use ureq::http::{Response, header};
use url::Url;

use super::address::Scope;
use super::cache::{Cache, Kept};
use super::robots::{PRODUCT, Robots};
use crate::http::retry_after;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_mins(1);
/// Pages beyond this are not documentation.
pub(super) const MAX_PAGE_BYTES: usize = 10 * 1024 * 1024;
/// Browsers stop at 20.
const MAX_REDIRECTS: usize = 5;
/// Repetitions of a request that failed for the moment.
const RETRIES: u32 = 3;
/// Longest `Retry-After` that is waited for.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(2);
/// The first pause before a repetition is this many times the pause between requests; each next
/// one is twice as long.
const RETRY_PAUSE: u32 = 10;
const ACCEPT: &str = "text/html, application/xhtml+xml, text/markdown;q=0.9, text/plain;q=0.5, */*;q=0.1";

/// What a site said.
#[derive(Debug)]
pub(super) struct Answer {
    /// Address that answered in the end, without query and fragment.
    pub(super) url: Url,
    /// Without parameters, in small letters.
    pub(super) content_type: String,
    pub(super) charset: String,
    /// `X-Robots-Tag`, header by header.
    pub(super) robots: Vec<String>,
    pub(super) body: Vec<u8>,
}

/// Why there is no page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is none any more: 404 or 410.
    Gone,
    /// robots.txt does not allow to ask.
    Forbidden,
    /// It is on another host now.
    Elsewhere(String),
    /// The site refuses it, or it is no page: a reason.
    Refused(String),
    /// It may be there another time: a reason.
    Failed(String),
}

impl Trouble {
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Gone => "answered 404: it does not exist".to_owned(),
            Self::Forbidden => "robots.txt does not allow to read it".to_owned(),
            Self::Elsewhere(to) => format!("leads to {to}, which is another host: give that address instead"),
            Self::Refused(reason) | Self::Failed(reason) => reason.clone(),
        }
    }
}

pub(super) struct Fetcher {
    agent: ureq::Agent,
    scope: Scope,
    cache: Cache,
    robots: Robots,
    pause: Duration,
    /// Before this moment no request begins.
    next: Mutex<Instant>,
}

impl Fetcher {
    pub(super) fn new(scope: Scope, cache: Cache, pause: Duration) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // Each step is looked at here: it may lead to another host.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(TIMEOUT))
            .user_agent(format!("{PRODUCT}/{}", env!("CARGO_PKG_VERSION")))
            .accept(ACCEPT)
            .build()
            .into();
        Self { agent, scope, cache, robots: Robots::default(), pause, next: Mutex::new(Instant::now()) }
    }

    /// From now on the site's rules hold.
    pub(super) fn obey(&mut self, robots: Robots) {
        self.pause = self.pause.max(robots.delay.unwrap_or_default());
        self.robots = robots;
    }

    pub(super) fn finish(&self) {
        self.cache.finish();
    }

    /// Asks for a page. `changed` is the day on which it last did, if that is known.
    pub(super) fn get(&self, url: &Url, limit: usize, changed: &str) -> Result<Answer, Trouble> {
        let mut at = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            if !self.robots.allows(at.path()) {
                return Err(Trouble::Forbidden);
            }
            let kept = self.ask_again(&at, limit, changed)?;
            let Some(location) = kept.location else { return Ok(answer(at, kept)) };
            let to = at
                .join(&location)
                .map_err(|_| Trouble::Refused(format!("leads to {location:?}, which is no address")))?;
            if !self.scope.is_here(&to) || (at.scheme() == "https" && to.scheme() == "http") {
                return Err(Trouble::Elsewhere(to.to_string()));
            }
            at = to;
            at.set_fragment(None);
        }
        Err(Trouble::Refused(format!("leads on more than {MAX_REDIRECTS} times")))
    }

    /// What the last run was told, for what cannot be had now.
    pub(super) fn stale(&self, url: &Url) -> Option<Answer> {
        self.cache.get(url).filter(|(kept, _)| kept.location.is_none()).map(|(kept, _)| answer(url.clone(), kept))
    }

    fn ask_again(&self, url: &Url, limit: usize, changed: &str) -> Result<Kept, Trouble> {
        let known = self.cache.get(url);
        match &known {
            Some((kept, fetched)) if self.cache.is_fresh(*fetched) || is_unchanged(kept, *fetched, changed) => {
                return Ok(kept.clone());
            }
            _ => {}
        }
        let known = known.map(|(kept, _)| kept).filter(|kept| kept.location.is_none());
        let mut pause = self.pause * RETRY_PAUSE;
        for _ in 0..RETRIES {
            match self.ask(url, limit, known.as_ref()) {
                Err((Trouble::Failed(_), after)) => {
                    match after {
                        // Asked to wait, all wait.
                        Some(after) => self.hold_until(Instant::now() + after.min(MAX_RETRY_AFTER)),
                        None => std::thread::sleep(pause.mul_f64(0.5 + fastrand::f64())),
                    }
                    pause *= 2;
                }
                outcome => return outcome.map_err(|(trouble, _)| trouble),
            }
        }
        self.ask(url, limit, known.as_ref()).map_err(|(trouble, _)| trouble)
    }

    /// One request; with a failure, the pause that the site asks for.
    fn ask(&self, url: &Url, limit: usize, known: Option<&Kept>) -> Result<Kept, (Trouble, Option<Duration>)> {
        self.take_turn();
        let mut request = self.agent.get(url.as_str());
        for (name, value) in [
            (header::IF_NONE_MATCH, known.and_then(|known| known.etag.as_ref())),
            (header::IF_MODIFIED_SINCE, known.and_then(|known| known.last_modified.as_ref())),
        ] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let failed = |error: ureq::Error| (Trouble::Failed(format!("no answer: {error}")), None);
        let mut response = request.call().map_err(failed)?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        match (status, known) {
            (304, Some(known)) => {
                self.cache.confirm(url);
                return Ok(known.clone());
            }
            (404 | 410, _) => return Err((Trouble::Gone, None)),
            (408 | 425 | 429 | 500.., _) => {
                return Err((Trouble::Failed(format!("answered {status}; run the same command later")), retry_after));
            }
            (200, _) => {}
            (301 | 302 | 303 | 307 | 308, _) if response.headers().contains_key(header::LOCATION) => {}
            _ => return Err((Trouble::Refused(format!("answered {status}")), None)),
        }
        let mut kept = kept(url, &response);
        if kept.location.is_none() {
            let limit_u64 = u64::try_from(limit).unwrap_or(u64::MAX);
            kept.body =
                response.body_mut().with_config().limit(limit_u64).read_to_vec().map_err(|error| match error {
                    ureq::Error::BodyExceedsLimit(_) => {
                        (Trouble::Refused(format!("is larger than {} MB", limit / 1024 / 1024)), None)
                    }
                    error => failed(error),
                })?;
        }
        self.cache.put(url, &kept);
        Ok(kept)
    }

    /// Waits until it is this request's turn.
    fn take_turn(&self) {
        let begin = {
            let Ok(mut next) = self.next.lock() else { return };
            let begin = Instant::now().max(*next);
            *next = begin + self.pause;
            begin
        };
        std::thread::sleep(begin.saturating_duration_since(Instant::now()));
    }

    fn hold_until(&self, moment: Instant) {
        if let Ok(mut next) = self.next.lock() {
            *next = moment.max(*next);
        }
    }
}

/// A page without validators would be sent whole each time; the day in the sitemap says as much.
fn is_unchanged(kept: &Kept, fetched: SystemTime, changed: &str) -> bool {
    let day = humantime::format_rfc3339_seconds(fetched).to_string();
    kept.etag.is_none()
        && kept.last_modified.is_none()
        && changed.len() == 10
        && day.get(..10).is_some_and(|day| changed < day)
}

fn kept<B>(url: &Url, response: &Response<B>) -> Kept {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let robots = response.headers().get_all("x-robots-tag");
    Kept {
        url: url.to_string(),
        location: header(header::LOCATION).filter(|_| response.status().is_redirection()),
        etag: header(header::ETAG),
        last_modified: header(header::LAST_MODIFIED),
        content_type: header(header::CONTENT_TYPE).unwrap_or_default(),
        robots: robots.iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect(),
        body: Vec::new(),
    }
}

fn answer(mut url: Url, kept: Kept) -> Answer {
    url.set_query(None);
    url.set_fragment(None);
    let content_type = kept.content_type.to_ascii_lowercase();
    let (name, parameters) = content_type.split_once(';').unwrap_or((&content_type, ""));
    let charset = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("charset="));
    let charset = charset.unwrap_or_default().trim_matches('"').to_owned();
    Answer { url, content_type: name.trim().to_owned(), charset, robots: kept.robots, body: kept.body }
}
