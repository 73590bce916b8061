//! Decimal numbers as sensors write them, kept exact until they are a value.

/// `digits / 10^decimals`; negative `decimals` are zeros behind the digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exact {
    pub digits: i128,
    pub decimals: i32,
}

/// More digits than this are no measurement.
const DIGITS_MAX: usize = 30;
const EXPONENT_MAX: i32 = 40;

impl Exact {
    /// `-12.5`, `+  0012.50`, `1.5E+03`; spaces are allowed around it and behind the sign, and
    /// nothing else.
    pub(super) fn parse(bytes: &[u8], separator: u8) -> Option<Self> {
        let text = bytes.trim_ascii();
        let (negative, unsigned) = match text.split_first() {
            Some((b'-', rest)) => (true, rest.trim_ascii_start()),
            Some((b'+', rest)) => (false, rest.trim_ascii_start()),
            _ => (false, text),
        };
        let (number, exponent) = match unsigned.iter().position(|byte| matches!(byte, b'e' | b'E'))
        {
            Some(at) => {
                let exponent = std::str::from_utf8(unsigned.get(at + 1..)?).ok()?.parse().ok()?;
                (unsigned.get(..at)?, exponent)
            }
            None => (unsigned, 0_i32),
        };
        let mut digits: i128 = 0;
        let (mut count, mut decimals, mut fraction) = (0, 0, false);
        for byte in number {
            if *byte == separator && !fraction {
                fraction = true;
                continue;
            }
            let digit = char::from(*byte).to_digit(10)?;
            digits = digits * 10 + i128::from(digit);
            count += 1;
            decimals += i32::from(fraction);
            if count > DIGITS_MAX {
                return None;
            }
        }
        if count == 0 || exponent.abs() > EXPONENT_MAX {
            return None;
        }
        let digits = if negative { -digits } else { digits };
        Some(Self { digits, decimals: decimals - exponent })
    }

    /// `self * over / under + offset`, in as few roundings as can be. `None` if that is no number.
    #[expect(clippy::cast_precision_loss, reason = "digits beyond 2^53 are rounded once, here")]
    pub fn to_f64(self, over: f64, under: f64, offset: f64) -> Option<f64> {
        let digits = self.digits as f64;
        let value = if self.decimals >= 0 {
            digits * over / (under * 10_f64.powi(self.decimals))
        } else {
            digits * over * 10_f64.powi(-self.decimals) / under
        };
        // Not minus zero: nobody measures that.
        Some(value + offset + 0.0).filter(|value| value.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_scales_write_them() {
        let parse = |text: &str| Exact::parse(text.as_bytes(), b'.');
        for (text, digits, decimals) in [
            ("  100.00", 10000, 2),
            ("+00123.45", 12345, 2),
            ("-  123.5", -1235, 1),
            ("+1234", 1234, 0),
            (".5", 5, 1),
            ("5.", 5, 0),
            ("1.5E+03", 15, -2),
        ] {
            assert_eq!(parse(text), Some(Exact { digits, decimals }), "{text}");
        }
        for text in
            ["", " ", "-", ".", "1 2", "1.2.3", "1,5", "--1", "0x1", "1e", "nan", "inf", "1e99"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"9".repeat(31)), None);
        assert_eq!(Exact::parse(b"1,5", b','), Some(Exact { digits: 15, decimals: 1 }));
        assert_eq!(Exact::parse(b"1.5", b','), None);
    }

    #[test]
    fn values_are_as_written() {
        let value = |text: &str, over, under| {
            Exact::parse(text.as_bytes(), b'.').and_then(|exact| exact.to_f64(over, under, 0.0))
        };
        assert_eq!(value("231.42", 1.0, 1.0), Some(231.42));
        assert_eq!(value("231.42", 1.0, 1000.0), Some(0.23142));
        assert_eq!(value("0.1", 1000.0, 1.0), Some(100.0));
        assert_eq!(value("-0", 1.0, 1.0).map(f64::to_bits), Some(0.0_f64.to_bits()));
    }
}
