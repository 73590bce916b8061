//! Rules as they are written: `NAME[=VALUE][:KEY=VALUE]…`, as in `late=1500ms:every=3:unit=7`.
//!
//! A percentage in place of a value is the share of the answers that are hit: `silent=20%` is
//! `silent:share=20%`.

use std::str::FromStr;
use std::time::Duration;

use super::{Fault, Rule};
use crate::config;

/// A form of a fault: its name, what its value is, and the fault itself.
struct Form {
    name: &'static str,
    value: Worth,
}

/// What stands behind the name of a fault.
enum Worth {
    Nothing(Fault),
    Duration(fn(Duration) -> Fault, Duration),
    /// Up to so many bytes.
    Bytes(fn(usize) -> Fault, usize, usize),
    Code(fn(u8) -> Fault),
}

/// Longer than the default timeout of a device, and shorter than two.
const LATE: Duration = Duration::from_millis(1_500);
/// What a damaged frame hardly exceeds.
const NOISE_BYTES_MAX: usize = 4_096;

const FORMS: [Form; 19] = [
    form("late", Worth::Duration(Fault::Late, LATE)),
    form("silent", Worth::Nothing(Fault::Silent)),
    form("exception", Worth::Code(Fault::Exception)),
    form("short", Worth::Nothing(Fault::Short)),
    form("long", Worth::Nothing(Fault::Long)),
    form("cut", Worth::Nothing(Fault::Cut)),
    form("crc-damage", Worth::Nothing(Fault::CrcDamage)),
    form("wrong-tid", Worth::Nothing(Fault::WrongTid)),
    form("broken-header", Worth::Nothing(Fault::BrokenHeader)),
    form("wrong-unit-first", Worth::Nothing(Fault::WrongUnitFirst)),
    form("noise", Worth::Bytes(Fault::Noise, 30, NOISE_BYTES_MAX)),
    form("noise-before", Worth::Bytes(Fault::NoiseBefore, 16, NOISE_BYTES_MAX)),
    form("noise-after", Worth::Bytes(Fault::NoiseAfter, 16, NOISE_BYTES_MAX)),
    form("echo", Worth::Nothing(Fault::Echo)),
    form("foreign-master", Worth::Nothing(Fault::ForeignMaster)),
    form("duplicate", Worth::Nothing(Fault::Duplicate)),
    form("drip", Worth::Bytes(Fault::Drip, 1, 256)),
    form("swapped", Worth::Duration(Fault::Swapped, LATE)),
    form("disconnect", Worth::Nothing(Fault::Disconnect)),
];

const fn form(name: &'static str, value: Worth) -> Form {
    Form { name, value }
}

/// The names of all faults.
pub fn names() -> impl Iterator<Item = &'static str> {
    FORMS.iter().map(|form| form.name)
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':').map(str::trim);
        let first = parts.next().unwrap_or_default();
        let (name, value) = match first.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => match first.strip_prefix("exception-") {
                Some(code) => ("exception", Some(code)),
                None => (first, None),
            },
        };
        let share = value.filter(|value| value.ends_with('%'));
        let mut rule = Self::always(fault(name, value.filter(|_| share.is_none()))?);
        if let Some(share) = share {
            rule.share = percent(share)?;
        }
        for part in parts {
            let Some((key, value)) = part.split_once('=') else {
                return Err(format!("{part:?} is no KEY=VALUE; {KEYS}"));
            };
            let value = value.trim();
            match key.trim() {
                "every" => rule.every = number(value, 1, 1_000_000)?,
                "unit" => rule.unit = Some(number(value, 0, 255)?),
                "share" => rule.share = percent(value)?,
                "from" => rule.from = duration(value)?,
                "to" => rule.to = duration(value)?,
                other => return Err(format!("{other:?} is unknown; {KEYS}")),
            }
        }
        if rule.from >= rule.to {
            return Err("it would end before it begins: from must be less than to".to_owned());
        }
        Ok(rule)
    }
}

const KEYS: &str = "the keys are every=N, share=N%, unit=N, from=TIME and to=TIME";

fn fault(name: &str, value: Option<&str>) -> Result<Fault, String> {
    let Some(form) = FORMS.iter().find(|form| form.name == name) else {
        return Err(format!(
            "there is no fault {name:?}; the faults are {}",
            names().collect::<Vec<_>>().join(", ")
        ));
    };
    Ok(match (&form.value, value) {
        (Worth::Nothing(fault), None) => *fault,
        (Worth::Nothing(_), Some(_)) => return Err(format!("{name} takes no value but a share")),
        (Worth::Duration(fault, default), None) => fault(*default),
        (Worth::Duration(fault, _), Some(value)) => fault(duration(value)?),
        (Worth::Bytes(fault, default, _), None) => fault(*default),
        (Worth::Bytes(fault, _, most), Some(value)) => fault(number(value, 1, *most)?),
        (Worth::Code(fault), Some(value)) => fault(number(value, 1, 255)?),
        (Worth::Code(_), None) => {
            return Err(format!("{name} needs its code, as in {name}-2"));
        }
    })
}

fn number<T>(text: &str, min: T, max: T) -> Result<T, String>
where
    T: FromStr + PartialOrd + std::fmt::Display + Copy,
{
    match text.parse() {
        Ok(number) if (&min..=&max).contains(&&number) => Ok(number),
        _ => Err(format!("{text:?} is not a number from {min} to {max}")),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let share = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    match share {
        Some(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent / 100.0),
        _ => Err(format!("{text:?} is not a share; write it as in 20%")),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    config::parse_duration(text)
}
