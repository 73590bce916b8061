//! Which rows the answer to a ping settles.
//!
//! Data is QoS 0: nobody acknowledges it. But a broker takes the packets of a connection in their
//! order, so the answer to a PINGREQ proves that it has everything that was sent before. (Deleting
//! rows after the write to the socket lost 19 % of them under faults.) Pure.

use std::collections::VecDeque;

use super::chunk::Sent;

/// Pings that may be out at once for little: enough to keep a long line full.
const PINGS_MAX: usize = 4;
/// With this much in front of it a ping is always due: on a slow line its answer is the only sign of
/// life.
pub const PING_BYTES: usize = 16 * 1024;

/// See the module.
pub struct Barrier {
    messages_max: usize,
    bytes_max: usize,
    /// Sent, with no ping behind it yet.
    open: Vec<Sent>,
    /// Behind each ping, by its number, what it proves.
    waiting: VecDeque<(u64, Vec<Sent>)>,
    messages: usize,
    bytes: usize,
}

impl Barrier {
    pub fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self {
            messages_max,
            bytes_max,
            open: Vec::new(),
            waiting: VecDeque::new(),
            messages: 0,
            bytes: 0,
        }
    }

    /// Whether more may be sent.
    pub fn has_room(&self) -> bool {
        self.messages < self.messages_max && self.bytes < self.bytes_max
    }

    pub fn sent(&mut self, sent: Sent) {
        self.messages += sent.messages;
        self.bytes += sent.bytes;
        self.open.push(sent);
    }

    pub fn wants_ping(&self) -> bool {
        let bytes = || self.open.iter().map(|sent| sent.bytes).sum::<usize>();
        !self.open.is_empty() && (self.waiting.len() < PINGS_MAX || bytes() >= PING_BYTES)
    }

    /// A ping with this number went behind all that was sent.
    pub fn pinged(&mut self, number: u64) {
        self.waiting.push_back((number, std::mem::take(&mut self.open)));
    }

    /// What the answer to this ping proves.
    pub fn answered(&mut self, number: u64) -> Vec<Sent> {
        let mut proven = Vec::new();
        while self.waiting.front().is_some_and(|(waiting, _)| *waiting <= number) {
            proven.extend(self.waiting.pop_front().into_iter().flat_map(|(_, sent)| sent));
        }
        self.less(&proven);
        proven
    }

    /// What has no ping behind it yet is to be sent again: nothing will prove it any more.
    pub fn take_back(&mut self) -> Vec<Sent> {
        let open = std::mem::take(&mut self.open);
        self.less(&open);
        open
    }

    fn less(&mut self, sent: &[Sent]) {
        for sent in sent {
            self.messages -= sent.messages;
            self.bytes -= sent.bytes;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.waiting.is_empty()
    }

    pub fn messages(&self) -> usize {
        self.messages
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What no answer came for.
    pub fn into_rest(self) -> impl Iterator<Item = Sent> {
        self.waiting.into_iter().flat_map(|(_, sent)| sent).chain(self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(messages: usize) -> Sent {
        Sent { messages, bytes: messages * 10, ..Sent::default() }
    }

    fn messages(proven: &[Sent]) -> usize {
        proven.iter().map(|sent| sent.messages).sum()
    }

    #[test]
    fn an_answer_proves_what_went_before_its_ping_and_nothing_else() {
        let mut barrier = Barrier::new(100, 1000);
        assert!(!barrier.wants_ping());
        barrier.sent(sent(1));
        barrier.sent(sent(2));
        barrier.pinged(5);
        barrier.sent(sent(4));
        barrier.pinged(7);
        barrier.sent(sent(16));
        assert_eq!(messages(&barrier.take_back()), 16);
        barrier.sent(sent(8));
        assert_eq!((barrier.messages(), barrier.bytes()), (15, 150));
        assert_eq!(messages(&barrier.answered(4)), 0, "a ping of the keep-alive");
        assert_eq!(messages(&barrier.answered(6)), 3);
        assert_eq!(messages(&barrier.answered(6)), 0);
        assert_eq!(messages(&barrier.answered(7)), 4);
        assert_eq!(messages(&barrier.into_rest().collect::<Vec<_>>()), 8);
    }

    #[test]
    fn the_window_and_the_pings_are_bounded() {
        let mut barrier = Barrier::new(3, 1000);
        for number in 0..4 {
            assert!(barrier.wants_ping() || number == 0);
            barrier.sent(sent(0));
            barrier.pinged(number);
            barrier.sent(sent(0));
        }
        assert!(!barrier.wants_ping(), "four are out");
        assert!(barrier.has_room());
        barrier.sent(sent(3));
        assert!(!barrier.has_room());
    }

    #[test]
    fn much_is_never_without_a_ping_behind_it() {
        let mut barrier = Barrier::new(100, 1 << 20);
        for number in 0..8 {
            barrier.sent(Sent { messages: 1, bytes: PING_BYTES, ..Sent::default() });
            assert!(barrier.wants_ping(), "{number}");
            barrier.pinged(number);
        }
        barrier.sent(sent(1));
        assert!(!barrier.wants_ping());
    }
}
