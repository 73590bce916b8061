//! No bytes make the decoder panic or read beyond the packet; a good packet decodes in any pieces.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rmqtt_codec::v5;
use tokio_util::codec::Decoder as _;

use super::*;
use crate::broker::encode::{self, Form};
use crate::broker::message::Message;
use crate::broker::tests::notation::bytes;
use crate::model::{Qos, TopicName};

const PACKET_MAX: u32 = 4096;

const CONNECT_V3: &str = r#"10[ "MQTT" 04 c6 003c "a" "will" "gone" "user" "p" ]"#;
const CONNECT_V5: &str = r#"10[ "MQTT" 05 c6 003c [ 11 0000000a 21 0005 26 "k" "v" ] "a"
    [ 18 00000001 08 "re" ] "will" "gone" "user" "p" ]"#;

/// Good packets, the seeds of the mutations.
const SEEDS: &[&str] = &[
    r#"32[ "topic" 0001 'hi' ]"#,
    r#"32[ "topic" 0001 [ 0101 02 00000005 03 "t" 08 "r" 09 "c" 23 0001 ] 'hello' ]"#,
    r#"30[ "t" [ 26 "k" "v" 26 "k" "" ] 'x' ]"#,
    "40[ 0001 ]",
    r#"40[ 0001 10 [ 1f "why" ] ]"#,
    r#"82[ 0001 [ 0b05 ] "a/#" 2d ]"#,
    r#"82[ 0001 "a" 01 "b" 00 ]"#,
    r#"a2[ 0001 [] "a" ]"#,
    r#"a2[ 0001 "a" ]"#,
    "c0[]",
    "e0[]",
    "e0[ 04 [ 11 00000000 ] ]",
    r#"f0[ 18 [ 15 "SCRAM" 16 "d" ] ]"#,
    "62[ 0001 ]",
];

fn feed(decoder: &mut Decoder, bytes: &[u8]) -> Vec<Result<Incoming, WireError>> {
    let mut buffer = BytesMut::from(bytes);
    let mut out = Vec::new();
    loop {
        match decoder.next(&mut buffer) {
            Ok(Some(packet)) => out.push(Ok(packet)),
            Ok(None) => return out,
            Err(error) => {
                out.push(Err(error));
                return out;
            }
        }
    }
}

fn connected(version: Version) -> Decoder {
    let mut decoder = Decoder::new(PACKET_MAX);
    let connect = if version == Version::V311 { CONNECT_V3 } else { CONNECT_V5 };
    let got = feed(&mut decoder, &bytes(connect));
    assert!(matches!(got.as_slice(), [Ok(Incoming::Connect(_))]), "{got:?}");
    decoder
}

/// One way to damage a packet.
#[derive(Debug, Clone)]
enum Damage {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, u8),
    Repeat(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(vec![0, 1, 0x7F, 0x80, 0xFF, 0x26])];
    prop_oneof![
        4 => (any::<prop::sample::Index>(), byte.clone()).prop_map(|(i, b)| Damage::Set(i, b)),
        1 => any::<prop::sample::Index>().prop_map(Damage::Cut),
        1 => (any::<prop::sample::Index>(), byte).prop_map(|(i, b)| Damage::Insert(i, b)),
        1 => any::<prop::sample::Index>().prop_map(Damage::Repeat),
    ]
}

fn apply(bytes: &mut Vec<u8>, damages: &[Damage]) {
    for damage in damages {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match damage {
            Damage::Set(at, byte) => bytes[at.index(length)] = *byte,
            Damage::Cut(at) => bytes.truncate(at.index(length)),
            Damage::Insert(at, byte) => bytes.insert(at.index(length), *byte),
            Damage::Repeat(at) => {
                let tail = bytes[at.index(length)..].to_vec();
                bytes.extend(tail);
            }
        }
    }
}

proptest! {
    /// `PROPTEST_CASES=200000` runs the long version.
    #[test]
    fn damaged_packets_are_errors_at_most(
        seed in prop::sample::select(SEEDS.to_vec()),
        damages in prop::collection::vec(damage(), 1..6),
        is_v5 in any::<bool>(),
        fix_length in any::<bool>(),
    ) {
        let mut bytes = bytes(seed);
        apply(&mut bytes, &damages);
        // With the length put right the damage reaches the fields.
        if fix_length && bytes.len() >= 2 && bytes.len() < 130 {
            bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
        }
        let mut decoder = connected(if is_v5 { Version::V5 } else { Version::V311 });
        feed_without_the_net(&mut decoder, &bytes);
    }

    #[test]
    fn damaged_connects_are_errors_at_most(
        is_v5 in any::<bool>(),
        damages in prop::collection::vec(damage(), 1..6),
        fix_length in any::<bool>(),
    ) {
        let mut bytes = bytes(if is_v5 { CONNECT_V5 } else { CONNECT_V3 });
        apply(&mut bytes, &damages);
        if fix_length && bytes.len() >= 2 && bytes.len() < 130 {
            bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
        }
        feed_without_the_net(&mut Decoder::new(PACKET_MAX), &bytes);
    }

    #[test]
    fn any_bytes_are_errors_at_most(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for version in [Version::V311, Version::V5] {
            feed_without_the_net(&mut connected(version), &bytes);
        }
        feed_without_the_net(&mut Decoder::new(PACKET_MAX), &bytes);
    }

    #[test]
    fn pieces_make_no_difference(cut in any::<prop::sample::Index>()) {
        let mut stream = bytes(CONNECT_V5);
        stream.extend(bytes(SEEDS[1]));
        stream.extend(bytes(SEEDS[9]));
        let at = cut.index(stream.len());
        let mut decoder = Decoder::new(PACKET_MAX);
        let mut buffer = BytesMut::new();
        let mut count = 0;
        for piece in [&stream[..at], &stream[at..]] {
            buffer.extend_from_slice(piece);
            while decoder.next(&mut buffer).unwrap().is_some() {
                count += 1;
            }
        }
        prop_assert_eq!(count, 3);
        prop_assert!(buffer.is_empty());
    }

    /// What we write is what another implementation reads.
    #[test]
    fn the_codec_reads_what_we_write(
        topic in "[a-zÖ/]{1,200}",
        payload in prop::collection::vec(any::<u8>(), 0..300),
        ids in prop::collection::vec(1..268_435_455_u32, 0..4),
        expiry in any::<Option<u32>>().prop_map(|e| e.filter(|e| *e > 0)),
        (at_least_once, retain, dup) in any::<(bool, bool, bool)>(),
    ) {
        let qos = if at_least_once { Qos::AtLeastOnce } else { Qos::AtMostOnce };
        let message = Message {
            topic: TopicName::new(&topic).unwrap(),
            payload: payload.clone().into(),
            qos,
            retain,
            expires: None,
            properties: Bytes::new(),
        };
        let dup = dup && at_least_once;
        let alias = None;
        let form = Form { version: Version::V5, qos, retain, dup, ids: &ids, expiry, alias };
        let mut head = Vec::new();
        let id_at = encode::publish_head(&mut head, &message, form);
        if at_least_once {
            head.splice(id_at..id_at, [0x12, 0x34]);
        }
        head.extend(&payload);
        let mut buffer = BytesMut::from(&head[..]);
        let (packet, _) = v5::Codec::new(0, 0).decode(&mut buffer).unwrap().unwrap();
        let v5::Packet::Publish(publish) = packet else { panic!("{packet:?}") };
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(&*publish.topic, topic.as_str());
        prop_assert_eq!(&publish.payload[..], &payload[..]);
        prop_assert_eq!((publish.retain, publish.dup), (retain, dup));
        prop_assert_eq!(publish.packet_id.map(Into::into), at_least_once.then_some(0x1234));
        let properties = publish.properties.unwrap();
        let got: Vec<u32> = properties.subscription_ids.iter().map(|id| u32::from(*id)).collect();
        prop_assert_eq!(got, ids);
        prop_assert_eq!(properties.message_expiry_interval.map(Into::into), expiry);
    }
}

/// Like [`feed`], but a panic of the codec is a failure instead of a malformed packet.
fn feed_without_the_net(decoder: &mut Decoder, bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(frame)) = guard::frame(&buffer, decoder.packet_max) {
        let before = buffer.len();
        match decoder.decode(frame, &mut buffer) {
            Ok(Some(_)) => assert_eq!(before - buffer.len(), frame.total, "took another length"),
            Ok(None) => panic!("a complete frame gave no packet"),
            Err(_) => return,
        }
    }
}

#[test]
fn the_seeds_are_good() {
    for seed in SEEDS {
        let good = [Version::V311, Version::V5].into_iter().any(|version| {
            let got = feed(&mut connected(version), &bytes(seed));
            matches!(got.as_slice(), [Ok(_)])
        });
        assert!(good, "{seed}");
    }
}

#[test]
fn a_packet_that_only_announces_its_size_reserves_nothing() {
    let mut decoder = connected(Version::V5);
    let mut buffer = BytesMut::from(&[0x30, 0x80, 0x1F][..]);
    assert!(decoder.next(&mut buffer).unwrap().is_none());
    assert!(buffer.capacity() < 64, "{}", buffer.capacity());
}
