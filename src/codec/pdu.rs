//! Modbus PDUs in words, for people who read a trace. Pure.
//! (Modbus Application Protocol V1.1b3, chapter 6.)
//!
//! What can't be understood is said to be so; no PDU is a mistake of ours.

use crate::model::Table;

/// Words of an answer that are spelled out.
const WORDS_MAX: usize = 8;
/// Bits of an answer that are spelled out.
const BITS_MAX: usize = 32;
const EXCEPTION: u8 = 0x80;

/// A read as its request says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    pub table: Table,
    pub start: u16,
    pub count: u16,
}

/// The read that this PDU asks for, if it is one.
pub fn read(pdu: &[u8]) -> Option<Read> {
    let table = match *pdu.first()? {
        1 => Table::Coil,
        2 => Table::Discrete,
        3 => Table::Holding,
        4 => Table::Input,
        _ => return None,
    };
    (pdu.len() == 5).then_some(())?;
    Some(Read { table, start: word(pdu, 1)?, count: word(pdu, 3)? })
}

/// The items of a read's answer, registers or bits as 0 and 1.
pub fn items(read: &Read, answer: &[u8]) -> Option<Vec<u16>> {
    let (head, data) = answer.split_at_checked(2)?;
    let bytes = match read.table.is_bits() {
        true => usize::from(read.count).div_ceil(8),
        false => usize::from(read.count) * 2,
    };
    let fits = head.get(1).map(|n| usize::from(*n)) == Some(bytes) && data.len() == bytes;
    fits.then(|| match read.table.is_bits() {
        true => bits(data).take(usize::from(read.count)).map(u16::from).collect(),
        false => words(data).collect(),
    })
}

/// A request in words.
pub fn request(pdu: &[u8]) -> String {
    let said = || {
        if let Some(Read { table, start, count }) = read(pdu) {
            return Some(format!("read {} {}", name(table), range(start, count)));
        }
        let address = word(pdu, 1)?;
        Some(match *pdu.first()? {
            5 => format!("write coil {address} = {}", on_off(word(pdu, 3)?)),
            6 => format!("write holding {address} = {}", hex(word(pdu, 3)?)),
            15 => {
                let values = bits(pdu.get(6..)?).take(word(pdu, 3)?.into());
                format!("write coil {} = {}", range(address, word(pdu, 3)?), said_bits(values))
            }
            16 => {
                let values = said_words(words(pdu.get(6..)?));
                format!("write holding {} = {values}", range(address, word(pdu, 3)?))
            }
            22 => {
                let (and, or) = (hex(word(pdu, 3)?), hex(word(pdu, 5)?));
                format!("mask-write holding {address} and {and} or {or}")
            }
            23 => {
                let written = range(word(pdu, 5)?, word(pdu, 7)?);
                format!("write holding {written}, read {}", range(address, word(pdu, 3)?))
            }
            43 => "read device identification".to_owned(),
            _ => return None,
        })
    };
    said().unwrap_or_else(|| function(pdu))
}

/// An answer in words; the request says what its data are.
pub fn answer(request: Option<&[u8]>, pdu: &[u8]) -> String {
    let said = || {
        let function = *pdu.first()?;
        if function & EXCEPTION != 0 {
            let code = *pdu.get(1)?;
            return Some(format!("exception {code} ({})", exception_name(code)));
        }
        Some(match function {
            1 | 2 => {
                let read = request.and_then(read);
                let count = read.map_or(usize::MAX, |read| read.count.into());
                let at = read.map_or(String::new(), |read| {
                    format!("{} {} = ", name(read.table), range(read.start, read.count))
                });
                format!("{at}{}", said_bits(bits(pdu.get(2..)?).take(count)))
            }
            3 | 4 => {
                let at = request.and_then(read).map_or(String::new(), |read| {
                    format!("{} {} = ", name(read.table), range(read.start, read.count))
                });
                format!("{at}{}", said_words(words(pdu.get(2..)?)))
            }
            5 | 6 | 22 => format!("done: {}", self::request(pdu)),
            15 => format!("done: coil {}", range(word(pdu, 1)?, word(pdu, 3)?)),
            16 => format!("done: holding {}", range(word(pdu, 1)?, word(pdu, 3)?)),
            23 => format!("holding = {}", said_words(words(pdu.get(2..)?))),
            43 => "device identification".to_owned(),
            _ => return None,
        })
    };
    said().unwrap_or_else(|| function(pdu))
}

/// What the specification calls an exception code (chapter 7).
pub fn exception_name(code: u8) -> &'static str {
    match code {
        1 => "illegal function",
        2 => "illegal data address",
        3 => "illegal data value",
        4 => "server device failure",
        5 => "acknowledge",
        6 => "server device busy",
        8 => "memory parity error",
        10 => "gateway path unavailable",
        11 => "gateway target device failed to respond",
        _ => "unknown",
    }
}

fn function(pdu: &[u8]) -> String {
    match pdu.first() {
        Some(function) => format!("function {function}, {} bytes", pdu.len()),
        None => "an empty frame".to_owned(),
    }
}

fn name(table: Table) -> &'static str {
    match table {
        Table::Coil => "coil",
        Table::Discrete => "discrete",
        Table::Holding => "holding",
        Table::Input => "input",
    }
}

fn range(start: u16, count: u16) -> String {
    match count {
        0 => format!("{start}, none"),
        1 => format!("{start}"),
        _ => format!("{start}..{}", u32::from(start) + u32::from(count) - 1),
    }
}

fn hex(word: u16) -> String {
    format!("0x{word:04x}")
}

fn on_off(word: u16) -> &'static str {
    match word {
        0xFF00 => "on",
        0 => "off",
        _ => "neither on nor off",
    }
}

fn said_words(words: impl Iterator<Item = u16>) -> String {
    let all: Vec<String> = words.map(hex).collect();
    shortened(&all, WORDS_MAX, " ")
}

fn said_bits(bits: impl Iterator<Item = bool>) -> String {
    let all: Vec<String> = bits.map(|bit| u8::from(bit).to_string()).collect();
    shortened(&all, BITS_MAX, "")
}

fn shortened(all: &[String], most: usize, between: &str) -> String {
    let shown = all.get(..most).unwrap_or(all).join(between);
    match all.len().checked_sub(most) {
        Some(more @ 1..) => format!("{shown} … {more} more"),
        _ => shown,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let pair: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(u16::from_be_bytes(pair))
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.chunks_exact(2).filter_map(|pair| word(pair, 0))
}

/// Lowest bit of the first byte first.
fn bits(bytes: &[u8]) -> impl Iterator<Item = bool> {
    bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_said_as_people_say_them() {
        let rows: [(&[u8], &str); 12] = [
            (&[3, 0, 100, 0, 2], "read holding 100..101"),
            (&[4, 0, 0, 0, 1], "read input 0"),
            (&[1, 0xFF, 0xFF, 0, 1], "read coil 65535"),
            (&[5, 0, 3, 0xFF, 0], "write coil 3 = on"),
            (&[6, 0, 3, 0x12, 0x34], "write holding 3 = 0x1234"),
            (&[15, 0, 3, 0, 10, 2, 0b101, 0b10], "write coil 3..12 = 1010000001"),
            (&[16, 0, 3, 0, 2, 4, 0, 1, 0, 2], "write holding 3..4 = 0x0001 0x0002"),
            (&[22, 0, 4, 0, 0xF2, 0, 0x25], "mask-write holding 4 and 0x00f2 or 0x0025"),
            (&[43, 14, 1, 0], "read device identification"),
            (&[3, 0], "function 3, 2 bytes"),
            (&[100, 1, 2], "function 100, 3 bytes"),
            (&[], "an empty frame"),
        ];
        for (pdu, text) in rows {
            assert_eq!(request(pdu), text);
        }
    }

    #[test]
    fn answers_are_read_with_their_request() {
        let asked: &[u8] = &[4, 0, 0, 0, 2];
        assert_eq!(answer(Some(asked), &[4, 4, 0x43, 0x67, 0, 9]), "input 0..1 = 0x4367 0x0009");
        assert_eq!(answer(None, &[4, 2, 0x43, 0x67]), "0x4367");
        assert_eq!(answer(Some(&[1, 0, 8, 0, 3]), &[1, 1, 0b101]), "coil 8..10 = 101");
        assert_eq!(answer(Some(asked), &[0x84, 2]), "exception 2 (illegal data address)");
        assert_eq!(answer(None, &[16, 0, 3, 0, 2]), "done: holding 3..4");
        let long: Vec<u8> = [3, 20].into_iter().chain([0; 20]).collect();
        assert!(answer(None, &long).ends_with("0x0000 … 2 more"));
    }

    #[test]
    fn items_are_taken_only_from_an_answer_that_fits() {
        let read = Read { table: Table::Input, start: 0, count: 2 };
        assert_eq!(items(&read, &[4, 4, 1, 2, 3, 4]), Some(vec![0x0102, 0x0304]));
        assert_eq!(items(&read, &[4, 2, 1, 2]), None);
        assert_eq!(items(&read, &[4]), None);
        let bits = Read { table: Table::Coil, start: 0, count: 3 };
        assert_eq!(items(&bits, &[1, 1, 0b110]), Some(vec![0, 1, 1]));
    }

    #[test]
    fn anything_at_all_is_said_without_a_panic() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..50_000 {
            let length = random.usize(..24);
            let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
            let (a, b) = bytes.split_at(random.usize(..=bytes.len()));
            let _ = (request(a), answer(Some(a), b), answer(None, a));
            if let Some(read) = read(a) {
                let _ = items(&read, b);
            }
        }
    }
}
