//! Set commands: a value for one tag, or values for several of one device.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::Value as Json;

use crate::model::Wall;

/// Most tags in one command.
pub const SETS_MAX: usize = 256;

/// What a sender says about the age of a command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// When the sender says it was sent.
    pub ts: Option<Wall>,
    /// How long after that, or after its arrival, it is valid.
    pub ttl: Option<Duration>,
}

/// What a tag's `.../set` message asks for, before it is known what the tag takes.
#[derive(Debug, Clone, PartialEq)]
pub struct SetPayload {
    pub value: Json,
    pub times: Times,
}

/// What a device's `.../set` message asks for, in its order, each name once.
#[derive(Debug, Clone, PartialEq)]
pub struct SetsPayload {
    pub values: Vec<(String, Json)>,
    pub times: Times,
}

/// The long form of a set command. An object is never a tag's value, so there is no doubt.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped<T> {
    v: T,
    ts: Option<i64>,
    /// Milliseconds.
    ttl: Option<u64>,
}

impl<T> Wrapped<T> {
    fn times(&self) -> Times {
        Times { ts: self.ts.map(Wall), ttl: self.ttl.map(Duration::from_millis) }
    }
}

/// Reads a bare JSON value, or `{"v":…,"ts":ms,"ttl":ms}` with `ts` and `ttl` at will.
pub fn parse_set(payload: &[u8]) -> Result<SetPayload, String> {
    let value = match first(payload)? {
        b'{' => {
            let wrapped: Wrapped<Json> =
                serde_json::from_slice(payload).map_err(|e| e.to_string())?;
            return Ok(SetPayload { times: wrapped.times(), value: wrapped.v });
        }
        _ => serde_json::from_slice(payload)
            .map_err(|e| format!("{e}; a text needs quotes, as in \"open\""))?,
    };
    Ok(SetPayload { value, times: Times::default() })
}

/// Reads `{"tag":value,…}`, or `{"v":{"tag":value,…},"ts":ms,"ttl":ms}`.
pub fn parse_sets(payload: &[u8]) -> Result<SetsPayload, String> {
    first(payload)?;
    let wrapped = serde_json::from_slice::<Wrapped<Entries>>(payload);
    let (values, times) = match wrapped {
        Ok(wrapped) => {
            let times = wrapped.times();
            (wrapped.v.0, times)
        }
        Err(wrong) => {
            let Entries(values) =
                serde_json::from_slice(payload).map_err(|error| error.to_string())?;
            // An object is no tag's value, so the long form was meant.
            if values.iter().any(|(name, value)| name == "v" && value.is_object()) {
                return Err(wrong.to_string());
            }
            (values, Times::default())
        }
    };
    if values.is_empty() {
        return Err("no tag is named".to_owned());
    }
    Ok(SetsPayload { values, times })
}

fn first(payload: &[u8]) -> Result<u8, String> {
    let start = payload.iter().find(|byte| !byte.is_ascii_whitespace());
    start.copied().ok_or_else(|| "the payload is empty".to_owned())
}

/// The entries of an object in their order. A name that stands twice is an error: `serde_json`
/// would take the last one without a word.
struct Entries(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tags and values, as in {\"setpoint\":42}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries: Vec<(String, Json)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            if entries.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom(format!("{name:?} is named twice")));
            }
            if entries.len() >= SETS_MAX {
                return Err(A::Error::custom(format!("more than {SETS_MAX} tags")));
            }
            entries.push((name, value));
        }
        Ok(Entries(entries))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sets(text: &str) -> Result<SetsPayload, String> {
        parse_sets(text.as_bytes())
    }

    #[test]
    fn several_tags_in_their_order() {
        let plain = sets(r#"{"mode":"auto","setpoint":42.5}"#).unwrap();
        let values = vec![("mode".to_owned(), json!("auto")), ("setpoint".to_owned(), json!(42.5))];
        assert_eq!(plain, SetsPayload { values: values.clone(), times: Times::default() });
        let long = sets(r#"{"v":{"mode":"auto","setpoint":42.5},"ts":5,"ttl":1000}"#).unwrap();
        let times = Times { ts: Some(Wall(5)), ttl: Some(Duration::from_secs(1)) };
        assert_eq!(long, SetsPayload { values, times });
        // A tag may have any name.
        assert_eq!(sets(r#"{"v":1,"ts":2}"#).unwrap().values.len(), 2);
    }

    #[test]
    fn what_is_no_set_of_tags_is_said() {
        for (text, want) in [
            ("", "the payload is empty"),
            ("{}", "no tag is named"),
            ("42", "an object of tags"),
            ("[1]", "an object of tags"),
            (r#"{"a":1,"a":2}"#, "\"a\" is named twice"),
            (r#"{"v":{"a":1,"a":2}}"#, "\"a\" is named twice"),
            (r#"{"v":{"a":1},"tll":5}"#, "unknown field `tll`"),
            (r#"{"a":1"#, "EOF"),
        ] {
            let said = sets(text).unwrap_err();
            assert!(said.contains(want), "{text}: {said}");
        }
        let many: Vec<String> = (0..=SETS_MAX).map(|n| format!("\"t{n}\":1")).collect();
        assert!(sets(&format!("{{{}}}", many.join(","))).unwrap_err().contains("more than 256"));
    }
}
