//! Runs compared, gated and reported.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use docent_eval::questions::{Expected, Fact, Grades, Question};
use docent_eval::records::{Answer, Found, Header, RUN_VERSION, Record, Run, Times};
use tempfile::TempDir;

/// What somebody may write to break a report.
const NASTY: &str = "</title><script>alert(1)</script><img src=x onerror=alert(1)> =1+1 | a\u{1b}[31m\u{8}";

fn found(page: &str, n: u32) -> Found {
    Found {
        page: page.to_owned(),
        passage: format!("{page}#top"),
        url: format!("https://docs.example/{page}#top"),
        title: page.to_owned(),
        score: 1.0 / f64::from(n),
        n: Some(n),
        text: format!("The {page} page tells how to set option 7."),
        ..Found::default()
    }
}

/// A question about the page `p0`, found first, answered right and with the right citation.
fn record(number: usize) -> Record {
    let question = Question {
        id: format!("q{number:02}"),
        question: format!("How do I set option {number}?"),
        pages: Grades(BTreeMap::from([("p0".to_owned(), 1)])),
        answer: Expected { must: vec![Fact::Text("option 7".to_owned())], ..Expected::default() },
        tags: vec!["setup".to_owned()],
        ..Question::default()
    };
    let text = "Set option 7 as the page tells [1].".to_owned();
    let answer = Answer { text, finish: "stop".to_owned(), model: "m".to_owned(), ..Answer::default() };
    let ranking = (0..3).map(|page| found(&format!("p{page}"), page + 1)).collect();
    let times = Times { first_event_ms: Some(10.0), first_token_ms: Some(20.0), last_ms: Some(30.0) };
    Record { question, ranking, answer: Some(answer), times, ..Record::default() }
}

fn run() -> Run {
    let header = Header {
        docent_eval_run: RUN_VERSION,
        label: "before".to_owned(),
        embedder: "lexical".to_owned(),
        repeats: 1,
        ..Header::default()
    };
    let mut refused = record(20);
    refused.question =
        Question { id: "q20".to_owned(), question: NASTY.to_owned(), refuse: true, ..Question::default() };
    refused.answer = Some(Answer { text: "I don't know.".to_owned(), refused: true, ..Answer::default() });
    Run { header, records: (0..20).map(record).chain([refused]).collect() }
}

fn write(folder: &Path, name: &str, run: &Run) -> String {
    let mut lines = vec![serde_json::to_string(&run.header).unwrap()];
    lines.extend(run.records.iter().map(|record| serde_json::to_string(record).unwrap()));
    let path = folder.join(name);
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    path.display().to_string()
}

fn eval(folder: &Path, args: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_docent-eval"));
    let Output { status, stdout, stderr } = command.args(args).current_dir(folder).output().unwrap();
    (status.code().unwrap(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

#[test]
fn runs_that_differ_in_times_only_are_the_same() {
    let folder = TempDir::new().unwrap();
    let before = write(folder.path(), "a.jsonl", &run());
    let mut later = run();
    later.header.started_at = "2030-01-01T00:00:00Z".to_owned();
    later.records.iter_mut().for_each(|record| record.times.last_ms = Some(99.0));
    let after = write(folder.path(), "b.jsonl", &later);
    let (code, said) = eval(folder.path(), &["compare", &before, &after]);
    assert_eq!((code, said.contains("No difference but in times.")), (0, true), "{said}");
}

#[test]
fn a_comparison_tells_what_changed_for_whom() {
    let folder = TempDir::new().unwrap();
    let before = write(folder.path(), "a.jsonl", &run());
    let mut changed = run();
    changed.header.label = "after".to_owned();
    changed.records[3].ranking.remove(0);
    changed.records[4].answer.as_mut().unwrap().text = "Set option 8 [2].".to_owned();
    let lost = changed.records[5].answer.as_mut().unwrap();
    (lost.text, lost.refused) = ("I don't know.".to_owned(), true);
    let after = write(folder.path(), "b.jsonl", &changed);
    let (code, said) = eval(folder.path(), &["compare", &before, &after, "--html", "c.html"]);
    assert_eq!(code, 0, "{said}");
    for expected in [
        "Of 21 questions: 0 answers gained, 1 lost; 1 new refusals, 0 gone; 2 answers with other citations; 1 questions \
         with other pages found; 1 answers in other words; 18 unchanged.",
        "pages lost: p0 (relevant, rank 1)",
        "facts lost: option 7",
        "citations lost: p0#top",
        "citations gained: p1#top",
        "answered before, refused after",
    ] {
        assert!(said.contains(expected), "{expected} not in:\n{said}");
    }
    assert!(!said.contains("q06"), "unchanged ones are listed:\n{said}");
    let (_, json) = eval(folder.path(), &["compare", &before, &after, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let measure = |name| json["measures"].as_array().unwrap().iter().find(|it| it["measure"] == name).unwrap();
    let success = measure("Success@1");
    assert_eq!((&success["paired"]["losses"], &success["paired"]["ties"]), (&1.into(), &19.into()));
    assert!(success["paired"]["p_holm"].as_f64() >= success["paired"]["p"].as_f64());
    assert!(measure("last:median")["paired"].is_null(), "times are tested");
    let page = std::fs::read_to_string(folder.path().join("c.html")).unwrap();
    assert!(page.contains("Set option 8 [2].") && page.contains("Set option 7 as the page tells [1]."));
}

#[test]
fn runs_of_other_questions_are_compared_only_when_told() {
    let folder = TempDir::new().unwrap();
    let before = write(folder.path(), "a.jsonl", &run());
    let mut other = run();
    other.records.remove(0);
    other.records[0].question.question = "Something else?".to_owned();
    let after = write(folder.path(), "b.jsonl", &other);
    let (code, said) = eval(folder.path(), &["compare", &before, &after]);
    assert_eq!(code, 2);
    assert!(said.contains("1 only in the first run (q00); 1 asked or judged otherwise (q01)"), "{said}");
    let (code, said) = eval(folder.path(), &["compare", &before, &after, "--common"]);
    assert_eq!((code, said.contains("19 questions")), (0, true), "{said}");
}

fn gate(folder: &Path, gates: &str, args: &[&str]) -> (i32, String) {
    std::fs::write(folder.join("gate.toml"), gates).unwrap();
    eval(folder, &[&["gate", "run.jsonl", "--gates", "gate.toml"], args].concat())
}

#[test]
fn a_gate_holds_or_names_the_questions_that_cost_most() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "base.jsonl", &run());
    let mut worse = run();
    worse.records[3].ranking.remove(0);
    write(folder.path(), "run.jsonl", &worse);
    let baseline = ["--baseline", "base.jsonl"];
    for (gates, code, expected) in [
        ("measure = \"Success@1\"\nleast = 0.95", 0, "All 1 gates hold."),
        ("measure = \"Success@1\"\nleast = 0.951", 1, "q03: 0.000 (baseline 1.000)"),
        ("measure = \"Success@1\"\non = \"each\"\nleast = 1", 1, "1 of 20 questions do not keep it"),
        ("measure = \"Success@1\"\nnot_worse = 0.05", 0, "holds"),
        ("measure = \"Success@1\"\nnot_worse = 0.04", 1, "it is −0.050 than the baseline's"),
        ("measure = \"Success@1\"\nnot_worse = 0.04\nsignificant = true", 0, "holds"),
        ("measure = \"refusal:false\"\nmost = 0", 0, "holds"),
        ("measure = \"RR\"\ntag = \"nobody\"\nleast = 0", 1, "asserts nothing"),
        ("measure = \"RR\"\nleast = 0\nquestions = 21", 1, "over 20 questions, and it wants 21"),
    ] {
        let (ended, said) = gate(folder.path(), &format!("[[gate]]\n{gates}\n"), &baseline);
        assert_eq!((ended, said.contains(expected)), (code, true), "{gates}:\n{said}");
    }
    let mut fewer = run();
    fewer.records.remove(0);
    write(folder.path(), "run.jsonl", &fewer);
    let (code, said) = gate(folder.path(), "[[gate]]\nmeasure = \"RR\"\nnot_worse = 0", &baseline);
    assert_eq!((code, said.contains("1 questions of the baseline are missing, as q00")), (1, true), "{said}");
}

#[test]
fn all_faults_of_a_gate_file_are_told_at_once() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "run.jsonl", &run());
    let faulty = "[[gate]]\nmeasure = \"nDGC@10\"\nleast = 0.7\n\n[[gate]]\nmeasure = \"RR\"\nleats = 1\n\n\
                  [[gate]]\nmeasure = \"RR\"\nleast = 1\nnot_worse = 0.1\non = \"some\"\n";
    let (code, said) = gate(folder.path(), faulty, &[]);
    assert_eq!(code, 2);
    for expected in [
        "line 1: gate on nDGC@10: no measure is called",
        "line 5: unknown key \"leats\"",
        "line 5: gate on RR: it needs one of least, most and not_worse",
        "line 9: gate on RR: it needs one of",
        "on = \"some\" is not",
    ] {
        assert!(said.contains(expected), "{expected} not in:\n{said}");
    }
    for (gates, expected) in [
        ("", "it asserts nothing"),
        ("[[gate]]\nmeasure = \"judge:faithfulness\"\nleast = 0.5", "what a model judged"),
        ("[[gate]]\nmeasure = \"RR\"\nnot_worse = 0.1", "needs --baseline"),
        ("[[gate]]\nmeasure = ", "line 2"),
    ] {
        let (code, said) = gate(folder.path(), gates, &[]);
        assert_eq!((code, said.contains(expected)), (2, true), "{gates}:\n{said}");
    }
}

#[test]
fn ci_servers_read_what_gates_said() {
    let folder = TempDir::new().unwrap();
    let mut bad = run();
    bad.header.label = NASTY.to_owned();
    bad.records[0].question.id = "q00,:%\u{1b}".to_owned();
    bad.records[0].ranking.clear();
    write(folder.path(), "run.jsonl", &bad);
    let gates = "[[gate]]\nmeasure = \"RR\"\nleast = 1\n";
    let (code, said) = gate(folder.path(), gates, &["--junit", "g.xml", "--markdown", "g.md", "--github"]);
    assert_eq!(code, 1);
    let annotation = said.lines().find(|line| line.starts_with("::error title=RR at least 1.000::")).unwrap();
    assert!(annotation.contains("%0Aq00,:%25: 0.000"), "{annotation}");
    let xml = std::fs::read_to_string(folder.path().join("g.xml")).unwrap();
    assert!(xml.contains("failures=\"1\"") && xml.contains("q00,:%"), "{xml}");
    assert!(!xml.chars().any(|c| c.is_control() && c != '\n'), "{xml}");
    let markdown = std::fs::read_to_string(folder.path().join("g.md")).unwrap();
    assert!(markdown.contains("**1 of 1 gates do not hold.**") && !markdown.contains("<script"), "{markdown}");
}

#[test]
fn a_report_is_one_inert_file_and_the_others_read_theirs() {
    let folder = TempDir::new().unwrap();
    let mut nasty = run();
    nasty.records[1].answer.as_mut().unwrap().text = format!("{NASTY} [x](javascript:alert(1)) [1] [9]");
    nasty.records[2].ranking[0].title = NASTY.to_owned();
    nasty.records[2].ranking[0].heading = NASTY.to_owned();
    nasty.records[2].ranking[1].url = "javascript:alert(1)".to_owned();
    nasty.records[3].question.id = "=cmd".to_owned();
    write(folder.path(), "run.jsonl", &nasty);
    let files = "--html r.html --markdown r.md --csv r.csv --junit r.xml --trec trec --ragas r.ragas --json r.json";
    let args: Vec<&str> = ["report", "run.jsonl"].into_iter().chain(files.split(' ')).collect();
    let (code, said) = eval(folder.path(), &args);
    assert_eq!((code, said.contains("Success@1")), (0, true), "{said}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let page = read("r.html");
    let tags: Vec<&str> = page.split('<').skip(1).map(|tag| tag.split('>').next().unwrap()).collect();
    for forbidden in ["script", "img", "link", "iframe"] {
        assert!(!tags.iter().any(|tag| tag.starts_with(forbidden)), "<{forbidden}");
    }
    for forbidden in [" src=", " style=", " onerror=", "javascript:"] {
        assert!(!tags.iter().any(|tag| tag.contains(forbidden)), "{forbidden}");
    }
    assert!(!page.contains("url(") && !page.contains("@import"));
    assert!(page.contains("LEXICAL EMBEDDER") && page.contains("default-src 'none'"));
    assert!(read("r.csv").contains("'=cmd"));
    assert!(read("r.md").contains("LEXICAL EMBEDDER") && !read("r.md").contains("<script"));
    assert!(read("r.xml").contains("Facts missing or forbidden"));
    assert!(read("trec/before.pages.run").starts_with("q00 Q0 p0 1 1 before\n"));
    assert!(read("trec/pages.qrels").contains("q00 0 p0 1\n"));
    let sample: serde_json::Value = serde_json::from_str(read("r.ragas").lines().next().unwrap()).unwrap();
    assert_eq!(sample["retrieved_context_ids"][0], "p0");
    std::fs::write(folder.path().join("gate.toml"), "[[gate]]\nmeasure = \"RR\"\nnot_worse = 0\n").unwrap();
    let (code, said) = eval(folder.path(), &["gate", "run.jsonl", "--gates", "gate.toml", "--baseline", "r.json"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_report_is_readable_for_everybody_in_a_browser() {
    let folder = TempDir::new().unwrap();
    let (first, mut second) = (run(), run());
    second.header.label = "after".to_owned();
    second.records[3].ranking.remove(0);
    let (before, after) = (write(folder.path(), "a.jsonl", &first), write(folder.path(), "b.jsonl", &second));
    assert_eq!(eval(folder.path(), &["report", &before, &after, "--html", "report.html"]).0, 0);
    assert_eq!(eval(folder.path(), &["compare", &before, &after, "--html", "compare.html"]).0, 0);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let node = root.join("node_modules/.bin/node");
    let output = Command::new(&node)
        .arg(root.join("tests/web/report.mjs"))
        .args(["report.html", "compare.html"].map(|name| folder.path().join(name)))
        .current_dir(&root)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}: run scripts/setup.sh test first", node.display()));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
}
