//! Workers KV: values with an expiry and metadata, listed in the order of their keys.
//!
//! Not imitated: other locations that see a write up to a minute late. All reads come from where
//! the writes went.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{OptionalExtension as _, params};
use serde_json::{Value, json};

use crate::clock::{Clock, hex};
use crate::refusal::Refusal;
use crate::store::Store;

/// Longest key, bytes of UTF-8 (KV platform limits).
pub(crate) const MAX_KEY_BYTES: usize = 512;
/// Largest value, bytes (KV platform limits).
pub(crate) const MAX_VALUE_BYTES: usize = 25 * 1024 * 1024;
/// Most metadata of a key, bytes of JSON (KV platform limits).
pub(crate) const MAX_METADATA_BYTES: usize = 1_024;
/// Shortest time to live, seconds (KV platform limits).
pub(crate) const MIN_TTL_S: u64 = 60;
/// Most keys of one page of a list (KV platform limits).
pub(crate) const MAX_LIST_KEYS: usize = 1_000;
/// Most keys of one bulk get (KV platform limits).
pub(crate) const MAX_BULK_GET_KEYS: usize = 100;
/// Most pairs of one bulk write, REST only (KV platform limits).
pub(crate) const MAX_BULK_WRITE_PAIRS: usize = 10_000;
/// Shortest time between two writes of one key, milliseconds (KV platform limits).
pub(crate) const MIN_WRITE_INTERVAL_MS: u64 = 1_000;

/// Code of most refusals: REST shows it, bindings only show status and text. Which codes KV has for
/// what is not published.
const INVALID: u32 = 10_033;
/// Code of a key that is not there, seen live.
const NOT_FOUND: u32 = 10_009;
/// Code of a throttled call, seen live for the daily limit.
const TOO_MANY: u32 = 10_048;

/// A value and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The bytes.
    pub(crate) value: Vec<u8>,
    /// JSON text.
    pub(crate) metadata: Option<String>,
    /// Seconds since 1970.
    pub(crate) expires_s: Option<u64>,
}

/// A key as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The key.
    pub(crate) name: String,
    /// Seconds since 1970.
    pub(crate) expires_s: Option<u64>,
    /// JSON text.
    pub(crate) metadata: Option<String>,
}

/// A page of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// In ascending order of their bytes.
    pub(crate) keys: Vec<Listed>,
    /// Where to go on; `None` when the list is complete.
    pub(crate) cursor: Option<String>,
}

/// When a value goes: as asked for, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Expiry {
    /// From now on.
    pub(crate) ttl: Option<i64>,
    /// Since 1970; ignored when `ttl` is given.
    pub(crate) at: Option<i64>,
}

/// All namespaces.
#[derive(Debug)]
pub(crate) struct Kv {
    store: Arc<Store>,
    clock: Arc<Clock>,
    limit_writes: bool,
    written: Mutex<HashMap<(String, String), u64>>,
}

impl Kv {
    pub(crate) fn new(store: Arc<Store>, clock: Arc<Clock>, limit_writes: bool) -> Self {
        Self { store, clock, limit_writes, written: Mutex::default() }
    }

    pub(crate) fn get(&self, namespace: &str, key: &str) -> Result<Option<Entry>, Refusal> {
        check_key(key)?;
        let now = self.now_s();
        let found = self.store.with(|db| {
            db.prepare_cached(
                "SELECT value, metadata, expires_s FROM kv
                 WHERE namespace = ?1 AND key = ?2 AND (expires_s IS NULL OR expires_s > ?3)",
            )?
            .query_row(params![namespace, key, now], |row| {
                Ok(Entry { value: row.get(0)?, metadata: row.get(1)?, expires_s: seconds(row.get(2)?) })
            })
            .optional()
        })?;
        Ok(found)
    }

    pub(crate) fn put(
        &self,
        namespace: &str,
        key: &str,
        value: &[u8],
        metadata: Option<&str>,
        expiry: Expiry,
    ) -> Result<(), Refusal> {
        check_key(key)?;
        check_size("Value", value.len(), MAX_VALUE_BYTES)?;
        check_size("Metadata", metadata.map_or(0, str::len), MAX_METADATA_BYTES)?;
        let expires = self.expires(expiry)?;
        self.throttle(namespace, key)?;
        self.store.with(|db| {
            db.prepare_cached("INSERT OR REPLACE INTO kv VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![namespace, key, value, metadata, expires])
        })?;
        Ok(())
    }

    pub(crate) fn delete(&self, namespace: &str, key: &str) -> Result<(), Refusal> {
        check_key(key)?;
        self.store.with(|db| {
            db.prepare_cached("DELETE FROM kv WHERE namespace = ?1 AND key = ?2")?.execute(params![namespace, key])
        })?;
        Ok(())
    }

    /// A page of the keys that begin with `prefix` and come after `cursor`.
    pub(crate) fn list(
        &self,
        namespace: &str,
        prefix: &str,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page, Refusal> {
        if !(1..=MAX_LIST_KEYS).contains(&limit) {
            let message = format!("Invalid key_count_limit of {limit}. Please specify an integer from 1 to 1000.");
            return Err(Refusal::new(400, INVALID, message));
        }
        let after = cursor.filter(|cursor| !cursor.is_empty()).map(read_cursor).transpose()?;
        let now = self.now_s();
        let mut keys = self.store.with(|db| {
            let mut statement = db.prepare_cached(
                "SELECT key, expires_s, metadata FROM kv
                 WHERE namespace = ?1 AND key >= ?2 AND (?3 IS NULL OR key > ?3)
                   AND (expires_s IS NULL OR expires_s > ?4) ORDER BY key LIMIT ?5",
            )?;
            let rows = statement.query_map(params![namespace, prefix, after, now, limit + 1], |row| {
                Ok(Listed { name: row.get(0)?, expires_s: seconds(row.get(1)?), metadata: row.get(2)? })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        keys.retain(|key| key.name.starts_with(prefix));
        let more = keys.len() > limit;
        keys.truncate(limit);
        let cursor = keys.last().filter(|_| more).map(|last| write_cursor(&last.name));
        Ok(Page { keys, cursor })
    }

    /// Several keys at once, in the order asked for.
    pub(crate) fn get_many(&self, namespace: &str, keys: &[String]) -> Result<Vec<Option<Entry>>, Refusal> {
        if keys.is_empty() {
            return Err(Refusal::new(400, INVALID, "You must request a minimum of 1 key"));
        }
        if keys.len() > MAX_BULK_GET_KEYS {
            let message = format!("You can request a maximum of {MAX_BULK_GET_KEYS} keys");
            return Err(Refusal::new(400, INVALID, message));
        }
        let entries = keys.iter().map(|key| self.get(namespace, key)).collect::<Result<Vec<_>, _>>()?;
        let bytes: usize = entries.iter().flatten().map(|entry| entry.value.len()).sum();
        if bytes > MAX_VALUE_BYTES {
            return Err(Refusal::new(413, INVALID, "Total size of request exceeds the limit of 25MB"));
        }
        Ok(entries)
    }

    /// Namespace → key → value as text, or in hexadecimal where it is none.
    pub(crate) fn dump(&self) -> Result<Value, Refusal> {
        let now = self.now_s();
        let entries = self.store.with(|db| {
            let mut statement =
                db.prepare("SELECT namespace, key, value FROM kv WHERE expires_s IS NULL OR expires_s > ?1")?;
            let rows = statement.query_map([now], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, String, Vec<u8>)>>>()
        })?;
        let mut namespaces: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (namespace, key, value) in entries {
            let value = String::from_utf8(value).unwrap_or_else(|error| hex(error.as_bytes()));
            namespaces.entry(namespace).or_default().insert(key, value);
        }
        Ok(json!(namespaces))
    }

    fn now_s(&self) -> u64 {
        self.clock.now_ms() / 1000
    }

    fn expires(&self, expiry: Expiry) -> Result<Option<u64>, Refusal> {
        let refuse = |message: String| Err(Refusal::new(400, INVALID, message));
        let now = self.now_s();
        if let Some(ttl) = expiry.ttl {
            return match u64::try_from(ttl) {
                Ok(ttl) if ttl >= MIN_TTL_S => Ok(Some(now + ttl)),
                Ok(1..) => {
                    refuse(format!("Invalid expiration_ttl of {ttl}. Expiration TTL must be at least {MIN_TTL_S}."))
                }
                _ => refuse(format!("Invalid expiration_ttl of {ttl}. Please specify integer greater than 0.")),
            };
        }
        match expiry.at.map(|at| (at, u64::try_from(at))) {
            None => Ok(None),
            Some((_, Ok(at))) if at >= now + MIN_TTL_S => Ok(Some(at)),
            Some((_, Ok(at))) if at > now => refuse(format!(
                "Invalid expiration of {at}. Expiration times must be at least {MIN_TTL_S} seconds in the future."
            )),
            Some((at, _)) => refuse(format!(
                "Invalid expiration of {at}. Please specify integer greater than the current number of seconds \
                 since the UNIX epoch."
            )),
        }
    }

    fn throttle(&self, namespace: &str, key: &str) -> Result<(), Refusal> {
        if !self.limit_writes {
            return Ok(());
        }
        let now = self.clock.now_ms();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|_, at| now < *at + MIN_WRITE_INTERVAL_MS);
        let name = (namespace.to_owned(), key.to_owned());
        if written.contains_key(&name) {
            return Err(Refusal::new(429, TOO_MANY, "Too Many Requests"));
        }
        written.insert(name, now);
        Ok(())
    }
}

/// What REST answers for a key that is not there.
pub(crate) fn not_found() -> Refusal {
    Refusal::new(404, NOT_FOUND, "get: 'key not found'")
}

fn check_key(key: &str) -> Result<(), Refusal> {
    match key {
        "" => Err(Refusal::new(400, INVALID, "Key names must not be empty")),
        "." | ".." => {
            Err(Refusal::new(400, INVALID, format!("Illegal key name \"{key}\". Please use a different name.")))
        }
        _ if key.len() > MAX_KEY_BYTES => {
            let message = format!("UTF-8 encoded length of {} exceeds key length limit of {MAX_KEY_BYTES}.", key.len());
            Err(Refusal::new(414, INVALID, message))
        }
        _ => Ok(()),
    }
}

fn check_size(what: &str, bytes: usize, limit: usize) -> Result<(), Refusal> {
    if bytes <= limit {
        return Ok(());
    }
    Err(Refusal::new(413, INVALID, format!("{what} length of {bytes} exceeds limit of {limit}.")))
}

fn seconds(stored: Option<i64>) -> Option<u64> {
    stored.and_then(|seconds| u64::try_from(seconds).ok())
}

/// A cursor is opaque to clients: the last key of the page, in hexadecimal.
fn write_cursor(key: &str) -> String {
    hex(key.as_bytes())
}

fn read_cursor(cursor: &str) -> Result<String, Refusal> {
    let bytes: Option<Vec<u8>> = cursor
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok()))
        .collect();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| Refusal::new(400, INVALID, "Invalid cursor."))
}
