//! A visitor's wish that an answer ends. Who merely leaves does not say it: their answer is written to its
//! end and stored, for they may come back to it.
//!
//! The wish comes by a request of its own and lies in KV; the one who writes the answer looks for it when
//! its reader has left.

use serde::Deserialize;

use crate::answer::bad_session;
use crate::error::{ApiError, Code};
use crate::policy;
use crate::ports::{Host, Sessions, log};
use crate::session;
use crate::settings::Settings;

/// Longest id of an answer, bytes: twice that of ours, and far below what a key of KV may have.
const MAX_ID_BYTES: usize = 64;

/// The wish as it comes in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    session: String,
    message_id: String,
}

/// Notes the wish that a visitor sent. Whether there is such an answer is not known before it is stored, so
/// an id of none is noted as well, and comes to nothing.
///
/// # Errors
/// What the client is told: the body makes no sense, the session is not ours, or the wish cannot be kept.
pub async fn note(
    ports: &(impl Sessions + Host),
    settings: &Settings,
    body: &[u8],
    trace_id: &str,
) -> Result<(), ApiError> {
    let wish: Wish = serde_json::from_slice(body).map_err(|error| {
        ApiError::new(Code::BadRequest, format!("the body cannot be read as the wish to stop an answer: {error}"))
    })?;
    if wish.message_id.is_empty() || wish.message_id.len() > MAX_ID_BYTES {
        let text = format!("message_id is not of 1 to {MAX_ID_BYTES} bytes: send the messageId of the stream's start");
        return Err(ApiError::new(Code::Unprocessable, text));
    }
    let now_ms = ports.now_ms();
    let session = session::verify(&settings.session_secret, &wish.session, now_ms / 1000).map_err(|_| bad_session())?;
    ports.note_stopped(session, &wish.message_id).await.map_err(|fault| {
        log(ports, trace_id, "note stop", &fault);
        policy::tell(&fault, now_ms)
    })
}
