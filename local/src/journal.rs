//! What the services were asked: a bounded log of calls, and counters that a log would forget.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use docent_core::workers_ai::Usage;
use serde::Serialize;
use serde_json::{Value, json};

/// Calls kept; the oldest goes first.
const MAX_CALLS: usize = 1_000;
/// Texts kept of a request that has many: an ingest sends a hundred at a time.
const MAX_TEXTS: usize = 10;
/// Longest string of a logged request, characters: a prompt fits, a book does not.
const MAX_TEXT_CHARS: usize = 100_000;

/// A call as it came in.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Call {
    /// `binding` or `rest`.
    pub(crate) wire: &'static str,
    /// `ai`, `vectorize`, `kv` or `d1`.
    pub(crate) service: &'static str,
    /// What was asked of it.
    pub(crate) operation: &'static str,
    /// Model, index, namespace or database.
    pub(crate) target: String,
    /// The request, without vectors.
    pub(crate) request: Value,
}

#[derive(Debug, Clone, Serialize)]
struct Entry {
    n: u64,
    at_ms: u64,
    #[serde(flatten)]
    call: Call,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

#[derive(Debug, Default)]
struct State {
    count: u64,
    calls: VecDeque<Entry>,
    counters: BTreeMap<String, u64>,
}

/// The log. Cleared by whoever wants to count from zero.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<State>);

impl Journal {
    /// Notes a call; the number is for [`Self::answered`].
    pub(crate) fn received(&self, mut call: Call, at_ms: u64) -> u64 {
        shorten(&mut call.request);
        let mut state = self.state();
        state.count += 1;
        let n = state.count;
        *state.counters.entry(format!("{}.{}", call.service, call.operation)).or_default() += 1;
        if state.calls.len() == MAX_CALLS {
            state.calls.pop_front();
        }
        state.calls.push_back(Entry { n, at_ms, call, status: None });
        n
    }

    /// Notes how it went.
    pub(crate) fn answered(&self, n: u64, status: u16) {
        let mut state = self.state();
        if let Some(entry) = state.calls.iter_mut().rev().find(|entry| entry.n == n) {
            entry.status = Some(status);
        }
    }

    /// Counts the tokens of a chat call.
    pub(crate) fn used(&self, usage: Usage) {
        let mut state = self.state();
        *state.counters.entry("tokens.prompt".to_owned()).or_default() += usage.prompt_tokens;
        *state.counters.entry("tokens.completion".to_owned()).or_default() += usage.completion_tokens;
    }

    /// Counts the tokens and texts of an embedding call.
    pub(crate) fn embedded(&self, texts: usize, tokens: usize) {
        let mut state = self.state();
        *state.counters.entry("texts.embedded".to_owned()).or_default() += texts as u64;
        *state.counters.entry("tokens.embedded".to_owned()).or_default() += tokens as u64;
    }

    /// Counts the rows that a call of D1 wrote.
    pub(crate) fn wrote(&self, rows: u64) {
        *self.state().counters.entry("d1.rows_written".to_owned()).or_default() += rows;
    }

    /// `{"counters":{"ai.chat":1,…},"requests":[…]}`, oldest first.
    pub(crate) fn report(&self) -> Value {
        let state = self.state();
        json!({ "counters": state.counters, "requests": state.calls })
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Vectors say nothing to a reader, and are most of the bytes.
fn shorten(value: &mut Value) {
    match value {
        Value::Array(list) if list.len() > 8 && list.iter().all(Value::is_number) => {
            *value = json!(format!("{} numbers", list.len()));
        }
        Value::Array(list) => {
            let more = list.len().saturating_sub(MAX_TEXTS);
            if more > 0 && list.iter().all(Value::is_string) {
                list.truncate(MAX_TEXTS);
                list.push(json!(format!("… and {more} more")));
            }
            list.iter_mut().for_each(shorten);
        }
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        Value::String(text) if text.len() > MAX_TEXT_CHARS => {
            *text = text.chars().take(MAX_TEXT_CHARS).chain("…".chars()).collect();
        }
        _ => {}
    }
}
