//! Why it answered that: the trace of each answer is kept after the reader has it, holds nothing of who
//! asked, goes when its days are over, and is told by `docent why`.

use docent_core::ports::Traces as _;
use docent_core::trace::{self, Kept, Trace};
use docent_ingest::settings::{Connection, GivenConnection};
use docent_ingest::why::{self, Explained, WhyError};
use serde_json::{Value, json};

use crate::bot::{Bot, NAME, Setup, TRACE_KEY, eventually};

const SECRET: &str = "the secret that signs the sessions here";
const QUESTION: &str = "Which header carries the trace id of a response?";
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

fn connection(bot: &Bot, database: &str) -> Connection {
    let named = |name: &str| Some(name.to_owned());
    let given = GivenConnection {
        index: named(NAME),
        kv_id: named(NAME),
        d1_id: named(database),
        api_base: Some(bot.cloud.api_base()),
        account_id: named("local"),
        api_token: named("local"),
        ..GivenConnection::default()
    };
    Connection::new(given).unwrap()
}

fn explain(bot: &Bot, id: &str) -> Result<Explained, WhyError> {
    why::explain(&connection(bot, NAME), id, false, None)
}

/// Of the trace that is kept after the answer.
pub(crate) fn kept(bot: &Bot, trace_id: &str) -> Explained {
    eventually("the trace", || explain(bot, trace_id).ok())
}
fn id_of(answer: &Value) -> &str {
    answer["trace_id"].as_str().unwrap()
}

fn fault(service: &str, operation: &str, status: u16, code: u32) -> Value {
    let body = match service {
        "ai" => json!({ "errors": [{ "code": code, "message": "no" }] }),
        _ => json!({ "code": code, "error": "no", "success": false }),
    };
    json!({ "service": service, "operation": operation, "respond": { "status": status, "body": body.to_string() } })
}

#[test]
fn an_answer_is_explained_by_its_id_long_after() {
    let bot = Setup::default().var("TRACE_KEY", TRACE_KEY).start();
    let body = json!({ "message": QUESTION, "stream": false, "trace": true }).to_string();
    let reply = bot.request("POST", "/v1/chat", &[("authorization", &format!("Bearer {TRACE_KEY}"))], Some(&body));
    let (answer, header) = (reply.json(), &reply.headers["x-docent-trace-id"]);
    assert_eq!(id_of(&answer), header);
    let mut shown: Trace = serde_json::from_value(answer["trace"].clone()).unwrap();
    shown.candidates.iter_mut().for_each(|candidate| candidate.text.clear());
    let told = kept(&bot, header);
    assert_eq!(told.stored.trace, shown, "what is kept is what is shown on request, without texts");
    assert_eq!(shown.message_id, answer["message_id"].as_str().unwrap());
    assert_eq!((&shown.model, shown.tries.len()), (&answer["model"].as_str().unwrap().to_owned(), 1));
    assert_eq!(trace::time_of(header).unwrap().abs_diff(shown.asked_at) / 1_000, 0);
    let cited = *shown.cited.first().expect("a citation");

    let text = told.to_string();
    for part in [
        format!("question   {QUESTION}\n"),
        format!("outcome    answered, citing [{cited}]"),
        ", 8 passages, prompt ".to_owned(),
        "REFUSE_BELOW 0)".to_owned(),
        "first word".to_owned(),
        format!("<{}>  (cited)", shown.candidates.iter().find(|candidate| candidate.n == Some(cited)).unwrap().url),
    ] {
        assert!(text.contains(&part), "{part} in\n{text}");
    }
    let json = serde_json::to_value(&told).unwrap();
    assert_eq!(serde_json::from_value::<Trace>(json).unwrap(), shown, "--json is the trace");

    let streamed = bot.stream(&json!({ "message": "and in the log?", "session": answer["session"] }));
    let id = streamed[0].data["messageMetadata"]["trace_id"].as_str().unwrap().to_owned();
    let told = kept(&bot, &id);
    assert_eq!(told.stored.trace.message_id, streamed[0].data["messageId"].as_str().unwrap());
    assert_eq!(told.stored.trace.queries.len(), 2);
    assert!(told.to_string().contains("searched   also for: Which header"), "{told}");

    let offered = shown.candidates.iter().filter(|candidate| candidate.n.is_some()).count();
    let wide = why::explain(&connection(&bot, NAME), header, true, Some("http-api.md")).unwrap();
    let text = wide.to_string();
    assert!(wide.texts.as_ref().unwrap().len() == offered && text.contains("x-docent-trace-id"), "{text}");
    assert!(text.contains("- http-api.md: offered as ["), "{text}");
    let elsewhere = why::explain(&connection(&bot, NAME), header, false, Some("gadget.md")).unwrap().to_string();
    assert!(elsewhere.contains("No page of the index has \"gadget.md\""), "{elsewhere}");
}

#[test]
fn what_visitors_asked_and_did_not_get_is_listed() {
    let bot = Setup::default().var("FALLBACK_MODELS", "@cf/google/gemma-4-26b-a4b-it").start();
    let answered = bot.ask(QUESTION, None);
    let rated = bot.ask("What does make run do?", None);
    let refused = bot.ask("Wie wird das Wetter\u{1b}[31m\u{202e} morgen in Lissabon?", None);
    let rating = json!({
        "session": rated["session"], "message_id": rated["message_id"], "rating": "down", "comment": "Too short.",
    });
    assert_eq!(bot.request("POST", "/v1/feedback", &[], Some(&rating.to_string())).status, 204);
    bot.script(&json!([fault("ai", "embed", 400, 5_006)]));
    let failed = bot.post(&json!({ "message": "What fails?", "stream": false }));
    assert_eq!(failed.status, 502);
    let mut broken = fault("ai", "chat", 410, 5_028);
    broken["model"] = "@cf/meta/llama-3.1-8b-instruct-fast".into();
    bot.script(&json!([broken]));
    let fallen_back = bot.ask("Which port does the bot use?", None);
    bot.script(&json!([]));

    let wanted = [&rated, &refused].map(id_of).into_iter().chain([failed.headers["x-docent-trace-id"].as_str()]);
    let wanted: Vec<&str> = wanted.collect::<Vec<_>>().into_iter().rev().collect();
    for id in wanted.iter().chain(&[id_of(&answered), id_of(&fallen_back)]) {
        kept(&bot, id);
    }
    let list = |last, unanswered| why::recent(&connection(&bot, NAME), last, unanswered).unwrap();
    let unanswered = list(20, true);
    let ids: Vec<&str> = unanswered.0.iter().map(|stored| stored.trace.trace_id.as_str()).collect();
    assert_eq!(ids, wanted, "the last one first");
    let text = unanswered.to_string();
    let [first, second, third] = text.lines().collect::<Vec<_>>().try_into().unwrap();
    assert!(first.contains("failed: upstream") && first.ends_with("What fails?"), "{text}");
    assert!(second.contains("refused by the model") && second.ends_with("Wetter [31m morgen in Lissabon?"), "{text:?}");
    assert!(third.contains("answered, rated down") && third.starts_with(id_of(&rated)), "{text}");
    assert_eq!(list(20, false).0.len(), 5);
    assert_eq!(list(2, false).0.len(), 2);

    let told = explain(&bot, rated["message_id"].as_str().unwrap()).unwrap();
    assert_eq!(told.stored.trace.trace_id, id_of(&rated), "what a rating names is found as well");
    assert!(told.to_string().contains("rated      down: Too short."), "{told}");
    let told = kept(&bot, id_of(&fallen_back)).stored.trace;
    let [first, second] = told.tries.as_slice() else { panic!("{told:#?}") };
    assert!(first.fault.as_ref().is_some_and(|fault| fault.contains("5028")) && second.fault.is_none());
    assert_eq!((&second.model, first.prompt == second.prompt), (&told.model, true));
}

#[test]
fn a_trace_holds_nothing_of_who_asked() {
    let bot = Setup { change: |config| config.secret = Some(SECRET.to_owned()), ..Setup::default() }
        .var("TRACE_KEY", TRACE_KEY)
        .start();
    let first = bot.ask(QUESTION, None);
    let body = json!({ "message": "and in the log?", "session": first["session"], "stream": false, "trace": true });
    let headers = [
        ("authorization", &*format!("Bearer {TRACE_KEY}")),
        ("cf-connecting-ip", "203.0.113.77"),
        ("x-forwarded-for", "203.0.113.77"),
        ("user-agent", "Browser/77.7"),
        ("cookie", "login=letmein"),
        ("referer", "https://intranet.example/letmein"),
    ];
    let second = bot.request("POST", "/v1/chat", &headers, Some(&body.to_string())).json();
    kept(&bot, id_of(&first));
    kept(&bot, id_of(&second));
    let rows = json!(bot.rows("SELECT * FROM trace")).to_string();
    assert!(rows.contains(QUESTION) && rows.contains("and in the log?"), "the question is there: {rows}");
    let session = |answer: &Value| answer["session"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
    assert_eq!(session(&first), session(&second));
    for secret in [TRACE_KEY, SECRET, "203.0.113.77", "77.7", "letmein", &session(&first)] {
        assert!(!rows.contains(secret), "{secret} in {rows}");
    }
}

#[test]
fn no_answer_waits_for_its_trace_or_fails_with_it() {
    // Without words, traces are all that D1 is asked for in batches.
    let bot = Setup::default().var("WORDS_WEIGHT", "0").start();
    bot.ask(QUESTION, None);
    let slow = json!([{ "service": "d1", "operation": "batch", "delay_ms": 4_000 }]);
    bot.script(&slow);
    let started = std::time::Instant::now();
    let answer = bot.ask(QUESTION, None);
    let streamed = bot.stream(&json!({ "message": QUESTION }));
    assert_eq!(streamed.last().unwrap().data, "[DONE]");
    assert!(started.elapsed().as_millis() < 4_000, "{:?} while D1 takes 4 s", started.elapsed());
    bot.script(&json!([]));
    kept(&bot, id_of(&answer));

    for sql in ["", "DROP TABLE trace"] {
        bot.script(&json!([fault("d1", "batch", 500, 7_500)]));
        if !sql.is_empty() {
            bot.rows(sql);
            bot.script(&json!([]));
        }
        let answer = bot.ask(QUESTION, None);
        assert_eq!((&answer["refused"], answer["sources"].as_array().unwrap().len()), (&json!(false), 8));
        let about = |line: &String| line.contains("keep trace") && line.contains(id_of(&answer));
        let line = eventually("the log line", || bot.workerd.logs().iter().find(|line| about(line)).cloned());
        assert!(line.contains("migrations apply CONTENT") != sql.is_empty(), "{line}");
    }
    let error = explain(&bot, id_of(&answer)).unwrap_err();
    assert!(matches!(error, WhyError::NoTable(_)) && error.to_string().contains("migrations apply CONTENT"), "{error}");
}

#[test]
fn a_trace_goes_when_its_days_are_over_and_twice_is_once() {
    let bot = Setup::default().var("TRACE_DAYS", "2").start();
    let now = bot.cloud.ports(NAME, NAME).map(|ports| docent_core::ports::Host::now_ms(&ports)).unwrap();
    let mut ports = bot.cloud.ports(NAME, NAME).unwrap();
    ports.content = Some(NAME.to_owned());
    let at = |days: u64, n: u64| trace::id(now - days * DAY_MS - n, "0123456789abcdef0123456789abcdef");
    let keep = |trace_id: &str| {
        let trace = Trace { trace_id: trace_id.to_owned(), question: "?".to_owned(), ..Trace::default() };
        pollster::block_on(ports.keep_trace(&Kept::new(&trace, 365, now).unwrap())).unwrap();
    };
    let old: Vec<String> = (1..=15).map(|n| at(3, n)).chain([at(2, 1)]).collect();
    let young = at(1, 1);
    old.iter().chain([&young, &young]).for_each(|id| keep(id));
    let count = || bot.rows("SELECT id FROM trace").len();
    assert_eq!(count(), 17, "twice is once");
    let written = |sql: &str| bot.calls(sql);
    let before = written("d1.rows_written");
    let first = bot.ask(QUESTION, None);
    kept(&bot, id_of(&first));
    assert_eq!((count(), written("d1.rows_written") - before), (8, 11), "one comes, ten go");
    let second = bot.ask(QUESTION, None);
    kept(&bot, id_of(&second));
    let left: Vec<Value> = bot.rows("SELECT id FROM trace ORDER BY id");
    assert_eq!(json!(left), json!([{ "id": young }, { "id": id_of(&first) }, { "id": id_of(&second) }]));

    let error = explain(&bot, &old[0]).unwrap_err();
    assert!(matches!(error, WhyError::Expired { .. }) && error.to_string().contains("TRACE_DAYS"), "{error}");
    for (id, expected) in [("nonsense", "no id of an answer"), (&*at(0, 7), "there is no trace of")] {
        let error = explain(&bot, id).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn nothing_is_kept_without_days_or_without_a_database() {
    // Without words, traces are all that D1 would be asked for in batches.
    let none = Setup::default().var("TRACE_DAYS", "0").var("WORDS_WEIGHT", "0").start();
    let without = Setup { change: |config| config.content = None, ..Setup::default() }.start();
    for bot in [none, without] {
        let before = bot.calls("d1.batch");
        let answer = bot.ask(QUESTION, None);
        assert_eq!(answer["refused"], false);
        // Had the first one been kept, it would be there when the second one is answered.
        bot.stream(&json!({ "message": QUESTION }));
        assert_eq!(bot.calls("d1.batch"), before);
        assert!(bot.rows("SELECT id FROM trace").is_empty());
        assert!(bot.workerd.logs().iter().all(|line| !line.contains("keep trace")));
        assert!(matches!(explain(&bot, id_of(&answer)), Err(WhyError::None)));
        assert!(matches!(why::recent(&connection(&bot, ""), 20, false), Err(WhyError::NoDatabase)));
    }
}

#[test]
fn a_worker_and_the_native_flow_keep_it_alike() {
    let bot = Bot::start();
    let mut ports = bot.cloud.ports(NAME, NAME).unwrap();
    ports.content = Some(NAME.to_owned());
    let answer = bot.ask(QUESTION, None);
    let told = kept(&bot, id_of(&answer)).stored.trace;
    let row = || bot.rows("SELECT * FROM trace");
    let worker = row();
    bot.rows("DELETE FROM trace");
    let record = worker[0]["record"].as_str().unwrap().to_owned();
    let keep = |ports: &_| {
        let kept = Kept { trace: record.clone(), oldest: String::new() };
        pollster::block_on(trace::keep(ports, &told.trace_id, Some(kept)));
    };
    keep(&ports);
    assert_eq!(row(), worker);
    bot.script(&json!([fault("d1", "batch", 500, 7_500)]));
    keep(&ports);
    assert!(ports.logged().iter().any(|line| line.contains("keep trace") && line.contains(&told.trace_id)));
    ports.content = None;
    keep(&ports);
    assert_eq!(ports.logged().len(), 1, "without a database there is nothing to complain of");
}
