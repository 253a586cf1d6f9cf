//! What people do with an index beside filling it: look at it, go back, let old generations go,
//! and see whether everything is where it should be.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::{Duration, SystemTime};

use docent_core::embedding::FINGERPRINT;
use docent_core::generation::retired_key;
use serde::Serialize;

use crate::books;
use crate::cloudflare::Cloudflare;
use crate::lease::{self, now_ms};
use crate::run::{self, IngestError, Progress, Writer};
use crate::settings::Connection;
use crate::state::{ChunkId, Generation, State};

/// Ids that a finding names one by one.
const NAMED: usize = 10;

/// Why there is nothing to go back to.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// Nothing was ever ingested, or nothing before what is live.
    #[error("there is no generation to go back to: `docent history` lists those that are kept")]
    None,
    /// It was never there, or was let go.
    #[error("generation {0} is not kept: `docent history` lists those that are")]
    Unknown(u64),
}

/// The index at a glance.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Vectorize index.
    pub index: String,
    /// `D1` or `KV`.
    pub state_in: &'static str,
    /// The live generation; none before the first ingest.
    pub live: Option<Generation>,
    /// Since when, milliseconds since 1970.
    pub since: u64,
    /// Whether a Worker of this version can search it.
    pub spec_matches: bool,
    /// Generations that can be gone to.
    pub kept: Vec<u64>,
    /// A generation that is being written, or whose writing was broken off.
    pub staging: Option<u64>,
    /// Who is writing.
    pub writer: Option<String>,
    /// Vectors in the index, as far as Vectorize has counted.
    pub vectors: Option<u64>,
    /// Whether the copy in KV, for readers without D1, names the same generation.
    pub copy_matches: bool,
}

/// One line of the history.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// The generation.
    #[serde(flatten)]
    pub generation: Generation,
    /// Whether readers see it.
    pub live: bool,
}

/// What is not as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Chunks that the state names.
    pub chunks: usize,
    /// Vectors in the index.
    pub vectors: usize,
    /// Rows in D1; 0 without.
    pub rows: usize,
    /// Chunks without a vector.
    pub missing_vectors: Vec<String>,
    /// Chunks without a row in D1.
    pub missing_rows: Vec<String>,
    /// Vectors that no generation holds.
    pub orphan_vectors: Vec<String>,
    /// Rows that no generation holds.
    pub orphan_rows: Vec<String>,
    /// KV keys that are missing or out of date.
    pub stale_keys: Vec<String>,
    /// A generation whose writing was broken off.
    pub staging: Option<u64>,
    /// Paths of pages that the next ingest writes again.
    pub damaged_pages: Vec<String>,
    /// Whether all of it was put in order.
    pub fixed: bool,
}

/// Looks at the index.
pub fn status(connection: &Connection) -> Result<Status, IngestError> {
    let cloud = Cloudflare::new(connection);
    let books = books::open(&cloud, connection);
    let (state, _) = books.load()?;
    let vectors = if cloud.index()?.is_some() { Some(cloud.info()?.vector_count) } else { None };
    let live = state.live().cloned();
    Ok(Status {
        index: connection.index.clone(),
        state_in: if connection.database.is_some() { "D1" } else { "KV" },
        since: state.live.map_or(0, |live| live.since),
        spec_matches: live.as_ref().is_none_or(|live| live.spec == *FINGERPRINT),
        live,
        kept: state.complete().map(|generation| generation.number).collect(),
        staging: state.staging().map(|staging| staging.number),
        writer: books.lease()?.filter(|lease| lease.expires_at > now_ms()).map(|lease| lease.holder),
        vectors,
        copy_matches: run::record(&state) == run::stored_record(&cloud)?,
    })
}

/// Generations that are kept, newest first.
pub fn history(connection: &Connection) -> Result<Vec<Entry>, IngestError> {
    let cloud = Cloudflare::new(connection);
    let (generations, live) = books::open(&cloud, connection).heads()?;
    let live = live.map(|live| live.generation);
    let entries = generations.into_iter().rev();
    Ok(entries.map(|generation| Entry { live: Some(generation.number) == live, generation }).collect())
}

/// Lets readers see another generation: the one before the live one, if none is named.
pub fn rollback(
    connection: &Connection,
    target: Option<u64>,
    wait: Duration,
    progress: Progress<'_>,
) -> Result<Generation, IngestError> {
    let cloud = Cloudflare::new(connection);
    let books = books::open(&cloud, connection);
    lease::holding(&*books, wait, progress, |lease| {
        let (mut state, _) = books.load()?;
        let number = match (target, state.live) {
            (Some(target), _) if state.complete().any(|generation| generation.number == target) => target,
            (Some(target), _) => return Err(RollbackError::Unknown(target).into()),
            (None, Some(live)) => {
                let before = state.complete().rev().map(|generation| generation.number);
                before.into_iter().find(|number| *number < live.generation).ok_or(RollbackError::None)?
            }
            (None, None) => return Err(RollbackError::None.into()),
        };
        state.go_live(number, now_ms());
        if let Some(live) = state.live {
            books.go_live(&state, live, lease.owner())?;
        }
        run::publish_record(&cloud, &state)?;
        state.live().cloned().ok_or_else(|| RollbackError::None.into())
    })
}

/// Lets all but the live generation and `keep` others go. Returns those that went.
pub fn prune(
    connection: &Connection,
    keep: usize,
    wait: Duration,
    progress: Progress<'_>,
) -> Result<Vec<u64>, IngestError> {
    let cloud = Cloudflare::new(connection);
    let books = books::open(&cloud, connection);
    lease::holding(&*books, wait, progress, |lease| {
        let (state, _) = books.load()?;
        let dropped = state.beyond(keep);
        Writer { cloud: &cloud, books: &*books, keep, lease, progress, state }.tidy()?;
        Ok(dropped)
    })
}

/// Compares what is noted with what is there; with `fix`, puts it in order: deletes what nobody
/// knows, and forgets what is not there, so that the next ingest writes those pages again.
pub fn verify(
    connection: &Connection,
    fix: bool,
    wait: Duration,
    progress: Progress<'_>,
) -> Result<Verification, IngestError> {
    let cloud = Cloudflare::new(connection);
    let books = books::open(&cloud, connection);
    let look = || -> Result<(State, Found, Verification), IngestError> {
        progress("comparing", 0, 0);
        let (state, _) = books.load()?;
        let found = Found::of(&cloud, &*books)?;
        let verification = compare(&cloud, &state, &found, connection.database.is_some())?;
        Ok((state, found, verification))
    };
    if !fix {
        return look().map(|(_, _, verification)| verification);
    }
    lease::holding(&*books, wait, progress, |lease| {
        let (state, _) = books.load()?;
        // A broken-off run is put in order first: what it wrote is known to nobody yet.
        let keep = state.complete().count();
        Writer { cloud: &cloud, books: &*books, keep, lease, progress, state }.tidy()?;
        let (mut state, found, mut verification) = look()?;
        let known: HashSet<ChunkId> = state.known().into_keys().collect();
        let is_whole =
            |id: &ChunkId| found.vectors.contains(id) && found.rows.as_ref().is_none_or(|rows| rows.contains(id));
        let broken: HashSet<ChunkId> = known.iter().copied().filter(|id| !is_whole(id)).collect();
        let unknown = found.vectors.iter().copied().filter(|id| !known.contains(id));
        let to_delete: HashSet<ChunkId> =
            unknown.chain(broken.iter().copied().filter(|id| found.vectors.contains(id))).collect();
        let mended = state.forget_chunks(&broken);
        if !broken.is_empty() || !verification.orphan_rows.is_empty() {
            books.mend(&state, &mended, &broken)?;
        }
        let writer = Writer { cloud: &cloud, books: &*books, keep, lease, progress, state };
        let deletions = writer.delete(&to_delete)?;
        writer.wait_until_visible(&deletions)?;
        run::publish_record(&cloud, &writer.state)?;
        verification.fixed = true;
        Ok(verification)
    })
}

/// What is there.
struct Found {
    vectors: HashSet<ChunkId>,
    /// Vectors that are not docent's.
    foreign: Vec<String>,
    rows: Option<HashSet<ChunkId>>,
}

impl Found {
    fn of(cloud: &Cloudflare, books: &dyn books::Books) -> Result<Self, IngestError> {
        let (mut vectors, mut foreign) = (HashSet::new(), Vec::new());
        if cloud.index()?.is_some() {
            cloud.list(&mut |ids| {
                for id in ids {
                    match ChunkId::try_from(id.clone()) {
                        Ok(id) => drop(vectors.insert(id)),
                        Err(_) => foreign.push(id),
                    }
                }
            })?;
        }
        Ok(Self { vectors, foreign, rows: books.chunks()? })
    }
}

fn compare(cloud: &Cloudflare, state: &State, found: &Found, has_rows: bool) -> Result<Verification, IngestError> {
    let known: HashSet<ChunkId> = state.known().into_keys().collect();
    let names = |ids: Vec<&ChunkId>| {
        let mut names: Vec<String> = ids.into_iter().map(ToString::to_string).collect();
        names.sort_unstable();
        names
    };
    let none = HashSet::new();
    let rows = found.rows.as_ref().unwrap_or(&none);
    let missing_rows: Vec<&ChunkId> = if has_rows { known.difference(rows).collect() } else { Vec::new() };
    let missing_vectors: Vec<&ChunkId> = known.difference(&found.vectors).collect();
    let lost: HashSet<ChunkId> = missing_rows.iter().chain(&missing_vectors).map(|id| **id).collect();
    let damaged =
        state.live_pages().into_iter().filter(|(_, page)| page.chunks.iter().any(|chunk| lost.contains(&chunk.id)));
    let damaged_pages = damaged.map(|(path, _)| path.to_owned()).collect();
    let mut orphan_vectors = names(found.vectors.difference(&known).collect());
    orphan_vectors.extend(found.foreign.iter().cloned());
    let mut stale_keys = Vec::new();
    if run::record(state) != run::stored_record(cloud)? {
        stale_keys.push("index".to_owned());
    }
    for generation in state.complete().filter(|generation| generation.retired > 0) {
        let key = retired_key(generation.number);
        if cloud.kv_get(&key)?.is_none_or(|list| list.len() != generation.retired * 8) {
            stale_keys.push(key);
        }
    }
    Ok(Verification {
        chunks: known.len(),
        vectors: found.vectors.len() + found.foreign.len(),
        rows: rows.len(),
        missing_vectors: names(missing_vectors),
        missing_rows: names(missing_rows),
        orphan_vectors,
        orphan_rows: names(rows.difference(&known).collect()),
        stale_keys,
        staging: state.staging().map(|staging| staging.number),
        damaged_pages,
        fixed: false,
    })
}

impl Verification {
    /// Whether everything is where it should be.
    pub fn is_clean(&self) -> bool {
        let lists =
            [&self.missing_vectors, &self.missing_rows, &self.orphan_vectors, &self.orphan_rows, &self.stale_keys];
        lists.iter().all(|list| list.is_empty()) && self.staging.is_none()
    }

    /// Whether pages have to be written again.
    pub fn needs_ingest(&self) -> bool {
        !self.missing_vectors.is_empty() || !self.missing_rows.is_empty()
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chunks, vectors, rows, .. } = self;
        let rows = if *rows == 0 { String::new() } else { format!(", {rows} rows") };
        write!(f, "{chunks} chunks in the state, {vectors} vectors{rows}")?;
        let findings = [
            (&self.missing_vectors, "chunks without a vector"),
            (&self.missing_rows, "chunks without a row"),
            (&self.orphan_vectors, "vectors that no generation holds"),
            (&self.orphan_rows, "rows that no generation holds"),
            (&self.stale_keys, "KV keys that are missing or out of date"),
            (&self.damaged_pages, "pages that miss a part"),
        ];
        for (list, what) in findings.iter().filter(|(list, _)| !list.is_empty()) {
            write!(f, "\n{} {what}: {}", list.len(), list.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", "))?;
            if list.len() > NAMED {
                write!(f, ", …")?;
            }
        }
        if let Some(staging) = self.staging {
            write!(f, "\ngeneration {staging} is being written, or was broken off: run `docent ingest` again")?;
        }
        let end = match (self.is_clean(), self.fixed, self.needs_ingest()) {
            (true, ..) => "everything is where it should be",
            (_, true, true) => "put in order; run `docent ingest` now, which writes the damaged pages again",
            (_, true, false) => "put in order",
            _ => "put it in order with `docent verify --fix`",
        };
        write!(f, "\n{end}")
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, state_in, .. } = self;
        match &self.live {
            None => write!(f, "index {index}: nothing has been ingested yet (state in {state_in})")?,
            Some(live) => write!(
                f,
                "index {index}: generation {} is live since {}, {} chunks of {} documents (state in {state_in})",
                live.number,
                time(self.since),
                live.chunks,
                live.documents
            )?,
        }
        let others: Vec<String> = self.kept.iter().map(ToString::to_string).collect();
        if others.len() > 1 {
            write!(f, "\nkept: generations {}", others.join(", "))?;
        }
        if let Some(vectors) = self.vectors {
            write!(f, "\nvectors: {vectors}, those of kept generations included")?;
        }
        if let Some(writer) = &self.writer {
            write!(f, "\nan ingest is running: {writer}")?;
        }
        match (self.staging, &self.writer) {
            (Some(staging), None) => {
                write!(f, "\ngeneration {staging} was broken off: run `docent ingest`, which continues it")?;
            }
            (Some(staging), Some(_)) => write!(f, "\ngeneration {staging} is being written")?,
            (None, _) => {}
        }
        if !self.spec_matches {
            write!(f, "\nit was embedded by another version: a Worker of this version cannot search it")?;
        }
        if !self.copy_matches {
            write!(f, "\nthe copy in KV is out of date: run `docent verify --fix`")?;
        }
        Ok(())
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Generation { number, documents, chunks, added, removed, created_at, .. } = &self.generation;
        let mark = match (self.live, self.generation.status) {
            (true, _) => "live",
            (false, crate::state::Status::Complete) => "kept",
            (false, crate::state::Status::Staging) => "unfinished",
        };
        write!(
            f,
            "{number:>6}  {}  {mark:<10}  {documents} documents, {chunks} chunks (+{added} -{removed})",
            time(*created_at)
        )
    }
}

fn time(ms: u64) -> String {
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}

/// Pages by path and first generation that have lost chunks.
pub(crate) type Mended = BTreeMap<(String, u64), crate::state::Page>;
