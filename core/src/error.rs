//! What a client is told when there is no answer: a stable code, a sentence, a status.
//!
//! Nothing of an upstream's text is in here. The operator finds that in the log, under the trace id
//! that the client got.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $status:literal;)+) => {
        /// Error codes of the HTTP API. Clients branch on them: none is ever renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Code { $($(#[doc = $doc])+ $variant,)+ }

        impl Code {
            /// All codes, for documentation and its test.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As it stands in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// HTTP status that carries it.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }
        }
    };
}

codes! {
    /// The request cannot be read: broken JSON, an unknown field, a wrong type.
    BadRequest = "bad_request", 400;
    /// The session is forged, expired or not ours. Ask again without one.
    BadSession = "bad_session", 401;
    /// What was asked for needs a key that was not sent, or was wrong.
    Unauthorized = "unauthorized", 401;
    /// The page's origin is not in `ALLOWED_ORIGINS`.
    OriginNotAllowed = "origin_not_allowed", 403;
    /// No such route, or no such answer.
    NotFound = "not_found", 404;
    /// The route exists, the method does not; `Allow` names those that do.
    MethodNotAllowed = "method_not_allowed", 405;
    /// The body or the message is longer than the limit.
    TooLarge = "too_large", 413;
    /// The body is not `application/json`.
    UnsupportedMediaType = "unsupported_media_type", 415;
    /// Readable, but it makes no sense: an empty message, a model that is not offered.
    Unprocessable = "unprocessable", 422;
    /// Too many requests just now; `retry_after` says when to come back.
    RateLimited = "rate_limited", 429;
    /// The account's daily allocation of Workers AI is used up.
    BudgetExhausted = "budget_exhausted", 429;
    /// docent itself failed. The log has the reason.
    Internal = "internal", 500;
    /// A service that docent needs failed or answered nonsense.
    Upstream = "upstream", 502;
    /// The model repeated docent's instructions; its answer was cut off there.
    Withheld = "withheld", 502;
    /// docent is not configured, has no index, has one made by another embedding spec, or cannot
    /// read which generation of it is live.
    NotReady = "not_ready", 503;
    /// Workers AI has no capacity left just now.
    OverCapacity = "over_capacity", 503;
}

impl Code {
    /// Whether the request was at fault, and not the bot or a service behind it.
    pub fn is_clients(self) -> bool {
        self.status() < 429
    }
}

/// An error as a client gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct ApiError {
    /// What to branch on.
    pub code: Code,
    /// A sentence for a person: what failed and what to do.
    pub message: String,
    /// Seconds after which another try may succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl ApiError {
    /// An error without `retry_after`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// The same with a time to come back after, seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The body: `{"error":{…}}`.
    pub fn body(&self) -> String {
        serde_json::json!({ "error": self }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_word_in_json_and_in_the_table() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
