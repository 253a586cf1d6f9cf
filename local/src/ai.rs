//! Workers AI: embeddings, chat, reranking and classification, with the service's checks and its error codes.

use std::sync::Arc;

use docent_core::embedding::SPEC;
use docent_core::tokens;
use docent_core::workers_ai::{
    CLASSIFIER, ClassifyRequest, DEFAULT_MAX_TOKENS, MAX_EMBED_TEXTS, Message, REMOVED_MODELS, RERANKER, Role,
    UNKNOWN_MODEL_CONTEXT, Usage, model as known_model,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::answerer::{Answerer, Piece, Prompt};
use crate::embedder::Embedder;
use crate::events::Shape;
use crate::kept::Kept;
use crate::lexical;
use crate::refusal::Refusal;
use crate::sentiment;

/// The gateway that every account has.
pub(crate) const DEFAULT_GATEWAY: &str = "default";
/// Tokens that a chat template puts around each message, roughly.
const TOKENS_PER_MESSAGE: usize = 4;

/// Codes of Workers AI's error table, and those seen live beside it.
mod code {
    pub(super) const NO_SUCH_MODEL: u32 = 5_007;
    pub(super) const INVALID_INPUT: u32 = 5_006;
    pub(super) const CONTEXT_EXCEEDED: u32 = 5_021;
    pub(super) const DEPRECATED: u32 = 5_028;
    pub(super) const OUT_OF_CAPACITY: u32 = 3_040;
    pub(super) const NO_SUCH_GATEWAY: u32 = 2_001;
}

/// The service.
#[derive(Debug)]
pub(crate) struct Ai {
    pub(crate) embedder: Arc<Embedder>,
    /// What it has embedded before.
    pub(crate) kept: Option<Arc<Kept>>,
    pub(crate) answerer: Answerer,
    /// Gateways that exist beside the default one.
    pub(crate) gateways: Vec<String>,
    /// Whether models of the OpenAI-shaped families answer in that shape.
    pub(crate) family_shapes: bool,
}

/// What a model answered.
#[derive(Debug)]
pub(crate) enum Output {
    Whole(Value, Spent),
    Stream(mpsc::Receiver<Piece>, Shape),
}

/// What a whole answer used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spent {
    Nothing,
    Chat(Usage),
    Embedding { texts: usize, tokens: usize },
}

/// Kind of a model, as the request log names calls of it.
pub(crate) fn operation(model: &str) -> &'static str {
    match model {
        _ if model == SPEC.model => "embed",
        RERANKER => "rerank",
        CLASSIFIER => "classify",
        _ => "chat",
    }
}

impl Ai {
    /// Whether calls can go through a gateway.
    pub(crate) fn check_gateway(&self, id: &str) -> Result<(), Refusal> {
        if id == DEFAULT_GATEWAY || self.gateways.iter().any(|known| known == id) {
            return Ok(());
        }
        Err(Refusal::new(400, code::NO_SUCH_GATEWAY, "Please configure AI Gateway in the Cloudflare dashboard"))
    }

    /// Runs a model.
    pub(crate) async fn run(&self, model: &str, inputs: Value) -> Result<Output, Refusal> {
        if let Some((_, day)) = REMOVED_MODELS.iter().find(|(id, _)| *id == model) {
            let message = format!("{model} was deprecated on {day}. See the model catalog for alternatives");
            return Err(Refusal::new(410, code::DEPRECATED, message));
        }
        match operation(model) {
            "embed" => self.embed(parse(inputs)?).await,
            "rerank" => rerank(&parse(inputs)?),
            "classify" => classify(&parse(inputs)?),
            _ if known_model(model).is_some() => self.chat(model, parse(inputs)?).await,
            _ => Err(Refusal::new(400, code::NO_SUCH_MODEL, format!("No such model {model} or task"))),
        }
    }

    async fn embed(&self, inputs: EmbedInputs) -> Result<Output, Refusal> {
        let texts = match inputs.text {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(texts) => texts,
        };
        if texts.is_empty() || texts.len() > MAX_EMBED_TEXTS {
            let least_or_most = if texts.is_empty() { "fewer than 1 items" } else { "more than 100 items" };
            return Err(invalid(format!("Type mismatch of '/text', must NOT have {least_or_most}")));
        }
        if texts.iter().any(String::is_empty) {
            return Err(invalid("Length of '/text' must be >= 1".to_owned()));
        }
        let pooling = inputs.pooling.unwrap_or_else(|| "mean".to_owned());
        if pooling != "mean" && pooling != "cls" {
            return Err(invalid("'/pooling' must be one of mean, cls".to_owned()));
        }
        let (embedder, kept, count) = (Arc::clone(&self.embedder), self.kept.clone(), texts.len());
        let asked = pooling.clone();
        let work = move || {
            let tokens = texts.iter().map(|text| tokens::count(text)).sum();
            let embed = |texts: &[String]| embedder.embed(texts, &asked);
            let vectors = match kept {
                Some(kept) => kept.embed(&texts, &asked, embed),
                None => embed(&texts),
            };
            vectors.map(|vectors| (vectors, tokens))
        };
        let done = tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string()).flatten();
        let (data, tokens) = done.map_err(|error| Refusal::new(500, code::OUT_OF_CAPACITY, error))?;
        let answer = json!({ "shape": [count, SPEC.dimensions], "data": data, "pooling": pooling });
        Ok(Output::Whole(answer, Spent::Embedding { texts: count, tokens }))
    }

    async fn chat(&self, model: &str, inputs: ChatInputs) -> Result<Output, Refusal> {
        let streams = inputs.stream && !ignores_stream(model);
        let prompt = inputs.into_prompt()?;
        check_context(model, &prompt)?;
        let shape = if self.family_shapes { Shape::of(model) } else { Shape::Native };
        self.write(model, prompt, streams, shape).await
    }

    /// Runs a model that is not Workers AI's, as a server with `OpenAI`'s chat API does.
    pub(crate) async fn serve(&self, model: &str, inputs: Value) -> Result<Output, Refusal> {
        let inputs: ChatInputs = parse(inputs)?;
        let (streams, with_usage) = (inputs.stream, inputs.stream_options.include_usage);
        let shape = if with_usage { Shape::Server } else { Shape::ServerWithoutUsage };
        self.write(model, inputs.into_prompt()?, streams, shape).await
    }

    async fn write(&self, model: &str, prompt: Prompt, streams: bool, shape: Shape) -> Result<Output, Refusal> {
        let mut pieces = self.answerer.start(prompt).await?;
        if streams {
            return Ok(Output::Stream(pieces, shape));
        }
        let (mut text, mut calls) = (String::new(), Vec::new());
        while let Some(piece) = pieces.recv().await {
            match piece {
                Piece::Text(part) => text.push_str(&part),
                Piece::Calls(wanted) => calls.extend(wanted),
                Piece::Broken => break,
                Piece::End { usage, cut_by_length } => {
                    let answer = shape.whole(model, &text, &calls, usage, cut_by_length);
                    return Ok(Output::Whole(answer, Spent::Chat(usage)));
                }
            }
        }
        Err(Refusal::new(500, code::OUT_OF_CAPACITY, "the answer broke off"))
    }
}

/// Seen live of gpt-oss: it answers JSON although a stream was asked for.
fn ignores_stream(model: &str) -> bool {
    model.contains("/gpt-oss-")
}

fn check_context(model: &str, prompt: &Prompt) -> Result<(), Refusal> {
    let context = u64::from(known_model(model).map_or(UNKNOWN_MODEL_CONTEXT, |known| known.context));
    let total = prompt.estimated_tokens + u64::from(prompt.max_tokens);
    if total <= context {
        return Ok(());
    }
    let message = format!(
        "The estimated number of input and maximum output tokens ({total}) exceeded this model context window \
         limit ({context})."
    );
    Err(Refusal::new(413, code::CONTEXT_EXCEEDED, message))
}

#[derive(Deserialize)]
struct EmbedInputs {
    text: OneOrMany,
    #[serde(default)]
    pooling: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct ChatInputs {
    #[serde(default)]
    messages: Option<Vec<Message>>,
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    stream: bool,
    #[serde(default, alias = "max_completion_tokens")]
    max_tokens: Option<u32>,
    #[serde(default)]
    temperature: Option<f64>,
    #[serde(default)]
    stream_options: StreamOptions,
    #[serde(default)]
    tools: Vec<Value>,
}

#[derive(Deserialize, Default)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

impl ChatInputs {
    fn into_prompt(self) -> Result<Prompt, Refusal> {
        let messages = match (self.messages, self.prompt) {
            (Some(messages), _) if !messages.is_empty() => messages,
            (_, Some(prompt)) if !prompt.is_empty() => {
                vec![Message::new(Role::User, prompt)]
            }
            _ => return Err(invalid("required properties at '/' are 'messages' or 'prompt'".to_owned())),
        };
        if self.temperature.is_some_and(|temperature| !(0.0..=5.0).contains(&temperature)) {
            return Err(invalid("'/temperature' must be from 0 to 5".to_owned()));
        }
        let tokens = |message: &Message| TOKENS_PER_MESSAGE + tokens::count(&message.content);
        let declared = self.tools.iter().map(|tool| tokens::count(&tool.to_string())).sum::<usize>();
        Ok(Prompt {
            estimated_tokens: (messages.iter().map(tokens).sum::<usize>() + declared) as u64,
            tools: self.tools,
            messages,
            max_tokens: self.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS),
            temperature: self.temperature,
        })
    }
}

#[derive(Deserialize)]
struct RerankInputs {
    query: String,
    contexts: Vec<Context>,
    #[serde(default)]
    top_k: Option<usize>,
}

#[derive(Deserialize)]
struct Context {
    text: String,
}

fn rerank(inputs: &RerankInputs) -> Result<Output, Refusal> {
    if inputs.query.is_empty() || inputs.contexts.iter().any(|context| context.text.is_empty()) {
        return Err(invalid("Length of '/query' and of '/contexts/text' must be >= 1".to_owned()));
    }
    if inputs.top_k == Some(0) {
        return Err(invalid("'/top_k' must be >= 1".to_owned()));
    }
    let score = |context: &Context| lexical::overlap(&inputs.query, &context.text);
    let mut scores: Vec<(usize, f32)> = inputs.contexts.iter().map(score).enumerate().collect();
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    scores.truncate(inputs.top_k.unwrap_or(usize::MAX));
    let response: Vec<Value> = scores.iter().map(|(id, score)| json!({ "id": id, "score": score })).collect();
    Ok(Output::Whole(json!({ "response": response }), Spent::Nothing))
}

fn classify(inputs: &ClassifyRequest) -> Result<Output, Refusal> {
    if inputs.text.is_empty() {
        return Err(invalid("Length of '/text' must be >= 1".to_owned()));
    }
    let score = sentiment::pleased(&inputs.text);
    let answer = json!([{ "label": "NEGATIVE", "score": 1.0 - score }, { "label": "POSITIVE", "score": score }]);
    Ok(Output::Whole(answer, Spent::Nothing))
}

fn parse<T: DeserializeOwned>(inputs: Value) -> Result<T, Refusal> {
    serde_json::from_value(inputs).map_err(|error| invalid(error.to_string()))
}

fn invalid(reason: String) -> Refusal {
    Refusal::new(400, code::INVALID_INPUT, format!("AiError: Bad input: Error: {reason}"))
}
