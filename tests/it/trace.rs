//! The way to an answer: shown to who has the key, to nobody else, and true.

use std::collections::BTreeSet;

use docent_core::retrieve::{self, Weights};
use docent_core::sse::DONE;
use docent_core::trace::{Candidate, Dropped, RefusedBy, Shares, Trace};
use serde_json::{Value, json};

use crate::bot::{Bot, Reply, Setup, TRACE_KEY};

const QUESTION: &str = "Which header carries the trace id of a response?";

fn with_key() -> Setup {
    Setup::default().var("TRACE_KEY", TRACE_KEY)
}

fn ask(bot: &Bot, body: &Value, key: &str) -> Reply {
    bot.request("POST", "/v1/chat", &[("authorization", &format!("Bearer {key}"))], Some(&body.to_string()))
}

fn trace(answer: &Value) -> Trace {
    serde_json::from_value(answer["trace"].clone()).unwrap_or_else(|error| panic!("{error}: {answer:#}"))
}

/// The parts of a stream that was read to its end.
fn parts(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", reply.body);
    let body = reply.body.strip_suffix(std::str::from_utf8(DONE).unwrap()).expect("[DONE] at the end");
    body.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

/// `WORDS_WEIGHT` when it is not set.
const WORDS: f64 = 0.33;

fn weights(way: &Trace) -> Weights {
    Weights { words: way.rules.words_weight, context: way.rules.context_weight }
}

#[test]
fn a_trace_shows_what_was_found_and_what_of_it_the_model_was_offered() {
    let bot = with_key().start();
    let first = ask(&bot, &json!({ "message": QUESTION, "stream": false, "trace": true }), TRACE_KEY).json();
    let way = trace(&first);
    assert_eq!((way.queries.as_slice(), way.question.as_str()), (&[QUESTION.to_owned()][..], QUESTION));
    let health = bot.get("/v1/health").json();
    assert_eq!(
        (json!(way.generation), json!(way.spec)),
        (health["index"]["generation"].clone(), health["spec"].clone())
    );
    assert_eq!(way.refused_by, None);

    let sources = first["sources"].as_array().unwrap();
    for (n, source) in (1..).zip(sources) {
        let candidate = way.candidates.iter().find(|candidate| candidate.n == Some(n)).unwrap();
        assert_eq!((json!(n), json!(candidate.url)), (source["n"].clone(), source["url"].clone()));
        assert!((candidate.score() - source["score"].as_f64().unwrap()).abs() < 1e-4);
    }
    let first_candidate = &way.candidates[0];
    assert_eq!(first_candidate.n, Some(1), "the best is offered first");
    assert!(way.candidates.is_sorted_by(|a, b| a.relevance >= b.relevance));
    assert!(way.candidates.iter().any(|candidate| candidate.ranks[0] == Some(1)), "the best by meaning");
    assert!(way.candidates.iter().any(|candidate| candidate.word_ranks[0] == Some(1)), "and the best by words");
    let best = way.candidates.iter().map(Candidate::score).fold(0.0, f64::max);
    assert!((way.cosine - best).abs() < 1e-12 && way.coverage > 0.5, "{} {}", way.cosine, way.coverage);
    assert!((way.cosine.min(way.coverage)..=way.cosine.max(way.coverage)).contains(&way.evidence), "of both");
    assert!(way.candidates.iter().any(|candidate| candidate.text.contains("x-docent-trace-id")), "whole texts");
    let steps = way.steps;
    assert!(steps.embedded_ms <= steps.searched_ms && steps.searched_ms <= steps.first_word_ms, "{steps:?}");
    assert!(0 < steps.first_word_ms && steps.first_word_ms <= steps.answered_ms, "{steps:?}");

    let follow_up =
        json!({ "message": "and in the log?", "session": first["session"], "stream": false, "trace": true });
    let way = trace(&ask(&bot, &follow_up, TRACE_KEY).json());
    assert_eq!(way.queries, ["and in the log?".to_owned(), format!("{QUESTION}\nand in the log?")]);
    assert!(way.candidates.len() > 20, "all that both queries found: {}", way.candidates.len());
    let offered: BTreeSet<u32> = way.candidates.iter().filter_map(|candidate| candidate.n).collect();
    assert_eq!(offered, (1..=8).collect());
    let mut again = way.candidates.clone();
    again.sort_by(|a, b| a.id.cmp(&b.id));
    retrieve::fuse(&mut again, weights(&way));
    let ids = |candidates: &[Candidate]| candidates.iter().map(|candidate| candidate.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&way.candidates), "a trace can be fused again");
}

#[test]
fn a_prompt_without_room_for_all_passages_offers_fewer() {
    let bot = with_key().var("TOP_K", "20").start();
    let too_long = json!({ "errors": [{ "code": 5021, "message": "no" }] }).to_string();
    bot.script(
        &json!([{ "service": "ai", "operation": "chat", "times": 1, "respond": { "status": 413, "body": too_long } }]),
    );
    let answer = ask(&bot, &json!({ "message": QUESTION, "stream": false, "trace": true }), TRACE_KEY).json();
    let way = trace(&answer);
    let sources = u32::try_from(answer["sources"].as_array().unwrap().len()).unwrap();
    assert!(sources > 10, "{answer:#}");
    let offered: BTreeSet<u32> = way.candidates.iter().filter_map(|candidate| candidate.n).collect();
    assert_eq!(offered, (1..=sources.div_ceil(2)).collect(), "of {sources}");
    let without_room = way.candidates.iter().filter(|candidate| candidate.dropped == Some(Dropped::Room));
    assert_eq!(without_room.count(), usize::try_from(sources / 2).unwrap());
}

#[test]
fn a_stream_has_its_trace_before_its_end_also_when_it_breaks_off() {
    let bot = with_key().start();
    let body = json!({ "message": QUESTION, "trace": true });
    let whole = parts(&ask(&bot, &body, TRACE_KEY));
    let [.., text_end, traced, finish] = whole.as_slice() else { panic!("{whole:#?}") };
    assert_eq!((&text_end["type"], &finish["type"]), (&json!("text-end"), &json!("finish")));
    assert_eq!((&traced["type"], &traced["transient"]), (&json!("data-docent-trace"), &Value::Null));
    assert_eq!(traced["data"]["question"], QUESTION);

    bot.script(&json!([{ "service": "ai", "operation": "chat", "cut_after_events": 3 }]));
    let broken = parts(&ask(&bot, &body, TRACE_KEY));
    let [.., traced, detail, error] = broken.as_slice() else { panic!("{broken:#?}") };
    assert_eq!((&detail["type"], &error["type"]), (&json!("data-docent-error"), &json!("error")));
    assert_eq!(traced["data"]["candidates"][0]["n"], 1, "{traced:#}");
    let reply = ask(&bot, &json!({ "message": QUESTION, "stream": false, "trace": true }), TRACE_KEY);
    assert_eq!((reply.status, reply.json()["trace"]["question"].as_str()), (502, Some(QUESTION)), "{}", reply.body);
}

#[test]
fn it_says_who_refused() {
    let bot = with_key().start();
    let refused_by = |message: &str, filter: Value| {
        let body = json!({ "message": message, "filter": filter, "stream": false, "trace": true });
        let answer = ask(&bot, &body, TRACE_KEY).json();
        assert_eq!(answer["refused"], true, "{answer:#}");
        trace(&answer).refused_by
    };
    assert_eq!(refused_by("Wie wird das Wetter morgen in Lissabon?", json!({})), Some(RefusedBy::Model));
    assert_eq!(refused_by(QUESTION, json!({ "lang": "xx" })), Some(RefusedBy::Search));
}

#[test]
fn below_the_threshold_the_bot_refuses_without_a_model_and_shows_the_nearest_pages() {
    let bot = with_key().start();
    let body = |message: &str| json!({ "message": message, "stream": false, "trace": true });
    let evidence = trace(&ask(&bot, &body(QUESTION), TRACE_KEY).json()).evidence;
    for (threshold, refused_by) in [(evidence + 1e-6, Some(RefusedBy::Threshold)), (evidence, None)] {
        let bot = with_key().var("REFUSE_BELOW", &threshold.to_string()).start();
        let answer = ask(&bot, &body(QUESTION), TRACE_KEY).json();
        let way = trace(&answer);
        assert_eq!((way.evidence, way.refused_by), (evidence, refused_by), "{threshold}");
        assert_eq!(
            (answer["refused"] == true, bot.calls("ai.chat") == 0),
            (refused_by.is_some(), refused_by.is_some())
        );
        assert_eq!(answer["sources"].as_array().unwrap().len(), 8);
        if refused_by.is_some() {
            assert!(answer["answer"].as_str().unwrap().starts_with("I don't know"), "{answer:#}");
            assert_eq!((&answer["model"], &answer["cost"]["prompt_tokens"]), (&json!(""), &json!(0)));
            assert!(way.candidates.iter().all(|candidate| candidate.n.is_none()), "nothing was offered");
            assert_eq!(way.steps.first_word_ms, 0, "and no model said a word");
        }
    }
}

#[test]
fn the_question_before_counts_as_much_as_the_operator_says() {
    let ids = |candidates: &[Candidate]| candidates.iter().map(|candidate| candidate.id.clone()).collect::<Vec<_>>();
    let order = |weight: &str| {
        let bot = with_key().var("CONTEXT_WEIGHT", weight).start();
        let first = bot.ask(QUESTION, None);
        let body =
            json!({ "message": "How do I ingest?", "session": first["session"], "stream": false, "trace": true });
        trace(&ask(&bot, &body, TRACE_KEY).json()).candidates
    };
    let mut alone = order("0");
    let mut reversed = alone.clone();
    for candidate in &mut reversed {
        candidate.shares[1] = Shares::default();
    }
    retrieve::fuse(&mut reversed, Weights { words: WORDS, context: 0.0 });
    assert_eq!(ids(&reversed), ids(&alone), "weight 0: the question alone decides");
    for (weight, value) in [("1", 1.0), ("10", 10.0)] {
        let weighted = order(weight);
        assert_ne!(ids(&weighted), ids(&alone), "{weight} makes a difference");
        retrieve::fuse(&mut alone, Weights { words: WORDS, context: value });
        assert_eq!(ids(&alone), ids(&weighted), "what {weight} finds can be computed from the trace of another");
    }
}

#[test]
fn only_who_has_the_key_sees_it() {
    let body = json!({ "message": QUESTION, "stream": false, "trace": true });
    let bot = with_key().start();
    bot.cloud.clear_requests();
    for key in ["", "wrong", &TRACE_KEY[1..], &format!("{TRACE_KEY}s")] {
        let reply = ask(&bot, &body, key);
        assert_eq!((reply.status, reply.error().as_str()), (401, "unauthorized"), "{key}");
    }
    assert_eq!(bot.post(&body).error(), "unauthorized", "without the header");
    assert_eq!(bot.calls("ai.embed"), 0, "none of them cost a call");
    let without = Bot::start();
    assert_eq!(ask(&without, &body, TRACE_KEY).error(), "unauthorized", "a bot without a key shows none");

    let unasked = ask(&bot, &json!({ "message": QUESTION, "stream": false }), TRACE_KEY).json();
    assert!(unasked.get("trace").is_none(), "{unasked:#}");
    let sdk =
        json!({ "messages": [{ "role": "user", "parts": [{ "type": "text", "text": QUESTION }] }], "trace": true });
    assert!(parts(&ask(&bot, &sdk, TRACE_KEY)).iter().all(|part| part["type"] != "data-docent-trace"));
}
