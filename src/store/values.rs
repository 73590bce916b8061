//! Values as bytes: few of them, and exactly the same value back.
//!
//! Numbers that people and devices write down have few decimal digits, so a float is kept as an
//! integer and a power of ten wherever that gives back the very same bits, else as its bits. Many
//! floats come out of 32-bit registers: the same is tried through `f32`.

use std::sync::Arc;

use super::wire::{Input, Malformed, put_bytes, put_signed, put_varint};
use crate::model::Value;

const FALSE: u8 = 0;
const TRUE: u8 = 1;
const I64: u8 = 2;
const U64: u8 = 3;
const TEXT: u8 = 4;
const BYTES: u8 = 5;
const LIST: u8 = 6;
const F32_BITS: u8 = 7;
const F64_BITS: u8 = 8;
/// `DECIMAL + e`: an integer, to be divided by 10^e.
const DECIMAL: u8 = 0x10;
/// The same, then rounded to 32 bits.
const DECIMAL_F32: u8 = 0x20;

/// Lists within lists within lists: more of them is damage, not data.
const DEPTH_MAX: usize = 64;
/// Integers above this are not exact as floats.
const MANTISSA_MAX: f64 = 9_007_199_254_740_992.0;
const POWERS: [f64; 10] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// How a value is written. `before` is how the one before it was: equal shapes are preferred,
/// since they are stored as runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape(pub u8);

impl Shape {
    pub fn of(value: &Value, before: Self) -> Self {
        Self(match value {
            Value::Bool(false) => FALSE,
            Value::Bool(true) => TRUE,
            Value::I64(_) => I64,
            Value::U64(_) => U64,
            Value::Text(_) => TEXT,
            Value::Bytes(_) => BYTES,
            Value::List(_) => LIST,
            Value::F64(x) => return Self::of_float(*x, before),
        })
    }

    fn of_float(x: f64, before: Self) -> Self {
        if before.mantissa(x).is_some() {
            return before;
        }
        let single = f64::from(narrow(x)).to_bits() == x.to_bits();
        let kinds = if single { &[DECIMAL, DECIMAL_F32][..] } else { &[DECIMAL][..] };
        let shapes = kinds.iter().flat_map(|kind| (0..10).map(move |e| Self(kind + e)));
        let bits = Self(if single { F32_BITS } else { F64_BITS });
        shapes.into_iter().find(|shape| shape.mantissa(x).is_some()).unwrap_or(bits)
    }

    /// The integer that stands for `x` in this shape, if it does so exactly.
    fn mantissa(self, x: f64) -> Option<i64> {
        let mantissa = (x * self.power()?).round();
        if mantissa.abs() > MANTISSA_MAX {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "an integer below 2^53")]
        let mantissa = mantissa as i64;
        (self.float(mantissa)?.to_bits() == x.to_bits()).then_some(mantissa)
    }

    fn power(self) -> Option<f64> {
        POWERS.get(usize::from(self.0 & 0x0f)).copied().filter(|_| self.is_decimal())
    }

    fn is_decimal(self) -> bool {
        matches!(self.0 & 0xf0, DECIMAL | DECIMAL_F32)
    }

    #[expect(clippy::cast_precision_loss, reason = "mantissas are checked to come back exactly")]
    fn float(self, mantissa: i64) -> Option<f64> {
        let x = mantissa as f64 / self.power()?;
        Some(if self.0 & 0xf0 == DECIMAL_F32 { f64::from(narrow(x)) } else { x })
    }

    /// The integer that is all there is to the value besides its shape, if there is one.
    pub fn number(self, value: &Value) -> Option<i64> {
        match value {
            Value::I64(i) => Some(*i),
            Value::U64(u) => Some(u.cast_signed()),
            Value::F64(x) => self.mantissa(*x),
            _ => None,
        }
    }

    /// Whether values of this shape have a [`Shape::number`].
    pub fn is_number(self) -> bool {
        matches!(self.0, I64 | U64) || self.is_decimal()
    }

    /// The value that has this number.
    pub fn of_number(self, number: i64) -> Result<Value, Malformed> {
        Ok(match self.0 {
            I64 => Value::I64(number),
            U64 => Value::U64(number.cast_unsigned()),
            _ => Value::F64(self.float(number).ok_or(Malformed)?),
        })
    }

    /// Writes what the shape does not say already.
    pub fn put(self, out: &mut Vec<u8>, value: &Value) {
        match value {
            Value::Bool(_) => {}
            Value::I64(i) => put_signed(out, *i),
            Value::U64(u) => put_varint(out, *u),
            Value::Text(text) => put_bytes(out, text.as_bytes()),
            Value::Bytes(bytes) => put_bytes(out, bytes),
            Value::List(list) => {
                put_varint(out, list.len() as u64);
                for item in list.iter() {
                    let shape = Self::of(item, Self(F64_BITS));
                    out.push(shape.0);
                    shape.put(out, item);
                }
            }
            Value::F64(x) => match self.mantissa(*x) {
                Some(mantissa) => put_signed(out, mantissa),
                None if self.0 == F32_BITS => out.extend_from_slice(&narrow(*x).to_le_bytes()),
                None => out.extend_from_slice(&x.to_le_bytes()),
            },
        }
    }

    pub fn read(self, input: &mut Input<'_>) -> Result<Value, Malformed> {
        self.read_at(input, 0)
    }

    fn read_at(self, input: &mut Input<'_>, depth: usize) -> Result<Value, Malformed> {
        Ok(match self.0 {
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            I64 => Value::I64(input.signed()?),
            U64 => Value::U64(input.varint()?),
            TEXT => Value::Text(std::str::from_utf8(input.bytes()?).map_err(|_| Malformed)?.into()),
            BYTES => Value::Bytes(input.bytes()?.into()),
            F32_BITS => Value::F64(f64::from(f32::from_le_bytes(input.array()?))),
            F64_BITS => Value::F64(f64::from_le_bytes(input.array()?)),
            LIST if depth < DEPTH_MAX => {
                let count = input.count(input.remaining())?;
                let mut items = Vec::with_capacity(count);
                for _ in 0..count {
                    let shape = Self(input.byte()?);
                    items.push(shape.read_at(input, depth + 1)?);
                }
                Value::List(Arc::from(items))
            }
            _ if self.is_decimal() => self.of_number(input.signed()?)?,
            _ => return Err(Malformed),
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "every use checks what comes back")]
fn narrow(x: f64) -> f32 {
    x as f32
}
