//! All that the broker's file has, read at the start.

use std::collections::HashMap;

use super::{KeptMessage, MessageRecord, ProgressRecord, SessionRecord};
use crate::store::{Key, Table};

#[derive(Default)]
pub struct Saved {
    /// With the client ids.
    pub sessions: Vec<(String, SessionRecord)>,
    pub progress: HashMap<u64, ProgressRecord>,
    /// With their rows, in the order of those.
    pub messages: Vec<(u64, MessageRecord)>,
    pub retained: Vec<KeptMessage>,
    /// Rows that can't be read.
    pub damaged: Vec<Key>,
}

impl Saved {
    /// Reads everything through `load`, which goes through a table and says whether it came to its
    /// end. Goes on with what there is.
    pub fn read(mut load: impl FnMut(Table, &mut dyn FnMut(Key, &[u8])) -> bool) -> Self {
        let mut saved = Self::default();
        let mut is_whole = true;
        for table in [Table::Session, Table::Progress, Table::Message, Table::Retained] {
            is_whole &= load(table, &mut |key, value| {
                if saved.take(&key, value).is_none() {
                    saved.damaged.push(key);
                }
            });
        }
        if !saved.damaged.is_empty() || !is_whole {
            tracing::error!(
                rows = saved.damaged.len(),
                "not all sessions and messages of the broker could be read"
            );
        }
        saved
    }

    /// Numbers of sessions and rows of messages up to these are taken. Messages may name sessions
    /// that have ended: their rows stay as they are until the last receiver is done.
    pub fn last(&self) -> (u64, u64) {
        let numbers = self.sessions.iter().map(|(_, record)| record.number);
        let (mut session, mut row) = (numbers.max().unwrap_or(0), 0);
        for number in self.progress.keys() {
            session = session.max(*number);
        }
        for (number, record) in &self.messages {
            row = row.max(*number);
            for receiver in &record.receivers {
                session = session.max(receiver.session);
            }
        }
        for key in &self.damaged {
            match key {
                Key::Progress(number) => session = session.max(*number),
                Key::Message(number) => row = row.max(*number),
                Key::Session(_) | Key::Retained(_) => {}
            }
        }
        (session, row)
    }

    fn take(&mut self, key: &Key, value: &[u8]) -> Option<()> {
        match key {
            Key::Session(client) => {
                let client = String::from_utf8(client.to_vec()).ok()?;
                self.sessions.push((client, SessionRecord::decode(value)?));
            }
            Key::Progress(number) => {
                self.progress.insert(*number, ProgressRecord::decode(value)?);
            }
            Key::Message(row) => self.messages.push((*row, MessageRecord::decode(value)?)),
            Key::Retained(_) => self.retained.push(KeptMessage::decode(value)?),
        }
        Some(())
    }
}
