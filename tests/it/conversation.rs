//! Asking: an answer has sources that can be clicked, follow-ups are understood, and a conversation
//! is kept whatever its reader does.

use std::path::Path;

use serde_json::{Value, json};

use crate::bot::{Bot, Setup, Stream, eventually, text};

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

#[test]
fn a_session_ends_when_its_time_is_over() {
    let bot = Setup::default().var("SESSION_TTL_SECONDS", "60").start();
    let session = bot.ask("What is docent?", None)["session"].as_str().unwrap().to_owned();
    assert_eq!(bot.turns(&session).len(), 1);
    bot.cloud.advance_clock(std::time::Duration::from_secs(61));
    assert!(bot.turns(&session).is_empty(), "its turns are gone from the store");
}
