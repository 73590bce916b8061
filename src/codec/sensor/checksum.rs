//! Checksums of frames: made from the bytes, and read from where they stand.

use crate::model::sensor::{ByteOrder, Check, Encoding, Sum};

/// Whether the frame's checksum is the one that stands in it; if not, what was expected and what
/// stands there (`None` where it can't be read).
pub(super) fn verify(check: &Check, frame: &[u8]) -> Result<(), (u64, Option<u64>)> {
    let covered = check.range.within(frame.len()).and_then(|range| frame.get(range));
    let want = of(&check.sum, covered.unwrap_or_default());
    let stands = check.position.within(frame.len()).and_then(|range| frame.get(range));
    let got = stands.and_then(|bytes| read(check.encoding, bytes));
    if covered.is_some() && got == Some(want) { Ok(()) } else { Err((want, got)) }
}

fn of(sum: &Sum, bytes: &[u8]) -> u64 {
    let added = || bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    match sum {
        Sum::Xor => u64::from(bytes.iter().fold(0, |sum, byte| sum ^ byte)),
        Sum::Sum8 => u64::from(added()),
        Sum::Lrc => u64::from(added().wrapping_neg()),
        Sum::Negated7 => {
            let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(byte & 0x7F));
            u64::from(sum.wrapping_neg() & 0x7F)
        }
        Sum::Crc(crc) => crc.of(bytes),
    }
}

fn read(encoding: Encoding, bytes: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(u64::from);
    let append = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
    match encoding {
        _ if bytes.is_empty() => None,
        Encoding::Hex if bytes.len() <= 16 => {
            bytes.iter().try_fold(0, |sum, byte| Some(sum << 4 | digit(byte)?))
        }
        Encoding::Binary(ByteOrder::Big) if bytes.len() <= 8 => Some(bytes.iter().fold(0, append)),
        Encoding::Binary(ByteOrder::Little) if bytes.len() <= 8 => {
            Some(bytes.iter().rev().fold(0, append))
        }
        Encoding::Hex | Encoding::Binary(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sensor::Span;

    const DIGITS: &[u8] = b"123456789";

    #[test]
    fn simple_sums() {
        assert_eq!(of(&Sum::Xor, DIGITS), 0x31);
        assert_eq!(of(&Sum::Sum8, DIGITS), 0xDD);
        assert_eq!(of(&Sum::Lrc, DIGITS), 0x23);
        assert_eq!(of(&Sum::Negated7, b"\x02\xFF"), 0x7F);
        for sum in [Sum::Xor, Sum::Sum8, Sum::Lrc, Sum::Negated7] {
            assert_eq!(of(&sum, b""), 0);
        }
    }

    #[test]
    fn a_checksum_is_read_from_where_it_stands() {
        let span = |first, last| Span { first, last };
        let hex = Check {
            sum: Sum::Xor,
            range: span(1, -4),
            position: span(-2, -1),
            encoding: Encoding::Hex,
        };
        let rmc = b"$GPRMC,225446,A,4916.45,N,12311.12,W,000.5,054.7,191194,020.3,E*68";
        assert_eq!(verify(&hex, rmc), Ok(()));
        let mut wrong = rmc.to_vec();
        wrong[20] ^= 1;
        assert_eq!(verify(&hex, &wrong), Err((0x69, Some(0x68))));
        for end in 0..6 {
            assert!(verify(&hex, &rmc[..end]).is_err());
        }
        assert_eq!(read(Encoding::Binary(ByteOrder::Little), &[0x34, 0x12]), Some(0x1234));
        assert_eq!(read(Encoding::Binary(ByteOrder::Big), &[0x12, 0x34]), Some(0x1234));
        assert_eq!(read(Encoding::Hex, b"zz"), None);
        assert_eq!(read(Encoding::Binary(ByteOrder::Big), &[1; 9]), None);
    }
}
