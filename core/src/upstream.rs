//! Where AI calls go: the binding, an AI Gateway, or a server with `OpenAI`'s chat API; and what a call
//! carries beside its inputs.

use serde::Deserialize;
use serde_json::{Value, json};

/// An AI Gateway that calls of Workers AI go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gateway {
    /// By the binding, which needs no token: the gateway's id.
    Id(String),
    /// By its address.
    Address {
        /// `https://gateway.ai.cloudflare.com/v1/<account>/<gateway>`, without a slash at its end.
        url: String,
        /// Lets calls into an authenticated gateway.
        token: Option<String>,
        /// API token that Workers AI accepts.
        workers_ai_token: String,
    },
}

/// A server with `OpenAI`'s chat API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// What `/chat/completions` is below, without a slash at its end.
    pub url: String,
    /// Its key, if it wants one.
    pub key: Option<String>,
    /// Token of the AI Gateway that it is behind, if its address is that of one.
    pub gateway_token: Option<String>,
}

/// Which way an AI call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// Straight to Workers AI, by the binding.
    Direct,
    /// To Workers AI through a gateway.
    Gateway(&'a Gateway),
    /// To a server elsewhere.
    Provider(&'a Provider),
}

/// One AI call, beside its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'a> {
    /// Which way.
    pub route: Route<'a>,
    /// What for; a gateway's log has it.
    pub step: &'static str,
    /// Of the question; likewise.
    pub trace_id: &'a str,
}

/// A request to an address, its body left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where to.
    pub url: String,
    /// Names in lower case, and values.
    pub headers: Vec<(&'static str, String)>,
}

impl Call<'_> {
    /// Who is asked, for the log.
    pub fn service(&self) -> &'static str {
        match self.route {
            Route::Direct | Route::Gateway(_) => "Workers AI",
            Route::Provider(_) => "the provider",
        }
    }

    /// Whether a whole answer comes in the envelope of REST, as `result`.
    pub fn is_enveloped(&self) -> bool {
        matches!(self.route, Route::Gateway(Gateway::Address { .. }))
    }

    /// The request that asks for `model`; `None` when it goes by the binding.
    pub fn request(&self, model: &str) -> Option<Request> {
        let bearer = |key: &str| format!("Bearer {key}");
        let headers = || vec![("content-type", "application/json".to_owned())];
        match self.route {
            Route::Direct | Route::Gateway(Gateway::Id(_)) => None,
            Route::Gateway(Gateway::Address { url, token, workers_ai_token }) => {
                let mut headers = headers();
                headers.push(("authorization", bearer(workers_ai_token)));
                headers.extend(token.as_deref().map(|token| ("cf-aig-authorization", bearer(token))));
                headers.push(("cf-aig-metadata", self.metadata().to_string()));
                Some(Request { url: format!("{url}/workers-ai/{model}"), headers })
            }
            Route::Provider(Provider { url, key, gateway_token }) => {
                let mut headers = headers();
                headers.extend(key.as_deref().map(|key| ("authorization", bearer(key))));
                if let Some(token) = gateway_token {
                    headers.push(("cf-aig-authorization", bearer(token)));
                    headers.push(("cf-aig-metadata", self.metadata().to_string()));
                }
                Some(Request { url: format!("{url}/chat/completions"), headers })
            }
        }
    }

    /// Options of the binding. The raw response is asked for on every call: the binding keeps its
    /// options in one place, so that of two calls at once the later one's would hold for both.
    pub fn binding_options(&self) -> Value {
        match self.route {
            Route::Gateway(Gateway::Id(id)) => {
                json!({ "returnRawResponse": true, "gateway": { "id": id, "metadata": self.metadata() } })
            }
            _ => json!({ "returnRawResponse": true }),
        }
    }

    /// What a gateway's log says of the call, for whoever looks a trace up there.
    fn metadata(&self) -> Value {
        json!({ "trace_id": self.trace_id, "step": self.step })
    }
}

/// Why a server refused a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// HTTP status; 200 when a stream said it.
    pub status: u16,
    /// `error.code`, or else `error.type`, as `OpenAI` and its like name them; may be empty.
    pub code: String,
    /// For the log only.
    pub message: String,
}

/// Longest message that is logged, characters.
const MAX_MESSAGE_CHARS: usize = 200;

impl ProviderError {
    /// Reads a body that is no success: `OpenAI`'s `{"error":{"message","type","code"}}`, or whatever a
    /// proxy sent.
    pub fn read(status: u16, body: &str) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Inner {
            message: String,
            #[serde(rename = "type")]
            kind: Option<String>,
            code: Value,
        }
        #[derive(Deserialize, Default)]
        struct Body {
            error: Inner,
        }
        let cut = |text: &str| text.chars().take(MAX_MESSAGE_CHARS).collect();
        let Ok(Body { error: Inner { message, kind, code } }) = serde_json::from_str(body) else {
            return Self { status, code: String::new(), message: cut(body) };
        };
        let code = match code {
            Value::String(code) => code,
            Value::Number(code) => code.to_string(),
            _ => kind.unwrap_or_default(),
        };
        Self { status, code, message: cut(&message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_has_its_address_and_only_its_own_secrets() {
        let call = |route| Call { route, step: "answer", trace_id: "t" };
        let by_id = Gateway::Id("team".to_owned());
        assert_eq!(call(Route::Direct).request("@cf/m"), None);
        assert_eq!(call(Route::Direct).binding_options(), json!({ "returnRawResponse": true }));
        assert_eq!(call(Route::Gateway(&by_id)).request("@cf/m"), None);
        assert_eq!(
            call(Route::Gateway(&by_id)).binding_options()["gateway"],
            json!({ "id": "team", "metadata": { "trace_id": "t", "step": "answer" } })
        );
        let address = Gateway::Address {
            url: "https://gateway.ai.cloudflare.com/v1/a/g".to_owned(),
            token: Some("gate".to_owned()),
            workers_ai_token: "ai".to_owned(),
        };
        let request = call(Route::Gateway(&address)).request("@cf/m").unwrap();
        assert_eq!(request.url, "https://gateway.ai.cloudflare.com/v1/a/g/workers-ai/@cf/m");
        let header = |name| request.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
        assert_eq!(header("authorization"), Some("Bearer ai"));
        assert_eq!(header("cf-aig-authorization"), Some("Bearer gate"));
        let server = Provider { url: "http://127.0.0.1:11434/v1".to_owned(), key: None, gateway_token: None };
        let request = call(Route::Provider(&server)).request("llama3.1").unwrap();
        assert_eq!(request.url, "http://127.0.0.1:11434/v1/chat/completions");
        assert_eq!(request.headers, [("content-type", "application/json".to_owned())]);
    }

    #[test]
    fn a_servers_refusal_is_read_whatever_its_body_is() {
        let read = |body: &str| {
            let ProviderError { status, code, message } = ProviderError::read(400, body);
            (status, code, message)
        };
        let openai =
            r#"{"error":{"message":"too long","type":"invalid_request_error","code":"context_length_exceeded"}}"#;
        assert_eq!(read(openai), (400, "context_length_exceeded".into(), "too long".into()));
        assert_eq!(read(r#"{"error":{"message":"x","type":"server_error","code":null}}"#).1, "server_error");
        assert_eq!(read(r#"{"error":{"message":"x","code":429}}"#).1, "429");
        assert_eq!(read("<html>down</html>"), (400, String::new(), "<html>down</html>".into()));
        assert_eq!(read(r#"{"error":"plain"}"#).2, r#"{"error":"plain"}"#);
    }
}
