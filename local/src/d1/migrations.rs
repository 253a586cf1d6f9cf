//! How a schema grows: files of SQL in a folder, each applied once and as a whole, noted in a table
//! as `wrangler d1 migrations apply` does, so that both can go on where the other stopped.

use std::path::Path;

use serde_json::json;

use super::Query;
use super::session::Session;

/// wrangler's table, to the letter of its columns.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS d1_migrations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT UNIQUE,
    applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
)";

/// Applies what is missing, in the order of the names; says what that was.
pub(super) fn apply(session: &mut Session, folder: &Path) -> Result<Vec<String>, String> {
    let query = |sql: &str, params: Vec<serde_json::Value>| Query { sql: sql.to_owned(), params: Some(params) };
    let listed = [query(TABLE, Vec::new()), query("SELECT name FROM d1_migrations", Vec::new())];
    let listed = session.run(&listed).map_err(|refusal| refusal.message)?;
    let known: Vec<&str> =
        listed.iter().flatten().flat_map(|outcome| &outcome.rows).flatten().filter_map(|name| name.as_str()).collect();
    let mut applied = Vec::new();
    for name in files(folder)?.into_iter().filter(|name| !known.contains(&name.as_str())) {
        let path = folder.join(&name);
        let sql = std::fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let both = [query(&sql, Vec::new()), query("INSERT INTO d1_migrations (name) VALUES (?)", vec![json!(name)])];
        session.run(&both).map_err(|refusal| format!("cannot apply {}: {}", path.display(), refusal.message))?;
        applied.push(name);
    }
    Ok(applied)
}

/// Names of the files, by the number that they begin with.
fn files(folder: &Path) -> Result<Vec<String>, String> {
    let fault = |error| format!("cannot read the migrations in {}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let name = entry.map_err(fault)?.file_name().to_string_lossy().into_owned();
        if Path::new(&name).extension().is_some_and(|extension| extension == "sql") {
            names.push(name);
        }
    }
    names.sort_by_cached_key(|name| {
        let digits = name.bytes().take_while(u8::is_ascii_digit).count();
        (name.get(..digits).and_then(|digits| digits.parse::<u64>().ok()).unwrap_or(u64::MAX), name.clone())
    });
    Ok(names)
}
