//! The broker on real sockets: what only they can show.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::notation::bytes;
use super::rig::limits;
use super::running::{PATIENCE, expect, expect_end, local, send, start};
use crate::broker::{Broker, Deps, Publish, Rules};
use crate::config::{BrokerLimits, BrokerPlan, ListenerPlan};
use crate::model::{Clock, ManualClock, Mono, Qos, TopicName, Wall};
use crate::store::Keep;

#[tokio::test]
async fn serves_publishes_commands_and_says_good_bye() {
    let mut running = start(limits()).await;
    let tag = TopicName::new("m/v").unwrap();
    running.broker.set_rules(Rules { reserved: [tag].into(), ..Rules::default() });
    running.broker.publish(local("m/v", "1", true));
    let mut client = running.connect("a").await;
    send(&mut client, "82[ 0001 \"m/#\" 00 ]").await;
    expect(&mut client, "90[ 0001 00 ] 31[ \"m/v\" '1' ]").await;
    send(&mut client, "30[ \"m/v\" 'forged' ] 32[ \"m/v/set\" 0002 '2' ]").await;
    expect(&mut client, "40020002").await;
    let command = timeout(PATIENCE, running.commands.recv()).await.unwrap().unwrap();
    assert_eq!(command.payload, b"2");
    running.broker.publish(local("m/v", "2", true));
    expect(&mut client, "30[ \"m/v\" '2' ]").await;
    running.until("counted", |s| s.dropped.reserved == 1 && s.connections == 1).await;
    running.stop.cancel();
    expect_end(&mut client).await;
    drop(client);
    timeout(PATIENCE, running.runner).await.expect("ends in time").unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err(), "the port is free");
}

#[tokio::test]
async fn correlation_data_and_expiry_go_with_a_reply() {
    let running = start(limits()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    send(&mut stream, "10[ \"MQTT\" 05 02 0000 [] \"a\" ]").await;
    expect(&mut stream, "20[ 0000 [ @offer ] ]").await;
    send(&mut stream, "82[ 0001 [] \"reply\" 01 ]").await;
    expect(&mut stream, "90[ 0001 [] 01 ]").await;
    running.broker.publish(Publish {
        correlation: Some(b"c1".to_vec()),
        expiry: Some(Duration::from_secs(9)),
        qos: Qos::AtLeastOnce,
        ..local("reply", "done", false)
    });
    expect(&mut stream, "32[ \"reply\" 0001 [ 02 00000009 09 \"c1\" ] 'done' ]").await;
    running.stop.cancel();
    expect(&mut stream, "e0[ 8b @why:8b ]").await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_turned_away_and_places_come_free() {
    let running = start(BrokerLimits { connections: 2, ..limits() }).await;
    let first = running.connect("a").await;
    let _second = running.connect("b").await;
    let mut third = TcpStream::connect(running.address).await.unwrap();
    let gone = timeout(PATIENCE, third.read(&mut [0; 8])).await.unwrap();
    assert!(matches!(gone, Ok(0) | Err(_)), "{gone:?}");
    running.until("counted", |s| s.connections_refused == 1).await;
    drop(first);
    running.until("left", |s| s.connections == 1).await;
    // The place is given back a moment after the router heard of it.
    let start = Instant::now();
    loop {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let connect = bytes("10[ \"MQTT\" 04 02 0000 \"c\" ]");
        let mut connack = [0; 4];
        if stream.write_all(&connect).await.is_ok() && stream.read_exact(&mut connack).await.is_ok()
        {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "no place came free");
    }
}

#[tokio::test]
async fn who_has_not_said_who_it_is_makes_room_for_others() {
    let running = start(BrokerLimits { connections: 4, half_open: 2, ..limits() }).await;
    let mut oldest = TcpStream::connect(running.address).await.unwrap();
    let mut second = TcpStream::connect(running.address).await.unwrap();
    running.until("both wait", |s| s.half_open == 2).await;
    let _third = TcpStream::connect(running.address).await.unwrap();
    expect_end(&mut oldest).await;
    running.until("counted", |s| s.half_open == 2 && s.half_open_cut == 1).await;
    // Those who speak up don't count as half-open, and take the seats of those who don't.
    let _first = running.connect("a").await;
    let _second = running.connect("b").await;
    let _third = running.connect("c").await;
    expect_end(&mut second).await;
    let _fourth = running.connect("d").await;
    running.until("all gone", |s| s.half_open == 0 && s.connections == 4).await;
    let status = running.broker.status();
    assert_eq!((status.half_open_cut, status.connections_refused), (3, 0));
}

#[tokio::test]
async fn connections_above_the_rate_wait_and_are_taken() {
    const RATE: u32 = 20;
    let running = start(BrokerLimits { accepts_per_second: RATE, ..limits() }).await;
    let start = Instant::now();
    let mut clients = Vec::new();
    for n in 0..9 {
        clients.push(running.connect(&format!("c{n}")).await);
    }
    // The first came at once, the others one by one.
    assert!(start.elapsed() >= Duration::from_millis(395), "{:?}", start.elapsed());
    assert_eq!(running.broker.status().connections_refused, 0);
}

#[tokio::test]
async fn a_client_that_sends_too_fast_is_read_slowly_and_loses_nothing() {
    const RATE: u32 = 200;
    let running = start(BrokerLimits { packets_per_second: RATE, ..limits() }).await;
    let mut fast = running.connect("fast").await;
    let mut other = running.connect("other").await;
    let start = Instant::now();
    let packets: Vec<u8> =
        (1..=RATE + 60).flat_map(|id| bytes(&format!("32[ \"t\" {id:04x} 'x' ]"))).collect();
    fast.write_all(&packets).await.unwrap();
    running.until("held back", |s| s.held_back > 0).await;
    send(&mut other, "c000").await;
    expect(&mut other, "d000").await;
    assert!(start.elapsed() < Duration::from_millis(300), "others don't wait");
    let acks: String = (1..=RATE + 60).map(|id| format!("4002 {id:04x} ")).collect();
    expect(&mut fast, &acks).await;
    assert!(start.elapsed() >= Duration::from_millis(295), "{:?}", start.elapsed());
    let status = running.broker.status();
    let held_back = |id: &str| status.clients.iter().find(|c| &*c.id == id).unwrap().held_back;
    assert!(held_back("fast") > 0);
    assert_eq!(held_back("other"), 0);
    // A new rate holds at once.
    running.change(BrokerLimits { packets_per_second: 1_000_000, ..limits() }).await;
    send(&mut fast, &"c000".repeat(2000)).await;
    expect(&mut fast, &"d000".repeat(2000)).await;
}

#[tokio::test]
async fn other_limits_hold_at_once_and_clients_stay() {
    let running = start(BrokerLimits { connections: 1, ..limits() }).await;
    let mut first = running.connect("a").await;
    running.change(BrokerLimits { connections: 2, topic_levels: 2, ..limits() }).await;
    let mut second = running.connect("b").await;
    running.change(BrokerLimits { connections: 1, topic_levels: 2, ..limits() }).await;
    let mut third = TcpStream::connect(running.address).await.unwrap();
    let gone = timeout(PATIENCE, third.read(&mut [0; 8])).await.unwrap();
    assert!(matches!(gone, Ok(0) | Err(_)), "{gone:?}");
    send(&mut second, "82[ 0001 \"a/b\" 00 \"a/b/c\" 00 ]").await;
    expect(&mut second, "90[ 0001 00 80 ]").await;
    send(&mut first, "30[ \"a/b\" 'x' ]").await;
    expect(&mut second, "30[ \"a/b\" 'x' ]").await;
}

#[tokio::test]
async fn a_connection_that_stays_silent_is_closed_and_holds_up_nobody() {
    let silent_for = Duration::from_millis(100);
    let running = start(BrokerLimits { connect_timeout: silent_for, ..limits() }).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    let mut half = TcpStream::connect(running.address).await.unwrap();
    half.write_all(b"\x10\x20\x00\x04MQ").await.unwrap();
    running.connect("a").await;
    expect_end(&mut silent).await;
    let end = timeout(PATIENCE, half.read(&mut [0; 8])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test]
async fn a_subscriber_that_stops_reading_does_not_hold_up_the_others() {
    let limits = BrokerLimits { packet_bytes: 70_000, ..limits() };
    let running = start(limits).await;
    let mut slow = running.connect("slow").await;
    let mut quick = running.connect("quick").await;
    for stream in [&mut slow, &mut quick] {
        send(stream, "82[ 0001 \"t\" 00 ]").await;
        expect(stream, "90[ 0001 00 ]").await;
    }
    let mut publisher = running.connect("p").await;
    let payload = "x".repeat(60_000);
    let packet = format!("30[ \"t\" '{payload}' ]");
    let mut sent = 0;
    // Far more than the socket buffers take.
    while running.broker.status().dropped.slow == 0 {
        send(&mut publisher, &packet).await;
        expect(&mut quick, &packet).await;
        sent += 1;
        assert!(sent < 2000, "the slow client's buffer never filled");
    }
    let status = running.broker.status();
    let slow_client = status.clients.iter().find(|c| &*c.id == "slow").unwrap();
    assert!(slow_client.dropped >= 1 && slow_client.connected);
    // It reads again, and gets what had been written for it.
    expect(&mut slow, &packet).await;
}

#[tokio::test]
async fn last_words_reach_a_client_that_was_sending() {
    let running = start(limits()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let connect = "10[ \"MQTT\" 05 02 0000 [] \"a\" ]";
    let too_much = "30[ \"t\" [ 23 0021 ] 'x' ]".repeat(2000);
    send(&mut stream, &format!("{connect} {too_much}")).await;
    expect(&mut stream, "20[ 0000 [ @offer ] ] e0[ 94 @why:94 ]").await;
    expect_end(&mut stream).await;
}

#[tokio::test]
async fn in_process_publishing_is_bounded_and_never_waits() {
    let (inbox, _commands) = mpsc::channel(4);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Mono(0), Wall(0)));
    let plan = BrokerPlan {
        listeners: vec![ListenerPlan::tcp("127.0.0.1:0".parse().unwrap(), 100)],
        users: Vec::new(),
        limits: limits(),
    };
    // The runner doesn't run: nobody takes the messages.
    let (broker, _runner) =
        Broker::bind(&plan, Deps { clock, inbox, store: None, keep: Keep::none() }).await.unwrap();
    let payload = "x".repeat(1_000_000);
    for _ in 0..20 {
        broker.publish(local("t", &payload, false));
    }
    assert_eq!(broker.status().dropped.local_full, 4, "16 MiB may wait");
    broker.publish(Publish { correlation: Some(vec![0; 70_000]), ..local("t", "x", false) });
    assert_eq!(broker.status().dropped.local_full, 5, "no packet could carry it");
}

#[tokio::test]
async fn an_address_in_use_is_an_error_with_a_retry() {
    let running = start(limits()).await;
    let (inbox, _commands) = mpsc::channel(4);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Mono(0), Wall(0)));
    let plan = BrokerPlan {
        listeners: vec![ListenerPlan::tcp(running.address, 100)],
        users: Vec::new(),
        limits: limits(),
    };
    let error = Broker::bind(&plan, Deps { clock, inbox, store: None, keep: Keep::none() })
        .await
        .err()
        .unwrap();
    assert_eq!(error.to_string(), format!("can't listen on tcp {}", running.address));
    assert_eq!(error.retry(), crate::model::Retry::Later);
    assert_eq!(error.blame(), crate::model::Blame::Config);
}
