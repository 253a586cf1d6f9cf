//! The wires of addresses that a Worker asks instead of a binding: an AI Gateway's, and that of a server
//! with `OpenAI`'s chat API.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response};
use serde_json::Value;

use crate::journal::Call;
use crate::refusal::Refusal;
use crate::services::{AiWire, Services, json_response, loggable};

/// `POST /v1/<account>/<gateway>/workers-ai/<model>`.
pub(crate) async fn run(
    State(services): State<Arc<Services>>,
    Path((_, gateway, model)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let is_known = headers.contains_key("authorization");
    services.run_inputs("gateway", &model, &body, AiWire::Address(&gateway), is_known).await
}

/// `POST /v1/chat/completions`.
pub(crate) async fn complete(State(services): State<Arc<Services>>, body: Bytes) -> Response<Body> {
    let inputs: Value = serde_json::from_slice(&body).unwrap_or_default();
    let model = inputs.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
    let call = Call {
        wire: "server",
        service: "provider",
        operation: "chat",
        target: model.clone(),
        request: loggable(&body),
    };
    let admitted = match services.admit(call).await {
        Ok(admitted) => admitted,
        Err(response) => return response,
    };
    if model.is_empty() {
        let refusal = Refusal::new(400, 0, "you must provide a model parameter");
        return services.done(&admitted, json_response(refusal.status, refusal.server_body()));
    }
    services.run_model(admitted, &model, inputs, AiWire::Server).await
}
