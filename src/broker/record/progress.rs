//! How far a session got: what changes with every message, apart from the session itself.

use bytes::Bytes;

use super::fields::{Reader, Writer};
use crate::model::Wall;

const VERSION: u8 = 1;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressRecord {
    pub since: Since,
    /// Number of the next message.
    pub next: u64,
    /// All messages before this one are settled.
    pub first_open: u64,
    /// What is settled beyond that: from the first to before the second.
    pub gaps: Vec<(u64, u64)>,
    /// No message from this number on was sent before the client went.
    pub unsent: u64,
    /// Messages that the client has and that are to be released, in this order.
    pub released: Vec<u64>,
    /// Packet ids of QoS 2 messages of the client that it has not released.
    pub receipts: Vec<u16>,
}

/// Where the client was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Connected, with so many messages at most in flight at the same time.
    Connected { window: u16 },
    /// Away since this moment.
    Away(Wall),
}

/// Nothing is known of a session: it may have been connected.
impl Default for ProgressRecord {
    fn default() -> Self {
        Self {
            since: Since::Connected { window: u16::MAX },
            next: 0,
            first_open: 0,
            gaps: Vec::new(),
            unsent: 0,
            released: Vec::new(),
            receipts: Vec::new(),
        }
    }
}

impl ProgressRecord {
    /// Whether the session waits no more for the message of this number.
    pub fn is_settled(&self, number: u64) -> bool {
        let in_gap = |(from, end): &(u64, u64)| (*from..*end).contains(&number);
        number < self.first_open || self.released.contains(&number) || self.gaps.iter().any(in_gap)
    }

    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new(VERSION);
        match self.since {
            Since::Connected { window } => writer.byte(0).short(window),
            Since::Away(since) => writer.byte(1).signed(since.0),
        };
        writer
            .long(self.next)
            .long(self.first_open)
            .long(self.unsent)
            .list(self.gaps.iter(), |to, (from, end)| {
                to.long(*from).long(*end);
            })
            .list(self.released.iter(), |to, number| {
                to.long(*number);
            })
            .list(self.receipts.iter(), |to, id| {
                to.short(*id);
            })
            .finish()
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let since = match reader.byte()? {
            0 => Since::Connected { window: reader.short()? },
            1 => Since::Away(Wall(reader.signed()?)),
            _ => return None,
        };
        let record = Self {
            since,
            next: reader.long()?,
            first_open: reader.long()?,
            unsent: reader.long()?,
            gaps: reader.list(|from| Some((from.long()?, from.long()?)))?,
            released: reader.list(Reader::long)?,
            receipts: reader.list(Reader::short)?,
        };
        reader.end(record)
    }
}
