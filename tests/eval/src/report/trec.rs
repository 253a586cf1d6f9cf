//! TREC run files and qrels, which `ir_measures`, `pytrec_eval` and `trec_eval` read unchanged.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Reported, labels};
use crate::measures::Level;
use crate::measures::ranking::{Ranking, page_ranking, passage_ranking, qrels};
use crate::records::Record;

/// The files by name: qrels of pages and of passages, and a run file of each for each run. With
/// repeats, the first time a question was asked.
pub(super) fn files(reported: &[Reported]) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let firsts = |it: &'_ Reported| -> Vec<Record> {
        it.run.records.iter().filter(|record| record.repeat == 0).cloned().collect()
    };
    let mut asked: BTreeMap<String, Record> = BTreeMap::new();
    for (it, label) in reported.iter().zip(labels(reported)) {
        let (records, tag) = (firsts(it), bare(&label));
        let name = tag.replace(['/', '\\'], "_");
        files.insert(format!("{name}.pages.run"), run_file(&records, &tag, page_ranking));
        files.insert(format!("{name}.passages.run"), run_file(&records, &tag, passage_ranking));
        asked.extend(records.into_iter().map(|record| (record.question.id.clone(), record)));
    }
    files.insert("pages.qrels".to_owned(), qrels_file(&asked, Level::Page));
    files.insert("passages.qrels".to_owned(), qrels_file(&asked, Level::Passage));
    files
}

/// `qid Q0 docid rank score tag`. The ranks are for people: readers order by score.
fn run_file(records: &[Record], tag: &str, ranking: fn(&Record) -> Ranking) -> String {
    let mut file = String::new();
    for record in records {
        for (rank, (name, score)) in (1..).zip(ranking(record)) {
            let _: (usize, _) =
                (rank, writeln!(file, "{} Q0 {} {rank} {score} {tag}", bare(&record.question.id), bare(&name)));
        }
    }
    file
}

/// `qid 0 docid grade`
fn qrels_file(asked: &BTreeMap<String, Record>, level: Level) -> String {
    let mut file = String::new();
    for (id, record) in asked {
        let Some(grades) = qrels(&record.question, level) else { continue };
        for (name, grade) in &grades.0 {
            let _ = writeln!(file, "{} 0 {} {grade}", bare(id), bare(name));
        }
    }
    file
}

/// Blanks separate the fields.
fn bare(name: &str) -> String {
    name.replace(|c: char| c.is_whitespace() || c.is_control(), "_")
}
