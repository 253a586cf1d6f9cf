//! A question as queries of the full-text index (tables `chunk_words` and `chunk_identifiers`).
//!
//! FTS5 has a language of its own, and a question may look like a piece of it: `NOT`, `a - b`, `"`.
//! So nothing of a question but letters and digits, and names in which no quote can be, gets there,
//! and each stands in quotes. Any of the words may match; how many do, and how rare they are, is
//! what `bm25()` ranks by.
//!
//! [`LOOKUP_SQL`] is the one statement that searches both tables.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::identifiers::identifiers;
use crate::vectorize::{Filter, Match, Metadata, NO_ORDINAL};

/// Words and names of a question that are looked up, each: more than people write, and far less than
/// the database takes.
const MAX_TERMS: usize = 64;

/// How `chunk_words` is ranked: what a word counts in the title, in the headings and in the text. A
/// name of `chunk_identifiers` counts 1. From two sets of documentation and one of abstracts; between
/// (2, 1.5, 1) and (5, 8, 1) it changes little.
const RANK: &str = "bm25(5.0, 3.0, 1.0)";

/// Best rows of each table that are added up. A chunk beyond the best of one table keeps its score in
/// the other, so what is lost is the order of chunks that are far down in both.
const DEPTH: usize = 100;

/// Those of a ranking that belong to the generation and pass the filter.
macro_rules! passing {
    ($ranking:literal) => {
        concat!(
            "SELECT ranking.number, ranking.score FROM (",
            $ranking,
            " ORDER BY rank LIMIT 5000) AS ranking \
             CROSS JOIN chunk_life ON chunk_life.chunk = ranking.number \
             CROSS JOIN chunk ON chunk.number = ranking.number \
             WHERE born <= ?1 ->> 'generation' AND (died IS NULL OR died > ?1 ->> 'generation') \
             AND (?1 ->> 'lang' IS NULL OR lang = ?1 ->> 'lang') \
             AND (?1 ->> 'version' IS NULL OR version = ?1 ->> 'version') \
             AND (?1 ->> 'product' IS NULL OR product = ?1 ->> 'product') \
             ORDER BY ranking.score DESC LIMIT ?1 ->> 'depth'"
        )
    };
}

/// What is ranked: `number` and `score` of the best chunks, best first, the higher the better.
///
/// FTS5 sorts by `rank` itself, so that D1 counts (and bills) the rows that are taken and not all that
/// have a word of the question. Of each table the 5,000 best are looked at, in their order, until
/// enough belong to the generation and pass the filter: what is asked for with a filter that nothing
/// passes may not read the whole table. All of the question is one parameter, see [`parameter`].
macro_rules! ranked {
    () => {
        concat!(
            "SELECT number, sum(score) AS score FROM (",
            "SELECT * FROM (",
            passing!(
                "SELECT rowid AS number, -rank AS score FROM chunk_words \
                      WHERE chunk_words MATCH ?1 ->> 'words' AND rank MATCH ?1 ->> 'rank'"
            ),
            ") UNION ALL SELECT * FROM (",
            passing!(
                "SELECT rowid AS number, -rank AS score FROM chunk_identifiers \
                      WHERE chunk_identifiers MATCH ?1 ->> 'identifiers'"
            ),
            ")) GROUP BY number ORDER BY score DESC, number LIMIT ?1 ->> 'limit'"
        )
    };
}

/// The best chunks of a question by number, as [`LOOKUP_SQL`] ranks them.
pub const RANKING_SQL: &str = ranked!();

/// The best chunks of a question, each a [`Hit`]. Of equals the one with the lower id comes first. Only
/// the first ones have more than id and score: the others are evidence for their pages, and their texts
/// would be most of the answer.
pub const LOOKUP_SQL: &str = concat!(
    "SELECT id, score, iif(place <= ?1 ->> 'texts', url, '') AS url, iif(place <= ?1 ->> 'texts', anchor, '') AS anchor, \
     iif(place <= ?1 ->> 'texts', title, '') AS title, iif(place <= ?1 ->> 'texts', heading, '') AS heading, \
     iif(place <= ?1 ->> 'texts', lang, '') AS lang, iif(place <= ?1 ->> 'texts', version, '') AS version, \
     iif(place <= ?1 ->> 'texts', text, '') AS text \
     FROM (SELECT *, row_number() OVER (ORDER BY score DESC, id) AS place FROM (",
    ranked!(),
    ") JOIN chunk USING (number)) ORDER BY place"
);

/// The parameter of [`LOOKUP_SQL`] and of [`RANKING_SQL`], as JSON: one value carries all of it, since
/// every value more is a call more into JavaScript.
pub fn parameter(queries: &Queries, options: &Lookup) -> String {
    // FTS5 takes no empty query; an empty phrase is in no chunk.
    let or_nothing = |query: &str| if query.is_empty() { "\"\"".to_owned() } else { query.to_owned() };
    let Filter { lang, version, product } = &options.filter;
    serde_json::json!({
        "words": or_nothing(&queries.words), "identifiers": or_nothing(&queries.identifiers),
        "generation": options.generation, "lang": lang, "version": version, "product": product,
        "rank": RANK, "limit": options.limit, "texts": options.texts, "depth": options.limit.max(DEPTH),
    })
    .to_string()
}

/// What may be found, and how much of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookup {
    /// The generation that is live.
    pub generation: u64,
    /// What the visitor wants of it.
    pub filter: Filter,
    /// Most chunks of each query.
    pub limit: usize,
    /// How many of them, the best, come with more than id and score.
    pub texts: usize,
}

/// A chunk that was found: a row of [`LOOKUP_SQL`], whose columns have these names.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Hit {
    /// The chunk's id, which is the id of its vector.
    pub id: String,
    /// BM25 by words and by names together, above 0: the higher the better, and comparable within one
    /// question alone.
    pub score: f64,
    /// Page address without anchor.
    pub url: String,
    /// Fragment of the innermost heading, without `#`; may be empty.
    pub anchor: String,
    /// Page title.
    pub title: String,
    /// Heading trail below the title; may be empty.
    pub heading: String,
    /// BCP 47 language tag; may be empty.
    pub lang: String,
    /// Product version; may be empty.
    pub version: String,
    /// The chunk as Markdown; empty, as all but id and score is, beyond [`Lookup::texts`].
    pub text: String,
}

impl From<Hit> for Match {
    fn from(Hit { id, score, url, anchor, title, heading, lang, version, text }: Hit) -> Self {
        let metadata =
            Metadata { url, anchor, title, heading, lang, version, text, ordinal: NO_ORDINAL, ..Metadata::default() };
        Self { id, score, metadata: Some(metadata).filter(|metadata| !metadata.text.is_empty()) }
    }
}

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
    Queries { words: any_of(telling(question).iter()), identifiers: any_of(identifiers(question).iter()) }
}

/// The words of a question that tell something, in lower case, each once.
pub fn telling(question: &str) -> Vec<String> {
    let words = distinct(question.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()));
    let telling: Vec<String> = words.iter().filter(|word| !is_stop_word(word)).cloned().collect();
    // "What is it" has nothing but such words, and may still be the heading of a page.
    if telling.is_empty() { words } else { telling }
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
