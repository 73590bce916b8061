//! Payload forms: readings into messages, each form with its documented shape (`docs/payloads.md`).
//!
//! Holds for every form: the time is the one of the acquisition (a plain value alone has no place for
//! it); quality is left out when it is good; a value that is no number never becomes one; integers
//! keep all 64 bits; the reading's key is there, or follows from the one before it, wherever the form
//! has a place for it. Pure.

pub mod cbor;
mod group;
mod line;
mod plain;
mod senml;
mod template;
#[cfg(test)]
mod tests;
mod thingsboard;

use super::columnar::{self, Notation};
use super::json::{self, Key};
use crate::model::{Fault, Form, Name, Quality, Reading, TagId, TopicName, Value, Wall};

/// A reading with all that a message may say about it.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    reading: &'a Reading,
    pub wall: Wall,
    pub tag: &'a TagText,
    pub key: Key,
}

/// What messages say of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagText {
    /// Names the tag among all others that go the same way.
    pub topic: TopicName,
    pub device: Name,
    pub name: Name,
    /// Empty for none.
    pub unit: String,
}

impl<'a> Sample<'a> {
    pub fn new(reading: &'a Reading, wall: Wall, tag: &'a TagText, key: Key) -> Self {
        Self { reading, wall, tag, key }
    }

    pub fn reading(&self) -> &'a Reading {
        self.reading
    }

    /// The value; none where there is none, and where it is no number (which no reading should have:
    /// the registers' codec makes such a one a bad reading).
    pub fn value(&self) -> Option<&'a Value> {
        self.reading.value().filter(|value| is_finite(value))
    }

    /// What there is to say against it; `None` for a good one.
    pub fn flaw(&self) -> Option<Quality> {
        match (self.reading.quality(), self.value()) {
            (Quality::Good, Some(_)) => None,
            (Quality::Good | Quality::Uncertain(_), None) => {
                Some(Quality::Bad(Fault::NotAvailable))
            }
            (quality, _) => Some(quality),
        }
    }

    fn id(&self) -> TagId {
        self.reading.tag()
    }
}

fn is_finite(value: &Value) -> bool {
    match value {
        Value::F64(number) => number.is_finite(),
        Value::List(values) => values.iter().all(is_finite),
        _ => true,
    }
}

/// The payload of one reading in a form that holds one; those that hold more are built.
pub fn one(form: &Form, sample: &Sample<'_>, out: &mut Vec<u8>) {
    match form {
        Form::Plain => plain::put_sample(out, sample),
        Form::Template(wanted) => template::put_sample(out, wanted, sample),
        _ => {
            let Sample { reading, wall, tag, key } = sample;
            json::tag_live(out, reading, *wall, &tag.unit, Some(key));
        }
    }
}

/// A message that is being filled, in a form that holds more than one reading.
#[derive(Debug)]
pub struct Builder {
    /// Bounds the whole payload.
    bytes_max: usize,
    readings: usize,
    inside: Inside,
}

#[derive(Debug)]
enum Inside {
    Group(group::Group),
    Columnar(Box<columnar::Builder>),
    Line(line::Lines),
    Senml(senml::Pack),
    ThingsBoard(thingsboard::Telemetry),
}

/// What became of a reading that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    Taken,
    /// It was not taken: the message is full, or the reading does not belong into it.
    Full,
}

impl Builder {
    /// For readings of this key's epoch and class. `None` for a form that holds one reading.
    pub fn new(form: &Form, key: Key, bytes_max: usize) -> Option<Self> {
        let columns = |notation| {
            let builder = columnar::Builder::new(key.epoch, key.class, bytes_max, notation);
            Inside::Columnar(Box::new(builder))
        };
        let inside = match form {
            Form::Plain | Form::Tag | Form::Template(_) => return None,
            Form::Group => Inside::Group(group::Group::default()),
            Form::Columnar => columns(Notation::Json),
            Form::Cbor => columns(Notation::Cbor),
            Form::LineProtocol => Inside::Line(line::Lines::default()),
            Form::SenmlJson => Inside::Senml(senml::Pack::new(Notation::Json)),
            Form::SenmlCbor => Inside::Senml(senml::Pack::new(Notation::Cbor)),
            Form::ThingsBoard => Inside::ThingsBoard(thingsboard::Telemetry::default()),
        };
        Some(Self { bytes_max, readings: 0, inside })
    }

    /// Adds a reading. The first one is always taken, even if it is too large.
    pub fn push(&mut self, sample: &Sample<'_>) -> Pushed {
        let first = self.readings == 0;
        let bytes_max = if first { usize::MAX } else { self.bytes_max };
        let pushed = match &mut self.inside {
            Inside::Group(group) => group.push(sample, bytes_max),
            Inside::Columnar(builder) => {
                let (key, topic) = (sample.key, &sample.tag.topic);
                match builder.push(sample.reading, key.seq, sample.wall, topic) {
                    true => Pushed::Full,
                    false => Pushed::Taken,
                }
            }
            Inside::Line(lines) => lines.push(sample, bytes_max),
            Inside::Senml(pack) => pack.push(sample, bytes_max),
            Inside::ThingsBoard(telemetry) => telemetry.push(sample, bytes_max),
        };
        self.readings += usize::from(pushed == Pushed::Taken);
        pushed
    }

    /// Bytes of the payload if it were finished now.
    pub fn length(&self) -> usize {
        match &self.inside {
            Inside::Group(group) => group.length(),
            Inside::Columnar(builder) => builder.length(),
            Inside::Line(lines) => lines.length(),
            Inside::Senml(pack) => pack.length(),
            Inside::ThingsBoard(telemetry) => telemetry.length(),
        }
    }

    /// The payload; `None` if there is no reading in it.
    pub fn finish(self) -> Option<Vec<u8>> {
        if self.readings == 0 {
            return None;
        }
        match self.inside {
            Inside::Group(group) => Some(group.finish()),
            Inside::Columnar(builder) => builder.finish(),
            Inside::Line(lines) => Some(lines.finish()),
            Inside::Senml(pack) => Some(pack.finish()),
            Inside::ThingsBoard(telemetry) => Some(telemetry.finish()),
        }
    }
}
