//! One connection: what is handed over, acknowledged, settled.
//!
//! The stored row is the only truth. Rows come from the store's position at CONNACK and are
//! settled by PUBACK alone; whatever else happens, dropping this struct loses nothing, because
//! the next connection starts from the store again. The driver (`drive.rs`) owns the client and the
//! waiting; here nothing waits.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::announce::{Announcement, Announcer};
use super::cause::{self, Cause, Ended};
use super::client::{Client, Event, Failure, Message, Reason, Received, Subscription};
use super::engine::{Closing, Engine};
use super::inflight::{Inflight, Window};
use super::notices::Notices;
use super::pack::{Item, PUBLISH_OVERHEAD, Rows};
use super::remote::{self, Telling};
use super::reply::{REPLIES_MAX, Reply};
use super::settling::{DeadReason, Fate, Settlement, Settling, rows_in};
use super::supply::{Found, Supply};
use crate::model::{Qos, TopicName};
use crate::store::{Consumer, Settled};

/// A message that waits for its acknowledgement.
struct Sent {
    topic: TopicName,
    what: Out,
}

/// A message for the hand-over.
struct Letter {
    topic: TopicName,
    payload: Bytes,
    retain: bool,
    /// Where it is not plain JSON, or another's.
    content_type: Option<Arc<str>>,
}

impl Letter {
    fn json(topic: TopicName, payload: Bytes) -> Self {
        Self { topic, payload, retain: false, content_type: None }
    }
}

/// What the acknowledgement settles.
enum Out {
    Rows(Rows),
    Reply(Reply),
    Notice(i64),
    /// Made anew by the next connection.
    Announcement,
    /// What is told of the configuration, by its revision.
    Told(u64),
}

/// Why a session ends.
#[derive(Debug)]
pub enum End {
    /// The connection failed.
    Failed(Failure),
    /// The session gave it up.
    Ours(Ended),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

pub struct Session<'a> {
    engine: &'a mut Engine,
    consumer: Consumer,
    window: Window,
    inflight: Inflight<Sent>,
    supply: Supply,
    notices: Notices,
    announcer: Announcer,
    /// `None` if nobody configures the gateway over this uplink.
    telling: Option<Telling>,
    settling: Settling,
    acks_unsettled: usize,
    settle_at: Instant,
    /// The last acknowledgement, or the hand-over that ended a time with nothing out.
    quiet_since: Instant,
    /// All is done here, and yet rows are unsettled in the store.
    owed: bool,
    /// The board shows something older than this.
    stale: bool,
    paced: Option<Instant>,
    /// When a stop gives up waiting for acknowledgements.
    stop_by: Option<Instant>,
    /// The broker refused a message that it may take another time: nothing more goes out, and the
    /// connection ends when the rest is acknowledged.
    refused: Option<Ended>,
    started: Instant,
    acknowledged: bool,
}

impl<'a> Session<'a> {
    /// Subscribes before anything is published, then starts both lanes from the store.
    pub fn start(
        engine: &'a mut Engine,
        client: &mut Client,
        consumer: Consumer,
    ) -> Result<Self, End> {
        let plan = engine.plan.clone();
        if client.limits().qos == Qos::AtMostOnce {
            let reason = "the broker takes nothing above QoS 0, which nobody acknowledges";
            return Err(End::Ours(Ended::new(Cause::Refused, reason)));
        }
        for filter in &remote::filters(&plan) {
            client.subscribe(Subscription { filter, qos: Qos::AtLeastOnce, no_local: true })?;
        }
        let telling = Telling::start(&plan, &engine.remote);
        let commands = plan.receive.iter().map(|filter| (filter, Qos::AtLeastOnce));
        let local = plan.local.iter().map(|local| (&local.filter, local.qos));
        for (filter, qos) in commands.chain(local) {
            client.subscribe(Subscription { filter, qos, no_local: true })?;
        }
        let packet_bytes = plan.packet_bytes.min(client.limits().packet_bytes);
        let announcer = Announcer::new(&plan, packet_bytes);
        for filter in &announcer.filters() {
            client.subscribe(Subscription { filter, qos: Qos::AtLeastOnce, no_local: true })?;
        }
        engine.online();
        let messages = plan.window_messages.min(client.limits().receive_maximum);
        let window = Window::new(messages, plan.window_bytes);
        engine.packer.limit(client.limits().packet_bytes);
        let (topic, pause) = (plan.notices_topic.clone(), engine.timing.notice_pause);
        let notices = Notices::new(consumer.clone(), topic, packet_bytes, pause);
        let supply = Supply::start(consumer.clone(), engine.timing.store_retry);
        let now = Instant::now();
        Ok(Self {
            engine,
            consumer,
            window,
            inflight: Inflight::new(window),
            supply,
            notices,
            announcer,
            telling,
            settling: Settling::default(),
            acks_unsettled: 0,
            settle_at: now,
            quiet_since: now,
            owed: false,
            stale: true,
            paced: None,
            stop_by: None,
            refused: None,
            started: now,
            acknowledged: false,
        })
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
            || self.supply.pausing()
            || self.notices.pending()
            || self.stopping()
            || self.refused.is_some()
    }

    /// A stop was asked for and there is nothing more to wait for.
    pub fn done(&self) -> bool {
        self.stop_by.is_some_and(|by| self.inflight.messages() == 0 || Instant::now() >= by)
    }

    pub fn stop(&mut self) {
        self.announcer.stop();
        self.stop_by = Some(Instant::now() + self.engine.timing.stop_grace);
    }

    /// Nothing more goes out; what is out has as long as it ever has.
    pub fn finish(&mut self) {
        self.stop_by = Some(Instant::now() + self.engine.timing.watchdog);
    }

    /// Takes what the client reports.
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Acked(id, reason) => self.answered(id, &reason),
            Event::Received(message) => self.received(&message),
            Event::Subscribed { granted, refused, .. } => {
                self.engine.subscribed(granted, refused);
                self.telling.iter_mut().for_each(|telling| telling.answered(refused));
            }
            Event::PingAcked(_) => {}
        }
    }

    fn received(&mut self, message: &Received) {
        let Received { topic, payload, retain, .. } = message;
        let ours = self.announcer.received(topic, payload, *retain);
        let mut local = self.engine.plan.local.iter();
        // The clients of the network may want to see what others announce.
        if !ours || local.any(|local| local.filter.matches(topic)) {
            self.engine.received(message);
        }
    }

    /// Something was appended to the store.
    pub fn appended(&mut self) {
        self.stale = true;
        let rows = self.supply.appended();
        self.engine.appended(rows);
    }

    /// Replies wait in a bounded queue until the engine has room for them.
    pub fn takes_replies(&self) -> bool {
        self.engine.replies.len() < REPLIES_MAX
    }

    pub fn reply(&mut self, reply: Reply) {
        self.engine.replies.push_back(reply);
    }

    /// There is something new to say of the configuration.
    pub fn told(&mut self) {
        self.telling.iter_mut().for_each(Telling::renew);
    }

    /// The read of the store that is under way; waits for ever if there is none.
    pub async fn read(&mut self) -> Found {
        self.supply.read().await
    }

    /// Takes what the store gave.
    pub fn found(&mut self, found: Found) {
        let fates = self.supply.found(found, &mut self.engine.packer);
        self.engine.store_problem(fates.as_ref().err());
        for (class, fate, range) in fates.into_iter().flatten() {
            self.settle_soon();
            self.settling.add(class, fate, [range]);
        }
    }

    /// Hands over as much as the window and the rate allow and reads ahead.
    pub fn pump(&mut self, client: &mut Client) -> Result<(), Failure> {
        self.paced = None;
        if self.refused.is_some() {
            return Ok(());
        }
        while let Some(bytes) = self.announcer.front()
            && self.room(bytes, 0)
            && let Some(told) = self.announcer.pop()
        {
            let Announcement { topic, payload, retain } = told;
            let letter = Letter { topic, payload, retain, content_type: None };
            self.hand_over(client, letter, Out::Announcement)?;
        }
        if self.stopping() {
            return Ok(());
        }
        while let Some(bytes) = self.engine.replies.front().map(Reply::bytes)
            && self.room(bytes, 0)
            && let Some(reply) = self.engine.replies.pop_front()
        {
            let (topic, payload) = (reply.topic.clone(), reply.payload.clone());
            self.hand_over(client, Letter::json(topic, payload), Out::Reply(reply))?;
        }
        if let Some(bytes) = self.telling.as_mut().and_then(Telling::next_bytes)
            && self.room(bytes, 0)
            && let Some((topic, told)) = self.telling.as_mut().map(Telling::next)
        {
            let letter = Letter { retain: true, ..Letter::json(topic, told.payload) };
            self.hand_over(client, letter, Out::Told(told.revision))?;
        }
        // Before the rows that follow what they tell of.
        self.notices.look(self.engine.packer.epoch());
        while let Some(bytes) = self.notices.next_bytes()
            && self.room(bytes, 0)
            && let Some(told) = self.notices.next()
        {
            self.hand_over(client, Letter::json(told.topic, told.payload), Out::Notice(told.id))?;
        }
        loop {
            let [live, backlog] = self.supply.next_bytes();
            let waits = live.is_some();
            let live = live.is_some_and(|bytes| self.room(bytes, 0));
            let reserved = self.window.live_share();
            // A live message that is too large just now must not be passed by smaller ones for ever.
            let backlog =
                (live || !waits) && backlog.is_some_and(|bytes| self.room(bytes, reserved));
            let Some(item) = self.supply.next(live, backlog) else { break };
            let Item { topic, payload, retain, content_type, rows } = item;
            let letter = Letter { topic, payload, retain, content_type };
            self.hand_over(client, letter, Out::Rows(rows))?;
        }
        self.supply.read_ahead();
        Ok(())
    }

    /// Whether a message of this size may go, so many places of the window being kept for others.
    fn room(&mut self, bytes: usize, reserved: usize) -> bool {
        let bytes = bytes + PUBLISH_OVERHEAD;
        if !self.inflight.room(bytes, reserved) {
            return false;
        }
        let has_room = self.engine.pace.room(self.engine.uptime(), bytes);
        if !has_room {
            self.paced = Some(self.engine.paced_until());
        }
        has_room
    }

    /// Until when something waits for the rate alone.
    pub fn paced(&self) -> Option<Instant> {
        self.paced
    }

    fn hand_over(&mut self, client: &mut Client, letter: Letter, what: Out) -> Result<(), Failure> {
        let Letter { topic, payload, retain, content_type } = letter;
        let bytes = topic.as_str().len() + payload.len() + PUBLISH_OVERHEAD;
        if self.inflight.messages() == 0 {
            self.quiet_since = Instant::now();
        }
        let qos = Qos::AtLeastOnce;
        let content_type = content_type.as_deref();
        let message = Message { topic: topic.as_str(), payload, qos, retain, content_type };
        // If this fails, the row is simply still in the store, unsettled.
        let id = client.publish(message)?;
        self.engine.pace.sent(self.engine.uptime(), bytes);
        self.inflight.hand_over(id, Sent { topic, what }, bytes);
        self.stale = true;
        Ok(())
    }

    /// The broker's answer to a message. A row that it will never take is a dead letter; one that
    /// it does not take now stays in the store, and waits for the next connection.
    fn answered(&mut self, id: u16, reason: &Reason) {
        let Some(Sent { topic, what }) = self.inflight.acknowledged(id) else { return };
        self.quiet_since = Instant::now();
        self.stale = true;
        let good = reason.is_good();
        self.acknowledged |= good;
        let kept = matches!(what, Out::Rows(_) | Out::Notice(_));
        let waits = !good && !cause::is_final(reason) && kept;
        if waits {
            self.refused.get_or_insert_with(|| cause::refused_message(topic.as_str(), reason));
            return;
        }
        self.settle_soon();
        self.acks_unsettled += usize::from(good);
        match what {
            Out::Rows(rows) => {
                let fate = match good {
                    true => Fate::Delivered(rows.times),
                    false => Fate::Dead(DeadReason::Refused),
                };
                self.settling.add(rows.class, fate, rows.delivered);
                self.settling.add(rows.class, Fate::Excluded, rows.excluded);
            }
            Out::Reply(_) => self.engine.board.update(|progress| match good {
                true => progress.commands.replies += 1,
                false => progress.commands.replies_dropped += 1,
            }),
            Out::Announcement => {}
            Out::Told(revision) => {
                let telling = self.telling.as_ref().filter(|_| good);
                telling.into_iter().for_each(|telling| telling.acknowledged(revision));
            }
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
    pub fn tick(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if now >= self.settle_at && !(self.settling.is_empty() && self.acks_unsettled == 0) {
            self.settle();
        }
        let out = self.inflight.messages();
        let watchdog = self.engine.timing.watchdog;
        if out > 0 && now - self.quiet_since >= watchdog {
            let seconds = watchdog.as_secs_f64();
            let reason = format!("the broker acknowledged none of {out} messages for {seconds} s");
            return Err(End::Ours(Ended::new(Cause::NoAcknowledgement, reason)));
        }
        if out == 0
            && let Some(refused) = &self.refused
        {
            return Err(End::Ours(refused.clone()));
        }
        let idle = out == 0 && self.settling.is_empty() && self.supply.idle();
        self.owed = idle && self.supply.rescan();
        self.report();
        Ok(())
    }

    fn report(&mut self) {
        self.stale = false;
        let in_flight = (self.inflight.messages(), self.inflight.bytes());
        let lanes = self.supply.positions();
        self.engine.board.update(|progress| {
            progress.in_flight = in_flight;
            progress.lanes = lanes;
        });
    }

    /// The end: settles what was acknowledged and keeps the replies.
    pub fn close(mut self) -> Closing {
        self.settle();
        let cap = self.engine.timing.backoff_cap;
        let closing = Closing {
            out: self.inflight.messages(),
            acknowledged: self.acknowledged,
            refused: self.refused.is_some(),
            lasted: self.started.elapsed() >= cap,
        };
        let mut duplicates = 0;
        let mut replies = Vec::new();
        for out in self.inflight.into_rest() {
            match out.what {
                Out::Rows(rows) => duplicates += rows_in(&rows.delivered),
                Out::Reply(reply) => replies.push(reply),
                // Told again at the next connection.
                Out::Notice(_) | Out::Announcement | Out::Told(_) => {}
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
