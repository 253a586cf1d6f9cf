//! A bot on this machine: the stand-in for Cloudflare's services, an index of a folder of
//! documentation, and the built Worker in workerd.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docent_core::deployment::Deployment;
use docent_ingest::report::Report;
use docent_ingest::settings::{Given, GivenConnection, Settings};
use docent_ingest::source::Location;
use docent_ingest::walk::Place;
use docent_local::{Cloud, CloudConfig, DatabaseConfig, LlmConfig, Workerd, WorkerdConfig, workerd};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Where the documentation is said to be published when nobody says so: names of pages are relative to
/// it, so any address does.
pub const BASE_URL: &str = "https://docs.example/";
/// Index, namespace and database: each stand-in has its own, so one name does.
const NAME: &str = "docent";
/// Opens what only the harness sees, on this machine.
const TRACE_KEY: &str = "the harness on this machine sees traces";
/// Key of the server behind `--llm`, if it wants one.
const LLM_KEY: &str = "DOCENT_LLM_KEY";

/// What a bot on this machine is made of.
#[derive(Debug, Clone, Default, clap::Args)]
#[allow(clippy::doc_markdown)] // these comments are the text of --help
pub struct Parts {
    /// Setting of the local bot, stronger than the one in the deployment file; may be given again.
    #[arg(long, value_name = "NAME=VALUE", value_parser = read_variable, help_heading = "The local bot")]
    pub var: Vec<(String, String)>,

    /// Folder of a BERT model that makes the vectors; words alone do when absent.
    ///
    /// Needs a build with `--features bert`.
    #[arg(long, value_name = "DIR", help_heading = "The local bot")]
    pub model: Option<PathBuf>,

    /// Folder that keeps vectors of that model, for the next time.
    #[arg(long, value_name = "FOLDER", requires = "model", help_heading = "The local bot")]
    pub cache: Option<PathBuf>,

    /// Server with OpenAI's chat API that writes the answers; sentences of the documentation are quoted
    /// when absent.
    ///
    /// A key, if it wants one, is read from DOCENT_LLM_KEY.
    #[arg(long, value_name = "URL", help_heading = "The local bot")]
    pub llm: Option<String>,

    /// Model to ask of that server.
    #[arg(long, value_name = "NAME", default_value = "llama3.1", requires = "llm", help_heading = "The local bot")]
    pub llm_model: String,

    /// Built Worker: the folder with index.js. That of docent's own checkout when absent.
    #[arg(long, value_name = "DIR", help_heading = "The local bot")]
    pub worker: Option<PathBuf>,

    /// Deployment file, for settings and migrations. That of docent's own checkout when absent.
    #[arg(long, value_name = "FILE", help_heading = "The local bot")]
    pub config: Option<PathBuf>,
}

fn read_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Why there is no bot.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LocalError(String);

impl LocalError {
    fn because(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// A running bot; it ends with the value.
#[derive(Debug)]
pub struct Local {
    /// The services; faults can be scripted there.
    pub cloud: Cloud,
    /// What the ingest said.
    pub report: Report,
    /// Hash over the files that were read.
    pub corpus: String,
    /// What makes the vectors.
    pub embedder: String,
    /// What writes the answers.
    pub answerer: String,
    /// Key to ask for the way to an answer with.
    pub trace_key: String,
    workerd: Workerd,
}

impl Local {
    /// Starts the services, ingests `docs` as if published at `base_url`, and starts the Worker.
    ///
    /// # Errors
    /// [`LocalError`], with what to do.
    pub fn start(parts: &Parts, docs: &Path, base_url: &str) -> Result<Self, LocalError> {
        let deployment = parts.deployment()?;
        let config = parts.worker(&deployment)?;
        let cloud = Cloud::start(parts.cloud(&deployment)).map_err(LocalError::because)?;
        // Without the binding, docent does without; then so does the ingest.
        let database = if config.content.is_some() { NAME } else { "" };
        let settings = settings(&cloud, docs, base_url, database)?;
        let report = docent_ingest::run::run(&settings, &|_, _, _| {})
            .map_err(|error| LocalError(format!("cannot ingest {}: {error}", docs.display())))?;
        let trace_key = config.vars.get("TRACE_KEY").and_then(Value::as_str).unwrap_or_default().to_owned();
        let workerd = Workerd::start(&WorkerdConfig { cloud: cloud.address(), ..config });
        let workerd = workerd.map_err(LocalError::because)?;
        let (embedder, answerer) = (parts.embedder(&cloud), parts.answerer(&cloud));
        Ok(Self { corpus: corpus(&settings)?, cloud, report, embedder, answerer, trace_key, workerd })
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        self.workerd.url()
    }
}

impl Parts {
    /// Settings that are other than the deployment's.
    pub fn settings(&self) -> BTreeMap<String, String> {
        self.var.iter().cloned().collect()
    }

    fn deployment(&self) -> Result<Deployment, LocalError> {
        let path = self.config.clone().unwrap_or_else(|| checkout("wrangler.toml"));
        let unreadable = |error: &dyn std::fmt::Display| {
            LocalError(format!("cannot read the deployment file {} ({error}); name it with --config", path.display()))
        };
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&error))?;
        let mut deployment = Deployment::parse(&text, None).map_err(|error| unreadable(&error))?;
        if let Some(database) = &mut deployment.content {
            database.migrations_dir = path.with_file_name(&database.migrations_dir).display().to_string();
        }
        Ok(deployment)
    }

    fn worker(&self, deployment: &Deployment) -> Result<WorkerdConfig, LocalError> {
        let folder = self.worker.clone().unwrap_or_else(|| checkout("worker/build"));
        let modules = workerd::read_modules(&folder).map_err(|error| {
            LocalError(format!("{error}; scripts/build-worker.sh builds it, or name another folder with --worker"))
        })?;
        let binary = workerd::find_binary(&folder).or_else(|_| workerd::find_binary(Path::new(".")));
        let binary =
            binary.map_err(|error| LocalError(format!("{error}, or run scripts/setup.sh in docent's checkout")))?;
        let mut config = WorkerdConfig::new(binary, modules, ([127, 0, 0, 1], 0).into());
        if let Some(date) = &deployment.compatibility_date {
            config.compatibility_date.clone_from(date);
        }
        config.vars.clone_from(&deployment.vars);
        config.vars.extend(self.var.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))));
        config.vars.entry("TRACE_KEY".to_owned()).or_insert_with(|| TRACE_KEY.into());
        if let Some(Value::String(secret)) = config.vars.remove("SESSION_SECRET") {
            config.secret = Some(secret);
        }
        config.content = deployment.content.as_ref().map(|_| NAME.to_owned());
        Ok(config)
    }

    /// Everything that takes time on the platform and changes no answer takes none here.
    fn cloud(&self, deployment: &Deployment) -> CloudConfig {
        let database = |migrations_dir: &String| DatabaseConfig {
            id: NAME.to_owned(),
            name: NAME.to_owned(),
            migrations: Some(PathBuf::from(migrations_dir)),
        };
        CloudConfig {
            visibility_delay: Duration::ZERO,
            token_delay: Duration::ZERO,
            limit_kv_writes: false,
            databases: deployment.content.iter().map(|content| database(&content.migrations_dir)).collect(),
            model: self.model.clone(),
            vectors: self.cache.clone(),
            llm: self.llm.clone().map(|url| LlmConfig {
                url,
                model: self.llm_model.clone(),
                key: std::env::var(LLM_KEY).ok().filter(|key| !key.is_empty()),
            }),
            ..CloudConfig::default()
        }
    }

    fn embedder(&self, cloud: &Cloud) -> String {
        match self.model {
            Some(_) => described(cloud, "vectors: "),
            None => "lexical (stand-in, no language model)".to_owned(),
        }
    }

    fn answerer(&self, cloud: &Cloud) -> String {
        match self.llm {
            Some(_) => described(cloud, "answers: "),
            None => "extractive (stand-in, no language model)".to_owned(),
        }
    }
}

fn described(cloud: &Cloud, what: &str) -> String {
    cloud.describe().iter().find_map(|line| line.strip_prefix(what).map(str::to_owned)).unwrap_or_default()
}

/// A file of the checkout that this program was built in.
fn checkout(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
    root.join(path)
}

fn settings(cloud: &Cloud, docs: &Path, base_url: &str, database: &str) -> Result<Settings, LocalError> {
    if !docs.exists() {
        return Err(LocalError(format!("there is no documentation at {}", docs.display())));
    }
    let given = Given {
        paths: vec![docs.to_owned()],
        base_url: Some(base_url.to_owned()),
        connection: GivenConnection {
            index: Some(NAME.to_owned()),
            kv_id: Some(NAME.to_owned()),
            d1_id: Some(database.to_owned()),
            api_base: Some(cloud.api_base()),
            account_id: Some("local".to_owned()),
            api_token: Some("local".to_owned()),
            ..GivenConnection::default()
        },
        create_index: true,
        ..Given::default()
    };
    Settings::new(given).map_err(LocalError::because)
}

/// Hash over names and contents of the files that the ingest read.
fn corpus(settings: &Settings) -> Result<String, LocalError> {
    let mut hash = Sha256::new();
    for source in &settings.sources {
        let Location::Path(path) = &source.location else { continue };
        let place = Place::new(path, &source.exclude).map_err(LocalError::because)?;
        for file in place.files(&source.site).0 {
            let content = std::fs::read(&file.location)
                .map_err(|error| LocalError(format!("cannot read {}: {error}", file.location.display())))?;
            hash.update(format!("{} {}\n", file.path, content.len()));
            hash.update(content);
        }
    }
    Ok(hex(&hash.finalize()))
}

/// The first 16 bytes, in hexadecimal digits.
pub(crate) fn hex(hash: &[u8]) -> String {
    hash.iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
