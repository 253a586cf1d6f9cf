//! Generations: how readers see the old index or the new one, and never a mix of both.
//!
//! A chunk carries the generation that wrote its vector, and is never changed. While a new
//! generation is staged, its vectors lie beside those of the live one; readers filter by the
//! generation that is live. What a generation no longer holds stays in the index for a while, so
//! that going back is instant; readers leave out what the [`Retired`] list of their generation
//! names.
//!
//! [`live`] is how a question gets its generation. D1 says which one it is, on every question; KV
//! has a copy, for bots without D1 and for when it fails. Record and list are taken together or not
//! at all: if one of the two cannot be read, the question is answered from the last generation that
//! was read whole, whose chunks are still there, or not at all.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use serde::Serialize;

use crate::embedding::{FINGERPRINT, IndexRecord};
use crate::error::{ApiError, Code};
use crate::policy::{self, BUSY_SECONDS};
use crate::ports::{Content, Fault, Host, log};

/// Where the live generation stands in D1: the columns are the fields of [`IndexRecord`]. No row
/// before the first ingest.
pub const LIVE_SQL: &str = "SELECT 1 AS v, spec, number AS generation, documents, chunks, retired, since AS updated_at \
                            FROM live JOIN generation ON number = generation";

/// How long a generation that was read is taken for the live one where D1 does not say,
/// milliseconds. KV itself shows a new record elsewhere only after as long.
const TRUST_MS: u64 = 60_000;

/// How long D1 is waited for before KV is asked, milliseconds: some of its longest ways to the other
/// side of the world.
const DATABASE_PATIENCE_MS: u64 = 2_000;

/// KV key of the [`Retired`] list of a generation. It is written before the generation goes live,
/// and never changed.
pub fn retired_key(generation: u64) -> String {
    format!("retired:{generation}")
}

/// What has a record of the live generation; in JSON, the name of its binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Store {
    /// D1, whose row is what makes a generation live.
    #[serde(rename = "CONTENT")]
    Database,
    /// KV, with a copy under [`crate::embedding::INDEX_KEY`].
    #[serde(rename = "SESSIONS")]
    Kv,
}

/// The generation that a question is answered from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// What it says about itself.
    pub record: IndexRecord,
    /// What it leaves out.
    pub retired: Retired,
}

/// A generation that was live when it was read.
#[derive(Debug, Clone)]
pub struct Known {
    live: Arc<Live>,
    /// Milliseconds since 1970.
    read_at: u64,
}

/// The live generation.
///
/// # Errors
/// It cannot be searched, or nobody knows which one it is.
pub async fn live(ports: &(impl Content + Host), trace_id: &str) -> Result<Arc<Live>, ApiError> {
    let known = ports.known();
    match read(ports, known.as_ref(), trace_id).await {
        Ok(live) => Ok(live),
        Err(Unready::Problem(problem)) => Err(ApiError::new(Code::NotReady, problem)),
        Err(Unready::Fault(fault)) => {
            log(ports, trace_id, "read the live generation", &fault);
            known.map(|known| known.live).ok_or_else(|| unknown(&fault))
        }
    }
}

/// Why nothing can be searched.
enum Unready {
    /// In words; only the operator can mend it.
    Problem(String),
    /// It cannot be read at the moment.
    Fault(Fault),
}

impl From<Fault> for Unready {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn unknown(fault: &Fault) -> ApiError {
    match fault {
        Fault::NoBinding(_) => policy::tell(fault, 0),
        _ => ApiError::new(Code::NotReady, "what the documentation is just now cannot be read; try again shortly")
            .retry_after(BUSY_SECONDS),
    }
}

/// Asks D1, then what is known, then KV.
async fn read(ports: &(impl Content + Host), known: Option<&Known>, trace_id: &str) -> Result<Arc<Live>, Unready> {
    let record = match of_database(ports).await {
        Ok(Some(record)) => Some(record),
        answer => {
            if let Err(fault) = answer
                && !is_unbound(&fault)
            {
                log(ports, trace_id, "read the live generation from D1", &fault);
            }
            if let Some(known) = known.filter(|known| ports.now_ms().saturating_sub(known.read_at) < TRUST_MS) {
                return Ok(Arc::clone(&known.live));
            }
            ports.record(Store::Kv).await?
        }
    };
    // One that cannot be searched is not remembered, so that mending it shows at once.
    let record = searchable(record).map_err(Unready::Problem)?;
    let live = match known {
        Some(Known { live, .. }) if live.record == record => Arc::clone(live),
        _ => Arc::new(Live { retired: left_out(ports, &record).await?, record }),
    };
    ports.remember(Known { live: Arc::clone(&live), read_at: ports.now_ms() });
    Ok(live)
}

async fn of_database(ports: &(impl Content + Host)) -> Result<Option<IndexRecord>, Fault> {
    match select(pin!(ports.record(Store::Database)), pin!(ports.sleep(DATABASE_PATIENCE_MS))).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(Fault::TimedOut { service: "D1", ms: DATABASE_PATIENCE_MS }),
    }
}

/// The database is optional: that there is none is no fault.
fn is_unbound(fault: &Fault) -> bool {
    matches!(fault, Fault::NoBinding(_))
}

/// The record, or what is wrong with the live index and what to do.
fn searchable(record: Option<IndexRecord>) -> Result<IndexRecord, String> {
    match record {
        None => Err("nothing has been ingested yet: run `docent ingest`".to_owned()),
        Some(record) if record.spec != *FINGERPRINT => Err(format!(
            "the index was made by embedding spec {}, this Worker searches by {}: \
             run `docent ingest` of the Worker's version",
            record.spec, *FINGERPRINT
        )),
        Some(record) if record.chunks == 0 => Err("the index is empty: run `docent ingest`".to_owned()),
        Some(record) => Ok(record),
    }
}

/// The list of a generation. Without it, passages would come up that the generation does not hold,
/// so one that should be there and is not is a fault: KV may not show it here yet.
async fn left_out(ports: &impl Content, record: &IndexRecord) -> Result<Retired, Fault> {
    if record.retired == 0 {
        return Ok(Retired::default());
    }
    let missing = || Fault::Kv(format!("{} is missing", retired_key(record.generation)));
    ports.retired(record.generation).await?.ok_or_else(missing)
}

/// The live generation as the stores have it now, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The record, and where it was read.
    pub record: Option<(IndexRecord, Store)>,
    /// What is wrong and what to do, in words.
    pub problems: Vec<String>,
}

/// Reads all that a question would, whatever is known. A missing binding is not named.
pub async fn status(ports: &(impl Content + Host), trace_id: &str) -> Status {
    let mut problems = Vec::new();
    let mut report = |fault: &Fault, problem: String| {
        if !is_unbound(fault) {
            log(ports, trace_id, "read the live generation", fault);
            problems.push(problem);
        }
    };
    let of_database = of_database(ports).await.unwrap_or_else(|fault| {
        report(&fault, database_problem(&fault));
        None
    });
    let record = match of_database {
        Some(record) => Some((record, Store::Database)),
        None => match ports.record(Store::Kv).await {
            Ok(record) => record.map(|record| (record, Store::Kv)),
            Err(fault) => {
                report(&fault, "the index record cannot be read from KV; the Worker's log has the reason".to_owned());
                return Status { record: None, problems };
            }
        },
    };
    match searchable(record.as_ref().map(|(record, _)| record.clone())) {
        Err(problem) => problems.push(problem),
        Ok(record) => {
            if let Err(fault) = left_out(ports, &record).await {
                let (generation, key) = (record.generation, retired_key(record.generation));
                let problem = format!(
                    "what generation {generation} leaves out cannot be read from KV (key {key}); if that lasts, run `docent verify --fix`"
                );
                report(&fault, problem);
            }
        }
    }
    Status { record, problems }
}

fn database_problem(fault: &Fault) -> String {
    match fault {
        Fault::D1(message) if message.contains("no such table") || message.contains("no such column") => {
            "the database bound as CONTENT lacks tables of this version: \
             run `npx wrangler d1 migrations apply CONTENT --remote`"
        }
        _ => "the live generation cannot be read from the database bound as CONTENT; the Worker's log has the reason",
    }
    .to_owned()
}

/// Vectors that a generation's filter lets through and that are not part of the generation.
///
/// Stored as the first eight bytes of each id, ascending, without anything between: ten thousand
/// take 80 kB. That another chunk begins alike has a chance of 1 to 10¹³ at a million chunks, and
/// would hide that chunk from this generation only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retired(Vec<u64>);

impl Retired {
    /// Of these ids; what is no chunk id is left out.
    pub fn new<'a>(ids: impl IntoIterator<Item = &'a str>) -> Self {
        let mut prefixes: Vec<u64> = ids.into_iter().filter_map(prefix).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        Self(prefixes)
    }

    /// Reads what [`Retired::to_bytes`] wrote; an incomplete number at the end is left out.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.as_chunks::<8>().0.iter().map(|eight| u64::from_be_bytes(*eight)).collect())
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|prefix| prefix.to_be_bytes()).collect()
    }

    /// Whether this vector is to be left out.
    pub fn contains(&self, id: &str) -> bool {
        prefix(id).is_some_and(|prefix| self.0.binary_search(&prefix).is_ok())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The first 16 of the 32 hexadecimal characters of a chunk id.
fn prefix(id: &str) -> Option<u64> {
    u64::from_str_radix(id.get(..16)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;

    use super::*;

    /// Stores as a test wants them, and a clock.
    struct World {
        database: Result<Option<IndexRecord>, Fault>,
        kv: Result<Option<IndexRecord>, Fault>,
        lists: BTreeMap<u64, Retired>,
        known: RefCell<Option<Known>>,
        now: u64,
        lists_read: Cell<u32>,
    }

    impl Content for World {
        async fn record(&self, store: Store) -> Result<Option<IndexRecord>, Fault> {
            if store == Store::Database { self.database.clone() } else { self.kv.clone() }
        }

        async fn retired(&self, generation: u64) -> Result<Option<Retired>, Fault> {
            self.lists_read.set(self.lists_read.get() + 1);
            Ok(self.lists.get(&generation).cloned())
        }

        fn known(&self) -> Option<Known> {
            self.known.borrow().clone()
        }

        fn remember(&self, known: Known) {
            *self.known.borrow_mut() = Some(known);
        }
    }

    impl Host for World {
        fn now_ms(&self) -> u64 {
            self.now
        }

        fn unique_id(&self) -> String {
            String::new()
        }

        async fn sleep(&self, _: u64) {}

        fn log(&self, _: &str) {}
    }

    fn record(generation: u64, retired: usize) -> IndexRecord {
        IndexRecord { v: 1, spec: FINGERPRINT.clone(), generation, documents: 1, chunks: 1, retired, updated_at: 1 }
    }

    fn world() -> World {
        World {
            database: Err(Fault::NoBinding("CONTENT")),
            kv: Ok(None),
            lists: BTreeMap::new(),
            known: RefCell::default(),
            now: 1_000_000,
            lists_read: Cell::default(),
        }
    }

    /// The generation that a question is answered from, or the code of the refusal.
    fn answered_from(world: &World) -> Result<u64, Code> {
        let live = pollster::block_on(live(world, "trace"));
        live.map(|live| live.record.generation).map_err(|error| error.code)
    }

    #[test]
    fn d1_says_which_generation_is_live_and_kv_where_it_does_not() {
        let broken = || Err(Fault::D1("no such table: live".to_owned()));
        let mut world = World { database: Ok(Some(record(2, 0))), kv: Ok(Some(record(1, 0))), ..world() };
        assert_eq!(answered_from(&world), Ok(2));
        world.database = Ok(Some(record(1, 0)));
        assert_eq!(answered_from(&world), Ok(1), "at once");
        (world.database, world.kv) = (broken(), Ok(Some(record(3, 0))));
        assert_eq!(answered_from(&world), Ok(1), "what D1 said a moment ago is no older than a copy");
        world.now += TRUST_MS;
        assert_eq!(answered_from(&world), Ok(3));
        (world.kv, world.now) = (Err(Fault::Kv("down".to_owned())), world.now + 60 * TRUST_MS);
        assert_eq!(answered_from(&world), Ok(3), "the last that was read");
        *world.known.borrow_mut() = None;
        assert_eq!(answered_from(&world), Err(Code::NotReady), "of nothing known, nothing is said");
        world.database = Ok(None);
        world.kv = Ok(Some(record(4, 0)));
        assert_eq!(answered_from(&world), Ok(4), "a database that was never ingested into");
    }

    #[test]
    fn a_generation_is_read_with_what_it_leaves_out_or_not_at_all() {
        let mut world = World { kv: Ok(Some(record(1, 2))), ..world() };
        assert_eq!(answered_from(&world), Err(Code::NotReady), "its list is missing");
        let list = Retired::new(["0123456789abcdef", "fedcba9876543210"]);
        world.lists.insert(1, list.clone());
        world.database = Ok(Some(record(1, 2)));
        assert_eq!(pollster::block_on(live(&world, "trace")).unwrap().retired, list);
        assert_eq!(answered_from(&world), Ok(1));
        assert_eq!(world.lists_read.get(), 2, "the list never changes, so once is enough");
        world.database = Ok(Some(record(2, 3)));
        assert_eq!(answered_from(&world), Ok(1), "the one that was read whole, until the new one is");
        world.lists.insert(2, Retired::default());
        assert_eq!(answered_from(&world), Ok(2));
        world.database = Ok(Some(record(3, 0)));
        let read = world.lists_read.get();
        assert_eq!((answered_from(&world), world.lists_read.get()), (Ok(3), read), "nothing to read of nothing");
    }

    #[test]
    fn the_operator_hears_what_to_do() {
        let said = |world: &World| {
            let status = pollster::block_on(status(world, "trace"));
            (status.record.map(|(record, store)| (record.generation, store)), status.problems.join(" "))
        };
        let mut world = World { database: Ok(Some(record(2, 0))), kv: Ok(Some(record(1, 0))), ..world() };
        assert_eq!(said(&world), (Some((2, Store::Database)), String::new()));
        world.database = Err(Fault::D1("D1_ERROR: no such table: live: SQLITE_ERROR".to_owned()));
        let (from, problems) = said(&world);
        assert_eq!(from, Some((1, Store::Kv)));
        assert!(problems.contains("npx wrangler d1 migrations apply CONTENT --remote"), "{problems}");
        world.database = Ok(Some(record(7, 1)));
        assert!(said(&world).1.contains("retired:7"), "{}", said(&world).1);
        (world.database, world.kv) = (Err(Fault::NoBinding("CONTENT")), Ok(None));
        assert!(said(&world).1.contains("run `docent ingest`"), "{}", said(&world).1);
        world.kv = Ok(Some(IndexRecord { spec: "0".to_owned(), ..record(1, 0) }));
        assert!(said(&world).1.contains("made by embedding spec 0"), "{}", said(&world).1);
    }

    #[test]
    fn the_stored_list_knows_what_went_in_and_nothing_else() {
        let ids: Vec<String> =
            (0..100_u64).map(|n| format!("{:016x}{n:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        let (inside, outside) = ids.split_at(60);
        let retired = Retired::new(inside.iter().map(String::as_str).chain(["no id", ""]));
        let read = Retired::from_bytes(&retired.to_bytes());
        assert_eq!((read.len(), &read), (60, &retired));
        assert!(inside.iter().all(|id| read.contains(id)) && !outside.iter().any(|id| read.contains(id)));
        assert_eq!(retired_key(7), "retired:7");
    }
}
