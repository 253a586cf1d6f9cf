//! Questions go to the real bot over this project's own documentation, by the command.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use docent_eval::bot::stream::Stream;
use docent_eval::bot::{Again, Bot, Refusal};
use docent_eval::local::{Local, Parts};
use docent_eval::questions::Question;
use docent_eval::records::{Record, Run, Times};
use docent_local::Fault;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_docent-eval"));
    command.current_dir(root()).args(arguments).env_remove("DOCENT_TRACE_KEY");
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// Questions with all that a question may bring along.
fn questions(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("questions.jsonl");
    let lines = [
        json!({"id": "ingest", "question": "How do I ingest my documentation?", "pages": ["ingest.md"], "tags": ["how"]}),
        json!({"id": "model", "question": "How do I set the chat model?", "pages": ["configuration"], "tags": ["how"]}),
        json!({"id": "follow", "question": "And how long is it kept?", "turns": ["What is a session?"]}),
        json!({"id": "page", "question": "Which options are there?", "page": "https://docs.example/local/"}),
        json!({"id": "weather", "question": "Will it rain in Lisbon tomorrow?", "refuse": true}),
        json!({"id": "draft", "question": "Is this one confirmed?", "draft": true}),
    ];
    std::fs::write(&path, lines.map(|line| line.to_string() + "\n").concat()).unwrap();
    path
}

/// What two runs of one bot have in common: everything but times.
fn timeless(path: &Path) -> Run {
    let mut run = Run::read(path).unwrap();
    run.header.started_at.clear();
    run.header.label.clear();
    for record in &mut run.records {
        record.times = Times::default();
        if let Some(trace) = record.answer.as_mut().and_then(|answer| answer.trace.as_mut()) {
            (trace.trace_id, trace.message_id, trace.asked_at) = (String::new(), String::new(), 0);
            trace.steps = docent_core::trace::Steps::default();
            trace.tries.iter_mut().for_each(|attempt| attempt.ended_ms = 0);
        }
    }
    run
}

fn by_id<'r>(run: &'r Run, id: &str) -> &'r Record {
    run.records.iter().find(|record| record.question.id == id).unwrap()
}

fn local() -> Local {
    Local::start(&Parts::default(), &root().join("docs"), "https://docs.example/").unwrap()
}

#[test]
fn a_run_keeps_what_came_of_each_question_and_a_second_one_differs_in_times_only() {
    let folder = TempDir::new().unwrap();
    let (file, out) = (questions(&folder), folder.path().join("a.jsonl"));
    let arguments = ["run", "--questions", file.to_str().unwrap(), "--local", "docs", "--repeat", "2", "--json"];
    let ask = |out: &Path, more: &[&str]| run(&[&arguments[..], more, &["--out", out.to_str().unwrap()]].concat());
    let done = ask(&out, &["--var", "TOP_K=8"]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let summary: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&summary["answered"], &summary["refused"]), (&json!(10), &json!(2)));
    assert_eq!(done.stderr, b"", "nothing is shown where nobody looks at it while it happens");

    let run = Run::read(&out).unwrap();
    let order: Vec<_> = run.records.iter().map(|record| (record.question.id.as_str(), record.repeat)).collect();
    let wanted = ["ingest", "model", "follow", "page", "weather"].into_iter().flat_map(|id| [(id, 0), (id, 1)]);
    assert_eq!(order, wanted.collect::<Vec<_>>());
    let header = &run.header;
    assert_eq!((header.bot.as_str(), header.generation, header.label.as_str()), ("local", Some(1), "a"));
    assert_eq!(header.embedder, "lexical (stand-in, no language model)");
    assert_eq!(header.settings.get("TOP_K").map(String::as_str), Some("8"));

    let record = by_id(&run, "ingest");
    let answer = record.answer.as_ref().unwrap();
    let trace = answer.trace.as_ref().unwrap();
    assert_eq!(record.ranking.len(), trace.candidates.len());
    assert!(record.ranking.len() > 4 && record.ranking.iter().is_sorted_by(|a, b| a.score > b.score));
    assert_eq!(record.ranking[0].page, "ingest");
    assert!(record.question.pages.0.contains_key("ingest"), "written as a file, it is the same page");
    assert!(record.ranking[0].text.len() > 40 && answer.text.contains('['), "{record:#?}");
    assert_eq!((answer.finish.as_str(), answer.refused), ("stop", false));
    let Times { first_event_ms: Some(event), first_token_ms: Some(token), last_ms: Some(last) } = record.times else {
        panic!("{:?}", record.times)
    };
    assert!(0.0 < event && event <= token && token <= last);
    assert!(by_id(&run, "weather").answer.as_ref().unwrap().refused);
    let queries = &by_id(&run, "follow").answer.as_ref().unwrap().trace.as_ref().unwrap().queries;
    assert!(queries.iter().any(|query| query.contains("What is a session?")), "{queries:?}");

    let again = folder.path().join("b.jsonl");
    assert_eq!(ask(&again, &["--var", "TOP_K=8", "--concurrency", "4"]).status.code(), Some(0));
    assert_eq!(timeless(&out), timeless(&again));

    let other = ask(&out, &["--var", "TOP_K=9"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(said(&other).contains(r#"settings was {"TOP_K":"8"} and is {"TOP_K":"9"}"#), "{}", said(&other));
}

#[test]
fn a_run_that_was_killed_is_gone_on_with_wherever_it_was() {
    let folder = TempDir::new().unwrap();
    let (file, whole, out) = (questions(&folder), folder.path().join("whole.jsonl"), folder.path().join("out.jsonl"));
    let arguments = |out: &Path, rate: &str| {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let given = ["run", "--local", "docs", "--rate", rate, "--questions", &text(&file), "--out", &text(out)];
        given.map(str::to_owned)
    };
    let start = |out: &Path, rate: &str| {
        let arguments = arguments(out, rate);
        command(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert!(start(&whole, "1000").output().unwrap().status.success());

    // After the header, after one record, after three.
    for lines in [1, 2, 4] {
        let _ = std::fs::remove_file(&out);
        let mut child = start(&out, "8").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while std::fs::read_to_string(&out).unwrap_or_default().lines().count() < lines {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What a kill in the middle of a write leaves.
        let mut torn = std::fs::OpenOptions::new().append(true).open(&out).unwrap();
        torn.write_all(b"{\"question\":{\"id\":\"ing").unwrap();
        assert!(Run::read(&out).unwrap().records.len() < 5);
        let resumed = start(&out, "1000").output().unwrap();
        assert!(resumed.status.success(), "{}", said(&resumed));
        assert_eq!(timeless(&out), timeless(&whole));
    }
}

#[test]
fn a_failure_is_recorded_and_asked_again_by_the_same_command() {
    let folder = TempDir::new().unwrap();
    let (file, out) = (questions(&folder), folder.path().join("run.jsonl"));
    let (file, out_text) = (file.to_str().unwrap(), out.to_str().unwrap());
    let local = local();
    let url = local.url();
    let arguments = ["run", "--questions", file, "--bot", &url, "--out", out_text, "--concurrency", "1"];
    let arguments = [&arguments[..], &["--base-url", "https://docs.example/"]].concat();
    // The stream of one answer breaks off.
    let fault = json!([{"service": "ai", "operation": "chat", "times": 1, "cut_after_events": 4}]);
    local.cloud.set_faults(serde_json::from_value::<Vec<Fault>>(fault).unwrap());
    let done = run(&arguments);
    assert_eq!(done.status.code(), Some(4), "{}", said(&done));
    let first = Run::read(&out).unwrap();
    let failed: Vec<_> = first.records.iter().filter(|record| record.error.is_some()).collect();
    assert_eq!((first.records.len(), failed.len()), (5, 1));
    assert_eq!(failed[0].error.as_ref().unwrap().code, "upstream");
    assert!(!failed[0].ranking.is_empty(), "its pages were found: {:?}", failed[0]);
    // Without a key there is no trace, and the ranking is that of the sources.
    let found = &by_id(&first, "ingest").ranking;
    assert!(!found.is_empty() && found.iter().all(|found| found.n.is_some() && !found.text.is_empty()));

    let done = run(&[&arguments[..], &["--json"]].concat());
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let summary: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&summary["kept"], &summary["failed"]), (&json!(4), &json!(0)));

    let refused =
        run(&[&arguments[..], &["--overwrite", "--trace-key", "not the key of this bot, though long"]].concat());
    assert_eq!(refused.status.code(), Some(3));
    assert!(said(&refused).contains("the bot refused the trace key"), "{}", said(&refused));
}

#[test]
fn a_bot_that_is_not_there_ends_the_run_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    let file = questions(&folder);
    let out = folder.path().join("run.jsonl");
    let arguments = ["run", "--questions", file.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let gone = run(&[&arguments[..], &["--bot", "http://127.0.0.1:9"]].concat());
    assert_eq!(gone.status.code(), Some(3));
    assert!(said(&gone).contains("start it, or give its address with --bot"), "{}", said(&gone));
    assert!(!out.exists());
    let unbuilt = run(&[&arguments[..], &["--local", "docs", "--worker", "docs"]].concat());
    assert_eq!(unbuilt.status.code(), Some(2));
    assert!(said(&unbuilt).contains("scripts/build-worker.sh builds it"), "{}", said(&unbuilt));
}

#[test]
fn a_bot_that_asks_to_come_back_later_is_asked_again_then() {
    let answer = "data: {\"type\":\"start\",\"messageMetadata\":{\"session\":\"s\"}}\n\n\
                  data: {\"type\":\"finish\",\"finishReason\":\"stop\"}\n\ndata: [DONE]\n\n";
    let later = r#"{"error":{"code":"rate_limited","message":"later","retry_after":1}}"#;
    let (url, asked) = serve(vec![(429, later), (200, answer)]);
    let bot = Bot::new(&url, None, Duration::from_secs(5));
    let question = Question { question: "?".to_owned(), ..Question::default() };
    let Err(Refusal::Question { again: Again::After(wait), .. }) = bot.ask(&question, &|| {}) else {
        panic!("no waiting")
    };
    assert_eq!(wait, Duration::from_secs(1));
    assert_eq!(bot.ask(&question, &|| {}).unwrap().end.unwrap().finish, "stop");
    assert_eq!(asked.join().unwrap(), 2);
}

/// Answers these one after another, and tells how many were fetched.
fn serve(answers: Vec<(u16, &'static str)>) -> (String, std::thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        for (status, body) in &answers {
            let (mut connection, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(connection.try_clone().unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).unwrap() > 2 {
                let header = line.to_lowercase();
                length = header.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().unwrap());
                line.clear();
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            connection.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
        answers.len()
    });
    (url, serving)
}

const STREAM: &str = concat!(
    "data: {\"type\":\"start\",\"messageId\":\"m\",\"messageMetadata\":{\"session\":\"s\",\"trace_id\":\"t\",\"model\":\"m\"}}\n\n",
    "data: {\"type\":\"source-url\",\"sourceId\":\"1\",\"url\":\"https://d.example/ä#b\",\"title\":\"Ä\"}\n\n",
    "data: {\"type\":\"data-docent-new\",\"data\":{}}\r\n\r\n",
    "data: {\"type\":\"text-delta\",\"id\":\"0\",\"delta\":\"Grüße 🎉\"}\n\n",
    "data: {\"type\":\"text-delta\",\"id\":\"0\",\"delta\":\" [1]\"}\n\n",
    "data: {\"type\":\"finish\",\"finishReason\":\"length\",\"messageMetadata\":{\"refused\":true,\"model\":\"m\",\"usage\":{\"prompt_tokens\":3}}}\n\n",
    "data: [DONE]\n\n",
);

proptest! {
    #[test]
    fn an_answer_is_the_same_however_its_stream_was_cut(cuts in prop::collection::vec(0..=STREAM.len(), 0..12)) {
        let read = |cuts: &[usize]| {
            let mut stream = Stream::default();
            for pair in cuts.windows(2) {
                stream.push(&STREAM.as_bytes()[pair[0]..pair[1]], 1.0);
            }
            stream.finish(1.0, None).0
        };
        let mut cuts = cuts;
        cuts.extend([0, STREAM.len()]);
        cuts.sort_unstable();
        let whole = read(&[0, STREAM.len()]);
        prop_assert_eq!((whole.text.as_str(), whole.session.as_deref(), whole.sources.len()), ("Grüße 🎉 [1]", Some("s"), 1));
        prop_assert_eq!(whole.error.as_ref(), None);
        prop_assert_eq!(read(&cuts), whole);
        // Whatever is missing at the end, it does not count as an answer.
        let end = STREAM.find("data: [DONE]").unwrap();
        let cut = *cuts.iter().rfind(|cut| **cut < end).unwrap();
        prop_assert_eq!(read(&[0, cut]).error.unwrap().code, "cut");
    }
}

#[test]
fn diff_tells_what_a_change_of_the_documentation_does_to_the_answers() {
    let folder = TempDir::new().unwrap();
    let file = questions(&folder);
    let repository = folder.path().join("repository");
    let docs = repository.join("docs");
    std::fs::create_dir_all(&docs).unwrap();
    for page in ["ingest.md", "configuration.md"] {
        std::fs::copy(root().join("docs").join(page), docs.join(page)).unwrap();
    }
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=x", "-c", "user.email=x@docs.example"];
        let done = Command::new("git").current_dir(&repository).args(identity).args(arguments).output().unwrap();
        assert!(done.status.success(), "{}", said(&done));
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "Before"]);
    std::fs::remove_file(docs.join("configuration.md")).unwrap();
    let diff = |before: &str| {
        let arguments = ["diff", before, "docs", "--tag", "how", "--questions", file.to_str().unwrap(), "--json"];
        command(&arguments).current_dir(&repository).output().unwrap()
    };
    let done = diff("HEAD:docs");
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let comparison: Value = serde_json::from_slice(&done.stdout).unwrap();
    let change = comparison["questions"].as_array().unwrap().iter().find(|change| change["question"]["id"] == "model");
    let change = change.unwrap_or_else(|| panic!("{comparison:#}"));
    assert!(change.to_string().contains("configuration"), "{change:#}");
    // What was not committed is as it was.
    assert!(!docs.join("configuration.md").exists());
    let wrong = diff("nowhere:docs");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(said(&wrong).contains("nowhere:docs: git says:"), "{}", said(&wrong));
}
