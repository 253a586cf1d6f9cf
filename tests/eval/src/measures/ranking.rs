//! Whether the right pages and passages were found, and how high up. The rules are `trec_eval`'s, and
//! the numbers are compared with its own.
//!
//! - The order is by score, descending; equal scores by name, descending (`trec_eval`'s
//!   `te_form_res_rels.c`). Scores are compared as 32-bit floats, as `trec_eval` holds them.
//! - Relevant is what has a grade of 1 or more. What was found and not judged is not relevant.
//! - A question without results counts as 0. A question with nothing relevant, or to be refused, is
//!   left out, here and in the qrels that are written.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::measures::Level;
use crate::questions::{Grades, Question};
use crate::records::{Found, Record};

/// What was found, best first by `trec_eval`'s order, each name once, with the score for a run file.
pub type Ranking = Vec<(String, f64)>;

/// The pages found; each has the score of its best passage.
pub fn page_ranking(record: &Record) -> Ranking {
    ranking(record, |found| &found.page)
}

/// The passages found.
pub fn passage_ranking(record: &Record) -> Ranking {
    ranking(record, |found| &found.passage)
}

/// A bot's order is what its readers see, so there the score is one divided by the rank. A search
/// alone has only its scores, and their ties.
fn ranking(record: &Record, name: impl Fn(&Found) -> &String) -> Ranking {
    let is_search = record.answer.is_none() && record.error.is_none();
    let mut best: BTreeMap<&String, f64> = BTreeMap::new();
    for found in &record.ranking {
        #[allow(clippy::cast_precision_loss)] // ranks are small
        let by_rank = 1.0 / (best.len() + 1) as f64;
        let score = if is_search { found.score } else { by_rank };
        let known = best.entry(name(found)).or_insert(score);
        *known = known.max(score);
    }
    let mut ranking: Ranking = best.into_iter().map(|(name, score)| (name.clone(), score)).collect();
    ranking.sort_by(trec_order);
    ranking
}

/// `trec_eval`'s order.
fn trec_order((a, score_a): &(String, f64), (b, score_b): &(String, f64)) -> Ordering {
    #[allow(clippy::cast_possible_truncation)] // as trec_eval does
    let (score_a, score_b) = (*score_a as f32, *score_b as f32);
    score_b.partial_cmp(&score_a).unwrap_or(Ordering::Equal).then_with(|| b.cmp(a))
}

/// What the question's qrels are: nothing for a question that ranking measures leave out.
pub fn qrels(question: &Question, level: Level) -> Option<&Grades> {
    let grades = match level {
        Level::Page => &question.pages,
        Level::Passage => &question.passages,
    };
    Some(grades).filter(|grades| !question.refuse && grades.0.values().any(|grade| *grade > 0))
}

/// What was found for the question, as grades in their order.
pub fn judged(record: &Record, level: Level) -> Option<Judged> {
    let qrels = qrels(&record.question, level)?;
    let ranking = match level {
        Level::Page => page_ranking(record),
        Level::Passage => passage_ranking(record),
    };
    Some(Judged::new(qrels, &ranking))
}

/// A ranking as the grades of what is in it.
#[derive(Debug, Clone)]
pub struct Judged {
    /// In the order of the ranking; 0 for what is not judged.
    found: Vec<u32>,
    /// All grades of 1 and more, the highest first.
    ideal: Vec<u32>,
}

#[allow(clippy::cast_precision_loss)] // ranks and counts are small
impl Judged {
    /// Looks up the grades.
    pub fn new(qrels: &Grades, ranking: &Ranking) -> Self {
        let found = ranking.iter().map(|(name, _)| qrels.0.get(name).copied().unwrap_or(0)).collect();
        let mut ideal: Vec<u32> = qrels.0.values().copied().filter(|grade| *grade > 0).collect();
        ideal.sort_unstable_by(|a, b| b.cmp(a));
        Self { found, ideal }
    }

    /// `nDCG@k`
    pub fn ndcg(&self, k: usize) -> f64 {
        gain(&self.found, k) / gain(&self.ideal, k)
    }

    /// `R@k`
    pub fn recall(&self, k: usize) -> f64 {
        self.relevant(k) as f64 / self.ideal.len() as f64
    }

    /// `P@k`
    pub fn precision(&self, k: usize) -> f64 {
        self.relevant(k) as f64 / k as f64
    }

    /// `Success@k`
    pub fn success(&self, k: usize) -> f64 {
        if self.relevant(k) > 0 { 1.0 } else { 0.0 }
    }

    /// `RR`
    pub fn reciprocal_rank(&self) -> f64 {
        self.found.iter().position(|grade| *grade > 0).map_or(0.0, |rank| 1.0 / (rank + 1) as f64)
    }

    /// `AP`
    pub fn average_precision(&self) -> f64 {
        let ranks = (1..).zip(&self.found).filter(|(_, grade)| **grade > 0).map(|(rank, _): (usize, _)| rank);
        let precisions = (1..).zip(ranks).map(|(relevant, rank): (usize, usize)| relevant as f64 / rank as f64);
        precisions.sum::<f64>() / self.ideal.len() as f64
    }

    fn relevant(&self, k: usize) -> usize {
        self.found.iter().take(k).filter(|grade| **grade > 0).count()
    }
}

#[allow(clippy::cast_precision_loss)] // ranks are small
fn gain(grades: &[u32], k: usize) -> f64 {
    (2..).zip(grades).take(k).map(|(discount, grade): (usize, _)| f64::from(*grade) / (discount as f64).log2()).sum()
}
