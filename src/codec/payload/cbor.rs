//! CBOR, written (RFC 8949): the few items that our messages are made of.
//!
//! Whole numbers in their shortest form; floats with 4 bytes where that is exact, else with 8.

use crate::model::Value;

/// Major types, in the upper three bits of an item's first byte.
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;

pub const NULL: u8 = 0xF6;
/// An array whose end is a [`BREAK`].
pub const ARRAY_OPEN: u8 = 0x9F;
pub const BREAK: u8 = 0xFF;

/// The head of an item: its major type and a number.
fn head(out: &mut Vec<u8>, major: u8, number: u64) {
    let major = major << 5;
    let [.., low] = number.to_be_bytes();
    match number {
        0..=23 => out.push(major | low),
        24..=0xFF => out.extend_from_slice(&[major | 24, low]),
        0x100..=0xFFFF => {
            out.push(major | 25);
            out.extend_from_slice(number.to_be_bytes().get(6..).unwrap_or_default());
        }
        0x1_0000..=0xFFFF_FFFF => {
            out.push(major | 26);
            out.extend_from_slice(number.to_be_bytes().get(4..).unwrap_or_default());
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

pub fn put_unsigned(out: &mut Vec<u8>, number: u64) {
    head(out, UNSIGNED, number);
}

pub fn put_signed(out: &mut Vec<u8>, number: i64) {
    match u64::try_from(number) {
        Ok(number) => head(out, UNSIGNED, number),
        // -1 - n in two's complement is n with all bits turned.
        Err(_) => head(out, NEGATIVE, (!number).unsigned_abs()),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "taken only where it is exact")]
pub fn put_float(out: &mut Vec<u8>, number: f64) {
    let short = number as f32;
    if f64::from(short).to_bits() == number.to_bits() {
        out.push(0xFA);
        out.extend_from_slice(&short.to_be_bytes());
    } else {
        out.push(0xFB);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, BYTES, length(bytes.len()));
    out.extend_from_slice(bytes);
}

pub fn put_text(out: &mut Vec<u8>, text: &str) {
    head(out, TEXT, length(text.len()));
    out.extend_from_slice(text.as_bytes());
}

/// The head of an array of so many items.
pub fn put_array(out: &mut Vec<u8>, items: usize) {
    head(out, ARRAY, length(items));
}

/// The head of a map of so many pairs.
pub fn put_map(out: &mut Vec<u8>, pairs: usize) {
    head(out, MAP, length(pairs));
}

pub fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Bool(on) => out.push(if *on { 0xF5 } else { 0xF4 }),
        Value::I64(number) => put_signed(out, *number),
        Value::U64(number) => put_unsigned(out, *number),
        Value::F64(number) if number.is_finite() => put_float(out, *number),
        Value::F64(_) => out.push(NULL),
        Value::Text(text) => put_text(out, text),
        Value::Bytes(bytes) => put_bytes(out, bytes),
        Value::List(values) => {
            put_array(out, values.len());
            values.iter().for_each(|value| put_value(out, value));
        }
    }
}
