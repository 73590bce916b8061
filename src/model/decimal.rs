//! Decimal numbers as people write them, nothing rounded: what limits, steps and scales mean.

use std::cmp::Ordering;

use super::Value;

/// `digits / 10^decimals`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    pub digits: i128,
    pub decimals: u32,
}

/// Decimals kept of a written number; more can't be meant.
const DECIMALS_MAX: u32 = 15;
/// Digits kept of one.
const DIGITS_MAX: usize = 30;

impl Decimal {
    pub fn whole(digits: i128) -> Self {
        Self { digits, decimals: 0 }
    }

    /// `-12.5`, `1e-3`; `None` for what is no number or has more digits than are kept exactly.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (sign, number) = match number.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let fraction = fraction.trim_end_matches('0');
        if (whole.is_empty() && fraction.is_empty()) || whole.len() + fraction.len() > DIGITS_MAX {
            return None;
        }
        let mut digits: i128 = 0;
        for c in whole.chars().chain(fraction.chars()) {
            digits = digits * 10 + i128::from(c.to_digit(10)?);
        }
        let decimals = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        let limit = i32::try_from(DECIMALS_MAX).ok()?;
        if !(-limit..=limit).contains(&decimals) {
            return None;
        }
        if decimals < 0 {
            let digits = digits.checked_mul(power_of_ten(decimals.unsigned_abs()))?;
            return Some(Self { digits: sign * digits, decimals: 0 });
        }
        Some(Self { digits: sign * digits, decimals: decimals.unsigned_abs() })
    }

    /// The decimal that a float stands for: the shortest one that is read back as it.
    pub fn of_float(value: f64) -> Option<Self> {
        Self::parse(&format!("{value:e}"))
    }

    /// `None` for what is no number, or none of this many digits.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(on) => Some(Self::whole(i128::from(*on))),
            Value::I64(number) => Some(Self::whole(i128::from(*number))),
            Value::U64(number) => Some(Self::whole(i128::from(*number))),
            Value::F64(number) => Self::of_float(*number),
            Value::Text(_) | Value::Bytes(_) | Value::List(_) => None,
        }
    }

    /// `self * factor` as a whole number that is not negative, if it is one.
    pub fn times(self, factor: u64) -> Option<u64> {
        let scaled = self.digits.checked_mul(i128::from(factor))?;
        let divisor = power_of_ten(self.decimals);
        if scaled % divisor != 0 {
            return None;
        }
        u64::try_from(scaled / divisor).ok()
    }

    /// `self - other`, exactly.
    pub fn minus(self, other: Self) -> Option<Self> {
        let decimals = self.decimals.max(other.decimals);
        let digits = self.digits_at(decimals)?.checked_sub(other.digits_at(decimals)?)?;
        Some(Self { digits, decimals })
    }

    /// Whether `self` is `step` times a whole number.
    pub fn is_multiple_of(self, step: Self) -> bool {
        let decimals = self.decimals.max(step.decimals);
        match (self.digits_at(decimals), step.digits_at(decimals)) {
            (Some(digits), Some(step)) => digits.checked_rem(step) == Some(0),
            _ => false,
        }
    }

    pub fn compare(self, other: Self) -> Option<Ordering> {
        Some(self.minus(other)?.digits.cmp(&0))
    }

    fn digits_at(self, decimals: u32) -> Option<i128> {
        self.digits.checked_mul(power_of_ten(decimals.saturating_sub(self.decimals)))
    }

    /// Numerator and power of ten, if both are exact as floats.
    pub fn ratio(self) -> Option<(f64, f64)> {
        Some((exact(self.digits)?, exact(power_of_ten(self.decimals))?))
    }
}

/// Beyond what 128 bits hold it saturates.
pub fn power_of_ten(exponent: u32) -> i128 {
    10_i128.checked_pow(exponent).unwrap_or(i128::MAX)
}

/// The number as a float, if a float holds it exactly.
pub fn exact(value: i128) -> Option<f64> {
    const EXACT_MAX: u128 = 1 << 53;
    #[expect(clippy::cast_precision_loss, reason = "within 2^53 every integer is a float")]
    (value.unsigned_abs() <= EXACT_MAX).then_some(value as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn decimals_stay_exact() {
        for (text, digits, decimals) in [
            ("0.1", 1, 1),
            ("-12.50", -125, 1),
            ("1e-3", 1, 3),
            ("2.5e3", 2500, 0),
            (".5", 5, 1),
            ("1000", 1000, 0),
        ] {
            assert_eq!(Decimal::parse(text), Some(Decimal { digits, decimals }), "{text}");
        }
        for text in ["", ".", "e1", "1e", "1e99", "nan", "inf", "1.2.3", "0x1", "1e-2147483648"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        let difference = decimal("0.3").minus(decimal("0.25"));
        assert_eq!(difference, Some(Decimal { digits: 5, decimals: 2 }));
    }

    #[test]
    fn steps_are_those_of_decimals_and_not_of_floats() {
        // 0.3 / 0.1 is 2.9999999999999996 in floats.
        let of = |value: f64| Decimal::of(&Value::F64(value)).unwrap();
        assert!(of(0.3).is_multiple_of(decimal("0.1")));
        assert!(of(-40.05).is_multiple_of(decimal("0.05")));
        assert!(!of(0.35).is_multiple_of(decimal("0.1")));
        assert!(of(0.0).is_multiple_of(decimal("7")));
        assert!(!of(1.0).is_multiple_of(Decimal::whole(0)));
        let large = Decimal::of(&Value::U64(u64::MAX)).unwrap();
        assert!(large.is_multiple_of(decimal("5")));
        assert!(!large.is_multiple_of(decimal("2")), "all bits count");
    }

    #[test]
    fn comparing_keeps_all_bits() {
        let of = |n: u64| Decimal::of(&Value::U64(n)).unwrap();
        assert_eq!(of(u64::MAX).compare(of(u64::MAX - 1)), Some(Ordering::Greater));
        assert_eq!(Decimal::of_float(0.5).unwrap().compare(decimal("0.50")), Some(Ordering::Equal));
        assert_eq!(Decimal::of_float(1e300), None);
        assert_eq!(Decimal::of_float(f64::INFINITY), None);
    }
}
