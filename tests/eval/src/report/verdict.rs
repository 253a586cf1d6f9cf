//! What a question's answer is called in reports: right, or what is wrong with it.

use crate::measures::{Level, answers, ranking, refusal};
use crate::records::Record;

/// What became of a question, the worst first. The first that fits is it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It got an error.
    Failed,
    /// The documentation does not answer it, and the bot did.
    ShouldRefuse,
    /// A fact is missing from the answer, or something is in it that must not be.
    Wrong,
    /// The documentation answers it, and the bot refused.
    WronglyRefused,
    /// No page that answers it is among the first ten.
    PageMissed,
    /// Nothing is said about what is right.
    NotJudged,
    /// None of it.
    Right,
}

impl Verdict {
    /// All of them, the worst first.
    pub const ALL: [Self; 7] = [
        Self::Failed,
        Self::ShouldRefuse,
        Self::Wrong,
        Self::WronglyRefused,
        Self::PageMissed,
        Self::NotJudged,
        Self::Right,
    ];

    /// Of one answer.
    pub fn of(record: &Record) -> Self {
        let is_refused = record.answer.as_ref().map(|answer| answer.refused);
        let answerable = refusal::answerable(&record.question);
        match (answerable, is_refused) {
            _ if record.error.is_some() => Self::Failed,
            (Some(false), Some(true)) => Self::Right,
            (Some(false), Some(false)) => Self::ShouldRefuse,
            (Some(true), Some(true)) => Self::WronglyRefused,
            _ if is_wrong(record) => Self::Wrong,
            _ if is_missed(record) => Self::PageMissed,
            (Some(true), _) => Self::Right,
            (None | Some(false), _) => Self::NotJudged,
        }
    }

    /// Heading of the questions that it fits.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Failed => "Failed",
            Self::ShouldRefuse => "Answered, to be refused",
            Self::Wrong => "Facts missing or forbidden",
            Self::WronglyRefused => "Refused, to be answered",
            Self::PageMissed => "Right page not among the first ten",
            Self::NotJudged => "Not judged",
            Self::Right => "Right",
        }
    }

    /// Whether something is wrong.
    pub fn is_bad(self) -> bool {
        self < Self::NotJudged
    }

    /// A sign that stands beside the words, which colour alone must not.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Right => "✓",
            Self::NotJudged => "·",
            _ => "✗",
        }
    }
}

fn is_wrong(record: &Record) -> bool {
    answers::facts_present(record).is_some_and(|share| share < 1.0)
        || answers::facts_forbidden(record).is_some_and(|share| share > 0.0)
}

/// Cutoff below which a page is not found: that of the headline measures.
const FIRST: usize = 10;

fn is_missed(record: &Record) -> bool {
    let judged = ranking::judged(record, Level::Page).or_else(|| ranking::judged(record, Level::Passage));
    judged.is_some_and(|judged| judged.success(FIRST) < 1.0)
}
