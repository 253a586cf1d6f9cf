//! Tools without a model: which one the words of a question call for, what to call it with, and an
//! answer of the fields that were asked for.
//!
//! It fills in what the visitor has written and nothing else, now or earlier in the conversation.

use docent_core::workers_ai::{FunctionCall, Message, Role, ToolCall};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answerer::Prompt;
use crate::extractive::share;
use crate::lexical::terms;

/// Share of the question that the declaration of a tool must have.
const MIN_SHARE: f32 = 0.6;
/// Fields that are told of an answer nobody asked a single one of.
const MAX_FIELDS: usize = 6;
/// Longest value that is told, characters.
const MAX_VALUE_CHARS: usize = 200;

/// What is written where tools are offered.
pub(crate) enum Written {
    Text(String),
    Calls(Vec<ToolCall>),
}

#[derive(Deserialize)]
struct Declared {
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    description: String,
    parameters: Value,
}

/// What to write next because of tools; `None` when none has to do with the question.
pub(crate) fn written(prompt: &Prompt) -> Option<Written> {
    let messages = &prompt.messages;
    let answers: Vec<&Message> = messages.iter().rev().take_while(|message| message.role == Role::Tool).collect();
    let questions: Vec<&str> =
        messages.iter().rev().filter(|said| said.role == Role::User).map(|said| said.content.as_str()).collect();
    let question = questions.first()?;
    if !answers.is_empty() {
        let mut told: Vec<String> = answers.into_iter().rev().map(|answer| tell(answer, question)).collect();
        told.dedup();
        return Some(Written::Text(told.join("\n\n")));
    }
    let plain: Vec<&str> = question.split_whitespace().filter(|word| identifier(word).is_none()).collect();
    let asked = terms(&plain.join(" "));
    let declared = prompt.tools.iter().filter_map(|tool| serde_json::from_value::<Declared>(tool.clone()).ok());
    let fitting = declared.map(|Declared { function }| {
        let known =
            terms(&format!("{} {} {}", function.name, function.description, function.parameters).replace('_', " "));
        (share(&asked, |term| if known.contains_key(term) { 1.0 } else { 0.0 }), function)
    });
    let (fit, Function { name, parameters, .. }) = fitting.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    if fit < MIN_SHARE {
        return None;
    }
    let mut arguments = Map::new();
    for required in parameters.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    {
        let property = parameters.get("properties")?.get(required)?;
        match questions.iter().find_map(|said| fill(property, said)) {
            Some(value) => arguments.insert(required.to_owned(), value),
            None => return Some(Written::Text(format!("Which {} is it about?", required.replace('_', " ")))),
        };
    }
    let function = FunctionCall { name, arguments: Value::Object(arguments).to_string() };
    Some(Written::Calls(vec![ToolCall { id: "call_1".to_owned(), function, ..ToolCall::default() }]))
}

/// A word that names one thing, such as `#XYZ-98765`.
fn identifier(word: &str) -> Option<&str> {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    word.contains(|c: char| c.is_ascii_digit()).then_some(word)
}

/// The value of a property that a text has.
fn fill(property: &Value, text: &str) -> Option<Value> {
    let mut words = text.split_whitespace();
    if let Some(values) = property.get("enum").and_then(Value::as_array) {
        let named = |value: &&Value| {
            value.as_str().is_some_and(|value| words.clone().any(|word| word.eq_ignore_ascii_case(value)))
        };
        return values.iter().find(named).cloned();
    }
    match property.get("type").and_then(Value::as_str)? {
        "string" => words.find_map(identifier).map(|found| json!(found)),
        "integer" => words.find_map(|word| identifier(word)?.parse::<i64>().ok()).map(|found| json!(found)),
        "number" => words.find_map(|word| identifier(word)?.parse::<f64>().ok()).map(|found| json!(found)),
        _ => None,
    }
}

/// What a tool answered, in words.
fn tell(answer: &Message, question: &str) -> String {
    let name = answer.name.as_deref().unwrap_or("the tool").replace('_', " ");
    let Ok(value) = serde_json::from_str::<Value>(&answer.content) else {
        return format!("I could not read what {name} answered.");
    };
    if value.get("error").is_some() {
        return format!("I could not look that up: {name} gives no answer at the moment.");
    }
    if value.get("found") == Some(&Value::Bool(false)) {
        return format!("{name} knows nothing of that.");
    }
    let mut fields = Vec::new();
    flatten("", &value, &mut fields);
    let asked = terms(question);
    let is_asked = |(field, _): &&(String, String)| terms(field).keys().any(|term| asked.contains_key(term));
    let mut told: Vec<&(String, String)> = fields.iter().filter(is_asked).collect();
    if told.is_empty() {
        told = fields.iter().take(MAX_FIELDS).collect();
    }
    let told: Vec<String> = told.into_iter().map(|(field, value)| format!("{field}: {value}")).collect();
    format!("{name} says: {}.", told.join("; "))
}

/// The plain values of an answer with what they are called; what speaks to a language model is left out.
fn flatten(path: &str, value: &Value, fields: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                flatten(format!("{path} {}", key.replace('_', " ")).trim(), value, fields);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| flatten(path, value, fields)),
        Value::Null => {}
        Value::String(text) if text.chars().count() > MAX_VALUE_CHARS || text.contains("<quoted>") => {}
        Value::String(text) => fields.push((path.to_owned(), text.clone())),
        other => fields.push((path.to_owned(), other.to_string())),
    }
}
