//! A frame taken apart: by a pattern, by position, by separators, by keys.

use std::borrow::Cow;

use regex::bytes::{Captures, Regex, RegexBuilder};

use super::sml;
use crate::model::sensor::{PATTERN_BYTES_MAX, Parse, Place};

/// One part of a frame, before it is known what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub bytes: Cow<'a, [u8]>,
    /// Beside the value in the frame.
    pub unit: Option<String>,
    /// The value is to be multiplied with ten to this power.
    pub power: i32,
}

impl<'a> Piece<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes: Cow::Borrowed(bytes), unit: None, power: 0 }
    }

    pub(super) fn owned(bytes: Vec<u8>) -> Self {
        Self { bytes: Cow::Owned(bytes), unit: None, power: 0 }
    }
}

/// A way to take frames apart, ready to use.
#[derive(Debug)]
pub(super) enum Parser {
    Regex(Regex),
    Bytes,
    Split(u8),
    KeyValue(Regex),
    Json,
    Sml,
}

/// A frame that was taken apart.
pub(super) enum Pieces<'a> {
    Groups(Captures<'a>),
    Bytes(&'a [u8]),
    Items(Vec<&'a [u8]>),
    Keys(Vec<(String, Piece<'a>)>),
    Json(serde_json::Value),
}

/// A pattern on bytes, from the first one on; a `whole` one also to the last.
pub(super) fn pattern(text: &str, whole: bool) -> Result<Regex, regex::Error> {
    let end = if whole { r"\z" } else { "" };
    let anchored = format!(r"\A(?:{text}){end}");
    build(&anchored)
}

fn build(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).unicode(false).size_limit(PATTERN_BYTES_MAX).build()
}

impl Parser {
    pub(super) fn new(parse: &Parse) -> Result<Self, regex::Error> {
        Ok(match parse {
            Parse::Regex(text) => Self::Regex(pattern(text, true)?),
            Parse::Bytes => Self::Bytes,
            Parse::Split(separator) => Self::Split(*separator),
            Parse::KeyValue(text) => Self::KeyValue(build(text)?),
            Parse::Json => Self::Json,
            Parse::Sml => Self::Sml,
        })
    }

    /// `None`: the frame is not of this form.
    pub(super) fn take_apart<'a>(&self, body: &'a [u8]) -> Option<Pieces<'a>> {
        match self {
            Self::Regex(pattern) => pattern.captures(body).map(Pieces::Groups),
            Self::Bytes => Some(Pieces::Bytes(body)),
            Self::Split(separator) => {
                Some(Pieces::Items(body.split(|byte| byte == separator).collect()))
            }
            Self::KeyValue(pattern) => {
                let keys: Vec<_> =
                    pattern.captures_iter(body).filter_map(|found| key_value(&found)).collect();
                (!keys.is_empty()).then_some(Pieces::Keys(keys))
            }
            Self::Json => serde_json::from_slice(body).ok().map(Pieces::Json),
            Self::Sml => sml::values(body).map(Pieces::Keys),
        }
    }
}

fn key_value<'a>(found: &Captures<'a>) -> Option<(String, Piece<'a>)> {
    let text = |name| found.name(name).map(|group| group.as_bytes().trim_ascii());
    let key = std::str::from_utf8(text("key")?).ok()?.to_owned();
    let unit = text("unit").and_then(|unit| std::str::from_utf8(unit).ok()).map(str::to_owned);
    Some((key, Piece { unit, ..Piece::of(text("value")?) }))
}

impl Pieces<'_> {
    /// The piece at a place, if this frame has it.
    pub(super) fn at(&self, place: &Place) -> Option<Piece<'_>> {
        match (self, place) {
            (Self::Groups(groups), Place::Group(name)) => {
                groups.name(name).map(|group| Piece::of(group.as_bytes()))
            }
            (Self::Bytes(bytes), Place::Bytes(span)) => {
                span.within(bytes.len()).and_then(|range| bytes.get(range)).map(Piece::of)
            }
            (Self::Items(items), Place::Item(number)) => {
                items.get(*number).map(|item| Piece::of(item))
            }
            // A key that stands twice says two things: neither is taken.
            (Self::Keys(keys), Place::Key(key)) => {
                let mut found = keys.iter().filter(|(k, _)| is_key(k, key)).map(|(_, piece)| piece);
                let piece = found.next()?;
                found.next().is_none().then(|| piece.clone())
            }
            (Self::Json(json), Place::Pointer(pointer)) => match json.pointer(pointer)? {
                serde_json::Value::String(text) => Some(Piece::of(text.as_bytes())),
                serde_json::Value::Number(number) => {
                    Some(Piece::owned(number.to_string().into_bytes()))
                }
                serde_json::Value::Bool(true) => Some(Piece::of(b"true")),
                serde_json::Value::Bool(false) => Some(Piece::of(b"false")),
                serde_json::Value::Null => Some(Piece::of(b"")),
                serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
            },
            _ => None,
        }
    }
}

/// `1.8.0` means `1-0:1.8.0*255` too: how much of an OBIS code is written differs from meter to meter.
fn is_key(in_frame: &str, wanted: &str) -> bool {
    in_frame == wanted || (!wanted.contains([':', '*']) && obis_core(in_frame) == Some(wanted))
}

/// The middle of an OBIS code of the electricity of channel 0: `1.8.0` of `1-0:1.8.0*255`.
fn obis_core(code: &str) -> Option<&str> {
    let core = code.strip_prefix("1-0:")?;
    Some(core.strip_suffix("*255").unwrap_or(core))
}
