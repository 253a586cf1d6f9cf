//! `docent-eval lint`: whether a file of questions says what its author meant.
//!
//! Numbers are as good as the questions behind them: a page that was renamed counts as never found, and
//! nobody notices. So everything that can be checked without asking the bot is checked here.
#![allow(clippy::doc_markdown)] // the documentation of arguments is what --help prints, as it is

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use docent_core::api::MAX_MESSAGE_CHARS;
use docent_core::document::Generator;

use super::docs::Docs;
use super::finding::{Finding, Severity};
use super::{Expected, Fact, Grades, Question, QuestionSet, QuestionsError};
use crate::pages;

/// Fewer questions to refuse say nothing about refusing.
const FEW_TO_REFUSE: usize = 10;
/// A tag that is met so often is meant.
const USUAL_TAG: usize = 3;

/// Arguments of `docent-eval lint`.
#[derive(Debug, clap::Args)]
pub struct Lint {
    /// Questions: .yaml, .yml or .jsonl; with --qrels, topics of TREC.
    pub questions: PathBuf,

    /// Qrels of TREC that judge the topics.
    #[arg(long, value_name = "FILE")]
    pub qrels: Option<PathBuf>,

    /// Documentation that the questions are about: pages and anchors have to exist in it.
    #[arg(long, value_name = "FOLDER")]
    pub docs: Option<PathBuf>,

    /// Where it is published; base_url of the questions otherwise.
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,

    /// Program that makes the site, where its configuration is not found.
    #[arg(long, value_name = "GENERATOR", value_parser = docent_ingest::cli::generator())]
    pub site: Option<Generator>,

    /// Print what was found as JSON.
    #[arg(long)]
    pub json: bool,
}

impl Lint {
    /// Prints what is wrong; exit code 1 with faults.
    ///
    /// # Errors
    /// A file or folder that cannot be read.
    pub fn run(&self) -> Result<ExitCode, String> {
        let findings = match super::read_judged(&self.questions, self.qrels.as_deref()) {
            Ok(set) => self.findings(&set)?,
            Err(QuestionsError::Faults(faults)) => faults,
            Err(error) => return Err(error.to_string()),
        };
        if self.json {
            crate::output::show(format_args!(
                "{}\n",
                serde_json::to_string_pretty(&findings).map_err(|error| error.to_string())?
            ));
        } else {
            for finding in &findings {
                crate::output::show(format_args!("{finding}\n"));
            }
        }
        let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        let (faults, warnings) = (count(Severity::Fault), count(Severity::Warning));
        eprintln!("{}: {faults} faults, {warnings} warnings", self.questions.display());
        Ok(ExitCode::from(u8::from(faults > 0)))
    }

    fn findings(&self, set: &QuestionSet) -> Result<Vec<Finding>, String> {
        let file = self.questions.display().to_string();
        let base = self.base_url.as_deref().or(set.base_url.as_deref());
        let docs = self.docs.as_ref().map(|folder| Docs::read(folder, base, self.site)).transpose()?;
        Ok(lint(set, &file, docs.as_ref()))
    }
}

/// Checks questions that could be read, against documentation if there is any. Sorted by line.
pub fn lint(set: &QuestionSet, file: &str, docs: Option<&Docs>) -> Vec<Finding> {
    let mut linter = Linter { file, at: (None, None), findings: Vec::new() };
    let mut asked = BTreeMap::new();
    for (question, line) in set.questions.iter().zip(&set.lines) {
        linter.at = (*line, Some(question.id.clone()));
        linter.text(question);
        linter.twice(question, &mut asked);
        linter.refusal(question);
        linter.judgements(question);
        linter.facts(&question.answer);
        if let Some(docs) = docs {
            linter.places(question, docs);
            linter.facts_on_pages(question, docs);
        }
    }
    linter.tags(set);
    linter.at = (None, None);
    linter.whole(set, docs);
    linter.findings.sort();
    linter.findings
}

struct Linter<'a> {
    file: &'a str,
    /// Line and id of the question that is looked at.
    at: (Option<usize>, Option<String>),
    findings: Vec<Finding>,
}

impl Linter<'_> {
    fn say(&mut self, severity: Severity, message: impl Into<String>) {
        let (line, question) = self.at.clone();
        let (file, message) = (self.file.to_owned(), message.into());
        self.findings.push(Finding { file, line, severity, question, message });
    }

    fn fault(&mut self, message: impl Into<String>) {
        self.say(Severity::Fault, message);
    }

    fn warn(&mut self, message: impl Into<String>) {
        self.say(Severity::Warning, message);
    }

    /// What the API would refuse.
    fn text(&mut self, question: &Question) {
        for text in question.turns.iter().chain([&question.question]) {
            let length = text.chars().count();
            if length > MAX_MESSAGE_CHARS {
                self.fault(format!("has {length} characters, and the API takes {MAX_MESSAGE_CHARS}; shorten it"));
            }
            if text.trim().is_empty() {
                self.fault("an earlier turn is empty; write what was asked, or delete it");
            }
            if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
                self.fault("has control characters; delete them");
            }
        }
        let lang = question.lang.as_deref();
        if lang.is_some_and(|lang| lang.len() != 2 || !lang.bytes().all(|byte| byte.is_ascii_lowercase())) {
            self.fault("lang is not two small letters (ISO 639-1), such as en");
        }
    }

    fn twice(&mut self, question: &Question, asked: &mut BTreeMap<String, (Option<usize>, bool)>) {
        let line = self.at.0;
        let Some((first, was_draft)) = asked.insert(same(question), (line, question.draft)) else { return };
        let place = first.map(|line| format!(" in line {line}")).unwrap_or_default();
        let message = format!("asks the same as the question{place}; join what both say, and delete one");
        if was_draft || question.draft { self.warn(message) } else { self.fault(message) }
    }

    fn refusal(&mut self, question: &Question) {
        if !question.refuse {
            return;
        }
        let good = |grades: &Grades| grades.0.values().any(|grade| *grade > 0);
        let reasons = [
            (good(&question.pages), "pages that answer it"),
            (good(&question.passages), "passages that answer it"),
            (!question.answer.must.is_empty(), "facts that the answer must have"),
            (question.tool.is_some(), "a tool to call"),
        ];
        for (_, reason) in reasons.into_iter().filter(|(is_there, _)| *is_there) {
            self.fault(format!("is to be refused, and has {reason}: take out one or the other"));
        }
    }

    fn judgements(&mut self, question: &Question) {
        for (field, grades) in [("pages", &question.pages), ("passages", &question.passages)] {
            if !grades.is_empty() && grades.0.values().all(|grade| *grade == 0) && !question.refuse {
                self.fault(format!(
                    "all {field} have grade 0, so nothing answers it: grade what does, or set refuse: true"
                ));
            }
        }
        for name in question.passages.0.keys().filter(|name| !name.contains('#')) {
            self.warn(format!("the passage {name} has no anchor; write page#anchor, or put it under pages"));
        }
        for name in question.pages.0.keys().filter(|name| name.contains('#')) {
            self.warn(format!("the page {name} has an anchor, which does not count here; put it under passages"));
        }
    }

    fn facts(&mut self, answer: &Expected) {
        let all = || answer.must.iter().chain(&answer.must_not);
        if all().any(|fact| ways(fact).iter().any(|way| folded(way).is_empty()) || ways(fact).is_empty()) {
            self.fault("has an empty fact, which is in every answer; delete it");
        }
        let forbidden: Vec<String> =
            answer.must_not.iter().flat_map(|fact| ways(fact).iter().map(|way| folded(way))).collect();
        let is_forbidden =
            |way: &String| forbidden.iter().any(|no| !no.is_empty() && folded(way).contains(no.as_str()));
        for fact in answer.must.iter().filter(|fact| ways(fact).iter().all(is_forbidden)) {
            let message = format!("must say {:?}, and must_not forbids that", ways(fact).join(" or "));
            self.fault(message);
        }
    }

    /// Names of pages and anchors that are not there.
    fn places(&mut self, question: &Question, docs: &Docs) {
        let names: BTreeSet<&String> = question.pages.0.keys().chain(question.passages.0.keys()).collect();
        for written in names {
            let (name, anchor) = pages::name(&docs.base_url, written);
            let Some(page) = docs.pages.get(&name) else {
                let near = nearest(&name, docs.pages.keys().map(String::as_str));
                self.fault(format!("the documentation has no page {name}{near}"));
                continue;
            };
            let Some(anchor) = anchor else { continue };
            let anchors = || page.sections.iter().map(|section| section.anchor.as_str());
            if !anchors().any(|known| known == anchor) {
                let near = nearest(&anchor, anchors().filter(|known| !known.is_empty()));
                self.fault(format!("the page {name} has no anchor #{anchor}{near}"));
            }
        }
    }

    fn facts_on_pages(&mut self, question: &Question, docs: &Docs) {
        let good = question.pages.0.iter().chain(&question.passages.0).filter(|(_, grade)| **grade > 0);
        let names: BTreeSet<String> = good.map(|(written, _)| pages::name(&docs.base_url, written).0).collect();
        let text: String = names.iter().filter_map(|name| docs.text(name)).map(folded).collect::<Vec<_>>().join(" ");
        if text.is_empty() {
            return;
        }
        for fact in question.answer.must.iter().filter(|fact| !ways(fact).iter().any(|way| text.contains(&folded(way))))
        {
            let fact = ways(fact).join(" or ");
            self.warn(format!("must say {fact:?}, which is nowhere on the pages that answer it"));
        }
    }

    /// A tag that is met once and looks like a usual one is a typing error.
    fn tags(&mut self, set: &QuestionSet) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        set.questions.iter().flat_map(|question| &question.tags).for_each(|tag| *counts.entry(tag).or_default() += 1);
        for (question, line) in set.questions.iter().zip(&set.lines) {
            for tag in question.tags.iter().filter(|tag| counts.get(tag.as_str()) == Some(&1)) {
                let mut usual = counts.iter().filter(|(_, count)| **count >= USUAL_TAG);
                if let Some((meant, _)) =
                    usual.find(|(usual, _)| strsim::damerau_levenshtein(usual, tag) <= 1 + tag.len() / 8)
                {
                    self.at = (*line, Some(question.id.clone()));
                    self.warn(format!("the tag {tag} is used once; is {meant} meant?"));
                }
            }
        }
    }

    /// What is to be said of all questions together.
    fn whole(&mut self, set: &QuestionSet, docs: Option<&Docs>) {
        let drafts = set.questions.iter().filter(|question| question.draft).count();
        if drafts > 0 {
            self.say(Severity::Note, format!("{drafts} drafts are not asked; delete `draft: true` where one is right"));
        }
        let refused = set.askable().filter(|question| question.refuse).count();
        if refused < FEW_TO_REFUSE {
            let message = format!(
                "{refused} questions are to be refused; with fewer than {FEW_TO_REFUSE}, refusing is not measured well"
            );
            self.say(Severity::Note, message);
        }
        let open = set.askable().filter(|question| is_open(question)).count();
        if open > 0 {
            self.say(
                Severity::Note,
                format!("{open} questions name nothing to judge by: no pages, facts, refusal or reference"),
            );
        }
        for failed in docs.iter().flat_map(|docs| &docs.failed) {
            self.say(Severity::Warning, format!("the documentation cannot be read in full: {failed}"));
        }
    }
}

fn is_open(question: &Question) -> bool {
    !question.refuse
        && question.pages.is_empty()
        && question.passages.is_empty()
        && question.answer.is_empty()
        && question.tool.is_none()
}

/// The ways to say a fact.
fn ways(fact: &Fact) -> &[String] {
    match fact {
        Fact::Text(text) => std::slice::from_ref(text),
        Fact::AnyOf(ways) => ways,
    }
}

/// As facts are compared: case and the width of blanks do not count.
fn folded(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Equal for questions that ask the same: words alone count, and what was asked before.
pub(super) fn same(question: &Question) -> String {
    let words = |text: &String| {
        let lower = text.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(" ")
    };
    let text = question.turns.iter().chain([&question.question]).map(words).collect::<Vec<_>>().join(" / ");
    let filter = &question.filter;
    format!("{text} {:?} {:?} {:?}", filter.lang, filter.version, filter.product)
}

/// The existing name that is most like the one that is not, as a question to the author.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let alike = |other: &&str| {
        let parts = other.split('/').next_back() == name.split('/').next_back();
        (usize::from(!parts), strsim::damerau_levenshtein(other, name))
    };
    known.min_by_key(alike).map(|near| format!("; is {near} meant?")).unwrap_or_default()
}
