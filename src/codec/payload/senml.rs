//! SenML (RFC 8428), in JSON and in CBOR: one pack of records.
//!
//! ```json
//! [{"bn":"plant/m1/","bt":1700000000,"n":"u","u":"V","v":231.42,"id":"5f3a-n-1042"},
//!  {"n":"i:q","vs":"bad:no-answer"}]
//! ```
//! The name is the tag's topic, its last level in `n`. SenML allows few characters in names: any other
//! goes as its code in hexadecimal between colons, as in `:d6:lstand`, and a name that would not begin
//! with a letter or digit gets `topic:` before it. `bt` and `t` are seconds. `id` is the key of a
//! reading; a record without one is of the next position. What is no good reading says so in `q`; one
//! without a value has the name `…:q` and the quality as its text, since a record must have a value. A
//! list is a record per element, `…:0`, `…:1`, each with the reading's key. Units are written as SenML's registry has them
//! where it has them. A receiver ignores labels that it does not know (RFC 8428, 4.4).

use super::{Pushed, Sample, cbor};
use crate::codec::columnar::Notation;
use crate::codec::json::{self, put};
use crate::model::{Seq, Value, Wall};

/// Labels of CBOR (RFC 8428, 6).
const CBOR_LABELS: [(&str, i64); 8] =
    [("bn", -2), ("bt", -3), ("n", 0), ("u", 1), ("v", 2), ("vs", 3), ("vb", 4), ("t", 6)];
const CBOR_DATA: i64 = 8;

/// Units whose names in the registry are others than those on type plates.
const UNITS: [(&str, &str); 7] = [
    ("°C", "Cel"),
    ("Ω", "Ohm"),
    ("Ohm", "Ohm"),
    ("m³", "m3"),
    ("m²", "m2"),
    ("m³/s", "m3/s"),
    ("°", "deg"),
];

#[derive(Debug)]
pub(super) struct Pack {
    notation: Notation,
    /// The records, without the brackets around them.
    records: Vec<u8>,
    count: usize,
    base: Base,
}

/// What the records behind it go on from.
#[derive(Debug, Default, Clone)]
struct Base {
    name: Option<String>,
    time: Option<Wall>,
    next: Option<Seq>,
}

impl Pack {
    pub(super) fn new(notation: Notation) -> Self {
        Self { notation, records: Vec::new(), count: 0, base: Base::default() }
    }

    pub(super) fn push(&mut self, sample: &Sample<'_>, bytes_max: usize) -> Pushed {
        let before = (self.records.len(), self.count, self.base.clone());
        let name = name(sample.tag.topic.as_str());
        match sample.value() {
            Some(Value::List(values)) => {
                for (index, value) in values.iter().enumerate() {
                    self.base.next = None;
                    self.record(sample, &format!("{name}:{index}"), Some(value));
                }
                self.base.next = None;
                if values.is_empty() {
                    self.record(sample, &name, Some(&Value::Text("".into())));
                }
            }
            Some(value) => self.record(sample, &name, Some(value)),
            None => self.record(sample, &format!("{name}:q"), None),
        }
        if self.length() > bytes_max {
            self.records.truncate(before.0);
            (self.count, self.base) = (before.1, before.2);
            return Pushed::Full;
        }
        Pushed::Taken
    }

    fn record(&mut self, sample: &Sample<'_>, name: &str, value: Option<&Value>) {
        let (base, last) = name.split_at(name.rfind('/').map_or(0, |at| at + 1));
        let mut record = Record::new(self.notation);
        if self.base.name.as_deref().unwrap_or_default() != base {
            record.text("bn", base);
            self.base.name = Some(base.to_owned());
        }
        let start = *self.base.time.get_or_insert_with(|| {
            record.seconds("bt", sample.wall.0);
            sample.wall
        });
        record.text("n", last);
        if start != sample.wall {
            record.seconds("t", sample.wall.0.saturating_sub(start.0));
        }
        let unit = unit(&sample.tag.unit);
        if !unit.is_empty() {
            record.text("u", unit);
        }
        let flaw = sample.flaw().map(|quality| quality.to_string());
        match value {
            Some(value) => record.value(value),
            None => record.text("vs", flaw.as_deref().unwrap_or_default()),
        }
        if let (Some(_), Some(flaw)) = (value, &flaw) {
            record.text("q", flaw);
        }
        if self.base.next != Some(sample.key.seq) {
            record.text("id", &sample.key.to_string());
        }
        self.base.next = Some(sample.key.seq.plus(1));
        if self.count > 0 && self.notation == Notation::Json {
            self.records.push(b',');
        }
        record.finish(&mut self.records);
        self.count += 1;
    }

    pub(super) fn length(&self) -> usize {
        let around = match self.notation {
            Notation::Json => 2,
            Notation::Cbor => {
                let mut head = Vec::new();
                cbor::put_array(&mut head, self.count);
                head.len()
            }
        };
        self.records.len() + around
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.length());
        match self.notation {
            Notation::Json => {
                out.push(b'[');
                out.extend_from_slice(&self.records);
                out.push(b']');
            }
            Notation::Cbor => {
                cbor::put_array(&mut out, self.count);
                out.extend_from_slice(&self.records);
            }
        }
        out
    }
}

/// One record on its way.
struct Record {
    notation: Notation,
    pairs: usize,
    out: Vec<u8>,
}

impl Record {
    fn new(notation: Notation) -> Self {
        Self { notation, pairs: 0, out: Vec::new() }
    }

    fn label(&mut self, label: &str) {
        match self.notation {
            Notation::Json => {
                let comma = if self.pairs > 0 { "," } else { "" };
                put(&mut self.out, format_args!("{comma}\"{label}\":"));
            }
            Notation::Cbor => match CBOR_LABELS.iter().find(|(name, _)| *name == label) {
                Some((_, number)) => cbor::put_signed(&mut self.out, *number),
                None => cbor::put_text(&mut self.out, label),
            },
        }
        self.pairs += 1;
    }

    fn text(&mut self, label: &str, text: &str) {
        self.label(label);
        match self.notation {
            Notation::Json => json::put_text(&mut self.out, text),
            Notation::Cbor => cbor::put_text(&mut self.out, text),
        }
    }

    /// Milliseconds, in seconds.
    fn seconds(&mut self, label: &str, millis: i64) {
        self.label(label);
        let (whole, rest) = (millis / 1000, millis % 1000);
        match self.notation {
            Notation::Json if rest == 0 => put(&mut self.out, format_args!("{whole}")),
            Notation::Json => {
                let sign = if millis < 0 { "-" } else { "" };
                let digits = format!("{:03}", rest.unsigned_abs());
                let digits = digits.trim_end_matches('0');
                put(&mut self.out, format_args!("{sign}{}.{digits}", whole.unsigned_abs()));
            }
            Notation::Cbor if rest == 0 => cbor::put_signed(&mut self.out, whole),
            Notation::Cbor => cbor::put_float(&mut self.out, seconds(millis)),
        }
    }

    fn value(&mut self, value: &Value) {
        let label = match value {
            Value::Bool(_) => "vb",
            Value::I64(_) | Value::U64(_) | Value::F64(_) => "v",
            Value::Text(_) => "vs",
            // No list holds lists.
            Value::Bytes(_) | Value::List(_) => "vd",
        };
        match (self.notation, value) {
            (Notation::Json, Value::Bytes(bytes)) => self.text(label, &base64url(bytes)),
            (Notation::Json, value) => {
                self.label(label);
                json::put_value(&mut self.out, value);
            }
            (Notation::Cbor, Value::Bytes(bytes)) => {
                cbor::put_signed(&mut self.out, CBOR_DATA);
                self.pairs += 1;
                cbor::put_bytes(&mut self.out, bytes);
            }
            (Notation::Cbor, value) => {
                self.label(label);
                cbor::put_value(&mut self.out, value);
            }
        }
    }

    fn finish(self, out: &mut Vec<u8>) {
        match self.notation {
            Notation::Json => {
                out.push(b'{');
                out.extend_from_slice(&self.out);
                out.push(b'}');
            }
            Notation::Cbor => {
                cbor::put_map(out, self.pairs);
                out.extend_from_slice(&self.out);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of any year fit 53 bits")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

/// A topic as a name that SenML allows (RFC 8428, 4.5.1).
fn name(topic: &str) -> String {
    let mut name = String::with_capacity(topic.len());
    if !topic.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        name.push_str("topic:");
    }
    for character in topic.chars() {
        match character {
            c if c.is_ascii_alphanumeric() => name.push(c),
            '-' | '.' | '/' | '_' => name.push(character),
            other => name.push_str(&format!(":{:x}:", u32::from(other))),
        }
    }
    name
}

fn unit(ours: &str) -> &str {
    UNITS.iter().find(|(plate, _)| *plate == ours).map_or(ours, |(_, name)| name)
}

/// RFC 4648, 5, without padding (RFC 8428, 5.1).
fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded.iter_mut().skip(1).zip(chunk).for_each(|(place, byte)| *place = *byte);
        let bits = u32::from_be_bytes(padded);
        for sixth in 0..=chunk.len() {
            let index = usize::try_from(bits >> (18 - 6 * sixth) & 63).unwrap_or(0);
            text.extend(LETTERS.get(index).copied().map(char::from));
        }
    }
    text
}
