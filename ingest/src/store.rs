//! New chunks to vectors in the index: embedded side by side, stored in large batches.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use docent_core::chunk::Chunk;
use docent_core::vectorize::{Metadata, Vector};

use crate::cloudflare::{Acknowledged, ApiError, Cloudflare};
use crate::manifest::Books;
use crate::run::Progress;

/// Texts of one embedding call. The service takes 100, and was seen to fail below that with long
/// texts.
const EMBED_BATCH: usize = 50;
/// Vectors of one upsert, about 8 MB. The service takes 5,000; a killed run loses less with fewer.
const UPSERT_BATCH: usize = 1_000;

type Embedded<'a> = (&'a [Chunk], Vec<Vec<f32>>);

/// Embeds and stores. After a failure, what is embedded already is stored all the same.
pub(crate) fn embed_and_store(
    cloud: &Cloudflare,
    chunks: &[Chunk],
    concurrency: usize,
    books: &mut Books<'_>,
    progress: Progress<'_>,
) -> Result<Vec<Acknowledged>, ApiError> {
    let batches: Vec<&[Chunk]> = chunks.chunks(EMBED_BATCH).collect();
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::sync_channel(concurrency);
    let mut sink = Sink { cloud, books, waiting: Vec::new(), writes: Vec::new() };
    let mut outcome = Ok(());
    std::thread::scope(|scope| {
        for _ in 0..concurrency.min(batches.len()) {
            let sender = sender.clone();
            scope.spawn(|| embed_batches(cloud, &batches, &next, sender));
        }
        drop(sender);
        let mut done = 0;
        for embedded in receiver {
            let step = embedded.and_then(|(batch, vectors)| {
                done += batch.len();
                progress("embedding", done, chunks.len());
                sink.take(batch, vectors)
            });
            if let (Err(error), Ok(())) = (step, &outcome) {
                next.store(batches.len(), Ordering::Relaxed);
                outcome = Err(error);
            }
        }
    });
    let flushed = sink.flush();
    outcome.and(flushed)?;
    Ok(sink.writes)
}

fn embed_batches<'a>(
    cloud: &Cloudflare,
    batches: &[&'a [Chunk]],
    next: &AtomicUsize,
    sender: mpsc::SyncSender<Result<Embedded<'a>, ApiError>>,
) {
    while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
        let texts: Vec<String> = batch.iter().map(Chunk::text_to_embed).collect();
        let embedded = cloud.embed(&texts).map(|vectors| (*batch, vectors));
        let failed = embedded.is_err();
        if sender.send(embedded).is_err() || failed {
            return;
        }
    }
}

struct Sink<'a, 'b> {
    cloud: &'a Cloudflare,
    books: &'a mut Books<'b>,
    waiting: Vec<Vector>,
    writes: Vec<Acknowledged>,
}

impl Sink<'_, '_> {
    fn take(&mut self, batch: &[Chunk], vectors: Vec<Vec<f32>>) -> Result<(), ApiError> {
        let generation = self.books.manifest.generation;
        self.waiting.extend(batch.iter().zip(vectors).map(|(chunk, values)| Vector {
            id: chunk.id.clone(),
            values,
            namespace: None,
            metadata: Some(Metadata { generation, ..chunk.metadata.clone() }),
        }));
        if self.waiting.len() < UPSERT_BATCH { Ok(()) } else { self.flush() }
    }

    /// Noted in the manifest only once the service has acknowledged.
    fn flush(&mut self) -> Result<(), ApiError> {
        let vectors = std::mem::take(&mut self.waiting);
        if vectors.is_empty() {
            return Ok(());
        }
        self.writes.push(self.cloud.upsert(&vectors)?);
        for vector in &vectors {
            let path = vector.metadata.as_ref().map(|metadata| metadata.path.as_str()).unwrap_or_default();
            self.books.manifest.add(path, &vector.id);
        }
        self.books.save_now_and_then()
    }
}
