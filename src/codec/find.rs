//! Find by value: which registers, read in which way, show the number on a meter's display.
//!
//! Every type, order and scale in use is tried at every register through the one codec. Nothing is
//! picked for anybody: matches come in the order of how unlikely they are by chance, which is what
//! a straddled wrong decoding of zeros is not.

use super::registers::{Decoded, decode};
use crate::model::{Coding, Kind, Linear, Order, Value};

/// One way to read some registers that shows the wanted value.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// The first register, counted from the first of those searched.
    pub at: usize,
    pub coding: Coding,
    /// The scale as it is written; `None` for none.
    pub scale: Option<&'static str>,
    /// What it shows, scaled.
    pub value: f64,
    /// How little chance there is that this is an accident, in bits.
    pub surprise: f64,
}

const KINDS: [Kind; 12] = [
    Kind::F32,
    Kind::Int { bits: 16, signed: false },
    Kind::Int { bits: 16, signed: true },
    Kind::Int { bits: 32, signed: false },
    Kind::Int { bits: 32, signed: true },
    Kind::F64,
    Kind::Int { bits: 64, signed: false },
    Kind::Int { bits: 64, signed: true },
    Kind::Bcd { bits: 16 },
    Kind::Bcd { bits: 32 },
    Kind::Mod10k { registers: 2 },
    Kind::Mod10k { registers: 3 },
];

const ORDERS: [Order; 4] = [Order::Abcd, Order::Cdab, Order::Badc, Order::Dcba];

/// Factor, divisor and text of the scales that devices have, the usual ones first.
const SCALES: [(f64, f64, Option<&str>); 8] = [
    (1.0, 1.0, None),
    (1.0, 10.0, Some("0.1")),
    (1.0, 100.0, Some("0.01")),
    (1.0, 1000.0, Some("0.001")),
    (10.0, 1.0, Some("10")),
    (100.0, 1.0, Some("100")),
    (1000.0, 1.0, Some("1000")),
    (1.0, 10_000.0, Some("0.0001")),
];

/// Matches that are this unlikely by chance are named without doubt, in bits.
const SURE: f64 = 8.0;

/// What a display shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub text: String,
    pub value: f64,
}

impl Shown {
    /// # Errors
    /// In words, for who wrote it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text.trim().parse::<f64>() {
            Ok(value) if value.is_finite() && value != 0.0 => {
                Ok(Self { text: text.trim().to_owned(), value })
            }
            Ok(_) => Err("zeros are everywhere; wait until the display shows something"),
            Err(_) if text.contains(',') => Err("decimals are written with a point"),
            Err(_) => Err("this is not a number"),
        }
    }

    pub fn tolerance(&self) -> f64 {
        usual_tolerance(&self.text, self.value)
    }
}

impl Match {
    /// What it shows, without the digits that a calculation added.
    pub fn shown(&self) -> String {
        let text = format!("{:.6}", self.value);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    /// Whether it may well be an accident.
    pub fn may_be_chance(&self) -> bool {
        self.surprise < SURE
    }
}

/// Half of the last digit that a display shows, and no less than 0.2 % of the value, since it goes
/// on moving between a look at it and the read.
fn usual_tolerance(shown: &str, value: f64) -> f64 {
    let decimals = shown.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let digit = 10_f64.powi(-i32::try_from(decimals).unwrap_or(0));
    (digit / 2.0).max(value.abs() * 0.002)
}

/// All ways in which these registers show `wanted` to within `tolerance`, the likeliest first.
/// `None` is a register that could not be read.
pub fn find(words: &[Option<u16>], wanted: f64, tolerance: f64) -> Vec<Match> {
    let mut matches = Vec::new();
    for at in 0..words.len() {
        for kind in KINDS {
            let plain = Coding::plain(kind);
            let Some(words) = words.get(at..at + usize::from(plain.width())) else { continue };
            let Some(words) = words.iter().copied().collect::<Option<Vec<u16>>>() else { continue };
            let mut seen = Vec::new();
            for (order, doubt) in ORDERS.into_iter().zip([0.0, 0.5, 3.0, 3.0]) {
                // A single register has no order of registers.
                if plain.width() == 1 && matches!(order, Order::Cdab | Order::Dcba) {
                    continue;
                }
                let coding = Coding { order, ..plain.clone() };
                let Decoded::Good(raw) = decode(&coding, false, &words) else { continue };
                if seen.contains(&raw) || is_the_unsigned(kind, &raw) {
                    continue;
                }
                seen.push(raw.clone());
                let tried = Tried { at, coding, raw, doubt };
                matches
                    .extend(SCALES.iter().filter_map(|scale| tried.at(scale, wanted, tolerance)));
            }
        }
    }
    matches.sort_by(|a, b| b.surprise.total_cmp(&a.surprise).then(a.at.cmp(&b.at)));
    matches
}

/// Whether a signed type shows what the unsigned one shows already.
fn is_the_unsigned(kind: Kind, raw: &Value) -> bool {
    matches!((kind, raw), (Kind::Int { signed: true, .. }, Value::I64(0..)))
}

/// A way to read some registers, without a scale.
struct Tried {
    at: usize,
    coding: Coding,
    raw: Value,
    doubt: f64,
}

impl Tried {
    fn at(
        &self,
        (factor, divisor, text): &(f64, f64, Option<&'static str>),
        wanted: f64,
        tolerance: f64,
    ) -> Option<Match> {
        let raw = self.raw.as_f64()?;
        let value = raw * factor / divisor;
        let miss = (value - wanted).abs();
        if miss > tolerance || raw == 0.0 {
            return None;
        }
        let linear =
            text.map(|_| Linear { factor: *factor, divisor: *divisor, offset: 0.0, clamp: None });
        let coding = Coding { linear, ..self.coding.clone() };
        // The part of the numbers of this size that would have matched as well.
        let is_float = matches!(coding.kind, Kind::F32 | Kind::F64);
        let tolerance_raw = tolerance * divisor / factor;
        let width = if is_float { 0.0 } else { 1.0 };
        let part = ((2.0 * tolerance_raw).max(width) / (2.0 * raw.abs())).min(1.0);
        let kind = match coding.kind {
            // An exponent that fits is no accident; nor are eight digits without a letter.
            Kind::F32 | Kind::F64 => 6.0,
            Kind::Bcd { bits } => f64::from(bits) / 4.0 * 0.3 - 2.0,
            Kind::Mod10k { .. } => -3.0,
            // Many small numbers stand behind a register of zeros.
            _ => -0.5 * f64::from(coding.width()),
        };
        let scale = match text {
            None => 0.0,
            Some("0.1" | "0.01" | "0.001") => 1.0,
            Some(_) => 3.0,
        };
        let surprise =
            -part.log2() + kind - self.doubt - scale - 2.0 * miss / tolerance.max(1e-300);
        Some(Match { at: self.at, coding, scale: *text, value, surprise })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::registers::encode;
    use proptest::prelude::*;

    fn search(words: &[u16], shown: &str) -> Vec<Match> {
        let words: Vec<_> = words.iter().copied().map(Some).collect();
        let value = shown.parse().unwrap();
        find(&words, value, usual_tolerance(shown, value))
    }

    fn first(words: &[u16], shown: &str) -> (usize, Kind, Order, Option<&'static str>) {
        let matches = search(words, shown);
        let first = matches.first().unwrap_or_else(|| panic!("{shown} in {words:04x?}"));
        (first.at, first.coding.kind, first.coding.order, first.scale)
    }

    #[test]
    fn what_the_display_shows_is_found_however_it_is_stored() {
        let u16 = Kind::Int { bits: 16, signed: false };
        let i16 = Kind::Int { bits: 16, signed: true };
        let u32 = Kind::Int { bits: 32, signed: false };
        for (words, shown, at, kind, order, scale) in [
            (vec![0, 0, 0x4367, 0x6B85], "231.4", 2, Kind::F32, Order::Abcd, None),
            (vec![0, 0x6B85, 0x4367, 0], "231.4", 1, Kind::F32, Order::Cdab, None),
            (vec![0x6743, 0x856B], "231.4", 0, Kind::F32, Order::Badc, None),
            (vec![0x856B, 0x6743], "231.4", 0, Kind::F32, Order::Dcba, None),
            (vec![7, 2314, 7], "231.4", 1, u16, Order::Abcd, Some("0.1")),
            (vec![7, 2312, 7], "231.4", 1, u16, Order::Abcd, Some("0.1")),
            (vec![0xFF85], "-12.3", 0, i16, Order::Abcd, Some("0.1")),
            (vec![0x0012, 0xD687], "1234.567", 0, u32, Order::Abcd, Some("0.001")),
            (vec![0xD687, 0x0012], "1234.567", 0, u32, Order::Cdab, Some("0.001")),
            (vec![50], "50", 0, u16, Order::Abcd, None),
            (
                vec![0x0001, 0x2345, 0x6789, 0xABCD],
                "320255973501901",
                0,
                Kind::Int { bits: 64, signed: false },
                Order::Abcd,
                None,
            ),
            (vec![0x0123, 0x4567], "123456.7", 0, Kind::Bcd { bits: 32 }, Order::Abcd, Some("0.1")),
        ] {
            assert_eq!(first(&words, shown), (at, kind, order, scale), "{shown} in {words:04x?}");
        }
    }

    #[test]
    fn nothing_is_found_in_what_could_not_be_read_or_is_something_else() {
        assert_eq!(find(&[Some(0x4367), None], 231.42, 0.1), []);
        assert_eq!(search(&[0, 0, 0xFFFF, 0x7FC0], "231.4"), []);
        assert_eq!(search(&[], "231.4"), []);
        assert_eq!(search(&[0; 20], "0"), [], "zeros say nothing");
    }

    #[test]
    fn the_tolerance_is_half_a_digit_or_a_little_movement() {
        assert!((usual_tolerance("5.0", 5.0) - 0.05).abs() < 1e-9);
        assert!((usual_tolerance("231.4", 231.4) - 0.4628).abs() < 1e-9);
        assert!((usual_tolerance("7", 7.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn numbers_that_can_not_be_found_are_refused() {
        for (text, word) in
            [("0", "zeros"), ("231,4", "point"), ("much", "not a number"), ("nan", "zeros")]
        {
            assert!(Shown::parse(text).unwrap_err().contains(word), "{text}");
        }
        assert_eq!(Shown::parse(" -12.30").unwrap().value, -12.3);
    }

    proptest! {
        /// A value written in any way is among the matches, and every match shows it.
        #[test]
        fn what_was_stored_is_found(
            value in 1.0_f64..30_000.0,
            kind in 0..KINDS.len(),
            order in 0..4_usize,
            before in proptest::collection::vec(any::<u16>(), 0..4),
            after in proptest::collection::vec(any::<u16>(), 0..4),
        ) {
            let (kind, order) = (KINDS[kind], ORDERS[order]);
            let coding = Coding { order, ..Coding::plain(kind) };
            prop_assume!(coding.width() > 1 || matches!(order, Order::Abcd | Order::Badc));
            let value = value.round();
            let Ok(encoded) = encode(&coding, &Value::F64(value)) else { return Ok(()) };
            let words: Vec<Option<u16>> =
                before.iter().chain(&encoded.words).chain(&after).copied().map(Some).collect();
            let tolerance = usual_tolerance("1", value);
            let matches = find(&words, value, tolerance);
            prop_assert!(matches.iter().any(|found| found.at == before.len() && found.value == value));
            for found in &matches {
                prop_assert!((found.value - value).abs() <= tolerance);
                let end = found.at + usize::from(found.coding.width());
                let words: Vec<u16> = words[found.at..end].iter().flatten().copied().collect();
                let Decoded::Good(shown) = decode(&found.coding, false, &words) else {
                    return Err(TestCaseError::fail("no value"));
                };
                prop_assert!((shown.as_f64().unwrap() - found.value).abs() <= 1e-9 * found.value.abs());
            }
        }

        /// Whatever is on the wire, nothing panics and what is found is within the tolerance.
        #[test]
        fn anything_can_be_searched(
            words in proptest::collection::vec(proptest::option::weighted(0.9, any::<u16>()), 0..40),
            wanted in any::<f64>().prop_filter("finite", |f| f.is_finite()),
            tolerance in 0.0_f64..1e6,
        ) {
            for found in find(&words, wanted, tolerance) {
                prop_assert!((found.value - wanted).abs() <= tolerance);
            }
        }
    }
}
