//! The one owner of sessions, subscriptions and retained messages: packets and the time in, bytes
//! in the outboxes out.
//!
//! Sans-I/O: it never waits and knows no socket; [`super::service`] feeds it from bounded queues,
//! and wire tests feed it by hand. What has to be durable leaves as a future in
//! [`Router::take_commits`] and comes back through [`Router::settle`].

mod admit;
mod again;
mod connect;
mod deadlines;
mod deferred;
mod durable;
mod end;
mod listing;
mod pace;
mod restore;
mod round;
mod route;
mod share;
mod subscribe;
mod total;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::access::{Access, Login};
use super::held::Held;
use super::listen::Ears;
use super::message::{Frames, Message};
use super::outbox::Outbox;
use super::packet::{Connect, Incoming, Reason};
use super::peer::Peer;
use super::retained::Retained;
use super::session::{AckTicket, Close, ConnId, Link, Pump, Session, Step, Waiting};
use super::shares::GroupKey;
use super::status::Counters;
use super::subscriptions::Subscriptions;
use super::traffic::Traffic;
use super::trie::{Match, SessionKey};
use super::{Publish, Rules};
use crate::config::BrokerLimits;
use crate::model::{Message as Stored, Mono, Qos, SetRequest, TopicFilter};

pub use round::{KeepFile, Later, Round};

use deferred::Deferred;

/// Hands a message to the store; resolves when it is durable.
pub type Append = Box<dyn Fn(Stored) -> Commit + Send>;
pub type Commit = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Who waits for a message to be durable.
#[derive(Debug, Clone, Copy)]
pub enum Waiter {
    Nobody,
    /// A publisher, for its acknowledgement; and then for this round of the broker's file.
    Publisher(SessionKey, AckTicket, u64),
    /// The message itself, to be routed: its number among the deferred ones.
    Message(u64),
    /// All who wait for the broker's file.
    Round,
}

/// Something a connection tells the router.
pub enum Event {
    Connect {
        conn: ConnId,
        connect: Box<Connect>,
        /// Who the client is, or why it is not let in.
        login: Result<Login, Reason>,
        outbox: Arc<Outbox>,
        peer: Peer,
    },
    Packets {
        conn: ConnId,
        packets: Vec<Incoming>,
        held: Option<Held>,
    },
    /// A packet against the standard; to be answered with this reason.
    Broken {
        conn: ConnId,
        reason: Reason,
    },
    /// The outbox has room again.
    Room {
        conn: ConnId,
    },
    Gone {
        conn: ConnId,
    },
}

pub struct Router {
    limits: BrokerLimits,
    rules: Arc<Rules>,
    access: Arc<Access>,
    inbox: mpsc::Sender<SetRequest>,
    append: Option<Append>,
    counters: Arc<Counters>,
    sessions: Vec<Option<Box<Session>>>,
    /// Places in `sessions` that are free.
    free: Vec<SessionKey>,
    by_client: HashMap<Arc<str>, SessionKey>,
    by_conn: HashMap<ConnId, SessionKey>,
    subscriptions: Subscriptions,
    retained: Retained,
    traffic: Traffic,
    ears: Ears,
    /// Sessions whose connection has to be woken at the end of the round.
    dirty: Vec<SessionKey>,
    /// Messages of shared subscriptions whose session has ended, for other members of the group.
    passed_on: Vec<(TopicFilter, Arc<Message>)>,
    /// Sessions that get retained messages in steps and are not through.
    replaying: Vec<SessionKey>,
    /// Messages the store has yet to make durable, and whom to tell.
    commits: Vec<(Waiter, Commit)>,
    deferred: Deferred,
    /// What the broker's file has yet to learn.
    round: Round,
    /// Whether the last commit of the store failed, and of the broker's file.
    store_refuses: bool,
    file_refuses: bool,
    /// Whether the message being routed has to be durable before it is acknowledged.
    is_kept: bool,
    /// A subscriber of the message being routed that is behind; its publisher shall wait.
    behind: Option<SessionKey>,
    /// Makes the client ids that the broker assigns differ from those before a restart.
    seed: u64,
    assigned: u64,
    swept_at: Mono,
    /// Of all queues together, as of the last round.
    queued_bytes: usize,
    // Kept for their memory only.
    matches: Vec<Match>,
    groups: Vec<Match<GroupKey, ()>>,
    frames: Frames,
}

/// What the router needs from outside.
pub struct Setup {
    pub limits: BrokerLimits,
    pub access: Arc<Access>,
    pub inbox: mpsc::Sender<SetRequest>,
    pub append: Option<Append>,
    /// What outlives a restart; `None`: nothing does.
    pub file: Option<Box<dyn KeepFile>>,
    pub counters: Arc<Counters>,
    pub seed: u64,
}

impl Router {
    pub fn new(setup: Setup, now: Mono) -> Self {
        let Setup { limits, access, inbox, append, file, counters, seed } = setup;
        Self {
            retained: Retained::new(limits.retained_messages, limits.retained_bytes),
            limits,
            rules: Arc::default(),
            access,
            inbox,
            append,
            counters,
            sessions: Vec::new(),
            free: Vec::new(),
            by_client: HashMap::new(),
            by_conn: HashMap::new(),
            subscriptions: Subscriptions::default(),
            traffic: Traffic::default(),
            ears: Ears::default(),
            dirty: Vec::new(),
            passed_on: Vec::new(),
            replaying: Vec::new(),
            commits: Vec::new(),
            deferred: Deferred::default(),
            round: Round::new(file),
            store_refuses: false,
            file_refuses: false,
            is_kept: false,
            behind: None,
            seed,
            assigned: 0,
            swept_at: now,
            queued_bytes: 0,
            matches: Vec::new(),
            groups: Vec::new(),
            frames: Frames::default(),
        }
    }

    /// Takes new bounds. What is above them stays until it goes by itself: nobody is disconnected,
    /// and full queues and retained messages shrink as others come.
    pub fn set_limits(&mut self, limits: BrokerLimits) {
        self.retained.set_limits(limits.retained_messages, limits.retained_bytes);
        self.limits = limits;
    }

    /// Who listens in.
    pub fn ears(&mut self) -> &mut Ears {
        &mut self.ears
    }

    pub fn set_rules(&mut self, rules: Arc<Rules>) {
        self.rules = rules;
    }

    pub fn take(&mut self, event: Event, now: Mono) {
        match event {
            Event::Connect { conn, connect, login, outbox, peer } => {
                self.connect(conn, *connect, login, (outbox, peer), now);
            }
            Event::Packets { conn, packets, held } => self.packets(conn, packets, held, now),
            Event::Broken { conn, reason } => {
                self.counters.malformed.one();
                match self.link(conn).and_then(Link::waiting) {
                    Some(waiting) => waiting.fault = Some(reason),
                    None => self.close_conn(conn, Close::Fault(reason), now),
                }
            }
            Event::Room { conn } => {
                if let Some(&key) = self.by_conn.get(&conn) {
                    self.pump(key, now);
                }
            }
            Event::Gone { conn } => {
                // Nobody is left to be promised anything, but what was sent is heard.
                if let Some(waiting) = self.link(conn).and_then(Link::take_waiting) {
                    self.take_early(conn, *waiting, now);
                }
                self.close_conn(conn, Close::Lost, now);
            }
        }
    }

    fn packets(&mut self, conn: ConnId, packets: Vec<Incoming>, held: Option<Held>, now: Mono) {
        if let Some(waiting) = self.link(conn).and_then(Link::waiting) {
            return waiting.early.push((packets, held));
        }
        // Acknowledgements come many at a time; what they make room for is sent once.
        let mut has_window = false;
        for packet in packets {
            // Looked up for each packet: one of them may have ended the connection.
            let Some(&key) = self.by_conn.get(&conn) else { return };
            let Some(session) = self.session(key) else { return };
            match session.receive(packet, now) {
                Step::Done => self.touch(key),
                Step::Publish(topic, publish) => {
                    session.gauge.received.one();
                    self.client_publish(key, topic, publish, now);
                }
                Step::Subscribe(subscribe) => self.subscribe(key, &subscribe, now),
                Step::Unsubscribe(unsubscribe) => self.unsubscribe(key, &unsubscribe),
                Step::Pump => has_window = true,
                Step::Release(number) => {
                    let session = session.kept.as_ref().map_or(0, |kept| kept.number);
                    self.round.wait(Later::Release(key, session, number));
                    self.touch(key);
                }
                Step::Complete(ticket, reason) => {
                    self.round.wait(Later::Complete(key, ticket, reason));
                    self.touch(key);
                }
                Step::Close(close) => self.close(key, close, now),
            }
        }
        if let Some(&key) = self.by_conn.get(&conn).filter(|_| has_window) {
            self.pump(key, now);
        }
    }

    /// Takes what a client sent before its CONNACK could be written.
    fn take_early(&mut self, conn: ConnId, waiting: Waiting, now: Mono) {
        for (packets, held) in waiting.early {
            self.packets(conn, packets, held, now);
        }
        if let Some(reason) = waiting.fault {
            self.close_conn(conn, Close::Fault(reason), now);
        }
    }

    /// Takes a message from within the gateway.
    pub fn publish(&mut self, publish: Publish, now: Mono) {
        self.local_publish(publish, now);
    }

    /// A message is durable, or the store refused it.
    pub fn settle(&mut self, waiter: Waiter, result: &Result<(), String>, now: Mono) {
        if let Waiter::Round = waiter {
            return self.settle_round(result, now);
        }
        self.note_store(result);
        match waiter {
            Waiter::Nobody | Waiter::Round => {}
            Waiter::Publisher(key, ticket, round) if result.is_ok() => {
                self.when_safe(round, Later::Acknowledge(key, ticket, Reason::SUCCESS), now);
            }
            Waiter::Publisher(key, ticket, _) => {
                self.answer_publisher(key, ticket, Reason::IMPLEMENTATION_SPECIFIC, now);
            }
            Waiter::Message(number) => self.settle_deferred(number, result.is_ok(), now),
        }
    }

    fn answer_publisher(&mut self, key: SessionKey, ticket: AckTicket, reason: Reason, now: Mono) {
        let Some(session) = self.session(key) else { return };
        if session.settle(ticket, reason) {
            self.touch(key);
        } else {
            // The client shall connect and send again.
            self.close(key, Close::Fault(reason), now);
        }
    }

    /// Counts what the store refuses; says so once, and once when it takes messages again.
    fn note_store(&mut self, result: &Result<(), String>) {
        match (result, self.store_refuses) {
            (Err(error), false) => tracing::warn!(%error, "the store refuses messages of clients"),
            (Ok(()), true) => tracing::info!("the store takes messages of clients again"),
            _ => {}
        }
        self.store_refuses = result.is_err();
        self.counters.dropped.store.add(u64::from(result.is_err()));
    }

    /// Ends what the round has for the broker's file. Futures to be driven to their end and then
    /// handed to [`Router::settle`].
    pub fn take_commits(&mut self) -> Vec<(Waiter, Commit)> {
        self.bound_queues();
        self.persist();
        std::mem::take(&mut self.commits)
    }

    /// Whether [`Router::resume`] has something to do.
    pub fn is_unfinished(&self) -> bool {
        !self.replaying.is_empty() || !self.passed_on.is_empty()
    }

    /// Goes on with work that is done in steps.
    pub fn resume(&mut self, now: Mono) {
        self.pass_on(now);
        for key in std::mem::take(&mut self.replaying) {
            self.pump(key, now);
        }
    }

    /// Ends a round: wakes the connections that got something, and cuts those that take none of
    /// the answers they cause.
    pub fn flush(&mut self, now: Mono) {
        let answers_max = self.limits.outgoing_bytes * 2
            + usize::try_from(self.limits.packet_bytes).unwrap_or(usize::MAX / 4);
        let mut unread = Vec::new();
        let mut bytes_out = 0;
        let dirty = std::mem::take(&mut self.dirty);
        for &key in &dirty {
            let Some(session) = self.session(key) else { continue };
            session.touched = false;
            session.show();
            if let Some(link) = session.link.as_mut()
                && std::mem::take(&mut link.dirty)
            {
                let (written, queued) = link.outbox.send();
                bytes_out += written;
                if queued > answers_max {
                    tracing::warn!(client = %session.client_id, "client does not read, connection cut");
                    unread.push(key);
                }
            }
        }
        self.dirty = dirty;
        self.dirty.clear();
        // What this touches is of the next round: it has to be written before it is shown.
        for key in unread {
            self.counters.slow_cut.one();
            self.close(key, Close::Cut, now);
        }
        let counters = &self.counters;
        counters.bytes_out.add(u64::try_from(bytes_out).unwrap_or(0));
        counters.subscriptions.set(self.subscriptions.len());
        counters.shared_subscriptions.set(self.subscriptions.shared_len());
        counters.retained_messages.set(self.retained.len());
        counters.retained_bytes.set(self.retained.bytes());
        counters.sessions.set(self.by_client.len());
    }

    fn session(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.sessions.get_mut(usize::try_from(key.0).ok()?)?.as_deref_mut()
    }

    fn link(&mut self, conn: ConnId) -> Option<&mut Link> {
        let key = *self.by_conn.get(&conn)?;
        self.session(key)?.link.as_mut()
    }

    /// Remembers that the session has to be looked at by [`Router::flush`].
    fn touch(&mut self, key: SessionKey) {
        if let Some(session) = self.session(key)
            && !std::mem::replace(&mut session.touched, true)
        {
            self.dirty.push(key);
        }
    }

    /// Takes a number for the acknowledgement of a message that has to wait; see
    /// [`Session::acknowledge_later`]. The id may be one to be remembered, so this round writes it.
    fn acknowledge_later(
        &mut self,
        key: SessionKey,
        (id, qos): (u16, Qos),
        is_kept: bool,
    ) -> Option<AckTicket> {
        let ticket = self.session(key)?.acknowledge_later(id, qos, is_kept);
        self.touch(key);
        ticket
    }

    /// Sends what waits for a client, as far as it goes.
    fn pump(&mut self, key: SessionKey, now: Mono) {
        let place = usize::try_from(key.0).unwrap_or(usize::MAX);
        let Some(Some(session)) = self.sessions.get_mut(place) else { return };
        let Some(link) = session.link.as_mut().filter(|link| !link.is_waiting()) else { return };
        let mut written = 0;
        let mut dropped = 0;
        let drops = &self.counters.dropped;
        let when = (self.round.safe(), now);
        let pumped =
            session.outgoing.pump(link, &self.limits, drops, when, (&mut written, &mut dropped));
        session.gauge.dropped.add(dropped);
        session.gauge.sent.add(written);
        self.counters.messages_out.add(written);
        self.touch(key);
        self.release_waiters(key, now);
        if pumped == Pump::Idle {
            self.replay(key, now);
        }
    }

    fn set_connected(&self) {
        let connected = self.by_conn.len();
        let counters = &self.counters;
        counters.connections.set(connected);
        counters.connections_max.set(counters.connections_max.get().max(connected));
    }

    fn close_conn(&mut self, conn: ConnId, close: Close, now: Mono) {
        if let Some(&key) = self.by_conn.get(&conn) {
            self.close(key, close, now);
        }
    }
}
