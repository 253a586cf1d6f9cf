//! Citations: how often the check is right on sentences labelled by hand, and what reaches a reader.

use std::collections::BTreeMap;

use docent_core::support::{Evidence, Fault, Support, check};

use crate::bot::root;

/// A sentence of `tests/fixtures/citations`, with what the check says of it.
struct Labelled {
    held_out: bool,
    file: String,
    /// What is wrong with it; nothing for a sentence that the passage supports.
    kind: Option<String>,
    english: bool,
    text: String,
    found: Support,
    fault: Option<Fault>,
}

fn labelled() -> Vec<Labelled> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(root().join("tests/fixtures/citations")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let Some((head, rest)) = text.split_once("\n\n") else { continue };
        let Some((passage, sentences)) = rest.split_once("\n=====\n") else { continue };
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        let (title, heading) = field("title:").split_once(" › ").unwrap_or((field("title:"), ""));
        let evidence = Evidence::new(title, heading, passage);
        for line in sentences.lines() {
            let (label, text) = line.split_once("] ").unwrap();
            let (sign, label) = label.split_once(" [").unwrap();
            let verdict = check(text, &[&evidence]);
            all.push(Labelled {
                held_out: field("half:") == "held-out",
                file: path.file_stem().unwrap().to_str().unwrap().to_owned(),
                kind: (sign == "-").then(|| label.split(' ').next().unwrap().to_owned()),
                english: label.ends_with("en"),
                text: text.to_owned(),
                found: verdict.support,
                fault: verdict.fault,
            });
        }
    }
    all.sort_by(|a, b| (&a.file, &a.text).cmp(&(&b.file, &b.text)));
    all
}

fn share(part: usize, whole: usize) -> f64 {
    f64::from(u32::try_from(part).unwrap()) / f64::from(u32::try_from(whole).unwrap())
}

/// Run with `--nocapture` to read the table; with `DOCENT_SHOW=1` also the mistakes of the development half.
#[test]
fn the_check_is_right_on_labelled_sentences_as_often_as_promised() {
    let all = labelled();
    assert_eq!((all.len(), all.iter().filter(|it| it.kind.is_none()).count()), (300, 150));
    for held_out in [false, true] {
        let half: Vec<&Labelled> = all.iter().filter(|it| it.held_out == held_out).collect();
        let count = |test: &dyn Fn(&Labelled) -> bool| half.iter().filter(|it| test(it)).count();
        let marked = |it: &Labelled| it.found == Support::Unsupported;
        let passed = |it: &Labelled| it.found == Support::Supported;
        let wrong = |it: &Labelled| it.kind.is_some();
        let unsupported_precision = share(count(&|it| marked(it) && wrong(it)), count(&marked));
        let unsupported_recall = share(count(&|it| marked(it) && wrong(it)), count(&wrong));
        let supported_precision = share(count(&|it| passed(it) && !wrong(it)), count(&passed));
        let right = |it: &Labelled| !wrong(it) && it.english;
        let supported_recall = share(count(&|it| passed(it) && right(it)), count(&right));
        println!("\n{} half, {} sentences", if held_out { "held-out" } else { "development" }, half.len());
        println!("unsupported: precision {unsupported_precision:.3} recall {unsupported_recall:.3}");
        println!("supported:   precision {supported_precision:.3} recall {supported_recall:.3} (in the passage's language)");
        let foreign = |it: &Labelled| !it.english;
        println!(
            "in another language, all right: {} of {} unchecked, {} supported, {} unsupported",
            count(&|it| foreign(it) && it.found == Support::Unchecked),
            count(&foreign),
            count(&|it| foreign(it) && passed(it)),
            count(&|it| foreign(it) && marked(it)),
        );
        let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for it in half.iter().filter(|it| wrong(it)) {
            let (found, of) = kinds.entry(it.kind.as_deref().unwrap()).or_default();
            *found += usize::from(marked(it));
            *of += 1;
        }
        for (kind, (found, of)) in kinds {
            println!("  {kind:<10} {found:>2} of {of}");
        }
        if std::env::var_os("DOCENT_SHOW").is_some() && !held_out {
            for it in half.iter().filter(|it| wrong(it) != marked(it)) {
                println!("{:?} {:?} for {:?} in {}: {}", it.found, it.fault, it.kind, it.file, it.text);
            }
        }
    }
}
