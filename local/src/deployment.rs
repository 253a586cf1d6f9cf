//! What the stand-in reads from wrangler.toml, so that the bot runs locally as it is deployed.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// The parts of wrangler.toml that matter here; the rest is Cloudflare's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deployment {
    pub(crate) compatibility_date: String,
    pub(crate) vars: BTreeMap<String, String>,
    /// Vectorize index bound as `INDEX`.
    pub(crate) index: String,
    /// KV namespace bound as `SESSIONS`.
    pub(crate) sessions: String,
}

#[derive(Deserialize)]
struct File {
    compatibility_date: String,
    #[serde(default)]
    vars: BTreeMap<String, toml::Value>,
    #[serde(default)]
    vectorize: Vec<Index>,
    #[serde(default)]
    kv_namespaces: Vec<Namespace>,
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

/// Names for a stand-in that runs without a Worker.
impl Default for Deployment {
    fn default() -> Self {
        let name = || "docent".to_owned();
        Self { compatibility_date: String::new(), vars: BTreeMap::new(), index: name(), sessions: name() }
    }
}

impl Deployment {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read the deployment file {}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{} is not a deployment file: {error}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let File { compatibility_date, vars, vectorize, kv_namespaces } = toml::from_str(text)?;
        let index = vectorize.into_iter().find(|index| index.binding == "INDEX").map(|index| index.index_name);
        let sessions = kv_namespaces.into_iter().find(|space| space.binding == "SESSIONS").map(|space| space.id);
        // A namespace that is yet to be created has no id; locally any name will do.
        let or_docent = |name: Option<String>| name.filter(|name| !name.is_empty()).unwrap_or("docent".to_owned());
        let plain = |value: toml::Value| match value {
            toml::Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(Self {
            compatibility_date,
            vars: vars.into_iter().map(|(name, value)| (name, plain(value))).collect(),
            index: or_docent(index),
            sessions: or_docent(sessions),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_file_says_how_the_worker_is_bound() {
        let text = "name = \"docent\"\ncompatibility_date = \"2026-11-01\"\n\
                    vectorize = [{ binding = \"INDEX\", index_name = \"docs\" }]\n\
                    kv_namespaces = [{ binding = \"SESSIONS\" }]\n[vars]\nTOP_K = 3\nPRODUCT = \"uv\"\n";
        let deployment = Deployment::parse(text).unwrap();
        assert_eq!(deployment.compatibility_date, "2026-11-01");
        assert_eq!((deployment.index.as_str(), deployment.sessions.as_str()), ("docs", "docent"));
        assert_eq!(deployment.vars["TOP_K"], "3");
        assert_eq!(deployment.vars["PRODUCT"], "uv");
    }
}
