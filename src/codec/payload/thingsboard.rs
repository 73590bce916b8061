//! What ThingsBoard takes from a gateway on `v1/gateway/telemetry`.
//!
//! ```json
//! {"m1":[{"ts":1700000000000,"values":{"u":231.42,"i:q":"bad:no-answer"}}]}
//! ```
//! Devices, each with its moments, each with its values. `NAME:q` says what is wrong with a reading
//! whose quality is not good; one without a value is that alone, since ThingsBoard refuses null. There
//! is no place for keys that would not become a time series; a repetition has the same device, time and
//! name, and replaces itself.

use std::collections::{HashMap, HashSet};

use super::{Pushed, Sample};
use crate::codec::json::{put, put_text, put_value};
use crate::model::{Name, TagId, Wall};

const DEVICE_END: &[u8] = b"}}]";

#[derive(Debug, Default)]
pub(super) struct Telemetry {
    /// In the order in which they came.
    devices: Vec<Device>,
    index: HashMap<Name, usize>,
    bytes: usize,
}

/// The moments of one device: from its name up to the values of the last moment.
#[derive(Debug)]
struct Device {
    out: Vec<u8>,
    wall: Wall,
    /// The tags of the last moment.
    tags: HashSet<TagId>,
}

impl Telemetry {
    pub(super) fn push(&mut self, sample: &Sample<'_>, bytes_max: usize) -> Pushed {
        let known = self.index.get(&sample.tag.device).copied();
        let mut piece = Vec::new();
        let place = known.and_then(|at| self.devices.get_mut(at));
        let continued = match &place {
            None => {
                put_text(&mut piece, sample.tag.device.as_str());
                piece.extend_from_slice(b":[");
                false
            }
            Some(device) => {
                let same = device.wall == sample.wall && !device.tags.contains(&sample.id());
                piece.extend_from_slice(if same { b"," } else { b"}}," });
                same
            }
        };
        if !continued {
            put(&mut piece, format_args!("{{\"ts\":{},\"values\":{{", sample.wall.0));
        }
        put_reading(&mut piece, sample);
        let around = if place.is_none() { DEVICE_END.len() + 1 } else { 0 };
        if self.bytes + piece.len() + around + 2 > bytes_max {
            return Pushed::Full;
        }
        self.bytes += piece.len() + around;
        match place {
            Some(device) => {
                device.out.append(&mut piece);
                device.wall = sample.wall;
                if !continued {
                    device.tags.clear();
                }
                device.tags.insert(sample.id());
            }
            None => {
                self.index.insert(sample.tag.device.clone(), self.devices.len());
                let tags = HashSet::from([sample.id()]);
                self.devices.push(Device { out: piece, wall: sample.wall, tags });
            }
        }
        Pushed::Taken
    }

    /// With a comma for each device, one of which is not there.
    pub(super) fn length(&self) -> usize {
        self.bytes + 1
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.length());
        out.push(b'{');
        for (at, device) in self.devices.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&device.out);
            out.extend_from_slice(DEVICE_END);
        }
        out.push(b'}');
        out
    }
}

fn put_reading(out: &mut Vec<u8>, sample: &Sample<'_>) {
    let name = sample.tag.name.as_str();
    let value = sample.value();
    if let Some(value) = value {
        put_text(out, name);
        out.push(b':');
        put_value(out, value);
    }
    if let Some(quality) = sample.flaw() {
        if value.is_some() {
            out.push(b',');
        }
        put_text(out, &format!("{name}:q"));
        put(out, format_args!(":\"{quality}\""));
    }
}
