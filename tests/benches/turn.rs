//! CPU of the Worker per chat turn, as a ratio to others in the same run: a bare JavaScript
//! Worker that makes the same upstream calls and does nothing else, and the bot as tutorials write
//! it; and, below what a bot can do, one that hands the model's stream over unseen. What it costs to
//! ask D1 on every turn shows beside the bot without D1. CPU is what Cloudflare bills; it is user
//! plus system time of each one's own workerd, so that neither the stand-in nor this program counts.
//!
//! `cargo bench -p docent-tests --bench turn -- <folder>` has another build of the Worker take part,
//! `before`, with D1: what a change costs.
//!
//! They take turns, round by round, since the speed of a shared machine drifts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
// a benchmark that cannot run has nothing to say

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use docent_ingest::settings::{Given, GivenConnection, Settings};
use docent_local::{Cloud, CloudConfig, Module, Workerd, WorkerdConfig, workerd};
use serde_json::{Value, json};

const ROUNDS: usize = 7;
/// Turns per round: a tick of CPU time is 10 ms, a round must have many.
const TURNS: u32 = 160;
/// Asked at the same time, as an isolate serves them.
const AT_ONCE: u32 = 8;
const WARM_UP: u32 = 200;

const QUESTION: &str = "Which header carries the trace id of a response, and what is written to the log?";

struct Contender {
    name: &'static str,
    path: &'static str,
    workerd: Workerd,
    session: Option<String>,
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let cloud = Cloud::start(CloudConfig {
        visibility_delay: Duration::ZERO,
        // Slow enough that words reach the Worker one by one, as from a model.
        token_delay: Duration::from_millis(2),
        limit_kv_writes: false,
        ..CloudConfig::default()
    })
    .unwrap();
    ingest(&cloud, &root.join("docs"));
    let binary = workerd::find_binary(root).unwrap();
    let bound = |modules, content: Option<&str>| {
        let content = content.map(str::to_owned);
        let config = WorkerdConfig::new(binary.clone(), modules, cloud.address());
        Workerd::start(&WorkerdConfig { content, ..config }).unwrap()
    };
    let start = |modules| bound(modules, None);
    let script = |name: &str| {
        let content = std::fs::read(root.join("tests/benches").join(name)).unwrap();
        vec![Module { name: "index.js".to_owned(), content }]
    };
    let docent = workerd::read_modules(&root.join("worker/build")).expect("build the Worker first");
    let mut contenders = vec![
        Contender { name: "bare", path: "/", workerd: start(script("bare.js")), session: None },
        Contender { name: "docent", path: "/v1/chat", workerd: start(docent.clone()), session: None },
        Contender { name: "docent + D1", path: "/v1/chat", workerd: bound(docent, Some("docent")), session: None },
        Contender { name: "tutorial", path: "/", workerd: start(script("tutorial.js")), session: None },
        Contender { name: "passthrough", path: "/", workerd: start(script("passthrough.js")), session: None },
    ];
    if let Some(build) = std::env::args().skip(1).find(|argument| argument != "--bench") {
        let before =
            workerd::read_modules(Path::new(&build)).expect("the folder of a built Worker: index.js and index_bg.wasm");
        let workerd = bound(before, Some("docent"));
        contenders.push(Contender { name: "before", path: "/v1/chat", workerd, session: None });
    }
    println!("CPU of workerd per turn, {ROUNDS} rounds of {TURNS} turns, {AT_ONCE} at a time");
    for contender in &contenders {
        let events = ask(contender, &json!({ "message": QUESTION })).matches("data: ").count();
        println!("{}: {events} events an answer", contender.name);
    }
    measure("first turn (no session)", &contenders);
    for contender in &mut contenders {
        contender.session = Some(session(contender));
    }
    measure("follow-up (a session with one turn)", &contenders);
}

fn ingest(cloud: &Cloud, docs: &Path) {
    let settings = Settings::new(Given {
        paths: vec![docs.to_owned()],
        base_url: Some("https://docs.example/".to_owned()),
        connection: GivenConnection {
            index: Some("docent".to_owned()),
            kv_id: Some("docent".to_owned()),
            d1_id: Some("docent".to_owned()),
            api_base: Some(cloud.api_base()),
            account_id: Some("local".to_owned()),
            api_token: Some("local".to_owned()),
            ..GivenConnection::default()
        },
        create_index: true,
        ..Given::default()
    });
    docent_ingest::run::run(&settings.unwrap(), &|_, _, _| {}).unwrap();
}

/// A session with one turn in it, as the contender knows it.
fn session(contender: &Contender) -> String {
    let body = json!({ "message": "What is docent?", "stream": false });
    let answer = ask(contender, &body);
    let named =
        serde_json::from_str::<Value>(&answer).ok().and_then(|answer| answer["session"].as_str().map(str::to_owned));
    named.unwrap_or_else(|| "none".to_owned())
}

fn ask(contender: &Contender, body: &Value) -> String {
    let url = format!("{}{}", contender.workerd.url().trim_end_matches('/'), contender.path);
    let mut response = ureq::post(&url).header("content-type", "application/json").send(body.to_string()).unwrap();
    let mut answer = String::new();
    response.body_mut().as_reader().read_to_string(&mut answer).unwrap();
    assert!(answer.len() > 200, "{}: {answer}", contender.name);
    answer
}

fn run(contender: &Contender, turns: u32) {
    let mut body = json!({ "message": QUESTION });
    if let Some(session) = &contender.session {
        body["session"] = session.as_str().into();
    }
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                for _ in 0..turns / AT_ONCE {
                    ask(contender, &body);
                }
            });
        }
    });
}

fn measure(what: &str, contenders: &[Contender]) {
    for contender in contenders {
        run(contender, WARM_UP);
    }
    let mut cpu = vec![Vec::new(); contenders.len()];
    for _ in 0..ROUNDS {
        for (contender, cpu) in contenders.iter().zip(&mut cpu) {
            let before = cpu_ms(contender.workerd.pid());
            run(contender, TURNS);
            cpu.push((cpu_ms(contender.workerd.pid()) - before) / f64::from(TURNS));
        }
    }
    println!("\n{what}");
    println!("{:<12} {:>12} {:>28}", "", "ms per turn", "ratio to bare (min–max)");
    for (contender, own) in contenders.iter().zip(&cpu) {
        let ratios: Vec<f64> = own.iter().zip(&cpu[0]).map(|(own, bare)| own / bare).collect();
        let (ms, (least, middle, most)) = (spread(own).1, spread(&ratios));
        println!("{:<12} {ms:>12.2} {:>28}", contender.name, format!("{middle:.2} ({least:.2}–{most:.2})"));
    }
}

/// Minimum, median, maximum.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1])
}

/// User and system time of a process so far, milliseconds; Linux counts it in ticks of 10 ms.
fn cpu_ms(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) * 10.0
}
