//! What was handed over to the MQTT client and is not acknowledged yet, by packet id.
//!
//! Invariants: a row is in exactly one place; the window holds in messages, in bytes, and in *span*
//! (see [`Inflight::room`]). Knows nothing of rows, sockets or time.

use std::collections::VecDeque;

use super::client::ById;

/// So many windows may follow a message before it is acknowledged itself.
const SPAN: u16 = 4;
/// A window is low when so small a part of it is free.
const LOW: u16 = 4;
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

    /// Whether so little is out that a good part is free.
    fn is_low(self, messages: usize, bytes: usize) -> bool {
        messages <= usize::from(self.messages - self.messages.div_ceil(LOW))
            && bytes <= self.bytes - self.bytes / usize::from(LOW)
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
    out: ById<Entry<T>>,
    /// Number and packet id of all hand-overs since the oldest one that is out, which comes first.
    order: VecDeque<(u64, u16)>,
    bytes: usize,
    next: u64,
}

impl<T> Inflight<T> {
    pub fn new(window: Window) -> Self {
        Self { window, out: ById::default(), order: VecDeque::new(), bytes: 0, next: 0 }
    }

    pub fn messages(&self) -> usize {
        self.out.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a message of this size may be handed over. One always fits when nothing is out,
    /// however large.
    ///
    /// A broker may acknowledge in any order. One that leaves a message out while windows go by
    /// has forgotten it: nothing more goes out then, and the watchdog ends the connection.
    pub fn room(&self, bytes: usize) -> bool {
        let out = self.messages();
        if out == 0 {
            return true;
        }
        out < usize::from(self.window.messages)
            && self.bytes + bytes <= self.window.bytes
            && self.span() < self.window.span()
    }

    /// Whether a good part of the window is free.
    pub fn is_low(&self) -> bool {
        self.window.is_low(self.messages(), self.bytes)
    }

    /// Hand-overs since the oldest one that is outstanding, itself included.
    fn span(&self) -> u64 {
        self.next - self.order.front().map_or(self.next, |(number, _)| *number)
    }

    pub fn hand_over(&mut self, id: u16, row: T, bytes: usize) {
        self.bytes += bytes;
        self.order.push_back((self.next, id));
        self.out.insert(id, Entry { number: self.next, bytes, row });
        self.next += 1;
    }

    /// The number of the oldest that is out; later ones have higher numbers.
    pub fn oldest(&self) -> Option<u64> {
        self.order.front().map(|(number, _)| *number)
    }

    /// The row that this acknowledgement settles; `None` if the id is not out.
    pub fn acknowledged(&mut self, id: u16) -> Option<T> {
        let entry = self.out.remove(&id)?;
        while self.order.front().is_some_and(|oldest| !self.is_out(*oldest)) {
            self.order.pop_front();
        }
        self.bytes -= entry.bytes;
        Some(entry.row)
    }

    /// Whether this hand-over was not acknowledged; its packet id may stand for another by now.
    fn is_out(&self, (number, id): (u64, u16)) -> bool {
        self.out.get(&id).is_some_and(|entry| entry.number == number)
    }

    /// All that was never acknowledged, in the order of hand-over.
    pub fn into_rest(self) -> impl Iterator<Item = T> {
        let mut rest: Vec<_> = self.out.into_values().collect();
        rest.sort_unstable_by_key(|entry| entry.number);
        rest.into_iter().map(|entry| entry.row)
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
        let oldest = inflight.oldest();
        assert_eq!(inflight.acknowledged(7), Some(100));
        assert!(inflight.oldest() > oldest);
        inflight.hand_over(7, 100, 10);
        assert_eq!(inflight.into_rest().collect::<Vec<_>>(), [102, 100]);
    }

    #[test]
    fn the_window_holds_in_messages_and_in_bytes() {
        let mut inflight = inflight(3);
        assert!(inflight.room(5000), "a large message may go alone");
        inflight.hand_over(1, 1, 400);
        assert!(inflight.room(600));
        assert!(!inflight.room(601));
        inflight.hand_over(2, 2, 1);
        inflight.hand_over(3, 3, 1);
        assert!(!inflight.room(1));
    }

    #[test]
    fn a_window_is_low_when_a_part_of_it_is_free() {
        let mut inflight = inflight(20);
        let low = [true; 16].into_iter().chain([false; 5]);
        for (id, low) in (0..).zip(low) {
            assert_eq!(inflight.is_low(), low, "{id} are out");
            inflight.hand_over(id, 0, 1);
        }
        for id in 1..21 {
            inflight.acknowledged(id);
        }
        inflight.hand_over(30, 0, 749);
        assert!(inflight.is_low());
        inflight.hand_over(31, 0, 1);
        assert!(!inflight.is_low(), "in bytes");
        let one = Inflight::<u32>::new(Window::new(1, 1));
        assert!(one.is_low());
    }

    #[test]
    fn a_message_that_is_never_acknowledged_stops_the_window() {
        let mut inflight = inflight(2);
        inflight.hand_over(1, 0, 1);
        let mut sent = 0;
        while inflight.room(1) {
            sent += 1;
            assert!(sent < 100, "the windows went by");
            inflight.hand_over(2, sent, 1);
            assert_eq!(inflight.acknowledged(2), Some(sent));
        }
        assert_eq!(sent, 7);
        assert_eq!(inflight.acknowledged(1), Some(0));
        assert!(inflight.room(1));
    }

    #[test]
    fn a_window_fits_packet_ids() {
        assert_eq!(Window::new(u16::MAX, 1).messages, 16_383);
        assert_eq!(Window::new(0, 1).messages, 1);
    }
}
