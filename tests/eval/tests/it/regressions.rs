//! The gates of this project notice what breaks, each thing alone, and hold when nothing does.
//!
//! What is wrong with search is planted by the settings of `retrieval`; what is wrong with answers, by a
//! proxy between the harness and the bot that rewrites the stream.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use docent_eval::local::{Local, Parts};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::run::{root, said};

const DOCS_URL: &str = "https://docs.example/";
const QUESTIONS: [&str; 2] = ["--questions", "tests/eval/questions.yaml"];

/// Runs docent-eval; its exit code and all that it said.
fn eval(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_docent-eval")).current_dir(root()).args(arguments).output().unwrap();
    (output.status.code().unwrap(), said(&output))
}

/// Asks what answers at `url`, and holds the gate.
fn ask_and_gate(url: &str, key: &str, out: &Path) -> (i32, String) {
    let out = out.to_str().unwrap();
    let bot = ["--bot", url, "--trace-key", key, "--base-url", DOCS_URL, "--out", out, "--overwrite"];
    let (code, text) = eval(&[&["run"], &QUESTIONS[..], &bot].concat());
    assert_eq!(code, 0, "{text}");
    eval(&["gate", out, "--gates", "tests/eval/gate.toml"])
}

/// Searches our documentation, and holds the gate over what dense search found.
fn search_and_gate(out: &Path, settings: &[&str]) -> (i32, String) {
    let folder = out.to_str().unwrap();
    let search = ["retrieval", "--docs", "docs", "--base-url", DOCS_URL, "--system", "dense", "--out", folder];
    let (code, text) = eval(&[&search, &QUESTIONS[..], settings].concat());
    assert_eq!(code, 0, "{text}");
    eval(&["gate", out.join("docs-dense.jsonl").to_str().unwrap(), "--gates", "tests/eval/gate-retrieval.toml"])
}

#[test]
fn an_unchanged_bot_passes_every_time() {
    let folder = TempDir::new().unwrap();
    for round in 0..4 {
        // A bot of its own each time: another process, another index, other ids.
        let local = Local::start(&Parts::default(), &root().join("docs"), DOCS_URL).unwrap();
        for time in 0..5 {
            let out = folder.path().join(format!("{round}-{time}.jsonl"));
            let (code, text) = ask_and_gate(&local.url(), &local.trace_key, &out);
            assert_eq!(code, 0, "{text}");
        }
    }
    let (code, text) = search_and_gate(folder.path(), &[]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn what_is_wrong_with_search_is_noticed() {
    let planted = [
        ("chunks of 2,000 tokens, of which the embedder sees 512", &["--chunk-tokens", "2000"][..]),
        ("questions embedded with the wrong pooling", &["--query-pooling", "mean"]),
        ("texts without their headings", &["--no-headings"]),
    ];
    for (what, settings) in planted {
        let folder = TempDir::new().unwrap();
        let (code, text) = search_and_gate(folder.path(), settings);
        assert_eq!(code, 1, "{what}: {text}");
    }
}

#[test]
fn what_is_wrong_with_answers_is_noticed() {
    let local = Local::start(&Parts::default(), &root().join("docs"), DOCS_URL).unwrap();
    let planted: [(&str, Planted, &[&str]); 2] = [
        ("sources in another order", reverse_sources, &["nDCG@10", "citation:pages"]),
        ("a citation of what no passage says", invent_citation, &["citation:precision", "supported"]),
    ];
    for (what, plant, gates) in planted {
        let folder = TempDir::new().unwrap();
        let url = proxy(&local.url(), plant);
        let (code, text) = ask_and_gate(&url, &local.trace_key, &folder.path().join("run.jsonl"));
        assert_eq!(code, 1, "{what}: {text}");
        for gate in gates {
            let failed = text.lines().find(|line| line.starts_with(gate) && line.contains(": it is "));
            assert!(failed.is_some(), "{what}: {gate} holds all the same: {text}");
        }
    }
    let through = proxy(&local.url(), |_| ());
    let folder = TempDir::new().unwrap();
    let (code, text) = ask_and_gate(&through, &local.trace_key, &folder.path().join("run.jsonl"));
    assert_eq!(code, 0, "the proxy alone changes nothing: {text}");
}

/// Changes the parts of a stream.
type Planted = fn(&mut Vec<Value>);

/// Numbers stay, pages change places: readers see the worst one first, and `[1]` leads there.
#[allow(clippy::ptr_arg)] // one of those that may also add parts
fn reverse_sources(parts: &mut Vec<Value>) {
    let places: Vec<usize> = (0..parts.len()).filter(|at| parts[*at]["type"] == "source-url").collect();
    let sources: Vec<Value> = places.iter().map(|at| parts[*at].clone()).collect();
    for (at, source) in places.into_iter().zip(sources.into_iter().rev()) {
        let number = parts[at]["sourceId"].clone();
        parts[at] = source;
        parts[at]["sourceId"] = number;
    }
}

/// A sentence at the end that the first passage does not say. A refusal stays one.
fn invent_citation(parts: &mut Vec<Value>) {
    let refused = parts.iter().any(|part| part["messageMetadata"]["refused"] == json!(true));
    if let (false, Some(end)) = (refused, parts.iter().position(|part| part["type"] == "text-end")) {
        let delta = "\n\nSince version 99.7 it needs 4242 licences [1].";
        parts.insert(end, json!({"type": "text-delta", "id": "0", "delta": delta}));
    }
}

/// Passes requests on to a bot, and its streams back as `plant` leaves them.
fn proxy(bot: &str, plant: Planted) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let bot = bot.trim_end_matches('/').to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let bot = bot.clone();
            std::thread::spawn(move || pass_on(stream.unwrap(), &bot, plant));
        }
    });
    url
}

fn pass_on(mut client: TcpStream, bot: &str, plant: Planted) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return };
    let mut request = ureq::http::Request::builder().method(method).uri(format!("{bot}{path}"));
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        let Some((name, value)) = header.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "authorization" | "content-type" => request = request.header(name, value.trim()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let response = agent.run(request.body(body).unwrap()).unwrap();
    let (parts, mut body) = response.into_parts();
    let kind = parts.headers["content-type"].to_str().unwrap().to_owned();
    let mut text = body.read_to_string().unwrap();
    if kind.starts_with("text/event-stream") {
        text = planted(&text, plant);
    }
    let status = parts.status.as_u16();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    );
    client.write_all((head + &text).as_bytes()).unwrap();
}

/// A stream with its parts changed; what is no part, such as `[DONE]`, stays at the end.
fn planted(stream: &str, plant: Planted) -> String {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let (parts, rest): (Vec<&str>, Vec<&str>) = data.partition(|data| data.starts_with('{'));
    let mut parts: Vec<Value> = parts.into_iter().map(|part| serde_json::from_str(part).unwrap()).collect();
    plant(&mut parts);
    let parts = parts.into_iter().map(|part| part.to_string()).chain(rest.into_iter().map(str::to_owned));
    parts.map(|data| format!("data: {data}\n\n")).collect::<Vec<_>>().concat()
}
