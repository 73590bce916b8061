//! What has to be put into the broker's file once more: everything if the file was begun anew, and
//! messages that it left out, in steps and as it has room.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::Router;
use crate::broker::message::Message;
use crate::broker::record::Receiver;
use crate::broker::trie::SessionKey;
use crate::model::Mono;
use crate::store::{Key, LeftOut};

impl Router {
    /// Tries again what a commit that failed was to do, and brings the file up to date.
    pub(super) fn tick_file(&mut self, now: Mono) {
        self.round.retry();
        if self.round.take_renewed() {
            self.put_sessions();
        }
        if let Some((left_out, room)) = self.round.take_left_out() {
            let rest = self.put_left_out(&left_out, room, now);
            self.round.leave_out(&rest);
        }
    }

    /// Has every session written at the end of the round.
    fn put_sessions(&mut self) {
        for place in 0..self.sessions.len() {
            let Ok(key) = u32::try_from(place).map(SessionKey) else { break };
            let Some(session) = self.session(key) else { continue };
            session.changed();
            session.moved();
            self.touch(key);
        }
    }

    /// Puts messages that the file lacks, up to so many bytes; gives those that had no room.
    fn put_left_out(&mut self, left_out: &LeftOut, room: usize, now: Mono) -> LeftOut {
        let mut rest = LeftOut::default();
        let mut left = room;
        for (row, (message, receivers)) in self.messages_of(left_out) {
            if left == 0 {
                rest.add(&Key::Message(row));
                continue;
            }
            left = left.saturating_sub(self.round.put_message(row, &message, receivers, now));
        }
        let retained = self.retained.kept();
        let retained = retained.filter(|m| left_out.has_topic(m.topic.as_str().as_bytes()));
        let retained: Vec<Arc<Message>> = retained.cloned().collect();
        for message in retained {
            if left == 0 {
                rest.add(&Key::Retained(Bytes::copy_from_slice(message.topic.as_str().as_bytes())));
                continue;
            }
            let cost = self.round.change_retained(&message.topic, Some(&message), now);
            left = left.saturating_sub(cost);
        }
        rest
    }

    /// Of these messages, those that sessions still wait for.
    fn messages_of(&self, left_out: &LeftOut) -> BTreeMap<u64, (Arc<Message>, Vec<Receiver>)> {
        let mut rows: BTreeMap<u64, (Arc<Message>, Vec<Receiver>)> = BTreeMap::new();
        for session in self.sessions.iter().flatten() {
            let Some(kept) = &session.kept else { continue };
            let wanted = |row| left_out.has_message(row);
            for (row, message, receiver) in session.outgoing.kept(kept.number, wanted) {
                rows.entry(row).or_insert_with(|| (message, Vec::new())).1.push(receiver);
            }
        }
        rows
    }
}
