//! Conversations: the signed token that names one, the turns it consists of, and their keys in KV.
//!
//! Every turn has a key of its own, written once. KV has no transactions, keeps the last of two
//! writes and takes one write a second per key: with one key a session, a turn would be lost
//! whenever two arrive at once. Keys sort newest first, because KV lists in ascending order only.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::api::{Citation, Source};
use crate::cost::Cost;
use crate::embedding::hex;
use crate::prompt::Exchange;

/// Turns of a session that are read at once at most: what fits one bulk read of KV.
pub const MAX_TURNS: usize = 100;

/// Seconds for which it is known that an answer was stopped: the least that KV keeps anything. A Worker goes
/// on for half as long without a reader.
pub const STOP_SECONDS: u64 = 60;

/// Version of [`Turn`]'s stored form. A field that is added keeps it, if a turn without the field can be
/// read: Workers of before leave out what they do not know.
pub const TURN_VERSION: u32 = 1;

/// How an answer ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finish {
    /// The model said all.
    #[default]
    Stop,
    /// `MAX_TOKENS` cut it.
    Length,
    /// It broke off: the upstream failed in the middle, or its reader stopped it.
    Error,
}

/// A question and its answer, as stored. A promise to Workers already deployed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// [`TURN_VERSION`].
    pub v: u32,
    /// Message id of the answer.
    pub id: String,
    /// When the question came, milliseconds since 1970.
    pub at: u64,
    /// The question.
    pub question: String,
    /// The answer as the reader saw it.
    pub answer: String,
    /// What it could cite.
    pub sources: Vec<Source>,
    /// Each citation of each sentence, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub citations: Vec<Citation>,
    /// Whether the documentation did not answer.
    pub refused: bool,
    /// How it ended.
    pub finish: Finish,
    /// Model that wrote it; empty when none did.
    pub model: String,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// What its conversation had cost with it, as far as that was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_cost: Option<Cost>,
    /// What the answer is kept under to be given again; see [`crate::cache::key`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_key: Option<String>,
}

impl Turn {
    /// KV key under `session`.
    pub fn key(&self, session: &str) -> String {
        // 13 digits hold milliseconds until the year 2286.
        format!("{}{:013}:{}", prefix(session), 9_999_999_999_999_u64.saturating_sub(self.at), self.id)
    }
}

/// What all keys of a session begin with.
pub fn prefix(session: &str) -> String {
    format!("turn:{session}:")
}

/// KV key that says, by being there, that an answer of a session was stopped.
pub fn stop_key(session: &str, message_id: &str) -> String {
    format!("stop:{session}:{message_id}")
}

/// What a conversation has cost with its last turns, oldest first; `None` when none of them says it. A turn
/// that was not told what came before it says its own cost alone.
pub fn spent(turns: &[Turn]) -> Option<Cost> {
    if turns.is_empty() {
        return Some(Cost::NONE);
    }
    let known = turns.iter().rposition(|turn| turn.session_cost.is_some())?;
    let (before, after) = turns.split_at(known + 1);
    let until = before.last()?.session_cost?;
    after.iter().try_fold(until, |sum, turn| Some(sum + turn.cost?))
}

/// The exchanges that the model is reminded of: the newest whose estimated tokens fit, oldest
/// first. Answers that broke off are left out, since the model would take up their broken form.
pub fn memory(turns: &[Turn], max_turns: usize, max_tokens: u32) -> Vec<Exchange> {
    let mut left = max_tokens;
    let mut kept: Vec<Exchange> = turns
        .iter()
        .rev()
        .filter(|turn| turn.finish != Finish::Error)
        .take(max_turns)
        .map_while(|turn| {
            let tokens = crate::prompt::estimate_tokens(&turn.question) + crate::prompt::estimate_tokens(&turn.answer);
            left = left.checked_sub(tokens)?;
            Some(Exchange { question: turn.question.clone(), answer: turn.answer.clone() })
        })
        .collect();
    kept.reverse();
    kept
}

/// Why a token is not accepted. Not told to the client in this detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadToken {
    /// Not a token of ours, or signed with another secret.
    Forged,
    /// Its time is over.
    Expired,
}

/// The token for a session: `s1.<id>.<expiry, seconds since 1970>.<HMAC-SHA256>`.
pub fn mint(secret: &str, session: &str, expires_at_s: u64) -> String {
    let signed = format!("s1.{session}.{expires_at_s}");
    let mac = hex(&mac(secret, &signed).finalize().into_bytes());
    format!("{signed}.{mac}")
}

/// The session id in a token that we minted and that has not expired.
pub fn verify<'t>(secret: &str, token: &'t str, now_s: u64) -> Result<&'t str, BadToken> {
    let (signed, tag) = token.rsplit_once('.').ok_or(BadToken::Forged)?;
    let tag = unhex(tag).ok_or(BadToken::Forged)?;
    mac(secret, signed).verify_slice(&tag).map_err(|_| BadToken::Forged)?;
    let (session, expires_at) =
        signed.strip_prefix("s1.").and_then(|rest| rest.split_once('.')).ok_or(BadToken::Forged)?;
    let expires_at: u64 = expires_at.parse().map_err(|_| BadToken::Forged)?;
    if expires_at <= now_s { Err(BadToken::Expired) } else { Ok(session) }
}

/// Whether a secret was given. Takes the same time wherever the two differ.
pub(crate) fn same(secret: &str, given: &str) -> bool {
    mac(secret, given).verify_slice(&mac(secret, secret).finalize().into_bytes()).is_ok()
}

pub(crate) fn mac(secret: &str, signed: &str) -> Hmac<Sha256> {
    // HMAC takes keys of any length, so this cannot fail; were it to, an empty key would still not
    // equal the deployed one, and tokens would be refused rather than accepted.
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_bytes())
        .unwrap_or_else(|_| <Hmac<Sha256> as KeyInit>::new(&hmac::digest::Key::<Hmac<Sha256>>::default()));
    mac.update(signed.as_bytes());
    mac
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::Support;

    const SECRET: &str = "a secret of at least thirty-two characters";

    #[test]
    fn only_our_own_unexpired_tokens_name_a_session() {
        let token = mint(SECRET, "00ff", 1_000);
        assert_eq!(verify(SECRET, &token, 999), Ok("00ff"));
        assert_eq!(verify(SECRET, &token, 1_000), Err(BadToken::Expired));
        assert_eq!(verify("another secret", &token, 999), Err(BadToken::Forged));
        for forged in [
            "",
            ".",
            "s1.00ff.1000",
            "s1.00ff.1000.",
            &token.replace("1000", "9000"),
            &token.replace("00ff", "00fe"),
            &format!("{token}00"),
        ] {
            assert_eq!(verify(SECRET, forged, 999), Err(BadToken::Forged), "{forged}");
        }
    }

    fn turn(at: u64, question: &str, finish: Finish) -> Turn {
        Turn {
            v: TURN_VERSION,
            id: format!("m{at}"),
            at,
            question: question.into(),
            answer: "yes".into(),
            sources: vec![],
            citations: vec![],
            refused: false,
            finish,
            model: "m".into(),
            cost: None,
            session_cost: None,
            cache_key: None,
        }
    }

    #[test]
    fn keys_list_the_newest_turn_first() {
        let (older, newer) = (turn(999, "a", Finish::Stop), turn(1_000, "b", Finish::Stop));
        assert!(newer.key("s") < older.key("s"));
        assert!(newer.key("s").starts_with(&prefix("s")));
    }

    #[test]
    fn memory_is_the_newest_complete_turns_that_fit_oldest_first() {
        let turns = [
            turn(1, "one", Finish::Stop),
            turn(2, "two", Finish::Length),
            turn(3, "three", Finish::Error),
            turn(4, "four", Finish::Stop),
        ];
        let questions = |memory: Vec<Exchange>| memory.into_iter().map(|e| e.question).collect::<Vec<_>>();
        assert_eq!(questions(memory(&turns, 2, 1_000)), ["two", "four"]);
        assert_eq!(questions(memory(&turns, 9, 4)), ["four"]);
        assert!(memory(&turns, 9, 1).is_empty());
    }

    #[test]
    fn what_a_conversation_has_cost_goes_on_from_the_turn_that_knew_it() {
        let cost = |neurons| Some(Cost { neurons, ..Cost::NONE });
        let of =
            |own: f64, all: Option<f64>| Turn { cost: cost(own), session_cost: all.and_then(cost), ..Turn::default() };
        let neurons = |turns: &[Turn]| spent(turns).map(|cost| cost.neurons);
        assert_eq!(neurons(&[]), Some(0.0));
        assert_eq!(neurons(&[of(1.0, Some(5.0)), of(2.0, Some(7.0))]), Some(7.0));
        assert_eq!(neurons(&[of(1.0, Some(5.0)), of(2.0, None), of(3.0, None)]), Some(10.0));
        assert_eq!(neurons(&[of(2.0, None)]), None, "what came before is not known");
        assert_eq!(neurons(&[of(1.0, Some(5.0)), Turn::default()]), None, "of a turn of before costs were kept");
    }

    #[test]
    fn the_stored_form_of_a_turn_does_not_change_unnoticed() {
        let source = Source {
            n: 1,
            title: "T".into(),
            heading: "H".into(),
            url: "https://d.example/p#h".into(),
            snippet: "s".into(),
            score: 0.5,
            ..Source::default()
        };
        let turn = Turn { sources: vec![source], ..turn(7, "q", Finish::Stop) };
        let golden = r#"{"v":1,"id":"m7","at":7,"question":"q","answer":"yes","sources":[{"n":1,"title":"T","heading":"H","url":"https://d.example/p#h","snippet":"s","score":0.5}],"refused":false,"finish":"stop","model":"m"}"#;
        assert_eq!(serde_json::to_string(&turn).unwrap(), golden);
        assert_eq!(serde_json::from_str::<Turn>(golden).unwrap(), turn);

        let citation =
            Citation { n: 1, start: 0, end: 7, support: Support::Supported, share: 0.75, url: "/p#h:~:text=s".into() };
        let cited = Turn { citations: vec![citation], ..turn };
        let added = r#","citations":[{"n":1,"start":0,"end":7,"support":"supported","share":0.75,"url":"/p#h:~:text=s"}],"refused""#;
        let golden = golden.replace(r#","refused""#, added);
        assert_eq!(serde_json::to_string(&cited).unwrap(), golden);
        assert_eq!(serde_json::from_str::<Turn>(&golden).unwrap(), cited);

        let cost = Cost { usd: Some(0.5), neurons: 2.0, prompt_tokens: 3, completion_tokens: 4, ..Cost::NONE };
        let paid = Turn { cost: Some(cost), session_cost: Some(cost), cache_key: Some("k".into()), ..cited };
        let said = r#"{"usd":0.5,"neurons":2.0,"prompt_tokens":3,"completion_tokens":4,"embedded_tokens":0}"#;
        let added = format!(r#","model":"m","cost":{said},"session_cost":{said},"cache_key":"k"}}"#);
        let golden = golden.replace(r#","model":"m"}"#, &added);
        assert_eq!(serde_json::to_string(&paid).unwrap(), golden);
        assert_eq!(serde_json::from_str::<Turn>(&golden).unwrap(), paid);
    }
}
