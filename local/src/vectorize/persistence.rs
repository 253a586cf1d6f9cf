//! Indexes in the state file: written with each mutation, read at start.

use std::collections::{BTreeMap, VecDeque};

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;

use super::State;
use super::geometry::Metric;
use super::index::{Change, Index, Stored};
use crate::filter::{MetadataIndex, PropertyType};

pub(super) fn persist(
    db: &mut Connection,
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

pub(super) fn load(db: &mut Connection) -> rusqlite::Result<State> {
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

pub(super) fn load_vectors(db: &Connection, name: &str) -> rusqlite::Result<BTreeMap<String, Stored>> {
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

pub(super) fn load_metadata_indexes(db: &Connection, name: &str) -> rusqlite::Result<Vec<MetadataIndex>> {
    db.prepare("SELECT property, type, sequence FROM metadata_index WHERE index_name = ?1 ORDER BY sequence")?
        .query_map([name], |row| {
            let kind = PropertyType::read(&row.get::<_, String>(1)?).unwrap_or(PropertyType::String);
            Ok(MetadataIndex { property: row.get(0)?, kind, sequence: row.get(2)? })
        })?
        .collect()
}
