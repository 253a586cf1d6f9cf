//! What a visitor thinks of an answer: kept with what it was about, by both implementations of the
//! ports alike, and only for answers that this visitor got.

use docent_core::feedback;
use docent_core::session;
use docent_core::settings::Settings;
use serde_json::{Value, json};

use crate::bot::{Bot, NAME, Reply, Setup};

const SECRET: &str = "the secret that both implementations sign with";

fn rate(bot: &Bot, body: &Value) -> Reply {
    bot.request("POST", "/v1/feedback", &[], Some(&body.to_string()))
}

/// What is kept, as whoever evaluates the bot reads it.
fn kept(bot: &Bot) -> Vec<Value> {
    let body = bot.query("SELECT * FROM feedback ORDER BY message_id");
    body["result"][0]["results"].as_array().unwrap_or_else(|| panic!("{body}")).clone()
}
#[test]
fn a_rating_is_kept_with_what_it_was_about_and_a_later_one_replaces_it() {
    let bot = Bot::start();
    let (first, second) = bot.conversation();
    let down = json!({
        "session": second["session"], "message_id": second["message_id"], "rating": "down",
        "reasons": ["outdated", "'); DROP TABLE feedback; --"], "comment": "It says \"Ctrl-C\" — and then?",
    });
    assert_eq!(rate(&bot, &down).status, 204);
    let [row] = kept(&bot).try_into().unwrap();
    let sources = second["sources"].as_array().unwrap().iter().map(|source| {
        json!({ "n": source["n"], "title": source["title"], "heading": source["heading"], "url": source["url"] })
    });
    for (column, value) in [
        ("message_id", second["message_id"].clone()),
        ("rating", json!("down")),
        ("reasons", json!(down["reasons"].to_string())),
        ("comment", down["comment"].clone()),
        ("question", json!("How do I stop it?")),
        ("turns", json!(r#"["What does make run do?"]"#)),
        ("answer", second["answer"].clone()),
        ("refused", json!(i32::from(second["refused"] == true))),
        ("model", second["model"].clone()),
    ] {
        assert_eq!(row[column], value, "{column}");
    }
    assert_eq!(serde_json::from_str::<Value>(row["sources"].as_str().unwrap()).unwrap(), sources.collect::<Value>());
    let answered = bot.turns(second["session"].as_str().unwrap())[1]["created_at"].as_u64().unwrap();
    assert!(row["at"].as_u64().is_some_and(|at| at >= answered), "a whole number: {row:#}");

    let up = json!({ "session": second["session"], "message_id": second["message_id"], "rating": "up" });
    let other = json!({ "session": second["session"], "message_id": first["message_id"], "rating": "up" });
    assert_eq!((rate(&bot, &up).status, rate(&bot, &other).status), (204, 204));
    let rows = kept(&bot);
    assert_eq!(rows.len(), 2);
    let row = rows.iter().find(|row| row["message_id"] == second["message_id"]).unwrap();
    assert_eq!((&row["rating"], &row["reasons"], &row["comment"]), (&json!("up"), &json!("[]"), &json!("")));

    crate::bot::ingest(&bot.cloud, &crate::bot::root().join("docs"));
    assert_eq!(kept(&bot), rows, "ingest leaves it alone");
}

#[test]
fn only_an_answer_of_ones_own_conversation_can_be_rated() {
    let bot = Bot::start();
    let (_, answer) = bot.conversation();
    let stranger = bot.ask("What is docent?", None);
    let rating = |change: Value| {
        let mut body = json!({ "session": answer["session"], "message_id": answer["message_id"], "rating": "up" });
        for (field, value) in change.as_object().unwrap() {
            body[field] = value.clone();
        }
        body
    };
    let cases = [
        (json!({ "message_id": "0123" }), 404, "not_found"),
        (json!({ "message_id": stranger["message_id"] }), 404, "not_found"),
        (json!({ "session": "s1.0123.99999999999.abcd" }), 401, "bad_session"),
        (json!({ "rating": "great" }), 400, "bad_request"),
        (json!({ "reason": "typing error" }), 400, "bad_request"),
        (json!({ "reasons": vec!["x"; 11] }), 422, "unprocessable"),
        (json!({ "reasons": ["é".repeat(65)] }), 422, "unprocessable"),
        (json!({ "comment": "é".repeat(2_001) }), 422, "unprocessable"),
    ];
    for (change, status, code) in cases {
        let reply = rate(&bot, &rating(change.clone()));
        assert_eq!((reply.status, reply.error().as_str()), (status, code), "{change}: {}", reply.body);
    }
    assert!(kept(&bot).is_empty());
    let most = json!({ "reasons": vec!["é".repeat(64); 10], "comment": "é".repeat(2_000) });
    assert_eq!(rate(&bot, &rating(most)).status, 204, "up to the limits");

    bot.query("DROP TABLE feedback");
    let reply = rate(&bot, &rating(json!({})));
    assert_eq!((reply.status, reply.error().as_str()), (503, "not_ready"));
    assert!(reply.body.contains("npx wrangler d1 migrations apply CONTENT --remote"), "{}", reply.body);
}

#[test]
fn of_what_was_asked_before_it_keeps_what_the_bot_was_reminded_of() {
    let bot = Setup::default().var("HISTORY_TURNS", "1").start();
    let (_, second) = bot.conversation();
    let third = bot.ask("And how do I start it again?", second["session"].as_str());
    let body = json!({ "session": third["session"], "message_id": third["message_id"], "rating": "up" });
    assert_eq!(rate(&bot, &body).status, 204);
    assert_eq!(kept(&bot)[0]["turns"], r#"["How do I stop it?"]"#);
}

#[test]
fn a_bot_without_a_database_says_that_it_keeps_none() {
    let without = Setup { change: |config| config.content = None, ..Setup::default() }.start();
    let (_, answer) = without.conversation();
    let body = json!({ "session": answer["session"], "message_id": answer["message_id"], "rating": "up" });
    let reply = rate(&without, &body);
    assert_eq!((reply.status, reply.error().as_str()), (404, "not_found"));
    assert!(reply.body.contains("it has no CONTENT database"), "{}", reply.body);
}

#[test]
fn a_worker_and_the_native_flow_keep_it_alike() {
    let bot = Setup { change: |config| config.secret = Some(SECRET.to_owned()), ..Setup::default() }.start();
    let settings = Settings::parse(|name| (name == "SESSION_SECRET").then(|| SECRET.to_owned())).unwrap();
    let mut ports = bot.cloud.ports(NAME, NAME).unwrap();
    ports.content = Some(NAME.to_owned());
    let (_, answer) = bot.conversation();
    let empty = session::mint(SECRET, "0123456789abcdef0123456789abcdef", 99_999_999_999);
    let refused = |service: &str, operation: &str| {
        let body =
            json!({ "errors": [{ "code": 7500, "message": "no" }], "error": "no", "success": false }).to_string();
        json!([{ "service": service, "operation": operation, "respond": { "status": 500, "body": body } }])
    };
    let body = json!({
        "session": answer["session"], "message_id": answer["message_id"], "rating": "down", "reasons": ["wrong", "\u{0}ü"],
    });
    let mut elsewhere = body.clone();
    elsewhere["session"] = empty.into();
    let cases = [
        ("all is well", &body, json!([])),
        ("another conversation", &elsewhere, json!([])),
        ("D1 fails", &body, refused("d1", "query")),
        ("KV cannot list", &body, refused("kv", "list")),
    ];
    for (name, body, faults) in cases {
        let rows = |code: &str| {
            let mut rows = kept(&bot);
            for row in &mut rows {
                row.as_object_mut().unwrap().remove("at");
            }
            (code.to_owned(), rows)
        };
        bot.script(&faults);
        let reply = rate(&bot, body);
        bot.script(&json!([]));
        let worker = rows(&if reply.status == 204 { String::new() } else { reply.error() });
        bot.query("DELETE FROM feedback");
        bot.script(&faults);
        let native = pollster::block_on(feedback::keep(&ports, &settings, body.to_string().as_bytes(), "trace"));
        bot.script(&json!([]));
        let native = rows(native.err().map_or("", |error| error.code.as_str()));
        bot.query("DELETE FROM feedback");
        assert_eq!(worker, native, "{name}");
        assert_eq!(worker.1.len(), usize::from(name == "all is well"), "{name}");
    }
}
