//! Test files of promptfoo: the question is a variable, and assertions on text become facts.
//!
//! What this program itself exported is in `metadata.docent` of each test and comes back whole.

use std::collections::BTreeMap;

use serde::Deserialize;
use yaml_serde::Value;

use super::{Imported, cleaned};
use crate::questions::{Fact, Question};

/// Variables that hold the question, by frequency in promptfoo's own examples.
const VARIABLES: [&str; 4] = ["question", "query", "prompt", "message"];

#[derive(Deserialize)]
struct Test {
    #[serde(default)]
    vars: BTreeMap<String, Value>,
    #[serde(default, rename = "assert")]
    assertions: Vec<Assertion>,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    docent: Option<Question>,
}

#[derive(Deserialize)]
struct Assertion {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    value: Value,
}

pub(super) fn import(text: &str, imported: &mut Imported) -> Result<(), String> {
    let file: Value = yaml_serde::from_str(text).map_err(|error| format!(": {error}"))?;
    let tests = match file {
        Value::Sequence(tests) => tests,
        Value::Mapping(mut file) => match file.remove("tests") {
            Some(Value::Sequence(tests)) => tests,
            _ => return Err(": has no list of tests; name the file that `tests` refers to".to_owned()),
        },
        _ => return Err(": is neither a configuration of promptfoo nor a list of its tests".to_owned()),
    };
    for (number, entry) in (1..).zip(tests) {
        let case = yaml_serde::from_value(entry).map_err(|error| format!(": test {number}: {error}"))?;
        case_of(case, imported);
    }
    Ok(())
}

fn case_of(case: Test, imported: &mut Imported) {
    let text = VARIABLES.iter().find_map(|name| case.vars.get(*name).and_then(Value::as_str));
    let Some(text) = text else {
        return imported.lost("tests without a variable question, query, prompt or message");
    };
    let mut question = case.metadata.docent.unwrap_or_default();
    text.clone_into(&mut question.question);
    for Assertion { kind, value } in case.assertions {
        let texts: Vec<String> =
            texts(&kind, &value).iter().map(|text| cleaned(text)).filter(|text| !text.is_empty()).collect();
        let answer = &mut question.answer;
        match kind.as_str() {
            _ if texts.is_empty() => imported.lost(format!("assertion {} without a plain text", cleaned(&kind))),
            "contains" | "icontains" | "contains-all" | "icontains-all" => {
                answer.must.extend(texts.into_iter().map(Fact::Text));
            }
            "contains-any" | "icontains-any" => answer.must.push(Fact::AnyOf(texts)),
            "not-contains" | "not-icontains" | "not-contains-any" | "not-icontains-any" => {
                answer.must_not.extend(texts.into_iter().map(Fact::Text));
            }
            "factuality" | "context-recall" => answer.reference = texts.into_iter().next(),
            _ => imported.lost(format!("assertion {}", cleaned(&kind))),
        }
    }
    imported.add(question);
}

/// A text, a list of texts, or for the kinds with several a text with commas.
fn texts(kind: &str, value: &Value) -> Vec<String> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    match value {
        Value::Sequence(values) => values.iter().filter_map(one).collect(),
        Value::String(text) if kind.ends_with("-any") || kind.ends_with("-all") => {
            text.split(',').map(str::to_owned).collect()
        }
        value => one(value).into_iter().collect(),
    }
}
