//! What to ingest and where to: command line, environment, `docent.toml` and `wrangler.toml`,
//! checked together, so that all mistakes are mended in one go.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docent_core::anchors::Anchors;
use docent_core::deployment::Deployment;
use docent_core::document::layout::Layout;
use docent_core::document::{Generator, Labels, OperationLinks, Site, UrlStyle};
use serde::Deserialize;

use crate::guard::{self, Golden, Guard};
use crate::source::{self, Location, Source};
use crate::web::Web;

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
    /// Files, folders and patterns, instead of the sources of the settings file.
    pub paths: Vec<PathBuf>,
    /// Address of the documentation's root folder.
    pub base_url: Option<String>,
    /// The program that makes the site.
    pub site: Option<Generator>,
    /// How the site spells addresses.
    pub url_style: Option<UrlStyle>,
    /// Patterns of files that are left out, beside those of the settings file.
    pub exclude: Vec<String>,
    /// Pages of a web site that are asked for at most.
    pub max_pages: Option<usize>,
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
    /// Generators that were recognised, in words.
    pub detected: Vec<String>,
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
    sources: Vec<String>,
    /// Sources with settings of their own.
    source: Vec<Table>,
    base_url: Option<String>,
    site: Option<Generator>,
    url_style: Option<UrlStyle>,
    exclude: Vec<String>,
    max_pages: Option<usize>,
    concurrency: Option<usize>,
    keep: Option<usize>,
    max_vanished: Option<u8>,
    golden: Option<PathBuf>,
    #[serde(deserialize_with = "duration")]
    wait: Option<Duration>,
}

/// One `[[source]]`. What it leaves out is as for all sources.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Table {
    path: String,
    base_url: Option<String>,
    site: Option<Generator>,
    url_style: Option<UrlStyle>,
    anchors: Option<Anchors>,
    exclude: Vec<String>,
    prefix: String,
    lang: String,
    version: String,
    product: String,
    operation_links: OperationLinks,
    operations_page: Option<String>,
    /// For a site on the web: pages at most, requests at a time, folder of the cache (empty: none).
    max_pages: Option<usize>,
    concurrency: Option<usize>,
    cache: Option<PathBuf>,
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
        let paths = file.sources.iter_mut().chain(file.source.iter_mut().map(|table| &mut table.path));
        for path in paths.filter(|path| !is_address(path)) {
            *path = folder.join(&*path).display().to_string();
        }
        file.golden = file.golden.map(|golden| folder.join(golden));
        Ok(file)
    }
}

impl Table {
    /// Fills in what holds for all sources, finds out who makes the site, and checks it.
    fn source(self, all: &Common<'_>, detected: &mut Vec<String>) -> Result<Source, String> {
        if self.path.is_empty() {
            return Err("a [[source]] has no path".to_owned());
        }
        if is_address(&self.path) {
            return self.web(all);
        }
        let path = PathBuf::from(&self.path);
        let prefix = self.prefix();
        let wanted = self.site.or(all.site);
        let found = source::detect(&path).filter(|found| wanted.is_none_or(|wanted| wanted == found.layout.generator));
        if let Some(found) = &found {
            detected.push(format!(
                "{}: {}, from {}",
                self.path,
                found.layout.generator.name(),
                found.because.display()
            ));
        }
        let layout = found.map(|found| found.layout);
        let layout = layout.unwrap_or_else(|| Layout { generator: wanted.unwrap_or_default(), ..Layout::default() });
        let base = self.base_url.or_else(|| all.base_url.map(str::to_owned)).or_else(|| layout.base.clone());
        let base = base.ok_or_else(|| {
            format!(
                "--base-url is missing for {}: the address under which its pages are published (or DOCENT_BASE_URL, \
                 or base_url in {SETTINGS_FILE})",
                self.path
            )
        })?;
        let mut site = Site::of(&base, layout).map_err(|error| format!("--base-url: {error}"))?;
        if let Some(style) = self.url_style.or(all.url_style) {
            site = site.with_style(style);
        }
        if let Some(anchors) = self.anchors {
            site = site.with_anchors(anchors);
        }
        let labels = Labels { lang: self.lang, version: self.version, product: self.product };
        let site = site.with_operations(self.operation_links, self.operations_page).with_labels(labels);
        let exclude = all.exclude.iter().chain(&self.exclude).cloned().collect();
        Ok(Source { location: Location::Path(path), site, exclude, prefix })
    }

    /// A site on the web says itself where its pages are.
    fn web(self, all: &Common<'_>) -> Result<Source, String> {
        let mut web = Web::new(&self.path).map_err(|error| error.to_string())?;
        web.max_pages = self.max_pages.or(all.max_pages).unwrap_or(web.max_pages);
        web.concurrency = self.concurrency.unwrap_or(web.concurrency);
        if let Some(cache) = &self.cache {
            web.cache = Some(cache.clone()).filter(|cache| !cache.as_os_str().is_empty());
        }
        let prefix = self.prefix();
        let origin = self.path.split(['?', '#']).next().unwrap_or_default();
        let labels = Labels { lang: self.lang, version: self.version, product: self.product };
        let site = Site::new(origin, UrlStyle::Clean).map_err(|error| error.to_string())?.with_labels(labels);
        Ok(Source { location: Location::Web(web), site, exclude: Vec::new(), prefix })
    }

    fn prefix(&self) -> String {
        let prefix = self.prefix.trim_matches('/');
        if prefix.is_empty() { String::new() } else { format!("{prefix}/") }
    }
}

fn is_address(path: &str) -> bool {
    path.starts_with("https://") || path.starts_with("http://")
}

/// What holds for every source that does not say otherwise.
struct Common<'a> {
    base_url: Option<&'a str>,
    site: Option<Generator>,
    url_style: Option<UrlStyle>,
    exclude: &'a [String],
    max_pages: Option<usize>,
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
        let table = |path: String| Table { path, ..Table::default() };
        let tables: Vec<Table> = if given.paths.is_empty() {
            file.sources.into_iter().map(table).chain(file.source).collect()
        } else {
            given.paths.iter().map(|path| table(path.display().to_string())).collect()
        };
        if tables.is_empty() {
            problems.push(format!("nothing to ingest: name folders or files, or set sources in {SETTINGS_FILE}"));
        }
        let base_url = given.base_url.or(file.base_url);
        let all = Common {
            base_url: base_url.as_deref(),
            site: given.site.or(file.site),
            url_style: given.url_style.or(file.url_style),
            exclude: &[given.exclude, file.exclude].concat(),
            max_pages: given.max_pages.or(file.max_pages),
        };
        let (mut sources, mut detected) = (Vec::new(), Vec::new());
        for table in tables {
            match table.source(&all, &mut detected) {
                Ok(source) => sources.push(source),
                Err(problem) => problems.push(problem),
            }
        }
        let max_vanished = given.max_vanished.or(file.max_vanished).unwrap_or(DEFAULT_MAX_VANISHED);
        if max_vanished > 100 {
            problems.push(format!("max_vanished is {max_vanished}, and a percentage is at most 100"));
        }
        let golden = given.golden.or(file.golden).map(|path| guard::golden(&path)).transpose();
        let golden = golden.map_err(|problem| problems.push(problem)).ok().flatten().unwrap_or_default();
        match connection {
            Some(connection) if problems.is_empty() => Ok(Self {
                connection,
                sources,
                detected,
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
            (index, kv_id, database) => match Names::read(&given.config, given.env.as_deref()) {
                Err(problem) => (note(problem), String::new(), None),
                Ok(names) => (
                    index.map_or_else(|| names.index(), Ok).unwrap_or_else(&mut note),
                    kv_id.map_or_else(|| names.kv_id(), Ok).unwrap_or_else(&mut note),
                    database.map_or_else(|| names.d1_id(), |id| Ok(Some(id))).unwrap_or_else(|problem| {
                        note(problem);
                        None
                    }),
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

/// Names and ids from the deployment file, each with what to do if it is not there.
struct Names<'a> {
    shown: std::path::Display<'a>,
    deployment: Deployment,
}

impl<'a> Names<'a> {
    fn read(path: &'a Path, environment: Option<&str>) -> Result<Self, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {shown}: {error}; name the deployment file with --config"))?;
        let deployment = Deployment::parse(&text, environment).map_err(|error| format!("{shown}: {error}"))?;
        Ok(Self { shown, deployment })
    }

    fn index(&self) -> Result<String, String> {
        self.deployment.index.clone().ok_or_else(|| {
            format!("{} binds no Vectorize index as INDEX: add [[vectorize]] with binding and index_name", self.shown)
        })
    }

    fn kv_id(&self) -> Result<String, String> {
        self.deployment.sessions.clone().ok_or_else(|| {
            format!(
                "{} has no id for the KV namespace SESSIONS yet: run `npx wrangler kv namespace create SESSIONS` and \
                 write the id that it prints there",
                self.shown
            )
        })
    }

    /// None when no database is bound.
    fn d1_id(&self) -> Result<Option<String>, String> {
        let Some(database) = &self.deployment.content else { return Ok(None) };
        database.id.clone().map(Some).ok_or_else(|| {
            format!(
                "{} has no id for the D1 database CONTENT yet: run `npx wrangler d1 create {}`, write the id that it \
                 prints there, and run `npx wrangler d1 migrations apply CONTENT --remote`; or leave the block out, \
                 and docent does without full-text search",
                self.shown, database.name
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        name = "docent"
        [[vectorize]]
        binding = "INDEX"
        index_name = "docent"
        [[d1_databases]]
        binding = "CONTENT"
        database_name = "docent"
        [[kv_namespaces]]
        binding = "SESSIONS"
        [[env.staging.vectorize]]
        binding = "INDEX"
        index_name = "docent-staging"
        [[env.staging.kv_namespaces]]
        binding = "SESSIONS"
        id = "0123456789abcdef0123456789abcdef"
    "#;

    fn connection(folder: &Path) -> GivenConnection {
        let config = folder.join("wrangler.toml");
        std::fs::write(&config, FILE).unwrap();
        GivenConnection {
            config,
            account_id: Some("a".to_owned()),
            api_token: Some("secret".to_owned()),
            ..GivenConnection::default()
        }
    }

    #[test]
    fn everything_that_is_missing_is_said_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let golden = folder.path().join("golden.jsonl");
        std::fs::write(&golden, "{\"question\":\"How?\",\"pages\":[\"a.md\"]}\n{\"question\":1}\n").unwrap();
        let given = Given {
            connection: GivenConnection {
                account_id: None,
                api_token: None,
                api_base: Some("http://example.com".to_owned()),
                ..connection(folder.path())
            },
            paths: vec![PathBuf::from("docs")],
            golden: Some(golden),
            ..Given::default()
        };
        let problems = Settings::new(given).unwrap_err().to_string();
        for part in [
            "--base-url",
            "CLOUDFLARE_ACCOUNT_ID",
            "CLOUDFLARE_API_TOKEN",
            "--api-base",
            "kv namespace create",
            "d1 create docent",
            "golden.jsonl, line 2",
        ] {
            assert!(problems.contains(part), "{part} in {problems}");
        }
        let nothing = Settings::new(Given { connection: connection(folder.path()), ..Given::default() });
        assert!(nothing.unwrap_err().to_string().contains("nothing to ingest"));
    }

    #[test]
    fn names_come_from_the_deployment_file_its_environment_or_the_command_line() {
        let folder = tempfile::tempdir().unwrap();
        let staging = GivenConnection { env: Some("staging".to_owned()), ..connection(folder.path()) };
        let staging = Connection::new(staging).unwrap();
        assert_eq!((staging.index.as_str(), staging.database), ("docent-staging", None));
        assert_eq!(staging.kv_id, "0123456789abcdef0123456789abcdef");
        let own = GivenConnection {
            kv_id: Some("any".to_owned()),
            d1_id: Some("db".to_owned()),
            ..connection(folder.path())
        };
        let own = Connection::new(own).unwrap();
        assert_eq!([own.index.as_str(), &own.kv_id, &own.api_base], ["docent", "any", DEFAULT_API_BASE]);
        assert!(!format!("{own:?}").contains("secret"));
        assert_eq!(own.database.as_deref(), Some("db"));
        let missing = GivenConnection { env: Some("live".to_owned()), ..connection(folder.path()) };
        assert!(Connection::new(missing).unwrap_err().to_string().contains("[env.live]"));
    }

    #[test]
    fn an_address_is_a_site_on_the_web() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("docent.toml");
        let text = "sources = [\"https://a.example.com/\"]\n[[source]]\npath = \"https://b.example.com/docs/\"\n\
                    max_pages = 7\nconcurrency = 1\ncache = \"\"\nversion = \"2\"\nprefix = \"b\"\n";
        std::fs::write(&file, text).unwrap();
        let named = |id: &str| Some(id.to_owned());
        let connection = GivenConnection { kv_id: named("kv"), d1_id: named(""), ..connection(folder.path()) };
        let given = Given { connection, settings: Some(file), ..Given::default() };
        let settings = Settings::new(given).unwrap();
        let [first, second] = settings.sources.as_slice() else { panic!("{settings:?}") };
        assert_eq!(first.location, Location::Web(Web::new("https://a.example.com/").unwrap()));
        let Location::Web(web) = &second.location else { panic!("{second:?}") };
        assert_eq!((web.max_pages, web.concurrency, &web.cache), (7, 1, &None));
        assert_eq!((second.site.labels().version.as_str(), second.prefix.as_str()), ("2", "b/"));
    }

    #[test]
    fn the_settings_file_gives_what_the_command_line_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("docent.toml");
        let text = "sources = [\"docs\"]\nbase_url = \"https://docs.example.com\"\nkeep = 5\nwait = \"10m\"\n";
        std::fs::write(&file, text).unwrap();
        let given = || Given {
            connection: GivenConnection {
                kv_id: Some("kv".to_owned()),
                d1_id: Some(String::new()),
                ..connection(folder.path())
            },
            settings: Some(file.clone()),
            ..Given::default()
        };
        let settings = Settings::new(Given { keep: Some(1), ..given() }).unwrap();
        assert_eq!((settings.keep, settings.max_vanished, settings.wait), (1, 20, Duration::from_mins(10)));
        let [source] = settings.sources.as_slice() else { panic!("{settings:?}") };
        assert_eq!(source.location, Location::Path(folder.path().join("docs")), "paths are relative to the file");
        std::fs::write(&file, format!("{text}kept = 3\n")).unwrap();
        let problems = Settings::new(given()).unwrap_err().to_string();
        assert!(problems.contains("docent.toml") && problems.contains("kept"), "{problems}");
    }
}
