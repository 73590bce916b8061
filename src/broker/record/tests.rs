//! What is written is read, and whatever else is read is no panic.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::broker::packet::{Version, Will};
use crate::broker::peer::Peer;
use crate::broker::trie::Grant;
use crate::config::Place;
use crate::model::{Mono, TopicFilter, TopicName};

const NOW: Wall = Wall(1_800_000_000_000);

fn message() -> KeptMessage {
    KeptMessage {
        topic: TopicName::new("plant/Ölstand").unwrap(),
        payload: Bytes::from_static(b"\0\xFFx"),
        qos: Qos::ExactlyOnce,
        retain: true,
        properties: Bytes::from_static(&[1, 1]),
        valid: Some((NOW, Duration::from_millis(1_500))),
    }
}

fn record() -> MessageRecord {
    let receiver = Receiver {
        session: 7,
        number: u64::MAX,
        qos: Qos::AtLeastOnce,
        retain: false,
        ids: [1, 268_435_455].into(),
    };
    let bare = Receiver { ids: [].into(), ..receiver.clone() };
    MessageRecord { message: message(), receivers: vec![receiver, bare] }
}

fn progress() -> ProgressRecord {
    ProgressRecord {
        since: Since::Connected { window: 100 },
        next: 70_000,
        first_open: 5,
        gaps: vec![(7, 9), (11, 12)],
        unsent: 12,
        released: vec![6, 5],
        receipts: vec![1, 65_535],
        replays: Vec::new(),
    }
}

fn owing() -> ProgressRecord {
    let all = ReplayRecord {
        filter: TopicFilter::new("#").unwrap(),
        qos: Qos::ExactlyOnce,
        id: 0,
        after: None,
    };
    let some = ReplayRecord {
        filter: TopicFilter::new("plant/+").unwrap(),
        qos: Qos::AtLeastOnce,
        id: 268_435_455,
        after: Some(TopicName::new("plant/Ölstand").unwrap()),
    };
    ProgressRecord { replays: vec![all, some], ..progress() }
}

fn session() -> SessionRecord {
    let grant = Grant { qos: Qos::ExactlyOnce, no_local: true, retain_as_published: false, id: 3 };
    SessionRecord {
        number: 9,
        version: Version::V5,
        peer: Peer::Network("[::1]:1883".parse().unwrap()),
        user: Some("line".to_owned()),
        place: Place::Address("127.0.0.1:1883".parse().unwrap()),
        lifetime: 3600,
        will: Some(Will {
            topic: TopicName::new("will").unwrap(),
            payload: Bytes::from_static(b"gone"),
            qos: Qos::AtLeastOnce,
            retain: true,
            delay: 5,
            expiry: Some(60),
            properties: Bytes::from_static(&[1, 1]),
        }),
        subscriptions: vec![(TopicFilter::new("a/#").unwrap(), grant)],
    }
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(KeptMessage::decode(&message().encode()), Some(message()));
    assert_eq!(MessageRecord::decode(&record().encode()), Some(record()));
    assert_eq!(ProgressRecord::decode(&progress().encode()), Some(progress()));
    let away = ProgressRecord { since: Since::Away(NOW), ..progress() };
    assert_eq!(ProgressRecord::decode(&away.encode()), Some(away));
    assert_eq!(ProgressRecord::decode(&owing().encode()), Some(owing()));
    assert_eq!(progress().encode()[0], 1, "as gateways before have written and read it");
    let local = SessionRecord {
        version: Version::V31,
        peer: Peer::Local { uid: Some(1000) },
        user: None,
        place: Place::Path("/run/f.sock".into()),
        will: None,
        ..session()
    };
    for session in [session(), local] {
        let read = SessionRecord::decode(&session.encode()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{session:?}"));
    }
}

#[test]
fn what_is_cut_longer_or_of_another_version_is_nothing() {
    type Decodes = fn(&[u8]) -> bool;
    let records: [(Bytes, Decodes); 5] = [
        (message().encode(), |b| KeptMessage::decode(b).is_some()),
        (record().encode(), |b| MessageRecord::decode(b).is_some()),
        (progress().encode(), |b| ProgressRecord::decode(b).is_some()),
        (owing().encode(), |b| ProgressRecord::decode(b).is_some()),
        (session().encode(), |b| SessionRecord::decode(b).is_some()),
    ];
    for (bytes, decodes) in records {
        assert!(decodes(&bytes));
        for end in 0..bytes.len() {
            assert!(!decodes(&bytes[..end]));
        }
        assert!(!decodes(&[&bytes[..], &[0]].concat()));
        assert!(!decodes(&[&[99], &bytes[1..]].concat()));
    }
}

proptest! {
    #[test]
    fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for first in [&[][..], &[1], &[2]] {
            let bytes = [first, &bytes].concat();
            let _ = KeptMessage::decode(&bytes);
            let _ = MessageRecord::decode(&bytes);
            let _ = ProgressRecord::decode(&bytes);
            let _ = SessionRecord::decode(&bytes);
        }
    }
}

#[test]
fn time_goes_on_while_the_gateway_is_off_and_doubt_is_in_favour_of_the_message() {
    let whole = Duration::from_secs(60);
    let after = |seconds: i64| Wall(NOW.0 + seconds * 1000);
    assert_eq!(left(NOW, whole, after(20)), Duration::from_secs(40));
    assert_eq!(left(NOW, whole, after(90)), Duration::ZERO);
    assert_eq!(left(NOW, whole, after(-500)), whole, "the clock was set back");
    assert_eq!(left(Wall(5_000), whole, NOW), whole, "the clock was not set then");
    assert_eq!(left(NOW, whole, Wall(5_000)), whole, "nor is it now");
}

#[test]
fn a_messages_expiry_survives_another_boot() {
    let message = message().into_message((Mono(100), Wall(NOW.0 + 500)));
    assert_eq!(message.expires, Some(Mono(1_100)));
    let again = KeptMessage::of(&message, (Mono(300), Wall(NOW.0 + 700)));
    assert_eq!(again.valid, Some((Wall(NOW.0 + 700), Duration::from_millis(800))));
    assert_eq!(again.into_message((Mono(5), Wall(NOW.0 + 1_000))).expires, Some(Mono(505)));
}
