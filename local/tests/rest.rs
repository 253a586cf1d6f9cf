//! The REST routes: limits with their codes, the envelope and its exceptions, visibility.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test fails by panicking

use std::time::Duration;

use docent_local::{Canned, Cloud, CloudConfig, Fault};
use proptest::prelude::*;
use serde_json::{Value, json};
use ureq::Agent;

const EMBED: &str = "ai/run/@cf/baai/bge-base-en-v1.5";
const CHAT: &str = "ai/run/@cf/meta/llama-3.1-8b-instruct-fast";
const RERANK: &str = "ai/run/@cf/baai/bge-reranker-base";
const INDEX: &str = "vectorize/v2/indexes/docs";
const KV: &str = "storage/kv/namespaces/n";

struct Api {
    cloud: Cloud,
    agent: Agent,
}

/// Status, content type, body.
struct Answer(u16, String, String);

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.2).unwrap_or_else(|error| panic!("{error}: {}", self.2))
    }

    fn result(&self) -> Value {
        let body = self.json();
        assert_eq!(body["success"], true, "{body}");
        body["result"].clone()
    }

    fn code(&self) -> (u16, u64) {
        let body = self.json();
        assert_eq!((&body["success"], &body["result"]), (&json!(false), &Value::Null));
        (self.0, body["errors"][0]["code"].as_u64().unwrap())
    }
}

impl Api {
    fn start() -> Self {
        Self::with(CloudConfig::default())
    }

    fn with(config: CloudConfig) -> Self {
        let agent = Agent::config_builder().http_status_as_error(false).build().into();
        Self { cloud: Cloud::start(config).unwrap(), agent }
    }

    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Result<Answer, ureq::Error> {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/accounts/a/{path}", self.cloud.api_base()))
            .header("authorization", "Bearer token")
            .header("content-type", kind)
            .body(body)
            .unwrap();
        let mut response = self.agent.run(request)?;
        let content_type = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let text = response.body_mut().with_config().limit(1 << 28).read_to_string()?;
        Ok(Answer(response.status().as_u16(), content_type.unwrap_or_default(), text))
    }

    fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", b"").unwrap()
    }

    fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, "application/json", body.to_string().as_bytes()).unwrap()
    }

    fn put(&self, path: &str, body: &[u8]) -> Answer {
        self.send("PUT", path, "text/plain", body).unwrap()
    }

    fn upsert(&self, vectors: &[Value]) -> Answer {
        let lines: Vec<String> = vectors.iter().map(Value::to_string).collect();
        self.send("POST", &format!("{INDEX}/upsert"), "application/x-ndjson", lines.join("\n").as_bytes()).unwrap()
    }

    fn create_index(&self) {
        let body = json!({ "name": "docs", "config": { "dimensions": 2, "metric": "cosine" } });
        assert_eq!(self.post("vectorize/v2/indexes", body).0, 201);
    }

    fn query(&self, options: Value) -> Answer {
        let mut body = json!({ "vector": [1, 0] });
        body.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        self.post(&format!("{INDEX}/query"), body)
    }

    fn settle(&self) {
        self.cloud.advance_clock(Duration::from_millis(300));
    }
}

#[test]
fn embeddings_keep_the_model_s_limits() {
    let api = Api::start();
    let answer = api.post(EMBED, json!({ "text": vec!["x"; 100] })).result();
    assert_eq!((&answer["shape"], &answer["pooling"]), (&json!([100, 768]), &json!("mean")));
    for refused in [json!({ "text": vec!["x"; 101] }), json!({ "text": [] }), json!({ "text": [""] }), json!({})] {
        assert_eq!(api.post(EMBED, refused).code(), (400, 5006));
    }
    assert_eq!(api.post("ai/run/@cf/nobody/nothing", json!({ "text": "x" })).code(), (400, 5007));
}

#[test]
fn vectors_of_another_pooling_are_of_another_space() {
    let api = Api::start();
    let texts = ["Install docent\n\nRun make run to install it.", "how do I install docent?", "weather in Lisbon"];
    let embed = |pooling: Option<&str>| -> Vec<Vec<f64>> {
        let answer = api.post(EMBED, json!({ "text": texts, "pooling": pooling })).result();
        serde_json::from_value(answer["data"].clone()).unwrap()
    };
    let cosine = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let (cls, mean) = (embed(Some("cls")), embed(None));
    assert_eq!(mean, embed(Some("mean")), "no pooling is mean");
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let difference = cosine(&cls[a], &cls[b]) - cosine(&mean[a], &mean[b]);
        assert!(difference.abs() < 1e-9, "among themselves they are as far apart: {difference}");
    }
    assert!(cosine(&cls[0], &cls[1]) > 0.2, "{}", cosine(&cls[0], &cls[1]));
    assert!(cosine(&cls[0], &mean[1]).abs() < 0.1 && cosine(&cls[1], &mean[1]).abs() < 0.1, "mixed, they say nothing");
}

#[test]
fn chat_answers_in_the_shape_of_its_model_and_streams_without_envelope() {
    let api = Api::start();
    let chat = |stream| json!({ "messages": [{ "role": "user", "content": "hello" }], "stream": stream });
    assert!(api.post(CHAT, chat(false)).result()["response"].is_string());
    let gemma = api.post("ai/run/@cf/google/gemma-4-26b-a4b-it", chat(false)).result();
    assert!(gemma["choices"][0]["message"]["content"].is_string() && gemma.get("response").is_none());
    let streamed = api.post("ai/run/@cf/google/gemma-4-26b-a4b-it", chat(true));
    assert_eq!(streamed.1, "text/event-stream");
    assert!(streamed.2.contains("\"delta\":{\"content\":") && streamed.2.ends_with("data: [DONE]\n\n"));
    assert_eq!(api.post("ai/run/@cf/openai/gpt-oss-20b", chat(true)).1, "application/json", "it ignores stream");

    let null = json!({ "messages": [{ "role": "user", "content": null }] });
    assert_eq!(api.post(CHAT, null).code(), (400, 5006));
    let long = json!({ "messages": [{ "role": "user", "content": "word ".repeat(100) }], "max_tokens": 59_900 });
    assert_eq!(api.post(CHAT, long).code(), (413, 5021));
    assert_eq!(api.post("ai/run/@cf/meta/llama-3-8b-instruct", chat(false)).code().1, 5028);
    let counters = api.cloud.requests()["counters"].clone();
    assert_eq!(counters["ai.chat"], 7);
    assert!(counters["tokens.completion"].as_u64() > Some(0), "{counters}");
}

#[test]
fn an_answer_is_no_longer_than_max_tokens() {
    let api = Api::start();
    let body = json!({ "messages": [{ "role": "user", "content": "hello" }], "max_tokens": 3 });
    let answer = api.post(CHAT, body).result();
    assert_eq!(answer["usage"]["completion_tokens"], 3, "{answer}");
}

#[test]
fn the_reranker_puts_the_passage_about_the_question_first() {
    let api = Api::start();
    let contexts = json!([{ "text": "cats sleep" }, { "text": "the cache is cleared by hand" }]);
    let body = json!({ "query": "how is the cache cleared", "contexts": contexts, "top_k": 1 });
    let answer = api.post(RERANK, body).result();
    assert_eq!(answer["response"].as_array().unwrap().len(), 1);
    assert_eq!(answer["response"][0]["id"], 1);
}

#[test]
fn vectorize_keeps_its_limits() {
    let api = Api::start();
    assert_eq!(api.upsert(&[json!({ "id": "a", "values": [1, 0] })]).code(), (400, 3000));
    api.create_index();
    let again = json!({ "name": "docs", "config": { "preset": "@cf/baai/bge-base-en-v1.5" } });
    assert_eq!(api.post("vectorize/v2/indexes", again).code(), (400, 3002));
    let refused = [
        (json!({ "id": "a", "values": [1, 0, 0] }), 40_006),
        (json!({ "id": "x".repeat(65), "values": [1, 0] }), 40_008),
        (json!({ "id": "a", "values": [1, 0], "metadata": { "t": "x".repeat(10_240) } }), 40_016),
        (json!({ "id": "a", "values": { "0": 1 } }), 40_023),
    ];
    for (vector, code) in refused {
        let batch = [json!({ "id": "good", "values": [1, 0] }), vector];
        assert_eq!(api.upsert(&batch).code(), (400, code));
    }
    api.settle();
    assert_eq!(api.get(&format!("{INDEX}/info")).result()["vectorCount"], 0, "one bad vector rejects its batch");
    let json_upsert = api.post(&format!("{INDEX}/upsert"), json!({ "id": "a", "values": [1, 0] }));
    assert_eq!(json_upsert.code(), (400, 40_026));
    for (options, code) in [
        (json!({ "topK": 21, "returnMetadata": "all" }), 40_025),
        (json!({ "topK": 21, "returnValues": true }), 40_025),
        (json!({ "topK": 101 }), 40_025),
        (json!({ "topK": 0 }), 40_025),
        (json!({ "returnMetadata": true }), 40_026),
        (json!({ "vector": [1] }), 40_006),
    ] {
        assert_eq!(api.query(options).code(), (400, code));
    }
    for (operation, most) in [("get_by_ids", 20), ("delete_by_ids", 100)] {
        let ids = |count: usize| json!({ "ids": (0..count).map(|id| id.to_string()).collect::<Vec<_>>() });
        api.post(&format!("{INDEX}/{operation}"), ids(most)).result();
        assert_eq!(api.post(&format!("{INDEX}/{operation}"), ids(most + 1)).code(), (400, 40_007));
    }
}

#[test]
fn writes_become_visible_together_and_later() {
    let api = Api::start();
    api.create_index();
    let upserted = api.upsert(&[json!({ "id": "a", "values": [1, 0] }), json!({ "id": "b", "values": [0.6, 0.8] })]);
    let mutation = upserted.result()["mutationId"].clone();
    assert_eq!(api.query(json!({})).result()["count"], 0);
    api.settle();
    let info = api.get(&format!("{INDEX}/info")).result();
    assert_eq!((&info["processedUpToMutation"], &info["vectorCount"]), (&mutation, &json!(2)));
    let found = api.query(json!({})).result();
    assert_eq!((&found["matches"][0]["id"], &found["matches"][1]["id"]), (&json!("a"), &json!("b")));
    assert!((found["matches"][1]["score"].as_f64().unwrap() - 0.6).abs() < 1e-6);
    api.post(&format!("{INDEX}/delete_by_ids"), json!({ "ids": ["a"] })).result();
    assert_eq!(api.query(json!({})).result()["count"], 2);
    api.settle();
    assert_eq!(api.query(json!({})).result()["count"], 1);
}

#[test]
fn filters_see_indexed_properties_of_vectors_written_afterwards() {
    let api = Api::start();
    api.create_index();
    let vector = |id: &str, lang: &str| json!({ "id": id, "values": [1, 0], "metadata": { "lang": lang, "n": 1 } });
    api.upsert(&[vector("old", "en")]).result();
    let property = json!({ "propertyName": "lang", "indexType": "string" });
    api.post(&format!("{INDEX}/metadata_index/create"), property.clone()).result();
    api.post(&format!("{INDEX}/metadata_index/create"), property.clone()).result(); // the same again succeeds
    api.upsert(&[vector("new", "en"), vector("other", "de")]).result();
    api.settle();
    let ids = |filter: Value| -> Vec<String> {
        let found = api.query(json!({ "filter": filter })).result();
        found["matches"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(json!({ "lang": "en" })), ["new"]);
    assert_eq!(ids(json!({ "lang": { "$ne": "en" } })), ["other"]);
    assert_eq!(ids(json!({ "lang": { "$gte": "d", "$lt": "e" } })), ["other"]);
    assert!(ids(json!({ "n": 1 })).is_empty(), "no index on n");
    assert_eq!(api.query(json!({ "filter": {} })).0, 400);
    let indexed = api.query(json!({ "returnMetadata": "indexed", "filter": { "lang": "de" } })).result();
    assert_eq!(indexed["matches"][0]["metadata"], json!({ "lang": "de" }));
    api.post(&format!("{INDEX}/metadata_index/delete"), json!({ "propertyName": "lang" })).result();
    let again = api.post(&format!("{INDEX}/metadata_index/delete"), json!({ "propertyName": "lang" }));
    assert_eq!(again.code(), (400, 40_005));
}

#[test]
fn a_chain_of_list_cursors_walks_through_one_snapshot() {
    let api = Api::start();
    api.create_index();
    let vectors: Vec<Value> = (0..5).map(|id| json!({ "id": format!("v{id}"), "values": [1, 0] })).collect();
    api.upsert(&vectors).result();
    api.settle();
    let (mut path, mut seen) = (format!("{INDEX}/list?count=2"), Vec::new());
    loop {
        let page = api.get(&path).result();
        seen.extend(page["vectors"].as_array().unwrap().iter().map(|v| v["id"].as_str().unwrap().to_owned()));
        api.upsert(&[json!({ "id": format!("w{}", seen.len()), "values": [1, 0] })]).result();
        api.settle();
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("{INDEX}/list?count=2&cursor={cursor}");
    }
    assert_eq!(seen, ["v0", "v1", "v2", "v3", "v4"]);
    assert_eq!(api.get(&format!("{INDEX}/list?count=1001")).0, 400);
}

#[test]
fn kv_keeps_its_limits() {
    let api = Api::start();
    let value = |key: &str| format!("{KV}/values/{key}");
    assert_eq!(api.get(&value("k")).code(), (404, 10_009));
    assert_eq!(api.put(&value("k?expiration_ttl=59"), b"v").0, 400);
    api.put(&value("k?expiration_ttl=60"), b"v").result();
    assert_eq!(api.get(&value("k")).2, "v", "a value has no envelope");
    assert_eq!(api.put(&value("k"), b"w").0, 429, "one write a second");
    api.cloud.advance_clock(Duration::from_secs(59));
    assert_eq!(api.get(&value("k")).0, 200);
    api.cloud.advance_clock(Duration::from_secs(1));
    assert_eq!(api.get(&value("k")).0, 404, "expired");
    assert_eq!(api.put(&value(&"k".repeat(513)), b"v").0, 414);
    assert_eq!(api.put(&value("large"), &vec![b'x'; 25 * 1024 * 1024 + 1]).0, 413);
    let metadata = json!([{ "key": "m", "value": "v", "metadata": "x".repeat(1_023) }]);
    assert_eq!(api.put(&format!("{KV}/bulk"), metadata.to_string().as_bytes()).0, 413);
    let keys: Vec<String> = (0..101).map(|key| key.to_string()).collect();
    assert_eq!(api.post(&format!("{KV}/bulk/get"), json!({ "keys": keys })).0, 400);
}

#[test]
fn faults_happen_as_scripted_and_are_used_up() {
    let api = Api::start();
    let fault = |fault: Value| api.cloud.set_faults(vec![serde_json::from_value::<Fault>(fault).unwrap()]);
    let chat = json!({ "messages": [{ "role": "user", "content": "hello" }], "stream": true });
    let events = |answer: Answer| answer.2.split_terminator("\n\n").map(str::to_owned).collect::<Vec<_>>();

    let body = "<h1>no</h1>".to_owned();
    let canned = Canned { status: 502, content_type: Some("text/html".to_owned()), body, ..Canned::default() };
    fault(json!({ "service": "ai", "operation": "chat", "times": 1, "respond": canned }));
    let answer = api.post(CHAT, chat.clone());
    assert_eq!((answer.0, answer.1.as_str(), answer.2.as_str()), (502, "text/html", "<h1>no</h1>"));
    let whole = events(api.post(CHAT, chat.clone()));
    assert_eq!(whole.last().unwrap(), "data: [DONE]", "used up");

    fault(json!({ "service": "ai", "cut_after_events": 3 }));
    assert_eq!(events(api.post(CHAT, chat.clone())), whole[..3]);
    fault(json!({ "service": "ai", "garble_event": 2 }));
    let garbled = events(api.post(CHAT, chat.clone()));
    assert_eq!(garbled.len(), whole.len());
    assert!(serde_json::from_str::<Value>(garbled[1].strip_prefix("data: ").unwrap()).is_err());
    fault(json!({ "service": "ai", "drop_connection": true }));
    assert!(api.send("POST", CHAT, "application/json", chat.to_string().as_bytes()).is_err());
    fault(json!({ "service": "ai", "cut_after_events": 3, "drop_connection": true }));
    assert!(api.send("POST", CHAT, "application/json", chat.to_string().as_bytes()).is_err());
    fault(json!({ "service": "kv", "operation": "get", "respond": { "status": 500 } }));
    assert_eq!(api.put(&format!("{KV}/values/k"), b"v").0, 200);
    assert_eq!(api.get(&format!("{KV}/values/k")).0, 500);

    let logged = api.cloud.requests();
    let last = logged["requests"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["service"], &last["operation"], &last["status"]), (&json!("kv"), &json!("get"), &json!(500)));
    assert_eq!(logged["requests"][0]["request"]["messages"][0]["content"], "hello");
}

#[test]
fn a_share_of_calls_fails_the_same_ones_each_time() {
    let api = Api::start();
    let failed = |seed: u64| -> Vec<usize> {
        let fault =
            json!({ "service": "kv", "operation": "get", "share": 0.2, "seed": seed, "respond": { "status": 500 } });
        api.cloud.set_faults(vec![serde_json::from_value(fault).unwrap()]);
        (0..200).filter(|_| api.get(&format!("{KV}/values/k")).0 == 500).collect()
    };
    let first = failed(1);
    assert!((20..=60).contains(&first.len()), "{first:?}");
    assert_eq!(first, failed(1));
    assert_ne!(first, failed(2));
    let percent = json!({ "service": "kv", "share": 20 });
    assert!(serde_json::from_value::<Fault>(percent).is_err());
}

#[test]
fn an_answer_can_be_lost_after_the_call_was_carried_out() {
    let api = Api::start();
    let after = |mut fault: Value| {
        fault["after"] = json!(true);
        fault["times"] = json!(1);
        api.cloud.set_faults(vec![serde_json::from_value(fault).unwrap()]);
    };
    after(json!({ "service": "kv", "operation": "put", "drop_connection": true }));
    assert!(api.send("PUT", &format!("{KV}/values/k"), "text/plain", b"written").is_err());
    assert_eq!(api.get(&format!("{KV}/values/k")).2, "written");
    api.create_index();
    after(json!({ "service": "vectorize", "respond": { "status": 503, "body": "later" } }));
    let answer = api.upsert(&[json!({ "id": "a", "values": [1, 0] })]);
    assert_eq!((answer.0, answer.2.as_str()), (503, "later"));
    api.settle();
    assert_eq!(api.query(json!({})).result()["count"], 1);
    after(json!({ "service": "ai", "operation": "embed", "respond": { "status": 500 } }));
    assert_eq!(api.post(EMBED, json!({ "text": ["x"] })).0, 500);
    assert_eq!(api.cloud.requests()["counters"]["texts.embedded"], 1);
}

#[test]
fn only_this_machine_is_answered_and_rest_wants_a_token() {
    let api = Api::start();
    let base = api.cloud.base_url();
    let rebound = api.agent.get(&base).header("host", "evil.example:80").call().unwrap();
    assert_eq!(rebound.status(), 421);
    let nobody = api.agent.get(format!("{}/accounts/a/{INDEX}", api.cloud.api_base())).call().unwrap();
    assert_eq!(nobody.status(), 401);
    let status: Value = api.agent.get(&base).call().unwrap().body_mut().read_json().unwrap();
    assert_eq!(status["embedder"], "docent-local/lexical");
    assert_eq!(status["answerer"], "docent-local/extractive");
}

#[test]
fn state_in_a_folder_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = CloudConfig { state: Some(folder.path().to_owned()), ..CloudConfig::default() };
    let api = Api::with(config.clone());
    api.create_index();
    api.put(&format!("{KV}/values/k"), b"kept").result();
    let mutation = api.upsert(&[json!({ "id": "a", "values": [1, 0], "metadata": { "t": "ü" } })]).result();
    drop(api);
    let api = Api::with(config);
    assert_eq!(api.get(&format!("{KV}/values/k")).2, "kept");
    assert_eq!(api.get(&format!("{INDEX}/info")).result()["processedUpToMutation"], mutation["mutationId"]);
    let found = api.query(json!({ "returnMetadata": "all", "returnValues": true })).result();
    assert_eq!(found["matches"][0]["metadata"], json!({ "t": "ü" }));
    assert_eq!(found["matches"][0]["values"], json!([1.0, 0.0]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn pages_of_keys_are_all_keys_of_the_prefix_in_order(
        keys in proptest::collection::btree_set("[ab/%üé]{1,4}", 1..30),
        limit in 1_usize..7,
    ) {
        let api = Api::start();
        let pairs: Vec<Value> = keys.iter().map(|key| json!({ "key": key, "value": "v" })).collect();
        api.put(&format!("{KV}/bulk"), json!(pairs).to_string().as_bytes()).result();
        let (mut cursor, mut seen) = (String::new(), Vec::new());
        loop {
            let page = api.get(&format!("{KV}/keys?prefix=a&limit={limit}&cursor={cursor}")).json();
            seen.extend(page["result"].as_array().unwrap().iter().map(|k| k["name"].as_str().unwrap().to_owned()));
            page["result_info"]["cursor"].as_str().unwrap().clone_into(&mut cursor);
            if cursor.is_empty() {
                break;
            }
        }
        let expected: Vec<String> = keys.into_iter().filter(|key| key.starts_with('a')).collect();
        prop_assert_eq!(seen, expected);
    }
}
