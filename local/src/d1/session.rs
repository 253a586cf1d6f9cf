//! One database and its one connection: statements in, outcomes out, all of a call or nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::hooks::Action;
use rusqlite::{Batch, Connection, Error, ErrorCode, Statement, StatementStatus, ffi};
use serde_json::{Map, Value, json};

use super::guard::{Guard, NO_TRANSACTIONS};
use super::{Outcome, Query, code, values};
use crate::refusal::Refusal;

/// Says who answered; Cloudflare names a machine.
const SERVED_BY: &str = "docent-local";

/// Rows inserted and otherwise changed, by table, since it was last looked at.
type Written = Arc<Mutex<BTreeMap<String, (u64, u64)>>>;

/// A connection that keeps D1's rules.
#[derive(Debug)]
pub(super) struct Session {
    connection: Connection,
    guard: Arc<Guard>,
    written: Written,
}

impl Session {
    pub(super) fn new(mut connection: Connection) -> rusqlite::Result<Self> {
        connection.pragma_update(None, "foreign_keys", true)?;
        let written = Written::default();
        let noted = Arc::clone(&written);
        connection.update_hook(Some(move |action: Action, _: &str, table: &str, _: i64| {
            let mut tables = noted.lock().unwrap_or_else(PoisonError::into_inner);
            let (inserted, changed) = tables.entry(table.to_owned()).or_default();
            *(if action == Action::SQLITE_INSERT { inserted } else { changed }) += 1;
        }))?;
        let guard = Guard::install(&mut connection)?;
        Ok(Self { connection, guard, written })
    }

    /// Runs a call's statements in one transaction; a list of outcomes for each text.
    pub(super) fn run(&mut self, queries: &[Query]) -> Result<Vec<Vec<Outcome>>, Refusal> {
        self.undo()?;
        self.own("BEGIN IMMEDIATE")?;
        let done = queries.iter().map(|query| self.run_text(query)).collect::<Result<Vec<_>, _>>();
        let done = done.and_then(|outcomes| {
            let nothing = outcomes.iter().all(Vec::is_empty);
            if nothing { Err(refuse("No SQL statements detected.")) } else { Ok(outcomes) }
        });
        // A constraint that was put off is checked here, and may still fail.
        let done = done.and_then(|outcomes| self.own("COMMIT").map(|()| outcomes));
        self.undo()?;
        done
    }

    /// Rolls back what was not committed: of a call that failed, or of one that panicked before.
    fn undo(&self) -> Result<(), Refusal> {
        if self.connection.is_autocommit() { Ok(()) } else { self.own("ROLLBACK") }
    }

    /// One or several statements; only the last may have parameters.
    fn run_text(&self, query: &Query) -> Result<Vec<Outcome>, Refusal> {
        let parameters = query.params.as_deref().unwrap_or_default();
        let mut outcomes = Vec::new();
        let mut bound = false;
        let mut statements = Batch::new(&self.connection, &query.sql);
        while let Some(mut statement) = statements.next().map_err(|error| self.refusal(&error))? {
            if bound {
                return Err(refuse(
                    "When executing multiple SQL statements in a single call, only the last statement can have \
                     parameters.",
                ));
            }
            if statement.parameter_count() > 0 {
                self.bind(&mut statement, parameters)?;
                bound = true;
            }
            outcomes.push(self.step(&mut statement)?);
        }
        if !bound && !parameters.is_empty() {
            return Err(wrong_number());
        }
        Ok(outcomes)
    }

    fn bind(&self, statement: &mut Statement<'_>, parameters: &[Value]) -> Result<(), Refusal> {
        if statement.parameter_count() != parameters.len() {
            return Err(wrong_number());
        }
        for (at, parameter) in (1..).zip(parameters) {
            let value = values::bound(parameter).map_err(|what| {
                Refusal::new(400, code::MALFORMED, format!("The request is malformed: parameter {at} is {what}"))
            })?;
            statement.raw_bind_parameter(at, value).map_err(|error| self.refusal(&error))?;
        }
        Ok(())
    }

    fn step(&self, statement: &mut Statement<'_>) -> Result<Outcome, Refusal> {
        let (changes_before, row_before) = (self.connection.total_changes(), self.connection.last_insert_rowid());
        let size_before = self.bytes()?;
        self.take_written();
        let started = Instant::now();
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let width = columns.len();
        let rows = statement
            .raw_query()
            .map(|row| (0..width).map(|at| row.get_ref(at).map(values::shown)).collect::<rusqlite::Result<Vec<_>>>())
            .collect::<Vec<_>>()
            .map_err(|error| self.refusal(&error))?;
        let duration = started.elapsed().as_secs_f64() * 1000.0;
        let changes = self.connection.total_changes() - changes_before;
        let (row_id, size) = (self.connection.last_insert_rowid(), self.bytes()?);
        let rows_written = self.rows_written(changes)?;
        // An estimate: what full scans looked at, or at least what came back. SQLite as it is does not
        // count what it finds by an index, as the one inside D1 does.
        let scanned = u64::try_from(statement.get_status(StatementStatus::FullscanStep)).unwrap_or_default();
        let meta = json!({
            "served_by": SERVED_BY, "served_by_primary": true, "duration": duration,
            "timings": { "sql_duration_ms": duration },
            "changes": changes, "last_row_id": row_id,
            "changed_db": changes > 0 || row_id != row_before || size != size_before,
            "size_after": size, "rows_read": scanned.max(rows.len() as u64), "rows_written": rows_written,
        });
        Ok(Outcome { columns, rows, meta, rows_written })
    }

    /// Rows written as D1 counts them: a row once and once more for each index that it was inserted
    /// into, while what FTS5 writes for itself is not counted. Short by the index entries of updates
    /// and by the rows of a changed schema.
    fn rows_written(&self, changes: u64) -> Result<u64, Refusal> {
        let mut count = changes;
        for (table, (inserted, changed)) in self.take_written() {
            let (kind, indexes) = self.about(&table)?;
            if kind == "shadow" {
                count = count.saturating_sub(inserted + changed);
            } else {
                count += inserted * indexes;
            }
        }
        Ok(count)
    }

    fn about(&self, table: &str) -> Result<(String, u64), Refusal> {
        let sql = "SELECT type, (SELECT count(*) FROM pragma_index_list(?1)) FROM pragma_table_list(?1)
                   WHERE schema = 'main'";
        let found = self
            .guard
            .trusting(|| self.connection.prepare_cached(sql)?.query_row([table], |row| Ok((row.get(0)?, row.get(1)?))));
        match found {
            Err(Error::QueryReturnedNoRows) => Ok(Default::default()),
            found => Ok(found?),
        }
    }

    fn take_written(&self) -> BTreeMap<String, (u64, u64)> {
        std::mem::take(&mut *self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn bytes(&self) -> Result<u64, Refusal> {
        let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        Ok(self.guard.trusting(|| self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0)))?)
    }

    /// Tables, and bytes.
    pub(super) fn size(&self) -> Result<(u64, u64), Refusal> {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let tables = self.guard.trusting(|| self.connection.query_row(sql, [], |row| row.get(0)))?;
        Ok((tables, self.bytes()?))
    }

    /// Table → rows as objects, in the order of their JSON. Left out: what FTS5 keeps (it follows from
    /// the rest), and when migrations were applied.
    pub(super) fn dump(&self) -> Result<Value, Refusal> {
        let tables = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'
                      AND name NOT LIKE 'sqlite_%' AND name <> 'd1_migrations' ORDER BY name";
        let dumped = self.guard.trusting(|| {
            let mut statement = self.connection.prepare(tables)?;
            let names = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
            names.into_iter().map(|name| Ok((name.clone(), self.rows_of(&name)?))).collect::<rusqlite::Result<_>>()
        });
        Ok(Value::Object(dumped?))
    }

    fn rows_of(&self, table: &str) -> rusqlite::Result<Value> {
        let mut statement = self.connection.prepare(&format!("SELECT * FROM \"{}\"", table.replace('"', "\"\"")))?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement
            .query_map([], |row| {
                let cell = |(at, name): (usize, &String)| Ok((name.clone(), values::shown(row.get_ref(at)?)));
                Ok(Value::Object(columns.iter().enumerate().map(cell).collect::<rusqlite::Result<Map<_, _>>>()?))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        rows.sort_by_cached_key(Value::to_string);
        Ok(rows.into())
    }

    /// A statement of the stand-in itself.
    fn own(&self, sql: &str) -> Result<(), Refusal> {
        self.guard.trusting(|| self.connection.execute_batch(sql)).map_err(|error| self.refusal(&error))
    }

    /// What `SQLite` says, with its code behind it as the runtime writes it.
    fn refusal(&self, error: &Error) -> Refusal {
        if self.guard.refused_transaction() {
            return refuse(NO_TRANSACTIONS);
        }
        let (message, failure) = match error {
            Error::SqlInputError { error, msg, offset, .. } => (format!("{msg} at offset {offset}"), error),
            Error::SqliteFailure(failure, message) => (message.clone().unwrap_or_else(|| failure.to_string()), failure),
            other => return Refusal::new(500, code::SQL, format!("internal error: {other}")),
        };
        refuse(format!("{message}: {}", code_name(*failure)))
    }
}

/// `SQLITE_ERROR`, or `SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)`.
fn code_name(failure: ffi::Error) -> String {
    let name = match failure.code {
        ErrorCode::ConstraintViolation => {
            let extended = match failure.extended_code {
                ffi::SQLITE_CONSTRAINT_CHECK => "CHECK",
                ffi::SQLITE_CONSTRAINT_FOREIGNKEY => "FOREIGNKEY",
                ffi::SQLITE_CONSTRAINT_NOTNULL => "NOTNULL",
                ffi::SQLITE_CONSTRAINT_PRIMARYKEY => "PRIMARYKEY",
                ffi::SQLITE_CONSTRAINT_TRIGGER => "TRIGGER",
                ffi::SQLITE_CONSTRAINT_UNIQUE => "UNIQUE",
                ffi::SQLITE_CONSTRAINT_ROWID => "ROWID",
                _ => return "SQLITE_CONSTRAINT".to_owned(),
            };
            return format!("SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_{extended})");
        }
        ErrorCode::AuthorizationForStatementDenied => "SQLITE_AUTH",
        ErrorCode::TooBig => "SQLITE_TOOBIG",
        ErrorCode::TypeMismatch => "SQLITE_MISMATCH",
        ErrorCode::ParameterOutOfRange => "SQLITE_RANGE",
        ErrorCode::DatabaseCorrupt => "SQLITE_CORRUPT",
        ErrorCode::DiskFull => "SQLITE_FULL",
        _ => "SQLITE_ERROR",
    };
    name.to_owned()
}

fn wrong_number() -> Refusal {
    refuse("Wrong number of parameter bindings for SQL query.")
}

fn refuse(message: impl Into<String>) -> Refusal {
    Refusal::new(400, code::SQL, message)
}
