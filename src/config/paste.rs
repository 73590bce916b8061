//! Lines of a configuration, to be pasted into one.

use super::{Endpoint, Framing, Link, Parity, TcpWire, Wire, show_kind};
use crate::model::{Coding, Order, Table};

/// A bus, as the value of its name.
pub fn bus(link: &Link) -> String {
    let Some(modbus) = link.modbus() else { return String::new() };
    let framing = match modbus.framing {
        Framing::Tcp => "",
        Framing::Rtu => ", framing: rtu",
        Framing::Ascii => ", framing: ascii",
    };
    match &modbus.wire {
        Wire::Serial(line) => {
            let parity = match line.parity {
                Parity::None => "none",
                Parity::Even => "even",
                Parity::Odd => "odd",
            };
            let (kind, bits) = match modbus.framing {
                Framing::Tcp | Framing::Rtu => ("modbus-rtu", String::new()),
                Framing::Ascii => ("modbus-ascii", format!(", data-bits: {}", line.data_bits)),
            };
            format!(
                "{{ {kind}: {{ port: {}, baud: {}{bits}, parity: {parity}, stop-bits: {} }} }}",
                quoted(&line.port.to_string_lossy()),
                line.baud,
                line.stop_bits
            )
        }
        Wire::Tcp(TcpWire { to, .. }) => endpoint("modbus-tcp", to, framing),
        Wire::Udp(to) => endpoint("modbus-udp", to, framing),
        Wire::Listen(listen) => {
            format!("{{ modbus-tcp: {{ listen: \"{}\"{framing} }} }}", listen.at)
        }
    }
}

fn endpoint(kind: &str, to: &Endpoint, framing: &str) -> String {
    format!("{{ {kind}: {{ host: {}, port: {}{framing} }} }}", quoted(&to.host), to.port)
}

/// A tag, as the value of its name. `scale` as it is written.
pub fn tag(table: Table, address: u16, coding: &Coding, scale: Option<&str>) -> String {
    let mut out = format!("{{ {}: {address}, type: {}", table.name(), show_kind(coding.kind));
    let letters = match coding.order {
        Order::Abcd => None,
        Order::Cdab => Some("CDAB"),
        Order::Badc => Some("BADC"),
        Order::Dcba => Some("DCBA"),
    };
    if let Some(letters) = letters {
        out += &format!(", order: {letters}");
    }
    if let Some(scale) = scale {
        out += &format!(", scale: {scale}");
    }
    out + " }"
}

/// A text as YAML has it between double quotes.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out += &format!("\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, SerialLine, Switching};
    use crate::model::Kind;

    #[test]
    fn what_is_pasted_means_the_same() {
        let line = SerialLine {
            port: "/dev/a \"b\"\\c".into(),
            baud: 9600,
            data_bits: 8,
            parity: Parity::None,
            stop_bits: 2,
            switching: Switching::Adapter,
        };
        let ascii = SerialLine { data_bits: 7, stop_bits: 1, ..line.clone() };
        let links = [
            Link::modbus_tcp("::1", 1502),
            Link::modbus_tcp("moxa", 4001).with_framing(Framing::Rtu),
            Link::modbus_rtu(line),
            Link::modbus_rtu(ascii).with_framing(Framing::Ascii),
        ];
        let coding = Coding { order: Order::Cdab, ..Coding::plain(Kind::F32) };
        for link in links {
            let text = format!(
                "gateway: {{ name: g }}\nbuses:\n  b: {}\ndevices:\n  d:\n    bus: b\n    unit: 1\n    \
                 tags:\n      t: {}\n",
                bus(&link),
                tag(Table::Input, 7, &coding, Some("0.1"))
            );
            let plan = config::parse(&text, "pasted").unwrap_or_else(|e| panic!("{text}{e}")).plan;
            assert_eq!(plan.buses[0].link, link);
            let registers = plan.buses[0].devices[0].tags[0].registers().unwrap();
            assert_eq!((registers.address, registers.coding.kind), (7, Kind::F32));
            assert_eq!(registers.coding.order, Order::Cdab);
        }
    }
}
