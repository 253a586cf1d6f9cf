//! The chat models that a bot offers: what is known of each, who runs it, what its calls look like,
//! and which one a question goes to first.

use serde::{Deserialize, Serialize};

use crate::prompt::Exchange;
use crate::workers_ai::{self, ChatRequest, DOLLARS_PER_NEURON, UNKNOWN_MODEL_CONTEXT, Usage};

/// Who runs a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runner {
    /// Cloudflare: ids that begin with `@cf/` or `@hf/`.
    WorkersAi,
    /// The server at `PROVIDER_URL`: all others.
    Provider,
}

/// How a model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Workers AI's own form: `max_tokens`.
    Native,
    /// `OpenAI`'s form, at Workers AI: `max_completion_tokens`.
    OpenAi,
    /// The same, of a model that thinks before it answers unless it is told not to: thinking is
    /// billed, seen by nobody, and eats up the answer's tokens.
    Thinking,
    /// A server with `OpenAI`'s chat API: `max_tokens`, and usage at the end of a stream only if it is asked for.
    Server,
    /// The same, of a model that cannot be kept from thinking: `max_completion_tokens` and no temperature,
    /// for it refuses the other two.
    Reasoning,
}

/// US dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Of the prompt.
    pub prompt: f64,
    /// Of the completion.
    pub completion: f64,
}

/// A chat model that is offered.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatModel {
    /// Its id where it runs.
    pub id: String,
    /// Where it runs.
    pub runner: Runner,
    /// Prompt plus completion, tokens.
    pub context: u32,
    /// What it costs; `None` when nobody has said.
    pub price: Option<Price>,
    /// How it is asked.
    pub family: Family,
}

/// What an operator knows of a model that docent does not: an entry of `MODEL_INFO`.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The model's id.
    pub id: String,
    /// Prompt plus completion, tokens.
    pub context: u32,
    /// What it costs.
    pub price: Option<Price>,
}

impl Facts {
    /// Reads `id=context` or `id=context/dollars in/dollars out`, dollars per million tokens.
    pub fn parse(entry: &str) -> Option<Self> {
        let (id, facts) = entry.split_once('=')?;
        let mut parts = facts.split('/').map(str::trim);
        let context = parts.next()?.parse().ok().filter(|context| *context >= MIN_CONTEXT)?;
        let dollars = |text: &str| text.parse::<f64>().ok().filter(|price| price.is_finite() && *price >= 0.0);
        let price = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => None,
            (Some(prompt), Some(completion), None) => {
                Some(Price { prompt: dollars(prompt)?, completion: dollars(completion)? })
            }
            _ => return None,
        };
        let id = Some(id.trim()).filter(|id| !id.is_empty())?;
        Some(Self { id: id.to_owned(), context, price })
    }
}

/// Smallest context that instructions, a question and an answer fit, tokens.
const MIN_CONTEXT: u32 = 2_048;

impl ChatModel {
    /// The model with this id; `known` counts more than the table of [`workers_ai::MODELS`].
    pub fn new(id: &str, known: &[Facts]) -> Self {
        let runner = if is_of_workers_ai(id) { Runner::WorkersAi } else { Runner::Provider };
        let row = workers_ai::model(id);
        let facts = known.iter().find(|facts| facts.id == id);
        let listed = row.map(|row| Price {
            prompt: row.neurons_in * DOLLARS_PER_NEURON,
            completion: row.neurons_out * DOLLARS_PER_NEURON,
        });
        let context = facts.map(|facts| facts.context).or(row.map(|row| row.context));
        Self {
            id: id.to_owned(),
            runner,
            context: context.unwrap_or(UNKNOWN_MODEL_CONTEXT),
            price: facts.and_then(|facts| facts.price).or(listed),
            family: family(id, runner),
        }
    }

    /// Whether Cloudflare runs it.
    pub fn is_of_workers_ai(&self) -> bool {
        self.runner == Runner::WorkersAi
    }

    /// US dollars of a call; `None` when the price is not known.
    #[allow(clippy::cast_precision_loss)] // token counts are far below 2^52
    pub fn cost_usd(&self, usage: Usage) -> Option<f64> {
        let price = self.price?;
        let Usage { prompt_tokens, completion_tokens } = usage;
        Some((prompt_tokens as f64 * price.prompt + completion_tokens as f64 * price.completion) / 1e6)
    }

    /// The body of a call.
    pub fn body(&self, request: &ChatRequest) -> String {
        #[derive(Serialize)]
        struct Body<'r> {
            #[serde(skip_serializing_if = "Option::is_none")]
            model: Option<&'r str>,
            messages: &'r [workers_ai::Message],
            stream: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            stream_options: Option<StreamOptions>,
            #[serde(skip_serializing_if = "Option::is_none")]
            max_tokens: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            max_completion_tokens: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            temperature: Option<f64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            chat_template_kwargs: Option<Template>,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            tools: &'r [serde_json::Value],
        }
        #[derive(Serialize)]
        struct StreamOptions {
            include_usage: bool,
        }
        #[derive(Serialize)]
        struct Template {
            enable_thinking: bool,
        }
        let ChatRequest { messages, stream, max_tokens, temperature, tools } = request;
        let at_server = matches!(self.family, Family::Server | Family::Reasoning);
        let by_old_name = matches!(self.family, Family::Native | Family::Server);
        let body = Body {
            model: at_server.then_some(&self.id),
            messages,
            stream: *stream,
            stream_options: (at_server && *stream).then_some(StreamOptions { include_usage: true }),
            max_tokens: by_old_name.then_some(*max_tokens),
            max_completion_tokens: (!by_old_name).then_some(*max_tokens),
            temperature: (self.family != Family::Reasoning).then_some(*temperature),
            chat_template_kwargs: (self.family == Family::Thinking).then_some(Template { enable_thinking: false }),
            tools,
        };
        serde_json::to_string(&body).unwrap_or_default()
    }
}

/// Whether a model id is one of Workers AI.
pub fn is_of_workers_ai(id: &str) -> bool {
    id.starts_with("@cf/") || id.starts_with("@hf/")
}

/// By the names of the models, as their makers document them: Workers AI's model pages, and `OpenAI`'s
/// reference of its chat API for what its reasoning models refuse.
fn family(id: &str, runner: Runner) -> Family {
    let is_one_of = |names: &[&str]| names.iter().any(|name| id.contains(name));
    let name = id.rsplit('/').next().unwrap_or(id);
    let reasons = ["o1", "o3", "o4", "gpt-5"]
        .iter()
        .any(|series| name.strip_prefix(series).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.'])));
    match runner {
        Runner::WorkersAi if is_one_of(&["/gemma-4", "/glm-"]) => Family::Thinking,
        Runner::WorkersAi if is_one_of(&["/qwen3-", "/gpt-oss-"]) => Family::OpenAi,
        Runner::WorkersAi => Family::Native,
        Runner::Provider if reasons => Family::Reasoning,
        Runner::Provider => Family::Server,
    }
}

/// Longest question that can be simple, characters.
const SIMPLE_CHARS: usize = 100;

/// Whether a small model will do: a short first question, one line and one sentence, without code. A
/// follow-up question is not simple, for it has to be understood from what was said before.
pub fn is_simple(question: &str, history: &[Exchange]) -> bool {
    let question = question.trim();
    let ends = question.chars().filter(|c| matches!(c, '?' | '!' | '？' | '！' | '。')).count();
    let has_code = question.contains(['`', '{', '}', ';', '=', '\n']) || question.contains("::");
    history.is_empty() && question.chars().count() <= SIMPLE_CHARS && ends <= 1 && !has_code
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workers_ai::{Message, Role};
    use serde_json::{Value, json};

    #[test]
    fn each_family_is_asked_in_its_own_form() {
        let messages = vec![Message::new(Role::User, "q")];
        let request = ChatRequest { messages, stream: true, max_tokens: 7, temperature: 0.5, tools: Vec::new() };
        let said = json!([{ "role": "user", "content": "q" }]);
        let cases = [
            ("@cf/meta/llama-3.1-8b-instruct-fast", json!({ "max_tokens": 7, "temperature": 0.5 })),
            ("@cf/openai/gpt-oss-20b", json!({ "max_completion_tokens": 7, "temperature": 0.5 })),
            (
                "@cf/google/gemma-4-26b-a4b-it",
                json!({ "max_completion_tokens": 7, "temperature": 0.5, "chat_template_kwargs": { "enable_thinking": false } }),
            ),
            (
                "llama3.1:8b",
                json!({ "model": "llama3.1:8b", "max_tokens": 7, "temperature": 0.5, "stream_options": { "include_usage": true } }),
            ),
            (
                "openai/o4-mini",
                json!({ "model": "openai/o4-mini", "max_completion_tokens": 7, "stream_options": { "include_usage": true } }),
            ),
        ];
        for (id, mut expected) in cases {
            expected["messages"] = said.clone();
            expected["stream"] = true.into();
            let body: Value = serde_json::from_str(&ChatModel::new(id, &[]).body(&request)).unwrap();
            assert_eq!(body, expected, "{id}");
        }
    }

    #[test]
    fn what_the_operator_says_of_a_model_counts_more_than_the_table() {
        let usage = Usage { prompt_tokens: 1_000_000, completion_tokens: 2_000_000 };
        let facts: Vec<Facts> =
            ["gpt-4o-mini=128000/0.15/0.60", "local=4096"].iter().map(|entry| Facts::parse(entry).unwrap()).collect();
        let known = ChatModel::new("gpt-4o-mini", &facts);
        assert_eq!((known.context, known.cost_usd(usage)), (128_000, Some(1.35)));
        let free = ChatModel::new("local", &facts);
        assert_eq!((free.context, free.cost_usd(usage), free.runner), (4_096, None, Runner::Provider));
        let listed = ChatModel::new("@cf/meta/llama-3.1-8b-instruct-fast", &facts);
        let dollars = listed.cost_usd(usage).unwrap();
        assert!((dollars - (0.045_309 + 2.0 * 0.383_548)).abs() < 1e-6, "{dollars}");
        for wrong in ["", "gpt", "gpt=", "=4096", "gpt=many", "gpt=4096/1", "gpt=4096/1/2/3", "gpt=4096/-1/2", "gpt=7"]
        {
            assert_eq!(Facts::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn cost_is_the_published_example() {
        // 3,000 tokens in and 300 out on the default model are about 22.8 neurons.
        let usage = Usage { prompt_tokens: 3_000, completion_tokens: 300 };
        let cost = ChatModel::new("@cf/meta/llama-3.1-8b-instruct-fast", &[]).cost_usd(usage).unwrap();
        assert!((cost - 22.817 * DOLLARS_PER_NEURON).abs() < 1e-6, "{cost}");
        assert_eq!(ChatModel::new("@cf/unknown", &[]).cost_usd(usage), None);
    }

    #[test]
    fn simple_is_short_first_and_without_code() {
        assert!(is_simple("How do I reset my password?", &[]));
        assert!(!is_simple("And how do I undo it?", &[Exchange { question: "q".into(), answer: "a".into() }]));
        assert!(!is_simple("Why does `docent ingest` stop?", &[]));
        assert!(!is_simple("It fails! Why? What can I do?", &[]));
        assert!(!is_simple(&"long ".repeat(30), &[]));
    }
}
