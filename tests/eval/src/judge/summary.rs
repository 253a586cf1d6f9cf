//! What the verdicts say together, and how far they agree.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::judge::Verdict;
use crate::judge::prompt::{self, Aspect};
use crate::records::{Record, Run};
use crate::scores::Estimate;
use crate::statistics::{Resampling, Statistic, intervals};

/// All verdicts on a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// By aspect.
    pub aspects: Vec<AspectSummary>,
    /// Replies that were read.
    pub read: usize,
    /// Replies that were not a verdict: they are in no number.
    pub unreadable: usize,
}

/// One aspect.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AspectSummary {
    /// As `judge:faithfulness`.
    pub name: &'static str,
    /// The mean over questions, each the mean of its verdicts.
    pub mean: Estimate,
    /// How far the verdicts on the same question lie from their mean: standard deviation, averaged over
    /// questions that have two verdicts and more.
    pub deviation: f64,
    /// From the lowest to the highest verdict on the same question, at the question where they are
    /// furthest apart.
    pub widest: (f64, f64),
    /// The mean of each question.
    pub questions: BTreeMap<String, f64>,
}

/// Sums up the verdicts on the answers of a run as they are in it: an answer that is another one since
/// has none.
pub fn of_run(run: &Run, mut verdicts: Vec<Verdict>) -> Summary {
    let records: BTreeMap<(&str, u32), &Record> =
        run.records.iter().map(|record| ((record.question.id.as_str(), record.repeat), record)).collect();
    verdicts.retain(|verdict| {
        let record = records.get(&(verdict.question.as_str(), verdict.repeat));
        let asked = record.and_then(|record| prompt::Asked::about(record, &verdict.model));
        asked.is_some_and(|asked| asked.hash == verdict.asked)
    });
    of(&verdicts, run.header.seed)
}

/// Sums up. Intervals are over questions.
pub fn of(verdicts: &[Verdict], seed: u64) -> Summary {
    let mut scores: BTreeMap<Aspect, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    let mut summary = Summary::default();
    for verdict in verdicts {
        let Some(opinions) = prompt::read(&verdict.reply, &verdict.aspects) else {
            summary.unreadable += 1;
            continue;
        };
        summary.read += 1;
        for (aspect, opinion) in opinions {
            scores.entry(aspect).or_default().entry(verdict.question.clone()).or_default().push(opinion.score);
        }
    }
    summary.aspects = scores.iter().map(|(aspect, questions)| aspect_summary(*aspect, questions, seed)).collect();
    summary
}

fn aspect_summary(aspect: Aspect, questions: &BTreeMap<String, Vec<f64>>, seed: u64) -> AspectSummary {
    let means: BTreeMap<String, f64> = questions.iter().map(|(id, scores)| (id.clone(), mean(scores))).collect();
    let statistic = Statistic::mean(means.values().copied().enumerate().collect());
    let value = mean(&means.values().copied().collect::<Vec<_>>());
    let resampling = Resampling { seed, ..Resampling::default() };
    let interval = intervals(std::slice::from_ref(&statistic), means.len(), resampling).into_iter().next().flatten();
    let (low, high) = interval.unwrap_or((value, value));
    let deviations: Vec<f64> = questions.values().filter_map(|scores| deviation(scores)).collect();
    let widest = questions.values().map(|scores| range(scores)).max_by(|a, b| (a.1 - a.0).total_cmp(&(b.1 - b.0)));
    AspectSummary {
        name: aspect.name(),
        mean: Estimate { value, low, high, n: means.len() },
        deviation: mean(&deviations),
        widest: widest.unwrap_or_default(),
        questions: means,
    }
}

#[allow(clippy::cast_precision_loss)] // counts
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Of a sample: divided by one less than its size.
#[allow(clippy::cast_precision_loss)] // counts
fn deviation(values: &[f64]) -> Option<f64> {
    let middle = mean(values);
    let squares: f64 = values.iter().map(|value| (value - middle).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

fn range(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)))
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<20} {:>6}  {:<16} {:>5}  {:>5}  widest", "judge", "mean", "95 % interval", "n", "sd")?;
        for it in &self.aspects {
            let interval = format!("{:.3} to {:.3}", it.mean.low, it.mean.high);
            let (name, value, n, (low, high)) = (it.name, it.mean.value, it.mean.n, it.widest);
            writeln!(
                f,
                "{name:<20} {value:>6.3}  {interval:<16} {n:>5}  {:>5.3}  {low:.2} to {high:.2}",
                it.deviation
            )?;
        }
        writeln!(f, "{} verdicts; {} more were unreadable and count nowhere", self.read, self.unreadable)
    }
}
