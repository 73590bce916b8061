//! Checksums: their kind, what they cover, where they stand.

use super::layers::Layers;
use super::{catalogue, parts};
use crate::config::keys;
use crate::config::problem::{Complaint, Findings};
use crate::config::section::Field;
use crate::config::values::{self, quoted};
use crate::model::sensor::{ByteOrder, Check, Encoding, Framing, Span, Sum};

const ENCODINGS: [(&str, Encoding); 3] = [
    ("binary", Encoding::Binary(ByteOrder::Big)),
    ("binary-little", Encoding::Binary(ByteOrder::Little)),
    ("hex", Encoding::Hex),
];

/// `None` for none, or after something was reported.
pub(super) fn check(
    layers: &Layers<'_, '_>,
    framing: Option<&Framing>,
    out: &mut Findings,
) -> Option<Check> {
    layers.read("check", out, |field, out| one(field, framing, out))
}

fn one(field: &Field<'_>, framing: Option<&Framing>, out: &mut Findings) -> Option<Check> {
    if let Some(text) = field.text() {
        if text != "none" {
            let complaint = Complaint::new(format!("{} is not enough", quoted(text)));
            let hint = "write check: { kind: …, range: …, position: … }, or none";
            out.error(&field.spot(), complaint.hint(hint));
        }
        return None;
    }
    let section = field.section(&keys::CHECK, out);
    let sum = section.required("kind", out, kind);
    let range = section.required("range", out, parts::span);
    let position = section.required("position", out, parts::span);
    let encoding = section.scalar("encoding", out, values::word(&ENCODINGS));
    let encoding = encoding.unwrap_or(Encoding::Binary(ByteOrder::Big));
    if matches!(framing, Some(Framing::Sml)) {
        out.error(&field.key_spot(), "SML has its own checksum, which is always checked");
        return None;
    }
    for (key, span) in [("range", range), ("position", position)] {
        if let (Some(span), Some(Framing::Fixed { length, .. })) = (span, framing)
            && span.within(*length).is_none()
        {
            let message = format!("reaches beyond the frame, which has {length} bytes");
            out.error(&section.spot_of(key), message);
        }
    }
    let (sum, range, position) = (sum?, range?, position?);
    let bytes = usize::from(sum.width().div_ceil(8));
    let wanted = if encoding == Encoding::Hex { 2 * bytes } else { bytes };
    if let Some(length) = parts::length(position)
        && length != wanted
    {
        let message = format!("has {length} bytes, but this checksum takes {wanted}");
        out.error(&section.spot_of("position"), message);
    }
    if overlap(range, position) {
        out.error(&section.spot_of("range"), "covers the checksum itself");
    }
    Some(Check { sum, range, position, encoding })
}

/// Whether two spans share a byte in a long frame.
fn overlap(a: Span, b: Span) -> bool {
    const LONG: usize = 1 << 20;
    match (a.within(LONG), b.within(LONG)) {
        (Some(a), Some(b)) => a.start < b.end && b.start < a.end,
        _ => false,
    }
}

fn kind(text: &str) -> Result<Sum, Complaint> {
    let simple = [
        ("xor", Sum::Xor),
        ("sum8", Sum::Sum8),
        ("lrc", Sum::Lrc),
        ("twos-complement-7", Sum::Negated7),
    ];
    if let Some((_, sum)) = simple.iter().find(|(name, _)| *name == text) {
        return Ok(sum.clone());
    }
    if let Some(crc) = catalogue::find(text) {
        return Ok(Sum::Crc(crc));
    }
    let known = simple.iter().map(|(name, _)| *name).chain(catalogue::names());
    let complaint = Complaint::new(format!("{} is no checksum", quoted(text))).suggest(text, known);
    if complaint.hint.is_some() {
        return Err(complaint);
    }
    Err(complaint.hint(
        "xor, sum8, lrc, twos-complement-7, or a name of the CRC catalogue as in crc-16/modbus",
    ))
}
