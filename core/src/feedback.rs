//! What visitors think of answers: read strictly, tied to an answer that this session really got, and
//! kept with what it was about, so that it can become a question of an evaluation.

use serde::{Deserialize, Serialize};

use crate::answer::bad_session;
use crate::api::Source;
use crate::error::{ApiError, Code};
use crate::policy;
use crate::ports::{Answers, Fault, Host, Opinions, Sessions, log};
use crate::session::{self, MAX_TURNS, Turn};
use crate::settings::Settings;

/// Most reasons of one rating.
const MAX_REASONS: usize = 10;
/// Longest reason, characters.
const MAX_REASON_CHARS: usize = 64;
/// Longest comment, characters.
const MAX_COMMENT_CHARS: usize = 2_000;

/// Keeps an [`Opinion`], given as JSON; a later one on the same answer takes its place. One parameter
/// carries all of it, since every value more is a call more into JavaScript.
pub const KEEP_SQL: &str = "INSERT OR REPLACE INTO feedback \
    (message_id, at, rating, reasons, comment, question, turns, answer, sources, refused, model) \
    SELECT ?1 ->> 'message_id', ?1 ->> 'at', ?1 ->> 'rating', ?1 -> 'reasons', ?1 ->> 'comment', ?1 ->> 'question', \
    ?1 -> 'turns', ?1 ->> 'answer', ?1 -> 'sources', ?1 ->> 'refused', ?1 ->> 'model'";

/// A rating as it comes in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rated {
    session: String,
    message_id: String,
    rating: Rating,
    #[serde(default)]
    reasons: Vec<String>,
    #[serde(default)]
    comment: String,
}

/// Whether an answer helped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rating {
    /// It did.
    Up,
    /// It did not.
    Down,
}

/// A rating with what it is about: a row of the table `feedback`, whose columns have these names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Opinion {
    /// Id of the answer.
    pub message_id: String,
    /// When it was rated, milliseconds since 1970.
    pub at: u64,
    /// Up or down.
    pub rating: Rating,
    /// Why, in a few words each.
    pub reasons: Vec<String>,
    /// Why, in the visitor's own words.
    pub comment: String,
    /// What was asked.
    pub question: String,
    /// What was asked before in the same conversation, oldest first, as far as the bot was reminded of it.
    pub turns: Vec<String>,
    /// What was answered.
    pub answer: String,
    /// What it could cite.
    pub sources: Vec<Cited>,
    /// Whether the documentation did not answer.
    pub refused: bool,
    /// Model that wrote it; empty when none did.
    pub model: String,
}

/// A page of a rated answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cited {
    /// The number in `[n]`.
    pub n: u32,
    /// Page title.
    pub title: String,
    /// Heading trail below the title.
    pub heading: String,
    /// Address with anchor.
    pub url: String,
}

/// Keeps a rating that a visitor sent.
///
/// # Errors
/// What the client is told: the body makes no sense, the session is not ours or has no such answer,
/// or there is nothing to keep it in.
pub async fn keep(
    ports: &(impl Sessions + Opinions + Answers + Host),
    settings: &Settings,
    body: &[u8],
    trace_id: &str,
) -> Result<(), ApiError> {
    let rated = Rated::parse(body)?;
    let now_ms = ports.now_ms();
    let session =
        session::verify(&settings.session_secret, &rated.session, now_ms / 1000).map_err(|_| bad_session())?;
    let failed = |step: &'static str| {
        move |fault: Fault| {
            log(ports, trace_id, step, &fault);
            tell(&fault, now_ms)
        }
    };
    let turns = ports.turns(session, MAX_TURNS).await.map_err(failed("read turns"))?;
    let is_bad = rated.rating == Rating::Down;
    let key = turns.iter().find(|turn| turn.id == rated.message_id).and_then(|turn| turn.cache_key.clone());
    let opinion = rated.of(turns, settings, now_ms).ok_or_else(|| {
        ApiError::new(Code::NotFound, "this conversation has no such answer; one of just now may take a minute")
    })?;
    ports.keep(&opinion).await.map_err(failed("keep feedback"))?;
    // What did not help one visitor is not given to the next.
    if let Some(key) = key.filter(|_| is_bad)
        && let Err(fault) = ports.forget_answer(&key).await
    {
        log(ports, trace_id, "forget answer", &fault);
    }
    Ok(())
}

fn tell(fault: &Fault, now_ms: u64) -> ApiError {
    match fault {
        Fault::NoBinding("CONTENT") => {
            ApiError::new(Code::NotFound, "this bot keeps no feedback: it has no CONTENT database")
        }
        Fault::D1(message) if message.contains("no such table") => ApiError::new(
            Code::NotReady,
            "this bot's database lacks the table for feedback; \
             its operator runs `npx wrangler d1 migrations apply CONTENT --remote`",
        ),
        _ => policy::tell(fault, now_ms),
    }
}

impl Rated {
    fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let rated: Self = serde_json::from_slice(body).map_err(|error| {
            ApiError::new(Code::BadRequest, format!("the body cannot be read as feedback: {error}"))
        })?;
        let longer = |text: &str, most: usize| text.chars().count() > most;
        if rated.reasons.len() > MAX_REASONS || rated.reasons.iter().any(|reason| longer(reason, MAX_REASON_CHARS)) {
            let text = format!("send at most {MAX_REASONS} reasons of {MAX_REASON_CHARS} characters");
            return Err(ApiError::new(Code::Unprocessable, text));
        }
        if longer(&rated.comment, MAX_COMMENT_CHARS) {
            let text = format!("the comment is longer than {MAX_COMMENT_CHARS} characters: shorten it");
            return Err(ApiError::new(Code::Unprocessable, text));
        }
        Ok(rated)
    }

    /// With the answer that it is about, of the turns of the session, oldest first. Of those before, it
    /// keeps what the bot was reminded of: that is all the answer can depend on, and a row stays small
    /// however long the conversation is.
    fn of(self, mut turns: Vec<Turn>, settings: &Settings, now_ms: u64) -> Option<Opinion> {
        let at = turns.iter().position(|turn| turn.id == self.message_id)?;
        let turn = turns.split_off(at).into_iter().next()?;
        let earlier = session::memory(&turns, settings.history_turns, settings.history_tokens);
        Some(Opinion {
            message_id: self.message_id,
            at: now_ms,
            rating: self.rating,
            reasons: self.reasons,
            comment: self.comment,
            question: turn.question,
            turns: earlier.into_iter().map(|exchange| exchange.question).collect(),
            answer: turn.answer,
            sources: turn.sources.into_iter().map(Cited::from).collect(),
            refused: turn.refused,
            model: turn.model,
        })
    }
}

impl From<Source> for Cited {
    fn from(source: Source) -> Self {
        Self { n: source.n, title: source.title, heading: source.heading, url: source.url }
    }
}
