//! `docent-eval export`: questions in the form of other programs. Drafts stay behind.
#![allow(clippy::doc_markdown)] // the documentation of arguments is what --help prints, as it is

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{Fact, Grades, Question, QuestionSet, write};
use crate::pages;

/// Arguments of `docent-eval export`.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// Questions: .yaml, .yml or .jsonl.
    pub questions: PathBuf,

    /// Form to write.
    #[arg(long, value_name = "FORMAT")]
    pub to: Format,

    /// File to write, or, where a form has several files, what their names begin with.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Whose form it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// OUT.topics.tsv, OUT.pages.qrels and OUT.passages.qrels.
    Trec,
    /// A list of tests in YAML, for `tests: file://OUT` in a configuration of promptfoo.
    Promptfoo,
    /// JSON lines: OUT with single questions, and follow-ups beside it as OUT.turns.jsonl.
    Ragas,
}

impl Export {
    /// Writes the files, and says what the form cannot hold.
    ///
    /// # Errors
    /// What cannot be read or written, in words.
    pub fn run(&self) -> Result<ExitCode, String> {
        let set = super::read(&self.questions).map_err(|error| error.to_string())?;
        let files = match self.to {
            Format::Trec => trec(&set),
            Format::Promptfoo => vec![("", promptfoo(&set)?)],
            Format::Ragas => ragas(&set),
        };
        for (ending, text) in files.iter().filter(|(ending, text)| ending.is_empty() || !text.is_empty()) {
            let path = beside(&self.out, ending);
            write::out(Some(&path), text)?;
            eprintln!("{}: {} lines", path.display(), text.lines().count());
        }
        for (what, count) in lost(&set, self.to) {
            eprintln!("not carried over: {what} ({count} questions)");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn beside(out: &Path, ending: &str) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// What a form has no place for.
fn lost(set: &QuestionSet, format: Format) -> Vec<(&'static str, usize)> {
    let count = |has: fn(&Question) -> bool| set.askable().filter(|question| has(question)).count();
    let turns = ("turns before the question", count(|question| !question.turns.is_empty()));
    let facts = ("facts", count(|question| !question.answer.must.is_empty() || !question.answer.must_not.is_empty()));
    let refuse = ("that it is to be refused", count(|question| question.refuse));
    let reference = ("the reference answer", count(|question| question.answer.reference.is_some()));
    let grades =
        |question: &Question| question.pages.0.values().chain(question.passages.0.values()).any(|grade| *grade != 1);
    let all = match format {
        Format::Trec => vec![turns, facts, refuse, reference],
        Format::Promptfoo => Vec::new(),
        Format::Ragas => vec![facts, refuse, ("grades other than 1", count(grades))],
    };
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// Topics, and qrels of pages and of passages. Names are those of run files.
fn trec(set: &QuestionSet) -> Vec<(&'static str, String)> {
    let (mut topics, mut of_pages, mut of_passages) = (String::new(), String::new(), String::new());
    let base = set.base_url.as_deref().unwrap_or_default();
    let qrels = |text: &mut String, id: &str, grades: &Grades| {
        for (name, grade) in &grades.0 {
            let _ = writeln!(text, "{id} 0 {} {grade}", pages::passage(base, name));
        }
    };
    for question in set.askable() {
        let words = question.question.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(topics, "{}\t{words}", question.id);
        qrels(&mut of_pages, &question.id, &question.pages);
        qrels(&mut of_passages, &question.id, &question.passages);
    }
    vec![(".topics.tsv", topics), (".pages.qrels", of_pages), (".passages.qrels", of_passages)]
}

/// Tests with the question as a variable and the facts as assertions. The rest of a question is in the
/// metadata, where promptfoo leaves it alone.
fn promptfoo(set: &QuestionSet) -> Result<String, String> {
    let tests: Vec<Value> = set.askable().map(promptfoo_test).collect();
    yaml_serde::to_string(&tests).map_err(|error| error.to_string())
}

fn promptfoo_test(question: &Question) -> Value {
    let must = question.answer.must.iter().map(|fact| match fact {
        Fact::Text(text) => json!({ "type": "icontains", "value": text }),
        Fact::AnyOf(ways) => json!({ "type": "icontains-any", "value": ways }),
    });
    let must_not = question.answer.must_not.iter().flat_map(|fact| match fact {
        Fact::Text(text) => std::slice::from_ref(text),
        Fact::AnyOf(ways) => ways.as_slice(),
    });
    let must_not = must_not.map(|text| json!({ "type": "not-icontains", "value": text }));
    let assertions: Vec<Value> = must.chain(must_not).collect();
    let mut rest = question.clone();
    rest.answer.must.clear();
    rest.answer.must_not.clear();
    json!({
        "description": question.id,
        "vars": { "question": question.question },
        "assert": assertions,
        "metadata": { "docent": rest },
    })
}

/// Samples without answers. ragas takes files of one kind only: single questions or conversations.
fn ragas(set: &QuestionSet) -> Vec<(&'static str, String)> {
    let (mut single, mut several) = (String::new(), String::new());
    for question in set.askable() {
        let ids: Vec<&String> = question
            .pages
            .0
            .iter()
            .chain(&question.passages.0)
            .filter(|(_, grade)| **grade > 0)
            .map(|(name, _)| name)
            .collect();
        let human = |text: &String| json!({ "content": text, "type": "human" });
        let input = if question.turns.is_empty() {
            json!(question.question)
        } else {
            json!(question.turns.iter().chain([&question.question]).map(human).collect::<Vec<_>>())
        };
        let sample = json!({
            "user_input": input,
            "reference": question.answer.reference,
            "reference_context_ids": ids,
        });
        let _ = writeln!(if question.turns.is_empty() { &mut single } else { &mut several }, "{sample}");
    }
    vec![("", single), (".turns.jsonl", several)]
}
