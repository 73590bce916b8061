//! The value alone, as text: `231.42`, `true`, `automatic`, `00abff`, `[1,2]`.
//!
//! Numbers and lists as in JSON, text as it is, bytes as hex. There is no place for anything else, so a
//! reading without a value is the word of its quality, as in `bad:no-answer`, which no number is.

use super::Sample;
use crate::codec::json::{put, put_value};
use crate::model::Value;

pub(super) fn put_bare(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Text(text) => out.extend_from_slice(text.as_bytes()),
        Value::Bytes(bytes) => bytes.iter().for_each(|byte| put(out, format_args!("{byte:02x}"))),
        value => put_value(out, value),
    }
}

pub(super) fn put_sample(out: &mut Vec<u8>, sample: &Sample<'_>) {
    match (sample.value(), sample.flaw()) {
        (Some(value), _) => put_bare(out, value),
        (None, Some(quality)) => put(out, format_args!("{quality}")),
        (None, None) => {}
    }
}
