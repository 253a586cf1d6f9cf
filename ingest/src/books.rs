//! Where the state of the index is kept: beside the index, so that any machine can go on with it.
//!
//! In D1 when the deployment binds a database as `CONTENT`, else in the KV namespace that the bot
//! uses anyway. Both obey one rule: a step is noted after the service acknowledged it, and what is
//! going to be deleted is noted before.

mod d1;
mod kv;

use std::collections::HashSet;

use docent_core::chunk::Chunk;
use serde::{Deserialize, Serialize};

pub(crate) use d1::D1;
pub(crate) use kv::Kv;

use crate::cloudflare::{ApiError, Cloudflare};
use crate::settings::Connection;
use crate::state::{Changes, ChunkId, Generation, Live, State};
use crate::upkeep::Mended;

/// The state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    /// A call failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// What is stored is not of this program.
    #[error("{0} holds no state of docent: {1}; delete it to embed everything again")]
    Unreadable(&'static str, String),
    /// Written by another version.
    #[error(
        "the KV key \"manifest\" was written by a docent of another version ({0}, this one writes {1}); use that \
         version, or give the deployment a new Vectorize index and KV namespace and ingest into these"
    )]
    OtherVersion(u32, u32),
    /// Tables are missing.
    #[error(
        "the D1 database CONTENT does not have the tables of this version ({0}); run \
         `npx wrangler d1 migrations apply CONTENT --remote`, then the same command again"
    )]
    OldSchema(String),
    /// Rows are missing.
    #[error(
        "D1 holds {found} of the {expected} chunks that were just written to it; run the same command again, and \
         `docent verify --fix` if that does not help"
    )]
    Incomplete {
        /// Rows that are there.
        found: usize,
        /// Rows that should be.
        expected: usize,
    },
    /// Another ingest took over, since this one was not heard of for too long.
    #[error(
        "another ingest has taken over the index, because this one was not heard of for {} s; nothing of this one \
         went live, run it again", crate::lease::LASTS.as_secs()
    )]
    LeaseLost,
}

/// Who may write, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Random, one of a kind.
    pub owner: String,
    /// For people: process, machine and time.
    pub holder: String,
    /// Milliseconds since 1970.
    pub expires_at: u64,
}

/// What tells whether somebody else has written meanwhile.
pub type Heads = (Vec<Generation>, Option<Live>);

/// Keeps the state. The flow is always `begin`, `add_chunks`…, `stage`, `forget_garbage`, `go_live`.
pub(crate) trait Books: Sync {
    /// Everything, for a plan. The flag says that the rows of all chunks are still to be written.
    fn load(&self) -> Result<(State, bool), BooksError>;

    /// Enough to see that a plan still holds.
    fn heads(&self) -> Result<Heads, BooksError>;

    /// Takes or renews the lease, unless somebody else's has not expired: then it is theirs that is
    /// returned.
    fn take_lease(&self, lease: &Holder, now: u64) -> Result<Option<Holder>, BooksError>;

    /// Who holds the lease, or held it last.
    fn lease(&self) -> Result<Option<Holder>, BooksError>;

    /// Ends a lease, ours or that of a process that is no more.
    fn end_lease(&self, owner: &str) -> Result<(), BooksError>;

    /// Notes that a generation is being written and which ones it drops, and takes back what an
    /// earlier try at it wrote. `state` is the state after all that.
    fn begin(&self, state: &State, staging: &Generation, dropped: &[u64]) -> Result<(), BooksError>;

    /// Writes the text of chunks; those that are there already stay.
    fn add_chunks(&self, chunks: &[Chunk]) -> Result<(), BooksError>;

    /// Writes a generation's rows, which nobody sees yet. `state` is the state with them.
    fn stage(&self, state: &State, generation: &Generation, changes: &Changes) -> Result<(), BooksError>;

    /// Notes that generations were dropped; their chunks are still there.
    fn drop_generations(&self, state: &State, dropped: &[u64]) -> Result<(), BooksError>;

    /// Forgets pages and chunks that no generation holds. `state` is the state without them.
    fn forget_garbage(&self, state: &State) -> Result<(), BooksError>;

    /// Makes a generation the one that readers see, unless the lease is no longer `owner`'s.
    /// `state` is the state with it.
    fn go_live(&self, state: &State, live: Live, owner: &str) -> Result<(), BooksError>;

    /// Chunks whose text is written and that a generation holds or held; `None` where no text is kept.
    fn chunks(&self) -> Result<Option<HashSet<ChunkId>>, BooksError>;

    /// Writes pages that have lost chunks, and forgets these chunks and those of no generation.
    /// `state` is the state after that.
    fn mend(&self, state: &State, pages: &Mended, lost: &HashSet<ChunkId>) -> Result<(), BooksError>;

    /// Takes back a generation that was begun and is not wanted. `state` is the state without it.
    fn abandon(&self, state: &State, number: u64) -> Result<(), BooksError>;
}

/// The books of the deployment.
pub(crate) fn open<'a>(cloud: &'a Cloudflare, connection: &Connection) -> Box<dyn Books + 'a> {
    if connection.database.is_some() { Box::new(D1::new(cloud)) } else { Box::new(Kv::new(cloud)) }
}
