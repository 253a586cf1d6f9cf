//! Questions in two halves: one to choose by, one to report on.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::questions::Question;

/// Halves with as many of each kind: to be refused or not, follow-up or not, and by tags. Which
/// question goes where depends on its id and the seed alone.
pub fn halves(questions: &[Question], seed: u64) -> (Vec<Question>, Vec<Question>) {
    let mut kinds: BTreeMap<(bool, bool, &[String]), Vec<&Question>> = BTreeMap::new();
    for question in questions {
        let kind = (question.refuse, !question.turns.is_empty(), question.tags.as_slice());
        kinds.entry(kind).or_default().push(question);
    }
    let (mut fit, mut report) = (Vec::new(), Vec::new());
    for alike in kinds.values_mut() {
        alike.sort_by_cached_key(|question| <[u8; 32]>::from(Sha256::digest(format!("{seed}:{}", question.id))));
        for question in alike {
            // The smaller half takes, so that the odd ones do not all go to one side.
            let half = if fit.len() <= report.len() { &mut fit } else { &mut report };
            half.push((*question).clone());
        }
    }
    (fit, report)
}
