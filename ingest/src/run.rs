//! The ingest, in the order it happens.
//!
//! Three rules hold at every moment, also when the program is killed. Readers see one generation of
//! the index, whole: the next one is written beside it and goes live by one write. What the books
//! name is in the index: it is noted after the service acknowledged it, and noted away before it is
//! deleted. And whatever a broken-off run left behind is found by the next one, which continues it.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use docent_core::embedding::{FINGERPRINT, INDEX_KEY, IndexRecord, SPEC};
use docent_core::generation::{Retired, retired_key};
use docent_core::vectorize::{MAX_DELETE_IDS, MAX_GET_IDS, METADATA_INDEXES};

use crate::books::{self, Books, BooksError};
use crate::cloudflare::{Acknowledged, ApiError, Cloudflare};
use crate::guard::{self, Concern, Golden};
use crate::lease::{self, Held, LeaseError, now_ms};
use crate::plan::{self, Plan};
use crate::reading::Reading;
use crate::report::{Failure, Report};
use crate::settings::Settings;
use crate::state::{Changes, ChunkId, Generation, Page, State, Status};
use crate::store::{self, Sink, Stored};
use crate::upkeep::{Mended, RollbackError};
use crate::why::WhyError;

/// Writes are visible after seconds, under load after minutes.
const VISIBLE_WITHIN: Duration = Duration::from_mins(15);
const FIRST_POLL: Duration = Duration::from_millis(50);
const LAST_POLL: Duration = Duration::from_secs(2);
/// How often the plan is made anew when somebody else wrote in the meantime.
const TRIES: usize = 3;

/// Why an ingest came to nothing, or stopped on its way.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// An empty index would be the result, and is hardly what was meant.
    #[error("no text in what was given, so the index is left as it is; files that .gitignore names are not read{}", listed(.0))]
    Nothing(Vec<Failure>),
    /// It might be another one that was meant.
    #[error("there is no Vectorize index {0}; create it with --create-index, or name another one in wrangler.toml")]
    NoIndex(String),
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
    /// It looks like an accident.
    #[error("nothing went live:{}", .0.iter().flat_map(|concern| ["\n  ".to_owned(), concern.to_string()]).collect::<String>())]
    Refused(Vec<Concern>),
    /// Vectorize took the writes and does not show them.
    #[error("the index does not show the last writes after {} minutes; run the same command later", VISIBLE_WITHIN.as_secs() / 60)]
    NotVisible,
    /// Somebody else is faster.
    #[error(
        "another ingest changed the index {TRIES} times while this one was planning; run it again when that is done"
    )]
    Overtaken,
    /// There is nothing to go back to.
    #[error(transparent)]
    Rollback(#[from] RollbackError),
    /// There is nothing to tell of an answer.
    #[error(transparent)]
    Why(#[from] WhyError),
    /// Somebody else writes.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// What is in the index cannot be known, or not be noted.
    #[error(transparent)]
    Books(#[from] BooksError),
    /// A call failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The disk is full, for one.
    #[error("cannot keep new chunks in a temporary file: {0}")]
    Spool(#[from] std::io::Error),
}

fn listed(failures: &[Failure]) -> String {
    failures.iter().flat_map(|Failure { path, reason }| ["\nfailed   ", path, ": ", reason]).collect()
}

/// How far it is: stage, steps done, steps in all (0: unknown).
pub type Progress<'a> = &'a (dyn Fn(&str, usize, usize) + Sync);

/// Brings the index in step with the documents.
pub fn run(settings: &Settings, progress: Progress<'_>) -> Result<Report, IngestError> {
    let started = Instant::now();
    let cloud = Cloudflare::new(&settings.connection);
    for _ in 0..TRIES {
        if let Some(mut report) = attempt(&cloud, settings, progress)? {
            report.seconds = started.elapsed().as_secs_f64();
            return Ok(report);
        }
    }
    Err(IngestError::Overtaken)
}

/// `None` when somebody else wrote between plan and lease, so that the plan means nothing.
fn attempt(cloud: &Cloudflare, settings: &Settings, progress: Progress<'_>) -> Result<Option<Report>, IngestError> {
    let exists = check_index(cloud, settings)?;
    let books = books::open(cloud, &settings.connection);
    progress("reading the state of the index", 0, 0);
    let (mut state, rows_missing) = books.load()?;
    let lost = lost(cloud, exists, &mut state)?;
    let known = state.known();
    let reading = Reading::of(&settings.sources, &state, &known, rows_missing, progress)?;
    let known: HashSet<ChunkId> = known.into_keys().collect();
    if reading.pages.is_empty() {
        return Err(IngestError::Nothing(reading.failed));
    }
    let plan = Plan::new(&state, &reading.pages);
    let concerns = guard::before_writing(&state, &reading, &plan, settings.max_vanished)?;
    let publishes = !plan.is_empty() || rows_missing;
    let tidies = state.staging().is_some()
        || !state.beyond(settings.keep).is_empty()
        || !state.garbage().is_empty()
        || record(&state) != stored_record(cloud)?;
    let mut report = report(settings, &state, &reading, plan, publishes);
    if settings.dry_run {
        report.concerns = concerns;
        return Ok(Some(report));
    }
    let refused: Vec<Concern> =
        concerns.into_iter().filter(|concern| !settings.allow.contains(&concern.guard())).collect();
    if !refused.is_empty() {
        return Err(IngestError::Refused(refused));
    }
    if !publishes && !tidies {
        return Ok(Some(report));
    }
    let heads = (state.generations.clone(), state.live);
    lease::holding(&*books, settings.wait, progress, |lease| {
        if !rows_missing && books.heads()? != heads {
            return Ok(None);
        }
        let mut writer = Writer { cloud, books: &*books, keep: settings.keep, lease, progress, state };
        if publishes {
            prepare_index(cloud, exists)?;
            if let Some((mended, ids)) = &lost {
                books.mend(&writer.state, mended, ids)?;
            }
            let wanted = Wanted { settings, reading: &reading, known: &known, rows_missing };
            writer.publish(&wanted, &mut report)?;
        } else {
            writer.tidy()?;
        }
        Ok(Some(report))
    })
}

/// Somebody deleted the index, and perhaps created it anew: then the state names vectors that are not
/// there. Returns the pages without them, and their ids.
fn lost(cloud: &Cloudflare, exists: bool, state: &mut State) -> Result<Option<(Mended, HashSet<ChunkId>)>, ApiError> {
    if state.versions.is_empty() || (exists && cloud.info()?.vector_count > 0) {
        return Ok(None);
    }
    let ids: HashSet<ChunkId> = state.known().into_keys().collect();
    let some: Vec<String> = ids.iter().take(MAX_GET_IDS).map(ToString::to_string).collect();
    // The count lags behind, so it is only a reason to look.
    if some.is_empty() || (exists && !cloud.get(&some)?.is_empty()) {
        return Ok(None);
    }
    Ok(Some((state.forget_chunks(&ids), ids)))
}

fn report(settings: &Settings, state: &State, reading: &Reading, plan: Plan, publishes: bool) -> Report {
    let tokens = reading.new.tokens;
    let (neurons, cost_usd) = plan::price(tokens);
    let live = state.live.map_or(0, |live| live.generation);
    Report {
        dry_run: settings.dry_run,
        changed: publishes,
        index: settings.connection.index.clone(),
        generation: if publishes { state.next_number() } else { live },
        documents: reading.pages.len(),
        chunks: reading.pages.iter().map(|page| page.chunks.len()).sum(),
        embedded: reading.new.to_embed,
        copied: reading.new.to_copy,
        tokens,
        neurons,
        cost_usd,
        plan,
        skipped: reading.skipped.clone(),
        failed: reading.failed.clone(),
        empty: reading.empty.clone(),
        suspects: reading.suspects.clone(),
        ..Report::default()
    }
}

/// The documentation, with what is known of the index.
struct Wanted<'a> {
    settings: &'a Settings,
    reading: &'a Reading,
    known: &'a HashSet<ChunkId>,
    /// The state comes from KV, and D1 has no rows yet.
    rows_missing: bool,
}

/// The steps that write, by whoever holds the lease.
pub(crate) struct Writer<'a> {
    pub(crate) cloud: &'a Cloudflare,
    pub(crate) books: &'a dyn Books,
    /// Generations that can be gone back to.
    pub(crate) keep: usize,
    pub(crate) lease: &'a Held<'a>,
    pub(crate) progress: Progress<'a>,
    pub(crate) state: State,
}

impl Writer<'_> {
    /// Writes the next generation beside the live one, and lets it go live.
    fn publish(&mut self, wanted: &Wanted<'_>, report: &mut Report) -> Result<(), IngestError> {
        let resumes = self.state.staging().is_some();
        let staging = self.begin(wanted)?;
        let number = staging.number;
        let present = self.present(wanted, resumes)?;
        let sink = Sink::new(self.cloud, self.books, self.lease, number);
        let concurrency = wanted.settings.concurrency;
        let Stored { mut writes, refused, embedded, copied } =
            store::embed_and_store(sink, &wanted.reading.new, &present, concurrency, self.progress)?;
        (report.embedded, report.copied) = (embedded, copied);
        let refused_ids: HashSet<ChunkId> = refused.keys().copied().collect();
        report.failed.extend(refused.into_values());
        let pages = without(&wanted.reading.pages, &refused_ids);
        if !refused_ids.is_empty() && self.state.shows(&pages) {
            // All that is new about it is what the services refuse, as they did before.
            report.changed = false;
            return self.tidy();
        }
        let leftovers = self.stage(staging, &pages, wanted)?;
        self.wait_until_visible(&writes)?;
        self.check_golden(wanted.settings, number)?;
        writes = self.delete(&leftovers)?;
        self.wait_until_visible(&writes)?;
        self.books.forget_garbage(&self.state)?;
        self.tidy_retired()?;
        self.state.go_live(number, now_ms());
        if let Some(live) = self.state.live {
            self.lease.check()?;
            self.books.go_live(&self.state, live, self.lease.owner())?;
        }
        publish_record(self.cloud, &self.state)?;
        self.drop_generations(&self.state.beyond(self.keep))?;
        if wanted.rows_missing {
            let held = self.state.chunks(number);
            self.delete(&wanted.known.difference(&held).copied().collect())?;
            books::Kv::new(self.cloud).forget()?;
        }
        Ok(())
    }

    /// Notes what is going to be written, and which generations that lets go.
    fn begin(&mut self, wanted: &Wanted<'_>) -> Result<Generation, IngestError> {
        let number = self.state.next_number();
        let created_at = self.state.staging().map_or_else(now_ms, |staging| staging.created_at);
        let dropped = self.state.beyond_next(self.keep);
        self.state.unstage(number);
        if wanted.rows_missing {
            self.state = State::default();
        }
        self.state.drop_generations(&dropped);
        let staging = Generation {
            number,
            status: Status::Staging,
            spec: FINGERPRINT.clone(),
            documents: 0,
            chunks: 0,
            added: 0,
            removed: 0,
            retired: 0,
            created_at,
        };
        self.state.stage(staging.clone(), &Changes::default());
        self.books.begin(&self.state, &staging, &dropped)?;
        Ok(staging)
    }

    /// Chunks that need not be written: an earlier try did, or they are there without a row.
    fn present(&self, wanted: &Wanted<'_>, resumes: bool) -> Result<HashSet<ChunkId>, IngestError> {
        if resumes {
            let ids = wanted.reading.pages.iter().flat_map(|page| &page.chunks).map(|chunk| chunk.id);
            return self.recover(&ids.collect(), wanted.known);
        }
        Ok(if wanted.rows_missing { wanted.known.clone() } else { HashSet::new() })
    }

    /// What a broken-off run has written: which of it is wanted, and the rest is deleted. Nobody
    /// knows what the last calls of that run came to, so a write of our own goes after them, and
    /// once that one is visible, so is everything before it.
    fn recover(&self, wanted: &HashSet<ChunkId>, known: &HashSet<ChunkId>) -> Result<HashSet<ChunkId>, IngestError> {
        (self.progress)("looking for what a broken-off run has written", 0, 0);
        let barrier = self.cloud.delete(&["0".repeat(32)])?;
        self.wait_until_visible(&[barrier])?;
        let (mut present, mut orphans) = (HashSet::new(), HashSet::new());
        self.cloud.list(&mut |ids| {
            for id in ids.into_iter().filter_map(|id| ChunkId::try_from(id).ok()) {
                if wanted.contains(&id) {
                    present.insert(id);
                } else if !known.contains(&id) {
                    orphans.insert(id);
                }
            }
        })?;
        let writes = self.delete(&orphans)?;
        self.wait_until_visible(&writes)?;
        Ok(present)
    }

    /// Writes the rows, and says whose vectors nobody needs any more.
    fn stage(
        &mut self,
        staging: Generation,
        pages: &[Page],
        wanted: &Wanted<'_>,
    ) -> Result<HashSet<ChunkId>, IngestError> {
        (self.progress)("writing the state", 0, 0);
        let changes = self.state.changes(pages);
        self.state.stage(staging.clone(), &changes);
        let garbage = self.state.garbage();
        self.state.forget_garbage();
        let retired = if wanted.rows_missing {
            let held = self.state.chunks(staging.number);
            let others: Vec<String> = wanted.known.difference(&held).map(ToString::to_string).collect();
            Retired::new(others.iter().map(String::as_str))
        } else {
            self.state.retired(pages)
        };
        let generation = Generation {
            documents: pages.len(),
            chunks: pages.iter().map(|page| page.chunks.len()).sum(),
            added: changes.added.len(),
            removed: changes.removed.len(),
            retired: retired.len(),
            ..staging
        };
        self.state.describe(&generation);
        self.lease.check()?;
        self.books.stage(&self.state, &generation, &changes)?;
        if !retired.is_empty() {
            self.cloud.kv_put(&retired_key(generation.number), &retired.to_bytes())?;
        }
        Ok(garbage)
    }

    /// Questions that find their page now and would not afterwards.
    fn check_golden(&self, settings: &Settings, number: u64) -> Result<(), IngestError> {
        if settings.allow.contains(&guard::Guard::Golden) {
            return Ok(());
        }
        let Some(live) = self.state.live().filter(|live| live.spec == *FINGERPRINT).map(|live| live.number) else {
            return Ok(());
        };
        let mut lost = Vec::new();
        let all = settings.golden.len();
        for (done, batch) in settings.golden.chunks(guard::GOLDEN_BATCH).enumerate() {
            (self.progress)("asking golden questions", done * guard::GOLDEN_BATCH, all);
            let texts: Vec<String> = batch.iter().map(guard::text_to_embed).collect();
            for (golden, vector) in batch.iter().zip(self.cloud.embed(&texts)?) {
                let vector = vector?;
                if self.finds(golden, &vector, live)? && !self.finds(golden, &vector, number)? {
                    lost.push(golden.question.clone());
                }
            }
        }
        if lost.is_empty() { Ok(()) } else { Err(IngestError::Refused(vec![Concern::Golden { questions: lost }])) }
    }

    /// Whether readers of a generation find a page of the question.
    fn finds(&self, golden: &Golden, vector: &[f32], generation: u64) -> Result<bool, IngestError> {
        let held = self.state.chunks(generation);
        let found = self.cloud.query(vector, docent_core::vectorize::MAX_TOP_K_WITH_METADATA, generation)?;
        let held =
            found.into_iter().filter(|found| ChunkId::try_from(found.id.clone()).is_ok_and(|id| held.contains(&id)));
        let mut pages: Vec<(String, String)> = Vec::new();
        for metadata in held.filter_map(|found| found.metadata) {
            let page = (metadata.path, metadata.url);
            if !pages.contains(&page) {
                pages.push(page);
            }
        }
        pages.truncate(guard::GOLDEN_TOP_K);
        Ok(guard::is_found(golden, &pages))
    }

    /// Puts in order what a broken-off run, or a smaller `--keep`, left to be done.
    pub(crate) fn tidy(&mut self) -> Result<(), IngestError> {
        if let Some(number) = self.state.staging().map(|staging| staging.number) {
            self.state.unstage(number);
            let known = self.state.known().into_keys().collect();
            self.recover(&HashSet::new(), &known)?;
            self.state.drop_generations(&[number]);
            self.books.abandon(&self.state, number)?;
        }
        let dropped = self.state.beyond(self.keep);
        self.drop_generations(&dropped)?;
        publish_record(self.cloud, &self.state)
    }

    /// Lets generations go, and deletes what only they held.
    fn drop_generations(&mut self, dropped: &[u64]) -> Result<(), IngestError> {
        self.state.drop_generations(dropped);
        let garbage = self.state.garbage();
        if dropped.is_empty() && garbage.is_empty() {
            return Ok(());
        }
        self.books.drop_generations(&self.state, dropped)?;
        let writes = self.delete(&garbage)?;
        self.wait_until_visible(&writes)?;
        self.state.forget_garbage();
        self.books.forget_garbage(&self.state)?;
        self.tidy_retired()
    }

    /// Lists of generations that are no more.
    fn tidy_retired(&self) -> Result<(), IngestError> {
        let has_list = self.state.generations.iter().filter(|generation| generation.retired > 0);
        let needed: BTreeSet<String> = has_list.map(|generation| retired_key(generation.number)).collect();
        for key in self.cloud.kv_keys("retired:")? {
            if !needed.contains(&key) {
                self.cloud.kv_delete(&key)?;
            }
        }
        Ok(())
    }

    pub(crate) fn delete(&self, ids: &HashSet<ChunkId>) -> Result<Vec<Acknowledged>, IngestError> {
        let mut ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        ids.sort_unstable();
        let mut writes = Vec::new();
        for (done, batch) in ids.chunks(MAX_DELETE_IDS).enumerate() {
            (self.progress)("deleting", done * MAX_DELETE_IDS, ids.len());
            self.lease.check()?;
            writes.push(self.cloud.delete(batch)?);
        }
        Ok(writes)
    }

    pub(crate) fn wait_until_visible(&self, writes: &[Acknowledged]) -> Result<(), IngestError> {
        wait_until_visible(self.cloud, writes, self.progress)
    }
}

/// Pages without the chunks that the services refuse. Such a page is not taken for unchanged next
/// time.
fn without(pages: &[Page], refused: &HashSet<ChunkId>) -> Vec<Page> {
    if refused.is_empty() {
        return pages.to_vec();
    }
    let mended = pages.iter().cloned().map(|mut page| {
        let before = page.chunks.len();
        page.chunks.retain(|chunk| !refused.contains(&chunk.id));
        if page.chunks.len() < before {
            page.hash.clear();
        }
        page
    });
    mended.filter(|page| !page.chunks.is_empty()).collect()
}

/// Whether the index is there; one that cannot hold these vectors is an error.
fn check_index(cloud: &Cloudflare, settings: &Settings) -> Result<bool, IngestError> {
    let name = settings.connection.index.clone();
    match cloud.index()? {
        None if settings.create_index || settings.dry_run => Ok(false),
        None => Err(IngestError::NoIndex(name)),
        Some((dimensions, metric)) if dimensions == SPEC.dimensions && metric == SPEC.metric => Ok(true),
        Some((dimensions, metric)) => Err(IngestError::OtherIndex { name, dimensions, metric }),
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

/// What readers are told of the live generation.
pub(crate) fn record(state: &State) -> Option<IndexRecord> {
    let live = state.live?;
    state.live().map(|generation| generation.record(live.since))
}

/// What they were told last; something unreadable is nothing.
pub(crate) fn stored_record(cloud: &Cloudflare) -> Result<Option<IndexRecord>, ApiError> {
    Ok(cloud.kv_get(INDEX_KEY)?.and_then(|json| serde_json::from_slice(&json).ok()))
}

/// Tells readers without D1 which generation is live, unless they know.
pub(crate) fn publish_record(cloud: &Cloudflare, state: &State) -> Result<(), IngestError> {
    let Some(record) = record(state) else { return Ok(()) };
    if stored_record(cloud)?.as_ref() == Some(&record) {
        return Ok(());
    }
    let json = serde_json::to_vec(&record).map_err(std::io::Error::from)?;
    Ok(cloud.kv_put(INDEX_KEY, &json)?)
}

/// There is no call that tells whether a mutation is done. The index names the last mutation that
/// it applied, with its time: either it is ours, or it is somebody's after ours.
fn wait_until_visible(cloud: &Cloudflare, writes: &[Acknowledged], progress: Progress<'_>) -> Result<(), IngestError> {
    let Some(last) = writes.last() else { return Ok(()) };
    let started = Instant::now();
    let mut pause = FIRST_POLL;
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
        std::thread::sleep(pause);
        pause = (pause * 2).min(LAST_POLL);
    }
}
