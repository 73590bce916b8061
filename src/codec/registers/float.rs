//! Floating-point registers ↔ f64, and whole numbers ↔ f64 where that is exact.
//!
//! A narrow float is shown as the shortest decimal that is still the same narrow float: 231.42,
//! not 231.4199981689453. Casting the f64 back gives the same bits.

use std::io::{self, Write as _};

use half::f16;

use super::EncodeError;

/// Room for the longest text of a number.
const TEXT_MAX: usize = 32;

/// The value of an f32's bits; not a number and infinite as they are.
pub(super) fn from_f32(code: u64) -> f64 {
    let Ok(bits) = u32::try_from(code) else { return f64::NAN };
    widen32(f32::from_bits(bits))
}

fn widen32(number: f32) -> f64 {
    // Small whole numbers are their own shortest decimal.
    if !number.is_finite() || (number.fract() == 0.0 && number.abs() < 16_777_216.0) {
        return f64::from(number);
    }
    let mut text = Text::default();
    match serde_json::to_writer(&mut text, &number) {
        Ok(()) => text.number().unwrap_or_else(|| f64::from(number)),
        Err(_) => f64::from(number),
    }
}

/// The value of an f16's bits.
pub(super) fn from_f16(code: u64) -> f64 {
    let Ok(bits) = u16::try_from(code) else { return f64::NAN };
    widen16(f16::from_bits(bits))
}

fn widen16(number: f16) -> f64 {
    let exact = f64::from(number);
    if !exact.is_finite() || exact.fract() == 0.0 {
        return exact;
    }
    // An f16 has at most five significant digits.
    for digits in 0..5 {
        if let Some(short) = with_digits(exact, digits)
            && f16::from_f64(short) == number
        {
            return short;
        }
    }
    exact
}

/// The bits of the f32 nearest to `number`. With `exact`, a whole number must come out as itself.
pub(super) fn to_f32(number: f64, exact: bool) -> Result<u64, EncodeError> {
    #[expect(clippy::cast_possible_truncation, reason = "rounding is what is wanted, then checked")]
    let narrow = number as f32;
    check(number, widen32(narrow), exact)?;
    Ok(narrow.to_bits().into())
}

/// As [`to_f32`], for an f16.
pub(super) fn to_f16(number: f64, exact: bool) -> Result<u64, EncodeError> {
    let narrow = f16::from_f64(number);
    check(number, widen16(narrow), exact)?;
    Ok(narrow.to_bits().into())
}

fn check(number: f64, nearest: f64, exact: bool) -> Result<(), EncodeError> {
    let vanished = nearest == 0.0 && number != 0.0;
    if !nearest.is_finite() || vanished {
        return Err(EncodeError::Magnitude { value: number });
    }
    // Both are whole or not by nature: compared for identity, not for closeness.
    if exact && number.fract() == 0.0 && (nearest - number).abs() > 0.0 {
        return Err(EncodeError::Inexact { value: number.to_string(), nearest });
    }
    Ok(())
}

/// The nearest f64; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "callers compare back where it matters")]
pub(super) fn from_whole(number: i128) -> f64 {
    number as f64
}

/// A whole f64 as an integer.
#[expect(clippy::cast_possible_truncation, reason = "callers pass whole numbers")]
pub(super) fn to_whole(number: f64) -> i128 {
    number as i128
}

/// The decimal of 15 digits that the number was meant to be, if the difference is no more than the
/// rounding of a few operations: takes away the 0.30000000000000004 of a product.
pub(super) fn tidy(number: f64) -> f64 {
    if number.fract() == 0.0 {
        return number;
    }
    // Mostly it is one already, and finding that out is quick.
    let mut text = Text::default();
    if serde_json::to_writer(&mut text, &number).is_ok() && text.length <= 15 {
        return number;
    }
    match with_digits(number, 14) {
        Some(short) if (short - number).abs() <= 2.0 * f64::EPSILON * number.abs() => short,
        _ => number,
    }
}

/// The number cut to one digit before the point and this many after it.
fn with_digits(number: f64, digits: usize) -> Option<f64> {
    let mut text = Text::default();
    write!(text, "{number:.digits$e}").ok()?;
    text.number()
}

/// A text on the stack: this runs for every reading.
#[derive(Default)]
struct Text {
    bytes: [u8; TEXT_MAX],
    length: usize,
}

impl Text {
    fn number(&self) -> Option<f64> {
        std::str::from_utf8(self.bytes.get(..self.length)?).ok()?.parse().ok()
    }
}

impl io::Write for Text {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let end = self.length + part.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(io::ErrorKind::StorageFull)?;
        room.copy_from_slice(part);
        self.length = end;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
