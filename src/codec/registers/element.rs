//! One element of a tag: its words, its raw code, its meaning.
//!
//! Decoding goes words → (order) → raw code → "not available" → meaning → labels or scale, and
//! encoding the same way back.

use std::net::Ipv4Addr;

use super::{EncodeError, calendar, float, linear};
use crate::model::{Coding, Doubt, Fault, Half, Kind, Linear, Order, Value};

/// Whole numbers up to here are exact in an f64 and can't stand for a rounded neighbour.
const EXACT_MAX: f64 = 9_007_199_254_740_991.0;

/// Labels named in a refusal.
const LABELS_SHOWN: usize = 8;

pub(super) fn decode(
    coding: &Coding,
    words: &[u16],
    doubt: &mut Option<Doubt>,
) -> Result<Value, Fault> {
    match coding.kind {
        Kind::Text { .. } => return text(coding.order, words),
        Kind::Raw { .. } => {
            return Ok(Value::Bytes(words.iter().flat_map(|word| word.to_be_bytes()).collect()));
        }
        _ => {}
    }
    let all = assemble(coding.order, words)?;
    let code = field(coding.kind, all);
    // A single bit has no code of its own: its register does, in which all bits are set.
    let said = if matches!(coding.kind, Kind::Bit(_)) { all } else { code };
    if coding.not_available.iter().any(|na| na.0 == said) {
        return Err(Fault::NotAvailable);
    }
    let number = match coding.kind {
        Kind::Bool | Kind::Bit(_) if coding.labels.is_empty() => return Ok(Value::Bool(code != 0)),
        Kind::Bool | Kind::Bit(_) => u64::from(code != 0).into(),
        Kind::Int8 { signed: true, .. } => signed(code, 8),
        Kind::Int { bits, signed: true } => signed(code, bits),
        Kind::Bits { .. } | Kind::Int8 { .. } | Kind::Int { .. } => code.into(),
        Kind::Bcd { bits } => bcd(code, bits).ok_or(Fault::Undecodable)?.into(),
        Kind::Mod10k { registers } => mod10k(code, registers).ok_or(Fault::Undecodable)?.into(),
        Kind::F16 => return real(coding, float::from_f16(code), doubt),
        Kind::F32 => return real(coding, float::from_f32(code), doubt),
        Kind::F64 => return real(coding, f64::from_bits(code), doubt),
        Kind::UnixSeconds => return moment(calendar::from_seconds(code)),
        Kind::UnixMillis => return moment(calendar::from_millis(code)),
        Kind::BcdTime => return moment(calendar::from_bcd(code)),
        Kind::Ipv4 => {
            let address = Ipv4Addr::from_bits(u32::try_from(code).map_err(|_| Fault::Undecodable)?);
            return Ok(Value::Text(address.to_string().into()));
        }
        Kind::Mac => {
            let [_, _, a, b, c, d, e, f] = code.to_be_bytes();
            let text = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
            return Ok(Value::Text(text.into()));
        }
        Kind::Text { .. } | Kind::Raw { .. } => return Err(Fault::Undecodable), // went above
    };
    whole(coding, number, doubt)
}

/// A whole number: its label, its scaled value, or itself.
fn whole(coding: &Coding, number: i128, doubt: &mut Option<Doubt>) -> Result<Value, Fault> {
    if let Some(label) = coding.labels.iter().find(|label| i128::from(label.code) == number) {
        return Ok(Value::Text(label.text.clone()));
    }
    if !coding.labels.is_empty() {
        *doubt = Some(Doubt::UnknownLabel);
    } else if coding.linear.is_some() {
        return real(coding, float::from_whole(number), doubt);
    }
    match (i64::try_from(number), u64::try_from(number)) {
        (Ok(number), _) if is_signed(coding.kind) => Ok(Value::I64(number)),
        (_, Ok(number)) => Ok(Value::U64(number)),
        _ => Err(Fault::Undecodable),
    }
}

/// A number that may have a fraction: scaled, cut, and finite.
fn real(coding: &Coding, number: f64, doubt: &mut Option<Doubt>) -> Result<Value, Fault> {
    if !number.is_finite() {
        return Err(Fault::NotAvailable);
    }
    let Some(linear) = &coding.linear else { return Ok(Value::F64(number)) };
    let (value, clamped) = linear::apply(linear, number);
    if clamped {
        *doubt = Some(Doubt::Clamped);
    }
    if value.is_finite() { Ok(Value::F64(value)) } else { Err(Fault::Undecodable) }
}

fn moment(text: Option<String>) -> Result<Value, Fault> {
    text.map(|text| Value::Text(text.into())).ok_or(Fault::Undecodable)
}

fn text(order: Order, words: &[u16]) -> Result<Value, Fault> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|w| swap(order, *w).to_be_bytes()).collect();
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| Fault::Undecodable)?;
    Ok(Value::Text(text.trim_end_matches(' ').into()))
}

/// Which bits of the register an element takes, if not all; as on the wire.
pub(super) fn mask(coding: &Coding) -> Option<u16> {
    let mask = match coding.kind {
        Kind::Bit(_) | Kind::Bits { .. } | Kind::Int8 { .. } | Kind::Bcd { bits: 8 } => {
            let (from, width) = place(coding.kind);
            u16::try_from((low(width) << from) & 0xFFFF).unwrap_or(u16::MAX)
        }
        _ => return None,
    };
    Some(swap(coding.order, mask))
}

/// Appends the element's words.
pub(super) fn encode(
    coding: &Coding,
    value: &Value,
    words: &mut Vec<u16>,
) -> Result<(), EncodeError> {
    let code = match coding.kind {
        Kind::Text { registers } => return put_text(coding.order, registers, value, words),
        Kind::Raw { registers } => return put_bytes(registers, value, words),
        Kind::Bool | Kind::Bit(_) => match value {
            Value::Bool(on) => u64::from(*on),
            _ => encode_whole(coding, value, 0, 1)?,
        },
        Kind::Bits { width, .. } => encode_whole(coding, value, 0, low(width).into())?,
        Kind::Int8 { signed, .. } => encode_int(coding, value, 8, signed)?,
        Kind::Int { bits, signed } => encode_int(coding, value, bits, signed)?,
        Kind::Bcd { bits } => {
            let max = 10_u64.saturating_pow(u32::from(bits) / 4) - 1;
            to_digits(encode_whole(coding, value, 0, max.into())?, 10, 4)
        }
        Kind::Mod10k { registers } => {
            let max = 10_000_u64.saturating_pow(registers.into()) - 1;
            to_digits(encode_whole(coding, value, 0, max.into())?, 10_000, 16)
        }
        Kind::F16 => float::to_f16(unscaled(coding, value)?, coding.linear.is_none())?,
        Kind::F32 => float::to_f32(unscaled(coding, value)?, coding.linear.is_none())?,
        Kind::F64 => unscaled(coding, value)?.to_bits(),
        Kind::UnixSeconds => parsed(value, "a time as 2026-11-23T14:31:00Z", calendar::to_seconds)?,
        Kind::UnixMillis => {
            parsed(value, "a time as 2026-11-23T14:31:00.000Z", calendar::to_millis)?
        }
        Kind::BcdTime => {
            parsed(value, "a time from 2000 to 2099 as 2026-11-23T14:31:00", calendar::to_bcd)?
        }
        Kind::Ipv4 => parsed(value, "an IPv4 address as 192.168.1.40", |text| {
            text.parse().ok().map(|address: Ipv4Addr| u64::from(address.to_bits()))
        })?,
        Kind::Mac => parsed(value, "a MAC address as 00:1b:2c:3d:4e:5f", mac)?,
    };
    let (from, width) = place(coding.kind);
    let code = code & low(width);
    let is_bit = matches!(coding.kind, Kind::Bit(_));
    if !is_bit && coding.not_available.iter().any(|na| na.0 == code) {
        return Err(EncodeError::NotAvailable);
    }
    // 24 and 48 bits: the sign goes on into the bits that are not used.
    let code = match coding.kind {
        Kind::Int { bits, signed: true } => sign_extended(code, bits),
        _ => code << from,
    };
    put(coding, code, words);
    Ok(())
}

fn encode_int(coding: &Coding, value: &Value, bits: u8, signed: bool) -> Result<u64, EncodeError> {
    let (min, max) = if signed {
        let half = i128::from(low(bits) >> 1);
        (-half - 1, half)
    } else {
        (0, i128::from(low(bits)))
    };
    encode_whole(coding, value, min, max)
}

/// The code of a whole number, two's complement if negative.
fn encode_whole(coding: &Coding, value: &Value, min: i128, max: i128) -> Result<u64, EncodeError> {
    let number = match value {
        Value::Text(text) if !coding.labels.is_empty() => {
            let label = coding.labels.iter().find(|label| label.text == *text);
            i128::from(label.ok_or_else(|| unknown_label(coding, text))?.code)
        }
        _ => match scale(coding) {
            Some(linear) => linear::invert_whole(linear, exact_real(value)?)?,
            None => exact_whole(value)?,
        },
    };
    if number < min || number > max {
        let shown = |raw: i128| match scale(coding) {
            Some(linear) => linear::apply(linear, float::from_whole(raw)).0.to_string(),
            None => raw.to_string(),
        };
        let (a, b) = (shown(min), shown(max));
        let falling = scale(coding).is_some_and(|l| l.factor * l.divisor < 0.0);
        let (min, max) = if falling { (b, a) } else { (a, b) };
        return Err(EncodeError::OutOfRange { value: value.to_string(), min, max });
    }
    Ok(match u64::try_from(number) {
        Ok(code) => code,
        Err(_) => i64::try_from(number).map_or(0, i64::cast_unsigned),
    })
}

/// The scale, where one means something: not for enumerations, not for a single bit.
fn scale(coding: &Coding) -> Option<&Linear> {
    let bit = matches!(coding.kind, Kind::Bool | Kind::Bit(_));
    coding.linear.as_ref().filter(|_| !bit && coding.labels.is_empty())
}

fn exact_whole(value: &Value) -> Result<i128, EncodeError> {
    match value {
        Value::I64(number) => Ok((*number).into()),
        Value::U64(number) => Ok((*number).into()),
        Value::F64(number) if number.fract() != 0.0 || !number.is_finite() => {
            Err(EncodeError::NotWhole { value: *number })
        }
        Value::F64(number) if number.abs() > EXACT_MAX => {
            Err(EncodeError::Magnitude { value: *number })
        }
        Value::F64(number) => Ok(float::to_whole(*number)),
        _ => Err(EncodeError::WrongType { want: "a whole number" }),
    }
}

/// The number as an f64, if that is exactly it.
fn exact_real(value: &Value) -> Result<f64, EncodeError> {
    let whole: i128 = match value {
        Value::F64(number) if number.is_finite() => return Ok(*number),
        Value::F64(number) => return Err(EncodeError::Magnitude { value: *number }),
        Value::I64(number) => (*number).into(),
        Value::U64(number) => (*number).into(),
        _ => return Err(EncodeError::WrongType { want: "a number" }),
    };
    let nearest = float::from_whole(whole);
    if float::to_whole(nearest) == whole {
        Ok(nearest)
    } else {
        Err(EncodeError::Inexact { value: whole.to_string(), nearest })
    }
}

/// The number that a floating-point register holds for this value.
fn unscaled(coding: &Coding, value: &Value) -> Result<f64, EncodeError> {
    let number = exact_real(value)?;
    match &coding.linear {
        Some(linear) => linear::invert(linear, number),
        None => Ok(number),
    }
}

fn unknown_label(coding: &Coding, text: &str) -> EncodeError {
    let mut known: Vec<_> =
        coding.labels.iter().take(LABELS_SHOWN).map(|label| format!("{:?}", label.text)).collect();
    if coding.labels.len() > LABELS_SHOWN {
        known.push("…".to_owned());
    }
    EncodeError::UnknownLabel { text: text.to_owned(), known: known.join(", ") }
}

fn parsed(
    value: &Value,
    want: &'static str,
    parse: impl Fn(&str) -> Option<u64>,
) -> Result<u64, EncodeError> {
    let Value::Text(text) = value else { return Err(EncodeError::WrongType { want }) };
    parse(text).ok_or_else(|| EncodeError::Malformed { text: text.to_string(), want })
}

fn put_text(
    order: Order,
    registers: u8,
    value: &Value,
    words: &mut Vec<u16>,
) -> Result<(), EncodeError> {
    let Value::Text(text) = value else { return Err(EncodeError::WrongType { want: "a text" }) };
    if text.contains('\0') {
        return Err(EncodeError::Malformed { text: text.to_string(), want: "a text without NUL" });
    }
    let mut bytes = text.as_bytes().to_vec();
    let max = 2 * usize::from(registers);
    if bytes.len() > max {
        return Err(EncodeError::TooLong { bytes: bytes.len(), max });
    }
    bytes.resize(max, 0);
    words.extend(pairs(&bytes).map(|word| swap(order, word)));
    Ok(())
}

fn put_bytes(registers: u8, value: &Value, words: &mut Vec<u16>) -> Result<(), EncodeError> {
    let Value::Bytes(bytes) = value else { return Err(EncodeError::WrongType { want: "bytes" }) };
    let want = 2 * usize::from(registers);
    if bytes.len() != want {
        return Err(EncodeError::WrongCount { want, got: bytes.len() });
    }
    words.extend(pairs(bytes));
    Ok(())
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair))
}

/// A register with its bytes as ABCD has them.
fn swap(order: Order, word: u16) -> u16 {
    match order {
        Order::Abcd | Order::Cdab => word,
        Order::Badc | Order::Dcba => word.swap_bytes(),
    }
}

fn is_reversed(order: Order) -> bool {
    matches!(order, Order::Cdab | Order::Dcba)
}

/// Up to four registers as one number.
fn assemble(order: Order, words: &[u16]) -> Result<u64, Fault> {
    if words.len() > 4 {
        return Err(Fault::Undecodable);
    }
    let join = |sum: u64, word: &u16| sum << 16 | u64::from(swap(order, *word));
    Ok(if is_reversed(order) {
        words.iter().rev().fold(0, join)
    } else {
        words.iter().fold(0, join)
    })
}

/// The inverse of `assemble`, for the coding's width.
fn put(coding: &Coding, code: u64, words: &mut Vec<u16>) {
    let [a, b, c, d, e, f, g, h] = code.to_be_bytes();
    let all = [[a, b], [c, d], [e, f], [g, h]].map(u16::from_be_bytes);
    let width = usize::from(coding.width()).min(all.len());
    // Whether a coil is on has no byte order.
    let order = if coding.kind == Kind::Bool { Order::Abcd } else { coding.order };
    let used = all.iter().skip(all.len() - width).map(|word| swap(order, *word));
    if is_reversed(order) { words.extend(used.rev()) } else { words.extend(used) }
}

/// Lowest bit and width of the part of the register that an element takes.
fn place(kind: Kind) -> (u8, u8) {
    match kind {
        Kind::Bit(n) => (n.min(15), 1),
        Kind::Bits { from, width } => (from.min(15), width.min(16)),
        Kind::Int8 { half: Half::High, .. } => (8, 8),
        Kind::Int8 { half: Half::Low, .. } => (0, 8),
        Kind::Int { bits, .. } | Kind::Bcd { bits } => (0, bits.min(64)),
        _ => (0, 64),
    }
}

/// The element's raw code among the assembled bits.
fn field(kind: Kind, all: u64) -> u64 {
    let (from, width) = place(kind);
    all >> from & low(width)
}

/// A number whose lowest `width` bits are set.
fn low(width: u8) -> u64 {
    u64::MAX.checked_shr(64 - u32::from(width.min(64))).unwrap_or(0)
}

fn is_signed(kind: Kind) -> bool {
    matches!(kind, Kind::Int { signed: true, .. } | Kind::Int8 { signed: true, .. })
}

fn sign_extended(code: u64, bits: u8) -> u64 {
    let sign = low(bits) & !(low(bits) >> 1);
    if code & sign == 0 { code } else { code | !low(bits) }
}

fn signed(code: u64, bits: u8) -> i128 {
    sign_extended(code, bits).cast_signed().into()
}

fn bcd(code: u64, bits: u8) -> Option<u64> {
    from_digits(code, u32::from(bits) / 4, 10, 4)
}

fn mod10k(code: u64, registers: u8) -> Option<u64> {
    from_digits(code, registers.into(), 10_000, 16)
}

/// A number whose digits of this base lie in groups of `width` bits.
fn from_digits(code: u64, digits: u32, base: u64, width: u32) -> Option<u64> {
    (0..digits).rev().try_fold(0_u64, |sum, at| {
        let digit = code.checked_shr(at * width)? & ((1 << width) - 1);
        if digit < base { sum.checked_mul(base)?.checked_add(digit) } else { None }
    })
}

fn to_digits(mut number: u64, base: u64, width: u32) -> u64 {
    let (mut code, mut at) = (0, 0);
    while number > 0 && at < 64 {
        code |= (number % base) << at;
        number /= base;
        at += width;
    }
    code
}

fn mac(text: &str) -> Option<u64> {
    let mut code = 0;
    let mut parts = 0;
    for part in text.split([':', '-']) {
        if part.len() != 2 || !part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        code = code << 8 | u64::from_str_radix(part, 16).ok()?;
        parts += 1;
        if parts > 6 {
            return None;
        }
    }
    (parts == 6).then_some(code)
}
