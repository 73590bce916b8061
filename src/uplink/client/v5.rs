//! MQTT 5.0 through rumqttc's packets.
//!
//! Reason codes are read from the packet itself: rumqttc has an own enumeration for each kind of
//! packet, and cause.rs one list of words for all.

use bytes::{Bytes, BytesMut};
use rumqttc::v5::mqttbytes::v5::{
    ConnAckProperties, Connect, ConnectProperties, Disconnect, DisconnectReasonCode, Filter,
    LastWill, Login, Packet, PingReq, PubAck, PubComp, PubRec, Publish, RetainForwardRule,
    Subscribe, SubscribeReasonCode,
};
use rumqttc::v5::mqttbytes::{Error, QoS};

use super::frame::{CONNACK, DISCONNECT, Frame};
use super::packet::{
    Hello, Incoming, Limits, Outgoing, PROTOCOL_BYTES_MAX, Reason, Received, Subscription,
};
use super::{INCOMING_BYTES_MAX, RECEIVE_MAXIMUM};
use crate::model::Qos;

/// DISCONNECT with the reason 0x04, disconnect with will message, and no properties. rumqttc writes a
/// length that is one too small, or leaves the reason out.
const GOODBYE_WITH_WILL: [u8; 4] = [0xE0, 2, 0x04, 0];

pub fn encode(packet: Outgoing<'_>, out: &mut BytesMut) -> Result<(), Error> {
    if matches!(packet, Outgoing::Goodbye { with_will: true }) {
        out.extend_from_slice(&GOODBYE_WITH_WILL);
        return Ok(());
    }
    packet_of(packet).write(out, None).map(drop)
}

fn packet_of(packet: Outgoing<'_>) -> Packet {
    match packet {
        Outgoing::Hello(hello) => connect(hello),
        Outgoing::Subscribe { id, to } => Packet::Subscribe(subscribe(id, to)),
        Outgoing::PubAck(id) => Packet::PubAck(PubAck::new(id, None)),
        Outgoing::PubRec(id) => Packet::PubRec(PubRec::new(id, None)),
        Outgoing::PubComp(id) => Packet::PubComp(PubComp::new(id, None)),
        Outgoing::Ping => Packet::PingReq(PingReq),
        Outgoing::Goodbye { .. } => {
            Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))
        }
    }
}

fn connect(hello: &Hello) -> Packet {
    let properties = ConnectProperties {
        // The session ends with the connection.
        session_expiry_interval: Some(0),
        receive_maximum: Some(RECEIVE_MAXIMUM),
        max_packet_size: u32::try_from(INCOMING_BYTES_MAX).ok(),
        topic_alias_max: None,
        request_response_info: None,
        request_problem_info: None,
        user_properties: Vec::new(),
        authentication_method: None,
        authentication_data: None,
    };
    let connect = Connect {
        keep_alive: hello.keep_alive,
        client_id: hello.client_id.clone(),
        clean_start: true,
        properties: Some(properties),
    };
    let login = hello.login.clone().map(|(username, password)| Login { username, password });
    let will = hello.will.as_ref().map(|will| LastWill {
        topic: Bytes::copy_from_slice(will.topic.as_bytes()),
        message: will.payload.clone(),
        qos: qos(will.qos),
        retain: will.retain,
        properties: None,
    });
    Packet::Connect(connect, will, login)
}

fn subscribe(id: u16, to: Subscription<'_>) -> Subscribe {
    let filter = Filter {
        path: to.filter.as_str().to_owned(),
        qos: qos(to.qos),
        nolocal: to.no_local,
        preserve_retain: false,
        retain_forward_rule: RetainForwardRule::OnEverySubscribe,
    };
    Subscribe { pkid: id, filters: vec![filter], properties: None }
}

/// `None` for a packet that no broker may send.
pub fn decode(mut frame: Frame) -> Result<Option<Incoming>, Error> {
    match (frame.kind(), frame.body().len()) {
        // A broker of 3.1.1 says no in its own form, which is shorter.
        (CONNACK, 2) => {
            let reason = Reason { code: frame.code(1), text: None };
            return Ok(
                (reason.code != 0).then_some(Incoming::Welcome { reason, limits: Limits::NONE })
            );
        }
        // Both may be left out; rumqttc wants them.
        (DISCONNECT, 0 | 1) => {
            let reason = Reason { code: frame.code(0), text: None };
            return Ok(Some(Incoming::Goodbye(reason)));
        }
        _ => {}
    }
    let codes = [0, 1, 2].map(|at| frame.code(at));
    let packet = Packet::read(&mut frame.bytes, None)?;
    Ok(Some(match packet {
        Packet::ConnAck(ack) => {
            let limits = ack.properties.as_ref().map_or(Limits::NONE, limits);
            let text =
                ack.properties.and_then(|said| words(said.reason_string, said.server_reference));
            Incoming::Welcome { reason: Reason { code: codes[1], text }, limits }
        }
        Packet::Publish(publish) => {
            Incoming::Publish { id: publish.pkid, message: received(publish)? }
        }
        Packet::PubAck(ack) => {
            let text = ack.properties.and_then(|properties| properties.reason_string);
            Incoming::PubAck { id: ack.pkid, reason: Reason { code: codes[2], text } }
        }
        Packet::PubRel(release) => Incoming::PubRel(release.pkid),
        Packet::SubAck(ack) => {
            let granted =
                |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
            Incoming::SubAck {
                id: ack.pkid,
                granted: ack.return_codes.iter().map(granted).collect(),
            }
        }
        Packet::PingResp(_) => Incoming::Pong,
        Packet::Disconnect(goodbye) => {
            let said = goodbye.properties;
            let text = said.and_then(|said| words(said.reason_string, said.server_reference));
            Incoming::Goodbye(Reason { code: codes[0], text })
        }
        _ => return Ok(None),
    }))
}

/// What the broker says beside a code: why, and where else to go.
fn words(reason: Option<String>, server: Option<String>) -> Option<String> {
    let all: Vec<String> = reason.into_iter().chain(server).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn limits(said: &ConnAckProperties) -> Limits {
    let bytes = said.max_packet_size.and_then(|bytes| usize::try_from(bytes).ok());
    Limits {
        receive_maximum: said.receive_max.unwrap_or(u16::MAX).max(1),
        packet_bytes: bytes.unwrap_or(PROTOCOL_BYTES_MAX).min(PROTOCOL_BYTES_MAX),
        qos: match said.max_qos {
            Some(0) => Qos::AtMostOnce,
            Some(1) => Qos::AtLeastOnce,
            _ => Qos::ExactlyOnce,
        },
        retain: said.retain_available != Some(0),
        keep_alive: said.server_keep_alive,
    }
}

fn received(publish: Publish) -> Result<Received, Error> {
    let topic = std::str::from_utf8(&publish.topic)?.to_owned();
    let properties = publish.properties.unwrap_or_default();
    let correlation = properties.correlation_data.unwrap_or_default();
    Ok(Received {
        topic,
        payload: publish.payload,
        qos: qos_of(publish.qos),
        retain: publish.retain,
        expiry: properties.message_expiry_interval,
        reply_to: properties.response_topic.map(|topic| (topic, correlation)),
    })
}

fn qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

fn qos_of(qos: QoS) -> Qos {
    match qos {
        QoS::AtMostOnce => Qos::AtMostOnce,
        QoS::AtLeastOnce => Qos::AtLeastOnce,
        QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}
