//! Vectorize v2: indexes, writes that become visible later, and exact nearest neighbours.
//!
//! A query looks at every vector: some ten thousand take milliseconds, and an approximate index
//! would only blur what the stand-in is there to show. Unlike at Cloudflare, scores are exact and
//! ties stay in the order of their ids.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use docent_core::vectorize::{
    MAX_DELETE_IDS, MAX_GET_IDS, MAX_ID_BYTES, MAX_LIST_COUNT, MAX_METADATA_BYTES, MAX_TOP_K, MAX_TOP_K_WITH_METADATA,
};
use rusqlite::{OptionalExtension as _, params};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::clock::{Clock, iso, random_hex, random_uuid};
use crate::filter::{Filter, MetadataIndex, PropertyType};
use crate::refusal::Refusal;
use crate::store::Store;

/// Matches of a query that does not say how many (client API reference).
const DEFAULT_TOP_K: usize = 5;
/// Ids of a page of the list call that does not say how many.
const DEFAULT_LIST_COUNT: usize = 100;
/// Most dimensions (Vectorize limits).
const MAX_DIMENSIONS: usize = 1_536;
/// Most metadata indexes of an index (Vectorize limits).
const MAX_METADATA_INDEXES: usize = 10;
/// List snapshots kept for clients in the middle of a chain of cursors.
const SNAPSHOTS: usize = 16;

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

/// How near two vectors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metric {
    Cosine,
    DotProduct,
    Euclidean,
}

impl Metric {
    fn read(name: &str) -> Option<Self> {
        match name {
            "cosine" => Some(Self::Cosine),
            "dot-product" => Some(Self::DotProduct),
            "euclidean" => Some(Self::Euclidean),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::DotProduct => "dot-product",
            Self::Euclidean => "euclidean",
        }
    }

    /// As Vectorize reports it: near is high, but for euclidean, where near is 0.
    fn score(self, query: &Components, vector: &Components) -> f32 {
        match self {
            Self::Cosine => dot(&query.values, &vector.values) / (query.norm * vector.norm).max(f32::MIN_POSITIVE),
            Self::DotProduct => dot(&query.values, &vector.values),
            Self::Euclidean => {
                query.values.iter().zip(&vector.values).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
            }
        }
    }
}

/// A vector with its length, which every cosine needs.
#[derive(Debug, Clone)]
struct Components {
    values: Vec<f32>,
    norm: f32,
}

impl From<Vec<f32>> for Components {
    fn from(values: Vec<f32>) -> Self {
        let norm = dot(&values, &values).sqrt();
        Self { values, norm }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Eight sums at a time is what the compiler turns into vector instructions.
    let mut sums = [0_f32; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in left.zip(right) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// A vector as it is sent, one a line.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Upsert {
    id: String,
    values: Vec<f32>,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
}

#[derive(Debug, Clone)]
struct Stored {
    components: Components,
    namespace: Option<String>,
    metadata: Option<Map<String, Value>>,
    /// Place of its write in the order of all writes; metadata indexes cover what came after them.
    sequence: u64,
}

/// A write that was accepted.
#[derive(Debug, Clone)]
enum Change {
    Put(String, Stored),
    Delete(String),
}

#[derive(Debug)]
struct Mutation {
    id: String,
    at_ms: u64,
    visible_ms: u64,
    changes: Vec<Change>,
}

#[derive(Debug)]
struct Index {
    description: Option<String>,
    dimensions: usize,
    metric: Metric,
    created_ms: u64,
    vectors: BTreeMap<String, Stored>,
    metadata_indexes: Vec<MetadataIndex>,
    pending: VecDeque<Mutation>,
    processed: Option<(String, u64)>,
    snapshots: VecDeque<(String, Arc<[String]>)>,
}

/// Body of a query.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Query {
    #[serde(default)]
    vector: Option<Vec<f32>>,
    #[serde(default)]
    vector_id: Option<String>,
    #[serde(default)]
    top_k: Option<usize>,
    #[serde(default)]
    return_values: bool,
    #[serde(default)]
    return_metadata: Option<Value>,
    #[serde(default)]
    filter: Option<Value>,
    #[serde(default)]
    namespace: Option<String>,
}

/// Which metadata a match carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Returned {
    None,
    Indexed,
    All,
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
        let state = store.with(load).map_err(|error| format!("cannot read the stored vectors: {error}"))?;
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
            self.store.with(|db| persist(db, name, &changes, &id, at_ms))?;
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

impl Index {
    fn describe(&self, name: &str) -> Value {
        json!({
            "name": name, "description": self.description, "created_on": iso(self.created_ms),
            "modified_on": iso(self.created_ms),
            "config": { "dimensions": self.dimensions, "metric": self.metric.name() },
        })
    }

    fn settle(&mut self, now: u64) {
        let due = self.pending.iter().take_while(|mutation| mutation.visible_ms <= now).count();
        for mutation in self.pending.drain(..due) {
            for change in mutation.changes {
                match change {
                    Change::Put(id, vector) => self.vectors.insert(id, vector),
                    Change::Delete(id) => self.vectors.remove(&id),
                };
            }
            self.processed = Some((mutation.id, mutation.at_ms));
        }
    }

    /// What a query is compared with.
    fn target(&self, query: &Query) -> Result<Components, Refusal> {
        let components = match (&query.vector, &query.vector_id) {
            (Some(vector), _) => Components::from(vector.clone()),
            (None, Some(id)) => {
                let stored = self.vectors.get(id).map(|stored| stored.components.clone());
                stored.ok_or_else(|| Refusal::new(400, code::UNREADABLE, format!("no vector \"{id}\"")))?
            }
            (None, None) => {
                return Err(Refusal::new(400, code::UNREADABLE, "neither vector nor vectorId in the query"));
            }
        };
        check_dimensions("query vector", self.dimensions, components.values.len())?;
        Ok(components)
    }

    fn covers(&self, filter: &Filter, vector: &Stored) -> bool {
        filter.matches(vector.metadata.as_ref(), |property| {
            self.metadata_indexes.iter().find(|known| known.property == property && known.sequence < vector.sequence)
        })
    }

    /// The snapshot that a cursor goes on in, or a new one.
    fn snapshot(&mut self, cursor: Option<&str>) -> Result<(String, usize), Refusal> {
        if let Some(cursor) = cursor.filter(|cursor| !cursor.is_empty()) {
            let position =
                cursor.split_once(':').and_then(|(token, from)| Some((token.to_owned(), from.parse().ok()?)));
            return position
                .filter(|(token, _)| self.snapshots.iter().any(|(known, _)| known == token))
                .ok_or_else(|| Refusal::new(400, code::UNREADABLE, "the cursor is unknown or has expired"));
        }
        let token = random_hex::<8>();
        self.snapshots.push_back((token.clone(), self.vectors.keys().cloned().collect()));
        if self.snapshots.len() > SNAPSHOTS {
            self.snapshots.pop_front();
        }
        Ok((token, 0))
    }
}

impl Stored {
    fn describe(&self, id: &str, values: bool, returned: Returned, indexes: &[MetadataIndex]) -> Value {
        let mut out = Map::new();
        out.insert("id".to_owned(), json!(id));
        if let Some(namespace) = &self.namespace {
            out.insert("namespace".to_owned(), json!(namespace));
        }
        if values {
            out.insert("values".to_owned(), json!(self.components.values));
        }
        let metadata = self.metadata.as_ref().and_then(|metadata| match returned {
            Returned::None => None,
            Returned::All => Some(metadata.clone()),
            Returned::Indexed => {
                let indexed = |name: &String| indexes.iter().any(|index| index.property == *name);
                Some(metadata.iter().filter(|(name, _)| indexed(name)).map(|(k, v)| (k.clone(), v.clone())).collect())
            }
        });
        if let Some(metadata) = metadata {
            out.insert("metadata".to_owned(), Value::Object(metadata));
        }
        Value::Object(out)
    }
}

impl Query {
    fn returned(&self) -> Result<Returned, Refusal> {
        match self.return_metadata.as_ref() {
            None => Ok(Returned::None),
            Some(Value::String(level)) if level == "none" => Ok(Returned::None),
            Some(Value::String(level)) if level == "indexed" => Ok(Returned::Indexed),
            Some(Value::String(level)) if level == "all" => Ok(Returned::All),
            Some(other) => {
                let message = format!("returnMetadata is {other}, and must be \"none\", \"indexed\" or \"all\"");
                Err(Refusal::new(400, code::RETURN_METADATA, message))
            }
        }
    }

    fn top_k(&self, returned: Returned) -> Result<usize, Refusal> {
        let heavy = self.return_values || returned == Returned::All;
        let (max, when) = if heavy {
            (MAX_TOP_K_WITH_METADATA, "with returnValues=true or returnMetadata=all, ")
        } else {
            (MAX_TOP_K, "")
        };
        let top_k = self.top_k.unwrap_or(DEFAULT_TOP_K);
        if (1..=max).contains(&top_k) {
            return Ok(top_k);
        }
        Err(Refusal::new(400, code::TOP_K, format!("{when}max top K is {max}, got {top_k}")))
    }
}

impl Upsert {
    fn check(&self, dimensions: usize) -> Result<(), Refusal> {
        let id = &self.id;
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            let message = format!("id \"{id}\" has {} bytes, and must have 1 to {MAX_ID_BYTES}", id.len());
            return Err(Refusal::new(400, code::LONG_ID, message));
        }
        check_dimensions(&format!("vector \"{id}\""), dimensions, self.values.len())?;
        let Some(metadata) = &self.metadata else { return Ok(()) };
        let bytes = serde_json::to_string(metadata).map_or(0, |text| text.len());
        if bytes > MAX_METADATA_BYTES {
            let message = format!("metadata of \"{id}\" has {bytes} bytes, at most {MAX_METADATA_BYTES}");
            return Err(Refusal::new(400, code::METADATA_SIZE, message));
        }
        let bad = |name: &String| name.is_empty() || name.starts_with('$') || name.contains(['.', '"']);
        match metadata.keys().find(|name| bad(name)) {
            None => Ok(()),
            Some(name) => Err(Refusal::new(400, code::UNREADABLE, format!("metadata key \"{name}\" is not allowed"))),
        }
    }

    fn into_change(self, sequence: u64) -> Change {
        let Self { id, values, namespace, metadata } = self;
        Change::Put(id, Stored { components: values.into(), namespace, metadata, sequence })
    }
}

#[derive(Deserialize)]
struct Create {
    name: String,
    #[serde(default)]
    description: Option<String>,
    config: Config,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Config {
    Explicit { dimensions: usize, metric: String },
    Preset { preset: String },
}

impl Config {
    fn resolve(&self) -> Result<(usize, Metric), Refusal> {
        match self {
            Self::Preset { preset } if preset == docent_core::embedding::SPEC.model => {
                Ok((docent_core::embedding::SPEC.dimensions, Metric::Cosine))
            }
            Self::Preset { preset } => Err(Refusal::new(400, code::UNREADABLE, format!("no preset \"{preset}\""))),
            Self::Explicit { dimensions, .. } if !(1..=MAX_DIMENSIONS).contains(dimensions) => {
                let message = format!("dimensions is {dimensions}, and must be from 1 to {MAX_DIMENSIONS}");
                Err(Refusal::new(400, code::DIMENSIONS, message))
            }
            Self::Explicit { dimensions, metric } => Metric::read(metric)
                .map(|metric| (*dimensions, metric))
                .ok_or_else(|| Refusal::new(400, code::UNREADABLE, format!("no metric \"{metric}\""))),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateMetadataIndex {
    property_name: String,
    index_type: PropertyType,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeleteMetadataIndex {
    property_name: String,
}

#[derive(Deserialize)]
struct Ids {
    ids: Vec<String>,
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::new(400, code::UNREADABLE, format!("the body cannot be read: {error}")))
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if (1..=64).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    let message = format!("index name \"{name}\" must have 1 to 64 of a-z, 0-9, - and _");
    Err(Refusal::new(400, code::UNREADABLE, message))
}

fn check_ids(ids: &[String], max: usize) -> Result<(), Refusal> {
    if (1..=max).contains(&ids.len()) {
        return Ok(());
    }
    let message = format!("{} ids in one request, and there must be 1 to {max}", ids.len());
    Err(Refusal::new(400, code::TOO_MANY_IDS, message))
}

fn check_dimensions(what: &str, expected: usize, got: usize) -> Result<(), Refusal> {
    if expected == got {
        return Ok(());
    }
    let message = format!("invalid {what}, expected {expected} dimensions, and got {got} dimensions");
    Err(Refusal::new(400, code::DIMENSIONS, message))
}

/// Seen live as HTTP 400, not 404.
fn no_index(name: &str) -> Refusal {
    Refusal::new(400, code::NO_INDEX, format!("vectorize.index.not_found - Index name \"{name}\""))
}

fn persist(
    db: &mut rusqlite::Connection,
    name: &str,
    changes: &[Change],
    mutation: &str,
    at_ms: u64,
) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    for change in changes {
        match change {
            Change::Put(id, vector) => {
                let components: Vec<u8> = vector.components.values.iter().flat_map(|v| v.to_le_bytes()).collect();
                let metadata = vector.metadata.as_ref().map(|metadata| Value::Object(metadata.clone()).to_string());
                transaction
                    .prepare_cached("INSERT OR REPLACE INTO vector VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                    .execute(params![name, id, components, vector.namespace, metadata, vector.sequence])?;
            }
            Change::Delete(id) => {
                transaction
                    .prepare_cached("DELETE FROM vector WHERE index_name = ?1 AND id = ?2")?
                    .execute(params![name, id])?;
            }
        }
    }
    transaction.execute(
        "UPDATE vector_index SET mutation = ?2, mutation_ms = ?3 WHERE name = ?1",
        params![name, mutation, at_ms],
    )?;
    transaction.commit()
}

fn load(db: &mut rusqlite::Connection) -> rusqlite::Result<State> {
    let mut state = State::default();
    let mut statement = db
        .prepare("SELECT name, description, dimensions, metric, created_ms, mutation, mutation_ms FROM vector_index")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let mutation: Option<String> = row.get(5)?;
        let index = Index {
            description: row.get(1)?,
            dimensions: row.get(2)?,
            metric: Metric::read(&row.get::<_, String>(3)?).unwrap_or(Metric::Cosine),
            created_ms: row.get(4)?,
            vectors: load_vectors(db, &name)?,
            metadata_indexes: load_metadata_indexes(db, &name)?,
            pending: VecDeque::new(),
            processed: mutation.zip(row.get(6)?),
            snapshots: VecDeque::new(),
        };
        state.indexes.insert(name, index);
    }
    let last = "SELECT max(sequence) FROM (SELECT sequence FROM vector UNION ALL SELECT sequence FROM metadata_index)";
    state.sequence = db.query_row(last, [], |row| row.get(0)).optional()?.flatten().unwrap_or(0);
    Ok(state)
}

fn load_vectors(db: &rusqlite::Connection, name: &str) -> rusqlite::Result<BTreeMap<String, Stored>> {
    db.prepare("SELECT id, components, namespace, metadata, sequence FROM vector WHERE index_name = ?1")?
        .query_map([name], |row| {
            let components: Vec<u8> = row.get(1)?;
            let (values, _) = components.as_chunks::<4>();
            let metadata: Option<String> = row.get(3)?;
            let stored = Stored {
                components: values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect::<Vec<_>>().into(),
                namespace: row.get(2)?,
                metadata: metadata.and_then(|text| serde_json::from_str(&text).ok()),
                sequence: row.get(4)?,
            };
            Ok((row.get(0)?, stored))
        })?
        .collect()
}

fn load_metadata_indexes(db: &rusqlite::Connection, name: &str) -> rusqlite::Result<Vec<MetadataIndex>> {
    db.prepare("SELECT property, type, sequence FROM metadata_index WHERE index_name = ?1 ORDER BY sequence")?
        .query_map([name], |row| {
            let kind = PropertyType::read(&row.get::<_, String>(1)?).unwrap_or(PropertyType::String);
            Ok(MetadataIndex { property: row.get(0)?, kind, sequence: row.get(2)? })
        })?
        .collect()
}
