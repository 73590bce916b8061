//! Single values: durations, sizes, numbers, words. Each parser names the form it wants.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::problem::Complaint;
use super::section::quotable;
use crate::model::{Decimal, Name, TopicFilter};

const DURATION_UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("min", 60_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZE_UNITS: [(&str, u64); 10] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// `500ms`, `1.5s`, `10min`, `1h`, `30d`.
pub(super) fn duration(
    range: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, Complaint> {
    move |text| {
        let wanted = || Complaint::new(format!("{} is not a duration", quoted(text)));
        let (number, unit) = split_unit(text);
        let Some((_, factor)) = DURATION_UNITS.iter().find(|(name, _)| *name == unit) else {
            let hint = if unit.is_empty() {
                format!("write it with its unit, as in {number}ms or {number}s")
            } else {
                "the units are ms, s, min, h and d".to_owned()
            };
            return Err(wanted().hint(hint));
        };
        let millis = Decimal::parse(number)
            .and_then(|n| n.times(*factor))
            .ok_or_else(|| wanted().hint("write it as in 500ms, 1s, 10min, 1h or 30d"))?;
        let value = Duration::from_millis(millis);
        if range.contains(&value) {
            return Ok(value);
        }
        Err(out_of_range(text, &show_duration(*range.start()), &show_duration(*range.end())))
    }
}

/// A duration outside of a configuration, as on a command line: up to a year.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    duration(Duration::ZERO..=YEAR)(text).map_err(|complaint| match complaint.hint {
        Some(hint) => format!("{}; {hint}", complaint.message),
        None => complaint.message,
    })
}

/// `256KiB`, `2GB`, in bytes.
pub(super) fn size(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, Complaint> {
    move |text| {
        let wanted = || Complaint::new(format!("{} is not a size", quoted(text)));
        let (number, unit) = split_unit(text);
        let Some((_, factor)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
            let hint = if unit.is_empty() {
                format!("write it with its unit, as in {number}B or {number}KiB")
            } else {
                "the units are B, kB, MB, GB, TB and KiB, MiB, GiB, TiB".to_owned()
            };
            return Err(wanted().hint(hint));
        };
        let bytes = Decimal::parse(number)
            .and_then(|n| n.times(*factor))
            .ok_or_else(|| wanted().hint("write it as in 256KiB or 2GB"))?;
        if range.contains(&bytes) {
            return Ok(bytes);
        }
        Err(out_of_range(text, &show_size(*range.start()), &show_size(*range.end())))
    }
}

/// Like [`size`], for a bound that lives in memory.
pub(super) fn size_in_memory(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<usize, Complaint> {
    move |text| {
        let bytes = size(range.clone())(text)?;
        usize::try_from(bytes).map_err(|_| Complaint::new("is more than this machine can address"))
    }
}

/// What is in a second: `100/s`, with what stands before the slash read by `parse`.
pub(super) fn per_second<T>(
    parse: impl Fn(&str) -> Result<T, Complaint>,
    example: &str,
) -> impl Fn(&str) -> Result<T, Complaint> {
    move |text| {
        let Some(amount) = text.strip_suffix("/s") else {
            let complaint = Complaint::new(format!("{} is not a rate", quoted(text)));
            return Err(complaint.hint(format!("write it as in {example}")));
        };
        parse(amount.trim_end())
    }
}

/// A whole number, decimal or `0x` hexadecimal.
pub(super) fn integer<T: TryFrom<i128>>(
    range: RangeInclusive<i128>,
) -> impl Fn(&str) -> Result<T, Complaint> {
    move |text| {
        let value = whole(text)?;
        let out = || out_of_range(text, &range.start().to_string(), &range.end().to_string());
        if !range.contains(&value) {
            return Err(out());
        }
        T::try_from(value).map_err(|_| out())
    }
}

/// A whole number of any size that fits 128 bits.
pub(super) fn whole(text: &str) -> Result<i128, Complaint> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let parsed = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) if !hex.starts_with(['+', '-']) => i128::from_str_radix(hex, 16).ok(),
        None if digits.starts_with(|c: char| c.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    };
    let not_whole = || Complaint::new(format!("{} is not a whole number", quoted(text)));
    parsed
        .and_then(|n: i128| n.checked_mul(sign))
        .ok_or_else(|| not_whole().hint("write it as in 100 or 0x64"))
}

/// A finite decimal number.
pub(super) fn number(text: &str) -> Result<f64, Complaint> {
    let plain = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    match text.parse::<f64>() {
        Ok(value) if plain && value.is_finite() => Ok(value),
        _ if text.contains(',') => Err(Complaint::new(format!("{} is not a number", quoted(text)))
            .hint("decimals are written with a point")),
        _ => Err(Complaint::new(format!("{} is not a number", quoted(text)))),
    }
}

/// `true` or `false`.
pub(super) fn boolean(text: &str) -> Result<bool, Complaint> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Complaint::new(format!("{} is neither true nor false", quoted(text)))),
    }
}

/// One of a few words.
pub(super) fn word<T: Clone>(words: &[(&str, T)]) -> impl Fn(&str) -> Result<T, Complaint> {
    move |text| {
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(value.clone());
        }
        let known = || words.iter().map(|(word, _)| *word);
        let complaint =
            Complaint::new(format!("{} is unknown", quoted(text))).suggest(text, known());
        if complaint.hint.is_some() {
            return Err(complaint);
        }
        Err(complaint.hint(format!("one of {}", known().collect::<Vec<_>>().join(", "))))
    }
}

/// A text of at most so many bytes, without control characters, not empty.
pub(super) fn text(bytes_max: usize) -> impl Fn(&str) -> Result<String, Complaint> {
    move |text| {
        if text.is_empty() {
            Err("is empty".into())
        } else if text.len() > bytes_max {
            Err(format!("has {} bytes, at most {bytes_max} are allowed", text.len()).into())
        } else if text.chars().any(char::is_control) {
            Err("holds a control character".into())
        } else {
            Ok(text.to_owned())
        }
    }
}

pub(super) fn name(text: &str) -> Result<Name, Complaint> {
    Name::new(text).map_err(|error| Complaint::new(error.to_string()))
}

pub(super) fn filter(text: &str) -> Result<TopicFilter, Complaint> {
    TopicFilter::new(text).map_err(|error| Complaint::new(error.to_string()))
}

/// Where to listen: an address and a port.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, Complaint> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let complaint = Complaint::new(format!("{} is no address with a port", quoted(text)));
    Err(match text.split_once(':') {
        Some(("localhost", port)) => complaint.hint(format!("write 127.0.0.1:{port}")),
        Some(("" | "*", port)) => complaint.hint(format!("write 0.0.0.0:{port} for all")),
        _ => complaint.hint("write it as in 127.0.0.1:1883 or [::1]:1883"),
    })
}

/// The value as messages quote it.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", quotable(text))
}

pub(super) fn out_of_range(text: &str, from: &str, to: &str) -> Complaint {
    Complaint::new(format!("{} is out of range", quotable(text)))
        .hint(format!("allowed are {from} to {to}"))
}

/// In the largest unit that shows it without a fraction.
pub fn show_duration(value: Duration) -> String {
    let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    show(millis, &[("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)], "ms")
}

/// Decimal units where they show it without a fraction, as services publish theirs.
pub fn show_size(bytes: u64) -> String {
    show(
        bytes,
        &[
            ("GB", 1_000_000_000),
            ("MB", 1_000_000),
            ("kB", 1_000),
            ("TiB", 1 << 40),
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1 << 10),
        ],
        "B",
    )
}

fn show(value: u64, units: &[(&str, u64)], smallest: &str) -> String {
    let whole = units.iter().find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
    match whole {
        Some((unit, factor)) => format!("{}{unit}", value / factor),
        None => format!("{value}{smallest}"),
    }
}

/// Cuts the unit off: everything from the first letter.
fn split_unit(text: &str) -> (&str, &str) {
    let at = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-')));
    let (number, unit) = text.split_at(at.unwrap_or(text.len()));
    (number.trim(), unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(400 * 86_400);

    #[test]
    fn durations_carry_their_unit() {
        for (text, millis) in [
            ("500ms", 500),
            ("1s", 1_000),
            ("1.5s", 1_500),
            ("0.001s", 1),
            ("10min", 600_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("30d", 2_592_000_000),
            ("0s", 0),
            ("1 s", 1_000),
        ] {
            assert_eq!(duration(ANY)(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "1", "-1s", "1.0001s", "1s2", "1 week", "1e9d", "99999999999999999d"]
        {
            assert!(duration(ANY)(text).is_err(), "{text}");
        }
        let hint = duration(ANY)("5").unwrap_err().hint;
        assert_eq!(hint.as_deref(), Some("write it with its unit, as in 5ms or 5s"));
        let range = Duration::from_millis(10)..=Duration::from_secs(60);
        assert_eq!(
            duration(range)("2h").unwrap_err(),
            Complaint::new("2h is out of range").hint("allowed are 10ms to 1min")
        );
    }

    #[test]
    fn sizes_carry_their_unit() {
        let any = 0..=u64::MAX;
        for (text, bytes) in [
            ("1B", 1),
            ("256KiB", 262_144),
            ("2GB", 2_000_000_000),
            ("1.5MiB", 1_572_864),
            ("16 kB", 16_000),
        ] {
            assert_eq!(size(any.clone())(text), Ok(bytes), "{text}");
        }
        for text in ["", "1", "1.5B", "-1KiB", "1kb", "1GiBs", "99999999TiB"] {
            assert!(size(any.clone())(text).is_err(), "{text}");
        }
    }

    #[test]
    fn whole_numbers_are_decimal_or_hexadecimal() {
        for (text, value) in [("0", 0), ("0x10", 16), ("-0x10", -16), ("+7", 7), ("007", 7)] {
            assert_eq!(whole(text), Ok(value), "{text}");
        }
        for text in ["", "-", "0x", "0x-1", "1.0", "1_000", "a", "--1", "+-1", &"9".repeat(60)] {
            assert!(whole(text).is_err(), "{text}");
        }
        assert_eq!(integer::<u8>(1..=247)("0xF7"), Ok(247));
        assert!(integer::<u8>(1..=247)("248").is_err());
        assert!(integer::<u8>(0..=1000)("256").is_err());
    }

    #[test]
    fn numbers_are_finite() {
        assert_eq!(number("-1.5e2"), Ok(-150.0));
        for text in ["nan", ".nan", "inf", "-inf", "1e999", "1,5", "", "x"] {
            assert!(number(text).is_err(), "{text}");
        }
        assert!(number("1,5").unwrap_err().hint.unwrap().contains("point"));
    }
}
