//! What an uplink keeps from one connection to the next.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::cause::{Cause, Ended};
use super::client::Received;
use super::commands;
use super::local;
use super::pace::Pace;
use super::pack::Packer;
use super::remote::{self, Arrived, RemoteDoor};
use super::reply::Reply;
use super::settling::{Fate, Settlement, Settling, rows_in};
use super::status::{Board, Certificate, Connection};
use super::timing::Timing;
use crate::config::{RatePlan, UplinkPlan};
use crate::model::{Clock, Lan, Mono, SetRequest, Wall};
use crate::store::{Consumer, Settled, StoreError};

/// So many connections that end the same way are no accident any more.
const BARREN_SUSPICIOUS: u32 = 3;

/// A certificate that ends this soon is somebody's work.
const RENEW_DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;

/// How a connection went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Closing {
    /// Messages that were out at the end.
    pub out: usize,
    /// Whether anything was acknowledged.
    pub acknowledged: bool,
    /// Whether it ended because the broker does not take a message.
    pub refused: bool,
    /// Whether it was there for longer than the longest back-off.
    pub lasted: bool,
}

pub struct Engine {
    pub plan: Arc<UplinkPlan>,
    pub timing: Timing,
    pub clock: Arc<dyn Clock>,
    pub inbox: mpsc::Sender<SetRequest>,
    pub lan: Arc<dyn Lan>,
    pub remote: RemoteDoor,
    pub board: Arc<Board>,
    pub packer: Packer,
    /// Taken from the port and not acknowledged; at most `REPLIES_MAX`.
    pub replies: VecDeque<Reply>,
    /// What was sent lately, of all connections.
    pace: Pace,
    started: Instant,
    /// Connections in a row that the broker ended without acknowledging anything of what was out.
    barren: u32,
    /// What the log last said about the connection, so that it says it once.
    said: Option<Ended>,
    /// The ends of certificates that the log has told.
    said_ends: HashMap<&'static str, Wall>,
}

/// The death certificate of an edge node waits for nothing, and has to fit.
fn rate(plan: &UplinkPlan) -> RatePlan {
    match plan.rate {
        RatePlan { messages, bytes } if plan.sparkplug.is_some() => RatePlan {
            messages: messages.map(|messages| messages.saturating_sub(1).max(1)),
            bytes: bytes.map(|bytes| bytes - bytes / 8),
        },
        rate => rate,
    }
}

impl Engine {
    pub fn new(
        plan: Arc<UplinkPlan>,
        timing: Timing,
        clock: Arc<dyn Clock>,
        (inbox, lan, remote): (mpsc::Sender<SetRequest>, Arc<dyn Lan>, RemoteDoor),
        board: Arc<Board>,
        packer: Packer,
    ) -> Self {
        let pace = Pace::new(rate(&plan));
        Self {
            plan,
            timing,
            clock,
            inbox,
            lan,
            remote,
            board,
            packer,
            replies: VecDeque::new(),
            pace,
            started: Instant::now(),
            barren: 0,
            said: None,
            said_ends: HashMap::new(),
        }
    }

    /// Whether the rate allows a packet of this size now; if not, when to ask again.
    pub fn may_send(&self, bytes: usize) -> Result<(), Instant> {
        if self.pace.is_free() {
            return Ok(());
        }
        let now = self.started.elapsed();
        let room = self.pace.room(now, bytes);
        room.then_some(()).ok_or_else(|| self.started + Pace::again(now))
    }

    /// A packet of this size was handed over.
    pub fn handed_over(&mut self, bytes: usize) {
        if !self.pace.is_free() {
            self.pace.handed_over(self.started.elapsed(), bytes);
        }
    }

    /// The broker has so many packets, of so many bytes together.
    pub fn answered(&mut self, messages: usize, bytes: usize) {
        if !self.pace.is_free() {
            self.pace.answered(self.started.elapsed(), messages, bytes);
        }
    }

    /// No more of what was handed over will be answered.
    pub fn closed(&mut self) {
        self.pace.closed(self.started.elapsed());
    }

    pub fn connecting(&self, broker: usize) {
        self.board.update(|progress| {
            progress.connection = Connection::Connecting;
            progress.broker = broker;
        });
    }

    /// Shows until when certificates are valid; one that ends soon is said once.
    pub fn certificates(&mut self, ends: &[(&'static str, Wall)]) {
        let now = self.clock.wall();
        for (what, end) in ends {
            let days = end.0.saturating_sub(now.0).div_euclid(DAY_MS);
            if days < RENEW_DAYS && self.said_ends.get(what) != Some(end) {
                tracing::warn!(
                    uplink = %self.plan.name, certificate = what, days, "a certificate ends soon"
                );
                self.said_ends.insert(what, *end);
            }
        }
        let certificates =
            ends.iter().map(|(what, end)| Certificate { what, ends_ms: end.0 }).collect();
        self.board.update(|progress| progress.certificates = certificates);
    }

    pub fn online(&mut self) {
        let at = self.clock.wall();
        self.board.update(|progress| progress.online(at));
        self.said = None;
        tracing::info!(uplink = %self.plan.name, "online");
    }

    /// Connected, and not to be used before something else happens.
    pub fn waiting(&self, reason: &str) {
        let since = self.clock.wall();
        self.board.update(|progress| progress.waiting(reason, since));
    }

    /// Counts the end of a connection or attempt; logs it when it is news.
    pub fn ended(&mut self, mut ended: Ended, closing: Closing, next_try: Mono) {
        if closing.acknowledged {
            self.barren = 0;
        } else if closing.out > 0 && ended.cause == Cause::Closed {
            self.barren += 1;
        }
        if self.barren >= BARREN_SUSPICIOUS {
            // MQTT 3.1.1 has no other way to say no to a publish than to hang up.
            let hint = format!(
                " ({} times in a row, with {} messages out and none acknowledged: it may refuse a \
                 topic, or take smaller packets than {} bytes)",
                self.barren, closing.out, self.plan.packet_bytes
            );
            ended.reason.push_str(&hint);
        }
        let ended = &ended;
        let at = self.clock.wall();
        self.board.update(|progress| progress.ended(ended, at, next_try));
        let news = self.said.as_ref().is_none_or(|said| said.cause != ended.cause);
        if news || self.barren == BARREN_SUSPICIOUS {
            tracing::warn!(
                uplink = %self.plan.name, reason = %ended.reason, next = ended.advice,
                "offline, will retry"
            );
            self.said = Some(ended.clone());
        }
    }

    pub fn stopped(&self) {
        self.board.update(|progress| progress.connection = Connection::Stopped);
    }

    /// A publish came from the broker: about the configuration, a command, or a message for the
    /// network.
    pub fn received(&self, publish: &Received) {
        let plan = &self.plan;
        let what = |of| remote::what(of, &publish.topic, &publish.payload, publish.retain);
        if let Some(what) = plan.remote.as_ref().and_then(what) {
            let uplink = plan.name.clone();
            if self.remote.arrived.try_send(Arrived { uplink, what }).is_err() {
                tracing::warn!(uplink = %plan.name, "too many messages about the configuration");
                self.board.update(|progress| progress.commands.refused += 1);
            }
            return;
        }
        let mut filters = plan.receive.iter();
        let is_asked = filters.any(|filter| filter.matches(&publish.topic));
        let now = self.clock.mono();
        let request =
            is_asked.then(|| commands::request(publish, &plan.prefix, &plan.name, now)).flatten();
        if let Some(request) = request {
            // A full inbox is the only thing that can be wrong with the sender while we run.
            let taken = self.inbox.try_send(request).is_ok();
            self.board.update(|progress| match taken {
                true => progress.commands.received += 1,
                false => progress.commands.refused += 1,
            });
            return;
        }
        let message = local::message(publish, plan);
        let published = message.map(|message| self.lan.publish(message?));
        self.board.update(|progress| match published {
            None => progress.commands.ignored += 1,
            Some(Ok(())) => progress.local.published += 1,
            Some(Err(turned)) => progress.local.turn(turned),
        });
    }

    pub fn subscribed(&self, granted: usize, refused: usize) {
        if refused > 0 {
            tracing::warn!(uplink = %self.plan.name, refused, "the broker refused subscriptions");
        }
        let [granted, refused] = [granted, refused].map(|n| u64::try_from(n).unwrap_or(u64::MAX));
        self.board.update(|progress| {
            progress.commands.filters_granted += granted;
            progress.commands.filters_refused += refused;
        });
    }

    /// Puts all known fates into the store, in one go, and counts them.
    pub fn settle(&self, consumer: &Consumer, settling: &mut Settling, acked_messages: usize) {
        let settlements = settling.take();
        for Settlement { class, fate, ranges } in &settlements {
            let how = match fate {
                Fate::Delivered(times) => Settled::DeliveredAsOf(*times),
                Fate::Excluded => Settled::Excluded,
                Fate::Dead(reason) => Settled::Dead(reason.code()),
            };
            consumer.settle(*class, ranges, how);
        }
        self.settled(&settlements, acked_messages);
    }

    fn settled(&self, settlements: &[Settlement], acked_messages: usize) {
        let now = self.clock.mono();
        self.board.update(|progress| {
            for settlement in settlements {
                let rows = rows_in(&settlement.ranges);
                match settlement.fate {
                    Fate::Delivered(_) => {
                        progress.acked_rows += rows;
                        progress.acked.add(now, rows);
                    }
                    Fate::Excluded => progress.excluded_rows += rows,
                    Fate::Dead(reason) => {
                        if let Some(rows) = progress.dead(reason, rows) {
                            tracing::error!(
                                uplink = %self.plan.name, rows, reason = reason.code(),
                                "rows can never be sent and were given up"
                            );
                        }
                    }
                }
            }
            if acked_messages > 0 {
                progress.acked_messages += u64::try_from(acked_messages).unwrap_or(u64::MAX);
                progress.last_ack = Some(now);
            }
        });
    }

    /// Counts replies that are not to be sent any more.
    pub fn replies_dropped(&self, replies: usize) {
        if replies > 0 {
            tracing::warn!(uplink = %self.plan.name, replies, "the broker does not take replies");
            let replies = u64::try_from(replies).unwrap_or(u64::MAX);
            self.board.update(|progress| progress.commands.replies_dropped += replies);
        }
    }

    pub fn appended(&self, rows: u64) {
        let now = self.clock.mono();
        self.board.update(|progress| progress.appended.add(now, rows));
    }

    /// The store could not be read, or can be again.
    pub fn store_problem(&self, problem: Option<&StoreError>) {
        let problem = problem.map(ToString::to_string);
        let news = self.board.update(|progress| {
            let news = progress.store_problem != problem;
            progress.store_problem.clone_from(&problem);
            news
        });
        if let Some(problem) = problem.filter(|_| news) {
            tracing::warn!(uplink = %self.plan.name, problem, "the store can't be read, will retry");
        }
    }
}
