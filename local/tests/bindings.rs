//! The runtime's own binding code in front of the stand-in: what a Worker gets from every call.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test fails by panicking

use std::path::Path;
use std::time::Duration;

use docent_local::workerd::find_binary;
use docent_local::{Cloud, CloudConfig, Module, Workerd, WorkerdConfig};
use serde_json::{Value, json};

struct Probe {
    cloud: Cloud,
    workerd: Workerd,
}

impl Probe {
    /// `None` where there is no workerd on this machine.
    fn start() -> Option<Self> {
        let binary = find_binary(Path::new(env!("CARGO_MANIFEST_DIR"))).ok()?;
        let cloud = Cloud::start(CloudConfig::default()).unwrap();
        let module = Module { name: "probe.js".to_owned(), content: include_bytes!("probe.js").to_vec() };
        let config = WorkerdConfig::new(binary, vec![module], cloud.address());
        let workerd = Workerd::start(&config).unwrap();
        Some(Self { cloud, workerd })
    }

    fn call(&self, name: &str) -> Value {
        get(&format!("{}/?call={name}", self.workerd.url()))
    }

    fn ok(&self, name: &str) -> Value {
        let answer = self.call(name);
        assert!(answer.get("ok").is_some(), "{name}: {answer}");
        answer["ok"].clone()
    }

    fn error(&self, name: &str) -> String {
        let answer = self.call(name);
        answer["error"].as_str().unwrap_or_else(|| panic!("{name}: {answer}")).to_owned()
    }
}

fn get(url: &str) -> Value {
    let mut response = ureq::get(url).call().unwrap();
    response.body_mut().read_json().unwrap()
}

#[test]
fn a_worker_sees_kv_with_its_limits() {
    let Some(probe) = Probe::start() else { return };
    probe.ok("kv_put");
    let found = probe.ok("kv_get");
    assert_eq!((&found["value"], &found["metadata"]["who"]), (&json!("value"), &json!("ü")));
    assert_eq!(probe.error("kv_put_twice"), "Error: KV PUT failed: 429 Too Many Requests");
    probe.cloud.advance_clock(Duration::from_secs(1));
    probe.ok("kv_put_twice");
    assert_eq!(
        probe.error("kv_short_ttl"),
        "Error: KV PUT failed: 400 Invalid expiration_ttl of 30. Expiration TTL must be at least 60."
    );
    assert_eq!(probe.ok("kv_list")["keys"], json!([{ "name": "a b/ü" }]));
    probe.ok("kv_delete");
    assert_eq!(probe.ok("kv_gone"), Value::Null);
    assert!(probe.workerd.logs().iter().any(|line| line.starts_with("probe: kv_short_ttl")));
}

#[test]
fn a_worker_sees_models_with_their_errors() {
    let Some(probe) = Probe::start() else { return };
    assert_eq!(probe.ok("ai_embed"), json!({ "shape": [2, 768], "pooling": "cls", "first": 768 }));
    assert!(probe.error("ai_empty").starts_with("AiError: 5006: "));
    assert!(probe.error("ai_removed").starts_with("AiError: 5028: "));
    assert!(probe.ok("ai_chat")["response"].is_string());
    let stream = probe.ok("ai_stream");
    assert_eq!(stream[0], "text/event-stream");
    let events: Vec<&str> = stream[1].as_str().unwrap().split_terminator("\n\n").collect();
    assert!(events[0].starts_with("data: {\"p\":\"") || events[0].starts_with("data: {\"response\":"), "{events:?}");
    assert!(events[events.len() - 2].contains("\"usage\":{"), "{events:?}");
    assert_eq!(events[events.len() - 1], "data: [DONE]");
    assert_eq!(probe.error("ai_gateway"), "AiGatewayError: 2001: undefined");
    assert_eq!(probe.ok("ai_default_gateway"), "string");
}

#[test]
fn a_worker_sees_writes_to_vectorize_later() {
    let Some(probe) = Probe::start() else { return };
    assert!(probe.error("index_describe").contains("code = 3000"));
    let create = json!({ "name": "docent", "config": { "dimensions": 3, "metric": "cosine" } });
    let url = format!("{}/accounts/a/vectorize/v2/indexes", probe.cloud.api_base());
    let created = ureq::post(&url).header("authorization", "Bearer t").send_json(&create).unwrap();
    assert_eq!(created.status(), 201);
    let mutation = probe.ok("index_upsert")["mutationId"].clone();
    assert_eq!(probe.ok("index_query")["count"], 0, "not visible yet");
    probe.cloud.advance_clock(Duration::from_millis(300));
    assert_eq!(probe.ok("index_describe")["processedUpToMutation"], mutation);
    let found = probe.ok("index_query");
    assert_eq!(found["matches"][0]["metadata"], json!({ "text": "t" }), "{found}");
    assert!(probe.error("index_top_k").contains("code = 40025"));
}

#[test]
fn a_worker_sees_d1_with_its_errors() {
    let Some(probe) = Probe::start() else { return };
    assert_eq!(probe.ok("d1_run")["meta"]["changes"], 1);
    let found = probe.ok("d1_all");
    assert_eq!(found["results"], json!([{ "owner": "o", "expires_at": 5 }]), "{found}");
    assert_eq!(
        probe.error("d1_batch"),
        "Error: D1_ERROR: CHECK constraint failed: one = 1: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_CHECK)"
    );
    assert_eq!(probe.ok("d1_first"), 1, "the batch deleted nothing");
    assert_eq!(probe.ok("d1_raw"), json!([["owner", "b"], ["o", [1, 255]]]));
    assert_eq!(probe.ok("d1_session"), json!([{ "one": 1 }]));
    assert_eq!(probe.ok("d1_exec")["count"], 2);
    assert_eq!(probe.error("d1_no_table"), "Error: D1_ERROR: no such table: absent: SQLITE_ERROR");
}

#[test]
fn workerd_ends_with_its_launcher() {
    let Some(probe) = Probe::start() else { return };
    let pid = probe.workerd.pid();
    let running = Path::new("/proc").join(pid.to_string());
    assert!(running.exists());
    probe.workerd.stop();
    assert!(!running.exists());
}
