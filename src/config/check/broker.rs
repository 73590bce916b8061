//! The LAN broker: where it listens and its bounds.

use std::net::SocketAddr;

use crate::config::defaults::{
    BUFFER_RANGE, CONNECT_TIMEOUT_RANGE, LIMITS, LISTENER, LISTENERS_MAX, PACKET_RANGE,
};
use crate::config::keys;
use crate::config::plan::{BrokerLimits, BrokerPlan};
use crate::config::problem::{Complaint, Findings, Spot};
use crate::config::section::{Field, Section};
use crate::config::values;

/// `None` when there is no section `broker`.
pub(super) fn check(root: &Section<'_>, out: &mut Findings) -> Option<BrokerPlan> {
    let field = root.get("broker")?;
    let section = field.section(&keys::BROKER, out);
    let listeners = match section.get("listeners") {
        Some(field) => listeners(field, out),
        None => LISTENER.parse().into_iter().collect(),
    };
    Some(BrokerPlan { listeners, limits: limits(&section, out) })
}

fn listeners(field: &Field<'_>, out: &mut Findings) -> Vec<SocketAddr> {
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
    let mut listeners: Vec<(SocketAddr, Spot)> = Vec::new();
    for item in items {
        if item.text().is_some() {
            let complaint = Complaint::new("a listener says what it speaks");
            out.error(&item.spot(), complaint.hint("write { tcp: \"127.0.0.1:1883\" }"));
            continue;
        }
        let errors = out.errors();
        let section = item.section(&keys::LISTENER, out);
        // A refused kind (tls, ws) was reported already.
        if !section.has("tcp") && out.errors() == errors {
            section.missing("tcp", out);
        }
        let Some(address) = section.scalar("tcp", out, values::socket_address) else { continue };
        let spot = section.spot_of("tcp");
        let same = |(other, _): &&(SocketAddr, Spot)| *other == address && address.port() != 0;
        if let Some((_, first)) = listeners.iter().find(same) {
            out.error(&spot, format!("{address} is listened on in line {} too", first.at.line));
        }
        if !address.ip().is_loopback() {
            let message = format!("everyone who reaches {address} may read and write everything");
            let hint = "there is no access control yet; listen on 127.0.0.1 or guard the network";
            out.warning(&spot, Complaint::new(message).hint(hint));
        }
        listeners.push((address, spot));
    }
    listeners.into_iter().map(|(address, _)| address).collect()
}

fn limits(broker: &Section<'_>, out: &mut Findings) -> BrokerLimits {
    let section = broker.section("limits", &keys::LIMITS, out);
    let d = LIMITS;
    let count = |key: &str, max: i128, default: usize, out: &mut Findings| {
        section.scalar(key, out, values::integer(1..=max)).unwrap_or(default)
    };
    let bytes = |key: &str, default: usize, out: &mut Findings| {
        section.scalar(key, out, values::size_in_memory(BUFFER_RANGE)).unwrap_or(default)
    };
    let limits = BrokerLimits {
        connections: count("connections", 100_000, d.connections, out),
        packet_bytes: section
            .scalar("packet-max", out, values::size(PACKET_RANGE))
            .and_then(|bytes| u32::try_from(bytes).ok())
            .unwrap_or(d.packet_bytes),
        inflight: section
            .scalar("inflight", out, values::integer(1..=10_000))
            .unwrap_or(d.inflight),
        queue_messages: count("queue-messages", 10_000_000, d.queue_messages, out),
        queue_bytes: bytes("queue-bytes", d.queue_bytes, out),
        retained_messages: count("retained-messages", 10_000_000, d.retained_messages, out),
        retained_bytes: bytes("retained-bytes", d.retained_bytes, out),
        subscriptions_per_client: count(
            "subscriptions-per-client",
            1_000_000,
            d.subscriptions_per_client,
            out,
        ),
        topic_bytes: count("topic-bytes", 65_535, d.topic_bytes, out),
        topic_levels: count("topic-levels", 1_000, d.topic_levels, out),
        connect_timeout: section
            .scalar("connect-timeout", out, values::duration(CONNECT_TIMEOUT_RANGE))
            .unwrap_or(d.connect_timeout),
        outgoing_bytes: bytes("outgoing-bytes", d.outgoing_bytes, out),
    };
    let packet = usize::try_from(limits.packet_bytes).unwrap_or(usize::MAX);
    for (key, bound) in [
        ("queue-bytes", limits.queue_bytes),
        ("retained-bytes", limits.retained_bytes),
        ("outgoing-bytes", limits.outgoing_bytes),
    ] {
        if bound < packet {
            let message = format!("{key} is smaller than one packet ({packet} bytes, packet-max)");
            out.error(&section.spot_of(key), message);
        }
    }
    limits
}
