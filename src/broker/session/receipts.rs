//! The QoS 2 messages of a client that it has not released yet, by packet id.
//!
//! An id is here from its PUBLISH to its PUBREL, across connections: a PUBLISH that comes again
//! meanwhile is the same message [MQTT-4.3.3-10]. One that was refused is not here: its id may be
//! used anew at once [MQTT-4.3.3-9].

use std::collections::HashMap;

use super::{AckTicket, ConnId};

#[derive(Default)]
pub struct Receipts {
    ids: HashMap<u16, Receipt>,
}

struct Receipt {
    /// The connection on which the PUBLISH was seen last.
    seen_on: ConnId,
    /// The PUBREC that is not written yet.
    owed: Option<Owed>,
    /// Whether the broker's file has it: as it has the message.
    is_kept: bool,
}

#[derive(Clone, Copy)]
struct Owed {
    /// Whoever knows the message's fate will ask by this ticket.
    asked: AckTicket,
    /// The place of the PUBREC among the acknowledgements of the connection that waits for it.
    place: AckTicket,
}

/// What a PUBLISH of QoS 2 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    New,
    /// Had before; `first_here` on this connection. With `owed` its PUBREC can't be written yet.
    Again {
        first_here: bool,
        owed: bool,
    },
}

/// What a PUBREL is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    Done {
        was_kept: bool,
    },
    Unknown,
    /// The client did not wait for the PUBREC.
    TooEarly,
}

impl Receipts {
    /// Whether a PUBLISH was there before.
    pub fn look(&mut self, id: u16, conn: ConnId) -> Seen {
        let Some(receipt) = self.ids.get_mut(&id) else { return Seen::New };
        let first_here = std::mem::replace(&mut receipt.seen_on, conn) != conn;
        Seen::Again { first_here, owed: receipt.owed.is_some() }
    }

    /// Remembers a message whose PUBREC was written.
    pub fn insert(&mut self, id: u16, conn: ConnId) {
        self.ids.insert(id, Receipt { seen_on: conn, owed: None, is_kept: false });
    }

    /// Remembers a message whose fate is not known yet.
    pub fn insert_owed(&mut self, id: u16, ticket: AckTicket) {
        let owed = Some(Owed { asked: ticket, place: ticket });
        self.ids.insert(id, Receipt { seen_on: ticket.conn, owed, is_kept: false });
    }

    /// The message is in the broker's file.
    pub fn keep(&mut self, id: u16) {
        if let Some(receipt) = self.ids.get_mut(&id) {
            receipt.is_kept = true;
        }
    }

    /// Takes one over from the broker's file.
    pub fn restore(&mut self, id: u16) {
        // No connection of this run has this number.
        let seen_on = ConnId(u64::MAX);
        self.ids.insert(id, Receipt { seen_on, owed: None, is_kept: true });
    }

    /// What the broker's file has of it.
    pub fn kept(&self) -> Vec<u16> {
        self.ids.iter().filter(|(_, receipt)| receipt.is_kept).map(|(id, _)| *id).collect()
    }

    /// The client sent the message again on another connection, where the PUBREC goes now.
    pub fn owe_here(&mut self, id: u16, place: AckTicket) {
        if let Some(owed) = self.ids.get_mut(&id).and_then(|receipt| receipt.owed.as_mut()) {
            owed.place = place;
        }
    }

    /// Whether this ticket's message is one of this session.
    pub fn is_owed(&self, ticket: AckTicket) -> bool {
        let receipt = ticket.receipt.and_then(|id| self.ids.get(&id));
        receipt.and_then(|r| r.owed).is_some_and(|owed| owed.asked == ticket)
    }

    /// The fate of a message is known: gives the place where its PUBREC goes.
    pub fn settle(&mut self, id: u16, ticket: AckTicket, refused: bool) -> Option<AckTicket> {
        let receipt = self.ids.get_mut(&id)?;
        let place = receipt.owed.take_if(|owed| owed.asked == ticket)?.place;
        if refused {
            self.ids.remove(&id);
        }
        Some(place)
    }

    /// Forgets a message because of its PUBREL.
    pub fn release(&mut self, id: u16) -> Released {
        match self.ids.get(&id) {
            None => Released::Unknown,
            Some(Receipt { owed: Some(_), .. }) => Released::TooEarly,
            Some(&Receipt { owed: None, is_kept, .. }) => {
                self.ids.remove(&id);
                Released::Done { was_kept: is_kept }
            }
        }
    }
}
