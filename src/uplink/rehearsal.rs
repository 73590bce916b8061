//! An uplink's way through what waited, without a wire: in a rehearsal, on a clock that someone moves.
//!
//! The engine's own lanes, packing, window and rate, against a broker that answers every message after
//! one round trip and a wire that takes no time. What is left out: notices, announcements, commands,
//! and the millisecond that a place in the window may wait for others. Nothing here is measured over
//! there: how long a round trip is, is assumed by who asks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::inflight::{Inflight, Window};
use super::pace::Pace;
use super::pack::{Item, PUBLISH_OVERHEAD, Packer};
use super::settling::{Fate, Settlement, Settling, rows_in};
use super::supply::Supply;
use crate::config::UplinkPlan;
use crate::model::{Class, Seq};
use crate::store::{Consumer, Settled, Store, StoreError};

/// Between two looks at what the store still calls unsettled; there is nothing to wait for.
const NO_PAUSE: Duration = Duration::ZERO;
/// Live readings whose delay is kept; then every second one goes, and so on.
const DELAYS_MAX: usize = 4_096;
/// Moments at which something was appended that are remembered: an hour of a busy gateway.
const APPENDED_MAX: usize = 500_000;

/// What kept the next message from going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// So many messages may be out.
    WindowMessages,
    /// So many bytes may be out.
    WindowBytes,
    RateMessages,
    RateBytes,
    /// Nothing: it is the machine that bounds.
    Nothing,
}

/// What went so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sent {
    pub messages: u64,
    /// Of whole packets.
    pub bytes: u64,
    /// Readings that were delivered.
    pub readings: u64,
    /// Readings that the uplink's filters don't select.
    pub excluded: u64,
    /// Readings that can never be sent.
    pub dead: u64,
}

/// An uplink that has just connected.
pub struct Return {
    plan: Arc<UplinkPlan>,
    consumer: Consumer,
    packer: Packer,
    supply: Supply,
    inflight: Inflight<Item>,
    pace: Pace,
    round_trip: Duration,
    /// When which packet id is answered.
    answers: VecDeque<(Duration, u16)>,
    next_id: u16,
    settling: Settling,
    /// What waited when it connected ends here, by class.
    waited_until: [(Class, Seq); 3],
    sent: Sent,
    /// The head of each class after an append, and when that was.
    appended: VecDeque<(Duration, [Seq; 3])>,
    delays: Delays,
    bound: Bound,
    /// How long each bound held it up.
    held_up: Vec<(Bound, Duration)>,
    turned: Duration,
}

impl Return {
    /// Connects at `now`. The plan must be one that [`can_be_rehearsed`].
    pub fn connect(
        plan: &UplinkPlan,
        store: &Store,
        consumer: Consumer,
        round_trip: Duration,
        now: Duration,
    ) -> Self {
        let plan = Arc::new(plan.clone());
        let window = Window::new(plan.window_messages, plan.window_bytes);
        Self {
            packer: Packer::new(plan.clone(), store.clone()),
            supply: Supply::start(consumer.clone(), NO_PAUSE),
            inflight: Inflight::new(window),
            pace: Pace::new(plan.rate),
            round_trip: round_trip.max(Duration::from_millis(1)),
            answers: VecDeque::new(),
            next_id: 1,
            settling: Settling::default(),
            waited_until: Class::ALL.map(|class| (class, consumer.head(class))),
            sent: Sent::default(),
            appended: VecDeque::new(),
            delays: Delays::default(),
            bound: Bound::Nothing,
            held_up: Vec::new(),
            turned: now,
            plan,
            consumer,
        }
    }

    /// Something was appended to the store at `now`.
    pub fn appended(&mut self, now: Duration) {
        if self.appended.len() >= APPENDED_MAX {
            self.appended.pop_front();
        }
        self.appended.push_back((now, Class::ALL.map(|class| self.consumer.head(class))));
    }

    /// Takes the answers that have come, and sends what may go; says when it has more to do, if that
    /// does not depend on what is appended.
    pub async fn turn(&mut self, now: Duration) -> Result<Option<Duration>, StoreError> {
        let passed = now.saturating_sub(self.turned);
        self.turned = now;
        match self.held_up.iter_mut().find(|(bound, _)| *bound == self.bound) {
            Some((_, sum)) => *sum += passed,
            None => self.held_up.push((self.bound, passed)),
        }
        while self.answers.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, id)) = self.answers.pop_front() else { break };
            self.answered(id, now);
        }
        self.supply.appended();
        self.bound = loop {
            let (went, bound) = self.send(now);
            self.supply.read_ahead();
            let reads = self.supply.reads();
            if reads {
                let found = self.supply.read().await;
                for (class, fate, range) in self.supply.found(found, &mut self.packer)? {
                    self.settling.add(class, fate, [range]);
                }
            }
            if !went && !reads {
                break bound;
            }
        };
        self.settle();
        let paced = matches!(self.bound, Bound::RateMessages | Bound::RateBytes);
        let again = paced.then(|| Pace::again(now));
        let answer = self.answers.front().map(|(at, _)| *at);
        Ok(again.into_iter().chain(answer).min())
    }

    /// Sends while there is room; says whether anything went, and what the rest waits for.
    fn send(&mut self, now: Duration) -> (bool, Bound) {
        let mut went = false;
        loop {
            let [live, backlog] = self.supply.next_bytes();
            let room = |bytes: usize| self.room(now, bytes + PUBLISH_OVERHEAD);
            let (live_room, backlog_room) = (live.map(room), backlog.map(room));
            let live_goes = live_room == Some(Ok(()));
            // As in the engine: smaller messages don't pass a live one by.
            let backlog_goes = (live_goes || live.is_none()) && backlog_room == Some(Ok(()));
            let Some(item) = self.supply.next(live_goes, backlog_goes) else {
                let bound = live_room.or(backlog_room).and_then(Result::err);
                return (went, bound.unwrap_or(Bound::Nothing));
            };
            let bytes = item.bytes() + PUBLISH_OVERHEAD;
            self.pace.handed_over(now, bytes);
            self.sent.messages += 1;
            self.sent.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
            self.inflight.hand_over(self.next_id, item, bytes);
            self.answers.push_back((now + self.round_trip, self.next_id));
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            went = true;
        }
    }

    fn room(&self, now: Duration, bytes: usize) -> Result<(), Bound> {
        if !self.inflight.room(bytes) {
            let full = self.inflight.messages() >= usize::from(self.plan.window_messages);
            return Err(if full { Bound::WindowMessages } else { Bound::WindowBytes });
        }
        if self.pace.room(now, bytes) {
            return Ok(());
        }
        // By messages, if one of no bytes could not go either.
        let by_messages = self.plan.rate.messages.is_some() && !self.pace.room(now, 0);
        Err(if by_messages { Bound::RateMessages } else { Bound::RateBytes })
    }

    fn answered(&mut self, id: u16, now: Duration) {
        let Some(item) = self.inflight.acknowledged(id) else { return };
        self.pace.answered(now, 1, item.bytes() + PUBLISH_OVERHEAD);
        let rows = item.rows;
        let first = rows.delivered.first().map(|range| range.start);
        if let Some(seq) = first.filter(|seq| !self.waited(rows.class, *seq))
            && let Some(at) = self.appended_at(rows.class, seq)
        {
            self.delays.add(now.saturating_sub(at));
        }
        self.settling.add(rows.class, Fate::Delivered(rows.times), rows.delivered);
        self.settling.add(rows.class, Fate::Excluded, rows.excluded);
    }

    fn waited(&self, class: Class, seq: Seq) -> bool {
        self.waited_until.iter().any(|(of, end)| *of == class && seq < *end)
    }

    fn appended_at(&self, class: Class, seq: Seq) -> Option<Duration> {
        let index = Class::ALL.iter().position(|of| *of == class)?;
        let before =
            |(_, heads): &(Duration, [Seq; 3])| heads.get(index).is_some_and(|h| *h <= seq);
        self.appended.get(self.appended.partition_point(before)).map(|(at, _)| *at)
    }

    fn settle(&mut self) {
        for Settlement { class, fate, ranges } in self.settling.take() {
            let rows = rows_in(&ranges);
            let how = match fate {
                Fate::Delivered(times) => {
                    self.sent.readings += rows;
                    Settled::DeliveredAsOf(times)
                }
                Fate::Excluded => {
                    self.sent.excluded += rows;
                    Settled::Excluded
                }
                Fate::Dead(reason) => {
                    self.sent.dead += rows;
                    Settled::Dead(reason.code())
                }
            };
            self.consumer.settle(class, &ranges, how);
        }
    }

    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// How many of the readings that had waited are not settled yet.
    pub fn left(&self) -> u64 {
        self.unsettled(|end| end)
    }

    /// All that is not settled yet.
    pub fn waiting(&self) -> u64 {
        self.unsettled(|_| Seq(u64::MAX))
    }

    fn unsettled(&self, below: impl Fn(Seq) -> Seq) -> u64 {
        let of = |(class, waited): &(Class, Seq)| {
            let end = below(*waited);
            let unsettled = self.consumer.position(*class).unsettled;
            let ranges = unsettled.iter().map(|range| range.start..range.end.min(end));
            ranges.map(|range| range.end.0.saturating_sub(range.start.0)).sum::<u64>()
        };
        self.waited_until.iter().map(of).sum()
    }

    /// What it waited for most of the time.
    pub fn bound(&self) -> Bound {
        let most = self.held_up.iter().max_by_key(|(_, time)| *time);
        most.filter(|(_, time)| !time.is_zero()).map_or(Bound::Nothing, |(bound, _)| *bound)
    }

    /// How old live readings are when the cloud has them: the middle one and the oldest.
    pub fn delays(&self) -> Option<(Duration, Duration)> {
        self.delays.middle_and_most()
    }
}

/// Whether what an uplink sends can be made without its broker: an edge node of Sparkplug sends what
/// its host was told before.
pub fn can_be_rehearsed(plan: &UplinkPlan) -> bool {
    plan.sparkplug.is_none()
}

/// Delays, thinned out evenly when they are many.
#[derive(Default)]
struct Delays {
    kept: Vec<Duration>,
    most: Duration,
    /// One of so many is kept.
    each: usize,
    seen: usize,
}

impl Delays {
    fn add(&mut self, delay: Duration) {
        self.most = self.most.max(delay);
        self.each = self.each.max(1);
        if self.seen.is_multiple_of(self.each) {
            self.kept.push(delay);
        }
        self.seen += 1;
        if self.kept.len() >= DELAYS_MAX {
            let mut keep = false;
            self.kept.retain(|_| {
                keep = !keep;
                keep
            });
            self.each *= 2;
        }
    }

    fn middle_and_most(&self) -> Option<(Duration, Duration)> {
        let mut sorted = self.kept.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).map(|middle| (*middle, self.most))
    }
}
