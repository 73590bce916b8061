//! The Smart Message Language of electricity meters (BSI TR-03109-1, Anlage IV, "Smart Message
//! Language", version 1.04): its transport, and the values of its GetList responses.
//!
//! Of the messages only these values are read; everything else is skipped by its length.

use super::pieces::Piece;
use crate::model::sensor::Crc;

/// Beginning of a transport file, version 1.
pub(super) const START: [u8; 8] = [0x1B, 0x1B, 0x1B, 0x1B, 1, 1, 1, 1];
const ESCAPE: [u8; 4] = [0x1B; 4];
const END: u8 = 0x1A;

/// CRC-16/IBM-SDLC, also called X-25 (DIN EN 62056-46).
const CHECKSUM: Crc = Crc {
    name: "crc-16/ibm-sdlc",
    width: 16,
    poly: 0x1021,
    init: 0xFFFF,
    reflect_in: true,
    reflect_out: true,
    xor_out: 0xFFFF,
};

/// Choice of a message body: SML_GetList.Res.
const GET_LIST_RESPONSE: i128 = 0x0701;
/// Deepest lists within lists; the messages themselves need five.
const DEPTH_MAX: usize = 12;

/// What the bytes from a beginning on are.
pub(super) enum Transport {
    Unfinished,
    /// The next beginning came before the end.
    Again {
        at: usize,
    },
    /// An escape that does not exist.
    Broken {
        at: usize,
    },
    /// `length` bytes on the line; the checksum is (want, got) where it is wrong.
    Whole {
        length: usize,
        content: Vec<u8>,
        checksum: Result<(), (u64, u64)>,
    },
}

/// Takes the escapes out; `bytes` begins with [`START`].
pub(super) fn unwrap(bytes: &[u8]) -> Transport {
    let mut content = Vec::with_capacity(bytes.len());
    let mut at = START.len();
    loop {
        let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else {
            return Transport::Unfinished;
        };
        if !rest.starts_with(&ESCAPE) {
            if rest.len() < ESCAPE.len() && ESCAPE.starts_with(rest) {
                return Transport::Unfinished;
            }
            content.extend(rest.first());
            at += 1;
            continue;
        }
        let Some(what) = rest.get(4..8) else { return Transport::Unfinished };
        match *what {
            [0x1B, 0x1B, 0x1B, 0x1B] => {
                content.extend_from_slice(&ESCAPE);
                at += 8;
            }
            [1, 1, 1, 1] => return Transport::Again { at },
            [END, padding, low, high] => {
                let covered = bytes.get(..at + 6).unwrap_or_default();
                let want = CHECKSUM.of(covered);
                let got = u64::from(u16::from_le_bytes([low, high]));
                let padding = usize::from(padding);
                if padding > 3 || padding > content.len() {
                    return Transport::Broken { at: at + 8 };
                }
                content.truncate(content.len() - padding);
                let checksum = if want == got { Ok(()) } else { Err((want, got)) };
                return Transport::Whole { length: at + 8, content, checksum };
            }
            _ => return Transport::Broken { at: at + 4 },
        }
    }
}

/// One element of a message.
enum Element<'a> {
    Octets(&'a [u8]),
    Bool(bool),
    Whole(i128),
    List(Vec<Element<'a>>),
}

/// Bytes that are read from the front.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn element(&mut self, depth: usize) -> Option<Element<'a>> {
        let first = self.byte()?;
        let kind = first >> 4 & 7;
        let mut length = usize::from(first & 0x0F);
        let (mut bytes_of_length, mut more) = (1, first & 0x80 != 0);
        while more {
            let next = self.byte()?;
            if bytes_of_length > 3 || next & 0x70 != 0 {
                return None;
            }
            length = length << 4 | usize::from(next & 0x0F);
            bytes_of_length += 1;
            more = next & 0x80 != 0;
        }
        if kind == 7 {
            // Every element takes a byte at least: a longer list can't be meant.
            if depth == 0 || length > self.0.len() {
                return None;
            }
            return (0..length)
                .map(|_| self.element(depth - 1))
                .collect::<Option<_>>()
                .map(Element::List);
        }
        // Of other kinds the length counts the bytes that say it; a zero ends a message.
        let content =
            if first == 0 { &[] } else { self.bytes(length.checked_sub(bytes_of_length)?)? };
        match (kind, content) {
            (0, _) => Some(Element::Octets(content)),
            (4, [value]) => Some(Element::Bool(*value != 0)),
            (5, [first, ..]) if content.len() <= 8 => {
                let sign = if first & 0x80 == 0 { 0 } else { -1 };
                Some(Element::Whole(
                    content.iter().fold(sign, |n, byte| n << 8 | i128::from(*byte)),
                ))
            }
            (6, [_, ..]) if content.len() <= 8 => {
                Some(Element::Whole(content.iter().fold(0, |n, byte| n << 8 | i128::from(*byte))))
            }
            _ => None,
        }
    }
}

/// The values of all GetList responses, by their OBIS code; `None` where the messages are damaged.
pub(super) fn values(content: &[u8]) -> Option<Vec<(String, Piece<'_>)>> {
    let mut input = Input(content);
    let mut found = Vec::new();
    while !input.0.is_empty() {
        let message = input.element(DEPTH_MAX)?;
        // Between messages there may be filling.
        let Element::List(message) = message else { continue };
        let Some(Element::List(body)) = message.get(3) else { return None };
        let (Some(Element::Whole(choice)), Some(response)) = (body.first(), body.get(1)) else {
            return None;
        };
        if *choice != GET_LIST_RESPONSE {
            continue;
        }
        let Element::List(response) = response else { return None };
        let Some(Element::List(values)) = response.get(4) else { return None };
        found.extend(values.iter().filter_map(entry));
    }
    Some(found)
}

fn entry<'a>(entry: &Element<'a>) -> Option<(String, Piece<'a>)> {
    let Element::List(parts) = entry else { return None };
    let [Element::Octets(name), _, _, unit, scaler, value, ..] = parts.as_slice() else {
        return None;
    };
    let [a, b, c, d, e, f] = *name else { return None };
    let unit = match unit {
        Element::Whole(code) => unit_name(*code),
        _ => None,
    };
    let scaler = match scaler {
        Element::Whole(power) => i32::try_from(*power).ok().filter(|n| (-30..=30).contains(n))?,
        _ => 0,
    };
    let piece = match value {
        Element::Octets(bytes) => Piece::of(bytes),
        Element::Bool(on) => Piece::of(if *on { b"1" } else { b"0" }),
        Element::Whole(number) => Piece::owned(number.to_string().into_bytes()),
        Element::List(_) => return None,
    };
    Some((format!("{a}-{b}:{c}.{d}.{e}*{f}"), Piece { unit, power: scaler, ..piece }))
}

/// DLMS unit codes (IEC 62056-62, table of units) that meters of this kind send.
fn unit_name(code: i128) -> Option<String> {
    let name = match code {
        8 => "°",
        9 => "°C",
        13 | 14 => "m³",
        27 => "W",
        28 => "VA",
        29 => "var",
        30 => "Wh",
        31 => "VAh",
        32 => "varh",
        33 => "A",
        35 => "V",
        44 => "Hz",
        _ => return None,
    };
    Some(name.to_owned())
}
