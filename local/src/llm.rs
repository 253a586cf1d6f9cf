//! Answers by any server with `OpenAI`'s chat API: Ollama, llama.cpp, vLLM, or a hosted one.
//!
//! Its stream is read here and written again as Workers AI writes it, and its errors become the
//! codes that Workers AI has for the same trouble.

use std::io::Read as _;
use std::thread;
use std::time::Duration;

use docent_core::sse::Decoder;
use docent_core::tokens;
use docent_core::tools::Wanted;
use docent_core::workers_ai::{AnswerPart, Usage, read_answer};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use ureq::Agent;
use ureq::http::StatusCode;

use crate::answerer::{Piece, Prompt};
use crate::refusal::Refusal;

/// Environment variable with the key of the server, if it wants one.
pub(crate) const KEY_VARIABLE: &str = "DOCENT_LLM_KEY";
/// Time for a connection; a server on this machine needs none of it.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Time for the first word; a laptop may load a model before it.
const RESPONSE_LIMIT: Duration = Duration::from_mins(5);
/// Bytes read at once.
const CHUNK_BYTES: usize = 8 * 1024;

/// Codes of Workers AI for what can go wrong here.
mod code {
    pub(super) const NO_SUCH_MODEL: u32 = 5_007;
    pub(super) const INVALID_INPUT: u32 = 5_006;
    pub(super) const NOT_ALLOWED: u32 = 3_041;
    pub(super) const CONTEXT_EXCEEDED: u32 = 5_021;
    pub(super) const OUT_OF_CAPACITY: u32 = 3_040;
}

/// A server and the model to ask of it.
#[derive(Debug, Clone)]
pub(crate) struct Llm {
    url: String,
    model: String,
    key: Option<String>,
    agent: Agent,
}

impl Llm {
    /// `base` is the address up to `/v1`.
    pub(crate) fn new(base: &str, model: &str, key: Option<String>) -> Self {
        let agent = Agent::config_builder()
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_recv_response(Some(RESPONSE_LIMIT))
            .http_status_as_error(false)
            .build()
            .into();
        let url = format!("{}/chat/completions", base.trim_end_matches('/'));
        Self { url, model: model.to_owned(), key, agent }
    }

    /// Model and address, for whoever starts it or reads a log.
    pub(crate) fn name(&self) -> String {
        format!("{} at {}", self.model, self.url)
    }

    /// Starts an answer; returns once the server accepted the call.
    pub(crate) async fn start(&self, prompt: Prompt) -> Result<mpsc::Receiver<Piece>, Refusal> {
        let (pieces, receiver) = mpsc::channel(16);
        let (accepted, waiting) = oneshot::channel();
        let llm = self.clone();
        // ureq blocks, for minutes if the model is slow: a thread of its own.
        thread::spawn(move || match llm.ask(&prompt) {
            Err(refusal) => drop(accepted.send(Err(refusal))),
            Ok(body) => {
                let _ = accepted.send(Ok(()));
                if read(body, &prompt, &pieces).is_none() {
                    let _ = pieces.blocking_send(Piece::Broken);
                }
            }
        });
        let gone = Refusal::new(500, code::OUT_OF_CAPACITY, "the thread that asks the model is gone");
        waiting.await.map_err(|_| gone)??;
        Ok(receiver)
    }

    fn ask(&self, prompt: &Prompt) -> Result<ureq::Body, Refusal> {
        let mut body = json!({
            "model": self.model, "messages": prompt.messages, "max_tokens": prompt.max_tokens,
            "stream": true, "stream_options": { "include_usage": true },
        });
        if let Some(body) = body.as_object_mut() {
            body.extend(prompt.temperature.map(|temperature| ("temperature".to_owned(), json!(temperature))));
            body.extend((!prompt.tools.is_empty()).then(|| ("tools".to_owned(), json!(prompt.tools))));
        }
        let mut request = self.agent.post(&self.url).header("accept", "text/event-stream");
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let response = request.send_json(&body).map_err(|error| {
            Refusal::new(429, code::OUT_OF_CAPACITY, format!("{} does not answer: {error}", self.url))
        })?;
        let (parts, mut body) = response.into_parts();
        if parts.status.is_success() {
            return Ok(body);
        }
        let said: String = body.read_to_string().unwrap_or_default().chars().take(500).collect();
        Err(refusal(parts.status, &format!("{} answered {}: {said}", self.url, parts.status)))
    }
}

fn refusal(status: StatusCode, message: &str) -> Refusal {
    let context = message.contains("context length") || message.contains("context_length");
    let (status, code) = match status.as_u16() {
        400 | 413 if context => (413, code::CONTEXT_EXCEEDED),
        400 | 422 => (400, code::INVALID_INPUT),
        401 | 403 => (403, code::NOT_ALLOWED),
        404 => (400, code::NO_SUCH_MODEL),
        _ => (429, code::OUT_OF_CAPACITY),
    };
    Refusal::new(status, code, message)
}

/// Passes the words on; `None` when the stream broke off before its end.
fn read(body: ureq::Body, prompt: &Prompt, pieces: &mpsc::Sender<Piece>) -> Option<()> {
    let mut reader = body.into_reader();
    let mut decoder = Decoder::default();
    let mut buffer = [0_u8; CHUNK_BYTES];
    let mut state = Progress::default();
    while !state.done {
        let count = reader.read(&mut buffer).ok().filter(|count| *count > 0)?;
        let mut events = Vec::new();
        decoder.push(buffer.get(..count)?, |data| events.push(data.to_owned())).ok()?;
        for event in events {
            if let Some(text) = state.take(&event) {
                pieces.blocking_send(Piece::Text(text)).ok()?;
            }
        }
    }
    let Progress { usage, words, mut wanted, cut_by_length, .. } = state;
    if !wanted.is_empty() {
        pieces.blocking_send(Piece::Calls(wanted.take())).ok()?;
    }
    let estimate = Usage { prompt_tokens: prompt.estimated_tokens, completion_tokens: words };
    pieces.blocking_send(Piece::End { usage: usage.unwrap_or(estimate), cut_by_length }).ok()
}

#[derive(Default)]
struct Progress {
    usage: Option<Usage>,
    /// Tokens by our own count, should the server not tell.
    words: u64,
    wanted: Wanted,
    cut_by_length: bool,
    done: bool,
}

impl Progress {
    fn take(&mut self, event: &str) -> Option<String> {
        if event.trim() == "[DONE]" {
            self.done = true;
            return None;
        }
        let AnswerPart { text, tool_calls, usage, finish_reason, .. } = read_answer(event).ok()?;
        self.usage = usage.or(self.usage);
        for part in tool_calls {
            self.wanted.push(part);
        }
        self.cut_by_length |= finish_reason.as_deref() == Some("length");
        self.words += tokens::count(&text) as u64;
        Some(text).filter(|text| !text.is_empty())
    }
}
