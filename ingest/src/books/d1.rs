//! The state in D1, row by row, with the text of every chunk for full-text search.
//!
//! Long lists go into one parameter as JSON, which `json_each` takes apart: a statement has at most
//! 100 parameters of at most 2 MB, and 100 KB of text ("D1 limits"). Each step can be repeated.

use std::collections::HashSet;

use docent_core::chunk::Chunk;
use docent_core::identifiers::identifiers;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Books, BooksError, Heads, Holder, Kv};
use crate::cloudflare::{ApiError, Cloudflare, Statement};
use crate::state::{Changes, ChunkId, ChunkRef, Generation, Live, Page, State, Status, Version};
use crate::upkeep::Mended;

/// Bytes of JSON in one parameter: half of what D1 takes.
const MAX_PARAMETER: usize = 1_000_000;
/// Pages of one answer; a thousand of them are about half a megabyte.
const PAGES_AT_ONCE: usize = 1_000;
/// Ids of one answer, not quite a megabyte.
const IDS_AT_ONCE: usize = 20_000;

const GENERATIONS: &str = "SELECT number, status, spec, documents, chunks, added, removed, retired, created_at \
                           FROM generation ORDER BY number";
const LIVE: &str = "SELECT generation, since FROM live";
const VERSIONS: &str = "SELECT path, url, title, hash, chunks, born, died FROM document \
                        WHERE (path, born) > (?1, CAST(?2 AS INTEGER)) ORDER BY path, born LIMIT CAST(?3 AS INTEGER)";

const TAKE_LEASE: &str = "INSERT INTO lease (one, owner, holder, expires_at) VALUES (1, ?1, ?2, ?3) \
                          ON CONFLICT (one) DO UPDATE SET owner = excluded.owner, holder = excluded.holder, \
                          expires_at = excluded.expires_at \
                          WHERE lease.owner = excluded.owner OR lease.expires_at <= CAST(?4 AS INTEGER)";
const READ_LEASE: &str = "SELECT owner, holder, expires_at FROM lease";
const END_LEASE: &str = "DELETE FROM lease WHERE owner = ?1";

const DROP: &str = "DELETE FROM generation WHERE number IN (SELECT value FROM json_each(?1))";
const BEGIN: &str = "INSERT INTO generation (number, status, spec, created_at) VALUES (?1, 'staging', ?2, ?3) \
                     ON CONFLICT (number) DO UPDATE SET spec = excluded.spec";
const UNSTAGE: [&str; 4] = [
    "DELETE FROM document WHERE born = CAST(?1 AS INTEGER)",
    "UPDATE document SET died = NULL WHERE died = CAST(?1 AS INTEGER)",
    "DELETE FROM chunk_life WHERE born = CAST(?1 AS INTEGER)",
    "UPDATE chunk_life SET died = NULL WHERE died = CAST(?1 AS INTEGER)",
];
const ABANDON: &str = "DELETE FROM generation WHERE number = CAST(?1 AS INTEGER)";

const ADD_CHUNKS: &str = "INSERT INTO chunk (id, path, url, anchor, title, heading, lang, version, product, text, identifiers) \
                          SELECT value ->> 'id', value ->> 'path', value ->> 'url', value ->> 'anchor', \
                          value ->> 'title', value ->> 'heading', value ->> 'lang', value ->> 'version', \
                          value ->> 'product', value ->> 'text', value ->> 'identifiers' \
                          FROM json_each(?1) WHERE true ON CONFLICT (id) DO NOTHING";
const CLOSE_PAGES: &str = "UPDATE document SET died = CAST(?2 AS INTEGER) \
                           WHERE died IS NULL AND path IN (SELECT value FROM json_each(?1))";
const OPEN_PAGES: &str = "INSERT INTO document (path, born, url, title, hash, chunks) \
                          SELECT value ->> 'path', CAST(?2 AS INTEGER), value ->> 'url', value ->> 'title', \
                          value ->> 'hash', value -> 'chunks' FROM json_each(?1) WHERE true \
                          ON CONFLICT (path, born) DO NOTHING";
const END_LIVES: &str = "UPDATE chunk_life SET died = CAST(?2 AS INTEGER) WHERE died IS NULL AND chunk IN \
                         (SELECT number FROM chunk WHERE id IN (SELECT value FROM json_each(?1)))";
const BEGIN_LIVES: &str = "INSERT INTO chunk_life (chunk, born) SELECT number, CAST(?2 AS INTEGER) FROM chunk \
                           WHERE id IN (SELECT value FROM json_each(?1)) ON CONFLICT (chunk, born) DO NOTHING";
const COUNT_LIVES: &str = "SELECT count(*) AS n FROM chunk_life WHERE born = CAST(?1 AS INTEGER)";
const DESCRIBE: &str = "UPDATE generation SET documents = ?2, chunks = ?3, added = ?4, removed = ?5, retired = ?6 \
                        WHERE number = CAST(?1 AS INTEGER)";
/// What no generation holds, the chunks last: nothing refers to them then.
const FORGET: [&str; 3] = [
    "DELETE FROM document WHERE NOT EXISTS \
     (SELECT 1 FROM generation WHERE born <= number AND (died IS NULL OR died > number))",
    "DELETE FROM chunk_life WHERE NOT EXISTS \
     (SELECT 1 FROM generation WHERE born <= generation.number AND (died IS NULL OR died > generation.number))",
    "DELETE FROM chunk WHERE NOT EXISTS (SELECT 1 FROM chunk_life WHERE chunk_life.chunk = chunk.number)",
];
const CHUNK_IDS: &str = "SELECT id FROM chunk WHERE id > ?1 AND \
                         EXISTS (SELECT 1 FROM chunk_life WHERE chunk_life.chunk = chunk.number) \
                         ORDER BY id LIMIT CAST(?2 AS INTEGER)";
const MEND_PAGES: &str = "UPDATE document SET hash = mended.value ->> 'hash', chunks = mended.value -> 'chunks' \
                          FROM json_each(?1) AS mended \
                          WHERE document.path = mended.value ->> 'path' AND born = mended.value ->> 'born'";
const FORGET_CHUNKS: [&str; 2] = [
    "DELETE FROM chunk_life WHERE chunk IN \
     (SELECT number FROM chunk WHERE id IN (SELECT value FROM json_each(?1)))",
    "DELETE FROM chunk WHERE id IN (SELECT value FROM json_each(?1))",
];
/// Only while the lease is held; no row comes back otherwise.
const GO_LIVE: &str = "INSERT INTO live (one, generation, since) \
                       SELECT 1, CAST(?1 AS INTEGER), CAST(?2 AS INTEGER) \
                       WHERE EXISTS (SELECT 1 FROM lease WHERE owner = ?3) \
                       ON CONFLICT (one) DO UPDATE SET generation = excluded.generation, since = excluded.since \
                       RETURNING generation, since";

pub(crate) struct D1<'a> {
    cloud: &'a Cloudflare,
}

impl<'a> D1<'a> {
    pub(crate) fn new(cloud: &'a Cloudflare) -> Self {
        Self { cloud }
    }

    fn rows<T: serde::de::DeserializeOwned>(&self, statements: &[Statement]) -> Result<Vec<Vec<T>>, BooksError> {
        self.cloud.sql(statements).map_err(schema_or_api)
    }

    fn run(&self, statements: &[Statement]) -> Result<(), BooksError> {
        self.rows::<IgnoredAny>(statements).map(drop)
    }

    /// One statement for as many values as one parameter takes; `?1` is the list.
    fn run_over<T: serde::Serialize>(
        &self,
        sql: &'static str,
        values: impl IntoIterator<Item = T>,
        others: &[&dyn std::fmt::Display],
    ) -> Result<(), BooksError> {
        for list in lists(values) {
            let params = std::iter::once(list).chain(others.iter().map(ToString::to_string)).collect();
            self.run(&[Statement { sql, params }])?;
        }
        Ok(())
    }

    fn versions(&self) -> Result<Vec<Version>, BooksError> {
        #[derive(Deserialize)]
        struct Row {
            path: String,
            url: String,
            title: String,
            hash: String,
            chunks: String,
            born: u64,
            died: Option<u64>,
        }
        let mut versions: Vec<Version> = Vec::new();
        loop {
            let after = versions.last().map_or((String::new(), 0), |last| (last.page.path.clone(), last.born));
            let statement = Statement::new(VERSIONS, [&after.0, &after.1, &PAGES_AT_ONCE]);
            let rows = self.rows::<Row>(&[statement])?.pop().unwrap_or_default();
            let count = rows.len();
            for Row { path, url, title, hash, chunks, born, died } in rows {
                let chunks: Vec<ChunkRef> = serde_json::from_str(&chunks)
                    .map_err(|error| BooksError::Unreadable("the D1 table document", error.to_string()))?;
                versions.push(Version { page: Page { path, url, title, hash, chunks }, born, died });
            }
            if count < PAGES_AT_ONCE {
                return Ok(versions);
            }
        }
    }
}

/// JSON arrays of at most [`MAX_PARAMETER`] bytes, or of one value.
fn lists<T: serde::Serialize>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    let mut lists: Vec<String> = Vec::new();
    for value in values {
        let json = serde_json::to_string(&value).unwrap_or_default();
        match lists.last_mut() {
            Some(list) if list.len() + json.len() < MAX_PARAMETER => {
                list.push(',');
                list.push_str(&json);
            }
            _ => lists.push(format!("[{json}")),
        }
    }
    for list in &mut lists {
        list.push(']');
    }
    lists
}

/// A table that is not there is the operator's affair, and easily mended.
fn schema_or_api(error: ApiError) -> BooksError {
    let text = &error.message;
    let missing = text.contains("no such table") || text.contains("no such column") || text.contains("has no column");
    if missing { BooksError::OldSchema(text.clone()) } else { BooksError::Api(error) }
}

impl Books for D1<'_> {
    fn load(&self) -> Result<(State, bool), BooksError> {
        let (generations, live) = self.heads()?;
        if live.is_none()
            && let Some(mut state) = Kv::new(self.cloud).manifest()?
        {
            // The deployment has got its database just now: the vectors are there, the rows are not.
            state.generations.extend(generations.into_iter().filter(|known| known.status == Status::Staging));
            return Ok((state, true));
        }
        let mut state = State { generations, live, versions: self.versions()? };
        // Of what was being written nobody knows how far it got, until somebody looks.
        if let Some(number) = state.staging().map(|staging| staging.number) {
            state.unstage(number);
        }
        Ok((state, false))
    }

    fn heads(&self) -> Result<Heads, BooksError> {
        let generations = self.rows::<Generation>(&[Statement::new(GENERATIONS, [])])?.pop().unwrap_or_default();
        let live = self.rows::<Live>(&[Statement::new(LIVE, [])])?.pop().unwrap_or_default();
        Ok((generations, live.first().copied()))
    }

    fn take_lease(&self, lease: &Holder, now: u64) -> Result<Option<Holder>, BooksError> {
        self.run(&[Statement::new(TAKE_LEASE, [&lease.owner, &lease.holder, &lease.expires_at, &now])])?;
        Ok(self.lease()?.filter(|holder| holder.owner != lease.owner))
    }

    fn lease(&self) -> Result<Option<Holder>, BooksError> {
        Ok(self.rows::<Holder>(&[Statement::new(READ_LEASE, [])])?.pop().unwrap_or_default().pop())
    }

    fn end_lease(&self, owner: &str) -> Result<(), BooksError> {
        self.run(&[Statement::new(END_LEASE, [&owner])])
    }

    fn begin(&self, _: &State, staging: &Generation, dropped: &[u64]) -> Result<(), BooksError> {
        let Generation { number, spec, created_at, .. } = staging;
        let mut statements =
            vec![Statement::new(DROP, [&json!(dropped)]), Statement::new(BEGIN, [number, spec, created_at])];
        statements.extend(UNSTAGE.map(|sql| Statement::new(sql, [number])));
        self.run(&statements)
    }

    fn add_chunks(&self, chunks: &[Chunk]) -> Result<(), BooksError> {
        let rows = chunks.iter().map(|chunk| {
            let metadata = &chunk.metadata;
            let names: Vec<String> = identifiers(&chunk.text_to_embed()).into_iter().collect();
            json!({
                "id": chunk.id, "path": metadata.path, "url": metadata.url, "anchor": metadata.anchor,
                "title": metadata.title, "heading": metadata.heading, "lang": metadata.lang,
                "version": metadata.version, "product": metadata.product, "text": metadata.text,
                "identifiers": names.join(" "),
            })
        });
        self.run_over(ADD_CHUNKS, rows, &[])
    }

    fn stage(&self, _: &State, generation: &Generation, changes: &Changes) -> Result<(), BooksError> {
        #[derive(Deserialize)]
        struct Count {
            n: usize,
        }
        let Generation { number, documents, chunks, added, removed, retired, .. } = generation;
        self.run_over(CLOSE_PAGES, changes.closed.iter().map(|(path, _)| path), &[number])?;
        self.run_over(OPEN_PAGES, &changes.opened, &[number])?;
        self.run_over(END_LIVES, &changes.removed, &[number])?;
        self.run_over(BEGIN_LIVES, &changes.added, &[number])?;
        self.run(&[Statement::new(DESCRIBE, [number, documents, chunks, added, removed, retired])])?;
        let count = self.rows::<Count>(&[Statement::new(COUNT_LIVES, [number])])?.pop().unwrap_or_default();
        let found = count.first().map_or(0, |count| count.n);
        let expected = changes.added.len();
        if found == expected { Ok(()) } else { Err(BooksError::Incomplete { found, expected }) }
    }

    fn drop_generations(&self, _: &State, dropped: &[u64]) -> Result<(), BooksError> {
        self.run(&[Statement::new(DROP, [&json!(dropped)])])
    }

    fn forget_garbage(&self, _: &State) -> Result<(), BooksError> {
        self.run(&FORGET.map(|sql| Statement::new(sql, [])))
    }

    fn go_live(&self, _: &State, live: Live, owner: &str) -> Result<(), BooksError> {
        let statement = Statement::new(GO_LIVE, [&live.generation, &live.since, &owner]);
        let rows = self.rows::<Live>(&[statement])?.pop().unwrap_or_default();
        if rows.is_empty() { Err(BooksError::LeaseLost) } else { Ok(()) }
    }

    fn chunks(&self) -> Result<Option<HashSet<ChunkId>>, BooksError> {
        #[derive(Deserialize)]
        struct Row {
            id: ChunkId,
        }
        let (mut ids, mut last) = (HashSet::new(), String::new());
        loop {
            let statement = Statement::new(CHUNK_IDS, [&last, &IDS_AT_ONCE]);
            let rows = self.rows::<Row>(&[statement])?.pop().unwrap_or_default();
            let count = rows.len();
            last = rows.last().map_or_else(String::new, |row| row.id.to_string());
            ids.extend(rows.into_iter().map(|row| row.id));
            if count < IDS_AT_ONCE {
                return Ok(Some(ids));
            }
        }
    }

    fn mend(&self, _: &State, pages: &Mended, lost: &HashSet<ChunkId>) -> Result<(), BooksError> {
        let pages = pages.iter().map(
            |((path, born), page)| json!({ "path": path, "born": born, "hash": page.hash, "chunks": page.chunks }),
        );
        self.run_over(MEND_PAGES, pages, &[])?;
        for sql in FORGET_CHUNKS {
            self.run_over(sql, lost, &[])?;
        }
        self.run(&FORGET.map(|sql| Statement::new(sql, [])))
    }

    fn abandon(&self, _: &State, number: u64) -> Result<(), BooksError> {
        let mut statements: Vec<Statement> = UNSTAGE.map(|sql| Statement::new(sql, [&number])).into();
        statements.push(Statement::new(ABANDON, [&number]));
        statements.extend(FORGET.map(|sql| Statement::new(sql, [])));
        self.run(&statements)
    }
}
