//! One profile for people: where it is from, what it reads, and the lines to use it with.

use super::times::{Way, lines, pass};
use crate::config::profile::{Factory, Profile};
use crate::config::{Parity, TagPlan, show_duration, show_kind};
use crate::model::Order;

pub(super) fn describe(profile: &Profile, from: &str) -> String {
    let head = &profile.head;
    let mut out =
        format!("{}: {} ({}, version {})\n", head.name, head.title, head.kind, head.version);
    if let Some(vendor) = &head.vendor {
        let models = head.models.join(", ");
        out += &format!("  {vendor}{}{models}\n", if models.is_empty() { "" } else { ": " });
    }
    out += &format!("  {from}\n");
    for source in &head.source {
        out += &format!("  source: {source}\n");
    }
    for line in head.notes.iter().flat_map(|notes| notes.lines()) {
        out += &format!("  note: {line}\n");
    }
    if let Some(factory) = head.serial.as_ref().map(factory).filter(|text| !text.is_empty()) {
        out += &format!("  from the factory: {factory}\n");
    }
    for parameter in &profile.parameters {
        out += &format!(
            "  parameter {} = {} ({} to {}) {}\n",
            parameter.name, parameter.default, parameter.min, parameter.max, parameter.about
        );
    }
    let places: Vec<_> = profile.device.tags.iter().map(place).collect();
    let names = profile.device.tags.iter().map(|tag| tag.name.as_str().chars().count());
    let (names, widest) =
        (names.max().unwrap_or(0), places.iter().map(String::len).max().unwrap_or(0));
    for group in &profile.groups {
        let when = if group.is_default { "read by default" } else { "read if named in groups" };
        out += &format!("\ngroup {} ({when})", group.name);
        out +=
            &if group.about.is_empty() { "\n".to_owned() } else { format!(": {}\n", group.about) };
        for index in &group.tags {
            let (Some(tag), Some(place)) = (profile.device.tags.get(*index), places.get(*index))
            else {
                continue;
            };
            let name = tag.name.as_str();
            out += format!("  {name:<names$}  {place:<widest$}  {}", meaning(tag)).trim_end();
            out += "\n";
        }
    }
    let times = lines().map(|(name, time)| {
        let ms = pass(&profile.device, time, Way::Planned).as_secs_f64() * 1e3;
        format!("{ms:.0} ms at {name}")
    });
    out += &format!("\none pass over all tags: {}\n", times.join(", "));
    let unit = head.serial.as_ref().and_then(|factory| factory.unit).unwrap_or(1);
    out += &format!(
        "\ndevices:\n  my-device:\n    bus: …\n    unit: {unit}\n    profile: {}\n",
        head.name
    );
    if profile.groups.iter().any(|group| !group.is_default) {
        let all: Vec<_> = profile.groups.iter().map(|group| group.name.as_str()).collect();
        out += &format!(
            "    groups: [{}] # all; without this line only the default ones\n",
            all.join(", ")
        );
    }
    out
}

fn factory(factory: &Factory) -> String {
    let parity = factory.parity.map(|parity| match parity {
        Parity::None => "no parity",
        Parity::Even => "even parity",
        Parity::Odd => "odd parity",
    });
    let parts = [
        factory.baud.map(|baud| format!("{baud} baud")),
        parity.map(str::to_owned),
        factory
            .stop_bits
            .map(|bits| format!("{bits} stop bit{}", if bits == 1 { "" } else { "s" })),
        factory.unit.map(|unit| format!("unit {unit}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn place(tag: &TagPlan) -> String {
    let Some(from) = tag.registers() else { return String::new() };
    let mut place = format!("{} {}", from.table.name(), from.address);
    if !from.table.is_bits() {
        place += &format!(" {}", show_kind(from.coding.kind));
    }
    if from.coding.count > 1 {
        place += &format!(" × {}", from.coding.count);
    }
    if from.coding.width() > 1 {
        place += match from.coding.order {
            Order::Abcd => "",
            Order::Cdab => " CDAB",
            Order::Badc => " BADC",
            Order::Dcba => " DCBA",
        };
    }
    place
}

/// Scale, unit, labels, how often, and whether it can be written.
fn meaning(tag: &TagPlan) -> String {
    let Some(from) = tag.registers() else { return String::new() };
    let mut parts = Vec::new();
    if let Some(linear) = &from.coding.linear {
        let (scale, offset) = (linear.factor / linear.divisor, linear.offset);
        parts.push(if offset == 0.0 {
            format!("× {scale}")
        } else {
            format!("× {scale} + {offset}")
        });
    }
    if let Some(scale) = from.scale_register {
        parts.push(format!("× 10^[{scale}]"));
    }
    if !tag.unit.is_empty() {
        parts.push(tag.unit.clone());
    }
    if !from.coding.labels.is_empty() {
        let labels = from.coding.labels.iter().take(4);
        let labels: Vec<_> = labels.map(|l| format!("{} {}", l.code, l.text)).collect();
        let more = if from.coding.labels.len() > labels.len() { ", …" } else { "" };
        parts.push(format!("({}{more})", labels.join(", ")));
    }
    if let Some(every) = tag.every {
        parts.push(format!("every {}", show_duration(every)));
    }
    if tag.write.is_some() {
        parts.push("writable".to_owned());
    }
    parts.join(" ")
}
