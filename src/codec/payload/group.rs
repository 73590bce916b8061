//! JSON per group: the readings of one device and one moment.
//!
//! ```json
//! {"ts":1700000000000,"device":"m1","id":"5f3a-n-1042","values":{"u":231.42,"i":null},
//!  "q":{"i":"bad:no-answer"}}
//! ```
//! `id` is the key of the first of `values`; they stand in the order of their positions, which count up
//! by one. Where some between them went elsewhere, `at` says how far each is from the first. `q` has
//! those whose quality is not good, and is left out when there are none. Units are not repeated.

use std::collections::HashSet;

use super::{Pushed, Sample};
use crate::codec::json::{Key, put, put_text, put_value};
use crate::model::{Name, TagId, Wall};

const VALUES: &[u8] = b",\"values\":{";
const FLAWS: &[u8] = b",\"q\":{";
const AT: &[u8] = b",\"at\":[";

#[derive(Debug, Default)]
pub(super) struct Group {
    moment: Option<(Name, Wall, Key)>,
    head: Vec<u8>,
    values: Vec<u8>,
    flaws: Vec<u8>,
    /// Offsets of the positions, and whether they are other than 0, 1, 2, …
    at: Vec<u8>,
    gaps: bool,
    tags: HashSet<TagId>,
}

impl Group {
    pub(super) fn push(&mut self, sample: &Sample<'_>, bytes_max: usize) -> Pushed {
        let first = match &self.moment {
            None => {
                let (device, wall, key) = (&sample.tag.device, sample.wall, sample.key);
                put(&mut self.head, format_args!("{{\"ts\":{},\"device\":", wall.0));
                put_text(&mut self.head, device.as_str());
                put(&mut self.head, format_args!(",\"id\":\"{key}\""));
                self.moment = Some((device.clone(), wall, key));
                key.seq.0
            }
            Some((device, wall, key)) => {
                let same = *device == sample.tag.device && *wall == sample.wall;
                if !same || self.tags.contains(&sample.id()) {
                    return Pushed::Full;
                }
                key.seq.0
            }
        };
        let before = (self.values.len(), self.flaws.len(), self.at.len(), self.gaps);
        let name = sample.tag.name.as_str();
        separated(&mut self.values);
        put_text(&mut self.values, name);
        self.values.push(b':');
        match sample.value() {
            Some(value) => put_value(&mut self.values, value),
            None => self.values.extend_from_slice(b"null"),
        }
        if let Some(quality) = sample.flaw() {
            separated(&mut self.flaws);
            put_text(&mut self.flaws, name);
            put(&mut self.flaws, format_args!(":\"{quality}\""));
        }
        let offset = sample.key.seq.0.saturating_sub(first);
        self.gaps |= usize::try_from(offset) != Ok(self.tags.len());
        separated(&mut self.at);
        put(&mut self.at, format_args!("{offset}"));
        if self.length() > bytes_max {
            self.values.truncate(before.0);
            self.flaws.truncate(before.1);
            self.at.truncate(before.2);
            self.gaps = before.3;
            return Pushed::Full;
        }
        self.tags.insert(sample.id());
        Pushed::Taken
    }

    pub(super) fn length(&self) -> usize {
        let part = |name: &[u8], content: &[u8]| name.len() + content.len() + 1;
        let flaws = if self.flaws.is_empty() { 0 } else { part(FLAWS, &self.flaws) };
        let at = if self.gaps { part(AT, &self.at) } else { 0 };
        self.head.len() + part(VALUES, &self.values) + flaws + at + 1
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.length());
        for part in [&self.head[..], VALUES, &self.values, b"}"] {
            out.extend_from_slice(part);
        }
        if !self.flaws.is_empty() {
            [FLAWS, &self.flaws, b"}"].iter().for_each(|part| out.extend_from_slice(part));
        }
        if self.gaps {
            [AT, &self.at, b"]"].iter().for_each(|part| out.extend_from_slice(part));
        }
        out.push(b'}');
        out
    }
}

fn separated(list: &mut Vec<u8>) {
    if !list.is_empty() {
        list.push(b',');
    }
}
