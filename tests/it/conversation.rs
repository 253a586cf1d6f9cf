//! Asking: an answer has sources that can be clicked, follow-ups are understood, and a conversation
//! is kept whatever its reader does.

use std::path::Path;

use serde_json::{Value, json};

use crate::bot::{Bot, Reply, Setup, Stream, eventually, one, text};
use crate::why::kept;

fn urls(answer: &Value) -> Vec<&str> {
    answer["sources"].as_array().unwrap().iter().map(|source| source["url"].as_str().unwrap()).collect()
}

#[test]
fn an_answer_cites_the_page_it_comes_from() {
    let bot = Bot::start();
    let answer = bot.ask("Which header carries the trace id of a response?", None);
    let sources = answer["sources"].as_array().unwrap();
    let cited = sources
        .iter()
        .find(|source| answer["answer"].as_str().unwrap().contains(&format!("[{}]", source["n"])))
        .unwrap_or_else(|| panic!("nothing cited: {answer:#}"));
    assert!(cited["url"].as_str().unwrap().starts_with("https://docs.example/http-api#errors"), "{answer:#}");
    for field in ["title", "heading", "snippet"] {
        assert!(cited[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {cited:#}");
    }
    assert_eq!((&answer["refused"], &answer["memory"]), (&json!(false), &json!("kept")));
    assert!(answer["usage"]["prompt_tokens"].as_u64() > Some(0) && answer["cost_usd"].as_f64() > Some(0.0));
}

#[test]
fn what_the_documentation_does_not_answer_is_refused() {
    let bot = Bot::start();
    let answer = bot.ask("Wie wird das Wetter morgen in Lissabon?", None);
    assert_eq!(answer["refused"], true, "{answer:#}");
    assert!(answer["answer"].as_str().unwrap().starts_with("I don't know"), "{answer:#}");
}

/// Pages about installing, on which "Windows" alone is no key to the right one.
fn installation_pages(folder: &Path) {
    let pages = [
        (
            "install.md",
            "# Install\n\nHow to install the program.\n\n## Linux\n\nOn Linux, install the program with your package manager.\n\n## Windows\n\nOn Windows, install the program with the MSI installer from the download page.\n",
        ),
        (
            "windows-service.md",
            "# Service on Windows\n\nOn Windows the scheduler appears as a service. Windows restarts the service after a crash. Windows events go to the event log of Windows.\n",
        ),
        (
            "windows-paths.md",
            "# Paths on Windows\n\nWindows separates paths by a backslash. Windows and long paths: switch them on in the Windows registry.\n",
        ),
        ("uninstall.md", "# Uninstall\n\nRemove the folder and its settings.\n"),
    ];
    for (name, content) in pages {
        std::fs::write(folder.join(name), content).unwrap();
    }
}

#[test]
fn a_follow_up_finds_its_page_in_the_light_of_the_question_before() {
    let folder = tempfile::tempdir().unwrap();
    installation_pages(folder.path());
    let bot = Setup { docs: Some(folder.path().to_owned()), ..Setup::default() }.var("TOP_K", "2").start();
    let page = |answer: &Value| urls(answer)[0].split('#').next().unwrap().to_owned();
    let alone = bot.ask("and on Windows?", None);
    assert!(page(&alone).contains("/windows-"), "the case is only of use while the question alone misses the page");
    let first = bot.ask("How do I install it?", None);
    let second = bot.ask("and on Windows?", first["session"].as_str());
    assert!(urls(&second).iter().any(|url| url.starts_with("https://docs.example/install#")), "{second:#}");
    let third = bot.ask("What is removed when I uninstall?", second["session"].as_str());
    assert_eq!(page(&third), "https://docs.example/uninstall", "a change of subject: {third:#}");
}

#[test]
fn a_conversation_can_be_read_again_and_forgotten() {
    let bot = Bot::start();
    let first = bot.ask("What does make run do?", None);
    let second = bot.ask("How do I stop it?", first["session"].as_str());
    let session = second["session"].as_str().unwrap();
    let turns = bot.turns(session);
    let questions: Vec<_> = turns.iter().map(|turn| turn["question"].as_str().unwrap()).collect();
    assert_eq!(questions, ["What does make run do?", "How do I stop it?"]);
    assert_eq!(turns[1]["answer"], second["answer"]);
    assert_eq!(turns[1]["sources"], second["sources"]);
    assert_eq!(turns[1]["message_id"], second["message_id"]);

    assert_eq!(bot.request("DELETE", &format!("/v1/sessions/{session}"), &[], None).status, 204);
    assert!(bot.turns(session).is_empty());
    assert_eq!(bot.ask("What does make run do?", Some(session))["memory"], "kept", "it can be begun anew");
}

#[test]
fn no_turn_is_lost_when_several_arrive_at_once() {
    let bot = Bot::start();
    let first = bot.ask("What is docent?", None);
    let session = first["session"].as_str().unwrap();
    let questions =
        ["What does make test do?", "What does make run do?", "What does make bench do?", "What is a chunk?"];
    std::thread::scope(|scope| {
        for question in questions {
            let bot = &bot;
            scope.spawn(move || bot.ask(question, Some(session)));
        }
    });
    let turns = bot.turns(session);
    for question in questions {
        assert!(turns.iter().any(|turn| turn["question"] == question), "{question} in {turns:#?}");
    }
    assert_eq!(turns.len(), 1 + questions.len());
}

#[test]
fn a_turn_is_kept_whole_when_its_reader_leaves_in_the_middle() {
    let mut setup = Setup::default();
    setup.cloud.token_delay = std::time::Duration::from_millis(20);
    let bot = setup.start();
    let question = "Which header carries the trace id of a response?";
    let mut stream = Stream::open(&bot, &json!({ "message": question }));
    let seen: Vec<_> = stream.by_ref().take_while(|part| part.kind() != "text-delta").collect();
    let session = seen[0].data["messageMetadata"]["session"].as_str().unwrap().to_owned();
    drop(stream);
    let turn = eventually("the turn", || bot.turns(&session).into_iter().next());
    assert_eq!(turn["question"], question);
    assert_eq!(turn["answer"].as_str().unwrap(), text(&bot.stream(&json!({ "message": question }))), "whole");
}

/// A stream that is read until its first word, with what its `start` says.
fn begun(bot: &Bot, question: &Value) -> (Stream, Value) {
    let mut stream = Stream::open(bot, question);
    let seen: Vec<_> = stream.by_ref().take_while(|part| part.kind() != "text-delta").collect();
    (stream, seen[0].data.clone())
}

fn stop(bot: &Bot, session: &Value, message_id: &Value) -> Reply {
    let body = json!({ "session": session, "message_id": message_id });
    bot.request("POST", "/v1/stop", &[], Some(&body.to_string()))
}

#[test]
fn an_answer_ends_when_its_reader_stops_it_and_what_was_said_is_kept() {
    let mut setup = Setup::default().var("CACHE_SECONDS", "60").var("FALLBACK_MODELS", "@cf/google/gemma-4-26b-a4b-it");
    setup.cloud.token_delay = std::time::Duration::from_millis(20);
    let bot = setup.start();
    let question = json!({ "message": "Which header carries the trace id of a response?" });
    let (stream, start) = begun(&bot, &question);
    let (session, id) = (&start["messageMetadata"]["session"], &start["messageId"]);
    assert_eq!(stop(&bot, session, id).status, 204);
    drop(stream);
    let session = session.as_str().unwrap();
    let turn = eventually("the turn", || bot.turns(session).into_iter().next());
    assert_eq!((&turn["message_id"], &turn["finish_reason"]), (id, &json!("error")));
    assert_eq!(bot.calls("ai.chat"), 1, "no other model is asked");
    let told = kept(&bot, start["messageMetadata"]["trace_id"].as_str().unwrap());
    assert!(told.stored.trace.stopped && told.stored.trace.error.is_none(), "{told}");
    assert!(told.to_string().contains("outcome    stopped by the visitor"), "{told}");
    assert!(!bot.workerd.logs().iter().any(|line| line.contains(r#""level":"error""#)), "nothing failed");

    let whole = bot.stream(&question);
    assert_eq!(one(&whole, "finish")["messageMetadata"]["cached"], false, "half an answer is not given again");
    let (whole, said) = (text(&whole), turn["answer"].as_str().unwrap());
    assert!(whole.starts_with(said) && said.len() < whole.len(), "{said:?} of {whole:?}");
    let next = bot.ask("What does make run do?", Some(session));
    assert_eq!(next["memory"], "kept", "the conversation goes on");
}

#[test]
fn nobody_can_stop_the_answer_of_somebody_else() {
    let mut setup = Setup::default();
    setup.cloud.token_delay = std::time::Duration::from_millis(20);
    let bot = setup.start();
    let question = json!({ "message": "Which header carries the trace id of a response?" });
    let stranger = bot.ask("What is docent?", None)["session"].clone();
    let (stream, start) = begun(&bot, &question);
    let (session, id) = (&start["messageMetadata"]["session"], &start["messageId"]);
    assert_eq!(stop(&bot, &stranger, id).status, 204, "it is taken, and is about another conversation");
    assert_eq!(stop(&bot, session, &json!("0123456789abcdef")).status, 204, "there is no such answer");
    let forged = stop(&bot, &json!("s1.0123.99999999999.abcd"), id);
    assert_eq!((forged.status, forged.error().as_str()), (401, "bad_session"));
    for id in ["", &"x".repeat(65)] {
        let refused = stop(&bot, session, &json!(id));
        assert_eq!((refused.status, refused.error().as_str()), (422, "unprocessable"), "{id}");
    }
    drop(stream);
    let turn = eventually("the turn", || bot.turns(session.as_str().unwrap()).into_iter().next());
    assert_eq!(turn["answer"].as_str().unwrap(), text(&bot.stream(&question)), "whole");
}

#[test]
fn an_answer_can_take_the_place_of_an_earlier_one_and_of_all_after_it() {
    let folder = tempfile::tempdir().unwrap();
    installation_pages(folder.path());
    let setup = Setup { docs: Some(folder.path().to_owned()), ..Setup::default() };
    let bot = setup.var("TOP_K", "2").var("SUPPORT_URL", "https://help.example/").start();
    let questions = |session: &str| -> Vec<String> {
        bot.turns(session).iter().map(|turn| turn["question"].as_str().unwrap().to_owned()).collect()
    };
    let instead = |of: &Value, message: &str| {
        let body =
            json!({ "message": message, "session": of["session"], "replaces": of["message_id"], "stream": false });
        let reply = bot.post(&body);
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    };
    let first = bot.ask("What is removed when I uninstall?", None);
    let session = first["session"].as_str().unwrap();
    let second = bot.ask("How do I install it?", Some(session));
    let third = bot.ask("and on Windows?", Some(session));
    assert!(urls(&third).iter().any(|url| url.contains("/install#")), "in the light of the question before");

    let edited = instead(&second, "and on Windows?");
    assert_eq!(questions(session), ["What is removed when I uninstall?", "and on Windows?"]);
    assert!(!urls(&edited).iter().any(|url| url.contains("/install#")), "which is not there any more: {edited:#}");
    assert!(edited["session_cost"]["neurons"].as_f64() > third["session_cost"]["neurons"].as_f64(), "it was paid");

    let again = instead(&edited, "How do I install it?");
    assert_eq!(questions(session), ["What is removed when I uninstall?", "How do I install it?"]);
    bot.script(&json!([{ "service": "ai", "operation": "chat", "respond": { "status": 410, "body": "{\"errors\":[{\"code\":5028}]}" } }]));
    let body = json!({ "message": "x", "session": session, "replaces": again["message_id"], "stream": false });
    assert_eq!(bot.post(&body).status, 502);
    bot.script(&json!([]));
    assert_eq!(questions(session).len(), 2, "what failed takes no place");
    let unknown = json!({ "session": session, "message_id": "no such id" });
    instead(&unknown, "and on Windows?");
    assert_eq!(questions(session).len(), 3, "what is not there is not replaced");
    instead(&first, "Can I talk to a human?");
    assert_eq!(questions(session), ["Can I talk to a human?"], "also by an answer that nothing is searched for");
}

#[test]
fn a_session_ends_when_its_time_is_over() {
    let bot = Setup::default().var("SESSION_TTL_SECONDS", "60").start();
    let session = bot.ask("What is docent?", None)["session"].as_str().unwrap().to_owned();
    assert_eq!(bot.turns(&session).len(), 1);
    bot.cloud.advance_clock(std::time::Duration::from_secs(61));
    assert!(bot.turns(&session).is_empty(), "its turns are gone from the store");
}
