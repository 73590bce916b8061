//! The client against a peer that is played by hand: what it writes, and what it makes of bytes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::frame::split;
use super::packet::{Hello, Incoming, Limits, Outgoing, Version, Will};
use super::wire::{ANSWERS_MAX, Wire};
use super::{Client, Event, Failure, Message, Patience, Reason, v4 as ours4, v5 as ours5};
use crate::model::Qos;

const PATIENCE: Duration = Duration::from_secs(9);
/// Bytes per second.
const SLOWEST: u64 = 1000;

fn client(version: Version, limits: Limits) -> (Client, DuplexStream) {
    client_over(1 << 16, version, limits)
}

/// Over a stream that takes so many bytes which are not read.
fn client_over(room: usize, version: Version, limits: Limits) -> (Client, DuplexStream) {
    let (near, far) = duplex(room);
    let wire = Wire::new(Box::new(near), version);
    let patience = Patience { connect: PATIENCE, answer: PATIENCE, slowest: SLOWEST };
    (Client::new(wire, limits, Duration::from_secs(30), patience), far)
}

fn message(qos: Qos) -> Message<'static> {
    let payload = b"1";
    let content_type = Some("text/plain");
    Message { topic: "a/b", payload, qos, retain: true, content_type, correlated: None }
}

/// Lets the client write, and takes what it wrote.
async fn written(client: &mut Client, far: &mut DuplexStream) -> BytesMut {
    let mut bytes = BytesMut::new();
    tokio::select! {
        biased;
        event = client.next() => panic!("{event:?}"),
        read = far.read_buf(&mut bytes) => assert!(read.unwrap() > 0),
    }
    bytes
}

#[tokio::test]
async fn a_ping_follows_what_was_handed_over_before_it() {
    for version in [Version::V4, Version::V5] {
        let (mut client, mut far) = client(version, Limits::NONE);
        assert_eq!(client.publish(message(Qos::AtMostOnce)).unwrap(), 0);
        assert_eq!(client.ping().unwrap(), 1);
        assert_eq!(client.publish(message(Qos::AtLeastOnce)).unwrap(), 1);
        let mut bytes = written(&mut client, &mut far).await;
        let kinds = std::iter::from_fn(|| split(&mut bytes, 1000).unwrap().map(|f| f.kind()));
        assert_eq!(kinds.collect::<Vec<_>>(), [3, 12, 3]);
        far.write_all(&[0xD0, 0, 0x40, 2, 0, 1]).await.unwrap();
        assert!(matches!(client.next().await, Ok(Event::PingAcked(1))));
        assert!(matches!(client.next().await, Ok(Event::Acked(1, Reason::GOOD))));
        assert_eq!(client.ping().unwrap(), 2);
        far.write_all(&[0x40, 2, 0, 1, 0x40, 2, 7, 7, 0xD0, 0]).await.unwrap();
        let next = client.next().await;
        assert!(matches!(next, Ok(Event::PingAcked(2))), "an id is answered once: {next:?}");
    }
}

#[tokio::test]
async fn acknowledgements_that_came_before_the_end_still_count() {
    let (mut client, mut far) = client(Version::V4, Limits::NONE);
    for _ in 0..2 {
        client.publish(message(Qos::AtLeastOnce)).unwrap();
    }
    written(&mut client, &mut far).await;
    far.write_all(&[0x40, 2, 0, 1, 0x40, 2, 0, 2]).await.unwrap();
    drop(far);
    client.publish(message(Qos::AtLeastOnce)).unwrap();
    assert!(matches!(client.next().await, Ok(Event::Acked(1, _))));
    assert!(matches!(client.next().await, Ok(Event::Acked(2, _))));
    assert!(matches!(client.next().await, Err(Failure::Io(_) | Failure::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_silent_or_does_not_read_is_found_out() {
    for publishes in [0, 1000] {
        let (mut client, _far) = client(Version::V4, Limits::NONE);
        for _ in 0..publishes {
            client.publish(large(Qos::AtMostOnce)).unwrap();
        }
        let start = tokio::time::Instant::now();
        assert!(matches!(client.next().await, Err(Failure::Silent)));
        // What has to go out before the answer may take its time.
        let ahead = Duration::from_secs(publishes) + Duration::from_millis(2);
        assert_eq!(start.elapsed(), Duration::from_secs(30) + PATIENCE + ahead);
    }
}

/// A message with a packet of a thousand bytes, on 3.1.1.
fn large(qos: Qos) -> Message<'static> {
    let around = if qos == Qos::AtMostOnce { 8 } else { 10 };
    Message { payload: &[0; 1000][around..], ..message(qos) }
}

#[tokio::test(start_paused = true)]
async fn what_lies_before_a_ping_may_take_its_time_and_no_more() {
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        let (mut client, mut far) = client(Version::V4, Limits::NONE);
        for _ in 0..20 {
            client.publish(large(qos)).unwrap();
        }
        client.ping().unwrap();
        let wait = Duration::from_secs(if qos == Qos::AtMostOnce { 28 } else { 9 });
        let silent = tokio::time::timeout(wait, client.next()).await;
        assert!(silent.is_err(), "{qos:?}: {silent:?}");
        // An answer shows how far the line has come: what lies before it is no excuse any more.
        let answer: &[u8] =
            if qos == Qos::AtMostOnce { &[0xD0, 0] } else { &[0x40, 2, 0, 20, 0xD0, 0] };
        far.write_all(answer).await.unwrap();
        client.next().await.unwrap();
        if qos == Qos::AtLeastOnce {
            client.next().await.unwrap();
        }
        client.ping().unwrap();
        let start = tokio::time::Instant::now();
        assert!(matches!(client.next().await, Err(Failure::Silent)));
        assert_eq!(start.elapsed(), PATIENCE + Duration::from_millis(2));
    }
}

/// On a line that is slower than any that is reckoned with.
#[tokio::test(start_paused = true)]
async fn bytes_that_go_out_are_life() {
    let (mut client, mut far) = client_over(500, Version::V4, Limits::NONE);
    for _ in 0..20 {
        client.publish(large(Qos::AtMostOnce)).unwrap();
    }
    client.ping().unwrap();
    let reading = async {
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_secs(20)).await;
            far.read_exact(&mut [0; 500]).await.unwrap();
        }
        far.read_exact(&mut [0; 2]).await.unwrap();
        far.write_all(&[0xD0, 0]).await.unwrap();
        std::future::pending().await
    };
    let event = tokio::select! {
        event = client.next() => event,
        never = reading => never,
    };
    assert!(matches!(event, Ok(Event::PingAcked(1))), "{event:?}");
}

#[tokio::test]
async fn a_goodbye_says_whether_the_will_is_wanted() {
    for (version, has_will, said) in [
        (Version::V4, true, &[0xE0, 0][..]),
        (Version::V5, false, &[0xE0, 0]),
        (Version::V5, true, &[0xE0, 2, 4, 0]),
    ] {
        let (mut client, mut far) = client(version, Limits::NONE);
        client.has_will = has_will;
        client.goodbye().await;
        let mut bytes = Vec::new();
        far.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, said);
    }
}

/// Answers wait for a peer that does not read only so long as they are not too many.
#[tokio::test]
async fn a_peer_that_sends_and_never_reads_is_left() {
    let (mut client, mut far) = client_over(64, Version::V5, Limits::NONE);
    let publish = [0x32, 6, 0, 1, b'a', 0, 1, 0];
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        while far.write_all(&publish).await.is_ok() {}
        far
    });
    let mut taken = 0;
    let failure = loop {
        match client.next().await {
            Ok(_) => taken += 1,
            Err(failure) => break failure,
        }
        assert!(taken < 2 * ANSWERS_MAX, "all of them wait");
    };
    assert!(matches!(failure, Failure::Protocol(_)), "{failure:?}");
    // Those that were written are no burden.
    assert!(taken > ANSWERS_MAX, "{taken}");
}

#[derive(Clone, Default)]
struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_retain_flag_that_is_not_taken_is_said_once() {
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(log);
    let (mut client, mut far) = client(Version::V5, Limits { retain: false, ..Limits::NONE });
    for _ in 0..3 {
        client.publish(message(Qos::AtMostOnce)).unwrap();
    }
    assert_eq!(written(&mut client, &mut far).await[0], 0x30, "without the flag");
    let said = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(said.matches("no retained messages").count(), 1, "{said}");
}

#[tokio::test]
async fn a_packet_that_cannot_be_said_is_ours() {
    let (mut client, _far) = client(Version::V4, Limits::NONE);
    let payload = vec![0; 1 << 28];
    let failed = client.publish(Message { payload: &payload, ..message(Qos::AtMostOnce) });
    assert!(matches!(failed, Err(Failure::Unwritable(_))), "{failed:?}");
}

#[tokio::test]
async fn what_is_exactly_once_comes_once() {
    let (mut client, mut far) = client(Version::V4, Limits::NONE);
    let mut publish = v4::Publish::new("a", rumqttc::QoS::ExactlyOnce, "x");
    publish.pkid = 7;
    let mut bytes = BytesMut::new();
    v4::Packet::Publish(publish).write(&mut bytes, 1000).unwrap();
    far.write_all(&bytes).await.unwrap();
    assert!(matches!(client.next().await, Ok(Event::Received(_))));
    far.write_all(&bytes).await.unwrap();
    far.write_all(&[0x62, 2, 0, 7]).await.unwrap();
    let mut bytes = BytesMut::new();
    while bytes.len() < 12 {
        bytes.unsplit(written(&mut client, &mut far).await);
    }
    assert_eq!(&bytes[..], &[0x50, 2, 0, 7, 0x50, 2, 0, 7, 0x70, 2, 0, 7]);
}

#[test]
fn what_the_broker_says_of_itself_is_understood() {
    let decoded = |bytes: &[u8]| {
        let frame = split(&mut BytesMut::from(bytes), 1000).unwrap().unwrap();
        ours5::decode(frame).unwrap()
    };
    let connack = [0x20, 16, 0, 0, 13, 0x21, 0, 20, 0x27, 0, 0, 16, 0, 0x24, 1, 0x25, 0];
    let with_keep_alive = [&connack[..], &[0x13, 0, 60]].concat();
    let mut whole = with_keep_alive;
    whole[1] = 18;
    whole[4] = 15;
    let Some(Incoming::Welcome { reason: Reason::GOOD, limits }) = decoded(&whole) else {
        panic!("no welcome");
    };
    let qos = Qos::AtLeastOnce;
    let keep_alive = Some(60);
    let expected =
        Limits { receive_maximum: 20, packet_bytes: 4096, qos, retain: false, keep_alive };
    assert_eq!(limits, expected);
    // A broker of 3.1.1 answers a CONNECT of 5 with its own CONNACK.
    let old = decoded(&[0x20, 2, 0, 1]);
    assert!(matches!(old, Some(Incoming::Welcome { reason: Reason { code: 1, .. }, .. })));
    // All of a DISCONNECT may be left out but the kind.
    assert!(matches!(decoded(&[0xE0, 0]), Some(Incoming::Goodbye(Reason::GOOD))));
    let busy = decoded(&[0xE0, 1, 0x89]);
    assert!(matches!(busy, Some(Incoming::Goodbye(Reason { code: 0x89, .. }))));
    let moved = decoded(&[0xE0, 8, 0x9D, 6, 0x1C, 0, 3, b'a', b':', b'1']);
    let Some(Incoming::Goodbye(reason)) = moved else { panic!("no DISCONNECT") };
    assert_eq!(reason, Reason { code: 0x9D, text: Some("a:1".to_owned()) });
    let text = [0x1F, 0, 1, b'x', 0x1C, 0, 3, b'a', b':', b'1'];
    let other = decoded(&[&[0x20, 13, 0, 0x9C, 10][..], &text].concat());
    let Some(Incoming::Welcome { reason, .. }) = other else { panic!("no CONNACK") };
    assert_eq!(reason, Reason { code: 0x9C, text: Some("x, a:1".to_owned()) });
    let refused = decoded(&[0x40, 8, 0, 3, 0x97, 4, 0x1F, 0, 1, b'x']);
    let Some(Incoming::PubAck { id: 3, reason }) = refused else { panic!("no PUBACK") };
    assert_eq!(reason, Reason { code: 0x97, text: Some("x".to_owned()) });
}

/// Packets of a broker, as bytes.
fn samples(version: Version) -> Vec<BytesMut> {
    let mut samples = Vec::new();
    match version {
        Version::V4 => {
            let mut publish = v4::Publish::new("a/b", rumqttc::QoS::AtLeastOnce, "payload");
            publish.pkid = 9;
            let granted = v4::SubscribeReasonCode::Success(rumqttc::QoS::AtLeastOnce);
            let welcome = v4::ConnAck::new(v4::ConnectReturnCode::Success, false);
            for packet in [
                v4::Packet::ConnAck(welcome),
                v4::Packet::Publish(publish),
                v4::Packet::PubAck(v4::PubAck::new(1)),
                v4::Packet::SubAck(v4::SubAck::new(1, vec![granted])),
            ] {
                let mut bytes = BytesMut::new();
                packet.write(&mut bytes, 1000).unwrap();
                samples.push(bytes);
            }
        }
        Version::V5 => {
            let properties = v5::PublishProperties {
                message_expiry_interval: Some(3),
                response_topic: Some("r".to_owned()),
                correlation_data: Some(Bytes::from_static(b"c")),
                user_properties: vec![("k".to_owned(), "v".to_owned())],
                ..v5::PublishProperties::default()
            };
            let qos = rumqttc::v5::mqttbytes::QoS::AtLeastOnce;
            let mut publish = v5::Publish::new("a/b", qos, "payload", Some(properties));
            publish.pkid = 9;
            let mut bytes = BytesMut::new();
            v5::Packet::Publish(publish).write(&mut bytes, None).unwrap();
            samples.push(bytes);
            for raw in [
                &[0x20, 11, 0, 0, 8, 0x21, 0, 20, 0x27, 0, 0, 16, 0][..],
                &[0x40, 8, 0, 3, 0x97, 4, 0x1F, 0, 1, b'x'],
                &[0x90, 4, 0, 1, 0, 1],
                &[0xE0, 6, 0x8B, 4, 0x1F, 0, 1, b'x'],
                &[0xF0, 2, 0x18, 0],
            ] {
                samples.push(BytesMut::from(raw));
            }
        }
    }
    samples
}

proptest! {
    /// Nothing from a broker can panic, and nothing is decoded twice.
    #[test]
    fn mutated_packets_are_refused_or_read(
        v5 in any::<bool>(),
        which in 0_usize..6,
        changes in prop::collection::vec((0_usize..64, any::<u8>()), 0..6),
        cut in 0_usize..64,
    ) {
        let version = if v5 { Version::V5 } else { Version::V4 };
        let samples = samples(version);
        let mut bytes = samples[which % samples.len()].clone();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut).max(1));
        while let Ok(Some(frame)) = split(&mut bytes, 1000) {
            let _any = match version {
                Version::V4 => ours4::decode(frame).is_ok(),
                Version::V5 => ours5::decode(frame).is_ok(),
            };
        }
    }
}

#[test]
fn a_connect_is_clean_and_says_who() {
    let will = Will {
        topic: "t/dead".to_owned(),
        payload: "7".into(),
        qos: Qos::AtLeastOnce,
        retain: true,
    };
    let hello = |version| Hello {
        version,
        client_id: "me".to_owned(),
        keep_alive: 30,
        login: Some(("u".to_owned(), "p".to_owned())),
        will: Some(will.clone()),
    };
    let mut bytes = BytesMut::new();
    ours4::encode(Outgoing::Hello(&hello(Version::V4)), &mut bytes).unwrap();
    let v4::Packet::Connect(connect) = v4::Packet::read(&mut bytes, 1000).unwrap() else {
        panic!("no CONNECT");
    };
    assert!(connect.clean_session && connect.keep_alive == 30 && connect.client_id == "me");
    assert_eq!(connect.login.unwrap().password, "p");
    let said = connect.last_will.unwrap();
    assert_eq!((said.topic.as_str(), &said.message[..], said.retain), ("t/dead", &b"7"[..], true));
    assert_eq!(said.qos, rumqttc::QoS::AtLeastOnce);
    ours5::encode(Outgoing::Hello(&hello(Version::V5)), &mut bytes).unwrap();
    let v5::Packet::Connect(connect, Some(said), login) =
        v5::Packet::read(&mut bytes, None).unwrap()
    else {
        panic!("no CONNECT");
    };
    assert!(connect.clean_start && login.unwrap().username == "u");
    assert_eq!(
        (&said.topic[..], &said.message[..], said.retain),
        (&b"t/dead"[..], &b"7"[..], true)
    );
    let properties = connect.properties.unwrap();
    assert_eq!(properties.session_expiry_interval, Some(0), "the session ends with the connection");
    assert_eq!(properties.max_packet_size, Some(1 << 20));
}
