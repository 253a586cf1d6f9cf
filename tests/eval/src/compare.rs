//! Two runs of the same questions: which of them answers better, by how much and how surely, and what
//! changed for whom.
//!
//! The numbers are paired: each question is compared with itself, so what makes questions easy or hard
//! does not count. The same comparison tells what a change of the documentation does to the answers.

pub mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::measures::ranking::page_ranking;
use crate::measures::{self, Better, Over, Unit, answers};
use crate::questions::{Fact, Question};
use crate::records::{Header, Record, Run, RunError};
use crate::scores::{Estimate, QuestionScores, ScoreOptions, Scores, score};
use crate::statistics::{Resampling, Statistic, intervals, paired_p};

/// Compares two runs of the same questions: by measure, and question by question.
#[derive(Debug, Args)]
pub struct Compare {
    /// The run before the change.
    before: PathBuf,
    /// The run after it.
    after: PathBuf,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    output: Output,
}

/// What is compared.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Compare the questions that both runs have, where they have others too.
    #[arg(long)]
    pub common: bool,
    /// Seed of the intervals and of the randomisation test.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { common: false, seed: Resampling::default().seed }
    }
}

/// How a comparison is shown.
#[derive(Debug, Clone, Default, Args)]
pub struct Output {
    /// As JSON, for a program.
    #[arg(long, conflicts_with = "markdown")]
    pub json: bool,
    /// As Markdown, for a pull request.
    #[arg(long)]
    pub markdown: bool,
    /// Also as a page with the answers side by side, into this file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// List the questions for which nothing changed too.
    #[arg(long)]
    pub all: bool,
}

/// Why two runs are not compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// One of them cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// They are of other questions.
    #[error(
        "the runs are of other questions, so their numbers cannot be compared: {0}; --common compares those that both have"
    )]
    OtherQuestions(LeftOut),
    /// They have no question in common.
    #[error("the runs have no question in common")]
    NothingCommon,
    /// What was compared cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Where.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl Compare {
    /// Reads, compares and shows.
    ///
    /// # Errors
    /// [`CompareError`]
    pub fn run(&self) -> Result<ExitCode, CompareError> {
        let (before, after) = (Run::read(&self.before)?, Run::read(&self.after)?);
        let comparison = compare(&before, &after, &self.options)?;
        self.output.show(&comparison)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What two runs have in common and what not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The first run.
    pub before: Header,
    /// The second run.
    pub after: Header,
    /// What else differs between them than what is compared, for people.
    pub warnings: Vec<String>,
    /// Questions that only one of them has.
    pub left_out: LeftOut,
    /// By measure, in the order of [`crate::measures`].
    pub measures: Vec<Difference>,
    /// What happened to how many questions.
    pub counts: Counts,
    /// By question: those that lost most first, unchanged ones last.
    pub questions: Vec<Change>,
}

/// Questions that are not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Ids that only the first run has.
    pub only_before: Vec<String>,
    /// Ids that only the second run has.
    pub only_after: Vec<String>,
    /// Ids that both have, but for something else: another text, or other things expected.
    pub changed: Vec<String>,
}

/// A measure in both runs, over the questions for which both have it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// As `nDCG@10`.
    pub measure: String,
    /// In the first run.
    pub before: f64,
    /// In the second run.
    pub after: f64,
    /// The second less the first.
    pub difference: f64,
    /// Questions that it is over.
    pub n: usize,
    /// What the pairs tell; of times and of numbers that are no means, nothing.
    pub paired: Option<Paired>,
}

/// What is known of a mean difference from the pairs that it is over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Paired {
    /// Lower end of the 95 % bootstrap interval of the difference.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Chance of a difference as large when the runs are alike: paired randomisation test, two-sided.
    pub p: f64,
    /// The same, adjusted for the number of measures compared (Holm, 1979).
    pub p_holm: f64,
    /// Questions that got better.
    pub wins: usize,
    /// Questions that got worse.
    pub losses: usize,
    /// Questions with the same number.
    pub ties: usize,
}

/// How many questions changed, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Questions compared.
    pub questions: usize,
    /// Answered now, and not before.
    pub answers_gained: usize,
    /// Answered before, and not now.
    pub answers_lost: usize,
    /// Refused now, and not before.
    pub refusals_new: usize,
    /// Refused before, and not now.
    pub refusals_gone: usize,
    /// Answered both times, citing other sections.
    pub citations_changed: usize,
    /// Other pages found.
    pub pages_changed: usize,
    /// Answered both times, in other words.
    pub texts_changed: usize,
    /// Nothing of it.
    pub unchanged: usize,
}

/// A question in both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The question, with what was expected.
    pub question: Question,
    /// What the first run has.
    pub before: Outcome,
    /// What the second run has.
    pub after: Outcome,
    /// Pages among the first ten of the second run only: relevant ones first.
    pub pages_gained: Vec<Page>,
    /// Pages among the first ten of the first run only: relevant ones first.
    pub pages_lost: Vec<Page>,
    /// Sections cited by the second answer only.
    pub citations_gained: Vec<String>,
    /// Sections cited by the first answer only.
    pub citations_lost: Vec<String>,
    /// Facts that must be in the answer and are in the second only.
    pub facts_gained: Vec<String>,
    /// Facts that must be in the answer and are in the first only.
    pub facts_lost: Vec<String>,
    /// What must not be in the answer and is in the second only.
    pub forbidden_new: Vec<String>,
    /// What must not be in the answer and is in the first only.
    pub forbidden_gone: Vec<String>,
    /// Measures with another number, before and after; no times.
    pub values: BTreeMap<String, (f64, f64)>,
    /// Sum of these differences, each counted positive when it is for the better.
    pub gain: f64,
}

/// What became of a question; with repeats, the first time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// How it ended.
    pub kind: Ending,
    /// What was answered, or the message of the error.
    pub text: String,
}

/// How a question ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// Pages were searched and no answer asked for.
    #[default]
    Searched,
    /// With an answer.
    Answered,
    /// The bot said that it does not know.
    Refused,
    /// With an error.
    Failed,
}

/// A page in a ranking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page {
    /// Its name.
    pub page: String,
    /// From 1.
    pub rank: usize,
    /// Its grade, where it is judged.
    pub grade: Option<u32>,
}

/// Pages of a ranking that are looked at: what the usual measures see.
const PAGES: usize = 10;

/// Numbers nearer to each other than this are the same: rounding.
const SAME: f64 = 1e-9;

/// Compares two runs of the same questions.
///
/// # Errors
/// [`CompareError::OtherQuestions`], unless only common ones are to be compared, and
/// [`CompareError::NothingCommon`].
pub fn compare(before: &Run, after: &Run, options: &Options) -> Result<Comparison, CompareError> {
    let left_out = left_out(before, after);
    if !left_out.is_empty() && !options.common {
        return Err(CompareError::OtherQuestions(left_out));
    }
    let (before, after) = (left_out.without(before), left_out.without(after));
    if before.records.is_empty() && !left_out.is_empty() {
        return Err(CompareError::NothingCommon);
    }
    // Only the numbers are wanted: intervals are those of the differences.
    let resampling = Resampling { resamples: 0, ..Resampling::default() };
    let score_options = ScoreOptions { resampling, ..ScoreOptions::default() };
    let scores = (score(&before, &score_options), score(&after, &score_options));
    let mut questions = changes(&before, &after, &scores.0, &scores.1);
    questions.sort_by(|a, b| a.is_same().cmp(&b.is_same()).then(a.gain.total_cmp(&b.gain)));
    Ok(Comparison {
        warnings: warnings(&before.header, &after.header),
        measures: differences(&scores.0, &scores.1, options.seed),
        counts: Counts::of(&questions),
        before: before.header,
        after: after.header,
        left_out,
        questions,
    })
}

impl Comparison {
    /// Whether nothing differs but times.
    pub fn is_same(&self) -> bool {
        self.questions.iter().all(Change::is_same)
    }
}

/// What was asked and expected, without what changes neither.
fn essence(question: &Question) -> Question {
    Question { tags: Vec::new(), source: None, ..question.clone() }
}

fn left_out(before: &Run, after: &Run) -> LeftOut {
    let by_id = |run: &Run| -> BTreeMap<String, Question> {
        run.records.iter().map(|record| (record.question.id.clone(), essence(&record.question))).collect()
    };
    let (before, after) = (by_id(before), by_id(after));
    let missing = |from: &BTreeMap<String, Question>, ids: &BTreeMap<String, Question>| -> Vec<String> {
        ids.keys().filter(|id| !from.contains_key(*id)).cloned().collect()
    };
    let is_other = |(id, question): &(&String, &Question)| after.get(*id).is_some_and(|other| other != *question);
    LeftOut {
        only_before: missing(&after, &before),
        only_after: missing(&before, &after),
        changed: before.iter().filter(is_other).map(|(id, _)| id.clone()).collect(),
    }
}

impl LeftOut {
    /// Whether no question is left out.
    pub fn is_empty(&self) -> bool {
        self.only_before.is_empty() && self.only_after.is_empty() && self.changed.is_empty()
    }

    fn without(&self, run: &Run) -> Run {
        let gone: BTreeSet<&String> = self.only_before.iter().chain(&self.only_after).chain(&self.changed).collect();
        let records = run.records.iter().filter(|record| !gone.contains(&record.question.id)).cloned().collect();
        Run { header: run.header.clone(), records }
    }
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            ("only in the first run", &self.only_before),
            ("only in the second run", &self.only_after),
            ("asked or judged otherwise", &self.changed),
        ];
        let parts = parts.iter().filter(|(_, ids)| !ids.is_empty()).map(|(what, ids)| {
            let more = if ids.len() > 5 { format!(" and {} more", ids.len() - 5) } else { String::new() };
            let shown: Vec<&str> = ids.iter().take(5).map(String::as_str).collect();
            format!("{} {what} ({}{more})", ids.len(), shown.join(", "))
        });
        f.write_str(&parts.collect::<Vec<_>>().join("; "))
    }
}

/// What else than the change that is looked at may explain a difference.
fn warnings(before: &Header, after: &Header) -> Vec<String> {
    let settings = |header: &Header| {
        let settings: Vec<String> = header.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if settings.is_empty() { "the bot's own".to_owned() } else { settings.join(" ") }
    };
    let corpus = |header: &Header| header.corpus.clone().unwrap_or_else(|| "unknown".to_owned());
    let kind = |header: &Header| format!("{:?}", header.kind).to_lowercase();
    let pairs = [
        ("what was asked for", kind(before), kind(after)),
        ("version of docent", before.version.clone(), after.version.clone()),
        ("embedding spec", before.spec.clone(), after.spec.clone()),
        ("corpus", corpus(before), corpus(after)),
        ("embedder", before.embedder.clone(), after.embedder.clone()),
        ("answerer", before.answerer.clone(), after.answerer.clone()),
        ("settings", settings(before), settings(after)),
        ("repeats", before.repeats.to_string(), after.repeats.to_string()),
    ];
    let differing = pairs.into_iter().filter(|(_, before, after)| before != after);
    differing.map(|(what, before, after)| format!("{what} differs: {before} before, {after} after")).collect()
}

/// All measures that both have.
pub fn differences(before: &Scores, after: &Scores, seed: u64) -> Vec<Difference> {
    let after_all: BTreeMap<&str, &Estimate> = after.all.iter().map(|(name, it)| (name.as_str(), it)).collect();
    let both = before.all.iter().filter_map(|(name, it)| Some((name, it, *after_all.get(name.as_str())?)));
    let mut differences: Vec<Difference> =
        both.map(|(name, first, second)| unpaired(name, first.value, second.value, first.n.min(second.n))).collect();
    let pairs: Vec<Vec<Pair>> = differences.iter().map(|it| pairs(&it.measure, before, after)).collect();
    // One drawing of questions serves all measures.
    let statistics: Vec<Statistic> = pairs.iter().map(|pairs| mean_difference(pairs)).collect();
    let resampling = Resampling { seed, ..Resampling::default() };
    let intervals = intervals(&statistics, before.questions.len(), resampling);
    for ((difference, pairs), interval) in differences.iter_mut().zip(&pairs).zip(intervals) {
        if let Some(interval) = interval {
            *difference = paired(&difference.measure, pairs, interval, seed);
        }
    }
    adjust(&mut differences);
    differences
}

/// A question in both: its place in the first run, and its numbers.
type Pair = (usize, f64, f64);

/// The numbers of the questions for which both have one. Of a measure whose number is no mean of its
/// questions' there are none; nor of times, since two runs are no fair sample of them: the machine did
/// other things meanwhile.
fn pairs(name: &str, before: &Scores, after: &Scores) -> Vec<Pair> {
    if measures::parse(name).is_ok_and(|it| it.over != Over::Mean || it.unit == Unit::Milliseconds) {
        return Vec::new();
    }
    let after: BTreeMap<&str, &QuestionScores> = after.questions.iter().map(|it| (it.id.as_str(), it)).collect();
    let pair = |(place, first): (usize, &QuestionScores)| {
        let second = after.get(first.id.as_str())?;
        Some((place, *first.values.get(name)?, *second.values.get(name)?))
    };
    before.questions.iter().enumerate().filter_map(pair).collect()
}

fn mean_difference(pairs: &[Pair]) -> Statistic {
    Statistic::mean(pairs.iter().map(|(place, before, after)| (*place, after - before)).collect())
}

fn unpaired(name: &str, before: f64, after: f64, n: usize) -> Difference {
    Difference { measure: name.to_owned(), before, after, difference: after - before, n, paired: None }
}

fn paired(name: &str, pairs: &[Pair], (low, high): (f64, f64), seed: u64) -> Difference {
    #[allow(clippy::cast_precision_loss)] // counts of questions
    let mean = |value: fn(&Pair) -> f64| pairs.iter().map(value).sum::<f64>() / pairs.len() as f64;
    let differences: Vec<f64> = pairs.iter().map(|(_, before, after)| after - before).collect();
    let wins = differences.iter().filter(|it| better(name, **it) > SAME).count();
    let losses = differences.iter().filter(|it| better(name, **it) < -SAME).count();
    let p = paired_p(&differences, seed);
    let paired = Paired { low, high, p, p_holm: p, wins, losses, ties: pairs.len() - wins - losses };
    Difference { paired: Some(paired), ..unpaired(name, mean(|it| it.1), mean(|it| it.2), pairs.len()) }
}

/// A difference of a measure, positive when it is for the better.
fn better(name: &str, difference: f64) -> f64 {
    let is_lower_better = measures::parse(name).is_ok_and(|it| it.better == Better::Lower);
    if is_lower_better { -difference } else { difference }
}

/// Holm's step-down adjustment: the smallest of `m` chances counts `m` times, the next `m - 1` times,
/// and none may fall below the one before.
fn adjust(differences: &mut [Difference]) {
    let mut tested: Vec<&mut Paired> = differences.iter_mut().filter_map(|it| it.paired.as_mut()).collect();
    tested.sort_by(|a, b| a.p.total_cmp(&b.p));
    let (mut least, count) = (0.0_f64, tested.len());
    for (rank, paired) in tested.into_iter().enumerate() {
        #[allow(clippy::cast_precision_loss)] // counts of measures
        let times = (count - rank) as f64;
        least = least.max((paired.p * times).min(1.0));
        paired.p_holm = least;
    }
}

/// What changed for each question, in the order of the first run.
fn changes(before: &Run, after: &Run, before_scores: &Scores, after_scores: &Scores) -> Vec<Change> {
    let first = |run: &'_ Run| -> BTreeMap<String, Record> {
        let firsts = run.records.iter().filter(|record| record.repeat == 0);
        firsts.map(|record| (record.question.id.clone(), record.clone())).collect()
    };
    let after = first(after);
    let values = |scores: &Scores| -> BTreeMap<String, BTreeMap<String, f64>> {
        scores.questions.iter().map(|it| (it.id.clone(), it.values.clone())).collect()
    };
    let (before_values, after_values) = (values(before_scores), values(after_scores));
    let firsts = before.records.iter().filter(|record| record.repeat == 0);
    let change = |before: &Record| {
        let id = &before.question.id;
        Some(Change::new(before, after.get(id)?, before_values.get(id)?, after_values.get(id)?))
    };
    firsts.filter_map(change).collect()
}

impl Change {
    fn new(
        before: &Record,
        after: &Record,
        before_values: &BTreeMap<String, f64>,
        after_values: &BTreeMap<String, f64>,
    ) -> Self {
        let question = &before.question;
        let (pages_before, pages_after) = (pages(before), pages(after));
        let (cited_before, cited_after) = (answers::cited(before), answers::cited(after));
        let said = |record: &Record, facts: &[Fact]| -> BTreeSet<String> {
            facts.iter().filter(|fact| says(record, fact)).map(written).collect()
        };
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| -> Vec<String> { a.difference(b).cloned().collect() };
        let (must, must_not) = (&question.answer.must, &question.answer.must_not);
        let (must_before, must_after) = (said(before, must), said(after, must));
        let (bad_before, bad_after) = (said(before, must_not), said(after, must_not));
        let values = differing(before_values, after_values);
        Self {
            question: question.clone(),
            before: Outcome::of(before),
            after: Outcome::of(after),
            pages_gained: only_first(&pages_after, &pages_before),
            pages_lost: only_first(&pages_before, &pages_after),
            citations_gained: only(&cited_after, &cited_before),
            citations_lost: only(&cited_before, &cited_after),
            facts_gained: only(&must_after, &must_before),
            facts_lost: only(&must_before, &must_after),
            forbidden_new: only(&bad_after, &bad_before),
            forbidden_gone: only(&bad_before, &bad_after),
            gain: gain(&values),
            values,
        }
    }

    /// Whether nothing differs but times.
    pub fn is_same(&self) -> bool {
        self.before == self.after
            && self.values.is_empty()
            && self.pages_gained.is_empty()
            && self.pages_lost.is_empty()
            && self.citations_gained.is_empty()
            && self.citations_lost.is_empty()
    }
}

/// The first pages found.
fn pages(record: &Record) -> Vec<Page> {
    let grades = &record.question.pages.0;
    let ranked = (1..).zip(page_ranking(record)).take(PAGES);
    ranked.map(|(rank, (page, _))| Page { grade: grades.get(&page).copied(), rank, page }).collect()
}

fn only_first(pages: &[Page], others: &[Page]) -> Vec<Page> {
    let names: BTreeSet<&String> = others.iter().map(|page| &page.page).collect();
    let mut only: Vec<Page> = pages.iter().filter(|page| !names.contains(&page.page)).cloned().collect();
    only.sort_by_key(|page| (std::cmp::Reverse(page.grade.unwrap_or(0)), page.rank));
    only
}

/// Whether the answer has a fact. A refusal has none.
pub fn says(record: &Record, fact: &Fact) -> bool {
    record.answer.as_ref().is_some_and(|answer| !answer.refused && answers::says(&answer.text, fact))
}

/// A fact as people write it: the ways to say it, with `or`.
pub fn written(fact: &Fact) -> String {
    match fact {
        Fact::Text(text) => text.clone(),
        Fact::AnyOf(ways) => ways.join(" or "),
    }
}

/// The numbers that differ; a measure that only one of them has is no difference of numbers.
fn differing(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) -> BTreeMap<String, (f64, f64)> {
    // The evidence, which an AUROC is made of, says nothing about one question.
    let is_left_out =
        |name: &str| measures::parse(name).is_ok_and(|it| it.unit == Unit::Milliseconds || it.over == Over::Auroc);
    let both = before.iter().filter_map(|(name, first)| Some((name, *first, *after.get(name)?)));
    let differing = both.filter(|(name, first, second)| (first - second).abs() > SAME && !is_left_out(name));
    differing.map(|(name, first, second)| (name.clone(), (first, second))).collect()
}

fn gain(values: &BTreeMap<String, (f64, f64)>) -> f64 {
    values.iter().map(|(name, (before, after))| better(name, after - before)).sum()
}

impl Outcome {
    fn of(record: &Record) -> Self {
        if let Some(error) = &record.error {
            return Self { kind: Ending::Failed, text: format!("{}: {}", error.code, error.message) };
        }
        let Some(answer) = &record.answer else { return Self::default() };
        let kind = if answer.refused { Ending::Refused } else { Ending::Answered };
        Self { kind, text: answer.text.clone() }
    }
}

impl Counts {
    fn of(changes: &[Change]) -> Self {
        let count = |is: &dyn Fn(&Change) -> bool| changes.iter().filter(|change| is(change)).count();
        let became = |change: &Change, kind: Ending| change.after.kind == kind && change.before.kind != kind;
        let ceased = |change: &Change, kind: Ending| change.before.kind == kind && change.after.kind != kind;
        let both = |change: &Change| [change.before.kind, change.after.kind] == [Ending::Answered; 2];
        Self {
            questions: changes.len(),
            answers_gained: count(&|it| became(it, Ending::Answered)),
            answers_lost: count(&|it| ceased(it, Ending::Answered)),
            refusals_new: count(&|it| became(it, Ending::Refused)),
            refusals_gone: count(&|it| ceased(it, Ending::Refused)),
            citations_changed: count(&|it| {
                both(it) && !(it.citations_gained.is_empty() && it.citations_lost.is_empty())
            }),
            pages_changed: count(&|it| !(it.pages_gained.is_empty() && it.pages_lost.is_empty())),
            texts_changed: count(&|it| both(it) && it.before.text != it.after.text),
            unchanged: count(&Change::is_same),
        }
    }
}
