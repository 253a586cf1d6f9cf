//! Search alone, its settings, and what is fitted to runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use docent_core::chunk::{self, Chunk};
use docent_core::document::Document;
use docent_core::embedding::SPEC;
use docent_core::trace::{Candidate, Shares, Trace};
use docent_eval::questions::{Grades, Question};
use docent_eval::records::{Answer, Header, RUN_VERSION, Record, Run};
use docent_eval::retrieval::words::Words;
use proptest::prelude::*;
use serde_json::{Value, json};

fn docent_eval(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_docent-eval")).args(arguments).output().unwrap()
}

/// What a command printed as JSON; it must have succeeded.
fn json(arguments: &[&str]) -> Value {
    let output = docent_eval(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a command complained of; it must have refused.
fn refusal(arguments: &[&str]) -> String {
    let output = docent_eval(arguments);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The project's own documentation as a collection: of every page, its title is asked for.
fn collection(folder: &Path) -> PathBuf {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let (mut corpus, mut queries, mut qrels) =
        (String::new(), String::new(), "query-id\tcorpus-id\tscore\n".to_owned());
    let mut paths: Vec<PathBuf> = std::fs::read_dir(docs).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    paths.sort();
    for path in paths {
        let body = std::fs::read_to_string(&path).unwrap();
        let id = path.file_stem().unwrap().to_str().unwrap();
        let title = body.lines().find_map(|line| line.strip_prefix("# ")).unwrap();
        corpus += &(serde_json::json!({ "_id": id, "title": title, "text": body }).to_string() + "\n");
        queries += &(serde_json::json!({ "_id": format!("q-{id}"), "text": format!("{title}?") }).to_string() + "\n");
        qrels += &["q-", id, "\t", id, "\t1\n"].concat();
    }
    std::fs::create_dir_all(folder.join("qrels")).unwrap();
    std::fs::write(folder.join("corpus.jsonl"), corpus).unwrap();
    std::fs::write(folder.join("queries.jsonl"), queries).unwrap();
    std::fs::write(folder.join("qrels/test.tsv"), qrels).unwrap();
    folder.to_owned()
}

/// A run file without the time it began.
fn timeless(path: &Path) -> Run {
    let mut run = Run::read(path).unwrap();
    run.header.started_at.clear();
    run
}

#[test]
fn one_command_ranks_pages_by_every_system_and_twice_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let collection = collection(&folder.path().join("own"));
    let [once, again, cache] = ["once", "again", "cache"].map(|name| folder.path().join(name));
    let run = |out: &Path| {
        let systems = ["--system", "bm25,dense,hybrid,bot"];
        let rest = ["retrieval", text(&collection), "--out", text(out), "--cache", text(&cache), "--json"];
        json(&[&rest[..], &systems[..]].concat())
    };
    let first = run(&once);

    // A writer that was killed leaves a part of a vector at the end.
    let kept = std::fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::metadata(&kept).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&kept).unwrap().set_len(whole - 1_000).unwrap();
    let second = run(&again);

    assert_eq!(std::fs::metadata(&kept).unwrap().len(), whole, "what was lost is embedded again");
    for (system, at) in [("bm25", 0), ("dense", 1), ("hybrid", 2), ("bot", 3)] {
        let name = format!("own-{system}.jsonl");
        assert_eq!(timeless(&once.join(&name)), timeless(&again.join(&name)), "{system}");
        let scores = &first[0]["systems"][at];
        assert_eq!(scores["system"], system);
        assert_eq!(scores["measures"], second[0]["systems"][at]["measures"], "{system}");
        let (ndcg, low) = (&scores["measures"][0], scores["measures"][0][1]["low"].as_f64().unwrap());
        assert_eq!(ndcg[0], "nDCG@10");
        let value = ndcg[1]["value"].as_f64().unwrap();
        assert!(value > 0.6 && low > 0.0 && low <= value, "{system} finds pages by their titles: {ndcg}");
    }
}

#[test]
fn all_mistakes_of_a_collection_are_told_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = collection(folder.path());
    std::fs::write(path.join("queries.jsonl"), "{\"id\": \"q\"}\n{\"id\": \"q-web\", \"text\": \"web?\"}\n").unwrap();
    std::fs::write(path.join("qrels/test.tsv"), "q-web\tnowhere\t1\nq-web\tweb\tmuch\n").unwrap();
    let told = refusal(&["retrieval", text(&path)]);
    for part in ["queries.jsonl, line 1: missing field `text`", "nowhere", "test.tsv, line 2: the grade much"] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn a_sweep_names_its_noise_and_what_is_really_worse() {
    let folder = tempfile::tempdir().unwrap();
    let collection = collection(folder.path());
    let sets = ["--set", "query-pooling=cls,mean", "--set", "fusion=dense,hybrid:dense=2"];
    let tables = json(&[&["sweep", text(&collection), "--json"], &sets[..]].concat());
    let rows = tables[0]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    let row = |pooling: &str, fusion: &str| {
        let is_it = |row: &&Value| row["settings"]["query-pooling"] == pooling && row["settings"]["fusion"] == fusion;
        rows.iter().find(is_it).unwrap()
    };
    assert_eq!(row("mean", "dense")["within_noise"], false, "{rows:#?}");
    assert!(row("mean", "dense")["p"].as_f64().unwrap() < 0.05);
    assert_eq!(rows[1]["within_noise"], true, "{rows:#?}");
    let told = refusal(&["sweep", text(&collection), "--set", "topk=1"]);
    assert!(told.contains("there is no such setting; there are chunk-tokens, top-k"), "{told}");
}

fn chunks() -> Vec<Chunk> {
    let body = "# Settings\n\nSet `max_top_k` to 5, or pass --no-cache.\n".to_owned();
    let document = Document { path: "settings".into(), title: "Settings".into(), body, ..Document::default() };
    chunk::chunks(&document, &SPEC)
}

proptest! {
    #[test]
    fn no_question_whatever_is_an_error_to_the_full_text_index(question in any::<String>(), words in "[\"'()*:^+A-Z -]{0,40}") {
        let index = Words::new(chunks().iter(), true).unwrap();
        for question in [&question, &words, &format!("{words} NEAR({question}) AND max_top_k")] {
            prop_assert!(index.search(question).is_ok(), "{:?}", question);
        }
        let found = index.search(&format!("\"{words} max_top_k")).unwrap();
        prop_assert!(found.len() == 1 && found[0].1 > 0.0);
    }
}

/// A run in which what is to be refused has evidence 0.30 to 0.49 and what is answerable 0.45 to 0.84;
/// follow-ups are found by the question before, never by the question alone.
fn answers(folder: &Path, embedder: &str, of_each: u32) -> PathBuf {
    let header = Header {
        docent_eval_run: RUN_VERSION,
        base_url: "https://docs.example/".into(),
        embedder: embedder.into(),
        ..Header::default()
    };
    let mut records = Vec::new();
    for n in 0..of_each {
        let share = f64::from(n) / f64::from(of_each);
        records.push(record(&format!("off-{n}"), true, 0.30 + 0.20 * share));
        records.push(record(&format!("on-{n}"), false, 0.45 + 0.40 * share));
    }
    let path = folder.join("answers.jsonl");
    let lines = records.iter().map(|record| serde_json::to_string(record).unwrap());
    let lines: Vec<String> = std::iter::once(serde_json::to_string(&header).unwrap()).chain(lines).collect();
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    path
}

fn record(id: &str, refuse: bool, evidence: f64) -> Record {
    let of_rank = |rank: u32| {
        let share = 1.0 / f64::from(rank);
        Shares { vector: share, page_vector: share, ..Shares::default() }
    };
    let candidate = |page: &str, ranks: [Option<u32>; 2]| Candidate {
        id: page.into(),
        url: format!("https://docs.example/{page}"),
        ranks: ranks.to_vec(),
        scores: ranks.iter().map(|rank| rank.map(|rank| evidence / f64::from(rank))).collect(),
        shares: ranks.iter().flatten().map(|rank| of_rank(*rank)).collect(),
        ..Candidate::default()
    };
    let candidates = vec![
        candidate("beside", [Some(1), Some(30)]),
        candidate("right", [Some(40), Some(1)]),
        candidate("other", [Some(2), Some(2)]),
    ];
    let trace = Trace { queries: vec![String::new(); 2], candidates, evidence, ..Trace::default() };
    let pages = if refuse { Grades::default() } else { Grades([("right".to_owned(), 1)].into()) };
    let question = Question {
        id: id.into(),
        question: id.into(),
        turns: vec!["before".into()],
        pages,
        refuse,
        ..Question::default()
    };
    Record { question, answer: Some(Answer { trace: Some(trace), ..Answer::default() }), ..Record::default() }
}

#[test]
fn a_threshold_refuses_what_it_can_within_the_target_and_is_judged_on_other_questions() {
    let folder = tempfile::tempdir().unwrap();
    let run = answers(folder.path(), "bge", 100);
    let fitted = json(&["calibrate", text(&run), "--json"]);
    let threshold = &fitted["threshold"];
    assert_eq!(threshold["fit"]["wrongly_refused"]["of"], 50);
    assert_eq!(threshold["report"]["wrongly_refused"]["of"], 50);
    // One in twenty of the answerable ones has less than 0.47: so have 85 of 100 to be refused.
    let value = threshold["fit"]["threshold"].as_f64().unwrap();
    assert!((0.45..0.50).contains(&value), "{value}");
    assert!(threshold["fit"]["wrongly_refused"]["count"].as_u64().unwrap() <= 2);
    assert!(threshold["report"]["refused"]["count"].as_u64().unwrap() >= 35, "{threshold}");
    assert!(threshold["report"]["refused"]["low"].as_f64().unwrap() > 0.5);
    // Without target everything can be refused; with none allowed, all are below the first answerable.
    let all = json(&["calibrate", text(&run), "--json", "--target-false-refusals", "1"]);
    assert_eq!(all["threshold"]["fit"]["refused"]["count"], 50);
    let none = json(&["calibrate", text(&run), "--json", "--target-false-refusals", "0"]);
    assert_eq!(none["threshold"]["fit"]["wrongly_refused"]["count"], 0);
    // The question before is what finds follow-ups here.
    assert_eq!(fitted["weights"][0]["name"], "CONTEXT_WEIGHT", "the bot did not search by words: {fitted}");
    assert!(fitted["weights"][0]["chosen"].as_f64().unwrap() > 1.0, "{}", fitted["weights"]);
}

#[test]
fn words_get_the_weight_that_finds_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = answers(folder.path(), "bge", 100);
    let mut run = Run::read(&path).unwrap();
    for trace in run.records.iter_mut().filter_map(|record| record.answer.as_mut()?.trace.as_mut()) {
        (trace.rules.words_weight, trace.rules.context_weight) = (0.1, 1.0);
        for candidate in &mut trace.candidates {
            let (vector, words) = if candidate.id == "right" { (0.5, 1.0) } else { (1.0, 0.0) };
            candidate.shares = vec![Shares { vector, page_vector: vector, words, page_words: words }; 2];
        }
    }
    let lines = run.records.iter().map(|record| serde_json::to_string(record).unwrap());
    let lines: Vec<String> = std::iter::once(serde_json::to_string(&run.header).unwrap()).chain(lines).collect();
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    let fitted = &json(&["calibrate", text(&path), "--json"])["weights"][0];
    // Below a third, the page that vectors find is first.
    assert_eq!(
        (&fitted["name"], &fitted["current"], &fitted["chosen"]),
        (&json!("WORDS_WEIGHT"), &json!(0.1), &json!(0.4))
    );
}

#[test]
fn fitted_settings_are_written_between_comments_that_stay() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = folder.path().join("wrangler.toml");
    let before = "name = \"docent\" # the bot\n\n# Settings.\n[vars]\nREFUSE_BELOW = \"0\" # off\nPRODUCT = \"x\"\n";
    std::fs::write(&deployment, before).unwrap();

    let few = answers(folder.path(), "bge", 12);
    let told = refusal(&["calibrate", text(&few), "--write", text(&deployment)]);
    assert!(told.contains("it takes 40 questions to refuse"), "{told}");
    let lexical = answers(folder.path(), "docent-local/lexical", 100);
    let told = refusal(&["calibrate", text(&lexical), "--write", text(&deployment)]);
    assert!(told.contains("--allow-lexical"), "{told}");
    assert_eq!(std::fs::read_to_string(&deployment).unwrap(), before, "refused means untouched");

    let run = answers(folder.path(), "bge", 100);
    let fitted = json(&["calibrate", text(&run), "--json", "--write", text(&deployment)]);
    let threshold = &fitted["threshold"]["fit"]["threshold"];
    let weight = &fitted["weights"][0]["chosen"];
    let after = before.replace("REFUSE_BELOW = \"0\"", &format!("REFUSE_BELOW = \"{threshold}\""));
    let weight = weight.to_string();
    let weight = weight.trim_end_matches(".0");
    assert_eq!(std::fs::read_to_string(&deployment).unwrap(), format!("{after}CONTEXT_WEIGHT = \"{weight}\"\n"));
    assert!(fitted["notes"].to_string().contains(r#"REFUSE_BELOW: \"0\""#), "{}", fitted["notes"]);

    let too_few = docent_eval(&["calibrate", text(&answers(folder.path(), "bge", 4))]);
    let shown = String::from_utf8(too_few.stdout).unwrap();
    assert!(shown.contains("too few questions to fit REFUSE_BELOW"), "{shown}");
}
