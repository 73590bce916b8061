//! Checks of the raw frame that the codec leaves out or answers with another reason, each with its
//! place in the standard (of MQTT 5.0 where nothing else is said).
//!
//! Looks at bytes only; everything here returns `Broken` rather than index out of bounds. Control
//! characters and non-characters in texts are let through, as both standards allow.

use bytes::BytesMut;

use super::WireError;
use super::properties::{self, OfMessage, Place};
use crate::broker::packet::{Reason, Version};

/// One complete packet at the front of the read buffer.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    pub first: u8,
    /// Where the variable header starts.
    pub body: usize,
    /// Fixed header and remaining length together.
    pub total: usize,
    /// Whether the remaining length takes as few bytes as it can.
    is_minimal: bool,
}

pub const MALFORMED: WireError = WireError::Broken(Reason::MALFORMED_PACKET);
pub const PROTOCOL_ERROR: WireError = WireError::Broken(Reason::PROTOCOL_ERROR);

const CONNECT: u8 = 1;
const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const PUBREC: u8 = 5;
const PUBREL: u8 = 6;
const PUBCOMP: u8 = 7;
const SUBSCRIBE: u8 = 8;
const SUBACK: u8 = 9;
const UNSUBSCRIBE: u8 = 10;
const UNSUBACK: u8 = 11;
const PINGREQ: u8 = 12;
const PINGRESP: u8 = 13;
const DISCONNECT: u8 = 14;
const AUTH: u8 = 15;

const FLAGS: u8 = 0x0F;
const DUP: u8 = 0x08;
const QOS: u8 = 0x06;
const NO_LOCAL: u8 = 0x04;

/// Reason codes a client may send in PUBACK and PUBREC [MQTT-3.4.2-1, 3.5.2-1].
const ACKNOWLEDGEMENT_CODES: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
/// In PUBREL and PUBCOMP [MQTT-3.6.2-1, 3.7.2-1].
const RELEASE_CODES: &[u8] = &[0x00, 0x92];
/// In DISCONNECT [MQTT-3.14.2-1].
const DISCONNECT_CODES: &[u8] =
    &[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
/// In AUTH [MQTT-3.15.2-1].
const AUTH_CODES: &[u8] = &[0x18, 0x19];

const RESERVED: u8 = 0x01;
const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_DETAILS: u8 = 0x38;
const PASSWORD: u8 = 0x40;
const USERNAME: u8 = 0x80;

/// Finds the packet at the front of `buffer`, if it is all there. A packet above `packet_max` is
/// refused as soon as its header says so [MQTT-3.1.2-24].
pub fn frame(buffer: &[u8], packet_max: usize) -> Result<Option<Frame>, WireError> {
    let Some(&first) = buffer.first() else { return Ok(None) };
    let after = buffer.get(1..).unwrap_or_default();
    let Some((length, digits)) = variable_length(after)? else { return Ok(None) };
    let is_minimal = is_minimal(after.get(..digits).unwrap_or_default());
    let body = 1 + digits;
    let total = body + length;
    if total > packet_max {
        return Err(WireError::Broken(Reason::PACKET_TOO_LARGE));
    }
    Ok((buffer.len() >= total).then_some(Frame { first, body, total, is_minimal }))
}

/// A variable byte integer (MQTT 5.0, 1.5.5) and its length; `None` when it isn't all there.
fn variable_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, WireError> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((value, at + 1)));
        }
    }
    if bytes.len() >= 4 { Err(MALFORMED) } else { Ok(None) }
}

fn is_minimal(digits: &[u8]) -> bool {
    digits.len() == 1 || digits.last() != Some(&0)
}

/// What a CONNECT says about itself before the codec reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol {
    pub version: Version,
    /// Where the connect flags are in the variable header.
    flags_at: usize,
}

/// The protocol that a first packet asks for. It must be a CONNECT [MQTT-3.1.0-1].
pub fn protocol(frame: Frame, buffer: &[u8]) -> Result<Protocol, WireError> {
    let kind = frame.first >> 4;
    let is_plain = frame.first & FLAGS == 0;
    let of = |version| Ok(Protocol { version, flags_at: 7 });
    match buffer.get(frame.body..frame.total).unwrap_or_default() {
        _ if kind != CONNECT => Err(WireError::NotMqtt),
        [0, 4, b'M', b'Q', b'T', b'T', level, ..] if is_plain => match *level {
            4 => of(Version::V311),
            5 => of(Version::V5),
            // [MQTT-3.1.2-2]: an old or a bridge's level gets the old answer.
            0..=3 | 0x80.. => Err(WireError::UnsupportedVersion(Version::V311)),
            _ => Err(WireError::UnsupportedVersion(Version::V5)),
        },
        [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', level, ..] => match *level {
            3 => Ok(Protocol { version: Version::V31, flags_at: 9 }),
            _ => Err(WireError::UnsupportedVersion(Version::V31)),
        },
        _ => Err(WireError::NotMqtt),
    }
}

/// What the codec does not tell of a CONNECT.
pub struct Connect {
    pub clean_start: bool,
    /// What its will has.
    pub will: Extra,
}

/// What the codec does not tell of a message.
#[derive(Debug, Default)]
pub struct Extra {
    /// Properties that travel on.
    pub passed: Vec<u8>,
    /// Its expiry is 0.
    pub has_no_time: bool,
}

impl Extra {
    /// Puts another expiry where the codec would refuse 0.
    fn of(message: OfMessage, packet: &mut [u8]) -> Self {
        let OfMessage { passed, no_time } = message;
        let start = no_time.and_then(|from_end| packet.len().checked_sub(from_end));
        let field = start.and_then(|at| packet.get_mut(at..)?.first_chunk_mut::<4>());
        let has_no_time = field.is_some();
        if let Some(field) = field {
            *field = 1_u32.to_be_bytes();
        }
        Self { passed, has_no_time }
    }

    /// The expiry of the message in seconds, where the codec read `seconds`.
    pub fn expiry(&self, seconds: Option<impl Into<u32>>) -> Option<u32> {
        if self.has_no_time { Some(0) } else { seconds.map(Into::into) }
    }
}

/// Checks a CONNECT up to its last byte.
///
/// Sets the clean start flag in the buffer, because the codec refuses an empty client id without
/// it, which MQTT 5.0 allows and 3.1.1 answers with a return code.
pub fn connect(
    frame: Frame,
    protocol: Protocol,
    buffer: &mut BytesMut,
) -> Result<Connect, WireError> {
    let is_v5 = protocol.version.is_v5();
    if is_v5 && !frame.is_minimal {
        return Err(MALFORMED);
    }
    let packet = buffer.get_mut(..frame.total).ok_or(MALFORMED)?;
    if let Some(byte) = packet.first_mut() {
        *byte = first_byte(frame.first, protocol.version);
    }
    let body = packet.get_mut(frame.body..).ok_or(MALFORMED)?;
    let flags_place = body.get_mut(protocol.flags_at).ok_or(MALFORMED)?;
    let flags = *flags_place;
    *flags_place = (flags & !RESERVED) | CLEAN_START;
    // Reserved bit [MQTT-3.1.2-3], which 3.1 leaves open; will details without a will
    // [MQTT-3.1.2-11, -13].
    let is_reserved_set = flags & RESERVED != 0 && protocol.version != Version::V31;
    if is_reserved_set || (flags & WILL == 0 && flags & WILL_DETAILS != 0) {
        return Err(MALFORMED);
    }
    // [MQTT-3.1.2-22] of 3.1.1; 5.0 allows a password alone.
    if !is_v5 && flags & PASSWORD != 0 && flags & USERNAME == 0 {
        return Err(MALFORMED);
    }
    let mut rest = Walk(body.get(protocol.flags_at + 3..).ok_or(MALFORMED)?);
    if is_v5 {
        properties::check(Place::Connect, &mut rest)?;
    }
    rest.text()?;
    let mut will = OfMessage::default();
    if flags & WILL != 0 {
        if is_v5 {
            will = properties::check(Place::Will, &mut rest)?;
        }
        rest.text()?;
        rest.binary()?;
    }
    if flags & USERNAME != 0 {
        rest.text()?;
    }
    if flags & PASSWORD != 0 {
        rest.binary()?;
    }
    rest.end()?;
    let will = Extra::of(will, packet);
    Ok(Connect { clean_start: flags & CLEAN_START != 0, will })
}

/// Checks a packet after the CONNECT.
pub fn packet(frame: Frame, buffer: &mut BytesMut, version: Version) -> Result<Extra, WireError> {
    let packet = buffer.get_mut(..frame.total).ok_or(MALFORMED)?;
    let is_v5 = version.is_v5();
    let first = first_byte(frame.first, version);
    if let Some(byte) = packet.first_mut() {
        *byte = first;
    }
    let body = packet.get(frame.body..).ok_or(MALFORMED)?;
    // [MQTT-1.5.5-1]; 3.1.1 says nothing of the kind.
    if is_v5 && !frame.is_minimal {
        return Err(MALFORMED);
    }
    flags(first, version)?;
    let mut rest = Walk(body);
    match first >> 4 {
        PUBLISH => {
            rest.text()?;
            if first & QOS != 0 {
                rest.id()?;
            }
            if is_v5 {
                let message = properties::check(Place::Publish, &mut rest)?;
                return Ok(Extra::of(message, packet));
            }
        }
        kind @ PUBACK..=PUBCOMP => {
            rest.id()?;
            if is_v5 {
                let codes = if kind < PUBREL { ACKNOWLEDGEMENT_CODES } else { RELEASE_CODES };
                ending(Place::Acknowledgement, codes, &mut rest)?;
            }
            rest.end()?;
        }
        SUBSCRIBE => {
            rest.id()?;
            if is_v5 {
                properties::check(Place::Subscribe, &mut rest)?;
            }
            subscriptions(version, &mut rest)?;
        }
        UNSUBSCRIBE => {
            rest.id()?;
            if is_v5 {
                properties::check(Place::Unsubscribe, &mut rest)?;
            }
            // [MQTT-3.10.3-2]
            if rest.0.is_empty() {
                return Err(PROTOCOL_ERROR);
            }
            while !rest.0.is_empty() {
                rest.text()?;
            }
        }
        DISCONNECT | AUTH if is_v5 => {
            let (place, codes) = match first >> 4 {
                AUTH => (Place::Auth, AUTH_CODES),
                _ => (Place::Disconnect, DISCONNECT_CODES),
            };
            ending(place, codes, &mut rest)?;
            rest.end()?;
        }
        _ => rest.end()?,
    }
    Ok(Extra::default())
}

/// The first byte as 3.1.1 would have it: in 3.1 what is sent at QoS 1 may be sent again with DUP,
/// and PUBREL, SUBSCRIBE and UNSUBSCRIBE are; all else but PUBLISH does not use its flags.
fn first_byte(first: u8, version: Version) -> u8 {
    match (version, first >> 4) {
        (Version::V31, PUBREL | SUBSCRIBE | UNSUBSCRIBE) => first & !DUP,
        (Version::V31, CONNECT | PUBACK | PUBREC | PUBCOMP | PINGREQ | DISCONNECT) => {
            first & !FLAGS
        }
        _ => first,
    }
}

/// The first byte of what a client may send after its CONNECT [MQTT-2.1.3-1].
fn flags(first: u8, version: Version) -> Result<(), WireError> {
    match (first >> 4, first & 0x0F) {
        // QoS 3 [MQTT-3.3.1-4], or a duplicate of QoS 0 [MQTT-3.3.1-2].
        (PUBLISH, flags) if flags & QOS == QOS || (flags & QOS == 0 && flags & DUP != 0) => {
            Err(MALFORMED)
        }
        (AUTH, _) if !version.is_v5() => Err(MALFORMED),
        (PUBLISH, _)
        | (PUBREL | SUBSCRIBE | UNSUBSCRIBE, 0x02)
        | (PUBACK | PUBREC | PUBCOMP | PINGREQ | DISCONNECT | AUTH, 0) => Ok(()),
        // A second CONNECT [MQTT-3.1.0-2]; the others go the other way.
        (CONNECT | CONNACK | SUBACK | UNSUBACK | PINGRESP, 0) => Err(PROTOCOL_ERROR),
        _ => Err(MALFORMED),
    }
}

/// Reason code and properties, which both may be missing at the end of a 5.0 packet.
fn ending(place: Place, codes: &[u8], rest: &mut Walk<'_>) -> Result<(), WireError> {
    if rest.0.is_empty() {
        return Ok(());
    }
    if !codes.contains(&rest.byte()?) {
        return Err(MALFORMED);
    }
    if !rest.0.is_empty() {
        properties::check(place, rest)?;
    }
    Ok(())
}

/// The filters and options of a SUBSCRIBE.
fn subscriptions(version: Version, rest: &mut Walk<'_>) -> Result<(), WireError> {
    // [MQTT-3.8.3-2]
    if rest.0.is_empty() {
        return Err(PROTOCOL_ERROR);
    }
    while !rest.0.is_empty() {
        let filter = rest.text()?;
        let options = rest.byte()?;
        let reserved = if version == Version::V5 { 0xC0 } else { 0xFC };
        // [MQTT-3.8.3-5], [MQTT-3.8.3-4] of 3.1.1
        if options & reserved != 0 {
            return Err(MALFORMED);
        }
        let is_shared = filter.starts_with("$share/");
        // QoS 3, retain handling 3 (3.8.3.1), no local on a shared subscription [MQTT-3.8.3-4].
        if options & 0x03 == 0x03
            || options & 0x30 == 0x30
            || (is_shared && options & NO_LOCAL != 0)
        {
            return Err(PROTOCOL_ERROR);
        }
    }
    Ok(())
}

/// Steps over the fields of a packet.
pub struct Walk<'a>(pub &'a [u8]);

impl<'a> Walk<'a> {
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(MALFORMED)?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn byte(&mut self) -> Result<u8, WireError> {
        let (first, rest) = self.0.split_first().ok_or(MALFORMED)?;
        self.0 = rest;
        Ok(*first)
    }

    pub fn two(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// A packet id, which is never 0 [MQTT-2.2.1-3].
    fn id(&mut self) -> Result<(), WireError> {
        if self.two()? == 0 { Err(PROTOCOL_ERROR) } else { Ok(()) }
    }

    /// Binary data with its two bytes of length.
    pub fn binary(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.two()?;
        self.take(length.into())
    }

    /// A text: UTF-8 without U+0000 [MQTT-1.5.4-1, -2].
    pub fn text(&mut self) -> Result<&'a str, WireError> {
        let text = std::str::from_utf8(self.binary()?).map_err(|_| MALFORMED)?;
        if text.contains('\0') { Err(MALFORMED) } else { Ok(text) }
    }

    /// A variable byte integer in the fewest bytes [MQTT-1.5.5-1].
    pub fn variable(&mut self) -> Result<usize, WireError> {
        let (value, digits) = variable_length(self.0)?.ok_or(MALFORMED)?;
        let digits = self.take(digits)?;
        if is_minimal(digits) { Ok(value) } else { Err(MALFORMED) }
    }

    fn end(&self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(MALFORMED) }
    }
}
