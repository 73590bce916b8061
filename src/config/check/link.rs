//! What a bus talks through: one section per kind of link.

use std::path::PathBuf;

use crate::config::defaults::{BAUD_RANGE, MODBUS_TCP_PORT};
use crate::config::keys::{self, Shape};
use crate::config::link::{Endpoint, Framing, Link, ModbusLink, Parity, SerialLine, TcpWire, Wire};
use crate::config::problem::{Complaint, Findings};
use crate::config::section::{Field, Section};
use crate::config::values::{self, quoted};

/// Longest host name (RFC 1035, 2.3.4) and more than the longest path that makes sense.
pub(super) const PARITIES: [(&str, Parity); 3] =
    [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];

const HOST_BYTES_MAX: usize = 253;
const PORT_BYTES_MAX: usize = 1_024;

const FRAMINGS: [(&str, Framing); 3] =
    [("tcp", Framing::Tcp), ("rtu", Framing::Rtu), ("ascii", Framing::Ascii)];

/// `None` after something was reported.
type Reader = fn(&Field<'_>, &mut Findings) -> Option<Link>;

/// The keys that say which kind of link it is.
const KINDS: [(&str, Reader); 5] = [
    ("modbus-tcp", modbus_tcp),
    ("modbus-udp", modbus_udp),
    ("modbus-rtu", modbus_rtu),
    ("modbus-ascii", modbus_ascii),
    ("serial", sensor),
];

/// The link of a bus; `None` after something was reported.
pub(super) fn check(bus: &Section<'_>, out: &mut Findings) -> Option<Link> {
    let mut written = KINDS.iter().filter_map(|(kind, read)| Some((*kind, bus.get(kind)?, read)));
    let Some((kind, field, read)) = written.next() else {
        if bus.lacks(&KINDS.map(|(kind, _)| kind)) {
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
    read(field, out)
}

/// Stands in for a link that could not be read.
pub(super) fn placeholder() -> Link {
    Link::modbus_tcp("", MODBUS_TCP_PORT)
}

fn sensor(field: &Field<'_>, out: &mut Findings) -> Option<Link> {
    super::sensor::check(field, out).map(|link| Link::Sensor(Box::new(link)))
}

fn modbus_tcp(field: &Field<'_>, out: &mut Findings) -> Option<Link> {
    let section = field.section(&keys::MODBUS_TCP, out);
    let wire = Wire::Tcp(TcpWire { to: endpoint(&section, out) });
    Some(Link::Modbus(ModbusLink { wire, framing: framing(&section, out) }))
}

fn modbus_udp(field: &Field<'_>, out: &mut Findings) -> Option<Link> {
    let section = field.section(&keys::MODBUS_UDP, out);
    let wire = Wire::Udp(endpoint(&section, out));
    Some(Link::Modbus(ModbusLink { wire, framing: framing(&section, out) }))
}

fn endpoint(section: &Section<'_>, out: &mut Findings) -> Endpoint {
    let host = section.required("host", out, host).unwrap_or_default();
    let port = section.scalar("port", out, values::integer(1..=65_535));
    Endpoint { host, port: port.unwrap_or(MODBUS_TCP_PORT) }
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

fn modbus_rtu(field: &Field<'_>, out: &mut Findings) -> Option<Link> {
    Some(Link::modbus_rtu(serial(field, &keys::MODBUS_RTU, Framing::Rtu, out)))
}

fn modbus_ascii(field: &Field<'_>, out: &mut Findings) -> Option<Link> {
    let line = serial(field, &keys::MODBUS_ASCII, Framing::Ascii, out);
    Some(Link::Modbus(ModbusLink { wire: Wire::Serial(line), framing: Framing::Ascii }))
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
    SerialLine {
        port: PathBuf::from(port.unwrap_or_default()),
        baud: baud.unwrap_or(19_200),
        data_bits: data_bits.unwrap_or(if framing == Framing::Ascii { 7 } else { 8 }),
        parity: parity.unwrap_or(Parity::Even),
        stop_bits: stop_bits.unwrap_or(1),
    }
}
