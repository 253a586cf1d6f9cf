//! A bot to ask: the stand-in, an index of this project's own documentation, and workerd.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use docent_core::trace::Trace;
use docent_ingest::report::Report;
use docent_ingest::settings::{Given, GivenConnection, Settings};
use docent_local::{Cloud, CloudConfig, Workerd, WorkerdConfig, read_assets, workerd};
use serde_json::{Value, json};

/// Where the documentation is said to be published.
pub(crate) const DOCS_URL: &str = "https://docs.example/";

/// Vectorize index and KV namespace that the Worker is bound to.
pub(crate) const NAME: &str = "docent";

/// Key of those who may see traces, where a test sets one.
pub(crate) const TRACE_KEY: &str = "the key of those who may see traces";

/// The project's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What is to be different from a bot as `make run` starts it.
pub(crate) struct Setup {
    pub(crate) vars: BTreeMap<String, String>,
    pub(crate) cloud: CloudConfig,
    pub(crate) docs: Option<PathBuf>,
    pub(crate) change: fn(&mut WorkerdConfig),
}

impl Default for Setup {
    fn default() -> Self {
        let cloud = CloudConfig { visibility_delay: Duration::ZERO, ..CloudConfig::default() };
        Self { vars: BTreeMap::new(), cloud, docs: Some(root().join("docs")), change: |_| {} }
    }
}

impl Setup {
    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn start(self) -> Bot {
        let cloud = Cloud::start(self.cloud).unwrap();
        if let Some(docs) = &self.docs {
            ingest(&cloud, docs);
        }
        let build = root().join("worker/build");
        let modules = workerd::read_modules(&build)
            .unwrap_or_else(|error| panic!("{error}: build the Worker first, with scripts/build-worker.sh"));
        let mut config = WorkerdConfig::new(workerd::find_binary(root()).unwrap(), modules, cloud.address());
        config.assets = read_assets(&build.join("assets")).unwrap_or_else(|error| panic!("{error}"));
        config.vars = self.vars.into_iter().map(|(name, value)| (name, value.into())).collect();
        (self.change)(&mut config);
        let workerd = Workerd::start(&config).unwrap();
        Bot { cloud, workerd, config }
    }
}

/// Ingests a folder, as `docent ingest` does.
pub(crate) fn ingest(cloud: &Cloud, docs: &Path) -> Report {
    let settings = Settings::new(Given {
        paths: vec![docs.to_owned()],
        base_url: Some(DOCS_URL.to_owned()),
        connection: GivenConnection {
            index: Some(NAME.to_owned()),
            kv_id: Some(NAME.to_owned()),
            d1_id: Some(NAME.to_owned()),
            api_base: Some(cloud.api_base()),
            account_id: Some("local".to_owned()),
            api_token: Some("local".to_owned()),
            ..GivenConnection::default()
        },
        create_index: true,
        ..Given::default()
    });
    docent_ingest::run::run(&settings.unwrap(), &|_, _, _| {}).unwrap()
}

/// A running bot; it ends with the value.
pub(crate) struct Bot {
    pub(crate) cloud: Cloud,
    pub(crate) workerd: Workerd,
    config: WorkerdConfig,
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The code of an error, after checking that it is one as documented.
    pub(crate) fn error(&self) -> String {
        let error = &self.json()["error"];
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{}", self.body);
        error["code"].as_str().unwrap().to_owned()
    }
}

impl Bot {
    pub(crate) fn start() -> Self {
        Setup::default().start()
    }

    /// A new isolate, which knows nothing; at another address.
    pub(crate) fn restart(&mut self) {
        self.workerd = Workerd::start(&self.config).unwrap();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.workerd.url().trim_end_matches('/'))
    }

    /// Any request; the body is sent as JSON unless `headers` say otherwise.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Reply {
        let response = self.open(method, path, headers, body);
        let (parts, mut body) = response.into_parts();
        let headers = parts.headers.iter();
        Reply {
            status: parts.status.as_u16(),
            headers: headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect(),
            body: body.read_to_string().unwrap(),
        }
    }

    fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> ureq::http::Response<ureq::Body> {
        let agent: ureq::Agent =
            // No limit of the product's: it ends a test that would otherwise hang.
            ureq::Agent::config_builder()
                .http_status_as_error(false)
                .allow_non_standard_methods(true)
                .timeout_global(Some(Duration::from_mins(1)))
                .build()
                .into();
        let mut request = ureq::http::Request::builder().method(method).uri(self.url(path));
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match body {
            Some(body) => agent.run(request.body(body.to_owned()).unwrap()).unwrap(),
            None => agent.run(request.body(()).unwrap()).unwrap(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.request("GET", path, &[], None)
    }

    pub(crate) fn post(&self, body: &Value) -> Reply {
        self.request("POST", "/v1/chat", &[], Some(&body.to_string()))
    }

    /// A question, answered in one piece.
    pub(crate) fn ask(&self, message: &str, session: Option<&str>) -> Value {
        let mut body = json!({ "message": message, "stream": false });
        if let Some(session) = session {
            body["session"] = session.into();
        }
        let reply = self.post(&body);
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    }

    /// A question, answered in one piece with the way to the answer; for a bot with [`TRACE_KEY`].
    pub(crate) fn explained(&self, message: &str, more: &Value) -> (Value, Trace) {
        let mut body = json!({ "message": message, "stream": false, "trace": true });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let key = format!("Bearer {TRACE_KEY}");
        let reply = self.request("POST", "/v1/chat", &[("authorization", &key)], Some(&body.to_string()));
        assert_eq!(reply.status, 200, "{}", reply.body);
        let answer = reply.json();
        let trace = serde_json::from_value(answer["trace"].clone()).unwrap();
        (answer, trace)
    }

    /// The answers of a conversation of two turns.
    pub(crate) fn conversation(&self) -> (Value, Value) {
        let first = self.ask("What does make run do?", None);
        let second = self.ask("How do I stop it?", first["session"].as_str());
        (first, second)
    }

    /// What D1 answers to a statement.
    pub(crate) fn query(&self, sql: &str) -> Value {
        let url = format!("{}/accounts/local/d1/database/{NAME}/query", self.cloud.api_base());
        let request = ureq::post(&url).header("authorization", "Bearer local");
        let body = request.send(json!({ "sql": sql }).to_string()).unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&body).unwrap()
    }

    /// The rows that a statement finds in D1.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Value> {
        let body = self.query(sql);
        body["result"][0]["results"].as_array().unwrap_or_else(|| panic!("{body}")).clone()
    }

    /// A question, answered as a stream that is read to its end.
    pub(crate) fn stream(&self, body: &Value) -> Vec<Part> {
        Stream::open(self, body).collect()
    }

    /// Calls that the stand-in has received of `service.operation`.
    pub(crate) fn calls(&self, counter: &str) -> u64 {
        self.cloud.requests()["counters"][counter].as_u64().unwrap_or(0)
    }

    /// Turns that are stored of a session.
    pub(crate) fn turns(&self, session: &str) -> Vec<Value> {
        let reply = self.get(&format!("/v1/sessions/{session}"));
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()["turns"].as_array().unwrap().clone()
    }

    /// Makes the services fail as scripted; see the faults of docent-local.
    pub(crate) fn script(&self, faults: &Value) {
        self.cloud.set_faults(serde_json::from_value(faults.clone()).unwrap());
    }
}

/// A part of a stream.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// `[DONE]` is a string.
    pub(crate) data: Value,
}

impl Part {
    pub(crate) fn kind(&self) -> &str {
        self.data["type"].as_str().unwrap_or("[DONE]")
    }
}

/// A stream while it comes. Dropped before its end, the reader has left.
pub(crate) struct Stream(BufReader<ureq::BodyReader<'static>>);

impl Stream {
    pub(crate) fn open(bot: &Bot, body: &Value) -> Self {
        let response = bot.open("POST", "/v1/chat", &[], Some(&body.to_string()));
        assert_eq!(response.status(), 200);
        Self(BufReader::new(response.into_body().into_reader()))
    }
}

impl Iterator for Stream {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            let Some(data) = line.trim_end().strip_prefix("data: ") else { continue };
            let data = serde_json::from_str(data).unwrap_or_else(|_| Value::from(data));
            return Some(Part { data });
        }
    }
}

/// The text of all `text-delta`s.
pub(crate) fn text(parts: &[Part]) -> String {
    parts.iter().filter_map(|part| part.data["delta"].as_str()).collect()
}

/// The one part of a kind.
pub(crate) fn one<'p>(parts: &'p [Part], kind: &str) -> &'p Value {
    let mut found = parts.iter().filter(|part| part.kind() == kind);
    let part = found.next().unwrap_or_else(|| panic!("no {kind} in {parts:#?}"));
    assert!(found.next().is_none(), "more than one {kind}");
    &part.data
}

/// Waits until something is so; for what the Worker does after it has answered.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
