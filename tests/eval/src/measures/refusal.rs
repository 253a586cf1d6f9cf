//! Whether what the documentation does not answer was refused, and nothing else.
//!
//! A question is to be refused when it says so. It is answerable when it names a page or passage
//! that answers, a fact that must be said or a right answer. Of other questions nothing is known, and
//! nothing said.

use crate::questions::Question;
use crate::records::Record;

/// Whether the documentation answers the question, where that is known.
pub fn answerable(question: &Question) -> Option<bool> {
    let relevant = |grades: &crate::questions::Grades| grades.0.values().any(|grade| *grade > 0);
    let has_answer = relevant(&question.pages)
        || relevant(&question.passages)
        || !question.answer.must.is_empty()
        || question.answer.reference.is_some();
    if question.refuse { Some(false) } else { has_answer.then_some(true) }
}

/// What refusing is decided by: the trace's evidence, or else the score of the first source; 0 when
/// nothing was found.
pub fn evidence(record: &Record) -> Option<f64> {
    answerable(&record.question)?;
    if record.error.is_some() {
        return None;
    }
    let trace = record.answer.as_ref().and_then(|answer| answer.trace.as_ref());
    let first = || record.ranking.first().map_or(0.0, |found| found.score);
    Some(trace.map_or_else(first, |trace| trace.evidence))
}

/// Of a refused question: whether it was to be refused.
pub fn precision(record: &Record) -> Option<f64> {
    let was_right = !answerable(&record.question)?;
    refused(record)?.then_some(share(was_right))
}

/// Of a question to be refused: whether it was.
pub fn recall(record: &Record) -> Option<f64> {
    let refused = refused(record)?;
    (answerable(&record.question) == Some(false)).then_some(share(refused))
}

/// Of an answerable question: whether it was refused.
pub fn false_refusal(record: &Record) -> Option<f64> {
    let refused = refused(record)?;
    (answerable(&record.question) == Some(true)).then_some(share(refused))
}

/// Whether the bot refused; nothing where it did not come to answering.
fn refused(record: &Record) -> Option<bool> {
    record.answer.as_ref().filter(|_| record.error.is_none()).map(|answer| answer.refused)
}

pub(super) fn share(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}
