//! Scripted faults: what a test, or a person who wants to see it, makes the services do wrong.
//!
//! Set by `PUT /__docent/faults`, a list; the first entry that matches a call, has times left and has
//! the dice on its side is used for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize};

/// One fault: which calls it hits, and what happens to them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `ai`, `vectorize`, `kv` or `d1`.
    pub service: String,
    /// Only this operation, as the request log names it (`chat`, `embed`, `query`, `get`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Only calls of this model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How often; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Part of the matching calls that it hits, 0 to 1; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "share")]
    pub share: Option<f64>,
    /// Which ones: the same seed hits the same places in the order of matching calls.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seed: u64,
    /// Waits so long before anything else, milliseconds. Alone, the call then succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Answers this instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond: Option<Canned>,
    /// Ends an event stream after so many events; with `drop_connection` by breaking the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_after_events: Option<usize>,
    /// Sends nothing more after so many events, and keeps the connection open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall_after_events: Option<usize>,
    /// Makes the data of the event with this number, from 1, unreadable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub garble_event: Option<usize>,
    /// Closes the connection without an answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop_connection: bool,
    /// Carries the call out first: only its answer is lost, to `respond` or `drop_connection`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after: bool,
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let share = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&share) {
        return Ok(Some(share));
    }
    Err(serde::de::Error::custom(format!("share is {share}, and must be from 0 to 1")))
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks like this
fn is_zero(seed: &u64) -> bool {
    *seed == 0
}

/// An answer made up beforehand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canned {
    /// HTTP status.
    pub status: u16,
    /// `application/json` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The body as it is.
    #[serde(default)]
    pub body: String,
    /// Further headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// A fault of the script, with the calls that it matched so far.
#[derive(Debug)]
struct Line {
    fault: Fault,
    seen: u64,
}

/// The script in force.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Line>>);

impl Faults {
    /// Replaces the script.
    pub(crate) fn set(&self, faults: Vec<Fault>) {
        *self.script() = faults.into_iter().map(|fault| Line { fault, seen: 0 }).collect();
    }

    /// What is left of the script.
    pub(crate) fn list(&self) -> Vec<Fault> {
        self.script().iter().map(|line| line.fault.clone()).collect()
    }

    /// The fault for a call, used up by one.
    pub(crate) fn take(&self, service: &str, operation: &str, model: Option<&str>) -> Option<Fault> {
        let mut script = self.script();
        let hit = script.iter_mut().find_map(|line| line.hits(service, operation, model).then_some(line))?;
        hit.fault.times = hit.fault.times.map(|times| times - 1);
        Some(hit.fault.clone())
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Vec<Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn hits(&mut self, service: &str, operation: &str, model: Option<&str>) -> bool {
        let fault = &self.fault;
        let matches = fault.service == service
            && fault.operation.as_deref().is_none_or(|wanted| wanted == operation)
            && fault.model.as_deref().is_none_or(|wanted| Some(wanted) == model)
            && fault.times != Some(0);
        if !matches {
            return false;
        }
        self.seen += 1;
        fault.share.is_none_or(|share| dice(fault.seed, self.seen) < share)
    }
}

/// A number from 0 up to 1 for the `n`th throw (splitmix64, of which 53 bits make a double).
fn dice(seed: u64, n: u64) -> f64 {
    let mut bits = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    #[allow(clippy::cast_precision_loss)] // 53 bits are what a double holds
    let part = (bits >> 11) as f64;
    part * f64::EPSILON / 2.0
}
