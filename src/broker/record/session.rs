//! A session: whose it is, what it subscribed to, its will.

use std::path::PathBuf;

use bytes::Bytes;

use super::fields::{Reader, Writer};
use super::qos;
use crate::broker::packet::{Version, Will};
use crate::broker::peer::Peer;
use crate::broker::trie::Grant;
use crate::config::Place;
use crate::model::{TopicFilter, TopicName};

const VERSION: u8 = 1;

#[derive(Debug, Clone)]
pub struct SessionRecord {
    /// By this the other records refer to it.
    pub number: u64,
    /// How its client connected last.
    pub version: Version,
    pub peer: Peer,
    pub user: Option<String>,
    pub place: Place,
    /// Seconds to outlive the connection; `u32::MAX` for ever.
    pub lifetime: u32,
    pub will: Option<Will>,
    pub subscriptions: Vec<(TopicFilter, Grant)>,
}

impl SessionRecord {
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new(VERSION);
        writer.long(self.number).byte(match self.version {
            Version::V311 => 0,
            Version::V5 => 1,
            Version::V31 => 2,
        });
        match self.peer {
            Peer::Network(address) => writer.byte(0).text(&address.to_string()),
            Peer::Local { uid } => writer.byte(1).option(uid, |to, uid| {
                to.word(uid);
            }),
        };
        match &self.place {
            Place::Address(address) => writer.byte(0).text(&address.to_string()),
            Place::Path(path) => writer.byte(1).text(&path.to_string_lossy()),
        };
        writer
            .option(self.user.as_deref(), |to, user| {
                to.text(user);
            })
            .word(self.lifetime)
            .option(self.will.as_ref(), write_will)
            .list(self.subscriptions.iter(), |to, (filter, grant)| {
                to.text(filter.as_str())
                    .byte(grant.qos.level())
                    .flag(grant.no_local)
                    .flag(grant.retain_as_published)
                    .word(grant.id);
            })
            .finish()
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let record = Self {
            number: reader.long()?,
            version: match reader.byte()? {
                0 => Version::V311,
                1 => Version::V5,
                2 => Version::V31,
                _ => return None,
            },
            peer: match reader.byte()? {
                0 => Peer::Network(reader.text()?.parse().ok()?),
                1 => Peer::Local { uid: reader.option(Reader::word)? },
                _ => return None,
            },
            place: match reader.byte()? {
                0 => Place::Address(reader.text()?.parse().ok()?),
                1 => Place::Path(PathBuf::from(reader.text()?)),
                _ => return None,
            },
            user: reader.option(|from| from.text().map(str::to_owned))?,
            lifetime: reader.word()?,
            will: reader.option(read_will)?,
            subscriptions: reader.list(|from| {
                let filter = TopicFilter::new(from.text()?).ok()?;
                let grant = Grant {
                    qos: qos(from.byte()?)?,
                    no_local: from.flag()?,
                    retain_as_published: from.flag()?,
                    id: from.word()?,
                };
                Some((filter, grant))
            })?,
        };
        reader.end(record)
    }
}

fn write_will(to: &mut Writer, will: &Will) {
    to.text(will.topic.as_str())
        .bytes(&will.payload)
        .byte(will.qos.level())
        .flag(will.retain)
        .word(will.delay)
        .option(will.expiry, |to, seconds| {
            to.word(seconds);
        })
        .bytes(&will.properties);
}

fn read_will(from: &mut Reader<'_>) -> Option<Will> {
    Some(Will {
        topic: TopicName::new(from.text()?).ok()?,
        payload: Bytes::copy_from_slice(from.bytes()?),
        qos: qos(from.byte()?)?,
        retain: from.flag()?,
        delay: from.word()?,
        expiry: from.option(Reader::word)?,
        properties: Bytes::copy_from_slice(from.bytes()?),
    })
}
