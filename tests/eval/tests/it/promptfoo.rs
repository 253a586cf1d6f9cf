//! promptfoo, installed from its registry, asks the bot with the documented configuration.

use std::process::Command;

use docent_eval::local::{Local, Parts};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::run::{root, said};

#[test]
fn promptfoo_asks_with_the_documented_configuration_and_with_exported_questions() {
    let local = Local::start(&Parts::default(), &root().join("docs"), "https://docs.example/").unwrap();
    let folder = TempDir::new().unwrap();
    let config = root().join("docs/evaluation/promptfoo.yaml");
    let shipped = promptfoo(&local, &folder, &["--config", config.to_str().unwrap()]);
    assert_eq!(shipped["stats"]["successes"], json!(3), "{shipped:#}");
    let answer = &shipped["results"][0]["response"];
    assert!(answer["metadata"]["contexts"].as_array().is_some_and(|contexts| contexts.len() > 2), "{answer:#}");
    assert!(answer["tokenUsage"]["total"].as_u64().is_some_and(|total| total > 100), "{answer:#}");
    assert!(answer["cost"].as_f64().is_some_and(|cost| cost > 0.0), "{answer:#}");

    // The same provider, and our questions: one that holds, one whose fact is not in the answer.
    let questions = folder.path().join("questions.yaml");
    let text = "questions:\n  - {id: good, question: How do I ingest my documentation?, answer: {must: [docent ingest]}}\n  \
                - {id: bad, question: How do I set the chat model?, answer: {must: [a fact that no page has]}}\n";
    std::fs::write(&questions, text).unwrap();
    let tests = folder.path().join("tests.yaml");
    let export = Command::new(env!("CARGO_BIN_EXE_docent-eval"))
        .args(["export", "--to", "promptfoo", "--out", tests.to_str().unwrap(), questions.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(export.status.success(), "{}", said(&export));
    let mut joined: yaml_serde::Value = yaml_serde::from_str(&std::fs::read_to_string(config).unwrap()).unwrap();
    let exported: yaml_serde::Value = yaml_serde::from_str(&std::fs::read_to_string(&tests).unwrap()).unwrap();
    joined["tests"] = exported.get("tests").unwrap_or(&exported).clone();
    let config = folder.path().join("joined.yaml");
    std::fs::write(&config, yaml_serde::to_string(&joined).unwrap()).unwrap();
    let exported = promptfoo(&local, &folder, &["--config", config.to_str().unwrap()]);
    let outcomes = exported["results"].as_array().unwrap().iter().map(|result| result["success"].as_bool().unwrap());
    assert_eq!(outcomes.collect::<Vec<_>>(), [true, false], "{exported:#}");
}

/// What it writes with `--output`, under `results`.
fn promptfoo(local: &Local, folder: &TempDir, arguments: &[&str]) -> Value {
    let out = folder.path().join("out.json");
    let program = root().join("tests/eval/peers/node_modules/promptfoo/dist/src/main.js");
    assert!(program.exists(), "there is no {}: run scripts/setup.sh test first", program.display());
    let done = Command::new(root().join("node_modules/.bin/node"))
        .arg(program)
        .args(["eval", "--no-cache", "--no-progress-bar", "--no-table", "--max-concurrency", "1", "--output"])
        .arg(&out)
        .args(arguments)
        .current_dir(folder)
        .env("DOCENT_BOT", local.url())
        .env("DOCENT_TRACE_KEY", &local.trace_key)
        .env("PROMPTFOO_CONFIG_DIR", folder.path().join("promptfoo"))
        // It asks nobody but the bot.
        .envs(
            ["TELEMETRY", "UPDATE", "SHARING", "REMOTE_GENERATION"]
                .map(|what| (format!("PROMPTFOO_DISABLE_{what}"), "1")),
        )
        .output()
        .unwrap();
    let text = std::fs::read_to_string(&out).unwrap_or_else(|error| panic!("{error}: {}", said(&done)));
    let mut written: Value = serde_json::from_str(&text).unwrap();
    std::fs::remove_file(&out).unwrap();
    written["results"].take()
}
