//! Where the LAN broker listens, and what is spoken there.

use std::path::PathBuf;

use crate::config::broker::{BrokerLimits, ListenerPlan, Place, ServerTlsPlan};
use crate::config::check::files::PATH_BYTES_MAX;
use crate::config::defaults::{CLIENTS_RANGE, LISTENER, LISTENERS_MAX, SOCKET_PATH_BYTES_MAX};
use crate::config::keys;
use crate::config::problem::{Complaint, Findings, Spot};
use crate::config::section::{Field, Section};
use crate::config::values;

/// The keys that say what a listener speaks; it has one of them.
const KINDS: [&str; 5] = ["tcp", "tls", "ws", "wss", "unix"];
/// The files of a TLS listener.
const TLS_KEYS: [&str; 3] = ["certificate", "key", "client-ca"];

pub(super) fn check(
    broker: &Section<'_>,
    limits: &BrokerLimits,
    out: &mut Findings,
) -> Vec<ListenerPlan> {
    let Some(field) = broker.get("listeners") else {
        let plain = |address| ListenerPlan::tcp(address, limits.connections);
        return LISTENER.parse().map(plain).into_iter().collect();
    };
    let items = field.items();
    if items.is_empty() {
        let complaint = Complaint::new("is empty");
        out.error(
            &field.key_spot(),
            complaint.hint("without the section broker there is no broker"),
        );
    }
    if items.len() > LISTENERS_MAX {
        out.error(&field.key_spot(), format!("more than {LISTENERS_MAX} listeners"));
    }
    let mut listeners: Vec<(ListenerPlan, Spot)> = Vec::new();
    for item in items {
        let Some((listener, spot)) = one(&item, limits, out) else { continue };
        let is_free = matches!(listener.place, Place::Address(address) if address.port() == 0);
        let same = listeners.iter().find(|(other, _)| other.place == listener.place);
        if let Some((_, first)) = same.filter(|_| !is_free) {
            let message =
                format!("{} is listened on in line {} too", listener.place, first.at.line);
            out.error(&spot, message);
        }
        listeners.push((listener, spot));
    }
    listeners.into_iter().map(|(listener, _)| listener).collect()
}

/// `None` only after something was reported.
fn one(
    item: &Field<'_>,
    limits: &BrokerLimits,
    out: &mut Findings,
) -> Option<(ListenerPlan, Spot)> {
    if item.text().is_some() {
        let complaint = Complaint::new("a listener says what it speaks");
        out.error(&item.spot(), complaint.hint("write { tcp: \"127.0.0.1:1883\" }"));
        return None;
    }
    let section = item.section(&keys::LISTENER, out);
    let mut kinds = KINDS.into_iter().filter(|kind| section.has(kind));
    let Some(kind) = kinds.next() else {
        if section.lacks(&KINDS) {
            let complaint = Complaint::new("a listener says what it speaks");
            out.error(&section.spot, complaint.hint("one of tcp, tls, ws, wss and unix"));
        }
        return None;
    };
    for other in kinds {
        let message = format!("a listener speaks one of tcp, tls, ws, wss and unix, here {kind}");
        out.error(&section.spot_of(other), Complaint::new(message).hint("write two listeners"));
    }
    let spot = section.spot_of(kind);
    let place = match kind {
        "unix" => section.scalar(kind, out, values::text(SOCKET_PATH_BYTES_MAX)).map(socket),
        _ => section.scalar(kind, out, values::socket_address).map(Place::Address),
    };
    let is_tls = kind == "tls" || kind == "wss";
    let tls = if is_tls {
        tls(&section, kind, out)
    } else {
        section.refuse(&TLS_KEYS, "belongs to a listener tls or wss", out);
        None
    };
    let connections = section.scalar("connections", out, values::integer(CLIENTS_RANGE));
    let place = place?;
    if let Place::Address(address) = &place
        && !address.ip().is_loopback()
    {
        let message = format!("everyone who reaches {address} may read and write everything");
        let hint = "there is no access control yet; listen on 127.0.0.1 or guard the network";
        out.warning(&spot, Complaint::new(message).hint(hint));
    }
    if is_tls && tls.is_none() {
        return None;
    }
    let listener = ListenerPlan {
        place,
        is_websocket: kind == "ws" || kind == "wss",
        tls,
        connections: connections.unwrap_or(limits.connections),
    };
    Some((listener, spot))
}

fn socket(path: String) -> Place {
    Place::Path(PathBuf::from(path))
}

/// `None` only after something was reported.
fn tls(section: &Section<'_>, kind: &str, out: &mut Findings) -> Option<ServerTlsPlan> {
    let path = |key: &str, out: &mut Findings| {
        section.scalar(key, out, values::text(PATH_BYTES_MAX)).map(PathBuf::from)
    };
    for key in ["certificate", "key"] {
        if section.lacks(&[key]) {
            out.error(&section.spot, format!("a listener {kind} needs {key}, a PEM file"));
        }
    }
    let (certificate, key) = (path("certificate", out), path("key", out));
    let client_ca = path("client-ca", out);
    Some(ServerTlsPlan { certificate: certificate?, key: key?, client_ca })
}
