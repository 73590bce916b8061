//! The embedded MQTT broker: clients on the local network publish to and read from the gateway.
//!
//! ```text
//! listener ─▶ connection task: bytes ⇄ packets ─▶ bounded queue ─▶ router: sessions, tree, retained
//!                    ▲                                                │            │
//!                    └────────────── outbox (bounded) ◀───────────────┘            ▼ store, inbox
//! ```
//!
//! One task owns all state (the [`router`], without I/O), so matching and ordering need no lock;
//! connections only decode and write. All of it runs on one thread, but for TLS. Nothing in the gateway waits for the broker:
//! [`Broker::publish`] gives up and counts when the router is behind. Sessions and retained
//! messages live in memory; what of them has to outlive a restart is in the broker's file too. What
//! an uplink, a session that survives or the retained messages want is acknowledged to its
//! publisher when it is there for good.
//!
//! Knows nothing of field buses nor of uplinks: tag topics are names in [`Rules`], commands leave
//! as requests.

mod access;
mod connection;
mod encode;
mod error;
mod held;
mod listen;
mod listener;
mod lists;
mod message;
mod meter;
mod outbox;
mod packet;
mod peer;
mod rate;
mod record;
mod retained;
mod router;
mod service;
mod session;
mod shares;
mod status;
mod subscriptions;
mod survival;
mod sys;
mod traffic;
mod trie;
mod wire;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{BrokerLimits, BrokerPlan};
use crate::model::{
    Class, Clock, FromCloud, Mono, Pulse, Qos, SetRequest, TopicFilter, TopicName, Turned,
};
use crate::store::{Keep, Store};
use crate::thread;

pub use access::{HashError, PASSWORD_BYTES_MAX, hash_password, verify_password};
pub use error::BrokerError;
pub use listen::{Listening, Overheard};
pub use lists::{After, ClientRow, Kicked, Page, Removed, RetainedRow, SubscriptionRow, TopicRow};
pub use peer::Peer;
pub use status::{BrokerStatus, ClientStatus, DropStatus, ListenerStatus};

use access::{Access, Guard};
use listener::{Door, Settings, Socket};
use router::{Append, KeepFile, Router, Setup};
use status::Counters;
use survival::Survival;

/// Changes of the plan that may wait for the runner.
const CHANGES_MAX: usize = 4;
/// In-process messages that may wait for the router.
const LOCAL_MESSAGES_MAX: usize = 65_536;
/// Bytes of in-process messages that may wait for the router.
const LOCAL_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a PUBLISH has besides topic and payload, at most, for a message without properties.
const PUBLISH_OVERHEAD: usize = 10;
/// Topics that the broker alone publishes.
const SYS: &str = "$SYS/";
/// Ending of the topics that are commands to a tag.
const SET: &str = "/set";
/// Longest correlation data the protocol can carry.
const CORRELATION_BYTES_MAX: usize = 65_535;

/// What the broker needs from the gateway.
#[derive(Clone)]
pub struct Deps {
    pub clock: Arc<dyn Clock>,
    /// Where commands go, at once or not at all.
    pub inbox: mpsc::Sender<SetRequest>,
    /// Makes messages that uplinks want durable; `None` acknowledges them as they come.
    pub store: Option<Store>,
    /// Where sessions, queued and retained messages outlive a restart.
    pub keep: Keep,
}

/// What is special about topics; changes with the configuration while clients stay.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Tag topics: only the gateway publishes there, and `<topic>/set` is a command.
    pub reserved: HashSet<TopicName>,
    /// Topics of devices: `<topic>/set` is a command to several tags.
    pub devices: HashSet<TopicName>,
    /// Messages of clients that uplinks want.
    pub forward: Vec<TopicFilter>,
}

impl Rules {
    /// Whether only the gateway publishes here.
    fn is_reserved(&self, topic: &TopicName) -> bool {
        self.reserved.contains(topic) || topic.as_str().starts_with(SYS)
    }

    /// Whether a publish here is a command to a tag, or to several of a device.
    fn is_command(&self, topic: &TopicName) -> bool {
        let Some(target) = topic.as_str().strip_suffix(SET) else { return false };
        self.reserved.contains(target) || self.devices.contains(target)
    }
}

/// A message from within the gateway.
#[derive(Debug, Clone)]
pub struct Publish {
    pub topic: TopicName,
    pub payload: Bytes,
    pub qos: Qos,
    pub retain: bool,
    /// Given back to a requester who sent it, at most 65,535 bytes.
    pub correlation: Option<Vec<u8>>,
    /// Said beside the payload to clients of MQTT 5.
    pub user_property: Option<(&'static str, &'static str)>,
    /// How long the message stays valid; for ever if `None`.
    pub expiry: Option<Duration>,
}

/// The broker as the rest of the gateway sees it. Cheap to clone.
#[derive(Clone)]
pub struct Broker {
    shared: Arc<Shared>,
}

struct Shared {
    doors: Mutex<Vec<Arc<Door>>>,
    /// Listeners on their way to the runner.
    opened: mpsc::Sender<Vec<Opened>>,
    access: watch::Sender<Arc<Access>>,
    limits: watch::Sender<Arc<BrokerLimits>>,
    local: mpsc::Sender<Local>,
    asks: mpsc::Sender<lists::Ask>,
    local_bytes: Arc<AtomicUsize>,
    rules: watch::Sender<Arc<Rules>>,
    counters: Arc<Counters>,
    /// Of the router, which has turns of its own.
    pulse: Arc<Pulse>,
    clock: Arc<dyn Clock>,
    started: Mono,
}

/// A listener and its socket.
type Opened = (Arc<Door>, Socket);

impl Shared {
    fn doors(&self) -> MutexGuard<'_, Vec<Arc<Door>>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The broker's tasks, to be run by the supervisor.
pub struct BrokerRunner {
    listeners: Vec<Opened>,
    opened: mpsc::Receiver<Vec<Opened>>,
    gate: listener::Gate,
    service: service::Service,
}

impl Broker {
    /// Opens the listeners; connections wait until the runner runs. Port 0 takes a free one.
    pub async fn bind(plan: &BrokerPlan, deps: Deps) -> Result<(Self, BrokerRunner), BrokerError> {
        let mut listeners = Vec::with_capacity(plan.listeners.len());
        for listener in &plan.listeners {
            listeners.push(Door::open(listener.clone()).await?);
        }
        let doors: Vec<_> = listeners.iter().map(|(door, _)| Arc::clone(door)).collect();
        let (access, access_changed) = watch::channel(Arc::new(Access::of(plan)));
        let (opened, from_opened) = mpsc::channel(CHANGES_MAX);
        let Deps { clock, inbox, store, keep } = deps;
        let keep = (!keep.is_none()).then_some(keep);
        let counters = Arc::new(Counters::default());
        let pulse = Arc::<Pulse>::default();
        let started = clock.mono();
        let (local, from_local) = mpsc::channel(LOCAL_MESSAGES_MAX);
        let local_bytes = Arc::new(AtomicUsize::new(0));
        let (asks, from_asks) = mpsc::channel(lists::ASKS_MAX);
        let (rules, rules_changed) = watch::channel(Arc::default());
        let guard = Guard::new(access_changed.clone(), Arc::clone(&clock), Arc::clone(&counters));
        let (limits, limits_changed) = watch::channel(Arc::new(plan.limits.clone()));
        let (gate, events) =
            listener::Gate::new(limits_changed.clone(), guard, Arc::clone(&counters));
        let setup = Setup {
            limits: plan.limits.clone(),
            access: Arc::clone(&access_changed.borrow()),
            inbox,
            append: store.map(append_to),
            file: keep.clone().map(|keep| Box::new(Survival(keep)) as Box<dyn KeepFile>),
            counters: Arc::clone(&counters),
            seed: fastrand::u64(..),
        };
        let service = service::Service {
            router: Router::new(setup, started),
            events,
            local: from_local,
            asks: from_asks,
            local_bytes: Arc::clone(&local_bytes),
            rules: rules_changed,
            access: access_changed,
            limits: limits_changed,
            clock: Arc::clone(&clock),
            counters: Arc::clone(&counters),
            keep,
            pulse: Arc::clone(&pulse),
            started,
        };
        let doors = Mutex::new(doors);
        let shared = Shared {
            doors,
            opened,
            access,
            local,
            asks,
            local_bytes,
            rules,
            counters,
            pulse,
            limits,
            clock,
            started,
        };
        Ok((
            Self { shared: Arc::new(shared) },
            BrokerRunner { listeners, opened: from_opened, gate, service },
        ))
    }

    /// The addresses where the broker listens, in the order of the plan.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.shared.doors().iter().filter_map(|door| door.address()).collect()
    }

    /// Takes another plan while clients stay: listeners are opened and closed, certificates read
    /// anew, bounds hold from now on, and who is not allowed any more is disconnected.
    ///
    /// # Errors
    /// A listener can't be opened or has no usable certificate; nothing was changed then.
    pub async fn change(&self, plan: &BrokerPlan) -> Result<(), BrokerError> {
        let shared = &self.shared;
        let mut left = shared.doors().clone();
        let (mut doors, mut kept, mut opened) = (Vec::new(), Vec::new(), Vec::new());
        for listener in &plan.listeners {
            if let Some(at) = left.iter().position(|door| door.place == listener.place) {
                let door = left.swap_remove(at);
                let before = door.settings();
                let settings = Settings::load(listener.clone(), Some(&before)).await?;
                kept.push((Arc::clone(&door), settings));
                doors.push(door);
            } else {
                let (door, socket) = Door::open(listener.clone()).await?;
                doors.push(Arc::clone(&door));
                opened.push((door, socket));
            }
        }
        if shared.opened.send(opened).await.is_err() {
            return Err(BrokerError::Stopped);
        }
        for (door, settings) in kept {
            door.set(settings);
        }
        *shared.doors() = doors;
        shared.limits.send_replace(Arc::new(plan.limits.clone()));
        shared.access.send_replace(Arc::new(Access::of(plan)));
        left.iter().for_each(|door| door.closed.cancel());
        Ok(())
    }

    /// Publishes a message as if a client had, but also to tag topics. Never waits: when the
    /// router is behind by more than its bounds the message is dropped and counted.
    pub fn publish(&self, message: Publish) {
        // What is dropped was counted, and nobody could do more about it.
        let _ = self.enqueue(Local::Ours(message));
    }

    fn enqueue(&self, message: Local) -> Result<(), ()> {
        let shared = &self.shared;
        let bytes = message.bytes();
        let waiting = shared.local_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits =
            waiting + bytes <= LOCAL_BYTES_MAX && message.correlation() <= CORRELATION_BYTES_MAX;
        if !fits || shared.local.try_send(message).is_err() {
            shared.local_bytes.fetch_sub(bytes, Ordering::Relaxed);
            shared.counters.dropped.local_full.one();
            return Err(());
        }
        Ok(())
    }

    /// Publishes a message from a cloud, on a topic that a client could publish to. It is never
    /// forwarded to an uplink, as no message from within the gateway is.
    pub fn publish_from_cloud(&self, message: FromCloud) -> Result<(), Turned> {
        let shared = &self.shared;
        let topic = message.topic.as_str();
        let is_ours = {
            let rules = shared.rules.borrow();
            rules.is_reserved(&message.topic) || rules.is_command(&message.topic)
        };
        if is_ours || topic.starts_with('$') {
            return Err(Turned::Reserved);
        }
        let limits = Arc::clone(&shared.limits.borrow());
        let bytes = topic.len() + message.payload.len() + PUBLISH_OVERHEAD;
        let packet_max = usize::try_from(limits.packet_bytes).unwrap_or(usize::MAX);
        if !limits.takes_topic(topic) || bytes > packet_max {
            return Err(Turned::TooLong);
        }
        self.enqueue(Local::FromCloud(message)).map_err(|()| Turned::Full)
    }

    /// Takes new rules for topics; holds from the next message on.
    pub fn set_rules(&self, rules: Rules) {
        self.shared.rules.send_replace(Arc::new(rules));
    }

    /// Steps of the router; it makes several a second.
    pub fn turns(&self) -> u64 {
        self.shared.pulse.turns()
    }

    pub fn status(&self) -> BrokerStatus {
        let uptime = self.shared.clock.mono() - self.shared.started;
        self.shared.counters.status(uptime.as_secs(), &self.shared.doors())
    }
}

/// The store as the router sees it.
fn append_to(store: Store) -> Append {
    Box::new(move |message| {
        let commit = store.append_message(Class::Normal, message);
        Box::pin(async move { commit.wait().await.map_err(|error| error.to_string()) })
    })
}

/// An in-process message on its way to the router.
enum Local {
    Ours(Publish),
    FromCloud(FromCloud),
}

impl Local {
    /// What it counts for while it waits.
    fn bytes(&self) -> usize {
        let (topic, payload) = match self {
            Self::Ours(message) => (&message.topic, message.payload.len()),
            Self::FromCloud(message) => (&message.topic, message.payload.len()),
        };
        size_of::<Self>() + topic.as_str().len() + payload + self.correlation()
    }

    fn correlation(&self) -> usize {
        match self {
            Self::Ours(message) => message.correlation.as_ref().map_or(0, Vec::len),
            Self::FromCloud(_) => 0,
        }
    }
}

impl BrokerRunner {
    /// Serves until `stop`; then says good-bye to the clients and ends within seconds.
    pub async fn run(self, stop: CancellationToken) -> Result<(), BrokerError> {
        // A message goes from one connection over the router to another. On threads that share their
        // work each of these steps may wake a thread, which costs more than the step itself; here it
        // is an entry in a queue. What takes long goes elsewhere: TLS to the gateway's workers,
        // passwords and files to threads that may block.
        thread::run("broker", async move || self.serve(stop).await).await?
    }

    async fn serve(self, stop: CancellationToken) -> Result<(), BrokerError> {
        let Self { listeners, mut opened, gate, service } = self;
        let mut units = JoinSet::new();
        let service = service.run(stop.clone());
        units.spawn(async move {
            service.await;
            None
        });
        // Gone at the end: the service waits until nobody can send it anything.
        let mut gate = Some(gate);
        let mut new = listeners;
        loop {
            for (door, socket) in new.drain(..) {
                let Some(gate) = gate.clone() else { break };
                let accepting = listener::accept(door, socket, gate, stop.clone());
                units.spawn(async move { Some(accepting.await) });
            }
            tokio::select! {
                () = stop.cancelled(), if gate.is_some() => gate = None,
                Some(more) = opened.recv(), if gate.is_some() => new = more,
                unit = units.join_next() => match unit {
                    None => return Ok(()),
                    Some(Ok(Some(door))) if door.closed.is_cancelled() => {}
                    Some(Ok(_)) if stop.is_cancelled() => {}
                    Some(_) => return Err(BrokerError::Stopped),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests;
