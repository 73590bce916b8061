//! Devices: whose bus they are on, how they are asked, and their tags.

use std::collections::HashMap;
use std::time::Duration;

use super::bus::Drafts;
use super::{sensor, tag, too_many};
use crate::config::defaults::{
    BITS_MAX, DEVICES_MAX, EVERY, EVERY_RANGE, REGISTERS_MAX, TAGS_MAX, TIMEOUT, TIMEOUT_RANGE,
    TURNAROUND, UNIT_TCP, WRITE_EXPIRES, WRITE_EXPIRES_RANGE,
};
use crate::config::keys;
use crate::config::kinds;
use crate::config::link::SensorLink;
use crate::config::plan::{BrokerLimits, BusPlan, DevicePlan, Gateway};
use crate::config::problem::{Complaint, Findings, Spot, closest};
use crate::config::section::{Field, Section};
use crate::config::template::Template;
use crate::config::values::{self, quoted};
use crate::config::write_rule::WriteWith;
use crate::model::{Name, Order};

/// Functions that write, by their number.
const WRITE_WITH: [(&str, WriteWith); 3] =
    [("6", WriteWith::Six), ("16", WriteWith::Sixteen), ("23", WriteWith::TwentyThree)];

/// What a device on a serial bus may say.
const SENSOR_KEYS: [&str; 2] = ["bus", "tags"];

/// What holds for all devices.
pub(super) struct Scope<'a> {
    pub gateway: &'a Gateway,
    pub template: &'a Template,
    pub limits: Option<&'a BrokerLimits>,
}

/// What a device hands down to its tags.
pub(super) struct Inherited<'a> {
    pub scope: &'a Scope<'a>,
    pub bus: Option<&'a Name>,
    pub device: &'a Name,
    pub every: Duration,
    pub order: Order,
    pub registers_max: u16,
    pub bits_max: u16,
    /// `None` on a Modbus line.
    pub sensor: Option<&'a SensorLink>,
    /// Whether the link of the bus is the one that was written.
    pub sound: bool,
    pub write_with: WriteWith,
    /// How long commands are valid that don't say so themselves.
    pub write_expires: Duration,
    /// Whether it is everybody on its line, whom nobody answers for.
    pub broadcast: bool,
}

/// Where buses, devices and tags stand, by the names they have in the plan.
#[derive(Default)]
pub(super) struct Places {
    pub devices: HashMap<Name, Spot>,
    pub tags: HashMap<(Name, Name), tag::TagSpots>,
    /// Without those whose link is wrong.
    pub buses: HashMap<Name, Spot>,
}

/// Puts every device on its bus.
pub(super) fn check(
    root: &Section<'_>,
    scope: &Scope<'_>,
    buses: &mut Drafts,
    out: &mut Findings,
) -> Places {
    let mut places = Places::default();
    let sound = buses.all.iter().filter(|bus| bus.sound);
    places.buses.extend(sound.map(|bus| (bus.plan.name.clone(), bus.spot.clone())));
    let Some(field) = root.get("devices") else {
        return places;
    };
    let named = field.named(out);
    too_many("devices", named.len(), DEVICES_MAX, &field.key_spot(), out);
    for (name, field) in named {
        places.devices.insert(name.clone(), field.key_spot());
        let errors = out.errors();
        let (plan, bus) = device(name, &field, scope, buses, &mut places, out);
        let sound = out.errors() == errors;
        if let Some(bus) = bus.and_then(|i| buses.all.get_mut(i)) {
            if sound {
                shared_unit(&bus.plan, &plan, &field, &places, out);
            }
            bus.plan.devices.push(plan);
        }
    }
    too_many("tags", places.tags.len(), TAGS_MAX, &field.key_spot(), out);
    places
}

fn device(
    name: Name,
    field: &Field<'_>,
    scope: &Scope<'_>,
    buses: &Drafts,
    places: &mut Places,
    out: &mut Findings,
) -> (DevicePlan, Option<usize>) {
    let section = field.section(&keys::DEVICE, out);
    // Where not all buses are known, a name that is not among them may well be right.
    let index = if buses.complete {
        section.required("bus", out, |text| find_bus(text, buses))
    } else {
        section.required("bus", out, Ok).and_then(|text| find_bus(text, buses).ok())
    };
    let draft = index.and_then(|i| buses.all.get(i));
    let bus = draft.map(|bus| &bus.plan);
    let sensor = bus.and_then(|bus| bus.link.sensor());
    if sensor.is_some() {
        let keys = keys::DEVICE.keys.iter().filter(|key| !SENSOR_KEYS.contains(key));
        sensor::unused_keys(&section, &keys.copied().collect::<Vec<_>>(), out);
    }
    let unit = unit(&section, bus, out).unwrap_or(UNIT_TCP);
    let every = section.scalar("every", out, values::duration(EVERY_RANGE)).unwrap_or(EVERY);
    let timeout = section.scalar("timeout", out, values::duration(TIMEOUT_RANGE));
    let order = section.scalar("order", out, kinds::order).unwrap_or_default();
    let registers_max = section
        .scalar("registers-max", out, values::integer(1..=i128::from(REGISTERS_MAX)))
        .unwrap_or(REGISTERS_MAX);
    let bits_max = section
        .scalar("bits-max", out, values::integer(1..=i128::from(BITS_MAX)))
        .unwrap_or(BITS_MAX);
    let write_with = section.scalar("write-with", out, values::word(&WRITE_WITH));
    let write_with = write_with.unwrap_or_default();
    let write_expires = section
        .scalar("write-expires", out, values::duration(WRITE_EXPIRES_RANGE))
        .unwrap_or(WRITE_EXPIRES);
    let broadcast = bus.is_some_and(|bus| bus.link.is_line()) && unit == 0;
    let inherited = Inherited {
        scope,
        bus: bus.map(|b| &b.name),
        device: &name,
        every,
        order,
        registers_max,
        bits_max,
        sensor,
        sound: draft.is_some_and(|draft| draft.sound),
        write_with,
        write_expires,
        broadcast,
    };
    let mut tags = Vec::new();
    match section.get("tags") {
        Some(field) => {
            for (tag_name, field) in field.named(out) {
                if let Some((tag, spots)) = tag::check(tag_name, &field, &inherited, out) {
                    places.tags.insert((name.clone(), tag.name.clone()), spots);
                    tags.push(tag);
                }
            }
        }
        None => section.missing("tags", out),
    }
    let timeout = timeout.unwrap_or(if broadcast { TURNAROUND } else { TIMEOUT });
    (DevicePlan { name, unit, timeout, registers_max, bits_max, write_with, tags }, index)
}

fn find_bus(text: &str, buses: &Drafts) -> Result<usize, Complaint> {
    let names = || buses.all.iter().map(|bus| bus.plan.name.as_str());
    if let Some(i) = names().position(|name| name == text) {
        return Ok(i);
    }
    let complaint = Complaint::new(format!("there is no bus {}", quoted(text)));
    Err(match closest(text, names()) {
        Some(close) => complaint.hint(format!("did you mean {close}?")),
        None if buses.all.is_empty() => complaint.hint("the section buses has none"),
        None => complaint,
    })
}

/// A serial line has to say which of its devices is meant; a TCP device usually is one.
fn unit(section: &Section<'_>, bus: Option<&BusPlan>, out: &mut Findings) -> Option<u8> {
    match bus {
        Some(bus) if bus.link.is_line() => section.required("unit", out, values::integer(0..=247)),
        _ => section.scalar("unit", out, values::integer(0..=255)),
    }
}

/// Two devices behind one unit are one device: allowed, as a way to group tags, but seldom meant.
fn shared_unit(
    bus: &BusPlan,
    plan: &DevicePlan,
    field: &Field<'_>,
    places: &Places,
    out: &mut Findings,
) {
    if bus.link.sensor().is_some() {
        return;
    }
    if let Some(other) = bus.devices.iter().find(|d| d.unit == plan.unit) {
        let line = places.devices.get(&other.name).map_or(0, |spot| spot.at.line);
        let message = format!(
            "has the same unit {} on {} as {} in line {line}",
            plan.unit, bus.name, other.name
        );
        out.warning(&field.key_spot(), message);
    }
}
