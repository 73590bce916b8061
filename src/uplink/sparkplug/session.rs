//! One connection of an edge node: from CONNACK to its death certificate.
//!
//! Subscriptions first, then (once the primary host is there) the births, then data. Rows are
//! settled by the answer to a ping that went behind them; dropping this struct loses nothing,
//! because the next connection starts from the store again. Nothing here waits but
//! [`Session::read`].

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::barrier::{Barrier, PING_BYTES};
use super::chunk::{self, Asks, Sent};
use super::commands::{self, Kind};
use super::edge::{Edge, millis};
use super::host::Turn;
use super::node::Now;
use crate::model::{Class, Origin, Qos, Seq, SetRequest, TopicFilter, TopicName};
use crate::store::{Consumer, Entry};
use crate::uplink::cause::{Cause, Ended};
use crate::uplink::client::{Client, Event, Failure, Message, Received, Subscription};
use crate::uplink::engine::{Closing, Engine};
use crate::uplink::lanes::{Lane, Turns, Work};
use crate::uplink::notices::Notices;
use crate::uplink::pack::PUBLISH_OVERHEAD;
use crate::uplink::reader::{Found, Reader};
use crate::uplink::session::End;
use crate::uplink::settling::{Fate, Settling, rows_in};

/// With other servers to go to, one on which nobody says whether the primary host is there is left
/// after this.
const HOST_SILENT: Duration = Duration::from_secs(30);
/// Of the watchdog's times: so long may a broker that talks to us leave a ping or a subscription
/// unanswered. (One that says nothing at all is found out by the client.)
const ANSWER_PATIENCE: u32 = 6;
/// A device whose birth is too large is tried again, and what waits of it read again, after this.
const BIRTH_RETRY: Duration = Duration::from_secs(600);
/// How much of the store is read at once, in bytes of memory: some hundred values, whose messages
/// go out with one ping behind them.
const READ_BYTES: usize = 32 * 1024;
/// How long the death certificate may take to be acknowledged.
const FAREWELL: Duration = Duration::from_millis(500);

pub struct Session<'a> {
    engine: &'a mut Engine,
    edge: &'a mut Edge,
    consumer: Consumer,
    /// From the first births on.
    reader: Option<Reader>,
    turns: Turns,
    /// Read, and not sent because births must come first.
    held: Option<(Work, Vec<Entry>)>,
    /// Data that waited to be sent was dropped for births: the store is read again before them.
    again: bool,
    barrier: Barrier,
    notices: Notices,
    settling: Settling,
    pings_unsettled: usize,
    settle_at: Instant,
    /// What was handed over since the last ping.
    unpinged: Weight,
    /// What was handed over before each ping that is not answered, by its number.
    pinged: VecDeque<(u64, Weight)>,
    /// The last answer to a ping, or the ping that ended a time without any.
    quiet_since: Instant,
    /// How much longer an answer may take, for all that goes out before it.
    slack: Duration,
    /// Subscriptions that the broker has not answered, by packet id.
    unanswered: HashMap<u16, String>,
    /// There are other servers to go to.
    can_move: bool,
    leaving: Option<Leaving>,
    /// Why the session ends, unless a stop was asked for.
    end: Option<Ended>,
    connected: Instant,
    acknowledged: bool,
    owed: bool,
    stale: bool,
    paced: Option<Instant>,
}

/// Publishes on their way.
#[derive(Default)]
struct Weight {
    messages: usize,
    bytes: usize,
}

/// The steps of an intended end.
#[derive(Clone, Copy)]
enum Leaving {
    /// What is out may still be proven, until then.
    Draining(Instant),
    /// The death certificate is out under this packet id.
    Dying(u16, Instant),
    /// Everything is said; whether with a death certificate.
    Gone(bool),
}

impl<'a> Session<'a> {
    /// Subscribes. `server` is `host:port`.
    pub fn start(
        engine: &'a mut Engine,
        edge: &'a mut Edge,
        client: &mut Client,
        consumer: Consumer,
        (server, can_move): (&str, bool),
    ) -> Result<Self, End> {
        edge.node.connected(server, engine.plan.packet_bytes.min(client.limits().packet_bytes));
        let mut unanswered = HashMap::new();
        for name in edge.node.plan.subscribed() {
            let filter = TopicFilter::new(&name).map_err(|error| {
                End::Ours(Ended::new(
                    Cause::Settings,
                    format!("can't subscribe to {name}: {error}"),
                ))
            })?;
            let qos = Qos::AtLeastOnce;
            let to = Subscription { filter: &filter, qos, no_local: false };
            unanswered.insert(client.subscribe(to)?, name);
        }
        let plan = &engine.plan;
        let barrier = Barrier::new(plan.window_messages.into(), plan.window_bytes);
        let topic = TopicName::new(&edge.node.plan.topic("NDATA")).ok();
        let pause = engine.timing.notice_pause;
        let notices = Notices::new(consumer.clone(), topic, plan.packet_bytes, pause);
        match &edge.node.host {
            Some(host) => {
                let reason = format!("connected, and waiting for the primary host {}", host.id);
                engine.waiting(&reason);
            }
            None => engine.online(),
        }
        let now = Instant::now();
        Ok(Self {
            engine,
            edge,
            consumer,
            reader: None,
            turns: Turns::default(),
            held: None,
            again: false,
            barrier,
            notices,
            settling: Settling::default(),
            pings_unsettled: 0,
            settle_at: now,
            unpinged: Weight::default(),
            pinged: VecDeque::new(),
            quiet_since: now,
            slack: Duration::ZERO,
            unanswered,
            can_move,
            leaving: None,
            end: None,
            connected: now,
            acknowledged: false,
            owed: false,
            stale: true,
            paced: None,
        })
    }

    pub fn changed(&self) -> watch::Receiver<u64> {
        self.edge.store.changed()
    }

    pub fn tick_every(&self) -> Duration {
        self.engine.timing.settle
    }

    pub fn stopping(&self) -> bool {
        self.leaving.is_some()
    }

    pub fn ticking(&self) -> bool {
        self.stopping()
            || !self.unanswered.is_empty()
            || !self.barrier.is_empty()
            || !self.pinged.is_empty()
            || !self.settling.is_empty()
            || self.owed
            || self.stale
            || self.held.is_some()
            || (self.reader.is_some() && self.notices.pending())
            || self.edge.node.births_due().is_some()
            || self.reader.as_ref().is_some_and(Reader::is_pausing)
            || (self.can_move && self.reader.is_none())
    }

    /// There is nothing more to say or to wait for.
    pub fn done(&self) -> bool {
        matches!(self.leaving, Some(Leaving::Gone(_)))
    }

    /// A stop: what is out may still be proven.
    pub fn stop(&mut self) {
        self.leaving = Some(Leaving::Draining(Instant::now() + self.engine.timing.stop_grace));
    }

    /// Ends the session at once.
    fn leave(&mut self, ended: Ended) {
        self.end = Some(ended);
        self.leaving = Some(Leaving::Draining(Instant::now()));
    }

    pub fn event(&mut self, event: Event) {
        match event {
            Event::PingAcked(number) => self.proven(number),
            Event::Received(message) => self.received(&message),
            Event::Subscribed { id, granted, refused } => {
                let filter = self.unanswered.remove(&id).unwrap_or_default();
                self.engine.subscribed(granted, refused);
                if refused > 0 {
                    self.denied(&filter);
                }
            }
            Event::Acked(id, _) => {
                if matches!(self.leaving, Some(Leaving::Dying(death, _)) if death == id) {
                    self.leaving = Some(Leaving::Gone(true));
                }
            }
        }
    }

    /// The broker does not grant a subscription. Without commands a node is still of use; without
    /// the word of its primary host it would wait for ever.
    fn denied(&mut self, filter: &str) {
        let reason = format!("the broker does not grant the subscription to {filter}");
        let of_host = commands::kind(&self.edge.node, filter);
        if matches!(of_host, Kind::State(_)) && !self.stopping() {
            self.leave(Ended::new(Cause::Refused, reason));
        } else {
            tracing::warn!(uplink = %self.engine.plan.name, "{reason}");
        }
    }

    fn received(&mut self, message: &Received) {
        match commands::kind(&self.edge.node, &message.topic) {
            Kind::State(host) => self.host(host, &message.payload),
            _ if message.retain => self.refused(),
            Kind::Node => match commands::is_rebirth(&message.payload) {
                Ok(true) => {
                    self.engine.board.update(|progress| progress.commands.received += 1);
                    if self.edge.node.want_rebirth() {
                        self.take_back();
                    }
                }
                Ok(false) => self.ignored(),
                Err(error) => {
                    tracing::debug!(uplink = %self.engine.plan.name, %error, "a node command is not taken");
                    self.ignored();
                }
            },
            Kind::Device(device) => self.command(device, message),
            Kind::Other => self.ignored(),
        }
    }

    /// What was to be sent, or was and has no ping behind it, will be read from the store again.
    fn take_back(&mut self) {
        let rows = self.barrier.take_back().into_iter().flat_map(|sent| sent.rows);
        let duplicates = delivered(rows);
        self.engine.board.update(|progress| progress.duplicates_possible += duplicates);
        self.notices.postpone(Duration::ZERO);
        self.again = true;
    }

    fn command(&mut self, device: &str, message: &Received) {
        let commands = match commands::commands(&self.edge.node, device, &message.payload) {
            Ok(commands) => commands,
            Err(error) => {
                tracing::info!(uplink = %self.engine.plan.name, device, %error, "a command is not taken");
                return self.ignored();
            }
        };
        let at = self.engine.clock.mono();
        for command in commands {
            let request = SetRequest {
                origin: Origin::Uplink(self.engine.plan.name.clone()),
                topic: command.topic,
                payload: command.payload,
                retain: false,
                expires: message.expiry.map(|seconds| at + Duration::from_secs(seconds.into())),
                at,
                reply_to: None,
                answer: None,
            };
            match self.engine.inbox.try_send(request) {
                Ok(()) => self.engine.board.update(|progress| progress.commands.received += 1),
                Err(_) => self.refused(),
            }
        }
    }

    fn ignored(&self) {
        self.engine.board.update(|progress| progress.commands.ignored += 1);
    }

    fn refused(&self) {
        self.engine.board.update(|progress| progress.commands.refused += 1);
    }

    fn host(&mut self, host: &str, payload: &[u8]) {
        match self.edge.node.state(host, payload) {
            Some(Turn::Offline) if self.edge.node.is_born() || self.can_move => {
                let reason = format!("the primary host {host} is offline");
                self.leave(Ended::new(Cause::HostAway, reason));
            }
            Some(Turn::Online) => self.engine.online(),
            Some(Turn::Offline | Turn::Same) => {}
            None => self.ignored(),
        }
    }

    /// The broker has everything that went before this ping.
    fn proven(&mut self, number: u64) {
        self.quiet_since = Instant::now();
        while let Some((_, weight)) = self.pinged.pop_front_if(|(pinged, _)| *pinged <= number) {
            self.engine.answered(weight.messages, weight.bytes);
        }
        for sent in self.barrier.answered(number) {
            self.acknowledged = true;
            self.stale = true;
            if self.settling.is_empty() && self.pings_unsettled == 0 {
                self.settle_at = Instant::now() + self.engine.timing.settle;
            }
            self.pings_unsettled += sent.messages;
            for (class, fate, range) in sent.rows {
                self.settling.add(class, fate, [range]);
            }
            for id in sent.notices {
                self.notices.answered(id);
                self.engine.board.update(|progress| progress.notices += 1);
            }
        }
    }

    /// Something was appended to the store.
    pub fn appended(&mut self) {
        self.stale = true;
        let rows = self.reader.as_mut().map_or(0, Reader::appended);
        self.engine.appended(rows);
    }

    pub async fn read(&mut self) -> Found {
        match &mut self.reader {
            Some(reader) => reader.read().await,
            None => std::future::pending().await,
        }
    }

    /// Takes what the store gave.
    pub fn found(&mut self, found: Found) {
        let Some(reader) = &mut self.reader else { return };
        let found = reader.found(found);
        self.engine.store_problem(found.as_ref().err());
        if let Ok(found) = found {
            self.held = Some(found);
        }
    }

    /// Until when something waits for the rate alone.
    pub fn paced(&self) -> Option<Instant> {
        self.paced
    }

    /// Says what is due, sends as much as the window and the rate allow, and reads ahead. What was
    /// handed over is written when the client is asked for what comes next.
    pub fn pump(&mut self, client: &mut Client) -> Result<(), Failure> {
        match self.leaving {
            None => self.speak(),
            Some(Leaving::Draining(by)) if self.barrier.is_empty() || Instant::now() >= by => {
                self.edge.node.farewell(millis(self.engine.clock.wall()));
                self.leaving = Some(Leaving::Gone(false));
            }
            Some(Leaving::Dying(_, by)) if Instant::now() >= by => {
                self.leaving = Some(Leaving::Gone(true));
            }
            Some(_) => {}
        }
        self.paced = None;
        self.slack = client.slack();
        while let Some(out) = self.edge.node.outbox.front() {
            let bytes = out.bytes() + PUBLISH_OVERHEAD;
            // The death certificate can't wait.
            let may_wait = out.qos == Qos::AtMostOnce;
            if may_wait && let Err(until) = self.engine.may_send(bytes) {
                // A ping of the barrier would prove what was not sent; without any, nothing that
                // was sent would be known to have arrived.
                if self.pinged.is_empty() && self.unpinged.messages > 0 {
                    self.ping(client)?;
                }
                self.paced = Some(until);
                return Ok(());
            }
            let Some(out) = self.edge.node.outbox.pop_front() else { break };
            if self.unpinged.messages > 0 && self.unpinged.bytes + bytes > PING_BYTES {
                // It proves no row, since more of the same read follows: only that they are there.
                self.ping(client)?;
            }
            self.unpinged.messages += 1;
            self.unpinged.bytes += bytes;
            self.engine.handed_over(bytes);
            self.stale = true;
            let id = client.publish(Message {
                topic: &out.topic,
                payload: &out.payload(millis(self.engine.clock.wall())),
                qos: out.qos,
                retain: false,
                content_type: None,
                correlated: None,
            })?;
            if id != 0 {
                self.leaving = Some(Leaving::Dying(id, Instant::now() + FAREWELL));
            }
        }
        if matches!(self.leaving, Some(Leaving::Dying(..) | Leaving::Gone(_))) {
            // A ping now would prove what the death certificate has displaced.
            return Ok(());
        }
        while self.barrier.wants_ping() {
            let number = self.ping(client)?;
            self.barrier.pinged(number);
        }
        Ok(())
    }

    /// The number of a ping behind all that was handed over.
    fn ping(&mut self, client: &mut Client) -> Result<u64, Failure> {
        let number = client.ping()?;
        if self.pinged.is_empty() {
            self.quiet_since = Instant::now();
        }
        self.pinged.push_back((number, std::mem::take(&mut self.unpinged)));
        Ok(number)
    }

    /// Puts into the outbox what may go out now.
    fn speak(&mut self) {
        let births = self.edge.node.births_due().filter(|due| *due <= Instant::now());
        // What is still being proven is not to be read again; and births behind births that a slow line
        // has still to carry would fill the memory.
        let is_proven = self.barrier.is_empty();
        if self.unanswered.is_empty() && births.is_some() && is_proven {
            self.births();
        }
        if !self.edge.node.is_free() {
            return;
        }
        let wall = millis(self.engine.clock.wall());
        // Before the rows that follow what they tell of.
        self.notices.look(self.edge.store.epoch());
        while self.barrier.has_room()
            && let Some(told) = self.notices.next()
        {
            self.edge.node.notice(wall, String::from_utf8_lossy(&told.payload).into_owned());
            let (notices, bytes) = (vec![told.id], told.bytes());
            self.barrier.sent(Sent { notices, messages: 1, bytes, ..Sent::default() });
        }
        if let Some((work, entries)) = self.held.take() {
            self.send(&work, &entries);
        }
        let Some(reader) = &mut self.reader else { return };
        let has_backlog = reader.next(Lane::Backlog).is_some();
        let before = self.edge.node.outbox.len();
        self.edge.node.device_deaths(has_backlog);
        let deaths = self.edge.node.outbox.len() - before;
        if deaths > 0 {
            self.barrier.sent(Sent { messages: deaths, ..Sent::default() });
        }
        if self.barrier.has_room() && reader.is_free() {
            let [live, backlog] = [Lane::Live, Lane::Backlog].map(|lane| reader.next(lane));
            if let Some(lane) = self.turns.next(live.is_some(), backlog.is_some())
                && let Some(work) = if lane == Lane::Live { live } else { backlog }
            {
                self.turns.took(lane);
                reader.begin(work, READ_BYTES);
            }
        }
    }

    fn births(&mut self) {
        let times = self.edge.store.times();
        let latest = self.edge.latest.clone();
        let now = Now {
            wall: millis(self.engine.clock.wall()),
            at: Instant::now(),
            latest: &*latest,
            boot: self.edge.store.boot(),
            times: &times,
        };
        if std::mem::take(&mut self.again) {
            self.settle();
            (self.reader, self.held) = (None, None);
        }
        // Before the births, so that what they don't have yet is live.
        let pause = self.engine.timing.store_retry;
        self.reader.get_or_insert_with(|| Reader::start(self.consumer.clone(), pause));
        self.edge.node.births(&now);
        let (messages, bytes) = chunk::weight(&self.edge.node);
        self.barrier.sent(Sent { messages, bytes, ..Sent::default() });
    }

    fn send(&mut self, work: &Work, entries: &[Entry]) {
        let times = self.edge.store.times();
        let (store, latest) = (self.edge.store.clone(), self.edge.latest.clone());
        let plan = self.engine.plan.clone();
        let asks = Asks {
            meta: &|id| store.tag(id),
            is_sent: &|topic| plan.send.iter().any(|filter| filter.matches(topic.as_str())),
        };
        let now = Now {
            wall: millis(self.engine.clock.wall()),
            at: Instant::now(),
            latest: &*latest,
            boot: store.boot(),
            times: &times,
        };
        let sent = chunk::take(&mut self.edge.node, (work.class, work.lane), entries, &asks, &now);
        self.barrier.sent(sent);
    }

    /// Puts all known fates into the store, in one go.
    fn settle(&mut self) {
        let acked_messages = std::mem::take(&mut self.pings_unsettled);
        self.engine.settle(&self.consumer, &mut self.settling, acked_messages);
    }

    /// Time went by.
    pub fn tick(&mut self) {
        let now = Instant::now();
        if now >= self.settle_at && !(self.settling.is_empty() && self.pings_unsettled == 0) {
            self.settle();
        }
        let unheard = self.edge.node.host.as_ref().is_some_and(|host| !host.is_known());
        if unheard && self.can_move && now - self.connected >= HOST_SILENT && !self.stopping() {
            self.leave(Ended::new(Cause::HostAway, "nothing is known here of the primary host"));
        }
        if !self.stopping() {
            self.watch(now);
        }
        let idle = self.barrier.is_empty() && self.settling.is_empty() && self.held.is_none();
        if let Some(reader) = &mut self.reader {
            self.owed = idle && reader.is_owed();
            let holds_back = self.edge.node.holds_back();
            let pause = if holds_back { BIRTH_RETRY } else { self.engine.timing.store_retry };
            if self.owed && reader.rescan(pause) {
                self.edge.node.try_again();
            }
        }
        self.stale = false;
        let in_flight = (self.barrier.messages(), self.barrier.bytes());
        let lanes = self.reader.as_ref().map(Reader::positions).unwrap_or_default();
        self.engine.board.update(|progress| {
            progress.in_flight = in_flight;
            progress.lanes = lanes;
        });
    }

    /// A broker that talks and does not answer is left.
    fn watch(&mut self, now: Instant) {
        let patience = self.engine.timing.watchdog * ANSWER_PATIENCE + self.slack;
        let seconds = patience.as_secs_f64();
        if let Some(filter) = self.unanswered.values().next()
            && now - self.connected >= patience
        {
            let reason =
                format!("the broker did not answer the subscription to {filter} for {seconds} s");
            self.leave(Ended::new(Cause::NoAcknowledgement, reason));
        } else if !self.pinged.is_empty() && now - self.quiet_since >= patience {
            let reason = format!("the broker answered no ping for {seconds} s");
            self.leave(Ended::new(Cause::NoAcknowledgement, reason));
        }
    }

    /// The end: settles what was proven. Says why it ended, if that was not a stop, and whether the
    /// hosts were told.
    pub fn close(mut self) -> (Closing, Option<Ended>, bool) {
        self.settle();
        let told = matches!(self.leaving, Some(Leaving::Gone(true)));
        // Where the host is not, the next server is tried, however well this one worked.
        let moves = self.can_move && self.end.is_some();
        let closing = Closing {
            out: self.barrier.messages(),
            acknowledged: self.acknowledged,
            refused: moves,
            lasted: self.connected.elapsed() >= self.engine.timing.backoff_cap,
        };
        let duplicates = delivered(self.barrier.into_rest().flat_map(|sent| sent.rows));
        self.engine.board.update(|progress| {
            progress.duplicates_possible += duplicates;
            progress.in_flight = (0, 0);
        });
        (closing, self.end, told)
    }
}

/// How many of these rows hosts have seen, if they have seen all that was sent.
fn delivered(rows: impl Iterator<Item = (Class, Fate, Range<Seq>)>) -> u64 {
    let delivered = rows.filter(|(_, fate, _)| matches!(fate, Fate::Delivered(_)));
    delivered.map(|(_, _, range)| rows_in(&[range])).sum()
}
