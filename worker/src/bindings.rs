//! The doors of the question flow, opened by the bindings of a Worker.
//!
//! Large values stay on the side that needs them. A question's embedding remains a JavaScript array
//! from the answer of Workers AI to the query of Vectorize, and of what Vectorize finds only the
//! fields that an answer needs cross into wasm.

use std::cell::RefCell;
use std::time::Duration;

use docent_core::api;
use docent_core::cache::{
    EXPIRE_SQL as EXPIRE_ANSWERS_SQL, FIND_SQL, FORGET_SQL, KEEP_SQL as KEEP_ANSWER_SQL, Recent, Record, Row,
};
use docent_core::embedding::{INDEX_KEY, IndexRecord, SPEC};
use docent_core::feedback::{KEEP_SQL, Opinion};
use docent_core::full_text::{self, Hit, LOOKUP_SQL, Lookup, Queries, SEARCH_SQL};
use docent_core::generation::{Known, LIVE_SQL, Retired, Store, retired_key};
use docent_core::handoff;
use docent_core::models::ChatModel;
use docent_core::ports::{
    Answers, ByteStream as _, Classify, Content, Embed, Fault, Generate, Handoffs, Host, Lexical, Limit, Opinions,
    Post, Posted, Rerank, Search, Sessions, Traces,
};
use docent_core::session::{STOP_SECONDS, Turn, prefix, stop_key};
use docent_core::settings::Settings;
use docent_core::trace::{EXPIRE_SQL, KEEP_SQL as KEEP_TRACE_SQL, Kept};
use docent_core::upstream::{Call, ProviderError, Request, Route};
use docent_core::vectorize::{Match, Metadata, NO_ORDINAL, QueryOptions};
use docent_core::workers_ai::{AiError, ChatRequest, ClassifyRequest, EmbedRequest, Labelled, Ranked, RerankRequest};
use futures_util::future::{Either, join_all, select};
use js_sys::futures::JsFuture;
use js_sys::{Array, JSON, Reflect};
use wasm_bindgen::prelude::*;
use worker::{Delay, Env, KvStore};

use crate::body::{Body, Watch};

/// Most keys that one bulk read of KV takes.
const KV_BULK_KEYS: usize = 100;

/// Most keys of one page of KV's list.
const KV_LIST_KEYS: u64 = 1_000;

thread_local! {
    /// The generation that this isolate read last.
    static KNOWN: RefCell<Option<Known>> = const { RefCell::new(None) };

    /// Vectors of the questions that this isolate was asked last.
    static VECTORS: RefCell<Recent<JsValue>> = RefCell::default();
}

#[wasm_bindgen]
extern "C" {
    /// The Workers AI binding; the worker crate's own lacks options, hence gateways and raw responses.
    #[derive(Clone)]
    type Ai;
    #[wasm_bindgen(method, catch)]
    async fn run(this: &Ai, model: &str, inputs: &JsValue, options: &JsValue) -> Result<JsValue, JsValue>;

    /// The Vectorize binding, which the worker crate does not have.
    #[derive(Clone)]
    type Vectorize;
    #[wasm_bindgen(method, catch)]
    async fn query(this: &Vectorize, vector: &JsValue, options: &JsValue) -> Result<JsValue, JsValue>;

    /// The D1 binding. The worker crate's own takes every answer apart with serde and makes two
    /// calls into JavaScript more.
    #[derive(Clone)]
    type D1;
    #[wasm_bindgen(method, catch)]
    fn prepare(this: &D1, sql: &str) -> Result<Statement, JsValue>;
    #[wasm_bindgen(method, catch)]
    async fn batch(this: &D1, statements: &Array) -> Result<JsValue, JsValue>;

    /// A statement of D1.
    type Statement;
    #[wasm_bindgen(method, catch)]
    fn bind(this: &Statement, value: &str) -> Result<Statement, JsValue>;
    #[wasm_bindgen(method, catch)]
    async fn first(this: &Statement) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    async fn run(this: &Statement) -> Result<JsValue, JsValue>;

    /// What a statement of a batch gave.
    type Outcome;
    #[wasm_bindgen(method, getter)]
    fn results(this: &Outcome) -> Option<Array>;

    /// A match of a query, what is stored beside its vector, a row of [`LOOKUP_SQL`] or
    /// [`SEARCH_SQL`], or a label of a classifier. What a field holds is another's, hence of any type.
    type Found;
    #[wasm_bindgen(method, getter)]
    fn id(this: &Found) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn score(this: &Found) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn metadata(this: &Found) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn text(this: &Found) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn url(this: &Found) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn title(this: &Found) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn heading(this: &Found) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn anchor(this: &Found) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn lang(this: &Found) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn version(this: &Found) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn ordinal(this: &Found) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn label(this: &Found) -> JsValue;
}

/// Reads and checks variables and secrets.
pub(crate) fn settings(env: &Env) -> Result<Settings, Vec<String>> {
    Settings::parse(|name| binding(env, name).map(|value| written(&value)))
}

/// A variable as text: one that is a number, a list or a table in wrangler.toml is none in the Worker.
fn written(value: &JsValue) -> String {
    let json = || JSON::stringify(value).ok().and_then(|json| json.as_string());
    value.as_string().or_else(json).unwrap_or_default()
}

/// A binding or variable, whatever its kind; `None` when it is absent.
fn binding(env: &Env, name: &str) -> Option<JsValue> {
    Reflect::get(env.as_ref(), &name.into()).ok().filter(|value| !value.is_undefined() && !value.is_null())
}

/// The bindings of one request.
pub(crate) struct Doors {
    ai: Option<Ai>,
    index: Option<Vectorize>,
    kv: Option<KvStore>,
    content: Option<D1>,
    first_byte_ms: u64,
    idle_ms: u64,
}

impl Doors {
    pub(crate) fn open(env: &Env, settings: Option<&Settings>) -> Self {
        Self {
            ai: binding(env, "AI").map(JsValue::unchecked_into),
            index: binding(env, "INDEX").map(JsValue::unchecked_into),
            kv: env.kv("SESSIONS").ok(),
            content: binding(env, "CONTENT").map(JsValue::unchecked_into),
            first_byte_ms: settings.map_or(0, |settings| settings.first_byte_ms),
            idle_ms: settings.map_or(0, |settings| settings.idle_ms),
        }
    }

    /// Which bindings there are.
    pub(crate) fn present(&self) -> api::Bindings {
        api::Bindings {
            ai: self.ai.is_some(),
            index: self.index.is_some(),
            sessions: self.kv.is_some(),
            content: self.content.is_some(),
        }
    }

    /// Where conversations are kept.
    pub(crate) fn kv(&self) -> Result<&KvStore, Fault> {
        self.kv.as_ref().ok_or(Fault::NoBinding("SESSIONS"))
    }

    /// Where documentation, feedback and traces are kept.
    fn database(&self) -> Result<&D1, Fault> {
        self.content.as_ref().ok_or(Fault::NoBinding("CONTENT"))
    }

    /// Calls a model and waits, as long as `watch` does, until it is accepted; else the fault is what
    /// the body of the response says.
    async fn run(
        &self,
        model: &str,
        inputs: &str,
        call: Call<'_>,
        watch: &mut Watch,
    ) -> Result<web_sys::Response, Fault> {
        let service = call.service();
        let lost = |error: JsValue| unreadable(service, &describe(&error));
        let signal = watch.signal();
        let response = match (call.request(model), &self.ai) {
            (Some(request), _) => watch.over(std::pin::pin!(fetch(&request, inputs, &signal))).await?,
            (None, Some(ai)) => {
                let options = call.binding_options().to_string();
                watch.over(std::pin::pin!(run(ai, model, inputs, &options, &signal))).await?
            }
            (None, None) => return Err(Fault::NoBinding("AI")),
        };
        let response = response.map_err(lost)?;
        if response.ok() {
            return Ok(response);
        }
        let body = watch.over(JsFuture::from(response.text().map_err(lost)?)).await?.map_err(lost)?;
        let body = body.as_string().unwrap_or_default();
        Err(match call.route {
            Route::Provider(_) => Fault::Provider(ProviderError::read(response.status(), &body)),
            Route::Direct | Route::Gateway(_) => Fault::Ai(AiError::read(response.status(), body.as_bytes())),
        })
    }
}

/// A call by the binding.
async fn run(
    ai: &Ai,
    model: &str,
    inputs: &str,
    options: &str,
    signal: &web_sys::AbortSignal,
) -> Result<web_sys::Response, JsValue> {
    let options = JSON::parse(options)?;
    Reflect::set(&options, &"signal".into(), signal)?;
    ai.run(model, &JSON::parse(inputs)?, &options).await?.dyn_into()
}

/// A call of an address. Who is sent elsewhere is not followed: the key is for this server alone.
async fn fetch(request: &Request, body: &str, signal: &web_sys::AbortSignal) -> Result<web_sys::Response, JsValue> {
    let headers = web_sys::Headers::new()?;
    for (name, value) in &request.headers {
        headers.set(name, value)?;
    }
    let init = web_sys::RequestInit::new();
    init.set_method("POST");
    init.set_headers(&headers);
    init.set_body(&body.into());
    init.set_redirect(web_sys::RequestRedirect::Manual);
    init.set_signal(Some(signal));
    let global: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
    JsFuture::from(global.fetch_with_str_and_init(&request.url, &init)).await?.dyn_into()
}

/// What reading an answer threw: a lost connection.
pub(crate) fn thrown(error: JsValue) -> Fault {
    unreadable("the model", &describe(&error))
}

fn d1_fault(error: JsValue) -> Fault {
    Fault::D1(describe(&error))
}

fn kv_fault(error: worker::kv::KvError) -> Fault {
    Fault::Kv(error.to_string())
}

fn unreadable(service: &'static str, message: &str) -> Fault {
    Fault::Unreadable { service, message: message.to_owned() }
}

/// A thrown value as text.
pub(crate) fn describe(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(|| format!("{error:?}"), |error| String::from(error.message()))
}

impl Embed for Doors {
    type Vector = JsValue;

    fn known_vector(&self, text: &str) -> Option<JsValue> {
        VECTORS.with_borrow(|vectors| vectors.get(text))
    }

    fn remember_vector(&self, text: &str, vector: &JsValue) {
        VECTORS.with_borrow_mut(|vectors| vectors.put(text, vector.clone()));
    }

    async fn embed(&self, texts: &[&str], call: Call<'_>) -> Result<Vec<JsValue>, Fault> {
        let inputs = EmbedRequest {
            text: texts.iter().map(|text| (*text).to_owned()).collect(),
            pooling: SPEC.pooling.to_owned(),
        };
        let inputs = serde_json::to_string(&inputs).map_err(|error| unreadable("Workers AI", &error.to_string()))?;
        let data = self.list(SPEC.model, &inputs, call, "data").await?;
        let vectors: Vec<JsValue> = data.iter().collect();
        let fits = |vector: &JsValue| {
            vector.dyn_ref::<Array>().is_some_and(|vector| usize::try_from(vector.length()) == Ok(SPEC.dimensions))
        };
        if vectors.len() == texts.len() && vectors.iter().all(fits) {
            Ok(vectors)
        } else {
            Err(unreadable("Workers AI", &format!("not {} vectors of {} numbers", texts.len(), SPEC.dimensions)))
        }
    }
}

impl Doors {
    /// A list in the JSON that a model of Workers AI answers with.
    async fn list(&self, model: &str, inputs: &str, call: Call<'_>, name: &str) -> Result<Array, Fault> {
        Reflect::get(&self.answer(model, inputs, call).await?, &name.into())
            .and_then(JsCast::dyn_into)
            .map_err(|_| unreadable("Workers AI", &format!("an answer without {name}")))
    }

    /// The JSON that a model of Workers AI answers with.
    async fn answer(&self, model: &str, inputs: &str, call: Call<'_>) -> Result<JsValue, Fault> {
        let mut watch = Watch::start(call.service(), self.first_byte_ms, self.first_byte_ms)?;
        let response = self.run(model, inputs, call, &mut watch).await?;
        let body = JsFuture::from(response.json().map_err(thrown)?);
        let mut answer = watch.over(body).await?.map_err(thrown)?;
        watch.complete();
        if call.is_enveloped() {
            answer = Reflect::get(&answer, &"result".into()).unwrap_or(answer);
        }
        Ok(answer)
    }
}

impl Search for Doors {
    type Vector = JsValue;

    async fn search(&self, vectors: &[JsValue], options: &QueryOptions) -> Result<Vec<Vec<Match>>, Fault> {
        let index = self.index.as_ref().ok_or(Fault::NoBinding("INDEX"))?;
        let options = serde_json::to_string(options).map_err(|error| unreadable("Vectorize", &error.to_string()))?;
        let lists = vectors.iter().map(|vector| search_one(index, vector, &options));
        join_all(lists).await.into_iter().collect()
    }
}

async fn search_one(index: &Vectorize, vector: &JsValue, options: &str) -> Result<Vec<Match>, Fault> {
    // Every query gets an options object of its own: the binding changes the one it is given.
    let options = JSON::parse(options).map_err(|error| unreadable("Vectorize", &describe(&error)))?;
    let found = index.query(vector, &options).await.map_err(|error| vectorize_fault(&describe(&error)))?;
    let matches: Array = Reflect::get(&found, &"matches".into())
        .and_then(JsCast::dyn_into)
        .map_err(|_| unreadable("Vectorize", "an answer without matches"))?;
    Ok(matches.iter().map(|found| read_match(found.unchecked_ref())).collect())
}

/// A match, field by field and only what an answer needs of it: as one JSON text for all of them it
/// would be written and parsed for three times as long.
fn read_match(found: &Found) -> Match {
    let metadata = found.metadata();
    let metadata = metadata.is_object().then(|| metadata.unchecked_ref::<Found>()).map(|metadata| Metadata {
        text: text(&metadata.text()),
        url: text(&metadata.url()),
        title: text(&metadata.title()),
        heading: text(&metadata.heading()),
        anchor: text(&metadata.anchor()),
        lang: text(&metadata.lang()),
        version: text(&metadata.version()),
        ordinal: place(&metadata.ordinal()).and_then(|place| u32::try_from(place).ok()).unwrap_or(NO_ORDINAL),
        ..Metadata::default()
    });
    Match { id: text(&found.id()), score: found.score().as_f64().unwrap_or_default(), metadata }
}

/// A field that should be text; empty if it is not.
fn text(field: &JsValue) -> String {
    field.as_string().unwrap_or_default()
}

/// The binding throws `VECTOR_QUERY_ERROR (code = 40025): …`, and without a code when the answer was
/// not Vectorize's own.
fn vectorize_fault(message: &str) -> Fault {
    let code = message.split_once("(code = ").and_then(|(_, rest)| rest.split_once(')')).map(|(code, _)| code);
    Fault::Vectorize { code: code.and_then(|code| code.parse().ok()), message: message.to_owned() }
}

impl Lexical for Doors {
    async fn lookup(&self, queries: &[Queries], options: &Lookup) -> Result<Vec<Vec<Hit>>, Fault> {
        let parameters: Vec<String> = queries.iter().map(|queries| full_text::parameter(queries, options)).collect();
        self.hits(LOOKUP_SQL, &parameters).await
    }

    async fn sections(&self, search: &full_text::Search) -> Result<Vec<Hit>, Fault> {
        let mut lists = self.hits(SEARCH_SQL, &[full_text::search_parameter(search)]).await?;
        Ok(lists.pop().unwrap_or_default())
    }
}

impl Doors {
    /// What a statement finds for each of its parameters.
    async fn hits(&self, sql: &str, parameters: &[String]) -> Result<Vec<Vec<Hit>>, Fault> {
        let database = self.database()?;
        let statement = database.prepare(sql).map_err(d1_fault)?;
        let statements = Array::new();
        for parameter in parameters {
            let bound = statement.bind(parameter).map_err(d1_fault)?;
            statements.push(&bound);
        }
        let outcomes = database.batch(&statements).await.map_err(d1_fault)?;
        let unlike = || Fault::D1("a batch gave no list of results".to_owned());
        let outcomes: Array = outcomes.dyn_into().map_err(|_| unlike())?;
        let rows = |outcome: JsValue| outcome.unchecked_ref::<Outcome>().results().ok_or_else(unlike);
        let hits = |rows: Array| rows.iter().map(|row| read_hit(row.unchecked_ref())).collect();
        outcomes.iter().map(|outcome| rows(outcome).map(hits)).collect()
    }
}

/// A row field by field, as [`read_match`] does.
fn read_hit(row: &Found) -> Hit {
    Hit {
        id: text(&row.id()),
        score: row.score().as_f64().unwrap_or_default(),
        url: text(&row.url()),
        anchor: text(&row.anchor()),
        title: text(&row.title()),
        heading: text(&row.heading()),
        lang: text(&row.lang()),
        version: text(&row.version()),
        text: text(&row.text()),
    }
}

impl Rerank for Doors {
    async fn rerank(&self, model: &str, request: &RerankRequest, call: Call<'_>) -> Result<Vec<Ranked>, Fault> {
        let inputs = serde_json::to_string(request).map_err(|error| unreadable("Workers AI", &error.to_string()))?;
        let ranked = self.list(model, &inputs, call, "response").await?;
        let read = |ranked: JsValue| {
            let ranked: &Found = ranked.unchecked_ref();
            Some(Ranked { id: place(&ranked.id())?, score: ranked.score().as_f64()? })
        };
        ranked.iter().map(read).collect::<Option<_>>().ok_or_else(|| unreadable("Workers AI", "a rank without number"))
    }
}

impl Classify for Doors {
    async fn classify(&self, model: &str, text: &str, call: Call<'_>) -> Result<Vec<Labelled>, Fault> {
        let inputs = serde_json::to_string(&ClassifyRequest { text: text.to_owned() })
            .map_err(|error| unreadable("Workers AI", &error.to_string()))?;
        let unlike = || unreadable("Workers AI", "no list of labels");
        let labels: Array = self.answer(model, &inputs, call).await?.dyn_into().map_err(|_| unlike())?;
        let read = |labelled: JsValue| {
            let labelled: &Found = labelled.unchecked_ref();
            Some(Labelled { label: labelled.label().as_string()?, score: labelled.score().as_f64()? })
        };
        // Nothing has fields that could be read.
        let labels = labels.iter().filter(JsValue::is_object);
        labels.map(read).collect::<Option<_>>().ok_or_else(unlike)
    }
}

/// A whole number from 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it is whole and not negative, and saturates
fn place(field: &JsValue) -> Option<usize> {
    field.as_f64().filter(|place| *place >= 0.0 && place.fract() == 0.0).map(|place| place as usize)
}

impl Generate for Doors {
    type Answer = Body;

    async fn generate(&self, model: &ChatModel, request: &ChatRequest, call: Call<'_>) -> Result<Body, Fault> {
        let mut watch = Watch::start(call.service(), self.first_byte_ms, self.idle_ms)?;
        let response = self.run(&model.id, &model.body(request), call, &mut watch).await?;
        let header = |name| response.headers().get(name).ok().flatten();
        let content_type = header("content-type").unwrap_or_default();
        let event_stream = content_type.starts_with("text/event-stream");
        if !event_stream && !content_type.starts_with("application/json") {
            return Err(unreadable(call.service(), &format!("an answer of type {content_type}")));
        }
        let stream = response.body().ok_or_else(|| unreadable(call.service(), "an answer without body"))?;
        let reader = web_sys::ReadableStreamDefaultReader::new(&stream).map_err(thrown)?;
        Ok(Body::new(reader, event_stream, header("cf-aig-log-id"), watch))
    }
}

impl Content for Doors {
    async fn record(&self, store: Store) -> Result<Option<IndexRecord>, Fault> {
        let (service, text) = match store {
            Store::Database => {
                let row = self.database()?.prepare(LIVE_SQL).map_err(d1_fault)?.first().await.map_err(d1_fault)?;
                let text = JSON::stringify(&row).map_err(d1_fault)?.as_string();
                ("D1", text.filter(|text| text != "null"))
            }
            Store::Kv => ("KV", self.kv()?.get(INDEX_KEY).text().await.map_err(kv_fault)?),
        };
        let Some(text) = text else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| unreadable(service, &format!("index record: {error}")))
    }

    async fn retired(&self, generation: u64) -> Result<Option<Retired>, Fault> {
        let bytes = self.kv()?.get(&retired_key(generation)).bytes().await.map_err(kv_fault)?;
        Ok(bytes.map(|bytes| Retired::from_bytes(&bytes)))
    }

    fn known(&self) -> Option<Known> {
        KNOWN.with_borrow(Clone::clone)
    }

    fn remember(&self, known: Known) {
        KNOWN.set(Some(known));
    }
}

impl Sessions for Doors {
    async fn turns(&self, session: &str, limit: usize) -> Result<Vec<Turn>, Fault> {
        let limit = limit.min(KV_BULK_KEYS);
        let keys = self
            .kv()?
            .list()
            .prefix(prefix(session))
            .limit(u64::try_from(limit).unwrap_or(KV_LIST_KEYS))
            .execute()
            .await
            .map_err(kv_fault)?
            .keys;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut names: Vec<String> = keys.into_iter().map(|key| key.name).collect();
        names.reverse(); // keys sort newest first
        let mut values = self.kv()?.get_bulk(&names).text().await.map_err(kv_fault)?;
        let texts = names.iter().filter_map(|name| values.remove(name).flatten());
        // A turn that this version cannot read is as good as forgotten; the others are not.
        Ok(texts.filter_map(|text| serde_json::from_str(&text).ok()).collect())
    }

    async fn append(&self, session: &str, turn: &Turn, ttl_seconds: u64) -> Result<(), Fault> {
        let value = serde_json::to_string(turn).map_err(|error| Fault::Kv(error.to_string()))?;
        let put = self.kv()?.put(&turn.key(session), value).map_err(kv_fault)?;
        put.expiration_ttl(ttl_seconds).execute().await.map_err(kv_fault)
    }

    async fn forget(&self, session: &str) -> Result<(), Fault> {
        let kv = self.kv()?;
        loop {
            let page = kv.list().prefix(prefix(session)).execute().await.map_err(kv_fault)?;
            let keys: Vec<String> = page.keys.into_iter().map(|key| key.name).collect();
            self.forget_turns(&keys).await?;
            if page.list_complete {
                return Ok(());
            }
        }
    }

    async fn forget_turns(&self, keys: &[String]) -> Result<(), Fault> {
        let kv = self.kv()?;
        let deletions = keys.iter().map(|key| kv.delete(key));
        join_all(deletions).await.into_iter().collect::<Result<_, _>>().map_err(kv_fault)
    }

    async fn note_stopped(&self, session: &str, message_id: &str) -> Result<(), Fault> {
        let put = self.kv()?.put(&stop_key(session, message_id), "1").map_err(kv_fault)?;
        put.expiration_ttl(STOP_SECONDS).execute().await.map_err(kv_fault)
    }

    async fn is_stopped(&self, session: &str, message_id: &str) -> Result<bool, Fault> {
        let noted = self.kv()?.get(&stop_key(session, message_id)).text().await;
        noted.map(|noted| noted.is_some()).map_err(kv_fault)
    }
}

impl Answers for Doors {
    async fn find_answer(&self, key: &str) -> Result<Option<Record>, Fault> {
        let statement = self.database()?.prepare(FIND_SQL).and_then(|statement| statement.bind(key));
        let row = statement.map_err(d1_fault)?.first().await.map_err(d1_fault)?;
        let record = Reflect::get(&row, &"record".into()).ok().and_then(|record| record.as_string());
        Ok(record.and_then(|record| serde_json::from_str(&record).ok()))
    }

    async fn keep_answer(&self, row: &Row, now_ms: u64) -> Result<(), Fault> {
        let database = self.database()?;
        let row = serde_json::to_string(row).map_err(|error| unreadable("D1", &error.to_string()))?;
        let statement = |sql: &str, value: &str| database.prepare(sql)?.bind(value);
        let both = [statement(KEEP_ANSWER_SQL, &row), statement(EXPIRE_ANSWERS_SQL, &now_ms.to_string())];
        let both = both.into_iter().collect::<Result<Array, JsValue>>().map_err(d1_fault)?;
        database.batch(&both).await.map(drop).map_err(d1_fault)
    }

    async fn forget_answer(&self, key: &str) -> Result<(), Fault> {
        let statement = self.database()?.prepare(FORGET_SQL).and_then(|statement| statement.bind(key));
        statement.map_err(d1_fault)?.run().await.map(drop).map_err(d1_fault)
    }
}

impl Opinions for Doors {
    async fn keep(&self, opinion: &Opinion) -> Result<(), Fault> {
        let row = serde_json::to_string(opinion).map_err(|error| unreadable("D1", &error.to_string()))?;
        let statement = self.database()?.prepare(KEEP_SQL).and_then(|statement| statement.bind(&row));
        statement.map_err(d1_fault)?.run().await.map(drop).map_err(d1_fault)
    }
}

impl Traces for Doors {
    async fn keep_trace(&self, kept: &Kept) -> Result<(), Fault> {
        let database = self.database()?;
        let statement = |sql: &str, value: &str| database.prepare(sql)?.bind(value);
        let both =
            [(KEEP_TRACE_SQL, &kept.trace), (EXPIRE_SQL, &kept.oldest)].map(|(sql, value)| statement(sql, value));
        let both = both.into_iter().collect::<Result<Array, JsValue>>().map_err(d1_fault)?;
        database.batch(&both).await.map(drop).map_err(d1_fault)
    }
}

impl Post for Doors {
    async fn post(&self, request: &Request, body: &str, limit: Limit) -> Result<Posted, String> {
        let Limit { ms, bytes } = limit;
        // It goes when this returns, and with it what is left of the answer.
        let watch = Watch::start("the address", ms, ms).map_err(|fault| fault.to_string())?;
        let exchange = std::pin::pin!(exchange(request, body, bytes, watch));
        match select(exchange, Delay::from(Duration::from_millis(ms))).await {
            Either::Left((posted, _)) => posted,
            Either::Right(_) => Err(format!("nothing came within {ms} ms")),
        }
    }
}

/// Sends a body, and reads as much of the answer as is wanted.
async fn exchange(request: &Request, body: &str, most: usize, watch: Watch) -> Result<Posted, String> {
    let thrown = |error: JsValue| describe(&error);
    let response = fetch(request, body, &watch.signal()).await.map_err(thrown)?;
    let content_type = response.headers().get("content-type").ok().flatten().unwrap_or_default();
    let posted = Posted { status: response.status(), content_type, body: None };
    if most == 0 {
        return Ok(posted);
    }
    let Some(stream) = response.body() else { return Ok(Posted { body: Some(Vec::new()), ..posted }) };
    let reader = web_sys::ReadableStreamDefaultReader::new(&stream).map_err(thrown)?;
    let mut answer = Body::new(reader, false, None, watch);
    let mut body = Vec::new();
    while let Some(bytes) = answer.next().await.map_err(|fault| fault.to_string())? {
        body.extend_from_slice(&bytes);
        if body.len() > most {
            return Ok(posted);
        }
    }
    Ok(Posted { body: Some(body), ..posted })
}

impl Handoffs for Doors {
    async fn is_handed_over(&self, id: &str) -> Result<bool, Fault> {
        self.kv()?.get(&handoff::key(id)).text().await.map(|found| found.is_some()).map_err(kv_fault)
    }

    async fn note_handed_over(&self, id: &str, ttl_seconds: u64) -> Result<(), Fault> {
        let put = self.kv()?.put(&handoff::key(id), "1").map_err(kv_fault)?;
        put.expiration_ttl(ttl_seconds).execute().await.map_err(kv_fault)
    }
}

impl Host for Doors {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a time after 1970
    fn now_ms(&self) -> u64 {
        js_sys::Date::now() as u64
    }

    fn unique_id(&self) -> String {
        let global: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
        // Without a source of randomness there is no crypto at all in a Worker; an empty id would
        // fail to verify as a session rather than name somebody else's.
        global.crypto().map(|crypto| crypto.random_uuid().replace('-', "")).unwrap_or_default()
    }

    async fn sleep(&self, ms: u64) {
        Delay::from(Duration::from_millis(ms)).await;
    }

    fn log(&self, line: &str) {
        worker::console_error!("{line}");
    }
}
