//! What calls carry, checked against the platform's limits.

use docent_core::vectorize::{MAX_ID_BYTES, MAX_METADATA_BYTES, MAX_TOP_K, MAX_TOP_K_WITH_METADATA};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::code;
use super::geometry::Metric;
use super::index::{Change, Stored};
use crate::filter::PropertyType;
use crate::refusal::Refusal;

/// Matches of a query that does not say how many (client API reference).
const DEFAULT_TOP_K: usize = 5;
/// Most dimensions (Vectorize limits).
const MAX_DIMENSIONS: usize = 1_536;

/// A vector as it is sent, one a line.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Upsert {
    pub(super) id: String,
    pub(super) values: Vec<f32>,
    #[serde(default)]
    pub(super) namespace: Option<String>,
    #[serde(default)]
    pub(super) metadata: Option<Map<String, Value>>,
}

impl Upsert {
    pub(super) fn check(&self, dimensions: usize) -> Result<(), Refusal> {
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

    pub(super) fn into_change(self, sequence: u64) -> Change {
        let Self { id, values, namespace, metadata } = self;
        Change::Put(id, Stored { components: values.into(), namespace, metadata, sequence })
    }
}

/// Body of a query.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Query {
    #[serde(default)]
    pub(super) vector: Option<Vec<f32>>,
    #[serde(default)]
    pub(super) vector_id: Option<String>,
    #[serde(default)]
    pub(super) top_k: Option<usize>,
    #[serde(default)]
    pub(super) return_values: bool,
    #[serde(default)]
    pub(super) return_metadata: Option<Value>,
    #[serde(default)]
    pub(super) filter: Option<Value>,
    #[serde(default)]
    pub(super) namespace: Option<String>,
}

/// Which metadata a match carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Returned {
    None,
    Indexed,
    All,
}

impl Query {
    pub(super) fn returned(&self) -> Result<Returned, Refusal> {
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

    pub(super) fn top_k(&self, returned: Returned) -> Result<usize, Refusal> {
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

#[derive(Deserialize)]
pub(super) struct Create {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: Option<String>,
    pub(super) config: Config,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Config {
    Explicit { dimensions: usize, metric: String },
    Preset { preset: String },
}

impl Config {
    pub(super) fn resolve(&self) -> Result<(usize, Metric), Refusal> {
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
pub(super) struct CreateMetadataIndex {
    pub(super) property_name: String,
    pub(super) index_type: PropertyType,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeleteMetadataIndex {
    pub(super) property_name: String,
}

#[derive(Deserialize)]
pub(super) struct Ids {
    pub(super) ids: Vec<String>,
}

pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::new(400, code::UNREADABLE, format!("the body cannot be read: {error}")))
}

pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if (1..=64).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    let message = format!("index name \"{name}\" must have 1 to 64 of a-z, 0-9, - and _");
    Err(Refusal::new(400, code::UNREADABLE, message))
}

pub(super) fn check_ids(ids: &[String], max: usize) -> Result<(), Refusal> {
    if (1..=max).contains(&ids.len()) {
        return Ok(());
    }
    let message = format!("{} ids in one request, and there must be 1 to {max}", ids.len());
    Err(Refusal::new(400, code::TOO_MANY_IDS, message))
}

pub(super) fn check_dimensions(what: &str, expected: usize, got: usize) -> Result<(), Refusal> {
    if expected == got {
        return Ok(());
    }
    let message = format!("invalid {what}, expected {expected} dimensions, and got {got} dimensions");
    Err(Refusal::new(400, code::DIMENSIONS, message))
}
