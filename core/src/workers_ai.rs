//! Workers AI: models with their limits and prices, requests, answers and errors on the wire.
//!
//! Two families of models answer in two shapes, and both are read here; the error table that says
//! what to do about a failure is in [`crate::policy`].

use serde::{Deserialize, Serialize};

/// Most texts of one embedding call; error 5006 beyond it.
pub const MAX_EMBED_TEXTS: usize = 100;
/// Completion tokens when a request does not say; docent always does, since 256 cuts answers short.
pub const DEFAULT_MAX_TOKENS: u32 = 256;
/// US dollars per neuron, the unit Workers AI bills in ($0.011 per 1,000).
pub const DOLLARS_PER_NEURON: f64 = 0.011 / 1000.0;

/// A chat model that Workers AI offers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Model {
    /// Model id.
    pub id: &'static str,
    /// Prompt plus completion, tokens.
    pub context: u32,
    /// Neurons per million prompt tokens.
    pub neurons_in: f64,
    /// Neurons per million completion tokens.
    pub neurons_out: f64,
}

/// Chat models known to be offered in November 2026, cheapest answer first within a family.
/// Source: Cloudflare's pricing page and model catalogue.
pub const MODELS: &[Model] = &[
    Model { id: "@cf/meta/llama-3.1-8b-instruct-fast", context: 60_000, neurons_in: 4_119.0, neurons_out: 34_868.0 },
    Model { id: "@cf/meta/llama-3.1-8b-instruct-fp8", context: 32_000, neurons_in: 13_778.0, neurons_out: 26_128.0 },
    Model { id: "@cf/meta/llama-3.2-3b-instruct", context: 80_000, neurons_in: 4_625.0, neurons_out: 30_475.0 },
    Model {
        id: "@cf/meta/llama-3.3-70b-instruct-fp8-fast",
        context: 24_000,
        neurons_in: 26_668.0,
        neurons_out: 204_805.0,
    },
    Model {
        id: "@cf/meta/llama-4-scout-17b-16e-instruct",
        context: 131_000,
        neurons_in: 24_545.0,
        neurons_out: 77_273.0,
    },
    Model { id: "@cf/google/gemma-4-26b-a4b-it", context: 256_000, neurons_in: 9_091.0, neurons_out: 27_273.0 },
    Model { id: "@cf/zai-org/glm-4.7-flash", context: 131_072, neurons_in: 5_500.0, neurons_out: 36_400.0 },
    Model { id: "@cf/qwen/qwen3-30b-a3b-fp8", context: 32_000, neurons_in: 4_625.0, neurons_out: 30_475.0 },
    Model { id: "@cf/openai/gpt-oss-20b", context: 128_000, neurons_in: 18_182.0, neurons_out: 27_273.0 },
    Model { id: "@cf/openai/gpt-oss-120b", context: 128_000, neurons_in: 31_818.0, neurons_out: 68_182.0 },
];

/// Models that were removed: a call answers error 5028. With the day, for the message.
pub const REMOVED_MODELS: &[(&str, &str)] = &[
    ("@cf/meta/llama-3.1-8b-instruct", "2026-05-30"),
    ("@cf/meta/llama-3.1-8b-instruct-awq", "2026-05-30"),
    ("@cf/meta/llama-3.1-70b-instruct", "2026-05-30"),
    ("@cf/meta/llama-3-8b-instruct", "2026-05-30"),
    ("@cf/meta/llama-3-8b-instruct-awq", "2026-05-30"),
];

/// Context assumed for a model that is not in [`MODELS`], tokens: the smallest that current chat
/// models have.
pub const UNKNOWN_MODEL_CONTEXT: u32 = 8_192;

/// Neurons per million tokens of bge-base.
pub const EMBEDDING_NEURONS: f64 = 6_058.0;

/// Neurons per million tokens of bge's reranker.
pub const RERANKER_NEURONS: f64 = 283.0;

/// The table's row for a model id.
pub fn model(id: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.id == id)
}

/// The model of Workers AI that reads question and passage together. It sees 512 tokens of both.
pub const RERANKER: &str = "@cf/baai/bge-reranker-base";

/// Inputs of a reranker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RerankRequest {
    /// At least one character.
    pub query: String,
    /// Each at least one character.
    pub contexts: Vec<RerankContext>,
    /// How many are wanted; without it, few come.
    pub top_k: usize,
}

/// A passage for a reranker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RerankContext {
    /// What it is judged by.
    pub text: String,
}

/// Answer of a reranker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RerankResponse {
    /// In any order.
    pub response: Vec<Ranked>,
}

/// How well a passage answers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// Place in [`RerankRequest::contexts`], from 0.
    pub id: usize,
    /// 0 to 1, or its logit: the catalogue says the one, and the service has answered the other.
    pub score: f64,
}

/// The model of Workers AI that tells whether a sentence is meant well. It reads English, and up to
/// 512 tokens.
pub const CLASSIFIER: &str = "@cf/huggingface/distilbert-sst-2-int8";

/// Inputs of a classifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassifyRequest {
    /// At least one character.
    pub text: String,
}

/// What a classifier says of a text: it answers a list of these, one for each label that it knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Labelled {
    /// Such as `NEGATIVE`.
    pub label: String,
    /// How likely, 0 to 1.
    pub score: f64,
}

/// Inputs of an embedding model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbedRequest {
    /// 1 to [`MAX_EMBED_TEXTS`] texts, none empty.
    pub text: Vec<String>,
    /// Always sent: see [`crate::embedding::Spec::pooling`].
    pub pooling: String,
}

/// Answer of an embedding model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbedResponse {
    /// `[texts, dimensions]`.
    pub shape: Vec<usize>,
    /// One vector a text, in the order of the request.
    pub data: Vec<Vec<f32>>,
    /// What was used.
    #[serde(default)]
    pub pooling: Option<String>,
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The server's instructions.
    System,
    /// The visitor.
    User,
    /// The model.
    Assistant,
    /// What a tool answered.
    Tool,
}

/// One message of a chat request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who.
    pub role: Role,
    /// What. Never null: Workers AI rejects that.
    pub content: String,
    /// Calls that the model asks for with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Of the call that a tool answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Of the tool that answers; native models go by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Message {
    /// A message that is only text.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), tool_calls: Vec::new(), tool_call_id: None, name: None }
    }
}

/// A call of a tool in `OpenAI`'s form, which all families are told it in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Made up where the model gives none.
    pub id: String,
    /// There is only one kind.
    #[serde(rename = "type", default)]
    pub kind: ToolKind,
    /// What is called.
    pub function: FunctionCall,
}

/// Kind of a tool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolKind {
    /// One that the client runs.
    #[default]
    Function,
}

/// Which tool is called, and with what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCall {
    /// Of the tool.
    pub name: String,
    /// A JSON object, as text.
    pub arguments: String,
}

/// What one event says of a call, in either family's form.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolCallPart {
    /// Which call of the answer it is about, where the model numbers them.
    pub index: Option<usize>,
    /// Of the call; only its first part has it.
    pub id: Option<String>,
    /// Of the tool; likewise.
    pub name: Option<String>,
    /// All of them as an object, or the next piece of their text.
    pub arguments: Option<serde_json::Value>,
}

/// What a chat model is asked; [`crate::models::ChatModel::body`] writes it as the model wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// System first, question last.
    pub messages: Vec<Message>,
    /// Asked for always; a few models ignore it and answer JSON.
    pub stream: bool,
    /// Completion tokens. Prompt and this together must fit the model's context (error 5021).
    pub max_tokens: u32,
    /// 0 to 5.
    pub temperature: f64,
    /// Declarations of the tools that may be called.
    pub tools: Vec<serde_json::Value>,
}

/// Tokens a call used, as the service reports them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// Tokens of the completion.
    #[serde(default)]
    pub completion_tokens: u64,
}

/// A failed call, as far as its body tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AiError {
    /// HTTP status.
    pub status: u16,
    /// Cloudflare's own code (3036, 5028, …), where the body has one in any of its four places.
    pub code: Option<u32>,
    /// For the log only.
    pub message: String,
}

impl AiError {
    /// Reads a body that is not a success. The code stands in `internalCode`, `errors[0].code`,
    /// `error[0].code` (AI Gateway) or as digits at the start of a message; a body that is not JSON
    /// (a proxy's HTML page) has none.
    pub fn read(status: u16, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Item {
            code: Option<u32>,
            message: Option<String>,
        }
        #[derive(Deserialize, Default)]
        #[serde(default, rename_all = "camelCase")]
        struct Body {
            internal_code: Option<u32>,
            description: Option<String>,
            message: Option<String>,
            errors: Vec<Item>,
            error: Vec<Item>,
        }
        let parsed: Body = serde_json::from_slice(body).unwrap_or_default();
        let item = parsed.errors.into_iter().chain(parsed.error).next();
        let (item_code, item_message) = item.map_or((None, None), |item| (item.code, item.message));
        let message = parsed
            .description
            .or(parsed.message)
            .or(item_message)
            .unwrap_or_else(|| String::from_utf8_lossy(body).chars().take(200).collect());
        let code = parsed.internal_code.or(item_code).or_else(|| leading_code(&message));
        Self { status, code, message }
    }
}

/// `AiError: 5028: …` and `5028: …` carry the code in front.
fn leading_code(message: &str) -> Option<u32> {
    let rest = message.rsplit_once("Error: ").map_or(message, |(_, rest)| rest);
    let (digits, _) = rest.split_once(':')?;
    if matches!(digits.len(), 4 | 5) { digits.parse().ok() } else { None }
}

/// What one piece of an answer says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AnswerPart {
    /// Text to add; may be empty.
    pub text: String,
    /// What it has of the calls that the model asks for.
    pub tool_calls: Vec<ToolCallPart>,
    /// Tokens so far. The last one counts: some models report twice, and a sum would bill double.
    pub usage: Option<Usage>,
    /// `stop`, `length`, … where the model says it.
    pub finish_reason: Option<String>,
    /// A failure reported in the middle of a stream.
    pub error: Option<AiError>,
}

/// Reads the data of one stream event, or a whole JSON answer: both families of models, both forms.
///
/// # Errors
/// The data is not JSON, hence a piece of the answer is lost.
pub fn read_answer(data: &str) -> Result<AnswerPart, serde_json::Error> {
    let mut wire: AnswerWire = serde_json::from_str(data)?;
    // What REST, and a gateway's address, put around a whole answer.
    if let Some(answer) = wire.result.take() {
        wire = *answer;
    }
    if wire.error.is_some()
        || wire.errors.as_ref().is_some_and(|errors| !errors.is_null() && errors != &serde_json::json!([]))
    {
        return Ok(AnswerPart { error: Some(AiError::read(200, data.as_bytes())), ..AnswerPart::default() });
    }
    let choice = wire.choices.into_iter().flatten().next().unwrap_or_default();
    let Content { content, tool_calls } = choice.delta.or(choice.message).unwrap_or_default();
    let content = content.filter(|text| !text.is_empty());
    let tool_calls = tool_calls.or(wire.tool_calls).into_iter().flatten().flatten().map(ToolCallPart::from).collect();
    let text = content.unwrap_or_else(|| match wire.response {
        Some(serde_json::Value::String(text)) => text,
        // A model may send a bare number as one; null closes a tool call; an object is JSON mode.
        Some(serde_json::Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    });
    Ok(AnswerPart { text, tool_calls, usage: wire.usage, finish_reason: choice.finish_reason, error: None })
}

#[derive(Deserialize)]
struct AnswerWire {
    #[serde(default)]
    result: Option<Box<AnswerWire>>,
    #[serde(default)]
    response: Option<serde_json::Value>,
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    tool_calls: Option<Vec<Option<ToolCallWire>>>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    error: Option<serde_json::Value>,
    #[serde(default)]
    errors: Option<serde_json::Value>,
}

#[derive(Deserialize, Default)]
struct Choice {
    #[serde(default)]
    delta: Option<Content>,
    #[serde(default)]
    message: Option<Content>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize, Default)]
struct Content {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Option<ToolCallWire>>>,
}

/// `{name, arguments}` of native models, `{index, id, function: {name, arguments}}` of the others.
#[derive(Deserialize, Default)]
#[serde(default)]
struct ToolCallWire {
    index: Option<usize>,
    id: Option<String>,
    function: Option<FunctionWire>,
    name: Option<String>,
    arguments: Option<serde_json::Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct FunctionWire {
    name: Option<String>,
    arguments: Option<serde_json::Value>,
}

impl From<ToolCallWire> for ToolCallPart {
    fn from(wire: ToolCallWire) -> Self {
        let ToolCallWire { index, id, function, name, arguments } = wire;
        let function = function.unwrap_or_default();
        Self { index, id, name: function.name.or(name), arguments: function.arguments.or(arguments) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_read_streamed_and_whole() {
        let cases = [
            (r#"{"response":"Hel","p":"abdefghijk"}"#, "Hel"),
            (r#"{"response":7,"p":"x"}"#, "7"),
            (r#"{"response":null}"#, ""),
            (r#"{"result":{"response":"Hello"},"success":true,"errors":[],"messages":[]}"#, "Hello"),
            (
                r#"{"id":"1","choices":[{"index":0,"delta":{"content":"Hel","reasoning_content":null},"finish_reason":null}]}"#,
                "Hel",
            ),
            (r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":null}}]}"#, ""),
            (r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#, ""),
            (
                r#"{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}"#,
                "Hello",
            ),
        ];
        for (data, text) in cases {
            assert_eq!(read_answer(data).unwrap().text, text, "{data}");
        }
        let usage =
            read_answer(r#"{"response":"","usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#)
                .unwrap()
                .usage;
        assert_eq!(usage, Some(Usage { prompt_tokens: 3, completion_tokens: 4 }));
        assert!(read_answer(r#"{"response":"Hel"#).is_err());
        let failed = read_answer(r#"{"errors":[{"code":3040,"message":"busy"}]}"#).unwrap();
        assert_eq!(failed.error.and_then(|error| error.code), Some(3040));
    }
}
