//! Vectorize's metadata filters: what they may say, and which vectors pass.
//!
//! Only properties with a metadata index can pass, and only of vectors written after that index
//! was made: the platform's most surprising rule, so the stand-in keeps it.

use std::cmp::Ordering;

use serde::Deserialize;
use serde_json::{Map, Value};

/// Most bytes of a filter as compact JSON (metadata filtering reference).
const MAX_FILTER_BYTES: usize = 2_048;
/// Bytes of a string that an index sees (Vectorize limits).
const INDEXED_BYTES: usize = 64;

/// Type of an indexed property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PropertyType {
    String,
    Number,
    Boolean,
}

impl PropertyType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }

    pub(crate) fn read(name: &str) -> Option<Self> {
        [Self::String, Self::Number, Self::Boolean].into_iter().find(|kind| kind.name() == name)
    }

    fn holds(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
        }
    }
}

/// A property that filters can use, for vectors written after `sequence`.
#[derive(Debug, Clone)]
pub(crate) struct MetadataIndex {
    pub(crate) property: String,
    pub(crate) kind: PropertyType,
    pub(crate) sequence: u64,
}

/// All conditions must hold.
#[derive(Debug)]
pub(crate) struct Filter(Vec<(String, Condition)>);

#[derive(Debug)]
enum Condition {
    In(Vec<Value>, bool),
    Compare(fn(Ordering) -> bool, Value),
}

impl Filter {
    /// Reads `{"product":"x","n":{"$gte":1}}`; a bare value means `$eq`.
    pub(crate) fn read(filter: &Value) -> Result<Self, String> {
        let object = filter.as_object().filter(|object| !object.is_empty());
        let object = object.ok_or("filter must be a non-empty object")?;
        if filter.to_string().len() > MAX_FILTER_BYTES {
            return Err(format!("filter is longer than {MAX_FILTER_BYTES} bytes"));
        }
        let mut conditions = Vec::new();
        for (property, value) in object {
            match value {
                Value::Object(operators) => {
                    for (operator, operand) in operators {
                        conditions.push((property.clone(), Condition::read(operator, operand)?));
                    }
                }
                value => conditions.push((property.clone(), Condition::In(vec![value.clone()], true))),
            }
        }
        Ok(Self(conditions))
    }

    /// Whether a vector with this metadata passes; `index_of` finds the index that covers it.
    pub(crate) fn matches<'i>(
        &self,
        metadata: Option<&Map<String, Value>>,
        index_of: impl Fn(&str) -> Option<&'i MetadataIndex>,
    ) -> bool {
        self.0.iter().all(|(property, condition)| {
            let value = metadata.and_then(|metadata| find(metadata, property));
            let index = index_of(property);
            index.zip(value).is_some_and(|(index, value)| index.kind.holds(value) && condition.holds(value))
        })
    }
}

impl Condition {
    fn read(operator: &str, operand: &Value) -> Result<Self, String> {
        let list = || operand.as_array().cloned().ok_or_else(|| format!("{operator} needs a list"));
        Ok(match operator {
            "$eq" => Self::In(vec![operand.clone()], true),
            "$ne" => Self::In(vec![operand.clone()], false),
            "$in" => Self::In(list()?, true),
            "$nin" => Self::In(list()?, false),
            "$lt" => Self::Compare(Ordering::is_lt, operand.clone()),
            "$lte" => Self::Compare(Ordering::is_le, operand.clone()),
            "$gt" => Self::Compare(Ordering::is_gt, operand.clone()),
            "$gte" => Self::Compare(Ordering::is_ge, operand.clone()),
            other => return Err(format!("no filter operator {other}")),
        })
    }

    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::In(values, wanted) => {
                values.iter().any(|one| compare(value, one) == Some(Ordering::Equal)) == *wanted
            }
            Self::Compare(holds, operand) => compare(value, operand).is_some_and(holds),
        }
    }
}

/// A property by its path: `a.b` is `b` in `a`.
fn find<'m>(metadata: &'m Map<String, Value>, path: &str) -> Option<&'m Value> {
    match path.split_once('.') {
        None => metadata.get(path),
        Some((first, rest)) => find(metadata.get(first)?.as_object()?, rest),
    }
}

fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(indexed(left).cmp(indexed(right))),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => left.as_f64()?.partial_cmp(&right.as_f64()?),
        _ => None,
    }
}

/// What an index sees of a string.
fn indexed(text: &str) -> &str {
    let mut end = INDEXED_BYTES.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}
