//! Which model answers, where it runs, and who takes over when it fails.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use docent_local::WorkerdConfig;
use serde_json::{Value, json};

use crate::bot::{Bot, Setup, TRACE_KEY, one, root, text};
use crate::trouble::fault;

const QUESTION: &str = "Which header carries the trace id of a response?";
const FIRST: &str = "@cf/meta/llama-3.1-8b-instruct-fast";
const SECOND: &str = "@cf/meta/llama-3.2-3b-instruct";
/// Runs at the stand-in's own server with `OpenAI`'s chat API.
const ELSEWHERE: &str = "llama3.1:8b";

fn set(config: &mut WorkerdConfig, name: &str, value: &str) {
    config.vars.insert(name.to_owned(), value.into());
}

fn provider(config: &mut WorkerdConfig) {
    let url = format!("http://{}/v1", config.cloud);
    set(config, "PROVIDER_URL", &url);
    set(config, "PROVIDER_KEY", "a-key-of-the-provider");
}

fn gateway_by_address(config: &mut WorkerdConfig) {
    let url = format!("http://{}/v1/account/default", config.cloud);
    set(config, "GATEWAY_URL", &url);
    set(config, "WORKERS_AI_TOKEN", "a-token-of-the-account");
    config.ai = false;
}

/// The calls of models since the log was cleared: by which wire, of which model.
fn calls(bot: &Bot) -> Vec<(String, String)> {
    let log = bot.cloud.requests();
    let calls = log["requests"].as_array().unwrap().iter();
    let of_models = calls.filter(|call| call["service"] == "ai" || call["service"] == "provider");
    let field = |call: &Value, name: &str| call[name].as_str().unwrap().to_owned();
    of_models.map(|call| (field(call, "wire"), field(call, "target"))).collect()
}

/// Its name, what sets it, the wires and models that are then asked, and what health says of Workers AI.
type Way = (&'static str, fn(&mut WorkerdConfig), [(&'static str, &'static str); 2], &'static str);

#[test]
fn models_are_asked_the_way_that_the_settings_say_and_health_tells_which() {
    let embedder = "@cf/baai/bge-base-en-v1.5";
    let ways: [Way; 4] = [
        ("by the binding", |_| {}, [("binding", embedder), ("binding", FIRST)], "binding AI"),
        (
            "through a gateway by its id",
            |config| set(config, "GATEWAY_ID", "default"),
            [("binding", embedder), ("binding", FIRST)],
            "binding AI, gateway default",
        ),
        (
            "through a gateway by its address",
            gateway_by_address,
            [("gateway", embedder), ("gateway", FIRST)],
            "gateway at 127.0.0.1",
        ),
        (
            "at a server with OpenAI's chat API",
            |config| {
                provider(config);
                set(config, "CHAT_MODEL", ELSEWHERE);
                set(config, "MODEL_INFO", "llama3.1:8b=16384/0.5/1.5");
            },
            [("binding", embedder), ("server", ELSEWHERE)],
            "binding AI",
        ),
    ];
    for (name, change, expected, workers_ai) in ways {
        let bot = Setup { change, ..Setup::default() }.var("TRACE_KEY", TRACE_KEY).start();
        let health = bot.get("/v1/health").json();
        assert_eq!(health["status"], "ok", "{name}: {health:#}");
        let told = health["upstreams"]["workers_ai"].as_str().unwrap();
        assert!(told.starts_with(workers_ai), "{name}: {told}");
        assert!(!health.to_string().contains("a-key-of") && !health.to_string().contains("a-token-of"), "{name}");
        bot.cloud.clear_requests();
        let answer = bot.explained(QUESTION, &json!({})).0;
        assert_eq!(answer["refused"], false, "{name}: {answer:#}");
        let expected = expected.map(|(wire, model)| (wire.to_owned(), model.to_owned()));
        assert_eq!(calls(&bot), expected, "{name}");
        assert!(answer["usage"]["completion_tokens"].as_u64().unwrap() > 0, "{name}: {answer:#}");
        assert!(answer["cost_usd"].as_f64().unwrap() > 0.0, "{name}: {answer:#}");
        let through_gateway = name.contains("gateway");
        assert_eq!(answer["trace"]["tries"][0]["log_id"].is_string(), through_gateway, "{name}: the gateway's log");
        let log = bot.cloud.requests().to_string();
        assert!(!through_gateway || name.contains("address") || log.contains(answer["trace_id"].as_str().unwrap()));
        let streamed = bot.stream(&json!({ "message": QUESTION }));
        assert_eq!(text(&streamed), answer["answer"].as_str().unwrap(), "{name}: streamed and whole");
    }
}

#[test]
fn a_simple_question_goes_to_the_small_model_and_a_request_may_name_another() {
    let setup = Setup { change: provider, ..Setup::default() }.var("TRACE_KEY", TRACE_KEY);
    let bot = setup.var("SMALL_MODEL", SECOND).var("FALLBACK_MODELS", ELSEWHERE).start();
    let routed = |answer: &Value| {
        let trace = &answer["trace"];
        (answer["model"].as_str().unwrap().to_owned(), trace["rules"]["routed"].as_str().unwrap().to_owned())
    };
    let simple = bot.explained(QUESTION, &json!({})).0;
    assert_eq!(routed(&simple), (SECOND.into(), "simple".into()));
    let session = &simple["session"];
    let follow_up = bot.explained("And for feedback?", &json!({ "session": session })).0;
    assert_eq!(routed(&follow_up), (FIRST.into(), "order".into()));
    let long = "Our bot answers some questions and not others. What do I look at, and in which order? ".repeat(2);
    assert_eq!(routed(&bot.explained(&long, &json!({})).0), (FIRST.into(), "order".into()));
    let named = bot.explained(QUESTION, &json!({ "model": ELSEWHERE })).0;
    assert_eq!(routed(&named), (ELSEWHERE.into(), "request".into()));
    let config = bot.get("/v1/config").json();
    assert_eq!(config["models"], json!([FIRST, ELSEWHERE, SECOND]));
    let unknown = bot.post(&json!({ "message": QUESTION, "model": "gpt-9" }));
    assert_eq!((unknown.status, unknown.error().as_str()), (422, "unprocessable"), "{}", unknown.body);

    bot.script(&json!([fault("ai", "chat", 503, "down")]));
    assert_eq!(
        routed(&bot.explained(QUESTION, &json!({})).0),
        (ELSEWHERE.into(), "simple".into()),
        "all others are tried"
    );
}

#[test]
fn the_key_of_a_provider_follows_no_redirect() {
    let mut setup = Setup { change: provider, ..Setup::default() }.var("CHAT_MODEL", ELSEWHERE);
    setup.cloud.token_delay = std::time::Duration::ZERO;
    let bot = setup.start();
    bot.script(&json!([{ "service": "provider", "respond": { "status": 302, "body": "",
        "headers": { "location": format!("http://{}/v1/chat/completions", bot.cloud.address()) } } }]));
    bot.cloud.clear_requests();
    let reply = bot.post(&json!({ "message": QUESTION, "stream": false }));
    assert_eq!((reply.status, reply.error().as_str()), (502, "upstream"), "{}", reply.body);
    assert_eq!(calls(&bot).iter().filter(|(wire, _)| wire == "server").count(), 1);
}

/// What a chat call can come to, and the fault that makes it do so.
fn failures() -> Vec<(String, Value)> {
    let code = |status: u16, code: u32, what: &str| {
        let body = json!({ "success": false, "errors": [{ "code": code, "message": "x" }] }).to_string();
        (format!("{code} {what}"), json!({ "respond": { "status": status, "body": body } }))
    };
    let plain = |status: u16, what: &str| {
        (
            format!("HTTP {status} {what}"),
            json!({ "respond": { "status": status, "body": "<html>", "content_type": "text/html" } }),
        )
    };
    let stream = |what: &str, events: &[Value]| {
        let events: Vec<String> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        let body = format!("{}data: [DONE]\n\n", events.concat());
        (what.to_owned(), json!({ "respond": { "status": 200, "content_type": "text/event-stream", "body": body } }))
    };
    let usage = json!({ "prompt_tokens": 900, "completion_tokens": 768 });
    let thinking = [
        json!({ "choices": [{ "index": 0, "delta": { "content": null, "reasoning_content": "Hmm" }, "finish_reason": null }] }),
        json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "length" }] }),
        json!({ "response": "", "usage": usage }),
    ];
    let cut = [json!({ "response": "It is in the header [1]" }), json!({ "response": "", "usage": usage })];
    vec![
        code(400, 3003, "incomplete request"),
        code(400, 5004, "invalid input"),
        code(400, 5006, "input against the schema"),
        code(400, 5007, "no such model"),
        code(400, 8001, "invalid input"),
        code(403, 3023, "account blocked"),
        code(403, 3041, "model not allowed"),
        code(403, 5016, "agreement not accepted"),
        code(403, 5018, "private model"),
        code(403, 5035, "needs a paid plan"),
        code(404, 3042, "invalid model id"),
        code(410, 5028, "model removed"),
        code(413, 3006, "request too large"),
        code(413, 5021, "context exceeded"),
        code(400, 3010, "context exceeded"),
        code(408, 3007, "timeout"),
        code(408, 3008, "aborted"),
        code(429, 3036, "the day's allocation is used up"),
        code(429, 3040, "no capacity"),
        code(400, 2001, "no such gateway"),
        code(401, 2009, "gateway wants a token"),
        code(429, 2003, "gateway's rate limit"),
        code(424, 2016, "guardrail, prompt"),
        code(424, 2017, "guardrail, answer"),
        plain(429, "without a code"),
        plain(500, "with a page of HTML"),
        plain(503, "with a page of HTML"),
        plain(200, "with a page of HTML"),
        ("connection lost at once".to_owned(), json!({ "drop_connection": true })),
        ("silence before the first token".to_owned(), json!({ "delay_ms": 60_000 })),
        ("silence after some".to_owned(), json!({ "stall_after_events": 4 })),
        ("stream without an end".to_owned(), json!({ "cut_after_events": 4 })),
        ("connection lost in the stream".to_owned(), json!({ "cut_after_events": 4, "drop_connection": true })),
        ("an event that cannot be read".to_owned(), json!({ "garble_event": 4 })),
        stream("an error in the stream", &[json!({ "error": "x" })]),
        stream("thought until nothing was left", &thinking),
        stream("cut by `MAX_TOKENS`", &cut),
    ]
}

/// Of a server with `OpenAI`'s chat API.
fn failures_elsewhere() -> Vec<(String, Value)> {
    let code = |status: u16, code: &str| {
        let body = json!({ "error": { "message": "x", "type": "invalid_request_error", "code": code } }).to_string();
        (format!("HTTP {status} `{code}`"), json!({ "respond": { "status": status, "body": body } }))
    };
    let mut all = vec![
        code(400, "context_length_exceeded"),
        code(400, "content_filter"),
        code(400, "unsupported_parameter"),
        code(401, "invalid_api_key"),
        code(402, "credits"),
        code(403, "country"),
        code(404, "model_not_found"),
        code(429, "rate_limit_exceeded"),
        code(429, "insufficient_quota"),
    ];
    all.extend(failures().into_iter().filter(|(name, _)| !name.starts_with(|c: char| c.is_ascii_digit())));
    all
}

/// What became of a question: what the reader sees, how often each model was asked, and what the books
/// say is to be paid.
fn cell(bot: &Bot, names: &BTreeMap<&str, &str>) -> String {
    bot.cloud.clear_requests();
    let body = json!({ "message": QUESTION, "trace": true }).to_string();
    let reply = bot.request("POST", "/v1/chat", &[("authorization", &format!("Bearer {TRACE_KEY}"))], Some(&body));
    let parts: Vec<Value> =
        reply.body.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
    let part = |kind: &str| parts.iter().find(|part| part["type"] == kind);
    assert!(part("source-url").is_some(), "the pages come first: {}", reply.body);
    let trace = &part("data-docent-trace").unwrap()["data"];
    let tries = trace["tries"].as_array().unwrap();
    let seen = match (part("finish"), part("data-docent-error"), part("text-start")) {
        (Some(finish), None, Some(_)) => {
            let metadata = &finish["messageMetadata"];
            match (metadata["refused"].as_bool(), finish["finishReason"].as_str()) {
                (Some(true), _) => "a refusal".to_owned(),
                (_, Some("length")) => {
                    format!("{} answers, marked as cut", names[metadata["model"].as_str().unwrap()])
                }
                _ => format!("{} answers", names[metadata["model"].as_str().unwrap()]),
            }
        }
        (None, Some(error), begun) => {
            let code = error["data"]["code"].as_str().unwrap();
            let last = tries.last().and_then(|made| made["model"].as_str()).unwrap();
            if begun.is_some() { format!("{} begins, then `{code}`", names[last]) } else { format!("`{code}`") }
        }
        other => panic!("{other:?} in {}", reply.body),
    };
    let mut asked: Vec<(String, usize)> = Vec::new();
    for (_, model) in calls(bot).into_iter().filter(|(_, model)| names.contains_key(model.as_str())) {
        match asked.last_mut().filter(|(last, _)| *last == model) {
            Some((_, times)) => *times += 1,
            None => asked.push((model, 1)),
        }
    }
    assert_eq!(asked.iter().map(|(_, times)| times).sum::<usize>(), tries.len(), "the trace has every call");
    let asked: Vec<String> =
        asked.iter().map(|(model, times)| format!("{times} × {}", names[model.as_str()])).collect();
    let mut billed = Vec::new();
    for made in tries.iter().filter(|made| made["cost"].is_object()) {
        billed.push(names[made["model"].as_str().unwrap()]);
    }
    billed.dedup();
    let billed = if billed.is_empty() { "–".to_owned() } else { billed.join(", ") };
    format!("{seen}; {}; {billed}", asked.join(", "))
}

/// A table of failures of `first`, a column for each set of models.
fn table(failures: &[(String, Value)], service: &str, first: &str, setups: Vec<(&str, Setup)>) -> String {
    let names = BTreeMap::from([(FIRST, "A"), (SECOND, "B"), (ELSEWHERE, "C")]);
    let columns: Vec<(&str, Vec<String>)> = std::thread::scope(|scope| {
        let workers: Vec<_> = setups
            .into_iter()
            .map(|(title, setup)| {
                let names = &names;
                scope.spawn(move || {
                    let bot =
                        setup.var("TRACE_KEY", TRACE_KEY).var("FIRST_BYTE_MS", "300").var("IDLE_MS", "300").start();
                    let cells = failures.iter().map(|(_, fault)| {
                        let mut fault = fault.clone();
                        fault["service"] = service.into();
                        fault["operation"] = "chat".into();
                        fault["model"] = first.into();
                        bot.script(&json!([fault]));
                        cell(&bot, names)
                    });
                    (title, cells.collect())
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let mut out = String::from("| The first model's failure |");
    for (title, _) in &columns {
        let _ = write!(out, " {title} |");
    }
    out.push_str("\n|---|");
    out.push_str(&"---|".repeat(columns.len()));
    for (at, (name, _)) in failures.iter().enumerate() {
        let _ = write!(out, "\n| {name} |");
        for (_, cells) in &columns {
            let _ = write!(out, " {} |", cells[at]);
        }
    }
    out.push('\n');
    out
}

/// The page says what the bot really does: it is written by it. `DOCENT_WRITE=1` writes it anew.
#[test]
fn the_page_of_failures_is_what_happens() {
    let slow_words = |mut setup: Setup| {
        // Words leave one by one: of a connection that is lost, what was not yet read is lost with it.
        setup.cloud.token_delay = std::time::Duration::from_millis(5);
        setup
    };
    let plain = || slow_words(Setup::default());
    let with_provider = || slow_words(Setup { change: provider, ..Setup::default() });
    let at_workers_ai = table(
        &failures(),
        "ai",
        FIRST,
        vec![
            ("A alone", plain()),
            ("A, then B of Workers AI", plain().var("FALLBACK_MODELS", SECOND)),
            ("A, then C elsewhere", with_provider().var("FALLBACK_MODELS", ELSEWHERE)),
        ],
    );
    let elsewhere = table(
        &failures_elsewhere(),
        "provider",
        ELSEWHERE,
        vec![
            ("C alone", with_provider().var("CHAT_MODEL", ELSEWHERE)),
            ("C, then A of Workers AI", with_provider().var("CHAT_MODEL", ELSEWHERE).var("FALLBACK_MODELS", FIRST)),
        ],
    );
    let path = root().join("docs/failures.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("<!-- workers-ai -->\n").unwrap();
    let (_, rest) = rest.split_once("<!-- end -->").unwrap();
    let (between, rest) = rest.split_once("<!-- elsewhere -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    let written = format!(
        "{before}<!-- workers-ai -->\n{at_workers_ai}<!-- end -->{between}<!-- elsewhere -->\n{elsewhere}<!-- end -->{after}"
    );
    if std::env::var_os("DOCENT_WRITE").is_some() {
        std::fs::write(&path, &written).unwrap();
        return;
    }
    for (is, should) in page.lines().zip(written.lines()) {
        assert_eq!(is, should, "docs/failures.md; DOCENT_WRITE=1 writes it anew");
    }
    assert_eq!(page, written);
}

#[test]
fn what_a_bot_says_of_a_cut_answer_is_that_it_was_cut() {
    let bot = Setup::default().start();
    let body = "data: {\"response\":\"The header is X-Docent-Trace-Id [1]\"}\n\ndata: {\"response\":\"\",\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":768}}\n\ndata: [DONE]\n\n";
    bot.script(&json!([{ "service": "ai", "operation": "chat",
        "respond": { "status": 200, "content_type": "text/event-stream", "body": body } }]));
    let parts = bot.stream(&json!({ "message": QUESTION }));
    assert_eq!(one(&parts, "finish")["finishReason"], "length");
    assert_eq!(bot.ask(QUESTION, None)["finish_reason"], "length");
}
