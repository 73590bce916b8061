//! Plays one row against a broker of its own, over TCP on loopback, with a clock moved by hand.
//!
//! Nothing is waited for by time alone: that packets arrived is known by a PINGREQ behind them,
//! that time passed by a client whose keep-alive runs out, that a connection is lost by the
//! broker's count.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fieldhold::broker::{Broker, Deps, Publish, Rules};
use fieldhold::config::{BrokerLimits, BrokerPlan, ListenerPlan};
use fieldhold::model::{ManualClock, Mono, Qos, TopicFilter, TopicName, Wall};
use fieldhold::store::Keep;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::notation::{Pattern, bytes, pattern};
use super::row::{Row, Step};

/// A broker under load of its siblings answers within this.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where the gateway's messages are known to have been routed.
const MARK: &str = "$wire/mark";

fn limits() -> BrokerLimits {
    BrokerLimits {
        connections: 100,
        packet_bytes: 4096,
        inflight: 10,
        queue_messages: 100,
        queue_bytes: 100_000,
        all_queues_bytes: 1_000_000,
        retained_messages: 1000,
        retained_bytes: 1_000_000,
        subscriptions_per_client: 10,
        topic_bytes: 100,
        topic_levels: 8,
        connect_timeout: Duration::from_secs(10),
        keep_alive_max: u16::MAX,
        outgoing_bytes: 10_000,
        ..BrokerLimits::default()
    }
}

fn set(limits: &mut BrokerLimits, name: &str, value: usize) {
    match name {
        "inflight" => limits.inflight = u16::try_from(value).unwrap(),
        "keep_alive_max" => limits.keep_alive_max = u16::try_from(value).unwrap(),
        "queue_messages" => limits.queue_messages = value,
        "retained_messages" => limits.retained_messages = value,
        "subscriptions" => limits.subscriptions_per_client = value,
        other => panic!("no limit {other}"),
    }
}

type Played = Result<(), String>;

pub async fn play(row: &Row) -> Played {
    let mut limits = limits();
    for (_, step) in &row.steps {
        if let Step::Limit(name, value) = step {
            set(&mut limits, name, *value);
        }
    }
    let mut player = Player::start(limits).await;
    for (line, step) in &row.steps {
        player.step(step).await.map_err(|error| format!("at  {line}\n{error}"))?;
    }
    player.end().await
}

struct Player {
    broker: Broker,
    clock: Arc<ManualClock>,
    address: SocketAddr,
    sockets: BTreeMap<String, Socket>,
    /// Gets the gateway's marks.
    mark: Option<Socket>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Player {
    /// `plant/m1/v` is a tag topic, `plant/m1` that of its device.
    async fn start(limits: BrokerLimits) -> Self {
        let plan = BrokerPlan {
            listeners: vec![ListenerPlan::tcp("127.0.0.1:0".parse().unwrap(), 100)],
            users: Vec::new(),
            limits,
        };
        let clock = Arc::new(ManualClock::new(Mono(1_000_000), Wall(1_800_000_000_000)));
        let (inbox, commands) = mpsc::channel(2);
        let deps = Deps { clock: clock.clone(), inbox, store: None, keep: Keep::none() };
        let (broker, runner) = Broker::bind(&plan, deps).await.unwrap();
        broker.set_rules(Rules {
            reserved: [TopicName::new("plant/m1/v").unwrap()].into(),
            devices: [TopicName::new("plant/m1").unwrap()].into(),
            forward: vec![TopicFilter::new("up/#").unwrap()],
        });
        let address = broker.addresses()[0];
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let run = runner.run(stop.clone());
        tasks.spawn(async move {
            run.await.unwrap();
            drop(commands);
        });
        Self { broker, clock, address, sockets: BTreeMap::new(), mark: None, stop, tasks }
    }

    async fn step(&mut self, step: &Step) -> Played {
        match step {
            Step::Limit(..) => Ok(()),
            Step::Send(who, bytes) => self.socket(who).await.send(bytes).await,
            Step::Expect(who, pattern) => {
                let socket = self.socket(who).await;
                let got = socket.expect(pattern).await?;
                socket.greeted |= got.first() == Some(&0x20) && got.get(3) == Some(&0);
                Ok(())
            }
            Step::Connect(who, packet) => self.socket(who).await.connect(packet).await,
            Step::Closed(who) => {
                let mut socket = self.sockets.remove(who).ok_or("no such connection")?;
                socket.closed().await
            }
            Step::Open(who) => self.socket(who).await.ping().await,
            Step::Lost(who) => self.lose(who).await,
            Step::Wait(time) => self.wait(*time).await,
            Step::Gateway { topic, payload, retain } => self.gateway(topic, payload, *retain).await,
        }
    }

    async fn socket(&mut self, who: &str) -> &mut Socket {
        if !self.sockets.contains_key(who) {
            self.sockets.insert(who.to_owned(), Socket::open(self.address).await);
        }
        self.sockets.get_mut(who).unwrap()
    }

    async fn lose(&mut self, who: &str) -> Played {
        let mut socket = self.sockets.remove(who).ok_or("no such connection")?;
        socket.nothing_waits()?;
        let before = self.broker.status().connections;
        let greeted = socket.greeted;
        drop(socket);
        let start = Instant::now();
        while greeted && self.broker.status().connections >= before {
            if start.elapsed() > PATIENCE {
                return Err("the broker did not notice".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    async fn wait(&mut self, time: Duration) -> Played {
        let mut hourglass = Socket::open(self.address).await;
        hourglass.connect(&bytes("10[ \"MQTT\" 04 02 0001 \"hourglass\" ]")).await?;
        self.clock.advance(time);
        hourglass.closed().await
    }

    async fn gateway(&mut self, topic: &str, payload: &str, retain: bool) -> Played {
        if self.mark.is_none() {
            let mut mark = Socket::open(self.address).await;
            mark.connect(&bytes("10[ \"MQTT\" 04 02 0000 \"mark\" ]")).await?;
            mark.send(&bytes(&format!("82[ 0001 \"{MARK}\" 00 ]"))).await?;
            mark.expect(&pattern("90[ 0001 00 ]")).await?;
            self.mark = Some(mark);
        }
        for (topic, payload, retain) in [(topic, payload, retain), (MARK, "", false)] {
            self.broker.publish(Publish {
                topic: TopicName::new(topic).unwrap(),
                payload: payload.to_owned().into(),
                qos: Qos::AtLeastOnce,
                retain,
                correlation: None,
                user_property: None,
                expiry: None,
            });
        }
        let mark = self.mark.as_mut().ok_or("no mark")?;
        mark.expect(&pattern(&format!("30[ \"{MARK}\" ]"))).await.map(drop)
    }

    /// Nothing may be left unread. What the first round of pings is behind has had its effect on
    /// everybody before the second.
    async fn end(mut self) -> Played {
        for _ in 0..2 {
            for (who, socket) in &mut self.sockets {
                let left =
                    if socket.greeted { socket.ping().await } else { socket.nothing_waits() };
                left.map_err(|error| format!("left for {who}:\n{error}"))?;
            }
        }
        self.stop.cancel();
        self.sockets.clear();
        drop(self.mark);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        timeout(PATIENCE, ended).await.map_err(|_| "the broker did not stop".to_owned())
    }
}

struct Socket {
    stream: TcpStream,
    read: Vec<u8>,
    ended: bool,
    /// Whether its CONNECT was accepted.
    greeted: bool,
}

impl Socket {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new(), ended: false, greeted: false }
    }

    async fn send(&mut self, bytes: &[u8]) -> Played {
        self.stream.write_all(bytes).await.map_err(|error| format!("sending: {error}"))
    }

    /// Reads on; an error when nothing comes in time.
    async fn more(&mut self) -> Played {
        let mut piece = [0; 4096];
        match timeout(PATIENCE, self.stream.read(&mut piece)).await {
            Err(_) => return Err(format!("nothing more comes after {}", show(&self.read))),
            // A reset is an end too.
            Ok(Ok(0) | Err(_)) => self.ended = true,
            Ok(Ok(count)) => self.read.extend_from_slice(&piece[..count]),
        }
        Ok(())
    }

    /// Takes exactly what is expected, and gives it back.
    async fn expect(&mut self, expected: &Pattern) -> Result<Vec<u8>, String> {
        let said = || show_pattern(expected);
        loop {
            let fits = |(got, want): (&u8, &Option<u8>)| want.is_none_or(|want| want == *got);
            if !self.read.iter().zip(expected).all(fits) {
                return Err(format!("expected {}\ngot      {}", said(), show(&self.read)));
            }
            if self.read.len() >= expected.len() {
                return Ok(self.read.drain(..expected.len()).collect());
            }
            if self.ended {
                return Err(format!("expected {}\nclosed after {}", said(), show(&self.read)));
            }
            self.more().await.map_err(|error| format!("expected {}\n{error}", said()))?;
        }
    }

    /// Sends a CONNECT that has to be accepted.
    async fn connect(&mut self, packet: &[u8]) -> Played {
        self.send(packet).await?;
        let head = self.expect(&vec![None; 4]).await?;
        if head[0] != 0x20 || head[3] != 0 {
            return Err(format!("not accepted: {} {}", show(&head), show(&self.read)));
        }
        let rest = usize::from(head[1]) - 2;
        self.expect(&vec![None; rest]).await?;
        self.greeted = true;
        Ok(())
    }

    async fn ping(&mut self) -> Played {
        self.send(&[0xC0, 0]).await?;
        self.expect(&pattern("d000")).await?;
        self.nothing_waits()
    }

    async fn closed(&mut self) -> Played {
        while !self.ended && self.read.is_empty() {
            self.more().await.map_err(|_| "still open".to_owned())?;
        }
        self.nothing_waits()
    }

    fn nothing_waits(&mut self) -> Played {
        let mut piece = [0; 4096];
        if let Ok(count) = self.stream.try_read(&mut piece) {
            self.read.extend_from_slice(&piece[..count]);
        }
        if self.read.is_empty() { Ok(()) } else { Err(format!("unread: {}", show(&self.read))) }
    }
}

fn show(bytes: &[u8]) -> String {
    show_pattern(&bytes.iter().copied().map(Some).collect())
}

/// Hex, with the text beside it.
fn show_pattern(pattern: &Pattern) -> String {
    let hex = pattern.iter().map(|byte| byte.map_or("..".to_owned(), |byte| format!("{byte:02x}")));
    let text = pattern.iter().map(|byte| {
        let byte = byte.map_or('.', char::from);
        if byte.is_ascii_graphic() { byte } else { '·' }
    });
    format!("{}  {}", hex.collect::<Vec<_>>().join(" "), text.collect::<String>())
}
