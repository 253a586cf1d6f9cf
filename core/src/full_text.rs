//! A question as queries of the full-text index (tables `chunk_words` and `chunk_identifiers`).
//!
//! FTS5 has a language of its own, and a question may look like a piece of it: `NOT`, `a - b`, `"`.
//! So nothing of a question but letters and digits, and names in which no quote can be, gets there,
//! and each stands in quotes. Any of the words may match; how many do, and how rare they are, is
//! what `bm25()` ranks by.
//!
//! [`LOOKUP_SQL`] looks for the chunks of a question, [`SEARCH_SQL`] for the sections that somebody who is
//! still typing may want. Both rank in the same way.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::identifiers::names;
use crate::vectorize::{Filter, Match, Metadata, NO_ORDINAL};

/// Words and names of a question that are looked up, each: more than people write. The 64 commonest
/// words of a hundred thousand chunks would keep the database busy for most of a second.
const MAX_TERMS: usize = 32;

/// How `chunk_words` is ranked: what a word counts in the title, in the headings and in the text. A
/// name of `chunk_identifiers` counts 1. From two sets of documentation and one of abstracts; between
/// (2, 1.5, 1) and (5, 8, 1) it changes little.
const RANK: &str = "bm25(5.0, 3.0, 1.0)";
/// The same for somebody who types, and wants the very word more than a page that is called so.
const RANK_TYPED: &str = "bm25(2.0, 1.5, 1.0)";

/// Best rows of each table that are added up. A chunk beyond the best of one table keeps its score in
/// the other, so what is lost is the order of chunks that are far down in both.
const DEPTH: usize = 100;

/// The best rows of one table that belong to the generation and pass the filter.
macro_rules! best {
    ($generation:literal, $table:literal, $query:literal, $rank:literal, $marked:literal) => {
        concat!(
            "SELECT * FROM (SELECT ranking.number, -ranking.rank AS score, marked FROM (\
             SELECT rowid AS number, rank, ",
            $marked,
            " AS marked FROM ",
            $table,
            " WHERE ",
            $table,
            " MATCH ",
            $query,
            $rank,
            " ORDER BY rank LIMIT 5000) AS ranking \
             CROSS JOIN chunk_life ON chunk_life.chunk = ranking.number \
             CROSS JOIN chunk ON chunk.number = ranking.number \
             WHERE born <= ",
            $generation,
            " AND (died IS NULL OR died > ",
            $generation,
            ") AND (?1 ->> 'lang' IS NULL OR lang = ?1 ->> 'lang') \
             AND (?1 ->> 'version' IS NULL OR version = ?1 ->> 'version') \
             AND (?1 ->> 'product' IS NULL OR product = ?1 ->> 'product') \
             ORDER BY ranking.rank LIMIT ?1 ->> 'depth')"
        )
    };
}

/// The best rows of both tables by chunk: its `number`, its `score`, and its text with the words
/// `marked`, where it has some.
///
/// FTS5 sorts by `rank` itself, and what joins it keeps that order, so rows are taken one by one until
/// there are enough: D1 counts (and bills) hundreds of rows, and not every row that has one of the
/// words. A filter that nothing passes ends after 5,000 rows, and does not walk through all of them.
macro_rules! ranked {
    ($generation:literal, $words:literal, $marked:literal) => {
        concat!(
            "SELECT number, sum(score) AS score, max(marked) AS marked FROM (",
            best!($generation, "chunk_words", $words, " AND rank MATCH ?1 ->> 'rank'", $marked),
            " UNION ALL ",
            best!($generation, "chunk_identifiers", "?1 ->> 'identifiers'", "", "NULL"),
            ") GROUP BY number"
        )
    };
}

/// The best chunks of a question, best first: `number` and `score`, the higher the better.
pub const RANKING_SQL: &str = concat!(
    "SELECT number, score FROM (",
    ranked!("?1 ->> 'generation'", "?1 ->> 'words'", "NULL"),
    ") ORDER BY score DESC, number LIMIT ?1 ->> 'limit'"
);

/// The best chunks of a question, each a [`Hit`]. Of equals the one with the lower id comes first. Only
/// the first ones have more than id and score: the others are evidence for their pages, and their texts
/// would be most of the answer.
pub const LOOKUP_SQL: &str = concat!(
    "SELECT id, score, iif(place <= ?1 ->> 'texts', url, '') AS url, iif(place <= ?1 ->> 'texts', anchor, '') AS anchor, \
     iif(place <= ?1 ->> 'texts', title, '') AS title, iif(place <= ?1 ->> 'texts', heading, '') AS heading, \
     iif(place <= ?1 ->> 'texts', lang, '') AS lang, iif(place <= ?1 ->> 'texts', version, '') AS version, \
     iif(place <= ?1 ->> 'texts', text, '') AS text \
     FROM (SELECT *, row_number() OVER (ORDER BY score DESC, id) AS place FROM (",
    ranked!("?1 ->> 'generation'", "?1 ->> 'words'", "NULL"),
    " ORDER BY score DESC, number LIMIT ?1 ->> 'limit') JOIN chunk USING (number)) ORDER BY place"
);

/// The best sections of what is live, each a [`Hit`] with its best chunk, whose text has the words
/// between [`MARK`] and [`END_OF_MARK`]. The words are looked up more widely when none begins like the
/// one that is being typed. Of a page come the three best, so that a long one leaves room
/// for others; what is on the page that the visitor reads counts a quarter more.
pub const SEARCH_SQL: &str = concat!(
    "SELECT id, score, url, anchor, title, heading, text FROM (\
     SELECT *, row_number() OVER (PARTITION BY url ORDER BY score DESC, id) AS of_page FROM (\
     SELECT *, row_number() OVER (PARTITION BY url, anchor ORDER BY score DESC, id) AS of_section FROM (\
     SELECT id, score * CASE url WHEN ?1 ->> 'page' THEN 1.25 ELSE 1.0 END AS score, url, anchor, title, heading, \
     coalesce(marked, text) AS text FROM (",
    ranked!(
        "(SELECT generation FROM live)",
        "CASE WHEN EXISTS (SELECT 1 FROM chunk_words WHERE chunk_words MATCH ?1 ->> 'begun') \
         THEN ?1 ->> 'words' ELSE ?1 ->> 'wider' END",
        "highlight(chunk_words, 2, char(64976), char(64977))"
    ),
    ") JOIN chunk USING (number))) WHERE of_section = 1) WHERE of_page <= 3 \
     ORDER BY score DESC, id LIMIT ?1 ->> 'limit'"
);

/// Stands before a word that was found. No text has it: Unicode keeps it for uses like this.
pub const MARK: char = '\u{FDD0}';
/// Stands behind a word that was found.
pub const END_OF_MARK: char = '\u{FDD1}';

/// The parameter of [`LOOKUP_SQL`] and of [`RANKING_SQL`], as JSON: one value carries all of it, since
/// every value more is a call more into JavaScript.
pub fn parameter(queries: &Queries, options: &Lookup) -> String {
    let Lookup { generation, filter, limit, texts } = options;
    let more = [("generation", (*generation).into()), ("texts", (*texts).into()), ("rank", RANK.into())];
    asked(queries, filter, *limit, more)
}

/// The parameter of [`SEARCH_SQL`].
pub fn search_parameter(search: &Search) -> String {
    let Search { typed, filter, page, limit } = search;
    let wider = if typed.wider.is_empty() { &typed.queries.words } else { &typed.wider };
    let more = [
        ("begun", or_nothing(&typed.begun).into()),
        ("wider", or_nothing(wider).into()),
        ("page", page.as_deref().into()),
        ("rank", RANK_TYPED.into()),
    ];
    asked(&typed.queries, filter, *limit, more)
}

fn asked<const N: usize>(queries: &Queries, filter: &Filter, limit: usize, more: [(&str, Value); N]) -> String {
    let Filter { lang, version, product } = filter;
    let mut asked = json!({
        "words": or_nothing(&queries.words), "identifiers": or_nothing(&queries.identifiers),
        "lang": lang, "version": version, "product": product,
        "limit": limit, "depth": limit.max(DEPTH),
    });
    if let Some(fields) = asked.as_object_mut() {
        fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    asked.to_string()
}

/// FTS5 takes no empty query; an empty phrase is in no chunk.
fn or_nothing(query: &str) -> &str {
    if query.is_empty() { "\"\"" } else { query }
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

/// What a visitor searches for in the generation that is live.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// What to look up.
    pub typed: Typed,
    /// What the visitor wants of it.
    pub filter: Filter,
    /// Address without anchor of the page that the visitor reads.
    pub page: Option<String>,
    /// Most sections.
    pub limit: usize,
}

/// A chunk that was found: a row of [`LOOKUP_SQL`] and of [`SEARCH_SQL`], whose columns have these names.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
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

/// Shortest name by whose beginning others are found, bytes with its quotes.
const MIN_BEGUN_NAME: usize = 5;
/// Letters that are left of a word when its ending is cut off.
const MIN_STEM: usize = 5;
/// Most endings that are cut off.
const MAX_STEMS: usize = 4;

/// What to look up for somebody who is typing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Typed {
    /// Words, the last one also as the beginning of others, and names.
    pub queries: Queries,
    /// The last word as the beginning of others; empty where it is none.
    pub begun: String,
    /// The words once more, for the case that no word begins like the last one: it may have grown beyond
    /// the stem of what it will be, or have a slip near its end. Empty where it is the beginning of none.
    pub wider: String,
}

/// The queries of a question.
pub fn queries(question: &str) -> Queries {
    let words = telling_words(question).iter().map(|word| exactly(word)).collect();
    Queries { words: any_of(words), identifiers: any_of(names_of(question)) }
}

/// The words of a question that tell something, each once.
pub fn telling_words(question: &str) -> Vec<String> {
    telling(words(question))
}

/// What to look up for somebody who may still be typing the last word. A blank or a mark ends it.
pub fn typed(text: &str) -> Typed {
    let words = telling(words(text));
    let mut terms = joined(text);
    terms.extend(words.iter().map(|word| exactly(word)));
    let run = text.rsplit(char::is_whitespace).next().unwrap_or_default();
    let last = run.rsplit(|c| !is_part(c)).next().unwrap_or_default().to_ascii_lowercase();
    let mut typed = Typed::default();
    // A word that tells nothing yet is waited for, if there are others. One Latin letter begins nearly
    // everything; one of another script may be a word.
    if last.len() > 1 && words.contains(&last) {
        typed.begun = format!("{}*", exactly(&last));
        terms.truncate(MAX_TERMS - MAX_STEMS - 1);
        terms.push(typed.begun.clone());
        let mut wider = terms.clone();
        wider.extend(stems(&last));
        typed.wider = any_of(wider);
    }
    let mut names = names_of(text);
    let begun = names_of(run).into_iter().filter(|name| name.len() >= MIN_BEGUN_NAME);
    names.splice(..0, begun.map(|name| format!("{name}*")));
    typed.queries = Queries { words: any_of(terms), identifiers: any_of(names) };
    typed
}

/// Words that stand together without a blank, such as `x-request-id`, as phrases; the last one may be
/// growing.
fn joined(text: &str) -> Vec<String> {
    let mut phrases = Vec::new();
    for run in text.split_whitespace() {
        let words: Vec<&str> = run.split(|c| !is_part(c)).filter(|word| !word.is_empty()).collect();
        if words.len() > 1 {
            let grows = if text.ends_with(run) && run.ends_with(is_part) { "*" } else { "" };
            phrases.push(format!("{}{grows}", exactly(&words.join(" ").to_ascii_lowercase())));
        }
    }
    phrases
}

/// What a word that is being typed may be longer than, being the stem of the word that it becomes.
/// The table has stems, and "configurat" is not the beginning of "configur": of what people type on the
/// way to a word of technical documentation, 1 in 12 begins no stem.
fn stems(word: &str) -> Vec<String> {
    let ends = word.char_indices().map(|(at, _)| at).skip(MIN_STEM).collect::<Vec<_>>();
    ends.into_iter().rev().take(MAX_STEMS).filter_map(|end| word.get(..end)).map(exactly).collect()
}

/// Whether a character belongs to a word: the tokenizer of the tables folds accents, also those that
/// stand behind their letter.
fn is_part(c: char) -> bool {
    c.is_alphanumeric() || ('\u{300}'..='\u{36F}').contains(&c)
}

/// The words of a text, each once, in their order. In lower case as far as the list of stop words is;
/// the tokenizer folds the rest.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in text.split(|c| !is_part(c)).filter(|word| !word.is_empty()) {
        add(&mut words, word.to_ascii_lowercase());
    }
    words
}

/// The names of a text as terms, each once.
fn names_of(text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    for name in names(text) {
        add(&mut terms, exactly(&name.to_ascii_lowercase()));
    }
    terms
}

fn add(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}

/// Without the words that every page has. "What is it" has nothing but such words, and may still be the
/// heading of a page.
fn telling(mut words: Vec<String>) -> Vec<String> {
    if !words.iter().all(|word| is_stop_word(word)) {
        words.retain(|word| !is_stop_word(word));
    }
    words
}

/// No term has a quote in it.
fn exactly(term: &str) -> String {
    format!("\"{term}\"")
}

fn any_of(mut terms: Vec<String>) -> String {
    terms.truncate(MAX_TERMS);
    terms.join(" OR ")
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
        assert_eq!(asked.identifiers, r#""max_top_k" OR "--no-cache""#);
        assert_eq!(queries("What is it?").words, r#""what" OR "is" OR "it""#);
        assert_eq!(queries("\0 \" ' ?!"), Queries::default());
    }

    #[test]
    fn the_word_that_is_being_typed_is_the_beginning_of_others() {
        let words = |text: &str| typed(text).queries.words;
        assert_eq!(words("the Vector"), r#""vector" OR "vector"*"#);
        assert_eq!(words("vector "), r#""vector""#, "a blank ends it");
        assert_eq!(words("vector in"), r#""vector""#, "what tells nothing is waited for");
        assert_eq!(words("x-id FIRST_BY"), r#""x id" OR "first by"* OR "x" OR "id" OR "first""#);
        assert_eq!(words("how to"), r#""how" OR "to" OR "to"*"#);
        assert_eq!(words("a"), r#""a""#);
        assert_eq!(words("設"), r#""設" OR "設"*"#);
        assert_eq!(words("Gro\u{308}ße "), "\"gro\u{308}ße\"");
        assert_eq!(typed("is configu").begun, r#""configu"*"#);
        assert_eq!(typed("configu").wider, r#""configu" OR "configu"* OR "config" OR "confi""#);
        assert_eq!(typed("run --no-ca").queries.identifiers, r#""--no-ca"* OR "--no-ca""#);
        assert_eq!(typed("MAX_TOP_K is").queries.identifiers, r#""max_top_k""#);
        let words: Vec<String> = (0..100).map(|n| format!("word{n} ")).collect();
        let many = words.concat() + "configurati";
        assert_eq!(typed(&many).wider.matches(" OR ").count(), MAX_TERMS - 1);
        assert!(typed(&many).queries.words.ends_with(r#""configurati"*"#));
    }

    #[test]
    fn stop_words_can_be_found() {
        assert!(STOP_WORDS.is_sorted());
        assert!(is_stop_word("your") && is_stop_word("a") && !is_stop_word("cache"));
    }
}
