//! New chunks to vectors in the index: embedded side by side, stored in large batches.
//!
//! A chunk whose text the index has already gets a copy of that vector, which the index itself
//! keeps: a page that moved is written anew and not embedded.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};

use docent_core::chunk::Chunk;
use docent_core::vectorize::{MAX_GET_IDS, Metadata, Vector};

use crate::books::Books;
use crate::cloudflare::{Acknowledged, ApiError, Cloudflare};
use crate::lease::Held;
use crate::reading::{Spool, Waiting};
use crate::report::Failure;
use crate::run::{IngestError, Progress};
use crate::state::ChunkId;

/// Texts of one embedding call. The service takes 100, and was seen to fail below that with long
/// texts.
const EMBED_BATCH: usize = 50;
/// Vectors of one upsert, about 4 MB. The service takes 5,000; a killed run loses less with fewer.
const UPSERT_BATCH: usize = 500;

/// What became of the new chunks.
#[derive(Default)]
pub(crate) struct Stored {
    /// Writes, in their order.
    pub(crate) writes: Vec<Acknowledged>,
    /// Chunks that the services refuse, with the reason.
    pub(crate) refused: BTreeMap<ChunkId, Failure>,
    /// Chunks that were embedded.
    pub(crate) embedded: usize,
    /// Chunks that got a copy of a vector.
    pub(crate) copied: usize,
}

/// A chunk with its vector, or why there is none.
type Embedded = Vec<(Chunk, Result<Vec<f32>, ApiError>, bool)>;

/// Embeds and stores what is not `present` in the index. After a failure, what is embedded already
/// is stored all the same.
pub(crate) fn embed_and_store(
    mut sink: Sink<'_>,
    spool: &Spool,
    present: &HashSet<ChunkId>,
    concurrency: usize,
    progress: Progress<'_>,
) -> Result<Stored, IngestError> {
    let cloud = sink.cloud;
    let batches = Mutex::new(Batches { waiting: Box::new(spool.read()?), failed: false });
    let (sender, receiver) = mpsc::sync_channel(concurrency);
    let mut outcome = Ok(());
    std::thread::scope(|scope| {
        for _ in 0..concurrency {
            let (sender, batches) = (sender.clone(), &batches);
            scope.spawn(move || work(cloud, batches, present, &sender));
        }
        drop(sender);
        let mut done = 0;
        for batch in receiver {
            let step = batch.and_then(|batch: Batch| {
                done += batch.present.len() + batch.embedded.len();
                progress("embedding", done, spool.len());
                sink.take(batch)
            });
            if let (Err(error), Ok(())) = (step, &outcome) {
                batches.lock().unwrap_or_else(PoisonError::into_inner).failed = true;
                outcome = Err(error);
            }
        }
    });
    let flushed = sink.flush();
    outcome.and(flushed)?;
    Ok(sink.stored)
}

/// What is left to do.
struct Batches {
    waiting: Box<dyn Iterator<Item = std::io::Result<Waiting>> + Send>,
    failed: bool,
}

/// Chunks that are done, but for being stored.
struct Batch {
    /// An earlier try has stored their vectors.
    present: Vec<Chunk>,
    embedded: Embedded,
}

fn work(
    cloud: &Cloudflare,
    batches: &Mutex<Batches>,
    present: &HashSet<ChunkId>,
    sender: &mpsc::SyncSender<Result<Batch, IngestError>>,
) {
    loop {
        let taken: std::io::Result<Vec<Waiting>> = {
            let mut batches = batches.lock().unwrap_or_else(PoisonError::into_inner);
            if batches.failed {
                return;
            }
            batches.waiting.by_ref().take(EMBED_BATCH).collect()
        };
        let outcome = match taken {
            Ok(taken) if taken.is_empty() => return,
            Ok(taken) => batch(cloud, taken, present),
            Err(error) => Err(error.into()),
        };
        let failed = outcome.is_err();
        if sender.send(outcome).is_err() || failed {
            return;
        }
    }
}

/// Finds a vector for each chunk.
fn batch(cloud: &Cloudflare, waiting: Vec<Waiting>, present: &HashSet<ChunkId>) -> Result<Batch, IngestError> {
    let is_present =
        |waiting: &Waiting| ChunkId::try_from(waiting.id().to_owned()).is_ok_and(|id| present.contains(&id));
    let (there, missing): (Vec<Waiting>, Vec<Waiting>) = waiting.into_iter().partition(is_present);
    let copies = copies(cloud, &missing)?;
    let mut embedded = Embedded::new();
    let mut to_embed = Vec::new();
    for waiting in missing {
        match waiting.like.and_then(|like| copies.get(&like.to_string())) {
            Some(vector) => embedded.push((waiting.into_chunk(), Ok(vector.clone()), true)),
            None => to_embed.push(waiting.into_chunk()),
        }
    }
    let texts: Vec<String> = to_embed.iter().map(Chunk::text_to_embed).collect();
    let vectors = if texts.is_empty() { Vec::new() } else { cloud.embed(&texts)? };
    embedded.extend(to_embed.into_iter().zip(vectors).map(|(chunk, vector)| (chunk, vector, false)));
    Ok(Batch { present: there.into_iter().map(Waiting::into_chunk).collect(), embedded })
}

/// Vectors of the chunks that have the same text. One that is not in the index after all is left
/// out, and its text embedded.
fn copies(cloud: &Cloudflare, waiting: &[Waiting]) -> Result<HashMap<String, Vec<f32>>, ApiError> {
    let like: Vec<String> = waiting.iter().filter_map(|waiting| waiting.like.map(|id| id.to_string())).collect();
    let mut vectors = HashMap::new();
    for ids in like.chunks(MAX_GET_IDS) {
        vectors.extend(cloud.get(ids)?.into_iter().map(|vector| (vector.id, vector.values)));
    }
    Ok(vectors)
}

/// Stores what is embedded, as the generation that is being written.
pub(crate) struct Sink<'a> {
    cloud: &'a Cloudflare,
    books: &'a dyn Books,
    lease: &'a Held<'a>,
    generation: u64,
    rows: Vec<Chunk>,
    waiting: Vec<Vector>,
    stored: Stored,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(cloud: &'a Cloudflare, books: &'a dyn Books, lease: &'a Held<'a>, generation: u64) -> Self {
        Self { cloud, books, lease, generation, rows: Vec::new(), waiting: Vec::new(), stored: Stored::default() }
    }

    fn take(&mut self, batch: Batch) -> Result<(), IngestError> {
        self.rows.extend(batch.present);
        for (chunk, vector, is_copy) in batch.embedded {
            match vector {
                Ok(values) => {
                    let count = if is_copy { &mut self.stored.copied } else { &mut self.stored.embedded };
                    *count += 1;
                    let metadata = Metadata { generation: self.generation, ..chunk.metadata.clone() };
                    self.waiting.push(Vector {
                        id: chunk.id.clone(),
                        values,
                        namespace: None,
                        metadata: Some(metadata),
                    });
                    self.rows.push(chunk);
                }
                Err(error) => self.refuse(&chunk.id, &chunk.metadata.path, &error),
            }
        }
        if self.waiting.len() < UPSERT_BATCH && self.rows.len() < UPSERT_BATCH { Ok(()) } else { self.flush() }
    }

    fn refuse(&mut self, id: &str, path: &str, error: &ApiError) {
        if let Ok(id) = ChunkId::try_from(id.to_owned()) {
            let reason = format!("a part of it is left out: {error}");
            self.stored.refused.insert(id, Failure::new(path, reason));
        }
    }

    /// Text after vectors: what has a row has a vector.
    fn flush(&mut self) -> Result<(), IngestError> {
        let vectors = std::mem::take(&mut self.waiting);
        let mut rows = std::mem::take(&mut self.rows);
        self.lease.check()?;
        if !vectors.is_empty() {
            let mut refused = Vec::new();
            self.cloud.upsert(&vectors, &mut self.stored.writes, &mut refused)?;
            for (id, error) in refused {
                let path =
                    rows.iter().find(|row| row.id == id).map(|row| row.metadata.path.clone()).unwrap_or_default();
                rows.retain(|row| row.id != id);
                self.refuse(&id, &path, &error);
            }
        }
        if rows.is_empty() { Ok(()) } else { Ok(self.books.add_chunks(&rows)?) }
    }
}
