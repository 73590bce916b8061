//! The broker against a client of other make (rumqttc), both versions, over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fieldhold::broker::{Broker, Deps};
use fieldhold::config::{BrokerLimits, BrokerPlan, ListenerPlan};
use fieldhold::model::{ManualClock, Mono, Wall};
use fieldhold::store::Keep;
use rumqttc::{Packet, QoS, v5};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

async fn start(tasks: &mut JoinSet<()>) -> SocketAddr {
    let (inbox, commands) = mpsc::channel(4);
    let limits = BrokerLimits { inflight: 20, ..BrokerLimits::default() };
    let plan = BrokerPlan {
        listeners: vec![ListenerPlan::tcp("127.0.0.1:0".parse().unwrap(), 100)],
        users: Vec::new(),
        limits,
    };
    let clock = Arc::new(ManualClock::new(Mono(0), Wall(0)));
    let (broker, runner) =
        Broker::bind(&plan, Deps { clock, inbox, store: None, keep: Keep::none() }).await.unwrap();
    tasks.spawn(async move {
        runner.run(CancellationToken::new()).await.unwrap();
        drop(commands);
    });
    broker.addresses()[0]
}

#[tokio::test]
async fn rumqttc_5_0_sends_and_gets_everything_once_and_in_order() {
    for qos in [v5::mqttbytes::QoS::AtLeastOnce, v5::mqttbytes::QoS::ExactlyOnce] {
        everything_there_and_back(qos).await;
    }
}

async fn everything_there_and_back(qos: v5::mqttbytes::QoS) {
    let mut tasks = JoinSet::new();
    let address = start(&mut tasks).await;
    let options = v5::MqttOptions::new("c5", address.ip().to_string(), address.port());
    let (client, mut events) = v5::AsyncClient::new(options, 100);
    tasks.spawn(async move {
        client.subscribe("t/#", qos).await.unwrap();
        for number in 0..2000_u32 {
            let payload = number.to_be_bytes().to_vec();
            let topic = format!("t/{}", number % 7);
            client.publish(topic, qos, false, payload).await.unwrap();
        }
        std::future::pending::<()>().await;
    });
    let mut next = 0;
    let all = async {
        while next < 2000 {
            if let v5::Event::Incoming(v5::Incoming::Publish(publish)) =
                events.poll().await.unwrap()
            {
                assert_eq!(publish.qos, qos);
                let number = u32::from_be_bytes(publish.payload[..].try_into().unwrap());
                assert_eq!(number, next, "in order, each once");
                next += 1;
            }
        }
    };
    timeout(PATIENCE, all).await.expect("in time");
}

#[tokio::test]
async fn rumqttc_3_1_1_resumes_its_session() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        what_waited_comes_once_and_in_order(qos).await;
    }
}

async fn what_waited_comes_once_and_in_order(qos: QoS) {
    let mut tasks = JoinSet::new();
    let address = start(&mut tasks).await;
    let connect = |id: &str| {
        let mut options = rumqttc::MqttOptions::new(id, address.ip().to_string(), address.port());
        options.set_clean_session(false);
        rumqttc::AsyncClient::new(options, 100)
    };
    let (client, mut events) = connect("keeps");
    client.subscribe("t", qos).await.unwrap();
    let subscribed = async {
        while !matches!(events.poll().await.unwrap(), rumqttc::Event::Incoming(Packet::SubAck(_))) {
        }
    };
    timeout(PATIENCE, subscribed).await.expect("in time");
    drop((client, events));

    let (publisher, mut events) = connect("p");
    for number in 0..50_u8 {
        publisher.publish("t", qos, false, [number]).await.unwrap();
    }
    let acknowledged = async {
        let mut count = 0;
        while count < 50 {
            let event = events.poll().await.unwrap();
            let done =
                matches!(event, rumqttc::Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_)));
            count += usize::from(done);
        }
    };
    timeout(PATIENCE, acknowledged).await.expect("in time");

    let (_client, mut events) = connect("keeps");
    let received = async {
        let mut next = 0;
        while next < 50 {
            match events.poll().await.unwrap() {
                rumqttc::Event::Incoming(Packet::ConnAck(ack)) => {
                    assert!(ack.session_present);
                }
                rumqttc::Event::Incoming(Packet::Publish(publish)) => {
                    assert_eq!((&publish.payload[..], publish.qos), (&[next][..], qos));
                    next += 1;
                }
                _ => {}
            }
        }
    };
    timeout(PATIENCE, received).await.expect("in time");
}
