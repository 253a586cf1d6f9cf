//! What the numbers mean; how they are computed is below, in a module for each group of them.
//!
//! [`DEFINITIONS`] is the one table of measures: names are read by it, `docs/evaluation/measures.md`
//! shows it, and a test keeps both together. Names of ranking measures are those of `ir_measures`.

pub mod answers;
pub mod ranking;
pub mod refusal;

use crate::records::Record;

/// A measure: its name is what tables, gates and files call it.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// As `nDCG@10`.
    pub name: String,
    /// What it tells, in a sentence; with where its rule comes from.
    pub meaning: &'static str,
    /// Which way is better.
    pub better: Better,
    /// What its numbers are.
    pub unit: Unit,
    /// How the numbers of the questions become one.
    pub over: Over,
    /// What is computed for one answer.
    pub rule: Rule,
}

/// Which way a measure gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

/// What the numbers of a measure are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// From 0 to 1.
    Share,
    /// From −1 to 1.
    Score,
    /// Milliseconds. Never part of a default gate.
    Milliseconds,
    /// US dollars.
    Dollars,
}

/// How the numbers of the questions become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Their mean.
    Mean,
    /// The smallest number that half of the questions do not exceed.
    Median,
    /// The smallest number that 95 of 100 questions do not exceed.
    P95,
    /// The area under the ROC curve of the numbers, as a test whether a question is to be answered
    /// ([`crate::scores::QuestionScores::answerable`]).
    Auroc,
}

/// What is ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Pages, each at the rank of its best passage.
    Page,
    /// Sections of pages.
    Passage,
}

/// What is computed for one answer. [`DEFINITIONS`] tells what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the table says it, once
pub enum Rule {
    Ndcg(Level, usize),
    Recall(Level, usize),
    Precision(Level, usize),
    Success(Level, usize),
    ReciprocalRank(Level),
    AveragePrecision(Level),
    Evidence,
    RefusalPrecision,
    RefusalRecall,
    FalseRefusals,
    Crag,
    FactsPresent,
    FactsForbidden,
    CitationPrecision,
    CitationRecall,
    CitedPages,
    Supported,
    Language,
    Finish,
    Errors,
    FirstEvent,
    FirstToken,
    Last,
    Cost,
}

/// How the name of a measure is written.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// With a cutoff, `nDCG@10`, and for passages `passage:nDCG@10`.
    Cut(fn(Level, usize) -> Rule),
    /// Over the whole ranking: `RR`, `passage:RR`.
    Ranking(fn(Level) -> Rule),
    /// As it stands.
    Plain(Rule),
}

/// A row of the table of measures.
#[derive(Debug)]
pub struct Definition {
    /// The name, without prefix and cutoff.
    pub name: &'static str,
    /// How the name goes on.
    pub form: Form,
    /// What it tells, and whose rule it is.
    pub meaning: &'static str,
    /// Which way is better.
    pub better: Better,
    /// What its numbers are.
    pub unit: Unit,
    /// How the numbers of the questions become one.
    pub over: Over,
}

/// Prefix of a ranking measure that judges passages.
pub const PASSAGE: &str = "passage:";

const fn row(
    name: &'static str,
    form: Form,
    better: Better,
    unit: Unit,
    over: Over,
    meaning: &'static str,
) -> Definition {
    Definition { name, form, meaning, better, unit, over }
}

/// All measures, in the order in which they are shown.
pub static DEFINITIONS: &[Definition] = &{
    use Better::{Higher, Lower};
    use Form::{Cut, Plain, Ranking};
    use Over::{Auroc, Mean, Median, P95};
    use Unit::{Dollars, Milliseconds, Score, Share};
    [
        row(
            "nDCG",
            Cut(Rule::Ndcg),
            Higher,
            Share,
            Mean,
            "How near the first k are to the best possible order, by grades (trec_eval's ndcg_cut: the grade is the gain, log2(rank + 1) the discount, the best order is made of all that is judged).",
        ),
        row(
            "R",
            Cut(Rule::Recall),
            Higher,
            Share,
            Mean,
            "Share of what is relevant that is among the first k (trec_eval's recall).",
        ),
        row(
            "P",
            Cut(Rule::Precision),
            Higher,
            Share,
            Mean,
            "Share of the first k that is relevant; always divided by k (trec_eval's P).",
        ),
        row(
            "Success",
            Cut(Rule::Success),
            Higher,
            Share,
            Mean,
            "Whether something relevant is among the first k (trec_eval's success).",
        ),
        row(
            "RR",
            Ranking(Rule::ReciprocalRank),
            Higher,
            Share,
            Mean,
            "One divided by the rank of the first that is relevant; its mean is MRR (trec_eval's recip_rank).",
        ),
        row(
            "AP",
            Ranking(Rule::AveragePrecision),
            Higher,
            Share,
            Mean,
            "Precision at the rank of each relevant one, averaged over all relevant ones; its mean is MAP (trec_eval's map).",
        ),
        row(
            "CRAG",
            Plain(Rule::Crag),
            Higher,
            Score,
            Mean,
            "1 for a right answer, 0 for a refusal, -1 for a wrong answer; a refusal of what is to be refused is right (the truthfulness score of the CRAG benchmark, Yang et al. 2024).",
        ),
        row(
            "refusal:precision",
            Plain(Rule::RefusalPrecision),
            Higher,
            Share,
            Mean,
            "Share of the refused questions that were to be refused.",
        ),
        row(
            "refusal:recall",
            Plain(Rule::RefusalRecall),
            Higher,
            Share,
            Mean,
            "Share of the questions to be refused that were refused.",
        ),
        row(
            "refusal:false",
            Plain(Rule::FalseRefusals),
            Lower,
            Share,
            Mean,
            "Share of the answerable questions that were refused.",
        ),
        row(
            "refusal:AUROC",
            Plain(Rule::Evidence),
            Higher,
            Share,
            Auroc,
            "How well the evidence tells answerable questions from those to be refused, at all thresholds: the chance that an answerable one has more, ties counted half (Mann-Whitney).",
        ),
        row(
            "facts:present",
            Plain(Rule::FactsPresent),
            Higher,
            Share,
            Mean,
            "Share of the facts that must be in the answer that are.",
        ),
        row(
            "facts:forbidden",
            Plain(Rule::FactsForbidden),
            Lower,
            Share,
            Mean,
            "Whether something is in the answer that must not be.",
        ),
        row(
            "citation:precision",
            Plain(Rule::CitationPrecision),
            Higher,
            Share,
            Mean,
            "Share of the citations whose passage has what their sentence says (the measures of ALCE, Gao et al. 2023, with words compared instead of a model asked).",
        ),
        row(
            "citation:recall",
            Plain(Rule::CitationRecall),
            Higher,
            Share,
            Mean,
            "Share of the sentences stating something whose citations together have what they say (likewise).",
        ),
        row(
            "citation:pages",
            Plain(Rule::CitedPages),
            Higher,
            Share,
            Mean,
            "Share of the citations that lead to a page judged relevant.",
        ),
        row(
            "supported",
            Plain(Rule::Supported),
            Higher,
            Share,
            Mean,
            "Share of the sentences stating something that the passages offered to the model have, cited or not.",
        ),
        row(
            "language",
            Plain(Rule::Language),
            Higher,
            Share,
            Mean,
            "Whether the answer is in the language asked for; nothing is said of texts too short to tell.",
        ),
        row(
            "finish",
            Plain(Rule::Finish),
            Higher,
            Share,
            Mean,
            "Whether the answer came to its end: not cut by a limit, not broken off.",
        ),
        row(
            "errors",
            Plain(Rule::Errors),
            Lower,
            Share,
            Mean,
            "Whether the question got an error instead of an answer, or in the middle of it.",
        ),
        row(
            "first-event:median",
            Plain(Rule::FirstEvent),
            Lower,
            Milliseconds,
            Median,
            "Time until the stream's first event, at half of the questions.",
        ),
        row("first-event:p95", Plain(Rule::FirstEvent), Lower, Milliseconds, P95, "The same at 95 of 100 questions."),
        row(
            "first-token:median",
            Plain(Rule::FirstToken),
            Lower,
            Milliseconds,
            Median,
            "Time until the answer's first word, at half of the questions.",
        ),
        row("first-token:p95", Plain(Rule::FirstToken), Lower, Milliseconds, P95, "The same at 95 of 100 questions."),
        row(
            "last:median",
            Plain(Rule::Last),
            Lower,
            Milliseconds,
            Median,
            "Time until the stream ended, at half of the questions.",
        ),
        row("last:p95", Plain(Rule::Last), Lower, Milliseconds, P95, "The same at 95 of 100 questions."),
        row("cost", Plain(Rule::Cost), Lower, Dollars, Mean, "What an answer cost, where the model's price is known."),
    ]
};

/// Ranking measures that are computed when none are named.
const RANKING_DEFAULTS: [&str; 8] = ["nDCG@10", "R@5", "R@20", "P@5", "Success@1", "Success@5", "RR", "AP"];

/// What is computed when no measures are named: rankings of pages and of passages at the usual
/// cutoffs, and everything else.
pub fn defaults() -> Vec<Measure> {
    let pages = RANKING_DEFAULTS.iter().map(|name| (*name).to_owned());
    let passages = RANKING_DEFAULTS.iter().map(|name| format!("{PASSAGE}{name}"));
    let plain = DEFINITIONS.iter().filter(|row| matches!(row.form, Form::Plain(_))).map(|row| row.name.to_owned());
    pages.chain(passages).chain(plain).filter_map(|name| parse(&name).ok()).collect()
}

/// A name that is no measure's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no measure is called {name:?}; there are {}", known())]
pub struct UnknownMeasure {
    /// As it was written.
    pub name: String,
}

/// The names, as a person would write them.
fn known() -> String {
    let mut names: Vec<String> = DEFINITIONS.iter().map(Definition::written).collect();
    names.push(format!("and {PASSAGE} before a ranking measure"));
    names.join(", ")
}

impl Definition {
    /// The name with what follows it: `nDCG@k`.
    pub fn written(&self) -> String {
        match self.form {
            Form::Cut(_) => format!("{}@k", self.name),
            Form::Ranking(_) | Form::Plain(_) => self.name.to_owned(),
        }
    }

    fn measure(&self, name: &str, rule: Rule) -> Measure {
        let Self { meaning, better, unit, over, .. } = *self;
        Measure { name: name.to_owned(), meaning, better, unit, over, rule }
    }
}

/// The measure of a name.
///
/// # Errors
/// [`UnknownMeasure`]
pub fn parse(name: &str) -> Result<Measure, UnknownMeasure> {
    let (level, bare) = match name.strip_prefix(PASSAGE) {
        Some(bare) => (Level::Passage, bare),
        None => (Level::Page, name),
    };
    let (stem, cutoff) = match bare.split_once('@') {
        // Written as a number is: no sign, no zeros in front, so that each measure has one name.
        Some((stem, k)) => (stem, k.parse().ok().filter(|number: &usize| *number > 0 && number.to_string() == k)),
        None => (bare, None),
    };
    let is_cut = bare.contains('@');
    let rule = |row: &Definition| match row.form {
        Form::Cut(rule) => Some(rule(level, cutoff?)).filter(|_| row.name == stem),
        Form::Ranking(rule) => Some(rule(level)).filter(|_| row.name == stem && !is_cut),
        Form::Plain(rule) => Some(rule).filter(|_| row.name == name),
    };
    let found = DEFINITIONS.iter().find_map(|row| rule(row).map(|rule| row.measure(name, rule)));
    found.ok_or_else(|| UnknownMeasure { name: name.to_owned() })
}

impl Measure {
    /// Its number for one answer; nothing where it says nothing about it.
    pub fn of(&self, record: &Record) -> Option<f64> {
        match self.rule {
            Rule::Ndcg(level, k) => ranking::judged(record, level).map(|it| it.ndcg(k)),
            Rule::Recall(level, k) => ranking::judged(record, level).map(|it| it.recall(k)),
            Rule::Precision(level, k) => ranking::judged(record, level).map(|it| it.precision(k)),
            Rule::Success(level, k) => ranking::judged(record, level).map(|it| it.success(k)),
            Rule::ReciprocalRank(level) => ranking::judged(record, level).map(|it| it.reciprocal_rank()),
            Rule::AveragePrecision(level) => ranking::judged(record, level).map(|it| it.average_precision()),
            Rule::Evidence => refusal::evidence(record),
            Rule::RefusalPrecision => refusal::precision(record),
            Rule::RefusalRecall => refusal::recall(record),
            Rule::FalseRefusals => refusal::false_refusal(record),
            Rule::Crag => answers::crag(record),
            Rule::FactsPresent => answers::facts_present(record),
            Rule::FactsForbidden => answers::facts_forbidden(record),
            Rule::CitationPrecision => answers::citation_precision(record),
            Rule::CitationRecall => answers::citation_recall(record),
            Rule::CitedPages => answers::cited_pages(record),
            Rule::Supported => answers::supported(record),
            Rule::Language => answers::language(record),
            Rule::Finish => answers::finish(record),
            Rule::Errors => answers::error(record),
            Rule::FirstEvent => record.times.first_event_ms,
            Rule::FirstToken => record.times.first_token_ms,
            Rule::Last => record.times.last_ms,
            Rule::Cost => record.answer.as_ref().and_then(|answer| answer.cost_usd),
        }
    }
}

/// The table for the documentation.
pub fn markdown_table() -> String {
    let row = |row: &Definition| {
        let better = if row.better == Better::Higher { "higher" } else { "lower" };
        let unit = match row.unit {
            Unit::Share => "0 to 1",
            Unit::Score => "-1 to 1",
            Unit::Milliseconds => "ms",
            Unit::Dollars => "US dollars",
        };
        format!("| `{}` | {better} | {unit} | {} |", row.written(), row.meaning)
    };
    let head = ["| Measure | Better | Unit | What it tells |", "|---|---|---|---|"].map(str::to_owned);
    let mut lines: Vec<String> = head.into_iter().chain(DEFINITIONS.iter().map(row)).collect();
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_is_found_by_its_name_and_has_no_second_one() {
        for measure in defaults() {
            assert_eq!(parse(&measure.name), Ok(measure.clone()));
        }
        for wrong in ["nDCG", "nDCG@0", "nDCG@+5", "nDCG@05", "ndcg@5", "RR@5", "CRAG@1", "passage:CRAG", "P@", ""] {
            assert!(parse(wrong).unwrap_err().to_string().contains("nDCG@k"), "{wrong}");
        }
    }
}
