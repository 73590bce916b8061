//! What was read from the store at once → data messages of the devices.
//!
//! Live readings that say nothing new (the value and quality that hosts have) are not sent: hosts
//! know that a value stands until it changes. What waited is sent whole, as historical. Invariant:
//! every row that comes in has a fate, and those that were sent or said are settled together, when
//! the broker has answered a ping that went behind them. Only the rows of a device whose birth the
//! broker does not take have none: they stay in the store.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::book::{Found, Place, Told};
use super::node::{Node, Now, Out};
use crate::model::{Class, Fault, Quality, Reading, Seq, TagId, TagMeta, TopicName};
use crate::store::{Body, BootNo, Entry};
use crate::uplink::lanes::Lane;
use crate::uplink::settling::{DeadReason, Fate};

/// Larger messages save nothing more.
const DATA_BYTES_MAX: usize = 64 * 1024;

/// Rows whose fate is known once the broker has all that went before.
#[derive(Debug, Default)]
pub struct Sent {
    pub rows: Vec<(Class, Fate, Range<Seq>)>,
    /// Notices that were told, by their ids.
    pub notices: Vec<i64>,
    pub messages: usize,
    pub bytes: usize,
}

/// What is asked of the store.
pub struct Asks<'a> {
    pub meta: &'a dyn Fn(TagId) -> Option<Arc<TagMeta>>,
    pub is_sent: &'a dyn Fn(&TopicName) -> bool,
}

/// A message that is being filled.
#[derive(Default)]
struct Open {
    /// Time and bytes of each metric.
    metrics: Vec<(u64, Vec<u8>)>,
    bytes: usize,
    /// Two values of one metric in a message differ in their time.
    seen: HashSet<(u64, u64)>,
}

struct Filling<'a> {
    node: &'a mut Node,
    now: &'a Now<'a>,
    lane: Lane,
    /// By device, live before historical.
    open: BTreeMap<(usize, bool), Open>,
    fates: Vec<(Fate, Range<Seq>)>,
}

/// Sends entries that were read for this lane.
pub fn take(
    node: &mut Node,
    (class, lane): (Class, Lane),
    entries: &[Entry],
    asks: &Asks<'_>,
    now: &Now<'_>,
) -> Sent {
    let (messages, bytes) = weight(node);
    let rows = rows(entries);
    // New metrics are announced before anything of them goes out.
    let found: Vec<Found> = rows
        .iter()
        .map(|(_, _, reading)| match reading {
            None => Found::Unwanted,
            Some(reading) => {
                let id = reading.tag();
                node.book.find(id, reading.value(), || (asks.meta)(id), asks.is_sent)
            }
        })
        .collect();
    if node.book.is_changed {
        node.births(now);
    }
    let mut filling = Filling { node, now, lane, open: BTreeMap::new(), fates: Vec::new() };
    for ((seq, boot, reading), found) in rows.into_iter().zip(found) {
        let fate = match (reading, found) {
            (Some(reading), Found::Metric(place)) => filling.reading(place, boot, reading),
            (_, Found::Nothing) => Some(Fate::Dead(DeadReason::UnknownTag)),
            _ => Some(Fate::Excluded),
        };
        if let Some(fate) = fate {
            filling.fate(fate, seq);
        }
    }
    let keys: Vec<_> = filling.open.keys().copied().collect();
    for key in keys {
        filling.flush(key);
    }
    let rows = filling.fates.into_iter().map(|(fate, range)| (class, fate, range)).collect();
    let (after, bytes_after) = weight(node);
    Sent { rows, notices: Vec::new(), messages: after - messages, bytes: bytes_after - bytes }
}

/// Messages and bytes in the outbox.
pub fn weight(node: &Node) -> (usize, usize) {
    (node.outbox.len(), node.outbox.iter().map(Out::bytes).sum())
}

/// Every row by itself; `None` for what is no reading.
fn rows(entries: &[Entry]) -> Vec<(Seq, BootNo, Option<&Reading>)> {
    let mut rows = Vec::new();
    for entry in entries {
        match &entry.body {
            Body::Readings(readings) => {
                let mut seq = entry.seq;
                for reading in readings {
                    rows.push((seq, entry.boot, Some(reading)));
                    seq = seq.plus(1);
                }
            }
            Body::Message(_) => rows.push((entry.seq, entry.boot, None)),
        }
    }
    rows
}

impl Filling<'_> {
    /// `None` leaves the row where it is.
    fn reading(&mut self, place: Place, boot: BootNo, reading: &Reading) -> Option<Fate> {
        if self.node.book.devices.get(place.device).is_some_and(|device| device.is_too_large) {
            return None;
        }
        let said = Some(Fate::Delivered(self.now.times.version));
        let excluded = Some(Fate::Excluded);
        let timestamp = u64::try_from(self.now.times.wall(boot, reading.at()).0).unwrap_or(0);
        let told = Told {
            boot,
            at: reading.at(),
            timestamp,
            value: reading.value().cloned(),
            quality: reading.quality(),
        };
        let Some(tag) = self.node.book.tag_mut(place) else { return excluded };
        // What waited has its place before what hosts know; what is newer than that is live,
        // whenever it was appended.
        let waited = self.lane == Lane::Backlog;
        let mut is_historical = match &tag.told {
            None => waited,
            Some(known) => match (boot, told.at).cmp(&(known.boot, known.at)) {
                Ordering::Less => true,
                Ordering::Equal if known.value == told.value => {
                    if !waited {
                        return said; // A birth has said it.
                    }
                    true
                }
                Ordering::Equal => waited,
                Ordering::Greater => {
                    if (&known.value, known.quality) == (&told.value, told.quality) {
                        return excluded; // It says nothing new.
                    }
                    false
                }
            },
        };
        if !is_historical {
            tag.told = Some(told.clone());
        }
        let Some(device) = self.node.book.devices.get_mut(place.device) else {
            return excluded;
        };
        if !is_historical {
            device.look();
            let is_lost = matches!(told.quality, Quality::Bad(Fault::NoAnswer | Fault::LinkDown));
            if !device.is_born && is_lost {
                // The death of the device has said so.
                return excluded;
            }
        }
        if !device.is_born {
            if !self.node.device_birth(place.device, self.now) {
                return None;
            }
            let known = self.node.book.tag(place).and_then(|tag| tag.told.as_ref());
            if !is_historical && known == Some(&told) {
                return said; // The birth has it.
            }
            // It has a newer one.
            is_historical = true;
        }
        self.metric(place, &told, is_historical).map_or_else(|why| Some(Fate::Dead(why)), |()| said)
    }

    /// Puts a metric into the message of its device.
    fn metric(&mut self, place: Place, told: &Told, is_historical: bool) -> Result<(), DeadReason> {
        let room = self.node.room(place.device);
        let Some(tag) = self.node.book.tag_mut(place) else { return Ok(()) };
        let metric = tag.data(told, is_historical);
        let mut bytes = Vec::new();
        metric.encode(tag.datatype, &mut bytes).map_err(|_| DeadReason::TooLarge)?;
        if bytes.len() > room {
            return Err(DeadReason::TooLarge);
        }
        let key = (place.device, is_historical);
        let same = (tag.alias, told.timestamp);
        let open = self.open.entry(key).or_default();
        if open.bytes + bytes.len() > room.min(DATA_BYTES_MAX) && open.bytes > 0
            || open.seen.contains(&same)
        {
            self.flush(key);
        }
        let open = self.open.entry(key).or_default();
        open.bytes += bytes.len();
        open.seen.insert(same);
        open.metrics.push((told.timestamp, bytes));
        Ok(())
    }

    /// Live metrics go in the order of their times, historical ones as they were appended.
    fn flush(&mut self, key: (usize, bool)) {
        let Some(mut open) = self.open.remove(&key).filter(|open| !open.metrics.is_empty()) else {
            return;
        };
        let (device, is_historical) = key;
        if !is_historical {
            open.metrics.sort_by_key(|(timestamp, _)| *timestamp);
        }
        let bytes: Vec<u8> = open.metrics.into_iter().flat_map(|(_, bytes)| bytes).collect();
        self.node.data(device, bytes);
    }

    fn fate(&mut self, fate: Fate, seq: Seq) {
        match self.fates.last_mut() {
            Some((last, range)) if *last == fate && range.end == seq => range.end = seq.plus(1),
            _ => self.fates.push((fate, seq..seq.plus(1))),
        }
    }
}
