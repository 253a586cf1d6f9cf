//! Scripted faults: what a test, or a person who wants to see it, makes the services do wrong.
//!
//! Set by `PUT /__docent/faults`, a list; the first entry that matches a call and has times left is
//! used for it.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// One fault: which calls it hits, and what happens to them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `ai`, `vectorize` or `kv`.
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
}

/// An answer made up beforehand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// The script in force.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Replaces the script.
    pub(crate) fn set(&self, faults: Vec<Fault>) {
        *self.script() = faults;
    }

    /// What is left of the script.
    pub(crate) fn list(&self) -> Vec<Fault> {
        self.script().clone()
    }

    /// The fault for a call, used up by one.
    pub(crate) fn take(&self, service: &str, operation: &str, model: Option<&str>) -> Option<Fault> {
        let mut script = self.script();
        let hit = script.iter_mut().find(|fault| {
            fault.service == service
                && fault.operation.as_deref().is_none_or(|wanted| wanted == operation)
                && fault.model.as_deref().is_none_or(|wanted| Some(wanted) == model)
                && fault.times != Some(0)
        })?;
        hit.times = hit.times.map(|times| times - 1);
        Some(hit.clone())
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
