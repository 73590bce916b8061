//! What the answer to a request must look like, derived from the request itself.
//!
//! Pure. Knows PDUs (Modbus Application Protocol V1.1b3, chapter 6), no framing. An answer that is
//! not exactly of this shape is never handed up, whatever else is right about it.

use crate::model::Table;

/// The one answer that is accepted, besides an exception of the same unit and function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expect {
    pub(crate) unit: u8,
    pub(crate) function: u8,
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    /// Functions 1 to 4, and the read half of 23: a byte count and that many bytes.
    Data(u8),
    /// Functions 5, 6, 15, 16, 22: these bytes of the request come back, and nothing more.
    Echo(Vec<u8>),
    /// Function 43/14: the objects of this access code, as many as fit.
    Identity(u8),
}

/// How a PDU compares with what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    Answer,
    Exception,
    /// The right function, the wrong length or the wrong echo.
    WrongShape,
    /// Another function.
    Foreign,
}

/// Set in the function code of an exception answer.
const EXCEPTION: u8 = 0x80;
/// Function 43 with this MEI type is Read Device Identification (chapter 6.21).
const IDENTITY: [u8; 2] = [43, 14];
/// Function, MEI type, access code, conformity, more follows, next object, number of objects.
const IDENTITY_HEADER: usize = 7;
/// What a device may say that it conforms to: basic, regular, extended, each also one by one.
const CONFORMITIES: [u8; 6] = [0x01, 0x02, 0x03, 0x81, 0x82, 0x83];

impl Expect {
    /// `None` for functions we don't send.
    pub(crate) fn of(unit: u8, pdu: &[u8]) -> Option<Self> {
        let (&function, body) = pdu.split_first()?;
        let shape = match function {
            1 | 2 => Shape::Data(u8::try_from(word(body, 2)?.div_ceil(8)).ok()?),
            3 | 4 | 23 => Shape::Data(u8::try_from(word(body, 2)?.checked_mul(2)?).ok()?),
            5 | 6 | 15 | 16 => Shape::Echo(body.get(..4)?.to_vec()),
            22 => Shape::Echo(body.get(..6)?.to_vec()),
            43 if pdu.starts_with(&IDENTITY) => Shape::Identity(*body.get(1)?),
            _ => return None,
        };
        Some(Self { unit, function, shape })
    }

    /// Bytes in the PDU of the answer that begins like `start` (not of an exception, which has
    /// two); `None` while that can't be told.
    pub(crate) fn pdu_len(&self, start: &[u8]) -> Option<usize> {
        match &self.shape {
            Shape::Data(bytes) => Some(2 + usize::from(*bytes)),
            Shape::Echo(bytes) => Some(1 + bytes.len()),
            Shape::Identity(_) => identity_len(start),
        }
    }

    /// The byte count of a read's answer: what tells two answers of one unit and function apart.
    pub(crate) fn data_bytes(&self) -> Option<u8> {
        match self.shape {
            Shape::Data(bytes) => Some(bytes),
            Shape::Echo(_) | Shape::Identity(_) => None,
        }
    }

    /// The table that a read asks.
    pub(crate) fn table(&self) -> Option<Table> {
        match self.function {
            1 => Some(Table::Coil),
            2 => Some(Table::Discrete),
            3 => Some(Table::Holding),
            4 => Some(Table::Input),
            _ => None,
        }
    }

    pub(crate) fn judge(&self, pdu: &[u8]) -> Judgement {
        let Some((&function, body)) = pdu.split_first() else { return Judgement::Foreign };
        if function == self.function | EXCEPTION {
            return match body {
                [code] if *code != 0 => Judgement::Exception,
                _ => Judgement::WrongShape,
            };
        }
        if function != self.function {
            return Judgement::Foreign;
        }
        let right = match &self.shape {
            Shape::Data(bytes) => {
                body.first() == Some(bytes) && body.len() == 1 + usize::from(*bytes)
            }
            Shape::Echo(bytes) => body == bytes,
            Shape::Identity(access) => {
                identity_len(pdu) == Some(pdu.len())
                    && pdu.starts_with(&IDENTITY)
                    && pdu.get(2) == Some(access)
                    && pdu.get(3).is_some_and(|conforms| CONFORMITIES.contains(conforms))
            }
        };
        if right { Judgement::Answer } else { Judgement::WrongShape }
    }

    /// The answer that a broadcast never gets; `None` for reads, which can't be broadcast.
    pub(crate) fn local_answer(&self) -> Option<Vec<u8>> {
        match &self.shape {
            Shape::Data(_) | Shape::Identity(_) => None,
            Shape::Echo(bytes) => {
                let mut pdu = vec![self.function];
                pdu.extend_from_slice(bytes);
                Some(pdu)
            }
        }
    }
}

/// The length of an identification's PDU, by its list of objects.
pub(crate) fn identity_len(pdu: &[u8]) -> Option<usize> {
    let objects = *pdu.get(IDENTITY_HEADER - 1)?;
    (0..objects).try_fold(IDENTITY_HEADER, |at, _| {
        // Each has its number and the length of its text in front.
        at.checked_add(2 + usize::from(*pdu.get(at.checked_add(1)?)?))
    })
}

/// The big-endian word at `at`.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let pair: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(u16::from_be_bytes(pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_wants_exactly_its_byte_count() {
        let expect = Expect::of(7, &[3, 0, 10, 0, 2]).unwrap();
        assert_eq!(expect.judge(&[3, 4, 1, 2, 3, 4]), Judgement::Answer);
        assert_eq!(expect.judge(&[3, 2, 1, 2]), Judgement::WrongShape);
        assert_eq!(expect.judge(&[3, 4, 1, 2, 3]), Judgement::WrongShape);
        assert_eq!(expect.judge(&[3, 4, 1, 2, 3, 4, 5]), Judgement::WrongShape);
        assert_eq!(expect.judge(&[4, 4, 1, 2, 3, 4]), Judgement::Foreign);
        assert_eq!(expect.judge(&[0x83, 2]), Judgement::Exception);
        assert_eq!(expect.judge(&[0x83, 0]), Judgement::WrongShape);
        assert_eq!(expect.judge(&[0x83]), Judgement::WrongShape);
        assert_eq!(expect.judge(&[]), Judgement::Foreign);
    }

    #[test]
    fn a_write_wants_its_whole_echo() {
        let single = Expect::of(7, &[6, 0, 10, 0x12, 0x34]).unwrap();
        assert_eq!(single.judge(&[6, 0, 10, 0x12, 0x34]), Judgement::Answer);
        assert_eq!(single.judge(&[6, 0, 10, 0x12, 0x35]), Judgement::WrongShape);
        let many = Expect::of(7, &[16, 0, 10, 0, 1, 2, 9, 9]).unwrap();
        assert_eq!(many.judge(&[16, 0, 10, 0, 1]), Judgement::Answer);
        assert_eq!(many.judge(&[16, 0, 11, 0, 1]), Judgement::WrongShape);
        let mask = Expect::of(7, &[22, 0, 4, 0, 0xF2, 0, 0x25]).unwrap();
        assert_eq!(mask.judge(&[22, 0, 4, 0, 0xF2, 0, 0x25]), Judgement::Answer);
        assert_eq!(mask.judge(&[22, 0, 4, 0, 0xF2, 0, 0x24]), Judgement::WrongShape);
    }

    #[test]
    fn a_write_that_reads_back_wants_its_byte_count() {
        let both = Expect::of(7, &[23, 0, 10, 0, 2, 0, 10, 0, 1, 2, 9, 9]).unwrap();
        assert_eq!(both.judge(&[23, 4, 9, 9, 0, 0]), Judgement::Answer);
        assert_eq!(both.judge(&[23, 2, 9, 9]), Judgement::WrongShape);
        assert_eq!(both.judge(&[0x97, 2]), Judgement::Exception);
        assert_eq!(both.local_answer(), None, "it can't be broadcast");
        assert_eq!(both.table(), None, "its late answer is no read's");
    }

    #[test]
    fn an_identification_ends_with_its_last_object() {
        let expect = Expect::of(7, &[43, 14, 1, 0]).unwrap();
        let answer = [43, 14, 1, 1, 0, 0, 2, 0, 3, b'A', b'b', b'b', 1, 1, b'7'];
        assert_eq!(expect.judge(&answer), Judgement::Answer);
        for end in IDENTITY_HEADER..answer.len() {
            let known = expect.pdu_len(&answer[..end]);
            assert!(known.is_none() || known == Some(answer.len()), "{end}: {known:?}");
            assert_eq!(expect.judge(&answer[..end]), Judgement::WrongShape, "{end}");
        }
        assert_eq!(expect.pdu_len(&answer), Some(answer.len()));
        assert_eq!(expect.judge(&[&answer[..], &[0]].concat()), Judgement::WrongShape);
        let other = |at: usize, byte: u8| {
            let mut answer = answer;
            answer[at] = byte;
            expect.judge(&answer)
        };
        assert_eq!(other(1, 13), Judgement::WrongShape, "another MEI type");
        assert_eq!(other(2, 2), Judgement::WrongShape, "another access code");
        assert_eq!(other(3, 0), Judgement::WrongShape, "no conformity");
        assert_eq!(other(8, 255), Judgement::WrongShape, "an object beyond the end");
        assert_eq!(expect.judge(&[0xAB, 1]), Judgement::Exception);
        assert_eq!(expect.local_answer(), None, "nobody answers a broadcast");
    }

    #[test]
    fn unknown_or_cut_requests_have_no_shape() {
        assert_eq!(Expect::of(1, &[43, 13, 1, 0]), None);
        assert_eq!(Expect::of(1, &[43, 14]), None);
        assert_eq!(Expect::of(1, &[3, 0]), None);
        assert_eq!(Expect::of(1, &[3, 0, 0, 0, 200]), None);
        assert_eq!(Expect::of(1, &[]), None);
    }
}
