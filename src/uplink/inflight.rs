//! What was handed over to the MQTT client and is not acknowledged yet.
//!
//! The client's own queue is not trusted: `publish() = Ok` means nothing, and it gives no token
//! per message. What it does give is order. So a row waits in a FIFO from the hand-over until the
//! client reports that it wrote a publish, which gives it a packet id; the PUBACK with that id
//! gives it back. Invariants: a row is in exactly one place; a packet id never stands for two
//! rows; the window holds in messages, in bytes, and in *span* (see [`Inflight::room`]).
//! Knows nothing of rows, sockets or time.

use std::collections::{BTreeMap, HashMap, VecDeque};

/// Packet ids of the client run from 1 to this multiple of the window, so that an id is only used
/// again long after its message was acknowledged.
const IDS_PER_MESSAGE: u16 = 4;
/// The largest window whose ids still fit 16 bits.
const MESSAGES_MAX: u16 = u16::MAX / IDS_PER_MESSAGE;

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

    /// The client's own inflight limit, which is also the range of its packet ids.
    pub fn packet_ids(self) -> u16 {
        self.messages.saturating_mul(IDS_PER_MESSAGE)
    }
}

/// The client's reports don't add up; the connection must go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Confusion {
    #[error("a publish was written that nobody handed over")]
    NothingHandedOver,
    #[error("packet id {0} was used again before its message was acknowledged")]
    Collision(u16),
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
    /// Handed over, not yet written.
    waiting: VecDeque<Entry<T>>,
    /// Written, by packet id.
    written: HashMap<u16, Entry<T>>,
    /// Hand-over number to packet id of all that is written, for the oldest.
    order: BTreeMap<u64, u16>,
    bytes: usize,
    next: u64,
}

impl<T> Inflight<T> {
    pub fn new(window: Window) -> Self {
        Self {
            window,
            waiting: VecDeque::new(),
            written: HashMap::new(),
            order: BTreeMap::new(),
            bytes: 0,
            next: 0,
        }
    }

    pub fn messages(&self) -> usize {
        self.waiting.len() + self.written.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a message of this size may be handed over, `reserved` places of the window being
    /// kept for others. One message always fits when nothing is out, however large.
    ///
    /// A broker may acknowledge in any order, and the client hands out ids in a ring; if one
    /// message is left unacknowledged while the ring goes round, its id comes up again. So
    /// nothing goes out either while the oldest outstanding one lies a whole ring back: then the
    /// window stalls, and the watchdog ends the connection.
    pub fn room(&self, bytes: usize, reserved: usize) -> bool {
        let out = self.messages();
        if out == 0 {
            return true;
        }
        out + reserved < usize::from(self.window.messages)
            && self.bytes + bytes <= self.window.bytes
            && self.span() < u64::from(self.window.packet_ids()) - 1
    }

    /// Hand-overs since the oldest one that is outstanding, itself included.
    fn span(&self) -> u64 {
        let oldest = match (self.order.keys().next(), self.waiting.front()) {
            (Some(number), _) => *number,
            (None, Some(entry)) => entry.number,
            (None, None) => self.next,
        };
        self.next - oldest
    }

    pub fn hand_over(&mut self, row: T, bytes: usize) {
        self.bytes += bytes;
        self.waiting.push_back(Entry { number: self.next, bytes, row });
        self.next += 1;
    }

    /// The client wrote a publish under this id: it is the one handed over first.
    pub fn written(&mut self, id: u16) -> Result<(), Confusion> {
        if self.written.contains_key(&id) {
            return Err(Confusion::Collision(id));
        }
        let entry = self.waiting.pop_front().ok_or(Confusion::NothingHandedOver)?;
        self.order.insert(entry.number, id);
        self.written.insert(id, entry);
        Ok(())
    }

    /// The row that this acknowledgement settles; `None` if the id is not out.
    pub fn acknowledged(&mut self, id: u16) -> Option<T> {
        let entry = self.written.remove(&id)?;
        self.order.remove(&entry.number);
        self.bytes -= entry.bytes;
        Some(entry.row)
    }

    /// All that was never acknowledged, in the order of hand-over.
    pub fn into_rest(mut self) -> impl Iterator<Item = T> {
        let order = std::mem::take(&mut self.order);
        let written: Vec<_> =
            order.into_values().filter_map(|id| self.written.remove(&id)).collect();
        written.into_iter().chain(self.waiting).map(|entry| entry.row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inflight(messages: u16) -> Inflight<u32> {
        Inflight::new(Window::new(messages, 1000))
    }

    #[test]
    fn a_row_gets_its_packet_id_in_the_order_of_hand_over() {
        let mut inflight = inflight(10);
        for row in [100, 101, 102] {
            inflight.hand_over(row, 10);
        }
        inflight.written(7).unwrap();
        inflight.written(8).unwrap();
        assert_eq!(inflight.acknowledged(9), None, "102 is not written yet");
        assert_eq!(inflight.acknowledged(8), Some(101));
        assert_eq!(inflight.acknowledged(8), None, "an acknowledgement counts once");
        assert_eq!((inflight.messages(), inflight.bytes()), (2, 20));
        assert_eq!(inflight.into_rest().collect::<Vec<_>>(), [100, 102]);
    }

    #[test]
    fn the_window_holds_in_messages_and_in_bytes() {
        let mut inflight = inflight(3);
        assert!(inflight.room(5000, 0), "a large message may go alone");
        inflight.hand_over(1, 400);
        assert!(inflight.room(600, 0));
        assert!(!inflight.room(601, 0));
        assert!(inflight.room(1, 1));
        assert!(!inflight.room(1, 2), "two places are kept for others");
        inflight.hand_over(2, 1);
        inflight.hand_over(3, 1);
        assert!(!inflight.room(1, 0));
    }

    #[test]
    fn a_stuck_message_stops_the_window_before_its_id_comes_round() {
        let mut inflight = inflight(2);
        let mut id = 0;
        let mut write = |inflight: &mut Inflight<u32>, row| {
            inflight.hand_over(row, 1);
            id = id % 8 + 1;
            inflight.written(id).map(|()| id)
        };
        let stuck = write(&mut inflight, 0).unwrap();
        let mut sent = 0;
        while inflight.room(1, 0) {
            sent += 1;
            let id = write(&mut inflight, sent).expect("never a collision");
            assert_eq!(inflight.acknowledged(id), Some(sent));
            assert!(sent < 100, "the ring went round");
        }
        assert_eq!(inflight.acknowledged(stuck), Some(0));
        assert!(inflight.room(1, 0));
    }

    #[test]
    fn confusion_is_noticed() {
        let mut inflight = inflight(4);
        assert_eq!(inflight.written(1), Err(Confusion::NothingHandedOver));
        inflight.hand_over(1, 1);
        inflight.hand_over(2, 1);
        inflight.written(1).unwrap();
        assert_eq!(inflight.written(1), Err(Confusion::Collision(1)));
        assert_eq!(inflight.into_rest().count(), 2, "and nothing is forgotten");
    }

    #[test]
    fn a_huge_window_still_fits_packet_ids() {
        assert_eq!(Window::new(u16::MAX, 1).packet_ids(), 65_532);
        assert_eq!(Window::new(0, 1).packet_ids(), 4);
    }
}
