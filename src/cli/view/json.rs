//! Reading a status that came as JSON: what is not there is empty, never an error.

use serde_json::Value;

pub fn items<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(path).and_then(Value::as_array).into_iter().flatten()
}

pub fn entries<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.pointer(path).and_then(Value::as_object).into_iter().flatten()
}

pub fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("")
}

pub fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

pub fn signed(value: &Value, path: &str) -> Option<i64> {
    value.pointer(path).and_then(Value::as_i64)
}

pub fn real(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or(0.0)
}

pub fn flag(value: &Value, path: &str) -> bool {
    value.pointer(path).and_then(Value::as_bool).unwrap_or(false)
}

pub fn some(value: &Value, path: &str) -> bool {
    value.pointer(path).is_some_and(|value| !value.is_null())
}

/// How long ago `since` was, both in milliseconds of one clock.
pub fn ago(now: Option<i64>, since: Option<i64>) -> Option<u64> {
    u64::try_from(now?.saturating_sub(since?)).ok()
}

/// A span of time in few characters: `0.4 s`, `12 s`, `3 min`, `5 h`, `2 d`.
pub fn span(ms: u64) -> String {
    match ms / 1000 {
        0..10 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        s @ 10..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

/// Bytes in few characters: `820 kB`, `1.2 GB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(unit, _)| n >= *unit) {
        Some((unit, name)) if n < 10 * unit && n % unit >= unit / 10 => {
            format!("{}.{} {name}", n / unit, n % unit / (unit / 10))
        }
        Some((unit, name)) => format!("{} {name}", n / unit),
        None => format!("{n} B"),
    }
}

/// A count with its noun: `1 client`, `2 clients`.
pub fn count(n: u64, noun: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{s}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_counts_are_short_and_in_english() {
        let shown: Vec<_> = [449, 9_999, 12_000, 200_000, 8_000_000, 300_000_000].map(span).into();
        assert_eq!(shown, ["0.4 s", "9.9 s", "12 s", "3 min", "2 h", "3 d"]);
        assert_eq!(
            (count(1, "client"), count(0, "client")),
            ("1 client".into(), "0 clients".into())
        );
        let shown = [999, 4_000_000_000_000, 1_250_000_000, 25_900_000, 1_040].map(bytes);
        assert_eq!(shown, ["999 B", "4 TB", "1.2 GB", "25 MB", "1 kB"]);
        assert_eq!(ago(Some(5000), Some(2000)), Some(3000));
        assert_eq!(ago(Some(2000), Some(5000)), None);
    }
}
