//! Devices: whose bus they are on, how they are asked, and their tags.

use std::collections::HashMap;

use super::bus::Drafts;
use super::settings::Settings;
use super::vocabulary::Vocabulary;
use super::{apply, sensor, tag, too_many};
use crate::config::broker::BrokerLimits;
use crate::config::defaults::{DEVICES_MAX, EVERY, TAGS_MAX, UNIT_TCP};
use crate::config::keys;
use crate::config::link::SensorLink;
use crate::config::plan::{BusPlan, DevicePlan, Gateway, TagPlan};
use crate::config::problem::{Complaint, Findings, Spot, closest};
use crate::config::profile::Profiles;
use crate::config::section::{Field, Section};
use crate::config::template::Template;
use crate::config::values::{self, quoted};
use crate::config::write_rule::WriteWith;
use crate::model::{Name, TopicName};

/// What a device on a serial bus may say.
const SENSOR_KEYS: [&str; 3] = ["bus", "class", "tags"];

/// What holds for all devices.
pub(super) struct Scope<'a> {
    pub gateway: &'a Gateway,
    pub template: &'a Template,
    pub limits: Option<&'a BrokerLimits>,
    pub profiles: &'a Profiles,
}

/// What a device hands down to its tags.
pub(super) struct Inherited<'a> {
    pub scope: &'a Scope<'a>,
    pub bus: Option<&'a Name>,
    pub device: &'a Name,
    pub settings: &'a Settings,
    pub words: &'a Vocabulary<'a>,
    /// `None` on a Modbus line.
    pub sensor: Option<&'a SensorLink>,
    /// Whether the link of the bus is the one that was written.
    pub sound: bool,
    /// Whether it is everybody on its line, whom nobody answers for.
    pub broadcast: bool,
}

impl<'a> Inherited<'a> {
    /// What the placeholders of a topic stand for.
    pub(super) fn topic_values(
        &self,
        tag: Option<&'a Name>,
    ) -> Vec<(&'static str, Option<&'a str>)> {
        let mut values = self.scope.gateway.places().to_vec();
        values.push(("bus", self.bus.map(Name::as_str)));
        values.push(("device", Some(self.device.as_str())));
        values.push(("tag", tag.map(Name::as_str)));
        values
    }

    /// Where commands for several tags come.
    fn topic(&self) -> Option<TopicName> {
        let template = self.scope.template.without("tag");
        let topic = template.has("device").then(|| template.render(&self.topic_values(None)))?;
        // It is shorter than the tags' topics, which say what is wrong with the template.
        tag::fits(topic.ok()?, self).ok()
    }
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
    let own = field.section(&keys::DEVICE, out);
    // Where not all buses are known, a name that is not among them may well be right.
    let index = if buses.complete {
        own.required("bus", out, |text| find_bus(text, buses))
    } else {
        own.required("bus", out, Ok).and_then(|text| find_bus(text, buses).ok())
    };
    let on = index.and_then(|i| buses.all.get(i));
    let bus = on.map(|bus| &bus.plan);
    let sensor = bus.and_then(|bus| bus.link.sensor());
    if sensor.is_some() {
        let keys = keys::DEVICE.keys.iter().filter(|key| !SENSOR_KEYS.contains(key));
        sensor::unused_keys(&own, &keys.copied().collect::<Vec<_>>(), out);
    }
    let unit = unit(&own, bus, out).unwrap_or(UNIT_TCP);
    let broadcast = bus.is_some_and(|bus| bus.link.is_line()) && unit == 0;
    let applied = apply::apply(own, scope.profiles, sensor.is_some(), out);
    let settings = Settings::of(&applied.settings, out);
    let drafts = applied.drafts(settings.every.unwrap_or(EVERY), out);
    if broadcast && settings.write_with == WriteWith::TwentyThree {
        let complaint = Complaint::new("function 23 reads as well, and nobody answers unit 0");
        out.error(
            &applied.settings.spot_of("write-with"),
            complaint.hint("use 16, or leave it out"),
        );
    }
    let inherited = Inherited {
        scope,
        bus: bus.map(|b| &b.name),
        device: &name,
        settings: &settings,
        words: &applied.words,
        sensor,
        sound: on.is_some_and(|bus| bus.sound),
        broadcast,
    };
    let mut tags = Vec::with_capacity(drafts.len());
    for draft in drafts {
        if let Some((tag, spots)) = tag::check(draft, &inherited, out) {
            places.tags.insert((name.clone(), tag.name.clone()), spots);
            tags.push(tag);
        }
    }
    let writable = tags.iter().any(|tag| tag.write.is_some());
    let topic =
        inherited.topic().filter(|topic| writable && is_free(topic, &name, &tags, places, out));
    let plan = settings.device(name, unit, broadcast, tags);
    (DevicePlan { topic, ..plan }, index)
}

/// A tag that is called `set` has the topic where commands for several tags would come.
fn is_free(
    topic: &TopicName,
    device: &Name,
    tags: &[TagPlan],
    places: &Places,
    out: &mut Findings,
) -> bool {
    let set = format!("{topic}/set");
    let Some(tag) = tags.iter().find(|tag| tag.topic.as_str() == set) else { return true };
    if let Some(spots) = places.tags.get(&(device.clone(), tag.name.clone())) {
        let message = format!(
            "has the topic {} where commands for several tags would come, so only single tags can be set",
            quoted(&set)
        );
        let hint = "give the tag another name or topic";
        out.warning(&spots.topic, Complaint::new(message).hint(hint));
    }
    false
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
        let line = places.devices.get(&other.name).map(Spot::line).unwrap_or_default();
        let message =
            format!("has the same unit {} on {} as {} in {line}", plan.unit, bus.name, other.name);
        out.warning(&field.key_spot(), message);
    }
}
