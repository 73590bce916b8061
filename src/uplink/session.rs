//! One connection: what is handed over, acknowledged, settled.
//!
//! The stored row is the only truth. Rows come from the store's position at CONNACK and are
//! settled by PUBACK alone; whatever else happens, dropping this struct loses nothing, because
//! the next connection starts from the store again. The driver (`drive.rs`) owns the event loop
//! and the waiting; here nothing waits.

use std::time::Duration;

use rumqttc::{AsyncClient, Event, Incoming, Outgoing, QoS, SubscribeReasonCode};
use tokio::time::Instant;

use super::cause::{Cause, Ended};
use super::engine::{Closing, Engine};
use super::inflight::{Inflight, Window};
use super::lanes::Lane;
use super::notices::Notices;
use super::pack::Rows;
use super::reply::{REPLIES_MAX, Reply};
use super::settling::{Fate, Settlement, Settling, rows_in};
use super::supply::{Found, Supply};
use crate::model::{Qos, TopicName};
use crate::store::{Consumer, Settled};

/// What waits for one acknowledgement.
enum Out {
    Rows(Rows),
    Reply(Reply),
    Notice(i64),
}

pub struct Session<'a> {
    engine: &'a mut Engine,
    client: AsyncClient,
    consumer: Consumer,
    window: Window,
    inflight: Inflight<Out>,
    /// `None` until CONNACK.
    supply: Option<Supply>,
    notices: Notices,
    settling: Settling,
    acks_unsettled: usize,
    settle_at: Instant,
    /// The last acknowledgement, or the hand-over that ended a time with nothing out.
    quiet_since: Instant,
    /// All is done here, and yet rows are unsettled in the store.
    owed: bool,
    /// The board shows something older than this.
    stale: bool,
    /// When a stop gives up waiting for acknowledgements.
    stop_by: Option<Instant>,
    connected: Option<Instant>,
    acknowledged: bool,
}

impl<'a> Session<'a> {
    pub fn new(
        engine: &'a mut Engine,
        client: AsyncClient,
        consumer: Consumer,
        window: Window,
    ) -> Self {
        let now = Instant::now();
        let (plan, pause) = (&engine.plan, engine.timing.notice_pause);
        let topic = plan.notices_topic.clone();
        let notices = Notices::new(consumer.clone(), topic, plan.packet_bytes, pause);
        Self {
            engine,
            client,
            consumer,
            window,
            inflight: Inflight::new(window),
            supply: None,
            notices,
            settling: Settling::default(),
            acks_unsettled: 0,
            settle_at: now,
            quiet_since: now,
            owed: false,
            stale: true,
            stop_by: None,
            connected: None,
            acknowledged: false,
        }
    }

    pub fn online(&self) -> bool {
        self.supply.is_some()
    }

    pub fn stopping(&self) -> bool {
        self.stop_by.is_some()
    }

    pub fn tick_every(&self) -> Duration {
        self.engine.timing.settle
    }

    /// Whether [`Session::tick`] has anything to watch.
    pub fn ticking(&self) -> bool {
        self.inflight.messages() > 0
            || !self.settling.is_empty()
            || self.owed
            || self.stale
            || self.supply.as_ref().is_some_and(Supply::pausing)
            || (self.online() && self.notices.pending())
            || self.stopping()
    }

    /// A stop was asked for and there is nothing more to wait for.
    pub fn done(&self) -> bool {
        self.stop_by.is_some_and(|by| self.inflight.messages() == 0 || Instant::now() >= by)
    }

    pub fn stop(&mut self) {
        let grace = if self.online() { self.engine.timing.stop_grace } else { Duration::ZERO };
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
                let refused = ack.return_codes.iter().filter(refused).count();
                self.engine.subscribed(ack.return_codes.len().saturating_sub(refused), refused);
                Ok(())
            }
            Event::Incoming(_) | Event::Outgoing(_) => Ok(()),
        }
    }

    /// Subscribes before anything is published, then starts both lanes from the store.
    fn connected(&mut self) -> Result<(), Ended> {
        let plan = &self.engine.plan;
        let commands = plan.receive.iter().map(|filter| (filter, QoS::AtLeastOnce));
        let local = plan.local.iter().map(|local| (&local.filter, qos(local.qos)));
        for (filter, qos) in commands.chain(local) {
            self.client
                .try_subscribe(filter.as_str(), qos)
                .map_err(|_| Ended::new(Cause::Settings, format!("can't subscribe to {filter}")))?;
        }
        self.engine.online();
        self.connected = Some(Instant::now());
        self.supply = Some(Supply::start(self.consumer.clone(), self.engine.timing.store_retry));
        Ok(())
    }

    /// Something was appended to the store.
    pub fn appended(&mut self) {
        self.stale = true;
        let rows = self.supply.as_mut().map_or(0, Supply::appended);
        self.engine.appended(rows);
    }

    /// Replies wait in a bounded queue until the engine has room for them.
    pub fn takes_replies(&self) -> bool {
        self.engine.replies.len() < REPLIES_MAX
    }

    pub fn reply(&mut self, reply: Reply) {
        self.engine.replies.push_back(reply);
    }

    /// The read of the store that is under way; waits for ever if there is none.
    pub async fn read(&mut self) -> Found {
        match &mut self.supply {
            Some(supply) => supply.read().await,
            None => std::future::pending().await,
        }
    }

    /// Takes what the store gave.
    pub fn found(&mut self, found: Found) {
        let Some(supply) = &mut self.supply else { return };
        let fates = supply.found(found, &mut self.engine.packer);
        self.engine.store_problem(fates.as_ref().err());
        for (class, fate, range) in fates.into_iter().flatten() {
            self.settle_soon();
            self.settling.add(class, fate, [range]);
        }
    }

    /// Hands over as much as the window allows and reads ahead.
    pub fn pump(&mut self) -> Result<(), Ended> {
        if !self.online() || self.stopping() {
            return Ok(());
        }
        while self.engine.replies.front().is_some_and(|next| self.inflight.room(next.bytes(), 0)) {
            let Some(reply) = self.engine.replies.pop_front() else { break };
            let payload = reply.payload.to_vec();
            self.hand_over(&reply.topic.clone(), false, payload, Out::Reply(reply))?;
        }
        // Before the rows that follow what they tell of.
        self.notices.look(self.engine.packer.epoch());
        while let Some(told) = self.notices.next(|bytes| self.inflight.room(bytes, 0)) {
            let payload = told.payload.to_vec();
            self.hand_over(&told.topic, false, payload, Out::Notice(told.id))?;
        }
        while let Some(supply) = &mut self.supply {
            let room = |lane, bytes| match lane {
                Lane::Live => self.inflight.room(bytes, 0),
                Lane::Backlog => self.inflight.room(bytes, self.window.live_share()),
            };
            let Some(item) = supply.next(room) else { break };
            let payload = Vec::from(item.payload);
            self.hand_over(&item.topic, item.retain, payload, Out::Rows(item.rows))?;
        }
        if let Some(supply) = &mut self.supply {
            supply.read_ahead();
        }
        Ok(())
    }

    fn hand_over(
        &mut self,
        topic: &TopicName,
        retain: bool,
        payload: Vec<u8>,
        out: Out,
    ) -> Result<(), Ended> {
        let bytes = topic.as_str().len() + payload.len();
        if self.inflight.messages() == 0 {
            self.quiet_since = Instant::now();
        }
        // If this fails, the row is simply still in the store, unsettled.
        self.client
            .try_publish(topic.as_str(), QoS::AtLeastOnce, retain, payload)
            .map_err(|_| Ended::new(Cause::Protocol, "the MQTT client took no more messages"))?;
        self.inflight.hand_over(out, bytes);
        self.stale = true;
        Ok(())
    }

    fn acknowledged(&mut self, id: u16) {
        // The client ends the connection over an id that is not out.
        let Some(out) = self.inflight.acknowledged(id) else { return };
        self.quiet_since = Instant::now();
        self.acknowledged = true;
        self.stale = true;
        self.settle_soon();
        self.acks_unsettled += 1;
        match out {
            Out::Rows(rows) => {
                self.settling.add(rows.class, Fate::Delivered(rows.times), rows.delivered);
                self.settling.add(rows.class, Fate::Excluded, rows.excluded);
            }
            Out::Reply(_) => self.engine.board.update(|progress| progress.commands.replies += 1),
            Out::Notice(id) => {
                self.notices.acknowledged(id);
                self.engine.board.update(|progress| progress.notices += 1);
            }
        }
        if self.acks_unsettled >= self.engine.timing.settle_acks {
            self.settle();
        }
    }

    /// Starts the wait for company, unless it is running.
    fn settle_soon(&mut self) {
        if self.settling.is_empty() && self.acks_unsettled == 0 {
            self.settle_at = Instant::now() + self.engine.timing.settle;
        }
    }

    /// Puts all known fates into the store, in one go.
    fn settle(&mut self) {
        let acked_messages = std::mem::take(&mut self.acks_unsettled);
        let settlements = self.settling.take();
        for Settlement { class, fate, ranges } in &settlements {
            let how = match fate {
                Fate::Delivered(times) => Settled::DeliveredAsOf(*times),
                Fate::Excluded => Settled::Excluded,
                Fate::Dead(reason) => Settled::Dead(reason.code()),
            };
            self.consumer.settle(*class, ranges, how);
        }
        self.engine.settled(&settlements, acked_messages);
    }

    /// Time went by: settles what is due, and watches over the acknowledgements.
    pub fn tick(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        if now >= self.settle_at && !(self.settling.is_empty() && self.acks_unsettled == 0) {
            self.settle();
        }
        let out = self.inflight.messages();
        let watchdog = self.engine.timing.watchdog;
        if out > 0 && now - self.quiet_since >= watchdog {
            let seconds = watchdog.as_secs_f64();
            let reason = format!("the broker acknowledged none of {out} messages for {seconds} s");
            return Err(Ended::new(Cause::NoAcknowledgement, reason));
        }
        if let Some(supply) = &mut self.supply {
            let idle = out == 0 && self.settling.is_empty() && supply.idle();
            self.owed = idle && supply.rescan();
        }
        self.report();
        Ok(())
    }

    fn report(&mut self) {
        self.stale = false;
        let in_flight = (self.inflight.messages(), self.inflight.bytes());
        let lanes = self.supply.as_ref().map(Supply::positions).unwrap_or_default();
        self.engine.board.update(|progress| {
            progress.in_flight = in_flight;
            progress.lanes = lanes;
        });
    }

    /// Takes what the client still had to report when the connection ended.
    pub fn late(&mut self, event: Event) -> Result<(), Ended> {
        match event {
            Event::Incoming(Incoming::ConnAck(_)) => Ok(()),
            event => self.event(event),
        }
    }

    /// False if there is nobody to say it to.
    pub fn disconnect(&self) -> bool {
        self.online() && self.client.try_disconnect().is_ok()
    }

    /// The end: settles what was acknowledged and keeps the replies.
    pub fn close(mut self) -> Closing {
        self.settle();
        let cap = self.engine.timing.backoff_cap;
        let closing = Closing {
            out: self.inflight.messages(),
            acknowledged: self.acknowledged,
            lasted: self.connected.is_some_and(|at| at.elapsed() >= cap),
        };
        let mut duplicates = 0;
        let mut replies = Vec::new();
        for out in self.inflight.into_rest() {
            match out {
                Out::Rows(rows) => duplicates += rows_in(&rows.delivered),
                Out::Reply(reply) => replies.push(reply),
                Out::Notice(_) => {} // The store has it.
            }
        }
        for reply in replies.into_iter().rev() {
            self.engine.replies.push_front(reply);
        }
        self.engine.board.update(|progress| {
            progress.duplicates_possible += duplicates;
            progress.in_flight = (0, 0);
        });
        closing
    }
}

fn qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}
