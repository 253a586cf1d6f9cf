//! What answers cost: the books of the bot against the services' own count.

use std::sync::Mutex;

use docent_core::models::ChatModel;
use docent_core::workers_ai::{DOLLARS_PER_NEURON, Usage};
use serde_json::{Value, json};

use crate::bot::{Bot, Setup, eventually};
use crate::trouble::fault;

const MODEL: &str = "@cf/meta/llama-3.1-8b-instruct-fast";
const QUESTIONS: [&str; 4] = [
    "Which header carries the trace id of a response?",
    "How do I keep the index in step with my documentation?",
    "and what does it do with a page that moved?",
    "What happens when the daily allocation is used up?",
];
/// Turns that are replayed.
const TURNS: usize = 1_000;
/// Turns of a conversation.
const LENGTH: usize = 5;

fn counter(bot: &Bot, name: &str) -> u64 {
    bot.cloud.requests()["counters"][name].as_u64().unwrap_or(0)
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("{name} in {value:#}"))
}

#[allow(clippy::cast_precision_loss)] // counts of tokens are far below 2^52
#[test]
fn a_thousand_turns_cost_what_the_services_count() {
    let bot = Setup::default().start();
    bot.cloud.clear_requests();
    let finished = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (bot, finished) = (&bot, &finished);
            scope.spawn(move || {
                for conversation in 0..TURNS / LENGTH / 4 {
                    let (mut session, mut sum) = (None::<String>, 0.0);
                    let mut last = Value::Null;
                    for turn in 0..LENGTH {
                        let question = QUESTIONS[(worker + conversation + turn) % QUESTIONS.len()];
                        last = bot.ask(question, session.as_deref());
                        session = last["session"].as_str().map(str::to_owned);
                        sum += number(&last["cost"], "neurons");
                    }
                    let told = number(&last["session_cost"], "neurons");
                    assert!((told - sum).abs() < 1e-6, "a conversation costs what its turns do: {told} for {sum}");
                    finished.lock().unwrap().push(last["session_cost"].clone());
                }
            });
        }
    });
    let finished = finished.into_inner().unwrap();
    assert_eq!(finished.len() * LENGTH, TURNS);
    let booked = |name: &str| finished.iter().map(|cost| number(cost, name)).sum::<f64>();

    // Of chat, everything to the token.
    let usage =
        Usage { prompt_tokens: counter(&bot, "tokens.prompt"), completion_tokens: counter(&bot, "tokens.completion") };
    assert_eq!(
        (booked("prompt_tokens"), booked("completion_tokens")),
        (usage.prompt_tokens as f64, usage.completion_tokens as f64)
    );
    let chat = ChatModel::new(MODEL, &[]).cost_usd(usage).unwrap() / DOLLARS_PER_NEURON;
    // Of embeddings, what is estimated is near what is counted.
    let (estimated, counted) = (booked("embedded_tokens"), counter(&bot, "tokens.embedded") as f64);
    let texts = counter(&bot, "texts.embedded") as f64;
    // The stand-in counts the words; BERT takes two tokens around each text.
    let counted = counted + 2.0 * texts;
    assert!((0.85..1.15).contains(&(estimated / counted)), "{estimated} embedded tokens booked for {counted}");
    let embedding = counted * 6_058.0 / 1e6;
    let (neurons, services) = (booked("neurons"), chat + embedding);
    println!("{TURNS} turns: {neurons:.1} neurons booked, {services:.1} counted ({chat:.1} for chat)");
    assert!((neurons - services).abs() / services < 0.005, "{neurons} neurons booked for {services}");
    assert!((booked("usd") - neurons * DOLLARS_PER_NEURON).abs() < 1e-7);
}

#[test]
fn what_came_to_nothing_is_paid_for_all_the_same_and_the_session_has_it() {
    let second = "@cf/meta/llama-3.2-3b-instruct";
    let bot = Setup::default().var("FALLBACK_MODELS", second).start();
    let thought =
        "data: {\"response\":\"\",\"usage\":{\"prompt_tokens\":1000000,\"completion_tokens\":0}}\n\ndata: [DONE]\n\n";
    let mut empty = json!({ "service": "ai", "operation": "chat", "model": MODEL,
        "respond": { "status": 200, "content_type": "text/event-stream", "body": thought } });
    empty["times"] = 1.into();
    bot.script(&json!([empty]));
    let first = bot.ask(QUESTIONS[0], None);
    assert_eq!(first["model"], second);
    assert!(number(&first["cost"], "neurons") > 4_119.0, "{first:#}");
    assert_eq!(first["cost"], first["session_cost"]);

    let session = first["session"].as_str().unwrap();
    let turn = eventually("the turn", || bot.turns(session).first().cloned());
    assert_eq!((&turn["cost"], &turn["session_cost"]), (&first["cost"], &first["session_cost"]));

    bot.script(&json!([fault("kv", "list", 500, "down")]));
    let next = bot.ask(QUESTIONS[2], Some(session));
    assert!(next["session_cost"].is_null() && next["cost"]["neurons"].as_f64() > Some(0.0), "{next:#}");
}
