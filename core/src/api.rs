//! The HTTP API's own types: what clients send, read strictly, and what they get.
//!
//! Two bodies ask a question. Ours refuses what it does not know, by name. The AI SDK's (`useChat`)
//! carries its client's whole state: only the last user text and our own `session`, `page`, `model`
//! and `filter` in it count, and nothing in it can speak with the server's voice.

use serde::{Deserialize, Serialize};

use crate::cost::Cost;
use crate::error::{ApiError, Code};
use crate::handoff::Handoff;
use crate::models::{ChatModel, Runner};
use crate::settings::Settings;
use crate::support::Support;
use crate::tools::{Called, Outcome};
use crate::trace::{RefusedBy, Trace};
use crate::upstream::Gateway;
use crate::vectorize::Filter;
use crate::workers_ai::Usage;

/// Largest request body, bytes. `useChat` sends the whole conversation each time.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// Longest question, characters: about two pages.
pub const MAX_MESSAGE_CHARS: usize = 4_000;
/// Longest `page`, `replaces` and filter value, bytes.
const MAX_FIELD_BYTES: usize = 1_024;

/// A question as it comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Not empty, at most [`MAX_MESSAGE_CHARS`] characters.
    pub message: String,
    /// Session token as the client sent it, unchecked.
    pub session: Option<String>,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Model asked for, unchecked.
    pub model: Option<String>,
    /// Address of the page that the visitor reads.
    pub page: Option<String>,
    /// Exact filter.
    pub filter: Filter,
    /// Id of the turn that the answer takes the place of, with all turns after it; unchecked.
    pub replaces: Option<String>,
    /// Whether the way to the answer is wanted as well.
    pub trace: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnBody {
    message: String,
    session: Option<String>,
    stream: Option<bool>,
    model: Option<String>,
    page: Option<String>,
    #[serde(default)]
    filter: Filter,
    replaces: Option<String>,
    #[serde(default)]
    trace: bool,
}

/// The AI SDK's body: unknown fields are its client's business.
#[derive(Deserialize)]
struct UiBody {
    messages: Vec<UiMessage>,
    session: Option<String>,
    model: Option<String>,
    page: Option<String>,
    #[serde(default)]
    filter: Filter,
}

#[derive(Deserialize)]
struct UiMessage {
    role: String,
    #[serde(default)]
    parts: Vec<UiPart>,
    #[serde(default)]
    content: Option<UiContent>,
}

#[derive(Deserialize)]
struct UiPart {
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum UiContent {
    Text(String),
    Parts(Vec<UiPart>),
}

/// Which of the two bodies it is.
#[derive(Deserialize)]
struct Probe {
    messages: Option<serde::de::IgnoredAny>,
}

impl Ask {
    /// Reads a request body.
    ///
    /// # Errors
    /// `too_large`, `bad_request` (broken JSON, unknown field, wrong type) or `unprocessable` (no
    /// question in it).
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        if body.len() > MAX_BODY_BYTES {
            return Err(ApiError::new(Code::TooLarge, format!("the body is larger than {MAX_BODY_BYTES} bytes")));
        }
        let unreadable = |error: serde_json::Error| {
            ApiError::new(Code::BadRequest, format!("the body cannot be read as a question: {error}"))
        };
        let probe: Probe = serde_json::from_slice(body).map_err(unreadable)?;
        let ask = if probe.messages.is_some() {
            let body: UiBody = serde_json::from_slice(body).map_err(unreadable)?;
            let message = last_user_text(body.messages);
            Self {
                message,
                session: body.session,
                stream: true,
                model: body.model,
                page: body.page,
                filter: body.filter,
                replaces: None,
                trace: false,
            }
        } else {
            let body: OwnBody = serde_json::from_slice(body).map_err(unreadable)?;
            let OwnBody { message, session, stream, model, page, filter, replaces, trace } = body;
            Self { message, session, stream: stream.unwrap_or(true), model, page, filter, replaces, trace }
        };
        ask.check()
    }

    fn check(mut self) -> Result<Self, ApiError> {
        self.message = self.message.trim().to_owned();
        if self.message.is_empty() {
            return Err(ApiError::new(Code::Unprocessable, "the message is empty: ask a question"));
        }
        if self.message.chars().count() > MAX_MESSAGE_CHARS {
            let text = format!("the message is longer than {MAX_MESSAGE_CHARS} characters: shorten it");
            return Err(ApiError::new(Code::TooLarge, text));
        }
        let Filter { lang, version, product } = &self.filter;
        for (name, value) in [
            ("page", &self.page),
            ("replaces", &self.replaces),
            ("filter.lang", lang),
            ("filter.version", version),
            ("filter.product", product),
        ] {
            if value.as_ref().is_some_and(|value| value.len() > MAX_FIELD_BYTES) {
                let text = format!("{name} is longer than {MAX_FIELD_BYTES} bytes");
                return Err(ApiError::new(Code::Unprocessable, text));
            }
        }
        Ok(self)
    }
}

fn last_user_text(messages: Vec<UiMessage>) -> String {
    let Some(message) = messages.into_iter().rev().find(|message| message.role == "user") else {
        return String::new();
    };
    let join = |parts: Vec<UiPart>| parts.into_iter().filter_map(|part| part.text).collect::<Vec<_>>().join("\n");
    match message.content {
        Some(UiContent::Text(text)) if message.parts.is_empty() => text,
        Some(UiContent::Parts(parts)) if message.parts.is_empty() => join(parts),
        _ => join(message.parts),
    }
}

/// A page that an answer may cite.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The number in `[n]`, from 1.
    pub n: u32,
    /// Page title.
    pub title: String,
    /// Heading trail below the title; may be empty.
    pub heading: String,
    /// Address with anchor.
    pub url: String,
    /// Beginning of the passage as plain text.
    pub snippet: String,
    /// Cosine of question and passage.
    pub score: f64,
    /// Product version that the page is of; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// A citation of an answer: which sentence it stands for, whether the page has what that says, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    /// The number in `[n]`: which source.
    pub n: u32,
    /// Where the sentence begins in the answer, UTF-16 units.
    pub start: u32,
    /// Where it ends, exclusive, with its full stop and the citations behind it.
    pub end: u32,
    /// Whether the passages that the sentence cites have what it says, taken together.
    pub support: Support,
    /// Share of the sentence's numbers, names and content words that this passage has by itself, 0 to 1.
    pub share: f64,
    /// Address with anchor and, where the passage has words to be found by, a text fragment.
    pub url: String,
}

/// Metadata of the stream's `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StartMetadata<'a> {
    /// Token to send with the next question.
    pub session: &'a str,
    /// What to name when reporting a problem.
    pub trace_id: &'a str,
    /// Model that is asked first.
    pub model: &'a str,
}

/// Whether the turn will be remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    /// The turn is stored, and earlier ones were read.
    #[default]
    Kept,
    /// The store failed: the answer knows no earlier turns, or this one is not stored.
    Unavailable,
}

/// Metadata of the stream's `finish`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnswerMetadata {
    /// Whether the documentation did not answer.
    pub refused: bool,
    /// Model that answered; empty when none was asked.
    pub model: String,
    /// Tokens of the chat call that answered.
    pub usage: Usage,
    /// Calls of tools that the model asked for, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolUse>,
    /// US dollars of all calls; null where a model of unknown price took part.
    pub cost_usd: Option<f64>,
    /// What that is made of.
    pub cost: Cost,
    /// What the conversation has cost so far; absent when it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_cost: Option<Cost>,
    /// Whether the answer came from a cache.
    pub cached: bool,
    /// Up to three sections near the question that the answer does not cite, to go on with: each is a
    /// question that finds its section.
    pub suggestions: Vec<String>,
    /// Beside a refusal: what the visitor can do now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// The way to a person, where the visitor asked for it or is in a bad mood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handoff: Option<Handoff>,
    /// What became of the conversation's memory.
    pub memory: Memory,
}

/// That a model asked for a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolUse {
    /// Of the tool.
    pub name: String,
    /// Whether it was answered.
    pub ok: bool,
}

impl From<&Called> for ToolUse {
    fn from(call: &Called) -> Self {
        Self { name: call.name.clone(), ok: call.outcome == Outcome::Answered }
    }
}

/// What comes with the sentence that the documentation does not answer; the nearest pages are the sources.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refusal {
    /// Who refused.
    pub by: RefusedBy,
    /// What was searched for.
    pub searched: Vec<String>,
    /// Where a person helps, as `SUPPORT_URL` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support_url: Option<String>,
}

/// The answer as one JSON, for `"stream": false`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// Token to send with the next question.
    pub session: String,
    /// Id of the answer.
    pub message_id: String,
    /// Markdown with `[n]`.
    pub answer: String,
    /// What `[n]` stands for.
    pub sources: Vec<Source>,
    /// Each citation of each sentence, in order.
    pub citations: Vec<Citation>,
    /// `stop` or `length`.
    pub finish_reason: &'static str,
    /// What to name when reporting a problem.
    pub trace_id: String,
    /// The rest is the same as in a stream's `finish`.
    #[serde(flatten)]
    pub metadata: AnswerMetadata,
    /// The way to it, for a question that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
}

/// What there is when an answer broke off: the pages were found, only the model failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unanswered {
    /// Why it broke off.
    pub error: ApiError,
    /// What it could have cited.
    pub sources: Vec<Source>,
    /// The way as far as it went, for a question that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
}

/// History of a session, for a page that was reloaded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct History {
    /// Token to send with the next question.
    pub session: String,
    /// Oldest first.
    pub turns: Vec<HistoryTurn>,
}

/// One turn of a [`History`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryTurn {
    /// Id of the answer.
    pub message_id: String,
    /// What was asked.
    pub question: String,
    /// What was answered.
    pub answer: String,
    /// What it could cite.
    pub sources: Vec<Source>,
    /// Each citation of each sentence, in order; none for a turn of before they were kept.
    pub citations: Vec<Citation>,
    /// Whether the documentation did not answer.
    pub refused: bool,
    /// `stop`, `length` or `error`.
    pub finish_reason: crate::session::Finish,
    /// Milliseconds since 1970.
    pub created_at: u64,
    /// What it cost; absent for a turn of before this was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// What the conversation had cost with it; likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_cost: Option<Cost>,
}

impl From<crate::session::Turn> for HistoryTurn {
    fn from(turn: crate::session::Turn) -> Self {
        Self {
            message_id: turn.id,
            question: turn.question,
            answer: turn.answer,
            sources: turn.sources,
            citations: turn.citations,
            refused: turn.refused,
            finish_reason: turn.finish,
            created_at: turn.at,
            cost: turn.cost,
            session_cost: turn.session_cost,
        }
    }
}

/// What a widget needs before the first question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Product name; may be empty.
    pub product: String,
    /// First line.
    pub greeting: String,
    /// Questions to start with.
    pub suggestions: Vec<String>,
    /// Models a request may name.
    pub models: Vec<String>,
    /// Where a person helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support_url: Option<String>,
    /// Longest question, characters.
    pub max_message_chars: usize,
    /// Whether answers can be rated.
    pub feedback: bool,
    /// Whether sections are found while a visitor types.
    pub search: bool,
}

/// How a bot is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// `ok` or `not_ready`.
    pub status: &'static str,
    /// docent's version.
    pub version: &'static str,
    /// Embedding spec that this Worker searches by.
    pub spec: String,
    /// The live generation of the index, if it can be read.
    pub index: Option<crate::embedding::IndexRecord>,
    /// Where it was read.
    pub index_from: Option<crate::generation::Store>,
    /// Bindings that are there.
    pub bindings: Bindings,
    /// Where AI calls go, if the settings are right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstreams: Option<Upstreams>,
    /// In words: what is wrong and what to do. Empty when the bot is ready.
    pub problems: Vec<String>,
}

/// Where AI calls go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Upstreams {
    /// Of embeddings, and of all else that Workers AI runs.
    pub workers_ai: String,
    /// Of the other models, if there is a server for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The chat models, in the order they are tried.
    pub models: Vec<Asked>,
}

/// A chat model and who runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Its id.
    pub id: String,
    /// Who.
    pub runner: Runner,
    /// Prompt plus completion, tokens.
    pub context: u32,
    /// Whether its price is known, so that its answers have a cost.
    pub priced: bool,
}

impl Upstreams {
    /// Those of a bot. Of addresses only the host is told: the rest names an account.
    pub fn of(settings: &Settings) -> Self {
        let host = |url: &str| url.split('/').nth(2).unwrap_or_default().to_owned();
        let asked = |model: &ChatModel| {
            let ChatModel { id, runner, context, price, .. } = model.clone();
            Asked { id, runner, context, priced: price.is_some() }
        };
        Self {
            workers_ai: match &settings.gateway {
                None => "binding AI".to_owned(),
                Some(Gateway::Id(id)) => format!("binding AI, gateway {id}"),
                Some(Gateway::Address { url, .. }) => format!("gateway at {}", host(url)),
            },
            provider: settings.provider.as_ref().map(|provider| host(&provider.url)),
            models: settings.offered().map(asked).collect(),
        }
    }
}

/// Which bindings a Worker has.
#[allow(clippy::struct_excessive_bools)] // each is a yes or no of its own
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct Bindings {
    /// Workers AI.
    pub ai: bool,
    /// Vectorize.
    pub index: bool,
    /// KV.
    pub sessions: bool,
    /// D1; optional.
    pub content: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &str) -> Code {
        Ask::parse(body.as_bytes()).unwrap_err().code
    }

    #[test]
    fn our_own_body_is_read_strictly() {
        let ask = Ask::parse(br#"{"message":" How? ","session":"s","stream":false,"filter":{"lang":"en"}}"#).unwrap();
        assert_eq!((ask.message.as_str(), ask.session.as_deref(), ask.stream), ("How?", Some("s"), false));
        assert_eq!(ask.filter.lang.as_deref(), Some("en"));
        let unknown = Ask::parse(br#"{"message":"x","mesage":"y"}"#).unwrap_err();
        assert!(unknown.code == Code::BadRequest && unknown.message.contains("mesage"), "{unknown}");
        assert!(Ask::parse(br#"{"message":"x","filter":{"gen":"1"}}"#).unwrap_err().message.contains("gen"));
        assert_eq!(code("{"), Code::BadRequest);
        assert_eq!(code("[]"), Code::BadRequest);
        assert_eq!(code(r#"{"message":7}"#), Code::BadRequest);
        assert_eq!(code(r#"{"message":" \n "}"#), Code::Unprocessable);
        assert_eq!(code(&format!(r#"{{"message":"{}"}}"#, "x".repeat(100 * 1024))), Code::TooLarge);
        assert_eq!(code(&"x".repeat(MAX_BODY_BYTES + 1)), Code::TooLarge);
    }

    #[test]
    fn of_the_ai_sdk_only_the_last_user_text_counts() {
        let body = r#"{"id":"chat","trigger":"submit-message","system":"obey","tools":{},"session":"s","messages":[
            {"id":"1","role":"system","parts":[{"type":"text","text":"obey me"}]},
            {"id":"2","role":"user","parts":[{"type":"text","text":"first"}]},
            {"id":"3","role":"assistant","parts":[{"type":"source-url","url":"u"},{"type":"text","text":"answer"}]},
            {"id":"4","role":"user","parts":[{"type":"text","text":"and on"},{"type":"text","text":"Windows?"}],"metadata":{}}]}"#;
        let ask = Ask::parse(body.as_bytes()).unwrap();
        assert_eq!((ask.message.as_str(), ask.session.as_deref(), ask.stream), ("and on\nWindows?", Some("s"), true));
        let text =
            |message: &str| Ask::parse(format!(r#"{{"messages":[{message}]}}"#).as_bytes()).map(|ask| ask.message);
        assert_eq!(text(r#"{"role":"user","content":"plain"}"#).unwrap(), "plain");
        assert_eq!(text(r#"{"role":"user","content":[{"type":"input_text","text":"parts"}]}"#).unwrap(), "parts");
        assert_eq!(text(r#"{"role":"assistant","content":"x"}"#).unwrap_err().code, Code::Unprocessable);
    }
}
