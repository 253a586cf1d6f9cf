//! How often an answer is given again to who asks the same in other words, and to whom it would be wrongly.
//!
//! `cargo bench -p docent-tests --bench rewordings [-- queries.jsonl…]` replays the rewordings of
//! `tests/fixtures/rewordings.json`, each after its question, and counts hits among those that mean the same and
//! among those that do not. Of each further file, one question a line with `text` and, where they are known,
//! `answers`, it prints every pair of different questions that would share an answer.
#![allow(clippy::unwrap_used)] // a benchmark that cannot run has nothing to say

use std::collections::BTreeMap;
use std::path::Path;

use docent_core::wording::essence;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    question: String,
    same: Vec<String>,
    other: Vec<String>,
}

#[derive(Deserialize)]
struct Query {
    text: String,
    #[serde(default)]
    answers: Vec<String>,
}

fn main() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/rewordings.json");
    let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(fixture).unwrap()).unwrap();
    let hits = |questions: fn(&Case) -> &Vec<String>| {
        let asked = cases.iter().flat_map(|case| questions(case).iter().map(move |asked| (case, asked)));
        let hit = asked.clone().filter(|(case, asked)| essence(&case.question) == essence(asked)).count();
        (hit, asked.count())
    };
    let ((same, all), (wrong, others)) = (hits(|case| &case.same), hits(|case| &case.other));
    println!("rewordings: {same} of {all} given again; of {others} other questions, {wrong}");
    for path in std::env::args().skip(1).filter(|argument| argument != "--bench") {
        let Ok(text) = std::fs::read_to_string(&path) else {
            println!("{path} cannot be read");
            continue;
        };
        let queries: Vec<Query> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let mut shared: BTreeMap<String, Vec<&Query>> = BTreeMap::new();
        for query in &queries {
            shared.entry(essence(&query.text)).or_default().push(query);
        }
        let mut pairs = 0;
        let mut wrong = 0;
        for [one, other] in shared.values().flat_map(|all| all.windows(2)).filter_map(|two| two.first_chunk()) {
            let is_known = !one.answers.is_empty() && !other.answers.is_empty();
            let is_wrong = is_known && !one.answers.iter().any(|answer| other.answers.contains(answer));
            pairs += 1;
            wrong += usize::from(is_wrong);
            let verdict = if is_wrong {
                "OTHER"
            } else if is_known {
                "same "
            } else {
                "?    "
            };
            println!("  {verdict} {} | {}", one.text, other.text);
        }
        println!("{path}: {} questions, {pairs} pairs share an answer, {wrong} wrongly", queries.len());
    }
}
