//! InfluxDB line protocol: a line per device and moment.
//!
//! ```text
//! m1 :id="5f3a-n-1042",u=231.42,count=17i,p:q="bad:no-answer" 1700000000000000000
//! ```
//! The measurement is the device, a field is a tag, the time is in nanoseconds. `:id` is the key of the
//! line's first reading; the positions of those behind it count up by one. `NAME:q` says what is wrong
//! with a reading whose quality is not good; one without a value is that alone. Whole numbers end with
//! `i`, and with `u` where only an unsigned one can hold them; bytes are hex texts, and so that a field
//! keeps its type, a code that has no label is a text as the labels are; a list is a field
//! per element, `NAME:0`, `NAME:1` and so on. No name of ours has a colon, so nothing collides, nor
//! anything else that has to be escaped in a key. The protocol has no line break within a text: one
//! goes as the two characters `\n`.

use std::collections::HashSet;

use super::{Pushed, Sample};
use crate::codec::json::put;
use crate::model::{Doubt, Name, Quality, Seq, TagId, Value, Wall};

#[derive(Debug, Default)]
pub(super) struct Lines {
    out: Vec<u8>,
    line: Option<Line>,
    tags: HashSet<TagId>,
}

/// The line that is being filled.
#[derive(Debug, Clone)]
struct Line {
    device: Name,
    wall: Wall,
    /// The position that would continue it.
    next: Seq,
}

impl Lines {
    pub(super) fn push(&mut self, sample: &Sample<'_>, bytes_max: usize) -> Pushed {
        let before = (self.out.len(), self.line.clone());
        let continued = self.line.as_ref().is_some_and(|line| {
            line.device == sample.tag.device
                && line.wall == sample.wall
                && line.next == sample.key.seq
                && !self.tags.contains(&sample.id())
        });
        if !continued {
            self.end();
            self.begin(sample);
        }
        self.fields(sample);
        let next = sample.key.seq.plus(1);
        self.line = Some(Line { device: sample.tag.device.clone(), wall: sample.wall, next });
        if self.length() > bytes_max {
            self.out.truncate(before.0);
            self.line = before.1;
            return Pushed::Full;
        }
        if !continued {
            self.tags.clear();
        }
        self.tags.insert(sample.id());
        Pushed::Taken
    }

    fn begin(&mut self, sample: &Sample<'_>) {
        put(&mut self.out, format_args!("{} :id=\"{}\"", sample.tag.device, sample.key));
    }

    fn end(&mut self) {
        if let Some(line) = self.line.take() {
            put(&mut self.out, format_args!(" {}\n", Nanos(line.wall)));
        }
    }

    fn fields(&mut self, sample: &Sample<'_>) {
        let name = sample.tag.name.as_str();
        // InfluxDB refuses a line with a number where there was a text, all of it.
        let as_text = sample.reading().quality() == Quality::Uncertain(Doubt::UnknownLabel);
        match sample.value() {
            Some(Value::List(values)) => {
                for (index, value) in values.iter().enumerate() {
                    self.field(name, format_args!(":{index}"), value, as_text);
                }
            }
            Some(value) => self.field(name, format_args!(""), value, as_text),
            None => {}
        }
        if let Some(quality) = sample.flaw() {
            put(&mut self.out, format_args!(",{name}:q=\"{quality}\""));
        }
    }

    fn field(&mut self, name: &str, suffix: std::fmt::Arguments<'_>, value: &Value, as_text: bool) {
        let out = &mut self.out;
        put(out, format_args!(",{name}{suffix}="));
        match value {
            value if as_text => put_text(out, &value.to_string()),
            Value::Bool(on) => put(out, format_args!("{on}")),
            Value::I64(number) => put(out, format_args!("{number}i")),
            Value::U64(number) => {
                let kind = if i64::try_from(*number).is_ok() { 'i' } else { 'u' };
                put(out, format_args!("{number}{kind}"));
            }
            Value::F64(number) => put(out, format_args!("{number:?}")),
            Value::Text(text) => put_text(out, text),
            // No list holds lists.
            value @ (Value::Bytes(_) | Value::List(_)) => put_text(out, &value.to_string()),
        }
    }

    pub(super) fn length(&self) -> usize {
        let stamp = |line: &Line| Nanos(line.wall).to_string().len() + 2;
        self.out.len() + self.line.as_ref().map_or(0, stamp)
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.end();
        self.out
    }
}

/// A moment in nanoseconds.
struct Nanos(Wall);

impl std::fmt::Display for Nanos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", i128::from(self.0.0) * 1_000_000)
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' | '\\' => put(out, format_args!("\\{character}")),
            '\n' => out.extend_from_slice(b"\\\\n"),
            '\r' => out.extend_from_slice(b"\\\\r"),
            other => put(out, format_args!("{other}")),
        }
    }
    out.push(b'"');
}
