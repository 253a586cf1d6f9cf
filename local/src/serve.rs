//! `docent-local serve`: the cloud, workerd with the Worker, a command, and an orderly end.

use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::assets::read_assets;
use crate::cli::Serve;
use crate::clock::random_hex;
use crate::cloud::Cloud;
use crate::console::say;
use crate::deployment::Deployment;
use crate::workerd::{Workerd, WorkerdConfig, find_binary, read_modules};

/// Account id that the command is given; the stand-in takes any.
const ACCOUNT: &str = "local";
/// Token that the command is given; the stand-in takes any.
const TOKEN: &str = "local";
/// File of the session secret below the state folder.
const SECRET_FILE: &str = "session-secret";
/// Time that the bot has to answer for the first time.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// Exit code of `docent ingest` when some files could not be ingested: it has named them, and the bot
/// answers from all others.
const SOME_FILES_FAILED: i32 = 4;
/// How often processes are looked after.
const TICK: Duration = Duration::from_millis(50);

/// Why serving ended otherwise than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It could not start, or something that it needs went away.
    #[error("{0}")]
    Failed(String),
    /// The command failed.
    #[error("`{command}` failed ({status}); the stand-in has ended with it")]
    Command {
        /// As it was given.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
}

impl ServeError {
    /// Exit code for the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Command { status, .. } => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
        }
    }

    fn because(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Serves until a signal comes, which is a success.
pub fn run(arguments: &Serve) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::because)?;
    runtime.block_on(async {
        // Before anything starts: a signal in between must not leave a process behind.
        let mut signals = Signals::new().map_err(ServeError::because)?;
        let deployment = deployment(arguments)?;
        let cloud = Cloud::start(arguments.cloud(&deployment)).map_err(ServeError::because)?;
        print_cloud(&cloud);
        let mut workerd = match &arguments.worker {
            Some(worker) => Some(start_worker(arguments, worker, &deployment, &cloud)?),
            None => None,
        };
        if let Some(workerd) = &mut workerd {
            tokio::select! {
                ready = await_ready(workerd) => ready?,
                () = signals.any() => return Ok(()),
            }
        }
        if !arguments.command.is_empty() {
            let running = Running(spawn(&arguments.command, &deployment, &cloud)?);
            tokio::select! {
                done = finish(running, &arguments.command, workerd.as_mut()) => done?,
                () = signals.any() => return Ok(()),
            }
        }
        if let Some(workerd) = &workerd {
            say(&format!("docent answers at {}/ (Ctrl-C ends it)", workerd.url()));
        }
        tokio::select! {
            error = watch(workerd.as_mut()) => Err(error),
            () = signals.any() => Ok(()),
        }
    })
}

/// The signals that mean: end now.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// The deployment file is needed for a Worker; the stand-in alone does without.
fn deployment(arguments: &Serve) -> Result<Deployment, ServeError> {
    if arguments.worker.is_none() && !arguments.config.exists() {
        return Ok(Deployment::default());
    }
    Deployment::read(&arguments.config).map_err(ServeError::Failed)
}

fn start_worker(
    arguments: &Serve,
    worker: &Path,
    deployment: &Deployment,
    cloud: &Cloud,
) -> Result<Workerd, ServeError> {
    let modules = read_modules(worker).map_err(ServeError::because)?;
    let assets = deployment.assets.as_deref().map(read_assets).transpose().map_err(ServeError::because)?;
    let binary = find_binary(Path::new(".")).map_err(ServeError::because)?;
    let mut vars = deployment.vars.clone();
    vars.extend(arguments.var.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))));
    let secret = match vars.remove("SESSION_SECRET") {
        Some(Value::String(secret)) => secret,
        _ => session_secret(arguments.state.as_deref()).map_err(ServeError::Failed)?,
    };
    let config = WorkerdConfig {
        port: arguments.port,
        compatibility_date: deployment.compatibility_date.clone(),
        vars,
        secret: Some(secret),
        index: Some(deployment.index.clone()),
        sessions: Some(deployment.sessions.clone()),
        content: deployment.content.as_ref().map(|database| database.id.clone()),
        assets: assets.unwrap_or_default(),
        echo: true,
        ..WorkerdConfig::new(binary, modules, cloud.address())
    };
    Workerd::start(&config).map_err(ServeError::because)
}

/// The secret lives as long as the conversations it signs: in the state folder, if there is one.
fn session_secret(state: Option<&Path>) -> Result<String, String> {
    let Some(state) = state else { return Ok(random_hex::<32>()) };
    let path = state.join(SECRET_FILE);
    match std::fs::read_to_string(&path) {
        Ok(secret) if !secret.trim().is_empty() => Ok(secret.trim().to_owned()),
        _ => {
            let secret = random_hex::<32>();
            std::fs::write(&path, &secret)
                .map_err(|error| format!("cannot write the session secret {}: {error}", path.display()))?;
            Ok(secret)
        }
    }
}

fn print_cloud(cloud: &Cloud) {
    say(&format!("stand-in for Workers AI, Vectorize, KV and D1 at {}/", cloud.base_url()));
    for line in cloud.describe() {
        say(&format!("  {line}"));
    }
}

/// Ready is who answers at all: a bot without an index says so itself.
async fn await_ready(workerd: &mut Workerd) -> Result<(), ServeError> {
    let started = Instant::now();
    loop {
        if answers(workerd).await {
            return Ok(());
        }
        if let Some(error) = ended(workerd) {
            return Err(error);
        }
        if started.elapsed() > READY_LIMIT {
            let url = workerd.url();
            return Err(ServeError::Failed(format!("the bot does not answer at {url}; see what workerd said above")));
        }
        tokio::time::sleep(TICK).await;
    }
}

async fn answers(workerd: &Workerd) -> bool {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let asked = async {
        let mut stream = tokio::net::TcpStream::connect(workerd.address()).await?;
        stream.write_all(b"GET /v1/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut first = [0_u8; 5];
        stream.read_exact(&mut first).await?;
        std::io::Result::Ok(&first == b"HTTP/")
    };
    tokio::time::timeout(READY_LIMIT, asked).await.is_ok_and(|answer| answer.unwrap_or(false))
}

fn ended(workerd: &mut Workerd) -> Option<ServeError> {
    let status = workerd.ended()?;
    Some(ServeError::Failed(format!("workerd (process {}) ended unexpectedly: {status}", workerd.pid())))
}

/// Returns when workerd is gone; without one, never.
async fn watch(workerd: Option<&mut Workerd>) -> ServeError {
    let Some(workerd) = workerd else { return std::future::pending().await };
    loop {
        if let Some(error) = ended(workerd) {
            return error;
        }
        tokio::time::sleep(TICK).await;
    }
}

/// A command that ends when nobody waits for it any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(command: &[String], deployment: &Deployment, cloud: &Cloud) -> Result<Child, ServeError> {
    let [program, arguments @ ..] = command else { return Err(ServeError::because("no command")) };
    Command::new(program)
        .args(arguments)
        .env("DOCENT_API_BASE", cloud.api_base())
        .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
        .env("CLOUDFLARE_API_TOKEN", TOKEN)
        .env("DOCENT_KV_ID", &deployment.sessions)
        .env("DOCENT_INDEX", &deployment.index)
        .envs(deployment.content.as_ref().map(|database| ("DOCENT_D1_ID", &database.id)))
        .spawn()
        .map_err(|error| ServeError::Failed(format!("cannot run `{program}`: {error}")))
}

async fn finish(mut running: Running, command: &[String], workerd: Option<&mut Workerd>) -> Result<(), ServeError> {
    let done = async {
        loop {
            match running.0.try_wait() {
                Ok(Some(status)) if status.success() || status.code() == Some(SOME_FILES_FAILED) => return Ok(()),
                Ok(Some(status)) => return Err(ServeError::Command { command: command.join(" "), status }),
                Ok(None) => tokio::time::sleep(TICK).await,
                Err(error) => return Err(ServeError::because(error)),
            }
        }
    };
    tokio::select! {
        done = done => done,
        error = watch(workerd) => Err(error),
    }
}
