//! The REST routes of api.cloudflare.com that ingest uses, below `/client/v4/accounts/{account}`.
//!
//! Any account id and any token will do, but a token there must be: a web page cannot send one to
//! another origin unasked, so no page in the developer's browser can write here.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, Response, header};
use axum::middleware::{Next, from_fn};
use axum::routing::{get, post, put};
use docent_core::vectorize::{MAX_UPSERT_BYTES, MAX_UPSERT_VECTORS};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::d1::Queries;
use crate::journal::Call;
use crate::kv::{Expiry, Listed, MAX_BULK_WRITE_PAIRS, MAX_LIST_KEYS, not_found};
use crate::refusal::Refusal;
use crate::services::{AiWire, Services, envelope, json_response, loggable, typed_response};

type Shared = State<Arc<Services>>;
type Answer = Response<Body>;

/// All routes.
pub(crate) fn routes() -> Router<Arc<Services>> {
    Router::new()
        .route("/ai/run/{*model}", post(run))
        .route("/vectorize/v2/indexes", get(list_indexes).post(create_index))
        .route("/vectorize/v2/indexes/{index}", get(get_index).delete(delete_index))
        .route("/vectorize/v2/indexes/{index}/{operation}", get(read_index).post(write_index))
        .route("/vectorize/v2/indexes/{index}/metadata_index/{operation}", get(metadata_index).post(metadata_index))
        .route("/storage/kv/namespaces/{namespace}/values/{key}", get(get_value).put(put_value).delete(delete_value))
        .route("/storage/kv/namespaces/{namespace}/keys", get(list_keys))
        .route("/storage/kv/namespaces/{namespace}/bulk", put(bulk_put))
        .route("/storage/kv/namespaces/{namespace}/bulk/{operation}", post(bulk))
        .route("/d1/database", get(list_databases).post(create_database))
        .route("/d1/database/{database}", get(get_database))
        .route("/d1/database/{database}/{operation}", post(query_database))
        .fallback(async || {
            envelop(Err(Refusal::new(404, 7_003, "Could not route to this path; it is not stood in for")))
        })
        .layer(DefaultBodyLimit::max(MAX_UPSERT_BYTES))
        .layer(from_fn(authenticate))
}

async fn authenticate(request: Request, next: Next) -> Answer {
    let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match token.and_then(|token| token.strip_prefix("Bearer ")) {
        Some(token) if !token.is_empty() => next.run(request).await,
        _ => envelop(Err(Refusal::new(401, 10_000, "Authentication error"))),
    }
}

fn envelop(result: Result<Value, Refusal>) -> Answer {
    match result {
        Ok(result) => json_response(200, envelope(result)),
        Err(refusal) => json_response(refusal.status, refusal.envelope()),
    }
}

/// Logs the call, then answers with what `work` returns.
async fn served(
    services: &Services,
    service: &'static str,
    operation: &'static str,
    target: String,
    request: Value,
    work: impl FnOnce() -> Answer,
) -> Answer {
    match services.admit(Call { wire: "rest", service, operation, target, request }).await {
        Ok(admitted) => services.done(&admitted, work()),
        Err(response) => response,
    }
}

async fn run(State(services): Shared, Path((_, model)): Path<(String, String)>, body: Bytes) -> Answer {
    services.run_inputs("rest", &model, &body, AiWire::Rest, true).await
}

async fn list_indexes(State(services): Shared) -> Answer {
    served(&services, "vectorize", "list_indexes", String::new(), Value::Null, || {
        envelop(Ok(services.vectorize.list_indexes()))
    })
    .await
}

async fn create_index(State(services): Shared, body: Bytes) -> Answer {
    served(&services, "vectorize", "create", String::new(), loggable(&body), || {
        match services.vectorize.create(&body) {
            Ok(index) => json_response(201, envelope(index)),
            Err(refusal) => envelop(Err(refusal)),
        }
    })
    .await
}

async fn get_index(State(services): Shared, Path((_, index)): Path<(String, String)>) -> Answer {
    served(&services, "vectorize", "get_index", index.clone(), Value::Null, || {
        envelop(services.vectorize.get_index(&index))
    })
    .await
}

async fn delete_index(State(services): Shared, Path((_, index)): Path<(String, String)>) -> Answer {
    served(&services, "vectorize", "delete_index", index.clone(), Value::Null, || {
        envelop(services.vectorize.delete_index(&index).map(|()| Value::Null))
    })
    .await
}

#[derive(Deserialize)]
struct ListParameters {
    #[serde(default)]
    count: Option<usize>,
    #[serde(default)]
    cursor: Option<String>,
}

async fn read_index(
    State(services): Shared,
    Path((_, index, operation)): Path<(String, String, String)>,
    Query(parameters): Query<ListParameters>,
) -> Answer {
    let operation = match operation.as_str() {
        "info" => "info",
        "list" => "list",
        other => return no_operation(other),
    };
    let request = json!({ "count": parameters.count, "cursor": parameters.cursor });
    served(&services, "vectorize", operation, index.clone(), request, || {
        envelop(match operation {
            "info" => services.vectorize.info(&index),
            _ => services.vectorize.list_ids(&index, parameters.count, parameters.cursor.as_deref()),
        })
    })
    .await
}

async fn write_index(
    State(services): Shared,
    Path((_, index, operation)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let operation = match operation.as_str() {
        "upsert" => "upsert",
        "insert" => "insert",
        "query" => "query",
        "get_by_ids" => "get_by_ids",
        "delete_by_ids" => "delete_by_ids",
        other => return no_operation(other),
    };
    let wanted = if matches!(operation, "upsert" | "insert") { "application/x-ndjson" } else { "application/json" };
    served(&services, "vectorize", operation, index.clone(), loggable(&body), || {
        envelop(check_type(&headers, wanted).and_then(|()| {
            let engine = &services.vectorize;
            match operation {
                "upsert" => engine.upsert(&index, &body, MAX_UPSERT_VECTORS, false),
                "insert" => engine.upsert(&index, &body, MAX_UPSERT_VECTORS, true),
                "query" => engine.query(&index, &body),
                "get_by_ids" => engine.get_ids(&index, &body),
                _ => engine.delete_ids(&index, &body),
            }
        }))
    })
    .await
}

async fn metadata_index(
    State(services): Shared,
    Path((_, index, operation)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let operation = match operation.as_str() {
        "create" => "create_metadata_index",
        "delete" => "delete_metadata_index",
        "list" => "list_metadata_indexes",
        other => return no_operation(other),
    };
    served(&services, "vectorize", operation, index.clone(), loggable(&body), || {
        let engine = &services.vectorize;
        envelop(match operation {
            "list_metadata_indexes" => engine.list_metadata_indexes(&index),
            "create_metadata_index" => {
                check_type(&headers, "application/json").and_then(|()| engine.create_metadata_index(&index, &body))
            }
            _ => check_type(&headers, "application/json").and_then(|()| engine.delete_metadata_index(&index, &body)),
        })
    })
    .await
}

fn no_operation(name: &str) -> Answer {
    envelop(Err(Refusal::new(404, 7_003, format!("there is no operation \"{name}\" on an index"))))
}

/// Code 40026 for a wrong content type was seen live.
fn check_type(headers: &HeaderMap, wanted: &str) -> Result<(), Refusal> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if sent.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted)) {
        return Ok(());
    }
    Err(Refusal::new(400, 40_026, format!("Expected request with `Content-Type: {wanted}`")))
}

#[derive(Deserialize)]
struct PutParameters {
    #[serde(default)]
    expiration: Option<i64>,
    #[serde(default)]
    expiration_ttl: Option<i64>,
}

type KeyPath = Path<(String, String, String)>;

async fn get_value(State(services): Shared, Path((_, namespace, key)): KeyPath) -> Answer {
    served(&services, "kv", "get", namespace.clone(), json!({ "key": key }), || {
        match services.kv.get(&namespace, &key) {
            // No envelope around a value.
            Ok(Some(entry)) => typed_response(200, "application/octet-stream", entry.value),
            Ok(None) => envelop(Err(not_found())),
            Err(refusal) => envelop(Err(refusal)),
        }
    })
    .await
}

async fn put_value(
    State(services): Shared,
    Path((_, namespace, key)): KeyPath,
    Query(parameters): Query<PutParameters>,
    body: Bytes,
) -> Answer {
    let request = json!({ "key": key, "body": loggable(&body) });
    served(&services, "kv", "put", namespace.clone(), request, || {
        let expiry = Expiry { ttl: parameters.expiration_ttl, at: parameters.expiration };
        envelop(services.kv.put(&namespace, &key, &body, None, expiry).map(|()| json!({})))
    })
    .await
}

async fn delete_value(State(services): Shared, Path((_, namespace, key)): KeyPath) -> Answer {
    served(&services, "kv", "delete", namespace.clone(), json!({ "key": key }), || {
        envelop(services.kv.delete(&namespace, &key).map(|()| json!({})))
    })
    .await
}

#[derive(Deserialize)]
struct KeysParameters {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default)]
    cursor: Option<String>,
}

async fn list_keys(
    State(services): Shared,
    Path((_, namespace)): Path<(String, String)>,
    Query(parameters): Query<KeysParameters>,
) -> Answer {
    let request = json!({ "prefix": parameters.prefix, "limit": parameters.limit, "cursor": parameters.cursor });
    served(&services, "kv", "list", namespace.clone(), request, || {
        let limit = parameters.limit.unwrap_or(MAX_LIST_KEYS);
        match services.kv.list(&namespace, &parameters.prefix, limit, parameters.cursor.as_deref()) {
            Err(refusal) => envelop(Err(refusal)),
            Ok(page) => {
                let keys: Vec<Value> = page.keys.iter().map(|key| key.describe(true)).collect();
                let info = json!({ "count": keys.len(), "cursor": page.cursor.unwrap_or_default() });
                let body = json!({
                    "result": keys, "success": true, "errors": [], "messages": [], "result_info": info,
                });
                json_response(200, body.to_string())
            }
        }
    })
    .await
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    value: String,
    #[serde(default)]
    expiration: Option<i64>,
    #[serde(default)]
    expiration_ttl: Option<i64>,
    #[serde(default)]
    metadata: Option<Value>,
}

async fn bulk_put(State(services): Shared, Path((_, namespace)): Path<(String, String)>, body: Bytes) -> Answer {
    served(&services, "kv", "bulk_put", namespace.clone(), loggable(&body), || {
        envelop(read_list::<Pair>(&body).and_then(|pairs| {
            for pair in &pairs {
                let metadata = pair.metadata.as_ref().map(Value::to_string);
                let expiry = Expiry { ttl: pair.expiration_ttl, at: pair.expiration };
                services.kv.put(&namespace, &pair.key, pair.value.as_bytes(), metadata.as_deref(), expiry)?;
            }
            Ok(json!({ "successful_key_count": pairs.len(), "unsuccessful_keys": [] }))
        }))
    })
    .await
}

#[derive(Deserialize)]
struct BulkKeys {
    keys: Vec<String>,
}

async fn bulk(State(services): Shared, Path((_, namespace, operation)): KeyPath, body: Bytes) -> Answer {
    let operation = match operation.as_str() {
        "get" => "bulk_get",
        "delete" => "bulk_delete",
        other => return no_operation(other),
    };
    served(&services, "kv", operation, namespace.clone(), loggable(&body), || {
        envelop(if operation == "bulk_delete" {
            read_list::<String>(&body).and_then(|keys| {
                keys.iter().try_for_each(|key| services.kv.delete(&namespace, key))?;
                Ok(json!({ "successful_key_count": keys.len(), "unsuccessful_keys": [] }))
            })
        } else {
            get_many(&services, &namespace, &body)
        })
    })
    .await
}

#[derive(Deserialize)]
struct DatabaseParameters {
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
struct CreateDatabase {
    name: String,
}

fn d1_envelop(result: Result<Value, Refusal>) -> Answer {
    match result {
        Ok(result) => json_response(200, envelope(result)),
        Err(refusal) => json_response(refusal.status, refusal.d1_envelope()),
    }
}

async fn list_databases(State(services): Shared, Query(parameters): Query<DatabaseParameters>) -> Answer {
    served(&services, "d1", "list", String::new(), json!({ "name": parameters.name }), || {
        let found = services.d1.list(parameters.name.as_deref());
        let info = json!({ "page": 1, "per_page": 100, "count": found.len(), "total_count": found.len() });
        let body = json!({ "result": found, "success": true, "errors": [], "messages": [], "result_info": info });
        json_response(200, body.to_string())
    })
    .await
}

async fn create_database(State(services): Shared, body: Bytes) -> Answer {
    served(&services, "d1", "create", String::new(), loggable(&body), || {
        let request = serde_json::from_slice(&body).map_err(|error| {
            Refusal::new(400, crate::d1::code::MALFORMED, format!("The request is malformed: {error}"))
        });
        d1_envelop(request.and_then(|CreateDatabase { name }| services.d1.create(&name)))
    })
    .await
}

async fn get_database(State(services): Shared, Path((_, database)): Path<(String, String)>) -> Answer {
    served(&services, "d1", "get", database.clone(), Value::Null, || d1_envelop(services.d1.describe(&database))).await
}

async fn query_database(
    State(services): Shared,
    Path((_, database, operation)): Path<(String, String, String)>,
    body: Bytes,
) -> Answer {
    let raw = match operation.as_str() {
        "query" => false,
        "raw" => true,
        other => return no_operation(other),
    };
    let queries = match Queries::read(&body) {
        Ok(queries) => queries,
        Err(refusal) => return d1_envelop(Err(refusal)),
    };
    served(&services, "d1", queries.operation(), database.clone(), queries.loggable(), || {
        d1_envelop(services.query(&database, &queries).map(|outcomes| {
            let described = outcomes.iter().flatten().map(|outcome| {
                let results = if raw { outcome.table() } else { outcome.objects() };
                json!({ "results": results, "success": true, "meta": outcome.meta })
            });
            described.collect()
        }))
    })
    .await
}

fn get_many(services: &Services, namespace: &str, body: &[u8]) -> Result<Value, Refusal> {
    let BulkKeys { keys } = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    let entries = services.kv.get_many(namespace, &keys)?;
    let values: serde_json::Map<String, Value> = keys
        .into_iter()
        .zip(entries)
        .map(|(key, entry)| (key, entry.map_or(Value::Null, |entry| json!(String::from_utf8_lossy(&entry.value)))))
        .collect();
    Ok(json!({ "values": values }))
}

fn read_list<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<Vec<T>, Refusal> {
    let list: Vec<T> = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    if list.len() <= MAX_BULK_WRITE_PAIRS {
        return Ok(list);
    }
    Err(Refusal::new(400, 10_033, format!("{} pairs in one request, at most {MAX_BULK_WRITE_PAIRS}", list.len())))
}

fn unreadable(error: &serde_json::Error) -> Refusal {
    Refusal::new(400, 10_012, format!("the body cannot be read: {error}"))
}

impl Listed {
    /// Metadata is JSON over REST, and its text through the binding.
    pub(crate) fn describe(&self, parse_metadata: bool) -> Value {
        let mut out = serde_json::Map::new();
        out.insert("name".to_owned(), json!(self.name));
        if let Some(expires) = self.expires_s {
            out.insert("expiration".to_owned(), json!(expires));
        }
        if let Some(metadata) = &self.metadata {
            let parsed = serde_json::from_str(metadata).ok().filter(|_| parse_metadata);
            out.insert("metadata".to_owned(), parsed.unwrap_or_else(|| json!(metadata)));
        }
        Value::Object(out)
    }
}
