//! Type names as written in the configuration, and what each type allows.

use super::problem::{Complaint, closest};
use super::values::{self, quoted};
use crate::model::{Class, Half, Kind, Order};

const CLASSES: [(&str, Class); 3] =
    [("alarm", Class::Alarm), ("normal", Class::Normal), ("bulk", Class::Bulk)];

/// Type names without a number after a colon.
const PLAIN: [(&str, Kind); 29] = [
    ("bool", Kind::Bool),
    ("u8-high", Kind::Int8 { half: Half::High, signed: false }),
    ("u8-low", Kind::Int8 { half: Half::Low, signed: false }),
    ("i8-high", Kind::Int8 { half: Half::High, signed: true }),
    ("i8-low", Kind::Int8 { half: Half::Low, signed: true }),
    ("u16", Kind::Int { bits: 16, signed: false }),
    ("i16", Kind::Int { bits: 16, signed: true }),
    ("u24", Kind::Int { bits: 24, signed: false }),
    ("i24", Kind::Int { bits: 24, signed: true }),
    ("u32", Kind::Int { bits: 32, signed: false }),
    ("i32", Kind::Int { bits: 32, signed: true }),
    ("u48", Kind::Int { bits: 48, signed: false }),
    ("i48", Kind::Int { bits: 48, signed: true }),
    ("u64", Kind::Int { bits: 64, signed: false }),
    ("i64", Kind::Int { bits: 64, signed: true }),
    ("f16", Kind::F16),
    ("f32", Kind::F32),
    ("f64", Kind::F64),
    ("bcd8", Kind::Bcd { bits: 8 }),
    ("bcd16", Kind::Bcd { bits: 16 }),
    ("bcd32", Kind::Bcd { bits: 32 }),
    ("bcd64", Kind::Bcd { bits: 64 }),
    ("unix-seconds", Kind::UnixSeconds),
    ("unix-millis", Kind::UnixMillis),
    ("bcd-time", Kind::BcdTime),
    ("ipv4", Kind::Ipv4),
    ("mac", Kind::Mac),
    // Written with a number; here for suggestions only, `parse` takes them before.
    ("text:8", Kind::Text { registers: 8 }),
    ("raw:2", Kind::Raw { registers: 2 }),
];

/// Names that other systems give to these types.
const ELSEWHERE: [(&str, &str); 36] = [
    ("float", "f32"),
    ("float32", "f32"),
    ("real", "f32"),
    ("single", "f32"),
    ("double", "f64"),
    ("float64", "f64"),
    ("lreal", "f64"),
    ("half", "f16"),
    ("float16", "f16"),
    ("int", "i16"),
    ("short", "i16"),
    ("int16", "i16"),
    ("uint", "u16"),
    ("word", "u16"),
    ("ushort", "u16"),
    ("uint16", "u16"),
    ("int32", "i32"),
    ("dint", "i32"),
    ("long", "i32"),
    ("uint32", "u32"),
    ("udint", "u32"),
    ("dword", "u32"),
    ("ulong", "u32"),
    ("int64", "i64"),
    ("lint", "i64"),
    ("uint64", "u64"),
    ("ulint", "u64"),
    ("lword", "u64"),
    ("int8", "i8-low"),
    ("i8", "i8-low"),
    ("uint8", "u8-low"),
    ("u8", "u8-low"),
    ("byte", "u8-low"),
    ("boolean", "bool"),
    ("string", "text:8"),
    ("bcd", "bcd16"),
];

/// Registers that one text or raw tag may take: what one request can read.
const REGISTERS_MAX: u8 = 125;

/// A type name, as in `f32`, `bit:3`, `bits:4..7`, `text:10`.
pub(super) fn parse(text: &str) -> Result<Kind, Complaint> {
    match text.split_once(':') {
        Some(("bit", n)) => Ok(Kind::Bit(number("bit", n, 0, 15)?)),
        Some(("bits", range)) => bits(range),
        Some(("text", n)) => Ok(Kind::Text { registers: number("text", n, 1, REGISTERS_MAX)? }),
        Some(("raw", n)) => Ok(Kind::Raw { registers: number("raw", n, 1, REGISTERS_MAX)? }),
        Some(("mod10k", n)) => Ok(Kind::Mod10k { registers: number("mod10k", n, 2, 4)? }),
        Some(_) => Err(unknown(text)),
        None => match PLAIN.iter().find(|(name, _)| *name == text) {
            Some((_, kind)) => Ok(*kind),
            None => Err(unknown(text)),
        },
    }
}

/// The name of a type, as [`parse`] reads it.
pub fn show_kind(kind: Kind) -> String {
    match kind {
        Kind::Bit(n) => format!("bit:{n}"),
        Kind::Bits { from, width } => format!("bits:{from}..{}", (from + width).saturating_sub(1)),
        Kind::Text { registers } => format!("text:{registers}"),
        Kind::Raw { registers } => format!("raw:{registers}"),
        Kind::Mod10k { registers } => format!("mod10k:{registers}"),
        plain => {
            let found = PLAIN.iter().find(|(_, kind)| *kind == plain);
            found.map_or_else(|| format!("{plain:?}"), |(name, _)| (*name).to_owned())
        }
    }
}

/// What another system's name of a type is called here.
pub(super) fn translated(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    ELSEWHERE.iter().find(|(theirs, _)| *theirs == lower).map(|(_, ours)| *ours)
}

fn number(name: &str, text: &str, min: u8, max: u8) -> Result<u8, Complaint> {
    match text.trim().parse::<u8>() {
        Ok(n) if (min..=max).contains(&n) => Ok(n),
        _ => Err(Complaint::new(format!("{} is no number of {name}", quoted(text)))
            .hint(format!("allowed are {name}:{min} to {name}:{max}"))),
    }
}

/// `4..7`: both bits belong to the field.
fn bits(range: &str) -> Result<Kind, Complaint> {
    let ends = range.split_once("..").map(|(from, to)| (from.trim().parse(), to.trim().parse()));
    match ends {
        Some((Ok(from @ 0..=15), Ok(to @ 0..=15))) if from <= to => {
            let width: u8 = to - from + 1;
            Ok(Kind::Bits { from, width })
        }
        _ => Err(Complaint::new(format!("{} is no range of bits", quoted(range)))
            .hint("write the lowest and the highest bit, as in bits:4..7")),
    }
}

fn unknown(text: &str) -> Complaint {
    let complaint = Complaint::new(format!("{} is unknown", quoted(text)));
    match text.to_lowercase().as_str() {
        "text" => return complaint.hint("write its length in registers, as in text:8"),
        "raw" | "bytes" => return complaint.hint("write its length in registers, as in raw:2"),
        "bit" => return complaint.hint("write which, as in bit:0 for the lowest"),
        "bits" => return complaint.hint("write which, as in bits:4..7"),
        "mod10k" => return complaint.hint("write its length in registers, as in mod10k:2"),
        lower => {
            if let Some((_, ours)) = ELSEWHERE.iter().find(|(theirs, _)| *theirs == lower) {
                return complaint.hint(format!("did you mean {ours}?"));
            }
        }
    }
    let ours = PLAIN.iter().map(|(name, _)| *name);
    let Some(close) = closest(text, ours.chain(ELSEWHERE.iter().map(|(theirs, _)| *theirs))) else {
        return complaint.hint("the types are listed in configs/reference.yaml");
    };
    let ours = ELSEWHERE.iter().find(|(theirs, _)| *theirs == close);
    complaint.hint(format!("did you mean {}?", ours.map_or(close, |(_, ours)| ours)))
}

/// What goes first when room runs out, and what is written at once.
pub(super) fn class(text: &str) -> Result<Class, Complaint> {
    values::word(&CLASSES)(text)
}

/// The letters of a byte order.
pub(super) fn show_order(order: Order) -> &'static str {
    match order {
        Order::Abcd => "ABCD",
        Order::Cdab => "CDAB",
        Order::Badc => "BADC",
        Order::Dcba => "DCBA",
    }
}

/// A byte order by its letters.
pub(super) fn order(text: &str) -> Result<Order, Complaint> {
    let complaint = || Complaint::new(format!("{} is not a byte order", quoted(text)));
    match text {
        "ABCD" => Ok(Order::Abcd),
        "CDAB" => Ok(Order::Cdab),
        "BADC" => Ok(Order::Badc),
        "DCBA" => Ok(Order::Dcba),
        _ => Err(match text.to_lowercase().as_str() {
            "abcd" | "big" | "big-endian" | "be" | "abcdefgh" => complaint().hint("write ABCD"),
            "dcba" | "little" | "little-endian" | "le" | "hgfedcba" => {
                complaint().hint("write DCBA")
            }
            "cdab" | "word-swap" | "word-swapped" | "ghefcdab" => complaint().hint("write CDAB"),
            "badc" | "byte-swap" | "byte-swapped" | "badcfehg" => complaint().hint("write BADC"),
            _ => complaint().hint("one of ABCD, CDAB, BADC, DCBA; A is the highest byte"),
        }),
    }
}

/// What a type's values are, as far as the checks care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// A single bit.
    Truth,
    /// Whole numbers from the first to the second, both included.
    Whole(i128, i128),
    Float,
    /// Texts, bytes, times, addresses: nothing to calculate with.
    Opaque,
}

pub(super) fn family(kind: Kind) -> Family {
    let unsigned = |bits: u8| Family::Whole(0, (1_i128 << bits.min(64)) - 1);
    let signed = |bits: u8| {
        let half = 1_i128 << bits.clamp(1, 64).saturating_sub(1);
        Family::Whole(-half, half - 1)
    };
    let digits = |n: u8| Family::Whole(0, crate::model::power_of_ten(u32::from(n)) - 1);
    match kind {
        Kind::Bool | Kind::Bit(_) => Family::Truth,
        Kind::Bits { width, .. } => unsigned(width),
        Kind::Int8 { signed: true, .. } => signed(8),
        Kind::Int8 { signed: false, .. } => unsigned(8),
        Kind::Int { bits, signed: true } => signed(bits),
        Kind::Int { bits, signed: false } => unsigned(bits),
        Kind::F16 | Kind::F32 | Kind::F64 => Family::Float,
        Kind::Bcd { bits } => digits(bits / 4),
        Kind::Mod10k { registers } => digits(registers.saturating_mul(4)),
        Kind::Text { .. }
        | Kind::Raw { .. }
        | Kind::UnixSeconds
        | Kind::UnixMillis
        | Kind::BcdTime
        | Kind::Ipv4
        | Kind::Mac => Family::Opaque,
    }
}

/// Bits of the raw code, for the codes that mean "not available"; `None` where there is none.
pub(super) fn code_bits(kind: Kind) -> Option<u8> {
    match kind {
        Kind::Bits { width, .. } => Some(width),
        Kind::Int8 { .. } => Some(8),
        // The code is that of the whole register: all bits set, mostly.
        Kind::F16 | Kind::Bit(_) => Some(16),
        Kind::F32 | Kind::UnixSeconds | Kind::Ipv4 => Some(32),
        Kind::F64 | Kind::UnixMillis => Some(64),
        Kind::Int { bits, .. } | Kind::Bcd { bits } => Some(bits),
        Kind::Mod10k { registers } => Some(registers.saturating_mul(16)),
        Kind::BcdTime | Kind::Mac => Some(48),
        Kind::Bool | Kind::Text { .. } | Kind::Raw { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_name_is_understood() {
        for (name, kind) in PLAIN {
            assert_eq!(parse(name), Ok(kind), "{name}");
            assert_eq!(show_kind(kind), name);
        }
        for (name, kind) in [
            ("bit:0", Kind::Bit(0)),
            ("bit:15", Kind::Bit(15)),
            ("bits:4..7", Kind::Bits { from: 4, width: 4 }),
            ("bits:0..15", Kind::Bits { from: 0, width: 16 }),
            ("bits:3..3", Kind::Bits { from: 3, width: 1 }),
            ("text:125", Kind::Text { registers: 125 }),
            ("mod10k:4", Kind::Mod10k { registers: 4 }),
        ] {
            assert_eq!(parse(name), Ok(kind), "{name}");
            assert_eq!(show_kind(kind), name);
        }
    }

    #[test]
    fn wrong_type_names_are_explained() {
        for (name, hint) in [
            ("float", "did you mean f32?"),
            ("DINT", "did you mean i32?"),
            ("uin16", "did you mean u16?"),
            ("text", "write its length in registers, as in text:8"),
            ("bit", "write which, as in bit:0 for the lowest"),
            ("bit:16", "allowed are bit:0 to bit:15"),
            ("bits:7..4", "write the lowest and the highest bit, as in bits:4..7"),
            ("bits:4..16", "write the lowest and the highest bit, as in bits:4..7"),
            ("text:0", "allowed are text:1 to text:125"),
            ("mod10k:5", "allowed are mod10k:2 to mod10k:4"),
            ("quaternion", "the types are listed in configs/reference.yaml"),
        ] {
            let complaint = parse(name).unwrap_err();
            assert_eq!(complaint.hint.as_deref(), Some(hint), "{name}: {}", complaint.message);
        }
    }

    #[test]
    fn orders_are_letters() {
        assert_eq!(order("CDAB"), Ok(Order::Cdab));
        assert_eq!(order("little-endian").unwrap_err().hint.as_deref(), Some("write DCBA"));
        assert!(order("ABDC").is_err());
    }

    #[test]
    fn ranges_of_whole_types() {
        assert_eq!(family(Kind::Int { bits: 16, signed: true }), Family::Whole(-32768, 32767));
        let u64_max = i128::from(u64::MAX);
        assert_eq!(family(Kind::Int { bits: 64, signed: false }), Family::Whole(0, u64_max));
        assert_eq!(family(Kind::Bcd { bits: 16 }), Family::Whole(0, 9999));
        assert_eq!(family(Kind::Mod10k { registers: 2 }), Family::Whole(0, 99_999_999));
    }
}
