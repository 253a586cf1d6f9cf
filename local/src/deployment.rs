//! What the stand-in takes from wrangler.toml, so that the bot runs locally as it is deployed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::d1::DatabaseConfig;

/// What has no id yet, since nothing was created at Cloudflare, has this one here.
const PLACEHOLDER: &str = "docent";

/// The deployment, with an id or a name for everything.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deployment {
    pub(crate) compatibility_date: String,
    pub(crate) vars: BTreeMap<String, Value>,
    /// Vectorize index bound as `INDEX`.
    pub(crate) index: String,
    /// KV namespace bound as `SESSIONS`.
    pub(crate) sessions: String,
    /// D1 database bound as `CONTENT`.
    pub(crate) content: Option<DatabaseConfig>,
    /// Folder of the static assets.
    pub(crate) assets: Option<PathBuf>,
}

/// Names for a stand-in that runs without a Worker.
impl Default for Deployment {
    fn default() -> Self {
        let name = || PLACEHOLDER.to_owned();
        Self {
            compatibility_date: String::new(),
            vars: BTreeMap::new(),
            index: name(),
            sessions: name(),
            content: Some(DatabaseConfig { id: name(), name: name(), migrations: None }),
            assets: None,
        }
    }
}

impl Deployment {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read the deployment file {shown}: {error}"))?;
        let file = docent_core::deployment::Deployment::parse(&text, None)
            .map_err(|error| format!("{shown} is not a deployment file: {error}"))?;
        let or_placeholder = |name: Option<String>| name.unwrap_or_else(|| PLACEHOLDER.to_owned());
        Ok(Self {
            compatibility_date: file
                .compatibility_date
                .ok_or_else(|| format!("{shown} is not a deployment file: it has no compatibility_date"))?,
            vars: file.vars,
            index: or_placeholder(file.index),
            sessions: or_placeholder(file.sessions),
            content: file.content.map(|database| DatabaseConfig {
                id: or_placeholder(database.id),
                name: database.name,
                migrations: Some(path.with_file_name(database.migrations_dir)),
            }),
            assets: file.assets.map(|folder| path.with_file_name(folder)),
        })
    }
}
