//! What to ingest and where to: command line, environment and wrangler.toml, checked together, so
//! that all mistakes are mended in one go.

use std::fmt;
use std::path::{Path, PathBuf};

use docent_core::document::{Site, UrlStyle};
use serde::Deserialize;

use crate::source::{Location, Source};

/// Cloudflare's REST API.
pub const DEFAULT_API_BASE: &str = "https://api.cloudflare.com/client/v4";

/// An API token, which is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What was given, unchecked.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Address of the documentation's root folder.
    pub base_url: Option<String>,
    /// How the site spells addresses.
    pub url_style: UrlStyle,
    /// The deployment file.
    pub config: PathBuf,
    /// Its environment.
    pub env: Option<String>,
    /// Vectorize index, instead of the one in the deployment file.
    pub index: Option<String>,
    /// KV namespace id, instead of the one in the deployment file.
    pub kv_id: Option<String>,
    /// Where the REST API is.
    pub api_base: Option<String>,
    /// Cloudflare account id.
    pub account_id: Option<String>,
    /// Cloudflare API token.
    pub api_token: Option<String>,
    /// Embedding calls at a time.
    pub concurrency: usize,
    /// Plan only.
    pub dry_run: bool,
}

/// What was given, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What to ingest.
    pub sources: Vec<Source>,
    /// REST API, without a slash at its end.
    pub api_base: String,
    /// Cloudflare account id.
    pub account_id: String,
    /// Cloudflare API token.
    pub api_token: Token,
    /// Vectorize index.
    pub index: String,
    /// KV namespace of the manifest and the index record.
    pub kv_id: String,
    /// Embedding calls at a time, at least 1.
    pub concurrency: usize,
    /// Plan only.
    pub dry_run: bool,
}

/// Everything that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Problems(pub Vec<String>);

impl Settings {
    /// Checks everything, and reads the deployment file if names are to come from it.
    pub fn new(given: Given) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut note = |problem: String| {
            problems.push(problem);
            String::new()
        };
        let site = match &given.base_url {
            None => Err("--base-url is missing: the address under which the pages are published (or DOCENT_BASE_URL)"
                .to_owned()),
            Some(base) => Site::new(base, given.url_style).map_err(|error| format!("--base-url: {error}")),
        };
        let site = site.map_err(&mut note).ok();
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
            "a token with Workers AI: Read, Vectorize: Edit and Workers KV Storage: Edit",
        )
        .unwrap_or_else(&mut note);
        let api_base = checked_api_base(given.api_base.as_deref()).unwrap_or_else(&mut note);
        let (index, kv_id) = match (given.index.clone(), given.kv_id.clone()) {
            (Some(index), Some(kv_id)) => (index, kv_id),
            (index, kv_id) => match Deployment::read(&given.config, given.env.as_deref()) {
                Err(problem) => (note(problem), String::new()),
                Ok(deployment) => (
                    index.map_or_else(|| deployment.index(&given.config), Ok).unwrap_or_else(&mut note),
                    kv_id.map_or_else(|| deployment.kv_id(&given.config), Ok).unwrap_or_else(&mut note),
                ),
            },
        };
        let Given { paths, concurrency, dry_run, .. } = given;
        let (concurrency, api_token) = (concurrency.max(1), Token(api_token));
        match site {
            Some(site) if problems.is_empty() => {
                let from = |path| Source {
                    location: Location::Path(path),
                    site: site.clone(),
                    exclude: Vec::new(),
                    prefix: String::new(),
                };
                let sources = paths.into_iter().map(from).collect();
                Ok(Self { sources, api_base, account_id, api_token, index, kv_id, concurrency, dry_run })
            }
            _ => Err(Problems(problems)),
        }
    }
}

/// The token goes there, so it is encrypted, or does not leave the machine.
fn checked_api_base(given: Option<&str>) -> Result<String, String> {
    let base = given.unwrap_or(DEFAULT_API_BASE).trim().trim_end_matches('/');
    let host = base.strip_prefix("http://").map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
    if base.starts_with("https://") || matches!(host, Some("127.0.0.1" | "localhost")) {
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
    env: std::collections::BTreeMap<String, Deployment>,
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

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        name = "docent"
        [[vectorize]]
        binding = "INDEX"
        index_name = "docent"
        [[kv_namespaces]]
        binding = "SESSIONS"
        id = "<run: npx wrangler kv namespace create SESSIONS>"
        [[env.staging.vectorize]]
        binding = "INDEX"
        index_name = "docent-staging"
        [[env.staging.kv_namespaces]]
        binding = "SESSIONS"
        id = "0123456789abcdef0123456789abcdef"
    "#;

    fn given(folder: &Path) -> Given {
        let config = folder.join("wrangler.toml");
        std::fs::write(&config, FILE).unwrap();
        let some = |text: &str| Some(text.to_owned());
        Given {
            config,
            base_url: some("https://docs.example.com"),
            account_id: some("a"),
            api_token: some("secret"),
            ..Given::default()
        }
    }

    #[test]
    fn everything_that_is_missing_is_said_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = Given {
            base_url: None,
            account_id: None,
            api_token: None,
            api_base: Some("http://example.com".to_owned()),
            ..given(folder.path())
        };
        let problems = Settings::new(nothing).unwrap_err().to_string();
        for part in ["--base-url", "CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_TOKEN", "--api-base", "kv namespace create"]
        {
            assert!(problems.contains(part), "{part} in {problems}");
        }
    }

    #[test]
    fn names_come_from_the_deployment_file_its_environment_or_the_command_line() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Settings::new(Given { env: Some("staging".to_owned()), ..given(folder.path()) }).unwrap();
        assert_eq!(
            (staging.index.as_str(), staging.kv_id.as_str()),
            ("docent-staging", "0123456789abcdef0123456789abcdef")
        );
        let own = Settings::new(Given { kv_id: Some("any".to_owned()), ..given(folder.path()) }).unwrap();
        assert_eq!(
            (own.index.as_str(), own.kv_id.as_str(), own.api_base.as_str()),
            ("docent", "any", DEFAULT_API_BASE)
        );
        assert!(!format!("{own:?}").contains("secret"));
        let missing = Settings::new(Given { env: Some("live".to_owned()), ..given(folder.path()) }).unwrap_err();
        assert!(missing.to_string().contains("[env.live]"));
    }
}
