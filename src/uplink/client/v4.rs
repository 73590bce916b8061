//! MQTT 3.1.1 through rumqttc's packets.

use bytes::BytesMut;
use rumqttc::QoS;
use rumqttc::mqttbytes::Error;
use rumqttc::mqttbytes::v4::{
    Connect, LastWill, Login, Packet, PubAck, PubComp, PubRec, Subscribe, SubscribeFilter,
    SubscribeReasonCode,
};

use super::frame::Frame;
use super::packet::{Hello, Incoming, Limits, Outgoing, Reason, Received};
use crate::model::Qos;

pub fn encode(packet: Outgoing<'_>, out: &mut BytesMut) -> Result<(), Error> {
    packet_of(packet).write(out, usize::MAX).map(drop)
}

fn packet_of(packet: Outgoing<'_>) -> Packet {
    match packet {
        Outgoing::Hello(hello) => Packet::Connect(connect(hello)),
        Outgoing::Subscribe { id, to } => {
            let filter = SubscribeFilter::new(to.filter.as_str().to_owned(), qos(to.qos));
            let mut subscribe = Subscribe::new_many([filter]);
            subscribe.pkid = id;
            Packet::Subscribe(subscribe)
        }
        Outgoing::PubAck(id) => Packet::PubAck(PubAck::new(id)),
        Outgoing::PubRec(id) => Packet::PubRec(PubRec::new(id)),
        Outgoing::PubComp(id) => Packet::PubComp(PubComp::new(id)),
        Outgoing::Ping => Packet::PingReq,
        Outgoing::Goodbye { .. } => Packet::Disconnect,
    }
}

fn connect(hello: &Hello) -> Connect {
    let mut connect = Connect::new(hello.client_id.clone());
    connect.keep_alive = hello.keep_alive;
    connect.clean_session = true;
    connect.last_will = hello.will.as_ref().map(|will| LastWill {
        topic: will.topic.clone(),
        message: will.payload.clone(),
        qos: qos(will.qos),
        retain: will.retain,
    });
    connect.login = hello.login.clone().map(|(username, password)| Login { username, password });
    connect
}

/// `None` for a packet that no broker may send.
pub fn decode(mut frame: Frame) -> Result<Option<Incoming>, Error> {
    let code = frame.code(1);
    let packet = Packet::read(&mut frame.bytes, usize::MAX)?;
    Ok(Some(match packet {
        Packet::ConnAck(_) => {
            Incoming::Welcome { reason: Reason { code, text: None }, limits: Limits::NONE }
        }
        Packet::Publish(publish) => Incoming::Publish {
            id: publish.pkid,
            message: Received {
                topic: publish.topic,
                payload: publish.payload,
                qos: qos_of(publish.qos),
                retain: publish.retain,
                expiry: None,
                reply_to: None,
            },
        },
        Packet::PubAck(ack) => Incoming::PubAck { id: ack.pkid, reason: Reason::GOOD },
        Packet::PubRel(release) => Incoming::PubRel(release.pkid),
        Packet::SubAck(ack) => {
            let granted = |code: &SubscribeReasonCode| *code != SubscribeReasonCode::Failure;
            Incoming::SubAck {
                id: ack.pkid,
                granted: ack.return_codes.iter().map(granted).collect(),
            }
        }
        Packet::PingResp => Incoming::Pong,
        _ => return Ok(None),
    }))
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
