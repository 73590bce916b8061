//! The codec's packets → ours, with the checks on texts and topics that the codec leaves out.

use bytes::Bytes;
use rmqtt_codec::{types, v3, v5};

use super::WireError;
use super::guard::Extra;
use crate::broker::packet::{
    Connect, Inbound, Incoming, Password, Reason, RetainHandling, Subscribe, Unsubscribe, Version,
    Will, Wish,
};
use crate::model::{Qos, TopicError, TopicFilter, TopicName};

const MALFORMED: WireError = WireError::Broken(Reason::MALFORMED_PACKET);
const PROTOCOL_ERROR: WireError = WireError::Broken(Reason::PROTOCOL_ERROR);

fn qos(qos: types::QoS) -> Qos {
    match qos {
        types::QoS::AtMostOnce => Qos::AtMostOnce,
        types::QoS::AtLeastOnce => Qos::AtLeastOnce,
        types::QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}

fn topic(text: &str) -> Result<TopicName, WireError> {
    TopicName::new(text).map_err(|error| match error {
        TopicError::Nul => MALFORMED,
        _ => WireError::Broken(Reason::TOPIC_NAME_INVALID),
    })
}

/// `None` for a text that breaks the rules for wildcards, which the acknowledgement can say.
fn filter(text: &str) -> Result<Option<TopicFilter>, WireError> {
    match TopicFilter::new(text) {
        Ok(filter) => Ok(Some(filter)),
        Err(TopicError::Nul) => Err(MALFORMED),
        Err(TopicError::Empty) => Err(PROTOCOL_ERROR),
        Err(_) => Ok(None),
    }
}

/// A response topic is a topic name without wildcards [MQTT-3.3.2-14].
fn response_topic(text: &str) -> Result<TopicName, WireError> {
    TopicName::new(text).map_err(|_| PROTOCOL_ERROR)
}

pub fn connect_v3((packet, _): (v3::Packet, u32)) -> Result<Connect, WireError> {
    let v3::Packet::Connect(c) = packet else { return Err(PROTOCOL_ERROR) };
    let will = match c.last_will {
        None => None,
        Some(will) => Some(Will {
            topic: topic(&will.topic)?,
            payload: Bytes::copy_from_slice(&will.message),
            qos: qos(will.qos),
            retain: will.retain,
            delay: 0,
            expiry: None,
            properties: Bytes::new(),
        }),
    };
    let username = c.username.as_deref().map(str::to_owned);
    let password = c.password.as_ref().map(|bytes| Password(Bytes::copy_from_slice(bytes)));
    Ok(Connect {
        version: Version::V311,
        client_id: c.client_id.to_string(),
        clean_start: c.clean_session,
        keep_alive: c.keep_alive,
        session_expiry: 0,
        receive_maximum: u16::MAX,
        packet_max: u32::MAX,
        problem_info: false,
        alias_max: 0,
        enhanced_auth: false,
        username,
        password,
        will,
    })
}

/// `extra`: what the will has.
pub fn connect_v5((packet, _): (v5::Packet, u32), extra: Extra) -> Result<Connect, WireError> {
    let v5::Packet::Connect(c) = packet else { return Err(PROTOCOL_ERROR) };
    let username = c.username.as_deref().map(str::to_owned);
    let password = c.password.as_ref().map(|bytes| Password(Bytes::copy_from_slice(bytes)));
    let will = match c.last_will {
        None => None,
        Some(will) => {
            will.response_topic.as_deref().map(response_topic).transpose()?;
            Some(Will {
                topic: topic(&will.topic)?,
                payload: Bytes::copy_from_slice(&will.message),
                qos: qos(will.qos),
                retain: will.retain,
                delay: will.will_delay_interval_sec.unwrap_or(0),
                expiry: extra.expiry(will.message_expiry_interval),
                properties: passed(extra.passed),
            })
        }
    };
    Ok(Connect {
        version: Version::V5,
        client_id: c.client_id.to_string(),
        clean_start: c.clean_start,
        keep_alive: c.keep_alive,
        session_expiry: c.session_expiry_interval_secs,
        receive_maximum: c.receive_max.map_or(u16::MAX, Into::into),
        packet_max: c.max_packet_size.map_or(u32::MAX, Into::into),
        problem_info: c.request_problem_info,
        alias_max: c.topic_alias_max,
        enhanced_auth: c.auth_method.is_some(),
        username,
        password,
        will,
    })
}

pub fn v3(packet: v3::Packet) -> Result<Incoming, WireError> {
    Ok(match packet {
        v3::Packet::Publish(publish) => Incoming::Publish(inbound(&publish, Extra::default())?),
        v3::Packet::PublishAck { packet_id } => Incoming::PubAck { id: packet_id.get() },
        v3::Packet::PublishReceived { packet_id } => {
            Incoming::PubRec { id: packet_id.get(), refused: false }
        }
        v3::Packet::PublishRelease { packet_id } => Incoming::PubRel { id: packet_id.get() },
        v3::Packet::PublishComplete { packet_id } => Incoming::PubComp { id: packet_id.get() },
        v3::Packet::Subscribe { packet_id, topic_filters } => {
            let wish = |(text, wanted): (_, types::QoS)| -> Result<Wish, WireError> {
                Ok(Wish {
                    filter: filter(AsRef::<str>::as_ref(&text))?,
                    qos: qos(wanted),
                    no_local: false,
                    retain_as_published: false,
                    retain_handling: RetainHandling::Send,
                })
            };
            Incoming::Subscribe(Box::new(Subscribe {
                id: packet_id.get(),
                subscription_id: 0,
                wishes: topic_filters.into_iter().map(wish).collect::<Result<_, _>>()?,
            }))
        }
        v3::Packet::Unsubscribe { packet_id, topic_filters } => {
            Incoming::Unsubscribe(Box::new(Unsubscribe {
                id: packet_id.get(),
                filters: topic_filters.iter().map(|t| filter(t)).collect::<Result<_, _>>()?,
            }))
        }
        v3::Packet::PingRequest => Incoming::Ping,
        v3::Packet::Disconnect => Incoming::Disconnect { with_will: false, session_expiry: None },
        _ => Incoming::Unexpected,
    })
}

/// `extra`: what a message has.
pub fn v5(packet: v5::Packet, extra: Extra) -> Result<Incoming, WireError> {
    Ok(match packet {
        v5::Packet::Publish(publish) => Incoming::Publish(inbound(&publish, extra)?),
        v5::Packet::PublishAck(ack) => Incoming::PubAck { id: ack.packet_id.get() },
        v5::Packet::PublishReceived(ack) => Incoming::PubRec {
            id: ack.packet_id.get(),
            refused: Reason(u8::from(ack.reason_code)).is_refusal(),
        },
        v5::Packet::PublishRelease(ack) => Incoming::PubRel { id: ack.packet_id.get() },
        v5::Packet::PublishComplete(ack) => Incoming::PubComp { id: ack.packet_id.get() },
        v5::Packet::Subscribe(s) => {
            let wish = |(text, options): (_, v5::SubscriptionOptions)| -> Result<Wish, WireError> {
                Ok(Wish {
                    filter: filter(AsRef::<str>::as_ref(&text))?,
                    qos: qos(options.qos),
                    no_local: options.no_local,
                    retain_as_published: options.retain_as_published,
                    retain_handling: match options.retain_handling {
                        v5::RetainHandling::AtSubscribe => RetainHandling::Send,
                        v5::RetainHandling::AtSubscribeNew => RetainHandling::SendIfNew,
                        v5::RetainHandling::NoAtSubscribe => RetainHandling::DontSend,
                    },
                })
            };
            Incoming::Subscribe(Box::new(Subscribe {
                id: s.packet_id.get(),
                subscription_id: s.id.map_or(0, Into::into),
                wishes: s.topic_filters.into_iter().map(wish).collect::<Result<_, _>>()?,
            }))
        }
        v5::Packet::Unsubscribe(u) => Incoming::Unsubscribe(Box::new(Unsubscribe {
            id: u.packet_id.get(),
            filters: u.topic_filters.iter().map(|t| filter(t)).collect::<Result<_, _>>()?,
        })),
        v5::Packet::PingRequest => Incoming::Ping,
        v5::Packet::Disconnect(d) => Incoming::Disconnect {
            with_will: u8::from(d.reason_code) != 0,
            session_expiry: d.session_expiry_interval_secs,
        },
        _ => Incoming::Unexpected,
    })
}

fn inbound(p: &types::Publish, extra: Extra) -> Result<Inbound, WireError> {
    let properties_v5 = p.properties.as_ref();
    let alias = properties_v5.and_then(|p| p.topic_alias).map(Into::into);
    // Without a topic there must be an alias (MQTT 5.0, 3.3.2.1).
    let named = match &*p.topic {
        "" if alias.is_some() => None,
        "" => return Err(PROTOCOL_ERROR),
        text => Some(topic(text)?),
    };
    let reply_topic = properties_v5.and_then(|p| p.response_topic.as_deref());
    let reply_topic = reply_topic.map(response_topic).transpose()?;
    let correlation = properties_v5.and_then(|p| p.correlation_data.as_deref()).unwrap_or_default();
    let reply_to = |topic| Box::new((topic, Bytes::copy_from_slice(correlation)));
    Ok(Inbound {
        topic: named,
        alias,
        id: p.packet_id.map_or(0, Into::into),
        qos: qos(p.qos),
        retain: p.retain,
        payload: Bytes::copy_from_slice(&p.payload),
        expiry: extra.expiry(properties_v5.and_then(|p| p.message_expiry_interval)),
        properties: passed(extra.passed),
        reply_to: reply_topic.map(reply_to),
    })
}

/// No larger than what it counts for, as long as it is kept.
fn passed(properties: Vec<u8>) -> Bytes {
    properties.into_boxed_slice().into()
}
