//! Where the LAN broker listens, what is spoken there, and who comes in without a name.

use std::path::PathBuf;

use super::access::{self, Roles};
use crate::config::access::{Grant, Identity};
use crate::config::broker::{BrokerLimits, ListenerPlan, Place, ServerTlsPlan};
use crate::config::check::files::PATH_BYTES_MAX;
use crate::config::defaults::{CLIENTS_RANGE, LISTENER, LISTENERS_MAX, SOCKET_PATH_BYTES_MAX};
use crate::config::keys;
use crate::config::problem::{Complaint, Findings, Spot, TlsUser};
use crate::config::raw::Content;
use crate::config::section::{Field, Section};
use crate::config::values;

/// The keys that say what a listener speaks; it has one of them.
const KINDS: [&str; 5] = ["tcp", "tls", "ws", "wss", "unix"];
/// The files of a TLS listener.
const TLS_KEYS: [&str; 4] = ["certificate", "key", "client-ca", "identity"];

pub(super) fn check(
    broker: &Section<'_>,
    roles: &Roles,
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
        let Some((listener, spot, files)) = one(&item, roles, limits, out) else { continue };
        if listener.tls.is_some() {
            out.note_tls_files(TlsUser::Listener(listeners.len()), files);
        }
        if listener.anonymous.is_none() && !has_users(broker) {
            access::is_useless(&spot, out);
        }
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

fn has_users(broker: &Section<'_>) -> bool {
    let users = broker.get("users").map(|field| &field.node.content);
    !matches!(users, None | Some(Content::Null))
        && !matches!(users, Some(Content::Map(users)) if users.is_empty())
}

/// `None` only after something was reported.
fn one(
    item: &Field<'_>,
    roles: &Roles,
    limits: &BrokerLimits,
    out: &mut Findings,
) -> Option<(ListenerPlan, Spot, [Spot; 3])> {
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
    let is_websocket = kind == "ws" || kind == "wss";
    let written = section.get("anonymous").map(|field| access::anonymous(field, roles, out));
    let place = place?;
    if is_tls && tls.is_none() {
        return None;
    }
    let asks = tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    let is_local = match &place {
        Place::Address(address) => address.ip().is_loopback(),
        Place::Path(_) => true,
    };
    // Any page that a browser of this machine shows can open a WebSocket to it.
    let default = (is_local && !is_websocket && !asks).then(|| vec![Grant::Everything]);
    let anonymous = written.unwrap_or(default);
    if anonymous.as_ref().is_some_and(|grants| !grants.is_empty()) && !is_local && !asks {
        let message = format!("everyone who reaches {place} may use the broker without a name");
        let hint = "write users, and anonymous: false";
        out.warning(&section.spot_of("anonymous"), Complaint::new(message).hint(hint));
    }
    let listener = ListenerPlan {
        place,
        is_websocket,
        tls,
        anonymous,
        connections: connections.unwrap_or(limits.connections),
    };
    Some((listener, spot, ["certificate", "key", "client-ca"].map(|key| section.spot_of(key))))
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
    if client_ca.is_none() && section.lacks(&["client-ca"]) {
        section.refuse(&["identity"], "needs client-ca beside it", out);
    }
    let words = [("cn", Identity::CommonName), ("san", Identity::AlternativeName)];
    let identity = section.scalar("identity", out, values::word(&words));
    Some(ServerTlsPlan {
        certificate: certificate?,
        key: key?,
        client_ca,
        identity: identity.unwrap_or(Identity::CommonName),
    })
}
