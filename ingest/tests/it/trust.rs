//! What people who run an index in production rely on: nothing is paid twice, nothing goes live by
//! accident, everything can be gone back from, and what is broken is found and mended.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use docent_local::Fault;
use serde_json::{Value, json};

use crate::production::{Production, StateIn};

const CATS: &str = "# Cats\n\nCats purr when they are content.\n\n## Food\n\nCats eat `cat_food_v2`, error 3040.\n";
const DOGS: &str = "# Dogs\n\nDogs bark at the postman.\n";

fn with_pages(state: StateIn) -> Production {
    let production = Production::with(state, Duration::ZERO);
    production.write("cats.md", CATS);
    production.write("dogs.md", DOGS);
    for number in 0..8 {
        production.write(&format!("page-{number}.md"), format!("# Page {number}\n\nAbout number {number} only.\n"));
    }
    production
}

fn writes(production: &Production) -> u64 {
    let counters =
        ["ai.embed", "vectorize.upsert", "vectorize.delete_by_ids", "kv.put", "kv.delete", "d1.rows_written"];
    counters.iter().map(|counter| production.calls(counter)).sum()
}

/// The first source for a question.
fn first(production: &Production, question: &str) -> String {
    production.reader().finds(question).unwrap().remove(0)
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_mins(1), "{what} did not happen within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn only_what_changed_is_paid_for() {
    for state in [StateIn::D1, StateIn::Kv] {
        let production = with_pages(state);
        production.ingest(&[]);
        production.cloud.clear_requests();
        let again = production.ingest(&[]);
        assert_eq!((again["changed"].as_bool(), writes(&production)), (Some(false), 0), "{state:?}");

        production.write("dogs.md", DOGS.replace("postman", "moon"));
        let edited = production.ingest(&[]);
        assert_eq!(edited["changed"], json!(true));
        assert_eq!((production.calls("texts.embedded"), &edited["embedded"]), (1, &json!(1)), "{state:?}");
        assert!(first(&production, "What do dogs bark at?").contains("moon"));

        production.remove("cats.md");
        production.write("animals/felines.md", CATS);
        production.cloud.clear_requests();
        let moved = production.ingest(&[]);
        assert_eq!(production.calls("ai.embed"), 0, "{state:?}: {moved:#}");
        assert!(first(&production, "Why do cats purr?").starts_with("https://docs.example/animals/felines"));
        assert!(!production.reader().finds("cats purr").unwrap().iter().any(|found| found.contains("example/cats")));
    }
}

#[test]
fn a_rollback_is_seen_by_the_next_question_and_stays() {
    for state in [StateIn::D1, StateIn::Kv] {
        let production = with_pages(state);
        production.ingest(&[]);
        production.write("dogs.md", DOGS.replace("bark at the postman", "write poems"));
        production.ingest(&[]);
        let reader = production.reader();
        assert!(reader.finds("What do dogs do?").unwrap()[0].contains("poems"));
        production.cloud.clear_requests();
        assert_eq!(production.docent(&["rollback"]).code, Some(0));
        assert_eq!(production.calls("ai.embed") + production.calls("vectorize.upsert"), 0);
        // Without D1 an isolate trusts what it read for a minute; a new one asks.
        let reader = if state == StateIn::D1 { reader } else { production.reader() };
        let found = reader.finds("What do dogs do?").unwrap();
        assert!(found[0].contains("postman") && !found.iter().any(|found| found.contains("poems")), "{found:?}");

        let refused = production.docent(&["ingest", "docs"]);
        assert_eq!(refused.code, Some(6), "{refused:?}");
        assert!(refused.err.contains("--allow rolled-back"), "{}", refused.err);
        production.write("dogs.md", DOGS.replace("bark at the postman", "sleep"));
        let forward = production.ingest(&[]);
        assert_eq!(forward["generation"], json!(3));
        assert!(first(&production, "What do dogs do?").contains("sleep"));
        assert_eq!(production.docent(&["rollback", "1"]).code, Some(0));
        assert!(first(&production, "What do dogs do?").contains("postman"));
        let unknown = production.docent(&["rollback", "9"]);
        assert!(unknown.code == Some(2) && unknown.err.contains("docent history"), "{unknown:?}");
    }
}

#[test]
fn as_many_generations_are_kept_as_asked_for() {
    let production = with_pages(StateIn::D1);
    for number in 0..5 {
        production.write("dogs.md", DOGS.replace("bark", &format!("bark {number} times")));
        production.ingest(&["--keep", "1"]);
    }
    let kept = |production: &Production| -> Vec<u64> {
        let history: Vec<Value> = serde_json::from_value(production.docent(&["history", "--json"]).json()).unwrap();
        history.iter().map(|entry| entry["number"].as_u64().unwrap()).collect()
    };
    assert_eq!(kept(&production), [5, 4]);
    assert_eq!(production.docent(&["prune", "--keep", "0"]).code, Some(0));
    assert_eq!(kept(&production), [5]);
    assert_eq!(production.docent(&["verify"]).code, Some(0));
    production.cloud.clear_requests();
    production.ingest(&["--keep", "1"]);
    assert_eq!(writes(&production), 0);
}

#[test]
fn what_looks_like_an_accident_is_refused_with_the_list_and_can_be_overruled() {
    let production = with_pages(StateIn::D1);
    production.ingest(&[]);
    let before = production.kept();
    for number in 0..3 {
        production.remove(&format!("page-{number}.md"));
    }
    production.write("page-3.md", "\n");
    let dry = production.docent(&["ingest", "docs", "--dry-run", "--json"]).json();
    assert_eq!(dry["concerns"][0]["guard"], json!("vanished"), "{dry:#}");
    let refused = production.docent(&["ingest", "docs"]);
    assert_eq!(refused.code, Some(6));
    for part in ["4 of 10 pages", "page-0.md", "page-3.md", "--allow vanished"] {
        assert!(refused.err.contains(part), "{part} in {}", refused.err);
    }
    assert_eq!(production.kept(), before, "nothing was written");
    production.ingest(&["--max-vanished", "50"]);

    let items = (0..30).map(|item| format!("- [Every page of the menu, item {item}](/item-{item})"));
    let menu = items.collect::<Vec<_>>().join("\n");
    for number in 0..12 {
        production.write(&format!("crawled/{number}.md"), format!("# Page {number}\n\n{menu}\n\nOne line.\n"));
    }
    let refused = production.docent(&["ingest", "docs"]);
    assert!(refused.code == Some(6) && refused.err.contains("crawled/7.md"), "{refused:?}");
    production.ingest(&["--allow", "navigation"]);
}

#[test]
fn golden_questions_must_not_lose_their_page() {
    let production = with_pages(StateIn::D1);
    let golden = production.folder().join("golden.jsonl");
    let lines = [
        json!({ "question": "Why do cats purr?", "pages": ["cats.md"] }),
        json!({ "question": "What do dogs bark at?", "pages": ["https://docs.example/dogs"] }),
        json!({ "question": "What was never answered?", "pages": ["nowhere.md"] }),
    ];
    std::fs::write(&golden, lines.map(|line| line.to_string()).join("\n")).unwrap();
    production.ingest(&["--golden", "golden.jsonl"]);
    production.write("cats.md", "# Elsewhere\n\nThis page has moved.\n");
    for number in 0..8 {
        production
            .write(&format!("noise-{number}.md"), format!("# Noise {number}\n\nWhy do cats make noise {number}?\n"));
    }
    let refused = production.docent(&["ingest", "docs", "--golden", "golden.jsonl"]);
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(refused.err.contains("Why do cats purr?") && !refused.err.contains("What do dogs"), "{}", refused.err);
    assert!(first(&production, "Why do cats purr?").contains("content"), "the old index is live");
    production.cloud.clear_requests();
    production.ingest(&["--golden", "golden.jsonl", "--allow", "golden"]);
    assert_eq!(production.calls("texts.embedded"), 0, "what was staged is used");
    assert_eq!(production.docent(&["verify"]).code, Some(0));
}

#[test]
fn another_embedding_spec_is_a_new_generation_on_request_only() {
    let production = with_pages(StateIn::D1);
    production.ingest(&[]);
    production.sql("UPDATE generation SET spec = '0000000000000000'");
    let dry = production.docent(&["ingest", "docs", "--dry-run", "--json"]).json();
    assert_eq!(dry["concerns"][0]["guard"], json!("spec"), "{dry:#}");
    let refused = production.docent(&["ingest", "docs"]);
    assert!(refused.code == Some(6) && refused.err.contains("--allow spec"), "{refused:?}");
}

#[test]
fn of_two_ingests_at_once_the_second_goes_or_waits() {
    for state in [StateIn::D1, StateIn::Kv] {
        let production = with_pages(state);
        let slow = Fault { service: "ai".to_owned(), delay_ms: Some(1_500), times: Some(1), ..Fault::default() };
        production.cloud.set_faults(vec![slow]);
        let mut one = production.start(&["ingest", "docs", "--create-index"]);
        until("the first ingest", || {
            let status = production.docent(&["status", "--json"]).json();
            status["writer"].as_str().map(str::to_owned)
        });
        let refused = production.docent(&["ingest", "docs", "--create-index"]);
        assert!(refused.code == Some(7) && refused.err.contains("--wait"), "{state:?}: {refused:?}");
        let waited = production.docent(&["ingest", "docs", "--create-index", "--wait", "1m", "--json"]).json();
        assert_eq!((waited["changed"].as_bool(), waited["generation"].as_u64()), (Some(false), Some(1)));
        assert_eq!(one.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn what_is_broken_is_found_and_mended() {
    for state in [StateIn::D1, StateIn::Kv] {
        let production = with_pages(state);
        production.ingest(&[]);
        let whole = production.kept();
        let ids: Vec<String> = whole["vectorize"]["docent"].as_object().unwrap().keys().cloned().collect();
        production.rest("vectorize/v2/indexes/docent/delete_by_ids", &json!({ "ids": ids[..2] }));
        let mut vector =
            production.rest("vectorize/v2/indexes/docent/get_by_ids", &json!({ "ids": [ids[2]] }))[0].clone();
        vector["id"] = json!("f".repeat(32));
        production.rest_lines("vectorize/v2/indexes/docent/upsert", &vector.to_string());
        if state == StateIn::D1 {
            production.sql(&format!(
                "DELETE FROM chunk_life WHERE chunk = (SELECT number FROM chunk WHERE id = '{}')",
                ids[3]
            ));
        }
        let found = production.docent(&["verify", "--json"]);
        assert_eq!(found.code, Some(8));
        let report: Value = serde_json::from_str(&found.out).unwrap();
        assert_eq!(report["missing_vectors"], json!(ids[..2]));
        assert_eq!(report["orphan_vectors"], json!(["f".repeat(32)]));
        let fixed = production.docent(&["verify", "--fix"]);
        assert!(fixed.code == Some(0) && fixed.out.contains("docent ingest"), "{fixed:?}");
        production.ingest(&[]);
        assert_eq!(production.docent(&["verify"]).code, Some(0));
        let mended = production.kept();
        let now: Vec<String> = mended["vectorize"]["docent"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(now, ids, "{state:?}");
    }
}

#[test]
fn an_index_that_was_deleted_is_filled_again() {
    /// More than one write takes.
    const MANY: u64 = 700;
    for state in [StateIn::D1, StateIn::Kv] {
        let production = with_pages(state);
        for number in 0..MANY {
            production
                .write(&format!("many/{number}.md"), format!("# Many {number}\n\nOne of many, number {number}.\n"));
        }
        production.ingest(&[]);
        production.delete("vectorize/v2/indexes/docent");
        let refused = production.docent(&["ingest", "docs"]);
        assert!(refused.code == Some(2) && refused.err.contains("--create-index"), "{refused:?}");
        // Also when filling it is broken off in the middle: what is not there yet is not taken for it.
        let upsert = |times, delay_ms| Fault {
            service: "vectorize".to_owned(),
            operation: Some("upsert".to_owned()),
            times,
            delay_ms: Some(delay_ms),
            ..Fault::default()
        };
        production.cloud.set_faults(vec![upsert(Some(1), 0), upsert(None, 60_000)]);
        production.cloud.clear_requests();
        let mut broken_off = production.start(&["ingest", "docs", "--create-index"]);
        until("the second write", || (production.calls("vectorize.upsert") == 2).then_some(()));
        broken_off.kill().unwrap();
        broken_off.wait().unwrap();
        production.cloud.set_faults(Vec::new());
        let again = production.ingest(&[]);
        let embedded = again["embedded"].as_u64().unwrap();
        assert!((1..MANY).contains(&embedded), "{again:#}");
        assert!(first(&production, "Why do cats purr?").contains("content"));
        assert_eq!(production.docent(&["verify"]).code, Some(0));
        production.cloud.clear_requests();
        production.ingest(&[]);
        assert_eq!(writes(&production), 0);
    }
}

#[test]
fn the_state_moves_from_kv_to_d1_without_embedding_anything() {
    let mut production = with_pages(StateIn::Kv);
    production.ingest(&[]);
    production.write("dogs.md", DOGS.replace("bark", "howl"));
    production.ingest(&[]);
    production.state = StateIn::D1;
    production.cloud.clear_requests();
    let moved = production.ingest(&[]);
    assert_eq!((production.calls("ai.embed"), &moved["generation"]), (0, &json!(3)), "{moved:#}");
    assert_eq!(production.docent(&["verify"]).code, Some(0));
    assert!(first(&production, "What do dogs do at the postman?").contains("howl"));
    production.cloud.clear_requests();
    production.ingest(&[]);
    assert_eq!(writes(&production), 0);
}

#[test]
fn text_is_found_by_its_stems_and_by_exact_names() {
    let production = with_pages(StateIn::D1);
    production.ingest(&[]);
    let search = |table: &str, query: &str| {
        let sql = format!(
            "SELECT chunk.path FROM {table} JOIN chunk ON chunk.number = {table}.rowid \
             JOIN chunk_life ON chunk_life.chunk = chunk.number AND born <= 1 AND (died IS NULL OR died > 1) \
             WHERE {table} MATCH '{query}'"
        );
        production.sql(&sql)
    };
    assert_eq!(search("chunk_words", "eating"), json!([{ "path": "cats.md" }]));
    assert_eq!(search("chunk_identifiers", "\"cat_food_v2\""), json!([{ "path": "cats.md" }]));
    assert_eq!(search("chunk_identifiers", "\"3040\""), json!([{ "path": "cats.md" }]));
    assert_eq!(search("chunk_identifiers", "\"cat_food\""), json!([]));
}

#[test]
fn a_saved_file_is_in_the_index_while_watching() {
    let production = with_pages(StateIn::D1);
    let arguments = ["ingest", "docs", "--create-index", "--watch"];
    let mut watching = production.command(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(watching.stderr.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap);
    assert!(lines.any(|line| line.contains("watching")), "it says when it is ready");
    production.write("owls.md", "# Owls\n\nOwls hunt by night.\n");
    let reader = production.reader();
    until("the new page", || reader.finds("Who hunts by night?").filter(|found| found[0].contains("owls")).map(drop));
    watching.kill().unwrap();
    watching.wait().unwrap();
}
