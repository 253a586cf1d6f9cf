//! Datasets of ragas: one sample a line, with the fields of its `SingleTurnSample` or
//! `MultiTurnSample`.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Imported, json_lines, judged};
use crate::questions::{Expected, Question};

#[derive(Deserialize)]
struct Sample {
    user_input: Input,
    #[serde(default)]
    reference: Option<String>,
    #[serde(default)]
    reference_context_ids: Option<Vec<Value>>,
    /// Answers and contexts of some run, and what the generator of the dataset noted.
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "user_input is text or a list of messages")]
enum Input {
    Text(String),
    Messages(Vec<Message>),
}

#[derive(Deserialize)]
struct Message {
    content: String,
    #[serde(rename = "type", alias = "role")]
    role: String,
}

pub(super) fn import(text: &str, imported: &mut Imported) -> Result<(), String> {
    for sample in json_lines::<Sample>(text, "a sample of ragas, with user_input,")? {
        let mut turns = match sample.user_input {
            Input::Text(text) => vec![text],
            Input::Messages(messages) => {
                let asked = messages.into_iter().filter(|message| ["human", "user"].contains(&message.role.as_str()));
                asked.map(|message| message.content).collect()
            }
        };
        let mut question = Question {
            question: turns.pop().unwrap_or_default(),
            turns,
            answer: Expected { reference: sample.reference.map(|text| super::cleaned(&text)), ..Expected::default() },
            ..Question::default()
        };
        let ids = sample.reference_context_ids.unwrap_or_default();
        judged(&mut question, ids.into_iter().map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned)));
        imported.add(question);
        for (field, _) in sample.others.iter().filter(|(_, value)| !value.is_null()) {
            imported.lost(format!("field {}", super::cleaned(field)));
        }
    }
    Ok(())
}
