//! MQTT 5: the broker's limits are obeyed, and a refused message is a dead letter or waits.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::v5::mqttbytes::v5::{Packet, PubAck, PubAckReason, Publish};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::fake::{Fake, json};
use super::world::{World, broker, eventually, plan};
use crate::config::{MqttVersion, RemotePlan, UplinkPlan};
use crate::model::{Form, Name, TopicName};
use crate::uplink::{Connection, RemoteDoor, Told, UplinkStatus};

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
    seen: Vec<(Publish, PubAckReason)>,
}

/// What it makes of a message.
type Judge = Arc<dyn Fn(&Publish) -> PubAckReason + Send + Sync>;

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
        loop {
            let before = buffer.len();
            let Ok(packet) = Packet::read(&mut buffer, None) else { break };
            let size = before - buffer.len();
            if size > PACKET_BYTES {
                return; // As a broker does, that says 0x95 first.
            }
            match packet {
                Packet::Connect(..) => {
                    log.lock().unwrap().connects += 1;
                    socket.write_all(&WELCOME).await.unwrap();
                }
                Packet::Publish(publish) => {
                    let mut log = log.lock().unwrap();
                    let mut ack = PubAck::new(publish.pkid, None);
                    ack.reason = judge(&publish);
                    let ack_reason = ack.reason;
                    match ack.reason {
                        PubAckReason::Success => log.good += 1,
                        _ => log.dead += 1,
                    }
                    owed.push_back((ack, Instant::now() + DELAY));
                    log.most_out = log.most_out.max(owed.len());
                    log.largest = log.largest.max(size);
                    log.retained += usize::from(publish.retain);
                    log.seen.push((publish, ack_reason));
                }
                Packet::Subscribe(subscribe) => {
                    let [high, low] = subscribe.pkid.to_be_bytes();
                    socket.write_all(&[0x90, 4, high, low, 0, 1]).await.unwrap();
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
            connections.spawn(connection(socket, judge.clone(), shared.clone()));
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
    let (addr, log, _tasks) = five(Arc::new(|_| PubAckReason::Success)).await;
    let mut world = World::new();
    world.append(50);
    let running = world.start(five_plan(addr).await);
    let status = running.until_nothing_waits().await;
    assert_eq!((status.acked_rows, status.connects), (500, 1), "{status:#?}");
    let log = log.lock().unwrap();
    assert!((2..=3).contains(&log.most_out), "{}; one place is for live rows", log.most_out);
    assert!(log.largest <= PACKET_BYTES && log.good > 500 / 20, "{}", log.largest);
}

/// Beyond 3.1.1 a PUBLISH has properties: a content type, and what belongs to an answer.
#[tokio::test]
async fn the_limit_of_the_broker_holds_with_properties() {
    for (form, deflate) in [
        (Form::Cbor, false),
        (Form::LineProtocol, false),
        (Form::SenmlJson, false),
        (Form::SenmlCbor, true),
        (Form::Cbor, true),
    ] {
        let (addr, log, _tasks) = five(Arc::new(|_| PubAckReason::Success)).await;
        let mut world = World::new();
        world.append(50);
        let plan =
            UplinkPlan { backlog: form.clone(), backlog_deflate: deflate, ..five_plan(addr).await };
        let running = world.start(plan);
        let status = running.until_nothing_waits().await;
        assert_eq!((status.acked_rows, status.connects), (500, 1), "{form:?} {status:#?}");
        let topic = TopicName::new("app/answer").unwrap();
        for bytes in 200..300 {
            let correlation = vec![b'c'; 20];
            running.port.answer(topic.clone(), vec![b'x'; bytes], correlation, ("code", "done"));
            let answered = |status: &UplinkStatus| {
                status.commands.replies + status.commands.replies_dropped == bytes as u64 - 199
            };
            running.until("answered", answered).await;
        }
        let status = running.stop().await;
        assert_eq!(status.connects, 1);
        assert!((30..90).contains(&status.commands.replies), "{status:#?}");
        let log = log.lock().unwrap();
        let answer = log.seen.iter().find(|(publish, _)| publish.topic == "app/answer").unwrap();
        let properties = answer.0.properties.clone().unwrap();
        assert_eq!(properties.correlation_data.unwrap(), vec![b'c'; 20]);
        assert_eq!(properties.user_properties, [("code".to_owned(), "done".to_owned())]);
    }
}

/// The numbers in the messages of `tag`, in the order in which the broker took them.
fn taken(log: &Mutex<Log>, tag: &str) -> Vec<u64> {
    let log = log.lock().unwrap();
    let good = log.seen.iter().filter(|(publish, reason)| {
        *reason == PubAckReason::Success && publish.topic.ends_with(tag.as_bytes())
    });
    good.map(|(publish, _)| json(&publish.payload)["v"].as_u64().unwrap()).collect()
}

/// A payload that the broker says is malformed stays malformed; a quota that is used up does not.
#[tokio::test]
async fn a_refused_message_is_a_dead_letter_or_waits() {
    let asked = AtomicUsize::new(0);
    let judge: Judge = Arc::new(move |publish| {
        let is = |v: &[u8]| publish.payload.windows(6).any(|w| w == v);
        match () {
            () if is(b"\"v\":7,") => PubAckReason::PayloadFormatInvalid,
            () if is(b"\"v\":9,") && asked.fetch_add(1, Ordering::Relaxed) < 3 => {
                PubAckReason::QuotaExceeded
            }
            () => PubAckReason::Success,
        }
    });
    let (addr, log, _tasks) = five(judge).await;
    let mut world = World::new();
    world.append(3);
    let plan = UplinkPlan { backlog: Form::Tag, ..five_plan(addr).await };
    let running = world.start(plan);
    let status = running.until_nothing_waits().await;
    assert_eq!(status.dead_rows.get("refused"), Some(&1), "{status:#?}");
    assert_eq!((status.acked_rows, status.connects), (29, 1));
    assert_eq!(taken(&log, "tag9"), [9, 19, 29], "in their order");
    running.until("shown no more", |status| status.refused_topics == 0).await;
    running.stop().await;
}

/// A topic that an ACL denies waits by itself, in the store and before everyone's eyes, until the ACL
/// is put right.
#[tokio::test]
async fn one_refused_topic_holds_back_no_other() {
    let denied = Arc::new(AtomicBool::new(true));
    let is_denied = denied.clone();
    let judge: Judge = Arc::new(move |publish| match is_denied.load(Ordering::Relaxed) {
        true if publish.topic.ends_with(b"tag9") => PubAckReason::NotAuthorized,
        _ => PubAckReason::Success,
    });
    let (addr, log, _tasks) = five(judge).await;
    let mut world = World::new();
    world.append(30);
    let plan = UplinkPlan { backlog: Form::Tag, ..five_plan(addr).await };
    let running = world.start(plan);
    running.until("all others are there", |status| status.acked_rows == 270).await;
    // Live ones go on as well.
    for live in 1..=20 {
        world.append(1);
        running.until("live", |status| status.acked_rows == 270 + 9 * live).await;
    }
    let refused = |status: &UplinkStatus| {
        let [topic] = &status.refused[..] else { return false };
        topic.topic == "site/press/tag9" && topic.reason.contains("not authorized")
    };
    let status = running.until("shown", refused).await;
    assert_eq!((status.refused_topics, status.waiting, status.connects), (1, 50, 1), "{status:#?}");
    assert!(matches!(status.connection, Connection::Online { .. }));
    denied.store(false, Ordering::Relaxed);
    let status = running.until_nothing_waits().await;
    assert_eq!((status.acked_rows, status.connects), (500, 1));
    let all: Vec<u64> = (0..50).map(|n| 10 * n + 9).collect();
    assert_eq!(taken(&log, "tag9"), all, "each once, and in their order");
    assert!(status.duplicates_possible == 0 && world.store.status().balances());
    running.stop().await;
}

/// Notices have a topic that nobody wrote down; one that is denied holds no row back, and what was
/// never taken does not count as told.
#[tokio::test]
async fn a_refused_notice_holds_no_row_back_and_is_not_told() {
    for (reason, is_final) in
        [(PubAckReason::NotAuthorized, false), (PubAckReason::TopicNameInvalid, true)]
    {
        let judge: Judge = Arc::new(move |publish| match publish.topic == "site/notice" {
            true => reason,
            false => PubAckReason::Success,
        });
        let (addr, _log, _tasks) = five(judge).await;
        let mut world = World::new();
        world.append(10);
        let notices_topic = Some(TopicName::new("site/notice").unwrap());
        let running = world.start(UplinkPlan { notices_topic, ..five_plan(addr).await });
        let status = running.until_nothing_waits().await;
        assert_eq!(status.acked_rows, 100);
        let cloud = world.store.consumer("cloud").unwrap();
        if is_final {
            running.until("counted", |status| status.notices_refused == 3).await;
            assert!(!cloud.has_notices());
        } else {
            world.append(1);
            running.until("and live ones", |status| status.acked_rows == 110).await;
            assert!(cloud.has_notices(), "to be told when the broker takes it");
            assert_eq!(running.port.status().notices_refused, 0);
        }
        let status = running.stop().await;
        assert_eq!((status.notices, status.connects), (0, 1), "{status:#?}");
    }
}

/// What receivers are told besides readings is no row: it waits here, before everyone's eyes.
#[tokio::test]
async fn a_refused_announcement_is_shown_and_told_again() {
    const TOPIC: &str = "site/v1/gateway/connect";
    let asked = AtomicUsize::new(0);
    let judge: Judge = Arc::new(move |publish| match publish.topic == TOPIC {
        true if asked.fetch_add(1, Ordering::Relaxed) < 5 => PubAckReason::QuotaExceeded,
        _ => PubAckReason::Success,
    });
    let (addr, log, _tasks) = five(judge).await;
    let mut world = World::new();
    world.timing.refused_pause = Duration::from_millis(100);
    let thingsboard_devices = ["m1", "m2"].map(|name| Name::new(name).unwrap()).to_vec();
    let running = world.start(UplinkPlan { thingsboard_devices, ..five_plan(addr).await });
    let shown = |status: &UplinkStatus| status.refused_topics == 2;
    let status = running.until("shown", shown).await;
    let refused = status.refused.first().unwrap();
    assert_eq!(refused.topic, TOPIC);
    assert!(refused.reason.contains("a quota is used up"), "{}", refused.reason);
    running.until("told", |status| status.refused_topics == 0).await;
    let status = running.stop().await;
    assert_eq!(status.connects, 1);
    let told =
        log.lock().unwrap().seen.iter().filter(|(publish, _)| publish.topic == TOPIC).count();
    assert_eq!(told, 7, "each until it was taken, and no more");
}

/// So is what is told of the configuration, which a change may wait for.
#[tokio::test]
async fn a_refused_state_of_the_configuration_is_shown_and_told_again() {
    let asked = AtomicUsize::new(0);
    let judge: Judge = Arc::new(move |publish| match publish.topic == "site/config/status" {
        true if asked.fetch_add(1, Ordering::Relaxed) < 2 => PubAckReason::NotAuthorized,
        _ => PubAckReason::Success,
    });
    let (addr, _log, _tasks) = five(judge).await;
    let mut world = World::new();
    world.timing.refused_pause = Duration::from_millis(100);
    let remote = RemotePlan {
        keys: Vec::new(),
        topic: TopicName::new("site/config").unwrap(),
        groups: Vec::new(),
        confirm: Duration::from_secs(1),
    };
    let told = Told { revision: 1, payload: "state".into() };
    let (arrived, told) = (mpsc::channel(1).0, watch::channel(told).1);
    let door = RemoteDoor { arrived, told, acknowledged: Arc::default() };
    let acknowledged = door.acknowledged.clone();
    let plan = UplinkPlan { remote: Some(remote), ..five_plan(addr).await };
    let running = world.start_with(plan, door);
    let status = running.until("shown", |status| status.remote_problem.is_some()).await;
    let problem = status.remote_problem.unwrap();
    assert!(
        problem.contains("site/config/status") && problem.contains("not authorized"),
        "{problem}"
    );
    let name = Name::new("cloud").unwrap();
    eventually("acknowledged", || acknowledged.borrow().get(&name) == Some(&1)).await;
    running.until("shown no more", |status| status.remote_problem.is_none()).await;
    running.stop().await;
}
