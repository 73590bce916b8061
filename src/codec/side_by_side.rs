//! Registers in every interpretation, side by side: one register alone, and what starts at it, in
//! every type and order. Nothing is picked as the right one: what looks plausible misleads, `find` is
//! the way.

use super::registers::{Decoded, decode};
use crate::model::{Coding, Kind, Order};

/// What became of an address: its register or bit, or the code of an exception.
pub type Item = (u16, Result<u16, u8>);

/// The orders of registers and bytes, and how they are called.
pub const ORDERS: [(Order, &str); 4] =
    [(Order::Abcd, "ABCD"), (Order::Cdab, "CDAB"), (Order::Badc, "BADC"), (Order::Dcba, "DCBA")];

/// Types of two registers, and of four.
pub const PAIRS: [(&str, Kind); 3] = [
    ("f32", Kind::F32),
    ("u32", Kind::Int { bits: 32, signed: false }),
    ("i32", Kind::Int { bits: 32, signed: true }),
];
pub const WIDE: [(&str, Kind); 3] = [
    ("f64", Kind::F64),
    ("u64", Kind::Int { bits: 64, signed: false }),
    ("i64", Kind::Int { bits: 64, signed: true }),
];

/// `4367`.
pub fn hex(word: u16) -> String {
    format!("{word:04X}")
}

/// `0100 0011 0110 0111`.
pub fn bits(word: u16) -> String {
    let [a, b] = word.to_be_bytes();
    format!("{:04b} {:04b} {:04b} {:04b}", a >> 4, a & 15, b >> 4, b & 15)
}

/// Its two bytes as text, with a dot for what is no letter.
pub fn letters(word: u16) -> String {
    let letter = |byte: u8| {
        if (0x20..0x7F).contains(&byte) { char::from(byte) } else { '·' }
    };
    word.to_be_bytes().map(letter).iter().collect()
}

/// What starts at each address, read in this way; `None` where registers are missing. A number of
/// more than `most` characters is shown in as many.
pub fn starting(items: &[Item], kind: Kind, order: Order, most: usize) -> Vec<Option<String>> {
    let coding = Coding { order, ..Coding::plain(kind) };
    let cell = |at: usize| {
        let words = items.get(at..at + usize::from(coding.width()))?;
        let neighbours = words.windows(2).all(|pair| match pair {
            [(a, _), (b, _)] => a.checked_add(1) == Some(*b),
            _ => true,
        });
        let words: Vec<u16> = words.iter().map(|(_, item)| item.ok()).collect::<Option<_>>()?;
        neighbours.then(|| text(&coding, &words, most))
    };
    (0..items.len()).map(cell).collect()
}

fn text(coding: &Coding, words: &[u16], most: usize) -> String {
    match decode(coding, false, words) {
        Decoded::Good(value) | Decoded::Uncertain(value, _) => {
            let shown = value.to_string();
            if shown.len() <= most {
                return shown;
            }
            value.as_f64().map_or(shown, |number| shorter(number, most))
        }
        Decoded::Bad(_) => "-".to_owned(),
    }
}

/// As many digits as fit: a number of this size is rarely a measurement.
fn shorter(number: f64, most: usize) -> String {
    if (1e-3..1e7).contains(&number.abs()) {
        let whole = format!("{number:.0}").len();
        return format!("{number:.*}", most.saturating_sub(whole + 1));
    }
    format!("{number:.3e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_register_is_shown_in_every_way() {
        assert_eq!(hex(0x0A), "000A");
        assert_eq!(bits(0x4367), "0100 0011 0110 0111");
        assert_eq!((letters(0x4367), letters(0x0041)), ("Cg".to_owned(), "·A".to_owned()));
    }

    #[test]
    fn several_are_read_in_every_order_where_none_is_missing() {
        let items = [(6, Ok(0x4367)), (7, Ok(0x6B85)), (8, Err(2)), (9, Ok(0x4367)), (11, Ok(1))];
        let f32 = |order| starting(&items, Kind::F32, order, 11);
        assert_eq!(f32(Order::Abcd)[0].as_deref(), Some("231.42"));
        assert_eq!(f32(Order::Abcd)[1..], [None, None, None, None]);
        let swapped = [(0, Ok(0x6B85)), (1, Ok(0x4367))];
        let shown = starting(&swapped, Kind::F32, Order::Cdab, 11);
        assert_eq!(shown[0].as_deref(), Some("231.42"));
        let long = [(0, Ok(0x3DFB)), (1, Ok(0x53D1))];
        assert!(starting(&long, Kind::F32, Order::Abcd, 11)[0].as_ref().unwrap().len() <= 11);
        let end = [(65_535, Ok(0x4367)), (0, Ok(0x6B85))];
        assert_eq!(starting(&end, Kind::F32, Order::Abcd, 11)[0], None, "no neighbours");
    }
}
