//! The doors of the question flow: what it asks of the world, and what may go wrong there.
//!
//! Each has two implementations: the bindings of the Worker, and the engines of the local stand-in.
//! Futures are not `Send`: a Worker has one thread, and so has the test that runs the same flow.
#![allow(async_fn_in_trait)] // the reason stands above: no caller needs Send

use crate::cache::{Record, Row};
use crate::embedding::IndexRecord;
use crate::feedback::Opinion;
use crate::full_text::{Hit, Lookup, Queries, Search as TextSearch};
use crate::generation::{Known, Retired, Store};
use crate::models::ChatModel;
use crate::session::Turn;
use crate::trace::Kept;
use crate::upstream::{Call, ProviderError, Request};
use crate::vectorize::{Match, QueryOptions};
use crate::workers_ai::{AiError, ChatRequest, Labelled, Ranked, RerankRequest};

/// Turns texts into vectors by [`crate::embedding::SPEC`].
pub trait Embed {
    /// Opaque here: in the Worker it is a JavaScript array that never becomes 768 numbers in wasm.
    type Vector: Clone;

    /// One vector a text, in order.
    async fn embed(&self, texts: &[&str], call: Call<'_>) -> Result<Vec<Self::Vector>, Fault>;

    /// The vector of a text, if it was remembered.
    fn known_vector(&self, text: &str) -> Option<Self::Vector>;

    /// Remembers it, as long as memory lasts.
    fn remember_vector(&self, text: &str, vector: &Self::Vector);
}

/// Finds the nearest chunks.
pub trait Search {
    /// The same type as [`Embed::Vector`].
    type Vector;

    /// One list a vector, best first, all asked at the same time.
    async fn search(&self, vectors: &[Self::Vector], options: &QueryOptions) -> Result<Vec<Vec<Match>>, Fault>;
}

/// Finds the chunks that have the words and names of a question.
pub trait Lexical {
    /// One list a query, best first, all asked in one call. Nothing is found by an empty query.
    async fn lookup(&self, queries: &[Queries], options: &Lookup) -> Result<Vec<Vec<Hit>>, Fault>;

    /// The best sections of what is live, best first, with their words marked.
    async fn sections(&self, search: &TextSearch) -> Result<Vec<Hit>, Fault>;
}

/// Reads the question beside each passage.
pub trait Rerank {
    /// How well each passage answers, in any order.
    async fn rerank(&self, model: &str, request: &RerankRequest, call: Call<'_>) -> Result<Vec<Ranked>, Fault>;
}

/// Reads the mood of a message.
pub trait Classify {
    /// How likely each label of the model is, in any order.
    async fn classify(&self, model: &str, text: &str, call: Call<'_>) -> Result<Vec<Labelled>, Fault>;
}

/// Writes answers.
pub trait Generate {
    /// The answer while it comes.
    type Answer: ByteStream;

    /// Starts an answer; returns once the service has accepted the call.
    async fn generate(&self, model: &ChatModel, request: &ChatRequest, call: Call<'_>) -> Result<Self::Answer, Fault>;
}

/// Bytes of an answer as they arrive, cut anywhere.
pub trait ByteStream {
    /// Whether the body is an event stream; a few models ignore `stream` and answer one JSON.
    fn is_event_stream(&self) -> bool;

    /// Under which id a gateway logged the call, if one did.
    fn log_id(&self) -> Option<String>;

    /// The answer is complete, whatever the connection does. An answer that is dropped before is
    /// broken off, so that nobody pays for words that nobody reads.
    fn complete(&mut self);

    /// The next bytes; `None` at the end. `Err` when the connection broke or nothing came in time.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Fault>;
}

/// Holds what there is to know of the index beside its vectors. Which of it counts is decided in
/// [`crate::generation`].
pub trait Content {
    /// The record of the live generation as this store has it now; `None` when it has none.
    async fn record(&self, store: Store) -> Result<Option<IndexRecord>, Fault>;

    /// What lies under [`crate::generation::retired_key`]; `None` when nothing does.
    async fn retired(&self, generation: u64) -> Result<Option<Retired>, Fault>;

    /// What was remembered last, by any question.
    fn known(&self) -> Option<Known>;

    /// Takes the place of what was remembered before, for as long as memory lasts.
    fn remember(&self, known: Known);
}

/// Keeps conversations.
pub trait Sessions {
    /// The last `limit` turns of a session, oldest first. An unknown session has none.
    async fn turns(&self, session: &str, limit: usize) -> Result<Vec<Turn>, Fault>;

    /// Adds a turn. Two at once are both kept.
    async fn append(&self, session: &str, turn: &Turn, ttl_seconds: u64) -> Result<(), Fault>;

    /// Deletes all turns of a session.
    async fn forget(&self, session: &str) -> Result<(), Fault>;

    /// Deletes the turns under some keys, such as [`Turn::key`] gives; one that is not there does not matter.
    async fn forget_turns(&self, keys: &[String]) -> Result<(), Fault>;

    /// Notes that an answer was stopped, for [`crate::session::STOP_SECONDS`].
    async fn note_stopped(&self, session: &str, message_id: &str) -> Result<(), Fault>;

    /// Whether [`Sessions::note_stopped`] has noted it. To be asked once an answer: a store that has said no
    /// may say so for a minute.
    async fn is_stopped(&self, session: &str, message_id: &str) -> Result<bool, Fault>;
}

/// Keeps answers that may be given again.
pub trait Answers {
    /// What lies under a key; `None` also for what this version cannot read.
    async fn find_answer(&self, key: &str) -> Result<Option<Record>, Fault>;

    /// Keeps an answer, and lets some go that are too old.
    async fn keep_answer(&self, row: &Row, now_ms: u64) -> Result<(), Fault>;

    /// Deletes what lies under a key.
    async fn forget_answer(&self, key: &str) -> Result<(), Fault>;
}

/// Keeps what visitors think of answers.
pub trait Opinions {
    /// Takes the place of an earlier opinion on the same answer.
    async fn keep(&self, opinion: &Opinion) -> Result<(), Fault>;
}

/// Keeps the ways to answers.
pub trait Traces {
    /// Keeps a trace, once however often it comes, and lets some go that are too old.
    async fn keep_trace(&self, kept: &Kept) -> Result<(), Fault>;
}

/// Calls addresses that the operator has set: webhooks and tools.
pub trait Post {
    /// Sends a body, once. Redirects are not followed: they would lead to an address that nobody has set.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    async fn post(&self, request: &Request, body: &str, limit: Limit) -> Result<Posted, String>;
}

/// How much of an answer is waited for and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Longest wait for all of it, milliseconds.
    pub ms: u64,
    /// Longest body; at 0 it is not read.
    pub bytes: usize,
}

/// What an address answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Posted {
    /// HTTP status.
    pub status: u16,
    /// Empty when it is not said.
    pub content_type: String,
    /// `None` when it is longer than allowed.
    pub body: Option<Vec<u8>>,
}

/// Knows which conversations went to a person.
pub trait Handoffs {
    /// Whether [`Handoffs::note_handed_over`] has noted this id.
    async fn is_handed_over(&self, id: &str) -> Result<bool, Fault>;

    /// Notes that it went out, so that it does not go out again.
    async fn note_handed_over(&self, id: &str, ttl_seconds: u64) -> Result<(), Fault>;
}

/// Time and chance, which the flow has none of.
pub trait Host {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// 32 hex characters nobody can guess.
    fn unique_id(&self) -> String;

    /// Returns after so many milliseconds.
    async fn sleep(&self, ms: u64);

    /// One line for the operator's log. Never reaches a visitor.
    fn log(&self, line: &str);
}

/// Logs that a step failed.
pub(crate) fn log(ports: &impl Host, trace_id: &str, step: &str, fault: &Fault) {
    let line = serde_json::json!({"level": "error", "trace_id": trace_id, "step": step, "fault": fault.to_string()});
    ports.log(&line.to_string());
}

/// All doors together.
pub trait Ports:
    Embed
    + Search<Vector = <Self as Embed>::Vector>
    + Lexical
    + Rerank
    + Classify
    + Generate
    + Content
    + Answers
    + Sessions
    + Post
    + Host
{
}

impl<P> Ports for P where
    P: Embed
        + Search<Vector = <P as Embed>::Vector>
        + Lexical
        + Rerank
        + Classify
        + Generate
        + Content
        + Answers
        + Sessions
        + Post
        + Host
{
}

/// What went wrong behind a door. For the log and for [`crate::policy`]; visitors get an
/// [`crate::error::ApiError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Workers AI or AI Gateway refused the call.
    #[error("AI answered HTTP {status}, code {code}: {message}", status = .0.status, code = .0.code.unwrap_or(0), message = .0.message)]
    Ai(AiError),
    /// A server with `OpenAI`'s chat API refused the call.
    #[error("the provider answered HTTP {status}, code {code}: {message}", status = .0.status, code = if .0.code.is_empty() { "none" } else { &.0.code }, message = .0.message)]
    Provider(ProviderError),
    /// A model ended without a word.
    #[error("the model ended without a word (finish reason: {})", .0.as_deref().unwrap_or("none"))]
    Empty(Option<String>),
    /// Vectorize refused the call; with its 400xx code where it sent one.
    #[error("Vectorize, code {}: {message}", code.unwrap_or(0))]
    Vectorize {
        /// 400xx.
        code: Option<u32>,
        /// As thrown by the binding.
        message: String,
    },
    /// Workers KV refused the call.
    #[error("KV: {0}")]
    Kv(String),
    /// D1 refused the call.
    #[error("D1: {0}")]
    D1(String),
    /// The service did not answer, or stopped answering, in time.
    #[error("nothing came from {service} for {ms} ms")]
    TimedOut {
        /// Which service.
        service: &'static str,
        /// How long it was waited for.
        ms: u64,
    },
    /// The answer is not what the service documents.
    #[error("{service} sent something unreadable: {message}")]
    Unreadable {
        /// Which service.
        service: &'static str,
        /// What was expected and what came.
        message: String,
    },
    /// The webhook of `HANDOFF_URL` did not take a conversation.
    #[error("the handoff webhook answered {}", if *status == 0 { format!("nothing: {message}") } else { format!("HTTP {status}") })]
    Webhook {
        /// HTTP status; 0 when there was none.
        status: u16,
        /// Why there was none.
        message: String,
    },
    /// A call of a tool came to nothing, or was not made.
    #[error("the tool {name}: {reason}")]
    Tool {
        /// As the model named it.
        name: String,
        /// Why.
        reason: String,
    },
    /// The model repeated the prompt, which is not for readers.
    #[error("the model's answer repeats docent's instructions; it was cut off there")]
    Withheld,
    /// The visitor has stopped the answer. Nothing failed.
    #[error("the visitor stopped the answer")]
    Stopped,
    /// The Worker has no such binding, or it is of another kind.
    #[error("the Worker has no binding {0}")]
    NoBinding(&'static str),
}
