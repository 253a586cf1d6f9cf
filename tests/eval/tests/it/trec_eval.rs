//! The ranking measures beside `trec_eval`'s own numbers; `trec_eval/make.py` says how those were made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use docent_eval::measures;
use docent_eval::questions::Question;
use docent_eval::records::{Found, Header, Kind, Record, Run};
use docent_eval::scores::{ScoreOptions, Scores, score};
use docent_eval::statistics::Resampling;

/// Its names, and ours for the same.
const NAMES: [(&str, &str); 11] = [
    ("ndcg_cut_1", "nDCG@1"),
    ("ndcg_cut_3", "nDCG@3"),
    ("ndcg_cut_10", "nDCG@10"),
    ("recall_5", "R@5"),
    ("recall_20", "R@20"),
    ("P_5", "P@5"),
    ("P_10", "P@10"),
    ("success_1", "Success@1"),
    ("success_5", "Success@5"),
    ("recip_rank", "RR"),
    ("map", "AP"),
];

fn stored(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/trec_eval").join(name)
}

/// Fields of each line.
fn fields(name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(stored(name)).unwrap();
    text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

/// The files as a run of searches, each document a page.
pub(crate) fn run(name: &str) -> Run {
    let mut records: BTreeMap<String, Record> = BTreeMap::new();
    for line in fields(&format!("{name}.qrels")) {
        let question = Question { id: line[0].clone(), question: line[0].clone(), ..Question::default() };
        let record = records.entry(line[0].clone()).or_insert_with(|| Record { question, ..Record::default() });
        record.question.pages.0.insert(line[2].clone(), line[3].parse().unwrap());
    }
    for line in fields(&format!("{name}.run")) {
        if let Some(record) = records.get_mut(&line[0]) {
            let (page, score) = (line[2].clone(), line[4].parse().unwrap());
            record.ranking.push(Found { passage: page.clone(), page, score, ..Found::default() });
        }
    }
    Run { header: Header { kind: Kind::Retrieval, ..Header::default() }, records: records.into_values().collect() }
}

pub(crate) fn scored(run: &Run) -> Scores {
    let measures = NAMES.iter().map(|(_, name)| measures::parse(name).unwrap()).collect();
    score(run, &ScoreOptions { measures, resampling: Resampling { seed: 1, resamples: 100 } })
}

/// By question and measure; the mean under `all`.
pub(crate) fn numbers(scores: &Scores) -> BTreeMap<(String, String), f64> {
    let of = |(id, name, value): (&str, &str, f64)| ((id.to_owned(), name.to_owned()), value);
    let each = scores
        .questions
        .iter()
        .flat_map(|it| it.values.iter().map(|(name, value)| (it.id.as_str(), name.as_str(), *value)));
    each.chain(scores.all.iter().map(|(name, mean)| ("all", name.as_str(), mean.value))).map(of).collect()
}

#[test]
fn every_number_is_trec_eval_s_by_question_and_over_all() {
    for name in ["nasty", "cranfield"] {
        let ours = numbers(&scored(&run(name)));
        let theirs = fields(&format!("{name}.trec_eval"));
        assert_eq!(ours.len(), theirs.len());
        for line in theirs {
            let (_, measure) = NAMES.iter().find(|(theirs, _)| *theirs == line[0]).unwrap();
            let (ours, theirs) = (ours[&(line[1].clone(), (*measure).to_owned())], line[2].parse::<f64>().unwrap());
            assert!((ours - theirs).abs() < 1e-6, "{name}: {measure} of {}: {ours}, trec_eval {theirs}", line[1]);
        }
    }
}

#[test]
fn an_answer_s_order_is_what_its_reader_saw_and_a_page_stands_where_its_best_section_does() {
    let mut run = run("nasty");
    let record = run.records.iter_mut().find(|record| record.question.id == "graded").unwrap();
    record.answer = Some(docent_eval::records::Answer::default());
    // The scores say otherwise; and a page is found again, further down.
    record.ranking.reverse();
    let again = Found { page: "c".to_owned(), passage: "c#again".to_owned(), score: 9.0, ..Found::default() };
    record.ranking.push(again);
    let pages = measures::ranking::page_ranking(record);
    assert_eq!(pages.iter().map(|(page, _)| page.as_str()).collect::<Vec<_>>(), ["c", "u", "a", "e", "b"]);
    assert_eq!(measures::ranking::passage_ranking(record).len(), 6);
}
