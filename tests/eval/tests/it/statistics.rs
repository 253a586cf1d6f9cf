//! Intervals, tests and curves beside those of scipy and scikit-learn; `statistics/make.py` says how
//! their numbers were made.

use std::time::{Duration, Instant};

use docent_eval::measures;
use docent_eval::scores::{QuestionScores, ScoreOptions, estimates};
use docent_eval::statistics::{Resampling, Statistic, auroc, intervals, paired_interval, paired_p, roc};
use serde_json::Value;

fn peers() -> Value {
    serde_json::from_str(include_str!("statistics/peers.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn near(ours: f64, theirs: &Value, by: f64) {
    let theirs = theirs.as_f64().unwrap();
    assert!((ours - theirs).abs() <= by, "{ours}, theirs {theirs}");
}

#[test]
fn the_paired_test_is_scipy_s() {
    let peers = peers();
    near(paired_p(&numbers(&peers["few"]), 1), &peers["p_few"], 1e-12);
    // Both are drawn: three standard errors of ours.
    let p = peers["p"].as_f64().unwrap();
    near(paired_p(&numbers(&peers["differences"]), 1), &peers["p"], 3.0 * (p * (1.0 - p) / 100_000.0).sqrt());
    assert_eq!(paired_p(&[0.0; 40], 1).to_bits(), 1.0_f64.to_bits(), "nothing differs");
}

#[test]
fn intervals_are_scipy_s_and_the_same_every_time() {
    let peers = peers();
    let resampling = Resampling::default();
    let ours = paired_interval(&numbers(&peers["differences"]), resampling).unwrap();
    near(ours.0, &peers["interval"][0], 0.001);
    near(ours.1, &peers["interval"][1], 0.001);
    assert_eq!(Some(ours), paired_interval(&numbers(&peers["differences"]), resampling));
    assert_ne!(Some(ours), paired_interval(&numbers(&peers["differences"]), Resampling { seed: 2, ..resampling }));

    let before: Vec<(usize, f64)> = numbers(&peers["before"]).into_iter().enumerate().collect();
    let once = vec![1; before.len()];
    near(Statistic::quantile(0.95, before.clone()).weighted(&once).unwrap(), &peers["p95"], 0.0);
    near(Statistic::quantile(0.5, before.clone()).weighted(&once).unwrap(), &peers["median"], 0.0);
    let mean = intervals(&[Statistic::mean(before)], once.len(), resampling)[0].unwrap();
    near(mean.0, &peers["before_interval"][0], 0.004);
    near(mean.1, &peers["before_interval"][1], 0.004);
}

#[test]
fn the_roc_curve_and_its_area_are_scikit_learn_s() {
    let peers = peers();
    let (positives, negatives) = (numbers(&peers["positives"]), numbers(&peers["negatives"]));
    near(auroc(&positives, &negatives).unwrap(), &peers["auroc"], 1e-12);
    let (ours, theirs) = (roc(&positives, &negatives), peers["roc"].as_array().unwrap());
    assert_eq!(ours.len(), theirs.len() + 1);
    for (ours, theirs) in ours[1..].iter().zip(theirs) {
        near(ours.threshold, &theirs[0], 0.0);
        near(ours.true_positives, &theirs[1], 1e-12);
        near(ours.false_positives, &theirs[2], 1e-12);
    }
    assert_eq!(auroc(&positives, &[]), None);
}

#[test]
fn thousands_of_questions_take_seconds() {
    let options = ScoreOptions { measures: measures::defaults()[..20].to_vec(), ..ScoreOptions::default() };
    let question = |i: usize| QuestionScores {
        id: i.to_string(),
        answerable: Some(i.is_multiple_of(2)),
        values: options.measures.iter().map(|it| (it.name.clone(), (i % 64) as f64 / 64.0)).collect(),
        ..QuestionScores::default()
    };
    let questions: Vec<QuestionScores> = (0..5696).map(question).collect();
    let questions: Vec<&QuestionScores> = questions.iter().collect();
    let begun = Instant::now();
    assert_eq!(estimates(&questions, &options).len(), 20);
    let took = begun.elapsed();
    println!("{took:?}");
    // On a busy machine, unoptimised; a fifth of it otherwise.
    assert!(took < Duration::from_secs(25), "{took:?}");
}
