//! Tools: what a model may have looked up beside the documentation, such as the state of an order.
//!
//! The operator declares each with a JSON Schema and an address. The model asks for a call, docent
//! checks its arguments, makes it and tells the model what came back. A call whose arguments do not
//! fit is never made, and neither is one too many; both the arguments and what comes back are
//! somebody else's words.
//!
//! Of JSON Schema the part is read that a tool's arguments need, and a declaration with anything else
//! is refused when the settings are read: what is not checked must not look as if it were. A whole
//! validator is some twenty crates more; the tests hold this part against one.

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::handoff::pseudonym;
use crate::injection;
use crate::ports::{Fault, Host, Limit, Post, Posted, log};
use crate::settings::Settings;
use crate::upstream::Request;
use crate::workers_ai::{FunctionCall, Message, Role, ToolCall, ToolCallPart};

/// Most tools of a bot: each stands in every prompt.
const MAX_TOOLS: usize = 8;
/// Longest name of a tool, as `OpenAI`'s chat API has it, characters.
const MAX_NAME_CHARS: usize = 64;

/// Times that a model may ask for calls before it has to answer.
const MAX_ROUNDS: usize = 3;
/// Calls that are made for one answer at most.
const MAX_CALLS: usize = 6;
/// Longest wait for one call, and for all calls of an answer, milliseconds.
const CALL_MS: u64 = 5_000;
const ALL_CALLS_MS: u64 = 10_000;
/// Longest answer of a tool, bytes: more would crowd the passages out of the prompt.
const MAX_ANSWER_BYTES: usize = 8 * 1024;
/// Longest arguments that are kept in a trace, and told to a model again, characters.
const MAX_ARGUMENTS_CHARS: usize = 2_000;

/// What is said when everything that was to be looked up could not be, and no page is there to answer from.
pub(crate) const FAILURE: &str =
    "I could not look that up: the service that knows it does not answer at the moment. Please try again later.";

/// Something that can be looked up.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// What the model calls it by.
    pub name: String,
    /// When to call it, for the model.
    pub description: String,
    /// What it is called with.
    pub parameters: Parameters,
    /// Where: it gets the arguments as JSON by POST and answers JSON.
    pub url: String,
}

/// A JSON Schema of an object whose properties are no objects and no lists. What it does not name is never sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters(Value);

/// What is read of a schema.
const OF_OBJECT: [&str; 4] = ["type", "properties", "required", "additionalProperties"];
const OF_PROPERTY: [&str; 7] = ["type", "description", "enum", "minLength", "maxLength", "minimum", "maximum"];
const TYPES: [&str; 4] = ["string", "integer", "number", "boolean"];

impl Tool {
    /// Reads the declarations of `TOOLS`, with all that is wrong with them; whether an address can be called is
    /// for the settings to say.
    pub fn read(declarations: &str) -> (Vec<Self>, Vec<String>) {
        let list: Vec<Value> = match serde_json::from_str(declarations) {
            Ok(list) => list,
            Err(error) => return (Vec::new(), vec![format!("it is no list as JSON: {error}")]),
        };
        let mut problems = Vec::new();
        let mut tools: Vec<Self> = Vec::new();
        for declared in list {
            let text = |key: &str| declared.get(key).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
            let (name, description, url) = (text("name"), text("description"), text("url"));
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(is_plain) {
                problems.push(format!("\"{name}\" is no name: use up to {MAX_NAME_CHARS} of a-z, A-Z, 0-9, _ and -"));
            }
            if tools.iter().any(|tool| tool.name == name) {
                problems.push(format!("two tools are named {name}"));
            }
            if description.is_empty() {
                problems.push(format!("{name} has no description: say when to call it, for the model goes by that"));
            }
            let unread = unread(&declared, &["name", "description", "parameters", "url"]);
            problems.extend(unread.map(|key| format!("{name} has \"{key}\", which no tool has")));
            let parameters = Parameters(declared.get("parameters").cloned().unwrap_or_default());
            problems.extend(parameters.problems().into_iter().map(|problem| format!("{name}: {problem}")));
            tools.push(Self { name, description, parameters, url });
        }
        if tools.len() > MAX_TOOLS {
            problems.push(format!("it has {} tools, and at most {MAX_TOOLS} are offered", tools.len()));
        }
        (tools, problems)
    }

    /// The declaration for a model.
    pub fn declaration(&self) -> Value {
        let Self { name, description, parameters, .. } = self;
        json!({ "type": "function",
            "function": { "name": name, "description": description, "parameters": parameters.0 } })
    }
}

/// Keys of an object that are not among those known.
fn unread<'v>(value: &'v Value, known: &'v [&str]) -> impl Iterator<Item = &'v String> {
    value.as_object().into_iter().flat_map(Map::keys).filter(|key| !known.contains(&key.as_str()))
}

impl Parameters {
    fn properties(&self) -> Option<&Map<String, Value>> {
        self.0.get("properties").and_then(Value::as_object)
    }

    fn required(&self) -> impl Iterator<Item = &str> {
        self.0.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// Why it cannot be used.
    fn problems(&self) -> Vec<String> {
        let Self(schema) = self;
        let mut problems = Vec::new();
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            problems.push("parameters must be a JSON Schema with \"type\": \"object\"".to_owned());
        }
        let not_checked = |key: &String| format!("\"{key}\" of JSON Schema is not checked here: leave it out");
        problems.extend(unread(schema, &OF_OBJECT).map(not_checked));
        if schema.get("additionalProperties").is_some_and(|more| more != &Value::Bool(false)) {
            problems.push("additionalProperties are never sent: name them as properties".to_owned());
        }
        let is_list = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
        if schema.get("required").is_some_and(|required| !is_list(required)) {
            problems.push("required must be a list of names".to_owned());
        }
        if schema.get("properties").is_some_and(|properties| !properties.is_object()) {
            problems.push("properties must be an object".to_owned());
        }
        let is_known = |name: &str| self.properties().is_some_and(|properties| properties.contains_key(name));
        let unknown = self.required().filter(|name| !is_known(name));
        problems.extend(unknown.map(|name| format!("it requires {name}, which is no property of it")));
        for (name, property) in self.properties().into_iter().flatten() {
            if !property.get("type").and_then(Value::as_str).is_some_and(|kind| TYPES.contains(&kind)) {
                problems.push(format!("the type of {name} must be one of {}", TYPES.join(", ")));
            }
            problems.extend(unread(property, &OF_PROPERTY).map(not_checked));
            let is_wrong = |key: &&'static str| match (property.get(*key), *key) {
                (None, _) | (Some(Value::String(_)), "description") => false,
                (Some(value), "enum") => value.as_array().is_none_or(Vec::is_empty),
                (Some(value), "minLength" | "maxLength") => !value.is_u64(),
                (Some(value), "minimum" | "maximum") => !value.is_number(),
                (Some(_), key) => key != "type",
            };
            let wrong = OF_PROPERTY.into_iter().filter(is_wrong);
            problems.extend(wrong.map(|key| format!("the {key} of {name} is none that JSON Schema knows")));
        }
        problems
    }

    /// The arguments as they are sent, from the JSON that a model wrote.
    ///
    /// # Errors
    /// What does not fit, for the model to mend.
    pub fn check(&self, arguments: &str) -> Result<Map<String, Value>, String> {
        let given = if arguments.trim().is_empty() { "{}" } else { arguments };
        let Ok(Value::Object(mut given)) = serde_json::from_str(given) else {
            return Err("the arguments are no JSON object".to_owned());
        };
        // Models write null for what they leave out.
        given.retain(|name, value| !value.is_null() || self.required().any(|required| required == name));
        let missing = self.required().filter(|name| !given.contains_key(*name));
        let mut wrong: Vec<String> = missing.map(|name| format!("{name} is missing")).collect();
        for (name, value) in &given {
            match self.properties().and_then(|properties| properties.get(name)) {
                None => wrong.push(format!("there is no {}", cut(name, MAX_NAME_CHARS))),
                Some(property) => wrong.extend(misfit(property, value).map(|misfit| format!("{name} {misfit}"))),
            }
        }
        if wrong.is_empty() { Ok(given) } else { Err(wrong.join("; ")) }
    }
}

/// What of a property a value does not fit.
fn misfit(property: &Value, value: &Value) -> Option<String> {
    let is_whole = || value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0);
    let kind = property.get("type").and_then(Value::as_str).unwrap_or_default();
    let fits = match kind {
        "string" => value.is_string(),
        "integer" => is_whole(),
        "number" => value.is_number(),
        _ => value.is_boolean(),
    };
    if !fits {
        return Some(format!("must be of type {kind}"));
    }
    if let Some(values) =
        property.get("enum").filter(|values| !values.as_array().is_some_and(|all| all.contains(value)))
    {
        return Some(format!("must be one of {values}"));
    }
    #[allow(clippy::cast_precision_loss)] // a model writes no 2^52 characters
    let length = value.as_str().map(|text| text.chars().count() as f64);
    let limits =
        [("minLength", length), ("maxLength", length), ("minimum", value.as_f64()), ("maximum", value.as_f64())];
    limits.into_iter().find_map(|(key, measured)| {
        let (limit, measured) = (property.get(key)?, measured?);
        let is_over = if key.starts_with("min") { measured < limit.as_f64()? } else { measured > limit.as_f64()? };
        is_over.then(|| format!("is beyond its {key} of {limit}"))
    })
}

/// The calls that a model asks for, while they stream in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted(Vec<(Option<usize>, ToolCall)>);

impl Wanted {
    /// Takes what one event has of them. A call begins with its name; its arguments may come in pieces.
    pub fn push(&mut self, part: ToolCallPart) {
        let ToolCallPart { index, id, name, arguments } = part;
        // Some servers number every call 0 and tell them apart by their ids.
        let is_other = |call: &ToolCall| id.as_ref().is_some_and(|id| !id.is_empty() && call.id != *id);
        let begun = match index {
            Some(_) => self.0.iter().position(|(place, call)| *place == index && !is_other(call)),
            None if name.is_none() => self.0.len().checked_sub(1),
            None => None,
        };
        let place = match name {
            // One call too many is enough to know that there are too many.
            Some(name) if begun.is_none() && !name.is_empty() && self.0.len() <= MAX_CALLS => {
                let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{}", self.0.len() + 1));
                let function = FunctionCall { name: cut(&name, MAX_NAME_CHARS), arguments: String::new() };
                self.0.push((index, ToolCall { id, function, ..ToolCall::default() }));
                Some(self.0.len() - 1)
            }
            _ => begun,
        };
        let Some((_, call)) = place.and_then(|place| self.0.get_mut(place)) else { return };
        let room = MAX_ARGUMENTS_CHARS.saturating_sub(call.function.arguments.len());
        match arguments {
            Some(Value::String(piece)) => call.function.arguments.extend(piece.chars().take(room)),
            None | Some(Value::Null) => {}
            Some(whole) => call.function.arguments = cut(&whole.to_string(), MAX_ARGUMENTS_CHARS),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The calls, in the order in which they were asked for.
    pub fn take(&mut self) -> Vec<ToolCall> {
        std::mem::take(&mut self.0).into_iter().map(|(_, call)| call).collect()
    }
}

/// The beginning of a model's text, held as long as it may be a call that the model has spelled out: small
/// ones write `{"name": …, "parameters": …}` as their answer, and where they stream, nobody makes a call of it.
#[derive(Debug, Default)]
pub(crate) struct Spelled {
    held: String,
    is_text: bool,
}

/// What stands before and after calls that are spelled out, by the chat templates of Llama and Qwen.
const SIGNS: [&str; 3] = ["<|python_tag|>", "<tool_call>", "</tool_call>"];

impl Spelled {
    /// Takes more of the text, and gives what is surely none of a call.
    pub(crate) fn push(&mut self, text: String) -> String {
        if self.is_text {
            return text;
        }
        self.held.push_str(&text);
        let begun: String = self.held.chars().filter(|c| !c.is_whitespace()).take(MAX_SIGN_CHARS).collect();
        let is_sign = SIGNS.iter().any(|sign| sign.starts_with(&begun) || begun.starts_with(sign));
        if is_sign || "[{".starts_with(&begun) || begun.starts_with("[{") || begun.starts_with('{') {
            return String::new();
        }
        self.is_text = true;
        std::mem::take(&mut self.held)
    }

    /// The calls that the whole text is.
    ///
    /// # Errors
    /// It is none, or one of a tool that is not there: the text that was held.
    pub(crate) fn calls(self, callable: &[String]) -> Result<Vec<ToolCallPart>, String> {
        let Self { held, .. } = self;
        let mut text = held.clone();
        for sign in SIGNS {
            text = text.replace(sign, " ");
        }
        let mut calls = Vec::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            let Some(Ok(value)) = values.next() else { return Err(held) };
            let list = if let Value::Array(list) = value { list } else { vec![value] };
            for call in list {
                let Some(call) = spelled(&call, callable) else { return Err(held) };
                calls.push(call);
            }
            let end = values.byte_offset();
            rest = rest.get(end..).unwrap_or_default().trim_start_matches(|c: char| c.is_whitespace() || c == ';');
        }
        if calls.is_empty() { Err(held) } else { Ok(calls) }
    }
}

/// Longest of [`SIGNS`], characters.
const MAX_SIGN_CHARS: usize = 14;

fn spelled(call: &Value, callable: &[String]) -> Option<ToolCallPart> {
    let call = call.get("function").filter(|function| function.is_object()).unwrap_or(call);
    let name = call.get("name")?.as_str().filter(|name| callable.iter().any(|known| known == name))?;
    let arguments = call.get("parameters").or_else(|| call.get("arguments")).cloned();
    Some(ToolCallPart { name: Some(name.to_owned()), arguments, ..ToolCallPart::default() })
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was answered.
    Answered,
    /// It was not made.
    Refused,
    /// It was made, and no usable answer came.
    Failed,
}

/// A call that a model asked for, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    /// Of the tool.
    pub name: String,
    /// JSON, as the model wrote it.
    pub arguments: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was not answered; empty when it was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// How long it took, milliseconds.
    pub ms: u64,
}

/// The calls of one answer, with all that is said of them to the model.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// The model's wishes and what came of them, as messages to add to the prompt.
    pub(crate) said: Vec<Message>,
    /// As they are kept.
    pub(crate) made: Vec<Called>,
    /// Times that the model asked.
    rounds: usize,
    began_at: u64,
}

impl Calls {
    /// Whether the model may ask for more.
    pub(crate) fn are_offered(&self, settings: &Settings) -> bool {
        !settings.tools.is_empty() && self.rounds < MAX_ROUNDS
    }

    /// Whether nothing came of any.
    pub(crate) fn all_failed(&self) -> bool {
        !self.made.is_empty() && self.made.iter().all(|call| call.outcome != Outcome::Answered)
    }

    /// Makes the calls that a model asks for, all at the same time. What it said before them it is told again.
    pub(crate) async fn make(
        &mut self,
        ports: &(impl Post + Host),
        settings: &Settings,
        asker: Asker<'_>,
        said: String,
        wanted: Vec<ToolCall>,
    ) {
        let now = ports.now_ms();
        if self.rounds == 0 {
            self.began_at = now;
        }
        self.rounds += 1;
        let ms = ALL_CALLS_MS.saturating_sub(now.saturating_sub(self.began_at)).min(CALL_MS);
        let room = MAX_CALLS.saturating_sub(self.made.len());
        let is_known = |function: &FunctionCall, before: &[ToolCall]| {
            self.answer_to(function).is_some() || before.iter().any(|call| call.function == *function)
        };
        let results = join_all(wanted.iter().enumerate().map(async |(place, ToolCall { function, .. })| {
            let started = ports.now_ms();
            let result = if is_known(function, wanted.get(..place).unwrap_or_default()) {
                None
            } else if place >= room || ms == 0 {
                Some(refused("no more calls are made for this question: answer from what is known"))
            } else {
                Some(call(ports, settings, asker, function, ms).await)
            };
            (result, ports.now_ms().saturating_sub(started))
        }))
        .await;
        self.said.push(Message { tool_calls: wanted.clone(), ..Message::new(Role::Assistant, said) });
        for (ToolCall { id, function, .. }, (result, ms)) in wanted.into_iter().zip(results) {
            let (content, called) = match result {
                Some(Ok(answer)) => (answer, Called::new(function, Outcome::Answered, String::new(), ms)),
                Some(Err((outcome, reason))) => {
                    (json!({ "error": reason }).to_string(), Called::new(function, outcome, reason, ms))
                }
                None => {
                    // Who asks the same twice is told the same twice.
                    let Some((content, called)) = self.answer_to(&function) else { continue };
                    (content.to_owned(), Called { ms: 0, ..called.clone() })
                }
            };
            if called.outcome != Outcome::Answered {
                let Called { name, reason, .. } = &called;
                let fault = Fault::Tool { name: name.clone(), reason: reason.clone() };
                log(ports, asker.trace_id, "call tool", &fault);
            }
            let (name, tool_call_id) = (Some(called.name.clone()), Some(id));
            self.said.push(Message { tool_call_id, name, ..Message::new(Role::Tool, content) });
            self.made.push(called);
        }
    }

    /// What the model was told of a call that was asked for before.
    fn answer_to(&self, function: &FunctionCall) -> Option<(&str, &Called)> {
        let told = self.said.iter().filter(|message| message.role == Role::Tool);
        let mut told = told.map(|message| message.content.as_str()).zip(&self.made);
        told.find(|(_, called)| called.name == function.name && called.arguments == function.arguments)
    }
}

impl Called {
    fn new(FunctionCall { name, arguments }: FunctionCall, outcome: Outcome, reason: String, ms: u64) -> Self {
        Self { name, arguments, outcome, reason, ms }
    }
}

/// The calls of tools that there are: what else a model names is only words of its own.
pub(crate) fn used<'c>(settings: &Settings, calls: &'c [Called]) -> impl Iterator<Item = &'c Called> {
    calls.iter().filter(|call| settings.tools.iter().any(|tool| tool.name == call.name))
}

/// What came of a call: the answer as the model reads it, or why there is none.
type Told = Result<String, (Outcome, String)>;

fn refused(reason: &str) -> Told {
    Err((Outcome::Refused, reason.to_owned()))
}

/// For whom calls are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    /// Id of the session; a tool gets a pseudonym, which opens nothing.
    pub(crate) session: &'a str,
    /// Of the question.
    pub(crate) trace_id: &'a str,
}

/// Makes one call, once: whether a second would do harm, only its operator knows.
async fn call(ports: &impl Post, settings: &Settings, asker: Asker<'_>, function: &FunctionCall, ms: u64) -> Told {
    let Some(tool) = settings.tools.iter().find(|tool| tool.name == function.name) else {
        return refused("there is no such tool");
    };
    let arguments = tool.parameters.check(&function.arguments).map_err(|wrong| (Outcome::Refused, wrong))?;
    let conversation = pseudonym(&settings.session_secret, &["conversation", asker.session]);
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("accept", "application/json".to_owned()),
        ("x-docent-conversation", conversation),
        ("x-docent-trace-id", asker.trace_id.to_owned()),
    ];
    headers.extend(settings.tool_key.as_deref().map(|key| ("authorization", format!("Bearer {key}"))));
    let request = Request { url: tool.url.clone(), headers };
    let limit = Limit { ms, bytes: MAX_ANSWER_BYTES };
    let answer = ports.post(&request, &Value::Object(arguments).to_string(), limit).await;
    answer.and_then(read).map_err(|reason| (Outcome::Failed, cut(&reason, MAX_REASON_CHARS)))
}

/// What a tool answered, as it may stand in a prompt.
fn read(answer: Posted) -> Result<String, String> {
    let Posted { status, content_type, body } = answer;
    // As many APIs say that they know no such thing; what else they say of it is for their own clients.
    if status == 404 {
        return Ok(json!({ "found": false }).to_string());
    }
    if !(200..300).contains(&status) {
        return Err(format!("the tool answered HTTP {status}"));
    }
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_lowercase();
    if kind != "application/json" && !(kind.starts_with("application/") && kind.ends_with("+json")) {
        return Err(format!("the tool answered {kind}, not JSON"));
    }
    let body = body.ok_or_else(|| format!("the tool answered more than {MAX_ANSWER_BYTES} bytes"))?;
    let answer: Value = serde_json::from_slice(&body).map_err(|_| "the tool answered what is no JSON".to_owned())?;
    Ok(quoted(answer).to_string())
}

/// A value whose texts may stand in a prompt, each with its sentences that speak to a model marked.
fn quoted(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(injection::quoted(&text)),
        Value::Array(list) => list.into_iter().map(quoted).collect(),
        Value::Object(object) => {
            object.into_iter().map(|(key, value)| (injection::quoted(&key), quoted(value))).collect()
        }
        plain => plain,
    }
}

/// Longest reason that is kept, characters.
const MAX_REASON_CHARS: usize = 200;

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// Longest question that a model may ask back without having looked anything up, characters.
const MAX_ASKED_BACK_CHARS: usize = 300;

/// Whether a text asks the visitor for what is missing, and states nothing.
pub(crate) fn asks_back(text: &str) -> bool {
    let text = text.trim();
    let ends = text.chars().filter(|c| matches!(c, '.' | '!' | '?' | '。' | '！' | '？')).count();
    text.ends_with(['?', '？']) && ends == 1 && text.chars().count() <= MAX_ASKED_BACK_CHARS && !text.contains('\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parameters() -> Parameters {
        Parameters(json!({
            "type": "object",
            "properties": {
                "id": { "type": "string", "minLength": 2, "maxLength": 4 },
                "kind": { "type": "string", "enum": ["new", "old"] },
                "count": { "type": "integer", "minimum": 1, "maximum": 9 },
                "weight": { "type": "number", "minimum": -0.5 },
                "gift": { "type": "boolean" },
            },
            "required": ["id"],
            "additionalProperties": false,
        }))
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3..12_i64).prop_map(Value::from),
            (-2.0..12.0_f64).prop_map(Value::from),
            Just(json!(3.0)),
            "[a-zé]{0,6}".prop_map(Value::from),
            Just(json!("new")),
            Just(json!(["new"])),
            Just(json!({ "id": "ab" })),
        ]
    }

    proptest! {
        #[test]
        fn arguments_pass_when_a_whole_validator_lets_them_pass(
            given in proptest::collection::btree_map("id|kind|count|weight|gift|url", value(), 0..5),
        ) {
            let Parameters(schema) = parameters();
            let given: Map<String, Value> = given.into_iter().collect();
            let checked = parameters().check(&Value::Object(given.clone()).to_string());
            // What is left out may be null.
            let said: Map<String, Value> =
                given.into_iter().filter(|(name, value)| !value.is_null() || name == "id").collect();
            prop_assert_eq!(checked.is_ok(), jsonschema::is_valid(&schema, &Value::Object(said.clone())), "{:?}", said);
            if let Ok(sent) = checked {
                prop_assert_eq!(sent, said);
            }
        }

        #[test]
        fn arguments_are_the_same_however_they_are_cut(text in "\\PC{0,40}", cuts in proptest::collection::vec(0..40_usize, 0..5)) {
            let mut wanted = Wanted::default();
            let begun = ToolCallPart { index: Some(1), name: Some("look".to_owned()), ..ToolCallPart::default() };
            wanted.push(ToolCallPart { index: Some(0), id: Some("x".to_owned()), name: Some("other".to_owned()), ..begun.clone() });
            wanted.push(begun);
            let mut rest = text.as_str();
            for cut in cuts {
                let at = rest.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(rest.len());
                let (piece, more) = rest.split_at(at);
                wanted.push(ToolCallPart { index: Some(1), arguments: Some(json!(piece)), ..ToolCallPart::default() });
                rest = more;
            }
            wanted.push(ToolCallPart { index: Some(1), arguments: Some(json!(rest)), ..ToolCallPart::default() });
            let calls = wanted.take();
            prop_assert_eq!(calls.len(), 2);
            prop_assert_eq!(&calls[1].function, &FunctionCall { name: "look".to_owned(), arguments: text });
        }
    }

    #[test]
    fn calls_are_told_apart_as_each_kind_of_server_numbers_them() {
        type Sent = (Option<usize>, Option<&'static str>, Option<&'static str>, Value);
        let calls = |parts: &[Sent]| {
            let mut wanted = Wanted::default();
            for (index, id, name, arguments) in parts {
                let (id, name) = (id.map(str::to_owned), name.map(str::to_owned));
                wanted.push(ToolCallPart { index: *index, id, name, arguments: Some(arguments.clone()) });
            }
            let calls = wanted.take().into_iter();
            calls.map(|call| (call.function.name, call.function.arguments)).collect::<Vec<_>>()
        };
        let two = [("a".to_owned(), r#"{"x":1}"#.to_owned()), ("b".to_owned(), "{}".to_owned())];
        let native = [(None, None, Some("a"), json!({ "x": 1 })), (None, None, Some("b"), json!({}))];
        assert_eq!(calls(&native), two);
        let numbered = [
            (Some(0), Some("i"), Some("a"), json!("{\"x\"")),
            (Some(0), None, None, json!(":1}")),
            (Some(1), Some("j"), Some("b"), json!("{}")),
            (Some(1), None, None, Value::Null),
        ];
        assert_eq!(calls(&numbered), two);
        let all_first =
            [(Some(0), Some("i"), Some("a"), json!("{\"x\":1}")), (Some(0), Some("j"), Some("b"), json!("{}"))];
        assert_eq!(calls(&all_first), two);
        assert_eq!(calls(&[(Some(3), None, None, json!("{}")), (None, None, Some(""), json!("{}"))]), []);
        let many = vec![(None, None, Some("a"), json!({})); 50];
        assert_eq!(calls(&many).len(), MAX_CALLS + 1);
    }

    #[test]
    fn a_call_that_is_spelled_out_is_one_and_text_is_text() {
        let callable = ["look".to_owned()];
        // However it is cut.
        let read = |text: &str| {
            let results = (1..4).map(|size| {
                let (mut spelled, mut shown) = (Spelled::default(), String::new());
                for piece in text.chars().collect::<Vec<_>>().chunks(size) {
                    shown += &spelled.push(piece.iter().collect());
                }
                match spelled.calls(&callable) {
                    Ok(calls) => Ok((shown, calls)),
                    Err(held) => Err(shown + &held),
                }
            });
            let mut results: Vec<_> = results.collect();
            results.dedup();
            assert_eq!(results.len(), 1, "{text}: {results:?}");
            results.remove(0)
        };
        for text in [
            r#"{"name": "look", "parameters": {"x": 1}}"#,
            r#" {"type": "function", "name": "look", "arguments": {"x": 1}} "#,
            r#"[{"type": "function", "function": {"name": "look", "arguments": {"x": 1}}}]"#,
            r#"<|python_tag|>{"name": "look", "parameters": {"x": 1}}"#,
            "<tool_call>\n{\"name\": \"look\", \"arguments\": {\"x\": 1}}\n</tool_call>",
        ] {
            let (shown, calls) = read(text).unwrap();
            assert_eq!((shown.as_str(), calls.len()), ("", 1), "{text}");
            assert_eq!((calls[0].name.as_deref(), &calls[0].arguments), (Some("look"), &Some(json!({ "x": 1 }))));
        }
        assert_eq!(read(r#"{"name":"look"}; {"name":"look"}"#).unwrap().1.len(), 2);
        for text in [
            "The answer [1].",
            "[1] says so.",
            "<b>bold</b>",
            r#"{"name": "other", "parameters": {}}"#,
            r#"{"name": "look", "parameters": {} and more"#,
            r#"{"retries": 3} is what to set."#,
            "[{ x }]",
            "",
            "  ",
        ] {
            assert_eq!(read(text).unwrap_err(), text);
        }
    }

    #[test]
    fn a_question_back_states_nothing() {
        assert!(asks_back("Which order number is it about?"));
        for stating in ["Bread is baked at 220 degrees.", "It is blue. Anything else?", "Use 5?\nYes?", "", "Yes"] {
            assert!(!asks_back(stating), "{stating}");
        }
    }
}
