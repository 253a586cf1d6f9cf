//! The doors of the question flow have two implementations, and these are interchangeable: the same
//! questions, over the same index and the same failures, end in the same answers whether the flow
//! runs as a Worker in workerd or natively over the stand-in's own engines.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use docent_core::answer;
use docent_core::api::{Answer, Ask, Unanswered};
use docent_core::draft::{Reader, Unstreamed};
use docent_core::full_text::{self, Hit, Lookup};
use docent_core::ports::{Fault, Lexical, Sessions as _};
use docent_core::search;
use docent_core::session::Finish;
use docent_core::settings::Settings;
use docent_core::sse::Part;
use docent_core::vectorize::Filter;
use docent_local::DatabaseConfig;
use docent_local::ports::LocalPorts;
use serde_json::{Value, json};

use crate::bot::{Bot, NAME, Setup, Stream, eventually};

const SECRET: &str = "the secret that both implementations sign with";
const KEY: &str = "the key of those who may see traces";
const QUESTION: &str = "Which header carries the trace id of a response?";

fn settings() -> BTreeMap<String, String> {
    let set = [
        ("FALLBACK_MODELS", "@cf/google/gemma-4-26b-a4b-it"),
        ("GATEWAY_ID", "missing"),
        ("IDLE_MS", "2000"),
        ("FIRST_BYTE_MS", "2000"),
        ("TRACE_KEY", KEY),
    ];
    set.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What is the same on both sides; ids, times and tokens are not.
fn essence(result: &Result<Value, Value>) -> Value {
    match result {
        Err(body) => json!({ "error": body["error"]["code"], "trace": way(&body["trace"]) }),
        Ok(answer) => json!({
            "answer": answer["answer"],
            "urls": answer["sources"].as_array().unwrap().iter().map(|source| &source["url"]).collect::<Vec<_>>(),
            "model": answer["model"], "refused": answer["refused"], "memory": answer["memory"],
            "usage": answer["usage"], "finish_reason": answer["finish_reason"], "trace": way(&answer["trace"]),
        }),
    }
}

/// A trace without its ids and times. Of a fault it has that there was one: a binding and an engine
/// say it in words of their own.
fn way(trace: &Value) -> Value {
    let mut trace = trace.clone();
    if let Some(fields) = trace.as_object_mut() {
        fields.retain(|name, _| !["trace_id", "message_id", "asked_at", "steps"].contains(&name.as_str()));
    }
    for call in trace["tries"].as_array_mut().into_iter().flatten() {
        call["fault"] = (!call["fault"].is_null()).into();
        call["ended_ms"] = Value::Null;
        call["log_id"] = call["log_id"].is_string().into();
    }
    trace
}

fn in_workerd(bot: &Bot, message: &str, session: Option<&str>) -> Result<Value, Value> {
    let mut body = json!({ "message": message, "stream": false, "trace": true });
    if let Some(session) = session {
        body["session"] = session.into();
    }
    let reply =
        bot.request("POST", "/v1/chat", &[("authorization", &format!("Bearer {KEY}"))], Some(&body.to_string()));
    if reply.status == 200 { Ok(reply.json()) } else { Err(reply.json()) }
}

fn natively(ports: &LocalPorts, settings: &Settings, message: &str, session: Option<&str>) -> Result<Value, Value> {
    let body = json!({ "message": message, "session": session, "trace": true });
    let ask = Ask::parse(body.to_string().as_bytes()).unwrap();
    let answered: Result<Answer, Box<Unanswered>> = pollster::block_on(async {
        let prepared = answer::prepare(ports, settings, ask, "trace".to_owned()).await;
        let prepared = prepared.map_err(|error| Unanswered { error, sources: Vec::new(), trace: None })?;
        let token = prepared.token().to_owned();
        answer::respond(ports, settings, prepared, &mut Unstreamed).await.into_answer(token, "trace".to_owned())
    });
    answered
        .map(|answer| serde_json::to_value(answer).unwrap())
        .map_err(|unanswered| serde_json::to_value(unanswered).unwrap())
}

#[test]
fn a_worker_and_the_native_flow_answer_alike() {
    let bot = Setup { vars: settings(), change: |config| config.secret = Some(SECRET.to_owned()), ..Setup::default() }
        .start();
    let checked = Settings::parse(|name| match name {
        "SESSION_SECRET" => Some(SECRET.to_owned()),
        name => settings().get(name).cloned(),
    });
    let checked = checked.unwrap();
    let mut ports = bot.cloud.ports(NAME, NAME).unwrap();
    ports.content = Some(NAME.to_owned());
    (ports.first_byte, ports.idle) = (Duration::from_secs(2), Duration::from_secs(2));

    let refused = |service: &str, operation: &str, status: u16, code: u32| {
        let body = json!({ "errors": [{ "code": code, "message": "no" }], "code": code, "error": "no" }).to_string();
        json!([{ "service": service, "operation": operation, "respond": { "status": status, "body": body } }])
    };
    let chat = |fault: Value| {
        let mut fault = fault;
        fault["service"] = "ai".into();
        fault["operation"] = "chat".into();
        json!([fault])
    };
    let cases = [
        ("all is well", json!([])),
        ("no capacity to embed", refused("ai", "embed", 429, 3040)),
        ("over the day's allocation", refused("ai", "chat", 429, 3036)),
        ("all models removed", refused("ai", "chat", 410, 5028)),
        ("a prompt that is too long", refused("ai", "chat", 413, 5021)),
        ("a guardrail blocks the answer", refused("ai", "chat", 424, 2017)),
        ("Vectorize is asked too much", refused("vectorize", "query", 429, 40041)),
        ("Vectorize finds the query wrong", refused("vectorize", "query", 400, 40006)),
        ("an answer cut in half", chat(json!({ "cut_after_events": 3 }))),
        ("a broken event", chat(json!({ "garble_event": 3 }))),
        ("a silent model", chat(json!({ "stall_after_events": 0 }))),
        (
            "HTML for an answer",
            chat(json!({ "respond": { "status": 200, "content_type": "text/html", "body": "<p>" } })),
        ),
        ("D1 fails", refused("d1", "query", 500, 7500)),
        ("KV cannot list", refused("kv", "list", 500, 1)),
        ("KV cannot store", refused("kv", "put", 500, 1)),
    ];
    let first = in_workerd(&bot, "What does make run do?", None).unwrap();
    let session = first["session"].as_str().unwrap();
    for (name, faults) in cases {
        for (message, session) in [(QUESTION, None), ("and in the log?", Some(session))] {
            bot.script(&faults);
            // A follow-up adds a turn, so both sides must ask in the light of the same one.
            let worker = in_workerd(&bot, message, session);
            bot.script(&json!([]));
            forget_all_but_the_first(&bot, session);
            bot.script(&faults);
            let native = natively(&ports, &checked, message, session);
            bot.script(&json!([]));
            forget_all_but_the_first(&bot, session);
            assert_eq!(essence(&worker), essence(&native), "{name}: {message}\n{worker:#?}\n{native:#?}");
        }
    }
}

/// Deletes the turns that a case added to the session, straight from the store.
fn forget_all_but_the_first(bot: &Bot, session: Option<&str>) {
    let Some(session) = session else { return };
    for turn in bot.turns(session).iter().skip(1) {
        let key = docent_core::session::prefix(session.split('.').nth(1).unwrap());
        let inverted = 9_999_999_999_999 - turn["created_at"].as_u64().unwrap();
        let key = format!("{key}{inverted:013}:{}", turn["message_id"].as_str().unwrap()).replace(':', "%3A");
        let url = format!("{}/accounts/local/storage/kv/namespaces/{NAME}/values/{key}", bot.cloud.api_base());
        ureq::delete(&url).header("authorization", "Bearer local").call().unwrap();
    }
}

#[test]
fn words_find_what_the_live_generation_holds_best_first_and_what_fails_is_told() {
    let mut setup = Setup::default();
    setup.cloud.databases.push(DatabaseConfig { id: "bare".to_owned(), name: "bare".to_owned(), migrations: None });
    let bot = setup.start();
    let mut ports = bot.cloud.ports(NAME, NAME).unwrap();
    ports.content = Some(NAME.to_owned());
    let lookup = |ports: &LocalPorts, questions: &[&str], options: &Lookup| {
        let queries: Vec<_> = questions.iter().map(|question| full_text::queries(question)).collect();
        pollster::block_on(ports.lookup(&queries, options))
    };
    let everything = Lookup { generation: 1, limit: 20, texts: 20, ..Lookup::default() };
    let found = lookup(&ports, &["FIRST_BYTE_MS", QUESTION, " ?! "], &everything).unwrap();
    let [names, words, nothing] = <[Vec<Hit>; 3]>::try_from(found).unwrap();
    assert!(names[0].text.contains("FIRST_BYTE_MS") && words[0].text.contains("x-docent-trace-id"), "{words:#?}");
    assert!(words.len() == 20 && words.is_sorted_by(|a, b| a.score >= b.score) && nothing.is_empty());
    let few = lookup(&ports, &[QUESTION], &Lookup { limit: 3, ..everything.clone() }).unwrap();
    assert_eq!(few, [&words[..3]]);
    let bare = lookup(&ports, &[QUESTION], &Lookup { texts: 1, ..everything.clone() }).unwrap().remove(0);
    assert_eq!((bare.len(), &bare[0]), (20, &words[0]), "texts come with the best alone");
    assert!(
        bare.iter().skip(1).zip(words.iter().skip(1)).all(|(bare, whole)| bare.id == whole.id && bare.text.is_empty())
    );

    for (what, options) in [
        ("an earlier generation", Lookup { generation: 0, ..everything.clone() }),
        (
            "a language",
            Lookup { filter: Filter { lang: Some("xx".into()), ..Filter::default() }, ..everything.clone() },
        ),
        (
            "a version",
            Lookup { filter: Filter { version: Some("9".into()), ..Filter::default() }, ..everything.clone() },
        ),
        (
            "a product",
            Lookup { filter: Filter { product: Some("'".into()), ..Filter::default() }, ..everything.clone() },
        ),
    ] {
        assert_eq!(
            lookup(&ports, &[QUESTION], &options).unwrap(),
            [vec![]],
            "{what} that the documentation does not have"
        );
    }

    bot.script(&json!([{ "service": "d1", "respond": { "status": 500, "body": "{\"error\":\"down\"}" } }]));
    let down = lookup(&ports, &[QUESTION], &everything).unwrap_err();
    bot.script(&json!([]));
    ports.content = Some("bare".to_owned());
    let old = lookup(&ports, &[QUESTION], &everything).unwrap_err();
    ports.content = None;
    let none = lookup(&ports, &[QUESTION], &everything).unwrap_err();
    assert!(matches!(down, Fault::D1(_)) && none == Fault::NoBinding("CONTENT"), "{down} {none}");
    assert!(matches!(&old, Fault::D1(message) if message.contains("no such table")), "{old}");
}

#[test]
fn both_implementations_find_the_same_while_somebody_types() {
    let bot = Bot::start();
    let mut ports = bot.cloud.ports(NAME, NAME).unwrap();
    ports.content = Some(NAME.to_owned());
    let both = |query: &str, ports: &LocalPorts| {
        let reply = bot.get(&format!("/v1/search?{query}"));
        let worker = if reply.status == 200 { reply.json() } else { reply.json()["error"]["code"].clone() };
        let native = match pollster::block_on(search::search(ports, query, "trace")) {
            Ok(results) => serde_json::to_value(results).unwrap(),
            Err(error) => json!(error.code),
        };
        (worker, native)
    };
    let page = "page=https://docs.example/http-api/";
    for query in
        ["q=vectori", "q=FIRST_BYTE&limit=20", &format!("q=trace&{page}"), "q=trace&lang=xx", "q=", "q=%00%22*", "x"]
    {
        let (worker, native) = both(query, &ports);
        assert_eq!(worker, native, "{query}");
    }
    for operation in ["query", "batch"] {
        let body = "{\"error\":\"down\"}";
        bot.script(&json!([{ "service": "d1", "operation": operation, "respond": { "status": 500, "body": body } }]));
        let (worker, native) = both("q=qqqqqq", &ports);
        bot.script(&json!([]));
        assert_eq!((&worker, &native), (&json!("upstream"), &json!("upstream")), "{operation}");
    }
}

/// A reader that has left before the first word.
struct Gone;

impl Reader for Gone {
    fn send(&mut self, _: &[Part<'_>]) {}

    fn close(&mut self, _: &[Part<'_>]) {}

    fn left(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(std::future::ready(()))
    }
}

#[test]
fn both_implementations_stop_and_replace_answers() {
    let mut setup = Setup { change: |config| config.secret = Some(SECRET.to_owned()), ..Setup::default() };
    setup.cloud.token_delay = Duration::from_millis(20);
    let bot = setup.start();
    let ports = bot.cloud.ports(NAME, NAME).unwrap();
    let settings = Settings::parse(|name| (name == "SESSION_SECRET").then(|| SECRET.to_owned())).unwrap();
    let asked = bot.ask("What does make run do?", None);
    let token = asked["session"].as_str().unwrap();
    let session = token.split('.').nth(1).unwrap();
    let natively = |question: &Value, stop: bool| {
        let ask = Ask::parse(question.to_string().as_bytes()).unwrap();
        pollster::block_on(async {
            let prepared = answer::prepare(&ports, &settings, ask, "trace".to_owned()).await.unwrap();
            if stop {
                let wish = json!({ "session": token, "message_id": prepared.trace().message_id }).to_string();
                let reply = bot.request("POST", "/v1/stop", &[], Some(&wish));
                assert_eq!(reply.status, 204);
            }
            answer::respond(&ports, &settings, prepared, &mut Gone).await
        })
    };
    let question = json!({ "message": QUESTION, "session": token, "replaces": asked["message_id"] });
    let whole = natively(&question, false);
    assert!(!whole.trace.stopped && whole.turn.finish == Finish::Stop, "who only leaves has stopped nothing");
    let questions: Vec<_> = bot.turns(token).iter().map(|turn| turn["question"].clone()).collect();
    assert_eq!(questions, [QUESTION], "the Worker's turn is replaced");
    let stopped = natively(&question, true);
    assert!(stopped.trace.stopped && stopped.turn.answer.len() < whole.turn.answer.len(), "the Worker noted it");

    let mut stream = Stream::open(&bot, &json!({ "message": QUESTION, "session": token }));
    let id = stream.next().unwrap().data["messageId"].as_str().unwrap().to_owned();
    pollster::block_on(ports.note_stopped(session, &id)).unwrap();
    drop(stream);
    let turn = eventually("the turn", || bot.turns(token).into_iter().find(|turn| turn["message_id"] == id));
    assert_eq!(turn["finish_reason"], "error", "the Worker reads what was noted natively");
}
