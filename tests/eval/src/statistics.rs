//! How sure a number is: bootstrap intervals over questions, paired tests, and the ROC curve.
//!
//! Chance comes from `ChaCha8` with a seed, so the same numbers give the same intervals on every
//! machine. Intervals are percentile bootstrap intervals (Efron and Tibshirani 1993, chapter 13): they
//! stay within the measure's range, and one drawing of questions serves all measures. `BCa` intervals,
//! which correct for skew, need every question left out once for each measure, and for means over the
//! usual dozens of questions differ little.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// How often questions are drawn again, and from which seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resampling {
    /// Of the random numbers.
    pub seed: u64,
    /// How often.
    pub resamples: usize,
}

impl Default for Resampling {
    /// 10,000 resamples: the ends of an interval then wander by some 3 % of its half width from seed to seed.
    fn default() -> Self {
        Self { seed: 1, resamples: 10_000 }
    }
}

/// Two-sided 95 %: this share is cut off at each end.
const TAIL: f64 = 0.025;

/// A number over many questions, of which each counts as often as it was drawn.
#[derive(Debug, Clone)]
pub enum Statistic {
    /// The mean. Index of the question, and its value.
    Mean(Vec<(usize, f64)>),
    /// The smallest value that this share of the questions do not exceed. By value.
    Quantile(f64, Vec<(usize, f64)>),
    /// Area under the ROC curve. By value, with whether the question is a positive one.
    Auroc(Vec<(usize, f64, bool)>),
}

impl Statistic {
    /// The mean of some questions' values.
    pub fn mean(values: Vec<(usize, f64)>) -> Self {
        Self::Mean(values)
    }

    /// A quantile of some questions' values, without interpolation (numpy's `inverted_cdf`).
    pub fn quantile(share: f64, mut values: Vec<(usize, f64)>) -> Self {
        values.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        Self::Quantile(share, values)
    }

    /// The area under the ROC curve of some questions' values.
    pub fn auroc(mut values: Vec<(usize, f64, bool)>) -> Self {
        values.sort_by(|(_, a, _), (_, b, _)| a.total_cmp(b));
        Self::Auroc(values)
    }

    /// Questions that it is over.
    pub fn n(&self) -> usize {
        match self {
            Self::Mean(values) | Self::Quantile(_, values) => values.len(),
            Self::Auroc(values) => values.len(),
        }
    }

    /// Its value, when question `i` counts `weights[i]` times. Nothing when no question counts, or for
    /// a ROC curve none of one kind.
    pub fn weighted(&self, weights: &[u32]) -> Option<f64> {
        let weight = |index: usize| f64::from(weights.get(index).copied().unwrap_or(0));
        match self {
            Self::Mean(values) => weighted_mean(values, weight),
            Self::Quantile(share, values) => weighted_quantile(*share, values, weight),
            Self::Auroc(values) => weighted_auroc(values, weight),
        }
    }
}

fn weighted_mean(values: &[(usize, f64)], weight: impl Fn(usize) -> f64) -> Option<f64> {
    let add = |(sum, total), (index, value): &(usize, f64)| (sum + weight(*index) * value, total + weight(*index));
    let (sum, total) = values.iter().fold((0.0, 0.0), add);
    (total > 0.0).then(|| sum / total)
}

fn weighted_quantile(share: f64, values: &[(usize, f64)], weight: impl Fn(usize) -> f64) -> Option<f64> {
    let total: f64 = values.iter().map(|(index, _)| weight(*index)).sum();
    let mut below = 0.0;
    let reaches = |(index, _): &&(usize, f64)| {
        below += weight(*index);
        below >= share * total
    };
    values.iter().filter(|(index, _)| weight(*index) > 0.0).find(reaches).map(|(_, value)| *value)
}

/// Mann–Whitney: pairs in which the positive one has more, of all pairs; a tie counts half.
fn weighted_auroc(values: &[(usize, f64, bool)], weight: impl Fn(usize) -> f64) -> Option<f64> {
    let (mut won, mut positives, mut negatives) = (0.0, 0.0, 0.0);
    #[allow(clippy::float_cmp)] // a tie is what is equal
    for tied in values.chunk_by(|(_, a, _), (_, b, _)| a == b) {
        let of = |kind: bool| tied.iter().filter(|it| it.2 == kind).map(|it| weight(it.0)).sum::<f64>();
        let (positive, negative) = (of(true), of(false));
        won += positive * (negatives + negative / 2.0);
        positives += positive;
        negatives += negative;
    }
    (positives * negatives > 0.0).then(|| won / (positives * negatives))
}

/// 95 % intervals of statistics over the same `n` questions, in their order. A resample in which a
/// statistic has no value does not count for it; nothing where no resample has one.
pub fn intervals(statistics: &[Statistic], n: usize, resampling: Resampling) -> Vec<Option<(f64, f64)>> {
    let mut random = ChaCha8Rng::seed_from_u64(resampling.seed);
    let mut values: Vec<Vec<f64>> = vec![Vec::with_capacity(resampling.resamples); statistics.len()];
    let mut weights = vec![0; n];
    for _ in 0..resampling.resamples {
        draw(&mut random, &mut weights);
        for (statistic, drawn) in statistics.iter().zip(&mut values) {
            drawn.extend(statistic.weighted(&weights));
        }
    }
    values.into_iter().map(interval).collect()
}

/// Draws as many questions as there are, with replacement.
fn draw(random: &mut ChaCha8Rng, weights: &mut [u32]) {
    weights.fill(0);
    for _ in 0..weights.len() {
        // The upper half of the product is even to one part in 2^32 / n.
        let product = u64::from(random.next_u32()) * weights.len() as u64;
        if let Some(weight) = usize::try_from(product >> 32).ok().and_then(|index| weights.get_mut(index)) {
            *weight += 1;
        }
    }
}

/// From the 2.5th to the 97.5th percentile, between two numbers by proportion.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counts
fn interval(mut values: Vec<f64>) -> Option<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = |share: f64| {
        let place = share * last as f64;
        let (below, above) = (values.get(place.floor() as usize)?, values.get(place.ceil() as usize)?);
        Some(below + (above - below) * place.fract())
    };
    Some((at(TAIL)?, at(1.0 - TAIL)?))
}

/// Differences that are tried in all combinations of signs.
const EXACT_UP_TO: usize = 16;

/// Combinations of signs that are drawn where there are more.
pub const DRAWS: usize = 100_000;

/// How likely a mean difference at least this far from 0 is, in either direction, if for each
/// question chance alone had decided which of the two runs got which value: Fisher's paired
/// randomisation test, as Smucker et al. 2007 recommend it for comparing searches. Exact where at
/// most 16 questions differ, and else over [`DRAWS`] draws, of which what was seen counts as one.
pub fn paired_p(differences: &[f64], seed: u64) -> f64 {
    let nonzero: Vec<f64> = differences.iter().copied().filter(|it| *it != 0.0).collect();
    let observed = nonzero.iter().sum::<f64>().abs();
    // Sums of the same numbers in another order differ by rounding.
    let limit = observed - 1e-12 * nonzero.iter().map(|it| it.abs()).sum::<f64>();
    let groups: Vec<Vec<f64>> = nonzero.chunks(8).map(signed_sums).collect();
    let is_extreme = |signs: &[u8]| {
        let sum: f64 = groups.iter().zip(signs).filter_map(|(sums, sign)| sums.get(usize::from(*sign))).sum();
        sum.abs() >= limit
    };
    #[allow(clippy::cast_precision_loss)] // counts
    if nonzero.len() <= EXACT_UP_TO {
        let all = 1_u32 << nonzero.len();
        let extreme = (0..all).filter(|signs| is_extreme(&signs.to_le_bytes())).count();
        extreme as f64 / f64::from(all)
    } else {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut signs = vec![0; groups.len()];
        let drawn = (0..DRAWS).filter(|_| {
            random.fill_bytes(&mut signs);
            is_extreme(&signs)
        });
        (drawn.count() + 1) as f64 / (DRAWS + 1) as f64
    }
}

/// The sums of up to eight numbers under all their signs: bit `i` of the index is the sign of number
/// `i`. Signs are then drawn by the byte.
fn signed_sums(numbers: &[f64]) -> Vec<f64> {
    let sign = |signs: usize, bit: usize| if signs >> bit & 1 == 1 { -1.0 } else { 1.0 };
    let sum = |signs| numbers.iter().enumerate().map(|(bit, number)| sign(signs, bit) * number).sum();
    (0..256).map(sum).collect()
}

/// The 95 % interval of the mean difference of two runs over the same questions. Nothing without
/// questions.
pub fn paired_interval(differences: &[f64], resampling: Resampling) -> Option<(f64, f64)> {
    let mean = Statistic::mean(differences.iter().copied().enumerate().collect());
    intervals(&[mean], differences.len(), resampling).into_iter().next().flatten()
}

/// The area under the ROC curve; nothing without values of both kinds.
pub fn auroc(positives: &[f64], negatives: &[f64]) -> Option<f64> {
    let kind = |values: &[f64], kind| values.iter().map(move |value| (0, *value, kind)).collect::<Vec<_>>();
    Statistic::auroc([kind(positives, true), kind(negatives, false)].concat()).weighted(&[1])
}

/// One threshold of a test.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct RocPoint {
    /// What has at least this much counts as positive.
    pub threshold: f64,
    /// Share of the positives that do.
    pub true_positives: f64,
    /// Share of the negatives that do.
    pub false_positives: f64,
}

/// The ROC curve: a point for each value there is, from the strictest on. It begins at (0, 0) with a
/// threshold that nothing reaches.
#[allow(clippy::cast_precision_loss, clippy::float_cmp)] // counts; a tie is what is equal
pub fn roc(positives: &[f64], negatives: &[f64]) -> Vec<RocPoint> {
    let mut values: Vec<(f64, bool)> = positives.iter().map(|value| (*value, true)).collect();
    values.extend(negatives.iter().map(|value| (*value, false)));
    values.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let (mut reached, all) = ((0, 0), (positives.len().max(1) as f64, negatives.len().max(1) as f64));
    let mut curve = vec![RocPoint { threshold: f64::INFINITY, true_positives: 0.0, false_positives: 0.0 }];
    for tied in values.chunk_by(|(a, _), (b, _)| a == b) {
        let more = tied.iter().filter(|(_, positive)| *positive).count();
        reached = (reached.0 + more, reached.1 + tied.len() - more);
        let threshold = tied.first().map_or(f64::INFINITY, |(value, _)| *value);
        let (true_positives, false_positives) = (reached.0 as f64 / all.0, reached.1 as f64 / all.1);
        curve.push(RocPoint { threshold, true_positives, false_positives });
    }
    curve
}
