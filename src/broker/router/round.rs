//! What one round of the router changes that has to survive, and who waits until it does.
//!
//! A round is what the router does between two looks at its queues. All of its changes go to the
//! broker's file together, so that the file never has a part of them, and one commit answers all
//! who wait: PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, CONNACK, and QoS 2 messages that
//! may be sent only when their number can't be another's any more.
//!
//! Without a file nothing is written, and nobody ever waits.

use std::collections::HashMap;

use bytes::Bytes;

use super::Commit;
use crate::broker::message::Message;
use crate::broker::packet::Reason;
use crate::broker::record::{KeptMessage, MessageRecord, Receiver};
use crate::broker::session::{AckTicket, ConnId};
use crate::broker::trie::SessionKey;
use crate::model::{Mono, TopicName, Wall};
use crate::store::{Change, Key, LeftOut};

/// The broker's file as the router sees it.
pub trait KeepFile: Send {
    /// Takes changes, all of them or none; never waits.
    fn put(&self, changes: &mut Vec<Change>);
    /// Resolves when everything that was put is durable.
    fn committed(&self) -> Commit;
    /// Whether every session has to be put once more.
    fn take_renewed(&self) -> bool;
    /// Messages that have to be put once more, up to so many bytes of changes.
    fn take_left_out(&self) -> Option<(LeftOut, usize)>;
    /// Those for which that was not enough.
    fn leave_out(&self, left_out: &LeftOut);
}

/// Something that happens when a round is durable.
#[derive(Debug)]
pub enum Later {
    /// The answer to a PUBLISH.
    Acknowledge(SessionKey, AckTicket, Reason),
    /// PUBCOMP for a PUBREL.
    Complete(SessionKey, AckTicket, Reason),
    /// PUBREL for the message of this number, in the session of this number.
    Release(SessionKey, u64, u64),
    /// SUBACK or UNSUBACK.
    Answer(SessionKey, ConnId, Vec<u8>),
    /// CONNACK, and all that comes after it.
    Welcome(SessionKey, ConnId),
    /// QoS 2 messages in the queue.
    Send(SessionKey),
}

pub struct Round {
    file: Option<Box<dyn KeepFile>>,
    /// Number of this round.
    number: u64,
    /// This one and all before it are durable, but for what failed.
    safe: u64,
    /// The last of a commit that failed. A later one need not have made up for it: the file leaves
    /// out what it has no room for.
    failed: u64,
    changes: Vec<Change>,
    waiters: Vec<Later>,
    /// The last round of the commit that is on its way, with all who wait for that. There is one
    /// at a time: the disk does no more at once, and whatever comes meanwhile shares the next.
    pending: Option<(u64, Vec<Later>)>,
    /// What has to happen, after a commit that failed as well.
    again: Vec<Later>,
    next_row: u64,
    next_session: u64,
    /// Sessions that a message still waits for, where there are two or more.
    shared_rows: HashMap<u64, usize>,
    /// Those who get the message that is being routed.
    receivers: Vec<Receiver>,
    /// Wall time less monotonic time.
    wall_offset: i64,
}

impl Round {
    pub fn new(file: Option<Box<dyn KeepFile>>) -> Self {
        Self {
            file,
            number: 1,
            safe: 0,
            failed: 0,
            changes: Vec::new(),
            waiters: Vec::new(),
            pending: None,
            again: Vec::new(),
            next_row: 1,
            next_session: 1,
            shared_rows: HashMap::new(),
            receivers: Vec::new(),
            wall_offset: 0,
        }
    }

    /// Whether anything survives.
    pub fn is_on(&self) -> bool {
        self.file.is_some()
    }

    /// From now on nothing is written any more: what the file has is what the next run begins with.
    pub fn stop(&mut self) {
        self.file = None;
        self.changes.clear();
        self.waiters.clear();
        self.again.clear();
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn safe(&self) -> u64 {
        self.safe
    }

    pub fn set_wall(&mut self, now: Mono, wall: Wall) {
        self.wall_offset = wall.0.saturating_sub(now.0);
    }

    pub fn wall(&self, at: Mono) -> Wall {
        Wall(at.0.saturating_add(self.wall_offset))
    }

    pub fn next_session(&mut self) -> u64 {
        let number = self.next_session;
        self.next_session += 1;
        number
    }

    /// Numbers up to these are taken.
    pub fn start_after(&mut self, session: u64, row: u64) {
        self.next_session = self.next_session.max(session.saturating_add(1));
        self.next_row = self.next_row.max(row.saturating_add(1));
    }

    /// Gives what the change counts for until it is written.
    pub fn change(&mut self, key: Key, value: Option<Bytes>) -> usize {
        if !self.is_on() {
            return 0;
        }
        let change = Change { key, value };
        let cost = change.cost();
        self.changes.push(change);
        cost
    }

    pub fn change_retained(
        &mut self,
        topic: &TopicName,
        message: Option<&Message>,
        now: Mono,
    ) -> usize {
        if !self.is_on() {
            return 0;
        }
        let key = Key::Retained(Bytes::copy_from_slice(topic.as_str().as_bytes()));
        let value = message.map(|m| KeptMessage::of(m, (now, self.wall(now))).encode());
        self.change(key, value)
    }

    /// The row of the message that is being routed.
    pub fn row(&self) -> u64 {
        self.next_row
    }

    /// One more session that [`Round::row`] waits for.
    pub fn note_receiver(&mut self, receiver: Receiver) {
        self.receivers.push(receiver);
    }

    /// The message has been routed: writes it if a session waits for it; says whether one does.
    pub fn finish_message(&mut self, message: &Message, now: Mono) -> bool {
        if self.receivers.is_empty() {
            return false;
        }
        let receivers = std::mem::take(&mut self.receivers);
        let row = self.next_row;
        self.next_row += 1;
        self.put_message(row, message, receivers, now);
        true
    }

    /// Writes a message with those who wait for it; gives what that counts for until it is written.
    pub fn put_message(
        &mut self,
        row: u64,
        message: &Message,
        receivers: Vec<Receiver>,
        now: Mono,
    ) -> usize {
        self.wait_in_row(row, receivers.len());
        let message = KeptMessage::of(message, (now, self.wall(now)));
        let mut record = MessageRecord { message, receivers };
        let cost = self.change(Key::Message(row), Some(record.encode()));
        record.receivers.clear();
        self.receivers = record.receivers;
        cost
    }

    /// So many sessions wait for the message of a row.
    pub fn wait_in_row(&mut self, row: u64, sessions: usize) {
        if sessions > 1 {
            self.shared_rows.insert(row, sessions);
        }
    }

    /// One session waits no more for the message of a row.
    pub fn release_row(&mut self, row: u64) {
        if let Some(left) = self.shared_rows.get_mut(&row) {
            *left -= 1;
            if *left > 0 {
                return;
            }
            self.shared_rows.remove(&row);
        }
        self.change(Key::Message(row), None);
    }

    /// Has something done when this round is durable.
    pub fn wait(&mut self, later: Later) {
        self.waiters.push(later);
    }

    /// Has something done when a round is durable; gives it back if it is.
    pub fn wait_for(&mut self, round: u64, later: Later) -> Option<Later> {
        if round <= self.safe {
            return Some(later);
        }
        match &mut self.pending {
            Some((number, waiters)) if *number >= round => waiters.push(later),
            _ => self.waiters.push(later),
        }
        None
    }

    /// Whether what was put in a round may not be in the file though a commit after it was durable.
    /// Round 0 stands for nothing put.
    pub fn may_lack(&self, round: u64) -> bool {
        (1..=self.failed).contains(&round)
    }

    /// Has something done that a commit which failed was to do.
    pub fn wait_again(&mut self, later: Later) {
        self.again.push(later);
    }

    pub fn retry(&mut self) {
        self.waiters.append(&mut self.again);
    }

    /// Ends the round; gives a commit if anybody waits and none is on its way.
    pub fn end(&mut self) -> Option<Commit> {
        let file = self.file.as_ref()?;
        let number = self.number;
        if !self.changes.is_empty() {
            file.put(&mut self.changes);
            self.changes.clear();
            self.number += 1;
        }
        if self.waiters.is_empty() || self.pending.is_some() {
            return None;
        }
        self.number = number + 1;
        self.pending = Some((number, std::mem::take(&mut self.waiters)));
        Some(file.committed())
    }

    /// The commit on its way came to its end: all that has waited for it.
    pub fn settled(&mut self, is_durable: bool) -> Vec<Later> {
        let Some((number, waiters)) = self.pending.take() else { return Vec::new() };
        if is_durable {
            self.safe = self.safe.max(number);
        } else {
            self.failed = self.failed.max(number);
        }
        waiters
    }

    pub fn take_renewed(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.take_renewed())
    }

    pub fn take_left_out(&self) -> Option<(LeftOut, usize)> {
        self.file.as_ref()?.take_left_out()
    }

    pub fn leave_out(&self, left_out: &LeftOut) {
        if let Some(file) = &self.file {
            file.leave_out(left_out);
        }
    }
}
