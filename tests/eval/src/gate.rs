//! Gates: bounds in a file that the numbers of a run have to keep, for CI to turn red when they do not.
//!
//! A gate that asserts nothing does not hold: over no questions, or over fewer than it was written for.
#![allow(clippy::doc_markdown)] // these comments are the text of --help

mod file;
mod show;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::compare::{self, Difference};
use crate::judge::summary::Summary;
use crate::judge::{self, JudgeError};
use crate::measures::{self, Better, Measure};
use crate::records::{Run, RunError};
use crate::report::text::{difference, number};
use crate::scores::{Estimate, QuestionScores, ScoreOptions, Scores, score};
use crate::statistics::Resampling;

pub use file::{Bound, Fault, Gate, On, read};

/// Fails (1) when the numbers of a run do not keep the bounds of a file.
#[derive(Debug, Args)]
pub struct Check {
    /// The run, or its scores as `docent-eval report --json` writes them.
    run: PathBuf,
    /// The bounds.
    #[arg(long, value_name = "FILE")]
    gates: PathBuf,
    /// A run, or its scores, that `not_worse` compares with.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// What a model said of the run (docent-eval judge), for gates on `judge:` measures.
    #[arg(long, value_name = "FILE")]
    verdicts: Option<PathBuf>,
    /// Write the results as JUnit XML, a test case for each gate.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the results as Markdown.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Annotate the job on GitHub, and add the Markdown to its summary.
    #[arg(long)]
    github: bool,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
    /// Seed of the intervals.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Why nothing was checked.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The run or the baseline cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The gate file cannot be read, or a result not be written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The gate file has faults, all of them here.
    #[error("{path} has faults:{}", .faults.iter().map(|fault| format!("\n  {fault}")).collect::<Vec<_>>().concat())]
    Faults {
        /// Which file.
        path: String,
        /// What is wrong.
        faults: Vec<Fault>,
    },
    /// The verdicts cannot be read.
    #[error(transparent)]
    Verdicts(#[from] JudgeError),
    /// The results cannot be written as JUnit.
    #[error("cannot write JUnit: {0}")]
    Junit(#[from] quick_junit::SerializeError),
}

impl Check {
    /// Reads, checks, shows: success only when all gates hold.
    ///
    /// # Errors
    /// [`GateError`]
    pub fn run(&self) -> Result<ExitCode, GateError> {
        let path = self.gates.display().to_string();
        let text =
            std::fs::read_to_string(&self.gates).map_err(|source| GateError::File { path: path.clone(), source })?;
        let gates = read(&text, self.baseline.is_some()).map_err(|faults| GateError::Faults { path, faults })?;
        let measures = needed(&gates);
        let mut scores = read_scores(&self.run, &measures, self.seed)?;
        if let Some(verdicts) = &self.verdicts {
            join(&mut scores, judge::summary::of_run(&Run::read(&self.run)?, judge::read_verdicts(verdicts)?));
        }
        let baseline = self.baseline.as_deref().map(|path| read_scores(path, &measures, self.seed)).transpose()?;
        let results = check(&gates, &scores, baseline.as_ref(), self.seed);
        self.show(&results, &scores)?;
        let held = results.iter().all(|result| result.held);
        Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Puts what a model said beside the measures, over all questions.
fn join(scores: &mut Scores, summary: Summary) {
    for aspect in summary.aspects {
        for question in &mut scores.questions {
            if let Some(mean) = aspect.questions.get(&question.id) {
                question.values.insert(aspect.name.to_owned(), *mean);
            }
        }
        scores.all.push((aspect.name.to_owned(), aspect.mean));
    }
}

/// The measures that gates are about.
fn needed(gates: &[Gate]) -> Vec<Measure> {
    let mut measures: Vec<Measure> = Vec::new();
    for measure in gates.iter().filter_map(|gate| measures::parse(&gate.measure).ok()) {
        if !measures.contains(&measure) {
            measures.push(measure);
        }
    }
    measures
}

/// The scores of a run, or scores that were written.
fn read_scores(path: &Path, measures: &[Measure], seed: u64) -> Result<Scores, GateError> {
    let refuse = |source| GateError::File { path: path.display().to_string(), source };
    let text = std::fs::read_to_string(path).map_err(refuse)?;
    if let Ok(scores) = serde_json::from_str(&text) {
        return Ok(scores);
    }
    let resampling = Resampling { seed, ..Resampling::default() };
    Ok(score(&Run::read(path)?, &ScoreOptions { measures: measures.to_vec(), resampling }))
}

/// What a gate said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GateResult {
    /// As `nDCG@10 of follow-up at least 0.700`.
    pub gate: String,
    /// Its measure.
    pub measure: String,
    /// What the measure is; nothing when no question has it.
    pub value: Option<f64>,
    /// Its 95 % interval.
    pub interval: Option<(f64, f64)>,
    /// What it is in the baseline.
    pub baseline: Option<f64>,
    /// Questions that it is over.
    pub n: usize,
    /// Whether it holds.
    pub held: bool,
    /// Why it does not, or what was seen.
    pub reason: String,
    /// Of a gate that does not hold: the questions that cost most, worst first.
    pub questions: Vec<Cost>,
}

/// A question that cost something.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// The question's.
    pub id: String,
    /// Its number.
    pub value: f64,
    /// What it was in the baseline.
    pub baseline: Option<f64>,
}

/// Questions named for a gate that does not hold.
const NAMED: usize = 10;

/// Rounding: a mean of numbers that are all at the bound may miss it by as much.
const ROUNDING: f64 = 1e-9;

/// Checks all gates.
pub fn check(gates: &[Gate], scores: &Scores, baseline: Option<&Scores>, seed: u64) -> Vec<GateResult> {
    gates.iter().map(|gate| Checked::new(gate, scores, baseline, seed).result()).collect()
}

/// A gate with the numbers that it is about.
struct Checked<'a> {
    gate: &'a Gate,
    estimate: Option<Estimate>,
    /// Of the questions that have the measure and the tag.
    costs: Vec<Cost>,
    difference: Option<Difference>,
    /// Questions of the baseline that the run does not have.
    missing: Vec<String>,
}

impl<'a> Checked<'a> {
    fn new(gate: &'a Gate, scores: &Scores, baseline: Option<&Scores>, seed: u64) -> Self {
        let estimate = |scores: &Scores| gate.group(scores).iter().find(|it| it.0 == gate.measure).map(|it| it.1);
        let values = |scores: &Scores| -> BTreeMap<String, f64> { gate.values(scores).collect() };
        let before = baseline.map(values).unwrap_or_default();
        let now = values(scores);
        let cost = |(id, value): (String, f64)| Cost { baseline: before.get(&id).copied(), id, value };
        // Those that cost most first: the largest loss, or without a baseline the worst number.
        let mut costs: Vec<Cost> = gate.values(scores).map(cost).collect();
        let loss = |cost: &Cost| gate.better(cost.value - cost.baseline.unwrap_or(0.0));
        costs.sort_by(|a, b| loss(a).total_cmp(&loss(b)).then_with(|| a.id.cmp(&b.id)));
        let difference = baseline.filter(|_| gate.is_relative()).and_then(|baseline| {
            let narrow = |scores: &Scores| Scores {
                run: scores.run.clone(),
                questions: gate.questions(scores).cloned().collect(),
                all: estimate(scores).map(|it| (gate.measure.clone(), it)).into_iter().collect(),
                tags: BTreeMap::new(),
            };
            compare::differences(&narrow(baseline), &narrow(scores), seed).pop()
        });
        let missing = before.keys().filter(|id| !now.contains_key(*id) && gate.is_relative()).cloned().collect();
        Self { gate, estimate: estimate(scores), costs, difference, missing }
    }

    fn result(self) -> GateResult {
        let (held, reason) = self.verdict();
        let gate = self.gate;
        let questions = if held {
            Vec::new()
        } else {
            self.costs.iter().filter(|it| self.is_cost(it)).take(NAMED).cloned().collect()
        };
        GateResult {
            gate: gate.to_string(),
            measure: gate.measure.clone(),
            value: self.estimate.map(|it| it.value),
            interval: self.estimate.map(|it| (it.low, it.high)),
            baseline: self.difference.as_ref().map(|it| it.before),
            n: self.difference.as_ref().map_or(self.estimate.map_or(0, |it| it.n), |it| it.n),
            held,
            reason,
            questions,
        }
    }

    /// Whether a question has a share in a gate's failing.
    fn is_cost(&self, cost: &Cost) -> bool {
        match (self.gate.bound, self.gate.on) {
            (Bound::NotWorse(_), On::All) => self.gate.loss(cost) > ROUNDING,
            (_, On::Each) => !self.gate.holds_for(cost),
            (Bound::Least(bound), On::All) => cost.value < bound - ROUNDING,
            (Bound::Most(bound), On::All) => cost.value > bound + ROUNDING,
        }
    }

    fn verdict(&self) -> (bool, String) {
        let gate = self.gate;
        let Some(estimate) = self.estimate else {
            return (false, "no question has this measure, so the gate asserts nothing".to_owned());
        };
        if estimate.n < gate.questions {
            return (false, format!("over {} questions, and it wants {}", estimate.n, gate.questions));
        }
        if let Some(first) = self.missing.first() {
            let reason = format!("{} questions of the baseline are missing, as {first}", self.missing.len());
            return (false, reason);
        }
        match (gate.on, gate.bound) {
            (On::Each, _) => self.each(),
            (On::All, Bound::Least(bound)) => self.mean(estimate.value >= bound - ROUNDING, estimate.value),
            (On::All, Bound::Most(bound)) => self.mean(estimate.value <= bound + ROUNDING, estimate.value),
            (On::All, Bound::NotWorse(margin)) => self.not_worse(margin),
        }
    }

    fn mean(&self, held: bool, value: f64) -> (bool, String) {
        (held, format!("it is {}", number(&self.gate.measure, value)))
    }

    fn each(&self) -> (bool, String) {
        let failing = self.costs.iter().filter(|cost| !self.gate.holds_for(cost)).count();
        if self.gate.is_relative() && self.costs.iter().all(|cost| cost.baseline.is_none()) {
            return (false, "no question is in the baseline, so the gate asserts nothing".to_owned());
        }
        (failing == 0, format!("{failing} of {} questions do not keep it", self.costs.len()))
    }

    fn not_worse(&self, margin: f64) -> (bool, String) {
        let Some(difference) = self.difference.as_ref().filter(|it| it.n > 0) else {
            return (false, "no question is in the baseline, so the gate asserts nothing".to_owned());
        };
        let measure = &self.gate.measure;
        let seen = format!("it is {} than the baseline's", self::difference(measure, difference.difference));
        let Some(paired) = difference.paired.filter(|_| self.gate.significant) else {
            let loss = -self.gate.better(difference.difference);
            return (loss <= margin + ROUNDING, seen);
        };
        // The whole interval has to lie on the worse side of the margin.
        let best = self.gate.better(paired.low).max(self.gate.better(paired.high));
        let interval = [paired.low, paired.high].map(|end| self::difference(measure, end));
        (best >= -margin - ROUNDING, format!("{seen} (95 %: {} to {})", interval[0], interval[1]))
    }
}

impl Gate {
    /// The numbers that it is about: all, or those of its tag.
    fn group<'a>(&self, scores: &'a Scores) -> &'a [(String, Estimate)] {
        match &self.tag {
            None => &scores.all,
            Some(tag) => scores.tags.get(tag).map_or(&[], Vec::as_slice),
        }
    }

    fn questions<'a>(&'a self, scores: &'a Scores) -> impl Iterator<Item = &'a QuestionScores> {
        scores.questions.iter().filter(|it| self.tag.as_ref().is_none_or(|tag| it.tags.contains(tag)))
    }

    fn values<'a>(&'a self, scores: &'a Scores) -> impl Iterator<Item = (String, f64)> + 'a {
        self.questions(scores).filter_map(|it| Some((it.id.clone(), *it.values.get(&self.measure)?)))
    }

    /// A difference, positive when it is for the better.
    fn better(&self, difference: f64) -> f64 {
        let is_lower_better = measures::parse(&self.measure).is_ok_and(|it| it.better == Better::Lower);
        if is_lower_better { -difference } else { difference }
    }

    fn is_relative(&self) -> bool {
        matches!(self.bound, Bound::NotWorse(_))
    }

    /// By how much a question got worse.
    fn loss(&self, cost: &Cost) -> f64 {
        cost.baseline.map_or(0.0, |baseline| -self.better(cost.value - baseline))
    }

    fn holds_for(&self, cost: &Cost) -> bool {
        match self.bound {
            Bound::Least(bound) => cost.value >= bound - ROUNDING,
            Bound::Most(bound) => cost.value <= bound + ROUNDING,
            Bound::NotWorse(margin) => self.loss(cost) <= margin + ROUNDING,
        }
    }
}
