//! What is in the index: every id whose writing was acknowledged and whose deletion was not.
//!
//! Vectorize can be asked for neither the ids of a document nor those that are no longer wanted, so
//! ingest keeps its own books, in the KV namespace that the bot uses anyway.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cloudflare::{ApiError, Cloudflare};

/// KV key of the manifest.
pub const MANIFEST_KEY: &str = "manifest";
/// The form that this version writes and reads.
const VERSION: u32 = 1;

/// Stored as JSON under [`MANIFEST_KEY`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this form.
    pub v: u32,
    /// Fingerprint of the spec that the last ingest embedded with.
    pub spec: String,
    /// Generation that the last ingest wrote.
    pub generation: u64,
    /// Ids by document path.
    pub documents: BTreeMap<String, BTreeSet<String>>,
}

impl Default for Manifest {
    fn default() -> Self {
        Self { v: VERSION, spec: String::new(), generation: 0, documents: BTreeMap::new() }
    }
}

/// The stored manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// No JSON, or not of this form.
    #[error("the KV key {MANIFEST_KEY:?} holds no manifest ({0}); delete the key to embed everything again")]
    Unreadable(#[from] serde_json::Error),
    /// Written by a newer docent.
    #[error(
        "the manifest has version {0}, this docent reads version {VERSION}; use the docent that wrote it, or newer"
    )]
    Newer(u32),
}

impl Manifest {
    /// Reads what [`Manifest::to_json`] wrote.
    pub fn from_json(json: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let Version { v } = serde_json::from_slice(json)?;
        if v > VERSION { Err(ManifestError::Newer(v)) } else { Ok(serde_json::from_slice(json)?) }
    }

    /// The stored form.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Notes an acknowledged write.
    pub fn add(&mut self, path: &str, id: &str) {
        self.documents.entry(path.to_owned()).or_default().insert(id.to_owned());
    }

    /// Notes an acknowledged deletion.
    pub fn remove(&mut self, gone: &BTreeSet<String>) {
        for ids in self.documents.values_mut() {
            ids.retain(|id| !gone.contains(id));
        }
        self.documents.retain(|_, ids| !ids.is_empty());
    }

    /// Number of ids.
    pub fn chunks(&self) -> usize {
        self.documents.values().map(BTreeSet::len).sum()
    }
}

/// KV takes one write a second of the same key.
const BETWEEN_WRITES: Duration = Duration::from_secs(1);

/// The manifest with the place where it is kept.
pub(crate) struct Books<'a> {
    cloud: &'a Cloudflare,
    pub(crate) manifest: Manifest,
    /// As it is stored.
    stored: String,
    written: Option<Instant>,
}

impl<'a> Books<'a> {
    /// A key that is not there is an empty manifest.
    pub(crate) fn open(cloud: &'a Cloudflare) -> Result<Self, crate::run::IngestError> {
        let stored = cloud.kv_get(MANIFEST_KEY)?;
        let manifest = stored.as_ref().map_or_else(|| Ok(Manifest::default()), |json| Manifest::from_json(json))?;
        let stored = String::from_utf8(stored.unwrap_or_default()).unwrap_or_default();
        Ok(Self { cloud, manifest, stored, written: None })
    }

    /// Saves unless that was done within the last second.
    pub(crate) fn save_now_and_then(&mut self) -> Result<(), ApiError> {
        let is_due = self.written.is_none_or(|written| written.elapsed() >= BETWEEN_WRITES);
        if is_due { self.save() } else { Ok(()) }
    }

    /// Saves, if there is anything to save.
    pub(crate) fn save(&mut self) -> Result<(), ApiError> {
        let json = self.manifest.to_json().map_err(|error| ApiError::answer(MANIFEST_KEY, error))?;
        if json == self.stored {
            return Ok(());
        }
        if let Some(written) = self.written {
            std::thread::sleep(BETWEEN_WRITES.saturating_sub(written.elapsed()));
        }
        self.cloud.kv_put(MANIFEST_KEY, &json)?;
        (self.stored, self.written) = (json, Some(Instant::now()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_pinned_and_a_newer_one_is_refused() {
        let mut manifest = Manifest { spec: "e8c7ef1a554b42fe".to_owned(), generation: 3, ..Manifest::default() };
        manifest.add("guide/a.md", "00ff");
        manifest.add("guide/a.md", "0a0b");
        let json = r#"{"v":1,"spec":"e8c7ef1a554b42fe","generation":3,"documents":{"guide/a.md":["00ff","0a0b"]}}"#;
        assert_eq!(manifest.to_json().unwrap(), json);
        assert_eq!(Manifest::from_json(json.as_bytes()).unwrap(), manifest);
        manifest.remove(&BTreeSet::from(["00ff".to_owned(), "0a0b".to_owned()]));
        assert!(manifest.documents.is_empty());
        let newer = json.replace(r#""v":1"#, r#""v":2"#);
        assert!(matches!(Manifest::from_json(newer.as_bytes()), Err(ManifestError::Newer(2))));
        assert!(matches!(Manifest::from_json(b"<html>"), Err(ManifestError::Unreadable(_))));
    }
}
