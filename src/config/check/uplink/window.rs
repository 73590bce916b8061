//! How much is out at once.

use crate::config::clouds::ServiceLimits;
use crate::config::defaults::{
    PACKET_RANGE, UPLINK_PACKET_BYTES, WINDOW_BYTES, WINDOW_BYTES_RANGE, WINDOW_MESSAGES,
    WINDOW_MESSAGES_RANGE,
};
use crate::config::keys;
use crate::config::problem::Findings;
use crate::config::section::Section;
use crate::config::values;

/// Messages and bytes in flight, and the largest packet, which must fit in. What is not written is
/// no more than the service takes.
pub(super) fn window(
    section: &Section<'_>,
    limits: Option<&ServiceLimits>,
    out: &mut Findings,
) -> (u16, usize, usize) {
    let window = section.section("window", &keys::WINDOW, out);
    let messages = window.scalar("messages", out, values::integer(WINDOW_MESSAGES_RANGE));
    let bytes = window.scalar("bytes", out, values::size_in_memory(WINDOW_BYTES_RANGE));
    let packet = section.scalar("packet-max", out, values::size_in_memory(PACKET_RANGE));
    let default = limits.and_then(|limits| limits.window_bytes).unwrap_or(WINDOW_BYTES);
    let bytes = bytes.unwrap_or(default.min(WINDOW_BYTES));
    let default = limits.and_then(|limits| limits.packet_bytes).unwrap_or(UPLINK_PACKET_BYTES);
    let packet = packet.unwrap_or(default.min(UPLINK_PACKET_BYTES));
    if packet > bytes {
        let spot = if window.is_own("bytes") {
            window.spot_of("bytes")
        } else {
            section.spot_of("packet-max")
        };
        let message = format!(
            "a packet may have {packet} bytes (packet-max), but the window only {bytes} (window.bytes)"
        );
        out.error(&spot, message);
    }
    let default = limits.and_then(|limits| limits.window_messages).unwrap_or(WINDOW_MESSAGES);
    (messages.unwrap_or(default.min(WINDOW_MESSAGES)), bytes, packet)
}
