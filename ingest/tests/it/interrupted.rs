//! An ingest that is killed, at any moment, over services that fail now and then: the next one ends
//! where an undisturbed one ends, embeds nothing twice that was stored, and no reader ever sees
//! anything but the old index or the new one.
//!
//! Some points run with every test; `DOCENT_KILLS=50 cargo test -p docent-ingest interrupted` is the
//! long run.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use docent_local::{Canned, Fault};
use serde_json::Value;

use crate::production::{Production, StateIn};

/// Writes to Vectorize are seen so late.
const DELAY: Duration = Duration::from_millis(150);
/// Lines of progress that such a run prints, and one more that never comes.
const STAGES: usize = 8;
/// Copies of the project's own documentation, each with words of its own.
const COPIES: usize = 16;
const QUESTIONS: [&str; 3] =
    ["How do I change the port?", "Which edition is revised?", "What do zebras have to do with the exit code?"];

/// The documentation before or after a change: pages edited, moved, removed and added.
fn write(production: &Production, changed: bool) {
    let _ = std::fs::remove_dir_all(production.docs());
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut pages: Vec<_> = std::fs::read_dir(own).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    for copy in 0..COPIES {
        let revised = if changed && copy % 2 == 0 { " is revised" } else { "" };
        let folder = if changed && copy == 3 { "moved".to_owned() } else { format!("edition-{copy}") };
        for page in pages.iter().filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
            let name = page.file_name().unwrap().to_str().unwrap();
            if changed && copy == 1 && name.starts_with('l') {
                continue;
            }
            let text = std::fs::read_to_string(page).unwrap();
            let text = text.replace("\n\n", &format!("\n\nEdition {copy}{revised}.\n\n"));
            production.write(&format!("{folder}/{name}"), text);
        }
    }
    if changed {
        production.write("zebras.md", "# Zebras\n\nZebras have nothing to do with the exit code.\n");
    }
}

/// A change to that, which is taken back before it is ingested whole.
fn write_unwanted(production: &Production) {
    production.write("unwanted.md", "# Unwanted\n\nZebras, the exit code and the port, revised.\n");
    production.remove("moved/index.md");
}

/// One call in twenty fails: half of them before anything is done, half of them after.
fn failures(seed: u64) -> Vec<Fault> {
    let fault = |service: &str, after| Fault {
        service: service.to_owned(),
        share: Some(0.025),
        seed,
        after,
        respond: (!after).then(|| Canned {
            status: 503,
            body: r#"{"success":false,"errors":[]}"#.to_owned(),
            ..Canned::default()
        }),
        drop_connection: after,
        ..Fault::default()
    };
    ["ai", "vectorize", "kv", "d1"].iter().flat_map(|service| [fault(service, false), fault(service, true)]).collect()
}

/// Ends the reader.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn chunks_written(report: &Value) -> usize {
    let counts = ["embedded", "copied"].map(|count| report[count].as_u64().unwrap());
    usize::try_from(counts.iter().sum::<u64>()).unwrap()
}

/// What readers of one generation may see, and what they must.
struct Whole {
    ids: BTreeSet<String>,
    /// Of each question, what is found first.
    best: Vec<Vec<String>>,
}

impl Whole {
    /// Of the documentation that `write` makes, in an index that never held another one.
    fn of(state: StateIn, write: impl Fn(&Production)) -> Self {
        let production = Production::with(state, Duration::ZERO);
        write(&production);
        production.ingest(&[]);
        let kept = production.cloud.dump().unwrap();
        let ids = kept["vectorize"][crate::production::NAME].as_object().unwrap().keys().cloned().collect();
        let reader = production.reader();
        let first = |question| reader.candidates(question).unwrap().into_iter().take(3).collect();
        Self { ids, best: QUESTIONS.into_iter().map(first).collect() }
    }

    /// Nothing else is found, and not without the best. The order of the rest may be another one while a
    /// generation is written: how rare a word is, D1 counts over all that it holds.
    fn has(&self, question: usize, found: &[String]) -> bool {
        found.iter().all(|id| self.ids.contains(id)) && self.best[question].iter().all(|id| found.contains(id))
    }
}

fn stored(production: &Production) -> usize {
    let kept = production.cloud.dump().unwrap();
    let vectors = kept["vectorize"][crate::production::NAME].as_object().unwrap().clone();
    let is_wanted = |vector: &&Value| vector["metadata"]["path"] != "unwanted.md";
    vectors.values().filter(|vector| vector["metadata"]["gen"] == 2).filter(is_wanted).count()
}

fn interrupted(state: StateIn, kills: usize) {
    let undisturbed = Production::with(state, DELAY);
    write(&undisturbed, false);
    undisturbed.ingest(&["--concurrency", "2"]);
    write(&undisturbed, true);
    let report = undisturbed.ingest(&["--concurrency", "2"]);
    let written = chunks_written(&report);
    let expected = undisturbed.kept();
    let unwanted = |production: &Production| {
        write(production, true);
        write_unwanted(production);
    };
    let old = Whole::of(state, |production| write(production, false));
    let new = Whole::of(state, |production| write(production, true));
    let generations = [old, new, Whole::of(state, unwanted)];
    let reader = undisturbed.reader();
    for (question, text) in QUESTIONS.into_iter().enumerate() {
        let found = reader.candidates(text).unwrap();
        let is_whole: Vec<bool> = generations.iter().map(|whole| whole.has(question, &found)).collect();
        assert!(!is_whole[0] && is_whole[1], "{text} tells the generations apart: {is_whole:?}");
    }

    for kill in 0..kills {
        let production = Production::with(state, DELAY);
        write(&production, false);
        production.ingest(&[]);
        write(&production, true);
        // So long after that line of its progress: somewhere in each of its stages, and after its end.
        let (line, pause) = (kill % STAGES, Duration::from_millis((kill as u64 * 47) % 130));
        // Every other run that is killed writes what nobody wants afterwards.
        let unwanted = kill % 2 == 1;
        let moment = format!("{pause:?} after line {line}");
        let (done, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
        let was_done = std::thread::scope(|scope| {
            scope.spawn(|| {
                let reader = production.reader();
                let mut seen = 0;
                while !done.load(Ordering::Relaxed) {
                    for (question, text) in QUESTIONS.into_iter().enumerate() {
                        let Some(found) = reader.candidates(text) else { continue };
                        reads.fetch_add(1, Ordering::Relaxed);
                        let whole = if unwanted { &generations[..] } else { &generations[..2] };
                        let is_whole = |generation: &usize| whole[*generation].has(question, &found);
                        let now = (seen..whole.len()).find(is_whole);
                        seen = now.unwrap_or_else(|| panic!("{question}: {found:#?}, killed {moment}"));
                    }
                }
            });
            // Also when an assertion fails: the scope waits for the reader.
            let _end = Ends(&done);
            if unwanted {
                write_unwanted(&production);
            }
            production.cloud.set_faults(failures(kill as u64));
            let arguments = ["ingest", "docs", "--concurrency", "2"];
            let mut run = production.command(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            let _ = BufReader::new(run.stderr.as_mut().unwrap()).lines().nth(line);
            std::thread::sleep(pause);
            run.kill().unwrap();
            run.wait().unwrap();
            let before = stored(&production);
            let status = production.docent(&["status", "--json"]).json();
            if unwanted && status["live"]["number"] == 2 {
                // It was done before it was killed.
                return true;
            }
            write(&production, true);
            let report = production.docent(&["ingest", "docs", "--json"]).json();
            let again = chunks_written(&report);
            assert!(again <= written - before, "{again} written again, {before} of {written} were stored");
            false
        });
        if was_done {
            continue;
        }
        production.cloud.set_faults(Vec::new());
        let different = difference(&production.kept(), &expected);
        assert!(different.is_empty(), "killed {moment}: {different:#?}");
        assert!(reads.into_inner() > 0);
        let verified = production.docent(&["verify"]);
        assert_eq!(verified.code, Some(0), "killed {moment}: {verified:?}");
    }
}

/// What only one of two states holds, each cut to a line.
fn difference(one: &Value, other: &Value) -> Vec<String> {
    fn flat(path: &str, value: &Value, lines: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    flat(&format!("{path}/{name}"), value, lines);
                }
            }
            Value::Array(rows) => lines.extend(rows.iter().map(|row| format!("{path}: {row}"))),
            value => lines.extend([format!("{path}: {value}")]),
        }
    }
    let (mut lines, mut others) = (BTreeSet::new(), BTreeSet::new());
    flat("", one, &mut lines);
    flat("", other, &mut others);
    let cut = |line: &String| line.chars().take(200).collect::<String>();
    let more = lines.difference(&others).map(|line| format!("+ {}", cut(line)));
    more.chain(others.difference(&lines).map(|line| format!("- {}", cut(line)))).take(20).collect()
}

fn kills(some: usize) -> usize {
    std::env::var("DOCENT_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(some)
}

#[test]
fn killed_at_any_moment_an_ingest_is_continued_with_the_state_in_d1() {
    interrupted(StateIn::D1, kills(STAGES));
}

#[test]
fn killed_at_any_moment_an_ingest_is_continued_with_the_state_in_kv() {
    interrupted(StateIn::Kv, kills(STAGES));
}
