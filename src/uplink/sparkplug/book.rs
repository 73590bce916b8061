//! The metrics of an edge node: what they are called, and what the hosts were told of each.
//!
//! Every tag of the plan is a metric of its device. A reading that waited in the store may belong
//! to a tag that is no longer in the plan, or has another meaning now (another unit above all): it
//! becomes a metric of its own, so that nothing has to be thrown away, and a new birth announces
//! it. Invariants: an alias stands for one metric as long as the node lives; aliases are unique
//! over the node; no value goes under a unit that it was not read in.

use std::collections::HashMap;

use crate::codec::sparkplug::{DataType, Metric, Misfit, Property};
use crate::config::{SparkplugMetric, SparkplugPlan};
use crate::model::{Fault, Mono, Quality, TagId, TagMeta, TopicName, Value, ValueKind};
use crate::store::BootNo;

/// Metrics of tags that the plan does not have. A store keeps the tags of all its configurations.
const RETIRED_MAX: usize = 10_000;
/// The aliases of the node's own metrics; those of tags follow.
pub const BD_SEQ_ALIAS: u64 = 1;
pub const NOTICES_ALIAS: u64 = 2;

/// Quality codes (Sparkplug 3.0, 6.4.11).
const GOOD: i32 = 192;
const BAD: i32 = 0;
const STALE: i32 = 500;

/// What hosts know of a metric in this session.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub boot: BootNo,
    pub at: Mono,
    /// Milliseconds since 1970.
    pub timestamp: u64,
    pub value: Option<Value>,
    pub quality: Quality,
}

impl Told {
    /// Whether the device itself is what is missing.
    fn is_lost(&self) -> bool {
        matches!(self.quality, Quality::Bad(Fault::NoAnswer | Fault::LinkDown))
    }
}

pub struct Tag {
    pub name: String,
    pub alias: u64,
    pub datatype: DataType,
    unit: String,
    /// Where it is read, for those of the plan.
    pub topic: Option<TopicName>,
    pub is_writable: bool,
    pub id: TagId,
    pub told: Option<Told>,
    /// What hosts know of it has a quality that is not good.
    doubted: bool,
    /// So had the value of the past that was sent last, if none of the present came after it.
    past_doubted: bool,
}

pub struct Device {
    pub name: String,
    /// Where commands for several of its tags come on this network, with `/set`.
    pub topic: Option<TopicName>,
    pub tags: Vec<Tag>,
    /// Hosts have its birth, and no death after it.
    pub is_born: bool,
    /// By what was read last.
    pub is_alive: bool,
    /// It was lost while it was watched, so that its death can't wait.
    pub was_lost: bool,
    /// Its birth is larger than the broker takes: what is read of it waits.
    pub is_too_large: bool,
}

/// Where a metric is: its device, and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    pub device: usize,
    pub tag: usize,
}

/// What a tag of the store is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Metric(Place),
    Unwanted,
    /// The store does not know it, or there are too many of them.
    Nothing,
}

pub struct Book {
    pub devices: Vec<Device>,
    by_topic: HashMap<TopicName, Place>,
    by_id: HashMap<TagId, Found>,
    next_alias: u64,
    retired: usize,
    /// There are metrics that no birth has announced.
    pub is_changed: bool,
}

impl Book {
    pub fn new(plan: &SparkplugPlan) -> Self {
        let mut book = Self {
            devices: Vec::new(),
            by_topic: HashMap::new(),
            by_id: HashMap::new(),
            next_alias: NOTICES_ALIAS + 1,
            retired: 0,
            is_changed: false,
        };
        for device in &plan.devices {
            let index = book.devices.len();
            let mut tags = Vec::with_capacity(device.metrics.len());
            for metric in &device.metrics {
                let place = Place { device: index, tag: tags.len() };
                book.by_topic.insert(metric.topic.clone(), place);
                tags.push(planned(metric, book.next_alias));
                book.next_alias += 1;
            }
            book.devices.push(Device {
                name: device.name.to_string(),
                topic: device.topic.clone(),
                tags,
                is_born: false,
                is_alive: true,
                was_lost: false,
                is_too_large: false,
            });
        }
        book
    }

    pub fn tag(&self, place: Place) -> Option<&Tag> {
        self.devices.get(place.device)?.tags.get(place.tag)
    }

    pub fn tag_mut(&mut self, place: Place) -> Option<&mut Tag> {
        self.devices.get_mut(place.device)?.tags.get_mut(place.tag)
    }

    /// The metric for a reading of this tag with this value. `meta` asks the store; `is_sent` says
    /// whether the uplink wants its topic.
    pub fn find(
        &mut self,
        id: TagId,
        value: Option<&Value>,
        meta: impl FnOnce() -> Option<std::sync::Arc<TagMeta>>,
        is_sent: impl FnOnce(&TopicName) -> bool,
    ) -> Found {
        let known = self.by_id.get(&id).copied();
        if let Some(found) = known {
            let Found::Metric(place) = found else { return found };
            let fits = self.tag(place).is_none_or(|tag| fits(tag.datatype, value));
            if fits {
                return found;
            }
        }
        let Some(meta) = meta() else { return Found::Nothing };
        let found = if !is_sent(&meta.topic) {
            Found::Unwanted
        } else {
            let planned = self.by_topic.get(&meta.topic).copied().filter(|_| known.is_none());
            let planned = planned.filter(|at| self.is_same(*at, id, &meta));
            let planned =
                planned.filter(|at| self.tag(*at).is_some_and(|tag| fits(tag.datatype, value)));
            match planned {
                Some(place) => Found::Metric(place),
                None => self.retired(id, &meta, value),
            }
        };
        self.by_id.insert(id, found);
        found
    }

    /// Whether what this tag of the store says is what the planned metric says. The topic alone does
    /// not tell: °F became °C under the same one.
    fn is_same(&self, place: Place, id: TagId, meta: &TagMeta) -> bool {
        let Some(device) = self.devices.get(place.device) else { return false };
        device.tags.get(place.tag).is_some_and(|tag| {
            let names = (device.name.as_str(), tag.name.as_str());
            tag.id == id
                || (names == (meta.device.as_str(), meta.name.as_str()) && tag.unit == meta.unit)
        })
    }

    /// A metric of its own for a tag that has no place in the plan.
    fn retired(&mut self, id: TagId, meta: &TagMeta, value: Option<&Value>) -> Found {
        if self.retired >= RETIRED_MAX {
            return Found::Nothing;
        }
        self.retired += 1;
        let named = |device: &Device| device.name == meta.device.as_str();
        let index = self.devices.iter().position(named).unwrap_or_else(|| {
            self.devices.push(Device {
                name: meta.device.to_string(),
                topic: None,
                tags: Vec::new(),
                is_born: false,
                is_alive: false,
                was_lost: false,
                is_too_large: false,
            });
            self.devices.len() - 1
        });
        let Some(device) = self.devices.get_mut(index) else { return Found::Nothing };
        let taken = |name: &str| device.tags.iter().any(|tag| tag.name == name);
        let mut name = meta.name.to_string();
        for number in 2.. {
            if !taken(&name) {
                break;
            }
            name = format!("{}~{number}", meta.name);
        }
        let place = Place { device: index, tag: device.tags.len() };
        device.tags.push(Tag {
            name,
            alias: self.next_alias,
            datatype: value.map_or(DataType::String, natural),
            unit: meta.unit.clone(),
            topic: None,
            is_writable: false,
            id,
            told: None,
            doubted: false,
            past_doubted: false,
        });
        self.next_alias += 1;
        self.is_changed = true;
        Found::Metric(place)
    }

    /// The metric of a device that a command names.
    pub fn named(&self, device: &str, name: Option<&str>, alias: Option<u64>) -> Option<&Tag> {
        let device = self.devices.iter().find(|known| known.name == device)?;
        device.tags.iter().find(|tag| match (alias, name) {
            (Some(alias), _) => tag.alias == alias,
            (None, Some(name)) => tag.name == name,
            (None, None) => false,
        })
    }

    /// Forgets what hosts know: a session begins.
    pub fn forget(&mut self) {
        for device in &mut self.devices {
            (device.is_born, device.was_lost, device.is_too_large) = (false, false, false);
            for tag in &mut device.tags {
                (tag.told, tag.doubted, tag.past_doubted) = (None, false, false);
            }
            device.is_alive = device.tags.iter().any(|tag| tag.topic.is_some());
        }
    }
}

impl Device {
    /// The broker does not take its birth: hosts know nothing of it.
    pub fn refuse_birth(&mut self) {
        self.is_too_large = true;
        for tag in &mut self.tags {
            tag.told = None;
        }
    }

    /// Looks again whether it is there: lost is a device of which nothing is known but that.
    pub fn look(&mut self) {
        let mut told = self.tags.iter().filter_map(|tag| tag.told.as_ref()).peekable();
        if told.peek().is_none() {
            return;
        }
        let is_alive = !told.all(Told::is_lost);
        self.was_lost |= self.is_alive && !is_alive;
        self.was_lost &= !is_alive;
        self.is_alive = is_alive;
    }
}

impl Tag {
    /// As it stands in a birth.
    pub fn birth(&self, now: u64) -> Metric {
        let told = self.told.as_ref();
        let mut properties = Vec::new();
        if !self.unit.is_empty() {
            properties.push(("engUnit", Property::Text(self.unit.clone())));
        }
        properties
            .push(("Quality", Property::Int32(told.map_or(STALE, |told| code(told.quality)))));
        if let Some(told) = told.filter(|told| told.quality != Quality::Good) {
            properties.push(("Reason", Property::Text(told.quality.to_string())));
        }
        Metric {
            name: Some(self.name.clone()),
            alias: Some(self.alias),
            timestamp: Some(told.map_or(now, |told| told.timestamp)),
            datatype: Some(self.datatype),
            is_historical: false,
            value: told.and_then(|told| told.value.clone()),
            properties,
        }
    }

    /// As data. The quality is said when it is not good, and once when it is good again. Some hosts
    /// remember one quality of a metric, some that of the present only: what waited neither takes
    /// back what is wrong now, nor is taken for it.
    pub fn data(&mut self, told: &Told, is_historical: bool) -> Metric {
        let is_good = told.quality == Quality::Good;
        let mut properties = Vec::new();
        if !is_good || self.doubted || self.past_doubted {
            properties.push(("Quality", Property::Int32(code(told.quality))));
        }
        if !is_good {
            properties.push(("Reason", Property::Text(told.quality.to_string())));
        }
        if !is_historical {
            self.doubted = !is_good;
        }
        self.past_doubted = is_historical && !is_good;
        Metric {
            name: None,
            alias: Some(self.alias),
            timestamp: Some(told.timestamp),
            datatype: None,
            is_historical,
            value: told.value.clone(),
            properties,
        }
    }

    /// A birth was made of it.
    pub fn was_born(&mut self) {
        self.doubted = self.told.as_ref().is_none_or(|told| told.quality != Quality::Good);
        self.past_doubted = false;
    }
}

/// A device that does not answer leaves values that were true once: stale. A doubtful value goes
/// with the code for bad, since there is none between good and bad, and with its reason.
fn code(quality: Quality) -> i32 {
    match quality {
        Quality::Good => GOOD,
        Quality::Bad(Fault::NoAnswer | Fault::LinkDown) => STALE,
        Quality::Uncertain(_) | Quality::Bad(_) => BAD,
    }
}

fn planned(metric: &SparkplugMetric, alias: u64) -> Tag {
    Tag {
        name: metric.name.to_string(),
        alias,
        datatype: datatype(metric.kind, metric.is_list),
        unit: metric.unit.clone(),
        topic: Some(metric.topic.clone()),
        is_writable: metric.is_writable,
        id: metric.tag,
        told: None,
        doubted: false,
        past_doubted: false,
    }
}

/// Always the widest: what a tag holds may be read differently tomorrow, and still fits.
fn datatype(kind: ValueKind, is_list: bool) -> DataType {
    match (kind, is_list) {
        (ValueKind::Bool, false) => DataType::Boolean,
        (ValueKind::Integer, false) => DataType::Int64,
        (ValueKind::Unsigned, false) => DataType::UInt64,
        (ValueKind::Real, false) => DataType::Double,
        (ValueKind::Text, false) => DataType::String,
        (ValueKind::Bytes, false) => DataType::Bytes,
        (ValueKind::Bool, true) => DataType::BooleanArray,
        (ValueKind::Integer, true) => DataType::Int64Array,
        (ValueKind::Unsigned, true) => DataType::UInt64Array,
        (ValueKind::Real, true) => DataType::DoubleArray,
        (ValueKind::Text | ValueKind::Bytes, true) => DataType::StringArray,
    }
}

/// What a value is by itself.
fn natural(value: &Value) -> DataType {
    match value {
        Value::List(list) => datatype(list.first().map_or(ValueKind::Text, kind), true),
        value => datatype(kind(value), false),
    }
}

fn kind(value: &Value) -> ValueKind {
    match value {
        Value::Bool(_) => ValueKind::Bool,
        Value::I64(_) => ValueKind::Integer,
        Value::U64(_) => ValueKind::Unsigned,
        Value::F64(_) => ValueKind::Real,
        Value::Text(_) | Value::List(_) => ValueKind::Text,
        Value::Bytes(_) => ValueKind::Bytes,
    }
}

fn fits(datatype: DataType, value: Option<&Value>) -> bool {
    value.is_none_or(|value| datatype.takes(value) != Err(Misfit))
}
