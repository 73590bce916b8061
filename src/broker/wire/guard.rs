//! Checks of the raw frame that the codec leaves out, each with its place in the standard.
//!
//! Looks at bytes only; everything here returns `Broken` rather than index out of bounds.

use bytes::BytesMut;

use super::WireError;
use crate::broker::packet::{Reason, Version};

/// One complete packet at the front of the read buffer.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    pub first: u8,
    /// Where the variable header starts.
    pub body: usize,
    /// Fixed header and remaining length together.
    pub total: usize,
}

const MALFORMED: WireError = WireError::Broken(Reason::MALFORMED_PACKET);
const PROTOCOL_ERROR: WireError = WireError::Broken(Reason::PROTOCOL_ERROR);

const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_DETAILS: u8 = 0x38;
const PASSWORD: u8 = 0x40;
const USERNAME: u8 = 0x80;

/// Finds the packet at the front of `buffer`, if it is all there. A packet above `packet_max` is
/// refused as soon as its header says so [MQTT-3.1.2-24].
pub fn frame(buffer: &[u8], packet_max: usize) -> Result<Option<Frame>, WireError> {
    let Some(&first) = buffer.first() else { return Ok(None) };
    let Some((length, digits)) = variable_length(buffer.get(1..).unwrap_or_default())? else {
        return Ok(None);
    };
    let body = 1 + digits;
    let total = body + length;
    if total > packet_max {
        return Err(WireError::Broken(Reason::PACKET_TOO_LARGE));
    }
    Ok((buffer.len() >= total).then_some(Frame { first, body, total }))
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

/// The version that a first packet asks for, and where its connect flags are. It must be a CONNECT
/// [MQTT-3.1.0-1].
pub fn version(frame: Frame, buffer: &[u8]) -> Result<(Version, usize), WireError> {
    if frame.first != 0x10 {
        return Err(WireError::NotMqtt);
    }
    match buffer.get(frame.body..frame.total).unwrap_or_default() {
        [0, 4, b'M', b'Q', b'T', b'T', level, ..] => match *level {
            4 => Ok((Version::V3, 7)),
            5 => Ok((Version::V5, 7)),
            // [MQTT-3.1.2-2]: an old or a bridge's level gets the old answer.
            0..=3 | 0x80.. => Err(WireError::UnsupportedVersion(Version::V3)),
            _ => Err(WireError::UnsupportedVersion(Version::V5)),
        },
        [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3, ..] => Ok((Version::V3, 9)),
        _ => Err(WireError::NotMqtt),
    }
}

/// Checks a CONNECT up to its last byte and returns its clean start flag.
///
/// Sets the flag in the buffer, because the codec refuses an empty client id without it, which
/// MQTT 5.0 allows and 3.1.1 answers with a return code.
pub fn connect(
    frame: Frame,
    (version, flags_at): (Version, usize),
    buffer: &mut BytesMut,
) -> Result<bool, WireError> {
    let packet = buffer.get_mut(..frame.total).ok_or(MALFORMED)?;
    let body = packet.get_mut(frame.body..).ok_or(MALFORMED)?;
    let flags_place = body.get_mut(flags_at).ok_or(MALFORMED)?;
    let flags = *flags_place;
    *flags_place = flags | CLEAN_START;
    // Reserved bit [MQTT-3.1.2-3], will details without a will [MQTT-3.1.2-11, -13].
    if flags & 0x01 != 0 || (flags & WILL == 0 && flags & WILL_DETAILS != 0) {
        return Err(MALFORMED);
    }
    // [MQTT-3.1.2-22] of 3.1.1; 5.0 allows a password alone.
    if version == Version::V3 && flags & PASSWORD != 0 && flags & USERNAME == 0 {
        return Err(MALFORMED);
    }
    let mut rest = Walk(body.get(flags_at + 3..).ok_or(MALFORMED)?);
    if version == Version::V5 {
        rest.properties()?;
    }
    rest.string()?;
    if flags & WILL != 0 {
        if version == Version::V5 {
            rest.properties()?;
        }
        rest.string()?;
        rest.string()?;
    }
    for _ in 0..(flags & (USERNAME | PASSWORD)).count_ones() {
        rest.string()?;
    }
    if !rest.0.is_empty() {
        return Err(MALFORMED);
    }
    Ok(flags & CLEAN_START != 0)
}

/// Checks a packet after the CONNECT.
pub fn packet(frame: Frame, buffer: &[u8], version: Version) -> Result<(), WireError> {
    let body = buffer.get(frame.body..frame.total).ok_or(MALFORMED)?;
    match frame.first {
        // A second CONNECT [MQTT-3.1.0-2]; CONNACK, SUBACK, UNSUBACK and PINGRESP go the other way.
        0x10 | 0x20 | 0x90 | 0xB0 | 0xD0 => Err(PROTOCOL_ERROR),
        // QoS 0 is never a duplicate [MQTT-3.3.1-2].
        0x38 | 0x39 => Err(MALFORMED),
        0xC0 if !body.is_empty() => Err(MALFORMED),
        0xE0 if version == Version::V3 && !body.is_empty() => Err(MALFORMED),
        // Reserved bits of the requested QoS [MQTT-3.8.3-4]; the codec checks them for 5.0 only.
        0x82 if version == Version::V3 => {
            let mut rest = Walk(body.get(2..).ok_or(MALFORMED)?);
            while !rest.0.is_empty() {
                rest.string()?;
                if rest.byte()? > 2 {
                    return Err(MALFORMED);
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Steps over the fields of a packet.
struct Walk<'a>(&'a [u8]);

impl Walk<'_> {
    fn skip(&mut self, count: usize) -> Result<(), WireError> {
        self.0 = self.0.get(count..).ok_or(MALFORMED)?;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, WireError> {
        let byte = *self.0.first().ok_or(MALFORMED)?;
        self.skip(1)?;
        Ok(byte)
    }

    /// A string or binary field with its two bytes of length.
    fn string(&mut self) -> Result<(), WireError> {
        let length = usize::from(u16::from_be_bytes([self.byte()?, self.byte()?]));
        self.skip(length)
    }

    fn properties(&mut self) -> Result<(), WireError> {
        let (length, digits) = variable_length(self.0)?.ok_or(MALFORMED)?;
        self.skip(digits + length)
    }
}
