//! Registers ↔ values, by a [`Coding`]; one codec both ways.
//!
//! Invariants: nothing here panics, whatever the words or the value; a word count other than the
//! coding's is a bad answer, never a shifted value; a value that the registers can't hold is an
//! error, never a silent wrap; `decode(encode(v))` is `v`, and `encode(decode(words))` is `words`
//! wherever all their bits mean something.
//!
//! Knows no protocol: which function writes the words, and how a mask is honoured, is south's.

mod calendar;
mod element;
mod float;
mod linear;
#[cfg(test)]
mod tests;

use crate::model::{Coding, Doubt, Fault, Kind, Linear, Mono, Reading, TagId, Value};

/// What registers turned out to hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    Good(Value),
    Uncertain(Value, Doubt),
    Bad(Fault),
}

impl Decoded {
    /// The reading of `tag` at `at`.
    pub fn reading(self, tag: TagId, at: Mono) -> Reading {
        match self {
            Self::Good(value) => Reading::good(tag, at, value),
            Self::Uncertain(value, doubt) => Reading::uncertain(tag, at, value, doubt),
            Self::Bad(fault) => Reading::bad(tag, at, fault),
        }
    }
}

/// Words to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// One per register, or 0 and 1 for the bits of a bit table.
    pub words: Vec<u16>,
    /// Which bits of every word belong to the value, if not all do: the others must be kept.
    pub mask: Option<u16>,
}

/// Why a value can't be written. The text is what the sender of a command reads.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EncodeError {
    #[error("this tag takes {want}")]
    WrongType { want: &'static str },
    #[error("{value} is outside {min} to {max}, which is all the registers can hold")]
    OutOfRange { value: String, min: String, max: String },
    #[error("{value} is too large or too small to be written exactly")]
    Magnitude { value: f64 },
    #[error("{value} is not a whole number, and this tag takes only those")]
    NotWhole { value: f64 },
    #[error("{value} is between two steps of this tag; the nearest are {below} and {above}")]
    BetweenSteps { value: f64, below: f64, above: f64 },
    #[error("the registers can't hold {value} exactly; the nearest is {nearest}")]
    Inexact { value: String, nearest: f64 },
    #[error("{text:?} is none of {known}")]
    UnknownLabel { text: String, known: String },
    #[error("the text has {bytes} bytes, and there is room for {max}")]
    TooLong { bytes: usize, max: usize },
    #[error("{text:?} is not {want}")]
    Malformed { text: String, want: &'static str },
    #[error("this is the device's code for \"no value here\"")]
    NotAvailable,
    #[error("this tag takes a list of {want} values, not {got}")]
    WrongCount { want: usize, got: usize },
    #[error("the device's scale register must be read first")]
    ScaleUnknown,
}

/// A power of ten beyond this is none: SunSpec allows -10 to 10.
const POWER_MAX: u16 = 10;

/// The coding of one answer, whose scale register holds `word`: a signed power of ten, or 0x8000
/// for none. Each value is scaled by what came in the same answer.
pub fn at_power(coding: &Coding, word: u16) -> Result<Coding, Fault> {
    let power = word.cast_signed();
    if power == i16::MIN {
        return Err(Fault::NotAvailable);
    }
    if power.unsigned_abs() > POWER_MAX {
        return Err(Fault::Undecodable);
    }
    let ten = float::from_whole(10_i128.pow(power.unsigned_abs().into()));
    let (factor, divisor) = if power < 0 { (1.0, ten) } else { (ten, 1.0) };
    let linear = Linear { factor, divisor, offset: 0.0, clamp: None };
    Ok(Coding { linear: Some(linear), scale_register: false, ..coding.clone() })
}

/// Milliseconds since 1970 as ISO 8601 text in UTC; `None` before that and beyond the year 9999.
pub fn utc(millis: i64) -> Option<String> {
    calendar::from_millis(u64::try_from(millis).ok()?)
}

/// The inverse of [`utc`], for what people type: seconds, the whole time of day and the `Z` may be
/// missing.
pub fn moment(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let rest = match text.len() {
        10 => "T00:00:00Z",
        16 => ":00Z",
        _ => "Z",
    };
    calendar::to_millis(&format!("{text}{rest}"))
}

/// What these words mean. `table_is_bits`: each word is one bit, 0 or not.
///
/// An array is as good as its worst element: one that is bad makes the reading bad.
pub fn decode(coding: &Coding, table_is_bits: bool, words: &[u16]) -> Decoded {
    if words.is_empty() || words.len() != usize::from(coding.span()) {
        return Decoded::Bad(Fault::BadAnswer);
    }
    // Without its scale a number means nothing.
    if coding.scale_register || (table_is_bits && coding.kind != Kind::Bool) {
        return Decoded::Bad(Fault::Undecodable);
    }
    let mut doubt = None;
    let value = if coding.count == 1 {
        element::decode(coding, words, &mut doubt)
    } else {
        words
            .chunks_exact(usize::from(coding.width()).max(1))
            .map(|words| element::decode(coding, words, &mut doubt))
            .collect::<Result<Vec<_>, _>>()
            .map(|values| Value::List(values.into()))
    };
    match (value, doubt) {
        (Ok(value), None) => Decoded::Good(value),
        (Ok(value), Some(doubt)) => Decoded::Uncertain(value, doubt),
        (Err(fault), _) => Decoded::Bad(fault),
    }
}

/// The words that hold this value; for a bit table 0 or 1 each.
///
/// A value between two steps of a scale is refused; a two-point mapping, whose steps nobody can
/// write down, takes the nearest. An enumeration takes its texts and any code.
pub fn encode(coding: &Coding, value: &Value) -> Result<Encoded, EncodeError> {
    if coding.scale_register {
        return Err(EncodeError::ScaleUnknown);
    }
    let count = usize::from(coding.count);
    let mut words = Vec::with_capacity(usize::from(coding.span()));
    match value {
        Value::List(values) if count != 1 => {
            if values.len() != count {
                return Err(EncodeError::WrongCount { want: count, got: values.len() });
            }
            for value in values.iter() {
                element::encode(coding, value, &mut words)?;
            }
        }
        _ if count != 1 => return Err(EncodeError::WrongCount { want: count, got: 1 }),
        Value::List(_) => {
            return Err(EncodeError::WrongType { want: "a single value, not a list" });
        }
        single => element::encode(coding, single, &mut words)?,
    }
    Ok(Encoded { words, mask: element::mask(coding) })
}
