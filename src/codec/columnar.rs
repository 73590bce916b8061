//! Backlog payloads: many readings in one columnar JSON message.
//!
//! ```json
//! {"id":"5f3a-n","ts":1700000000000,"tags":["plant/m1/u","plant/m1/i"],
//!  "rows":[[0,1042,231.42,5],[1000,1044,{"q":"bad:no-answer"},5]]}
//! ```
//! A row is readings of one moment whose positions are consecutive, in the order of `tags`:
//! milliseconds after `ts`, the position of the row's first reading, then one element per tag.
//! An element is a value; `{"q":…}` or `{"v":…,"q":…}` where the quality is not good; `null` for a
//! tag without a reading here, which takes no position; `{"n":8}` for eight such tags.
//! Elements missing at the end are such tags as well. Reading k of a row has the key
//! `<id>-<position + k>`, the same as when it was published live.
//!
//! In CBOR it is the same map, with the tags, the rows and each row as arrays of indefinite length.
//!
//! The builder never exceeds its limit, but for a single reading that is larger by itself.

mod read;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use self::read::{Point, decode};
use super::json::{class_initial, put, put_text, put_value};
use super::payload::cbor;
use crate::model::{Class, Quality, Reading, Seq, TagId, TopicName, Wall};

/// Tags without a reading that are still cheaper as nulls.
const NULLS_MAX: usize = 1;

/// What a message is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    Json,
    Cbor,
}

impl Notation {
    /// Between tags and rows.
    fn rows(self) -> &'static [u8] {
        match self {
            Self::Json => b"],\"rows\":[",
            Self::Cbor => b"\xFF\x64rows\x9F",
        }
    }

    /// Behind the last element.
    fn end(self) -> &'static [u8] {
        match self {
            Self::Json => b"]]}",
            Self::Cbor => b"\xFF\xFF",
        }
    }
}

/// Collects readings of one class into one message.
#[derive(Debug)]
pub struct Builder {
    notation: Notation,
    bytes_max: usize,
    /// Up to and including `"tags":[`; complete with the first reading.
    head: Vec<u8>,
    tags: Vec<u8>,
    rows: Vec<u8>,
    /// The tags by column, and the column by tag.
    columns: Vec<TagId>,
    column_of: HashMap<TagId, usize>,
    base: Wall,
    row: Option<Row>,
    readings: usize,
}

/// The row that is being filled.
#[derive(Debug, Clone, Copy)]
struct Row {
    wall: Wall,
    /// The position that would continue it.
    next: Seq,
    /// The first column that is still free.
    column: usize,
}

impl Builder {
    /// `bytes_max` bounds the whole payload.
    pub fn new(epoch: u64, class: Class, bytes_max: usize, notation: Notation) -> Self {
        let mut head = Vec::new();
        let id = format!("{epoch:x}-{}", class_initial(class));
        match notation {
            Notation::Json => put(&mut head, format_args!("{{\"id\":\"{id}\",\"ts\":")),
            Notation::Cbor => {
                cbor::put_map(&mut head, 4);
                ["id", &id, "ts"].iter().for_each(|text| cbor::put_text(&mut head, text));
            }
        }
        Self {
            notation,
            bytes_max,
            head,
            tags: Vec::new(),
            rows: Vec::new(),
            columns: Vec::new(),
            column_of: HashMap::new(),
            base: Wall(0),
            row: None,
            readings: 0,
        }
    }

    /// Readings taken so far.
    pub fn readings(&self) -> usize {
        self.readings
    }

    /// Adds a reading. `true` says that the message is full and the reading was *not* taken;
    /// the first one is always taken.
    pub fn push(&mut self, reading: &Reading, seq: Seq, wall: Wall, topic: &TopicName) -> bool {
        if self.readings == 0 {
            self.base = wall;
            self.begin(wall);
        }
        let before = (self.tags.len(), self.rows.len());
        let (column, is_new) = self.column(reading.tag());
        if is_new {
            self.name(topic);
        }
        let continued =
            self.row.filter(|row| row.wall == wall && row.next == seq && row.column <= column);
        let free = match continued {
            Some(row) => row.column,
            None => {
                self.open_row(wall, seq);
                0
            }
        };
        match self.notation {
            Notation::Json => {
                skip(&mut self.rows, column - free);
                element(&mut self.rows, reading);
            }
            Notation::Cbor => {
                skip_cbor(&mut self.rows, column - free);
                element_cbor(&mut self.rows, reading);
            }
        }

        if self.readings > 0 && self.length() > self.bytes_max {
            self.tags.truncate(before.0);
            self.rows.truncate(before.1);
            return true;
        }
        if is_new {
            self.columns.push(reading.tag());
            self.column_of.insert(reading.tag(), column);
        }
        self.row = Some(Row { wall, next: seq.plus(1), column: column + 1 });
        self.readings += 1;
        false
    }

    /// The payload; `None` if there is no reading in it.
    pub fn finish(self) -> Option<Vec<u8>> {
        if self.readings == 0 {
            return None;
        }
        let mut out = Vec::with_capacity(self.length());
        for part in
            [&self.head[..], &self.tags, self.notation.rows(), &self.rows, self.notation.end()]
        {
            out.extend_from_slice(part);
        }
        Some(out)
    }

    /// Bytes of the payload if it were finished now.
    pub fn length(&self) -> usize {
        let around = self.head.len() + self.notation.rows().len() + self.notation.end().len();
        around + self.tags.len() + self.rows.len()
    }

    /// The time that the rows count from, and the beginning of the tags.
    fn begin(&mut self, wall: Wall) {
        match self.notation {
            Notation::Json => put(&mut self.head, format_args!("{},\"tags\":[", wall.0)),
            Notation::Cbor => {
                cbor::put_signed(&mut self.head, wall.0);
                cbor::put_text(&mut self.head, "tags");
                self.head.push(cbor::ARRAY_OPEN);
            }
        }
    }

    fn name(&mut self, topic: &TopicName) {
        match self.notation {
            Notation::Json => {
                if !self.tags.is_empty() {
                    self.tags.push(b',');
                }
                put_text(&mut self.tags, topic.as_str());
            }
            Notation::Cbor => cbor::put_text(&mut self.tags, topic.as_str()),
        }
    }

    /// Ends the row before, if there is one.
    fn open_row(&mut self, wall: Wall, seq: Seq) {
        let dt = wall.0.saturating_sub(self.base.0);
        let follows = self.row.is_some();
        match self.notation {
            Notation::Json => {
                let end = if follows { "]," } else { "" };
                put(&mut self.rows, format_args!("{end}[{dt},{}", seq.0));
            }
            Notation::Cbor => {
                if follows {
                    self.rows.push(cbor::BREAK);
                }
                self.rows.push(cbor::ARRAY_OPEN);
                cbor::put_signed(&mut self.rows, dt);
                cbor::put_unsigned(&mut self.rows, seq.0);
            }
        }
    }

    /// The tag's column, and whether it is a new one.
    fn column(&self, tag: TagId) -> (usize, bool) {
        // Mostly the tags come in the same order as last time.
        let expected = self.row.map_or(0, |row| row.column);
        for guess in [expected, 0] {
            if self.columns.get(guess) == Some(&tag) {
                return (guess, false);
            }
        }
        match self.column_of.get(&tag) {
            Some(column) => (*column, false),
            None => (self.columns.len(), true),
        }
    }
}

fn skip(out: &mut Vec<u8>, columns: usize) {
    if columns > NULLS_MAX {
        put(out, format_args!(",{{\"n\":{columns}}}"));
    } else {
        (0..columns).for_each(|_| out.extend_from_slice(b",null"));
    }
}

fn element(out: &mut Vec<u8>, reading: &Reading) {
    out.push(b',');
    let quality = reading.quality();
    match (reading.value(), quality) {
        (Some(value), Quality::Good) => put_value(out, value),
        (Some(value), _) => {
            out.extend_from_slice(b"{\"v\":");
            put_value(out, value);
            put(out, format_args!(",\"q\":\"{quality}\"}}"));
        }
        (None, _) => put(out, format_args!("{{\"q\":\"{quality}\"}}")),
    }
}

fn skip_cbor(out: &mut Vec<u8>, columns: usize) {
    if columns > NULLS_MAX {
        cbor::put_map(out, 1);
        cbor::put_text(out, "n");
        cbor::put_unsigned(out, u64::try_from(columns).unwrap_or(u64::MAX));
    } else {
        out.extend(std::iter::repeat_n(cbor::NULL, columns));
    }
}

fn element_cbor(out: &mut Vec<u8>, reading: &Reading) {
    let quality = reading.quality();
    match (reading.value(), quality) {
        (Some(value), Quality::Good) => cbor::put_value(out, value),
        (value, _) => {
            cbor::put_map(out, if value.is_some() { 2 } else { 1 });
            if let Some(value) = value {
                cbor::put_text(out, "v");
                cbor::put_value(out, value);
            }
            cbor::put_text(out, "q");
            cbor::put_text(out, &quality.to_string());
        }
    }
}
