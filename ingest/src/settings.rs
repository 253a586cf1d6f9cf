//! What to ingest and where to: command line, environment, `docent.toml` and `wrangler.toml`,
//! checked together, so that all mistakes are mended in one go.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docent_core::document::{Site, UrlStyle};
use serde::Deserialize;

use crate::guard::{self, Golden, Guard};
use crate::source::{Location, Source};

/// Cloudflare's REST API.
pub const DEFAULT_API_BASE: &str = "https://api.cloudflare.com/client/v4";
/// Generations that can be gone back to.
pub const DEFAULT_KEEP: usize = 2;
/// Percent of the pages that may vanish without a question.
pub const DEFAULT_MAX_VANISHED: u8 = 20;
/// Embedding calls at a time.
pub const DEFAULT_CONCURRENCY: usize = 4;

/// An API token, which is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Where the index is, as given, unchecked.
#[derive(Debug, Clone, Default)]
pub struct GivenConnection {
    /// The deployment file.
    pub config: PathBuf,
    /// Its environment.
    pub env: Option<String>,
    /// Vectorize index, instead of the one in the deployment file.
    pub index: Option<String>,
    /// KV namespace id, instead of the one in the deployment file.
    pub kv_id: Option<String>,
    /// D1 database id, instead of the one in the deployment file; empty: none.
    pub d1_id: Option<String>,
    /// Where the REST API is.
    pub api_base: Option<String>,
    /// Cloudflare account id.
    pub account_id: Option<String>,
    /// Cloudflare API token.
    pub api_token: Option<String>,
}

/// What to ingest, as given, unchecked. What is absent comes from the settings file, or has its
/// default.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Where to.
    pub connection: GivenConnection,
    /// Settings file; `docent.toml` is read if it is there.
    pub settings: Option<PathBuf>,
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Address of the documentation's root folder.
    pub base_url: Option<String>,
    /// How the site spells addresses.
    pub url_style: Option<UrlStyle>,
    /// Embedding calls at a time.
    pub concurrency: Option<usize>,
    /// Generations that can be gone back to.
    pub keep: Option<usize>,
    /// Percent of the pages that may vanish.
    pub max_vanished: Option<u8>,
    /// Guards that are overruled.
    pub allow: BTreeSet<Guard>,
    /// File of golden questions.
    pub golden: Option<PathBuf>,
    /// How long to wait for another ingest.
    pub wait: Option<Duration>,
    /// Create the index if it is not there.
    pub create_index: bool,
    /// Plan only.
    pub dry_run: bool,
}

/// Where the index is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// REST API, without a slash at its end.
    pub api_base: String,
    /// Cloudflare account id.
    pub account_id: String,
    /// Cloudflare API token.
    pub api_token: Token,
    /// Vectorize index.
    pub index: String,
    /// KV namespace of what readers are told.
    pub kv_id: String,
    /// D1 database of the state and the full-text index; without one the state is in KV.
    pub database: Option<String>,
}

/// What to ingest and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to.
    pub connection: Connection,
    /// What to ingest.
    pub sources: Vec<Source>,
    /// Embedding calls at a time, at least 1.
    pub concurrency: usize,
    /// Generations that can be gone back to.
    pub keep: usize,
    /// Percent of the pages that may vanish.
    pub max_vanished: u8,
    /// Guards that are overruled.
    pub allow: BTreeSet<Guard>,
    /// Questions that must not lose their page.
    pub golden: Vec<Golden>,
    /// How long to wait for another ingest.
    pub wait: Duration,
    /// Create the index if it is not there.
    pub create_index: bool,
    /// Plan only.
    pub dry_run: bool,
}

/// Everything that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Problems(pub Vec<String>);

/// `docent.toml`. Paths are relative to the folder that it is in.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    sources: Vec<PathBuf>,
    base_url: Option<String>,
    url_style: Option<UrlStyle>,
    concurrency: Option<usize>,
    keep: Option<usize>,
    max_vanished: Option<u8>,
    golden: Option<PathBuf>,
    #[serde(deserialize_with = "duration")]
    wait: Option<Duration>,
}

fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map(Some).map_err(serde::de::Error::custom)
}

/// Name of the settings file.
pub const SETTINGS_FILE: &str = "docent.toml";

impl File {
    /// The file that is given must be there, the usual one may be.
    fn read(given: Option<&Path>) -> Result<Self, String> {
        let path = given.unwrap_or(Path::new(SETTINGS_FILE));
        let shown = path.display();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if given.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(format!("--settings: cannot read {shown}: {error}")),
        };
        let mut file: Self = toml::from_str(&text).map_err(|error| format!("{shown}: {error}"))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for path in file.sources.iter_mut().chain(&mut file.golden) {
            *path = folder.join(&*path);
        }
        Ok(file)
    }
}

impl Settings {
    /// Checks everything.
    pub fn new(given: Given) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let file = File::read(given.settings.as_deref()).unwrap_or_else(|problem| {
            problems.push(problem);
            File::default()
        });
        let connection = Connection::new(given.connection).map_err(|Problems(more)| problems.extend(more)).ok();
        let paths = if given.paths.is_empty() { file.sources } else { given.paths };
        if paths.is_empty() {
            problems.push(format!("nothing to ingest: name folders or files, or set sources in {SETTINGS_FILE}"));
        }
        let style = given.url_style.or(file.url_style).unwrap_or_default();
        let site = match given.base_url.or(file.base_url) {
            None => Err(format!(
                "--base-url is missing: the address under which the pages are published (or DOCENT_BASE_URL, or \
                 base_url in {SETTINGS_FILE})"
            )),
            Some(base) => Site::new(&base, style).map_err(|error| format!("--base-url: {error}")),
        };
        let site = site.map_err(|problem| problems.push(problem)).ok();
        let max_vanished = given.max_vanished.or(file.max_vanished).unwrap_or(DEFAULT_MAX_VANISHED);
        if max_vanished > 100 {
            problems.push(format!("max_vanished is {max_vanished}, and a percentage is at most 100"));
        }
        let golden = given.golden.or(file.golden).map(|path| guard::golden(&path)).transpose();
        let golden = golden.map_err(|problem| problems.push(problem)).ok().flatten().unwrap_or_default();
        match (connection, site) {
            (Some(connection), Some(site)) if problems.is_empty() => Ok(Self {
                connection,
                sources: paths
                    .into_iter()
                    .map(|path| Source { location: Location::Path(path), site: site.clone() })
                    .collect(),
                concurrency: given.concurrency.or(file.concurrency).unwrap_or(DEFAULT_CONCURRENCY).max(1),
                keep: given.keep.or(file.keep).unwrap_or(DEFAULT_KEEP),
                max_vanished,
                allow: given.allow,
                golden,
                wait: given.wait.or(file.wait).unwrap_or_default(),
                create_index: given.create_index,
                dry_run: given.dry_run,
            }),
            _ => Err(Problems(problems)),
        }
    }
}

impl Connection {
    /// Checks everything, and reads the deployment file if names are to come from it.
    pub fn new(given: GivenConnection) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut note = |problem: String| {
            problems.push(problem);
            String::new()
        };
        let required = |value: &Option<String>, name: &str, what: &str| {
            let value = value.as_ref().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("{name} is not set: {what}"))
        };
        let account_id = required(
            &given.account_id,
            "CLOUDFLARE_ACCOUNT_ID",
            "the account that the index belongs to; `npx wrangler whoami` prints it",
        )
        .unwrap_or_else(&mut note);
        let api_token = required(
            &given.api_token,
            "CLOUDFLARE_API_TOKEN",
            "a token with Workers AI: Read, Vectorize: Edit, D1: Edit and Workers KV Storage: Edit",
        )
        .unwrap_or_else(&mut note);
        let api_base = checked_api_base(given.api_base.as_deref()).unwrap_or_else(&mut note);
        let (index, kv_id, database) = match (given.index, given.kv_id, given.d1_id) {
            (Some(index), Some(kv_id), database) => (index, kv_id, database),
            (index, kv_id, database) => match Deployment::read(&given.config, given.env.as_deref()) {
                Err(problem) => (note(problem), String::new(), None),
                Ok(deployment) => (
                    index.map_or_else(|| deployment.index(&given.config), Ok).unwrap_or_else(&mut note),
                    kv_id.map_or_else(|| deployment.kv_id(&given.config), Ok).unwrap_or_else(&mut note),
                    database.or_else(|| deployment.database()),
                ),
            },
        };
        let database = database.filter(|id| !id.is_empty());
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        Ok(Self { api_base, account_id, api_token: Token(api_token), index, kv_id, database })
    }

    /// Whether the API is on this machine.
    pub fn is_local(&self) -> bool {
        loopback(&self.api_base).is_some_and(|is_loopback| is_loopback)
    }
}

/// For an address that is not encrypted: whether it is on this machine.
fn loopback(base: &str) -> Option<bool> {
    let host = base.strip_prefix("http://")?.split(['/', ':']).next().unwrap_or_default();
    Some(matches!(host, "127.0.0.1" | "localhost"))
}

/// The token goes there, so it is encrypted, or does not leave the machine.
fn checked_api_base(given: Option<&str>) -> Result<String, String> {
    let base = given.unwrap_or(DEFAULT_API_BASE).trim().trim_end_matches('/');
    if base.starts_with("https://") || loopback(base) == Some(true) {
        return Ok(base.to_owned());
    }
    Err(format!("--api-base: {base:?} must begin with https://, or be on this machine (http://127.0.0.1:…)"))
}

/// The parts of wrangler.toml that ingest needs.
#[derive(Deserialize)]
struct Deployment {
    #[serde(default)]
    vectorize: Vec<Index>,
    #[serde(default)]
    kv_namespaces: Vec<Namespace>,
    #[serde(default)]
    d1_databases: Vec<Database>,
    #[serde(default)]
    env: std::collections::BTreeMap<String, Deployment>,
}

#[derive(Deserialize)]
struct Database {
    binding: String,
    #[serde(default)]
    database_id: String,
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

impl Deployment {
    /// Bindings are not inherited by environments.
    fn read(path: &Path, env: Option<&str>) -> Result<Self, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {shown}: {error}; name the deployment file with --config"))?;
        let mut deployment: Self =
            toml::from_str(&text).map_err(|error| format!("{shown} is not a deployment file: {error}"))?;
        match env {
            None => Ok(deployment),
            Some(env) => deployment.env.remove(env).ok_or_else(|| format!("{shown} has no environment [env.{env}]")),
        }
    }

    fn database(&self) -> Option<String> {
        self.d1_databases
            .iter()
            .find(|database| database.binding == "CONTENT")
            .map(|database| database.database_id.clone())
    }

    fn index(&self, path: &Path) -> Result<String, String> {
        let index = self.vectorize.iter().find(|index| index.binding == "INDEX");
        index.map(|index| index.index_name.clone()).filter(|name| !name.is_empty()).ok_or_else(|| {
            format!(
                "{} binds no Vectorize index as INDEX: add [[vectorize]] with binding and index_name",
                path.display()
            )
        })
    }

    fn kv_id(&self, path: &Path) -> Result<String, String> {
        let id = self.kv_namespaces.iter().find(|space| space.binding == "SESSIONS").map(|space| space.id.as_str());
        match id {
            Some(id) if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(id.to_owned()),
            _ => Err(format!(
                "{} has no id for the KV namespace SESSIONS yet: run `npx wrangler kv namespace create SESSIONS` and \
                 write the id that it prints there",
                path.display()
            )),
        }
    }
}
