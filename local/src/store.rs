//! The state of the stand-in: one `SQLite` database, in a folder or in memory.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS kv (
    namespace TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, metadata TEXT, expires_s INTEGER,
    PRIMARY KEY (namespace, key));
CREATE TABLE IF NOT EXISTS vector_index (
    name TEXT PRIMARY KEY, description TEXT, dimensions INTEGER NOT NULL, metric TEXT NOT NULL,
    created_ms INTEGER NOT NULL, mutation TEXT, mutation_ms INTEGER);
CREATE TABLE IF NOT EXISTS vector (
    index_name TEXT NOT NULL, id TEXT NOT NULL, components BLOB NOT NULL, namespace TEXT, metadata TEXT,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (index_name, id));
CREATE TABLE IF NOT EXISTS metadata_index (
    index_name TEXT NOT NULL, property TEXT NOT NULL, type TEXT NOT NULL, sequence INTEGER NOT NULL,
    PRIMARY KEY (index_name, property));
CREATE TABLE IF NOT EXISTS d1_database (id TEXT PRIMARY KEY, name TEXT NOT NULL, created_ms INTEGER NOT NULL);
";

/// One connection, used by one caller at a time: the stand-in serves one developer.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens the database in `folder`, which is made if it is not there; without one, in memory.
    ///
    /// Each embedder has a database of its own: vectors of two of them cannot be compared, and what
    /// one of them indexed would pass for done under the other.
    pub(crate) fn open(folder: Option<&Path>, embedder: &str) -> Result<Self, String> {
        let connection = match folder {
            None => Connection::open_in_memory().map_err(|error| error.to_string()),
            Some(folder) => open_file(folder, embedder),
        }?;
        connection.execute_batch(SCHEMA).map_err(|error| format!("cannot set up the state: {error}"))?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Runs `work` with the connection.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        // A caller that panicked left no half transaction behind: SQLite rolls it back.
        work(&mut self.connection.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn open_file(folder: &Path, embedder: &str) -> Result<Connection, String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))?;
    let path = folder.join(format!("cloud-{embedder}.sqlite"));
    let fault = |error: rusqlite::Error| format!("cannot open {}: {error}", path.display());
    let connection = Connection::open(&path).map_err(fault)?;
    // Write-ahead and no wait for the disk: this is a laptop's copy of nothing that matters.
    connection.pragma_update(None, "journal_mode", "WAL").map_err(fault)?;
    connection.pragma_update(None, "synchronous", "OFF").map_err(fault)?;
    Ok(connection)
}
