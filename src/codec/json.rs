//! JSON payloads: live readings out, set commands in.
//!
//! A live reading is `{"v":231.42,"ts":1700000000000,"u":"V"}`: the value, milliseconds since 1970,
//! the unit if there is one; `"q"` says why when the quality is not good (`"v"` is then `null` if
//! there is no value), and `"id"` names the reading for whoever must recognise a repetition.
//!
//! Integers keep all 64 bits in both directions; bytes are hex text; whole floats keep their `.0`.

mod command;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Write as _;

use serde_json::Value as Json;

pub use command::{SETS_MAX, SetPayload, SetsPayload, Times, parse_set, parse_sets};

use crate::model::{Class, Coding, Kind, Quality, Reading, Seq, Value, Wall};

/// What names a reading for good: `5f3a-n-1042`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// The store's epoch; sequence numbers are unique only within.
    pub epoch: u64,
    pub class: Class,
    pub seq: Seq,
}

/// The letter of a class in keys: `a`, `n` or `b`.
pub fn class_initial(class: Class) -> char {
    match class {
        Class::Alarm => 'a',
        Class::Normal => 'n',
        Class::Bulk => 'b',
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}-{}", self.epoch, class_initial(self.class), self.seq.0)
    }
}

/// Appends a live reading.
pub fn tag_live(out: &mut Vec<u8>, reading: &Reading, wall: Wall, unit: &str, id: Option<&Key>) {
    out.extend_from_slice(b"{\"v\":");
    match reading.value() {
        Some(value) => put_value(out, value),
        None => out.extend_from_slice(b"null"),
    }
    put(out, format_args!(",\"ts\":{}", wall.0));
    if !unit.is_empty() {
        out.extend_from_slice(b",\"u\":");
        put_text(out, unit);
    }
    if reading.quality() != Quality::Good {
        put(out, format_args!(",\"q\":\"{}\"", reading.quality()));
    }
    if let Some(key) = id {
        put(out, format_args!(",\"id\":\"{key}\""));
    }
    out.push(b'}');
}

/// Appends a value.
pub fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::I64(number) => put(out, format_args!("{number}")),
        Value::U64(number) => put(out, format_args!("{number}")),
        Value::F64(number) => put_json(out, number),
        Value::Text(text) => put_text(out, text),
        Value::Bytes(bytes) => {
            out.push(b'"');
            for byte in bytes.iter() {
                put(out, format_args!("{byte:02x}"));
            }
            out.push(b'"');
        }
        Value::List(values) => {
            out.push(b'[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                put_value(out, value);
            }
            out.push(b']');
        }
    }
}

/// Appends a text in quotes, escaped.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put_json(out, text);
}

/// Appends text that is JSON already. Writing to memory can't fail.
pub(super) fn put(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok());
}

fn put_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok());
}

/// The value that a JSON value means for a tag of this coding. Whether it fits is for
/// `registers::encode` to say.
pub fn coerce(coding: &Coding, json: Json) -> Result<Value, String> {
    if coding.count == 1 {
        return coerce_one(coding, json);
    }
    let count = usize::from(coding.count);
    match json {
        Json::Array(values) if values.len() == count => values
            .into_iter()
            .map(|value| coerce_one(coding, value))
            .collect::<Result<Vec<_>, _>>()
            .map(|values| Value::List(values.into())),
        Json::Array(values) => {
            Err(format!("this tag takes a list of {count} values, not {}", values.len()))
        }
        other => Err(format!("this tag takes a list of {count} values, not {}", shape(&other))),
    }
}

fn coerce_one(coding: &Coding, json: Json) -> Result<Value, String> {
    let is_bit = matches!(coding.kind, Kind::Bool | Kind::Bit(_));
    let want = match coding.kind {
        _ if !coding.labels.is_empty() => match json {
            Json::String(text) => return Ok(Value::Text(text.into())),
            Json::Bool(on) if is_bit => return Ok(Value::Bool(on)),
            Json::Number(code) => return number(&code),
            _ => "one of its texts, or a code",
        },
        Kind::Bool | Kind::Bit(_) => match &json {
            Json::Bool(on) => return Ok(Value::Bool(*on)),
            Json::Number(number) if number.as_u64() == Some(0) => return Ok(Value::Bool(false)),
            Json::Number(number) if number.as_u64() == Some(1) => return Ok(Value::Bool(true)),
            _ => "true or false",
        },
        Kind::Raw { .. } => match &json {
            Json::String(text) => {
                let bytes = hex(text).ok_or_else(|| format!("{text:?} is not hex text"))?;
                return Ok(Value::Bytes(bytes.into()));
            }
            _ => "hex text",
        },
        Kind::Text { .. }
        | Kind::UnixSeconds
        | Kind::UnixMillis
        | Kind::BcdTime
        | Kind::Ipv4
        | Kind::Mac => match json {
            Json::String(text) => return Ok(Value::Text(text.into())),
            _ => "a text",
        },
        Kind::F16 | Kind::F32 | Kind::F64 => match &json {
            Json::Number(given) => return real(given),
            _ => "a number",
        },
        Kind::Bits { .. }
        | Kind::Int8 { .. }
        | Kind::Int { .. }
        | Kind::Bcd { .. }
        | Kind::Mod10k { .. } => match &json {
            Json::Number(given) if coding.linear.is_some() || coding.scale_register => {
                return real(given);
            }
            Json::Number(given) => return number(given),
            _ => "a number",
        },
    };
    Err(format!("this tag takes {want}, not {}", shape(&json)))
}

/// A JSON number with all its bits.
fn number(number: &serde_json::Number) -> Result<Value, String> {
    if let Some(whole) = number.as_i64() {
        Ok(Value::I64(whole))
    } else if let Some(whole) = number.as_u64() {
        Ok(Value::U64(whole))
    } else {
        let real = number.as_f64().filter(|real| real.is_finite());
        real.map(Value::F64).ok_or_else(|| format!("{number} is no number that can be held"))
    }
}

/// A number for a tag that has fractions; whole ones that an f64 can't hold stay whole.
fn real(given: &serde_json::Number) -> Result<Value, String> {
    /// 2^53: up to here every whole number is exact.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let value = number(given)?;
    Ok(match value.as_f64() {
        Some(real) if real.abs() < EXACT_MAX => Value::F64(real),
        _ => value,
    })
}

fn shape(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
