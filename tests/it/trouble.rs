//! What services can do: each failure has its status and code, shows no word of the service, costs
//! no other visitor anything, and leaves an answer from what still works where there is one.

use serde_json::{Value, json};

use crate::bot::{Bot, Setup, one, text};

const QUESTION: &str = "Which header carries the trace id of a response?";
/// In every scripted body; it must never reach a visitor.
const PRIVATE: &str = "upstream-text-that-nobody-may-see";

fn envelope(code: u32) -> String {
    json!({ "success": false, "result": null, "errors": [{ "code": code, "message": PRIVATE }] }).to_string()
}

pub(crate) fn fault(service: &str, operation: &str, status: u16, body: &str) -> Value {
    json!({ "service": service, "operation": operation, "respond": { "status": status, "body": body } })
}

fn bot() -> Bot {
    Setup::default().var("IDLE_MS", "300").var("FIRST_BYTE_MS", "300").start()
}

#[test]
fn a_failure_before_the_first_word_has_its_status_and_code() {
    let bot = bot();
    let html = json!({ "service": "ai", "operation": "embed", "respond": { "status": 200, "content_type": "text/html", "body": PRIVATE } });
    let chat_html = json!({ "service": "ai", "operation": "chat", "respond": { "status": 200, "content_type": "text/html", "body": PRIVATE } });
    let silent = json!({ "service": "ai", "operation": "embed", "delay_ms": 60_000 });
    let cases = [
        ("embedding has no capacity", fault("ai", "embed", 429, &envelope(3040)), 503, "over_capacity"),
        ("embedding is over the day's allocation", fault("ai", "embed", 429, &envelope(3036)), 429, "budget_exhausted"),
        ("embedding answers HTML", html, 502, "upstream"),
        ("embedding says nothing", silent, 502, "upstream"),
        ("embedding model removed", fault("ai", "embed", 410, &envelope(5028)), 502, "upstream"),
        ("the model has no capacity", fault("ai", "chat", 429, &envelope(3040)), 503, "over_capacity"),
        ("the model is over the day's allocation", fault("ai", "chat", 429, &envelope(3036)), 429, "budget_exhausted"),
        ("the model was removed", fault("ai", "chat", 410, &envelope(5028)), 502, "upstream"),
        ("the model answers HTML", chat_html, 502, "upstream"),
    ];
    for (name, script, status, code) in cases {
        bot.script(&json!([script]));
        let reply = bot.post(&json!({ "message": QUESTION, "stream": false }));
        assert_eq!((reply.status, reply.error().as_str()), (status, code), "{name}: {}", reply.body);
        assert!(!reply.body.contains(PRIVATE), "{name}: {}", reply.body);
        let of_the_model = script["operation"] == "chat";
        assert_eq!(
            reply.json()["sources"].is_array(),
            of_the_model,
            "{name}: the pages are given where they were found"
        );
        if code == "budget_exhausted" || code == "over_capacity" {
            assert!(reply.headers["retry-after"].parse::<u64>().unwrap() > 0, "{name}");
        }
        let trace = &reply.headers["x-docent-trace-id"];
        let logged = || bot.workerd.logs().iter().any(|line| line.contains(trace.as_str())).then_some(());
        crate::bot::eventually("the log line", logged);
    }
    bot.script(&json!([]));
    assert_eq!(bot.ask(QUESTION, None)["refused"], false, "and afterwards all is well");
}

#[test]
fn with_one_of_two_searches_down_slow_or_lying_the_other_answers_and_the_trace_says_so() {
    let key = "the key of those who may see traces";
    let bot = Setup::default().var("TRACE_KEY", key).start();
    let hang =
        |service: &str, operation: &str| json!({ "service": service, "operation": operation, "delay_ms": 60_000 });
    let lie = r#"[{"success":true,"results":[{"id":7}],"meta":{}}]"#;
    let cases = [
        ("Vectorize fails", fault("vectorize", "query", 500, PRIVATE), 1.0),
        ("Vectorize hangs", hang("vectorize", "query"), 1.0),
        ("Vectorize lies", fault("vectorize", "query", 200, "[]"), 1.0),
        ("D1 fails", fault("d1", "batch", 500, PRIVATE), 0.0),
        ("D1 hangs", hang("d1", "batch"), 0.0),
        ("D1 lies", fault("d1", "batch", 200, lie), 0.33),
        ("all is well", json!({ "service": "kv", "operation": "bulk_get", "times": 0 }), 0.33),
    ];
    for (name, script, words) in cases {
        bot.script(&json!([script]));
        let body = json!({ "message": QUESTION, "stream": false, "trace": true }).to_string();
        let headers = [("authorization", &*format!("Bearer {key}"))];
        let reply = bot.request("POST", "/v1/chat", &headers, Some(&body));
        assert_eq!(reply.status, 200, "{name}: {}", reply.body);
        let answer = reply.json();
        assert_eq!(answer["refused"], false, "{name}: {answer:#}");
        assert!(answer["sources"].to_string().contains("http-api#errors"), "{name}: {answer:#}");
        assert_eq!(answer["trace"]["rules"]["words_weight"], words, "{name}");
        assert!(!reply.body.contains(PRIVATE), "{name}");
    }
    bot.script(&json!([fault("vectorize", "query", 500, PRIVATE), fault("d1", "batch", 500, PRIVATE)]));
    let neither = bot.post(&json!({ "message": QUESTION, "stream": false }));
    assert_eq!((neither.status, neither.error().as_str()), (502, "upstream"), "{}", neither.body);
    bot.script(&json!([fault("vectorize", "query", 500, PRIVATE)]));
    let nothing = bot.post(&json!({ "message": "Xyzzy plugh?", "stream": false }));
    assert_eq!(nothing.status, 502, "words that nothing has are no reason to say that nobody knows: {}", nothing.body);
}

#[test]
fn without_d1_a_vectorize_that_fails_is_told() {
    let bot = Setup { change: |config| config.content = None, ..Setup::default() }.start();
    for (name, body) in
        [("fails", PRIVATE.to_owned()), ("is asked too much", format!("{{\"code\":40041,\"error\":\"{PRIVATE}\"}}"))]
    {
        bot.script(&json!([fault("vectorize", "query", 500, &body)]));
        let reply = bot.post(&json!({ "message": QUESTION, "stream": false }));
        assert_eq!((reply.status, reply.error().as_str()), (502, "upstream"), "Vectorize {name}: {}", reply.body);
        assert!(!reply.body.contains(PRIVATE), "{name}: {}", reply.body);
    }
}

#[test]
fn a_failure_of_the_model_leaves_the_pages_in_a_stream_as_well() {
    let bot = bot();
    bot.script(&json!([fault("ai", "chat", 429, &envelope(3036))]));
    let parts = bot.stream(&json!({ "message": QUESTION }));
    assert!(parts.iter().filter(|part| part.kind() == "source-url").count() > 1);
    assert_eq!(one(&parts, "data-docent-error")["data"]["code"], "budget_exhausted");
    assert!(!one(&parts, "error")["errorText"].as_str().unwrap().contains(PRIVATE));
    assert!(!parts.iter().any(|part| matches!(part.kind(), "finish" | "text-start")));
    assert_eq!(parts.last().unwrap().data, "[DONE]");
}

#[test]
fn an_answer_that_breaks_off_keeps_what_was_said_and_says_so() {
    // Words leave one by one: of a connection that is lost, what was not yet read is lost with it.
    let mut setup = Setup::default().var("IDLE_MS", "300");
    setup.cloud.token_delay = std::time::Duration::from_millis(20);
    let bot = setup.start();
    let whole = bot.ask(QUESTION, None)["answer"].as_str().unwrap().to_owned();
    let cases = [
        ("cut in half", json!({ "cut_after_events": 4 })),
        ("connection lost", json!({ "cut_after_events": 4, "drop_connection": true })),
        ("an event that is broken", json!({ "garble_event": 5 })),
        ("a stall", json!({ "stall_after_events": 4 })),
    ];
    for (name, mut script) in cases {
        script["service"] = "ai".into();
        script["operation"] = "chat".into();
        bot.script(&json!([script]));
        let parts = bot.stream(&json!({ "message": QUESTION }));
        let said = text(&parts);
        assert!(!said.is_empty() && whole.starts_with(&said), "{name}: {said}");
        assert_eq!(one(&parts, "data-docent-error")["data"]["code"], "upstream", "{name}");
        one(&parts, "text-end");
        assert_eq!(parts.last().unwrap().data, "[DONE]", "{name}");
        let session = one(&parts, "start")["messageMetadata"]["session"].as_str().unwrap();
        let turn = &bot.turns(session)[0];
        assert_eq!((&turn["answer"], &turn["finish_reason"]), (&json!(said), &json!("error")), "{name}");
        let reply = bot.post(&json!({ "message": QUESTION, "stream": false }));
        assert_eq!((reply.status, reply.error().as_str()), (502, "upstream"), "{name}: {}", reply.body);
    }
}

#[test]
fn what_can_be_mended_is_mended_and_nobody_notices() {
    let mut setup = Setup::default()
        .var("FALLBACK_MODELS", "@cf/google/gemma-4-26b-a4b-it")
        .var("GATEWAY_ID", "missing")
        .var("IDLE_MS", "300")
        .var("FIRST_BYTE_MS", "300");
    // Words come one by one, so that what an earlier try left behind would cut the answer short.
    setup.cloud.token_delay = std::time::Duration::from_millis(5);
    let bot = setup.start();
    let whole = bot.ask(QUESTION, None)["answer"].as_str().unwrap().to_owned();
    let first = "@cf/meta/llama-3.1-8b-instruct-fast";
    let second = "@cf/google/gemma-4-26b-a4b-it";
    let of_first = |mut script: Value| {
        script["model"] = first.into();
        script
    };
    let mut once = fault("ai", "chat", 429, &envelope(3040));
    once["times"] = 1.into();
    let silent = json!({ "service": "ai", "operation": "chat", "respond": {
        "status": 200, "content_type": "text/event-stream",
        "body": "data: {\"response\":\"\",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":768}}\n\ndata: [DONE]\n\n" } });
    let mut search_once = fault("vectorize", "query", 503, PRIVATE);
    search_once["times"] = 1.into();
    let cases = [
        ("a gateway that does not exist (2001) is gone around", json!([]), first),
        ("no capacity, once", json!([once]), first),
        ("search fails, once", json!([search_once]), first),
        ("the first model was removed", json!([of_first(fault("ai", "chat", 410, &envelope(5028)))]), second),
        (
            "the first model has no capacity at all",
            json!([of_first(fault("ai", "chat", 429, &envelope(3040)))]),
            second,
        ),
        (
            "the first model says nothing",
            json!([of_first(json!({ "service": "ai", "operation": "chat", "stall_after_events": 0 }))]),
            second,
        ),
        ("the first model ends without a word", json!([of_first(silent)]), second),
        (
            "the prompt is too long for the first model, once",
            json!([of_first(
                json!({ "service": "ai", "operation": "chat", "times": 1, "respond": { "status": 413, "body": envelope(5021) } })
            )]),
            first,
        ),
    ];
    for (name, script, model) in cases {
        bot.script(&script);
        let parts = bot.stream(&json!({ "message": QUESTION }));
        let finish = one(&parts, "finish");
        assert_eq!(finish["messageMetadata"]["model"], model, "{name}: {finish}");
        assert_eq!(
            (text(&parts), &finish["finishReason"]),
            (whole.clone(), &json!("stop")),
            "{name}: the whole answer"
        );
    }
}

#[test]
fn a_model_that_workers_ai_does_not_know_is_an_upstream_failure() {
    let bot = Setup::default().var("CHAT_MODEL", "@cf/meta/llama-9").start();
    let reply = bot.post(&json!({ "message": QUESTION, "stream": false }));
    assert_eq!((reply.status, reply.error().as_str()), (502, "upstream"), "{}", reply.body);
}

#[test]
fn calls_go_through_the_gateway_that_is_set() {
    let bot = Setup::default().var("GATEWAY_ID", "default").start();
    bot.cloud.clear_requests();
    assert_eq!(bot.ask(QUESTION, None)["refused"], false);
    let calls = bot.cloud.requests();
    let calls = calls["requests"].as_array().unwrap().iter().filter(|call| call["service"] == "ai");
    let gateways: Vec<&Value> = calls.map(|call| &call["request"]["options"]["gateway"]["id"]).collect();
    assert_eq!(gateways, ["default", "default"], "embedding and answer");
}

#[test]
fn without_its_store_the_bot_answers_without_memory_and_says_so() {
    let bot = bot();
    let first = bot.ask("What does make run do?", None);
    let session = first["session"].as_str();
    for (name, operation) in [("reading fails", "list"), ("reading turns fails", "bulk_get"), ("writing fails", "put")]
    {
        bot.script(&json!([fault("kv", operation, 500, PRIVATE)]));
        let answer = bot.ask(QUESTION, session);
        assert_eq!((&answer["memory"], &answer["refused"]), (&json!("unavailable"), &json!(false)), "{name}");
        let mut body = json!({ "message": QUESTION });
        body["session"] = first["session"].clone();
        let parts = bot.stream(&body);
        assert_eq!(one(&parts, "finish")["messageMetadata"]["memory"], "unavailable", "{name}");
    }
    bot.script(&json!([fault("kv", "get", 500, PRIVATE)]));
    assert_eq!(bot.ask(QUESTION, None)["memory"], "kept", "which index is live is known");
    let fresh = Setup { change: |config| config.content = None, ..Setup::default() }.start();
    fresh.script(&json!([fault("kv", "get", 500, PRIVATE)]));
    let reply = fresh.post(&json!({ "message": QUESTION, "stream": false }));
    assert_eq!((reply.status, reply.error().as_str()), (503, "not_ready"), "it is not known, and not guessed");
    assert!(reply.headers.contains_key("retry-after") && !reply.body.contains(PRIVATE), "{}", reply.body);
    let health = fresh.get("/v1/health");
    assert!(health.status == 503 && !health.body.contains(PRIVATE), "{}", health.body);

    bot.script(&json!([fault("kv", "list", 500, PRIVATE)]));
    let history = bot.get(&format!("/v1/sessions/{}", session.unwrap()));
    assert_eq!((history.status, history.error().as_str()), (502, "upstream"));
}
