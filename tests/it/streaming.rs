//! What arrives when: pages before the first word, words one by one.

use std::time::Duration;

use serde_json::json;

use crate::bot::{Bot, Setup, Stream, one, text};

const QUESTION: &str = "Which header carries the trace id of a response?";

#[test]
fn parts_come_in_the_documented_order() {
    let bot = Bot::start();
    let parts = bot.stream(&json!({ "message": QUESTION }));
    // Checked citations come among the words; it/citations.rs says where.
    let is_cite = |kind: &&str| *kind == "data-docent-cite";
    let kinds: Vec<&str> = parts.iter().map(super::bot::Part::kind).filter(|kind| !is_cite(kind)).collect();
    let sources = kinds.iter().filter(|kind| **kind == "source-url").count();
    let deltas = kinds.iter().filter(|kind| **kind == "text-delta").count();
    assert!(sources > 1 && deltas > 5, "{kinds:?}");
    let mut expected = vec!["start"];
    expected.extend(vec!["source-url"; sources]);
    expected.push("text-start");
    expected.extend(vec!["text-delta"; deltas]);
    expected.extend(["text-end", "finish", "[DONE]"]);
    assert_eq!(kinds, expected);

    let start = one(&parts, "start");
    for field in ["session", "trace_id", "model"] {
        assert!(start["messageMetadata"][field].as_str().is_some_and(|value| !value.is_empty()), "{start}");
    }
    let finish = one(&parts, "finish");
    assert_eq!((&finish["finishReason"], &finish["messageMetadata"]["memory"]), (&json!("stop"), &json!("kept")));
    let whole = bot.ask(QUESTION, None);
    assert_eq!(text(&parts), whole["answer"].as_str().unwrap(), "streamed and whole are the same answer");
}

#[test]
fn pages_and_words_are_passed_on_as_they_come() {
    // The model falls silent after some words for longer than this test would wait: whatever is
    // read here was passed on before there was more.
    let bot = Setup::default().var("IDLE_MS", "120000").start();
    bot.script(&json!([{ "service": "ai", "operation": "chat", "stall_after_events": 0 }]));
    let silent = Stream::open(&bot, &json!({ "message": QUESTION }));
    let sources = silent.skip(1).take(6).filter(|part| part.kind() == "source-url").count();
    assert_eq!(sources, 6, "all pages, and no word yet");
    bot.script(&json!([{ "service": "ai", "operation": "chat", "stall_after_events": 8 }]));
    let mut stream = Stream::open(&bot, &json!({ "message": QUESTION }));
    let first = stream.find(|part| part.kind() == "text-delta").unwrap();
    let second = stream.next().unwrap();
    assert_eq!((first.kind(), second.kind()), ("text-delta", "text-delta"));
    assert!(!first.data["delta"].as_str().unwrap().trim().contains(' '), "one word at a time: {first:?}");
}

#[test]
fn a_stream_may_be_read_as_slowly_as_its_reader_likes_and_others_do_not_wait() {
    let mut setup = Setup::default();
    setup.cloud.token_delay = Duration::from_millis(5);
    let bot = setup.start();
    let mut slow = Stream::open(&bot, &json!({ "message": QUESTION }));
    assert_eq!(slow.next().unwrap().kind(), "start");
    let quick = bot.stream(&json!({ "message": QUESTION }));
    let rest: Vec<_> = slow.collect();
    assert_eq!(text(&rest), text(&quick));
}
