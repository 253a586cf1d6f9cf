//! The doors of the question flow have two implementations, and these are interchangeable: the same
//! questions, over the same index and the same failures, end in the same answers whether the flow
//! runs as a Worker in workerd or natively over the stand-in's own engines.

use std::collections::BTreeMap;

use docent_core::answer;
use docent_core::api::{Answer, Ask, Unanswered};
use docent_core::draft::Unstreamed;
use docent_core::settings::Settings;
use docent_local::ports::LocalPorts;
use serde_json::{Value, json};

use crate::bot::{Bot, NAME, Setup};

const SECRET: &str = "the secret that both implementations sign with";
const KEY: &str = "the key of those who may see traces";
const QUESTION: &str = "Which header carries the trace id of a response?";

fn settings() -> BTreeMap<String, String> {
    let set = [
        ("FALLBACK_MODELS", "@cf/google/gemma-4-26b-a4b-it"),
        ("GATEWAY_ID", "missing"),
        ("IDLE_MS", "300"),
        ("FIRST_BYTE_MS", "300"),
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
    (ports.first_byte, ports.idle) = (std::time::Duration::from_millis(300), std::time::Duration::from_millis(300));

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
