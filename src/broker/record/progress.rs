//! How far a session got: what changes with every message, apart from the session itself.

use bytes::Bytes;

use super::fields::{Reader, Writer};
use super::qos;
use crate::model::{Qos, TopicFilter, TopicName, Wall};

const VERSION: u8 = 1;
/// With replays: they are seldom, and without them an older gateway understands the record.
const VERSION_WITH_REPLAYS: u8 = 2;

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
    /// Retained messages that are still to be sent.
    pub replays: Vec<ReplayRecord>,
}

/// What a subscription is still to get of the retained messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayRecord {
    pub filter: TopicFilter,
    pub qos: Qos,
    /// The subscription identifier, 0 for none.
    pub id: u32,
    /// The last topic that was sent.
    pub after: Option<TopicName>,
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
            replays: Vec::new(),
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
        let has_replays = !self.replays.is_empty();
        let mut writer = Writer::new(if has_replays { VERSION_WITH_REPLAYS } else { VERSION });
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
            });
        if has_replays {
            writer.list(self.replays.iter(), |to, replay| {
                to.text(replay.filter.as_str()).byte(replay.qos.level()).word(replay.id).option(
                    replay.after.as_ref(),
                    |to, topic| {
                        to.text(topic.as_str());
                    },
                );
            });
        }
        writer.finish()
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let has_replays = bytes.first() == Some(&VERSION_WITH_REPLAYS);
        let version = if has_replays { VERSION_WITH_REPLAYS } else { VERSION };
        let mut reader = Reader::new(bytes, version)?;
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
            replays: if has_replays { reader.list(read_replay)? } else { Vec::new() },
        };
        reader.end(record)
    }
}

fn read_replay(from: &mut Reader<'_>) -> Option<ReplayRecord> {
    Some(ReplayRecord {
        filter: TopicFilter::new(from.text()?).ok()?,
        qos: qos(from.byte()?)?,
        id: from.word()?,
        after: match from.option(Reader::text)? {
            Some(topic) => Some(TopicName::new(topic).ok()?),
            None => None,
        },
    })
}
