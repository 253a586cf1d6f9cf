//! The numbers of a run: per question always, and their means with intervals.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::records::Header;

/// All numbers of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Of which run.
    pub run: Header,
    /// Per question, in the order of the run.
    pub questions: Vec<QuestionScores>,
    /// Over all questions, by name of the measure, in the order of [`crate::measures`].
    pub all: Vec<(String, Estimate)>,
    /// Over the questions of one tag, by tag.
    pub tags: BTreeMap<String, Vec<(String, Estimate)>>,
}

/// The numbers of one question, the mean over its repeats.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QuestionScores {
    /// The question's.
    pub id: String,
    /// The question's.
    pub tags: Vec<String>,
    /// By name of the measure. A measure that says nothing about this question is absent: nDCG of a
    /// question to be refused, a fact where none is named.
    pub values: BTreeMap<String, f64>,
}

/// A number over many questions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean, or the share.
    pub value: f64,
    /// Lower end of the 95 % bootstrap interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Questions that it is over.
    pub n: usize,
}
