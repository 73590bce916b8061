//! What survives a restart: puts what a round changed to the broker's file, and does what waited
//! for it.

use bytes::Bytes;

use super::round::Later;
use super::{Router, Waiter};
use crate::broker::encode;
use crate::broker::packet::Reason;
use crate::broker::session::{Close, Session};
use crate::model::{Mono, Wall};
use crate::store::Key;

impl Router {
    /// What the wall clock says now, for what is written down.
    pub fn set_wall(&mut self, now: Mono, wall: Wall) {
        self.round.set_wall(now, wall);
    }

    /// Puts what the round changed to the file, all at once.
    pub(super) fn persist(&mut self) {
        if !self.round.is_on() {
            return;
        }
        for at in 0..self.dirty.len() {
            let Some(&key) = self.dirty.get(at) else { break };
            let place = usize::try_from(key.0).unwrap_or(usize::MAX);
            let Some(Some(session)) = self.sessions.get_mut(place) else { continue };
            for row in session.outgoing.take_freed() {
                self.round.release_row(row);
            }
            if session.outgoing.held_since() == self.round.number() {
                self.round.wait(Later::Send(key));
            }
            write(session, &mut self.round);
        }
        if let Some(commit) = self.round.end() {
            self.commits.push((Waiter::Round, commit));
        }
    }

    /// A commit of the broker's file came to its end.
    pub(super) fn settle_round(&mut self, result: &Result<(), String>, now: Mono) {
        match (result, self.file_refuses) {
            (Err(error), false) => {
                tracing::error!(%error, "the broker's sessions and messages can't be written");
            }
            (Ok(()), true) => {
                tracing::info!("the broker's sessions and messages are written again");
            }
            _ => {}
        }
        self.file_refuses = result.is_err();
        for later in self.round.settled(result.is_ok()) {
            if result.is_ok() {
                self.fulfil(later, now);
            } else {
                self.fail(later, now);
            }
        }
    }

    pub(super) fn fulfil(&mut self, later: Later, now: Mono) {
        match later {
            Later::Acknowledge(key, ticket, reason) => {
                self.answer_publisher(key, ticket, reason, now);
            }
            Later::Complete(key, ticket, reason) => {
                let Some(session) = self.session(key) else { return };
                session.complete(ticket, reason);
                self.touch(key);
            }
            Later::Release(key, session_number, number) => {
                let Some(session) = self.session(key) else { return };
                if session.kept.as_ref().is_some_and(|kept| kept.number == session_number) {
                    session.release(number);
                    self.touch(key);
                }
            }
            Later::Answer(key, conn, packet) => {
                let Some(session) = self.session(key) else { return };
                if let Some(link) = session.link.as_mut().filter(|link| link.conn == conn) {
                    link.answer(&packet);
                    // Retained messages come after their SUBACK.
                    self.pump(key, now);
                }
            }
            Later::Welcome(key, conn) => self.welcome(key, conn, now),
            Later::Send(key) => self.pump(key, now),
        }
    }

    /// What was promised by nobody yet is refused; what has to happen is tried once more.
    fn fail(&mut self, later: Later, now: Mono) {
        match later {
            // It has been routed, and would be once more if it came as a new message.
            Later::Acknowledge(key, ticket, reason)
                if ticket.receipt.is_some() && !reason.is_refusal() =>
            {
                // With the session its receipts are gone, and nobody asks any more.
                if self.session(key).is_some_and(|session| session.receipts.is_owed(ticket)) {
                    self.round.wait_again(later);
                }
            }
            Later::Acknowledge(key, ticket, _) => {
                self.counters.dropped.store.one();
                self.answer_publisher(key, ticket, Reason::IMPLEMENTATION_SPECIFIC, now);
            }
            Later::Complete(key, ticket, _) => {
                // On another connection the client asks again.
                let link = self.session(key).and_then(|session| session.link.as_ref());
                if link.is_some_and(|link| link.conn == ticket.conn) {
                    self.round.wait_again(later);
                }
            }
            Later::Release(..) => self.round.wait_again(later),
            Later::Send(key) => {
                // The file may leave out the message for want of room: its number stays taken.
                if let Some(session) = self.session(key) {
                    session.moved();
                }
                self.touch(key);
                self.round.wait_again(later);
            }
            Later::Answer(key, conn, _) => {
                let session = self.session(key).and_then(|session| session.link.as_ref());
                if session.is_some_and(|link| link.conn == conn) {
                    self.close(key, Close::Fault(Reason::IMPLEMENTATION_SPECIFIC), now);
                }
            }
            Later::Welcome(key, conn) => {
                let Some(session) = self.session(key) else { return };
                let Some(link) = session.link.as_mut().filter(|link| link.conn == conn) else {
                    return;
                };
                let (version, room) = (link.terms.version, link.terms.room());
                let refusal = encode::connack_refused(version, Reason::SERVER_UNAVAILABLE, room);
                link.answer(&refusal);
                self.close(key, Close::Left { with_will: false }, now);
            }
        }
    }

    /// Has something done now if a round is durable, or else when it is. Whoever comes after the
    /// round failed gets what those who waited got.
    pub(super) fn when_safe(&mut self, round: u64, later: Later, now: Mono) {
        if self.round.may_lack(round) {
            return self.fail(later, now);
        }
        if let Some(later) = self.round.wait_for(round, later) {
            self.fulfil(later, now);
        }
    }
}

/// Writes what the file has not of a session as it is now.
fn write(session: &mut Session, round: &mut super::round::Round) {
    let has_moved = session.outgoing.take_moved();
    let Some(kept) = &mut session.kept else { return };
    let is_changed = std::mem::take(&mut kept.is_changed);
    let has_moved = std::mem::take(&mut kept.has_moved) | has_moved;
    let number = kept.number;
    if is_changed && let Some(record) = session.record() {
        let client = Bytes::copy_from_slice(session.client_id.as_bytes());
        round.change(Key::Session(client), Some(record.encode()));
    }
    if has_moved && session.lifetime > 0 {
        let record = session.progress(round.wall(session.away_since));
        round.change(Key::Progress(number), Some(record.encode()));
    }
}
