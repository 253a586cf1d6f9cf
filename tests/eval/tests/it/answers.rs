//! What is measured of answers, each on the smallest run that shows it.

use std::collections::BTreeMap;

use docent_core::trace::Trace;
use docent_eval::measures;
use docent_eval::questions::{Expected, Fact, Grades, Question};
use docent_eval::records::Run;
use docent_eval::records::{Answer, Failure, Found, Record};
use docent_eval::scores::{FOLLOW_UP, ScoreOptions, score};
use proptest::prelude::*;

fn question() -> Question {
    let must = vec![Fact::AnyOf(vec!["port 8787".to_owned(), "8787".to_owned()])];
    let must_not = vec![Fact::Text("9999".to_owned())];
    Question {
        id: "port".to_owned(),
        question: "Which port does the bot listen on, and how can it be changed by me?".to_owned(),
        pages: Grades(BTreeMap::from([("local".to_owned(), 1)])),
        answer: Expected { must, must_not, reference: None },
        ..Question::default()
    }
}

fn record(text: &str) -> Record {
    let found = |n, page: &str, text: &str| Found {
        n: Some(n),
        page: page.to_owned(),
        passage: page.to_owned(),
        text: text.to_owned(),
        score: 1.0 / f64::from(n),
        ..Found::default()
    };
    let passages = [
        found(1, "local", "The bot listens on port 8787. `--port` changes the port."),
        found(2, "web", "The widget is one script that any page can load."),
    ];
    let trace = Some(Trace { evidence: 0.7, ..Trace::default() });
    let answer = Answer { text: text.to_owned(), finish: "stop".to_owned(), trace, ..Answer::default() };
    Record { question: question(), ranking: passages.into(), answer: Some(answer), ..Record::default() }
}

fn of(record: &Record, measure: &str) -> Option<f64> {
    measures::parse(measure).unwrap().of(record)
}

fn refusal(refuse: bool) -> Record {
    let mut record = record("I don't know: the documentation I have does not answer this.");
    record.answer.as_mut().unwrap().refused = true;
    if refuse {
        record.question = Question { id: "weather".to_owned(), refuse: true, ..Question::default() };
    }
    record
}

#[test]
fn crag_counts_right_answers_up_wrong_ones_down_and_refusals_not() {
    let mut error = record("");
    error.answer = None;
    error.error = Some(Failure::default());
    for (record, expected) in [
        (record("The bot listens on port 8787 [1]."), 1.0),
        (record("The bot listens on port **8787**. [1]"), 1.0),
        (record("The bot listens on port 18787 [1]."), -1.0),
        (record("The bot listens on port 8787, or 9999 [1]."), -1.0),
        (record("The bot listens on port 8787 [2]."), -1.0),
        (record("The bot listens on port 8787."), -1.0),
        (refusal(false), 0.0),
        (refusal(true), 1.0),
        (error, 0.0),
    ] {
        assert_eq!(of(&record, "CRAG"), Some(expected), "{record:?}");
    }
    let mut answered = record("It rains.");
    answered.question = refusal(true).question;
    assert_eq!(of(&answered, "CRAG"), Some(-1.0));
    answered.question.refuse = false;
    assert_eq!(of(&answered, "CRAG"), None, "nothing is known of this question");
}

#[test]
fn sentences_are_held_against_what_they_cite() {
    let good = "The bot listens on port 8787 [1]. The widget is one script [2].";
    let wrong = "The bot listens on port 8787 [2]. The widget is one script.";
    let invented = "The bot listens on port 4000 [1]. The widget costs five dollars monthly [7].";
    for (text, precision, recall, supported, pages) in [
        (good, Some(1.0), Some(1.0), Some(1.0), Some(0.5)),
        (wrong, Some(0.0), Some(0.0), Some(1.0), Some(0.0)),
        (invented, Some(0.0), Some(0.0), Some(0.0), Some(0.5)),
        ("Yes.", None, None, None, None),
    ] {
        let record = record(text);
        let found = ["citation:precision", "citation:recall", "supported", "citation:pages"].map(|it| of(&record, it));
        assert_eq!(found, [precision, recall, supported, pages], "{text}");
        let mut snippets = record;
        snippets.answer.as_mut().unwrap().trace = None;
        assert_eq!(of(&snippets, "supported"), None, "snippets are not the passages");
    }
}

#[test]
fn language_is_told_of_long_answers_only() {
    let english = "The bot listens on this port, which you can change with an option when you start the program.";
    let german = "Der Bot lauscht auf diesem Port, den man mit einer Option beim Start des Programms ändern kann.";
    assert_eq!(of(&record(english), "language"), Some(1.0));
    assert_eq!(of(&record(german), "language"), Some(0.0));
    assert_eq!(of(&record("Port 8787."), "language"), None);
    let mut wanted = record(german);
    wanted.question.lang = Some("de".to_owned());
    assert_eq!(of(&wanted, "language"), Some(1.0));
}

#[test]
fn refusals_are_counted_on_both_sides_and_follow_ups_apart() {
    let mut follow_up = record("The bot listens on port 8787 [1].");
    follow_up.question.id = "then".to_owned();
    follow_up.question.turns = vec!["What is docent?".to_owned()];
    let mut weather = refusal(true);
    weather.answer.as_mut().unwrap().trace.as_mut().unwrap().evidence = 0.2;
    let run =
        Run { header: docent_eval::records::Header::default(), records: vec![refusal(false), weather, follow_up] };
    let scores = score(&run, &ScoreOptions::default());
    let value = |name: &str| scores.all.iter().find(|(it, _)| it == name).map(|(_, it)| (it.value, it.n));
    assert_eq!(value("refusal:precision"), Some((0.5, 2)));
    assert_eq!(value("refusal:recall"), Some((1.0, 1)));
    assert_eq!(value("refusal:false"), Some((0.5, 2)));
    assert_eq!(value("refusal:AUROC"), Some((1.0, 3)));
    assert_eq!(value("passage:RR"), None, "no passage is judged");
    assert_eq!(scores.tags.keys().collect::<Vec<_>>(), [FOLLOW_UP]);
}

#[test]
fn the_documentation_shows_the_table_of_measures() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/evaluation/measures.md")).unwrap();
    assert!(page.contains(&measures::markdown_table()), "the table has to be:\n{}", measures::markdown_table());
}

fn any_record() -> impl Strategy<Value = Record> {
    let found = prop::collection::vec((0..9_u32, 0..4_u32), 0..12);
    let judged = prop::collection::btree_map((0..9_u32).prop_map(|page| page.to_string()), 0..4_u32, 0..6);
    (found, judged).prop_map(|(found, judged)| {
        let found = found.into_iter().map(|(page, score)| Found {
            page: page.to_string(),
            passage: page.to_string(),
            score: f64::from(score),
            ..Found::default()
        });
        let question = Question { pages: Grades(judged), ..Question::default() };
        Record { question, ranking: found.collect(), ..Record::default() }
    })
}

proptest! {
    #[test]
    fn ranking_measures_stay_within_bounds_and_the_best_order_is_one(record in any_record(), seed in any::<u64>()) {
        let names = ["nDCG@5", "R@20", "P@3", "Success@1", "RR", "AP"];
        let before = names.map(|name| of(&record, name));
        prop_assert!(before.iter().flatten().all(|value| (0.0..=1.0).contains(value)));

        let mut shuffled = record.clone();
        shuffled.ranking.sort_by_key(|found| found.page.len() as u64 ^ seed.rotate_left(found.page.as_bytes()[0].into()));
        prop_assert_eq!(before, names.map(|name| of(&shuffled, name)), "the order of the lines is of no matter");

        let mut best = record;
        let pages = best.question.pages.0.iter().filter(|(_, grade)| **grade > 0);
        let found = |(page, grade): (&String, &u32)| Found { page: page.clone(), score: f64::from(*grade), ..Found::default() };
        best.ranking = pages.map(found).collect();
        let all = ["nDCG@5", "R@20", "Success@1", "RR", "AP"].map(|name| of(&best, name));
        prop_assert!(all.iter().flatten().all(|value| (value - 1.0).abs() < 1e-12), "{all:?}");
    }
}
