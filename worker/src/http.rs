//! Requests and responses: who may ask, how much a body may hold, which headers go out.

use std::cell::RefCell;

use docent_core::api::MAX_BODY_BYTES;
use docent_core::error::{ApiError, Code};
use docent_core::settings::Settings;
use futures_util::StreamExt as _;
use worker::{Method, Request, Response};

/// Content type of all answers but streams.
pub(crate) const JSON: &str = "application/json";

/// Header that carries the id under which the operator's log speaks of a request.
const TRACE_HEADER: &str = "x-docent-trace-id";

/// Headers that a page of another origin may read.
const EXPOSED: &str = "x-docent-trace-id, x-vercel-ai-ui-message-stream, retry-after";

/// Seconds for which a browser need not ask again whether it may ask.
const PREFLIGHT_SECONDS: &str = "86400";

/// Who asks, and what goes back with every answer.
pub(crate) struct Caller {
    /// Id of this request in the log.
    pub(crate) trace_id: String,
    origin: Option<String>,
    own_origin: String,
    allow: RefCell<Option<String>>,
}

impl Caller {
    pub(crate) fn of(request: &Request, trace_id: String) -> Self {
        let origin = request.headers().get("origin").ok().flatten();
        let own_origin = origin_of(&request.inner().url());
        Self { trace_id, origin, own_origin, allow: RefCell::new(None) }
    }

    /// Whether a page of the caller's origin may use the API. Callers that are no page send no
    /// origin, and are not kept out by one.
    pub(crate) fn admit(&self, settings: &Result<Settings, Vec<String>>) -> Result<(), ApiError> {
        match &self.origin {
            Some(origin) if !self.may_read(origin, settings) => Err(ApiError::new(
                Code::OriginNotAllowed,
                "pages of this origin may not use this bot; its operator can add it to ALLOWED_ORIGINS",
            )),
            _ => Ok(()),
        }
    }

    fn may_read(&self, origin: &str, settings: &Result<Settings, Vec<String>>) -> bool {
        match settings {
            Ok(settings) => settings.origins.allow(origin, &self.own_origin),
            Err(_) => origin == self.own_origin,
        }
    }

    /// Remembers the methods that a 405 names.
    pub(crate) fn allow(&self, methods: &[Method]) {
        *self.allow.borrow_mut() = Some(list(methods));
    }

    /// The error as a response.
    pub(crate) fn refuse(&self, error: &ApiError) -> worker::Result<Response> {
        self.refuse_with(error, &error.body())
    }

    /// The error as a response with a body that says more.
    pub(crate) fn refuse_with(&self, error: &ApiError, body: &str) -> worker::Result<Response> {
        let mut response = Response::ok(body)?.with_status(error.code.status());
        let headers = response.headers_mut();
        headers.set("content-type", JSON)?;
        if let Some(seconds) = error.retry_after {
            headers.set("retry-after", &seconds.to_string())?;
        }
        if let Some(methods) = self.allow.borrow().as_deref() {
            headers.set("allow", methods)?;
        }
        Ok(response)
    }

    /// Adds what every answer carries: the trace id, and for a page of another origin the leave to
    /// read it.
    pub(crate) fn sign(
        &self,
        mut response: Response,
        settings: &Result<Settings, Vec<String>>,
    ) -> worker::Result<Response> {
        let headers = response.headers_mut();
        headers.set(TRACE_HEADER, &self.trace_id)?;
        headers.set("x-content-type-options", "nosniff")?;
        if !headers.has("cache-control")? {
            headers.set("cache-control", "no-store")?;
        }
        if let Some(origin) = &self.origin {
            headers.set("vary", "origin")?;
            if self.may_read(origin, settings) {
                headers.set("access-control-allow-origin", origin)?;
                headers.set("access-control-expose-headers", EXPOSED)?;
            }
        }
        Ok(response)
    }
}

/// `https://host:port` of an address as the runtime writes it. The `url` crate would say the same,
/// and make the Worker a third larger.
fn origin_of(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return String::new() };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}")
}

fn list(methods: &[Method]) -> String {
    methods.iter().map(Method::to_string).collect::<Vec<_>>().join(", ")
}

/// Answer to the question of a browser whether it may send a request.
pub(crate) fn preflight(methods: &[Method]) -> worker::Result<Response> {
    let mut response = Response::empty()?.with_status(204);
    let headers = response.headers_mut();
    headers.set("access-control-allow-methods", &list(methods))?;
    headers.set("access-control-allow-headers", "content-type, authorization")?;
    headers.set("access-control-max-age", PREFLIGHT_SECONDS)?;
    headers.set("allow", &list(methods))?;
    Ok(response)
}

/// 200 with JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> worker::Result<Response> {
    let mut response = Response::ok(serde_json::to_string(value)?)?;
    response.headers_mut().set("content-type", JSON)?;
    Ok(response)
}

/// 200 with JSON that the visitor's browser may show again for some seconds. What a page of another
/// origin may read stands in headers that differ by origin, so it is kept for each origin apart.
pub(crate) fn fresh_for(seconds: u64, value: &impl serde::Serialize) -> worker::Result<Response> {
    let mut response = json(value)?;
    let headers = response.headers_mut();
    headers.set("cache-control", &format!("private, max-age={seconds}"))?;
    headers.set("vary", "origin")?;
    Ok(response)
}

/// Most bytes of a body that is too large which are read all the same, and dropped: a client that is
/// still sending when the connection is closed sees that instead of the answer.
const MAX_DRAINED_BYTES: usize = 4 * MAX_BODY_BYTES;

/// The body of a request that must be JSON. Holds no more than [`MAX_BODY_BYTES`]: the isolate's
/// memory is shared with other visitors.
pub(crate) async fn json_body(request: &mut Request) -> Result<Vec<u8>, ApiError> {
    let header = |name: &str| request.headers().get(name).ok().flatten();
    let content_type = header("content-type").unwrap_or_default();
    if !content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(JSON)) {
        return Err(ApiError::new(Code::UnsupportedMediaType, "send the body as application/json"));
    }
    let too_large = || ApiError::new(Code::TooLarge, format!("the body is larger than {MAX_BODY_BYTES} bytes"));
    let unreadable = |_: worker::Error| ApiError::new(Code::BadRequest, "the body could not be read");
    let declared = header("content-length").and_then(|length| length.parse::<usize>().ok());
    match declared {
        Some(length) if length > MAX_DRAINED_BYTES => return Err(too_large()),
        Some(length) if length <= MAX_BODY_BYTES => return request.bytes().await.map_err(unreadable),
        _ => {}
    }
    let mut stream = request.stream().map_err(unreadable)?;
    let (mut body, mut read) = (Vec::new(), 0);
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(unreadable)?;
        read += bytes.len();
        if read > MAX_DRAINED_BYTES {
            break;
        }
        if read > MAX_BODY_BYTES {
            body = Vec::new();
        } else {
            body.extend_from_slice(&bytes);
        }
    }
    if read > MAX_BODY_BYTES { Err(too_large()) } else { Ok(body) }
}
