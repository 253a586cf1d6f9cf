//! wrangler.toml, the one deployment file, as far as it concerns more than wrangler: which databases
//! and indexes the Worker is bound to, so that ingest writes there and the stand-in plays them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What the Worker is deployed with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deployment {
    /// Day whose behaviour of the runtime is wanted.
    pub compatibility_date: Option<String>,
    /// Settings. What is not text, such as `TOP_K = 3`, the Worker gets as a number, a list or a table.
    pub vars: BTreeMap<String, Value>,
    /// Name of the Vectorize index bound as `INDEX`.
    pub index: Option<String>,
    /// Id of the KV namespace bound as `SESSIONS`; `None` also when the one in the file is no id yet.
    pub sessions: Option<String>,
    /// D1 database bound as `CONTENT`; without it, docent does without.
    pub content: Option<Database>,
    /// Folder of the static assets, from the folder of the file on.
    pub assets: Option<String>,
}

/// A D1 database of the deployment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Its id; `None` also when the one in the file is no id yet.
    pub id: Option<String>,
    /// Its name, `CONTENT` where the file has none.
    pub name: String,
    /// Folder of its migrations, from the folder of the file on.
    pub migrations_dir: String,
}

/// Why a text is no deployment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeploymentError {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// It has no such environment.
    #[error("there is no environment [env.{0}] in it")]
    NoEnvironment(String),
}

#[derive(Deserialize)]
struct File {
    compatibility_date: Option<String>,
    assets: Option<Assets>,
    #[serde(flatten)]
    top: Bindings,
    #[serde(default)]
    env: BTreeMap<String, Environment>,
}

#[derive(Deserialize)]
struct Environment {
    compatibility_date: Option<String>,
    assets: Option<Assets>,
    #[serde(flatten)]
    bindings: Bindings,
}

/// What environments do not inherit.
#[derive(Deserialize)]
struct Bindings {
    #[serde(default)]
    vars: BTreeMap<String, Value>,
    #[serde(default)]
    vectorize: Vec<Index>,
    #[serde(default)]
    kv_namespaces: Vec<Namespace>,
    #[serde(default)]
    d1_databases: Vec<D1Database>,
}

#[derive(Deserialize)]
struct Assets {
    directory: Option<String>,
}

#[derive(Deserialize)]
struct Index {
    binding: String,
    index_name: String,
}

#[derive(Deserialize)]
struct Namespace {
    binding: String,
    #[serde(default)]
    id: String,
}

#[derive(Deserialize)]
struct D1Database {
    binding: String,
    #[serde(default)]
    database_id: String,
    database_name: Option<String>,
    migrations_dir: Option<String>,
}

impl Deployment {
    /// Reads the text of wrangler.toml, or of one of its environments.
    pub fn parse(text: &str, environment: Option<&str>) -> Result<Self, DeploymentError> {
        let mut file: File = toml::from_str(text).map_err(|error| DeploymentError::Unreadable(error.to_string()))?;
        let (date, assets, bindings) = match environment {
            None => (file.compatibility_date, file.assets, file.top),
            Some(name) => {
                let chosen = file.env.remove(name).ok_or_else(|| DeploymentError::NoEnvironment(name.to_owned()))?;
                let date = chosen.compatibility_date.or(file.compatibility_date);
                (date, chosen.assets.or(file.assets), chosen.bindings)
            }
        };
        let Bindings { vars, vectorize, kv_namespaces, d1_databases } = bindings;
        let index = vectorize.into_iter().find(|index| index.binding == "INDEX").map(|index| index.index_name);
        let sessions = kv_namespaces.into_iter().find(|space| space.binding == "SESSIONS").map(|space| space.id);
        let content = d1_databases.into_iter().find(|database| database.binding == "CONTENT");
        Ok(Self {
            compatibility_date: date,
            vars,
            index: index.filter(|name| !name.is_empty()),
            sessions: sessions.filter(|id| is_namespace_id(id)),
            content: content.map(|database| Database {
                id: Some(database.database_id).filter(|id| is_database_id(id)),
                name: database.database_name.unwrap_or(database.binding),
                // Wrangler's default.
                migrations_dir: database.migrations_dir.unwrap_or_else(|| "migrations".to_owned()),
            }),
            assets: assets.and_then(|assets| assets.directory),
        })
    }
}

/// As Cloudflare gives it: 32 hexadecimal digits.
fn is_namespace_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// As Cloudflare gives it: a UUID.
fn is_database_id(id: &str) -> bool {
    let groups = id.split('-').map(str::len);
    groups.eq([8, 4, 4, 4, 12]) && id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FILE: &str = r#"
        name = "docent"
        compatibility_date = "2026-11-01"
        vectorize = [{ binding = "OTHER", index_name = "other" }, { binding = "INDEX", index_name = "docs" }]
        kv_namespaces = [{ binding = "SESSIONS", id = "<the id>" }]
        assets = { directory = "worker/build/assets" }
        [[d1_databases]]
        binding = "CONTENT"
        database_name = "docent"
        migrations_dir = "worker/migrations"
        [vars]
        PRODUCT = "uv"
        TOP_K = 3
        [env.staging]
        kv_namespaces = [{ binding = "SESSIONS", id = "0123456789abcdef0123456789abcdef" }]
        d1_databases = [{ binding = "CONTENT", database_id = "01234567-89ab-cdef-0123-456789abcdef" }]
    "#;

    #[test]
    fn a_deployment_file_says_how_the_worker_is_bound() {
        let vars = [("PRODUCT", json!("uv")), ("TOP_K", json!(3))];
        let top = Deployment {
            compatibility_date: Some("2026-11-01".to_owned()),
            vars: vars.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            index: Some("docs".to_owned()),
            sessions: None,
            content: Some(Database {
                id: None,
                name: "docent".to_owned(),
                migrations_dir: "worker/migrations".to_owned(),
            }),
            assets: Some("worker/build/assets".to_owned()),
        };
        assert_eq!(Deployment::parse(FILE, None), Ok(top));
    }

    #[test]
    fn an_environment_inherits_date_and_assets_but_no_bindings() {
        let staging = Deployment::parse(FILE, Some("staging")).unwrap();
        assert_eq!(staging.compatibility_date.as_deref(), Some("2026-11-01"));
        assert_eq!(staging.assets.as_deref(), Some("worker/build/assets"));
        assert_eq!((staging.index, staging.vars.len()), (None, 0));
        assert_eq!(staging.sessions.as_deref(), Some("0123456789abcdef0123456789abcdef"));
        let content = staging.content.unwrap();
        assert_eq!(content.id.as_deref(), Some("01234567-89ab-cdef-0123-456789abcdef"));
        assert_eq!((content.name.as_str(), content.migrations_dir.as_str()), ("CONTENT", "migrations"));
        assert_eq!(Deployment::parse(FILE, Some("live")), Err(DeploymentError::NoEnvironment("live".to_owned())));
    }
}
