//! What a bot streams, collected: bytes and the time they came at go in, an answer comes out, the same
//! one however the bytes were cut.

use docent_core::sse::Decoder;
use docent_core::trace::Trace;
use docent_core::workers_ai::Usage;
use serde::Deserialize;

use crate::records::{Failure, Times};

/// An answer, as far as it came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    /// Token to go on with the conversation.
    pub session: Option<String>,
    /// Pages that the answer could cite, in the bot's order.
    pub sources: Vec<Source>,
    /// Markdown with `[n]`.
    pub text: String,
    /// How it ended; nothing when it was cut.
    pub end: Option<End>,
    /// The way to it, if it was asked for.
    pub trace: Option<Trace>,
    /// Why there is no whole answer.
    pub error: Option<Failure>,
    /// Milliseconds since the question was sent.
    pub times: Times,
}

/// A page that the answer could cite.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Source {
    /// The number in `[n]`.
    #[serde(default)]
    pub n: u32,
    /// Address with anchor.
    pub url: String,
    /// Page title.
    #[serde(default)]
    pub title: String,
    /// Heading trail.
    #[serde(default)]
    pub heading: String,
    /// Beginning of the passage.
    #[serde(default)]
    pub snippet: String,
}

/// What is said about a whole answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct End {
    /// `stop`, `length` or `error`.
    pub finish: String,
    /// Model and price.
    pub metadata: Metadata,
}

/// What is known of an answer beside its text. A bot of another version may say more or less.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// Whether the bot said that it does not know.
    pub refused: bool,
    /// Model that answered.
    pub model: String,
    /// Tokens of the chat call.
    pub usage: Usage,
    /// US dollars.
    pub cost_usd: Option<f64>,
}

/// An error as bots send it. Its code stays text: another version may have others.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct WireError {
    /// To branch on.
    pub code: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// Seconds after which another try may succeed.
    #[serde(default)]
    pub retry_after: Option<u64>,
}

/// The parts that matter here; all others are skipped.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum Part {
    Start {
        message_metadata: Start,
    },
    SourceUrl {
        source_id: String,
        url: String,
        #[serde(default)]
        title: String,
        #[serde(default)]
        provider_metadata: Provider,
    },
    TextDelta {
        delta: String,
    },
    Finish {
        #[serde(default)]
        finish_reason: String,
        #[serde(default)]
        message_metadata: Metadata,
    },
    DataDocentTrace {
        data: Box<Trace>,
    },
    DataDocentError {
        data: WireError,
    },
    Error {
        #[serde(default)]
        error_text: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Start {
    session: String,
}

#[derive(Default, Deserialize)]
struct Provider {
    #[serde(default)]
    docent: Detail,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Detail {
    heading: String,
    snippet: String,
}

/// A stream while it comes. It owns no connection and reads no clock.
#[derive(Debug, Default)]
pub struct Stream {
    decoder: Decoder,
    reply: Reply,
    /// After how many seconds another try may succeed, if the bot said so.
    retry_after: Option<u64>,
    done: bool,
}

impl Stream {
    /// Takes the next bytes, which came `at_ms` after the question was sent.
    pub fn push(&mut self, bytes: &[u8], at_ms: f64) {
        let Self { decoder, reply, retry_after, done } = self;
        let pushed = decoder.push(bytes, |data| take(reply, retry_after, done, data, at_ms));
        if let Err(error) = pushed {
            fail(&mut self.reply, "unreadable", &error.to_string());
        }
    }

    /// The stream is over, for the reason `broken` when it did not end by itself. An event without its
    /// end is dropped, as the standard has it: it was cut.
    pub fn finish(self, at_ms: f64, broken: Option<&str>) -> (Reply, Option<u64>) {
        let Self { decoder: _, mut reply, retry_after, done } = self;
        reply.times.last_ms = Some(at_ms);
        if reply.end.is_none() || !done {
            fail(&mut reply, "cut", broken.unwrap_or("the stream ended before the answer did"));
        }
        (reply, retry_after)
    }
}

/// The first reason counts: what follows is its consequence.
fn fail(reply: &mut Reply, code: &str, message: &str) {
    reply.error.get_or_insert_with(|| Failure { code: code.to_owned(), message: message.to_owned() });
}

fn take(reply: &mut Reply, retry_after: &mut Option<u64>, done: &mut bool, data: &str, at_ms: f64) {
    reply.times.first_event_ms.get_or_insert(at_ms);
    if data == "[DONE]" {
        *done = true;
        return;
    }
    let part = match serde_json::from_str(data) {
        Ok(part) => part,
        Err(error) => return fail(reply, "unreadable", &format!("a part of the stream cannot be read: {error}")),
    };
    match part {
        Part::Start { message_metadata } => reply.session = Some(message_metadata.session),
        Part::SourceUrl { source_id, url, title, provider_metadata: Provider { docent } } => {
            let n = source_id.parse().unwrap_or_default();
            reply.sources.push(Source { n, url, title, heading: docent.heading, snippet: docent.snippet });
        }
        Part::TextDelta { delta } => {
            reply.times.first_token_ms.get_or_insert(at_ms);
            reply.text.push_str(&delta);
        }
        Part::Finish { finish_reason, message_metadata } => {
            reply.end = Some(End { finish: finish_reason, metadata: message_metadata });
        }
        Part::DataDocentTrace { data } => reply.trace = Some(*data),
        Part::DataDocentError { data } => {
            *retry_after = data.retry_after;
            fail(reply, &data.code, &data.message);
        }
        Part::Error { error_text } => fail(reply, "unreadable", &error_text),
        Part::Other => {}
    }
}
