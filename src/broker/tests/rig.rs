//! A router with connections that exist only as buffers, and a clock moved by hand.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::task::{Wake, Waker};
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::mpsc;

use super::disk::Disk;
use crate::broker::access::{Access, Answer, Claim, Login};
use crate::broker::encode::{self, Room};
use crate::broker::outbox::{End, Outbox};
use crate::broker::packet::{Incoming, Reason, Version};
use crate::broker::peer::Peer;
use crate::broker::router::{Append, Commit, Event, KeepFile, Router, Setup, Waiter};
use crate::broker::session::ConnId;
use crate::broker::status::Counters;
use crate::broker::wire::{Decoder, WireError};
use crate::broker::{BrokerStatus, Publish, Rules};
use crate::config::{BrokerLimits, BrokerPlan, Grant, ListenerPlan, Place, QueueDrops, UserPlan};
use crate::model::{Message as Stored, Mono, Qos, SetRequest, TopicFilter, TopicName, Wall};

pub fn limits() -> BrokerLimits {
    BrokerLimits {
        connections: 100,
        half_open: 100,
        accepts_per_second: 1_000,
        packets_per_second: 1_000_000,
        packet_bytes: 4096,
        inflight: 10,
        queue_messages: 100,
        queue_bytes: 100_000,
        queue_drops: QueueDrops::Oldest,
        all_queues_bytes: 1_000_000,
        retained_messages: 1000,
        retained_bytes: 1_000_000,
        subscriptions_per_client: 10,
        topic_bytes: 100,
        topic_levels: 8,
        connect_timeout: Duration::from_secs(10),
        keep_alive_max: u16::MAX,
        outgoing_bytes: 10_000,
    }
}

/// The one listener.
pub fn door() -> ListenerPlan {
    ListenerPlan::tcp("127.0.0.1:1883".parse().unwrap(), 100)
}

/// Whoever names a user is believed: passwords are looked at by the guard.
fn login(access: &Access, place: &Place, username: Option<&str>) -> Result<Login, Reason> {
    match access.answer(&Claim { place, certificate: None, username }) {
        Answer::Enter(login) => Ok(login),
        Answer::Refuse(reason) => Err(reason),
        Answer::Verify { login, .. } => login.ok_or(Reason::BAD_USER_NAME_OR_PASSWORD),
    }
}

struct Socket {
    decoder: Decoder,
    buffer: BytesMut,
    outbox: Arc<Outbox>,
    woken: Arc<Woken>,
    conn: ConnId,
    greeted: bool,
    output: Vec<u8>,
    end: End,
}

/// Whether the connection was woken since it last looked.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A message the router wants durable, and the way to say that it is.
pub struct Appended {
    pub message: Stored,
    pub done: tokio::sync::oneshot::Sender<Result<(), String>>,
}

pub struct Rig {
    pub router: Router,
    pub now: Mono,
    pub commands: mpsc::Receiver<SetRequest>,
    pub appended: std_mpsc::Receiver<Appended>,
    access: Arc<Access>,
    /// Where clients come in.
    place: Place,
    pub counters: Arc<Counters>,
    packet_bytes: u32,
    outgoing_bytes: usize,
    sockets: HashMap<String, Socket>,
    next: u64,
    waiting: Vec<(Waiter, Commit)>,
    /// Rounds for work that is done in steps.
    pub steps: usize,
}

impl Rig {
    pub fn new(limits: BrokerLimits) -> Self {
        Self::start(limits, None)
    }

    /// Begins with what the disk has.
    pub fn start(limits: BrokerLimits, disk: Option<&Disk>) -> Self {
        Self::start_at(door(), Vec::new(), limits, disk)
    }

    /// Where nobody comes in without a name.
    pub fn start_named(users: Vec<UserPlan>, limits: BrokerLimits, disk: &Disk) -> Self {
        Self::start_at(ListenerPlan { anonymous: None, ..door() }, users, limits, Some(disk))
    }

    fn start_at(
        listener: ListenerPlan,
        users: Vec<UserPlan>,
        limits: BrokerLimits,
        disk: Option<&Disk>,
    ) -> Self {
        let (inbox, commands) = mpsc::channel(2);
        let (tell, appended) = std_mpsc::sync_channel::<Appended>(2000);
        let append: Append = Box::new(move |message| {
            let (done, told) = tokio::sync::oneshot::channel();
            tell.try_send(Appended { message, done }).unwrap();
            Box::pin(async move { told.await.unwrap() })
        });
        let counters = Arc::new(Counters::default());
        let now = Mono(1_000_000);
        let (packet_bytes, outgoing_bytes) = (limits.packet_bytes, limits.outgoing_bytes);
        let place = listener.place.clone();
        let plan = BrokerPlan { listeners: vec![listener], users, limits };
        let access = Arc::new(Access::of(&plan));
        let setup = Setup {
            limits: plan.limits,
            access: Arc::clone(&access),
            inbox,
            append: Some(append),
            file: disk.map(|disk| Box::new(disk.clone()) as Box<dyn KeepFile>),
            counters: Arc::clone(&counters),
            seed: 0xABC,
        };
        let mut router = Router::new(setup, now);
        let wall = disk.map_or(Wall(0), Disk::wall);
        router.set_wall(now, wall);
        if let Some(disk) = disk {
            router.restore(disk.read(), now);
        }
        Self {
            router,
            now,
            commands,
            appended,
            access,
            place,
            counters,
            packet_bytes,
            outgoing_bytes,
            sockets: HashMap::new(),
            next: 0,
            waiting: Vec::new(),
            steps: 0,
        }
    }

    /// `plant/m1/v` is a tag topic, `plant/m1` that of its device, `up/#` goes to the store.
    pub fn with_rules(mut self) -> Self {
        self.router.set_rules(Arc::new(Rules {
            reserved: [TopicName::new("plant/m1/v").unwrap()].into(),
            devices: [TopicName::new("plant/m1").unwrap()].into(),
            forward: vec![TopicFilter::new("up/#").unwrap()],
        }));
        self
    }

    /// Users and rights from now on; there is one listener.
    pub fn set_users(&mut self, users: Vec<UserPlan>, anonymous: Option<Vec<Grant>>) {
        self.set_access(ListenerPlan { anonymous, ..door() }, users);
    }

    /// The listener has another address from now on.
    pub fn move_door(&mut self, address: &str) {
        self.set_access(ListenerPlan::tcp(address.parse().unwrap(), 100), Vec::new());
    }

    fn set_access(&mut self, listener: ListenerPlan, users: Vec<UserPlan>) {
        self.place = listener.place.clone();
        let listeners = vec![listener];
        self.access = Arc::new(Access::of(&BrokerPlan { listeners, users, limits: limits() }));
        self.router.set_access(Arc::clone(&self.access), self.now);
        self.settle();
    }

    pub fn status(&mut self) -> BrokerStatus {
        self.settle();
        self.counters.status(0, &[])
    }

    fn socket(&mut self, name: &str) -> &mut Socket {
        self.sockets.get_mut(name).unwrap_or_else(|| panic!("no connection {name}"))
    }

    /// Feeds bytes as a connection task would.
    pub fn send(&mut self, name: &str, bytes: &[u8]) {
        if !self.sockets.contains_key(name) {
            self.next += 1;
            let socket = Socket {
                decoder: Decoder::new(self.packet_bytes),
                buffer: BytesMut::new(),
                outbox: Arc::default(),
                woken: Arc::default(),
                conn: ConnId(self.next),
                greeted: false,
                output: Vec::new(),
                end: End::Open,
            };
            self.sockets.insert(name.to_owned(), socket);
        }
        let now = self.now;
        let socket = self.sockets.get_mut(name).unwrap();
        socket.buffer.extend_from_slice(bytes);
        let conn = socket.conn;
        loop {
            if socket.end != End::Open {
                break;
            }
            let event = match socket.decoder.next(&mut socket.buffer) {
                Ok(None) => break,
                Ok(Some(Incoming::Connect(connect))) if !socket.greeted => {
                    socket.greeted = true;
                    let login = login(&self.access, &self.place, connect.username.as_deref());
                    let outbox = Arc::clone(&socket.outbox);
                    Event::Connect { conn, connect, login, outbox, peer: Peer::Local { uid: None } }
                }
                Ok(Some(packet)) => Event::Packets { conn, packets: vec![packet], held: None },
                Err(WireError::Broken(reason)) if socket.greeted => Event::Broken { conn, reason },
                Err(error) => {
                    let answer = match (error, socket.decoder.version()) {
                        (WireError::UnsupportedVersion(version), _) => encode::connack_refused(
                            version,
                            Reason::UNSUPPORTED_VERSION,
                            Room::NONE,
                        ),
                        (WireError::Broken(reason), Some(Version::V5)) => {
                            encode::connack_refused(Version::V5, reason, Room::NONE)
                        }
                        _ => Vec::new(),
                    };
                    socket.output.extend_from_slice(&answer);
                    socket.end = End::Finish;
                    break;
                }
            };
            let broken = matches!(event, Event::Broken { .. });
            self.router.take(event, now);
            if broken {
                socket.buffer.clear();
                break;
            }
        }
        self.settle();
    }

    /// The socket of a client is gone.
    pub fn lose(&mut self, name: &str) {
        let conn = self.socket(name).conn;
        self.router.take(Event::Gone { conn }, self.now);
        self.sockets.remove(name);
        self.settle();
    }

    /// Work done in steps, and commits.
    pub fn settle(&mut self) {
        while self.router.is_unfinished() {
            self.router.resume(self.now);
            self.steps += 1;
        }
        self.waiting.extend(self.router.take_commits());
        self.router.flush(self.now);
    }

    /// Whether the router waits for a commit.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Tells the router of every commit that is done.
    pub fn commit(&mut self) {
        let mut context = std::task::Context::from_waker(Waker::noop());
        let (now, router) = (self.now, &mut self.router);
        self.waiting.retain_mut(|(waiter, commit)| match commit.as_mut().poll(&mut context) {
            std::task::Poll::Ready(result) => {
                router.settle(*waiter, &result, now);
                false
            }
            std::task::Poll::Pending => true,
        });
        self.settle();
    }

    pub fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        self.router.tick(self.now);
        self.settle();
    }

    pub fn local(&mut self, topic: &str, payload: &str, retain: bool) {
        let message = Publish {
            topic: TopicName::new(topic).unwrap(),
            payload: payload.to_owned().into(),
            qos: Qos::AtLeastOnce,
            retain,
            correlation: None,
            user_property: None,
            expiry: None,
        };
        self.router.publish(message, self.now);
        self.settle();
    }

    /// Moves what was written to `name` out of its outbox, as its socket would.
    pub fn output(&mut self, name: &str) -> &mut Vec<u8> {
        let limit = self.outgoing_bytes;
        loop {
            let socket = self.socket(name);
            let conn = socket.conn;
            socket.woken.0.store(false, Ordering::Relaxed);
            let waker = Waker::from(Arc::clone(&socket.woken));
            let (bytes, end, room) = socket.outbox.drain(limit, &waker);
            socket.output.extend_from_slice(&bytes);
            if end != End::Open {
                socket.end = end;
            }
            if !room {
                break;
            }
            self.router.take(Event::Room { conn }, self.now);
            self.settle();
        }
        &mut self.socket(name).output
    }

    /// Everything written to `name` so far.
    pub fn read(&mut self, name: &str) -> Vec<u8> {
        std::mem::take(self.output(name))
    }

    /// Whether `name` was told since its last look that there is something for it.
    pub fn is_woken(&mut self, name: &str) -> bool {
        self.socket(name).woken.0.load(Ordering::Relaxed)
    }

    pub fn end(&mut self, name: &str) -> End {
        self.output(name);
        self.socket(name).end
    }

    pub fn has(&self, name: &str) -> bool {
        self.sockets.contains_key(name)
    }
}
