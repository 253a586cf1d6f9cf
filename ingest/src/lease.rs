//! One writer at a time: whoever holds the lease writes, the next one waits or goes.
//!
//! A lease expires when its holder is not heard of, so a machine that was switched off blocks
//! nobody for long; a process of this machine that is no more blocks nobody at all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use crate::books::{Books, BooksError, Holder};
use crate::run::Progress;

/// How long a lease holds after its holder was last heard of.
pub(crate) const LASTS: Duration = Duration::from_mins(1);
/// Three renewals may fail before it expires.
const RENEWED_EVERY: Duration = Duration::from_secs(15);
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// The lease could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else is writing.
    #[error(
        "another ingest is writing to this index: {0}; wait for it with --wait 10m, or run this command again later"
    )]
    Busy(String),
    /// The books could not be read or written.
    #[error(transparent)]
    Books(#[from] BooksError),
}

/// The lease, while the work is done.
pub(crate) struct Held<'a> {
    lease: &'a Lease,
    /// When it was last renewed, by the clock on the wall, which goes on while a machine sleeps; zero
    /// once it is somebody else's.
    renewed_at: AtomicU64,
}

impl Held<'_> {
    /// The name that it is held under.
    pub(crate) fn owner(&self) -> &str {
        &self.lease.owner
    }

    /// An error once somebody else may be writing. To be asked before every write.
    pub(crate) fn check(&self) -> Result<(), BooksError> {
        let age = now_ms().saturating_sub(self.renewed_at.load(Ordering::Relaxed));
        if u128::from(age) < LASTS.as_millis() { Ok(()) } else { Err(BooksError::LeaseLost) }
    }

    fn renew(&self, books: &dyn Books) {
        let now = now_ms();
        match books.take_lease(&self.lease.holder(), now) {
            Ok(None) => self.renewed_at.store(now, Ordering::Relaxed),
            Ok(Some(_)) => self.renewed_at.store(0, Ordering::Relaxed),
            // If this fails too often, it expires.
            Err(_) => {}
        }
    }
}

/// Does the work while holding the lease, and waits up to `wait` to get it.
pub(crate) fn holding<T, E: From<LeaseError>>(
    books: &dyn Books,
    wait: Duration,
    progress: Progress<'_>,
    work: impl FnOnce(&Held<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let lease = Lease::new();
    lease.take(books, wait, progress)?;
    let held = Held { lease: &lease, renewed_at: AtomicU64::new(now_ms()) };
    std::thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        let heartbeat = &held;
        scope.spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = is_done.recv_timeout(RENEWED_EVERY) {
                heartbeat.renew(books);
            }
        });
        let outcome = work(&held);
        drop(done);
        // It expires by itself if this fails.
        let _ = books.end_lease(&lease.owner);
        outcome
    })
}

struct Lease {
    /// `host/process/random`
    owner: String,
    since: SystemTime,
}

impl Lease {
    fn new() -> Self {
        let owner = format!("{}/{}/{:016x}", host(), std::process::id(), fastrand::u64(..));
        Self { owner, since: SystemTime::now() }
    }

    fn holder(&self) -> Holder {
        let (host, process) = (host(), std::process::id());
        Holder {
            owner: self.owner.clone(),
            holder: format!("process {process} on {host}, since {}", humantime::format_rfc3339_seconds(self.since)),
            expires_at: now_ms() + u64::try_from(LASTS.as_millis()).unwrap_or_default(),
        }
    }

    fn take(&self, books: &dyn Books, wait: Duration, progress: Progress<'_>) -> Result<(), LeaseError> {
        let started = Instant::now();
        loop {
            let Some(other) = books.take_lease(&self.holder(), now_ms())? else { return Ok(()) };
            if is_gone(&other.owner) {
                books.end_lease(&other.owner)?;
            } else if started.elapsed() >= wait {
                return Err(LeaseError::Busy(other.holder));
            } else {
                progress("waiting for another ingest", 0, 0);
                std::thread::sleep(ASKED_EVERY);
            }
        }
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

#[cfg(unix)]
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().replace('/', "-")
}

#[cfg(not(unix))]
fn host() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default().replace('/', "-")
}

/// Whether the holder was a process of this machine that does not run any more.
#[cfg(unix)]
fn is_gone(owner: &str) -> bool {
    let mut parts = owner.split('/');
    let (machine, process) = (parts.next(), parts.next().and_then(|process| process.parse().ok()));
    let process = process.and_then(rustix::process::Pid::from_raw);
    machine == Some(&host())
        && process.is_some_and(|process| rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH))
}

/// Elsewhere there is no well-kept way to ask without unsafe code: the lease expires.
#[cfg(not(unix))]
fn is_gone(_: &str) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_slept_through_its_lease_writes_nothing() {
        let lease = Lease::new();
        let held = |at| Held { lease: &lease, renewed_at: AtomicU64::new(at) };
        assert!(held(now_ms()).check().is_ok());
        let lasts = u64::try_from(LASTS.as_millis()).unwrap();
        assert!(held(now_ms() - lasts).check().is_err() && held(0).check().is_err());
    }

    #[test]
    fn only_a_dead_process_of_this_machine_is_gone() {
        assert!(!is_gone(&Lease::new().owner), "this very process runs");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let owner = format!("{}/{}/0", host(), child.id());
        child.wait().unwrap();
        assert!(is_gone(&owner));
        assert!(!is_gone(&owner.replacen(&host(), "elsewhere", 1)) && !is_gone("nonsense"));
    }
}
