//! What a disk may hold when the power fails: made from the log of what was done to it.
//!
//! What was synced is there. Of what was written since, any part may be, in any order, and torn; a
//! sector that was being written may be lost with everything that was in it. What was written
//! before a *failed* sync may never get there, whatever later syncs say, since Linux takes it for
//! clean then. A file that was made has its name once it was synced. Renames are followed by a sync
//! of the directory before SQLite sees them, so they are there.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::Path;

use fastrand::Rng;

use crate::vfs::{FileId, Op};

/// A page of the page cache, and the sector that a write may take with it.
const BLOCK: usize = 4_096;

/// What becomes of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    Lost,
    Kept,
    /// Some writes are there, others are not, whatever their order.
    Some,
    /// Writes are there in parts: units of so many bytes; with 1, up to any byte.
    Torn(usize),
    /// Some writes took the whole block around them with them.
    Trashed,
}

impl Cut {
    pub const ALL: [Self; 7] = [
        Self::Lost,
        Self::Kept,
        Self::Some,
        Self::Torn(1),
        Self::Torn(512),
        Self::Torn(4_096),
        Self::Trashed,
    ];
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Not synced yet.
    Open,
    /// Synced, but after something that may be lost.
    Sure,
    /// Its sync failed.
    Orphan,
}

#[derive(Debug, Clone, Default)]
struct Content {
    sure: Vec<u8>,
    later: Vec<(Change, Fate)>,
    /// Whether its name is sure to be there.
    linked: bool,
}

/// Goes along a log and can tell at any place what may be there.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    contents: Vec<Content>,
    ids: HashMap<FileId, usize>,
    names: BTreeMap<String, usize>,
}

/// What is found after the power came back: names and contents.
pub type Image = Vec<(String, Vec<u8>)>;

impl Replay {
    /// Begins with what was there, all of it sure.
    pub fn from(image: &Image) -> Self {
        let mut replay = Self::default();
        for (name, bytes) in image {
            replay.names.insert(name.clone(), replay.contents.len());
            replay.contents.push(Content {
                sure: bytes.clone(),
                linked: true,
                ..Content::default()
            });
        }
        replay
    }

    pub fn advance(&mut self, op: &Op) {
        match op {
            Op::Open { file, name, created } => {
                let known = self.names.get(name).copied().filter(|_| !created);
                let index = known.unwrap_or_else(|| {
                    self.contents.push(Content::default());
                    self.contents.len() - 1
                });
                self.ids.insert(*file, index);
                self.names.insert(name.clone(), index);
            }
            Op::Renamed { from, to } => {
                if let Some(index) = self.names.remove(from) {
                    self.contents[index].linked = true;
                    self.names.insert(to.clone(), index);
                }
            }
            Op::Foreign { file, bytes } => {
                let content = &mut self.contents[self.ids[file]];
                *content = Content { sure: bytes.clone(), later: Vec::new(), linked: true };
            }
            Op::Gone { name } | Op::Delete { name } => {
                self.names.remove(name);
            }
            Op::Write { file, offset, bytes } => {
                let change = Change::Write(*offset, bytes.clone());
                self.contents[self.ids[file]].later.push((change, Fate::Open));
            }
            Op::Truncate { file, size } => {
                let change = Change::Truncate(*size);
                self.contents[self.ids[file]].later.push((change, Fate::Open));
            }
            Op::Sync { file, kept } => self.contents[self.ids[file]].synced(*kept),
        }
    }

    /// Whether the next image depends on what becomes of anything.
    pub fn is_open(&self) -> bool {
        self.names.values().any(|index| {
            let content = &self.contents[*index];
            !content.linked || !content.later.is_empty()
        })
    }

    pub fn image(&self, cut: Cut, rng: &mut Rng) -> Image {
        let mut image = Image::new();
        for (name, index) in &self.names {
            let content = &self.contents[*index];
            let there = content.linked
                || match cut {
                    Cut::Lost => false,
                    Cut::Kept => true,
                    _ => rng.bool(),
                };
            if there {
                image.push((name.clone(), content.after(cut, rng)));
            }
        }
        image
    }
}

impl Content {
    fn synced(&mut self, kept: bool) {
        for (_, fate) in self.later.iter_mut().filter(|(_, fate)| *fate == Fate::Open) {
            *fate = if kept { Fate::Sure } else { Fate::Orphan };
        }
        let sure = self.later.iter().take_while(|(_, fate)| *fate == Fate::Sure).count();
        for (change, _) in self.later.drain(..sure) {
            change.apply(&mut self.sure);
        }
        self.linked |= kept;
    }

    /// What is there of it.
    fn after(&self, cut: Cut, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = self.sure.clone();
        for (change, fate) in &self.later {
            match (fate, cut) {
                (Fate::Sure, _) | (_, Cut::Kept) => change.apply(&mut bytes),
                (_, Cut::Lost) => {}
                (Fate::Orphan, _) | (_, Cut::Some) => {
                    if rng.bool() {
                        change.apply(&mut bytes);
                    }
                }
                (Fate::Open, Cut::Torn(unit)) => change.tear(&mut bytes, unit, rng),
                (Fate::Open, Cut::Trashed) => match rng.u8(..3) {
                    0 => {}
                    1 => change.apply(&mut bytes),
                    _ => change.trash(&mut bytes, rng),
                },
            }
        }
        bytes
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, new) => put(bytes, *offset, new),
            Self::Truncate(size) => bytes.truncate(*size),
        }
    }

    fn tear(&self, bytes: &mut Vec<u8>, unit: usize, rng: &mut Rng) {
        let Self::Write(offset, new) = self else {
            if rng.bool() {
                self.apply(bytes);
            }
            return;
        };
        if unit == 1 {
            return put(bytes, *offset, &new[..rng.usize(..=new.len())]);
        }
        let mut at = 0;
        while at < new.len() {
            let end = new.len().min(at + unit - (offset + at) % unit);
            if rng.bool() {
                put(bytes, offset + at, &new[at..end]);
            }
            at = end;
        }
    }

    fn trash(&self, bytes: &mut Vec<u8>, rng: &mut Rng) {
        self.apply(bytes);
        let Self::Write(offset, new) = self else { return };
        let from = offset / BLOCK * BLOCK;
        let to = (offset + new.len()).div_ceil(BLOCK) * BLOCK;
        let to = to.min(bytes.len());
        rng.fill(&mut bytes[from..to]);
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, new: &[u8]) {
    if bytes.len() < offset + new.len() {
        bytes.resize(offset + new.len(), 0);
    }
    bytes[offset..offset + new.len()].copy_from_slice(new);
}

/// Writes an image into a directory.
pub fn write(image: &Image, dir: &Path) {
    for (name, bytes) in image {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(path).unwrap().write_all(bytes).unwrap();
    }
}
