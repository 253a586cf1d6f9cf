//! The state in KV: everything under one key, written when a generation goes live.
//!
//! KV can neither compare nor lock, so the lease keeps two ingests apart only if they start a few
//! seconds after one another.

use std::collections::HashSet;

use docent_core::chunk::Chunk;
use serde::{Deserialize, Serialize};

use super::{Books, BooksError, Heads, Holder};
use crate::cloudflare::{ApiError, Cloudflare};
use crate::state::{Changes, ChunkId, Generation, Live, State};
use crate::upkeep::Mended;

/// Holds the [`State`].
const MANIFEST_KEY: &str = "manifest";
/// Holds the [`Begun`] generation, while there is one.
const STAGING_KEY: &str = "staging";
/// Holds the [`Holder`].
const LEASE_KEY: &str = "lease";
/// Form of the manifest that this version writes and reads.
const VERSION: u32 = 2;

#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    #[serde(flatten)]
    state: &'a State,
}

/// A generation that is being written.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    generation: Generation,
    dropped: Vec<u64>,
}

pub(crate) struct Kv<'a> {
    cloud: &'a Cloudflare,
}

impl<'a> Kv<'a> {
    pub(crate) fn new(cloud: &'a Cloudflare) -> Self {
        Self { cloud }
    }

    /// The state as it was when something last went live; `None` before the first ingest.
    pub(crate) fn manifest(&self) -> Result<Option<State>, BooksError> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let Some(json) = self.cloud.kv_get(MANIFEST_KEY)? else { return Ok(None) };
        let unreadable =
            |error: serde_json::Error| BooksError::Unreadable("the KV key \"manifest\"", error.to_string());
        let Version { v } = serde_json::from_slice(&json).map_err(unreadable)?;
        if v != VERSION {
            return Err(BooksError::OtherVersion(v, VERSION));
        }
        serde_json::from_slice(&json).map(Some).map_err(unreadable)
    }

    /// The state has moved to D1.
    pub(crate) fn forget(&self) -> Result<(), ApiError> {
        [MANIFEST_KEY, STAGING_KEY, LEASE_KEY].iter().try_for_each(|key| self.cloud.kv_delete(key))
    }

    fn save(&self, state: &State) -> Result<(), BooksError> {
        let json = serde_json::to_vec(&Written { v: VERSION, state })
            .map_err(|error| BooksError::Unreadable("this program", error.to_string()))?;
        Ok(self.cloud.kv_put(MANIFEST_KEY, &json)?)
    }
}

impl Books for Kv<'_> {
    fn load(&self) -> Result<(State, bool), BooksError> {
        let mut state = self.manifest()?.unwrap_or_default();
        if let Some(json) = self.cloud.kv_get(STAGING_KEY)?
            && let Ok(Begun { generation, dropped }) = serde_json::from_slice(&json)
            // It went live, and the key was about to be deleted.
            && state.generation(generation.number).is_none()
        {
            state.drop_generations(&dropped);
            state.generations.push(generation);
        }
        Ok((state, false))
    }

    fn heads(&self) -> Result<Heads, BooksError> {
        self.load().map(|(state, _)| (state.generations, state.live))
    }

    fn take_lease(&self, lease: &Holder, now: u64) -> Result<Option<Holder>, BooksError> {
        if let Some(other) = self.lease()?.filter(|other| other.owner != lease.owner && other.expires_at > now) {
            return Ok(Some(other));
        }
        let json =
            serde_json::to_vec(lease).map_err(|error| BooksError::Unreadable("this program", error.to_string()))?;
        self.cloud.kv_put(LEASE_KEY, &json)?;
        Ok(None)
    }

    fn lease(&self) -> Result<Option<Holder>, BooksError> {
        Ok(self.cloud.kv_get(LEASE_KEY)?.and_then(|json| serde_json::from_slice(&json).ok()))
    }

    fn end_lease(&self, owner: &str) -> Result<(), BooksError> {
        if self.lease()?.is_some_and(|lease| lease.owner == owner) {
            self.cloud.kv_delete(LEASE_KEY)?;
        }
        Ok(())
    }

    fn begin(&self, _: &State, staging: &Generation, dropped: &[u64]) -> Result<(), BooksError> {
        let begun = Begun { generation: staging.clone(), dropped: dropped.to_vec() };
        let json =
            serde_json::to_vec(&begun).map_err(|error| BooksError::Unreadable("this program", error.to_string()))?;
        Ok(self.cloud.kv_put(STAGING_KEY, &json)?)
    }

    /// Their text is beside their vectors.
    fn add_chunks(&self, _: &[Chunk]) -> Result<(), BooksError> {
        Ok(())
    }

    /// Written when it goes live.
    fn stage(&self, _: &State, _: &Generation, _: &Changes) -> Result<(), BooksError> {
        Ok(())
    }

    fn drop_generations(&self, state: &State, _: &[u64]) -> Result<(), BooksError> {
        self.save(state)
    }

    fn forget_garbage(&self, state: &State) -> Result<(), BooksError> {
        // What is staged is written when it goes live, and this with it.
        if state.staging().is_some() { Ok(()) } else { self.save(state) }
    }

    fn go_live(&self, state: &State, _: Live, owner: &str) -> Result<(), BooksError> {
        if self.lease()?.is_none_or(|lease| lease.owner != owner) {
            return Err(BooksError::LeaseLost);
        }
        self.save(state)?;
        Ok(self.cloud.kv_delete(STAGING_KEY)?)
    }

    fn chunks(&self) -> Result<Option<HashSet<ChunkId>>, BooksError> {
        Ok(None)
    }

    fn mend(&self, state: &State, _: &Mended, _: &HashSet<ChunkId>) -> Result<(), BooksError> {
        self.save(state)
    }

    fn abandon(&self, state: &State, _: u64) -> Result<(), BooksError> {
        self.save(state)?;
        Ok(self.cloud.kv_delete(STAGING_KEY)?)
    }
}
