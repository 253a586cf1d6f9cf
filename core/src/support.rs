//! Whether a passage has what a sentence says, decided by comparing words: no model, the same verdict
//! every time, in time that grows with the text and not faster.
//!
//! It is a check, not an understanding. A sentence is unsupported when
//! - a number, a version or a name of code in it is not in the passages, or a number has another unit;
//! - too few of its content words are there, or a whole clause of it has next to none;
//! - a capitalised name in it is not there;
//! - the statement nearest to it denies what it affirms, or the reverse;
//! - it has two things of that statement in each other's place.
//!
//! An answer may be in another language than its passage. Then words say nothing: numbers and names are
//! checked, and what is left is neither supported nor unsupported but [`Support::Unchecked`].

mod terms;

use serde::{Deserialize, Serialize};

use self::terms::{DENIED, Reading, Terms, Word};

pub use self::terms::contains_whole;
pub(crate) use self::terms::stem_of as stem;

/// Share of the content words that must be found. Tuned on the development half of
/// `tests/fixtures/citations`.
const ENOUGH: f64 = 0.5;

/// Of a clause, which is shorter, fewer words are enough.
const ENOUGH_OF_CLAUSE: f64 = 0.3;

/// Content words that a clause has at least to be judged by itself.
const CLAUSE_WORDS: usize = 4;

/// Content words (or one number or name) that a sentence has at least, if it states something.
const STATES: usize = 3;

/// Share of a sentence's words that a statement must have to be the one that it speaks of.
const SAME_STATEMENT: f64 = 0.4;

/// Share of the function words that must be known for two texts to be in one language.
const SAME_LANGUAGE: f64 = 0.5;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Support {
    /// The passages have what the sentence says.
    Supported,
    /// They do not, or say something else.
    Unsupported,
    /// It cannot be told: the sentence is in another language than the passages, or states nothing.
    Unchecked,
}

/// Why a sentence is not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A number, a version or a name of code is missing.
    Exact,
    /// A number has another unit.
    Unit,
    /// Too few words are there.
    Words,
    /// A clause of it is not there.
    Clause,
    /// A capitalised name is missing.
    Name,
    /// One denies what the other affirms.
    Negation,
    /// Two things are in each other's place.
    Swapped,
}

/// The verdict on a sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What was found.
    pub support: Support,
    /// Why it is unsupported.
    pub fault: Option<Fault>,
    /// For each passage, the share of the sentence's numbers, names and content words that it has, 0 to 1.
    pub shares: Vec<f64>,
    /// The statements nearest to the sentence: for each passage its number in [`Evidence::statements`].
    pub nearest: Vec<Option<usize>>,
    /// What the sentence's content words are compared by.
    pub(crate) stems: Vec<u64>,
}

/// A passage made ready for checks.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Its statements as a reader sees them, without Markdown's signs; `\n` where something that is not
    /// text stands between.
    pub statements: Vec<Statement>,
    terms: Vec<Terms>,
    /// Of the whole passage, sorted.
    all: Reading,
}

/// A sentence, a table row or a line of code of a passage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// As a reader sees it.
    pub text: String,
    /// Whether it can be found on the page as it stands: not a code block's line, and not the title.
    pub is_prose: bool,
}

impl Evidence {
    /// Reads a passage. The title and the headings say what it is about.
    pub fn new(title: &str, heading: &str, markdown: &str) -> Self {
        let mut evidence = Self::default();
        evidence.add(Statement { text: format!("{title}\n{heading}"), is_prose: false });
        for statement in terms::statements(markdown) {
            evidence.add(statement);
        }
        evidence.all.sort();
        evidence
    }

    fn add(&mut self, statement: Statement) {
        self.terms.push(self.all.read(&statement.text));
        self.statements.push(statement);
    }

    /// The statement that has most of the sentence's words, with how many it has.
    fn nearest(&self, said: &[u64]) -> Option<(usize, usize)> {
        let counts = self.terms.iter().map(|terms| said.iter().filter(|stem| terms.has(**stem)).count());
        // Of equals the first.
        (0..).zip(counts).filter(|(_, count)| *count > 0).reduce(|best, next| if next.1 > best.1 { next } else { best })
    }
}

/// Whether a sentence states something that a passage can have: it is no question, does not only lead to
/// what follows it, and has enough words.
pub fn states_something(sentence: &str) -> bool {
    let mut reading = Reading::default();
    let terms = reading.read(sentence);
    states(sentence, &reading, &terms)
}

fn states(sentence: &str, reading: &Reading, terms: &Terms) -> bool {
    let sentence = sentence.trim().trim_end_matches(['*', '_']);
    !sentence.ends_with([':', '?', '：', '？']) && (terms.words.len() >= STATES || !reading.exact.is_empty())
}

/// Checks a sentence against the passages that it cites, which may support it together.
pub fn check(sentence: &str, cited: &[&Evidence]) -> Verdict {
    let mut said = Reading::default();
    let terms = said.read(sentence);
    let stems = terms.stems();
    let needed = said.exact.len() + stems.len();
    let shares = cited.iter().map(|evidence| {
        let exact = said.exact.iter().filter(|exact| evidence.all.has_exact(exact)).count();
        let words = stems.iter().filter(|stem| evidence.all.has_word(**stem)).count();
        ratio(exact + words, needed)
    });
    let nearest: Vec<_> = cited.iter().map(|evidence| evidence.nearest(&stems)).collect();
    let mut verdict = Verdict {
        support: Support::Unchecked,
        fault: None,
        shares: shares.collect(),
        nearest: nearest.iter().map(|found| found.map(|(at, _)| at)).collect(),
        stems: Vec::new(),
    };
    if cited.is_empty() || !states(sentence, &said, &terms) {
        return Verdict { stems, ..verdict };
    }
    verdict.fault = exact_fault(&said, cited);
    let is_foreign = !cited.iter().any(|evidence| said.is_in_language_of(&evidence.all, SAME_LANGUAGE));
    if verdict.fault.is_none() && !is_foreign {
        verdict.fault = words_fault(&said, &terms, &stems, cited).or_else(|| {
            let near = nearest_statement(cited, &nearest, stems.len())?;
            statement_fault(&terms, near)
        });
    }
    verdict.support = match verdict.fault {
        Some(_) => Support::Unsupported,
        None if is_foreign => Support::Unchecked,
        None => Support::Supported,
    };
    Verdict { stems, ..verdict }
}

fn exact_fault(said: &Reading, cited: &[&Evidence]) -> Option<Fault> {
    let has = |exact: &terms::Exact| cited.iter().any(|evidence| evidence.all.has_exact(exact));
    if !said.exact.iter().all(has) {
        return Some(Fault::Exact);
    }
    let measured = said.numbers.iter().filter(|number| number.unit.is_some());
    let mut wrong = measured.filter(|number| {
        let same = cited.iter().flat_map(|evidence| evidence.all.numbers.iter().filter(|it| it.value == number.value));
        let mut units = same.filter_map(|it| it.unit).peekable();
        units.peek().is_some() && units.all(|unit| Some(unit) != number.unit)
    });
    wrong.next().map(|_| Fault::Unit)
}

fn words_fault(said: &Reading, terms: &Terms, stems: &[u64], cited: &[&Evidence]) -> Option<Fault> {
    let found = |stem: u64| cited.iter().any(|evidence| evidence.all.has_word(stem));
    // Names that are there say as much as words; that none is missing is known.
    let (exact, words) = (said.exact.len(), stems.iter().filter(|stem| found(**stem)).count());
    if ratio(exact + words, exact + stems.len()) < ENOUGH {
        return Some(Fault::Words);
    }
    let writes_nouns_large = cited.iter().any(|evidence| evidence.all.writes_nouns_large());
    if !writes_nouns_large && said.names.iter().any(|name| !found(*name)) {
        return Some(Fault::Name);
    }
    let clauses = terms.words.chunk_by(|a, b| a.clause == b.clause);
    let mut absent = clauses.filter(|clause| {
        let there = clause.iter().filter(|word| found(word.stem)).count();
        clause.len() >= CLAUSE_WORDS && ratio(there, clause.len()) < ENOUGH_OF_CLAUSE
    });
    absent.next().map(|_| Fault::Clause)
}

/// Of the nearest statements of all passages the one with most of the sentence's words, if it has enough
/// of them to speak of the same.
fn nearest_statement<'e>(cited: &[&'e Evidence], nearest: &[Option<(usize, usize)>], said: usize) -> Option<&'e Terms> {
    let found = cited.iter().zip(nearest).filter_map(|(evidence, near)| near.map(|(at, count)| (evidence, at, count)));
    let (evidence, at, count) = found.reduce(|best, next| if next.2 > best.2 { next } else { best })?;
    (ratio(count, said) >= SAME_STATEMENT).then(|| evidence.terms.get(at))?
}

fn statement_fault(said: &Terms, there: &Terms) -> Option<Fault> {
    if is_negated_otherwise(said, there) {
        return Some(Fault::Negation);
    }
    is_swapped(said, there).then_some(Fault::Swapped)
}

/// Whether a word is denied in one and affirmed in the other, wherever they have it.
fn is_negated_otherwise(said: &Terms, there: &Terms) -> bool {
    said.words.iter().any(|word| {
        let mut same = said.words.iter().filter(|it| it.stem == word.stem);
        let mut other = there.words.iter().filter(|it| it.stem == word.stem).peekable();
        let opposite = match word.negated {
            0 => DENIED,
            DENIED => 0,
            _ => return false,
        };
        other.peek().is_some() && same.all(|it| it.negated == word.negated) && other.all(|it| it.negated == opposite)
    })
}

/// Whether two clauses each have words of two clauses that the statement keeps apart: "A does x, and B
/// does y" against "A does y, and B does x".
fn is_swapped(said: &Terms, there: &Terms) -> bool {
    // A word's clause, if it is only in one.
    let home = |word: &Word| {
        let mut clauses = there.words.iter().filter(|it| it.stem == word.stem).map(|it| it.clause);
        let first = clauses.next()?;
        clauses.all(|clause| clause == first).then_some(first)
    };
    let own = |word: &Word| said.words.iter().filter(|it| it.stem == word.stem).count() == 1;
    let mut pairs: Vec<(u16, u16, u16)> = Vec::new();
    for clause in said.words.chunk_by(|a, b| a.clause == b.clause) {
        let mut homes: Vec<u16> = clause.iter().filter(|word| own(word)).filter_map(home).collect();
        homes.dedup();
        if let (Some(first), Some(second)) = (homes.first(), homes.iter().find(|home| homes.first() != Some(home))) {
            let number = clause.first().map_or(0, |word| word.clause);
            pairs.push((number, *first.min(second), *first.max(second)));
        }
    }
    pairs.iter().any(|a| pairs.iter().any(|b| a.0 != b.0 && (a.1, a.2) == (b.1, b.2)))
}

#[allow(clippy::cast_precision_loss)] // words of a sentence
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug() {
        let e = Evidence::new(
            "x",
            "",
            "Without a DLQ configured, messages that reach the retry limit are deleted permanently.",
        );
        let s = "Without a DLQ configured, messages that reach the retry limit are not deleted.";
        let mut r = Reading::default();
        println!("{:?}\n{:?}\n{:?}", r.read(s), e.terms, check(s, &[&e]));
    }
}
