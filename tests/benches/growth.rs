//! What an ingest takes as the documentation grows: time and peak memory of `docent`, for a first
//! run and for one after which nothing has changed. Memory must not grow with the number of chunks.
//!
//! The program is a process of its own, so that the stand-in, which runs in this one and holds every
//! vector, does not count. The documentation is made up: words of our own in pseudo-random order,
//! in sections that fill a chunk each. Sizes, in chunks, can be given as arguments.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// a benchmark that cannot run has nothing to say

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use docent_local::{Cloud, CloudConfig};

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
const SECTIONS_PER_PAGE: usize = 10;
/// Two sections of that length do not fit one chunk, one always does.
const WORDS_PER_SECTION: usize = 270;
/// Between two looks at the memory of a process, which counts its own peak.
const LOOK_EVERY: Duration = Duration::from_millis(5);

fn main() {
    let given: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if given.is_empty() { SIZES.to_vec() } else { given };
    let words = words(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs"));
    println!("{:>9} {:>6} {:>21} {:>27}", "chunks", "MB", "first run", "again, nothing changed");
    for chunks in sizes {
        let folder = tempfile::tempdir().unwrap();
        let docs = folder.path().join("docs");
        let bytes = write(&docs, chunks, &words);
        let cloud = Cloud::start(CloudConfig {
            state: Some(folder.path().join("state")),
            visibility_delay: Duration::ZERO,
            limit_kv_writes: false,
            ..CloudConfig::default()
        })
        .unwrap();
        let runs = [ingest(&cloud, &docs), ingest(&cloud, &docs)];
        let [first, again] =
            runs.map(|run| format!("{:.1} s, {:.0} MB", run.time.as_secs_f64(), run.peak_kib as f64 * 1.024e-3));
        println!("{chunks:>9} {:>6.1} {first:>21} {again:>27}", bytes as f64 / 1e6);
    }
}

struct Run {
    time: Duration,
    peak_kib: u64,
}

/// Runs the program that lies beside this one.
fn ingest(cloud: &Cloud, docs: &Path) -> Run {
    let beside: PathBuf = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("docent");
    let started = Instant::now();
    let mut child = Command::new(&beside)
        .arg("ingest")
        .arg(docs)
        .args(["--base-url", "https://docs.example", "--create-index", "--quiet"])
        .envs([("DOCENT_API_BASE", cloud.api_base().as_str()), ("CLOUDFLARE_ACCOUNT_ID", "local")])
        .envs([("CLOUDFLARE_API_TOKEN", "local"), ("DOCENT_INDEX", "docent")])
        .envs([("DOCENT_KV_ID", "docent"), ("DOCENT_D1_ID", "docent")])
        .stdin(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}: cargo build -p docent-ingest first", beside.display()));
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak(child.id()).unwrap_or(peak_kib);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    assert!(status.success(), "{status}");
    Run { time: started.elapsed(), peak_kib }
}

/// Most memory that a process had at any time so far; a process that has ended has none.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("/proc, which Linux has");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Plain words of a folder of Markdown, in an order that is always the same.
fn words(docs: &Path) -> Vec<String> {
    let mut words = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(docs).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
        let plain = |word: &&str| word.len() < 8 && word.bytes().all(|byte| byte.is_ascii_lowercase());
        words.extend(text.split_whitespace().filter(plain).map(str::to_owned));
    }
    words.into_iter().collect()
}

/// Writes pages of so many chunks together, and says how many bytes they have.
fn write(docs: &Path, chunks: usize, words: &[String]) -> usize {
    std::fs::create_dir(docs).unwrap();
    let mut random = 1_u64;
    let mut word = || {
        // The linear congruential generator of Knuth's MMIX; its upper half is random enough.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        &words[usize::try_from(random >> 33).unwrap() % words.len()]
    };
    let mut bytes = 0;
    for page in 0..chunks / SECTIONS_PER_PAGE {
        let mut text = format!("# Page {page}\n");
        for section in 0..SECTIONS_PER_PAGE {
            write!(text, "\n## Part {section}\n\n").unwrap();
            for place in 1..=WORDS_PER_SECTION {
                let end = if place % 18 == 0 { ".\n" } else { " " };
                write!(text, "{}{end}", word()).unwrap();
            }
        }
        bytes += text.len();
        std::fs::write(docs.join(format!("{page}.md")), text).unwrap();
    }
    bytes
}
