//! Who writes the answers: the extractive answerer, or a model behind an OpenAI-compatible server.

use docent_core::workers_ai::{Message, ToolCall, Usage};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::extractive::Extractive;
use crate::llm::Llm;
use crate::refusal::Refusal;

/// A chat call as answerers see it.
#[derive(Debug, Clone)]
pub(crate) struct Prompt {
    pub(crate) messages: Vec<Message>,
    pub(crate) max_tokens: u32,
    pub(crate) temperature: Option<f64>,
    /// Declarations of the tools that may be called.
    pub(crate) tools: Vec<Value>,
    /// Estimated tokens of `messages`.
    pub(crate) estimated_tokens: u64,
}

/// A part of an answer.
#[derive(Debug)]
pub(crate) enum Piece {
    Text(String),
    /// It wants these tools to be called.
    Calls(Vec<ToolCall>),
    /// The answer is complete, or as long as was allowed.
    End {
        usage: Usage,
        cut_by_length: bool,
    },
    /// It broke off.
    Broken,
}

/// The choice made at start.
#[derive(Debug)]
pub(crate) enum Answerer {
    Extractive(Extractive),
    Llm(Llm),
}

impl Answerer {
    /// Starts an answer. Nobody reading it any more ends it.
    pub(crate) async fn start(&self, prompt: Prompt) -> Result<mpsc::Receiver<Piece>, Refusal> {
        match self {
            Self::Extractive(extractive) => Ok(extractive.start(prompt)),
            Self::Llm(llm) => llm.start(prompt).await,
        }
    }

    /// What it is, for whoever starts it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Extractive(_) => {
                "docent-local/extractive, sentences of the documentation: NOT a language model (--llm gives it one)"
                    .to_owned()
            }
            Self::Llm(llm) => llm.name(),
        }
    }

    /// What it is, for whoever reads a log.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Extractive(_) => "docent-local/extractive".to_owned(),
            Self::Llm(llm) => llm.name(),
        }
    }
}
