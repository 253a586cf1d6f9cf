//! The refusal threshold: below which evidence a question is refused.
//!
//! The rule: of all thresholds that wrongly refuse at most the given share of the answerable
//! questions, the one that refuses most of those to be refused; of equals the lowest. A threshold
//! stands in the middle between two neighbouring evidences, so that none lies on it, and is written
//! with four decimals, with which it is judged too. A question is refused when its evidence is below
//! the threshold, as the bot does it. 0 refuses nothing.

use serde::Serialize;

use crate::measures::refusal;
use crate::records::{Record, Run};
use crate::statistics::auroc;

/// The evidence of a question, and whether it is to be refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The question's.
    pub id: String,
    /// The question's.
    pub tags: Vec<String>,
    /// Best cosine.
    pub evidence: f64,
    /// Whether it is to be refused.
    pub refuse: bool,
}

/// What a threshold does to some questions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// `REFUSE_BELOW`.
    pub threshold: f64,
    /// Questions to be refused that are.
    pub refused: Share,
    /// Answerable questions that are refused.
    pub wrongly_refused: Share,
}

/// So many of so many, with the 95 % interval of Wilson (1927), which holds for few and for none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// So many.
    pub count: usize,
    /// Of so many.
    pub of: usize,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// 97.5th percentile of the normal distribution.
const Z: f64 = 1.959_964;

#[allow(clippy::cast_precision_loss)] // counts of questions
impl Share {
    /// With its interval.
    pub fn new(count: usize, of: usize) -> Self {
        let n = of as f64;
        if of == 0 {
            return Self { count, of, low: 0.0, high: 1.0 };
        }
        let share = count as f64 / n;
        let width = 1.0 + Z * Z / n;
        let middle = (share + Z * Z / (2.0 * n)) / width;
        let half = Z / width * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
        Self { count, of, low: (middle - half).max(0.0), high: (middle + half).min(1.0) }
    }

    /// The share itself; 0 of none.
    pub fn value(self) -> f64 {
        if self.of == 0 { 0.0 } else { self.count as f64 / self.of as f64 }
    }
}

/// The evidence in a run's traces, each question once.
pub fn evidences(run: &Run) -> Vec<Evidence> {
    let first = run.records.iter().filter(|record| record.repeat == 0 && record.error.is_none());
    first.filter_map(evidence).collect()
}

/// Nothing where it is not known whether the question can be answered, or there is no trace.
fn evidence(record: &Record) -> Option<Evidence> {
    let trace = record.answer.as_ref()?.trace.as_ref()?;
    let refuse = !refusal::answerable(&record.question)?;
    let (id, tags) = (record.question.id.clone(), record.question.tags.clone());
    Some(Evidence { id, tags, evidence: trace.evidence, refuse })
}

/// What a threshold does.
pub fn at(threshold: f64, questions: &[Evidence]) -> Point {
    let share = |refuse: bool| {
        let of = questions.iter().filter(|question| question.refuse == refuse);
        let count = of.clone().filter(|question| question.evidence < threshold).count();
        Share::new(count, of.count())
    };
    Point { threshold, refused: share(true), wrongly_refused: share(false) }
}

/// Every threshold that does something else than the one before it, from 0 on.
pub fn curve(questions: &[Evidence]) -> Vec<Point> {
    let mut evidences: Vec<f64> = questions.iter().map(|question| question.evidence).collect();
    evidences.sort_by(f64::total_cmp);
    evidences.dedup();
    let between = evidences.windows(2).map(|pair| pair.iter().sum::<f64>() / 2.0);
    // Above the highest evidence everything is refused, which nobody wants and the curve ends with.
    let above = evidences.last().map(|highest| highest + 0.001);
    let mut thresholds: Vec<f64> = std::iter::once(0.0).chain(between).chain(above).map(rounded).collect();
    thresholds.dedup();
    thresholds.into_iter().map(|threshold| at(threshold, questions)).collect()
}

fn rounded(threshold: f64) -> f64 {
    (threshold * 10_000.0).round() / 10_000.0
}

/// The threshold by the rule above.
pub fn fit(questions: &[Evidence], most_wrong: f64) -> Point {
    let allowed = curve(questions).into_iter().filter(|point| point.wrongly_refused.value() <= most_wrong);
    // The first of equals is the lowest.
    let best = allowed.reduce(|best, point| if point.refused.count > best.refused.count { point } else { best });
    best.unwrap_or_else(|| at(0.0, questions))
}

/// How well evidence tells the two kinds apart, whatever the threshold.
pub fn area(questions: &[Evidence]) -> Option<f64> {
    // What is to be refused has the lower evidence.
    let of = |refuse: bool| -> Vec<f64> {
        questions.iter().filter(|question| question.refuse == refuse).map(|question| -question.evidence).collect()
    };
    auroc(&of(true), &of(false))
}
