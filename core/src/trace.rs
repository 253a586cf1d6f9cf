//! What happened on the way to an answer, step by step, for those who may see it: it tells what was
//! found and why, which visitors are not told. Each is kept for some days, for `docent why`.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::cost::Cost;
use crate::embedding::hex;
use crate::error::{ApiError, Code};
use crate::handoff::Why;
use crate::ports::{Fault, Host, Traces, log};
use crate::session;
use crate::tools::Called;
use crate::vectorize::Filter;
use crate::workers_ai::{ChatRequest, Usage};

/// Raised whenever a reader of the form before would be misled.
pub const TRACE_VERSION: u32 = 1;

/// The way to one answer. It knows nothing of who asked: no session, no address, no key.
///
/// A client gets it on request, and it is kept in D1 without the texts of its candidates, as JSON:
/// what an older version kept must stay readable, so fields are added with a default and never
/// renamed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Version of the form that is kept; [`TRACE_VERSION`].
    #[serde(default)]
    pub v: u32,
    /// Id that the client got, and the log has; see [`id`].
    #[serde(default)]
    pub trace_id: String,
    /// Id of the answer, which a rating names; empty when there is none.
    #[serde(default)]
    pub message_id: String,
    /// When it was asked, milliseconds since 1970.
    #[serde(default)]
    pub asked_at: u64,
    /// The question as it was asked.
    pub question: String,
    /// What was searched for: the question, and in a conversation also the question in its light.
    pub queries: Vec<String>,
    /// The exact filter of the search.
    #[serde(default)]
    pub filter: Filter,
    /// Generation of the index that was searched.
    pub generation: u64,
    /// Fingerprint of the index's embedding spec.
    pub spec: String,
    /// Everything that was found and is live, best first. The first ones were offered to the model.
    pub candidates: Vec<Candidate>,
    /// Candidates beyond those, which were left out of what is kept.
    #[serde(default)]
    pub left_out: usize,
    /// How sure it is that the documentation speaks of the question at all, 0 to 1; what refusing is
    /// decided by: with a reranker its best score, else see [`crate::retrieve::Evidence`], which the next
    /// two make up.
    pub evidence: f64,
    /// Best cosine with the question, alone or in the light of the one before it.
    #[serde(default)]
    pub cosine: f64,
    /// Share of the question's telling words that one of the first passages has.
    #[serde(default)]
    pub coverage: f64,
    /// The settings that decided.
    #[serde(default)]
    pub rules: Rules,
    /// Who refused, if anybody did.
    pub refused_by: Option<RefusedBy>,
    /// The call that wrote a follow-up question anew, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Rewrite>,
    /// The mood of the question, if it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mood: Option<Mood>,
    /// Why the visitor was shown the way to a person, if that was so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handoff: Option<Why>,
    /// Each call of a chat model, in order. All but the last one failed, or had a tool called.
    #[serde(default)]
    pub tries: Vec<Try>,
    /// Each call of a tool that a model asked for, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Called>,
    /// Model that answered; empty when none did.
    #[serde(default)]
    pub model: String,
    /// Tokens of the call that answered.
    #[serde(default)]
    pub usage: Usage,
    /// US dollars of all calls; null where a model of unknown price took part.
    #[serde(default)]
    pub cost_usd: Option<f64>,
    /// What that is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Whether the answer was given before and is given again.
    #[serde(default)]
    pub cached: bool,
    /// Trace id of the question that it was made for, then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_from: Option<String>,
    /// Numbers of the passages that the answer cites, the first one cited first.
    #[serde(default)]
    pub cited: Vec<u32>,
    /// Why there is no answer, or only the beginning of one, as the client was told.
    #[serde(default)]
    pub error: Option<Code>,
    /// Whether the visitor stopped the answer, so that there is only its beginning.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// How long the steps took.
    pub steps: Steps,
}

impl Trace {
    /// Of a question that failed before it was known what an answer might cite.
    pub fn unprepared(trace_id: String, question: String, asked_at: u64, now_ms: u64, error: Code) -> Self {
        let steps = Steps { answered_ms: now_ms.saturating_sub(asked_at), ..Steps::default() };
        Self { v: TRACE_VERSION, trace_id, question, asked_at, error: Some(error), steps, ..Self::default() }
    }

    /// Takes their numbers from the candidates that no model was offered.
    pub(crate) fn offer(&mut self, offered: usize) {
        let asked = !self.tries.is_empty();
        for candidate in &mut self.candidates {
            if candidate.n.is_some_and(|n| usize::try_from(n).map_or(true, |n| n > offered)) {
                candidate.n = None;
                candidate.dropped = asked.then_some(Dropped::Room);
            }
        }
    }
}

/// Settings that decide what is offered and what is refused, as they were.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// `TOP_K`.
    pub top_k: usize,
    /// `WORDS_WEIGHT`; 0 where words, 1 where vectors could not be searched.
    #[serde(default)]
    pub words_weight: f64,
    /// `CONTEXT_WEIGHT`.
    pub context_weight: f64,
    /// `REFUSE_BELOW`.
    pub refuse_below: f64,
    /// `RERANK_MODEL`; whether it answered, the candidates tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerank_model: Option<String>,
    /// Why the first model was the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routed: Option<RoutedBy>,
}

/// Why a model is asked before the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoutedBy {
    /// The request named it.
    Request,
    /// The question is simple, and `SMALL_MODEL` is set.
    Simple,
    /// It is the first of the settings.
    Order,
}

/// One chunk that was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Id of the chunk.
    pub id: String,
    /// Address with anchor.
    pub url: String,
    /// Page title.
    pub title: String,
    /// Heading trail below the title.
    pub heading: String,
    /// Markdown. Not kept: the table `chunk` has it under `id` as long as a generation holds it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Rank from 1 in the result list of each query, in the order of [`Trace::queries`]; null where
    /// that list does not have it.
    pub ranks: Vec<Option<u32>>,
    /// Cosine with each query, likewise.
    pub scores: Vec<Option<f64>>,
    /// Rank from 1 in what each query found by words; likewise.
    #[serde(default)]
    pub word_ranks: Vec<Option<u32>>,
    /// BM25 with each query, likewise; comparable within one list alone.
    #[serde(default)]
    pub word_scores: Vec<Option<f64>>,
    /// What each query says for it, which [`crate::retrieve::fuse`] adds up.
    #[serde(default)]
    pub shares: Vec<Shares>,
    /// The sum: what candidates are sorted by.
    #[serde(default)]
    pub relevance: f64,
    /// How well it answers by the reranker, 0 to 1; candidates that have it come first, in its order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reranked: Option<f64>,
    /// Number it was offered to the model under, the last time that one was asked; null when the
    /// prompt had no room for it, or no model was asked.
    pub n: Option<u32>,
    /// Why it was not offered to a model that was asked, or would not have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
    /// Whether it is of the page that the visitor reads.
    #[serde(default)]
    pub here: bool,
    /// Whether it is of the language and version of that page.
    #[serde(default)]
    pub kin: bool,
    /// BCP 47 language tag; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub lang: String,
    /// Product version; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Place in its document, from 0, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u32>,
}

/// What a query says for a chunk, as shares of the best that it found: 1 is the best.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// The chunk's cosine.
    pub vector: f64,
    /// The cosines of its page's best two chunks.
    pub page_vector: f64,
    /// The chunk's BM25.
    pub words: f64,
    /// The BM25 of its page's best two chunks.
    pub page_words: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde wants it so
fn is_zero(ms: &u64) -> bool {
    *ms == 0
}

impl Candidate {
    /// Best cosine with any of the queries.
    pub fn score(&self) -> f64 {
        self.scores.iter().flatten().copied().reduce(f64::max).unwrap_or(0.0)
    }
}

/// Why a candidate was not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dropped {
    /// `TOP_K` others came before it.
    Rank,
    /// It says what one before it says.
    Duplicate,
    /// Enough of its page came before it.
    Page,
    /// The prompt had no room left for it.
    Room,
}

/// One call of a chat model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Try {
    /// Model.
    pub model: String,
    /// How many passages it was offered.
    pub offered: usize,
    /// First 16 hexadecimal characters of the SHA-256 over all messages: equal prompts have equal ones.
    pub prompt: String,
    /// What went wrong; null when it answered.
    pub fault: Option<String>,
    /// Milliseconds from the arrival of the question until it was over.
    pub ended_ms: u64,
    /// Under which id an AI Gateway logged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_id: Option<String>,
    /// Tokens and their price; absent where the service did not say, as of a call that it refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

impl Try {
    pub(crate) fn new(
        request: &ChatRequest,
        model: &str,
        offered: usize,
        fault: Option<&Fault>,
        ended_ms: u64,
    ) -> Self {
        let mut prompt = Sha256::new();
        for message in &request.messages {
            prompt.update([message.role as u8]);
            // A length is four bytes in the Worker and eight elsewhere, unless said.
            prompt.update((message.content.len() as u64).to_le_bytes());
            prompt.update(&message.content);
            for call in &message.tool_calls {
                prompt.update(&call.function.name);
                prompt.update(&call.function.arguments);
            }
        }
        let mut prompt = hex(&prompt.finalize());
        prompt.truncate(16);
        let fault = fault.map(|fault| fault.to_string().chars().take(MAX_FAULT_CHARS).collect());
        Self { model: model.to_owned(), offered, prompt, fault, ended_ms, ..Self::default() }
    }
}

/// A call that writes a follow-up question anew; what it wrote is the second query.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrite {
    /// `REWRITE_MODEL`.
    pub model: String,
    /// Tokens of it.
    pub usage: Usage,
    /// Whether it wrote a question; else the second query is the question after the one before it.
    pub used: bool,
}

/// What `MOOD_MODEL` said of a question.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mood {
    /// `MOOD_MODEL`.
    pub model: String,
    /// From 0, bad, to 1, good.
    pub score: Option<f64>,
    /// The likeliest label.
    #[serde(default)]
    pub label: String,
    /// `MOOD_BELOW`.
    pub below: f64,
    /// Why there is no score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
}

/// Why a mood is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// The search was over before.
    Late,
    /// The model failed, or sent nothing that tells good from bad; the log says what.
    Failed,
}

/// Who refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedBy {
    /// The search found nothing.
    Search,
    /// The evidence was below `REFUSE_BELOW`.
    Threshold,
    /// The model said so, or a guardrail kept it from answering.
    Model,
}

/// Milliseconds from the arrival of the question until a step was done; 0 for one that was not taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps {
    /// Earlier turns were read.
    pub recalled_ms: u64,
    /// The queries were embedded, and the live generation known.
    pub embedded_ms: u64,
    /// The index was searched.
    pub searched_ms: u64,
    /// The mood was known, or could not be; beside the steps before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mood_ms: u64,
    /// The question was written anew, or could not be.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rewritten_ms: u64,
    /// The reranker answered or failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reranked_ms: u64,
    /// A model was asked, and the first word was passed on.
    pub first_word_ms: u64,
    /// The answer was complete.
    pub answered_ms: u64,
}

/// An id for a request: the time in 12 hexadecimal digits, and 20 characters of chance. So ids sort
/// by time, and a table of what happened needs no index beside its key: D1 counts a row written for
/// each.
pub fn id(now_ms: u64, chance: &str) -> String {
    format!("{now_ms:012x}{}", chance.get(12..).unwrap_or_default())
}

/// When the request of an [`id`] came, milliseconds since 1970; `None` for what is no such id.
pub fn time_of(id: &str) -> Option<u64> {
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(id.get(..12)?, 16).ok().filter(|_| is_id)
}

/// Numbers that a text cites, in the order of their first citation. What stands in code is no citation, and neither is an index,
/// `list[3]`.
pub(crate) fn cited(answer: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    for prose in answer.split('`').step_by(2) {
        let mut before = "";
        for piece in prose.split('[') {
            let is_index = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if let (false, Some((inside, _))) = (is_index, piece.split_once(']')) {
                for n in inside.split(',').filter_map(|n| n.trim().parse::<u32>().ok()) {
                    if !numbers.contains(&n) {
                        numbers.push(n);
                    }
                }
            }
            before = piece;
        }
    }
    numbers
}

/// Keeps a [`Kept::trace`]; one that is there already stays.
pub const KEEP_SQL: &str = "INSERT INTO trace (id, record) SELECT ?1 ->> 'trace_id', ?1 WHERE true \
    ON CONFLICT (id) DO NOTHING";

/// Deletes some of what is older than [`Kept::oldest`]. As many as ten for each that comes: the table
/// does not outgrow its days, and no single answer pays for what a busy day left behind.
pub const EXPIRE_SQL: &str = "DELETE FROM trace WHERE id IN (SELECT id FROM trace WHERE id < ?1 ORDER BY id LIMIT 10)";

/// Bytes that the candidates of a trace take at most when it is kept. Forty of ordinary length take
/// about 12,000.
const MAX_CANDIDATE_BYTES: usize = 48_000;
/// Longest text of a fault, characters.
const MAX_FAULT_CHARS: usize = 300;
/// Most calls of models that are kept, the last ones.
const MAX_TRIES: usize = 20;
const MS_PER_DAY: u64 = 24 * 60 * 60 * 1_000;

/// A trace in the form that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The trace as JSON, less than [`MAX_KEPT_BYTES`].
    pub trace: String,
    /// Lowest id that is not too old to be kept.
    pub oldest: String,
}

/// Most bytes of a kept trace: a question of 4,000 characters in the light of another one, in the
/// widest script, and everything else at its longest. An ordinary trace has about 4,000.
pub const MAX_KEPT_BYTES: usize = 256 * 1024;

impl Kept {
    /// `None` when traces are kept for no days at all.
    pub fn new(trace: &Trace, days: u64, now_ms: u64) -> Option<Self> {
        if days == 0 {
            return None;
        }
        let mut kept = trace.clone();
        kept.tries.drain(..kept.tries.len().saturating_sub(MAX_TRIES));
        let (mut room, mut whole) = (MAX_CANDIDATE_BYTES, 0);
        for candidate in &mut kept.candidates {
            candidate.text.clear();
            let Some(left) = room.checked_sub(serde_json::to_string(candidate).ok()?.len()) else { break };
            (room, whole) = (left, whole + 1);
        }
        kept.left_out = kept.candidates.len() - whole;
        kept.candidates.truncate(whole);
        let trace = serde_json::to_string(&kept).ok()?;
        Some(Self { trace, oldest: format!("{:012x}", now_ms.saturating_sub(days.saturating_mul(MS_PER_DAY))) })
    }
}

/// Keeps a trace where there is a database. It is called after the reader has the answer, and that it
/// fails is the operator's affair alone.
pub async fn keep(ports: &(impl Traces + Host), trace_id: &str, kept: Option<Kept>) {
    let Some(kept) = kept else { return };
    let result = ports.keep_trace(&kept).await;
    note(ports, trace_id, "keep trace", result);
}

/// Tells the operator that something could not be kept, and what helps if the database is of an older
/// version. Where there is none, nothing was to be kept.
pub(crate) fn note(ports: &impl Host, trace_id: &str, step: &str, result: Result<(), Fault>) {
    match result {
        Ok(()) | Err(Fault::NoBinding(_)) => {}
        Err(Fault::D1(message)) if message.contains("no such table") => {
            let advice = "run `npx wrangler d1 migrations apply CONTENT --remote`";
            log(ports, trace_id, step, &Fault::D1(format!("{message}; {advice}")));
        }
        Err(fault) => log(ports, trace_id, step, &fault),
    }
}

/// Lets a caller see a trace who sends the key as `Authorization: Bearer <key>`.
///
/// # Errors
/// `unauthorized`, also where no key is set: then nobody may.
pub fn admit(key: Option<&str>, authorization: Option<&str>) -> Result<(), ApiError> {
    let Some(key) = key else {
        return Err(ApiError::new(Code::Unauthorized, "this bot shows no traces; its operator can set TRACE_KEY"));
    };
    let given = authorization.and_then(|header| header.split_once(' '));
    match given {
        Some((scheme, given)) if scheme.eq_ignore_ascii_case("bearer") && session::same(key, given.trim()) => Ok(()),
        _ => Err(ApiError::new(
            Code::Unauthorized,
            "a trace is shown only to who sends the bot's TRACE_KEY, as `Authorization: Bearer <key>`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a trace looks like in the database, and whatever else has to be able to read it.
    const GOLDEN: &str = concat!(
        r#"{"v":1,"trace_id":"019a5f3b7c00aaaaaaaaaaaaaaaaaaaa","message_id":"m","asked_at":1762531212288,"#,
        r#""question":"q","queries":["q"],"filter":{"lang":"en"},"generation":3,"spec":"s","#,
        r#""candidates":[{"id":"c","url":"u#a","title":"t","heading":"h","ranks":[1],"scores":[0.5],"word_ranks":[],"word_scores":[],"shares":[],"relevance":0.0,"n":1,"here":false,"kin":false},"#,
        r#"{"id":"d","url":"v","title":"t","heading":"","ranks":[2],"scores":[0.25],"word_ranks":[],"word_scores":[],"shares":[],"relevance":0.0,"n":null,"dropped":"rank","here":true,"kin":false}],"#,
        r#""left_out":0,"evidence":0.5,"cosine":0.0,"coverage":0.0,"rules":{"top_k":1,"words_weight":0.0,"context_weight":1.0,"refuse_below":0.0},"refused_by":null,"#,
        r#""tries":[{"model":"m","offered":1,"prompt":"0123456789abcdef","fault":null,"ended_ms":9}],"model":"m","#,
        r#""usage":{"prompt_tokens":3,"completion_tokens":2},"cost_usd":null,"cached":false,"cited":[1],"error":null,"#,
        r#""steps":{"recalled_ms":0,"embedded_ms":1,"searched_ms":2,"first_word_ms":3,"answered_ms":9}}"#,
    );

    #[test]
    fn what_was_kept_stays_readable_and_holds_no_text() {
        let mut trace: Trace = serde_json::from_str(GOLDEN).unwrap();
        for candidate in &mut trace.candidates {
            candidate.text = "text".into();
        }
        let kept = Kept::new(&trace, 7, 7 * MS_PER_DAY + 255).unwrap();
        assert_eq!((kept.trace.as_str(), kept.oldest.as_str()), (GOLDEN, "0000000000ff"));
        assert_eq!(Kept::new(&trace, 0, u64::MAX), None);
        // As it was before traces were kept.
        let first = r#"{"question":"q","queries":["q"],"generation":1,"spec":"s","candidates":[],"evidence":0,
            "refused_by":"model","steps":{"recalled_ms":0,"embedded_ms":1,"searched_ms":2,"first_word_ms":0,"answered_ms":0}}"#;
        assert_eq!(serde_json::from_str::<Trace>(first).unwrap().refused_by, Some(RefusedBy::Model));
    }

    #[test]
    fn a_row_stays_small_whatever_was_asked_and_found() {
        let long = |chars: usize| "\u{1}".repeat(chars);
        let candidate = Candidate { url: long(2_000), title: long(2_000), text: long(10_000), ..Candidate::default() };
        let call = Try { model: long(60), fault: Some(long(MAX_FAULT_CHARS)), ..Try::default() };
        let trace = Trace {
            question: long(4_000),
            queries: vec![long(4_000), long(8_000)],
            filter: Filter { lang: Some(long(1_024)), version: Some(long(1_024)), product: Some(long(1_024)) },
            candidates: vec![candidate; 60],
            tries: vec![call; 60],
            ..Trace::default()
        };
        let kept = Kept::new(&trace, 1, 0).unwrap();
        assert!(kept.trace.len() < MAX_KEPT_BYTES, "{}", kept.trace.len());
        let read: Trace = serde_json::from_str(&kept.trace).unwrap();
        assert_eq!((read.candidates.len() + read.left_out, read.tries.len()), (60, MAX_TRIES));
        assert!(!read.candidates.is_empty());
    }

    #[test]
    fn ids_sort_by_time_and_tell_it() {
        let chance = "0123456789abcdef0123456789abcdef";
        let ids = [0, 255, 256, 1_795_274_407_709, 281_474_976_710_655].map(|ms| (ms, id(ms, chance)));
        assert!(ids.is_sorted_by(|(_, a), (_, b)| a < b));
        for (ms, id) in &ids {
            assert_eq!((id.len(), time_of(id)), (32, Some(*ms)), "{id}");
        }
        assert_eq!((time_of("abc"), time_of(&"x".repeat(32)), time_of(&"é".repeat(16))), (None, None, None));
    }

    #[test]
    fn what_stands_in_code_or_behind_a_word_is_no_citation() {
        let text = "Run it [2]. As `a [9]` and list[8] show [1, 3].\n\n```sh\necho [7]\n```\nAnd [2][4] [see](x) [n].";
        assert_eq!(cited(text), [2, 1, 3, 4]);
    }
}
