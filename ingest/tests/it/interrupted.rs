//! An ingest that is killed, at any moment, over services that fail now and then: the next one ends
//! where an undisturbed one ends, embeds nothing twice that was stored, and no reader ever sees
//! anything but the old index or the new one.
//!
//! Some points run with every test; `DOCENT_KILLS=50 cargo test -p docent-ingest interrupted` is the
//! long run.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use docent_local::{Canned, Fault};

use crate::production::{Production, StateIn};

/// Writes to Vectorize are seen so late.
const DELAY: Duration = Duration::from_millis(150);
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

/// One call in twenty fails: half of them before anything is done, half of them after.
fn failures(seed: u64) -> Vec<Fault> {
    let fault = |service: &str, after| Fault {
        service: service.to_owned(),
        share: Some(0.025),
        seed,
        after,
        respond: (!after).then(|| Canned {
            status: 503,
            content_type: None,
            body: r#"{"success":false,"errors":[]}"#.to_owned(),
        }),
        drop_connection: after,
        ..Fault::default()
    };
    ["ai", "vectorize", "kv", "d1"].iter().flat_map(|service| [fault(service, false), fault(service, true)]).collect()
}

fn answers(production: &Production) -> Vec<Vec<String>> {
    let reader = production.reader();
    QUESTIONS.iter().map(|question| reader.finds(question).unwrap()).collect()
}

fn stored(production: &Production) -> usize {
    let kept = production.cloud.dump().unwrap();
    let vectors = kept["vectorize"][crate::production::NAME].as_object().unwrap().clone();
    vectors.values().filter(|vector| vector["metadata"]["gen"] == 2).count()
}

fn interrupted(state: StateIn, kills: usize) {
    let undisturbed = Production::with(state, DELAY);
    write(&undisturbed, false);
    undisturbed.ingest(&["--concurrency", "2"]);
    let old = answers(&undisturbed);
    write(&undisturbed, true);
    let started = Instant::now();
    let report = undisturbed.ingest(&["--concurrency", "2"]);
    let duration = started.elapsed();
    let new = answers(&undisturbed);
    assert!(old.iter().zip(&new).all(|(old, new)| old != new), "the questions tell the generations apart");
    let written = usize::try_from(report["embedded"].as_u64().unwrap() + report["copied"].as_u64().unwrap()).unwrap();
    let expected = undisturbed.kept();

    for kill in 0..kills {
        let production = Production::with(state, DELAY);
        write(&production, false);
        production.ingest(&[]);
        write(&production, true);
        // Spread over the whole of the run, and a little beyond its end.
        let moment = duration.mul_f64(1.1 * (kill as f64 + 0.5) / kills as f64);
        let (done, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let reader = production.reader();
                let mut is_new = false;
                while !done.load(Ordering::Relaxed) {
                    for (question, (old, new)) in QUESTIONS.iter().zip(old.iter().zip(&new)) {
                        let Some(found) = reader.finds(question) else { continue };
                        reads.fetch_add(1, Ordering::Relaxed);
                        is_new |= found == *new;
                        let seen = if is_new { new } else { old };
                        assert_eq!(&found, seen, "{question:?}, killed after {moment:?}");
                    }
                }
            });
            production.cloud.set_faults(failures(kill as u64));
            let mut run = production.start(&["ingest", "docs", "--concurrency", "2"]);
            std::thread::sleep(moment);
            run.kill().unwrap();
            run.wait().unwrap();
            let before = stored(&production);
            production.cloud.clear_requests();
            let ended = production.docent(&["ingest", "docs"]);
            assert_eq!(ended.code, Some(0), "killed after {moment:?}: {ended:?}");
            let embedded = usize::try_from(production.calls("texts.embedded")).unwrap();
            assert!(embedded <= 2 * (written - before), "{embedded} embedded, {before} of {written} were stored");
            done.store(true, Ordering::Relaxed);
        });
        production.cloud.set_faults(Vec::new());
        assert_eq!(production.kept(), expected, "killed after {moment:?}");
        assert!(reads.into_inner() > 0);
        let verified = production.docent(&["verify"]);
        assert_eq!(verified.code, Some(0), "killed after {moment:?}: {verified:?}");
    }
}

fn kills(some: usize) -> usize {
    std::env::var("DOCENT_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(some)
}

#[test]
fn killed_at_any_moment_an_ingest_is_continued_with_the_state_in_d1() {
    interrupted(StateIn::D1, kills(6));
}

#[test]
fn killed_at_any_moment_an_ingest_is_continued_with_the_state_in_kv() {
    interrupted(StateIn::Kv, kills(4));
}
