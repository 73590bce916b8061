//! A broker that runs, and clients that write bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::notation::bytes;
use crate::broker::{Broker, BrokerError, BrokerStatus, Deps, Publish};
use crate::config::{BrokerLimits, BrokerPlan, ListenerPlan};
use crate::model::{Clock, ManualClock, Mono, Qos, SetRequest, TopicName, Wall};
use crate::store::Keep;

pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct Running {
    pub broker: Broker,
    /// Of the first listener that has one.
    pub address: SocketAddr,
    pub stop: CancellationToken,
    pub runner: JoinHandle<Result<(), BrokerError>>,
    pub commands: mpsc::Receiver<SetRequest>,
}

/// A broker with one plain listener.
pub async fn start(limits: BrokerLimits) -> Running {
    start_plan(BrokerPlan {
        listeners: vec![ListenerPlan::tcp("127.0.0.1:0".parse().unwrap(), 100)],
        users: Vec::new(),
        limits,
    })
    .await
}

pub async fn start_plan(plan: BrokerPlan) -> Running {
    let (inbox, commands) = mpsc::channel(4);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Mono(0), Wall(0)));
    let (broker, runner) =
        Broker::bind(&plan, Deps { clock, inbox, store: None, keep: Keep::none() }).await.unwrap();
    let stop = CancellationToken::new();
    let address = broker.addresses().first().copied();
    let address = address.unwrap_or_else(|| "127.0.0.1:0".parse().unwrap());
    #[expect(clippy::disallowed_methods, reason = "a test owns its task by the handle")]
    let runner = tokio::spawn(runner.run(stop.clone()));
    Running { broker, address, stop, runner, commands }
}

impl Running {
    pub async fn connect(&self, id: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        send(&mut stream, &format!("10[ \"MQTT\" 04 02 0000 \"{id}\" ]")).await;
        expect(&mut stream, "20020000").await;
        stream
    }

    /// Takes other limits.
    pub async fn change(&self, limits: BrokerLimits) {
        let listeners = vec![ListenerPlan::tcp("127.0.0.1:0".parse().unwrap(), 100)];
        self.broker.change(&BrokerPlan { listeners, users: Vec::new(), limits }).await.unwrap();
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&BrokerStatus) -> bool) {
        let start = Instant::now();
        while !holds(&self.broker.status()) {
            assert!(start.elapsed() < PATIENCE, "{what}: {:?}", self.broker.status());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub async fn send(stream: &mut (impl AsyncWrite + Unpin), packet: &str) {
    stream.write_all(&bytes(packet)).await.unwrap();
    stream.flush().await.unwrap();
}

pub async fn expect(stream: &mut (impl AsyncRead + Unpin), packet: &str) {
    let want = bytes(packet);
    let mut got = vec![0; want.len()];
    timeout(PATIENCE, stream.read_exact(&mut got)).await.expect("in time").unwrap();
    assert_eq!(got, want);
}

pub async fn expect_end(stream: &mut (impl AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("in time").unwrap();
    assert_eq!(rest, b"");
}

pub fn local(topic: &str, payload: &str, retain: bool) -> Publish {
    Publish {
        topic: TopicName::new(topic).unwrap(),
        payload: payload.to_owned().into(),
        qos: Qos::AtMostOnce,
        retain,
        correlation: None,
        user_property: None,
        expiry: None,
    }
}
