//! Drives the router: its queues, its clock, its commits.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::FutureExt;
use futures_util::stream::{BoxStream, FuturesUnordered, SelectAll, once, unfold};
use futures_util::{Stream, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::lists::Ask;
use super::outbox::End;
use super::router::{Event, Router};
use super::status::Counters;
use super::sys::Sys;
use super::{Local, Rules, survival};
use crate::config::BrokerLimits;
use crate::model::{Clock, Mono, Pulse};
use crate::store::Keep;

/// Batches of packets taken in one round.
const EVENTS_PER_ROUND: usize = 64;
/// In-process messages taken in one round.
const LOCAL_PER_ROUND: usize = 256;
/// Rounds of packets in a row before everything else has a turn. Packets come first, since looking at
/// all else takes longer than one of them.
const ROUNDS_IN_A_ROW: usize = 16;
/// Commits heard of in one round.
const COMMITS_PER_ROUND: usize = 1024;
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(250);
/// How often `$SYS` is brought up to date.
const SYS_EVERY: Duration = Duration::from_secs(10);
/// At the end, how long to wait for the next word of a connection.
const GRACE: Duration = Duration::from_secs(3);

/// What happens seldom.
enum Seldom {
    Stop,
    /// Deadlines are due.
    Tick,
    /// `$SYS` is due.
    Sys,
    /// Rules, rights or limits are others.
    Changed,
    Ask(Ask),
}

pub struct Service {
    pub router: Router,
    pub events: mpsc::Receiver<Event>,
    pub(super) local: mpsc::Receiver<Local>,
    pub asks: mpsc::Receiver<Ask>,
    pub local_bytes: Arc<AtomicUsize>,
    pub rules: watch::Receiver<Arc<Rules>>,
    pub access: watch::Receiver<Arc<Access>>,
    pub limits: watch::Receiver<Arc<BrokerLimits>>,
    pub clock: Arc<dyn Clock>,
    pub counters: Arc<Counters>,
    /// Where the last run left what outlives it.
    pub keep: Option<Keep>,
    pub pulse: Arc<Pulse>,
    pub started: Mono,
}

impl Service {
    pub async fn run(mut self, stop: CancellationToken) {
        let mut events = Vec::with_capacity(EVENTS_PER_ROUND);
        let mut messages = Vec::with_capacity(LOCAL_PER_ROUND);
        let mut commits = FuturesUnordered::new();
        let mut sys = Sys::default();
        let mut rules = self.rules.clone();
        rules.mark_changed();
        let mut access = self.access.clone();
        let mut limits = self.limits.clone();
        let mut seldom = self.seldom(stop);
        self.restore().await;
        let mut rounds = 0;
        loop {
            self.pulse.turn();
            let are_others_due = rounds >= ROUNDS_IN_A_ROW;
            let is_in_a_row = !are_others_due && !self.events.is_empty();
            rounds = if is_in_a_row { rounds + 1 } else { 0 };
            let mut came = 0;
            tokio::select! {
                biased;
                count = self.events.recv_many(&mut events, EVENTS_PER_ROUND), if !are_others_due => {
                    if count == 0 {
                        break;
                    }
                    came = count;
                }
                Some(what) = seldom.next() => match what {
                    Seldom::Stop => break,
                    Seldom::Tick => self.router.tick(self.clock.mono()),
                    Seldom::Sys => {
                        let uptime = self.clock.mono() - self.started;
                        for message in sys.changes(&self.counters.status(uptime.as_secs(), &[]), SYS_EVERY) {
                            self.router.publish(message, self.clock.mono());
                        }
                    }
                    Seldom::Changed => {}
                    Seldom::Ask(ask) => ask(&mut self.router, self.clock.mono()),
                },
                Some((waiter, result)) = commits.next(), if !commits.is_empty() => {
                    self.router.settle(waiter, &result, self.clock.mono());
                }
                _ = self.local.recv_many(&mut messages, LOCAL_PER_ROUND), if !self.local.is_closed() => {}
                () = ready(()), if are_others_due || self.router.is_unfinished() => {}
            }
            // Rules hold for every message sent after they were set, whichever branch woke us.
            if rules.has_changed().unwrap_or(false) {
                rules.mark_unchanged();
            }
            self.router.set_rules(Arc::clone(&rules.borrow()));
            let now = self.clock.mono();
            if limits.has_changed().unwrap_or(false) {
                let limits = Arc::clone(&limits.borrow_and_update());
                self.router.set_limits((*limits).clone());
            }
            self.router.set_wall(now, self.clock.wall());
            if access.has_changed().unwrap_or(false) {
                let access = Arc::clone(&access.borrow_and_update());
                self.router.set_access(access, now);
            }
            for _ in 0..COMMITS_PER_ROUND {
                let Some(Some((waiter, result))) = commits.next().now_or_never() else { break };
                self.router.settle(waiter, &result, now);
            }
            for message in messages.drain(..) {
                self.local_bytes.fetch_sub(message.bytes(), Ordering::Relaxed);
                match message {
                    Local::Ours(message) => self.router.publish(message, now),
                    Local::FromCloud(message) => self.router.publish_from_cloud(message, now),
                }
            }
            for event in events.drain(..) {
                self.router.take(event, now);
            }
            self.router.resume(now);
            for (waiter, commit) in self.router.take_commits() {
                commits.push(commit.map(move |result| (waiter, result)));
            }
            self.router.flush(now);
            // Those who were woken write, and what they get meanwhile is read, before anything else is
            // looked at. With nothing behind what came they do so while we wait for more: to yield as
            // well would ask the system once more for each message that comes alone.
            let is_alone = came > 0 && self.events.is_empty() && !self.router.is_unfinished();
            if !is_alone {
                tokio::task::yield_now().await;
            }
        }
        self.end().await;
    }

    /// All that happens seldom in one stream, which looks only at what has been woken: every message
    /// waits here for the next one, and to look at each of these takes longer than to route it.
    fn seldom(&mut self, stop: CancellationToken) -> SelectAll<BoxStream<'static, Seldom>> {
        let (_, none) = mpsc::channel(1);
        let asks = std::mem::replace(&mut self.asks, none);
        let mut all = SelectAll::new();
        all.push(once(stop.cancelled_owned()).map(|()| Seldom::Stop).boxed());
        all.push(ticks(TICK).map(|()| Seldom::Tick).boxed());
        all.push(changes(self.rules.clone()));
        all.push(changes(self.access.clone()));
        all.push(changes(self.limits.clone()));
        all.push(
            unfold(asks, |mut asks: mpsc::Receiver<Ask>| async move {
                Some((Seldom::Ask(asks.recv().await?), asks))
            })
            .boxed(),
        );
        all.push(ticks(SYS_EVERY).map(|()| Seldom::Sys).boxed());
        all
    }

    /// Takes over what the last run left; those who connect meanwhile wait.
    async fn restore(&mut self) {
        let Some(keep) = self.keep.take() else { return };
        // Only a panic could come out of it.
        let read = tokio::task::spawn_blocking(move || survival::read(&keep)).await;
        let now = self.clock.mono();
        self.router.set_wall(now, self.clock.wall());
        self.router.set_rules(Arc::clone(&self.rules.borrow()));
        self.router.restore(read.unwrap_or_default(), now);
    }

    /// Says good-bye and takes what the connections still send until they are gone.
    async fn end(mut self) {
        self.router.shut_down(self.clock.mono());
        while let Ok(Some(event)) = timeout(GRACE, self.events.recv()).await {
            if let Event::Connect { outbox, .. } = event {
                outbox.end(End::Abort);
            }
        }
    }
}

fn ticks(every: Duration) -> impl Stream<Item = ()> {
    let mut due = interval(every);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    unfold(due, |mut due| async move {
        due.tick().await;
        Some(((), due))
    })
}

/// Ends when there is nobody left who could change it.
fn changes<T: Send + Sync + 'static>(of: watch::Receiver<T>) -> BoxStream<'static, Seldom> {
    unfold(of, |mut of| async move {
        of.changed().await.ok()?;
        Some((Seldom::Changed, of))
    })
    .boxed()
}
