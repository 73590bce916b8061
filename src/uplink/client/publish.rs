//! PUBLISH as it goes onto the line, in both versions.
//!
//! It is most of what is sent, so it is written from what is lent; rumqttc's packet would be made of
//! copies first.

use bytes::{BufMut, BytesMut};

use super::failure::Failure;
use super::packet::{Message, PROTOCOL_BYTES_MAX, Version};
use crate::model::Qos;

const PUBLISH: u8 = 0x30;
/// Properties of MQTT 5.0.
const CONTENT_TYPE: u8 = 0x03;
const CORRELATION_DATA: u8 = 0x09;
const USER_PROPERTY: u8 = 0x26;
/// A byte of a length holds so many bits of it, and says with the other whether more follow.
const LENGTH_BITS: u32 = 7;
const LENGTH_MORE: u8 = 0x80;

/// `id` is 0 with QoS 0.
pub fn encode(
    version: Version,
    id: u16,
    message: &Message<'_>,
    out: &mut BytesMut,
) -> Result<(), Failure> {
    let properties = match version {
        Version::V4 => None,
        Version::V5 => Some(properties(message)?),
    };
    let described = properties.as_ref().map_or(0, |bytes| length_bytes(bytes.len()) + bytes.len());
    let identified = if message.qos == Qos::AtMostOnce { 0 } else { 2 };
    let length = 2 + message.topic.len() + identified + described + message.payload.len();
    if length > PROTOCOL_BYTES_MAX {
        return Err(Failure::Unwritable(format!("a packet would have {length} bytes")));
    }
    let start = out.len();
    out.reserve(1 + length_bytes(length) + length);
    out.put_u8(PUBLISH | message.qos.level() << 1 | u8::from(message.retain));
    put_length(length, out);
    put_text(message.topic.as_bytes(), out).inspect_err(|_| out.truncate(start))?;
    if identified > 0 {
        out.put_u16(id);
    }
    if let Some(properties) = properties {
        put_length(properties.len(), out);
        out.put_slice(&properties);
    }
    out.put_slice(message.payload);
    Ok(())
}

fn properties(message: &Message<'_>) -> Result<BytesMut, Failure> {
    let mut out = BytesMut::new();
    if let Some(content_type) = message.content_type {
        out.put_u8(CONTENT_TYPE);
        put_text(content_type.as_bytes(), &mut out)?;
    }
    if let Some(correlated) = message.correlated {
        out.put_u8(CORRELATION_DATA);
        put_text(&correlated.data, &mut out)?;
        let (name, value) = correlated.property;
        out.put_u8(USER_PROPERTY);
        put_text(name.as_bytes(), &mut out)?;
        put_text(value.as_bytes(), &mut out)?;
    }
    Ok(out)
}

/// Bytes behind their length, as texts are too.
fn put_text(text: &[u8], out: &mut BytesMut) -> Result<(), Failure> {
    let length = u16::try_from(text.len());
    let length =
        length.map_err(|_| Failure::Unwritable(format!("a text has {} bytes", text.len())))?;
    out.put_u16(length);
    out.put_slice(text);
    Ok(())
}

fn length_bytes(length: usize) -> usize {
    let bits = usize::BITS - length.leading_zeros();
    usize::try_from(bits.div_ceil(LENGTH_BITS).max(1)).unwrap_or(1)
}

fn put_length(mut length: usize, out: &mut BytesMut) {
    loop {
        let low = u8::try_from(length % usize::from(LENGTH_MORE)).unwrap_or(0);
        length >>= LENGTH_BITS;
        if length == 0 {
            return out.put_u8(low);
        }
        out.put_u8(low | LENGTH_MORE);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use rumqttc::mqttbytes::v4;
    use rumqttc::v5::mqttbytes::v5;

    use super::*;
    use crate::uplink::client::Correlated;

    fn qos() -> impl Strategy<Value = Qos> {
        prop_oneof![Just(Qos::AtMostOnce), Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)]
    }

    proptest! {
        /// What another's reader finds in it, in either version and across all ends of lengths.
        #[test]
        fn others_read_what_was_said(
            qos in qos(),
            id in 1..u16::MAX,
            retain in any::<bool>(),
            bytes in prop_oneof![0..300_usize, 16_300..16_500_usize, 2_097_000..2_097_300_usize],
            content_type in prop::option::of("[a-z/]{0,150}"),
            data in prop::option::of(prop::collection::vec(any::<u8>(), 0..200)),
        ) {
            let payload = vec![7; bytes];
            let correlated = data.map(|data| Correlated {
                data: Bytes::from(data),
                property: ("code", "ok"),
            });
            let message = Message {
                topic: "a/ü/b",
                payload: &payload,
                qos,
                retain,
                content_type: content_type.as_deref(),
                correlated: correlated.as_ref(),
            };
            let id = if qos == Qos::AtMostOnce { 0 } else { id };
            let mut line = BytesMut::new();
            encode(Version::V4, id, &message, &mut line).unwrap();
            let read = v4::Packet::read(&mut line, usize::MAX).unwrap();
            let v4::Packet::Publish(read) = read else { panic!("{read:?}") };
            prop_assert!(line.is_empty());
            prop_assert_eq!((read.topic.as_str(), read.pkid, read.retain), ("a/ü/b", id, retain));
            prop_assert_eq!((read.qos as u8, &read.payload[..]), (qos.level(), &payload[..]));

            encode(Version::V5, id, &message, &mut line).unwrap();
            let read = v5::Packet::read(&mut line, None).unwrap();
            let v5::Packet::Publish(read) = read else { panic!("{read:?}") };
            prop_assert!(line.is_empty());
            prop_assert_eq!((&read.topic[..], read.pkid), ("a/ü/b".as_bytes(), id));
            prop_assert_eq!((read.retain, read.qos as u8), (retain, qos.level()));
            prop_assert_eq!(&read.payload[..], &payload[..]);
            let found = read.properties.unwrap_or_default();
            prop_assert_eq!(found.content_type, content_type);
            let property = correlated.as_ref().map(|_| ("code".to_owned(), "ok".to_owned()));
            prop_assert_eq!(found.user_properties, Vec::from_iter(property));
            prop_assert_eq!(found.correlation_data, correlated.map(|of| of.data));
        }
    }

    #[test]
    fn what_cannot_be_said_leaves_nothing_on_the_line() {
        let (topic, payload) = ("t".repeat(65_536), vec![0; PROTOCOL_BYTES_MAX]);
        let message = Message {
            topic: "t",
            payload: &payload,
            qos: Qos::AtMostOnce,
            retain: false,
            content_type: None,
            correlated: None,
        };
        let mut line = BytesMut::new();
        for message in [message.clone(), Message { topic: &topic, payload: &[], ..message }] {
            let failed = encode(Version::V4, 0, &message, &mut line);
            assert!(matches!(failed, Err(Failure::Unwritable(_))), "{failed:?}");
            assert!(line.is_empty());
        }
    }
}
