//! Search by words: the full-text tables that `docent ingest` fills, made by the same migration with
//! the same tokenizers, in a database of its own.

use docent_core::chunk::Chunk;
use docent_core::full_text;
use docent_core::identifiers::identifiers;
use rusqlite::{Connection, params};

/// Schema of the bot's database.
const MIGRATION: &str = include_str!("../../../../worker/migrations/0001_content.sql");
/// What a word in the title, in the headings and in the text counts, as `bm25()` takes it.
const WEIGHTS: [f64; 3] = [2.0, 1.5, 1.0];
/// What a name found whole counts against words.
const IDENTIFIER_WEIGHT: f64 = 1.0;

const ADD: &str =
    "INSERT INTO chunk (number, id, path, url, anchor, title, heading, lang, version, product, text, identifiers)
    VALUES (?1, ?1, '', '', '', ?2, ?3, '', '', '', ?4, ?5)";
/// FTS5's `bm25()` is negative, the better the lower.
const BY_WORDS: &str = "SELECT rowid, -bm25(chunk_words, ?2, ?3, ?4) FROM chunk_words WHERE chunk_words MATCH ?1";
const BY_IDENTIFIERS: &str =
    "SELECT rowid, -bm25(chunk_identifiers) FROM chunk_identifiers WHERE chunk_identifiers MATCH ?1";

/// A full-text index over chunks.
#[derive(Debug)]
pub struct Words(Connection);

impl Words {
    /// Indexes chunks; what is found is called by their place in this list.
    ///
    /// # Errors
    /// What the database refuses.
    pub fn new<'a>(chunks: impl Iterator<Item = &'a Chunk>, with_headings: bool) -> rusqlite::Result<Self> {
        let mut connection = Connection::open_in_memory()?;
        connection.execute_batch(MIGRATION)?;
        let transaction = connection.transaction()?;
        for (number, chunk) in (0_i64..).zip(chunks) {
            let metadata = &chunk.metadata;
            let (title, heading) = if with_headings { (&*metadata.title, &*metadata.heading) } else { ("", "") };
            let text = if with_headings { chunk.text_to_embed() } else { metadata.text.clone() };
            let names: Vec<String> = identifiers(&text).into_iter().collect();
            transaction.prepare_cached(ADD)?.execute(params![
                number,
                title,
                heading,
                metadata.text,
                names.join(" ")
            ])?;
        }
        transaction.commit()?;
        Ok(Self(connection))
    }

    /// Chunks that have a word or a name of the question, with their scores, in no order.
    ///
    /// # Errors
    /// What the database refuses; no question is among it.
    pub fn search(&self, question: &str) -> rusqlite::Result<Vec<(usize, f64)>> {
        let queries = full_text::queries(question);
        let [title, heading, text] = WEIGHTS;
        let mut found = Vec::new();
        if !queries.words.is_empty() {
            let mut statement = self.0.prepare_cached(BY_WORDS)?;
            let rows = statement
                .query_map(params![queries.words, title, heading, text], |row| Ok((row.get(0)?, row.get(1)?)))?;
            found = rows.collect::<Result<_, _>>()?;
        }
        if !queries.identifiers.is_empty() {
            let mut statement = self.0.prepare_cached(BY_IDENTIFIERS)?;
            let rows = statement.query_map([queries.identifiers], |row| Ok((row.get(0)?, row.get(1)?)))?;
            for row in rows {
                let (number, score): (usize, f64) = row?;
                found.push((number, score * IDENTIFIER_WEIGHT));
            }
        }
        Ok(summed(found))
    }
}

/// A chunk found by words and by names has the sum.
fn summed(mut found: Vec<(usize, f64)>) -> Vec<(usize, f64)> {
    found.sort_by_key(|(number, _)| *number);
    found.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    found
}
