//! Buses: what stands beside the link, and links that buses share.

use std::collections::HashMap;
use std::time::Duration;

use super::{link, share, too_many};
use crate::config::defaults::{BUSES_MAX, PAUSE_RANGE, TRACE_BYTES, TRACE_RANGE};
use crate::config::keys;
use crate::config::link::{Link, ModbusLink, TcpWire, Wire};
use crate::config::plan::BusPlan;
use crate::config::problem::{Complaint, Findings, Spot};
use crate::config::section::{Field, Section};
use crate::config::values::{self, quoted};
use crate::model::Name;

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
    let mut links = HashMap::new();
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
    let link = link::check(&section, out).unwrap_or_else(link::placeholder);
    let pause = section.scalar("pause", out, values::duration(PAUSE_RANGE));
    let together = link.modbus().is_some_and(|modbus| modbus.pipeline() > 1);
    if together && pause.is_some_and(|pause| !pause.is_zero()) {
        let complaint = Complaint::new("reads in flight together have no silence between them");
        let hint = "leave out pause, or pipeline of modbus-tcp";
        out.error(&section.spot_of("pause"), complaint.hint(hint));
    }
    let trace = section.scalar("trace", out, values::size_in_memory(TRACE_RANGE));
    let share = section.get("share").and_then(|field| share::check(field, out));
    if let (Some(field), Link::Sensor(_)) = (section.get("share"), &link) {
        out.error(&field.key_spot(), "only a Modbus line can be shared");
    }
    BusPlan {
        name,
        link,
        pause: pause.unwrap_or(Duration::ZERO),
        trace_bytes: trace.unwrap_or(TRACE_BYTES),
        share,
        devices: Vec::new(),
    }
}

/// A serial port has one owner; two connections to one TCP endpoint may be meant.
fn shared_link(
    plan: &BusPlan,
    field: &Field<'_>,
    links: &mut HashMap<String, (Spot, Option<usize>)>,
    out: &mut Findings,
) {
    let key = match &plan.link {
        Link::Modbus(ModbusLink { wire: Wire::Serial(line), .. }) => {
            line.port.display().to_string()
        }
        Link::Modbus(ModbusLink { wire: Wire::Tcp(TcpWire { to, .. }), .. }) => {
            if to.host.is_empty() { String::new() } else { to.to_string() }
        }
        Link::Modbus(ModbusLink { wire: Wire::Listen(wire), .. }) => wire.at.to_string(),
        // A datagram socket takes nothing away from others.
        Link::Modbus(ModbusLink { wire: Wire::Udp(_), .. }) => return,
        Link::Sensor(link) => link.wire.place(),
    };
    if key.is_empty() {
        return;
    }
    let connections = match &plan.link {
        Link::Modbus(ModbusLink { wire: Wire::Tcp(wire), .. }) => wire.connections,
        Link::Modbus(_) | Link::Sensor(_) => None,
    };
    if let Some((first, of_first)) = links.get(&key) {
        let (path, line) = (&first.path, first.line());
        let message = format!("{} is also {path} in {line}", quoted(&key));
        if matches!(plan.link.modbus(), Some(ModbusLink { wire: Wire::Listen(_), .. })) {
            let hint = "give each converter a port of its own";
            out.error(&field.key_spot(), Complaint::new(message).hint(hint));
            return;
        }
        let one_bus =
            Complaint::new(message.clone()).hint("put the devices of one line on one bus");
        if plan.link.serial().is_some() {
            out.error(&field.key_spot(), one_bus);
        } else if plan.link.is_line() {
            out.warning(&field.key_spot(), one_bus);
        } else if connections.is_some() || of_first.is_some() {
            if connections != *of_first {
                let complaint = Complaint::new(format!("{message}, with another connections"));
                let hint = "write the same connections: … on all buses to this host";
                out.error(&field.key_spot(), complaint.hint(hint));
            }
        } else {
            let hint = "many devices take only one connection; with connections: 1 they share it";
            out.warning(&field.key_spot(), Complaint::new(message).hint(hint));
        }
        return;
    }
    links.insert(key, (field.key_spot(), connections));
}
