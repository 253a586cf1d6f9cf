//! The cloud as one listener on loopback: bindings, REST, its own pages, faults and log.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::{get, post, put};
use docent_core::vectorize::MAX_UPSERT_BYTES;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower_service::Service as _;

use crate::addresses;
use crate::ai::Ai;
use crate::answerer::Answerer;
use crate::bindings::{self, BindingRequest};
use crate::clock::Clock;
use crate::d1::{D1, DatabaseConfig};
use crate::embedder::Embedder;
use crate::extractive::Extractive;
use crate::faults::{Fault, Faults};
use crate::journal::Journal;
use crate::kept::Kept;
use crate::kv::Kv;
use crate::llm::Llm;
use crate::model;
use crate::pages::Pages;
use crate::ports::LocalPorts;
use crate::rest;
use crate::sentiment;
use crate::services::{DropConnection, Services, json_response, typed_response};
use crate::store::Store;
use crate::vectorize::Vectorize;

/// Hosts that a request may name: loopback, and the made-up ones of the bindings. Anything else is
/// a web page whose name was pointed at this machine.
const HOSTS: [&str; 7] = ["127.0.0.1", "localhost", "[::1]", "workers-binding.ai", "vector-search", "fake-host", "d1"];

/// What the cloud is to be like. The default is for tests: any port, nothing kept, no waiting for
/// words, everything else as on the platform.
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Folder of the state; in memory when absent.
    pub state: Option<PathBuf>,
    /// How long a write to Vectorize stays invisible.
    pub visibility_delay: Duration,
    /// Time between two words of the extractive answerer.
    pub token_delay: Duration,
    /// AI Gateways that exist beside `default`.
    pub gateways: Vec<String>,
    /// D1 databases that are there from the start.
    pub databases: Vec<DatabaseConfig>,
    /// Whether a key takes one write a second only, as the platform has it.
    pub limit_kv_writes: bool,
    /// Folder of the BERT model that makes the vectors, or `download`; the lexical embedder when absent.
    pub model: Option<PathBuf>,
    /// Folder that keeps vectors for the next start; nothing is kept when absent.
    pub vectors: Option<PathBuf>,
    /// Folder of Markdown shown below `/docs/`.
    pub docs: Option<PathBuf>,
    /// Server that writes the answers; the extractive answerer when absent.
    pub llm: Option<LlmConfig>,
    /// Whether models of the gemma-4, glm, qwen3 and gpt-oss families answer in `OpenAI`'s shape.
    pub family_shapes: bool,
}

/// A server with `OpenAI`'s chat API.
#[derive(Debug, Clone)]
pub struct LlmConfig {
    /// Address up to `/v1`.
    pub url: String,
    /// Model to ask of it.
    pub model: String,
    /// Key, if it wants one.
    pub key: Option<String>,
}

impl Default for CloudConfig {
    fn default() -> Self {
        Self {
            port: 0,
            state: None,
            visibility_delay: Duration::from_millis(300),
            token_delay: Duration::ZERO,
            gateways: Vec::new(),
            databases: vec![DatabaseConfig::default()],
            model: None,
            vectors: None,
            docs: None,
            llm: None,
            limit_kv_writes: true,
            family_shapes: true,
        }
    }
}

/// Why the cloud did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody else listens there.
    #[error("port {port} on 127.0.0.1 is in use: end what listens there, or choose another port with {option}")]
    PortInUse {
        /// The port.
        port: u16,
        /// The option that sets it.
        option: &'static str,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// A running cloud; dropping it ends it.
#[derive(Debug)]
pub struct Cloud {
    address: SocketAddr,
    /// What was done to databases at start.
    migrated: Vec<String>,
    services: Arc<Services>,
    /// Its own threads, so that it runs whatever the caller does. Taken when dropped.
    runtime: Option<Runtime>,
}

impl Cloud {
    /// Starts listening; returns when requests are answered.
    pub fn start(config: CloudConfig) -> Result<Self, StartError> {
        let (services, migrated) = services(&config).map_err(StartError::Other)?;
        let services = Arc::new(services);
        let failed = |error: std::io::Error| StartError::Other(format!("cannot start the stand-in: {error}"));
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, config.port));
        let listener = listener.map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => StartError::PortInUse { port: config.port, option: "--cloud-port" },
            _ => failed(error),
        })?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        // From here on it is dropped with the cloud, in the background: the caller may be a task of a
        // runtime of its own, where neither waiting for it nor dropping it is allowed.
        let cloud = Self { address, migrated, services, runtime: Some(runtime.map_err(failed)?) };
        if let Some(runtime) = &cloud.runtime {
            let _inside = runtime.enter();
            let listener = TcpListener::from_std(listener).map_err(failed)?;
            runtime.spawn(accept(listener, router(Arc::clone(&cloud.services))));
        }
        Ok(cloud)
    }

    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:<port>`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What stands in for `https://api.cloudflare.com/client/v4`.
    pub fn api_base(&self) -> String {
        format!("{}/client/v4", self.base_url())
    }

    /// What it is made of, one line each, for whoever starts it.
    pub fn describe(&self) -> Vec<String> {
        let ai = &self.services.ai;
        let models = [
            format!("vectors: {}", ai.embedder.describe()),
            format!("answers: {}", ai.answerer.describe()),
            format!("moods: {}", sentiment::DESCRIPTION),
        ];
        models.into_iter().chain(self.migrated.iter().cloned()).collect()
    }

    /// What makes the vectors: its name, and a fingerprint that changes when its vectors do.
    pub fn embedder(&self) -> (String, String) {
        (self.services.ai.embedder.name(), self.services.ai.embedder.fingerprint())
    }

    /// Sets the scripted faults, as `PUT /__docent/faults` does.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.services.faults.set(faults);
    }

    /// The log and the counters, as `GET /__docent/requests` shows them.
    pub fn requests(&self) -> serde_json::Value {
        self.services.journal.report()
    }

    /// Everything that is kept, as `GET /__docent/state` shows it: Vectorize by index and id, KV by
    /// namespace and key, D1 by database and table. Writes to Vectorize that are not visible yet
    /// become so.
    pub fn dump(&self) -> Result<serde_json::Value, String> {
        self.services.dump().map_err(|refusal| refusal.message)
    }

    /// Forgets log and counters.
    pub fn clear_requests(&self) {
        self.services.journal.clear();
    }

    /// The doors of the question flow, opened by this cloud without a Worker: `index` is the
    /// Vectorize index, `sessions` the KV namespace.
    pub fn ports(&self, index: &str, sessions: &str) -> Option<LocalPorts> {
        let runtime = self.runtime.as_ref()?.handle().clone();
        Some(LocalPorts::new(router(Arc::clone(&self.services)), runtime, index, sessions))
    }

    /// Sets the cloud's clock forward: expiry, visibility and write limits follow it.
    pub fn advance_clock(&self, by: Duration) {
        self.services.clock.advance(by);
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The services, and what was done to databases.
fn services(config: &CloudConfig) -> Result<(Services, Vec<String>), String> {
    let clock = Arc::new(Clock::default());
    let embedder = Arc::new(embedder(config)?);
    let fingerprint = embedder.fingerprint();
    let kept = config.vectors.as_deref().map(|folder| Kept::open(folder, &fingerprint));
    let store = Arc::new(Store::open(config.state.as_deref(), &fingerprint)?);
    // What stands in D1 goes with the vectors, so it is apart for each embedder too.
    let folder = config.state.as_ref().map(|state| state.join(format!("d1-{fingerprint}")));
    let (d1, migrated) = D1::open(Arc::clone(&store), Arc::clone(&clock), folder, &config.databases)?;
    let services = Services {
        ai: Ai {
            kept: kept.transpose()?.map(Arc::new),
            embedder,
            answerer: answerer(config),
            gateways: config.gateways.clone(),
            family_shapes: config.family_shapes,
        },
        vectorize: Vectorize::open(Arc::clone(&store), Arc::clone(&clock), config.visibility_delay)?,
        kv: Kv::new(store, Arc::clone(&clock), config.limit_kv_writes),
        d1,
        pages: config.docs.as_deref().map(Pages::open).transpose()?,
        faults: Faults::default(),
        journal: Journal::default(),
        clock,
    };
    Ok((services, migrated))
}

fn embedder(config: &CloudConfig) -> Result<Embedder, String> {
    match &config.model {
        Some(model) => Embedder::load(&model::folder(model, config.state.as_deref())?),
        None => Ok(Embedder::Lexical),
    }
}

fn answerer(config: &CloudConfig) -> Answerer {
    match &config.llm {
        Some(LlmConfig { url, model, key }) => Answerer::Llm(Llm::new(url, model, key.clone())),
        None => Answerer::Extractive(Extractive { token_delay: config.token_delay }),
    }
}

fn router(services: Arc<Services>) -> Router {
    Router::new()
        .route("/", get(status))
        .route("/__docent/faults", put(set_faults).get(list_faults).delete(clear_faults))
        .route("/__docent/requests", get(list_requests).delete(clear_requests))
        .route("/__docent/state", get(dump))
        .route("/docs/", get(docs))
        .route("/docs/{*path}", get(docs))
        .route("/v1/chat/completions", post(addresses::complete))
        .route("/v1/{account}/{gateway}/workers-ai/{*model}", post(addresses::run))
        .nest("/client/v4/accounts/{account}", rest::routes())
        .layer(from_fn_with_state(Arc::clone(&services), gate))
        .with_state(services)
}

/// Lets requests in that are meant for this machine, and sends those of bindings their way.
async fn gate(State(services): State<Arc<Services>>, request: Request, next: Next) -> Response<Body> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if !HOSTS.contains(&name) {
        return typed_response(421, "text/plain", "this stand-in answers requests to this machine only\n");
    }
    let binding = request.headers().get(bindings::HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let Some(binding) = binding else { return next.run(request).await };
    let (parts, body) = request.into_parts();
    match to_bytes(body, MAX_UPSERT_BYTES).await {
        Ok(body) => {
            let request = BindingRequest { method: parts.method, uri: parts.uri, headers: parts.headers, body };
            bindings::serve(&services, &binding, request).await
        }
        Err(error) => typed_response(413, "text/plain", error.to_string()),
    }
}

async fn accept(listener: TcpListener, router: Router) -> Infallible {
    loop {
        // Too many open files, for one: the next try may succeed, an end of the loop would not.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Words of an answer are small packets, and are to leave at once.
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let mut router = router.clone();
                async move {
                    let response: Response<Body> = match router.call(request).await {
                        Ok(response) => response,
                        Err(never) => match never {},
                    };
                    if response.extensions().get::<DropConnection>().is_some() {
                        return Err(std::io::Error::other("dropped by a scripted fault"));
                    }
                    Ok(response)
                }
            });
            // A client that breaks off is its own affair.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn status(State(services): State<Arc<Services>>) -> Response<Body> {
    let (embedder, answerer) = (services.ai.embedder.name(), services.ai.answerer.name());
    json_response(
        200,
        json!({ "service": "docent-local", "embedder": embedder, "answerer": answerer, "classifier": sentiment::NAME })
            .to_string(),
    )
}

async fn docs(State(services): State<Arc<Services>>, uri: Uri) -> Response<Body> {
    match &services.pages {
        Some(pages) => pages.answer(uri.path().strip_prefix("/docs/").unwrap_or_default()),
        None => typed_response(404, "text/plain", "no documentation is shown here; start with --docs FOLDER\n"),
    }
}

async fn set_faults(State(services): State<Arc<Services>>, body: Bytes) -> Response<Body> {
    match serde_json::from_slice(&body) {
        Ok(faults) => {
            services.faults.set(faults);
            json_response(200, "{}")
        }
        Err(error) => typed_response(400, "text/plain", format!("the faults cannot be read: {error}\n")),
    }
}

async fn list_faults(State(services): State<Arc<Services>>) -> Response<Body> {
    json_response(200, json!(services.faults.list()).to_string())
}

async fn clear_faults(State(services): State<Arc<Services>>) -> Response<Body> {
    services.faults.set(Vec::new());
    json_response(200, "{}")
}

async fn list_requests(State(services): State<Arc<Services>>) -> Response<Body> {
    json_response(200, services.journal.report().to_string())
}

async fn clear_requests(State(services): State<Arc<Services>>) -> Response<Body> {
    services.journal.clear();
    json_response(200, "{}")
}

async fn dump(State(services): State<Arc<Services>>) -> Response<Body> {
    match services.dump() {
        Ok(state) => json_response(200, state.to_string()),
        Err(refusal) => typed_response(500, "text/plain", refusal.message),
    }
}
