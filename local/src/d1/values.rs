//! Values on their way in and out: JSON as a Worker or a REST client sees it, and `SQLite`'s types.

use rusqlite::types::{Value as Sql, ValueRef};
use serde_json::{Number, Value};

/// 2^53: up to here every whole number is one of JavaScript's.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_992.0;

/// A parameter. Numbers are JavaScript's, so they are bound as REAL, as D1 does; a column of INTEGER
/// makes them whole again. A list of bytes is a BLOB.
pub(super) fn bound(value: &Value) -> Result<Sql, String> {
    match value {
        Value::Null => Ok(Sql::Null),
        Value::Bool(truth) => Ok(Sql::Real(f64::from(u8::from(*truth)))),
        Value::Number(number) => Ok(Sql::Real(number.as_f64().unwrap_or_default())),
        Value::String(text) => Ok(Sql::Text(text.clone())),
        Value::Array(bytes) => {
            let bytes = bytes.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()));
            bytes.collect::<Option<Vec<u8>>>().map(Sql::Blob).ok_or_else(|| "a list that is not of bytes".to_owned())
        }
        Value::Object(_) => Err("an object".to_owned()),
    }
}

/// A cell. Numbers are JavaScript's: whole ones have no point, beyond 2^53 they lose digits, and
/// infinity is null.
pub(super) fn shown(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        #[allow(clippy::cast_precision_loss)] // JavaScript loses it too
        ValueRef::Integer(number) if number.unsigned_abs() > 1 << 53 => shown(ValueRef::Real(number as f64)),
        ValueRef::Integer(number) => number.into(),
        #[allow(clippy::cast_possible_truncation)] // the bound says that it fits
        ValueRef::Real(number) if number.fract() == 0.0 && number.abs() <= MAX_SAFE_INTEGER => (number as i64).into(),
        ValueRef::Real(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => bytes.to_vec().into(),
    }
}
