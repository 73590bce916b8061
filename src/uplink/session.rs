//! One connection: what is handed over, acknowledged, settled.
//!
//! The stored row is the only truth. Rows come from the store's position at CONNACK and are
//! settled by PUBACK alone; whatever else happens, dropping this struct loses nothing, because
//! the next connection starts from the store again. The driver (`drive.rs`) owns the client and the
//! waiting; here nothing waits.

use std::time::Duration;

use tokio::time::Instant;

use super::announce::{Announcement, Announcer};
use super::cause::{self, Cause, Ended};
use super::client::{Client, Event, Failure, Reason, Received, Subscription};
use super::company::Company;
use super::engine::{Closing, Engine};
use super::held::{Full, Held, NAMED_MAX};
use super::inflight::{Inflight, Window};
use super::notices::{self, Notices};
use super::out::Out;
use super::pack::{Item, PUBLISH_OVERHEAD, Rows};
use super::reader::Found;
use super::remote::{self, Telling};
use super::reply::{REPLIES_MAX, Reply};
use super::settling::{DeadReason, Fate, Settling, rows_in};
use super::status::RefusedTopic;
use super::supply::Supply;
use super::watchdog::Watchdog;
use crate::model::{Qos, Seq};
use crate::store::Consumer;

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
    /// The largest packet that the plan and the broker allow.
    packet_bytes: usize,
    inflight: Inflight<Out>,
    company: Company,
    supply: Supply,
    held: Held,
    /// Rows that were passed over may go now: they are read again once nothing is out.
    again: bool,
    notices: Notices,
    announcer: Announcer,
    /// When what is told besides rows and was refused is told again.
    tell_at: Option<Instant>,
    /// `None` if nobody configures the gateway over this uplink.
    telling: Option<Telling>,
    settling: Settling,
    acks_unsettled: usize,
    settle_at: Instant,
    watchdog: Watchdog,
    /// All is done here, and yet rows are unsettled in the store.
    owed: bool,
    /// The board shows something older than this.
    stale: bool,
    paced: Option<Instant>,
    /// When a stop gives up waiting for acknowledgements.
    stop_by: Option<Instant>,
    /// The broker refuses messages on more topics than can be held back: nothing more goes out, and
    /// the connection ends when the rest is acknowledged.
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
        let mut asked = Vec::new();
        for filter in &remote::filters(&plan) {
            let to = Subscription { filter, qos: Qos::AtLeastOnce, no_local: true };
            asked.push(client.subscribe(to)?);
        }
        let packet_bytes = plan.packet_bytes.min(client.limits().packet_bytes);
        let telling = Telling::start(&plan, &engine.remote, asked, packet_bytes);
        let commands = plan.receive.iter().map(|filter| (filter, Qos::AtLeastOnce));
        let local = plan.local.iter().map(|local| (&local.filter, local.qos));
        for (filter, qos) in commands.chain(local) {
            client.subscribe(Subscription { filter, qos, no_local: true })?;
        }
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
        let held = Held::new(plan.window_bytes, engine.timing.refused_pause);
        let watchdog = Watchdog::new(engine.timing.watchdog);
        let now = Instant::now();
        Ok(Self {
            engine,
            consumer,
            packet_bytes,
            inflight: Inflight::new(window),
            company: Company::default(),
            supply,
            held,
            again: false,
            notices,
            announcer,
            tell_at: None,
            telling,
            settling: Settling::default(),
            acks_unsettled: 0,
            settle_at: now,
            watchdog,
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
            || !self.held.is_empty()
            || self.again
            || self.notices.pending()
            || self.tell_at.is_some()
            || self.stopping()
            || self.refused.is_some()
    }

    /// A stop was asked for and there is nothing more to wait for.
    pub fn done(&self) -> bool {
        let told = self.inflight.messages() == 0 && self.announcer.front().is_none();
        self.stop_by.is_some_and(|by| told || Instant::now() >= by)
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
            Event::Subscribed { id, granted, refused } => {
                self.engine.subscribed(granted, refused);
                self.telling.iter_mut().for_each(|telling| telling.answered(id, refused));
                self.stale = true;
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
        self.stale = true;
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

    /// Hands over as much as the window and the rate allow and reads ahead. What was handed over is
    /// written when the client is asked for what comes next.
    pub fn pump(&mut self, client: &mut Client) -> Result<(), Failure> {
        self.paced = None;
        self.watchdog.look(client.slack());
        if self.refused.is_some() {
            return Ok(());
        }
        while let Some(bytes) = self.announcer.front()
            && self.room(bytes)
            && let Some(told) = self.announcer.pop()
        {
            self.hand_over(client, Out::Announcement(told))?;
        }
        if self.stopping() {
            return Ok(());
        }
        if self.again {
            // The rows that are out are unsettled too, and would be read with the others.
            if self.inflight.messages() > 0 {
                return Ok(());
            }
            self.settle();
            self.supply.restart();
            self.again = false;
        }
        self.drop_replies();
        while let Some(bytes) = self.engine.replies.front().map(Reply::bytes)
            && self.room(bytes)
            && let Some(reply) = self.engine.replies.pop_front()
        {
            self.hand_over(client, Out::Reply(reply))?;
        }
        if let Some(bytes) = self.telling.as_mut().and_then(Telling::next_bytes)
            && self.room(bytes)
            && let Some((topic, told)) = self.telling.as_mut().map(Telling::next)
        {
            self.hand_over(client, Out::Told(topic, told))?;
        }
        // Before the rows that follow what they tell of.
        let too_large = self.notices.look(self.engine.packer.epoch());
        if too_large > 0 {
            self.engine.board.update(|progress| progress.notices_refused += too_large);
        }
        while let Some(bytes) = self.notices.next_bytes()
            && self.room(bytes)
            && let Some(told) = self.notices.next()
        {
            self.hand_over(client, Out::Notice(told))?;
        }
        self.try_refused(client)?;
        loop {
            let [live, backlog] = self.supply.next_bytes();
            let waits = live.is_some();
            let live = live.is_some_and(|bytes| self.room(bytes));
            // A live message that is too large just now must not be passed by smaller ones for ever.
            let backlog = (live || !waits) && backlog.is_some_and(|bytes| self.backlog_room(bytes));
            let Some(item) = self.supply.next(live, backlog) else { break };
            if !self.held.passes_over(&item) {
                self.hand_over(client, Out::Rows(item))?;
            }
        }
        self.supply.read_ahead();
        Ok(())
    }

    /// A reply that the broker of this connection does not take would end it, and the next one.
    fn drop_replies(&mut self) {
        let packet_bytes = self.packet_bytes;
        let before = self.engine.replies.len();
        self.engine.replies.retain(|reply| reply.fits(packet_bytes));
        self.engine.replies_dropped(before - self.engine.replies.len());
    }

    /// Sends what was refused once more, where it is time.
    fn try_refused(&mut self, client: &mut Client) -> Result<(), Failure> {
        while let Some(item) = self.held.due().cloned() {
            let class = item.rows.class;
            let unsettled = self.consumer.position(class).unsettled;
            let waits = |row: &Seq| unsettled.iter().any(|range| range.contains(row));
            if !item.rows.delivered.iter().all(|range| waits(&range.start)) {
                // Given up meanwhile, and told so.
                self.again |= self.held.release(&item.topic);
            } else if self.room(item.bytes()) {
                self.held.trying(&item.topic);
                self.hand_over(client, Out::Rows(item))?;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Whether a message of this size may go.
    fn room(&mut self, bytes: usize) -> bool {
        let bytes = bytes + PUBLISH_OVERHEAD;
        self.inflight.room(bytes) && self.may_send(bytes)
    }

    /// As [`Session::room`], for the backlog, which goes in company.
    fn backlog_room(&mut self, bytes: usize) -> bool {
        let bytes = bytes + PUBLISH_OVERHEAD;
        if !self.inflight.room(bytes) {
            self.company.full();
            return false;
        }
        let goes = self.company.goes(self.inflight.is_low());
        self.paced = goes.err().or(self.paced);
        goes.is_ok() && self.may_send(bytes)
    }

    /// How long to look away while the broker is at what was handed over.
    pub fn nap(&mut self) -> Option<Duration> {
        self.company.nap(self.inflight.messages())
    }

    fn may_send(&mut self, bytes: usize) -> bool {
        let may = self.engine.may_send(bytes);
        self.paced = may.err().or(self.paced);
        may.is_ok()
    }

    /// Until when something waits for the rate alone.
    pub fn paced(&self) -> Option<Instant> {
        self.paced
    }

    fn hand_over(&mut self, client: &mut Client, out: Out) -> Result<(), Failure> {
        if self.inflight.messages() == 0 {
            self.watchdog.starts();
        }
        // If this fails, the row is simply still in the store, unsettled.
        let id = client.publish(out.message())?;
        let bytes = out.bytes();
        self.engine.handed_over(bytes);
        self.inflight.hand_over(id, out, bytes);
        self.stale = true;
        Ok(())
    }

    /// The broker's answer to a message.
    fn answered(&mut self, id: u16, reason: &Reason) {
        let Some(out) = self.inflight.acknowledged(id) else { return };
        self.engine.answered(1, out.bytes());
        self.company.acknowledged();
        self.watchdog.heard();
        self.stale = true;
        let good = reason.is_good();
        self.acknowledged |= good;
        if good {
            self.settle_soon();
            self.acks_unsettled += 1;
        }
        match out {
            Out::Rows(item) => self.rows_answered(item, reason),
            Out::Reply(_) if good => {
                self.engine.board.update(|progress| progress.commands.replies += 1);
            }
            Out::Reply(_) => self.engine.replies_dropped(1),
            Out::Announcement(told) if good => self.announcer.taken(&told),
            Out::Announcement(told) => self.announcement_refused(told, reason),
            Out::Told(_, told) if good => {
                let telling = self.telling.as_ref();
                telling.into_iter().for_each(|telling| telling.acknowledged(told.revision));
            }
            Out::Told(topic, _) => {
                let words = cause::refused_message(topic.as_str(), reason).reason;
                self.telling.iter_mut().for_each(|telling| telling.refused(words.clone()));
                self.tell_again();
            }
            Out::Notice(told) => self.notice_answered(&told, reason),
        }
        if self.acks_unsettled >= self.engine.timing.settle_acks {
            self.settle();
        }
    }

    /// Rows that the broker will never take are dead letters; those that it does not take now stay
    /// in the store, and with them all others of their topic.
    fn rows_answered(&mut self, item: Item, reason: &Reason) {
        let fate = match reason.is_good() {
            true => Fate::Delivered(item.rows.times),
            false if cause::is_final(reason) => Fate::Dead(DeadReason::Refused),
            false => return self.refused(item, reason),
        };
        self.settle_soon();
        self.again |= self.held.answered(&item);
        let Rows { class, delivered, excluded, .. } = item.rows;
        self.settling.add(class, fate, delivered);
        self.settling.add(class, Fate::Excluded, excluded);
    }

    fn refused(&mut self, item: Item, reason: &Reason) {
        let ended = cause::refused_message(item.topic.as_str(), reason);
        match self.held.refused(item, &ended.reason) {
            Ok(true) => {
                let uplink = &self.engine.plan.name;
                tracing::warn!(%uplink, reason = %ended.reason, next = ended.advice, "a topic waits");
            }
            Ok(false) => {}
            Err(Full) => {
                self.refused.get_or_insert(ended);
            }
        }
    }

    fn announcement_refused(&mut self, told: Announcement, reason: &Reason) {
        let ended = cause::refused_message(told.topic.as_str(), reason);
        if self.announcer.refused(told, ended.reason.clone()) {
            let uplink = &self.engine.plan.name;
            tracing::warn!(%uplink, reason = %ended.reason, next = ended.advice, "will be told again");
        }
        self.tell_again();
    }

    /// What was refused just now is told again after a pause.
    fn tell_again(&mut self) {
        let pause = self.engine.timing.refused_pause;
        self.tell_at.get_or_insert_with(|| Instant::now() + pause);
    }

    /// A refused notice holds nothing back; it is told later, or counted if it never can be.
    fn notice_answered(&mut self, told: &notices::Told, reason: &Reason) {
        let is_final = cause::is_final(reason);
        if reason.is_good() {
            self.notices.answered(told.id);
            return self.engine.board.update(|progress| progress.notices += 1);
        }
        let words = cause::refused_message(told.topic.as_str(), reason).reason;
        let uplink = &self.engine.plan.name;
        if is_final {
            tracing::error!(%uplink, reason = %words, "a notice can never be told");
            self.notices.answered(told.id);
            self.engine.board.update(|progress| progress.notices_refused += 1);
        } else if self.notices.postpone(self.engine.timing.refused_pause) {
            tracing::warn!(%uplink, reason = %words, "notices wait");
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
        self.engine.settle(&self.consumer, &mut self.settling, acked_messages);
    }

    /// Time went by: settles what is due, and watches over the acknowledgements.
    pub fn tick(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if now >= self.settle_at && !(self.settling.is_empty() && self.acks_unsettled == 0) {
            self.settle();
        }
        let out = self.inflight.messages();
        self.watchdog.check(now, out, self.inflight.oldest()).map_err(End::Ours)?;
        if self.tell_at.take_if(|at| now >= *at).is_some() {
            self.announcer.again();
            self.telling.iter_mut().for_each(Telling::renew);
        }
        if out == 0
            && let Some(refused) = &self.refused
        {
            return Err(End::Ours(refused.clone()));
        }
        let idle = out == 0 && self.settling.is_empty() && self.supply.idle();
        // What waits for its topic is unsettled as well, and is not to be read all the time.
        self.owed = idle && self.held.is_empty() && self.supply.rescan();
        self.report();
        Ok(())
    }

    /// Topics that wait, and others that something is to be told on: how many, and the first of them.
    fn refused_topics(&self) -> (usize, Vec<RefusedTopic>) {
        let (rows, mut named) = self.held.named();
        let told = self.announcer.named();
        let count = rows + told.len();
        named.extend(told.take(NAMED_MAX - named.len()).map(|(topic, reason)| RefusedTopic {
            topic: topic.to_string(),
            reason: reason.to_owned(),
        }));
        (count, named)
    }

    fn report(&mut self) {
        self.stale = false;
        let in_flight = (self.inflight.messages(), self.inflight.bytes());
        let (lanes, refused) = (self.supply.positions(), self.refused_topics());
        let untold = self.telling.as_ref().and_then(Telling::problem).map(str::to_owned);
        self.engine.board.update(|progress| {
            progress.in_flight = in_flight;
            progress.lanes = lanes;
            progress.refused = refused;
            progress.remote_problem = untold;
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
            match out {
                Out::Rows(item) => duplicates += rows_in(&item.rows.delivered),
                Out::Reply(reply) => replies.push(reply),
                // Told again at the next connection.
                Out::Notice(_) | Out::Announcement(_) | Out::Told(..) => {}
            }
        }
        let out = replies.len();
        let again: Vec<Reply> = replies.into_iter().filter_map(Reply::again).collect();
        self.engine.replies_dropped(out - again.len());
        for reply in again.into_iter().rev() {
            self.engine.replies.push_front(reply);
        }
        self.engine.board.update(|progress| {
            progress.duplicates_possible += duplicates;
            progress.in_flight = (0, 0);
            progress.refused = (0, Vec::new());
            progress.remote_problem = None;
        });
        closing
    }
}
