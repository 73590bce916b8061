//! MQTT 5: the broker's limits are obeyed, and a refused message is a dead letter or waits.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::v5::mqttbytes::v5::{Packet, PubAck, PubAckReason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::fake::Fake;
use super::world::{World, broker, plan};
use crate::config::{MqttVersion, UplinkPlan};
use crate::model::Form;
use crate::uplink::{Cause, Connection};

/// CONNACK: receive maximum 3, packets up to 300 bytes, no retained messages.
const WELCOME: [u8; 15] = [0x20, 13, 0, 0, 10, 0x21, 0, 3, 0x27, 0, 0, 1, 44, 0x25, 0];
const PACKET_BYTES: usize = 300;
const DELAY: Duration = Duration::from_millis(5);

#[derive(Default)]
struct Log {
    most_out: usize,
    largest: usize,
    retained: usize,
    good: usize,
    dead: usize,
    connects: usize,
}

/// What it makes of the payload of a message.
type Judge = fn(&[u8], usize) -> PubAckReason;

async fn connection(mut socket: TcpStream, judge: Judge, log: Arc<Mutex<Log>>) {
    let mut buffer = BytesMut::new();
    let mut owed: VecDeque<(PubAck, Instant)> = VecDeque::new();
    loop {
        let due = owed.front().map_or_else(Instant::now, |(_, at)| *at);
        tokio::select! {
            read = socket.read_buf(&mut buffer) => {
                if !read.is_ok_and(|bytes| bytes > 0) {
                    return;
                }
            }
            () = sleep_until(due), if !owed.is_empty() => {
                let Some((ack, _)) = owed.pop_front() else { return };
                let mut bytes = BytesMut::new();
                Packet::PubAck(ack).write(&mut bytes, None).unwrap();
                let _gone = socket.write_all(&bytes).await;
            }
        }
        while let Ok(packet) = Packet::read(&mut buffer, None) {
            let size = packet.size();
            match packet {
                Packet::Connect(..) => {
                    log.lock().unwrap().connects += 1;
                    socket.write_all(&WELCOME).await.unwrap();
                }
                Packet::Publish(publish) => {
                    let mut log = log.lock().unwrap();
                    let mut ack = PubAck::new(publish.pkid, None);
                    ack.reason = judge(&publish.payload, log.connects);
                    match ack.reason {
                        PubAckReason::Success => log.good += 1,
                        _ => log.dead += 1,
                    }
                    owed.push_back((ack, Instant::now() + DELAY));
                    log.most_out = log.most_out.max(owed.len());
                    log.largest = log.largest.max(size);
                    log.retained += usize::from(publish.retain);
                }
                _ => return,
            }
        }
    }
}

async fn five(judge: Judge) -> (SocketAddr, Arc<Mutex<Log>>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let log = Arc::new(Mutex::new(Log::default()));
    let mut tasks = JoinSet::new();
    let shared = log.clone();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            connections.spawn(connection(socket, judge, shared.clone()));
        }
    });
    (addr, log, tasks)
}

async fn five_plan(addr: SocketAddr) -> UplinkPlan {
    let fake = Fake::new([]).await;
    let backlog = Form::Columnar;
    UplinkPlan { brokers: vec![broker(addr)], mqtt: MqttVersion::V5, backlog, ..plan(&fake) }
}

#[tokio::test]
async fn the_limits_of_the_broker_are_obeyed() {
    let (addr, log, _tasks) = five(|_, _| PubAckReason::Success).await;
    let mut world = World::new();
    world.append(50);
    let running = world.start(five_plan(addr).await);
    let status = running.until_nothing_waits().await;
    assert_eq!((status.acked_rows, status.connects), (500, 1), "{status:#?}");
    let log = log.lock().unwrap();
    assert!((2..=3).contains(&log.most_out), "{}; one place is for live rows", log.most_out);
    assert!(log.largest <= PACKET_BYTES && log.good > 500 / 20, "{}", log.largest);
}

/// A payload that the broker says is malformed stays malformed; a quota that is used up does not.
#[tokio::test]
async fn a_refused_message_is_a_dead_letter_or_waits() {
    let judge: Judge = |payload, connects| match payload {
        _ if payload.windows(6).any(|w| w == b"\"v\":7,") => PubAckReason::PayloadFormatInvalid,
        _ if connects < 3 && payload.windows(6).any(|w| w == b"\"v\":9,") => {
            PubAckReason::QuotaExceeded
        }
        _ => PubAckReason::Success,
    };
    let (addr, _log, _tasks) = five(judge).await;
    let mut world = World::new();
    world.append(3);
    let plan = UplinkPlan { backlog: Form::Tag, ..five_plan(addr).await };
    let running = world.start(plan);
    let refused = |c: &Connection| {
        matches!(c, Connection::Offline { cause: Some(Cause::NotTaken), reason, .. }
            if reason.contains("site/press/tag9") && reason.contains("a quota is used up"))
    };
    running.until("refused", |status| refused(&status.connection)).await;
    let status = running.until_nothing_waits().await;
    assert_eq!(status.dead_rows.get("refused"), Some(&1), "{status:#?}");
    assert_eq!(status.acked_rows, 29);
    assert!(status.ends[&Cause::NotTaken] >= 2);
    running.stop().await;
}
