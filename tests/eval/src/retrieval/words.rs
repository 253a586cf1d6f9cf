//! Search by words: the full-text tables that `docent ingest` fills, made by the same migration with
//! the same tokenizers, in a database of its own, by the statement that the bot searches by.

use docent_core::chunk::Chunk;
use docent_core::full_text::{self, Lookup, RANKING_SQL};
use docent_core::identifiers::identifiers;
use rusqlite::{Connection, params};

/// Schema of the bot's database.
const MIGRATION: &str = include_str!("../../../../worker/migrations/0001_content.sql");
/// Chunks of a question that are ranked: enough for [`DEPTH`](super::index::DEPTH) pages.
const LIMIT: usize = 1_000;

const ADD: &str =
    "INSERT INTO chunk (number, id, path, url, anchor, title, heading, lang, version, product, text, identifiers)
    VALUES (?1, ?1, '', '', '', ?2, ?3, '', '', '', ?4, ?5)";
const ADD_LIFE: &str = "INSERT INTO chunk_life (chunk, born) VALUES (?1, 0)";

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
            transaction.prepare_cached(ADD_LIFE)?.execute([number])?;
        }
        transaction.commit()?;
        Ok(Self(connection))
    }

    /// The best chunks that have a word or a name of the question, with their scores, best first.
    ///
    /// # Errors
    /// What the database refuses; no question is among it.
    pub fn search(&self, question: &str) -> rusqlite::Result<Vec<(usize, f64)>> {
        let options = Lookup { limit: LIMIT, ..Lookup::default() };
        let parameter = full_text::parameter(&full_text::queries(question), &options);
        let mut statement = self.0.prepare_cached(RANKING_SQL)?;
        statement.query_map([parameter], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }
}
