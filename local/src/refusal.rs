//! How a service says no: one type, which each wire writes in its own shape.

use serde_json::{Value, json};

/// A refused call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("HTTP {status}, code {code}: {message}")]
pub(crate) struct Refusal {
    /// HTTP status.
    pub(crate) status: u16,
    /// Cloudflare's own code.
    pub(crate) code: u32,
    /// What was wrong with the call.
    pub(crate) message: String,
}

impl Refusal {
    /// A refusal with a message for whoever made the call.
    pub(crate) fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// As REST tells it: the envelope of api.cloudflare.com.
    pub(crate) fn envelope(&self) -> String {
        self.envelope_with(&Value::Null)
    }

    /// As the REST API of D1 tells it: the result is an empty list (seen live), not null.
    pub(crate) fn d1_envelope(&self) -> String {
        self.envelope_with(&json!([]))
    }

    fn envelope_with(&self, result: &Value) -> String {
        let errors = [json!({ "code": self.code, "message": self.message })];
        json!({ "result": result, "success": false, "errors": errors, "messages": [] }).to_string()
    }

    /// As the D1 binding reads it.
    pub(crate) fn d1_body(&self) -> String {
        json!({ "success": false, "error": self.message }).to_string()
    }

    /// As the AI binding reads it: `internalCode` and `description` make the thrown message.
    pub(crate) fn ai_body(&self) -> String {
        let Self { status, code, message } = self;
        json!({
            "name": "AiError", "internalCode": code, "httpCode": status,
            "message": format!("AiError: {message}"), "description": message,
        })
        .to_string()
    }

    /// As AI Gateway tells it: `error`, singular, is a list, and there is no `errors`.
    pub(crate) fn gateway_body(&self) -> String {
        let Self { status, code, message } = self;
        let error = [json!({ "code": code, "message": message })];
        json!({
            "success": false, "result": [], "messages": [], "error": error,
            "name": "AiGatewayError", "httpCode": status, "internalCode": code,
        })
        .to_string()
    }

    /// As servers with `OpenAI`'s chat API tell it.
    pub(crate) fn server_body(&self) -> String {
        json!({ "error": { "message": self.message, "type": "invalid_request_error", "param": null, "code": null } })
            .to_string()
    }

    /// As the Vectorize binding reads it.
    pub(crate) fn vectorize_body(&self) -> String {
        json!({ "code": self.code, "error": self.message }).to_string()
    }
}

/// The stand-in itself failed, which is nobody's wrong call.
impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::new(500, 10_001, format!("the stand-in's state file failed: {error}"))
    }
}
