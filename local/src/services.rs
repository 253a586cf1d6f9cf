//! The services together, and what every call of them passes: the log and the scripted faults.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::ai::{Ai, Output, Spent, operation};
use crate::clock::{Clock, random_hex};
use crate::d1::{D1, Outcome, Queries};
use crate::events;
use crate::faults::{Canned, Fault, Faults};
use crate::journal::{Call, Journal};
use crate::kv::Kv;
use crate::pages::Pages;
use crate::refusal::Refusal;
use crate::vectorize::Vectorize;

/// Everything that answers calls.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) clock: Arc<Clock>,
    pub(crate) ai: Ai,
    pub(crate) vectorize: Vectorize,
    pub(crate) kv: Kv,
    pub(crate) d1: D1,
    pub(crate) pages: Option<Pages>,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
}

/// In the extensions of a response: close the connection instead of sending it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DropConnection;

/// A call that is to be served.
pub(crate) struct Admitted {
    n: u64,
    fault: Option<Fault>,
}

impl Services {
    /// Logs a call and lets a scripted fault have its way; `Err` is then the answer.
    pub(crate) async fn admit(&self, call: Call) -> Result<Admitted, Response<Body>> {
        let (service, operation) = (call.service, call.operation);
        let target = call.target.clone();
        let n = self.journal.received(call, self.clock.now_ms());
        let fault = self.faults.take(service, operation, Some(&target));
        if let Some(ms) = fault.as_ref().and_then(|fault| fault.delay_ms) {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        let before = fault.as_ref().filter(|fault| !fault.after);
        match before.and_then(|fault| self.spoilt(n, fault)) {
            Some(response) => Err(response),
            None => Ok(Admitted { n, fault }),
        }
    }

    /// What a fault has instead of an answer.
    fn spoilt(&self, n: u64, fault: &Fault) -> Option<Response<Body>> {
        if fault.drop_connection && fault.cut_after_events.is_none() {
            return Some(dropped());
        }
        fault.respond.as_ref().map(|canned| self.answered(n, canned_response(canned)))
    }

    /// Runs a model and writes the answer. The wires differ in how they write a whole answer and a
    /// refusal; streams look the same on all.
    pub(crate) async fn run_model(
        self: &Arc<Self>,
        admitted: Admitted,
        model: &str,
        inputs: Value,
        wire: AiWire<'_>,
    ) -> Response<Body> {
        let gateway = match wire {
            AiWire::Gateway(id) | AiWire::Address(id) => self.ai.check_gateway(id),
            AiWire::Binding | AiWire::Rest | AiWire::Server => Ok(()),
        };
        let run = async || match wire {
            AiWire::Server => self.ai.serve(model, inputs).await,
            _ => self.ai.run(model, inputs).await,
        };
        let mut response = match gateway {
            Err(refusal) => json_response(refusal.status, refusal.gateway_body()),
            Ok(()) => match run().await {
                Ok(Output::Stream(pieces, shape)) => {
                    let services = Arc::clone(self);
                    let used = move |usage| services.journal.used(usage);
                    event_stream(events::body(pieces, shape, model.to_owned(), admitted.fault.clone(), used))
                }
                Ok(Output::Whole(answer, spent)) => {
                    self.spend(spent);
                    json_response(200, wire.whole(answer))
                }
                Err(refusal) => json_response(refusal.status, wire.refusal(&refusal)),
            },
        };
        set(&mut response, "cf-ai-req-id", &random_hex::<16>());
        if matches!(wire, AiWire::Gateway(_) | AiWire::Address(_)) && response.status().is_success() {
            set(&mut response, "cf-aig-log-id", &random_hex::<13>());
        }
        self.done(&admitted, response)
    }

    /// Runs a model for a call whose body is the inputs alone, as REST and a gateway's address have it.
    pub(crate) async fn run_inputs(
        self: &Arc<Self>,
        wire_name: &'static str,
        model: &str,
        body: &[u8],
        wire: AiWire<'_>,
        is_known: bool,
    ) -> Response<Body> {
        let (operation, request) = (operation(model), loggable(body));
        let call = Call { wire: wire_name, service: "ai", operation, target: model.to_owned(), request };
        let admitted = match self.admit(call).await {
            Ok(admitted) => admitted,
            Err(response) => return response,
        };
        let inputs = if is_known {
            serde_json::from_slice(body).map_err(|error| Refusal::new(400, 5_004, format!("Invalid data: {error}")))
        } else {
            Err(Refusal::new(401, 10_000, "Authentication error"))
        };
        match inputs {
            Ok(inputs) => self.run_model(admitted, model, inputs, wire).await,
            Err(refusal) => self.done(&admitted, json_response(refusal.status, wire.refusal(&refusal))),
        }
    }

    /// Notes how an admitted call went, and passes the answer on, unless a fault has it lost.
    pub(crate) fn done(&self, admitted: &Admitted, response: Response<Body>) -> Response<Body> {
        let after = admitted.fault.as_ref().filter(|fault| fault.after);
        let spoilt = after.and_then(|fault| self.spoilt(admitted.n, fault));
        spoilt.unwrap_or_else(|| self.answered(admitted.n, response))
    }

    /// Everything that is kept, in a form that two runs can be compared by. Writes to Vectorize that
    /// are not visible yet become so.
    pub(crate) fn dump(&self) -> Result<Value, Refusal> {
        Ok(json!({ "vectorize": self.vectorize.dump(), "kv": self.kv.dump()?, "d1": self.d1.dump()? }))
    }

    fn answered(&self, n: u64, response: Response<Body>) -> Response<Body> {
        self.journal.answered(n, response.status().as_u16());
        response
    }

    /// Runs queries and counts what they wrote. Each has a list of outcomes: a text may hold several
    /// statements.
    pub(crate) fn query(&self, database: &str, queries: &Queries) -> Result<Vec<Vec<Outcome>>, Refusal> {
        let outcomes = self.d1.query(database, queries.all())?;
        self.journal.wrote(outcomes.iter().flatten().map(|outcome| outcome.rows_written).sum());
        Ok(outcomes)
    }

    fn spend(&self, spent: Spent) {
        match spent {
            Spent::Nothing => {}
            Spent::Chat(usage) => self.journal.used(usage),
            Spent::Embedding { texts, tokens } => self.journal.embedded(texts, tokens),
        }
    }
}

/// How an AI call came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AiWire<'a> {
    Binding,
    Gateway(&'a str),
    /// By the address of a gateway, which answers as REST does.
    Address(&'a str),
    Rest,
    /// By the address of a server with `OpenAI`'s chat API.
    Server,
}

impl AiWire<'_> {
    fn whole(self, answer: Value) -> String {
        match self {
            Self::Rest | Self::Address(_) => envelope(answer),
            Self::Binding | Self::Gateway(_) | Self::Server => answer.to_string(),
        }
    }

    fn refusal(self, refusal: &Refusal) -> String {
        match self {
            Self::Rest | Self::Address(_) => refusal.envelope(),
            Self::Binding | Self::Gateway(_) => refusal.ai_body(),
            Self::Server => refusal.server_body(),
        }
    }
}

/// A success as REST tells it.
pub(crate) fn envelope(result: Value) -> String {
    // Put together by hand, so that a large result is not copied.
    format!("{{\"result\":{result},\"success\":true,\"errors\":[],\"messages\":[]}}")
}

/// JSON with the content type that the AI binding wants, to the letter.
pub(crate) fn json_response(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    typed_response(status, "application/json", body)
}

/// A body of a type.
pub(crate) fn typed_response(status: u16, content_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    set(&mut response, header::CONTENT_TYPE.as_str(), content_type);
    response
}

/// Sets a header; a value that is none leaves it out.
pub(crate) fn set(response: &mut Response<Body>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        response.headers_mut().insert(name, value);
    }
}

fn event_stream(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    set(&mut response, header::CONTENT_TYPE.as_str(), "text/event-stream");
    response
}

fn canned_response(canned: &Canned) -> Response<Body> {
    let content_type = canned.content_type.as_deref().unwrap_or("application/json");
    let mut response = typed_response(canned.status, content_type, canned.body.clone());
    for (name, value) in &canned.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn dropped() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(DropConnection);
    response
}

/// The log's view of a body: JSON, or how long it is.
pub(crate) fn loggable(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| json!({ "bytes": body.len() }))
}
