//! What a bus talks through: one section per kind of link.

use std::path::PathBuf;

use super::{files, sensor, switching};
use crate::config::defaults::{
    ALLOW_MAX, BAUD_RANGE, CONNECTIONS_RANGE, MODBUS_TCP_PORT, MODBUS_TLS_PORT, PIPELINE,
    PIPELINE_RANGE,
};
use crate::config::keys::{self, Shape};
use crate::config::link::{
    Endpoint, Framing, Link, ListenWire, ModbusLink, ModbusTls, Parity, SerialLine, TcpWire, Wire,
};
use crate::config::problem::{Complaint, Findings};
use crate::config::section::{Field, Section};
use crate::config::share::Network;
use crate::config::values::{self, quoted};

/// Longest host name (RFC 1035, 2.3.4) and more than the longest path that makes sense.
pub(super) const PARITIES: [(&str, Parity); 3] =
    [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];

const HOST_BYTES_MAX: usize = 253;
const PORT_BYTES_MAX: usize = 1_024;

const FRAMINGS: [(&str, Framing); 3] =
    [("tcp", Framing::Tcp), ("rtu", Framing::Rtu), ("ascii", Framing::Ascii)];

/// The key of what does not speak Modbus.
const SENSOR: &str = "serial";

type Reader = fn(&Field<'_>, &mut Findings) -> Link;

/// The keys that say which kind of link it is.
const KINDS: [(&str, Reader); 4] = [
    ("modbus-tcp", modbus_tcp),
    ("modbus-udp", modbus_udp),
    ("modbus-rtu", modbus_rtu),
    ("modbus-ascii", modbus_ascii),
];

/// The link of a bus; `None` after something was reported.
pub(super) fn check(bus: &Section<'_>, out: &mut Findings) -> Option<Link> {
    if let Some(field) = bus.get(SENSOR) {
        for (kind, _) in KINDS.iter().filter(|(kind, _)| bus.has(kind)) {
            let message = format!("a bus is either {SENSOR} or {kind}, not both");
            out.error(&bus.spot_of(kind), message);
        }
        return sensor::check(field, out).map(|link| Link::Sensor(Box::new(link)));
    }
    let mut written = KINDS.iter().filter_map(|(kind, read)| Some((*kind, bus.get(kind)?, read)));
    let Some((kind, field, read)) = written.next() else {
        if bus.lacks(&KINDS.map(|(kind, _)| kind)) && bus.lacks(&[SENSOR]) {
            let complaint = Complaint::new("the kind of the bus is missing")
                .hint("write modbus-tcp: { host: … } or modbus-rtu: { port: …, baud: … }");
            out.error(&bus.spot, complaint);
        }
        return None;
    };
    if let Some((other, field, _)) = written.next() {
        out.error(&field.key_spot(), format!("a bus is either {kind} or {other}, not both"));
        return None;
    }
    Some(read(field, out))
}

/// Stands in for a link that could not be read.
pub(super) fn placeholder() -> Link {
    Link::modbus_tcp("", MODBUS_TCP_PORT)
}

fn modbus_tcp(field: &Field<'_>, out: &mut Findings) -> Link {
    let section = field.section(&keys::MODBUS_TCP, out);
    let framing = framing(&section, out);
    let wire = if section.has("listen") {
        for key in ["host", "port", "backup", "tls", "connections", "pipeline"] {
            if section.has(key) {
                let message = format!("{key} has no use where the other side connects (listen)");
                out.error(&section.spot_of(key), message);
            }
        }
        Wire::Listen(listen(&section, out))
    } else {
        if section.has("allow") {
            let complaint = Complaint::new("allow has no use without listen");
            out.error(&section.spot_of("allow"), complaint.hint("write listen: \"0.0.0.0:4001\""));
        }
        Wire::Tcp(dialled(&section, framing, out))
    };
    Link::Modbus(ModbusLink { wire, framing })
}

/// A connection that we make.
fn dialled(section: &Section<'_>, framing: Framing, out: &mut Findings) -> TcpWire {
    let tls = tls(section, framing, out);
    let port = if tls.is_some() { MODBUS_TLS_PORT } else { MODBUS_TCP_PORT };
    let to = endpoint(section, port, out);
    let backup = section.get("backup").map(|field| {
        let backup = endpoint(&field.section(&keys::BACKUP, out), to.port, out);
        if backup == to && !to.host.is_empty() {
            out.error(&field.key_spot(), format!("{to} is the host itself"));
        }
        backup
    });
    let connections = section.scalar("connections", out, values::integer(CONNECTIONS_RANGE));
    if framing != Framing::Tcp && connections.is_some() {
        // A late answer to one bus could pass as the answer to another.
        let complaint = Complaint::new("buses can't take turns on the frames of one line");
        let hint = "put the devices of one line on one bus";
        out.error(&section.spot_of("connections"), complaint.hint(hint));
    }
    let pipeline = section.scalar("pipeline", out, values::integer(PIPELINE_RANGE));
    if framing != Framing::Tcp && pipeline.is_some() {
        let complaint = Complaint::new("answers without a transaction id must come one by one");
        let hint = "leave out pipeline; it is for devices that speak Modbus TCP";
        out.error(&section.spot_of("pipeline"), complaint.hint(hint));
    }
    TcpWire { to, backup, tls, connections, pipeline: pipeline.unwrap_or(PIPELINE) }
}

fn tls(bus: &Section<'_>, framing: Framing, out: &mut Findings) -> Option<ModbusTls> {
    let field = bus.get("tls")?;
    if framing != Framing::Tcp {
        let message = "TLS is for devices that speak Modbus TCP (Modbus/TCP Security)";
        out.error(&field.key_spot(), Complaint::new(message).hint("leave out framing or tls"));
    }
    let section = field.section(&keys::MODBUS_TLS, out);
    let files = files::tls(&section, out);
    Some(ModbusTls { files, server_name: section.scalar("server-name", out, host) })
}

/// A connection that is made to us.
fn listen(section: &Section<'_>, out: &mut Findings) -> ListenWire {
    let at = section.scalar("listen", out, values::socket_address);
    let mut allow = Vec::new();
    if let Some(field) = section.get("allow") {
        let items = field.items();
        if items.len() > ALLOW_MAX {
            out.error(&field.key_spot(), format!("more than {ALLOW_MAX} networks"));
        }
        allow.extend(items.iter().filter_map(|item| item.scalar(out, network)));
        if items.is_empty() {
            out.error(&field.key_spot(), "is empty, so nobody could connect");
        }
    } else if at.is_some_and(|at| !at.ip().is_loopback()) {
        let message = "whoever connects here is taken for the converter";
        let complaint = Complaint::new(message).hint("write allow: [ address of the converter ]");
        out.warning(&section.spot_of("listen"), complaint);
    }
    ListenWire { at: at.unwrap_or_else(|| ([127, 0, 0, 1], 0).into()), allow }
}

fn network(text: &str) -> Result<Network, Complaint> {
    Network::parse(text).ok_or_else(|| {
        Complaint::new(format!("{} is no address or network", quoted(text)))
            .hint("write it as in 10.0.0.7 or 10.0.0.0/24")
    })
}

fn modbus_udp(field: &Field<'_>, out: &mut Findings) -> Link {
    let section = field.section(&keys::MODBUS_UDP, out);
    let wire = Wire::Udp(endpoint(&section, MODBUS_TCP_PORT, out));
    Link::Modbus(ModbusLink { wire, framing: framing(&section, out) })
}

fn endpoint(section: &Section<'_>, default: u16, out: &mut Findings) -> Endpoint {
    let host = section.required("host", out, host).unwrap_or_default();
    let port = section.scalar("port", out, values::integer(1..=65_535));
    Endpoint { host, port: port.unwrap_or(default) }
}

fn framing(section: &Section<'_>, out: &mut Findings) -> Framing {
    section.scalar("framing", out, values::word(&FRAMINGS)).unwrap_or(Framing::Tcp)
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
    Link::modbus_rtu(serial(field, &keys::MODBUS_RTU, Framing::Rtu, out))
}

fn modbus_ascii(field: &Field<'_>, out: &mut Findings) -> Link {
    let line = serial(field, &keys::MODBUS_ASCII, Framing::Ascii, out);
    Link::Modbus(ModbusLink { wire: Wire::Serial(line), framing: Framing::Ascii })
}

/// The settings of a serial port.
fn serial(
    field: &Field<'_>,
    shape: &'static Shape,
    framing: Framing,
    out: &mut Findings,
) -> SerialLine {
    let section = field.section(shape, out);
    let port = section.required("port", out, values::text(PORT_BYTES_MAX));
    let baud = section.required("baud", out, values::integer(BAUD_RANGE));
    let data_bits = section.scalar("data-bits", out, |text| match (framing, text) {
        (_, "8") => Ok(8),
        (Framing::Ascii, "7") => Ok(7),
        _ => Err(Complaint::new(format!("{} is not possible", quoted(text))).hint(
            if framing == Framing::Ascii {
                "Modbus ASCII has 7 or 8"
            } else {
                "Modbus RTU needs 8 data bits"
            },
        )),
    });
    let parity = section.scalar("parity", out, values::word(&PARITIES));
    let stop_bits = section.scalar("stop-bits", out, values::integer(1..=2));
    let switching = switching::check(&section, out);
    SerialLine {
        port: PathBuf::from(port.unwrap_or_default()),
        baud: baud.unwrap_or(19_200),
        data_bits: data_bits.unwrap_or(if framing == Framing::Ascii { 7 } else { 8 }),
        parity: parity.unwrap_or(Parity::Even),
        stop_bits: stop_bits.unwrap_or(1),
        switching,
    }
}
