//! The properties of 5.0 packets, read byte by byte (MQTT 5.0, 2.2.2).
//!
//! Checks what the codec leaves out or answers with another reason: which property may stand in
//! which packet and how often, values that the standard forbids, texts. Gives back what travels on
//! with a message exactly as it came [MQTT-3.3.2-4, -15 to -20].

use std::ops::Range;

use super::WireError;
use super::guard::{MALFORMED, PROTOCOL_ERROR, Walk};
use crate::broker::packet::Reason;

/// Of a message's expiry, after its identifier.
const EXPIRY_BYTES: usize = 4;

/// Where properties stand in what a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Connect,
    Will,
    Publish,
    /// PUBACK, PUBREC, PUBREL, PUBCOMP.
    Acknowledgement,
    Subscribe,
    Unsubscribe,
    Disconnect,
    Auth,
}

#[derive(Debug, Clone, Copy)]
enum Value {
    Byte,
    Two,
    Four,
    Variable,
    Text,
    Binary,
    Pair,
}

const PAYLOAD_FORMAT: u8 = 0x01;
const MESSAGE_EXPIRY: u8 = 0x02;
const SUBSCRIPTION_ID: u8 = 0x0B;
const AUTH_METHOD: u8 = 0x15;
const AUTH_DATA: u8 = 0x16;
const PROBLEM_INFORMATION: u8 = 0x17;
const RESPONSE_INFORMATION: u8 = 0x19;
const SERVER_REFERENCE: u8 = 0x1C;
const RECEIVE_MAXIMUM: u8 = 0x21;
const TOPIC_ALIAS: u8 = 0x23;
const USER: u8 = 0x26;
const PACKET_MAXIMUM: u8 = 0x27;

/// The type of a property that a client may send, and where; `None` for all others.
fn definition(id: u8) -> Option<(Value, &'static [Place])> {
    use Place::{Acknowledgement, Auth, Connect, Disconnect, Publish, Subscribe, Will};
    let message: &[Place] = &[Publish, Will];
    Some(match id {
        PAYLOAD_FORMAT => (Value::Byte, message),
        MESSAGE_EXPIRY => (Value::Four, message),
        0x03 | 0x08 => (Value::Text, message),
        0x09 => (Value::Binary, message),
        SUBSCRIPTION_ID => (Value::Variable, &[Subscribe]),
        0x11 => (Value::Four, &[Connect, Disconnect]),
        AUTH_METHOD => (Value::Text, &[Connect, Auth]),
        AUTH_DATA => (Value::Binary, &[Connect, Auth]),
        PROBLEM_INFORMATION | RESPONSE_INFORMATION => (Value::Byte, &[Connect]),
        0x18 => (Value::Four, &[Will]),
        0x1F => (Value::Text, &[Acknowledgement, Disconnect, Auth]),
        RECEIVE_MAXIMUM | 0x22 => (Value::Two, &[Connect]),
        TOPIC_ALIAS => (Value::Two, &[Publish]),
        USER => (
            Value::Pair,
            &[
                Connect,
                Will,
                Publish,
                Acknowledgement,
                Subscribe,
                Place::Unsubscribe,
                Disconnect,
                Auth,
            ],
        ),
        PACKET_MAXIMUM => (Value::Four, &[Connect]),
        _ => return None,
    })
}

/// What a message has in its properties beside what the codec tells.
#[derive(Debug, Default)]
pub struct OfMessage {
    /// Those that travel on.
    pub passed: Vec<u8>,
    /// Where an expiry of 0 stands, counted from the end of the packet: the codec takes none.
    pub no_time: Option<usize>,
}

/// Checks the properties that come next, their length included.
pub fn check(place: Place, packet: &mut Walk<'_>) -> Result<OfMessage, WireError> {
    let length = packet.variable()?;
    let all = packet.take(length)?;
    let mut rest = Walk(all);
    let mut seen = 0_u64;
    let mut message = OfMessage::default();
    while !rest.0.is_empty() {
        let start = all.len() - rest.0.len();
        let id = rest.byte()?;
        let Some((value, places)) = definition(id) else { return Err(unknown(place, id)) };
        if !places.contains(&place) {
            return Err(unknown(place, id));
        }
        let bit = 1_u64 << (id & 0x3F);
        if seen & bit != 0 && id != USER {
            return Err(PROTOCOL_ERROR);
        }
        seen |= bit;
        let number = read(value, &mut rest)?;
        allowed(id, number)?;
        let range: Range<usize> = start..all.len() - rest.0.len();
        let is_message = matches!(place, Place::Publish | Place::Will);
        if id == MESSAGE_EXPIRY && number == 0 {
            message.no_time = Some(EXPIRY_BYTES + rest.0.len() + packet.0.len());
        }
        // The delay of a will is no part of its message.
        if is_message && !matches!(id, MESSAGE_EXPIRY | TOPIC_ALIAS | 0x18) {
            message.passed.extend_from_slice(all.get(range).unwrap_or_default());
        }
    }
    // (MQTT 5.0, 3.1.2.11.10)
    if seen & (1 << AUTH_DATA) != 0 && seen & (1 << AUTH_METHOD) == 0 {
        return Err(PROTOCOL_ERROR);
    }
    Ok(message)
}

/// A property that is not for this packet makes it malformed (2.2.2.2), but for the two that only
/// servers send and the standard calls a protocol error (3.3.2.3.8, 3.14.2.2.5).
fn unknown(place: Place, id: u8) -> WireError {
    match (place, id) {
        (Place::Publish, SUBSCRIPTION_ID) | (Place::Disconnect, SERVER_REFERENCE) => PROTOCOL_ERROR,
        _ => MALFORMED,
    }
}

/// Steps over a value; gives the number of those that are one.
fn read(value: Value, rest: &mut Walk<'_>) -> Result<u64, WireError> {
    match value {
        Value::Byte => return Ok(rest.byte()?.into()),
        Value::Two => return Ok(rest.two()?.into()),
        Value::Four => return Ok(u64::from(rest.two()?) << 16 | u64::from(rest.two()?)),
        Value::Variable => return Ok(u64::try_from(rest.variable()?).unwrap_or(u64::MAX)),
        Value::Binary => drop(rest.binary()?),
        Value::Text => drop(rest.text()?),
        Value::Pair => {
            rest.text()?;
            rest.text()?;
        }
    }
    Ok(0)
}

/// Values that the standard forbids.
fn allowed(id: u8, number: u64) -> Result<(), WireError> {
    match (id, number) {
        (PAYLOAD_FORMAT | PROBLEM_INFORMATION | RESPONSE_INFORMATION, 2..)
        | (SUBSCRIPTION_ID | RECEIVE_MAXIMUM | PACKET_MAXIMUM, 0) => Err(PROTOCOL_ERROR),
        (TOPIC_ALIAS, 0) => Err(WireError::Broken(Reason::TOPIC_ALIAS_INVALID)),
        _ => Ok(()),
    }
}
