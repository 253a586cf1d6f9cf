//! Vectorize v2: indexes, writes that become visible later, and exact nearest neighbours.
//!
//! A query looks at every vector: some ten thousand take milliseconds, and an approximate index
//! would only blur what the stand-in is there to show. Unlike at Cloudflare, scores are exact and
//! ties stay in the order of their ids.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use docent_core::vectorize::{MAX_DELETE_IDS, MAX_GET_IDS, MAX_LIST_COUNT};
use rusqlite::params;
use serde_json::{Value, json};

use self::geometry::Metric;
use self::index::{Change, Index, Mutation, Stored};
use self::requests::{
    Create, CreateMetadataIndex, DeleteMetadataIndex, Ids, Query, Returned, Upsert, check_ids, check_name, parse,
};
use crate::clock::{Clock, iso, random_uuid};
use crate::filter::{Filter, MetadataIndex};
use crate::refusal::Refusal;
use crate::store::Store;

mod geometry;
mod index;
mod persistence;
mod requests;

/// Ids of a page of the list call that does not say how many.
const DEFAULT_LIST_COUNT: usize = 100;

/// Most metadata indexes of an index (Vectorize limits).
const MAX_METADATA_INDEXES: usize = 10;

/// Codes seen live; Cloudflare does not publish them.
mod code {
    pub(super) const NO_INDEX: u32 = 3_000;
    pub(super) const DUPLICATE_NAME: u32 = 3_002;
    pub(super) const NO_METADATA_INDEX: u32 = 40_005;
    pub(super) const DIMENSIONS: u32 = 40_006;
    pub(super) const TOO_MANY_IDS: u32 = 40_007;
    pub(super) const LONG_ID: u32 = 40_008;
    pub(super) const METADATA_SIZE: u32 = 40_016;
    pub(super) const UNREADABLE: u32 = 40_023;
    pub(super) const TOP_K: u32 = 40_025;
    pub(super) const RETURN_METADATA: u32 = 40_026;
}

/// All indexes of the account.
#[derive(Debug)]
pub(crate) struct Vectorize {
    store: Arc<Store>,
    clock: Arc<Clock>,
    delay: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    indexes: BTreeMap<String, Index>,
    sequence: u64,
}

impl Vectorize {
    /// With what the store holds; all of it is visible.
    pub(crate) fn open(store: Arc<Store>, clock: Arc<Clock>, delay: Duration) -> Result<Self, String> {
        let state =
            store.with(persistence::load).map_err(|error| format!("cannot read the stored vectors: {error}"))?;
        Ok(Self { store, clock, delay, state: Mutex::new(state) })
    }

    pub(crate) fn create(&self, body: &[u8]) -> Result<Value, Refusal> {
        let request: Create = parse(body)?;
        let (dimensions, metric) = request.config.resolve()?;
        let now = self.clock.now_ms();
        let mut state = self.state();
        if state.indexes.contains_key(&request.name) {
            let message = format!("vectorize.index.duplicate_name - Index name \"{}\"", request.name);
            return Err(Refusal::new(400, code::DUPLICATE_NAME, message));
        }
        check_name(&request.name)?;
        self.store.with(|db| {
            db.execute(
                "INSERT INTO vector_index (name, description, dimensions, metric, created_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![request.name, request.description, dimensions, metric.name(), now],
            )
        })?;
        let index = Index {
            description: request.description,
            dimensions,
            metric,
            created_ms: now,
            vectors: BTreeMap::new(),
            metadata_indexes: Vec::new(),
            pending: VecDeque::new(),
            processed: None,
            snapshots: VecDeque::new(),
        };
        let described = index.describe(&request.name);
        state.indexes.insert(request.name, index);
        Ok(described)
    }

    pub(crate) fn list_indexes(&self) -> Value {
        self.state().indexes.iter().map(|(name, index)| index.describe(name)).collect()
    }

    pub(crate) fn get_index(&self, name: &str) -> Result<Value, Refusal> {
        self.read(name, |index| Ok(index.describe(name)))
    }

    pub(crate) fn delete_index(&self, name: &str) -> Result<(), Refusal> {
        self.state().indexes.remove(name).ok_or_else(|| no_index(name))?;
        self.store.with(|db| {
            let transaction = db.transaction()?;
            transaction.execute("DELETE FROM vector WHERE index_name = ?1", [name])?;
            transaction.execute("DELETE FROM metadata_index WHERE index_name = ?1", [name])?;
            transaction.execute("DELETE FROM vector_index WHERE name = ?1", [name])?;
            transaction.commit()
        })?;
        Ok(())
    }

    /// Upsert, or insert when `keep_existing`; `max` vectors at once (1,000 by binding, 5,000 by
    /// REST).
    pub(crate) fn upsert(&self, name: &str, body: &[u8], max: usize, keep_existing: bool) -> Result<Value, Refusal> {
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let vectors = lines.map(parse).collect::<Result<Vec<Upsert>, _>>()?;
        if vectors.is_empty() {
            return Err(Refusal::new(400, code::UNREADABLE, "no vectors in the request"));
        }
        if vectors.len() > max {
            let message = format!("too many vectors: {} in one request, at most {max}", vectors.len());
            return Err(Refusal::new(400, code::TOO_MANY_IDS, message));
        }
        self.write(name, |index, sequence| {
            vectors.iter().try_for_each(|vector| vector.check(index.dimensions))?;
            let taken = |id: &str| keep_existing && index.vectors.contains_key(id);
            let fresh = vectors.into_iter().filter(|vector| !taken(&vector.id));
            Ok(fresh.map(|vector| vector.into_change(sequence)).collect())
        })
    }

    pub(crate) fn delete_ids(&self, name: &str, body: &[u8]) -> Result<Value, Refusal> {
        let Ids { ids } = parse(body)?;
        check_ids(&ids, MAX_DELETE_IDS)?;
        self.write(name, |_, _| Ok(ids.into_iter().map(Change::Delete).collect()))
    }

    pub(crate) fn get_ids(&self, name: &str, body: &[u8]) -> Result<Value, Refusal> {
        let Ids { ids } = parse(body)?;
        check_ids(&ids, MAX_GET_IDS)?;
        self.read(name, |index| {
            let found = ids.iter().filter_map(|id| Some((id, index.vectors.get(id)?)));
            Ok(found.map(|(id, vector)| vector.describe(id, true, Returned::All, &[])).collect())
        })
    }

    pub(crate) fn info(&self, name: &str) -> Result<Value, Refusal> {
        self.read(name, |index| {
            let (mutation, at) = index.processed.clone().unzip();
            Ok(json!({
                "dimensions": index.dimensions, "vectorCount": index.vectors.len(),
                "processedUpToMutation": mutation, "processedUpToDatetime": at.map(iso),
            }))
        })
    }

    pub(crate) fn query(&self, name: &str, body: &[u8]) -> Result<Value, Refusal> {
        let query: Query = parse(body)?;
        let returned = query.returned()?;
        let top_k = query.top_k(returned)?;
        let filter = query.filter.as_ref().map(Filter::read).transpose();
        let filter = filter.map_err(|message| Refusal::new(400, code::UNREADABLE, message))?;
        self.read(name, |index| {
            let target = index.target(&query)?;
            let mut scored: Vec<(f32, &String, &Stored)> = index
                .vectors
                .iter()
                .filter(|(_, vector)| query.namespace.is_none() || vector.namespace == query.namespace)
                .filter(|(_, vector)| filter.as_ref().is_none_or(|filter| index.covers(filter, vector)))
                .map(|(id, vector)| (index.metric.score(&target, &vector.components), id, vector))
                .collect();
            let ascending = index.metric == Metric::Euclidean;
            scored.sort_by(|a, b| if ascending { a.0.total_cmp(&b.0) } else { b.0.total_cmp(&a.0) });
            let matches: Vec<Value> = scored
                .into_iter()
                .take(top_k)
                .map(|(score, id, vector)| {
                    let mut found = vector.describe(id, query.return_values, returned, &index.metadata_indexes);
                    if let Some(found) = found.as_object_mut() {
                        found.insert("score".to_owned(), json!(score));
                    }
                    found
                })
                .collect();
            Ok(json!({ "count": matches.len(), "matches": matches }))
        })
    }

    /// A page of all ids. A chain of cursors walks through one snapshot.
    pub(crate) fn list_ids(&self, name: &str, count: Option<usize>, cursor: Option<&str>) -> Result<Value, Refusal> {
        let count = count.unwrap_or(DEFAULT_LIST_COUNT);
        if !(1..=MAX_LIST_COUNT).contains(&count) {
            let message = format!("count is {count}, and must be from 1 to {MAX_LIST_COUNT}");
            return Err(Refusal::new(400, code::UNREADABLE, message));
        }
        let expires = iso(self.clock.now_ms() + 60_000);
        self.read(name, |index| {
            let (token, from) = index.snapshot(cursor)?;
            let ids = index.snapshots.iter().find(|(known, _)| *known == token).map(|(_, ids)| Arc::clone(ids));
            let ids = ids.unwrap_or_default();
            let page: Vec<Value> = ids.iter().skip(from).take(count).map(|id| json!({ "id": id })).collect();
            let next = from + page.len();
            let truncated = next < ids.len();
            Ok(json!({
                "count": page.len(), "totalCount": ids.len(), "isTruncated": truncated,
                "nextCursor": truncated.then(|| format!("{token}:{next}")),
                "cursorExpirationTimestamp": truncated.then_some(expires),
                "vectors": page,
            }))
        })
    }

    /// Indexes a property of the vectors written from now on. The same again succeeds, as it was
    /// seen to do live, and changes nothing.
    pub(crate) fn create_metadata_index(&self, name: &str, body: &[u8]) -> Result<Value, Refusal> {
        let request: CreateMetadataIndex = parse(body)?;
        let sequence = self.next_sequence();
        self.read(name, |index| {
            if index.metadata_indexes.iter().any(|known| known.property == request.property_name) {
                return Ok(());
            }
            if index.metadata_indexes.len() >= MAX_METADATA_INDEXES {
                let message = format!("an index has at most {MAX_METADATA_INDEXES} metadata indexes");
                return Err(Refusal::new(400, code::UNREADABLE, message));
            }
            self.store.with(|db| {
                db.execute(
                    "INSERT INTO metadata_index VALUES (?1, ?2, ?3, ?4)",
                    params![name, request.property_name, request.index_type.name(), sequence],
                )
            })?;
            let CreateMetadataIndex { property_name: property, index_type: kind } = request;
            index.metadata_indexes.push(MetadataIndex { property, kind, sequence });
            Ok(())
        })?;
        self.write(name, |_, _| Ok(Vec::new()))
    }

    pub(crate) fn list_metadata_indexes(&self, name: &str) -> Result<Value, Refusal> {
        self.read(name, |index| {
            let list: Vec<Value> = index
                .metadata_indexes
                .iter()
                .map(|known| json!({ "propertyName": known.property, "indexType": known.kind.name() }))
                .collect();
            Ok(json!({ "metadataIndexes": list }))
        })
    }

    pub(crate) fn delete_metadata_index(&self, name: &str, body: &[u8]) -> Result<Value, Refusal> {
        let DeleteMetadataIndex { property_name } = parse(body)?;
        self.read(name, |index| {
            let before = index.metadata_indexes.len();
            index.metadata_indexes.retain(|known| known.property != property_name);
            if index.metadata_indexes.len() == before {
                let message = format!("no metadata index on \"{property_name}\"");
                return Err(Refusal::new(400, code::NO_METADATA_INDEX, message));
            }
            self.store.with(|db| {
                db.execute(
                    "DELETE FROM metadata_index WHERE index_name = ?1 AND property = ?2",
                    params![name, property_name],
                )
            })?;
            Ok(())
        })?;
        self.write(name, |_, _| Ok(Vec::new()))
    }

    /// Index → id → hash of the values, and metadata. Everything that was written becomes visible.
    pub(crate) fn dump(&self) -> Value {
        let mut state = self.state();
        let indexes = state.indexes.iter_mut().map(|(name, index)| {
            index.settle(u64::MAX);
            let vectors = index.vectors.iter().map(|(id, vector)| (id.clone(), vector.digest()));
            (name.clone(), Value::Object(vectors.collect()))
        });
        Value::Object(indexes.collect())
    }

    /// Looks at an index after everything that is due became visible.
    fn read<T>(&self, name: &str, look: impl FnOnce(&mut Index) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let now = self.clock.now_ms();
        let mut state = self.state();
        let index = state.indexes.get_mut(name).ok_or_else(|| no_index(name))?;
        index.settle(now);
        look(index)
    }

    /// Accepts a write: stored at once, visible after the delay.
    fn write(
        &self,
        name: &str,
        changes: impl FnOnce(&Index, u64) -> Result<Vec<Change>, Refusal>,
    ) -> Result<Value, Refusal> {
        let sequence = self.next_sequence();
        let at_ms = self.clock.now_ms();
        let visible_ms = at_ms + u64::try_from(self.delay.as_millis()).unwrap_or(u64::MAX);
        self.read(name, |index| {
            let changes = changes(index, sequence)?;
            let id = random_uuid();
            self.store.with(|db| persistence::persist(db, name, &changes, &id, at_ms))?;
            index.pending.push_back(Mutation { id: id.clone(), at_ms, visible_ms, changes });
            Ok(json!({ "mutationId": id }))
        })
    }

    fn next_sequence(&self) -> u64 {
        let mut state = self.state();
        state.sequence += 1;
        state.sequence
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seen live as HTTP 400, not 404.
fn no_index(name: &str) -> Refusal {
    Refusal::new(400, code::NO_INDEX, format!("vectorize.index.not_found - Index name \"{name}\""))
}
