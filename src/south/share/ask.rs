//! What a client of the server face asks for: a PDU taken apart and checked, and its answer. Pure.
//! (Modbus Application Protocol V1.1b3, chapter 6; exception codes in chapter 7.)

use std::ops::RangeInclusive;

use crate::model::Table;
use crate::south::line::Write;

/// An exception code.
pub(crate) type Code = u8;
pub(crate) const ILLEGAL_FUNCTION: Code = 1;
pub(crate) const ILLEGAL_ADDRESS: Code = 2;
pub(crate) const ILLEGAL_VALUE: Code = 3;
pub(crate) const SERVER_FAILURE: Code = 4;
pub(crate) const BUSY: Code = 6;
pub(crate) const NO_PATH: Code = 10;
pub(crate) const NO_ANSWER: Code = 11;

const COUNT_WORDS: RangeInclusive<u16> = 1..=125;
const COUNT_BITS: RangeInclusive<u16> = 1..=2000;
const WRITE_WORDS: RangeInclusive<u16> = 1..=123;
const WRITE_BITS: RangeInclusive<u16> = 1..=1968;

/// A sound request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) function: u8,
    pub(crate) table: Table,
    pub(crate) start: u16,
    pub(crate) count: u16,
    /// What to write; `None` reads.
    pub(crate) write: Option<Write>,
}

impl Ask {
    /// The request in a PDU, or the exception that answers it.
    pub(crate) fn parse(pdu: &[u8]) -> Result<Self, Code> {
        let function = *pdu.first().ok_or(ILLEGAL_FUNCTION)?;
        let (start, second) = (word(pdu, 1), word(pdu, 3));
        let table = match function {
            1 | 5 | 15 => Table::Coil,
            2 => Table::Discrete,
            3 | 6 | 16 | 22 => Table::Holding,
            4 => Table::Input,
            _ => return Err(ILLEGAL_FUNCTION),
        };
        let (start, second) = start.zip(second).ok_or(ILLEGAL_VALUE)?;
        let many = matches!(function, 1..=4 | 15 | 16);
        let count = if many { second } else { 1 };
        let write = match function {
            1..=4 => None,
            _ => Some(write(function, second, pdu).ok_or(ILLEGAL_VALUE)?),
        };
        let counts = match (function, table.is_bits()) {
            (15, _) => WRITE_BITS,
            (16, _) => WRITE_WORDS,
            (_, true) => COUNT_BITS,
            (_, false) => COUNT_WORDS,
        };
        let whole = write.is_some() || pdu.len() == 5;
        if !counts.contains(&count) || !whole {
            return Err(ILLEGAL_VALUE);
        }
        if u32::from(start) + u32::from(count) > 0x1_0000 {
            return Err(ILLEGAL_ADDRESS);
        }
        Ok(Self { function, table, start, count, write })
    }

    /// The addresses that it is about.
    pub(crate) fn addresses(&self) -> RangeInclusive<u16> {
        self.start..=self.start.saturating_add(self.count.saturating_sub(1))
    }

    /// The answer with these items, which are as many as were asked for.
    pub(crate) fn answer(&self, items: &[u16]) -> Vec<u8> {
        let data: Vec<u8> = if self.table.is_bits() {
            let byte = |bits: &[u16]| {
                bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit != 0) << at)
            };
            items.chunks(8).map(byte).collect()
        } else {
            items.iter().flat_map(|item| item.to_be_bytes()).collect()
        };
        let mut pdu = vec![self.function, u8::try_from(data.len()).unwrap_or(u8::MAX)];
        pdu.extend(data);
        pdu
    }
}

/// The answer to a write that was carried out: what its request began with.
pub(crate) fn written(request: &[u8]) -> Vec<u8> {
    let kept = if request.first() == Some(&22) { 7 } else { 5 };
    request.get(..kept).unwrap_or(request).to_vec()
}

pub(crate) fn exception(function: u8, code: Code) -> Vec<u8> {
    vec![function | 0x80, code]
}

fn write(function: u8, second: u16, pdu: &[u8]) -> Option<Write> {
    let data = || {
        let (&bytes, data) = pdu.get(5..)?.split_first()?;
        (data.len() == usize::from(bytes)).then_some(data)
    };
    match function {
        5 if pdu.len() == 5 => match second {
            0xFF00 => Some(Write::Coil(true)),
            0 => Some(Write::Coil(false)),
            _ => None,
        },
        6 if pdu.len() == 5 => Some(Write::Register(second)),
        15 => {
            let data = data().filter(|data| data.len() == usize::from(second).div_ceil(8))?;
            let bits = data.iter().flat_map(|byte| (0..8).map(move |at| byte >> at & 1 == 1));
            Some(Write::Coils(bits.take(usize::from(second)).collect()))
        }
        16 => {
            let data = data().filter(|data| data.len() == usize::from(second) * 2)?;
            Some(Write::Registers(data.chunks(2).filter_map(|pair| word(pair, 0)).collect()))
        }
        22 if pdu.len() == 7 => Some(Write::Mask { and: second, or: word(pdu, 5)? }),
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let pair: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(u16::from_be_bytes(pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_are_taken_apart() {
        let read = Ask::parse(&[3, 0, 100, 0, 2]).unwrap();
        assert_eq!((read.table, read.start, read.count), (Table::Holding, 100, 2));
        assert_eq!(read.answer(&[0x1234, 5]), [3, 4, 0x12, 0x34, 0, 5]);
        let bits = Ask::parse(&[2, 0, 0, 0, 10]).unwrap();
        assert_eq!(bits.answer(&[1, 0, 1, 0, 0, 0, 0, 0, 0, 1]), [2, 2, 0b101, 0b10]);
        let one = Ask::parse(&[6, 0, 7, 0x12, 0x34]).unwrap();
        assert_eq!((one.write, one.count), (Some(Write::Register(0x1234)), 1));
        let many = Ask::parse(&[16, 0, 7, 0, 2, 4, 0, 1, 0, 2]).unwrap();
        assert_eq!(
            (many.write.clone(), many.addresses()),
            (Some(Write::Registers(vec![1, 2])), 7..=8)
        );
        let coils = Ask::parse(&[15, 0, 7, 0, 3, 1, 0b101]).unwrap();
        assert_eq!(coils.write, Some(Write::Coils(vec![true, false, true])));
        let mask = Ask::parse(&[22, 0, 4, 0, 0xF2, 0, 0x25]).unwrap();
        assert_eq!(mask.write, Some(Write::Mask { and: 0xF2, or: 0x25 }));
        assert_eq!(written(&[16, 0, 7, 0, 2, 4, 0, 1, 0, 2]), [16, 0, 7, 0, 2]);
        assert_eq!(written(&[22, 0, 4, 0, 0xF2, 0, 0x25]).len(), 7);
    }

    #[test]
    fn what_is_wrong_gets_the_exception_that_says_so() {
        let rows: [(&[u8], Code); 14] = [
            (&[], ILLEGAL_FUNCTION),
            (&[7], ILLEGAL_FUNCTION),
            (&[43, 14, 1, 0], ILLEGAL_FUNCTION),
            (&[0x83, 0, 0, 0, 1], ILLEGAL_FUNCTION),
            (&[3, 0, 0], ILLEGAL_VALUE),
            (&[3, 0, 0, 0, 0], ILLEGAL_VALUE),
            (&[3, 0, 0, 0, 126], ILLEGAL_VALUE),
            (&[3, 0, 0, 0, 1, 9], ILLEGAL_VALUE),
            (&[1, 0, 0, 0x07, 0xD1], ILLEGAL_VALUE),
            (&[3, 0xFF, 0xFF, 0, 2], ILLEGAL_ADDRESS),
            (&[5, 0, 0, 0, 1], ILLEGAL_VALUE),
            (&[16, 0, 0, 0, 2, 4, 0, 1], ILLEGAL_VALUE),
            (&[15, 0, 0, 0, 9, 1, 0], ILLEGAL_VALUE),
            (&[22, 0, 4, 0, 0xF2], ILLEGAL_VALUE),
        ];
        for (pdu, code) in rows {
            assert_eq!(Ask::parse(pdu), Err(code), "{pdu:?}");
        }
    }

    #[test]
    fn anything_at_all_is_parsed_without_a_panic() {
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..100_000 {
            let length = random.usize(..20);
            let mut pdu: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
            if let Some(function) = pdu.first_mut() {
                *function %= 24;
            }
            if let Ok(ask) = Ask::parse(&pdu) {
                let answer = ask.answer(&vec![1; usize::from(ask.count)]);
                assert!(answer.len() <= 253 && written(&pdu).len() <= 7);
            }
        }
    }
}
