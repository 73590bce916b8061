//! QoS 2 messages that an uplink wants: routed only when the store has them.
//!
//! If the store refuses one, its publisher sends it again as a new message; had it been routed
//! before, a subscriber would get it twice.

use std::collections::VecDeque;

use super::{Commit, Later, Router, Waiter};
use crate::broker::message::Message;
use crate::broker::packet::Reason;
use crate::broker::session::AckTicket;
use crate::broker::trie::SessionKey;
use crate::model::{Mono, Qos};

/// In the order they came in, which is the order they are routed in.
#[derive(Default)]
pub struct Deferred {
    waiting: VecDeque<One>,
    /// Number of the first.
    from: u64,
}

struct One {
    publisher: SessionKey,
    ticket: AckTicket,
    message: Message,
    /// Whether the store took it, once that is known.
    stored: Option<bool>,
}

impl Router {
    /// Keeps a message until the store has it.
    pub(super) fn defer(
        &mut self,
        publisher: SessionKey,
        id: u16,
        message: Message,
        commit: Commit,
    ) {
        let ticket = self.acknowledge_later(publisher, (id, Qos::ExactlyOnce), false);
        let Some(ticket) = ticket else { return };
        let deferred = &mut self.deferred;
        let number = deferred.from + u64::try_from(deferred.waiting.len()).unwrap_or(0);
        deferred.waiting.push_back(One { publisher, ticket, message, stored: None });
        self.commits.push((Waiter::Message(number), commit));
    }

    /// The store has a message or refused it: routes every one whose turn it is.
    pub(super) fn settle_deferred(&mut self, number: u64, stored: bool, now: Mono) {
        let place = usize::try_from(number.wrapping_sub(self.deferred.from)).unwrap_or(usize::MAX);
        if let Some(one) = self.deferred.waiting.get_mut(place) {
            one.stored = Some(stored);
        }
        while let Some(One { stored: Some(stored), .. }) = self.deferred.waiting.front() {
            let stored = *stored;
            let Some(one) = self.deferred.waiting.pop_front() else { return };
            self.deferred.from += 1;
            if !stored {
                let reason = Reason::IMPLEMENTATION_SPECIFIC;
                self.answer_publisher(one.publisher, one.ticket, reason, now);
                continue;
            }
            // The session may have ended, and its place may be another's now.
            let session = self.session(one.publisher);
            let session = session.filter(|s| s.receipts.is_owed(one.ticket));
            let is_there = session.is_some();
            // The store has the message after a restart, whoever else wants it: so must its id be.
            let keeps_id = session.is_some_and(|s| s.keeps_messages());
            self.accept(is_there.then_some(one.publisher), one.message, None, now);
            let round = if self.is_kept || keeps_id { self.round.number() } else { 0 };
            if keeps_id && let Some(session) = self.session(one.publisher) {
                one.ticket.receipt.into_iter().for_each(|id| session.keep_receipt(id));
                self.touch(one.publisher);
            }
            let answer = Later::Acknowledge(one.publisher, one.ticket, Reason::SUCCESS);
            self.when_safe(round, answer, now);
        }
    }
}
