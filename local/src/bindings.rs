//! The wire of the bindings: what the runtime's own binding code sends for `env.AI`, `env.INDEX`,
//! `env.SESSIONS` and `env.CONTENT`, and what it makes sense of.
//!
//! Which binding a request comes from stands in the header [`HEADER`], which the launcher has
//! workerd add; the paths alone would not tell (a KV key may have any name).

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::http::{HeaderMap, Method, Response, Uri};
use hyper::ext::ReasonPhrase;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ai::operation;
use crate::d1::Queries;
use crate::journal::Call;
use crate::kv::{Entry, Expiry, MAX_LIST_KEYS};
use crate::refusal::Refusal;
use crate::services::{AiWire, Services, json_response, loggable, set, typed_response};

/// Request header that names the binding: `ai`, `vectorize:<index>`, `kv:<namespace>` or
/// `d1:<database id>`.
pub const HEADER: &str = "docent-binding";
/// Most vectors of one upsert through the binding (Vectorize limits).
const MAX_UPSERT_VECTORS: usize = 1_000;

/// A request from workerd, its body read.
pub(crate) struct BindingRequest {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Serves the request of a binding.
pub(crate) async fn serve(services: &Arc<Services>, binding: &str, request: BindingRequest) -> Response<Body> {
    match binding.split_once(':') {
        None if binding == "ai" => ai(services, &request).await,
        Some(("vectorize", index)) => vectorize(services, index, &request).await,
        Some(("kv", namespace)) => kv(services, namespace, &request).await,
        Some(("d1", database)) => d1(services, database, &request).await,
        _ => typed_response(404, "text/plain", format!("no binding of the kind \"{binding}\"")),
    }
}

#[derive(Deserialize)]
struct Run {
    inputs: Value,
    #[serde(default)]
    options: RunOptions,
}

#[derive(Deserialize, Default)]
struct RunOptions {
    #[serde(default)]
    gateway: Option<GatewayOptions>,
}

#[derive(Deserialize)]
struct GatewayOptions {
    id: String,
}

async fn ai(services: &Arc<Services>, request: &BindingRequest) -> Response<Body> {
    let through_gateway = match (&request.method, request.uri.path()) {
        (&Method::POST, "/run") => false,
        (&Method::POST, "/ai-gateway/run") => true,
        (method, path) => return typed_response(404, "text/plain", format!("{method} {path} is not stood in for")),
    };
    let model = request.headers.get("cf-consn-model-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
    // A prefix, as options may name one, stands before the model and a colon.
    let model = model.rsplit_once(':').map_or(model, |(_, model)| model);
    let call = Call {
        wire: "binding",
        service: "ai",
        operation: operation(model),
        target: model.to_owned(),
        request: loggable(&request.body),
    };
    let admitted = match services.admit(call).await {
        Ok(admitted) => admitted,
        Err(response) => return response,
    };
    let run: Run = match serde_json::from_slice(&request.body) {
        Ok(run) => run,
        Err(error) => {
            let refusal = Refusal::new(400, 5_004, format!("Invalid data: {error}"));
            return services.done(&admitted, json_response(refusal.status, refusal.ai_body()));
        }
    };
    let gateway = run.options.gateway.filter(|_| through_gateway);
    let wire = gateway.as_ref().map_or(AiWire::Binding, |gateway| AiWire::Gateway(&gateway.id));
    services.run_model(admitted, model, run.inputs, wire).await
}

async fn vectorize(services: &Arc<Services>, index: &str, request: &BindingRequest) -> Response<Body> {
    let operation = match (&request.method, request.uri.path()) {
        (&Method::GET, "/info") => "info",
        (&Method::POST, "/query") => "query",
        (&Method::POST, "/upsert") => "upsert",
        (&Method::POST, "/insert") => "insert",
        (&Method::POST, "/getByIds") => "get_by_ids",
        (&Method::POST, "/deleteByIds") => "delete_by_ids",
        (method, path) => return typed_response(404, "text/plain", format!("{method} {path} is not stood in for")),
    };
    let call = Call {
        wire: "binding",
        service: "vectorize",
        operation,
        target: index.to_owned(),
        request: loggable(&request.body),
    };
    let admitted = match services.admit(call).await {
        Ok(admitted) => admitted,
        Err(response) => return response,
    };
    let (engine, body) = (&services.vectorize, &request.body);
    let result = match operation {
        "info" => engine.info(index),
        "query" => engine.query(index, body),
        "upsert" => engine.upsert(index, body, MAX_UPSERT_VECTORS, false),
        "insert" => engine.upsert(index, body, MAX_UPSERT_VECTORS, true),
        "get_by_ids" => engine.get_ids(index, body),
        _ => engine.delete_ids(index, body),
    };
    let response = match result {
        Ok(result) => json_response(200, result.to_string()),
        Err(refusal) => json_response(refusal.status, refusal.vectorize_body()),
    };
    services.done(&admitted, response)
}

#[derive(Deserialize, Default)]
struct KvParameters {
    #[serde(default)]
    expiration: Option<i64>,
    #[serde(default)]
    expiration_ttl: Option<i64>,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    key_count_limit: Option<usize>,
    #[serde(default)]
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BulkGet {
    keys: Vec<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    with_metadata: bool,
}

async fn kv(services: &Arc<Services>, namespace: &str, request: &BindingRequest) -> Response<Body> {
    let path = request.uri.path();
    let key = percent_decode_str(path.trim_start_matches('/')).decode_utf8_lossy().into_owned();
    let operation = match (&request.method, path) {
        (&Method::GET, "/") => "list",
        (&Method::GET, _) => "get",
        (&Method::PUT, _) => "put",
        (&Method::DELETE, _) => "delete",
        (&Method::POST, "/bulk/get") => "bulk_get",
        _ => return kv_refusal(&Refusal::new(405, 10_000, "Method Not Allowed")),
    };
    let call = Call {
        wire: "binding",
        service: "kv",
        operation,
        target: namespace.to_owned(),
        request: json!({ "key": key, "query": request.uri.query(), "body": loggable(&request.body) }),
    };
    let admitted = match services.admit(call).await {
        Ok(admitted) => admitted,
        Err(response) => return response,
    };
    let response = kv_answer(services, namespace, operation, &key, request);
    services.done(&admitted, response.unwrap_or_else(|refusal| kv_refusal(&refusal)))
}

fn kv_answer(
    services: &Services,
    namespace: &str,
    operation: &str,
    key: &str,
    request: &BindingRequest,
) -> Result<Response<Body>, Refusal> {
    let parameters = Query::<KvParameters>::try_from_uri(&request.uri);
    let Query(parameters) = parameters.map_err(|error| Refusal::new(400, 10_000, error.to_string()))?;
    let engine = &services.kv;
    match operation {
        "list" => {
            let limit = parameters.key_count_limit.unwrap_or(MAX_LIST_KEYS);
            let page = engine.list(namespace, &parameters.prefix, limit, parameters.cursor.as_deref())?;
            let keys: Vec<Value> = page.keys.iter().map(|key| key.describe(false)).collect();
            let mut body = json!({ "keys": keys, "list_complete": page.cursor.is_none() });
            if let (Some(cursor), Some(body)) = (page.cursor, body.as_object_mut()) {
                body.insert("cursor".to_owned(), json!(cursor));
            }
            Ok(json_response(200, body.to_string()))
        }
        "get" => Ok(match engine.get(namespace, key)? {
            Some(entry) => value_response(entry),
            None => typed_response(404, "text/plain", ""),
        }),
        "put" => {
            let metadata = request.headers.get("cf-kv-metadata").map(|value| String::from_utf8_lossy(value.as_bytes()));
            let expiry = Expiry { ttl: parameters.expiration_ttl, at: parameters.expiration };
            engine.put(namespace, key, &request.body, metadata.as_deref(), expiry)?;
            Ok(Response::new(Body::empty()))
        }
        "delete" => engine.delete(namespace, key).map(|()| Response::new(Body::empty())),
        _ => bulk_get(services, namespace, &request.body),
    }
}

fn value_response(entry: Entry) -> Response<Body> {
    let mut response = typed_response(200, "application/octet-stream", entry.value);
    if let Some(metadata) = &entry.metadata {
        set(&mut response, "cf-kv-metadata", metadata);
    }
    response
}

fn bulk_get(services: &Services, namespace: &str, body: &[u8]) -> Result<Response<Body>, Refusal> {
    let invalid = |message: String| Refusal::new(400, 10_000, message);
    let request: BulkGet = serde_json::from_slice(body).map_err(|_| invalid("Invalid JSON".to_owned()))?;
    let kind = request.kind.as_deref().unwrap_or("text");
    if kind != "text" && kind != "json" {
        return Err(invalid(format!("\"{kind}\" is not a valid type. Use \"json\" or \"text\"")));
    }
    let entries = services.kv.get_many(namespace, &request.keys)?;
    let mut found = serde_json::Map::new();
    for (key, entry) in request.keys.into_iter().zip(entries) {
        let value = entry.map(|entry| entry.as_json(kind == "json", request.with_metadata)).transpose()?;
        found.insert(key, value.unwrap_or(Value::Null));
    }
    Ok(json_response(200, Value::Object(found).to_string()))
}

impl Entry {
    fn as_json(&self, parse: bool, with_metadata: bool) -> Result<Value, Refusal> {
        let value = if parse {
            let message = "At least one of the requested keys corresponds to a non-json value";
            serde_json::from_slice(&self.value).map_err(|_| Refusal::new(400, 10_000, message))?
        } else {
            json!(String::from_utf8_lossy(&self.value))
        };
        if !with_metadata {
            return Ok(value);
        }
        let metadata = self.metadata.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        Ok(json!({ "value": value, "metadata": metadata }))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct D1Parameters {
    #[serde(default)]
    results_format: String,
}

/// `/query` and `/execute` are the same; one answer for each query, in a list. The binding takes
/// no notice of the status.
async fn d1(services: &Arc<Services>, database: &str, request: &BindingRequest) -> Response<Body> {
    match (&request.method, request.uri.path()) {
        (&Method::POST, "/query" | "/execute") => {}
        (method, path) => return typed_response(404, "text/plain", format!("{method} {path} is not stood in for")),
    }
    let refused = |refusal: Refusal| json_response(refusal.status, refusal.d1_body());
    let queries = match Queries::read(&request.body) {
        Ok(queries) => queries,
        Err(refusal) => return refused(refusal),
    };
    let call = Call {
        wire: "binding",
        service: "d1",
        operation: queries.operation(),
        target: database.to_owned(),
        request: queries.loggable(),
    };
    let admitted = match services.admit(call).await {
        Ok(admitted) => admitted,
        Err(response) => return response,
    };
    let table = Query::<D1Parameters>::try_from_uri(&request.uri)
        .is_ok_and(|Query(parameters)| parameters.results_format == "ROWS_AND_COLUMNS");
    let response = match services.query(database, &queries) {
        Err(refusal) => refused(refusal),
        Ok(outcomes) => {
            // Of statements joined in one text, the last one's rows are seen.
            let last = outcomes.iter().filter_map(|of_one_text| of_one_text.last());
            let described = last.map(|outcome| {
                let results = if table { outcome.table() } else { outcome.objects() };
                json!({ "success": true, "results": results, "meta": outcome.meta })
            });
            json_response(200, described.collect::<Value>().to_string())
        }
    };
    services.done(&admitted, response)
}

/// KV says why in the status line, and the binding throws that text.
fn kv_refusal(refusal: &Refusal) -> Response<Body> {
    let mut response = typed_response(refusal.status, "text/plain", "");
    let reason: String =
        refusal.message.chars().map(|c| if c.is_control() || !c.is_ascii() { ' ' } else { c }).collect();
    if let Ok(reason) = ReasonPhrase::try_from(reason.into_bytes()) {
        response.extensions_mut().insert(reason);
    }
    response
}
