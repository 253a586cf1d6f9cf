//! D1: databases by id, each a `SQLite` database of its own with D1's limits and refusals.
//!
//! Statements run with real `SQLite` semantics. What D1 adds stands in [`guard`] (limits, what is not
//! allowed), how a schema grows in [`migrations`]. Not imitated: read replicas, time travel, export
//! and import, mathematical functions, and the 30 seconds that a query may take.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};
use serde::Deserialize;
use serde_json::{Value, json};

use self::session::Session;
use crate::clock::{Clock, iso, random_uuid};
use crate::refusal::Refusal;
use crate::store::Store;

mod guard;
mod migrations;
mod session;
mod values;

/// Codes of the REST API.
pub(crate) mod code {
    /// The request makes no sense (seen live for an id that is no UUID).
    pub(crate) const MALFORMED: u32 = 7_400;
    /// No such database; wrangler looks for this code.
    pub(crate) const NOT_FOUND: u32 = 7_404;
    /// SQL that failed, seen live.
    pub(crate) const SQL: u32 = 7_500;
    /// A database of this name exists, seen live.
    pub(crate) const NAME_TAKEN: u32 = 7_502;
}

/// A database that is there from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// Its id, as in wrangler.toml: a UUID at Cloudflare; here letters, digits, `-` and `_`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Folder of migrations, applied at start as far as they are missing; none when absent.
    pub migrations: Option<PathBuf>,
}

impl Default for DatabaseConfig {
    /// `docent`, with the migrations of this checkout.
    fn default() -> Self {
        let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("worker").join("migrations");
        Self { id: "docent".to_owned(), name: "docent".to_owned(), migrations: Some(migrations) }
    }
}

/// A statement, or several joined by semicolons, as it comes in.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Query {
    /// SQL.
    pub(crate) sql: String,
    /// Values of its parameters, in order.
    #[serde(default)]
    pub(crate) params: Option<Vec<Value>>,
}

/// One query, or several that succeed or fail together: the body of REST and, but for the word
/// `batch`, of the binding.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Queries {
    /// REST.
    Batch {
        /// In order.
        batch: Vec<Query>,
    },
    /// The binding.
    List(Vec<Query>),
    /// Both.
    One(Query),
}

impl Queries {
    /// Reads the body of a request.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body)
            .map_err(|error| Refusal::new(400, code::MALFORMED, format!("The request is malformed: {error}")))
    }

    /// As the log and faults name it.
    pub(crate) fn operation(&self) -> &'static str {
        match self {
            Self::One(_) => "query",
            Self::Batch { .. } | Self::List(_) => "batch",
        }
    }

    /// In order.
    pub(crate) fn all(&self) -> &[Query] {
        match self {
            Self::Batch { batch: queries } | Self::List(queries) => queries,
            Self::One(query) => std::slice::from_ref(query),
        }
    }

    /// For the log: beginnings of a few statements and their values, not a book.
    pub(crate) fn loggable(&self) -> Value {
        let queries = self.all();
        let mut shown: Vec<Value> = queries
            .iter()
            .take(MAX_LOGGED_QUERIES)
            .map(|query| {
                let params = query.params.iter().flatten().map(|value| match value {
                    Value::String(text) => beginning(text, MAX_LOGGED_VALUE_CHARS),
                    Value::Array(bytes) => json!(format!("{} bytes", bytes.len())),
                    other => other.clone(),
                });
                json!({ "sql": beginning(&query.sql, MAX_LOGGED_SQL_CHARS), "params": params.collect::<Vec<_>>() })
            })
            .collect();
        if queries.len() > shown.len() {
            shown.push(json!(format!("… and {} more", queries.len() - shown.len())));
        }
        shown.into()
    }
}

/// Statements of a batch that the log keeps.
const MAX_LOGGED_QUERIES: usize = 10;
/// Characters of a statement that the log keeps.
const MAX_LOGGED_SQL_CHARS: usize = 1_000;
/// Characters of a value that the log keeps.
const MAX_LOGGED_VALUE_CHARS: usize = 200;

fn beginning(text: &str, chars: usize) -> Value {
    match text.char_indices().nth(chars) {
        Some((end, _)) => text.get(..end).unwrap_or_default().chars().chain("…".chars()).collect::<String>().into(),
        None => text.into(),
    }
}

/// What a statement gave.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) columns: Vec<String>,
    /// In the order of `columns`.
    pub(crate) rows: Vec<Vec<Value>>,
    /// As D1 tells it.
    pub(crate) meta: Value,
    /// Rows of tables and indexes that were written.
    pub(crate) rows_written: u64,
}

impl Outcome {
    /// Rows as objects; of two columns with one name, the last counts.
    pub(crate) fn objects(&self) -> Value {
        let object = |row: &Vec<Value>| -> Value {
            self.columns.iter().cloned().zip(row.iter().cloned()).collect::<serde_json::Map<_, _>>().into()
        };
        self.rows.iter().map(object).collect()
    }

    /// Rows as lists, with the columns beside them.
    pub(crate) fn table(&self) -> Value {
        json!({ "columns": self.columns, "rows": self.rows })
    }
}

/// All databases of the account.
#[derive(Debug)]
pub(crate) struct D1 {
    store: Arc<Store>,
    clock: Arc<Clock>,
    /// Where the database files lie; in memory when absent.
    folder: Option<PathBuf>,
    databases: Mutex<BTreeMap<String, Arc<Database>>>,
}

#[derive(Debug)]
struct Database {
    name: String,
    created_ms: u64,
    session: Mutex<Session>,
}

impl Database {
    fn session(&self) -> MutexGuard<'_, Session> {
        // A call that panicked left no half transaction behind: the next one rolls it back.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl D1 {
    /// With the databases that the store knows, those of `configured` beside them, and their
    /// migrations applied.
    pub(crate) fn open(
        store: Arc<Store>,
        clock: Arc<Clock>,
        folder: Option<PathBuf>,
        configured: &[DatabaseConfig],
    ) -> Result<(Self, Vec<String>), String> {
        let this = Self { store, clock, folder, databases: Mutex::default() };
        let stored = this.store.with(|db| {
            let mut statement = db.prepare("SELECT id, name, created_ms FROM d1_database")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, String, u64)>>>()
        });
        for (id, name, created_ms) in
            stored.map_err(|error| format!("cannot read the list of D1 databases: {error}"))?
        {
            this.attach(&id, &name, created_ms)?;
        }
        let mut said = Vec::new();
        for config in configured {
            if !this.databases().contains_key(&config.id) {
                this.add(&config.id, &config.name).map_err(|refusal| refusal.message)?;
            }
            said.extend(this.migrate(config)?);
        }
        Ok((this, said))
    }

    fn migrate(&self, config: &DatabaseConfig) -> Result<Option<String>, String> {
        let (name, Some(folder)) = (&config.name, &config.migrations) else { return Ok(None) };
        let database = self.get(&config.id).map_err(|refusal| refusal.message)?;
        let applied = migrations::apply(&mut database.session(), folder)?;
        Ok((!applied.is_empty()).then(|| format!("database {name}: applied {}", applied.join(", "))))
    }

    /// Makes a database.
    pub(crate) fn create(&self, name: &str) -> Result<Value, Refusal> {
        if name.is_empty() {
            return Err(Refusal::new(400, code::MALFORMED, "The request is malformed: a database needs a name"));
        }
        if self.databases().values().any(|database| database.name == name) {
            let message = format!("A database with the name \"{name}\" already exists");
            return Err(Refusal::new(400, code::NAME_TAKEN, message));
        }
        let id = random_uuid();
        self.add(&id, name)?;
        self.describe(&id)
    }

    /// All databases, or those with a name.
    pub(crate) fn list(&self, name: Option<&str>) -> Vec<Value> {
        let databases = self.databases();
        let wanted = databases.iter().filter(|(_, database)| name.is_none_or(|name| database.name == name));
        wanted
            .map(|(id, database)| {
                json!({
                    "uuid": id, "name": database.name, "created_at": iso(database.created_ms),
                    "version": VERSION, "jurisdiction": null,
                })
            })
            .collect()
    }

    /// A database with its size.
    pub(crate) fn describe(&self, id: &str) -> Result<Value, Refusal> {
        let database = self.get(id)?;
        let (tables, bytes) = database.session().size()?;
        Ok(json!({
            "uuid": id, "name": database.name, "created_at": iso(database.created_ms), "version": VERSION,
            "num_tables": tables, "file_size": bytes, "jurisdiction": null, "running_in_region": "WEUR",
            "read_replication": { "mode": "disabled" },
        }))
    }

    /// Runs all statements in one transaction: one that fails undoes them all. An outcome for each
    /// statement, also where several are joined in one text.
    pub(crate) fn query(&self, id: &str, queries: &[Query]) -> Result<Vec<Vec<Outcome>>, Refusal> {
        let database = self.get(id)?;
        database.session().run(queries)
    }

    /// Database → table → rows in a fixed order, for comparison.
    pub(crate) fn dump(&self) -> Result<Value, Refusal> {
        let databases = self.databases().clone();
        let dumped = databases.values().map(|database| Ok((database.name.clone(), database.session().dump()?)));
        Ok(Value::Object(dumped.collect::<Result<_, Refusal>>()?))
    }

    fn add(&self, id: &str, name: &str) -> Result<(), Refusal> {
        let created_ms = self.clock.now_ms();
        self.attach(id, name, created_ms).map_err(|message| Refusal::new(500, code::SQL, message))?;
        self.store
            .with(|db| db.execute("INSERT INTO d1_database VALUES (?1, ?2, ?3)", params![id, name, created_ms]))?;
        Ok(())
    }

    fn attach(&self, id: &str, name: &str, created_ms: u64) -> Result<(), String> {
        let connection = self.connect(id)?;
        let session = Session::new(connection).map_err(|error| format!("cannot set up the database {id}: {error}"))?;
        let database = Database { name: name.to_owned(), created_ms, session: Mutex::new(session) };
        self.databases().insert(id.to_owned(), Arc::new(database));
        Ok(())
    }

    fn connect(&self, id: &str) -> Result<Connection, String> {
        let Some(folder) = &self.folder else {
            return Connection::open_in_memory().map_err(|error| error.to_string());
        };
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return Err(format!("{id:?} is no id of a D1 database: write the one that `wrangler d1 create` prints"));
        }
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))?;
        let path = folder.join(format!("{id}.sqlite"));
        let fault = |error: rusqlite::Error| format!("cannot open {}: {error}", path.display());
        let connection = Connection::open(&path).map_err(fault)?;
        // As for the rest of the state: a laptop's copy of nothing that matters.
        connection.pragma_update(None, "journal_mode", "WAL").map_err(fault)?;
        connection.pragma_update(None, "synchronous", "OFF").map_err(fault)?;
        Ok(connection)
    }

    fn get(&self, id: &str) -> Result<Arc<Database>, Refusal> {
        self.databases().get(id).cloned().ok_or_else(|| {
            // The text is a guess; the code is what wrangler looks for.
            Refusal::new(404, code::NOT_FOUND, format!("The database {id} could not be found"))
        })
    }

    fn databases(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Database>>> {
        self.databases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What D1 calls its present storage.
const VERSION: &str = "production";
