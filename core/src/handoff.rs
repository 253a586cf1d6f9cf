//! The way to a person: who is shown it, and how a conversation is sent there.
//!
//! It is shown to a visitor who asks for it ([`escalation`]) or whose message is in a bad mood, where
//! the operator has set a way. Nothing is sent before the visitor says so; then it goes to the one
//! address of the settings, and twice is once.

use hmac::Mac as _;
use serde::{Deserialize, Serialize};

use crate::answer::{bad_session, persist};
use crate::embedding::hex;
use crate::error::{ApiError, Code};
use crate::escalation::{self, Asked};
use crate::feedback::Cited;
use crate::policy;
use crate::ports::{Fault, Handoffs, Host, Limit, Post, Posted, Sessions, log};
use crate::session::{self, MAX_TURNS, Turn};
use crate::settings::Settings;
use crate::upstream::{Call, Request, Route};
use crate::workers_ai::Labelled;

/// Raised whenever a reader of the transcript's form before would be misled.
pub const TRANSCRIPT_VERSION: u32 = 1;

/// Longest wait for the webhook, milliseconds, each time that it is tried.
const DELIVERY_MS: u64 = 5_000;

/// Longest contact, characters.
const MAX_CONTACT_CHARS: usize = 200;
/// Longest comment, characters.
const MAX_COMMENT_CHARS: usize = 2_000;
/// Longest address of a page, bytes, as that of a question.
const MAX_PAGE_BYTES: usize = 1_024;

/// Characters of a message that are classified, its last ones: a classifier reads 512 tokens, and a
/// complaint comes after what it is about.
const MAX_MOOD_CHARS: usize = 1_000;

/// Why a visitor is shown the way to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// It was asked for.
    Asked,
    /// The message is in a bad mood.
    Mood,
}

/// The way to a person, beside an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Handoff {
    /// Why it is there.
    pub why: Why,
    /// Where a person helps, as `SUPPORT_URL` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support_url: Option<String>,
    /// Whether the conversation can be sent to a person, by `POST /v1/handoff`.
    pub transcript: bool,
}

impl Handoff {
    /// The ways that the operator has set; `None` when there is none.
    pub fn new(settings: &Settings, why: Why) -> Option<Self> {
        let Settings { support_url, handoff_url, .. } = settings;
        let is_set = support_url.is_some() || handoff_url.is_some();
        is_set.then(|| Self { why, support_url: support_url.clone(), transcript: handoff_url.is_some() })
    }

    /// What is said to a visitor who asks for nothing but a person.
    pub fn sentence(&self) -> String {
        match (&self.support_url, self.transcript) {
            (Some(url), true) => {
                format!("A person can help you at {}. You can also send this conversation to a person.", link(url))
            }
            (Some(url), false) => format!("A person can help you at {}.", link(url)),
            (None, _) => "You can send this conversation to a person.".to_owned(),
        }
    }
}

/// An address as Markdown, without what would end it early.
fn link(url: &str) -> String {
    let text = url.strip_prefix("mailto:").unwrap_or(url);
    let text: String = text.split('?').next().unwrap_or_default().replace(['[', ']', '\\', '`', '*', '_', '<'], "");
    let address = url.replace('(', "%28").replace(')', "%29").replace(['<', '>', ' '], "");
    format!("[{text}]({address})")
}

/// Whether a message asks for a person; never where there is no way to one.
pub fn asked(settings: &Settings, message: &str) -> Option<Asked> {
    Handoff::new(settings, Why::Asked).and_then(|_| escalation::asked(message))
}

/// What of a message is classified: its end, without code, whose errors are no mood of the visitor's.
/// Empty when nothing else is in it.
pub fn prose(message: &str) -> String {
    let prose: String = message.split('`').step_by(2).collect();
    let from = prose.char_indices().rev().nth(MAX_MOOD_CHARS - 1).map_or(0, |(at, _)| at);
    prose.get(from..).unwrap_or_default().trim().to_owned()
}

/// The mood that a classifier found: from 0, bad, to 1, good, and the likeliest label. `None` when it
/// has no label that tells good from bad.
pub fn mood(labels: &[Labelled]) -> Option<(f64, &str)> {
    let score_of = |name: &str| {
        let found = labels.iter().find(|found| found.label.eq_ignore_ascii_case(name))?;
        Some(found.score).filter(|score| (0.0..=1.0).contains(score))
    };
    let score = score_of("positive").or_else(|| score_of("negative").map(|score| 1.0 - score))?;
    let likeliest = labels.iter().max_by(|a, b| a.score.total_cmp(&b.score))?;
    Some((score, &likeliest.label))
}

/// A wish to be handed over, as it comes in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    session: String,
    message_id: Option<String>,
    #[serde(default)]
    contact: String,
    #[serde(default)]
    comment: String,
    page: Option<String>,
}

/// A conversation for a person: what the webhook gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Transcript<'t> {
    /// [`TRANSCRIPT_VERSION`].
    v: u32,
    /// The same for the same wish, however often it comes.
    id: &'t str,
    /// The same for all wishes of a conversation. It opens nothing.
    conversation: &'t str,
    /// Milliseconds since 1970.
    sent_at: u64,
    product: &'t str,
    /// The answer that the visitor was looking at.
    message_id: Option<&'t str>,
    /// The page that the visitor was reading, as the client says.
    page: Option<&'t str>,
    contact: &'t str,
    comment: &'t str,
    /// Oldest first.
    turns: Vec<Said>,
}

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Said {
    message_id: String,
    /// Milliseconds since 1970.
    at: u64,
    question: String,
    answer: String,
    sources: Vec<Cited>,
    refused: bool,
}

/// Sends a conversation to a person, as its visitor wishes.
///
/// # Errors
/// What the client is told: the body makes no sense, the operator has set no address, the session is
/// not ours or has no such answer, or the address does not take it.
pub async fn send(
    ports: &(impl Sessions + Post + Handoffs + Host),
    settings: &Settings,
    body: &[u8],
    trace_id: &str,
) -> Result<(), ApiError> {
    let wish = Wish::parse(body)?;
    let Some(url) = settings.handoff_url.as_deref() else {
        return Err(ApiError::new(
            Code::Unprocessable,
            "this bot sends no conversations to a person; its operator can set HANDOFF_URL",
        ));
    };
    let now_ms = ports.now_ms();
    let session = session::verify(&settings.session_secret, &wish.session, now_ms / 1000).map_err(|_| bad_session())?;
    let turns = ports.turns(session, MAX_TURNS).await.map_err(|fault| {
        log(ports, trace_id, "read turns", &fault);
        policy::tell(&fault, now_ms)
    })?;
    let message_id = wish.message_id.as_deref();
    if message_id.is_some_and(|id| turns.iter().all(|turn| turn.id != id)) {
        let text = "this conversation has no such answer; one of just now may take a minute";
        return Err(ApiError::new(Code::NotFound, text));
    }
    let id = wish.id(&settings.session_secret, session, &turns);
    match ports.is_handed_over(&id).await {
        Ok(true) => return Ok(()),
        Ok(false) => {}
        // Who gets it twice has the same id twice; that is better than nothing.
        Err(fault) => log(ports, trace_id, "read handoff", &fault),
    }
    let transcript = Transcript {
        v: TRANSCRIPT_VERSION,
        id: &id,
        conversation: &pseudonym(&settings.session_secret, &["conversation", session]),
        sent_at: now_ms,
        product: &settings.product,
        message_id,
        page: wish.page.as_deref(),
        contact: &wish.contact,
        comment: &wish.comment,
        turns: turns.into_iter().map(Said::from).collect(),
    };
    let body = serde_json::to_string(&transcript)
        .map_err(|_| ApiError::new(Code::Internal, "the conversation could not be written down"))?;
    let mut headers = vec![("content-type", "application/json".to_owned()), ("idempotency-key", id.clone())];
    headers.extend(settings.handoff_key.as_deref().map(|key| ("authorization", format!("Bearer {key}"))));
    let request = Request { url: url.to_owned(), headers };
    // What it says beside its status means nothing.
    let limit = Limit { ms: DELIVERY_MS, bytes: 0 };
    let deliver = async |_: Call<'_>| match ports.post(&request, &body, limit).await {
        Ok(Posted { status: 200..300, .. }) => Ok(()),
        // Redirects included.
        Ok(Posted { status, .. }) => Err(Fault::Webhook { status, message: String::new() }),
        Err(message) => Err(Fault::Webhook { status: 0, message }),
    };
    persist(ports, Call { route: Route::Direct, step: "hand over", trace_id }, deliver).await?;
    if let Err(fault) = ports.note_handed_over(&id, settings.session_ttl_seconds).await {
        log(ports, trace_id, "note handoff", &fault);
    }
    Ok(())
}

/// KV key that says that a handoff went out.
pub fn key(id: &str) -> String {
    format!("handoff:{id}")
}

impl Wish {
    fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let mut wish: Self = serde_json::from_slice(body).map_err(|error| {
            ApiError::new(Code::BadRequest, format!("the body cannot be read as a handoff: {error}"))
        })?;
        for (name, text, most) in
            [("contact", &mut wish.contact, MAX_CONTACT_CHARS), ("comment", &mut wish.comment, MAX_COMMENT_CHARS)]
        {
            *text = text.trim().to_owned();
            if text.chars().count() > most {
                let text = format!("the {name} is longer than {most} characters: shorten it");
                return Err(ApiError::new(Code::Unprocessable, text));
            }
        }
        if wish.page.as_ref().is_some_and(|page| page.len() > MAX_PAGE_BYTES) {
            return Err(ApiError::new(Code::Unprocessable, format!("page is longer than {MAX_PAGE_BYTES} bytes")));
        }
        Ok(wish)
    }

    /// Another wish is one with other words in it, or of a conversation that has gone on.
    fn id(&self, secret: &str, session: &str, turns: &[Turn]) -> String {
        let last = turns.last().map_or("", |turn| turn.id.as_str());
        let message_id = self.message_id.as_deref().unwrap_or_default();
        pseudonym(secret, &["handoff", session, last, message_id, &self.contact, &self.comment])
    }
}

/// 32 hexadecimal characters that stand for these parts and do not tell them.
pub(crate) fn pseudonym(secret: &str, parts: &[&str]) -> String {
    let mut mac = session::mac(secret, "");
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part.as_bytes());
    }
    let mut id = hex(&mac.finalize().into_bytes());
    id.truncate(32);
    id
}

impl From<Turn> for Said {
    fn from(turn: Turn) -> Self {
        Self {
            message_id: turn.id,
            at: turn.at,
            question: turn.question,
            answer: turn.answer,
            sources: turn.sources.into_iter().map(Cited::from).collect(),
            refused: turn.refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(labels: &[(&str, f64)]) -> Vec<Labelled> {
        labels.iter().map(|(label, score)| Labelled { label: (*label).to_owned(), score: *score }).collect()
    }

    #[test]
    fn a_mood_is_read_from_labels_that_tell_good_from_bad() {
        let both = labelled(&[("NEGATIVE", 0.75), ("POSITIVE", 0.25)]);
        assert_eq!(mood(&both), Some((0.25, "NEGATIVE")));
        assert_eq!(mood(&both[..1]), Some((0.25, "NEGATIVE")));
        assert_eq!(mood(&labelled(&[("LABEL_1", 0.9)])), None);
        assert_eq!(mood(&labelled(&[("positive", f64::NAN)])), None);
        assert_eq!(mood(&[]), None);
    }

    #[test]
    fn code_is_no_mood_and_of_a_long_message_its_end_counts() {
        assert_eq!(prose("It says `fatal: broken` and\n```\nERROR\n```\nwhat now?"), "It says  and\n\nwhat now?");
        assert_eq!(prose("`panic`"), "");
        assert_eq!(prose(&format!("{}é", "x".repeat(2_000))).chars().count(), MAX_MOOD_CHARS);
        assert!(prose(&format!("{}é", "x".repeat(2_000))).ends_with('é'));
    }

    #[test]
    fn the_sentence_names_the_ways_that_there_are() {
        let said = |url: Option<&str>, transcript| {
            Handoff { why: Why::Asked, support_url: url.map(str::to_owned), transcript }.sentence()
        };
        let mail = said(Some("mailto:help@example.com?subject=Help"), false);
        assert_eq!(mail, "A person can help you at [help@example.com](mailto:help@example.com?subject=Help).");
        assert!(
            said(Some("https://www.example.com/a_(b)"), true)
                .contains("(https://www.example.com/a_%28b%29). You can also")
        );
        assert!(said(None, true).contains("send this conversation"));
    }

    #[test]
    fn the_same_wish_has_the_same_id_and_no_other_one() {
        let wish = |body: &str| Wish::parse(body.as_bytes()).unwrap().id("secret", "session", &[]);
        let one = wish(r#"{"session":"s","contact":" a ","comment":"bc"}"#);
        assert_eq!(one, wish(r#"{"session":"s","contact":"a","comment":"bc"}"#));
        assert_eq!(one.len(), 32);
        assert_ne!(one, wish(r#"{"session":"s","contact":"ab","comment":"c"}"#));
        assert_ne!(one, wish(r#"{"session":"s","contact":"a"}"#));
    }
}
