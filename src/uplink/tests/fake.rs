//! A broker that does what a script says, and remembers everything.
//!
//! It speaks MQTT 3.1.1 through rumqttc's own packets. Each connection takes the next mood of the
//! script; when the script is over it behaves well.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::Error;
use rumqttc::{
    ConnAck, Connect, ConnectReturnCode, Packet, PubAck, PubRel, Publish, QoS, SubAck,
    SubscribeReasonCode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// How a connection answers CONNECT.
#[derive(Debug, Clone, Copy)]
pub enum Welcome {
    Accept,
    Refuse(ConnectReturnCode),
    /// Takes the connection and says nothing.
    Silent,
}

#[derive(Debug, Clone, Copy)]
pub enum Ack {
    AtOnce,
    Late(Duration),
    Never,
    /// All but the first.
    ForgetsFirst,
    /// Each twice, and what was never sent.
    Twice,
    /// In reverse order, this many at a time.
    Reversed(usize),
    /// All in one segment, together with the FIN of [`End::Close`].
    WithEnd,
}

/// What happens after a number of publishes.
#[derive(Debug, Clone, Copy)]
pub enum End {
    Never,
    /// TCP reset; publishes of the last read may be unacknowledged.
    Reset(usize),
    /// FIN; see [`Ack::WithEnd`].
    Close(usize),
    /// Nothing is read any more, the socket stays open: a black hole.
    StopReading(usize),
}

#[derive(Debug, Clone, Copy)]
pub struct Mood {
    pub welcome: Welcome,
    pub ack: Ack,
    pub end: End,
}

pub const WELL: Mood = Mood { welcome: Welcome::Accept, ack: Ack::AtOnce, end: End::Never };

/// A publish as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub connection: usize,
    pub publish: Publish,
    /// Whether a PUBACK was written for it.
    pub acked: bool,
}

#[derive(Default)]
pub struct Log {
    pub connects: Vec<Connect>,
    pub seen: Vec<Seen>,
    /// Filters, each with the number of publishes seen on its connection before it.
    pub filters: Vec<(String, usize)>,
    /// The quality of service asked for, for each of them.
    pub asked: Vec<QoS>,
    pub pubacks: usize,
    pub pubcomps: usize,
    pub disconnects: usize,
    /// What no client may send.
    pub violations: Vec<String>,
}

#[derive(Default)]
struct State {
    script: Mutex<VecDeque<Mood>>,
    log: Mutex<Log>,
    /// To the newest connection.
    speak: Mutex<Option<mpsc::Sender<Publish>>>,
    refuse_filters: Mutex<bool>,
    manners: Mutex<Manners>,
}

/// What a broker may do wrong that is no matter of publishes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manners {
    pub ignores_pings: bool,
    pub ignores_filters: bool,
    /// Publishes something all the time.
    pub talks: bool,
}

pub struct Fake {
    pub addr: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

impl Fake {
    pub async fn new(script: impl IntoIterator<Item = Mood>) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), script).await
    }

    pub async fn at(addr: SocketAddr, script: impl IntoIterator<Item = Mood>) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        state.script.lock().unwrap().extend(script);
        let mut tasks = JoinSet::new();
        let accepting = state.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let mood = accepting.script.lock().unwrap().pop_front().unwrap_or(WELL);
                connections.spawn(connection(socket, mood, accepting.clone()));
            }
        });
        Self { addr, state, _tasks: tasks }
    }

    pub fn log<R>(&self, look: impl FnOnce(&Log) -> R) -> R {
        look(&self.state.log.lock().unwrap())
    }

    pub fn script_left(&self) -> usize {
        self.state.script.lock().unwrap().len()
    }

    pub fn refuse_filters(&self) {
        *self.state.refuse_filters.lock().unwrap() = true;
    }

    pub fn behave(&self, manners: Manners) {
        *self.state.manners.lock().unwrap() = manners;
    }

    /// Publishes to whoever is connected.
    pub fn say(&self, topic: &str, payload: impl Into<Vec<u8>>, retain: bool) {
        self.say_at(topic, payload, retain, QoS::AtLeastOnce);
    }

    /// As [`Fake::say`], at another quality of service.
    pub fn say_at(&self, topic: &str, payload: impl Into<Vec<u8>>, retain: bool, qos: QoS) {
        let mut publish = Publish::new(topic, qos, payload);
        publish.retain = retain;
        publish.pkid = if qos == QoS::AtMostOnce { 0 } else { 77 };
        self.state.speak.lock().unwrap().as_ref().unwrap().try_send(publish).unwrap();
    }
}

struct Connection {
    socket: TcpStream,
    buffer: BytesMut,
    number: usize,
    state: Arc<State>,
    /// Index in the log, packet id, when.
    owed: VecDeque<(usize, u16, Instant)>,
}

async fn connection(socket: TcpStream, mood: Mood, state: Arc<State>) {
    let (speak, mut to_say) = mpsc::channel(16);
    *state.speak.lock().unwrap() = Some(speak);
    let mut connection =
        Connection { socket, buffer: BytesMut::new(), number: 0, state, owed: VecDeque::new() };
    let mut publishes = 0;
    loop {
        let due = connection.owed.front().map(|(.., at)| *at);
        let manners = *connection.state.manners.lock().unwrap();
        tokio::select! {
            read = connection.socket.read_buf(&mut connection.buffer) => {
                if !read.is_ok_and(|bytes| bytes > 0) {
                    return;
                }
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                connection.acknowledge(Instant::now()).await;
            }
            () = sleep(Duration::from_millis(20)), if manners.talks && connection.number > 0 => {
                connection.write(Packet::Publish(Publish::new("x", QoS::AtMostOnce, "y"))).await;
            }
            Some(publish) = to_say.recv() => connection.write(Packet::Publish(publish)).await,
        }
        loop {
            match connection.packet() {
                Ok(None) => break,
                Ok(Some(packet)) => {
                    if !connection.answer(packet, mood, &mut publishes).await {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }
}

impl Connection {
    /// The next whole packet; an error is one that no client may send.
    fn packet(&mut self) -> Result<Option<Packet>, Error> {
        match Packet::read(&mut self.buffer, 1 << 24) {
            Ok(packet) => Ok(Some(packet)),
            Err(Error::InsufficientBytes(_)) => Ok(None),
            Err(error) => {
                self.violation(&error);
                Err(error)
            }
        }
    }

    fn violation(&self, what: &impl ToString) {
        self.state.log.lock().unwrap().violations.push(what.to_string());
    }

    async fn write(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, usize::MAX).unwrap();
        let _gone = self.socket.write_all(&bytes).await;
    }

    /// False when the connection is over.
    async fn answer(&mut self, packet: Packet, mood: Mood, publishes: &mut usize) -> bool {
        match packet {
            Packet::Connect(connect) => {
                self.number = {
                    let mut log = self.state.log.lock().unwrap();
                    log.connects.push(connect);
                    log.connects.len()
                };
                match mood.welcome {
                    Welcome::Accept => {
                        let connack = ConnAck::new(ConnectReturnCode::Success, false);
                        self.write(Packet::ConnAck(connack)).await;
                    }
                    Welcome::Refuse(code) => {
                        self.write(Packet::ConnAck(ConnAck::new(code, false))).await;
                        return false;
                    }
                    Welcome::Silent => sleep(Duration::from_secs(600)).await,
                }
            }
            Packet::Publish(publish) => {
                *publishes += 1;
                let ack = match mood.ack {
                    Ack::ForgetsFirst if *publishes == 1 => Ack::Never,
                    Ack::ForgetsFirst => Ack::AtOnce,
                    ack => ack,
                };
                self.publish(publish, Mood { ack, ..mood }).await;
                match mood.end {
                    End::Reset(after) if *publishes >= after => {
                        self.socket.set_zero_linger().unwrap();
                        return false;
                    }
                    End::Close(after) if *publishes >= after => {
                        self.acknowledge_together().await;
                        return false;
                    }
                    End::StopReading(after) if *publishes >= after => {
                        sleep(Duration::from_secs(600)).await;
                    }
                    _ => {}
                }
            }
            Packet::Subscribe(subscribe) => {
                let refuse = *self.state.refuse_filters.lock().unwrap();
                let code = match refuse {
                    true => SubscribeReasonCode::Failure,
                    false => SubscribeReasonCode::Success(QoS::AtLeastOnce),
                };
                let codes = subscribe.filters.iter().map(|_| code).collect();
                for filter in subscribe.filters {
                    let mut log = self.state.log.lock().unwrap();
                    log.asked.push(filter.qos);
                    log.filters.push((filter.path, *publishes));
                }
                if !self.state.manners.lock().unwrap().ignores_filters {
                    self.write(Packet::SubAck(SubAck::new(subscribe.pkid, codes))).await;
                }
            }
            Packet::PubAck(_) => self.state.log.lock().unwrap().pubacks += 1,
            Packet::PubRec(received) => {
                self.write(Packet::PubRel(PubRel::new(received.pkid))).await;
            }
            Packet::PubComp(_) => self.state.log.lock().unwrap().pubcomps += 1,
            Packet::PingReq if self.state.manners.lock().unwrap().ignores_pings => {}
            Packet::PingReq => self.write(Packet::PingResp).await,
            Packet::Disconnect => {
                self.state.log.lock().unwrap().disconnects += 1;
                return false;
            }
            other => {
                self.violation(&format!("{other:?}"));
                return false;
            }
        }
        true
    }

    async fn publish(&mut self, publish: Publish, mood: Mood) {
        if publish.qos != QoS::AtLeastOnce || publish.dup {
            self.violation(&format!("{publish:?}"));
        }
        let (id, now) = (publish.pkid, Instant::now());
        let index = {
            let mut log = self.state.log.lock().unwrap();
            log.seen.push(Seen { connection: self.number, publish, acked: false });
            log.seen.len() - 1
        };
        match mood.ack {
            _ if id == 0 => {}
            Ack::AtOnce => {
                self.owed.push_back((index, id, now));
                self.acknowledge(now).await;
            }
            Ack::Twice => {
                self.owed.extend([(index, id, now), (index, id, now)]);
                self.owed.push_back((index, id.wrapping_add(30_000), now));
                self.acknowledge(now).await;
            }
            Ack::Late(by) => self.owed.push_back((index, id, now + by)),
            Ack::Never | Ack::ForgetsFirst => {}
            Ack::WithEnd => self.owed.push_back((index, id, now + Duration::from_secs(600))),
            Ack::Reversed(many) => {
                self.owed.push_front((index, id, now + Duration::from_millis(20)));
                if self.owed.len() >= many {
                    self.acknowledge(now + Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn acknowledge_together(&mut self) {
        let mut bytes = BytesMut::new();
        for (index, id, _) in self.owed.drain(..) {
            self.state.log.lock().unwrap().seen[index].acked = true;
            PubAck::new(id).write(&mut bytes).unwrap();
        }
        let _gone = self.socket.write_all(&bytes).await;
    }

    async fn acknowledge(&mut self, upto: Instant) {
        while self.owed.front().is_some_and(|(.., at)| *at <= upto) {
            let Some((index, id, _)) = self.owed.pop_front() else { return };
            // First the log: a PUBACK that may have been received must not be missing there.
            self.state.log.lock().unwrap().seen[index].acked = true;
            self.write(Packet::PubAck(PubAck::new(id))).await;
        }
    }
}

/// The payload as JSON.
pub fn json(payload: &Bytes) -> serde_json::Value {
    serde_json::from_slice(payload).expect("a JSON payload")
}
