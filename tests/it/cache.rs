//! Answers that are given again: to whom, and above all to whom not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use docent_core::answer;
use docent_core::api::Ask;
use docent_core::draft::Unstreamed;
use docent_core::settings::Settings;
use docent_core::wording;
use docent_local::ports::LocalPorts;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::bot::{Bot, NAME, Setup, eventually, ingest, one, text};
use crate::trouble::fault;

const QUESTION: &str = "Which header carries the trace id of a response?";
const FIRST: &str = "@cf/meta/llama-3.1-8b-instruct-fast";
const SECOND: &str = "@cf/meta/llama-3.2-3b-instruct";

fn setup() -> Setup {
    Setup::default().var("CACHE_SECONDS", "3600").var("FALLBACK_MODELS", SECOND)
}

/// Waits until an answer is kept: the Worker keeps it after its reader has it.
fn kept(bot: &Bot, count: u64) {
    let rows = || (bot.rows("SELECT count(*) AS n FROM answer")[0]["n"] == count).then_some(());
    eventually("the answer in the cache", rows);
}

#[test]
fn who_asks_the_same_in_other_words_gets_the_answer_again_and_who_asks_something_else_never() {
    #[derive(serde::Deserialize)]
    struct Case {
        question: String,
        same: Vec<String>,
        other: Vec<String>,
    }
    let cases: Vec<Case> = serde_json::from_str(include_str!("../fixtures/rewordings.json")).unwrap();
    let is_same = |one: &str, other: &str| wording::essence(one) == wording::essence(other);
    for Case { question, same, other } in &cases {
        assert!(same.iter().any(|same| is_same(question, same)), "{question}");
        for other in other {
            assert!(!is_same(question, other), "{question} | {other}");
        }
    }
    let bot = setup().start();
    let first = bot.ask("How do I ingest my documentation?", None);
    kept(&bot, 1);
    for reworded in
        ["how can we ingest our documentation", "Hi, could you tell me how to ingest documentation? Thanks!"]
    {
        let again = bot.ask(reworded, None);
        assert_eq!((&again["cached"], &again["answer"]), (&json!(true), &first["answer"]), "{reworded}: {again:#}");
    }
    assert_eq!(bot.ask("Why do I ingest my documentation?", None)["cached"], false);
}

#[test]
fn who_asks_the_same_first_is_answered_without_search_and_model() {
    let bot = setup().start();
    let first = bot.ask(QUESTION, None);
    assert_eq!((&first["cached"], &first["refused"]), (&json!(false), &json!(false)));
    kept(&bot, 1);
    bot.cloud.clear_requests();
    let again = bot.ask("  which header carries the trace id of a response", None);
    assert_eq!(again["cached"], true);
    for field in ["answer", "sources", "citations", "suggestions", "model", "finish_reason"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    for counter in ["ai.chat", "vectorize.query"] {
        assert_eq!(bot.calls(counter), 0, "{counter}");
    }
    assert_eq!(again["cost"]["prompt_tokens"], 0);
    bot.cloud.clear_requests();
    assert_eq!(bot.ask("which header carries the trace id of a response", None)["cost"]["usd"], 0.0);
    assert_eq!(bot.calls("ai.embed"), 0, "not even the question is embedded again");

    let parts = bot.stream(&json!({ "message": QUESTION }));
    assert_eq!(text(&parts), first["answer"].as_str().unwrap());
    assert_eq!(one(&parts, "finish")["messageMetadata"]["cached"], true);
    assert!(parts.iter().any(|part| part.kind() == "data-docent-cite"));

    // It is a conversation of its own.
    assert!(again["session"] != first["session"] && again["message_id"] != first["message_id"]);
    let session = again["session"].as_str();
    let follow_up = bot.ask("and in the log?", session);
    assert_eq!(follow_up["cached"], false);
    assert_eq!(bot.turns(session.unwrap()).len(), 2);
    assert_eq!(bot.ask(QUESTION, session)["cached"], false, "within a conversation nothing is given again");
}

#[test]
fn what_is_not_good_enough_is_not_given_again() {
    let docs = tempfile::tempdir().unwrap();
    publish(docs.path(), 1);
    let bot = Setup { docs: Some(docs.path().to_owned()), ..setup() }.start();
    assert_eq!(bot.ask("What is the capital of Peru?", None)["refused"], true);
    let cut = "data: {\"response\":\"A widget lives for 12 days [1]\"}\n\ndata: {\"response\":\"\",\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":768}}\n\ndata: [DONE]\n\n";
    let wrong = "data: {\"response\":\"A widget lives for 99 days [1].\"}\n\ndata: [DONE]\n\n";
    for body in [cut, wrong] {
        bot.script(&json!([{ "service": "ai", "operation": "chat",
            "respond": { "status": 200, "content_type": "text/event-stream", "body": body } }]));
        assert_eq!(bot.ask(QUESTIONS[0], None)["cached"], false);
    }
    bot.script(&json!([{ "service": "ai", "operation": "chat", "cut_after_events": 3 }]));
    bot.stream(&json!({ "message": QUESTIONS[0] }));
    bot.script(&json!([]));
    let good = bot.ask(QUESTIONS[0], None);
    kept(&bot, 1);
    assert_eq!(bot.ask(QUESTIONS[0], None)["answer"], good["answer"]);

    // Neither what a visitor found bad ...
    let rating = json!({ "session": good["session"], "message_id": good["message_id"], "rating": "down" });
    assert_eq!(bot.request("POST", "/v1/feedback", &[], Some(&rating.to_string())).status, 204);
    kept(&bot, 0);
    assert_eq!(bot.ask(QUESTIONS[0], None)["cached"], false);
    kept(&bot, 1);
    // ... nor what the index does not say any more.
    publish(docs.path(), 2);
    ingest(&bot.cloud, docs.path());
    let after = bot.ask(QUESTIONS[0], None);
    assert_eq!((&after["cached"], after["answer"] == good["answer"]), (&json!(false), false), "{after:#}");
}

#[test]
fn without_its_database_or_with_one_that_hangs_the_bot_answers_as_ever() {
    let bot = setup().start();
    bot.ask(QUESTION, None);
    kept(&bot, 1);
    for script in
        [fault("d1", "query", 500, "down"), json!({ "service": "d1", "operation": "query", "delay_ms": 60_000 })]
    {
        bot.script(&json!([script]));
        assert_eq!(bot.ask(QUESTION, None)["refused"], false, "{script}");
    }
    let without = Setup { change: |config| config.content = None, ..setup() }.start();
    for _ in 0..2 {
        assert_eq!(without.ask(QUESTION, None)["cached"], false);
    }
}

/// What a visitor does.
#[derive(Debug, Clone)]
enum Step {
    Ask { question: usize, filter: usize, page: usize, model: usize, in_session: bool },
    Publish(u32),
}

const QUESTIONS: [&str; 5] = [
    "How long does a widget live?",
    "how long does a  widget live",
    "How long does a gadget live?",
    "Which colour has a widget?",
    "How long does a widget live in version 2?",
];

fn step() -> impl Strategy<Value = Step> {
    let ask = (0..QUESTIONS.len(), 0usize..3, 0usize..2, 0usize..3, prop::bool::weighted(0.2));
    let ask = ask.prop_map(|(question, filter, page, model, in_session)| Step::Ask {
        question,
        filter,
        page,
        model,
        in_session,
    });
    prop_oneof![12 => ask, 1 => (1u32..4).prop_map(Step::Publish)]
}

/// The documentation as it is at a time: numbers change, so an answer of before would be wrong.
fn publish(folder: &Path, edition: u32) {
    for version in [1, 2] {
        let (days, colour) =
            (10 * edition + version, ["red", "green", "blue"][(edition as usize + version as usize) % 3]);
        let page = format!(
            "---\nversion: \"{version}\"\n---\n\n# Widgets {version}\n\nA widget lives for {days} days in version {version}.\n\n\
             ## Colour\n\nThe colour of a widget is {colour} in version {version}.\n\n## Gadgets\n\nA gadget lives for {} years.\n",
            days + 100
        );
        let path = folder.join(format!("v{version}.md"));
        fs::write(path, page).unwrap();
    }
}

fn natively(ports: &LocalPorts, settings: &Settings, body: &Value) -> Value {
    let ask = Ask::parse(body.to_string().as_bytes()).unwrap();
    let answer = pollster::block_on(async {
        let prepared = answer::prepare(ports, settings, ask, "trace".to_owned()).await.unwrap();
        let token = prepared.token().to_owned();
        let outcome = answer::respond(ports, settings, prepared, &mut Unstreamed).await;
        outcome.into_answer(token, "trace".to_owned()).unwrap()
    });
    serde_json::to_value(answer).unwrap()
}

/// Random sequences of questions, filters, pages, models, conversations and new editions of the
/// documentation: a bot with a cache says what a bot without one says.
#[test]
fn no_answer_reaches_who_did_not_ask_for_it() {
    let docs = tempfile::tempdir().unwrap();
    publish(docs.path(), 1);
    let mut setup = setup();
    setup.docs = Some(docs.path().to_owned());
    let bot = setup.start();
    let vars =
        BTreeMap::from([("FALLBACK_MODELS", SECOND), ("SESSION_SECRET", "a secret that nobody else signs with")]);
    let uncached = Settings::parse(|name| vars.get(name).map(|value| (*value).to_owned())).unwrap();
    let mut ports = bot.cloud.ports(NAME, NAME).unwrap();
    ports.content = Some(NAME.to_owned());
    let essence = |answer: &Value| {
        let urls: Vec<Value> =
            answer["sources"].as_array().unwrap().iter().map(|source| source["url"].clone()).collect();
        json!({ "answer": answer["answer"], "urls": urls, "model": answer["model"], "refused": answer["refused"] })
    };
    let (mut asked, mut hits) = (0, 0);
    let mut runner = TestRunner::new_with_rng(
        Config { cases: 12, failure_persistence: None, ..Config::default() },
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    let steps = prop::collection::vec(step(), 30..60);
    for _ in 0..12 {
        let tree = steps.new_tree(&mut runner).unwrap();
        let mut session: Option<String> = None;
        for step in tree.current() {
            let Step::Ask { question, filter, page, model, in_session } = step else {
                let Step::Publish(edition) = step else { continue };
                publish(docs.path(), edition);
                ingest(&bot.cloud, docs.path());
                continue;
            };
            let mut body = json!({ "message": QUESTIONS[question], "stream": false });
            let filter = [json!({}), json!({ "version": "1" }), json!({ "version": "2" })][filter].clone();
            if filter != json!({}) {
                body["filter"] = filter;
            }
            if page > 0 {
                body["page"] = "https://docs.example/v2/".into();
            }
            if model > 0 {
                body["model"] = [FIRST, SECOND][model - 1].into();
            }
            let expected = natively(&ports, &uncached, &body);
            if let Some(session) = session.as_ref().filter(|_| in_session) {
                body["session"] = session.as_str().into();
            }
            let reply = bot.post(&body);
            assert_eq!(reply.status, 200, "{}", reply.body);
            let answer = reply.json();
            asked += 1;
            if answer["cached"] == true {
                hits += 1;
                assert!(body.get("session").is_none(), "a conversation of its own: {body}");
                assert_eq!(essence(&answer), essence(&expected), "{body}");
            } else if body.get("session").is_none() {
                assert_eq!(essence(&answer), essence(&expected), "{body}");
            }
            session = answer["session"].as_str().map(str::to_owned);
        }
    }
    println!("{asked} questions, {hits} given again, none of them another's");
    assert!(hits * 8 > asked, "{hits} of {asked}: else this shows nothing");
}
