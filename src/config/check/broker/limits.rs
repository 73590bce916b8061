//! The bounds of the LAN broker.

use crate::config::broker::{BrokerLimits, QueueDrops};
use crate::config::defaults::{
    ACCEPTS_RANGE, BUFFER_RANGE, CLIENTS_RANGE, CONNECT_TIMEOUT_RANGE, KEEP_ALIVE_RANGE, LIMITS,
    PACKET_RANGE, PACKETS_RANGE,
};
use crate::config::keys;
use crate::config::problem::Findings;
use crate::config::section::Section;
use crate::config::values;

const QUEUE_DROPS: [(&str, QueueDrops); 2] =
    [("oldest", QueueDrops::Oldest), ("newest", QueueDrops::Newest)];

pub(super) fn check(broker: &Section<'_>, out: &mut Findings) -> BrokerLimits {
    let section = broker.section("limits", &keys::LIMITS, out);
    let d = LIMITS;
    let count = |key: &str, max: i128, default: usize, out: &mut Findings| {
        section.scalar(key, out, values::integer(1..=max)).unwrap_or(default)
    };
    let bytes = |key: &str, default: usize, out: &mut Findings| {
        section.scalar(key, out, values::size_in_memory(BUFFER_RANGE)).unwrap_or(default)
    };
    let limits = BrokerLimits {
        connections: section
            .scalar("connections", out, values::integer(CLIENTS_RANGE))
            .unwrap_or(d.connections),
        half_open: section
            .scalar("half-open", out, values::integer(CLIENTS_RANGE))
            .unwrap_or(d.half_open),
        accepts_per_second: section
            .scalar("accepts-per-second", out, values::integer(ACCEPTS_RANGE))
            .unwrap_or(d.accepts_per_second),
        packets_per_second: section
            .scalar("packets-per-second", out, values::integer(PACKETS_RANGE))
            .unwrap_or(d.packets_per_second),
        packet_bytes: section
            .scalar("packet-max", out, values::size(PACKET_RANGE))
            .and_then(|bytes| u32::try_from(bytes).ok())
            .unwrap_or(d.packet_bytes),
        inflight: section
            .scalar("inflight", out, values::integer(1..=10_000))
            .unwrap_or(d.inflight),
        queue_messages: count("queue-messages", 10_000_000, d.queue_messages, out),
        queue_bytes: bytes("queue-bytes", d.queue_bytes, out),
        queue_drops: section
            .scalar("queue-drops", out, values::word(&QUEUE_DROPS))
            .unwrap_or(d.queue_drops),
        all_queues_bytes: bytes("all-queues-bytes", d.all_queues_bytes, out),
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
        keep_alive_max: section
            .scalar("keep-alive-max", out, values::duration(KEEP_ALIVE_RANGE))
            .and_then(|time| u16::try_from(time.as_secs()).ok())
            .unwrap_or(d.keep_alive_max),
        outgoing_bytes: bytes("outgoing-bytes", d.outgoing_bytes, out),
    };
    let packet = usize::try_from(limits.packet_bytes).unwrap_or(usize::MAX);
    for (key, bound) in [
        ("queue-bytes", limits.queue_bytes),
        ("all-queues-bytes", limits.all_queues_bytes),
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
