//! What was handed over to the MQTT client and is not acknowledged yet, by packet id.
//!
//! Invariants: a row is in exactly one place; the window holds in messages, in bytes, and in *span*
//! (see [`Inflight::room`]). Knows nothing of rows, sockets or time.

use std::collections::{BTreeMap, HashMap};

/// So many windows may follow a message before it is acknowledged itself.
const SPAN: u16 = 4;
/// One place in this many of the window is kept for live rows. In a smaller one they wait for the next
/// acknowledgement, of which many come in a round trip; each place costs its share of the rate.
const LIVE_SHARE: u16 = 64;
/// Packet ids have 16 bits, and subscriptions need some.
const MESSAGES_MAX: u16 = u16::MAX / SPAN;

/// How much may be outstanding.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub messages: u16,
    pub bytes: usize,
}

impl Window {
    /// At least one message, at most what packet ids allow.
    pub fn new(messages: u16, bytes: usize) -> Self {
        Self { messages: messages.clamp(1, MESSAGES_MAX), bytes }
    }

    /// Places that the backlog leaves free, so that a live row need not wait for an
    /// acknowledgement.
    pub fn live_share(self) -> usize {
        usize::from(self.messages / LIVE_SHARE)
    }

    /// Messages from the oldest that is out to the newest.
    fn span(self) -> u64 {
        u64::from(self.messages) * u64::from(SPAN)
    }
}

struct Entry<T> {
    /// Counts hand-overs; tells the oldest one that is outstanding.
    number: u64,
    bytes: usize,
    row: T,
}

/// The rows that are out.
pub struct Inflight<T> {
    window: Window,
    /// By packet id.
    out: HashMap<u16, Entry<T>>,
    /// Hand-over number to packet id, for the oldest.
    order: BTreeMap<u64, u16>,
    bytes: usize,
    next: u64,
}

impl<T> Inflight<T> {
    pub fn new(window: Window) -> Self {
        Self { window, out: HashMap::new(), order: BTreeMap::new(), bytes: 0, next: 0 }
    }

    pub fn messages(&self) -> usize {
        self.out.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a message of this size may be handed over, `reserved` places of the window being
    /// kept for others. One message always fits when nothing is out, however large.
    ///
    /// A broker may acknowledge in any order. One that leaves a message out while windows go by
    /// has forgotten it: nothing more goes out then, and the watchdog ends the connection.
    pub fn room(&self, bytes: usize, reserved: usize) -> bool {
        let out = self.messages();
        if out == 0 {
            return true;
        }
        out + reserved < usize::from(self.window.messages)
            && self.bytes + bytes <= self.window.bytes
            && self.span() < self.window.span()
    }

    /// Hand-overs since the oldest one that is outstanding, itself included.
    fn span(&self) -> u64 {
        self.next - self.order.keys().next().copied().unwrap_or(self.next)
    }

    pub fn hand_over(&mut self, id: u16, row: T, bytes: usize) {
        self.bytes += bytes;
        self.order.insert(self.next, id);
        self.out.insert(id, Entry { number: self.next, bytes, row });
        self.next += 1;
    }

    /// The row that this acknowledgement settles; `None` if the id is not out.
    pub fn acknowledged(&mut self, id: u16) -> Option<T> {
        let entry = self.out.remove(&id)?;
        self.order.remove(&entry.number);
        self.bytes -= entry.bytes;
        Some(entry.row)
    }

    /// All that was never acknowledged, in the order of hand-over.
    pub fn into_rest(mut self) -> impl Iterator<Item = T> {
        self.order.into_values().filter_map(move |id| Some(self.out.remove(&id)?.row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inflight(messages: u16) -> Inflight<u32> {
        Inflight::new(Window::new(messages, 1000))
    }

    #[test]
    fn an_acknowledgement_gives_the_row_back_once() {
        let mut inflight = inflight(10);
        for (id, row) in [(7, 100), (8, 101), (9, 102)] {
            inflight.hand_over(id, row, 10);
        }
        assert_eq!(inflight.acknowledged(10), None, "not out");
        assert_eq!(inflight.acknowledged(8), Some(101));
        assert_eq!(inflight.acknowledged(8), None, "an acknowledgement counts once");
        assert_eq!((inflight.messages(), inflight.bytes()), (2, 20));
        assert_eq!(inflight.into_rest().collect::<Vec<_>>(), [100, 102]);
    }

    #[test]
    fn the_window_holds_in_messages_and_in_bytes() {
        let mut inflight = inflight(3);
        assert!(inflight.room(5000, 0), "a large message may go alone");
        inflight.hand_over(1, 1, 400);
        assert!(inflight.room(600, 0));
        assert!(!inflight.room(601, 0));
        assert!(inflight.room(1, 1));
        assert!(!inflight.room(1, 2), "two places are kept for others");
        inflight.hand_over(2, 2, 1);
        inflight.hand_over(3, 3, 1);
        assert!(!inflight.room(1, 0));
    }

    #[test]
    fn a_message_that_is_never_acknowledged_stops_the_window() {
        let mut inflight = inflight(2);
        inflight.hand_over(1, 0, 1);
        let mut sent = 0;
        while inflight.room(1, 0) {
            sent += 1;
            assert!(sent < 100, "the windows went by");
            inflight.hand_over(2, sent, 1);
            assert_eq!(inflight.acknowledged(2), Some(sent));
        }
        assert_eq!(sent, 7);
        assert_eq!(inflight.acknowledged(1), Some(0));
        assert!(inflight.room(1, 0));
    }

    #[test]
    fn a_window_fits_packet_ids_and_keeps_places_for_live_rows() {
        assert_eq!(Window::new(u16::MAX, 1).messages, 16_383);
        assert_eq!(Window::new(0, 1).messages, 1);
        let shares = [1, 20, 64, 100, 1000].map(|messages| Window::new(messages, 1).live_share());
        assert_eq!(shares, [0, 0, 1, 1, 15]);
    }
}
