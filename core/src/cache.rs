//! Answers that are given again, and vectors of questions that were asked before.
//!
//! An answer is given again to the same first question only: what it depends on is in its key, and the
//! generation of the index that it was made from has to be the live one. What was said in a
//! conversation never comes into it, and neither does a refusal, an answer that was cut or one with a
//! sentence that its passage does not bear out.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::api::{Ask, Citation, Source};
use crate::embedding::hex;
use crate::models::ChatModel;
use crate::prompt;
use crate::session::{Finish, Turn};
use crate::settings::Settings;
use crate::support::Support;
use crate::tools::Tool;
use crate::wording;

/// Raised whenever a [`Record`] of before must not be used any more.
const VERSION: u32 = 1;

/// The record under a key, given as the only parameter.
pub const FIND_SQL: &str = "SELECT record FROM answer WHERE key = ?1";
/// Keeps a [`Row`], given as JSON; it takes the place of what was under its key.
pub const KEEP_SQL: &str = "INSERT OR REPLACE INTO answer (key, expires_at, record) \
    SELECT ?1 ->> 'key', ?1 -> 'record' ->> 'expires_at', ?1 -> 'record'";
/// Deletes some of what is too old at a time in milliseconds, as many as ten for each that comes.
pub const EXPIRE_SQL: &str = "DELETE FROM answer WHERE key IN \
    (SELECT key FROM answer WHERE expires_at < CAST(?1 AS INTEGER) ORDER BY expires_at LIMIT 10)";
/// Deletes what is under a key.
pub const FORGET_SQL: &str = "DELETE FROM answer WHERE key = ?1";

/// An answer as it is kept. A promise to Workers already deployed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    v: u32,
    /// Generation of the index that it was made from.
    pub generation: u64,
    /// When it is too old, milliseconds since 1970.
    expires_at: u64,
    /// Of the question that it was made for.
    pub trace_id: String,
    /// Markdown, as its reader saw it.
    pub answer: String,
    /// What it could cite.
    pub sources: Vec<Source>,
    /// Each citation of each sentence, in order.
    pub citations: Vec<Citation>,
    /// What was suggested beside it.
    pub suggestions: Vec<String>,
    /// Model that wrote it.
    pub model: String,
}

impl Record {
    /// Whether it may be given now, from the live generation.
    pub fn is_good(&self, generation: u64, now_ms: u64) -> bool {
        self.v == VERSION && self.generation == generation && now_ms < self.expires_at
    }
}

/// A [`Record`] with its key, to be kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    key: String,
    record: Record,
}

impl Row {
    /// Of an answer that is good enough to be given again; `None` for any other.
    pub fn new(key: String, turn: &Turn, suggestions: &[String], origin: Origin<'_>) -> Option<Self> {
        let Turn { answer, sources, citations, model, refused, finish, .. } = turn.clone();
        let doubtful = citations.iter().any(|citation| citation.support == Support::Unsupported);
        if refused || finish != Finish::Stop || model.is_empty() || doubtful {
            return None;
        }
        let Origin { generation, trace_id, expires_at } = origin;
        let record = Record {
            v: VERSION,
            generation,
            expires_at,
            trace_id: trace_id.to_owned(),
            answer,
            sources,
            citations,
            suggestions: suggestions.to_vec(),
            model,
        };
        Some(Self { key, record })
    }
}

/// Where an answer comes from, and how long it is good.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Generation of the index.
    pub generation: u64,
    /// Of its question.
    pub trace_id: &'a str,
    /// Milliseconds since 1970.
    pub expires_at: u64,
}

/// What the answer to a question is kept under: 32 hexadecimal digits over all that it depends on but for
/// the generation. `None` for a question that is not the first of its conversation, that asks how its
/// answer came about, or where nothing is cached.
pub fn key(settings: &Settings, ask: &Ask) -> Option<String> {
    if settings.cache_seconds == 0 || ask.session.is_some() || ask.trace {
        return None;
    }
    let ids = |models: &[ChatModel]| models.iter().map(|model| model.id.clone()).collect::<Vec<_>>();
    // Of a page, its place on the site: its anchor and query do not change what is found.
    let page = ask.page.as_deref().map(|page| page.split(['?', '#']).next().unwrap_or_default());
    let all = json!([
        VERSION,
        env!("CARGO_PKG_VERSION"),
        prompt::fingerprint(),
        wording::essence(&ask.message),
        ask.filter,
        page,
        ask.model,
        settings.product,
        ids(&settings.models),
        settings.small_model.as_ref().map(|model| &model.id),
        settings.rerank_model,
        settings.tools.iter().map(Tool::declaration).collect::<Vec<_>>(),
        settings.top_k,
        settings.words_weight,
        settings.refuse_below,
        settings.max_tokens,
        settings.temperature,
    ]);
    let mut key = hex(&Sha256::digest(all.to_string()));
    key.truncate(32);
    Some(key)
}

/// The last few values, by text. In memory: an isolate that ends forgets them.
#[derive(Debug)]
pub struct Recent<V>(VecDeque<(String, V)>);

/// How many are remembered.
const RECENT: usize = 100;

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<V: Clone> Recent<V> {
    /// What was remembered of a text.
    pub fn get(&self, text: &str) -> Option<V> {
        self.0.iter().find(|(known, _)| known == text).map(|(_, value)| value.clone())
    }

    /// Remembers it, and forgets what was remembered first.
    pub fn put(&mut self, text: &str, value: V) {
        if self.get(text).is_some() {
            return;
        }
        if self.0.len() == RECENT {
            self.0.pop_front();
        }
        self.0.push_back((text.to_owned(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(more: &[(&str, &str)]) -> Settings {
        let all = [("SESSION_SECRET", "0123456789abcdef0123456789abcdef"), ("CACHE_SECONDS", "60")];
        let all: Vec<(&str, &str)> = more.iter().copied().chain(all).collect();
        Settings::parse(|name| all.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())).unwrap()
    }

    fn ask(body: &serde_json::Value) -> Ask {
        Ask::parse(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn everything_that_an_answer_depends_on_is_in_its_key() {
        let settings_of_all = settings(&[]);
        let of = |body: serde_json::Value| key(&settings_of_all, &ask(&body)).unwrap();
        let plain = of(json!({ "message": "How do I reset my password?" }));
        assert_eq!(plain, of(json!({ "message": "  how do I  reset my password " })));
        assert_eq!(
            of(json!({ "message": "q", "page": "https://d.example/a#b" })),
            of(json!({ "message": "q", "page": "https://d.example/a?c" }))
        );
        let different = [
            json!({ "message": "How do I reset his password?" }),
            json!({ "message": "How do I reset my password?", "filter": { "version": "2" } }),
            json!({ "message": "How do I reset my password?", "page": "https://d.example/a" }),
            json!({ "message": "How do I reset my password?", "model": "@cf/meta/llama-3.1-8b-instruct-fast" }),
        ];
        let mut keys: Vec<String> = different.into_iter().map(of).collect();
        for (name, value) in [
            ("TOP_K", "3"),
            ("PRODUCT", "x"),
            ("FALLBACK_MODELS", "@cf/a"),
            ("SMALL_MODEL", "@cf/a"),
            ("RERANK_MODEL", "@cf/a"),
            ("TEMPERATURE", "1"),
            ("MAX_TOKENS", "99"),
            ("REFUSE_BELOW", "0.5"),
            ("WORDS_WEIGHT", "0"),
        ] {
            let other = settings(&[(name, value)]);
            keys.push(key(&other, &ask(&json!({ "message": "How do I reset my password?" }))).unwrap());
        }
        keys.push(plain);
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);

        for body in [json!({ "message": "q", "session": "s" }), json!({ "message": "q", "trace": true })] {
            assert_eq!(key(&settings_of_all, &ask(&body)), None);
        }
        assert_eq!(key(&settings(&[("CACHE_SECONDS", "0")]), &ask(&json!({ "message": "q" }))), None);
    }

    #[test]
    fn a_record_is_good_for_its_generation_and_its_time() {
        let turn = Turn { answer: "yes".into(), model: "m".into(), finish: Finish::Stop, ..Turn::default() };
        let origin = Origin { generation: 3, trace_id: "t", expires_at: 100 };
        let record = Row::new("k".into(), &turn, &[], origin).unwrap().record;
        let golden = r#"{"v":1,"generation":3,"expires_at":100,"trace_id":"t","answer":"yes","sources":[],"citations":[],"suggestions":[],"model":"m"}"#;
        assert_eq!(serde_json::to_string(&record).unwrap(), golden, "what a Worker of before has kept");
        let again: Record = serde_json::from_str(golden).unwrap();
        assert!(again.is_good(3, 99));
        assert!(!again.is_good(3, 100) && !again.is_good(2, 99) && !again.is_good(4, 99));
        for bad in [
            Turn { refused: true, ..turn.clone() },
            Turn { finish: Finish::Length, ..turn.clone() },
            Turn { finish: Finish::Error, ..turn.clone() },
            Turn { model: String::new(), ..turn },
        ] {
            assert_eq!(Row::new("k".into(), &bad, &[], origin), None);
        }
    }
}
