//! Pages as they came, kept so that a server need not send again what has not changed.
//!
//! Only a cache: what is missing, broken or not to be written is asked for again.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;

/// What a broken-off run fetched within this time is not asked for again.
const RESUMES_WITHIN: Duration = Duration::from_hours(1);

/// An answer as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Address it was the answer to.
    pub(super) url: String,
    /// Where it leads instead of saying something.
    pub(super) location: Option<String>,
    /// Validators, for the next request.
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    /// `Content-Type` and `X-Robots-Tag`.
    pub(super) content_type: String,
    pub(super) robots: Vec<String>,
    #[serde(skip)]
    pub(super) body: Vec<u8>,
}

/// A folder, or nothing.
pub(super) struct Cache {
    folder: Option<PathBuf>,
    /// Since when answers are fresh: the beginning of the run that was broken off.
    fresh_since: Option<SystemTime>,
    /// Stands while a run is under way.
    marker: PathBuf,
}

impl Cache {
    /// `start` names the run: two runs with the same start continue each other.
    pub(super) fn open(folder: Option<&Path>, start: &Url) -> Self {
        let folder = folder.map(|folder| folder.join(start.host_str().unwrap_or_default().replace(':', "_")));
        let folder = folder.filter(|folder| fs::create_dir_all(folder).is_ok());
        let marker = folder.clone().unwrap_or_default().join(format!("{}.running", name(start.as_str())));
        let mut cache = Self { folder, fresh_since: None, marker };
        if cache.folder.is_some() {
            let began = modified(&cache.marker).filter(|began| age(*began) < RESUMES_WITHIN);
            cache.fresh_since = began;
            if began.is_none() {
                let _ = fs::write(&cache.marker, b"");
            }
        }
        cache
    }

    /// The run has seen everything.
    pub(super) fn finish(&self) {
        if self.folder.is_some() {
            let _ = fs::remove_file(&self.marker);
        }
    }

    /// What was kept of an address, and when it was fetched or last found unchanged.
    pub(super) fn get(&self, url: &Url) -> Option<(Kept, SystemTime)> {
        let path = self.path(url)?;
        let bytes = fs::read(&path).ok()?;
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let mut kept: Kept = serde_json::from_slice(bytes.get(..end)?).ok()?;
        kept.body = bytes.get(end + 1..)?.to_vec();
        (kept.url == url.as_str()).then_some((kept, modified(&path)?))
    }

    /// Whether the run that this one continues fetched it.
    pub(super) fn is_fresh(&self, fetched: SystemTime) -> bool {
        self.fresh_since.is_some_and(|since| fetched >= since) && age(fetched) < RESUMES_WITHIN
    }

    pub(super) fn put(&self, url: &Url, kept: &Kept) {
        let Some(path) = self.path(url) else { return };
        let Ok(mut bytes) = serde_json::to_vec(kept) else { return };
        bytes.push(b'\n');
        bytes.extend(&kept.body);
        // Whole or not at all, also when two runs write the same page.
        let part = path.with_extension(format!("{}.part", std::process::id()));
        if fs::write(&part, bytes).and_then(|()| fs::rename(&part, &path)).is_err() {
            let _ = fs::remove_file(&part);
        }
    }

    /// The server says that it is still so.
    pub(super) fn confirm(&self, url: &Url) {
        if let Some(path) = self.path(url) {
            let _ = fs::File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
        }
    }

    fn path(&self, url: &Url) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(name(url.as_str())))
    }
}

fn name(url: &str) -> String {
    let digest = Sha256::digest(url.as_bytes());
    digest.iter().take(16).fold(String::new(), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    })
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

fn age(time: SystemTime) -> Duration {
    SystemTime::now().duration_since(time).unwrap_or_default()
}

/// Where programs of this platform keep what they can do without.
pub(super) fn default_folder() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Caches"))
    } else {
        variable("XDG_CACHE_HOME")
            .filter(|folder| folder.is_absolute())
            .or_else(|| variable("HOME").map(|home| home.join(".cache")))
    };
    base.map(|base| base.join("docent").join("web"))
}
