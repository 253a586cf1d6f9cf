//! One index: its vectors, the writes that are not visible yet, and what queries look at.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::code;
use super::geometry::{Components, Metric};
use super::requests::{Query, Returned, check_dimensions};
use crate::clock::{hex, iso, random_hex};
use crate::filter::{Filter, MetadataIndex};
use crate::refusal::Refusal;

/// List snapshots kept for clients in the middle of a chain of cursors.
const SNAPSHOTS: usize = 16;

#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) components: Components,
    pub(super) namespace: Option<String>,
    pub(super) metadata: Option<Map<String, Value>>,
    /// Place of its write in the order of all writes; metadata indexes cover what came after them.
    pub(super) sequence: u64,
}

/// A write that was accepted.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Put(String, Stored),
    Delete(String),
}

#[derive(Debug)]
pub(super) struct Mutation {
    pub(super) id: String,
    pub(super) at_ms: u64,
    pub(super) visible_ms: u64,
    pub(super) changes: Vec<Change>,
}

#[derive(Debug)]
pub(super) struct Index {
    pub(super) description: Option<String>,
    pub(super) dimensions: usize,
    pub(super) metric: Metric,
    pub(super) created_ms: u64,
    pub(super) vectors: BTreeMap<String, Stored>,
    pub(super) metadata_indexes: Vec<MetadataIndex>,
    pub(super) pending: VecDeque<Mutation>,
    pub(super) processed: Option<(String, u64)>,
    pub(super) snapshots: VecDeque<(String, Arc<[String]>)>,
}

impl Index {
    pub(super) fn describe(&self, name: &str) -> Value {
        json!({
            "name": name, "description": self.description, "created_on": iso(self.created_ms),
            "modified_on": iso(self.created_ms),
            "config": { "dimensions": self.dimensions, "metric": self.metric.name() },
        })
    }

    pub(super) fn settle(&mut self, now: u64) {
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
    pub(super) fn target(&self, query: &Query) -> Result<Components, Refusal> {
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

    pub(super) fn covers(&self, filter: &Filter, vector: &Stored) -> bool {
        filter.matches(vector.metadata.as_ref(), |property| {
            self.metadata_indexes.iter().find(|known| known.property == property && known.sequence < vector.sequence)
        })
    }

    /// The snapshot that a cursor goes on in, or a new one.
    pub(super) fn snapshot(&mut self, cursor: Option<&str>) -> Result<(String, usize), Refusal> {
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
    /// Short enough to be compared by eye.
    pub(super) fn digest(&self) -> Value {
        let bytes: Vec<u8> = self.components.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let mut hash = hex(&Sha256::digest(bytes));
        hash.truncate(16);
        json!({ "values": hash, "metadata": self.metadata })
    }

    pub(super) fn describe(&self, id: &str, values: bool, returned: Returned, indexes: &[MetadataIndex]) -> Value {
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
                let covered = |name: &String| indexes.iter().any(|index| index.property == *name);
                Some(metadata.iter().filter(|(name, _)| covered(name)).map(|(k, v)| (k.clone(), v.clone())).collect())
            }
        });
        if let Some(metadata) = metadata {
            out.insert("metadata".to_owned(), Value::Object(metadata));
        }
        Value::Object(out)
    }
}
