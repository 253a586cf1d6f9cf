//! A question as queries of the full-text index (tables `chunk_words` and `chunk_identifiers`).
//!
//! FTS5 has a language of its own, and a question may look like a piece of it: `NOT`, `a - b`, `"`.
//! So nothing of a question but letters and digits, and names in which no quote can be, gets there,
//! and each stands in quotes. Any of the words may match; how many do, and how rare they are, is
//! what `bm25()` ranks by.

use std::collections::BTreeSet;

use crate::identifiers::identifiers;

/// Words and names of a question that are looked up, each: more than people write, and far less than
/// the database takes.
const MAX_TERMS: usize = 64;

/// What to look up; an empty query means that there is nothing to look up there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queries {
    /// For `chunk_words MATCH`.
    pub words: String,
    /// For `chunk_identifiers MATCH`.
    pub identifiers: String,
}

/// The queries of a question.
pub fn queries(question: &str) -> Queries {
    let words = distinct(question.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()));
    let telling: Vec<&String> = words.iter().filter(|word| !is_stop_word(word)).collect();
    // "What is it" has nothing but such words, and may still be the heading of a page.
    let telling = if telling.is_empty() { words.iter().collect() } else { telling };
    Queries { words: any_of(telling.into_iter()), identifiers: any_of(identifiers(question).iter()) }
}

/// In lower case, in the order of the question.
fn distinct<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    words.map(str::to_lowercase).filter(|word| seen.insert(word.clone())).collect()
}

/// No term has a quote in it.
fn any_of<'a>(terms: impl Iterator<Item = &'a String>) -> String {
    terms.take(MAX_TERMS).map(|term| format!("\"{term}\"")).collect::<Vec<_>>().join(" OR ")
}

/// Words that every question and every page has. `bm25()` gives them hardly any weight, but each costs
/// a walk over nearly all rows.
const STOP_WORDS: &[&str] = &[
    "a", "about", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could", "d", "did",
    "do", "does", "for", "from", "had", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "ll", "m",
    "may", "me", "might", "must", "my", "of", "on", "or", "our", "re", "s", "shall", "should", "so", "some", "such",
    "t", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "to", "us", "ve",
    "was", "we", "were", "what", "when", "where", "which", "who", "why", "will", "with", "would", "you", "your",
];

fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.binary_search(&word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_tell_something_are_looked_up_once_and_names_whole() {
        let asked = queries("How do I set `max_top_k`, and what is --no-cache OR \"NEAR(set)\"?");
        assert_eq!(
            asked.words, r#""set" OR "max" OR "top" OR "k" OR "no" OR "cache" OR "near""#,
            "syntax of FTS5 is only words"
        );
        assert_eq!(asked.identifiers, r#""--no-cache" OR "max_top_k""#);
        assert_eq!(queries("What is it?").words, r#""what" OR "is" OR "it""#);
        assert_eq!(queries("\0 \" ' ?!"), Queries::default());
    }

    #[test]
    fn stop_words_can_be_found() {
        assert!(STOP_WORDS.is_sorted());
        assert!(is_stop_word("your") && is_stop_word("a") && !is_stop_word("cache"));
    }
}
