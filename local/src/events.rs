//! Answers on the wire of Workers AI: the two shapes that models answer in, streamed and whole, and
//! the faults that a script puts into a stream.

use std::io;

use axum::body::{Body, Bytes};
use docent_core::workers_ai::{ToolCall, Usage};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::answerer::Piece;
use crate::faults::Fault;

/// How a model's answers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `{"response":…}`: Llama and other native models.
    Native,
    /// `{"choices":[…]}`: gemma-4, glm, qwen3, gpt-oss.
    OpenAi,
    /// The same to the end: a server with `OpenAI`'s own API.
    Server,
    /// The same, of a stream whose usage was not asked for.
    ServerWithoutUsage,
}

impl Shape {
    /// By the family that a model id belongs to.
    pub(crate) fn of(model: &str) -> Self {
        let open_ai = ["gemma-4", "/glm-", "/qwen3-", "/gpt-oss-"];
        if open_ai.iter().any(|family| model.contains(family)) { Self::OpenAi } else { Self::Native }
    }

    /// A whole answer.
    pub(crate) fn whole(self, model: &str, text: &str, calls: &[ToolCall], usage: Usage, cut_by_length: bool) -> Value {
        let usage = usage_json(usage);
        let mut answer = match self {
            Self::Native => json!({ "response": text, "usage": usage }),
            Self::OpenAi | Self::Server | Self::ServerWithoutUsage => json!({
                "id": "chatcmpl-docent-local", "object": "chat.completion", "created": 0, "model": model,
                "choices": [{
                    "index": 0, "message": { "role": "assistant", "content": text },
                    "finish_reason": finish_reason(cut_by_length, !calls.is_empty()),
                }],
                "usage": usage,
            }),
        };
        let message = if self == Self::Native { Some(&mut answer) } else { answer.pointer_mut("/choices/0/message") };
        if let Some(message) = message.and_then(Value::as_object_mut).filter(|_| !calls.is_empty()) {
            let calls = if self == Self::Native { native(calls) } else { json!(calls) };
            message.insert("tool_calls".to_owned(), calls);
        }
        answer
    }

    /// The events that carry calls of tools. The arguments come in two pieces where the family sends text.
    fn calls(self, model: &str, calls: &[ToolCall]) -> Vec<Value> {
        if self == Self::Native {
            return vec![json!({ "response": null, "tool_calls": native(calls), "p": "" })];
        }
        let pieces = calls.iter().enumerate().flat_map(|(index, call)| {
            let arguments = &call.function.arguments;
            let middle = arguments.floor_char_boundary(arguments.len() / 2);
            let (first, second) = arguments.split_at(middle);
            let begun = json!({ "index": index, "id": call.id, "type": "function",
                "function": { "name": call.function.name, "arguments": first } });
            [begun, json!({ "index": index, "function": { "arguments": second } })]
        });
        pieces.map(|piece| chunk(model, &json!({ "tool_calls": [piece] }), None)).collect()
    }

    fn delta(self, model: &str, text: &str, number: usize) -> Value {
        match self {
            // `p` is padding against guessing words by packet sizes; its length must vary.
            Self::Native => json!({ "response": text, "p": padding(number) }),
            Self::OpenAi | Self::Server | Self::ServerWithoutUsage => chunk(model, &json!({ "content": text }), None),
        }
    }
}

/// Native models name and argue, and number nothing.
fn native(calls: &[ToolCall]) -> Value {
    let arguments = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    let native = |ToolCall { function, .. }: &ToolCall| json!({ "name": function.name, "arguments": arguments(&function.arguments) });
    calls.iter().map(native).collect()
}

fn finish_reason(cut_by_length: bool, calls: bool) -> &'static str {
    match (cut_by_length, calls) {
        (true, _) => "length",
        (false, true) => "tool_calls",
        (false, false) => "stop",
    }
}

fn chunk(model: &str, delta: &Value, finish: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-docent-local", "object": "chat.completion.chunk", "created": 0, "model": model,
        "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
    })
}

fn padding(number: usize) -> &'static str {
    "abdefghijklmnopqrstuvwxyz0123456789".get(..number * 7 % 35).unwrap_or_default()
}

fn usage_json(usage: Usage) -> Value {
    let Usage { prompt_tokens, completion_tokens } = usage;
    json!({
        "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    })
}

/// Turns the pieces of an answer into the body of an event stream. `used` is told the tokens.
pub(crate) fn body(
    pieces: mpsc::Receiver<Piece>,
    shape: Shape,
    model: String,
    fault: Option<Fault>,
    used: impl FnOnce(Usage) + Send + 'static,
) -> Body {
    let (sender, receiver) = mpsc::channel(16);
    let mut writer = Writer { sender, sent: 0, fault: fault.unwrap_or_default() };
    tokio::spawn(async move {
        // The reader having left is no failure of anybody's.
        let _ = writer.write(pieces, shape, &model, used).await;
    });
    Body::from_stream(stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))))
}

/// Nothing more is to be sent.
struct Over;

struct Writer {
    sender: mpsc::Sender<io::Result<Bytes>>,
    sent: usize,
    fault: Fault,
}

impl Writer {
    async fn write(
        &mut self,
        mut pieces: mpsc::Receiver<Piece>,
        shape: Shape,
        model: &str,
        used: impl FnOnce(Usage),
    ) -> Result<(), Over> {
        let mut has_calls = false;
        while let Some(piece) = pieces.recv().await {
            match piece {
                Piece::Calls(calls) => {
                    has_calls = true;
                    for event in shape.calls(model, &calls) {
                        self.send(&event.to_string()).await?;
                    }
                }
                Piece::Text(text) => self.send(&shape.delta(model, &text, self.sent).to_string()).await?,
                Piece::Broken => return Err(Over),
                Piece::End { usage, cut_by_length } => {
                    used(usage);
                    if shape != Shape::Native {
                        let finish = finish_reason(cut_by_length, has_calls);
                        self.send(&chunk(model, &json!({}), Some(finish)).to_string()).await?;
                    }
                    let last = match shape {
                        // At Workers AI the last chunk has the native shape whatever came before.
                        Shape::Native | Shape::OpenAi => json!({ "response": "", "usage": usage_json(usage) }),
                        Shape::Server => json!({ "choices": [], "usage": usage_json(usage) }),
                        Shape::ServerWithoutUsage => return self.send("[DONE]").await,
                    };
                    self.send(&last.to_string()).await?;
                    return self.send("[DONE]").await;
                }
            }
        }
        Ok(())
    }

    async fn send(&mut self, data: &str) -> Result<(), Over> {
        if self.fault.cut_after_events == Some(self.sent) {
            if self.fault.drop_connection {
                let _ = self.sender.send(Err(io::Error::other("dropped by a scripted fault"))).await;
            }
            return Err(Over);
        }
        if self.fault.stall_after_events == Some(self.sent) {
            self.sender.closed().await;
            return Err(Over);
        }
        self.sent += 1;
        let garbled = self.fault.garble_event == Some(self.sent);
        let data = if garbled { data.get(..data.len() / 2).unwrap_or("{") } else { data };
        self.sender.send(Ok(Bytes::from(format!("data: {data}\n\n")))).await.map_err(|_| Over)
    }
}
