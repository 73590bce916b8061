//! What a tag of a simulated device shows at a time: plausible by its type, unit, labels and
//! limits, and the same for the same seed. Pure: the time comes in.
//!
//! A signal is thought of in engineering units and goes through the one codec; whatever it wants to
//! show is cut to what the registers can hold.

mod likely;

use std::f64::consts::TAU;
use std::time::Duration;

use self::likely::Likely;
use crate::codec::registers::{Decoded, EncodeError, Encoded, decode, encode};
use crate::config::{Allowed, Registers, TagPlan};
use crate::model::{Coding, Fault, Kind, Value};

/// Whole numbers up to here are exact in an f64.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
/// The largest f16, and what every wider float holds.
const F16_MAX: f64 = 65_504.0;
const F32_MAX: f64 = 1e38;

/// The course of one tag.
#[derive(Debug, Clone)]
pub struct Signal {
    coding: Coding,
    is_bits: bool,
    shape: Shape,
    /// Between 0 and 1, so that no two tags move together.
    phase: f64,
    /// What a clock in the device shows at time zero.
    epoch_s: u64,
}

#[derive(Debug, Clone)]
enum Shape {
    /// Around a centre, in engineering units.
    Wave { centre: f64, swing: f64 },
    /// Upwards from a start, in engineering units.
    Count { start: f64, per_second: f64 },
    /// One of these codes after the other, each for some seconds.
    Steps { codes: Vec<i64>, each_s: f64 },
    /// A text, cut to what fits.
    Text(String),
    /// The bytes 01, 02, …
    Bytes,
    /// The device's clock.
    Clock,
}

impl Signal {
    /// `seed` is the tag's own.
    pub fn of(tag: &TagPlan, registers: &Registers, seed: u64, epoch_s: u64) -> Self {
        let coding = registers.coding.clone();
        let mut random = fastrand::Rng::with_seed(seed);
        let shape = match coding.kind {
            _ if !coding.labels.is_empty() => {
                let codes = coding.labels.iter().map(|label| label.code).collect();
                Shape::Steps { codes, each_s: 15.0 }
            }
            Kind::Bool | Kind::Bit(_) => {
                // Of a bit, the whole register says that there is no value.
                let shift = if let Kind::Bit(n) = coding.kind { n } else { 0 };
                let says = |code: &i64| {
                    let word = code.cast_unsigned() << shift;
                    !coding.not_available.iter().any(|not| not.0 == word)
                };
                Shape::Steps { codes: vec![0, 1].into_iter().filter(says).collect(), each_s: 12.0 }
            }
            Kind::Text { .. } => Shape::Text(format!("{} {:04}", tag.name, random.u16(..10_000))),
            Kind::Ipv4 => Shape::Text(format!("192.168.1.{}", random.u8(1..=254))),
            Kind::Mac => Shape::Text(format!("02:00:00:00:00:{:02x}", random.u8(..))),
            Kind::Raw { .. } => Shape::Bytes,
            Kind::UnixSeconds | Kind::UnixMillis | Kind::BcdTime => Shape::Clock,
            _ => number(tag, &coding, &mut random),
        };
        let is_bits = registers.table.is_bits();
        Self { coding, is_bits, shape, phase: random.f64(), epoch_s }
    }

    /// The words at a time after the start.
    pub fn words(&self, time: Duration) -> Encoded {
        let element = Coding { count: 1, ..self.coding.clone() };
        let mut all = Encoded { words: Vec::new(), mask: None };
        for index in 0..self.coding.count {
            let phase = self.phase + 0.1 * f64::from(index);
            let one = self.element(&element, time.as_secs_f64(), phase);
            all.words.extend(one.words);
            all.mask = one.mask;
        }
        all
    }

    fn element(&self, coding: &Coding, t: f64, phase: f64) -> Encoded {
        let whole_s = |t: f64| Duration::try_from_secs_f64(t).unwrap_or_default().as_secs();
        let number = match &self.shape {
            Shape::Wave { centre, swing } => {
                let slow = (TAU * (t / 97.0 + phase)).sin();
                let quick = (TAU * (t / 7.3 + phase * 3.0)).sin();
                rounded(centre + swing * (0.8 * slow + 0.2 * quick), *swing)
            }
            Shape::Count { start, per_second } => rounded(start + per_second * t, 1.0),
            Shape::Steps { codes, each_s } => {
                let step = whole_s(t / each_s + phase * 8.0);
                let count = u64::try_from(codes.len().max(1)).unwrap_or(1);
                let at = usize::try_from(step % count).unwrap_or(0);
                let code = codes.get(at).copied().unwrap_or(0);
                return plainly(
                    &Coding { labels: Vec::new(), ..coding.clone() },
                    &Value::I64(code),
                );
            }
            Shape::Text(text) => {
                let room = 2 * usize::from(coding.width());
                let end = if matches!(coding.kind, Kind::Text { .. }) { room } else { usize::MAX };
                let cut = text.get(..text.floor_char_boundary(end)).unwrap_or_default();
                return plainly(coding, &Value::Text(cut.into()));
            }
            Shape::Bytes => {
                let bytes: Vec<u8> = (1..=255).take(2 * usize::from(coding.width())).collect();
                return plainly(coding, &Value::Bytes(bytes.into()));
            }
            Shape::Clock => return clock(coding, self.epoch_s.saturating_add(whole_s(t))),
        };
        // Not what the device says when it has no value.
        let says_something = |encoded: &Encoded| {
            decode(coding, self.is_bits, &encoded.words) != Decoded::Bad(Fault::NotAvailable)
        };
        let first = raw(coding, number, 0.0);
        if says_something(&first) {
            return first;
        }
        let mut others = [1.0, -1.0, 2.0].into_iter().map(|more| raw(coding, number, more));
        others.find(says_something).unwrap_or(first)
    }
}

/// The course of a number.
fn number(tag: &TagPlan, coding: &Coding, random: &mut fastrand::Rng) -> Shape {
    let (low, high) = range(coding);
    let (min, max) = limits(tag);
    let (low, high) = (low.max(min), high.min(max));
    let likely = likely::of(&tag.unit, tag.name.as_str());
    let fits = |value: f64| (low..=high).contains(&value);
    match likely {
        Likely::Count { start, per_second } if fits(start) => {
            let start = (start * (0.5 + random.f64())).round();
            Shape::Count { start: if fits(start) { start } else { low.max(0.0) }, per_second }
        }
        Likely::Around { centre, swing } if fits(centre) => Shape::Wave { centre, swing },
        // Nothing is known but the range: something in its lower part, which is not zero.
        _ => {
            let floor = if high < 0.0 { low } else { low.max(0.0) };
            let centre = floor + (high - floor).min(1000.0) / 2.0;
            Shape::Wave { centre, swing: (centre - low).min(high - centre) / 4.0 }
        }
    }
}

/// What may be written, infinite where nothing is said.
fn limits(tag: &TagPlan) -> (f64, f64) {
    match tag.write.as_ref().map(|rule| &rule.allowed) {
        Some(Allowed::Range { min, max, .. }) => (*min, *max),
        // The first of them, and it stays.
        Some(Allowed::Values(values)) => {
            let first = values.first().and_then(Value::as_f64);
            first.map_or((f64::NEG_INFINITY, f64::INFINITY), |first| (first, first))
        }
        None => (f64::NEG_INFINITY, f64::INFINITY),
    }
}

/// What may be shown, in engineering units: what the registers hold, within a two-point mapping.
fn range(coding: &Coding) -> (f64, f64) {
    let (low, high) = capacity(coding.kind);
    let Some(linear) = &coding.linear else { return (low, high) };
    if let Some(clamp) = linear.clamp {
        return clamp;
    }
    let value = |raw: f64| raw * linear.factor / linear.divisor + linear.offset;
    let (a, b) = (value(low), value(high));
    (a.min(b), a.max(b))
}

/// The raw numbers that a type can hold.
fn capacity(kind: Kind) -> (f64, f64) {
    let unsigned = |bits: u8| (0.0, (2_f64.powi(bits.into()) - 1.0).min(EXACT_MAX));
    let signed = |bits: u8| {
        let half = 2_f64.powi(i32::from(bits) - 1);
        ((-half).max(-EXACT_MAX), (half - 1.0).min(EXACT_MAX))
    };
    match kind {
        Kind::Bool | Kind::Bit(_) => (0.0, 1.0),
        Kind::Bits { width, .. } => unsigned(width),
        Kind::Int8 { signed: true, .. } => signed(8),
        Kind::Int8 { .. } => unsigned(8),
        Kind::Int { bits, signed: true } => signed(bits),
        Kind::Int { bits, .. } => unsigned(bits),
        Kind::Bcd { bits } => (0.0, (10_f64.powi(i32::from(bits) / 4) - 1.0).min(EXACT_MAX)),
        Kind::Mod10k { registers } => {
            (0.0, (10_000_f64.powi(registers.into()) - 1.0).min(EXACT_MAX))
        }
        Kind::F16 => (-F16_MAX, F16_MAX),
        _ => (-F32_MAX, F32_MAX),
    }
}

/// A value in engineering units in the nearest raw number, `more` of which are added.
fn raw(coding: &Coding, value: f64, more: f64) -> Encoded {
    let bare =
        Coding { linear: None, labels: Vec::new(), not_available: Vec::new(), ..coding.clone() };
    let (low, high) = capacity(coding.kind);
    let number = coding
        .linear
        .as_ref()
        .map_or(value, |linear| (value - linear.offset) * linear.divisor / linear.factor);
    let number = (number + more).clamp(low, high);
    if matches!(coding.kind, Kind::F16 | Kind::F32 | Kind::F64) {
        return plainly(&bare, &Value::F64(number));
    }
    plainly(&bare, &Value::F64(number.round()))
}

/// Encodes what is known to fit, or the nearest that does.
fn plainly(coding: &Coding, value: &Value) -> Encoded {
    let encoded = match encode(coding, value) {
        Err(EncodeError::Inexact { nearest, .. }) => encode(coding, &Value::F64(nearest)),
        other => other,
    };
    let nothing = || Encoded { words: vec![0; usize::from(coding.width())], mask: None };
    encoded.unwrap_or_else(|_| nothing())
}

/// The device's clock.
fn clock(coding: &Coding, seconds: u64) -> Encoded {
    let as_number = |bits: u8, number: u64| {
        let kind = Kind::Int { bits, signed: false };
        plainly(&Coding { kind, not_available: Vec::new(), ..coding.clone() }, &Value::U64(number))
    };
    match coding.kind {
        Kind::UnixMillis => as_number(64, seconds.saturating_mul(1000)),
        Kind::BcdTime => {
            let unix = Coding::plain(Kind::UnixSeconds);
            let [_, _, _, _, a, b, c, d] = seconds.to_be_bytes();
            let words = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
            match decode(&unix, false, &words) {
                Decoded::Good(Value::Text(text)) => {
                    plainly(coding, &Value::Text(text.trim_end_matches('Z').into()))
                }
                _ => Encoded { words: vec![0; usize::from(coding.width())], mask: None },
            }
        }
        _ => as_number(32, seconds & u64::from(u32::MAX)),
    }
}

/// With no more digits than the size of its movement makes sense of.
fn rounded(value: f64, swing: f64) -> f64 {
    let decimals = [1.0, 10.0, 100.0, 1000.0].into_iter().find(|ten| swing * ten >= 100.0);
    let ten = decimals.unwrap_or(1000.0);
    (value * ten).round() / ten
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Plan};
    use proptest::prelude::*;

    fn plan(tag: &str) -> Option<Plan> {
        let text = format!(
            "gateway: {{ name: g }}\n\
             buses: {{ b: {{ modbus-tcp: {{ host: h }} }} }}\n\
             devices: {{ d: {{ bus: b, tags: {{ t: {{ holding: 0, {tag} }} }} }} }}\n"
        );
        config::parse(&text, "test").ok().map(|loaded| loaded.plan)
    }

    fn shown(tag: &str, seed: u64, second: u64) -> (Decoded, Coding) {
        let plan = plan(tag).unwrap_or_else(|| panic!("{tag}"));
        let (_, _, tag) = plan.tags().next().unwrap();
        let registers = tag.registers().unwrap();
        let signal = Signal::of(tag, registers, seed, 1_790_000_000);
        let words = signal.words(Duration::from_secs(second)).words;
        (decode(&registers.coding, false, &words), registers.coding.clone())
    }

    #[test]
    fn a_voltage_is_one_whatever_its_type() {
        for tag in [
            "type: f32, unit: V",
            "type: u16, scale: 0.1, unit: V",
            "type: i32, scale: 0.001, order: CDAB, unit: V",
            "type: u16, map: { raw: [0, 27648], value: [0, 400], clamp: true }, unit: V",
            "type: bcd16, unit: V",
            "type: f64, unit: V",
            "type: f16, unit: V",
        ] {
            for second in 0..200 {
                let Decoded::Good(value) = shown(tag, 7, second).0 else { panic!("{tag}") };
                let volts = value.as_f64().unwrap();
                assert!((220.0..=240.0).contains(&volts), "{tag}: {volts}");
            }
        }
    }

    #[test]
    fn labels_come_in_turn_and_counters_rise() {
        let state = "type: u16, labels: { 0: off, 3: on }";
        let seen: Vec<_> = (0..40).map(|second| shown(state, 1, second).0).collect();
        for text in ["off", "on"] {
            assert!(seen.contains(&Decoded::Good(Value::Text(text.into()))), "{text}");
        }
        let energy = |second| match shown("type: u32, unit: Wh", 3, second).0 {
            Decoded::Good(Value::U64(energy)) => energy,
            other => panic!("{other:?}"),
        };
        assert!(energy(0) > 0 && energy(10) > energy(0) && energy(1000) > energy(10));
    }

    #[test]
    fn texts_clocks_and_addresses_can_be_read() {
        for tag in ["text:2", "text:9", "unix-seconds", "unix-millis", "bcd-time", "ipv4", "mac"] {
            let (decoded, _) = shown(&format!("type: \"{tag}\""), 5, 3);
            let Decoded::Good(Value::Text(text)) = &decoded else { panic!("{tag}: {decoded:?}") };
            assert!(!text.is_empty(), "{tag}");
        }
        let (time, _) = shown("type: bcd-time", 5, 3);
        assert_eq!(time, Decoded::Good(Value::Text("2026-09-21T14:13:23".into())));
    }

    proptest! {
        /// Every type, with and without a scale, at any time: a good value of the right width.
        #[test]
        fn there_is_always_a_good_value(
            kind in proptest::sample::select(vec![
                "bool", "bit:3", "bits:4..7", "u8-high", "i8-low", "u16", "i16", "u24", "i24",
                "u32", "i32", "u48", "i48", "u64", "i64", "f16", "f32", "f64", "bcd8", "bcd16",
                "bcd32", "bcd64", "mod10k:3", "text:4", "raw:3", "unix-seconds", "unix-millis",
                "bcd-time", "ipv4", "mac",
            ]),
            more in proptest::sample::select(vec![
                "", ", scale: 0.1", ", scale: -5, offset: 100", ", unit: V", ", unit: kWh",
                ", unit: °C, not-available: [0x8000, 0]", ", count: 3", ", order: DCBA",
                ", labels: { 0: a, 1: b }", ", map: { raw: [0, 100], value: [4, 20], clamp: true }",
            ]),
            seed in any::<u64>(),
            second in 0_u64..400_000_000,
        ) {
            let tag = format!("type: \"{kind}\"{more}");
            prop_assume!(plan(&tag).is_some()); // not every type takes a scale
            let (decoded, coding) = shown(&tag, seed, second);
            prop_assert!(matches!(decoded, Decoded::Good(_)), "{tag}: {decoded:?}");
            prop_assert!(coding.span() > 0);
        }
    }
}
