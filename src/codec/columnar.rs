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
//! The builder never exceeds its limit, but for a single reading that is larger by itself.

mod read;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use self::read::{Point, decode};
use super::json::{class_initial, put, put_text, put_value};
use crate::model::{Class, Quality, Reading, Seq, TagId, TopicName, Wall};

/// Tags without a reading that are still cheaper as nulls.
const NULLS_MAX: usize = 1;

/// What comes between and after the three parts.
const ROWS: &[u8] = b"],\"rows\":[";
const END: &[u8] = b"]]}";

/// Collects readings of one class into one message.
#[derive(Debug)]
pub struct Builder {
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
    pub fn new(epoch: u64, class: Class, bytes_max: usize) -> Self {
        let mut head = Vec::new();
        put(&mut head, format_args!("{{\"id\":\"{epoch:x}-{}\",\"ts\":", class_initial(class)));
        Self {
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
            put(&mut self.head, format_args!("{},\"tags\":[", wall.0));
        }
        let before = (self.tags.len(), self.rows.len());
        let (column, is_new) = self.column(reading.tag());
        if is_new {
            if column > 0 {
                self.tags.push(b',');
            }
            put_text(&mut self.tags, topic.as_str());
        }
        let continued =
            self.row.filter(|row| row.wall == wall && row.next == seq && row.column <= column);
        let free = match continued {
            Some(row) => row.column,
            None => {
                if self.row.is_some() {
                    self.rows.extend_from_slice(b"],");
                }
                let dt = wall.0.saturating_sub(self.base.0);
                put(&mut self.rows, format_args!("[{dt},{}", seq.0));
                0
            }
        };
        skip(&mut self.rows, column - free);
        element(&mut self.rows, reading);

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
        for part in [&self.head[..], &self.tags, ROWS, &self.rows, END] {
            out.extend_from_slice(part);
        }
        Some(out)
    }

    /// Bytes of the payload if it were finished now.
    pub fn length(&self) -> usize {
        self.head.len() + self.tags.len() + ROWS.len() + self.rows.len() + END.len()
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
