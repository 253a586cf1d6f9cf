//! Weights of fusion, by fusing again what a run's traces or two runs of a search hold.

use std::collections::BTreeMap;

use docent_core::retrieve::{self, Weights};
use docent_core::trace::{Candidate, Shares, Trace};
use serde::Serialize;

use crate::measures::Measure;
use crate::pages;
use crate::questions::Question;
use crate::records::{Found, Record, Run};
use crate::statistics::{Resampling, paired_interval, paired_p};

/// Weights of the second list that are tried, when the first counts 1.
pub const RATIOS: [f64; 10] = [0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0];
/// Weights that are tried where the other has the rest to 1.
pub const SHARES: [f64; 10] = [0.0, 0.1, 0.2, 0.25, 0.33, 0.4, 0.5, 0.6, 0.75, 1.0];
/// A difference that chance makes in fewer than one of twenty cases counts as one.
const ALPHA: f64 = 0.05;

/// What two lists found for a question.
#[derive(Debug, Clone)]
pub struct Listed {
    /// With what answers it.
    pub question: Question,
    /// Candidates with their rank in both lists.
    pub candidates: Vec<Candidate>,
    /// Where pages are published.
    pub base_url: String,
    /// The weights of fusion for the one that is tried, and those that were in force.
    pub weights: fn(f64, Weights) -> Weights,
    /// Those that were in force.
    pub in_force: Weights,
}

/// What a weight is of both, when the other is 1.
pub fn share_of(weight: f64) -> f64 {
    weight / (1.0 + weight)
}

/// A weight that was fitted, and whether it is better than the one in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fitted {
    /// The one in force.
    pub current: f64,
    /// The best on the half that it is chosen on.
    pub best: f64,
    /// The mean of the measure on that half, by weight.
    pub curve: Vec<(f64, f64)>,
    /// On the other half: the mean by the weight in force.
    pub before: f64,
    /// And by the best.
    pub after: f64,
    /// 95 % interval of the difference of the two.
    pub interval: Option<(f64, f64)>,
    /// Of the paired test on that half.
    pub p: f64,
    /// Questions of both halves.
    pub questions: (usize, usize),
    /// The weight to use: the best if it is distinguishably better, or else the one in force.
    pub chosen: f64,
}

/// Follow-ups of a run, with what both of their searches found, to be weighed against each other.
pub fn follow_ups(run: &Run) -> Vec<Listed> {
    let of_context = |context, in_force| Weights { context, ..in_force };
    judged(run, of_context, |record, trace| trace.queries.len() == 2 && !record.question.turns.is_empty())
}

/// Questions of a run that were searched by vectors and by words, to be weighed against each other.
pub fn by_words(run: &Run) -> Vec<Listed> {
    let of_words = |words, in_force| Weights { words, ..in_force };
    judged(run, of_words, |_, trace| (0.0..1.0).contains(&trace.rules.words_weight) && trace.rules.words_weight > 0.0)
}

fn judged(run: &Run, weights: fn(f64, Weights) -> Weights, is_wanted: impl Fn(&Record, &Trace) -> bool) -> Vec<Listed> {
    let listed = |record: &Record| {
        let trace = record.answer.as_ref()?.trace.as_ref()?;
        let is_judged = !record.question.pages.is_empty() && !record.question.refuse;
        (is_judged && is_wanted(record, trace) && record.repeat == 0).then(|| Listed {
            question: record.question.clone(),
            candidates: trace.candidates.clone(),
            base_url: run.header.base_url.clone(),
            weights,
            in_force: Weights { words: trace.rules.words_weight, context: trace.rules.context_weight },
        })
    };
    run.records.iter().filter_map(listed).collect()
}

/// Questions of two runs of a search over the same collection, with what both found.
pub fn of_runs(first: &Run, second: &Run) -> Vec<Listed> {
    let others: BTreeMap<&str, &Record> =
        second.records.iter().map(|record| (record.question.id.as_str(), record)).collect();
    let both = first.records.iter().filter_map(|record| Some((record, *others.get(record.question.id.as_str())?)));
    both.map(|(first, second)| Listed {
        question: first.question.clone(),
        candidates: candidates(&[&first.ranking, &second.ranking]),
        base_url: String::new(),
        weights: |ratio, _| Weights { words: share_of(ratio), context: 0.0 },
        in_force: Weights { words: 0.0, context: 0.0 },
    })
    .collect()
}

/// What each list says for a page is its share of the list's best score; the score of the first list
/// breaks ties, as the cosine does in the bot.
fn candidates(lists: &[&Vec<Found>; 2]) -> Vec<Candidate> {
    let mut known: BTreeMap<&str, Candidate> = BTreeMap::new();
    let [vectors, words] = lists;
    for (list, is_vectors) in [(vectors, true), (words, false)] {
        let best = list.first().map_or(1.0, |found| found.score);
        for found in *list {
            let candidate = known.entry(&found.passage).or_insert_with(|| Candidate {
                id: found.passage.clone(),
                url: found.passage.clone(),
                title: found.page.clone(),
                shares: vec![Shares::default()],
                ..Candidate::default()
            });
            let share = found.score / best;
            for shares in &mut candidate.shares {
                if is_vectors {
                    (shares.vector, shares.page_vector) = (share, share);
                } else {
                    (shares.words, shares.page_words) = (share, share);
                }
            }
            if is_vectors {
                candidate.scores = vec![Some(found.score)];
            }
        }
    }
    known.into_values().collect()
}

impl Listed {
    /// The measure with this weight.
    fn value(&self, weight: f64, measure: &Measure) -> Option<f64> {
        let mut candidates = self.candidates.clone();
        retrieve::fuse(&mut candidates, (self.weights)(weight, self.in_force));
        let found = |(rank, candidate): (u32, Candidate)| {
            // Of a search, the names are known; of a bot, they are in the address.
            let (page, passage) = if self.base_url.is_empty() {
                (candidate.title, candidate.url)
            } else {
                (pages::name(&self.base_url, &candidate.url).0, pages::passage(&self.base_url, &candidate.url))
            };
            Found { page, passage, score: 1.0 / f64::from(rank), ..Found::default() }
        };
        let ranking = (1..).zip(candidates).map(found).collect();
        measure.of(&Record { question: self.question.clone(), ranking, ..Record::default() })
    }
}

fn values(listed: &[&Listed], weight: f64, measure: &Measure) -> Vec<f64> {
    listed.iter().filter_map(|listed| listed.value(weight, measure)).collect()
}

#[allow(clippy::cast_precision_loss)] // counts of questions
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Chooses on one half and reports on the other. Of equal weights the one nearest to that in force.
pub fn fit([fit, report]: [&[&Listed]; 2], current: f64, tried: &[f64], measure: &Measure, seed: u64) -> Fitted {
    let curve: Vec<(f64, f64)> = tried.iter().map(|weight| (*weight, mean(&values(fit, *weight, measure)))).collect();
    let nearer = |a: f64, b: f64| (a - current).abs() < (b - current).abs();
    let in_force = (current, mean(&values(fit, current, measure)));
    let (best, _) = curve.iter().fold(in_force, |best, tried| {
        #[allow(clippy::float_cmp)] // equal is what fuses to the same order
        let is_better = tried.1 > best.1 || (tried.1 == best.1 && nearer(tried.0, best.0));
        if is_better { *tried } else { best }
    });
    let (before, after) = (values(report, current, measure), values(report, best, measure));
    let differences: Vec<f64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    let p = if differences.is_empty() { 1.0 } else { paired_p(&differences, seed) };
    let (before, after) = (mean(&before), mean(&after));
    let chosen = if after > before && p < ALPHA { best } else { current };
    let interval = paired_interval(&differences, Resampling { seed, ..Resampling::default() });
    Fitted { current, best, curve, before, after, interval, p, questions: (fit.len(), report.len()), chosen }
}
