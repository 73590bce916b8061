//! Payloads as the user wrote them down; `config` has checked the template.
//!
//! In one that makes JSON, a value is a JSON value (a text with its quotes, `null` for none) and every
//! other placeholder is text escaped to stand between quotes. In any other, both stand as they are, as
//! in a plain payload, and a missing value is nothing.

use std::fmt;

use super::{Sample, plain};
use crate::codec::json::{put, put_text, put_value};
use crate::codec::registers::utc;
use crate::model::{PayloadPiece, PayloadPlace, PayloadTemplate, Quality, Wall};

pub(super) fn put_sample(out: &mut Vec<u8>, template: &PayloadTemplate, sample: &Sample<'_>) {
    for piece in &template.pieces {
        match piece {
            PayloadPiece::Text(text) => out.extend_from_slice(text.as_bytes()),
            PayloadPiece::Known(text) => put_name(out, template.json, text),
            PayloadPiece::Place(place) => put_place(out, *place, template.json, sample),
        }
    }
}

fn put_place(out: &mut Vec<u8>, place: PayloadPlace, json: bool, sample: &Sample<'_>) {
    let tag = sample.tag;
    match place {
        PayloadPlace::Value => match sample.value() {
            Some(value) if json => put_value(out, value),
            Some(value) => plain::put_bare(out, value),
            None if json => out.extend_from_slice(b"null"),
            None => {}
        },
        PayloadPlace::Quality => {
            put(out, format_args!("{}", sample.flaw().unwrap_or(Quality::Good)));
        }
        PayloadPlace::Time => put(out, format_args!("{}", sample.wall.0)),
        PayloadPlace::Seconds => put(out, format_args!("{}", Seconds(sample.wall.0))),
        PayloadPlace::Iso => out.extend_from_slice(iso(sample.wall).as_bytes()),
        PayloadPlace::Id => put(out, format_args!("{}", sample.key)),
        PayloadPlace::Class => put(out, format_args!("{}", sample.key.class.as_str())),
        PayloadPlace::Unit => put_name(out, json, &tag.unit),
        PayloadPlace::Tag => put_name(out, json, tag.name.as_str()),
        PayloadPlace::Device => put_name(out, json, tag.device.as_str()),
        PayloadPlace::Topic => put_name(out, json, tag.topic.as_str()),
    }
}

/// Text to stand between the quotes of the template.
fn put_name(out: &mut Vec<u8>, json: bool, text: &str) {
    if !json {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut quoted = Vec::with_capacity(text.len() + 2);
    put_text(&mut quoted, text);
    let inner = quoted.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    out.extend_from_slice(inner.unwrap_or_default());
}

/// Milliseconds as seconds with three decimals.
struct Seconds(i64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let millis = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:03}", millis / 1000, millis % 1000)
    }
}

/// `2023-11-14T22:13:20.000Z` (RFC 3339); milliseconds where that has no year for it.
fn iso(wall: Wall) -> String {
    let text = utc(wall.0);
    text.unwrap_or_else(|| wall.0.to_string())
}
