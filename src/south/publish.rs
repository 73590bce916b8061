//! Whether a value that was read becomes a reading: the dead band and its time limits. Pure.
//!
//! What is held back is compared with the last *published* value, so a slow drift still comes
//! through, and is counted by the caller.

use std::time::Duration;

use crate::config::{Deadband, PublishRule};
use crate::model::{Mono, Quality, Reading, Value};

/// Whether `new` is to be published, `last` being the last one that was.
pub(crate) fn is_due(rule: &PublishRule, last: Option<&Reading>, new: &Reading) -> bool {
    let (PublishRule::OnChange { change, at_least, at_most_every }, Some(last)) = (rule, last)
    else {
        return true;
    };
    let age = new.at() - last.at();
    if age < *at_most_every {
        return false;
    }
    age >= *at_least || new.quality() != last.quality() || moved(*change, last.value(), new.value())
}

/// Whether a silence that was already reported is worth repeating: every `at_least`, as a value
/// would be, and with every value published, once in [`REPEAT`].
pub(crate) fn is_silence_due(
    rule: &PublishRule,
    last: Option<&Reading>,
    now: Mono,
    quality: Quality,
) -> bool {
    let Some(last) = last else { return true };
    let every = match rule {
        PublishRule::Always => REPEAT,
        PublishRule::OnChange { at_least, .. } => *at_least,
    };
    last.quality() != quality || now - last.at() >= every
}

/// How often a silent device's tags are reported bad again when every value is published.
const REPEAT: Duration = Duration::from_secs(60);

fn moved(band: Deadband, last: Option<&Value>, new: Option<&Value>) -> bool {
    match (last, new) {
        (Some(Value::List(last)), Some(Value::List(new))) => {
            last.len() != new.len()
                || last.iter().zip(new.iter()).any(|(a, b)| moved(band, Some(a), Some(b)))
        }
        (Some(Value::Bool(last)), Some(Value::Bool(new))) => last != new,
        (Some(last), Some(new)) => last != new && left_band(band, last, new),
        (last, new) => last.is_some() != new.is_some(),
    }
}

/// For values that differ.
fn left_band(band: Deadband, last: &Value, new: &Value) -> bool {
    let (Some(from), Some(distance)) = (last.as_f64(), distance(last, new)) else { return true };
    match band {
        Deadband::Absolute(least) => distance >= least,
        Deadband::Percent(percent) => distance >= from.abs() * percent / 100.0,
    }
}

/// Integers are subtracted as integers: floats can't tell neighbours above 2^53 apart.
#[expect(clippy::cast_precision_loss, reason = "the difference is compared, not published")]
fn distance(last: &Value, new: &Value) -> Option<f64> {
    let whole = |value: &Value| match value {
        Value::I64(i) => Some(i128::from(*i)),
        Value::U64(u) => Some(i128::from(*u)),
        _ => None,
    };
    match (whole(last), whole(new)) {
        (Some(last), Some(new)) => Some((new - last).unsigned_abs() as f64),
        _ => Some((new.as_f64()? - last.as_f64()?).abs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fault, TagId};

    fn at(ms: i64, value: Value) -> Reading {
        Reading::good(TagId(1), Mono(ms), value)
    }

    fn rule(change: Deadband) -> PublishRule {
        PublishRule::OnChange {
            change,
            at_least: Duration::from_secs(60),
            at_most_every: Duration::from_secs(1),
        }
    }

    #[test]
    fn everything_is_published_without_a_rule_and_at_first() {
        let last = at(0, Value::F64(1.0));
        assert!(is_due(&PublishRule::Always, Some(&last), &at(1, Value::F64(1.0))));
        assert!(is_due(&rule(Deadband::Absolute(5.0)), None, &last));
    }

    #[test]
    fn dead_bands() {
        let f = Value::F64;
        let rows = [
            (Deadband::Absolute(0.0), f(1.0), f(1.0), false),
            (Deadband::Absolute(0.0), f(1.0), f(1.000_001), true),
            (Deadband::Absolute(0.5), f(10.0), f(10.4), false),
            (Deadband::Absolute(0.5), f(10.0), f(9.5), true),
            (Deadband::Percent(10.0), f(-50.0), f(-46.0), false),
            (Deadband::Percent(10.0), f(-50.0), f(-45.0), true),
            (Deadband::Percent(10.0), f(0.0), f(0.001), true),
            (Deadband::Absolute(0.0), Value::U64(u64::MAX), Value::U64(u64::MAX - 1), true),
            (Deadband::Absolute(2.0), Value::U64(u64::MAX), Value::U64(u64::MAX - 1), false),
            (Deadband::Absolute(2.0), Value::I64(i64::MIN), Value::I64(i64::MAX), true),
            (Deadband::Absolute(9.0), Value::Text("a".into()), Value::Text("b".into()), true),
            (Deadband::Absolute(9.0), Value::Bool(false), Value::Bool(true), true),
            (Deadband::Absolute(0.0), Value::Bool(true), Value::Bool(true), false),
            (
                Deadband::Absolute(1.0),
                Value::List([f(1.0), f(2.0)].into()),
                Value::List([f(1.5), f(2.5)].into()),
                false,
            ),
            (
                Deadband::Absolute(1.0),
                Value::List([f(1.0), f(2.0)].into()),
                Value::List([f(1.0), f(3.0)].into()),
                true,
            ),
        ];
        for (band, last, new, due) in rows {
            let (last, new) = (at(0, last), at(5_000, new));
            assert_eq!(is_due(&rule(band), Some(&last), &new), due, "{band:?} {last:?} {new:?}");
        }
    }

    #[test]
    fn time_limits() {
        let rule = rule(Deadband::Absolute(1.0));
        let last = at(0, Value::F64(1.0));
        assert!(!is_due(&rule, Some(&last), &at(999, Value::F64(9.0))), "too soon");
        assert!(is_due(&rule, Some(&last), &at(1000, Value::F64(9.0))));
        assert!(!is_due(&rule, Some(&last), &at(59_999, Value::F64(1.0))));
        assert!(is_due(&rule, Some(&last), &at(60_000, Value::F64(1.0))), "heartbeat");
        let bad = Reading::bad(TagId(1), Mono(2000), Fault::NoAnswer);
        assert!(is_due(&rule, Some(&last), &bad), "a change of quality");
        assert!(!is_due(&rule, Some(&bad), &Reading::bad(TagId(1), Mono(4000), Fault::NoAnswer)));
        assert!(is_due(&rule, Some(&bad), &Reading::bad(TagId(1), Mono(4000), Fault::BadAnswer)));
    }

    #[test]
    fn a_silence_is_reported_once_and_then_now_and_then() {
        let quality = Quality::Bad(Fault::NoAnswer);
        let last = Reading::bad(TagId(1), Mono(0), Fault::NoAnswer);
        assert!(is_silence_due(&PublishRule::Always, None, Mono(1), quality));
        assert!(!is_silence_due(&PublishRule::Always, Some(&last), Mono(59_999), quality));
        assert!(is_silence_due(&PublishRule::Always, Some(&last), Mono(60_000), quality));
        let good = at(0, Value::F64(1.0));
        assert!(is_silence_due(&PublishRule::Always, Some(&good), Mono(1), quality));
    }
}
