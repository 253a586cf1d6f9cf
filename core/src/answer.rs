//! The question flow, in the order it happens.
//!
//! [`prepare`] ends when it is known what the answer may cite; a failure until then has an HTTP
//! status of its own. [`respond`] writes the answer to the reader as it comes and stores the turn.

use std::future::{pending, poll_fn};
use std::ops::Add as _;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use futures_util::future::{Either, join, join3, select, try_join};

use crate::api::{Answer, AnswerMetadata, Ask, Memory, Refusal, Source, StartMetadata, ToolUse, Unanswered};
use crate::cache::{self, Origin, Record, Row};
use crate::cost::Cost;
use crate::draft::{self, Draft, Reader, TEXT_ID};
use crate::embedding::SPEC;
use crate::error::{ApiError, Code};
use crate::escalation::Asked;
use crate::full_text::{self, Hit, Lookup, Queries};
use crate::generation::{self, Live};
use crate::handoff::{self, Handoff, Why};
use crate::models::{self, ChatModel, Runner};
use crate::policy::{self, MAX_RETRIES, Remedy};
use crate::ports::{Answers, ByteStream as _, Classify, Embed, Fault, Host, Ports, Rerank, Sessions, Traces, log};
use crate::prompt::{self, Exchange, Passage};
use crate::retrieve::{self, Found, Nearest};
use crate::session::{self, Finish, MAX_TURNS, TURN_VERSION, Turn};
use crate::settings::Settings;
use crate::sse::{CitedSource, Part, ToolStarted};
use crate::tools::{self, Asker, Calls, Outcome as Came, Tool};
use crate::trace::{
    self, Candidate, Kept, Mood, RefusedBy, Rewrite, RoutedBy, Rules, Steps, TRACE_VERSION, Trace, Try, Unknown,
};
use crate::upstream::{Call, Route};
use crate::vectorize::{Filter, QueryOptions};
use crate::workers_ai::{ChatRequest, Usage};

/// Longest wait for a search, milliseconds: far more than Vectorize and D1 take, far less than a reader
/// waits.
const SEARCH_MS: u64 = 3_000;

/// Longest wait for an answer of before, milliseconds. It is looked for while the question is embedded.
const CACHE_MS: u64 = 300;

/// Longest wait for a reranker, milliseconds: the answer is good without it.
const RERANK_MS: u64 = 2_000;

/// Longest wait for a follow-up question to be written anew, milliseconds, and its longest form, tokens.
const REWRITE_MS: u64 = 3_000;
const REWRITE_TOKENS: u32 = 128;

/// Longest label of a mood that is kept, characters.
const MAX_LABEL_CHARS: usize = 40;

/// A question with all that is needed to answer it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prepared {
    /// Goes into the log and to the client.
    pub trace_id: String,
    message_id: String,
    session: String,
    token: String,
    question: String,
    asked_at: u64,
    models: Vec<ChatModel>,
    recalled: Recalled,
    /// Of all calls until the answer.
    cost: Cost,
    /// What the answer is kept under.
    cache_key: Option<String>,
    /// The answer, if it was given before.
    given_before: Option<Record>,
    passages: Rc<[Passage]>,
    sources: Vec<Source>,
    /// `None` where nothing can be told.
    evidence: Option<f64>,
    /// The way to a person.
    handoff: Option<Handoff>,
    /// Whether that is all that was asked for, and hence the answer.
    only_handoff: bool,
    /// As far as the way has gone; with the texts of its candidates if it was asked for.
    trace: Box<Trace>,
    traced: bool,
}

/// What a conversation brings to its next question.
#[derive(Debug, Clone, Default, PartialEq)]
struct Recalled {
    /// What the model is reminded of.
    history: Vec<Exchange>,
    /// KV keys of the turns that the answer takes the place of.
    replaced: Vec<String>,
    memory: Memory,
    /// What it has cost, turns that are replaced included; `None` where that could not be read.
    spent: Option<Cost>,
}

/// How answering ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What was written, whole or broken off.
    pub turn: Turn,
    /// Metadata of the finish.
    pub metadata: AnswerMetadata,
    /// Why it broke off.
    pub error: Option<ApiError>,
    /// The way to it.
    pub trace: Box<Trace>,
    /// Whether the client asked for the way as well.
    pub traced: bool,
    /// What is left to do once the reader has the answer.
    pub afterwards: Afterwards,
}

/// What is kept of an answer that is over.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Afterwards {
    trace_id: String,
    trace: Option<Kept>,
    answer: Option<Row>,
}

impl Afterwards {
    /// Keeps it. That this fails is the operator's affair alone.
    pub async fn keep(self, ports: &(impl Traces + Answers + Host)) {
        if let Some(row) = self.answer {
            let result = ports.keep_answer(&row, ports.now_ms()).await;
            trace::note(ports, &self.trace_id, "keep answer", result);
        }
        trace::keep(ports, &self.trace_id, self.trace).await;
    }
}

/// Everything up to the first word: session, generation, search. Which generation is live is read
/// while the question is embedded, so that knowing it takes no time of its own.
///
/// # Errors
/// What the client is told, with its status; the log has the reason.
pub async fn prepare<P: Ports>(
    ports: &P,
    settings: &Settings,
    ask: Ask,
    trace_id: String,
) -> Result<Prepared, ApiError> {
    let asked_at = ports.now_ms();
    let session = open_session(ports, settings, ask.session.as_deref())?;
    let opened = Opened { trace_id, session, asked_at };
    let asked = handoff::asked(settings, &ask.message);
    if asked == Some(Asked::Alone) {
        return Ok(point_to_person(ports, settings, &ask, opened).await);
    }
    // Who asks for a person is shown the way in any mood.
    let (model, text) = match &settings.mood_model {
        Some(model) if asked.is_none() => (Some(model.as_str()), handoff::prose(&ask.message)),
        _ => (None, String::new()),
    };
    let model = model.filter(|_| !text.is_empty());
    let trace_id = opened.trace_id.clone();
    let feel = async {
        let model = model?;
        let mood = feel(ports, settings, model, &text, &trace_id).await;
        Some((mood, ports.now_ms().saturating_sub(asked_at)))
    };
    // An answer never waits for a mood: what is not known when the pages are, is not known.
    let (prepared, mood) = beside(pin!(look_up(ports, settings, ask, opened)), pin!(feel)).await;
    let mood = mood.unwrap_or_else(|| model.map(|model| too_late(ports, settings, model, &trace_id, asked_at)));
    let mut prepared = prepared?;
    let (mood, mood_ms) = mood.unzip();
    let is_bad = |mood: &Mood| mood.score.is_some_and(|score| score < mood.below);
    let why = asked.map(|_| Why::Asked).or_else(|| mood.as_ref().filter(|mood| is_bad(mood)).map(|_| Why::Mood));
    prepared.handoff = why.and_then(|why| Handoff::new(settings, why));
    (prepared.trace.handoff, prepared.trace.mood) = (why, mood);
    prepared.trace.steps.mood_ms = mood_ms.unwrap_or_default();
    Ok(prepared)
}

/// What the first gives, and what the second has given by then.
async fn beside<A, B>(
    mut first: Pin<&mut impl Future<Output = A>>,
    mut second: Pin<&mut impl Future<Output = B>>,
) -> (A, Option<B>) {
    let mut given = None;
    // Each is polled in one place: the first is most of the Worker, and would be in it twice.
    poll_fn(|context| {
        if given.is_none()
            && let Poll::Ready(output) = second.as_mut().poll(context)
        {
            given = Some(output);
        }
        first.as_mut().poll(context).map(|output| (output, given.take()))
    })
    .await
}

/// A question whose conversation is open.
struct Opened {
    trace_id: String,
    session: String,
    asked_at: u64,
}

impl Opened {
    /// What is known of every question, whatever becomes of it.
    fn begin(self, ports: &impl Host, settings: &Settings, ask: &Ask) -> Prepared {
        let Self { trace_id, session, asked_at } = self;
        let message_id = ports.unique_id();
        let expires_at_s = asked_at / 1000 + settings.session_ttl_seconds;
        let trace = Trace {
            v: TRACE_VERSION,
            trace_id: trace_id.clone(),
            message_id: message_id.clone(),
            asked_at,
            question: ask.message.clone(),
            filter: ask.filter.clone(),
            ..Trace::default()
        };
        Prepared {
            trace_id,
            message_id,
            token: session::mint(&settings.session_secret, &session, expires_at_s),
            session,
            question: ask.message.clone(),
            asked_at,
            trace: Box::new(trace),
            traced: ask.trace,
            ..Prepared::default()
        }
    }
}

/// The answer to who asks for a person and nothing else: nothing has to be searched or written for it,
/// so it comes also when search and models are down.
async fn point_to_person(ports: &impl Ports, settings: &Settings, ask: &Ask, opened: Opened) -> Prepared {
    let mut prepared = opened.begin(ports, settings, ask);
    prepared.trace.handoff = Some(Why::Asked);
    // Nothing is read of the conversation, unless a part of it is replaced.
    let recalled = match &ask.replaces {
        Some(_) => recall(ports, settings, ask, &prepared.session, &prepared.trace_id).await,
        None => Recalled { spent: ask.session.is_none().then_some(Cost::NONE), ..Recalled::default() },
    };
    Prepared { recalled, cost: Cost::NONE, handoff: Handoff::new(settings, Why::Asked), only_handoff: true, ..prepared }
}

/// The mood of a message, as a model reads it.
async fn feel(ports: &(impl Classify + Host), settings: &Settings, model: &str, text: &str, trace_id: &str) -> Mood {
    let below = settings.mood_below;
    let read = async |call: Call<'_>| {
        let labels = ports.classify(model, text, call).await?;
        let (score, label) = handoff::mood(&labels).ok_or_else(|| Fault::Unreadable {
            service: "Workers AI",
            message: format!("no label of {model} tells good from bad"),
        })?;
        Ok((score, label.chars().take(MAX_LABEL_CHARS).collect()))
    };
    match persist(ports, call(settings, trace_id, "mood"), read).await {
        Ok((score, label)) => Mood { model: model.to_owned(), score: Some(score), label, below, unknown: None },
        Err(_) => Mood { model: model.to_owned(), below, unknown: Some(Unknown::Failed), ..Mood::default() },
    }
}

/// A mood that was not known in time, and after how many milliseconds it was given up.
fn too_late(ports: &impl Host, settings: &Settings, model: &str, trace_id: &str, asked_at: u64) -> (Mood, u64) {
    let ms = ports.now_ms().saturating_sub(asked_at);
    log(ports, trace_id, "mood", &Fault::TimedOut { service: "the mood model", ms });
    let unknown = Some(Unknown::Late);
    (Mood { model: model.to_owned(), below: settings.mood_below, unknown, ..Mood::default() }, ms)
}

/// Finds what the answer may cite.
async fn look_up<P: Ports>(ports: &P, settings: &Settings, ask: Ask, opened: Opened) -> Result<Prepared, ApiError> {
    let asked = asked_for(settings, ask.model.as_deref())?;
    let mut known = opened.begin(ports, settings, &ask);
    let (trace_id, session, asked_at) = (known.trace_id.as_str(), known.session.as_str(), known.asked_at);
    let understand = async {
        let recalled = recall(ports, settings, &ask, session, trace_id).await;
        let history = &recalled.history;
        let recalled_ms = ports.now_ms().saturating_sub(asked_at);
        let mut queries = retrieve::queries(&ask.message, history);
        let rewrite = rewrite(ports, settings, history, &mut queries, trace_id).await;
        let rewritten_ms = rewrite.as_ref().map_or(0, |_| ports.now_ms().saturating_sub(asked_at));
        let (vectors, cost) = embed(ports, settings, &queries, trace_id).await?;
        let steps = Steps { recalled_ms, rewritten_ms, ..Steps::default() };
        Ok((recalled, queries, rewrite, vectors, cost, steps))
    };
    let cache_key = cache::key(settings, &ask);
    let ready = async { try_join(pin!(generation::live(ports, trace_id)), pin!(understand)).await };
    let (ready, given_before) = join(pin!(ready), pin!(given_before(ports, cache_key.as_deref(), trace_id))).await;
    let (live, (recalled, queries, rewrite, vectors, embedding, steps)) = ready?;
    let embedded_ms = ports.now_ms().saturating_sub(asked_at);
    let (models, routed) = in_turn(settings, asked, models::is_simple(&ask.message, &recalled.history));
    let mut trace = Box::new(Trace {
        queries,
        generation: live.record.generation,
        spec: live.record.spec.clone(),
        steps: Steps { embedded_ms, ..steps },
        rewrite,
        ..std::mem::take(&mut *known.trace)
    });
    let cost = embedding + rewriting(settings, trace.rewrite.as_ref());
    let known = Prepared { models, recalled, cost, cache_key, ..known };
    if let Some(record) = given_before.filter(|record| record.is_good(live.record.generation, ports.now_ms())) {
        (trace.cached, trace.cached_from) = (true, Some(record.trace_id.clone()));
        return Ok(Prepared { sources: record.sources.clone(), given_before: Some(record), trace, ..known });
    }
    let found = search(ports, settings, &live, &trace.queries, &vectors, &trace.filter, &known.trace_id).await?;
    trace.steps.searched_ms = ports.now_ms().saturating_sub(asked_at);
    let weights = retrieve::weights(&found, settings.words_weight, settings.context_weight);
    let mut candidates = retrieve::gather(found, ask.page.as_deref());
    retrieve::fuse(&mut candidates, weights);
    let evidence = retrieve::evidence(&trace.queries, &candidates);
    let (reranked, reranking) = rerank(ports, settings, &trace.queries, &mut candidates, &known.trace_id).await;
    trace.steps.reranked_ms = settings.rerank_model.as_ref().map_or(0, |_| ports.now_ms().saturating_sub(asked_at));
    // What a reranker says is worth more than what was known before it. REFUSE_BELOW is of its scale then,
    // and says nothing of another one.
    let sure = if settings.rerank_model.is_some() { reranked } else { Some(evidence.total()) };
    let passages = retrieve::passages(&mut candidates, settings.top_k);
    // The passages have their texts; the trace needs them only for those who asked for it.
    if !ask.trace {
        for candidate in &mut candidates {
            candidate.text.clear();
        }
    }
    trace.candidates = candidates;
    trace.evidence = sure.unwrap_or_default();
    (trace.cosine, trace.coverage) = (evidence.cosine, evidence.coverage);
    trace.rules = Rules {
        top_k: settings.top_k,
        words_weight: weights.words,
        context_weight: weights.context,
        refuse_below: settings.refuse_below,
        rerank_model: settings.rerank_model.clone(),
        routed: Some(routed),
    };
    Ok(Prepared {
        cost: known.cost + reranking,
        sources: passages.iter().map(retrieve::source).collect(),
        passages: passages.into(),
        evidence: sure,
        trace,
        ..known
    })
}

/// Writes the answer: start, sources, text as it comes, end; stores the turn before the finish, so
/// that the finish can say whether it was kept.
pub async fn respond<P: Ports>(
    ports: &P,
    settings: &Settings,
    mut prepared: Prepared,
    reader: &mut dyn Reader,
) -> Outcome {
    send_opening(&prepared, reader);
    let mut draft = Draft::new(settings.max_tokens, Rc::clone(&prepared.passages));
    let given_before = prepared.given_before.take();
    let suggestions = given_before.as_ref().map(|record| record.suggestions.clone());
    let unasked = if given_before.is_some() { None } else { prepared.refused_by(settings.refuse_below) };
    let mut first_word_at = None;
    let mut way = Way::default();
    let written = if let Some(handoff) = prepared.handoff.as_ref().filter(|_| prepared.only_handoff) {
        draft.say(&handoff.sentence(), reader);
        Ok(())
    } else if let Some(record) = given_before {
        draft.repeat(record, reader);
        Ok(())
    } else if unasked.is_some() && settings.tools.is_empty() {
        draft.refuse(reader);
        Ok(())
    } else {
        let mut reader = Timed { reader, host: ports, first_word_at: &mut first_word_at, is_held: false };
        write(ports, settings, &prepared, unasked.is_none(), &mut draft, &mut way, &mut reader).await
    };
    draft.end(reader);
    let since = |time: u64| time.saturating_sub(prepared.asked_at);
    prepared.trace.steps.first_word_ms = first_word_at.map_or(0, since);
    prepared.trace.steps.answered_ms = since(ports.now_ms());
    prepared.trace.refused_by = if draft.refused { unasked.or(Some(RefusedBy::Model)) } else { None };
    (prepared.trace.tries, prepared.trace.calls) = (way.tries, way.calls.made);
    prepared.trace.offer(draft.offered);
    let started = draft.started;
    prepared.trace.stopped = written == Err(Fault::Stopped);
    let failure = written.err().filter(|fault| *fault != Fault::Stopped);
    let error = failure.map(|fault| policy::tell(&fault, ports.now_ms()));
    let mut outcome = store(ports, settings, prepared, draft, suggestions, error).await;
    send_closing(&outcome, started, reader);
    outcome.afterwards = afterwards(settings, &outcome, ports.now_ms());
    outcome
}

/// What is kept once the reader has the answer.
fn afterwards(settings: &Settings, outcome: &Outcome, now_ms: u64) -> Afterwards {
    let Outcome { turn, metadata, trace, .. } = outcome;
    // One that was given again stays as it is, and goes when it is too old; one that a tool took part in
    // is about one visitor, or about now.
    let key = turn.cache_key.clone().filter(|_| !metadata.cached && trace.calls.is_empty());
    let origin = Origin {
        generation: trace.generation,
        trace_id: &trace.trace_id,
        expires_at: now_ms + settings.cache_seconds * 1_000,
    };
    Afterwards {
        trace_id: trace.trace_id.clone(),
        trace: Kept::new(trace, settings.trace_days, now_ms),
        answer: key.and_then(|key| Row::new(key, turn, &metadata.suggestions, origin)),
    }
}

impl Prepared {
    /// Who refuses before a model is asked. Without evidence that the documentation speaks of the
    /// question at all, a model has nothing to answer from, and might answer all the same.
    fn refused_by(&self, refuse_below: f64) -> Option<RefusedBy> {
        if self.only_handoff {
            return None;
        }
        if self.passages.is_empty() {
            return Some(RefusedBy::Search);
        }
        let is_unsure = refuse_below > 0.0 && self.evidence.is_some_and(|evidence| evidence < refuse_below);
        is_unsure.then_some(RefusedBy::Threshold)
    }

    /// What the answer may cite, for an error that comes with the pages all the same.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// How its passages were found.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Token that the client gets.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl Outcome {
    /// The answer in one piece, or why there is none.
    ///
    /// # Errors
    /// The answer broke off; the reader gets what there is.
    pub fn into_answer(self, token: String, trace_id: String) -> Result<Answer, Box<Unanswered>> {
        let trace = self.traced.then_some(*self.trace);
        match self.error {
            Some(error) => Err(Box::new(Unanswered { error, sources: self.turn.sources, trace })),
            None => Ok(Answer {
                session: token,
                message_id: self.turn.id,
                answer: self.turn.answer,
                sources: self.turn.sources,
                citations: self.turn.citations,
                finish_reason: finish_reason(self.turn.finish),
                trace_id,
                metadata: self.metadata,
                trace,
            }),
        }
    }
}

/// The model that a request names.
fn asked_for<'s>(settings: &'s Settings, id: Option<&str>) -> Result<Option<&'s ChatModel>, ApiError> {
    let Some(id) = id else { return Ok(None) };
    let asked = settings.offered().find(|model| model.id == id).ok_or_else(|| {
        let offered: Vec<&str> = settings.offered().map(|model| model.id.as_str()).collect();
        let text = format!("this bot does not offer that model; it offers {}", offered.join(", "));
        ApiError::new(Code::Unprocessable, text)
    });
    asked.map(Some)
}

/// The models to try: the one that was asked for, or that fits the question, then the others.
fn in_turn(settings: &Settings, asked: Option<&ChatModel>, is_simple: bool) -> (Vec<ChatModel>, RoutedBy) {
    let small = settings.small_model.as_ref().filter(|_| is_simple);
    let (first, routed) = match (asked, small) {
        (Some(asked), _) => (Some(asked), RoutedBy::Request),
        (None, Some(small)) => (Some(small), RoutedBy::Simple),
        (None, None) => (None, RoutedBy::Order),
    };
    let others = settings.offered().filter(|model| first.is_none_or(|first| first.id != model.id));
    (first.into_iter().chain(others).cloned().collect(), routed)
}

/// The session that the token names, or a new one.
fn open_session(ports: &impl Host, settings: &Settings, token: Option<&str>) -> Result<String, ApiError> {
    let Some(token) = token else { return Ok(ports.unique_id()) };
    session::verify(&settings.session_secret, token, ports.now_ms() / 1000)
        .map(str::to_owned)
        .map_err(|_| bad_session())
}

/// What a client with an unusable token is told.
pub fn bad_session() -> ApiError {
    ApiError::new(Code::BadSession, "this conversation is unknown or has expired: ask again without a session")
}

/// The turns of before, and what they cost. When the store fails, the answer knows none, and takes the place
/// of none.
async fn recall(ports: &impl Ports, settings: &Settings, ask: &Ask, session: &str, trace_id: &str) -> Recalled {
    if ask.session.is_none() {
        return Recalled { spent: Some(Cost::NONE), ..Recalled::default() };
    }
    // What is replaced may lie further back than what the model is reminded of.
    let limit = if ask.replaces.is_some() { MAX_TURNS } else { settings.history_turns };
    if limit == 0 {
        return Recalled::default();
    }
    match ports.turns(session, limit).await {
        Ok(turns) => {
            let is_replaced = |turn: &Turn| ask.replaces.as_ref() == Some(&turn.id);
            let (before, replaced) = turns.split_at(turns.iter().position(is_replaced).unwrap_or(turns.len()));
            Recalled {
                history: session::memory(before, settings.history_turns, settings.history_tokens),
                replaced: replaced.iter().map(|turn| turn.key(session)).collect(),
                memory: Memory::Kept,
                spent: session::spent(&turns),
            }
        }
        Err(fault) => {
            log(ports, trace_id, "read turns", &fault);
            Recalled { memory: Memory::Unavailable, ..Recalled::default() }
        }
    }
}

/// What writing the question anew cost.
fn rewriting(settings: &Settings, rewrite: Option<&Rewrite>) -> Cost {
    settings.rewrite_model.as_ref().zip(rewrite).map_or(Cost::NONE, |(model, rewrite)| Cost::chat(model, rewrite.usage))
}

/// Has a follow-up question written so that it stands by itself, where a model is set for that: it takes
/// the place of the question after the one before it. When that comes to nothing, that one stays.
async fn rewrite<P: Ports>(
    ports: &P,
    settings: &Settings,
    history: &[Exchange],
    queries: &mut [String],
    trace_id: &str,
) -> Option<Rewrite> {
    let model = settings.rewrite_model.as_ref()?;
    let [question, in_context] = queries else { return None };
    let messages = prompt::compose_rewriting(history, question);
    let request =
        ChatRequest { messages, stream: true, max_tokens: REWRITE_TOKENS, temperature: 0.0, tools: Vec::new() };
    let ask = async |call: Call<'_>| draft::read_whole(ports.generate(model, &request, call).await?).await;
    let call = pin!(persist(ports, call(settings, trace_id, "rewrite"), ask));
    let (text, usage) = bounded(ports, "the rewriting model", REWRITE_MS, trace_id, call).await.unwrap_or_default();
    let written = prompt::read_rewritten(&text);
    let used = written.is_some();
    if let Some(written) = written {
        *in_context = written;
    }
    Some(Rewrite { model: model.id.clone(), usage, used })
}

/// The answer that lies under a key, if there is one and it comes in time.
async fn given_before(ports: &(impl Answers + Host), key: Option<&str>, trace_id: &str) -> Option<Record> {
    let key = key?;
    let find = async |_: Call<'_>| match ports.find_answer(key).await {
        Err(Fault::NoBinding(_)) => Ok(None),
        found => found,
    };
    let call = Call { route: Route::Direct, step: "find answer", trace_id };
    // Without it the question is answered as ever.
    bounded(ports, "D1", CACHE_MS, trace_id, pin!(persist(ports, call, find))).await.ok().flatten()
}

/// A vector for each query: those that are not remembered are made in one call, which is what it costs.
async fn embed<P: Ports>(
    ports: &P,
    settings: &Settings,
    queries: &[String],
    trace_id: &str,
) -> Result<(Vec<<P as Embed>::Vector>, Cost), ApiError> {
    let texts: Vec<String> = queries.iter().map(|query| format!("{}{query}", SPEC.query_instruction)).collect();
    let remembers = settings.cache_seconds > 0;
    let known = |text: &String| remembers.then(|| ports.known_vector(text)).flatten();
    let known: Vec<Option<<P as Embed>::Vector>> = texts.iter().map(known).collect();
    let new: Vec<&str> =
        texts.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(text, _)| text.as_str()).collect();
    if new.is_empty() {
        return Ok((known.into_iter().flatten().collect(), Cost::NONE));
    }
    let embed = async |call: Call<'_>| ports.embed(&new, call).await;
    let made = persist(ports, call(settings, trace_id, "embed"), embed).await?;
    if remembers {
        new.iter().zip(&made).for_each(|(text, vector)| ports.remember_vector(text, vector));
    }
    let mut made = made.into_iter();
    let vectors = known.into_iter().filter_map(|known| known.or_else(|| made.next())).collect();
    Ok((vectors, Cost::embedding(new)))
}

/// What the live generation holds for each query: by vectors and by words, searched side by side. One
/// of the two is enough to answer from; without D1 there is only the first.
async fn search<P: Ports>(
    ports: &P,
    settings: &Settings,
    live: &Live,
    queries: &[String],
    vectors: &[<P as Embed>::Vector],
    filter: &Filter,
    trace_id: &str,
) -> Result<Vec<Found>, ApiError> {
    let options = |top_k: usize, return_metadata: &'static str| {
        let filter = filter.clone().up_to(live.record.generation);
        QueryOptions { top_k, return_metadata, filter }
    };
    let with_text = options(retrieve::NEAREST_WITH_TEXT, "all");
    let by_id = options(retrieve::NEAREST, "none");
    let looked_up: Vec<Queries> = queries.iter().map(|query| full_text::queries(query)).collect();
    let lookup = Lookup {
        generation: live.record.generation,
        filter: filter.clone(),
        limit: retrieve::BY_WORDS,
        texts: retrieve::BY_WORDS_WITH_TEXT,
    };
    let nearest = async |options: &QueryOptions| {
        let find = async |_: Call<'_>| ports.search(vectors, options).await;
        let call = Call { route: Route::Direct, step: "search", trace_id };
        bounded(ports, "Vectorize", SEARCH_MS, trace_id, pin!(persist(ports, call, find))).await
    };
    let words = async {
        if settings.words_weight == 0.0 {
            return Ok(None);
        }
        let find = async |_: Call<'_>| match ports.lookup(&looked_up, &lookup).await {
            Err(Fault::NoBinding(_)) => Ok(None),
            found => found.map(Some),
        };
        let call = Call { route: Route::Direct, step: "look words up", trace_id };
        bounded(ports, "D1", SEARCH_MS, trace_id, pin!(persist(ports, call, find))).await
    };
    let (with_text, by_id, words) = join3(pin!(nearest(&with_text)), pin!(nearest(&by_id)), pin!(words)).await;
    let words = words.ok().flatten();
    let is_found = |lists: &Vec<Vec<Hit>>| lists.iter().any(|list| !list.is_empty());
    let nearest = match (with_text, by_id) {
        // A binding that is missing is the operator's mistake, and would never be noticed.
        (Err(error), _) if error.code == Code::NotReady || !words.as_ref().is_some_and(is_found) => {
            return Err(error);
        }
        // Ids without texts would find nothing that can be shown, and that nobody knows would be a lie.
        (Err(_), _) => None,
        (Ok(with_text), by_id) => Some(Nearest { with_text, by_id: by_id.unwrap_or_default() }),
    };
    Ok(retrieve::found(queries.len(), nearest, words, &live.retired))
}

/// Lets the reranker put the best candidates in order, if there is one. The best score; when it fails, all
/// stays as it was found. And what the call costs, if it was answered.
async fn rerank(
    ports: &(impl Rerank + Host),
    settings: &Settings,
    queries: &[String],
    candidates: &mut [Candidate],
    trace_id: &str,
) -> (Option<f64>, Cost) {
    let Some(model) = settings.rerank_model.as_deref() else { return (None, Cost::NONE) };
    if candidates.is_empty() {
        return (Some(0.0), Cost::NONE);
    }
    let request = retrieve::rerank_request(queries, candidates);
    let ask = async |call: Call<'_>| ports.rerank(model, &request, call).await;
    let call = pin!(persist(ports, call(settings, trace_id, "rerank"), ask));
    match bounded(ports, "the reranker", RERANK_MS, trace_id, call).await {
        Ok(ranked) => (retrieve::rerank(candidates, &ranked), Cost::reranking(&request)),
        Err(_) => (None, Cost::NONE),
    }
}

/// What a call gives, if that comes in time: a search that hangs must not keep the other waiting.
async fn bounded<T>(
    ports: &impl Host,
    service: &'static str,
    ms: u64,
    trace_id: &str,
    call: impl Future<Output = Result<T, ApiError>> + Unpin,
) -> Result<T, ApiError> {
    match select(call, pin!(ports.sleep(ms))).await {
        Either::Left((result, _)) => result,
        Either::Right(((), _)) => {
            let late = Fault::TimedOut { service, ms };
            log(ports, trace_id, "wait", &late);
            Err(policy::tell(&late, ports.now_ms()))
        }
    }
}

/// A call of Workers AI, the way that the settings have it.
fn call<'s>(settings: &'s Settings, trace_id: &'s str, step: &'static str) -> Call<'s> {
    Call { route: settings.gateway.as_ref().map_or(Route::Direct, Route::Gateway), step, trace_id }
}

/// A call of the model that answers, the way to where it runs.
fn call_of<'s>(settings: &'s Settings, trace_id: &'s str, model: &ChatModel) -> Call<'s> {
    let call = call(settings, trace_id, "answer");
    match (model.runner, &settings.provider) {
        (Runner::Provider, Some(provider)) => Call { route: Route::Provider(provider), ..call },
        _ => call,
    }
}

/// Makes a call, and makes it again as far as the error table says that this may help.
pub(crate) async fn persist<T>(
    ports: &impl Host,
    mut call: Call<'_>,
    make: impl AsyncFn(Call<'_>) -> Result<T, Fault>,
) -> Result<T, ApiError> {
    let mut retries = 0;
    loop {
        let fault = match make(call).await {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        };
        log(ports, call.trace_id, call.step, &fault);
        match policy::remedy(&fault) {
            Remedy::Retry if retries < MAX_RETRIES => pause(ports, &mut retries).await,
            Remedy::WithoutGateway if call.route != Route::Direct => call.route = Route::Direct,
            _ => return Err(policy::tell(&fault, ports.now_ms())),
        }
    }
}

async fn pause(ports: &impl Host, retries: &mut u32) {
    // The clock's lower bits are chance enough to keep Workers from retrying in step.
    ports.sleep(policy::backoff_ms(*retries, ports.now_ms())).await;
    *retries += 1;
}

fn send_opening(prepared: &Prepared, reader: &mut dyn Reader) {
    let model = prepared.models.first().map_or("", |model| &model.id);
    let mut parts = vec![Part::Start {
        message_id: &prepared.message_id,
        message_metadata: StartMetadata { session: &prepared.token, trace_id: &prepared.trace_id, model },
    }];
    parts.extend(prepared.sources.iter().map(Part::source));
    reader.send(&parts);
}

/// Asks model after model until one has answered, or has begun to and broke off. What a model wants to have
/// looked up is looked up, and it is asked again. Without pages, only that may lead to an answer. When the
/// reader stops it, nothing more is asked.
async fn write<P: Ports>(
    ports: &P,
    settings: &Settings,
    prepared: &Prepared,
    has_pages: bool,
    draft: &mut Draft,
    way: &mut Way,
    reader: &mut Timed<'_, P>,
) -> Result<(), Fault> {
    let mut models = prepared.models.iter();
    let Some(mut model) = models.next() else { return Ok(()) };
    let mut call = call_of(settings, &prepared.trace_id, model);
    let mut retries = 0;
    let mut shrunk = false;
    let mut shown = false;
    let mut stopped = pin!(stopped(ports, prepared, reader.left()));
    loop {
        let (request, used) = request(settings, prepared, model, has_pages, shrunk, &way.calls);
        let offered = prepared.sources.get(..used).unwrap_or_default();
        if shown {
            draft.go_on(&model.id, offered);
        } else {
            draft.begin(&model.id, offered);
        }
        if !request.tools.is_empty() {
            draft.callable = settings.tools.iter().map(|tool| tool.name.clone()).collect();
        }
        // Words that come from no page and no tool are read before anybody else reads them.
        reader.is_held = !has_pages && way.calls.made.is_empty();
        let mut log_id = None;
        let writing = async {
            let answer = ports.generate(model, &request, call).await?;
            log_id = answer.log_id();
            draft.relay(answer, reader).await
        };
        // What is not waited for any more is dropped, and with it the call of the model.
        let result = match select(stopped.as_mut(), pin!(writing)).await {
            Either::Left(((), _)) => Err(Fault::Stopped),
            Either::Right((result, _)) => result,
        };
        shown = draft.started && !reader.is_held;
        let ended_ms = ports.now_ms().saturating_sub(prepared.asked_at);
        let made = Try::new(&request, &model.id, used, result.as_ref().err(), ended_ms);
        let cost = (draft.usage != Usage::default()).then(|| Cost::chat(model, draft.usage));
        way.tries.push(Try { log_id, cost, ..made });
        let Err(fault) = result else {
            let wanted = draft.wanted.take();
            if wanted.is_empty() {
                settle(draft, reader);
                return Ok(());
            }
            for tool in settings.tools.iter().filter(|tool| wanted.iter().any(|call| call.function.name == tool.name)) {
                reader.reader.send(&[Part::DataDocentTool { data: ToolStarted { name: &tool.name } }]);
            }
            let asker = Asker { session: &prepared.session, trace_id: &prepared.trace_id };
            way.calls.make(ports, settings, asker, draft.text.clone(), wanted).await;
            if !has_pages && !shown && way.calls.all_failed() {
                reader.is_held = false;
                draft.begin("", &[]);
                draft.say(tools::FAILURE, reader);
                return Ok(());
            }
            (retries, shrunk) = (0, false);
            continue;
        };
        if fault != Fault::Stopped {
            log(ports, &prepared.trace_id, &model.id, &fault);
        }
        if std::mem::take(&mut reader.is_held) {
            // Nobody has read it, and nobody will.
            draft.begin("", &[]);
        }
        if shown {
            // Another answer cannot be put behind words that were shown.
            return Err(fault);
        }
        match policy::remedy(&fault) {
            Remedy::Retry if retries < MAX_RETRIES => pause(ports, &mut retries).await,
            Remedy::WithoutGateway if matches!(call.route, Route::Gateway(_)) => call.route = Route::Direct,
            Remedy::Shrink if !shrunk => shrunk = true,
            Remedy::Refuse => {
                draft.refuse(reader);
                return Ok(());
            }
            Remedy::None => return Err(fault),
            remedy => {
                let runner = model.runner;
                let elsewhere = matches!(remedy, Remedy::NextRunner | Remedy::WithoutGateway);
                let fits = |next: &&ChatModel| !elsewhere || next.runner != runner;
                let Some(next) = models.find(fits) else { return Err(fault) };
                model = next;
                call = call_of(settings, &prepared.trace_id, model);
                retries = 0;
                shrunk = false;
            }
        }
    }
}

/// Ends when the reader has stopped the answer; never when it has only left.
async fn stopped(ports: &(impl Sessions + Host), prepared: &Prepared, left: impl Future<Output = ()>) {
    left.await;
    match ports.is_stopped(&prepared.session, &prepared.message_id).await {
        Ok(true) => return,
        Ok(false) => {}
        Err(fault) => log(ports, &prepared.trace_id, "read stop", &fault),
    }
    pending::<()>().await;
}

/// Shows an answer that was held back if all it does is ask for what is missing; any other is of the model's
/// own knowledge, and refused.
fn settle<H: Host>(draft: &mut Draft, reader: &mut Timed<'_, H>) {
    if !std::mem::take(&mut reader.is_held) {
        return;
    }
    if tools::asks_back(&draft.text) {
        draft.release(reader);
    } else {
        draft.begin("", &[]);
        draft.refuse(reader);
    }
}

/// The chat call for a model, and how many passages fit it. Shrunk: without history, and with half
/// of the passages.
fn request(
    settings: &Settings,
    prepared: &Prepared,
    model: &ChatModel,
    has_pages: bool,
    shrunk: bool,
    calls: &Calls,
) -> (ChatRequest, usize) {
    let tools: Vec<_> =
        if calls.are_offered(settings) { settings.tools.iter().map(Tool::declaration).collect() } else { Vec::new() };
    let declared = tools.iter().map(|tool| prompt::estimate_tokens(&tool.to_string()));
    let said = calls.said.iter().map(|message| prompt::estimate_tokens(&message.content));
    let room = prompt::room(model.context, settings.max_tokens).saturating_sub(declared.chain(said).sum());
    let passages = if has_pages { &*prepared.passages } else { &[] };
    let (passages, history) = if shrunk {
        (passages.get(..passages.len().div_ceil(2)).unwrap_or_default(), &[][..])
    } else {
        (passages, prepared.recalled.history.as_slice())
    };
    let with_tools = !settings.tools.is_empty();
    let (mut messages, used) =
        prompt::compose(&settings.product, passages, history, &prepared.question, room, with_tools);
    messages.extend(calls.said.iter().cloned());
    let Settings { max_tokens, temperature, .. } = *settings;
    (ChatRequest { messages, stream: true, max_tokens, temperature, tools }, used)
}

/// Stores what was written, if anything was, and says how it ended. An answer of before comes with its
/// suggestions.
async fn store(
    ports: &impl Ports,
    settings: &Settings,
    prepared: Prepared,
    draft: Draft,
    suggestions: Option<Vec<String>>,
    error: Option<ApiError>,
) -> Outcome {
    let cost = prepared.trace.tries.iter().filter_map(|made| made.cost).fold(prepared.cost, Cost::add).rounded();
    let Recalled { replaced, mut memory, spent, .. } = prepared.recalled;
    let session_cost = spent.map(|spent| (spent + cost).rounded());
    // What a tool said is on none of the pages.
    let is_of_pages =
        prepared.trace.calls.iter().all(|call| call.outcome != Came::Answered) || !trace::cited(&draft.text).is_empty();
    let turn = Turn {
        v: TURN_VERSION,
        id: prepared.message_id,
        at: prepared.asked_at,
        question: prepared.question,
        finish: if error.is_some() || prepared.trace.stopped { Finish::Error } else { draft.finish() },
        answer: draft.text,
        sources: if is_of_pages { prepared.sources } else { Vec::new() },
        citations: draft.citations,
        refused: draft.refused,
        model: draft.model,
        cost: Some(cost),
        session_cost,
        cache_key: prepared.cache_key,
    };
    if draft.started {
        match ports.append(&prepared.session, &turn, settings.session_ttl_seconds).await {
            // Not before there is something in their place.
            Ok(()) => {
                if let Err(fault) = ports.forget_turns(&replaced).await {
                    log(ports, &prepared.trace_id, "delete replaced turns", &fault);
                }
            }
            Err(fault) => {
                log(ports, &prepared.trace_id, "store turn", &fault);
                memory = Memory::Unavailable;
            }
        }
    }
    let mut trace = prepared.trace;
    trace.cited = trace::cited(&turn.answer);
    trace.error = error.as_ref().map(|error| error.code);
    let metadata = AnswerMetadata {
        refused: turn.refused,
        cost_usd: cost.usd,
        cost,
        session_cost,
        model: turn.model.clone(),
        usage: draft.usage,
        tools: tools::used(settings, &trace.calls).map(ToolUse::from).collect(),
        cached: trace.cached,
        suggestions: suggestions.unwrap_or_else(|| retrieve::suggestions(&trace.candidates, &trace.cited)),
        refusal: trace.refused_by.map(|by| Refusal {
            by,
            searched: trace.queries.clone(),
            support_url: settings.support_url.clone(),
        }),
        handoff: prepared.handoff,
        memory,
    };
    (trace.model, trace.usage) = (metadata.model.clone(), metadata.usage);
    (trace.cost_usd, trace.cost) = (metadata.cost_usd, Some(cost));
    Outcome { turn, metadata, error, trace, traced: prepared.traced, afterwards: Afterwards::default() }
}

fn send_closing(outcome: &Outcome, started: bool, reader: &mut dyn Reader) {
    let mut parts = Vec::with_capacity(4);
    if started {
        let Turn { citations, sources, .. } = &outcome.turn;
        let citations = citations.iter().map(|citation| CitedSource::new(citation, sources)).collect();
        parts.push(Part::TextEnd { id: TEXT_ID, citations });
    }
    parts.extend(outcome.traced.then_some(Part::DataDocentTrace { data: &outcome.trace }));
    if let Some(error) = &outcome.error {
        parts.extend([Part::DataDocentError { data: error }, Part::Error { error_text: &error.message }]);
    } else {
        let finish_reason = finish_reason(outcome.turn.finish);
        parts.push(Part::Finish { finish_reason, message_metadata: &outcome.metadata });
    }
    reader.close(&parts);
}

/// What was called on the way to an answer.
#[derive(Default)]
struct Way {
    tries: Vec<Try>,
    calls: Calls,
}

/// Notes when the first word went out, and lets none out while they are held back.
struct Timed<'r, H> {
    reader: &'r mut dyn Reader,
    host: &'r H,
    first_word_at: &'r mut Option<u64>,
    is_held: bool,
}

impl<H: Host> Reader for Timed<'_, H> {
    fn send(&mut self, parts: &[Part<'_>]) {
        if self.is_held {
            return;
        }
        self.first_word_at.get_or_insert_with(|| self.host.now_ms());
        self.reader.send(parts);
    }

    fn close(&mut self, parts: &[Part<'_>]) {
        self.reader.close(parts);
    }

    fn left(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        self.reader.left()
    }
}

fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::Error => "error",
    }
}
