//! What checking the citations of an answer costs: microseconds an answer, as a ratio to only taking out the
//! numbers that were not offered, and how it grows with answers made to be slow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
// a benchmark that cannot run has nothing to say

use std::hint::black_box;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use docent_core::citations::{CitationFilter, Citations};
use docent_core::prompt::Passage;

const ROUNDS: u32 = 200;
/// Passages that are offered, and cited all of them.
const PASSAGES: usize = 8;

fn main() {
    let (passages, answer) = labelled();
    println!("{} passages of {} bytes, answer of {} bytes", passages.len(), bytes(&passages), answer.len());
    let filtered = microseconds(|| {
        let mut filter = CitationFilter::new(PASSAGES);
        let shown: usize = words(&answer).map(|word| filter.push(word).len()).sum();
        black_box(shown + filter.finish().len());
    });
    let checked = microseconds(|| {
        black_box(check(&passages, &answer));
    });
    println!("numbers taken out {filtered:.0} µs, citations checked {checked:.0} µs: {:.1} times", checked / filtered);
    println!("\nanswers made to be slow, bytes and µs, each twice the one before");
    for (what, piece) in [
        ("no full stop", "word --flag 123, "),
        ("full stops and brackets only", "x.["),
        ("each word cites", "a [1]. "),
        ("one word", "aB1."),
        ("open code", "`a` [2] "),
    ] {
        let times = [8_192, 16_384, 32_768, 65_536].map(|bytes| {
            let answer = piece.repeat(bytes / piece.len()) + " [1]";
            microseconds(|| {
                black_box(check(&passages, &answer));
            })
        });
        println!("{what:<30} {}", times.map(|time| format!("{time:>9.0}")).concat());
    }
}

fn check(passages: &Rc<[Passage]>, answer: &str) -> usize {
    let mut citations = Citations::new(Rc::clone(passages));
    let found: usize = words(answer).map(|word| citations.push(word).len()).sum();
    found + citations.finish().len()
}

/// As a model streams them.
fn words(answer: &str) -> impl Iterator<Item = &str> {
    answer.split_inclusive(' ')
}

fn bytes(passages: &[Passage]) -> usize {
    passages.iter().map(|passage| passage.text.len()).sum()
}

/// The best of many rounds: the machine is shared.
fn microseconds(mut work: impl FnMut()) -> f64 {
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1e6
    };
    (0..ROUNDS).map(|_| time(&mut work)).fold(f64::INFINITY, f64::min)
}

/// Passages and sentences of the labelled set; each sentence cites its passage.
fn labelled() -> (Rc<[Passage]>, String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/citations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let pages = texts.iter().filter_map(|text| text.split_once("\n=====\n"));
    let (mut passages, mut answer) = (Vec::new(), String::new());
    for (n, (head, sentences)) in (1..).zip(pages.take(PASSAGES)) {
        let (title, text) = head.split_once("\n\n").unwrap();
        let [title, url] = [title, "https://docs.example/page#part"].map(str::to_owned);
        passages.push(Passage {
            n,
            title,
            heading: String::new(),
            url,
            text: text.to_owned(),
            score: 0.5,
            version: String::new(),
        });
        for line in sentences.lines().take(2) {
            let sentence = line.split_once("] ").unwrap().1.trim_end_matches('.');
            answer.extend([sentence, " [", &n.to_string(), "].\n"]);
        }
    }
    (passages.into(), answer)
}
