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

pub(crate) use self::terms::{is_unspaced, stem_of as stem};

/// Share of the content words that must be found. Tuned on the development half of
/// `tests/fixtures/citations`.
const ENOUGH: f64 = 0.5;

/// Of a clause, which is shorter, fewer words are enough.
const ENOUGH_OF_CLAUSE: f64 = 0.3;

/// Content words that a clause has at least to be judged by itself.
const CLAUSE_WORDS: usize = 4;

/// Content words (or one number or name) that a sentence has at least, if it states something.
const STATES: usize = 3;

/// Content words up to which a sentence is compared with single statements, word by word. What is longer
/// is no sentence, and must not take time that grows with its square.
const MAX_COMPARED: usize = 128;

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
pub enum Flaw {
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
    pub flaw: Option<Flaw>,
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
        let said = said.get(..MAX_COMPARED).unwrap_or(said);
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
        flaw: None,
        shares: shares.collect(),
        nearest: nearest.iter().map(|found| found.map(|(at, _)| at)).collect(),
        stems: Vec::new(),
    };
    if cited.is_empty() || !states(sentence, &said, &terms) {
        return Verdict { stems, ..verdict };
    }
    verdict.flaw = exact_flaw(&said, cited);
    let is_foreign = !cited.iter().any(|evidence| said.is_in_language_of(&evidence.all, SAME_LANGUAGE));
    if verdict.flaw.is_none() && !is_foreign {
        verdict.flaw = words_flaw(&said, &terms, &stems, cited).or_else(|| {
            let near = nearest_statement(cited, &nearest, stems.len())?;
            statement_flaw(&terms, near)
        });
    }
    verdict.support = match verdict.flaw {
        Some(_) => Support::Unsupported,
        None if is_foreign => Support::Unchecked,
        None => Support::Supported,
    };
    Verdict { stems, ..verdict }
}

fn exact_flaw(said: &Reading, cited: &[&Evidence]) -> Option<Flaw> {
    let has = |exact: &terms::Exact| cited.iter().any(|evidence| evidence.all.has_exact(exact));
    if !said.exact.iter().all(has) {
        return Some(Flaw::Exact);
    }
    let measured = said.numbers.iter().filter(|number| number.unit.is_some());
    let mut wrong = measured.filter(|number| {
        let same = cited.iter().flat_map(|evidence| evidence.all.numbers.iter().filter(|it| it.value == number.value));
        let mut units = same.filter_map(|it| it.unit).peekable();
        units.peek().is_some() && units.all(|unit| Some(unit) != number.unit)
    });
    wrong.next().map(|_| Flaw::Unit)
}

fn words_flaw(said: &Reading, terms: &Terms, stems: &[u64], cited: &[&Evidence]) -> Option<Flaw> {
    let found = |stem: u64| cited.iter().any(|evidence| evidence.all.has_word(stem));
    // Names that are there say as much as words; that none is missing is known.
    let (exact, words) = (said.exact.len(), stems.iter().filter(|stem| found(**stem)).count());
    if ratio(exact + words, exact + stems.len()) < ENOUGH {
        return Some(Flaw::Words);
    }
    let writes_nouns_large = cited.iter().any(|evidence| evidence.all.writes_nouns_large());
    if !writes_nouns_large && said.names.iter().any(|name| !found(*name)) {
        return Some(Flaw::Name);
    }
    let clauses = terms.words.chunk_by(|a, b| a.clause == b.clause);
    let mut absent = clauses.filter(|clause| {
        let there = clause.iter().filter(|word| found(word.stem)).count();
        clause.len() >= CLAUSE_WORDS && ratio(there, clause.len()) < ENOUGH_OF_CLAUSE
    });
    absent.next().map(|_| Flaw::Clause)
}

/// Of the nearest statements of all passages the one with most of the sentence's words, if it has enough
/// of them to speak of the same.
fn nearest_statement<'e>(cited: &[&'e Evidence], nearest: &[Option<(usize, usize)>], said: usize) -> Option<&'e Terms> {
    let found = cited.iter().zip(nearest).filter_map(|(evidence, near)| near.map(|(at, count)| (evidence, at, count)));
    let (evidence, at, count) = found.reduce(|best, next| if next.2 > best.2 { next } else { best })?;
    (ratio(count, said) >= SAME_STATEMENT).then(|| evidence.terms.get(at))?
}

fn statement_flaw(said: &Terms, there: &Terms) -> Option<Flaw> {
    if said.words.len() > MAX_COMPARED {
        return None;
    }
    if is_negated_otherwise(said, there) {
        return Some(Flaw::Negation);
    }
    is_swapped(said, there).then_some(Flaw::Swapped)
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
    use proptest::prelude::*;

    use super::*;
    use Support::{Supported, Unchecked, Unsupported};

    #[test]
    fn what_makes_a_sentence_unsupported() {
        let passage = "The ingest retries a request 3 times, with `1,500` ms between. `docent ingest --dry-run` shows what \
                       would be changed; the Worker listens on port 18787 and needs wrangler 4.2.1 or v5.0.2. It is \
                       not stored before the reader has seen it, like Vectorize does. Set `MODE` to `fast` instead of `safe`.";
        for (sentence, support, flaw) in [
            ("The ingest retries every request 3 times.", Supported, None),
            ("Requests are retried by the ingest three times.", Supported, None),
            ("The ingest retries every request 5 times.", Unsupported, Some(Flaw::Exact)),
            ("Between requests that it retries, the ingest waits 1500 ms.", Supported, None),
            ("Between requests that it retries, the ingest waits 1500 minutes.", Unsupported, Some(Flaw::Unit)),
            ("Use `--dry-run` to show what would change.", Supported, None),
            ("Use `--force` to show what would change.", Unsupported, Some(Flaw::Exact)),
            ("The Worker listens on port 8787.", Unsupported, Some(Flaw::Exact)),
            ("The Worker needs wrangler 4.2.", Unsupported, Some(Flaw::Exact)),
            ("The Worker needs wrangler 4.2.1 or 5.0.2.", Supported, None),
            ("It is stored before the reader has seen it.", Unsupported, Some(Flaw::Negation)),
            ("It isn't stored before the reader has seen it.", Supported, None),
            ("It is not only shown; it isn't stored before the reader has seen it.", Supported, None),
            ("Set `MODE` to `safe` instead of `fast`.", Unsupported, Some(Flaw::Negation)),
            ("It is not stored before the reader has seen it, like Hyperdrive does.", Unsupported, Some(Flaw::Name)),
            ("Sessions expire after an idle period configured by the operator.", Unsupported, Some(Flaw::Words)),
            ("Der Worker lauscht auf Port 18787.", Unchecked, None),
            ("Der Worker lauscht auf Port 8787.", Unsupported, Some(Flaw::Exact)),
            ("Do the following on port 99:", Unchecked, None),
            ("Which port 99?", Unchecked, None),
            ("Yes.", Unchecked, None),
        ] {
            let verdict = check(sentence, &[&Evidence::new("Ingest", "", passage)]);
            assert_eq!((verdict.support, verdict.flaw), (support, flaw), "{sentence}");
        }
    }

    #[test]
    fn passages_support_a_sentence_together_and_each_has_its_share() {
        let [port, retries] = ["The Worker listens on port 8787.", "A failed request is retried 3 times."]
            .map(|text| Evidence::new("", "", text));
        let sentence = "The Worker listens on port 8787, and a failed request is retried 3 times.";
        let verdict = check(sentence, &[&port, &retries]);
        assert_eq!(verdict.support, Supported);
        assert!(verdict.shares.iter().all(|share| (0.3..0.7).contains(share)), "{:?}", verdict.shares);
        assert_eq!(check(sentence, &[&port]).support, Unsupported);
        assert_eq!(check(sentence, &[]).support, Unchecked);
    }

    #[test]
    fn scripts_without_blanks_are_compared_too() {
        let evidence = Evidence::new("", "", "設定は、再起動後に反映されます。");
        assert_eq!(check("再起動後に設定が反映されます。", &[&evidence]).support, Supported);
        assert_eq!(check("料金は毎月請求されます。", &[&evidence]).support, Unsupported);
    }

    proptest! {
        /// What a passage says in its own words is there, whatever it is written with.
        #[test]
        fn any_text_has_all_of_itself(text in "[a-zA-Z0-9ßé日本語 .,:;()`_*/@#$+|<>\\\\\\[\\]\n%'-]{0,80}") {
            let said = text.replace(['`', '*', '_', '\n', '[', ']', '(', ')', '<', '>', '|', '#'], " ");
            let evidence = Evidence::new("", "", &said);
            let verdict = check(&said, &[&evidence]);
            prop_assert!(verdict.flaw.is_none_or(|flaw| flaw != Flaw::Exact && flaw != Flaw::Words), "{said:?} {verdict:?}");
            check(&text, &[&Evidence::new(&text, &text, &text)]);
        }
    }
}
