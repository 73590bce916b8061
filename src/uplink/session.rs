//! One connection: what is read, handed over, acknowledged, settled.
//!
//! The stored row is the only truth. Rows come from the store's position at CONNACK and are
//! settled by PUBACK alone; whatever else happens, dropping this struct loses nothing, because
//! the next connection starts from the store again. The driver (`drive.rs`) owns the event loop
//! and the waiting; here nothing waits.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, Incoming, Outgoing, QoS, SubscribeReasonCode};
use tokio::time::Instant;

use super::cause::{Cause, Ended};
use super::engine::Engine;
use super::inflight::{Inflight, Window};
use super::lanes::{LIVE_LAG_MAX, Lane, Lanes, Turns, Work};
use super::pack::{Item, Packed, Rows};
use super::reply::{REPLIES_MAX, Reply};
use super::settling::{Fate, Settling, rows_in};
use crate::model::Class;
use crate::store::{Consumer, Entry, Settled, StoreError};

/// How much of the store is read at once.
const READ_BYTES: usize = 128 * 1024;
/// A lane with less than this ready to go is read further.
const READY_BYTES_LOW: usize = 64 * 1024;
/// One place in this many of the window is kept for live rows and replies.
const LIVE_SHARE: u16 = 8;

type Reading = Pin<Box<dyn Future<Output = (Work, Result<Vec<Entry>, StoreError>)> + Send>>;

/// What waits for one acknowledgement.
enum Out {
    Rows(Rows),
    Reply(Reply),
}

/// Packed messages of one lane, ready for the hand-over.
#[derive(Default)]
struct Ready {
    items: VecDeque<Item>,
    bytes: usize,
}

impl Ready {
    fn push(&mut self, item: Item) {
        self.bytes += item.bytes();
        self.items.push_back(item);
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.bytes -= item.bytes();
        Some(item)
    }
}

pub struct Session<'a> {
    engine: &'a mut Engine,
    client: AsyncClient,
    consumer: Consumer,
    window: Window,
    inflight: Inflight<Out>,
    /// `None` until CONNACK.
    lanes: Option<Lanes>,
    turns: Turns,
    live: Ready,
    backlog: Ready,
    /// The one read of the store that is under way.
    reading: Option<Reading>,
    /// Not before this, after the store could not be read.
    read_again: Option<Instant>,
    settling: Settling,
    acks_unsettled: usize,
    settle_at: Instant,
    /// The last acknowledgement, or the hand-over that ended a time with nothing out.
    quiet_since: Instant,
    /// Nothing is left to do here, but rows are unsettled in the store; see [`Session::rescan`].
    owed: bool,
    rescan_at: Instant,
    /// When a stop gives up waiting for acknowledgements.
    stop_by: Option<Instant>,
    /// Whether this connection moved anything: then the next back-off starts small again.
    progress: bool,
}

impl<'a> Session<'a> {
    pub fn new(
        engine: &'a mut Engine,
        client: AsyncClient,
        consumer: Consumer,
        window: Window,
    ) -> Self {
        let now = Instant::now();
        Self {
            engine,
            client,
            consumer,
            window,
            inflight: Inflight::new(window),
            lanes: None,
            turns: Turns::default(),
            live: Ready::default(),
            backlog: Ready::default(),
            reading: None,
            read_again: None,
            settling: Settling::default(),
            acks_unsettled: 0,
            settle_at: now,
            quiet_since: now,
            owed: false,
            rescan_at: now,
            stop_by: None,
            progress: false,
        }
    }

    pub fn online(&self) -> bool {
        self.lanes.is_some()
    }

    pub fn stopping(&self) -> bool {
        self.stop_by.is_some()
    }

    /// Whether [`Session::tick`] has anything to watch.
    pub fn ticking(&self) -> bool {
        self.inflight.messages() > 0
            || !self.settling.is_empty()
            || self.read_again.is_some()
            || self.owed
            || self.stopping()
    }

    /// A stop was asked for and there is nothing more to wait for.
    pub fn done(&self) -> bool {
        self.stop_by.is_some_and(|by| self.inflight.messages() == 0 || Instant::now() >= by)
    }

    pub fn stop(&mut self) {
        let grace = if self.online() { self.engine.timing.stop_grace } else { Default::default() };
        self.stop_by = Some(Instant::now() + grace);
    }

    /// Takes what the client reports.
    pub fn event(&mut self, event: Event) -> Result<(), Ended> {
        match event {
            Event::Incoming(Incoming::ConnAck(_)) => self.connected(),
            Event::Outgoing(Outgoing::Publish(id)) => self
                .inflight
                .written(id)
                .map_err(|confusion| Ended::new(Cause::Protocol, confusion.to_string())),
            Event::Outgoing(Outgoing::AwaitAck(id)) => {
                Err(Ended::new(Cause::Protocol, format!("packet id {id} collided in the client")))
            }
            Event::Incoming(Incoming::PubAck(ack)) => {
                self.acknowledged(ack.pkid);
                Ok(())
            }
            Event::Incoming(Incoming::Publish(publish)) => {
                self.engine.received(&publish);
                Ok(())
            }
            Event::Incoming(Incoming::SubAck(ack)) => {
                let refused = |code: &&SubscribeReasonCode| **code == SubscribeReasonCode::Failure;
                self.engine.filters_refused(ack.return_codes.iter().filter(refused).count());
                Ok(())
            }
            Event::Incoming(_) | Event::Outgoing(_) => Ok(()),
        }
    }

    /// Subscribes before anything is published, then starts both lanes from the store.
    fn connected(&mut self) -> Result<(), Ended> {
        for filter in &self.engine.plan.receive {
            self.client
                .try_subscribe(filter.as_str(), QoS::AtLeastOnce)
                .map_err(|_| Ended::new(Cause::Settings, format!("can't subscribe to {filter}")))?;
        }
        self.engine.online();
        self.quiet_since = Instant::now();
        self.start_lanes();
        Ok(())
    }

    fn start_lanes(&mut self) {
        let consumer = &self.consumer;
        let position = |class| {
            let position = consumer.position(class);
            (position.head, position.unsettled)
        };
        self.lanes = Some(Lanes::start(position, LIVE_LAG_MAX));
        self.rescan_at = Instant::now() + self.engine.timing.store_retry;
    }

    /// Something was appended to the store.
    pub fn appended(&mut self) {
        let Some(lanes) = &mut self.lanes else { return };
        let heads = Class::ALL.map(|class| (class, self.consumer.position(class).head));
        let rows = heads.into_iter().map(|(class, head)| lanes.appended(class, head)).sum();
        self.engine.appended(rows);
    }

    pub fn tick_every(&self) -> Duration {
        self.engine.timing.settle
    }

    /// Replies wait in a bounded queue until the engine has room for them.
    pub fn takes_replies(&self) -> bool {
        self.engine.replies.len() < REPLIES_MAX
    }

    pub fn reply(&mut self, reply: Reply) {
        self.engine.replies.push_back(reply);
    }

    /// Takes what the client still had to report when the connection ended.
    pub fn late(&mut self, event: Event) -> Result<(), Ended> {
        match event {
            Event::Incoming(Incoming::ConnAck(_)) => Ok(()),
            event => self.event(event),
        }
    }

    fn acknowledged(&mut self, id: u16) {
        // An id that is not out was already thrown out by the client as unsolicited.
        let Some(out) = self.inflight.acknowledged(id) else { return };
        let now = Instant::now();
        self.quiet_since = now;
        self.progress = true;
        self.settle_soon(now);
        self.acks_unsettled += 1;
        match out {
            Out::Rows(rows) => {
                self.settling.add(rows.class, Fate::Delivered, rows.delivered);
                self.settling.add(rows.class, Fate::Excluded, rows.excluded);
            }
            Out::Reply(_) => self.engine.board.update(|progress| progress.commands.replies += 1),
        }
        if self.acks_unsettled >= self.engine.timing.settle_acks || now >= self.settle_at {
            self.settle();
        }
    }

    /// Starts the wait for company, unless it is running.
    fn settle_soon(&mut self, now: Instant) {
        if self.settling.is_empty() && self.acks_unsettled == 0 {
            self.settle_at = now + self.engine.timing.settle;
        }
    }

    /// Puts all known fates into the store, in one go.
    fn settle(&mut self) {
        let acked_messages = std::mem::take(&mut self.acks_unsettled);
        let fates = self.settling.take();
        for (class, fate, ranges) in &fates {
            let how = match fate {
                Fate::Delivered => Settled::Delivered,
                Fate::Excluded => Settled::Excluded,
                Fate::Dead(reason) => Settled::Dead(reason.code()),
            };
            self.consumer.settle(*class, ranges, how);
        }
        let fates = fates.iter().map(|(_, fate, ranges)| (*fate, rows_in(ranges)));
        self.engine.settled(fates, acked_messages);
        self.owed = self.idle() && self.unsettled();
        self.report();
    }

    fn idle(&self) -> bool {
        self.inflight.messages() == 0
            && self.settling.is_empty()
            && self.reading.is_none()
            && self.live.items.is_empty()
            && self.backlog.items.is_empty()
    }

    fn unsettled(&self) -> bool {
        Class::ALL.iter().any(|class| !self.consumer.position(*class).unsettled.is_empty())
    }

    fn report(&self) {
        let in_flight = (self.inflight.messages(), self.inflight.bytes());
        let lanes = self.lanes.as_ref().map(Lanes::positions).unwrap_or_default();
        self.engine.board.update(|progress| {
            progress.in_flight = in_flight;
            progress.lanes = lanes;
        });
    }

    /// Time went by: settles what is due, and watches over the acknowledgements.
    pub fn tick(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        if now >= self.settle_at && !(self.settling.is_empty() && self.acks_unsettled == 0) {
            self.settle();
        }
        self.report();
        let watchdog = self.engine.timing.watchdog;
        if self.inflight.messages() > 0 && now - self.quiet_since >= watchdog {
            let out = self.inflight.messages();
            let reason = format!(
                "the broker acknowledged none of {out} messages for {:.1} s",
                watchdog.as_secs_f64()
            );
            return Err(Ended::new(Cause::NoAcknowledgement, reason));
        }
        if self.read_again.is_some_and(|at| now >= at) {
            self.read_again = None;
        }
        Ok(())
    }

    /// The read of the store that is under way; waits for ever if there is none.
    pub async fn read(&mut self) -> (Work, Result<Vec<Entry>, StoreError>) {
        match &mut self.reading {
            Some(reading) => {
                let result = reading.await;
                self.reading = None;
                result
            }
            None => std::future::pending().await,
        }
    }

    /// Packs what the store gave.
    pub fn packed(&mut self, work: &Work, entries: Result<Vec<Entry>, StoreError>) {
        if !self.online() {
            return;
        }
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                self.read_again = Some(Instant::now() + self.engine.timing.store_retry);
                self.engine.store_problem(Some(&error));
                return;
            }
        };
        self.engine.store_problem(None);
        self.settle_soon(Instant::now());
        // Nothing at all means that nothing of the range exists any more.
        let upto = entries.last().map_or(work.range.end, |entry| entry.range().end);
        if let Some(lanes) = &mut self.lanes {
            lanes.read(work, upto);
        }
        let ready = match work.lane {
            Lane::Live => &mut self.live,
            Lane::Backlog => &mut self.backlog,
        };
        for packed in self.engine.packer.pack(work, entries) {
            match packed {
                Packed::Item(item) => ready.push(item),
                Packed::Settled(fate, range) => self.settling.add(work.class, fate, [range]),
            }
        }
    }

    /// Hands over as much as the window allows and starts the next read when a lane runs low.
    pub fn pump(&mut self) -> Result<(), Ended> {
        if !self.online() || self.stopping() {
            return Ok(());
        }
        while let Some(reply) = self.engine.replies.front() {
            if !self.inflight.room(reply.bytes(), 0) {
                break;
            }
            if let Some(reply) = self.engine.replies.pop_front() {
                let payload = reply.payload.to_vec();
                self.hand_over(reply.topic.clone(), false, payload, Out::Reply(reply))?;
            }
        }
        // A window of one has nothing to keep.
        let share =
            usize::from(self.window.messages.div_ceil(LIVE_SHARE).min(self.window.messages - 1));
        loop {
            let room = |ready: &Ready, reserved: usize| {
                ready.items.front().is_some_and(|item| self.inflight.room(item.bytes(), reserved))
            };
            let turn = self.turns.next(room(&self.live, 0), room(&self.backlog, share));
            let Some(lane) = turn else { break };
            let ready = if lane == Lane::Live { &mut self.live } else { &mut self.backlog };
            let Some(item) = ready.pop() else { break };
            self.turns.took(lane);
            let payload = Vec::from(item.payload);
            self.hand_over(item.topic, item.retain, payload, Out::Rows(item.rows))?;
        }
        self.start_read();
        Ok(())
    }

    fn hand_over(
        &mut self,
        topic: std::sync::Arc<str>,
        retain: bool,
        payload: Vec<u8>,
        out: Out,
    ) -> Result<(), Ended> {
        let bytes = topic.len() + payload.len();
        if self.inflight.messages() == 0 {
            self.quiet_since = Instant::now();
        }
        // If this fails the row is simply still in the store, unsettled.
        self.client
            .try_publish(&*topic, QoS::AtLeastOnce, retain, payload)
            .map_err(|_| Ended::new(Cause::Protocol, "the MQTT client took no more messages"))?;
        self.inflight.hand_over(out, bytes);
        Ok(())
    }

    fn start_read(&mut self) {
        if self.reading.is_some() || self.read_again.is_some() {
            return;
        }
        let Some(work) = self.next_work().or_else(|| self.rescan()) else { return };
        let consumer = self.consumer.clone();
        self.reading = Some(Box::pin(async move {
            let entries = consumer.read(work.class, work.range.clone(), READ_BYTES).await;
            (work, entries)
        }));
    }

    fn next_work(&self) -> Option<Work> {
        let lanes = self.lanes.as_ref()?;
        [(Lane::Live, &self.live), (Lane::Backlog, &self.backlog)]
            .into_iter()
            .filter(|(_, ready)| ready.bytes < READY_BYTES_LOW)
            .find_map(|(lane, _)| lanes.next(lane))
    }

    /// With nothing left to do, what the store still calls unsettled is done again: the store may
    /// decline a settlement that would scatter its books too much. Not more often than the store
    /// is read again after a failure.
    fn rescan(&mut self) -> Option<Work> {
        if !self.owed || !self.idle() || Instant::now() < self.rescan_at {
            return None;
        }
        self.appended();
        if let Some(work) = self.next_work() {
            return Some(work);
        }
        self.owed = self.unsettled();
        self.start_lanes();
        self.next_work()
    }

    /// The end: settles what was acknowledged, keeps the replies, and says whether anything moved.
    pub fn close(mut self) -> bool {
        self.settle();
        let mut duplicates = 0;
        let mut replies = Vec::new();
        for out in std::mem::replace(&mut self.inflight, Inflight::new(self.window)).into_rest() {
            match out {
                Out::Rows(rows) => duplicates += rows_in(&rows.delivered),
                Out::Reply(reply) => replies.push(reply),
            }
        }
        for reply in replies.into_iter().rev() {
            self.engine.replies.push_front(reply);
        }
        self.engine.board.update(|progress| {
            progress.duplicates_possible += duplicates;
            progress.in_flight = (0, 0);
        });
        self.progress
    }

    pub fn disconnect(&self) -> bool {
        self.client.try_disconnect().is_ok()
    }
}
