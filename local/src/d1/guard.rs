//! What D1 allows: limits on statements and values, and what is refused whatever it is for.
//!
//! D1 is `SQLite` inside the runtime's storage, and says no in the runtime's words. Texts and refusals
//! here were seen on workerd of November 2026, which ships that storage.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;

/// Longest statement, bytes (D1 limits, April 2026). Statements joined in one text count together.
const MAX_STATEMENT_BYTES: i32 = 100_000;
/// Most bound parameters of a statement (D1 limits, April 2026).
const MAX_PARAMETERS: i32 = 100;
/// Largest string, BLOB or row, bytes (D1 limits, April 2026).
pub(super) const MAX_VALUE_BYTES: i32 = 2_000_000;
/// Most columns of a table (D1 limits, April 2026), and of a result (seen on workerd).
const MAX_COLUMNS: i32 = 100;
/// Longest pattern of LIKE or GLOB, bytes (D1 limits, April 2026).
const MAX_PATTERN_BYTES: i32 = 50;
/// Most arguments of a function (D1 limits, April 2026).
const MAX_ARGUMENTS: i32 = 32;
/// Most SELECTs joined by UNION and the like (seen on workerd). VALUES may have any number of rows.
const MAX_COMPOUND_SELECT: i32 = 5;
/// Deepest expression (seen on workerd).
const MAX_EXPRESSION_DEPTH: i32 = 100;

/// PRAGMA statements that are allowed (seen on workerd). FTS5 and R*Tree ask for some themselves.
const PRAGMAS: [&str; 19] = [
    "case_sensitive_like",
    "data_version",
    "defer_foreign_keys",
    "foreign_key_check",
    "foreign_key_list",
    "foreign_keys",
    "ignore_check_constraints",
    "index_info",
    "index_list",
    "index_xinfo",
    "legacy_alter_table",
    "optimize",
    "page_size",
    "quick_check",
    "recursive_triggers",
    "reverse_unordered_selects",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Functions that are refused (some of those seen on workerd, which knows a list of allowed ones).
const FUNCTIONS: [&str; 6] =
    ["load_extension", "sqlite_version", "sqlite_source_id", "sqlite_compileoption_get", "fts5", "fts3_tokenizer"];

/// Virtual tables that can be made (seen on workerd).
const MODULES: [&str; 3] = ["fts5", "fts5vocab", "rtree"];

/// Tables that D1 keeps for itself begin with this.
const RESERVED: &str = "_cf_";

/// What workerd says to BEGIN, COMMIT, ROLLBACK, SAVEPOINT and RELEASE.
pub(super) const NO_TRANSACTIONS: &str = "To execute a transaction, please use the state.storage.transaction() or \
    state.storage.transactionSync() APIs instead of the SQL BEGIN TRANSACTION or SAVEPOINT statements. The JavaScript \
    API is safer because it will automatically roll back on exceptions, and because it interacts correctly with \
    Durable Objects' automatic atomic write coalescing.";

/// Whose statements a connection is preparing, and what it refused.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// Statements of the stand-in itself, which may do anything.
    trusted: AtomicBool,
    refused_transaction: AtomicBool,
}

impl Guard {
    /// Puts limits and refusals on a connection.
    pub(super) fn install(connection: &mut Connection) -> rusqlite::Result<Arc<Self>> {
        for (limit, most) in [
            (Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES),
            (Limit::SQLITE_LIMIT_SQL_LENGTH, MAX_STATEMENT_BYTES),
            (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, MAX_PARAMETERS),
            (Limit::SQLITE_LIMIT_COLUMN, MAX_COLUMNS),
            (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, MAX_PATTERN_BYTES),
            (Limit::SQLITE_LIMIT_FUNCTION_ARG, MAX_ARGUMENTS),
            (Limit::SQLITE_LIMIT_COMPOUND_SELECT, MAX_COMPOUND_SELECT),
            (Limit::SQLITE_LIMIT_EXPR_DEPTH, MAX_EXPRESSION_DEPTH),
        ] {
            connection.set_limit(limit, most)?;
        }
        let guard = Arc::new(Self::default());
        let asked = Arc::clone(&guard);
        connection.authorizer(Some(move |context: AuthContext<'_>| asked.authorize(&context)))?;
        Ok(guard)
    }

    /// Runs statements of the stand-in itself.
    pub(super) fn trusting<T>(&self, work: impl FnOnce() -> T) -> T {
        self.trusted.store(true, Ordering::Relaxed);
        let done = work();
        self.trusted.store(false, Ordering::Relaxed);
        done
    }

    /// Whether the last refusal was of a transaction; asked once.
    pub(super) fn refused_transaction(&self) -> bool {
        self.refused_transaction.swap(false, Ordering::Relaxed)
    }

    fn authorize(&self, context: &AuthContext<'_>) -> Authorization {
        if self.trusted.load(Ordering::Relaxed) {
            return Authorization::Allow;
        }
        let allowed = match context.action {
            AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => {
                self.refused_transaction.store(true, Ordering::Relaxed);
                false
            }
            AuthAction::Attach { .. }
            | AuthAction::Detach { .. }
            | AuthAction::CreateTempIndex { .. }
            | AuthAction::CreateTempTable { .. }
            | AuthAction::CreateTempTrigger { .. }
            | AuthAction::CreateTempView { .. } => false,
            AuthAction::Pragma { pragma_name, .. } => PRAGMAS.contains(&pragma_name.to_ascii_lowercase().as_str()),
            AuthAction::Function { function_name } => !FUNCTIONS.contains(&function_name),
            AuthAction::CreateVtable { module_name, .. } => MODULES.contains(&module_name),
            AuthAction::CreateTable { table_name }
            | AuthAction::DropTable { table_name }
            | AuthAction::AlterTable { table_name, .. }
            | AuthAction::Insert { table_name }
            | AuthAction::Delete { table_name }
            | AuthAction::Update { table_name, .. }
            | AuthAction::Read { table_name, .. } => !table_name.starts_with(RESERVED),
            _ => true,
        };
        if allowed { Authorization::Allow } else { Authorization::Deny }
    }
}
