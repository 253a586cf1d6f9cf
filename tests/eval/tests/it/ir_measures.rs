//! `ir_measures`, installed from its registry, reads our files and says the same numbers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use docent_eval::measures::{Level, ranking};
use docent_eval::records::Run;

use crate::trec_eval::{numbers, run, scored};

const MEASURES: [&str; 6] = ["nDCG@10", "R@5", "RR", "AP", "P@5", "Success@1"];

/// Where `scripts/setup.sh test` puts it.
fn ir_measures() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.docent/tools/python/bin/ir_measures");
    assert!(path.exists(), "{} is missing: run scripts/setup.sh test", path.display());
    path
}

fn write(run: &Run, folder: &Path) -> (PathBuf, PathBuf) {
    let (mut qrels, mut found) = (String::new(), String::new());
    for record in &run.records {
        let id = &record.question.id;
        for (page, grade) in ranking::qrels(&record.question, Level::Page).into_iter().flat_map(|grades| &grades.0) {
            writeln!(qrels, "{id} 0 {page} {grade}").unwrap();
        }
        for (rank, (page, score)) in (1..).zip(ranking::page_ranking(record)) {
            writeln!(found, "{id} Q0 {page} {rank} {score} docent").unwrap();
        }
    }
    let files = (folder.join("qrels"), folder.join("run"));
    std::fs::write(&files.0, qrels).unwrap();
    std::fs::write(&files.1, found).unwrap();
    files
}

#[test]
fn ir_measures_reads_our_files_and_agrees() {
    for name in ["nasty", "cranfield"] {
        let folder = tempfile::tempdir().unwrap();
        let run = run(name);
        let (qrels, found) = write(&run, folder.path());
        let out = Command::new(ir_measures()).args([&qrels, &found]).args(MEASURES).args(["-q", "-p", "6"]).output();
        let out = out.unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let ours = numbers(&scored(&run));
        let mut theirs = BTreeMap::new();
        for line in String::from_utf8(out.stdout).unwrap().lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (query, measure, value) = (fields[0], fields[1], fields[2].parse::<f64>().unwrap());
            theirs.insert((query.to_owned(), measure.to_owned()), value);
        }
        assert!(theirs.len() > run.records.len() * MEASURES.len() / 2, "{theirs:?}");
        for (of, value) in theirs {
            assert!((ours[&of] - value).abs() < 1e-4, "{name}: {of:?}: {}, ir_measures {value}", ours[&of]);
        }
    }
}
