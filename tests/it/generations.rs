//! Generations: an answer is of the old index or of the new one and never of both, whatever is
//! staged or left over, and the switch is seen by the next question.
//!
//! Vectors, lists and rows are written by hand here, over REST, so that readers are held to what is
//! stored and not to how `docent ingest` happens to write it.

use std::collections::BTreeSet;
use std::sync::mpsc::{TryRecvError, channel};

use docent_core::answer;
use docent_core::api::Ask;
use docent_core::embedding::{INDEX_KEY, IndexRecord, SPEC};
use docent_core::generation::{Retired, retired_key};
use docent_core::settings::Settings;
use docent_core::vectorize::{METADATA_INDEXES, Metadata, Vector};
use docent_local::ports::LocalPorts;
use docent_local::{Cloud, DatabaseConfig, WorkerdConfig};
use serde_json::{Value, json};

use crate::bot::{Bot, NAME, Setup, eventually};

const QUESTION: &str = "Where does the cat sleep?";

/// A page of one chunk: its name, its text, and the generations from which on it is there and gone.
/// Two are found. What comes in the second generation would push out one of the first, and what is
/// gone in it would take a place of the second.
const PAGES: [(&str, &str, u64, u64); 4] = [
    ("loft", "Where does the cat sleep? The cat does sleep in the loft.", 2, 9),
    ("attic", "The cat does sleep in the attic.", 1, 2),
    ("basket", "The cat does sleep in the basket.", 1, 2),
    ("garden", "In spring it is below the old tree in the garden that the cat will sleep.", 2, 9),
];

/// What an answer may cite in each generation.
const OLD: [&str; 2] = ["attic", "basket"];
const NEW: [&str; 2] = ["loft", "garden"];

/// The account, as `docent ingest` writes to it.
struct Library<'c>(&'c Cloud);

impl Library<'_> {
    fn call(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Value {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/accounts/local{path}", self.0.api_base()))
            .header("authorization", "Bearer local")
            .header("content-type", content_type);
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = agent.run(request.body(body).unwrap()).unwrap();
        let said = response.body_mut().read_to_string().unwrap();
        assert!(response.status().is_success(), "{method} {path}: {said}");
        serde_json::from_str(&said).unwrap()
    }

    fn post(&self, path: &str, body: Value) -> Value {
        self.call("POST", path, "application/json", body.to_string().as_bytes())
    }

    fn put(&self, key: &str, value: &[u8]) {
        let key = key.replace(':', "%3A");
        self.call("PUT", &format!("/storage/kv/namespaces/{NAME}/values/{key}"), "application/octet-stream", value);
    }

    fn delete(&self, key: &str) {
        let key = key.replace(':', "%3A");
        self.call("DELETE", &format!("/storage/kv/namespaces/{NAME}/values/{key}"), "text/plain", b"");
    }

    fn create_index(&self) {
        let config = json!({ "dimensions": SPEC.dimensions, "metric": SPEC.metric });
        self.post("/vectorize/v2/indexes", json!({ "name": NAME, "config": config }));
        for (property, kind) in METADATA_INDEXES {
            let body = json!({ "propertyName": property, "indexType": kind });
            self.post(&format!("/vectorize/v2/indexes/{NAME}/metadata_index/create"), body);
        }
    }

    /// Writes the vectors that are new in a generation.
    fn stage(&self, generation: u64) {
        let new: Vec<_> = (0..).zip(PAGES).filter(|(_, (_, _, born, _))| *born == generation).collect();
        let texts: Vec<_> = new.iter().map(|(_, (_, text, ..))| text).collect();
        let embedded = self.post(&format!("/ai/run/{}", SPEC.model), json!({ "text": texts, "pooling": SPEC.pooling }));
        let embedded: Vec<Vec<f32>> = serde_json::from_value(embedded["result"]["data"].clone()).unwrap();
        let lines = new.iter().zip(embedded).map(|((n, (name, text, ..)), values)| {
            let metadata = Metadata {
                text: (*text).to_owned(),
                url: format!("https://docs.example/{name}"),
                title: (*name).to_owned(),
                generation,
                ..Metadata::default()
            };
            let vector = Vector { id: id(*n), values, namespace: None, metadata: Some(metadata) };
            serde_json::to_string(&vector).unwrap() + "\n"
        });
        let path = format!("/vectorize/v2/indexes/{NAME}/upsert");
        self.call("POST", &path, "application/x-ndjson", lines.collect::<String>().as_bytes());
    }

    /// What a generation's filter lets through and it does not hold; stored under its key.
    fn leave_out(&self, generation: u64) -> usize {
        let gone = (0..).zip(PAGES).filter(|(_, (_, _, _, died))| *died <= generation).map(|(n, _)| id(n));
        let retired = Retired::new(gone.collect::<Vec<_>>().iter().map(String::as_str));
        if !retired.is_empty() {
            self.put(&retired_key(generation), &retired.to_bytes());
        }
        retired.len()
    }

    /// The record in KV.
    fn copy(&self, generation: u64, retired: usize) {
        let record =
            IndexRecord { v: 1, spec: SPEC.fingerprint(), generation, documents: 2, chunks: 2, retired, updated_at: 1 };
        self.put(INDEX_KEY, &serde_json::to_vec(&record).unwrap());
    }

    /// The row in D1.
    fn row(&self, generation: u64, retired: usize) {
        let spec = SPEC.fingerprint();
        let complete = format!(
            "INSERT OR REPLACE INTO generation (number, status, spec, documents, chunks, retired, created_at)
             VALUES ({generation}, 'complete', '{spec}', 2, 2, {retired}, 1)"
        );
        let live = format!("INSERT OR REPLACE INTO live (one, generation, since) VALUES (1, {generation}, 1)");
        let batch = json!({ "batch": [{ "sql": complete }, { "sql": live }] });
        self.post(&format!("/d1/database/{NAME}/query"), batch);
    }

    /// Goes live without D1.
    fn publish(&self, generation: u64) {
        self.copy(generation, self.leave_out(generation));
    }
}

/// 32 hexadecimal digits, different from the first on.
fn id(n: u128) -> String {
    format!("{:032x}", (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

fn bot(change: fn(&mut WorkerdConfig)) -> Bot {
    let mut setup = Setup { docs: None, change, ..Setup::default() }.var("TOP_K", "2");
    setup.cloud.limit_kv_writes = false;
    setup.start()
}

/// The pages that an answer could cite.
fn cited(bot: &Bot) -> BTreeSet<String> {
    let answer = bot.ask(QUESTION, None);
    let sources = answer["sources"].as_array().unwrap().iter();
    sources.map(|source| source["title"].as_str().unwrap().to_owned()).collect()
}

/// The same of the flow that runs natively.
fn cited_natively(ports: &LocalPorts) -> BTreeSet<String> {
    let settings = Settings::parse(|name| match name {
        "SESSION_SECRET" => Some("a secret that signs the sessions of this test".to_owned()),
        "TOP_K" => Some("2".to_owned()),
        _ => None,
    });
    let ask = Ask::parse(json!({ "message": QUESTION }).to_string().as_bytes()).unwrap();
    let prepared = pollster::block_on(answer::prepare(ports, &settings.unwrap(), ask, "trace".to_owned())).unwrap();
    prepared.sources().iter().map(|source| source.title.clone()).collect()
}

fn set(pages: [&str; 2]) -> BTreeSet<String> {
    pages.map(str::to_owned).into()
}

#[test]
fn with_d1_the_next_question_sees_the_switch_and_none_sees_a_mix() {
    let bot = bot(|_| {});
    let mut ports = bot.cloud.ports(NAME, NAME).unwrap();
    ports.content = Some(NAME.to_owned());
    let library = Library(&bot.cloud);
    library.create_index();
    library.stage(1);
    library.row(1, 0);
    std::thread::scope(|scope| {
        // Dropped also when the test fails, so that the reader ends in any case.
        let (over, going_on) = channel::<()>();
        let bot = &bot;
        let reader = scope.spawn(move || {
            let mut seen = Vec::new();
            while going_on.try_recv() == Err(TryRecvError::Empty) {
                seen.push(cited(bot));
            }
            seen
        });
        assert_eq!(cited(&bot), set(OLD));
        library.stage(2);
        let retired = library.leave_out(2);
        assert_eq!(cited(&bot), set(OLD), "what is staged is not seen");
        for _ in 0..5 {
            library.row(2, retired);
            assert_eq!((cited(&bot), cited_natively(&ports)), (set(NEW), set(NEW)), "live");
            library.row(1, 0);
            assert_eq!((cited(&bot), cited_natively(&ports)), (set(OLD), set(OLD)), "back");
        }
        drop(over);
        let seen = reader.join().unwrap();
        assert!(seen.len() > 5 && seen.iter().all(|pages| *pages == set(OLD) || *pages == set(NEW)), "{seen:?}");
    });
    assert_eq!(bot.get("/v1/health").json()["index_from"], "CONTENT");
}

#[test]
fn when_d1_fails_the_copy_in_kv_says_which_generation_is_live() {
    let mut bot = bot(|_| {});
    let library = Library(&bot.cloud);
    library.create_index();
    library.stage(1);
    library.stage(2);
    library.row(2, library.leave_out(2));
    library.copy(1, 0);
    let broken = json!({ "service": "d1", "respond": { "status": 500, "body": "upstream-text" } });
    let silent = json!({ "service": "d1", "delay_ms": 60_000 });
    for fault in [broken.clone(), json!({ "service": "d1", "drop_connection": true }), silent] {
        bot.script(&json!([fault]));
        assert_eq!(cited(&bot), set(OLD), "{fault}");
        let logged = || bot.workerd.logs().iter().any(|line| line.contains("from D1")).then_some(());
        eventually("the log line", logged);
        let health = bot.get("/v1/health");
        assert_eq!((health.status, &health.json()["index_from"]), (503, &json!("SESSIONS")));
        assert!(health.body.contains("CONTENT") && !health.body.contains("upstream-text"), "{}", health.body);
        bot.script(&json!([]));
        assert_eq!(cited(&bot), set(NEW), "as soon as D1 answers: {fault}");
        bot.restart();
    }
    assert_eq!(cited(&bot), set(NEW));
    bot.script(&json!([broken.clone(), { "service": "kv", "operation": "get", "respond": { "status": 500 } }]));
    assert_eq!(cited(&bot), set(NEW), "what the isolate read last");
    bot.restart();
    let reply = bot.post(&json!({ "message": QUESTION, "stream": false }));
    assert_eq!((reply.status, reply.error().as_str()), (503, "not_ready"));
}

#[test]
fn a_database_without_tables_is_named_with_what_to_do() {
    let mut setup = Setup { docs: None, ..Setup::default() }.var("TOP_K", "2");
    setup.cloud.databases = vec![DatabaseConfig { migrations: None, ..DatabaseConfig::default() }];
    let bot = setup.start();
    let library = Library(&bot.cloud);
    library.create_index();
    library.stage(1);
    library.publish(1);
    let health = bot.get("/v1/health");
    assert_eq!(health.status, 503);
    assert!(health.body.contains("npx wrangler d1 migrations apply CONTENT --remote"), "{}", health.body);
    assert_eq!(cited(&bot), set(OLD), "the copy in KV is enough to answer");
}

#[test]
fn without_d1_the_record_in_kv_says_which_generation_is_live() {
    let mut bot = bot(|config| config.content = None);
    Library(&bot.cloud).create_index();
    Library(&bot.cloud).stage(1);
    Library(&bot.cloud).publish(1);
    assert_eq!(cited(&bot), set(OLD));
    Library(&bot.cloud).stage(2);
    assert_eq!(cited(&bot), set(OLD), "what is staged is not seen");
    bot.restart();
    assert_eq!(cited(&bot), set(OLD), "nor by an isolate that knows nothing");

    Library(&bot.cloud).publish(2);
    assert_eq!(cited(&bot), set(OLD), "an isolate trusts what it read for a minute");
    bot.restart();
    assert_eq!(cited(&bot), set(NEW), "what is gone is left out, and does not take the place of what is there");
    Library(&bot.cloud).publish(1);
    bot.restart();
    assert_eq!(cited(&bot), set(OLD), "back");
}

#[test]
fn without_the_list_of_what_is_gone_nothing_is_said() {
    let mut bot = bot(|config| config.content = None);
    let library = Library(&bot.cloud);
    library.create_index();
    library.stage(1);
    library.stage(2);
    library.publish(2);
    assert_eq!(bot.get("/v1/health").status, 200);
    library.delete(&retired_key(2));
    let reply = bot.post(&json!({ "message": QUESTION, "stream": false }));
    assert_eq!((reply.status, reply.error().as_str()), (503, "not_ready"));
    assert!(reply.headers["retry-after"].parse::<u64>().unwrap() > 0, "KV may show it shortly");
    let health = bot.get("/v1/health");
    assert!(health.status == 503 && health.body.contains("retired:2"), "{}", health.body);

    library.leave_out(2);
    assert_eq!(cited(&bot), set(NEW), "as soon as it is there");
    Library(&bot.cloud).delete(&retired_key(2));
    assert_eq!(cited(&bot), set(NEW), "it is read once");
    bot.restart();
    assert_eq!(bot.post(&json!({ "message": QUESTION, "stream": false })).status, 503);
}
