//! Packets to clients, written straight as bytes.
//!
//! Ours rather than the codec's for two reasons: a PUBLISH is encoded once per (version, QoS,
//! flags) with a hole for the packet id, and no length a client announced can reach an arithmetic
//! overflow. Nothing here fails: fields longer than the format allows can't be built upstream
//! (they came off the wire or were checked by [`super::Broker::publish`]), and are cut if they do.

use bytes::BufMut;

use super::message::Message;
use super::packet::{Reason, Version};
use crate::model::Qos;

/// Property identifiers (MQTT 5.0, 2.2.2.2) that this broker writes.
pub mod property {
    pub const MESSAGE_EXPIRY: u8 = 0x02;
    pub const CORRELATION_DATA: u8 = 0x09;
    pub const SUBSCRIPTION_ID: u8 = 0x0B;
    pub const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub const REASON_STRING: u8 = 0x1F;
    pub const RECEIVE_MAXIMUM: u8 = 0x21;
    pub const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub const TOPIC_ALIAS: u8 = 0x23;
    pub const USER: u8 = 0x26;
    pub const MAXIMUM_PACKET_SIZE: u8 = 0x27;
}

/// A variable byte integer (MQTT 5.0, 1.5.5).
fn variable(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let digit = u8::try_from(value & 0x7F).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            return out.put_u8(digit);
        }
        out.put_u8(digit | 0x80);
    }
}

fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.put_u16(length);
    out.put_slice(bytes.get(..usize::from(length)).unwrap_or_default());
}

fn text(out: &mut Vec<u8>, text: &str) {
    binary(out, text.as_bytes());
}

pub fn binary_property(out: &mut Vec<u8>, id: u8, bytes: &[u8]) {
    out.put_u8(id);
    binary(out, bytes);
}

fn text_property(out: &mut Vec<u8>, id: u8, text: &str) {
    binary_property(out, id, text.as_bytes());
}

pub fn user_property(out: &mut Vec<u8>, name: &str, value: &str) {
    text_property(out, property::USER, name);
    text(out, value);
}

/// A whole packet from its first byte and its body.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 5);
    out.put_u8(first);
    variable(&mut out, body.len());
    out.put_slice(body);
    out
}

/// What a CONNACK tells a 5.0 client about this broker.
pub struct Offer<'a> {
    pub receive_maximum: u16,
    pub packet_max: u32,
    pub alias_max: u16,
    /// The keep-alive in seconds, if the broker chose it.
    pub keep_alive: Option<u16>,
    /// The client id, if the broker chose it.
    pub assigned: Option<&'a str>,
}

pub fn connack_accepted(version: Version, session_present: bool, offer: &Offer<'_>) -> Vec<u8> {
    let mut body = vec![u8::from(session_present), Reason::SUCCESS.0];
    if version.is_v5() {
        let mut properties = Vec::with_capacity(48);
        properties.put_u8(property::RECEIVE_MAXIMUM);
        properties.put_u16(offer.receive_maximum);
        properties.put_u8(property::MAXIMUM_PACKET_SIZE);
        properties.put_u32(offer.packet_max);
        properties.put_u8(property::TOPIC_ALIAS_MAXIMUM);
        properties.put_u16(offer.alias_max);
        if let Some(seconds) = offer.keep_alive {
            properties.put_u8(property::SERVER_KEEP_ALIVE);
            properties.put_u16(seconds);
        }
        if let Some(id) = offer.assigned {
            text_property(&mut properties, property::ASSIGNED_CLIENT_ID, id);
        }
        variable(&mut body, properties.len());
        body.put_slice(&properties);
    }
    packet(0x20, &body)
}

/// The nearest return code of 3.1.1 (3.2.2.3) to a reason code.
fn return_code(reason: Reason) -> u8 {
    match reason {
        Reason::UNSUPPORTED_VERSION => 1,
        Reason::CLIENT_ID_INVALID => 2,
        Reason::BAD_USER_NAME_OR_PASSWORD => 4,
        Reason::NOT_AUTHORIZED => 5,
        _ => 3,
    }
}

/// A reason string for a 5.0 client goes along if it wants one and the whole packet then stays
/// within its limit [MQTT-3.2.2-19].
pub fn connack_refused(version: Version, reason: Reason, room: Room) -> Vec<u8> {
    if !version.is_v5() {
        return packet(0x20, &[0, return_code(reason)]);
    }
    with_why(0x20, &[0, reason.0], reason.why(), &[], room)
}

/// What a client takes besides the reason code itself.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Whether it wants reason strings.
    pub problem_info: bool,
    /// Its maximum packet size.
    pub packet_max: usize,
}

impl Room {
    /// Of a client that was not understood.
    pub const NONE: Self = Self { problem_info: false, packet_max: usize::MAX };
}

/// A packet with a reason string between `before` and `after`, or with no properties where there is
/// no room for it.
fn with_why(first: u8, before: &[u8], why: Option<&str>, after: &[u8], room: Room) -> Vec<u8> {
    let of = |properties: &[u8]| {
        let mut body = before.to_vec();
        variable(&mut body, properties.len());
        body.put_slice(properties);
        body.put_slice(after);
        packet(first, &body)
    };
    if let Some(why) = why.filter(|_| room.problem_info) {
        let mut properties = Vec::with_capacity(64);
        text_property(&mut properties, property::REASON_STRING, why);
        let whole = of(&properties);
        if whole.len() <= room.packet_max {
            return whole;
        }
    }
    of(&[])
}

/// The packets of the exchanges around a PUBLISH of QoS 1 and 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// PUBACK
    Acknowledge,
    /// PUBREC
    Receive,
    /// PUBREL
    Release,
    /// PUBCOMP
    Complete,
}

impl Ack {
    fn first_byte(self) -> u8 {
        match self {
            Self::Acknowledge => 0x40,
            Self::Receive => 0x50,
            Self::Release => 0x62,
            Self::Complete => 0x70,
        }
    }

    /// The packet that says that all went well, the same in both versions.
    pub fn success(self, id: u16) -> [u8; 4] {
        let [high, low] = id.to_be_bytes();
        [self.first_byte(), 2, high, low]
    }
}

/// An acknowledgement with a reason, for 5.0 clients; `why` goes along if there is room
/// [MQTT-3.4.2-2].
pub fn ack(ack: Ack, id: u16, reason: Reason, why: Option<&str>, room: Room) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    let whole = with_why(ack.first_byte(), &[high, low, reason.0], why, &[], room);
    // Without properties their length may be left out.
    if whole.len() == 6 { vec![ack.first_byte(), 3, high, low, reason.0] } else { whole }
}

/// SUBACK: a refused filter is 0x80 for an older client. The reason string is that of the first
/// filter that is refused.
pub fn suback(version: Version, id: u16, reasons: &[Reason], room: Room) -> Vec<u8> {
    if version.is_v5() {
        return answer_to_filters(0x90, id, reasons, room);
    }
    let mut body = id.to_be_bytes().to_vec();
    body.extend(reasons.iter().map(|r| if r.is_refusal() { 0x80 } else { r.0 }));
    packet(0x90, &body)
}

pub fn unsuback(version: Version, id: u16, reasons: &[Reason], room: Room) -> Vec<u8> {
    if version.is_v5() {
        return answer_to_filters(0xB0, id, reasons, room);
    }
    packet(0xB0, &id.to_be_bytes())
}

fn answer_to_filters(first: u8, id: u16, reasons: &[Reason], room: Room) -> Vec<u8> {
    let codes: Vec<u8> = reasons.iter().map(|reason| reason.0).collect();
    let why = reasons.iter().find(|reason| reason.is_refusal()).and_then(|reason| reason.why());
    with_why(first, &id.to_be_bytes(), why, &codes, room)
}

pub const PINGRESP: [u8; 2] = [0xD0, 0];

/// DISCONNECT, which only 5.0 clients understand from a server.
pub fn disconnect(reason: Reason, room: Room) -> Vec<u8> {
    let whole = with_why(0xE0, &[reason.0], reason.why(), &[], room);
    // Without properties their length may be left out.
    if whole.len() == 4 { vec![0xE0, 1, reason.0] } else { whole }
}

/// How one PUBLISH differs from another of the same message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form<'a> {
    pub version: Version,
    pub qos: Qos,
    pub retain: bool,
    pub dup: bool,
    /// Subscription identifiers, for 5.0 clients.
    pub ids: &'a [u32],
    /// Seconds the message still stays valid, for 5.0 clients.
    pub expiry: Option<u32>,
    /// For 5.0 clients that take them.
    pub alias: Option<Alias>,
}

/// A topic alias, alone if the client knows it, with the topic if not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alias {
    pub number: u16,
    pub is_known: bool,
}

/// Writes everything of a PUBLISH but its packet id and its payload into `head` (cleared first);
/// returns where the packet id belongs.
pub fn publish_head(head: &mut Vec<u8>, message: &Message, form: Form<'_>) -> usize {
    head.clear();
    let mut properties = Vec::new();
    let mut properties_length = 0;
    let mut passed: &[u8] = &[];
    if form.version.is_v5() {
        if let Some(seconds) = form.expiry {
            properties.put_u8(property::MESSAGE_EXPIRY);
            properties.put_u32(seconds);
        }
        if let Some(alias) = form.alias {
            properties.put_u8(property::TOPIC_ALIAS);
            properties.put_u16(alias.number);
        }
        for id in form.ids {
            properties.put_u8(property::SUBSCRIPTION_ID);
            variable(&mut properties, usize::try_from(*id).unwrap_or(0));
        }
        passed = &message.properties;
        properties_length = properties.len() + passed.len();
    }
    let id_length = if form.qos == Qos::AtMostOnce { 0 } else { 2 };
    let is_known = form.alias.is_some_and(|alias| alias.is_known);
    let topic = if is_known { "" } else { message.topic.as_str() };
    let mut remaining = 2 + topic.len() + id_length + message.payload.len();
    if form.version.is_v5() {
        remaining += properties_length + variable_length(properties_length);
    }
    let flags = (form.qos.level() << 1) | u8::from(form.retain) | (u8::from(form.dup) << 3);
    head.put_u8(0x30 | flags);
    variable(head, remaining);
    text(head, topic);
    let id_at = head.len();
    if form.version.is_v5() {
        variable(head, properties_length);
        head.put_slice(&properties);
        head.put_slice(passed);
    }
    id_at
}

/// Digits a variable byte integer takes.
fn variable_length(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}
