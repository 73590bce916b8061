//! Serial sensors that don't speak Modbus: the wire, and the description of what comes over it. A
//! preset is a description in the same form; what is written beside it replaces its parts.

mod catalogue;
mod checksum;
mod field;
mod frames;
mod framing;
mod layers;
mod parts;
mod poll;
mod presets;
mod tag;

use std::path::PathBuf;
use std::time::Duration;

use self::layers::Layers;
pub(super) use self::tag::{tag, unused_keys};
use super::link;
use crate::config::defaults::{
    BAUD_RANGE, FRAME_MAX, FRAME_MAX_RANGE, SENSOR_BAUD, SILENT_AFTER, SILENT_AFTER_RANGE,
    SILENT_POLLS,
};
use crate::config::keys;
use crate::config::link::{Endpoint, Parity, SensorLink, SensorWire, SerialLine, Switching};
use crate::config::problem::{Complaint, Findings};
use crate::config::section::Field;
use crate::config::values::{self, quoted};
use crate::model::sensor::{Ask, Emit, Framing, Sensor};

pub(in crate::config) use self::presets::{find as preset, names as preset_names};

const PORT_BYTES_MAX: usize = 1_024;
const EMITS: [(&str, Emit); 3] =
    [("every", Emit::Every), ("changes", Emit::Changes), ("stable", Emit::Stable)];

/// `None` only after something was reported.
pub(super) fn check(field: &Field<'_>, out: &mut Findings) -> Option<SensorLink> {
    let section = field.section(&keys::SERIAL, out);
    let name = section.scalar("preset", out, presets::name);
    let base = name.and_then(presets::tree);
    let layers = Layers::new(&section, base.as_ref());
    let wire = wire(&layers, out);
    let sensor = description(&layers, wire.as_ref(), out);
    Some(SensorLink { wire: wire?, sensor: sensor?, preset: name.map(str::to_owned) })
}

fn wire(layers: &Layers<'_, '_>, out: &mut Findings) -> Option<SensorWire> {
    if let Some(host) = layers.own.get("host") {
        for key in ["baud", "data-bits", "parity", "stop-bits"] {
            if let Some(field) = layers.own.get(key) {
                let complaint = Complaint::new("has no use over TCP");
                out.error(&field.key_spot(), complaint.hint("the device server has its own"));
            }
        }
        let host = host.scalar(out, link::host);
        let port = layers.own.required("port", out, values::integer(1..=65_535));
        return Some(SensorWire::Tcp(Endpoint { host: host?, port: port? }));
    }
    let port = layers.own.required("port", out, |text| match text.parse::<u16>() {
        Ok(_) => Err(Complaint::new(format!("{} is no serial port", quoted(text)))
            .hint("write host beside it if it is a TCP port")),
        Err(_) => values::text(PORT_BYTES_MAX)(text),
    });
    let baud = layers.scalar("baud", out, values::integer(BAUD_RANGE)).unwrap_or(SENSOR_BAUD);
    let data_bits = layers.scalar("data-bits", out, values::integer(7..=8)).unwrap_or(8);
    let words = [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];
    let parity = layers.scalar("parity", out, values::word(&words)).unwrap_or(Parity::None);
    let stop_bits = layers.scalar("stop-bits", out, values::integer(1..=2)).unwrap_or(1);
    let port = PathBuf::from(port?);
    let switching = Switching::Adapter;
    let line = SerialLine { port, baud, data_bits, parity, stop_bits, switching };
    Some(SensorWire::Serial(line))
}

fn description(
    layers: &Layers<'_, '_>,
    wire: Option<&SensorWire>,
    out: &mut Findings,
) -> Option<Sensor> {
    let framing = framing::framing(layers, wire, out);
    let frame_max =
        layers.scalar("frame-max", out, values::integer(FRAME_MAX_RANGE)).unwrap_or(FRAME_MAX);
    if let Some(Framing::Fixed { length, .. }) = framing
        && length > frame_max
    {
        let message = format!("a frame has {length} bytes, but at most {frame_max} (frame-max)");
        out.error(&layers.spot("framing"), message);
    }
    let body = layers.scalar("body", out, parts::span);
    let check = checksum::check(layers, framing.as_ref(), out);
    let forms = frames::forms(layers, framing.as_ref(), out);
    let ask = poll::ask(layers, out);
    let init = layers.list("init", out, parts::bytes);
    let ack = layers.scalar("ack", out, parts::bytes).unwrap_or_default();
    let emit = layers.scalar("publish", out, values::word(&EMITS)).unwrap_or(Emit::Every);
    let written = layers.scalar("silent-after", out, |text| match text {
        "never" => Ok(None),
        _ => values::duration(SILENT_AFTER_RANGE)(text).map(Some),
    });
    let silent_after = written.unwrap_or_else(|| Some(default_silence(&ask)));
    if let (Some(after), Ask::Poll(poll)) = (silent_after, &ask)
        && after < poll.every
    {
        let message = format!(
            "values are polled every {}, so they would be bad between two polls",
            values::show_duration(poll.every)
        );
        out.error(&layers.spot("silent-after"), message);
    }
    Some(Sensor {
        framing: framing?,
        frame_max,
        body,
        check,
        forms: forms?,
        ask,
        init,
        ack,
        emit,
        silent_after,
    })
}

/// A polled sensor may miss some of its polls.
fn default_silence(ask: &Ask) -> Duration {
    match ask {
        Ask::Push => SILENT_AFTER,
        Ask::Poll(poll) => SILENT_AFTER.max(poll.every * SILENT_POLLS + poll.timeout),
    }
}
