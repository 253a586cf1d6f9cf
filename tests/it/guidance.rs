//! What comes beside an answer: the version that a page is of, what to ask next, and where a person
//! helps; and the reranker, which sees to it that the right page comes first.

use std::path::Path;

use docent_core::trace::Trace;
use serde_json::{Value, json};

use crate::bot::{Bot, Setup, TRACE_KEY, one};
use crate::injection::prompt;
use crate::trouble::fault;

const QUESTION: &str = "Which header carries the trace id of a response?";
const RERANKER: &str = "@cf/baai/bge-reranker-base";

/// The same page in two versions of a product, told apart by a number.
fn two_versions(folder: &Path) {
    for (version, seconds) in [("1.0", 30), ("2.0", 45)] {
        let page = format!(
            "---\nversion: \"{version}\"\n---\n# Timeouts\n\n## Idle connections\n\nAn idle connection is closed by the server after {seconds} seconds, and the client gets no error.\n"
        );
        std::fs::create_dir_all(folder.join(version)).unwrap();
        std::fs::write(folder.join(version).join("timeouts.md"), page).unwrap();
    }
    std::fs::write(folder.join("index.md"), "# Welcome\n\nThis is a database.\n").unwrap();
}

#[test]
fn where_versions_differ_each_says_which_it_is() {
    let folder = tempfile::tempdir().unwrap();
    two_versions(folder.path());
    let bot = Setup { docs: Some(folder.path().to_owned()), ..Setup::default() }.start();
    let question = "After how many seconds is an idle connection closed?";
    let ask = |page: &str| bot.post(&json!({ "message": question, "page": page, "stream": false })).json();
    for (version, other) in [("1.0", "2.0"), ("2.0", "1.0")] {
        let answer = ask(&format!("https://docs.example/{version}/timeouts"));
        let sources = answer["sources"].as_array().unwrap();
        assert_eq!(sources[0]["version"], version, "the reader's version first: {answer:#}");
        assert_eq!(sources[1]["version"], other, "and the one that says something else: {answer:#}");
        let (_, prompt) = prompt(&bot).remove(0);
        let passage = |n, version| format!("<passage n=\"{n}\" page=\"Timeouts\" version=\"{version}\">");
        assert!(prompt.contains(&passage(1, version)) && prompt.contains(&passage(2, other)), "{prompt}");
        assert!(prompt.contains("Where they differ, say which version does what."), "{prompt}");
    }
    let one_version = json!({ "message": question, "filter": { "version": "2.0" }, "stream": false });
    assert_eq!(bot.post(&one_version).json()["sources"].as_array().unwrap().len(), 1);
    assert!(!prompt(&bot)[0].1.contains("version"), "a single version is nothing to speak of");
}

#[test]
fn what_is_suggested_finds_its_section() {
    let bot = Bot::start();
    for question in [QUESTION, "How do I ingest documentation in a job?", "What does make run do?"] {
        let answer = bot.ask(question, None);
        let suggestions = answer["suggestions"].as_array().unwrap();
        assert_eq!(suggestions.len(), 3, "{answer:#}");
        for suggested in suggestions {
            let suggested = suggested.as_str().unwrap();
            let found = bot.ask(suggested, None);
            let name = |source: &Value| {
                let heading = source["heading"].as_str().unwrap();
                format!("{}: {}", source["title"].as_str().unwrap(), heading.rsplit(" › ").next().unwrap())
            };
            let names: Vec<String> = found["sources"].as_array().unwrap().iter().take(3).map(name).collect();
            assert!(names.iter().any(|name| name == suggested), "{suggested} among {names:?}");
        }
    }
}

#[test]
fn a_refusal_says_what_was_looked_for_and_where_a_person_helps() {
    let bot = Setup::default().var("SUPPORT_URL", "https://www.example.com/contact").start();
    let question = "Wie wird das Wetter morgen in Lissabon?";
    let answer = bot.ask(question, None);
    let expected = json!({ "by": "model", "searched": [question], "support_url": "https://www.example.com/contact" });
    assert_eq!((&answer["refused"], &answer["refusal"]), (&json!(true), &expected), "{answer:#}");
    assert!(!answer["sources"].as_array().unwrap().is_empty(), "the nearest pages: {answer:#}");
    let parts = bot.stream(&json!({ "message": question }));
    assert_eq!(one(&parts, "finish")["messageMetadata"]["refusal"], expected);
    assert_eq!(bot.ask(QUESTION, None)["refusal"], Value::Null);
    let config = bot.request("GET", "/v1/config", &[], None).json();
    assert_eq!(config["support_url"], "https://www.example.com/contact");
}
#[test]
fn a_reranker_decides_what_comes_first() {
    let bot = Setup::default().var("RERANK_MODEL", RERANKER).var("TRACE_KEY", TRACE_KEY).start();
    let (_, plain) = bot.explained(QUESTION, &json!({}));
    let scores: Vec<f64> = plain.candidates.iter().filter_map(|candidate| candidate.reranked).collect();
    assert_eq!(scores.len(), 20, "the best of the fused");
    assert!(scores.is_sorted_by(|a, b| a >= b) && plain.candidates.iter().skip(20).all(|c| c.reranked.is_none()));
    assert_eq!(plain.rules.rerank_model.as_deref(), Some(RERANKER));
    assert!(plain.steps.reranked_ms >= plain.steps.searched_ms && plain.steps.reranked_ms > 0);

    // What it says counts, in whatever order it says it, as probabilities or as logits.
    for scale in [1.0, 12.0] {
        let ranks: Vec<Value> = (0..20).map(|id| json!({ "id": id, "score": f64::from(id) / 20.0 * scale })).collect();
        let said = json!({ "response": ranks }).to_string();
        bot.script(&json!([{ "service": "ai", "operation": "rerank", "respond": { "status": 200, "body": said } }]));
        let (answer, turned) = bot.explained(QUESTION, &json!({}));
        bot.script(&json!([]));
        let best = bot.cloud.requests();
        let asked = best["requests"].as_array().unwrap().iter().rfind(|call| call["operation"] == "rerank").unwrap();
        let last = asked["request"]["inputs"]["contexts"][19]["text"].as_str().unwrap();
        let first = &answer["sources"][0];
        assert!(last.starts_with(&format!("{}\n", first["title"].as_str().unwrap())), "{first:#} is {last}");
        let best = turned.candidates[0].reranked.unwrap();
        assert!((0.9..1.0).contains(&best) && (turned.evidence - best).abs() < 1e-9, "{best}");
    }
}

#[test]
fn without_its_reranker_the_bot_answers_in_the_order_of_the_search_and_refuses_nothing_unasked() {
    let setup = Setup::default().var("TRACE_KEY", TRACE_KEY).var("REFUSE_BELOW", "0.999");
    let bot = setup.var("RERANK_MODEL", RERANKER).start();
    let unsure = r#"{"response":[{"id":0,"score":0.99}]}"#;
    bot.script(&json!([fault("ai", "rerank", 200, unsure)]));
    let (answer, _) = bot.explained(QUESTION, &json!({}));
    assert_eq!(answer["refusal"]["by"], "threshold", "{answer:#}");
    let nan = r#"{"response":[{"id":0,"score":"high"},{"id":1}]}"#;
    let (beyond, before) = (r#"{"response":[{"id":99,"score":1}]}"#, r#"{"response":[{"id":-1,"score":0.9}]}"#);
    let cases = [
        ("down", fault("ai", "rerank", 500, "private")),
        ("over its limit", fault("ai", "rerank", 429, r#"{"errors":[{"code":3040,"message":"x"}]}"#)),
        ("unknown", fault("ai", "rerank", 400, r#"{"errors":[{"code":5007,"message":"x"}]}"#)),
        ("slow", json!({ "service": "ai", "operation": "rerank", "delay_ms": 60_000 })),
        ("lying", fault("ai", "rerank", 200, nan)),
        ("speaking of others", fault("ai", "rerank", 200, beyond)),
        ("speaking of none", fault("ai", "rerank", 200, before)),
        ("silent", fault("ai", "rerank", 200, r#"{"response":[]}"#)),
        ("not a reranker", fault("ai", "rerank", 200, "<html>")),
    ];
    for (name, script) in cases {
        bot.script(&json!([script]));
        let (answer, trace) = bot.explained(QUESTION, &json!({}));
        assert!(answer["sources"].to_string().contains("http-api#errors"), "{name}: {answer:#}");
        assert_eq!(answer["refused"], false, "{name}: {answer:#}");
        assert!(trace.candidates.iter().all(|candidate| candidate.reranked.is_none()), "{name}");
    }
}

#[test]
fn a_follow_up_is_written_anew_where_a_model_is_set_for_that() {
    let model = "@cf/meta/llama-3.2-3b-instruct";
    let bot = Setup::default().var("REWRITE_MODEL", model).var("TRACE_KEY", TRACE_KEY).start();
    let follow_up = |question: &str| {
        let first = bot.ask(QUESTION, None);
        let body = json!({ "message": question, "session": first["session"], "stream": false, "trace": true });
        let reply = bot.request(
            "POST",
            "/v1/chat",
            &[("authorization", &format!("Bearer {TRACE_KEY}"))],
            Some(&body.to_string()),
        );
        (reply.json()["cost_usd"].as_f64(), serde_json::from_value::<Trace>(reply.json()["trace"].clone()).unwrap())
    };
    let says = |text: &str| {
        let body = json!({ "response": text, "usage": { "prompt_tokens": 1_000_000, "completion_tokens": 0 } });
        let respond = json!({ "status": 200, "content_type": "application/json", "body": body.to_string() });
        json!({ "service": "ai", "operation": "chat", "model": model, "respond": respond })
    };
    let (question, whole) = ("and how is it made?", "How is the trace id of a response made?");
    bot.script(&json!([says(&format!("\n \"{whole}\"\n\nI hope that helps!"))]));
    let (cost, trace) = follow_up(question);
    assert_eq!(trace.queries, [question, whole]);
    assert!(trace.rewrite.is_some_and(|rewrite| rewrite.used && rewrite.usage.prompt_tokens == 1_000_000));
    // 4,625 neurons at $0.011 a thousand, and the answer.
    assert!((0.0508..0.0520).contains(&cost.unwrap()), "{cost:?}");
    assert!(trace.steps.rewritten_ms >= trace.steps.recalled_ms && trace.steps.rewritten_ms <= trace.steps.embedded_ms);

    let together = format!("{QUESTION}\n{question}");
    let mut down = fault("ai", "chat", 500, "private");
    down["model"] = model.into();
    let slow = json!({ "service": "ai", "operation": "chat", "model": model, "delay_ms": 60_000 });
    let refusal = "I don't know: the documentation I have does not answer this.";
    for script in [down, slow, says(""), says(&"long ".repeat(200)), says(refusal)] {
        bot.script(&json!([script]));
        let (_, trace) = follow_up(question);
        assert_eq!(trace.queries, [question, &together], "{script}");
        assert!(trace.rewrite.is_some_and(|rewrite| !rewrite.used), "{script}");
    }
}
