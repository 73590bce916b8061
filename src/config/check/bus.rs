//! Buses: TCP endpoints and serial lines.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{sensor, too_many};
use crate::config::defaults::{
    BAUD_RANGE, BUSES_MAX, MODBUS_TCP_PORT, PAUSE_RANGE, TRACE_BYTES, TRACE_RANGE,
};
use crate::config::keys;
use crate::config::link::{Endpoint, Link, ModbusLink, Parity, SensorWire, SerialLine, Wire};
use crate::config::plan::BusPlan;
use crate::config::problem::{Complaint, Findings, Spot};
use crate::config::section::{Field, Section};
use crate::config::values::{self, quoted};
use crate::model::Name;

/// Longest host name (RFC 1035, 2.3.4) and more than the longest path that makes sense.
const HOST_BYTES_MAX: usize = 253;
const PORT_BYTES_MAX: usize = 1_024;

/// A bus on its way into the plan; its devices are added later.
pub(super) struct Draft {
    pub plan: BusPlan,
    pub spot: Spot,
    /// Whether the link is the one that was written, not a stand-in for a wrong one.
    pub sound: bool,
}

pub(super) struct Drafts {
    pub all: Vec<Draft>,
    /// Whether every name that was meant is among them.
    pub complete: bool,
}

pub(super) fn check(root: &Section<'_>, out: &mut Findings) -> Drafts {
    let Some(field) = root.get("buses") else {
        return Drafts { all: Vec::new(), complete: root.lacks(&["buses"]) };
    };
    let before = out.errors();
    let named = field.named(out);
    too_many("buses", named.len(), BUSES_MAX, &field.key_spot(), out);
    let complete = out.errors() == before;
    let mut all = Vec::with_capacity(named.len());
    let mut links: HashMap<String, Spot> = HashMap::new();
    for (name, field) in named {
        let errors = out.errors();
        let plan = bus(name, &field, out);
        let sound = out.errors() == errors;
        shared_link(&plan, &field, &mut links, out);
        all.push(Draft { plan, spot: field.key_spot(), sound });
    }
    Drafts { all, complete }
}

/// A bus whose kind could not be read keeps its name, so that its devices are not reported too.
fn bus(name: Name, field: &Field<'_>, out: &mut Findings) -> BusPlan {
    let section = field.section(&keys::BUS, out);
    let link = if let Some(serial) = section.get("serial") {
        if let Some(second) = section.get("modbus-tcp").or_else(|| section.get("modbus-rtu")) {
            out.error(&second.key_spot(), "a bus is either serial or Modbus, not both");
        }
        sensor::check(serial, out).map(|link| Link::Sensor(Box::new(link)))
    } else {
        modbus(&section, out)
    };
    let pause = section.scalar("pause", out, values::duration(PAUSE_RANGE));
    let trace = section.scalar("trace", out, values::size_in_memory(TRACE_RANGE));
    BusPlan {
        name,
        link: link.unwrap_or_else(|| Link::modbus_tcp("", MODBUS_TCP_PORT)),
        pause: pause.unwrap_or(Duration::ZERO),
        trace_bytes: trace.unwrap_or(TRACE_BYTES),
        devices: Vec::new(),
    }
}

/// `None` only after something was reported.
fn modbus(section: &Section<'_>, out: &mut Findings) -> Option<Link> {
    match (section.get("modbus-tcp"), section.get("modbus-rtu")) {
        (Some(_), Some(rtu)) => {
            out.error(&rtu.key_spot(), "a bus is either modbus-tcp or modbus-rtu, not both");
            None
        }
        (Some(tcp), None) => Some(modbus_tcp(tcp, out)),
        (None, Some(rtu)) => Some(modbus_rtu(rtu, out)),
        (None, None) => {
            if section.lacks(&["modbus-tcp", "modbus-rtu", "serial"]) {
                let complaint = Complaint::new("the kind of the bus is missing")
                    .hint("write modbus-tcp: { host: … } or modbus-rtu: { port: …, baud: … }");
                out.error(&section.spot, complaint);
            }
            None
        }
    }
}

fn modbus_tcp(field: &Field<'_>, out: &mut Findings) -> Link {
    let section = field.section(&keys::MODBUS_TCP, out);
    let host = section.required("host", out, host).unwrap_or_default();
    let port = section.scalar("port", out, values::integer(1..=65_535));
    Link::modbus_tcp(host, port.unwrap_or(MODBUS_TCP_PORT))
}

/// A host name or an IP address.
pub(super) fn host(text: &str) -> Result<String, Complaint> {
    let wrong = || Complaint::new(format!("{} is no host name or address", quoted(text)));
    if text.contains("://") {
        return Err(wrong().hint("write the host alone, without a scheme"));
    }
    let address = text.trim_start_matches('[').trim_end_matches(']');
    if address.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok(address.to_owned());
    }
    if let Some((_, port)) = text.rsplit_once(':')
        && port.parse::<u16>().is_ok()
    {
        return Err(wrong().hint(format!("write the port on its own, as in port: {port}")));
    }
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.is_empty() || text.len() > HOST_BYTES_MAX || !text.chars().all(plain) {
        return Err(wrong());
    }
    // Four numbers that are no address are a slip, not a name.
    let numeric = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if numeric && text.parse::<std::net::Ipv4Addr>().is_err() {
        return Err(wrong());
    }
    Ok(text.to_owned())
}

fn modbus_rtu(field: &Field<'_>, out: &mut Findings) -> Link {
    let section = field.section(&keys::MODBUS_RTU, out);
    let port = section.required("port", out, values::text(PORT_BYTES_MAX));
    let baud = section.required("baud", out, values::integer(BAUD_RANGE));
    let data_bits = section.scalar("data-bits", out, |text| match text {
        "8" => Ok(8),
        _ => Err(Complaint::new(format!("{} is not possible", quoted(text)))
            .hint("Modbus RTU needs 8 data bits")),
    });
    let words = [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];
    let parity = section.scalar("parity", out, values::word(&words));
    let stop_bits = section.scalar("stop-bits", out, values::integer(1..=2));
    Link::modbus_rtu(SerialLine {
        port: PathBuf::from(port.unwrap_or_default()),
        baud: baud.unwrap_or(19_200),
        data_bits: data_bits.unwrap_or(8),
        parity: parity.unwrap_or(Parity::Even),
        stop_bits: stop_bits.unwrap_or(1),
    })
}

/// A serial port has one owner; two connections to one TCP endpoint may be meant.
fn shared_link(
    plan: &BusPlan,
    field: &Field<'_>,
    links: &mut HashMap<String, Spot>,
    out: &mut Findings,
) {
    let tcp = |Endpoint { host, port }: &Endpoint| {
        (!host.is_empty()).then(|| (format!("{host}:{port}"), false))
    };
    let serial = |line: &SerialLine| {
        let port = line.port.display().to_string();
        (!port.is_empty()).then_some((port, true))
    };
    let place = match &plan.link {
        Link::Modbus(ModbusLink { wire, .. }) => match wire {
            Wire::Tcp(to) => tcp(to),
            Wire::Serial(line) => serial(line),
        },
        Link::Sensor(link) => match &link.wire {
            SensorWire::Tcp(to) => tcp(to),
            SensorWire::Serial(line) => serial(line),
        },
    };
    let Some((key, serial)) = place else { return };
    if let Some(first) = links.get(&key) {
        let (path, line) = (&first.path, first.at.line);
        let message = format!("{} is also {path} in line {line}", quoted(&key));
        if serial {
            let hint = "put the devices of one line on one bus";
            out.error(&field.key_spot(), Complaint::new(message).hint(hint));
        } else {
            let hint = "many devices take only one connection";
            out.warning(&field.key_spot(), Complaint::new(message).hint(hint));
        }
        return;
    }
    links.insert(key, field.key_spot());
}
