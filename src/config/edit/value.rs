//! A part of a configuration as JSON has it: in the order of the file, and typed as it is written.
//!
//! To the configuration every single value is the text that was written. JSON tells numbers and
//! truth values from texts, so a plain scalar that reads as one of those *and* looks exactly as JSON
//! writes it is one here; `0x8000`, `0.10` and everything in quotes stay texts. Two values that were
//! written with the same text mean the same.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::raw;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Self>),
    /// In the order of the file.
    Map(Vec<(String, Self)>),
}

/// One step into a value: a key, or a place in a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Step {
    Index(usize),
    Key(String),
}

impl Step {
    /// As a key of a mapping.
    pub(super) fn key(&self) -> Cow<'_, str> {
        match self {
            Self::Key(key) => Cow::Borrowed(key),
            Self::Index(index) => Cow::Owned(index.to_string()),
        }
    }

    /// As a place in a list.
    pub(super) fn index(&self) -> Option<usize> {
        match self {
            Self::Index(index) => Some(*index),
            Self::Key(key) => key.parse().ok(),
        }
    }
}

/// A path as messages have it: keys joined by dots, places of lists in brackets.
pub fn show_path(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Index(index) => out += &format!("[{index}]"),
            Step::Key(key) if out.is_empty() => out.push_str(key),
            Step::Key(key) => out += &format!(".{key}"),
        }
    }
    out
}

impl Value {
    /// A scalar without quotes.
    pub fn plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            _ => match serde_json::from_str::<serde_json::Number>(text) {
                Ok(number) if number.to_string() == text => Self::Number(number),
                _ => Self::Text(text.to_owned()),
            },
        }
    }

    /// What the configuration reads of a single value; `None` for nothing and for collections.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Bool(true) => Some("true".into()),
            Self::Bool(false) => Some("false".into()),
            Self::Number(number) => Some(number.to_string().into()),
            Self::Text(text) => Some(text.into()),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }

    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// The entries of a mapping; none for anything else.
    pub fn entries(&self) -> &[(String, Self)] {
        match self {
            Self::Map(entries) => entries,
            _ => &[],
        }
    }

    /// What a path leads to.
    pub fn at(&self, path: &[Step]) -> Option<&Self> {
        path.iter().try_fold(self, |value, step| match value {
            Self::List(items) => items.get(step.index()?),
            value => value.get(&step.key()),
        })
    }

    /// Whether the configuration reads the same in both.
    pub fn means(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.means(b))
            }
            (Self::Map(a), Self::Map(b)) => {
                let sorted = |map: &[(String, Self)]| {
                    let mut order: Vec<usize> = (0..map.len()).collect();
                    order.sort_by(|x, y| map.get(*x).map(|p| &p.0).cmp(&map.get(*y).map(|p| &p.0)));
                    order
                };
                a.len() == b.len()
                    && sorted(a).into_iter().zip(sorted(b)).all(|(x, y)| {
                        matches!((a.get(x), b.get(y)), (Some(a), Some(b)) if a.0 == b.0 && a.1.means(&b.1))
                    })
            }
            (a, b) => matches!((a.text(), b.text()), (Some(a), Some(b)) if a == b),
        }
    }

    /// As the configuration reads it: all single values are texts. `None` where a key is no word.
    pub(super) fn of(node: &raw::Node) -> Option<Self> {
        Some(match &node.content {
            raw::Content::Null => Self::Null,
            raw::Content::Scalar(text) => Self::Text(text.clone()),
            raw::Content::List(items) => {
                Self::List(items.iter().map(Self::of).collect::<Option<_>>()?)
            }
            raw::Content::Map(pairs) => {
                let pair = |(key, value): &(raw::Node, raw::Node)| match &key.content {
                    raw::Content::Scalar(key) => Some((key.clone(), Self::of(value)?)),
                    _ => None,
                };
                Self::Map(pairs.iter().map(pair).collect::<Option<_>>()?)
            }
        })
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = serde_json::Number::from_f64(value);
        number.map(Value::Number).ok_or_else(|| E::custom("a number that is none"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map: Vec<(String, Value)> = Vec::new();
        let mut known = std::collections::HashSet::new();
        while let Some((key, value)) = entries.next_entry::<String, Value>()? {
            if !known.insert(key.clone()) {
                return Err(A::Error::custom(format!("the key {key} is written twice")));
            }
            map.push((key, value));
        }
        Ok(Value::Map(map))
    }
}
