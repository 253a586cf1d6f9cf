//! Answers without a model: the sentences of the passages that say most of what was asked.

use std::time::Duration;

use docent_core::prompt::{PromptPassage, REFUSAL, read_passages};
use docent_core::tokens;
use docent_core::workers_ai::{Role, Usage};
use tokio::sync::mpsc;

use crate::answerer::{Piece, Prompt};
use crate::lexical::overlap;

/// Share of the question's weight that a passage must have for an answer.
const MIN_SUPPORT: f32 = 0.4;

/// The answerer, with its pace.
#[derive(Debug)]
pub(crate) struct Extractive {
    pub(crate) token_delay: Duration,
}

impl Extractive {
    /// Answers word by word.
    pub(crate) fn start(&self, prompt: Prompt) -> mpsc::Receiver<Piece> {
        let (sender, receiver) = mpsc::channel(16);
        let delay = self.token_delay;
        tokio::spawn(async move {
            let text = answer(&prompt);
            let mut completion_tokens = 0;
            let mut cut_by_length = false;
            for word in text.split_inclusive(char::is_whitespace) {
                let tokens = tokens::count(word).max(1) as u64;
                cut_by_length = completion_tokens + tokens > u64::from(prompt.max_tokens);
                if cut_by_length || sender.send(Piece::Text(word.to_owned())).await.is_err() {
                    break;
                }
                completion_tokens += tokens;
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
            }
            let usage = Usage { prompt_tokens: prompt.prompt_tokens, completion_tokens };
            let _ = sender.send(Piece::End { usage, cut_by_length }).await;
        });
        receiver
    }
}

fn answer(prompt: &Prompt) -> String {
    let question = prompt.messages.iter().rfind(|message| message.role == Role::User);
    let Some(question) = question.map(|message| message.content.as_str()) else { return REFUSAL.to_owned() };
    let passages = read_passages(&prompt.messages);
    let mut ranked: Vec<(f32, &PromptPassage)> =
        passages.iter().map(|passage| (overlap(question, &passage.text), passage)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    match ranked.first() {
        Some((support, passage)) if *support >= MIN_SUPPORT => {
            let sentence = passage.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            format!("{} [{}]", sentence.trim(), passage.n)
        }
        _ => REFUSAL.to_owned(),
    }
}
