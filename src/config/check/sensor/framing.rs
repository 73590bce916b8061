//! Where a frame begins and ends.

use std::time::Duration;

use super::layers::Layers;
use super::parts;
use crate::config::defaults::{FRAME_MAX_RANGE, IDLE_RANGE};
use crate::config::keys;
use crate::config::link::SensorWire;
use crate::config::problem::{Complaint, Findings};
use crate::config::section::Field;
use crate::config::values::{self, quoted};
use crate::config::wire::LineTime;
use crate::model::sensor::{ByteOrder, Framing};

/// Most bytes behind the end of a frame that belong to it.
const AFTER_MAX: i128 = 64;
const ENDS_MAX: usize = 8;

pub(super) const ORDERS: [(&str, ByteOrder); 2] =
    [("big", ByteOrder::Big), ("little", ByteOrder::Little)];

/// `None` only after something was reported.
pub(super) fn framing(
    layers: &Layers<'_, '_>,
    wire: Option<&SensorWire>,
    out: &mut Findings,
) -> Option<Framing> {
    if layers.get("framing").is_none() {
        if layers.own.lacks(&["framing", "preset"]) {
            let complaint = Complaint::new("it is not said where a frame ends")
                .hint("write framing: { line: { end: \"\\r\\n\" } }, or a preset");
            out.error(&layers.own.spot, complaint);
        }
        return None;
    }
    layers.read("framing", out, |field, out| one(field, wire, out))
}

fn one(field: &Field<'_>, wire: Option<&SensorWire>, out: &mut Findings) -> Option<Framing> {
    if field.text().is_some() {
        return field.scalar(out, values::word(&[("sml", Framing::Sml)]));
    }
    let section = field.section(&keys::FRAMING, out);
    let mut written = keys::FRAMING.keys.iter().filter_map(|key| section.get(key));
    let Some(kind) = written.next() else {
        if section.lacks(keys::FRAMING.keys) {
            let complaint = Complaint::new("the kind of framing is missing");
            let hint = format!("one of {}, or sml", keys::FRAMING.keys.join(", "));
            out.error(&section.spot, complaint.hint(hint));
        }
        return None;
    };
    if let Some(second) = written.next() {
        out.error(&second.key_spot(), "a frame has one framing; a second one is written here");
    }
    if section.has("line") {
        return line(kind, out);
    }
    if section.has("start-stop") {
        let section = kind.section(&keys::START_STOP, out);
        let start = section.required("start", out, parts::bytes);
        let end = section.required("end", out, parts::bytes);
        let after = section.scalar("after", out, values::integer(0..=AFTER_MAX));
        let escape = section.scalar("escape", out, parts::byte);
        let after = after.unwrap_or(0);
        return Some(Framing::StartStop { start: start?, end: end?, after, escape });
    }
    if section.has("fixed") {
        let section = kind.section(&keys::FIXED, out);
        let length = section.required("length", out, values::integer(FRAME_MAX_RANGE));
        let sync = section.required("sync", out, parts::bytes);
        return Some(Framing::Fixed { length: length?, sync: sync? });
    }
    if section.has("length-field") {
        return length_field(kind, out);
    }
    let gap = kind.scalar(out, |text| idle(text, wire))?;
    Some(Framing::Idle { gap })
}

fn line(kind: &Field<'_>, out: &mut Findings) -> Option<Framing> {
    let section = kind.section(&keys::LINE, out);
    section.missing("end", out);
    let ends = section.get("end")?;
    let items = ends.items();
    if items.len() > ENDS_MAX {
        out.error(&ends.key_spot(), format!("more than {ENDS_MAX} ends"));
    }
    let ends: Vec<_> = items.iter().filter_map(|end| end.scalar(out, parts::bytes)).collect();
    (!ends.is_empty()).then_some(Framing::Line { ends })
}

fn length_field(kind: &Field<'_>, out: &mut Findings) -> Option<Framing> {
    let section = kind.section(&keys::LENGTH_FIELD, out);
    let sync = section.required("sync", out, parts::bytes);
    let offset = section.required("offset", out, values::integer(0..=1_024));
    let width = section.scalar("width", out, values::integer(1..=4)).unwrap_or(1);
    let order = section.scalar("order", out, values::word(&ORDERS)).unwrap_or(ByteOrder::Big);
    let adjust = section.scalar("adjust", out, values::integer(-65_536..=65_536)).unwrap_or(0);
    Some(Framing::LengthField { sync: sync?, offset: offset?, width, order, adjust })
}

/// `20ms`, or `3.5 characters` of the line.
fn idle(text: &str, wire: Option<&SensorWire>) -> Result<Duration, Complaint> {
    let Some(number) = text.strip_suffix("characters").or_else(|| text.strip_suffix("chars"))
    else {
        return values::duration(IDLE_RANGE)(text);
    };
    let characters = values::number(number.trim())?;
    if !(1.0..=1_000.0).contains(&characters) {
        return Err(values::out_of_range(text, "1 characters", "1000 characters"));
    }
    match wire {
        Some(SensorWire::Serial(line)) => {
            let one = LineTime::serial(line, Duration::ZERO).character();
            // The runtime's timers are no finer than a millisecond.
            Ok(one.mul_f64(characters).clamp(*IDLE_RANGE.start(), *IDLE_RANGE.end()))
        }
        Some(SensorWire::Tcp(_)) => Err(Complaint::new(format!(
            "{} says nothing over TCP, where the line is not ours",
            quoted(text)
        ))
        .hint("write a time, as in 20ms")),
        None => Ok(*IDLE_RANGE.start()),
    }
}
