//! What an operator can leave out or get wrong: the bot says what, and what to do.

use docent_core::embedding::{INDEX_KEY, IndexRecord, SPEC};
use docent_local::WorkerdConfig;
use serde_json::{Value, json};

use crate::bot::{Bot, Setup};

fn health(bot: &Bot) -> (u16, Value, String) {
    let reply = bot.get("/v1/health");
    let health = reply.json();
    let problems = health["problems"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect::<Vec<_>>();
    let problems = problems.join("\n");
    (reply.status, health, problems)
}

/// The bot refuses to answer, and its health says why.
fn check_not_ready(bot: &Bot, because: &str) {
    let (status, health, problems) = health(bot);
    assert_eq!((status, &health["status"]), (503, &json!("not_ready")));
    assert!(problems.contains(because), "{problems}");
    for stream in [true, false] {
        let reply = bot.post(&json!({ "message": "What is docent?", "stream": stream }));
        assert_eq!((reply.status, reply.error().as_str()), (503, "not_ready"), "{}", reply.body);
    }
}

#[test]
fn a_bot_that_is_ready_says_so_and_what_it_runs_on() {
    let bot = Setup::default().var("PRODUCT", "docent").start();
    let (status, health, problems) = health(&bot);
    assert_eq!((status, problems.as_str()), (200, ""));
    assert_eq!(health["spec"], SPEC.fingerprint());
    assert_eq!(health["index"]["spec"], SPEC.fingerprint());
    assert!(health["index"]["chunks"].as_u64() > Some(20), "{health}");
    assert_eq!(health["bindings"], json!({ "AI": true, "INDEX": true, "SESSIONS": true, "CONTENT": true }));
    assert_eq!(health["index_from"], "CONTENT");
    let config = bot.get("/v1/config").json();
    assert_eq!(config["greeting"], "Ask a question about docent.");
    assert_eq!(config["models"], json!(["@cf/meta/llama-3.1-8b-instruct-fast"]));
    assert_eq!((&config["feedback"], &config["search"]), (&json!(true), &json!(true)));
    let bare = Setup { change: |config| config.content = None, docs: None, ..Setup::default() }.start();
    let config = bare.get("/v1/config").json();
    assert_eq!((&config["feedback"], &config["search"]), (&json!(false), &json!(false)), "both need CONTENT");
}

#[test]
fn a_setting_that_is_no_text_in_the_deployment_file_counts_all_the_same() {
    let change = |config: &mut WorkerdConfig| {
        let tool = json!({ "name": "order_status", "description": "Status of an order.", "url": "https://www.example.com/",
            "parameters": { "type": "object" } });
        config.vars.extend([("TOP_K".to_owned(), json!(2)), ("TOOLS".to_owned(), json!([tool]))]);
    };
    let bot = Setup { change, ..Setup::default() }.start();
    let answer = bot.ask("Which header carries the trace id of a response?", None);
    assert!(answer["sources"].as_array().unwrap().len() <= 2, "{answer:#}");
    assert!(bot.cloud.requests().to_string().contains("order_status"), "the model is offered the tool");
    let wrong = |config: &mut WorkerdConfig| drop(config.vars.insert("TOP_K".to_owned(), json!([2])));
    check_not_ready(&Setup { change: wrong, ..Setup::default() }.start(), "TOP_K is \"[2]\"");
}

#[test]
fn a_missing_binding_is_named() {
    type Change = fn(&mut WorkerdConfig);
    let cases: [(&str, Change); 3] = [
        ("no binding AI", |config| config.ai = false),
        ("no binding INDEX", |config| config.index = None),
        ("no binding SESSIONS", |config| config.sessions = None),
    ];
    for (because, change) in cases {
        check_not_ready(&Setup { change, ..Setup::default() }.start(), because);
    }
}

#[test]
fn all_mistakes_in_the_settings_are_named_at_once() {
    let bot = Setup { change: |config| config.secret = None, ..Setup::default() }
        .var("CHAT_MODEL", "@cf/meta/llama-3.1-8b-instruct")
        .var("TOP_K", "21")
        .start();
    for because in ["SESSION_SECRET is not set", "removed from Workers AI on 2026-05-30", "TOP_K is \"21\""] {
        check_not_ready(&bot, because);
    }
    assert_eq!(bot.get("/v1/config").status, 503);
    assert_eq!(bot.get("/").status, 200, "the page is there to say so");
}

#[test]
fn before_the_first_ingest_the_bot_says_what_is_missing() {
    let bot = Setup { docs: None, ..Setup::default() }.start();
    check_not_ready(&bot, "run `docent ingest`");
    crate::bot::ingest(&bot.cloud, &crate::bot::root().join("docs"));
    assert_eq!(bot.ask("What is docent?", None)["refused"], false, "and answers as soon as it is there");
}

#[test]
fn an_index_of_another_embedding_spec_is_refused() {
    let bot = Setup { change: |config| config.content = None, ..Setup::default() }.start();
    let record = |spec: &str, chunks| IndexRecord {
        v: 1,
        spec: spec.into(),
        generation: 9,
        documents: 1,
        chunks,
        retired: 0,
        updated_at: 1,
    };
    for (record, because) in [
        (record("0000000000000000", 5), "made by embedding spec 0000000000000000"),
        (record(&SPEC.fingerprint(), 0), "the index is empty"),
    ] {
        // A key takes one write a second.
        bot.cloud.advance_clock(std::time::Duration::from_secs(2));
        put_index(&bot, &serde_json::to_string(&record).unwrap());
        check_not_ready(&bot, because);
    }
}

/// Writes the index record as ingest does, over REST.
fn put_index(bot: &Bot, record: &str) {
    let url = format!(
        "{}/accounts/local/storage/kv/namespaces/{}/values/{INDEX_KEY}",
        bot.cloud.api_base(),
        crate::bot::NAME
    );
    let response = ureq::put(&url).header("authorization", "Bearer local").send(record).unwrap();
    assert_eq!(response.status(), 200);
}
