//! Uplinks: what the store holds goes to a cloud broker, commands and messages come back.
//!
//! One engine per uplink over one client (`client/`, the only place that knows the protocol). What is trusted:
//! the stored row, and a PUBACK for it. Not trusted: the client's queue, an open socket, a session
//! on the broker. Invariants:
//!
//! * A row is settled as delivered by its PUBACK and by nothing else.
//! * At least once: what was out when a connection ended is sent again, with the same key. At most
//!   a window of messages is out.
//! * Every payload made here carries its key (store epoch, class, sequence number). A message
//!   forwarded for a LAN client does not: MQTT 3.1.1 has no place for it but the client's own
//!   payload, which is not ours to change; its duplicate can't be told from the original.
//! * Forwarded messages go with QoS 1, whatever they came with, and keep their retain flag.
//! * Losses, jumps of positions and corrected times are told like rows: until they are acknowledged.
//! * An uplink that is away, refused or wrongly configured is a state with a reason; it retries
//!   until it is stopped.
//! * What the broker refuses for now holds back its own topic (`held.rs`); the rest goes on.
//! * Nothing is sent beyond the rate of the plan, replies and notices included.
//! * What comes for the network is handed to it at once and never sent up again.
//!
//! Knows nothing of buses, of the LAN broker, or of what a command means.

mod announce;
mod cause;
mod client;
mod commands;
mod company;
mod drive;
mod engine;
mod failover;
mod held;
mod inflight;
mod lanes;
mod local;
mod notices;
mod out;
mod pace;
mod pack;
mod rate;
mod reader;
pub mod rehearsal;
mod remote;
mod reply;
mod sas;
mod session;
mod settings;
mod settling;
mod sparkplug;
mod status;
mod supply;
mod timing;
mod trial;
mod watchdog;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::config::UplinkPlan;
use crate::config::file::SecretPlaces;
use crate::model::{Backoff, Blame, Class, Clock, Lan, Latest, Retry, SetRequest, TopicName};
use crate::store::Store;
use crate::thread::{self, ThreadError};

use reply::Reply;

pub use cause::Cause;
pub use lanes::LanePosition;
pub use remote::{ARRIVED_MAX, Acknowledged, Arrived, RemoteDoor, Told, What};
pub use settling::DeadReason;
pub use status::{Certificate, Commands, Connection, Local, RefusedTopic, UplinkStatus};
pub use timing::Timing;
pub use trial::{Alone, Tried, beside, trial};

/// What an uplink needs from others.
pub struct Deps {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    /// Where received commands go; a full one refuses.
    pub inbox: mpsc::Sender<SetRequest>,
    /// Where received messages go that are no commands.
    pub lan: Arc<dyn Lan>,
    /// Where messages about the configuration go, and what is said of it.
    pub remote: RemoteDoor,
    /// What is known of tags now, for those who are told when they begin to listen.
    pub latest: Arc<dyn Latest>,
    /// Makes the back-off of this gateway differ from that of others.
    pub seed: u64,
    /// Where the files of secrets lie, beside `$CREDENTIALS_DIRECTORY`.
    pub secrets_dir: PathBuf,
}

/// What can end an uplink that nobody stopped.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    #[error("reading the credentials broke off")]
    Settings(#[from] tokio::task::JoinError),
    #[error("the uplink stopped")]
    Thread(#[from] ThreadError),
}

impl UplinkError {
    pub fn blame(&self) -> Blame {
        Blame::Us
    }

    pub fn retry(&self) -> Retry {
        Retry::Later
    }
}

/// The outside of an uplink: to look at it and to answer commands.
#[derive(Clone)]
pub struct UplinkPort {
    plan: Arc<UplinkPlan>,
    board: Arc<status::Board>,
    store: Store,
    clock: Arc<dyn Clock>,
    replies: mpsc::Sender<Reply>,
    again: Arc<Notify>,
}

/// The inside, to be run by a supervisor.
pub struct UplinkRunner {
    engine: engine::Engine,
    life: drive::Life,
}

/// An uplink that will run to this plan. The store must know a consumer of its name.
pub fn uplink(plan: UplinkPlan, deps: Deps) -> (UplinkPort, UplinkRunner) {
    let timing = Timing { backoff_cap: plan.reconnect_max, ..Timing::default() };
    with_timing(plan, deps, timing)
}

/// As [`uplink`], with other waits.
pub fn with_timing(plan: UplinkPlan, deps: Deps, timing: Timing) -> (UplinkPort, UplinkRunner) {
    let plan = Arc::new(plan);
    let board = Arc::new(status::Board::new(deps.clock.wall()));
    let (sender, replies) = mpsc::channel(reply::REPLIES_MAX);
    let port = UplinkPort {
        plan: plan.clone(),
        board: board.clone(),
        store: deps.store.clone(),
        clock: deps.clock.clone(),
        replies: sender,
        again: Arc::default(),
    };
    let again = port.again.clone();
    let backoff = Backoff::new(timing.backoff_first, timing.backoff_cap, deps.seed);
    let packer = pack::Packer::new(plan.clone(), deps.store.clone());
    let told = deps.remote.told.clone();
    let doors = (deps.inbox, deps.lan, deps.remote);
    let edge = sparkplug::Edge::new(&plan, deps.store.clone(), deps.latest);
    let engine = engine::Engine::new(plan, timing, deps.clock, doors, board, packer);
    let places = SecretPlaces::new(deps.secrets_dir);
    let failover = failover::Failover::new(engine.plan.brokers.len());
    let store = deps.store;
    let life = drive::Life { store, places, replies, again, told, backoff, failover, edge };
    (port, UplinkRunner { engine, life })
}

impl UplinkPort {
    pub fn status(&self) -> UplinkStatus {
        let name = self.plan.name.as_str();
        let waiting = self.store.consumer(name).map_or(0, |consumer| {
            let of = |class| settling::rows_in(&consumer.position(class).unsettled);
            Class::ALL.into_iter().map(of).sum()
        });
        let broker = self.board.update(|progress| progress.broker);
        let peer = self.plan.brokers.get(broker).map(ToString::to_string).unwrap_or_default();
        self.board.snapshot(name, &peer, waiting, self.clock.mono())
    }

    /// Ends the wait for the next attempt to connect, if there is one.
    pub fn try_now(&self) {
        self.again.notify_waiters();
    }

    /// Publishes the answer to a command, QoS 1, under the uplink's prefix. Never waits: what
    /// finds the queue full, or is larger than the broker takes, is dropped and counted.
    /// An edge node of Sparkplug has no answers: the metric itself says what the device holds.
    pub fn reply(&self, topic: TopicName, payload: Vec<u8>) {
        if self.plan.sparkplug.is_none() {
            self.send(Reply::new(&self.plan.prefix, topic, payload));
        }
    }

    /// As [`UplinkPort::reply`], to the topic that the sender of the command has named, which is
    /// whole, with its correlation data and a property (MQTT 5).
    pub fn answer(
        &self,
        topic: TopicName,
        payload: Vec<u8>,
        data: Vec<u8>,
        property: (&'static str, &'static str),
    ) {
        let correlated = client::Correlated { data: Bytes::from(data), property };
        self.send(Reply::new("", topic, payload).map(|reply| reply.to(correlated)));
    }

    /// As [`UplinkPort::reply`], to a topic that is whole.
    pub fn publish(&self, topic: TopicName, payload: Vec<u8>) {
        self.send(Reply::new("", topic, payload));
    }

    /// Whether the broker takes a message of this size.
    pub fn fits(&self, topic: &TopicName, payload_bytes: usize) -> bool {
        let bytes = topic.as_str().len() + payload_bytes + pack::PUBLISH_OVERHEAD;
        bytes <= self.plan.packet_bytes
    }

    fn send(&self, reply: Option<Reply>) {
        let is_taken = |reply: &Reply| {
            reply.fits(self.plan.packet_bytes) && self.plan.takes_topic(reply.topic.as_str())
        };
        let taken = reply.filter(is_taken);
        let sent = taken.is_some_and(|reply| self.replies.try_send(reply).is_ok());
        if !sent {
            self.board.update(|progress| progress.commands.replies_dropped += 1);
        }
    }
}

impl UplinkRunner {
    /// As [`UplinkRunner::run`], on a thread of its own: while a backlog drains it naps.
    pub async fn run_on_own_thread(self, stop: CancellationToken) -> Result<(), UplinkError> {
        let name = format!("uplink-{}", self.engine.plan.name);
        thread::run(&name, async move || self.run(stop).await).await?
    }

    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) -> Result<(), UplinkError> {
        drive::run(self.engine, self.life, &stop).await
    }
}

#[cfg(test)]
mod tests;
