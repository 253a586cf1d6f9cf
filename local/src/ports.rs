//! The doors of the question flow, opened by the stand-in itself: the flow runs natively, in one
//! process, over the same services that workerd talks to.
//!
//! Calls are written in the wire of the bindings and go through the same router, only not through a
//! socket. So limits, error codes, faults and the log hold here too, without a second copy of them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, BodyDataStream, to_bytes};
use axum::http::{Method, Request, Response, header};
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
    Answers, ByteStream, Classify, Content, Embed, Fault, Generate, Handoffs, Host, Lexical, Limit, Opinions, Post,
    Posted, Rerank, Search, Sessions, Traces,
};
use docent_core::session::{STOP_SECONDS, Turn, prefix, stop_key};
use docent_core::trace::{EXPIRE_SQL, KEEP_SQL as KEEP_TRACE_SQL, Kept};
use docent_core::upstream::{self, Call, Gateway, ProviderError, Route};
use docent_core::vectorize::{Match, Matches, QueryOptions};
use docent_core::workers_ai::{
    AiError, ChatRequest, ClassifyRequest, EmbedRequest, EmbedResponse, Labelled, Ranked, RerankRequest, RerankResponse,
};
use futures_util::future::try_join_all;
use futures_util::stream::StreamExt as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tower_service::Service as _;

use crate::bindings::HEADER;
use crate::clock::random_hex;
use crate::services::DropConnection;

/// Largest answer that is read whole.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Most keys of one bulk get (KV platform limits).
const MAX_BULK_KEYS: usize = 100;

/// All doors, with the patience of a Worker.
#[derive(Debug)]
pub struct LocalPorts {
    router: Router,
    /// Where timers and answers run; the caller's executor may be any.
    runtime: Handle,
    index: String,
    sessions: String,
    /// The D1 database, if there is one.
    pub content: Option<String>,
    known: Mutex<Option<Known>>,
    vectors: Mutex<Recent<Vec<f32>>>,
    lines: Arc<Mutex<Vec<String>>>,
    /// Longest wait for a model to begin.
    pub first_byte: Duration,
    /// Longest pause within an answer.
    pub idle: Duration,
}

impl LocalPorts {
    pub(crate) fn new(router: Router, runtime: Handle, index: &str, sessions: &str) -> Self {
        Self {
            router,
            runtime,
            index: index.to_owned(),
            sessions: sessions.to_owned(),
            content: None,
            known: Mutex::default(),
            vectors: Mutex::default(),
            lines: Arc::default(),
            first_byte: Duration::from_secs(20),
            idle: Duration::from_secs(15),
        }
    }

    /// What the flow logged.
    pub fn logged(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn call(&self, service: &'static str, request: Request<Body>) -> Result<Response<Body>, Fault> {
        let mut router = self.router.clone();
        let answer = self.runtime.spawn(async move { router.call(request).await });
        let gone = |message: String| Fault::Unreadable { service, message };
        let response = answer.await.map_err(|error| gone(error.to_string()))?;
        let response = response.map_err(|never| match never {})?;
        match response.extensions().get::<DropConnection>() {
            Some(_) => Err(gone("the connection was closed without an answer".to_owned())),
            None => Ok(response),
        }
    }

    async fn run_model(&self, model: &str, inputs: &str, call: Call<'_>) -> Result<Response<Body>, Fault> {
        let service = call.service();
        let request = if let Some(elsewhere) = call.request(model) {
            // Whatever host the address names, it is this process that answers.
            let path = elsewhere.url.splitn(4, '/').nth(3).unwrap_or_default();
            let request = Request::post(format!("/{path}")).header(header::HOST, "localhost");
            let headers = elsewhere.headers.into_iter();
            let request = headers.fold(request, |request, (name, value)| request.header(name, value));
            request.body(Body::from(inputs.to_owned()))
        } else {
            let through_gateway = matches!(call.route, Route::Gateway(Gateway::Id(_)));
            let path = if through_gateway { "/ai-gateway/run?version=3" } else { "/run?version=3" };
            Request::post(path)
                .header(HEADER, "ai")
                .header(header::HOST, "workers-binding.ai")
                .header("cf-consn-model-id", model)
                .body(Body::from(format!("{{\"inputs\":{inputs},\"options\":{}}}", call.binding_options())))
        };
        let request = request.map_err(|error| unreadable(service, &error))?;
        let limit = {
            // Timers belong to the runtime that they are made in.
            let _inside = self.runtime.enter();
            tokio::time::timeout(self.first_byte, self.call(service, request))
        };
        let response = limit.await.map_err(|_| timed_out(service, self.first_byte))??;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let body =
            to_bytes(response.into_body(), MAX_ANSWER_BYTES).await.map_err(|error| unreadable(service, &error))?;
        Err(match call.route {
            Route::Provider(_) => Fault::Provider(ProviderError::read(status, &String::from_utf8_lossy(&body))),
            Route::Direct | Route::Gateway(_) => Fault::Ai(AiError::read(status, &body)),
        })
    }

    /// The JSON that a model of Workers AI answers with; a gateway's address puts an envelope around it.
    async fn json_of<T: DeserializeOwned>(&self, model: &str, inputs: &Value, call: Call<'_>) -> Result<T, Fault> {
        #[derive(Deserialize)]
        struct Envelope<T> {
            result: T,
        }
        let service = call.service();
        let response = self.run_model(model, &inputs.to_string(), call).await?;
        let body =
            to_bytes(response.into_body(), MAX_ANSWER_BYTES).await.map_err(|error| unreadable(service, &error))?;
        let read = if call.is_enveloped() {
            serde_json::from_slice::<Envelope<T>>(&body).map(|envelope| envelope.result)
        } else {
            serde_json::from_slice(&body)
        };
        read.map_err(|error| unreadable(service, &error))
    }

    async fn kv(&self, method: Method, path: &str, body: String) -> Result<Option<Vec<u8>>, Fault> {
        let verb = method.clone();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HEADER, format!("kv:{}", self.sessions))
            .header(header::HOST, "fake-host")
            .body(Body::from(body))
            .map_err(|error| Fault::Kv(error.to_string()))?;
        let response = self.call("KV", request).await.map_err(|fault| Fault::Kv(fault.to_string()))?;
        let status = response.status();
        if status.as_u16() == 404 {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(Fault::Kv(format!("KV {verb} failed: {status}")));
        }
        let body = to_bytes(response.into_body(), MAX_ANSWER_BYTES).await;
        body.map(|bytes| Some(bytes.to_vec())).map_err(|error| Fault::Kv(error.to_string()))
    }

    /// The first row of a query.
    async fn first(&self, sql: &str, params: &[String]) -> Result<Option<Value>, Fault> {
        let rows = self.rows(&json!({ "sql": sql, "params": params })).await?;
        Ok(rows.into_iter().next().and_then(|rows| rows.into_iter().next()))
    }

    /// The rows of each statement of a call.
    async fn rows(&self, statements: &Value) -> Result<Vec<Vec<Value>>, Fault> {
        let database = self.content.as_ref().ok_or(Fault::NoBinding("CONTENT"))?;
        let d1_fault = |error: &dyn std::fmt::Display| Fault::D1(format!("D1_ERROR: {error}"));
        let request = Request::post("/query")
            .header(HEADER, format!("d1:{database}"))
            .header(header::HOST, "d1")
            .body(Body::from(statements.to_string()))
            .map_err(|error| d1_fault(&error))?;
        let response = self.call("D1", request).await?;
        let body = to_bytes(response.into_body(), MAX_ANSWER_BYTES).await.map_err(|error| d1_fault(&error))?;
        let answer: Value = serde_json::from_slice(&body).map_err(|error| d1_fault(&error))?;
        if let Some(error) = answer.get("error") {
            return Err(d1_fault(error));
        }
        let outcomes: Vec<Outcome> = serde_json::from_value(answer).map_err(|error| d1_fault(&error))?;
        Ok(outcomes.into_iter().map(|outcome| outcome.results).collect())
    }

    async fn keys(&self, session: &str, limit: usize) -> Result<(Vec<String>, bool), Fault> {
        let prefix = utf8_percent_encode(&prefix(session), NON_ALPHANUMERIC).to_string();
        let path = format!("/?key_count_limit={limit}&prefix={prefix}");
        let body = self.kv(Method::GET, &path, String::new()).await?.unwrap_or_default();
        let page: KeyPage = read_kv(&body)?;
        Ok((page.keys.into_iter().map(|key| key.name).collect(), page.list_complete))
    }
}

/// What a statement of D1 gave.
#[derive(Deserialize)]
struct Outcome {
    results: Vec<Value>,
}

#[derive(Deserialize)]
struct KeyPage {
    keys: Vec<Key>,
    list_complete: bool,
}

#[derive(Deserialize)]
struct Key {
    name: String,
}

fn read_kv<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| Fault::Kv(error.to_string()))
}

fn key_path(key: &str) -> String {
    format!("/{}?urlencoded=true", utf8_percent_encode(key, NON_ALPHANUMERIC))
}

fn unreadable(service: &'static str, error: &dyn std::fmt::Display) -> Fault {
    Fault::Unreadable { service, message: error.to_string() }
}

fn timed_out(service: &'static str, limit: Duration) -> Fault {
    Fault::TimedOut { service, ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }
}

impl Embed for LocalPorts {
    type Vector = Vec<f32>;

    fn known_vector(&self, text: &str) -> Option<Vec<f32>> {
        self.vectors.lock().unwrap_or_else(PoisonError::into_inner).get(text)
    }

    fn remember_vector(&self, text: &str, vector: &Vec<f32>) {
        self.vectors.lock().unwrap_or_else(PoisonError::into_inner).put(text, vector.clone());
    }

    async fn embed(&self, texts: &[&str], call: Call<'_>) -> Result<Vec<Vec<f32>>, Fault> {
        let service = call.service();
        let text = texts.iter().map(|text| (*text).to_owned()).collect();
        let inputs = json!(EmbedRequest { text, pooling: SPEC.pooling.to_owned() });
        let answer: EmbedResponse = self.json_of(SPEC.model, &inputs, call).await?;
        if answer.data.len() == texts.len() && answer.data.iter().all(|vector| vector.len() == SPEC.dimensions) {
            return Ok(answer.data);
        }
        Err(unreadable(service, &format!("not {} vectors of {} numbers", texts.len(), SPEC.dimensions)))
    }
}

impl Search for LocalPorts {
    type Vector = Vec<f32>;

    async fn search(&self, vectors: &[Vec<f32>], options: &QueryOptions) -> Result<Vec<Vec<Match>>, Fault> {
        try_join_all(vectors.iter().map(|vector| self.search_one(vector, options))).await
    }
}

impl LocalPorts {
    async fn search_one(&self, vector: &[f32], options: &QueryOptions) -> Result<Vec<Match>, Fault> {
        let service = "Vectorize";
        let mut query = json!(options);
        if let Some(query) = query.as_object_mut() {
            query.insert("vector".to_owned(), json!(vector));
        }
        let request = Request::post("/query")
            .header(HEADER, format!("vectorize:{}", self.index))
            .header(header::HOST, "vector-search")
            .body(Body::from(query.to_string()))
            .map_err(|error| unreadable(service, &error))?;
        let response = self.call(service, request).await?;
        let status = response.status();
        let body =
            to_bytes(response.into_body(), MAX_ANSWER_BYTES).await.map_err(|error| unreadable(service, &error))?;
        if status.as_u16() != 200 {
            return Err(vectorize_fault(status.as_u16(), &body));
        }
        let found: Matches = serde_json::from_slice(&body).map_err(|error| unreadable(service, &error))?;
        Ok(found.matches)
    }
}

fn vectorize_fault(status: u16, body: &[u8]) -> Fault {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = body.get("code").and_then(Value::as_u64).and_then(|code| u32::try_from(code).ok());
    let message = body.get("error").and_then(Value::as_str).map_or_else(|| format!("Status + {status}"), str::to_owned);
    Fault::Vectorize { code, message: format!("VECTOR_QUERY_ERROR: {message}") }
}

impl Rerank for LocalPorts {
    async fn rerank(&self, model: &str, request: &RerankRequest, call: Call<'_>) -> Result<Vec<Ranked>, Fault> {
        let answer: RerankResponse = self.json_of(model, &json!(request), call).await?;
        Ok(answer.response)
    }
}

impl Classify for LocalPorts {
    async fn classify(&self, model: &str, text: &str, call: Call<'_>) -> Result<Vec<Labelled>, Fault> {
        self.json_of(model, &json!(ClassifyRequest { text: text.to_owned() }), call).await
    }
}

impl Generate for LocalPorts {
    type Answer = LocalAnswer;

    async fn generate(&self, model: &ChatModel, request: &ChatRequest, call: Call<'_>) -> Result<LocalAnswer, Fault> {
        let service = call.service();
        let response = self.run_model(&model.id, &model.body(request), call).await?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let kind = header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
        let log_id = header("cf-aig-log-id").map(str::to_owned);
        let event_stream = kind.starts_with("text/event-stream");
        if !event_stream && !kind.starts_with("application/json") {
            return Err(unreadable(service, &format!("an answer of type {kind}")));
        }
        Ok(LocalAnswer {
            service,
            log_id,
            event_stream,
            body: Box::pin(response.into_body().into_data_stream()),
            runtime: self.runtime.clone(),
            patience: self.first_byte,
            idle: self.idle,
        })
    }
}

/// An answer while it comes. Dropping it ends it.
#[derive(Debug)]
pub struct LocalAnswer {
    service: &'static str,
    log_id: Option<String>,
    event_stream: bool,
    body: Pin<Box<BodyDataStream>>,
    runtime: Handle,
    patience: Duration,
    idle: Duration,
}

impl ByteStream for LocalAnswer {
    fn is_event_stream(&self) -> bool {
        self.event_stream
    }

    fn log_id(&self) -> Option<String> {
        self.log_id.clone()
    }

    // Dropping the body is all that ends an answer here, and an answer that is over does not mind.
    fn complete(&mut self) {}

    async fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let service = self.service;
        let limit = {
            let _inside = self.runtime.enter();
            tokio::time::timeout(self.patience, self.body.next())
        };
        let next = limit.await.map_err(|_| timed_out(service, self.patience))?;
        self.patience = self.idle;
        next.transpose().map(|bytes| bytes.map(|bytes| bytes.to_vec())).map_err(|error| unreadable(service, &error))
    }
}

impl Content for LocalPorts {
    async fn record(&self, store: Store) -> Result<Option<IndexRecord>, Fault> {
        match store {
            Store::Database => {
                let row = self.first(LIVE_SQL, &[]).await?;
                row.map(|row| serde_json::from_value(row).map_err(|error| unreadable("D1", &error))).transpose()
            }
            Store::Kv => {
                let found = self.kv(Method::GET, &key_path(INDEX_KEY), String::new()).await?;
                found.map(|body| read_kv(&body)).transpose()
            }
        }
    }

    async fn retired(&self, generation: u64) -> Result<Option<Retired>, Fault> {
        let found = self.kv(Method::GET, &key_path(&retired_key(generation)), String::new()).await?;
        Ok(found.map(|bytes| Retired::from_bytes(&bytes)))
    }

    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, known: Known) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }
}

impl Lexical for LocalPorts {
    async fn lookup(&self, queries: &[Queries], options: &Lookup) -> Result<Vec<Vec<Hit>>, Fault> {
        let parameters = queries.iter().map(|queries| full_text::parameter(queries, options));
        self.hits(LOOKUP_SQL, parameters.collect()).await
    }

    async fn sections(&self, search: &full_text::Search) -> Result<Vec<Hit>, Fault> {
        let mut lists = self.hits(SEARCH_SQL, vec![full_text::search_parameter(search)]).await?;
        Ok(lists.pop().unwrap_or_default())
    }
}

impl LocalPorts {
    /// What a statement finds for each of its parameters.
    async fn hits(&self, sql: &str, parameters: Vec<String>) -> Result<Vec<Vec<Hit>>, Fault> {
        let statements = parameters.into_iter().map(|parameter| json!({ "sql": sql, "params": [parameter] }));
        let lists = self.rows(&statements.collect()).await?;
        let hit = |row: Value| serde_json::from_value(row).map_err(|error| Fault::D1(format!("a row: {error}")));
        lists.into_iter().map(|rows| rows.into_iter().map(hit).collect()).collect()
    }
}

impl Sessions for LocalPorts {
    async fn turns(&self, session: &str, limit: usize) -> Result<Vec<Turn>, Fault> {
        let (mut keys, _) = self.keys(session, limit.min(MAX_BULK_KEYS)).await?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        keys.reverse(); // keys sort newest first
        let body = self.kv(Method::POST, "/bulk/get", json!({ "keys": keys }).to_string()).await?.unwrap_or_default();
        let mut values: HashMap<String, Option<String>> = read_kv(&body)?;
        let texts = keys.iter().filter_map(|key| values.remove(key).flatten());
        Ok(texts.filter_map(|text| serde_json::from_str(&text).ok()).collect())
    }

    async fn append(&self, session: &str, turn: &Turn, ttl_seconds: u64) -> Result<(), Fault> {
        let mut path = key_path(&turn.key(session));
        let _ = write!(path, "&expiration_ttl={ttl_seconds}");
        self.kv(Method::PUT, &path, json!(turn).to_string()).await.map(drop)
    }

    async fn forget(&self, session: &str) -> Result<(), Fault> {
        loop {
            let (keys, complete) = self.keys(session, 1_000).await?;
            self.forget_turns(&keys).await?;
            if complete {
                return Ok(());
            }
        }
    }

    async fn forget_turns(&self, keys: &[String]) -> Result<(), Fault> {
        for key in keys {
            self.kv(Method::DELETE, &key_path(key), String::new()).await?;
        }
        Ok(())
    }

    async fn note_stopped(&self, session: &str, message_id: &str) -> Result<(), Fault> {
        let mut path = key_path(&stop_key(session, message_id));
        let _ = write!(path, "&expiration_ttl={STOP_SECONDS}");
        self.kv(Method::PUT, &path, "1".to_owned()).await.map(drop)
    }

    async fn is_stopped(&self, session: &str, message_id: &str) -> Result<bool, Fault> {
        Ok(self.kv(Method::GET, &key_path(&stop_key(session, message_id)), String::new()).await?.is_some())
    }
}

impl Opinions for LocalPorts {
    async fn keep(&self, opinion: &Opinion) -> Result<(), Fault> {
        let row = serde_json::to_string(opinion).map_err(|error| unreadable("D1", &error))?;
        self.first(KEEP_SQL, &[row]).await.map(drop)
    }
}

impl Answers for LocalPorts {
    async fn find_answer(&self, key: &str) -> Result<Option<Record>, Fault> {
        #[derive(Deserialize)]
        struct Row {
            record: String,
        }
        let rows = self.rows(&json!([{ "sql": FIND_SQL, "params": [key] }])).await?;
        let row = rows.into_iter().flatten().next();
        let record = row.and_then(|row| serde_json::from_value::<Row>(row).ok()).map(|row| row.record);
        Ok(record.and_then(|record| serde_json::from_str(&record).ok()))
    }

    async fn keep_answer(&self, row: &Row, now_ms: u64) -> Result<(), Fault> {
        let query = |sql: &str, value: &str| json!({ "sql": sql, "params": [value] });
        let both = [query(KEEP_ANSWER_SQL, &json!(row).to_string()), query(EXPIRE_ANSWERS_SQL, &now_ms.to_string())];
        self.rows(&json!(both)).await.map(drop)
    }

    async fn forget_answer(&self, key: &str) -> Result<(), Fault> {
        self.rows(&json!([{ "sql": FORGET_SQL, "params": [key] }])).await.map(drop)
    }
}

impl Traces for LocalPorts {
    async fn keep_trace(&self, kept: &Kept) -> Result<(), Fault> {
        let query = |sql: &str, value: &str| json!({ "sql": sql, "params": [value] });
        self.rows(&json!([query(KEEP_TRACE_SQL, &kept.trace), query(EXPIRE_SQL, &kept.oldest)])).await.map(drop)
    }
}

impl Post for LocalPorts {
    async fn post(&self, to: &upstream::Request, body: &str, limit: Limit) -> Result<Posted, String> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(Duration::from_millis(limit.ms)))
            .build()
            .into();
        let headers = to.headers.iter();
        let request = headers.fold(agent.post(&to.url), |request, (name, value)| request.header(*name, value));
        let (body, most) = (body.to_owned(), limit.bytes);
        let exchange = move || {
            let (parts, body) = request.send(body).map_err(|error| error.to_string())?.into_parts();
            let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let mut read = Vec::new();
            if most > 0 {
                let mut body = body.into_reader().take(most as u64 + 1);
                body.read_to_end(&mut read).map_err(|error| error.to_string())?;
            }
            Ok(Posted {
                status: parts.status.as_u16(),
                content_type: content_type.unwrap_or_default().to_owned(),
                body: (most > 0 && read.len() <= most).then_some(read),
            })
        };
        self.runtime.spawn_blocking(exchange).await.map_err(|error| error.to_string()).flatten()
    }
}

impl Handoffs for LocalPorts {
    async fn is_handed_over(&self, id: &str) -> Result<bool, Fault> {
        Ok(self.kv(Method::GET, &key_path(&handoff::key(id)), String::new()).await?.is_some())
    }

    async fn note_handed_over(&self, id: &str, ttl_seconds: u64) -> Result<(), Fault> {
        let mut path = key_path(&handoff::key(id));
        let _ = write!(path, "&expiration_ttl={ttl_seconds}");
        self.kv(Method::PUT, &path, "1".to_owned()).await.map(drop)
    }
}

impl Host for LocalPorts {
    fn now_ms(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }

    fn unique_id(&self) -> String {
        random_hex::<16>()
    }

    async fn sleep(&self, ms: u64) {
        let sleep = {
            let _inside = self.runtime.enter();
            tokio::time::sleep(Duration::from_millis(ms))
        };
        sleep.await;
    }

    fn log(&self, line: &str) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
    }
}
