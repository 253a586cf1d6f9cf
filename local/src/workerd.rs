//! The launcher of workerd: the runtime of Cloudflare Workers with a Worker's modules, its bindings
//! pointing at the stand-in.
//!
//! The binding code is workerd's own, and it is the one that runs at Cloudflare; only what it
//! speaks to is ours. So is `front.js`, which answers static assets before the Worker is asked.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::assets::Asset;
use crate::bindings::HEADER;
use crate::console::say;

/// Time that workerd has to compile the Worker and listen.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Lines of output that are kept.
const MAX_LINES: usize = 10_000;
/// The Worker in front of one that has static assets.
const FRONT: &str = include_str!("front.js");

/// A module of a Worker.
#[derive(Debug, Clone)]
pub struct Module {
    /// Name that other modules import it by. `.js` and `.mjs` are ES modules, `.wasm` is
    /// WebAssembly, anything else is text.
    pub name: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// What to run and how it is bound.
#[derive(Debug, Clone)]
pub struct WorkerdConfig {
    /// The workerd program; see [`find_binary`].
    pub binary: PathBuf,
    /// The Worker; the first one is its entry. See [`read_modules`].
    pub modules: Vec<Module>,
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The stand-in; see [`crate::Cloud::address`].
    pub cloud: SocketAddr,
    /// Compatibility date of the Worker, as in wrangler.toml.
    pub compatibility_date: String,
    /// Settings, as in `[vars]` of wrangler.toml.
    pub vars: BTreeMap<String, Value>,
    /// `SESSION_SECRET`; left out when absent.
    pub secret: Option<String>,
    /// Vectorize index behind `INDEX`; the binding is left out when absent.
    pub index: Option<String>,
    /// KV namespace behind `SESSIONS`; the binding is left out when absent.
    pub sessions: Option<String>,
    /// Id of the D1 database behind `CONTENT`; the binding is left out when absent.
    pub content: Option<String>,
    /// Whether there is a binding `AI`.
    pub ai: bool,
    /// Static assets, which are answered without running the Worker; see [`crate::read_assets`].
    pub assets: Vec<Asset>,
    /// Whether its output goes on to the standard error of this process.
    pub echo: bool,
}

impl WorkerdConfig {
    /// All bindings, a free port, a secret for tests, no settings and no static assets.
    pub fn new(binary: PathBuf, modules: Vec<Module>, cloud: SocketAddr) -> Self {
        Self {
            binary,
            modules,
            port: 0,
            cloud,
            compatibility_date: "2026-11-01".to_owned(),
            vars: BTreeMap::new(),
            secret: Some("a session secret of the local stand-in".to_owned()),
            index: Some("docent".to_owned()),
            sessions: Some("docent".to_owned()),
            content: Some("docent".to_owned()),
            ai: true,
            assets: Vec::new(),
            echo: false,
        }
    }

    /// The configuration in Cap'n Proto's text form; module files lie beside it under their index.
    fn capnp(&self) -> String {
        let mut out =
            String::from("using Workerd = import \"/workerd/workerd.capnp\";\nconst config :Workerd.Config = (\n");
        out.push_str("  services = [\n    (name = \"main\", worker = (\n      modules = [\n");
        for (at, module) in self.modules.iter().enumerate() {
            let name = quote(&module.name);
            let kind = module_kind(&module.name);
            let _ = writeln!(out, "        (name = {name}, {kind} = embed \"module-{at}\"),");
        }
        let _ = writeln!(out, "      ],\n      compatibilityDate = {},", quote(&self.compatibility_date));
        out.push_str("      bindings = [\n");
        for (name, value) in &self.vars {
            let (kind, value) = match value {
                Value::String(text) => ("text", text.clone()),
                other => ("json", other.to_string()),
            };
            let _ = writeln!(out, "        (name = {}, {kind} = {}),", quote(name), quote(&value));
        }
        if let Some(secret) = &self.secret {
            let _ = writeln!(out, "        (name = \"SESSION_SECRET\", text = {}),", quote(secret));
        }
        if self.ai {
            out.push_str(&wrapped("AI", "ai-api", "ai", ""));
        }
        if let Some(index) = &self.index {
            let inner = format!(
                ", (name = \"indexId\", text = {}), (name = \"indexVersion\", text = \"v2\"), \
                 (name = \"useNdJson\", json = \"true\")",
                quote(index)
            );
            out.push_str(&wrapped("INDEX", "vectorize-api", "vectorize", &inner));
        }
        if self.sessions.is_some() {
            out.push_str("        (name = \"SESSIONS\", kvNamespace = \"kv\"),\n");
        }
        if self.content.is_some() {
            out.push_str(&wrapped("CONTENT", "d1-api", "d1", ""));
        }
        out.push_str("      ])),\n");
        if !self.assets.is_empty() {
            out.push_str(&self.front());
        }
        for (service, binding) in self.clouds() {
            let address = quote(&self.cloud.to_string());
            let value = quote(&binding);
            let _ = writeln!(
                out,
                "    (name = \"{service}\", external = (address = {address}, http = (injectRequestHeaders = \
                 [(name = \"{HEADER}\", value = {value})]))),"
            );
        }
        // What the Worker itself fetches: servers of models and webhooks, those of this machine included,
        // which workerd alone would refuse.
        out.push_str(
            "    (name = \"internet\", network = (allow = [\"public\", \"private\"], \
             tlsOptions = (trustBrowserCas = true))),\n",
        );
        let (port, first) = (self.port, if self.assets.is_empty() { "main" } else { "front" });
        let _ = writeln!(
            out,
            "  ],\n  sockets = [(name = \"http\", address = \"127.0.0.1:{port}\", http = (), service = \"{first}\")]\n);"
        );
        out
    }

    /// The Worker that answers static assets; their files lie beside the configuration under their index.
    fn front(&self) -> String {
        let known = |asset: &Asset| (asset.path.clone(), json!({ "headers": asset.headers }));
        let moved = |asset: &Asset| (asset.file.clone(), json!({ "location": asset.path }));
        let pages = self.assets.iter().filter(|asset| asset.file != asset.path);
        let paths: Value = self.assets.iter().map(known).chain(pages.map(moved)).collect();
        let mut out = format!(
            "    (name = \"front\", worker = (\n      modules = [(name = \"front.js\", esModule = {})],\n      \
             compatibilityDate = {},\n      bindings = [\n        (name = \"MAIN\", service = \"main\"),\n        \
             (name = \"ASSETS\", json = {}),\n",
            quote(FRONT),
            quote(&self.compatibility_date),
            quote(&paths.to_string())
        );
        for (at, asset) in self.assets.iter().enumerate() {
            let _ = writeln!(out, "        (name = {}, data = embed \"asset-{at}\"),", quote(&asset.path));
        }
        out.push_str("      ])),\n");
        out
    }

    /// The stand-in once for each binding, told apart by a header.
    fn clouds(&self) -> Vec<(&'static str, String)> {
        let mut clouds = vec![("ai", "ai".to_owned())];
        clouds.extend(self.index.as_ref().map(|index| ("vectorize", format!("vectorize:{index}"))));
        clouds.extend(self.sessions.as_ref().map(|namespace| ("kv", format!("kv:{namespace}"))));
        clouds.extend(self.content.as_ref().map(|database| ("d1", format!("d1:{database}"))));
        clouds
    }
}

fn wrapped(name: &str, module: &str, service: &str, inner: &str) -> String {
    format!(
        "        (name = \"{name}\", wrapped = (moduleName = \"cloudflare-internal:{module}\", innerBindings = \
         [(name = \"fetcher\", service = \"{service}\"){inner}])),\n"
    )
}

fn module_kind(name: &str) -> &'static str {
    match Path::new(name).extension().and_then(|extension| extension.to_str()) {
        Some("js" | "mjs") => "esModule",
        Some("wasm") => "wasm",
        _ => "text",
    }
}

/// A text literal of Cap'n Proto.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() && c.is_ascii() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The modules of a built Worker: a folder with `index.js`, or a single file.
pub fn read_modules(path: &Path) -> Result<Vec<Module>, WorkerdError> {
    let fault = |error: &dyn std::fmt::Display| {
        WorkerdError::Modules(format!("cannot read the built Worker at {}: {error}", path.display()))
    };
    if path.is_file() {
        let content = std::fs::read(path).map_err(|error| fault(&error))?;
        return Ok(vec![Module { name: "index.js".to_owned(), content }]);
    }
    let mut modules = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| fault(&error))? {
        let file = entry.map_err(|error| fault(&error))?.path();
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if file.is_file() && matches!(module_kind(&name), "esModule" | "wasm") {
            modules.push(Module { name, content: std::fs::read(&file).map_err(|error| fault(&error))? });
        }
    }
    // The entry comes first; the rest in a fixed order.
    modules.sort_by(|a, b| (a.name != "index.js", &a.name).cmp(&(b.name != "index.js", &b.name)));
    match modules.first() {
        Some(first) if first.name == "index.js" => Ok(modules),
        _ => Err(fault(&"it has no index.js; build the Worker first")),
    }
}

/// Finds workerd: the real program in a `node_modules` of `folder` or above it (the `workerd` in
/// `.bin` is a Node script in front of it), else `workerd` on the PATH.
pub fn find_binary(folder: &Path) -> Result<PathBuf, WorkerdError> {
    let package = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("macos", "aarch64") => "workerd-darwin-arm64",
        ("macos", _) => "workerd-darwin-64",
        (_, "aarch64") => "workerd-linux-arm64",
        _ => "workerd-linux-64",
    };
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let installed =
        folder.ancestors().map(|above| above.join("node_modules/@cloudflare").join(package).join("bin/workerd"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("workerd")).collect::<Vec<_>>();
    installed.chain(on_path).find(|binary| binary.is_file()).ok_or(WorkerdError::NotFound)
}

/// Why workerd does not run.
#[derive(Debug, thiserror::Error)]
pub enum WorkerdError {
    /// No program.
    #[error("there is no workerd: install it with `npm install workerd`, or put it on the PATH")]
    NotFound,
    /// No Worker.
    #[error("{0}")]
    Modules(String),
    /// It cannot listen.
    #[error("port {0} on 127.0.0.1 is in use: end what listens there, or choose another port with --port")]
    PortInUse(u16),
    /// It did not start, or ended at once.
    #[error("workerd did not start: {0}")]
    Failed(String),
}

/// A running workerd; dropping it ends the process.
#[derive(Debug)]
pub struct Workerd {
    child: Child,
    /// Ends workerd when this process goes without a chance to do it.
    watchdog: Option<Child>,
    address: SocketAddr,
    lines: Arc<Mutex<VecDeque<String>>>,
    /// Configuration and modules, removed with it.
    _files: TempDir,
}

/// What workerd writes to its control channel.
#[derive(Deserialize)]
struct ControlMessage {
    event: String,
    port: u16,
}

impl Workerd {
    /// Starts it and returns when it listens.
    pub fn start(config: &WorkerdConfig) -> Result<Self, WorkerdError> {
        let failed = |what: &str, error: std::io::Error| WorkerdError::Failed(format!("{what}: {error}"));
        let files = write_files(config).map_err(|error| failed("cannot write its configuration", error))?;
        let mut child = Command::new(&config.binary)
            // The control channel is the standard output, where it says which port it got.
            .args(["serve", "--experimental", "--control-fd=1"])
            .arg(files.path().join("config.capnp"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C reaches this process, which then ends workerd in order.
            .process_group(0)
            .spawn()
            .map_err(|error| failed(&format!("cannot run {}", config.binary.display()), error))?;
        let watchdog = watch(child.id(), files.path());
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let (sender, listening) = channel();
        if let Some(output) = child.stderr.take() {
            collect(output, Arc::clone(&lines), config.echo, |_| true);
        }
        if let Some(output) = child.stdout.take() {
            collect(output, Arc::clone(&lines), config.echo, move |line| {
                let message = serde_json::from_str::<ControlMessage>(line).ok();
                let Some(message) = message.filter(|message| message.event == "listen") else { return true };
                let _ = sender.send(message.port);
                false
            });
        }
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut workerd = Self { child, watchdog, address, lines, _files: files };
        let port = workerd.await_port(&listening, config.port)?;
        workerd.address.set_port(port);
        Ok(workerd)
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Process id of workerd.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far, its Workers' console included, one entry a line.
    pub fn logs(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Ends it and waits until it is gone. It keeps no state, so nothing is lost.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // First the watchdog: afterwards the process id may be somebody else's.
        if let Some(mut watchdog) = self.watchdog.take() {
            let _ = watchdog.kill();
            let _ = watchdog.wait();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn await_port(&mut self, listening: &Receiver<u16>, asked: u16) -> Result<u16, WorkerdError> {
        match listening.recv_timeout(START_LIMIT) {
            Ok(port) => Ok(port),
            Err(RecvTimeoutError::Timeout) => Err(WorkerdError::Failed("it does not listen".to_owned())),
            Err(RecvTimeoutError::Disconnected) => {
                self.end();
                let said = self.logs().join("\n");
                if said.contains("Address already in use") {
                    return Err(WorkerdError::PortInUse(asked));
                }
                Err(WorkerdError::Failed(if said.is_empty() { "it said nothing".to_owned() } else { said }))
            }
        }
    }
}

impl Drop for Workerd {
    fn drop(&mut self) {
        self.end();
    }
}

fn write_files(config: &WorkerdConfig) -> std::io::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("docent-workerd-").tempdir()?;
    for (at, module) in config.modules.iter().enumerate() {
        std::fs::write(folder.path().join(format!("module-{at}")), &module.content)?;
    }
    for (at, asset) in config.assets.iter().enumerate() {
        std::fs::write(folder.path().join(format!("asset-{at}")), &asset.content)?;
    }
    std::fs::write(folder.path().join("config.capnp"), config.capnp())?;
    Ok(folder)
}

/// A process that ends workerd, and removes its files, when this one is gone, however it went: its
/// standard input ends then. Without it a kill or a crash would leave workerd on its port.
fn watch(pid: u32, files: &Path) -> Option<Child> {
    Command::new("sh")
        .args(["-c", "read -r _; kill \"$1\"; rm -rf \"$2\"", "docent-watchdog", &pid.to_string()])
        .arg(files)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .ok()
}

/// Keeps the lines of an output that `wanted` wants.
fn collect(
    output: impl Read + Send + 'static,
    lines: Arc<Mutex<VecDeque<String>>>,
    echo: bool,
    wanted: impl Fn(&str) -> bool + Send + 'static,
) {
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if !wanted(&line) {
                continue;
            }
            if echo {
                say(&line);
            }
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == MAX_LINES {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    });
}
