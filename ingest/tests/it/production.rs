//! An index in production, as far as it fits into a test: services, documentation, readers.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use docent_core::answer::{self, Prepared};
use docent_core::api::Ask;
use docent_core::settings::Settings;
use docent_local::ports::LocalPorts;
use docent_local::{Cloud, CloudConfig};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Vectorize index, KV namespace and D1 database.
pub(crate) const NAME: &str = "docent";
const SECRET: &str = "a secret of sixty-four characters, of which docent wants thirty-two";

/// Where the state is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StateIn {
    D1,
    Kv,
}

pub(crate) struct Production {
    pub(crate) cloud: Cloud,
    pub(crate) state: StateIn,
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// After checking that it succeeded.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }
}

impl Production {
    pub(crate) fn new() -> Self {
        Self::with(StateIn::D1, Duration::ZERO)
    }

    pub(crate) fn with(state: StateIn, visibility_delay: Duration) -> Self {
        let config = CloudConfig { visibility_delay, limit_kv_writes: false, ..CloudConfig::default() };
        Self { cloud: Cloud::start(config).unwrap(), state, folder: tempfile::tempdir().unwrap() }
    }

    /// A file of the documentation.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.docs().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.docs().join(name)).unwrap();
    }

    pub(crate) fn docs(&self) -> PathBuf {
        self.folder.path().join("docs")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `docent` with its environment set, where only the documentation is.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_docent"));
        let database = if self.state == StateIn::D1 { NAME } else { "" };
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("DOCENT_API_BASE", self.cloud.api_base())
            .env("CLOUDFLARE_ACCOUNT_ID", "local")
            .env("CLOUDFLARE_API_TOKEN", "local")
            .env("DOCENT_INDEX", NAME)
            .env("DOCENT_KV_ID", NAME)
            .env("DOCENT_D1_ID", database)
            .env("DOCENT_BASE_URL", "https://docs.example")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn docent(&self, arguments: &[&str]) -> Ended {
        Ended::of(&self.command(arguments).output().unwrap())
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Ingests the documentation, and returns the report.
    pub(crate) fn ingest(&self, options: &[&str]) -> Value {
        let arguments = [&["ingest", "docs", "--create-index", "--json"], options].concat();
        self.docent(&arguments).json()
    }

    /// Calls since the log was cleared.
    pub(crate) fn calls(&self, counter: &str) -> u64 {
        self.cloud.requests()["counters"][counter].as_u64().unwrap_or_default()
    }

    /// Everything that is kept, without what differs between any two runs: times, and the numbers
    /// that D1 gives to rows.
    pub(crate) fn kept(&self) -> Value {
        let mut kept = self.cloud.dump().unwrap();
        let database = &mut kept["d1"][NAME];
        for generation in database["generation"].as_array_mut().unwrap() {
            generation["created_at"] = json!(0);
        }
        for live in database["live"].as_array_mut().unwrap() {
            live["since"] = json!(0);
        }
        let mut ids = std::collections::BTreeMap::new();
        for chunk in database["chunk"].as_array_mut().unwrap() {
            ids.insert(chunk["number"].as_u64().unwrap(), chunk["id"].clone());
            chunk["number"] = json!(0);
        }
        for life in database["chunk_life"].as_array_mut().unwrap() {
            life["chunk"] = ids[&life["chunk"].as_u64().unwrap()].clone();
        }
        for rows in database.as_object_mut().unwrap().values_mut() {
            rows.as_array_mut().unwrap().sort_by_key(Value::to_string);
        }
        if let Some(keys) = kept["kv"].get_mut(NAME) {
            for key in ["index", "manifest"] {
                let Some(text) = keys.get(key).and_then(Value::as_str) else { continue };
                let mut record: Value = serde_json::from_str(text).unwrap();
                record["updated_at"] = json!(0);
                record["live"]["since"] = json!(0);
                for generation in record["generations"].as_array_mut().into_iter().flatten() {
                    generation["created_at"] = json!(0);
                }
                if let Some(versions) = record["versions"].as_array_mut() {
                    versions.sort_by_key(Value::to_string);
                }
                keys[key] = record;
            }
        }
        kept
    }

    /// A call of the REST API; its result.
    pub(crate) fn rest(&self, path: &str, body: &Value) -> Value {
        self.call("POST", path, "application/json", &body.to_string())
    }

    pub(crate) fn rest_lines(&self, path: &str, lines: &str) -> Value {
        self.call("POST", path, "application/x-ndjson", lines)
    }

    pub(crate) fn delete(&self, path: &str) {
        self.call("DELETE", path, "application/json", "");
    }

    fn call(&self, method: &str, path: &str, kind: &str, body: &str) -> Value {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/accounts/local/{path}", self.cloud.api_base()))
            .header("authorization", "Bearer local")
            .header("content-type", kind)
            .body(body.to_owned())
            .unwrap();
        let agent: ureq::Agent = ureq::Agent::config_builder().allow_non_standard_methods(true).build().into();
        let text = agent.run(request).unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["result"].take()
    }

    /// Rows of a statement.
    pub(crate) fn sql(&self, sql: &str) -> Value {
        self.rest(&format!("d1/database/{NAME}/query"), &json!({ "sql": sql }))[0]["results"].take()
    }

    /// A reader.
    pub(crate) fn reader(&self) -> Reader {
        let mut ports = self.cloud.ports(NAME, NAME).unwrap();
        ports.content = (self.state == StateIn::D1).then(|| NAME.to_owned());
        let settings = Settings::parse(|name| (name == "SESSION_SECRET").then(|| SECRET.to_owned())).unwrap();
        Reader { ports, settings }
    }
}

/// Somebody who asks, by the question flow itself.
pub(crate) struct Reader {
    ports: LocalPorts,
    settings: Settings,
}

impl Reader {
    /// Addresses and texts of the sources; `None` when a service fails.
    pub(crate) fn finds(&self, question: &str) -> Option<Vec<String>> {
        let found = self.ask(question)?;
        Some(found.sources().iter().map(|source| format!("{} {}", source.url, source.snippet)).collect())
    }

    /// Ids of all that is found, best first; `None` when a service fails.
    pub(crate) fn candidates(&self, question: &str) -> Option<Vec<String>> {
        Some(self.ask(question)?.trace().candidates.iter().map(|candidate| candidate.id.clone()).collect())
    }

    fn ask(&self, question: &str) -> Option<Prepared> {
        let ask = Ask::parse(json!({ "message": question }).to_string().as_bytes()).unwrap();
        let prepared =
            pollster::block_on(answer::prepare(&self.ports, &self.settings, ask, "trace".to_owned())).ok()?;
        // With one of the two searches down, the other finds something else.
        let whole = if self.ports.content.is_some() { self.settings.words_weight } else { 0.0 };
        ((prepared.trace().rules.words_weight - whole).abs() < f64::EPSILON).then_some(prepared)
    }
}
