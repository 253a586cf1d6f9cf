//! Time and chance of the stand-in.
//!
//! All engines read one clock, and a test can set it forward: what takes a minute at Cloudflare
//! (a key that expires) is then tested without waiting for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// System time plus whatever it was advanced by.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead_ms: AtomicU64,
}

impl Clock {
    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX).saturating_add(self.ahead_ms.load(Ordering::Relaxed))
    }

    /// Sets the clock forward.
    pub(crate) fn advance(&self, by: Duration) {
        self.ahead_ms.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// A time as Cloudflare writes it: `2026-11-21T03:40:00.123Z`.
pub(crate) fn iso(ms: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}

/// `N` random bytes in lower-case hexadecimal.
///
/// Without the system's random numbers there are no secrets; the process then ends.
#[allow(clippy::expect_used)] // the reason stands above
pub(crate) fn random_hex<const N: usize>() -> String {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
    hex(&bytes)
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A random id in the form of a UUID, as mutations have them.
pub(crate) fn random_uuid() -> String {
    [random_hex::<4>(), random_hex::<2>(), random_hex::<2>(), random_hex::<2>(), random_hex::<6>()].join("-")
}
