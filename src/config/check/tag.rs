//! One tag: where it is read, what it means, where it goes.

use std::ops::Range;
use std::time::Duration;

use super::device::Inherited;
use super::settings::Numbering;
use super::vocabulary::Vocabulary;
use super::{TAG_PLACEHOLDERS, rules, scale, sensor, write};
use crate::config::defaults::EVERY_RANGE;
use crate::config::keys;
use crate::config::kinds;
use crate::config::link::SensorLink;
use crate::config::plan::{Registers, Source, TagPlan};
use crate::config::problem::{Complaint, Findings, Spot};
use crate::config::section::{Field, Section};
use crate::config::template::Template;
use crate::config::values::{self, quoted};
use crate::model::{Coding, Kind, Name, Order, Table, TagId, TopicName};

/// Where parts of a tag stand, for the checks across tags.
pub(super) struct TagSpots {
    pub name: Spot,
    pub topic: Spot,
    pub numbering: Numbering,
}

/// Longest engineering unit, in bytes.
const UNIT_BYTES_MAX: usize = 32;

pub(super) const TABLES: [(&str, Table); 4] = [
    ("holding", Table::Holding),
    ("input", Table::Input),
    ("coil", Table::Coil),
    ("discrete", Table::Discrete),
];

/// What a tag of a serial sensor may say.
const SENSOR_KEYS: [&str; 5] = ["field", "unit", "class", "topic", "publish"];

/// A tag before it is checked: what is written about it, and how often it is read if that is not.
pub(super) struct Draft<'a> {
    pub name: Name,
    pub section: Section<'a>,
    pub every: Duration,
}

/// The tables exclude each other, and so do the ways to scale: who overrides a tag of a profile
/// with one of them means that one.
pub(super) const EXCLUSIVE: [&[&str]; 2] =
    [&["holding", "input", "coil", "discrete"], &["scale", "offset", "map", "scale-register"]];

/// `None` when not even the registers are known; everything else is replaced by its default.
pub(super) fn check(
    draft: Draft<'_>,
    device: &Inherited<'_>,
    out: &mut Findings,
) -> Option<(TagPlan, TagSpots)> {
    let Draft { name, section, every: every_default } = draft;
    if let Some(link) = device.sensor {
        return of_sensor(name, &section, link, device, out);
    }
    if let Some(written) = section.get("field") {
        // What is wrong with a sensor's bus was said there.
        if device.sound {
            out.error(&written.key_spot(), "only tags of a serial sensor have a field");
        }
        return None;
    }
    let words = device.words;
    let numbering = device.settings.numbering;
    let place = table_and_address(&section, numbering, words, out);
    let table = place.map(|(table, _)| table);
    let kind = kind(&section, table, out);
    let order = section.scalar("order", out, kinds::order);
    let every = section.scalar("every", out, every);
    let class = section.scalar("class", out, kinds::class).unwrap_or(device.settings.class);
    let unit = section.scalar("unit", out, values::text(UNIT_BYTES_MAX)).unwrap_or_default();
    let topic = topic(&section, &name, device, out);

    // From here on the type must be known; a wrong one has been reported.
    let kind = kind?;
    let coding = coding(&section, kind, order.unwrap_or(device.settings.order), words, out);
    let publish = rules::publish(&section, rules::is_number(&coding), out);
    let write = write::check(&section, &coding, table, device, out);
    let every = reading(&section, every, every_default, write.is_some(), device, out);
    let (table, Some(address)) = place? else { return None };
    let scale_register =
        section.scalar("scale-register", out, |text| self::address(text, table, numbering, words));
    let registers = Registers { table, address, coding, scale_register };
    span(&section, &registers, device, out);
    let topic = topic?;
    let spots = TagSpots::of(&section, numbering);
    let plan = TagPlan {
        id: TagId(0),
        name,
        topic,
        class,
        every,
        source: Source::Registers(registers),
        unit,
        publish,
        write,
    };
    Some((plan, spots))
}

/// A tag whose value is a field of a sensor's frame.
fn of_sensor(
    name: Name,
    section: &Section<'_>,
    link: &SensorLink,
    device: &Inherited<'_>,
    out: &mut Findings,
) -> Option<(TagPlan, TagSpots)> {
    let modbus = keys::TAG.keys.iter().filter(|key| !SENSOR_KEYS.contains(key));
    sensor::unused_keys(section, &modbus.copied().collect::<Vec<_>>(), out);
    let class = section.scalar("class", out, kinds::class).unwrap_or(device.settings.class);
    let unit = section.scalar("unit", out, values::text(UNIT_BYTES_MAX));
    let topic = topic(section, &name, device, out);
    let from = sensor::tag(section, unit.as_deref(), link, out);
    let is_number = from.as_ref().is_none_or(|(_, _, is_number)| *is_number);
    let publish = rules::publish(section, is_number, out);
    let (source, unit, _) = from?;
    let plan = TagPlan {
        id: TagId(0),
        name,
        topic: topic?,
        class,
        every: None,
        source: Source::Field(source),
        unit,
        publish,
        write: None,
    };
    Some((plan, TagSpots::of(section, device.settings.numbering)))
}

impl TagSpots {
    fn of(section: &Section<'_>, numbering: Numbering) -> Self {
        let topic = section.get("topic").map_or_else(|| section.spot.clone(), Field::spot);
        Self { name: section.spot.clone(), topic, numbering }
    }
}

/// `1s`, or `never`.
fn every(text: &str) -> Result<Option<Duration>, Complaint> {
    if text == "never" {
        return Ok(None);
    }
    values::duration(EVERY_RANGE)(text).map(Some)
}

/// How often the tag is read: what is written, or what its device says.
fn reading(
    section: &Section<'_>,
    every: Option<Option<Duration>>,
    default: Duration,
    writable: bool,
    device: &Inherited<'_>,
    out: &mut Findings,
) -> Option<Duration> {
    if device.broadcast {
        if every.is_some_and(|every| every.is_some()) {
            let complaint = Complaint::new("nobody answers unit 0, so nothing is read from it");
            out.error(&section.spot_of("every"), complaint.hint("leave every out"));
        }
        if !section.has("write") {
            let complaint = Complaint::new("nobody answers unit 0, so its tags are only written");
            out.error(&section.spot, complaint.hint("add write, or give the device's own unit"));
        }
        return None;
    }
    if every == Some(None) && !writable && !section.has("write") {
        let message = "is never read and can't be written, so it is of no use";
        out.error(
            &section.spot_of("every"),
            Complaint::new(message).hint("add write, or an interval"),
        );
    }
    every.unwrap_or(Some(default))
}

fn table_and_address(
    section: &Section<'_>,
    numbering: Numbering,
    words: &Vocabulary<'_>,
    out: &mut Findings,
) -> Option<(Table, Option<u16>)> {
    let mut written =
        TABLES.iter().filter_map(|(key, table)| section.get(key).map(|f| (f, *table)));
    let Some((field, table)) = written.next() else {
        if section.lacks(&TABLES.map(|(key, _)| key)) {
            let complaint = Complaint::new("the table and address are missing")
                .hint("write holding: 0, input: 0, coil: 0 or discrete: 0");
            out.error(&section.spot, complaint);
        }
        return None;
    };
    if let Some((second, _)) = written.next() {
        out.error(&second.key_spot(), "a tag has one address; a second table is written here");
    }
    Some((table, field.scalar(out, |text| address(text, table, numbering, words))))
}

/// Manuals often count from 1 with the table in front.
fn address(
    text: &str,
    table: Table,
    numbering: Numbering,
    words: &Vocabulary<'_>,
) -> Result<u16, Complaint> {
    let number = words.number(text)?;
    if let Some(address) = numbering.address(number) {
        return Ok(address);
    }
    let complaint = Complaint::new(format!("{} is no address", quoted(text)));
    let first = match table {
        Table::Coil => 1,
        Table::Discrete => 100_001,
        Table::Input => 300_001,
        Table::Holding => 400_001,
    };
    let reference = u16::try_from(number.saturating_sub(first)).ok().filter(|_| first > 1);
    Err(complaint.hint(match (reference, numbering) {
        (Some(address), Numbering::FromZero) => {
            format!("the manual's {number} is address {address} on the wire")
        }
        (Some(address), Numbering::FromOne) => {
            let shown = numbering.shown(address.into());
            format!("the manual's {number} is {shown} here, where addresses count from 1")
        }
        (None, Numbering::FromZero) => "allowed are 0 to 65535".to_owned(),
        (None, Numbering::FromOne) => {
            "allowed are 1 to 65536: the addresses of this device count from 1".to_owned()
        }
    }))
}

fn kind(section: &Section<'_>, table: Option<Table>, out: &mut Findings) -> Option<Kind> {
    let written = section.scalar("type", out, kinds::parse);
    if !table.is_some_and(Table::is_bits) {
        if section.lacks(&["type"]) {
            let complaint = Complaint::new("the key type is missing")
                .hint("a register does not say what it holds; write type: u16, i16, f32, …");
            out.error(&section.spot, complaint);
        }
        return written;
    }
    if let Some(kind) = written
        && kind != Kind::Bool
    {
        let message = "coils and discrete inputs hold bits, their type is bool";
        out.error(&section.spot_of("type"), message);
    }
    Some(Kind::Bool)
}

fn coding(
    section: &Section<'_>,
    kind: Kind,
    order: Order,
    words: &Vocabulary<'_>,
    out: &mut Findings,
) -> Coding {
    let count = section.scalar("count", out, values::integer::<u16>(1..=2_000)).unwrap_or(1);
    if count > 1 && matches!(kind, Kind::Bit(_) | Kind::Bits { .. }) {
        let complaint = Complaint::new("a list of bit fields is not possible")
            .hint("make each a tag of its own, or read the registers as u16");
        out.error(&section.spot_of("count"), complaint);
    }
    Coding {
        count,
        order,
        linear: scale::linear(section, kind, out),
        scale_register: section.has("scale-register"),
        not_available: scale::not_available(section, kind, out),
        labels: scale::labels(section, kind, words, out),
        ..Coding::plain(kind)
    }
}

/// A value must lie within its table and come in one answer, or it could be torn.
fn span(section: &Section<'_>, registers: &Registers, device: &Inherited<'_>, out: &mut Findings) {
    let Range { start, end } = registers.range();
    let span = end - start;
    let (max, what, key) = if registers.table.is_bits() {
        (device.settings.bits_max, "bits", "bits-max")
    } else {
        (device.settings.registers_max, "registers", "registers-max")
    };
    if span > u32::from(max) {
        let and = if registers.scale_register.is_some() { " with its scale register" } else { "" };
        let message =
            format!("takes {span} {what}{and}, more than the {max} of one request ({key})");
        out.error(&section.spot, message);
    }
    if end > 65_536 {
        let shown = |address: u32| device.settings.numbering.shown(address);
        let (last, most) = (shown(end - 1), shown(65_535));
        out.error(&section.spot, format!("reaches address {last}, the last one is {most}"));
    }
}

fn topic(
    section: &Section<'_>,
    name: &Name,
    device: &Inherited<'_>,
    out: &mut Findings,
) -> Option<TopicName> {
    let values = device.topic_values(Some(name));
    let own = section.scalar("topic", out, |text| Template::parse(text, &TAG_PLACEHOLDERS));
    let template = own.as_ref().unwrap_or(device.scope.template);
    let rendered = template.render(&values).and_then(|topic| fits(topic, device));
    match rendered {
        Ok(topic) => Some(topic),
        Err(complaint) => {
            let spot = match section.get("topic") {
                Some(field) => field.spot(),
                None => section.spot.clone(),
            };
            out.error(&spot, complaint);
            None
        }
    }
}

/// The topic, and the one that sets the tag, within what the LAN broker takes.
pub(super) fn fits(topic: TopicName, device: &Inherited<'_>) -> Result<TopicName, Complaint> {
    let text = topic.as_str();
    if text.starts_with('$') {
        let message = format!("the topic {} starts with '$'", quoted(text));
        return Err(Complaint::new(message).hint("those belong to the broker"));
    }
    if let Some(limits) = device.scope.limits {
        let (bytes, levels) = (text.len() + "/set".len(), text.split('/').count() + 1);
        if bytes > limits.topic_bytes || levels > limits.topic_levels {
            let message = format!(
                "the topic {} with its /set is longer than broker.limits allow: {} bytes, {} levels",
                quoted(text),
                limits.topic_bytes,
                limits.topic_levels
            );
            return Err(message.into());
        }
    }
    Ok(topic)
}
