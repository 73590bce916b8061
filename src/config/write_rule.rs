//! What may be written to a tag, how often, and what is done about it: the contract of a command.
//!
//! Pure. The gateway checks with it before a bus hears of a command, and the bus once more before
//! it writes. Whether the registers can hold a value is for the codec to say.

use std::cmp::Ordering;
use std::time::Duration;

use super::defaults::WRITE_EXPIRES;
use crate::model::{Coding, Decimal, Refusal, Value};

/// Longest list of allowed values that a refusal repeats, in characters.
const ALLOWED_SHOWN_MAX: usize = 200;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteRule {
    pub allowed: Allowed,
    /// No command sooner than this after the last one; zero for no limit.
    pub at_most_every: Duration,
    /// How long a command is valid that does not say so itself.
    pub expires: Duration,
    pub verify: Verify,
    pub safe: Option<SafeValue>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Allowed {
    /// From `min` to `max`, and with a step only `min + n * step`. Types without an order have
    /// infinite limits.
    Range { min: f64, max: f64, step: Option<Decimal> },
    /// These alone; of an enumeration its codes.
    Values(Vec<Value>),
}

/// What is done after a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// The registers are read back and compared.
    #[default]
    ReadBack,
    /// Nothing: the registers hold something else afterwards, or can't be read.
    Nothing,
}

/// What is written, once, when nobody has commanded the tag for too long.
#[derive(Debug, Clone, PartialEq)]
pub struct SafeValue {
    pub value: Value,
    pub after: Duration,
    /// Whether the time runs from the start of the gateway on, and not only after a command.
    pub from_start: bool,
}

/// Which functions write to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WriteWith {
    /// One register with 6, several with 16, bits of a register with 22; what the device lacks is
    /// learned.
    #[default]
    Automatic,
    /// One register at a time, with 6 (5).
    Six,
    /// Always 16 (15).
    Sixteen,
    /// Registers with 23, which reads them back in the same exchange.
    TwentyThree,
}

impl WriteRule {
    /// A rule with nothing but limits.
    pub fn within(min: f64, max: f64) -> Self {
        Self {
            allowed: Allowed::Range { min, max, step: None },
            at_most_every: Duration::ZERO,
            expires: WRITE_EXPIRES,
            verify: Verify::ReadBack,
            safe: None,
        }
    }

    /// Whether this value may be written at all; of a list every one.
    pub fn check(&self, coding: &Coding, value: &Value) -> Result<(), Refusal> {
        match value {
            Value::List(items) => items.iter().try_for_each(|item| self.check(coding, item)),
            Value::Text(text) => {
                let label = coding.labels.iter().find(|label| label.text == *text);
                match label {
                    Some(label) => self.check_one(&Value::I64(label.code), text),
                    // The codec knows the texts, and says which there are.
                    None if !coding.labels.is_empty() => Ok(()),
                    None => self.check_one(value, text),
                }
            }
            value => self.check_one(value, &value.to_string()),
        }
    }

    fn check_one(&self, value: &Value, shown: &str) -> Result<(), Refusal> {
        match &self.allowed {
            Allowed::Values(allowed) if allowed.iter().any(|a| same(a, value)) => Ok(()),
            Allowed::Values(allowed) => {
                let all: Vec<_> = allowed.iter().map(Value::to_string).collect();
                let allowed = all.join(", ").chars().take(ALLOWED_SHOWN_MAX).collect();
                Err(Refusal::NotAllowed { value: shown.to_owned(), allowed })
            }
            Allowed::Range { min, max, step } => {
                let Some(number) = value.as_f64() else { return Ok(()) };
                let exact = Decimal::of(value);
                if above(exact, number, *max) || below(exact, number, *min) {
                    return Err(Refusal::OutOfLimits { value: number, min: *min, max: *max });
                }
                let Some(step) = step else { return Ok(()) };
                let from = Decimal::of_float(*min);
                let on_step = exact.zip(from).and_then(|(exact, from)| exact.minus(from));
                if on_step.is_some_and(|distance| distance.is_multiple_of(*step)) {
                    return Ok(());
                }
                let (digits, power) = step.ratio().unwrap_or((f64::NAN, 1.0));
                Err(Refusal::OffStep { value: number, min: *min, step: digits / power })
            }
        }
    }
}

/// Whether two values are one: numbers as decimals, everything else as it is.
fn same(a: &Value, b: &Value) -> bool {
    match (Decimal::of(a), Decimal::of(b)) {
        (Some(a), Some(b)) => a.compare(b) == Some(Ordering::Equal),
        _ => a == b,
    }
}

fn above(exact: Option<Decimal>, number: f64, limit: f64) -> bool {
    match exact.zip(Decimal::of_float(limit)).and_then(|(a, b)| a.compare(b)) {
        Some(order) => order == Ordering::Greater,
        None => number > limit,
    }
}

fn below(exact: Option<Decimal>, number: f64, limit: f64) -> bool {
    match exact.zip(Decimal::of_float(limit)).and_then(|(a, b)| a.compare(b)) {
        Some(order) => order == Ordering::Less,
        None => number < limit,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Kind, Label};

    fn number() -> Coding {
        Coding::plain(Kind::Int { bits: 64, signed: false })
    }

    fn code(rule: &WriteRule, coding: &Coding, value: &Value) -> Option<&'static str> {
        rule.check(coding, value).err().map(|refusal| refusal.code())
    }

    #[test]
    fn limits_are_compared_with_all_bits() {
        let rule = WriteRule::within(0.0, 9_007_199_254_740_992.0);
        assert_eq!(code(&rule, &number(), &Value::U64(1 << 53)), None);
        assert_eq!(code(&rule, &number(), &Value::U64((1 << 53) + 1)), Some("out-of-limits"));
        let list = Value::List(Arc::new([Value::U64(1), Value::I64(-1)]));
        assert_eq!(code(&rule, &number(), &list), Some("out-of-limits"), "every one of a list");
    }

    #[test]
    fn steps_start_at_the_minimum() {
        let mut rule = WriteRule::within(-40.0, 80.0);
        rule.allowed =
            Allowed::Range { min: -40.0, max: 80.0, step: Some(Decimal::parse("0.3").unwrap()) };
        for (value, want) in [(-40.0, None), (-39.7, None), (0.2, None), (0.3, Some("off-step"))] {
            assert_eq!(code(&rule, &number(), &Value::F64(value)), want, "{value}");
        }
        let refusal = rule.check(&number(), &Value::F64(0.3)).unwrap_err();
        let text = "0.3 is no step of this tag, which goes from -40 in steps of 0.3";
        assert_eq!(refusal.to_string(), text);
    }

    #[test]
    fn of_allowed_values_a_label_is_its_code() {
        let mut coding = number();
        let label = |code, text: &str| Label { code, text: text.into() };
        coding.labels = vec![label(0, "off"), label(1, "on"), label(9, "reset")];
        let mut rule = WriteRule::within(0.0, 0.0);
        rule.allowed = Allowed::Values(vec![Value::I64(0), Value::I64(1)]);
        for (value, want) in [
            (Value::Text("on".into()), None),
            (Value::F64(1.0), None),
            (Value::U64(0), None),
            (Value::Text("reset".into()), Some("not-allowed")),
            (Value::I64(9), Some("not-allowed")),
            // Not a label at all: the codec refuses it and names those there are.
            (Value::Text("warm".into()), None),
        ] {
            assert_eq!(code(&rule, &coding, &value), want, "{value}");
        }
    }

    #[test]
    fn texts_are_compared_as_they_are() {
        let text = Coding::plain(Kind::Text { registers: 4 });
        let mut rule = WriteRule::within(f64::NEG_INFINITY, f64::INFINITY);
        assert_eq!(code(&rule, &text, &Value::Text("x".into())), None);
        rule.allowed = Allowed::Values(vec![Value::Text("RUN".into())]);
        assert_eq!(code(&rule, &text, &Value::Text("RUN".into())), None);
        assert_eq!(code(&rule, &text, &Value::Text("STOP".into())), Some("not-allowed"));
    }
}
