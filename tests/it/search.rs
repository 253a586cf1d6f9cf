//! What is found while somebody types: sections that have the words, without a model.

use std::collections::BTreeMap;

use docent_core::search;
use docent_local::DatabaseConfig;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::bot::{Bot, NAME, Reply, Setup};

fn find(bot: &Bot, query: &str) -> Vec<Value> {
    let reply = bot.get(&format!("/v1/search?{query}"));
    assert_eq!(reply.status, 200, "{query}: {}", reply.body);
    reply.json()["results"].as_array().unwrap().clone()
}

/// What a result highlights, as a client cuts it out of the snippet.
fn highlighted(result: &Value) -> Vec<String> {
    let units: Vec<u16> = result["snippet"].as_str().unwrap().encode_utf16().collect();
    let at = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    let cut = |range: &Value| String::from_utf16(&units[at(&range[0])..at(&range[1])]).unwrap();
    result["highlights"].as_array().unwrap().iter().map(cut).collect()
}

#[test]
fn sections_are_found_while_the_word_is_typed_and_show_where_it_stands() {
    let bot = Bot::start();
    let asked = bot.calls("ai.embed");
    for (typed, found) in [("sess", "session"), ("Work", "Workers"), ("visitors%20feedb", "feedback")] {
        let highlights: Vec<String> = find(&bot, &format!("q={typed}")).iter().flat_map(highlighted).collect();
        assert!(highlights.iter().any(|word| word == found), "{typed}: {highlights:?}");
    }
    // Every step on the way to a word finds something, also where it has grown beyond its stem.
    for length in 4..="configuration".len() {
        let typed = &"configuration"[..length];
        assert!(find(&bot, &format!("q={typed}")).len() > 3, "{typed}");
    }
    for (typed, found) in [
        ("FIRST_BYTE_MS", "FIRST_BYTE_MS"),
        ("FIRST_BY", "FIRST_BYTE"),
        ("--create-in", "create-index"),
        ("x-docent-tr", "x-docent-trace"),
        ("x-docent-trace-id", "x-docent-trace-id"),
        ("budget_ex", "budget_exhausted"),
        ("wrangler.to", "wrangler.toml"),
    ] {
        let first = &find(&bot, &format!("q={typed}"))[0];
        assert!(highlighted(first).iter().any(|highlight| highlight == found), "{typed}: {first}");
    }
    assert_eq!(bot.calls("ai.embed"), asked, "no model is asked");
}

#[test]
fn a_section_comes_once_and_no_page_fills_the_list() {
    let bot = Bot::start();
    let results = find(&bot, "q=docent&limit=20");
    assert_eq!(results.len(), 20);
    assert_eq!(
        results.iter().map(|result| result["n"].as_u64().unwrap()).collect::<Vec<_>>(),
        (1..=20).collect::<Vec<_>>()
    );
    assert!(results.is_sorted_by(|a, b| a["score"].as_f64() >= b["score"].as_f64()));
    let (mut sections, mut pages) = (BTreeMap::new(), BTreeMap::new());
    for result in &results {
        let url = result["url"].as_str().unwrap();
        *sections.entry(url).or_insert(0) += 1;
        *pages.entry(url.split('#').next().unwrap()).or_insert(0) += 1;
    }
    assert!(sections.values().all(|times| *times == 1), "{sections:#?}");
    assert!(pages.values().all(|times| *times <= 3) && pages.len() > 6, "{pages:#?}");

    assert_eq!(find(&bot, "q=docent").len(), 8);
    assert_eq!(find(&bot, "q=docent&limit=2").len(), 2);
    let here = |results: &[Value]| results[0]["url"].as_str().unwrap().split('#').next().unwrap().to_owned();
    let other = results.iter().map(|result| result["url"].as_str().unwrap().split('#').next().unwrap());
    let other = other.clone().find(|page| *page != here(&results)).unwrap();
    let nearer = find(&bot, &format!("q=docent&limit=20&page={other}%23anchor"));
    let place =
        |results: &[Value]| results.iter().position(|result| result["url"].as_str().unwrap().starts_with(other));
    assert!(place(&nearer) < place(&results), "what is on the visitor's page comes earlier");
}

#[test]
fn what_is_not_there_is_an_empty_list_and_what_makes_no_sense_is_refused_by_name() {
    let bot = Bot::start();
    for nothing in ["q=", "q=%20%3F!", "q=qqqqqq", "q=docent&lang=xx", "q=docent&version=9", "q=docent&product=%27"] {
        assert_eq!(find(&bot, nothing), [json!(null); 0], "{nothing}");
    }
    assert!(!find(&bot, "q=docent&lang=&version=&product=&page=&limit=").is_empty(), "an empty field is none");
    let long = format!("q={}", "x".repeat(1_001));
    let refused: [(&str, u16, &str, &str); 5] = [
        ("", 422, "unprocessable", "q"),
        ("q=docent&limit=0", 422, "unprocessable", "limit"),
        ("q=docent&limit=21", 422, "unprocessable", "limit"),
        ("q=docent&limt=3", 400, "bad_request", "limt"),
        (&long, 413, "too_large", "q"),
    ];
    for (query, status, code, named) in refused {
        let reply = bot.get(&format!("/v1/search?{query}"));
        assert_eq!((reply.status, reply.error().as_str()), (status, code), "{query}");
        assert!(reply.json()["error"]["message"].as_str().unwrap().contains(named), "{}", reply.body);
    }
    let posted = bot.request("POST", "/v1/search?q=docent", &[], Some("{}"));
    assert_eq!((posted.status, posted.headers["allow"].as_str()), (405, "GET, HEAD"));
}

#[test]
fn a_list_may_be_kept_for_a_minute_by_the_browser_that_got_it() {
    let bot = Setup::default().var("ALLOWED_ORIGINS", "https://www.example.com").start();
    let get = |method: &str, origin: &[(&str, &str)]| bot.request(method, "/v1/search?q=docent", origin, None);
    let kept = |reply: &Reply| {
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.headers["cache-control"], "private, max-age=60");
        assert_eq!(reply.headers["vary"], "origin", "or a page of another origin would get headers not meant for it");
    };
    kept(&get("GET", &[]));
    let there = get("GET", &[("origin", "https://www.example.com")]);
    kept(&there);
    assert_eq!(there.headers["access-control-allow-origin"], "https://www.example.com");
    let head = get("HEAD", &[]);
    kept(&head);
    assert_eq!(head.body, "");
    assert_eq!(get("GET", &[("origin", "https://evil.example")]).status, 403);
    assert_eq!(bot.get("/v1/search").headers["cache-control"], "no-store", "an error is not kept");
}

#[test]
fn umlauts_and_texts_without_blanks_are_found_and_highlighted() {
    let docs = tempfile::tempdir().unwrap();
    let german = "---\nlang: de\n---\n# Schlüssel\n\nDie Größe der Übersicht lässt sich ändern.\n";
    std::fs::write(docs.path().join("de.md"), german).unwrap();
    let japanese = "---\nlang: ja\n---\n# 設定\n\n設定ファイルを編集します。再起動は不要です。\n";
    std::fs::write(docs.path().join("ja.md"), japanese).unwrap();
    let bot = Setup { docs: Some(docs.path().to_owned()), ..Setup::default() }.start();
    for (typed, found) in [
        ("q=grosse", None), // ß is no s with a mark
        ("q=gr%C3%B6%C3%9Fe", Some("Größe")),
        ("q=GRO%CC%88%C3%9F", Some("Größe")),
        ("q=uber", Some("Übersicht")),
        ("q=%E8%A8%AD%E5%AE%9A", Some("設定ファイルを編集します")), // the beginning of a run
        ("q=%E5%86%8D", Some("再起動は不要です")),
        ("q=%E7%B7%A8%E9%9B%86", None), // not what is within one
        ("q=%E5%86%8D&lang=de", None),
        ("q=%E5%86%8D&lang=ja", Some("再起動は不要です")),
    ] {
        let results = find(&bot, typed);
        let highlights = results.first().map(highlighted).unwrap_or_default();
        assert_eq!(highlights.first().map(String::as_str), found, "{typed}: {results:?}");
    }
}

#[test]
fn without_a_database_that_can_be_searched_the_bot_says_so() {
    let not_ready = |bot: &Bot, because: &str| {
        let reply = bot.get("/v1/search?q=docent");
        assert_eq!((reply.status, reply.error().as_str()), (503, "not_ready"), "{}", reply.body);
        assert!(reply.body.contains(because), "{}", reply.body);
        let typed_nothing = bot.get("/v1/search?q=");
        assert_eq!(typed_nothing.status, 200);
    };
    not_ready(&Setup { change: |config| config.content = None, ..Setup::default() }.start(), "CONTENT");
    not_ready(&Setup { docs: None, ..Setup::default() }.start(), "docent ingest");
    let bare = || DatabaseConfig { id: "bare".to_owned(), name: "bare".to_owned(), migrations: None };
    let mut setup = Setup { change: |config| config.content = Some("bare".to_owned()), ..Setup::default() };
    setup.cloud.databases.push(bare());
    not_ready(&setup.start(), "migrations apply");
    // Neither a secret nor a model is needed.
    let bot = Setup { change: |config| (config.secret, config.ai) = (None, false), ..Setup::default() }.start();
    assert_eq!(find(&bot, "q=docent").len(), 8);
}

#[test]
fn whatever_is_typed_is_no_syntax_and_is_highlighted_within_the_snippet() {
    let bot = Setup::default().start();
    let mut ports = bot.cloud.ports(NAME, NAME).unwrap();
    ports.content = Some(NAME.to_owned());
    let piece = prop_oneof![
        "[a-z]{1,4}",
        "\\PC{1,3}",
        any::<char>().prop_map(String::from),
        proptest::sample::select(vec![
            "AND", "OR", "NOT", "NEAR(", "\"", "*", "^", "{text}", ":", "docent", "-", "--", "max_", "C++", "'", ")",
            " ", "\0",
        ])
        .prop_map(str::to_owned),
    ];
    let text = proptest::collection::vec(piece, 1..12).prop_map(|pieces| pieces.concat());
    let config = ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&text, |text| {
            let encoded: Vec<String> = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let found = pollster::block_on(search::search(&ports, &format!("q={}", encoded.concat()), "trace"));
            let found = found.map_err(|error| TestCaseError::fail(format!("{error}: {:?}", ports.logged())))?;
            for result in found.results {
                let units: Vec<u16> = result.snippet.encode_utf16().collect();
                for [from, to] in result.highlights {
                    prop_assert!(from < to && to <= units.len());
                    prop_assert!(String::from_utf16(&units[from..to]).is_ok(), "{:?}", result.snippet);
                }
            }
            Ok(())
        })
        .unwrap();
}
