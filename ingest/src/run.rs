//! The ingest, in the order it happens.
//!
//! Two rules hold at every moment, also when the program is killed: what the manifest names is in
//! the index, since it is written after the service acknowledged; and a page is never missing from
//! the index, since old chunks are deleted only after the new ones can be found.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use docent_core::chunk::{self, Chunk};
use docent_core::embedding::{INDEX_KEY, IndexRecord, SPEC};
use docent_core::vectorize::{MAX_DELETE_IDS, METADATA_INDEXES};

use crate::cloudflare::{Acknowledged, ApiError, Cloudflare};
use crate::manifest::{Books, Manifest, ManifestError};
use crate::plan::{self, Plan};
use crate::report::{Failure, Report};
use crate::settings::Settings;
use crate::source::{self, Keeps, Outcome};
use crate::store;

/// Writes are visible after seconds, under load after minutes.
const VISIBLE_WITHIN: Duration = Duration::from_mins(15);
const POLL_EVERY: Duration = Duration::from_millis(500);

/// Why an ingest came to nothing, or stopped on its way.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// An empty index would be the result, and is hardly what was meant.
    #[error("no text in Markdown files below the given paths, so the index is left as it is; files that .gitignore names are not read{}", listed(.0))]
    Nothing(Vec<Failure>),
    /// The index is no home for these vectors.
    #[error(
        "index {name} has {dimensions} dimensions and metric {metric}, docent needs {} and {}; name another index",
        SPEC.dimensions,
        SPEC.metric
    )]
    OtherIndex {
        /// Its name.
        name: String,
        /// Its dimensions.
        dimensions: usize,
        /// Its metric.
        metric: String,
    },
    /// Vectorize took the writes and does not show them.
    #[error("the index does not show the last writes after {} minutes; run the same command later", VISIBLE_WITHIN.as_secs() / 60)]
    NotVisible,
    /// What is in the index cannot be known.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A call failed.
    #[error(transparent)]
    Api(#[from] ApiError),
}

fn listed(failures: &[Failure]) -> String {
    failures.iter().flat_map(|Failure { path, reason }| ["\nfailed   ", path, ": ", reason]).collect()
}

/// How far the ingest is: stage, steps done, steps in all.
pub type Progress<'a> = &'a dyn Fn(&str, usize, usize);

/// Brings the index in step with the documents.
pub fn run(settings: &Settings, progress: Progress<'_>) -> Result<Report, IngestError> {
    let started = Instant::now();
    let reading = Reading::of(settings);
    if reading.chunks.is_empty() {
        return Err(IngestError::Nothing(reading.failed));
    }
    let cloud = Cloudflare::new(settings);
    let exists = check_index(&cloud, &settings.index)?;
    let books = Books::open(&cloud)?;
    let known = if exists && cloud.info()?.vector_count > 0 { books.manifest.clone() } else { Manifest::default() };
    let plan = Plan::new(&known, reading.chunks, &reading.unread.of(&known));
    let live = live_record(&cloud)?;
    let record = IndexRecord {
        v: 1,
        spec: SPEC.fingerprint(),
        generation: live.as_ref().map_or(books.manifest.generation, |live| live.generation),
        documents: plan.documents.len(),
        chunks: plan.documents.values().map(BTreeSet::len).sum(),
        retired: 0,
        updated_at: live.as_ref().map_or(0, |live| live.updated_at),
    };
    // A run that was killed after its last write left the manifest a generation ahead.
    let changed = !plan.is_empty() || live.as_ref() != Some(&record) || books.manifest.generation != record.generation;
    let record = if changed { IndexRecord { generation: record.generation + 1, ..record } } else { record };
    let mut report = report(settings, &plan, &record, changed);
    (report.skipped, report.failed) = (reading.skipped, reading.failed);
    if changed && !settings.dry_run {
        let mut books = books;
        books.manifest = Manifest { generation: record.generation, spec: record.spec.clone(), ..known };
        carry_out(&cloud, settings, exists, &plan, record, books, progress)?;
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// The steps that write.
fn carry_out(
    cloud: &Cloudflare,
    settings: &Settings,
    exists: bool,
    plan: &Plan,
    record: IndexRecord,
    mut books: Books<'_>,
    progress: Progress<'_>,
) -> Result<(), IngestError> {
    if !plan.new.is_empty() {
        prepare_index(cloud, exists)?;
        let stored = store::embed_and_store(cloud, &plan.new, settings.concurrency, &mut books, progress);
        books.save()?;
        wait_until_visible(cloud, &stored?, progress)?;
    }
    let updated_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let record = IndexRecord { updated_at: u64::try_from(updated_at).unwrap_or_default(), ..record };
    let json = serde_json::to_string(&record).map_err(ManifestError::from)?;
    cloud.kv_put(INDEX_KEY, &json)?;
    let deleted = delete(cloud, &plan.gone, &mut books, progress);
    books.save()?;
    wait_until_visible(cloud, &deleted?, progress)
}

fn report(settings: &Settings, plan: &Plan, record: &IndexRecord, changed: bool) -> Report {
    let tokens = plan.tokens();
    let (neurons, cost_usd) = plan::price(tokens);
    Report {
        dry_run: settings.dry_run,
        changed,
        index: settings.index.clone(),
        generation: record.generation,
        documents: record.documents,
        chunks: record.chunks,
        new: plan.new.len(),
        unchanged: plan.unchanged,
        deleted: plan.gone.len(),
        tokens,
        neurons,
        cost_usd,
        ..Report::default()
    }
}

/// The documents as they are now.
struct Reading {
    chunks: Vec<Chunk>,
    skipped: Vec<Failure>,
    failed: Vec<Failure>,
    unread: Unread,
}

/// What the index holds of these documents stays until they can be read again.
struct Unread {
    /// Files that failed.
    paths: BTreeSet<String>,
    /// If a folder failed: all files that were found, since whatever else is known may be in it.
    all_but: Option<BTreeSet<String>>,
}

impl Unread {
    fn of(&self, known: &Manifest) -> BTreeSet<String> {
        let hidden = |path: &&String| self.all_but.as_ref().is_some_and(|found| !found.contains(*path));
        known.documents.keys().filter(|path| self.paths.contains(*path) || hidden(path)).cloned().collect()
    }
}

impl Reading {
    fn of(settings: &Settings) -> Self {
        let unread = Unread { paths: BTreeSet::new(), all_but: None };
        let mut reading = Self { chunks: Vec::new(), skipped: Vec::new(), failed: Vec::new(), unread };
        let mut found = BTreeSet::new();
        let mut taken: BTreeMap<String, String> = BTreeMap::new();
        let mut whole = true;
        source::read(&settings.sources, &mut |outcome| match outcome {
            Outcome::Skipped(skipped) => reading.skipped.push(skipped),
            Outcome::Document(document) => {
                found.insert(document.path.clone());
                match taken.get(&document.url) {
                    None => {
                        reading.chunks.extend(chunk::chunks(&document, &SPEC));
                        taken.insert(document.url, document.path);
                    }
                    Some(other) => {
                        let reason = format!("has the same address as {other}: {}", document.url);
                        reading.failed.push(Failure::new(document.path, reason));
                    }
                }
            }
            Outcome::Failed(failure, keeps) => {
                reading.failed.push(failure);
                match keeps {
                    Keeps::Nothing => {}
                    Keeps::Path(path) => drop(reading.unread.paths.insert(path)),
                    Keeps::Below(_) => whole = false,
                }
            }
        });
        reading.unread.all_but = (!whole).then_some(found);
        reading
    }
}

/// Whether the index is there; one that cannot hold these vectors is an error.
fn check_index(cloud: &Cloudflare, name: &str) -> Result<bool, IngestError> {
    match cloud.index()? {
        None => Ok(false),
        Some((dimensions, metric)) if dimensions == SPEC.dimensions && metric == SPEC.metric => Ok(true),
        Some((dimensions, metric)) => Err(IngestError::OtherIndex { name: name.to_owned(), dimensions, metric }),
    }
}

/// Metadata indexes cover only what is written after them, so they come before the first vector.
fn prepare_index(cloud: &Cloudflare, exists: bool) -> Result<(), ApiError> {
    if !exists {
        cloud.create_index()?;
    }
    let present = if exists { cloud.metadata_indexes()? } else { BTreeSet::new() };
    METADATA_INDEXES
        .iter()
        .filter(|(property, _)| !present.contains(*property))
        .try_for_each(|(property, kind)| cloud.create_metadata_index(property, kind))
}

/// A record that cannot be read is written anew.
fn live_record(cloud: &Cloudflare) -> Result<Option<IndexRecord>, ApiError> {
    Ok(cloud.kv_get(INDEX_KEY)?.and_then(|json| serde_json::from_slice(&json).ok()))
}

fn delete(
    cloud: &Cloudflare,
    ids: &[String],
    books: &mut Books<'_>,
    progress: Progress<'_>,
) -> Result<Vec<Acknowledged>, ApiError> {
    let mut writes = Vec::new();
    for (done, batch) in ids.chunks(MAX_DELETE_IDS).enumerate() {
        progress("deleting", done * MAX_DELETE_IDS, ids.len());
        writes.push(cloud.delete(batch)?);
        books.manifest.remove(&batch.iter().cloned().collect());
        books.save_now_and_then()?;
    }
    Ok(writes)
}

/// There is no call that tells whether a mutation is done. The index names the last mutation that
/// it applied, with its time: either it is ours, or it is somebody's after ours.
fn wait_until_visible(cloud: &Cloudflare, writes: &[Acknowledged], progress: Progress<'_>) -> Result<(), IngestError> {
    let Some(last) = writes.last() else { return Ok(()) };
    let started = Instant::now();
    loop {
        let info = cloud.info()?;
        let applied = info.processed_up_to_mutation.unwrap_or_default();
        let time = info.processed_up_to_datetime.and_then(|time| humantime::parse_rfc3339(&time).ok());
        let is_ours = writes.iter().any(|write| write.mutation_id == applied);
        // The Date header counts whole seconds.
        let is_later = time.zip(last.at).is_some_and(|(time, at)| time > at + Duration::from_secs(1));
        if applied == last.mutation_id || (!is_ours && is_later) {
            return Ok(());
        }
        if started.elapsed() > VISIBLE_WITHIN {
            return Err(IngestError::NotVisible);
        }
        progress("waiting until the index shows it", 0, 0);
        std::thread::sleep(POLL_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_a_folder_that_cannot_be_read_are_not_taken_for_gone() {
        let mut known = Manifest::default();
        for path in ["found.md", "broken.md", "gone.md"] {
            known.add(path, path);
        }
        let set = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<BTreeSet<_>>();
        let file = Unread { paths: set(&["broken.md"]), all_but: None };
        assert_eq!(file.of(&known), set(&["broken.md"]));
        let folder = Unread { paths: set(&["broken.md"]), all_but: Some(set(&["found.md", "broken.md"])) };
        assert_eq!(folder.of(&known), set(&["broken.md", "gone.md"]));
    }
}
