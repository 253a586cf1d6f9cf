//! The way to a person: shown to who asks for it or is fed up, where there is one, and never at the
//! cost of the answer; and a conversation that goes to a webhook when its visitor says so, once.

use std::time::{Duration, Instant};

use docent_core::answer;
use docent_core::api::Ask;
use docent_core::draft::Unstreamed;
use docent_core::handoff;
use docent_core::ports::{Classify, Fault};
use docent_core::settings::Settings;
use docent_core::trace::Unknown;
use docent_core::upstream::{self, Route};
use serde_json::{Value, json};

use crate::bot::{Bot, NAME, Reply, Setup, TRACE_KEY, one, text};
use crate::endpoint::{Act, Call, Endpoint};
use crate::trouble::fault;
use crate::why::kept;

const QUESTION: &str = "Which header carries the trace id of a response?";
const FED_UP: &str = "This is useless, nothing works and I am so frustrated! Which header carries the trace id?";
const PERSON: &str = "Please let me talk to a human";
const CONTACT: &str = "https://www.example.com/contact";
const CLASSIFIER: &str = "@cf/huggingface/distilbert-sst-2-int8";
const SECRET: &str = "the secret that both implementations sign with";

fn hand_over(bot: &Bot, body: &Value) -> Reply {
    bot.request("POST", "/v1/handoff", &[], Some(&body.to_string()))
}
#[test]
fn with_no_way_to_a_person_nothing_is_called_and_nothing_is_said() {
    let bot = Bot::start();
    for message in [PERSON, FED_UP] {
        let answer = bot.ask(message, None);
        assert!(answer.get("handoff").is_none(), "{answer:#}");
        assert!(!answer["sources"].as_array().unwrap().is_empty(), "searched as ever: {answer:#}");
    }
    assert_eq!(bot.calls("ai.classify"), 0);
    let session = bot.ask(QUESTION, None)["session"].clone();
    let reply = hand_over(&bot, &json!({ "session": session }));
    assert_eq!((reply.status, reply.error().as_str()), (422, "unprocessable"));
    assert!(reply.body.contains("HANDOFF_URL"), "{}", reply.body);
}

#[test]
fn who_asks_for_a_person_is_shown_the_way_and_for_nothing_else_no_model_is_asked() {
    let bot = Setup::default().var("SUPPORT_URL", CONTACT).var("TRACE_KEY", TRACE_KEY).start();
    let way = json!({ "why": "asked", "support_url": CONTACT, "transcript": false });
    let ingested = bot.calls("ai.embed");
    // Nothing that could be down is needed for it.
    bot.script(&json!([fault("ai", "embed", 500, "x"), fault("ai", "chat", 500, "x"), fault("d1", "query", 500, "x")]));
    let (answer, trace) = bot.explained(PERSON, &json!({}));
    assert_eq!((&answer["handoff"], &answer["refused"], &answer["sources"]), (&way, &json!(false), &json!([])));
    assert_eq!(answer["answer"], format!("A person can help you at [{CONTACT}]({CONTACT})."));
    assert_eq!(
        (trace.handoff, trace.tries.len(), answer["cost_usd"].as_f64()),
        (Some(handoff::Why::Asked), 0, Some(0.0))
    );
    assert_eq!((bot.calls("ai.embed"), bot.calls("ai.chat"), bot.calls("ai.classify")), (ingested, 0, 0));
    bot.script(&json!([]));
    let told = kept(&bot, answer["trace_id"].as_str().unwrap()).to_string();
    assert!(told.contains("outcome    pointed to a person\n"), "{told}");
    assert_eq!(bot.turns(answer["session"].as_str().unwrap())[0]["question"], PERSON, "it is a turn like any other");

    let parts = bot.stream(&json!({ "message": format!("{QUESTION} Or let me talk to a human.") }));
    assert_eq!(one(&parts, "finish")["messageMetadata"]["handoff"], way);
    assert!(text(&parts).contains("x-docent-trace-id"), "{}", text(&parts));
    for message in ["how do I add a human reviewer", "user agent header", "support for Windows"] {
        assert!(bot.ask(message, None).get("handoff").is_none(), "{message}");
    }
}

#[test]
fn who_is_fed_up_is_shown_the_way_beside_the_answer() {
    let hook = Endpoint::start();
    let setup = Setup::default().var("HANDOFF_URL", &hook.url()).var("TRACE_KEY", TRACE_KEY);
    let bot = setup.var("MOOD_MODEL", CLASSIFIER).start();
    let (answer, trace) = bot.explained(FED_UP, &json!({}));
    assert_eq!(answer["handoff"], json!({ "why": "mood", "transcript": true }));
    assert!(answer["answer"].as_str().unwrap().contains("x-docent-trace-id"), "{answer:#}");
    let mood = trace.mood.unwrap();
    assert!(mood.score.is_some_and(|score| score < mood.below), "{mood:?}");
    assert_eq!((mood.label.as_str(), mood.model.as_str()), ("NEGATIVE", CLASSIFIER));
    let told = kept(&bot, &trace.trace_id).to_string();
    for part in
        ["mood       0.00001, NEGATIVE (MOOD_BELOW 0.001), by @cf/", "person     the way to one was shown: the mood"]
    {
        assert!(told.contains(part), "{part} in\n{told}");
    }
    assert!(trace.steps.mood_ms > 0 && trace.steps.mood_ms <= trace.steps.answered_ms, "{:?}", trace.steps);

    let (answer, trace) = bot.explained(QUESTION, &json!({}));
    assert!(answer.get("handoff").is_none() && trace.handoff.is_none(), "{answer:#}");
    assert!(trace.mood.is_some_and(|mood| mood.score.is_some_and(|score| score >= mood.below)));
    // What a program says is no mood of its user, and who asks for a person needs none.
    let before = bot.calls("ai.classify");
    let (answer, trace) = bot.explained("```\nerror: useless, broken, terrible, stupid garbage\n```", &json!({}));
    assert!(answer.get("handoff").is_none() && trace.mood.is_none(), "{answer:#}");
    bot.explained(&format!("{QUESTION} I want to talk to a human."), &json!({}));
    assert_eq!(bot.calls("ai.classify"), before);
    assert!(hook.calls().is_empty(), "nothing is sent before the visitor says so");
}

#[test]
fn a_mood_that_comes_late_or_not_at_all_costs_the_answer_nothing() {
    let setup = Setup::default().var("SUPPORT_URL", CONTACT).var("TRACE_KEY", TRACE_KEY);
    let bot = setup.var("MOOD_MODEL", CLASSIFIER).start();
    bot.explained(QUESTION, &json!({}));
    // A search that takes its time, so that what fails has failed by then, its retries included.
    let search = |ms: u32| json!({ "service": "vectorize", "operation": "query", "delay_ms": ms });
    let labels = |body: &str| fault("ai", "classify", 200, body);
    let cases = [
        ("slow", Unknown::Late, json!({ "service": "ai", "operation": "classify", "delay_ms": 60_000 })),
        ("busy", Unknown::Late, fault("ai", "classify", 503, "private")),
        ("unknown", Unknown::Failed, fault("ai", "classify", 400, r#"{"errors":[{"code":5007,"message":"x"}]}"#)),
        ("of another kind", Unknown::Failed, labels(r#"[{"label":"LABEL_1","score":0.9}]"#)),
        ("not a list", Unknown::Failed, labels(r#"{"label":"NEGATIVE","score":0.9}"#)),
        ("of nothing", Unknown::Failed, labels("[null]")),
    ];
    for (name, unknown, script) in cases {
        bot.script(&json!([script, search(if unknown == Unknown::Late { 300 } else { 1_800 })]));
        let begun = Instant::now();
        let (answer, trace) = bot.explained(FED_UP, &json!({}));
        assert!(begun.elapsed() < Duration::from_secs(5), "{name}: {:?}", begun.elapsed());
        assert!(answer["answer"].as_str().unwrap().contains("x-docent-trace-id"), "{name}: {answer:#}");
        assert!(answer.get("handoff").is_none(), "{name}: {answer:#}");
        let mood = trace.mood.unwrap();
        assert_eq!((mood.score, mood.unknown), (None, Some(unknown)), "{name}");
        let (search, word) = (trace.steps.searched_ms, trace.steps.first_word_ms);
        assert!(word < search + 1_000, "{name}: it was waited for: {:?}", trace.steps);
        let trace_id = answer["trace_id"].as_str().unwrap();
        let logged = bot.workerd.logs();
        assert!(logged.iter().any(|line| line.contains(trace_id) && line.contains("mood")), "{name}: {logged:#?}");
    }
}

#[test]
fn a_conversation_goes_to_the_webhook_when_its_visitor_says_so_and_twice_is_once() {
    let hook = Endpoint::start();
    let setup = Setup::default().var("HANDOFF_URL", &hook.url()).var("HANDOFF_KEY", "of-the-help-desk");
    let bot = setup.var("PRODUCT", "docent").start();
    let (first, second) = bot.conversation();
    let page = "https://docs.example/quickstart";
    let wish = json!({
        "session": second["session"], "message_id": second["message_id"],
        "contact": " visitor@example.com ", "comment": "Please call \u{1f64f}", "page": page,
    });
    assert_eq!(hand_over(&bot, &wish).status, 204);
    let [call] = hook.calls().try_into().unwrap();
    assert_eq!(call.line, "POST /hook HTTP/1.1");
    assert_eq!(call.headers["authorization"], "Bearer of-the-help-desk");
    assert_eq!(call.headers["content-type"], "application/json");
    assert_eq!(call.headers["idempotency-key"], call.body["id"]);
    let turn = |answer: &Value, question: &str| {
        let sources = answer["sources"].as_array().unwrap().iter();
        let sources =
            sources.map(|it| json!({ "n": it["n"], "title": it["title"], "heading": it["heading"], "url": it["url"] }));
        json!({
            "message_id": answer["message_id"], "question": question, "answer": answer["answer"],
            "sources": sources.collect::<Vec<_>>(), "refused": answer["refused"],
        })
    };
    let mut turns = call.body["turns"].clone();
    for turn in turns.as_array_mut().unwrap() {
        assert!(turn.as_object_mut().unwrap().remove("at").unwrap().as_u64().is_some());
    }
    assert_eq!(turns, json!([turn(&first, "What does make run do?"), turn(&second, "How do I stop it?")]));
    for (field, value) in [
        ("v", json!(1)),
        ("product", json!("docent")),
        ("contact", json!("visitor@example.com")),
        ("comment", json!("Please call \u{1f64f}")),
        ("page", json!(page)),
        ("message_id", second["message_id"].clone()),
    ] {
        assert_eq!(call.body[field], value, "{field}");
    }
    let token = second["session"].as_str().unwrap();
    let secret_parts: Vec<&str> = token.split('.').skip(1).collect();
    let sent = call.body.to_string();
    assert!(!sent.contains(secret_parts[0]) && !sent.contains(secret_parts[2]), "nothing opens the session: {sent}");

    assert_eq!((hand_over(&bot, &wish).status, hook.calls().len()), (204, 1), "twice is once");
    bot.script(&json!([fault("kv", "get", 500, "x")]));
    assert_eq!(hand_over(&bot, &wish).status, 204);
    bot.script(&json!([]));
    let calls = hook.calls();
    assert_eq!(calls.len(), 2, "who cannot know whether it went out sends it again");
    assert_eq!(calls[1].headers["idempotency-key"], call.headers["idempotency-key"], "under the same key");
    let mut other = wish.clone();
    other["comment"] = "One thing more".into();
    assert_eq!(hand_over(&bot, &other).status, 204);
    let calls = hook.calls();
    assert_eq!(calls[2].body["conversation"], call.body["conversation"]);
    assert_ne!(calls[2].body["id"], call.body["id"]);
}

#[test]
fn a_webhook_that_does_not_take_it_is_tried_again_where_that_may_help_and_never_elsewhere() {
    let hook = Endpoint::start();
    let bot = Setup::default().var("HANDOFF_URL", &hook.url()).start();
    let session = bot.ask(QUESTION, None)["session"].clone();
    let cases: [(&str, &[Act], u16, usize); 7] = [
        ("down for a moment", &[Act::Answer(503), Act::HangUp], 204, 3),
        ("down", &[const { Act::Answer(500) }; 9], 502, 3),
        ("over its limit", &[Act::Answer(429)], 204, 2),
        ("redirecting", &[const { Act::Redirect }; 9], 502, 1),
        ("refusing", &[const { Act::Answer(403) }; 9], 502, 1),
        ("slow once", &[Act::Hang], 204, 2),
        ("well", &[], 204, 1),
    ];
    for (at, (name, acts, status, calls)) in cases.into_iter().enumerate() {
        hook.will(acts);
        let begun = Instant::now();
        let reply = hand_over(&bot, &json!({ "session": session, "comment": at.to_string() }));
        assert_eq!((reply.status, hook.calls().len()), (status, calls), "{name}: {}", reply.body);
        assert!(begun.elapsed() < Duration::from_secs(10), "{name}: {:?}", begun.elapsed());
        assert!(hook.calls().iter().all(|call| call.line == "POST /hook HTTP/1.1"), "{name}");
        assert!(hook.calls().windows(2).all(|two| two[0].body == two[1].body), "{name}: the same each time");
        if status == 502 {
            assert_eq!(reply.error(), "upstream", "{name}");
            assert!(!reply.body.contains("private") && !reply.body.contains("127.0.0.1"), "{name}: {}", reply.body);
        }
    }
}

#[test]
fn a_wish_is_read_strictly_and_of_ones_own_conversation_only() {
    let hook = Endpoint::start();
    let bot =
        Setup::default().var("HANDOFF_URL", &hook.url()).var("ALLOWED_ORIGINS", "https://www.example.com").start();
    let (_, answer) = bot.conversation();
    let stranger = bot.ask("What is docent?", None);
    let cases = [
        (json!({ "session": "s1.0123.99999999999.abcd" }), 401, "bad_session"),
        (json!({ "message_id": stranger["message_id"] }), 404, "not_found"),
        (json!({ "url": "https://elsewhere.example" }), 400, "bad_request"),
        (json!({ "contact": 7 }), 400, "bad_request"),
        (json!({ "contact": "é".repeat(201) }), 422, "unprocessable"),
        (json!({ "comment": "é".repeat(2_001) }), 422, "unprocessable"),
        (json!({ "page": "x".repeat(1_025) }), 422, "unprocessable"),
    ];
    for (change, status, code) in cases {
        let mut body = json!({ "session": answer["session"] });
        for (field, value) in change.as_object().unwrap() {
            body[field] = value.clone();
        }
        let reply = hand_over(&bot, &body);
        assert_eq!((reply.status, reply.error().as_str()), (status, code), "{change}: {}", reply.body);
    }
    let unknown = hand_over(&bot, &json!({ "session": answer["session"], "url": "x" }));
    assert!(unknown.body.contains("url"), "by name: {}", unknown.body);
    let mail = bot.request("POST", "/v1/handoff", &[("content-type", "text/plain")], Some("{}"));
    assert_eq!((mail.status, bot.get("/v1/handoff").status), (415, 405));
    let from = |origin| bot.request("OPTIONS", "/v1/handoff", &[("origin", origin)], None);
    assert_eq!(from("https://www.example.com").headers["access-control-allow-methods"], "POST");
    assert_eq!(from("https://elsewhere.example").status, 403);
    assert!(hook.calls().is_empty());
    let most = json!({ "session": answer["session"], "contact": "é".repeat(200), "comment": "é".repeat(2_000) });
    assert_eq!((hand_over(&bot, &most).status, hook.calls().len()), (204, 1), "up to the limits");
}

#[test]
fn a_worker_and_the_native_flow_hand_over_and_classify_alike() {
    let hook = Endpoint::start();
    let setup = Setup { change: |config| config.secret = Some(SECRET.to_owned()), ..Setup::default() };
    let setup = setup.var("HANDOFF_URL", &hook.url()).var("HANDOFF_KEY", "key").var("TRACE_KEY", TRACE_KEY);
    let setup = setup.var("MOOD_MODEL", CLASSIFIER);
    let vars = setup.vars.clone();
    let bot = setup.start();
    let secret = |name: &str| (name == "SESSION_SECRET").then(|| SECRET.to_owned());
    let settings = Settings::parse(|name| vars.get(name).cloned().or_else(|| secret(name))).unwrap();
    let mut ports = bot.cloud.ports(NAME, NAME).unwrap();
    ports.content = Some(NAME.to_owned());
    let (_, answer) = bot.conversation();
    let cases: [(&str, &[Act], Value); 6] = [
        ("all is well", &[], json!([])),
        ("down", &[const { Act::Answer(500) }; 9], json!([])),
        ("redirecting", &[const { Act::Redirect }; 9], json!([])),
        ("hanging up", &[const { Act::HangUp }; 9], json!([])),
        ("KV cannot list", &[], json!([fault("kv", "list", 500, "x")])),
        ("KV cannot note it", &[], json!([fault("kv", "put", 500, "x")])),
    ];
    for (at, (name, acts, faults)) in cases.into_iter().enumerate() {
        let wish = |who: &str| json!({ "session": answer["session"], "comment": format!("{at} {who}") });
        let essence = |calls: Vec<Call>| -> Vec<(Value, Value)> {
            calls
                .into_iter()
                .map(|call| (call.body["turns"].clone(), call.headers["authorization"].as_str().into()))
                .collect()
        };
        hook.will(acts);
        bot.script(&faults);
        let reply = hand_over(&bot, &wish("worker"));
        let worker = (if reply.status == 204 { String::new() } else { reply.error() }, essence(hook.calls()));
        hook.will(acts);
        bot.script(&faults);
        let body = wish("native").to_string();
        let native = pollster::block_on(handoff::send(&ports, &settings, body.as_bytes(), "trace"));
        let native = (native.err().map_or("", |error| error.code.as_str()).to_owned(), essence(hook.calls()));
        bot.script(&json!([]));
        assert_eq!(worker, native, "{name}");
        assert_eq!(worker.0.is_empty(), ["all is well", "KV cannot note it"].contains(&name), "{name}");
    }

    let search = json!({ "service": "vectorize", "operation": "query", "delay_ms": 500 });
    for (name, message, mood) in [
        ("fed up", FED_UP, search.clone()),
        ("a plain question", QUESTION, search.clone()),
        ("a person, please", PERSON, search.clone()),
        ("refused", FED_UP, fault("ai", "classify", 400, "x")),
        ("late", FED_UP, json!({ "service": "ai", "operation": "classify", "delay_ms": 60_000 })),
    ] {
        let script = json!([mood, search]);
        bot.script(&script);
        let (answer, trace) = bot.explained(message, &json!({}));
        bot.script(&script);
        let ask = Ask::parse(json!({ "message": message }).to_string().as_bytes()).unwrap();
        let native = pollster::block_on(async {
            let prepared = answer::prepare(&ports, &settings, ask, "trace".to_owned()).await.unwrap();
            answer::respond(&ports, &settings, prepared, &mut Unstreamed).await
        });
        bot.script(&json!([]));
        let (way, native_way) = (&answer["handoff"], json!(native.metadata.handoff));
        assert_eq!(
            (way, &trace.mood, trace.handoff),
            (&native_way, &native.trace.mood, native.trace.handoff),
            "{name}"
        );
    }

    let call = upstream::Call { route: Route::Direct, step: "mood", trace_id: "t" };
    let classify = |text: &str| pollster::block_on(ports.classify(CLASSIFIER, text, call));
    let labels = classify("Thanks, that was great!").unwrap();
    assert!(handoff::mood(&labels).is_some_and(|(score, label)| score > 0.9 && label == "POSITIVE"), "{labels:?}");
    assert!(matches!(classify(""), Err(Fault::Ai(error)) if error.code == Some(5006)));
}
