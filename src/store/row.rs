//! A reading or message as a person or another program is shown it: numbers resolved into names and
//! moments, values exactly as they were appended.
//!
//! Serialised, a row is one line of the NDJSON of `fieldhold store export`, and can be read back.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value as Json};

use super::boot::Boots;
use super::entry::{Body, BootNo, Entry};
use crate::codec::json::Key;
use crate::codec::registers::utc;
use crate::model::{Class, Message, Mono, Reading, Seq, TagId, TagMeta, TopicFilter, Value, Wall};

/// Fields that only a reading or only a message has are absent from the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// ISO 8601 in UTC, milliseconds; `None` if it is not known or beyond the years 1970 to 9999.
    pub time: Option<String>,
    /// The same moment in milliseconds since 1970.
    pub ms: Option<i64>,
    /// `set`; `unconfirmed` while no time source had confirmed the gateway's clock, as in a plant
    /// without one; `not-set` where it said a time that can't be; `unknown` when the
    /// store does not know its boot any more.
    pub clock: Cow<'static, str>,
    pub class: Cow<'static, str>,
    pub position: u64,
    /// What names it for good, the same as in what is sent.
    pub id: String,
    /// `None` if the store has lost the meaning of the tag's number.
    pub topic: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// `null` when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "also_null")]
    pub value: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<String>,
    /// Of a message, if it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// Of a message, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain: Option<bool>,
}

fn also_null<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(from).map(Some)
}

/// Which rows are wanted; empty takes everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub classes: Vec<Class>,
    /// Topics, as in a subscription; one must match.
    pub topics: Vec<TopicFilter>,
    /// From this moment on, and before that one, in milliseconds since 1970. What has no known time
    /// is in no such span.
    pub from_ms: Option<i64>,
    pub to_ms: Option<i64>,
}

impl Filter {
    pub fn takes_class(&self, class: Class) -> bool {
        self.classes.is_empty() || self.classes.contains(&class)
    }

    pub fn takes(&self, row: &Row) -> bool {
        let class = |wanted: &Class| wanted.as_str() == row.class;
        let topic = |wanted: &TopicFilter| row.topic.as_ref().is_some_and(|t| wanted.matches(t));
        (self.classes.is_empty() || self.classes.iter().any(class))
            && (self.topics.is_empty() || self.topics.iter().any(topic))
            && self.from_ms.is_none_or(|from| row.ms.is_some_and(|ms| ms >= from))
            && self.to_ms.is_none_or(|to| row.ms.is_some_and(|ms| ms < to))
    }
}

/// What the numbers in entries mean.
#[derive(Debug, Clone, Default)]
pub struct Meanings {
    pub epoch: u64,
    pub boots: Boots,
    pub tags: BTreeMap<TagId, Arc<TagMeta>>,
}

impl Meanings {
    pub fn rows(&self, class: Class, entry: &Entry) -> Vec<Row> {
        match &entry.body {
            Body::Message(message) => vec![self.message(class, entry.seq, entry.boot, message)],
            Body::Readings(readings) => (0..)
                .zip(readings)
                .map(|(n, reading)| self.reading(class, entry.seq.plus(n), entry.boot, reading))
                .collect(),
        }
    }

    fn row(&self, class: Class, seq: Seq, boot: BootNo, at: Mono) -> Row {
        let boot = self.boots.row(boot);
        let ms = boot.map(|boot| at.0.saturating_add(boot.offset_ms));
        Row {
            time: ms.and_then(utc),
            ms,
            clock: Cow::Borrowed(match boot {
                Some(boot) if boot.synced => "set",
                // Nobody confirmed it, as in a plant without a time server; it may well be right.
                Some(_) if ms.is_some_and(|ms| Wall(ms).is_plausible()) => "unconfirmed",
                Some(_) => "not-set",
                None => "unknown",
            }),
            class: Cow::Borrowed(class.as_str()),
            position: seq.0,
            id: Key { epoch: self.epoch, class, seq }.to_string(),
            topic: None,
            device: None,
            tag: None,
            unit: None,
            value: None,
            quality: None,
            payload: None,
            payload_base64: None,
            qos: None,
            retain: None,
        }
    }

    fn reading(&self, class: Class, seq: Seq, boot: BootNo, reading: &Reading) -> Row {
        let mut row = self.row(class, seq, boot, reading.at());
        match self.tags.get(&reading.tag()) {
            Some(meta) => {
                row.topic = Some(meta.topic.as_str().to_owned());
                row.device = Some(meta.device.as_str().to_owned());
                row.tag = Some(meta.name.as_str().to_owned());
                row.unit = Some(meta.unit.clone()).filter(|unit| !unit.is_empty());
            }
            None => row.tag = Some(format!("unknown tag {}", reading.tag().0)),
        }
        row.value = Some(reading.value().map_or(Json::Null, json));
        row.quality = Some(reading.quality().to_string());
        row
    }

    fn message(&self, class: Class, seq: Seq, boot: BootNo, message: &Message) -> Row {
        let mut row = self.row(class, seq, boot, message.at);
        row.topic = Some(message.topic.as_str().to_owned());
        match std::str::from_utf8(&message.payload) {
            Ok(text) => row.payload = Some(text.to_owned()),
            Err(_) => row.payload_base64 = Some(base64(&message.payload)),
        }
        row.qos = Some(message.qos as u8);
        row.retain = Some(message.retain);
        row
    }
}

/// The value with all its bits; bytes are hex text, as in what is sent.
fn json(value: &Value) -> Json {
    match value {
        Value::Bool(on) => Json::Bool(*on),
        Value::I64(number) => Json::Number((*number).into()),
        Value::U64(number) => Json::Number((*number).into()),
        Value::F64(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::Text(text) => Json::String(text.as_ref().to_owned()),
        Value::Bytes(_) => Json::String(value.to_string()),
        Value::List(values) => Json::Array(values.iter().map(json).collect()),
    }
}

/// RFC 4648, section 4, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut bits = [0; 4];
        for (byte, given) in bits.iter_mut().skip(1).zip(group) {
            *byte = *given;
        }
        let bits = u32::from_be_bytes(bits);
        for place in 0..4 {
            let digit = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or(0);
            let digit = DIGITS.get(digit).map_or('=', |digit| char::from(*digit));
            out.push(if place <= group.len() { digit } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Doubt, Fault, Name, Qos, TopicName};
    use crate::store::boot::BootRow;

    fn meanings() -> Meanings {
        let meta = TagMeta {
            topic: TopicName::new("works/edge/press/oil").unwrap(),
            device: Name::new("press").unwrap(),
            name: Name::new("oil").unwrap(),
            unit: "°C".to_owned(),
            coding: String::new(),
            class: Class::Normal,
        };
        let tags = BTreeMap::from([(TagId(1), Arc::new(meta))]);
        let boot = |no, synced| BootRow {
            no: BootNo(no),
            kernel: "k".to_owned(),
            offset_ms: 1_700_000_000_000,
            synced,
            first: None,
        };
        Meanings { epoch: 0x5f3a, boots: Boots::resume(vec![boot(1, true), boot(2, false)]), tags }
    }

    fn rows(boot: u32, readings: Vec<Reading>) -> Vec<Row> {
        let entry = Entry { seq: Seq(41), boot: BootNo(boot), body: Body::Readings(readings) };
        meanings().rows(Class::Normal, &entry)
    }

    #[test]
    fn a_row_says_everything_in_one_line_and_comes_back() {
        let (tag, at) = (TagId(1), Mono(123));
        let rows = rows(
            1,
            vec![
                Reading::good(tag, at, Value::F64(82.5)),
                Reading::uncertain(tag, at, Value::U64(u64::MAX), Doubt::Clamped),
                Reading::bad(tag, at, Fault::NoAnswer),
            ],
        );
        let lines: Vec<String> = rows.iter().map(|r| serde_json::to_string(r).unwrap()).collect();
        assert_eq!(
            lines[0],
            "{\"time\":\"2023-11-14T22:13:20.123Z\",\"ms\":1700000000123,\"clock\":\"set\",\
             \"class\":\"normal\",\"position\":41,\"id\":\"5f3a-n-41\",\
             \"topic\":\"works/edge/press/oil\",\"device\":\"press\",\"tag\":\"oil\",\"unit\":\"°C\",\
             \"value\":82.5,\"quality\":\"good\"}"
        );
        assert!(
            lines[1].ends_with("\"value\":18446744073709551615,\"quality\":\"uncertain:clamped\"}")
        );
        assert!(
            lines[2].ends_with("\"value\":null,\"quality\":\"bad:no-answer\"}"),
            "{}",
            lines[2]
        );
        let back: Vec<Row> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(back, rows);
    }

    #[test]
    fn values_keep_all_their_bits() {
        for (value, text) in [
            (Value::I64(i64::MIN), "-9223372036854775808"),
            (Value::I64(9_007_199_254_740_993), "9007199254740993"),
            (Value::F64(0.1 + 0.2), "0.30000000000000004"),
            (Value::F64(-0.0), "-0.0"),
            (Value::F64(12.0), "12.0"),
            (Value::F64(5e-324), "5e-324"),
            (Value::F64(f64::MAX), "1.7976931348623157e+308"),
            (Value::Bool(true), "true"),
            (Value::Text("a \"b\"\n".into()), "\"a \\\"b\\\"\\n\""),
            (Value::Bytes(vec![0, 255].into()), "\"00ff\""),
            (Value::List(vec![Value::U64(1), Value::F64(0.5)].into()), "[1,0.5]"),
        ] {
            let shown = json(&value);
            assert_eq!(shown.to_string(), text);
            if let Value::F64(number) = value {
                assert_eq!(text.parse::<f64>().unwrap().to_bits(), number.to_bits());
                let back: Json = serde_json::from_str(text).unwrap();
                assert_eq!(back.as_f64().unwrap().to_bits(), number.to_bits());
            }
        }
    }

    #[test]
    fn doubtful_and_unknown_times_and_tags_are_said() {
        let reading = Reading::good(TagId(7), Mono(5), Value::Bool(true));
        let unset = &rows(2, vec![reading.clone()])[0];
        assert_eq!((&*unset.clock, unset.ms), ("not-set", Some(1_700_000_000_005)));
        assert_eq!((&unset.topic, unset.tag.as_deref()), (&None, Some("unknown tag 7")));
        let late = Reading::good(TagId(7), Mono(100_000_000_000), Value::Bool(true));
        assert_eq!(rows(2, vec![late])[0].clock, "unconfirmed");
        let unknown = &rows(3, vec![reading])[0];
        assert_eq!((&*unknown.clock, unknown.ms, &unknown.time), ("unknown", None, &None));
    }

    #[test]
    fn messages_are_text_or_base64() {
        let message = |payload: &[u8]| Message {
            topic: TopicName::new("lan/x").unwrap(),
            payload: payload.into(),
            qos: Qos::AtLeastOnce,
            retain: true,
            at: Mono(0),
        };
        let row = |payload: &[u8]| {
            let body = Body::Message(message(payload));
            meanings().rows(Class::Alarm, &Entry { seq: Seq(3), boot: BootNo(1), body }).remove(0)
        };
        let text = serde_json::to_string(&row(b"on")).unwrap();
        let end =
            "\"id\":\"5f3a-a-3\",\"topic\":\"lan/x\",\"payload\":\"on\",\"qos\":1,\"retain\":true}";
        assert!(text.ends_with(end), "{text}");
        // The examples of RFC 4648, section 10, and bytes that are no text.
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (&[0xff, 0xfe], "//4="),
        ] {
            assert_eq!(base64(bytes), text);
        }
        assert_eq!(row(&[0xff, 0xfe]).payload_base64.as_deref(), Some("//4="));
    }

    #[test]
    fn filters_take_what_was_asked_for() {
        let row = &rows(1, vec![Reading::good(TagId(1), Mono(123), Value::Bool(true))])[0];
        let topics = |text| vec![TopicFilter::new(text).unwrap()];
        let all = Filter::default();
        assert!(all.takes(row));
        for (filter, taken) in [
            (Filter { topics: topics("works/+/press/#"), ..all.clone() }, true),
            (Filter { topics: topics("works/edge"), ..all.clone() }, false),
            (Filter { classes: vec![Class::Alarm], ..all.clone() }, false),
            (Filter { classes: vec![Class::Alarm, Class::Normal], ..all.clone() }, true),
            (Filter { from_ms: Some(1_700_000_000_123), ..all.clone() }, true),
            (Filter { from_ms: Some(1_700_000_000_124), ..all.clone() }, false),
            (Filter { to_ms: Some(1_700_000_000_123), ..all.clone() }, false),
            (Filter { to_ms: Some(1_700_000_000_124), ..all.clone() }, true),
        ] {
            assert_eq!(filter.takes(row), taken, "{filter:?}");
        }
    }
}
