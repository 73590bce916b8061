//! A session as the broker's file has it.

use super::Session;
use crate::broker::packet::Reason;
use crate::broker::record::{ProgressRecord, SessionRecord, Since};
use crate::model::Wall;

/// The session's place in the file, and whether what is there is out of date.
pub struct Kept {
    /// By this all rows refer to the session.
    pub number: u64,
    /// The session itself: its subscriptions, its will, whose it is.
    pub is_changed: bool,
    /// How far it got. [`super::Outgoing`] knows as well.
    pub has_moved: bool,
}

impl Kept {
    pub fn new(number: u64) -> Self {
        Self { number, is_changed: true, has_moved: true }
    }
}

impl Session {
    /// Whether messages for this session survive a restart. A session that ends with its connection
    /// is in the file for its will alone.
    pub fn keeps_messages(&self) -> bool {
        self.kept.is_some() && self.lifetime > 0
    }

    /// The session itself is not any more as the file has it.
    pub fn changed(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.is_changed = true;
        }
    }

    /// How far the session got is not any more as the file has it.
    pub fn moved(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.has_moved = true;
        }
    }

    pub fn record(&self) -> Option<SessionRecord> {
        Some(SessionRecord {
            number: self.kept.as_ref()?.number,
            version: self.gauge.version,
            peer: self.gauge.peer,
            user: self.login.user.as_deref().map(str::to_owned),
            place: self.login.place.clone(),
            lifetime: self.lifetime,
            will: self.will.clone(),
            subscriptions: self.subscriptions.iter().map(|(f, g)| (f.clone(), *g)).collect(),
        })
    }

    /// `away_since` matters only while the client is away.
    pub fn progress(&self, away_since: Wall) -> ProgressRecord {
        let since = match &self.link {
            Some(link) => Since::Connected { window: link.terms.window },
            None => Since::Away(away_since),
        };
        ProgressRecord { since, receipts: self.receipts.kept(), ..self.outgoing.progress() }
    }

    /// A PUBREC is durable: releases its message.
    pub fn release(&mut self, number: u64) {
        let id = self.outgoing.tell(number);
        // A connection that waits for its CONNACK gets all PUBRELs after that.
        let link = self.link.as_mut().filter(|link| !link.is_waiting());
        if let Some((link, id)) = link.zip(id) {
            link.release(id, Reason::SUCCESS);
        }
    }
}
