//! The only place that knows the codec crate: bytes of a connection in, [`Incoming`] out.
//!
//! Invariants: a malformed packet is an error value with the reason code to answer with, never a
//! panic (a panic inside the codec is caught here and becomes "malformed"); nothing is reserved
//! from a length that the peer merely announces beyond the packet limit; what comes out holds
//! copies, never slices of the read buffer.
//!
//! The codec (rmqtt-codec 0.3.1) accepts some packets that the standard forbids; [`guard`] checks
//! the raw frame for those first. Packets *to* clients are written by [`super::encode`].

mod convert;
mod guard;
mod properties;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::BytesMut;
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::{v3, v5};
use tokio_util::codec::Decoder as _;

use super::packet::{Incoming, Reason, Version};

/// Why the bytes of a connection can't be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// Answered with this reason where the version has an answer, then closed.
    Broken(Reason),
    /// A CONNECT of a protocol level this broker doesn't speak; answered in this version's form.
    UnsupportedVersion(Version),
    /// Not MQTT at all: closed without a word.
    NotMqtt,
}

/// Reads packets off one connection.
pub struct Decoder {
    codec: Codec,
    /// Largest packet accepted, fixed header included.
    packet_max: usize,
}

enum Codec {
    /// Before the CONNECT.
    Unknown,
    /// 3.1 and 3.1.1.
    V3(Version, v3::Codec),
    V5(v5::Codec),
}

impl Decoder {
    pub fn new(packet_max: u32) -> Self {
        Self {
            codec: Codec::Unknown,
            packet_max: usize::try_from(packet_max).unwrap_or(usize::MAX),
        }
    }

    /// The version of the CONNECT that was read, once there was one.
    pub fn version(&self) -> Option<Version> {
        match self.codec {
            Codec::Unknown => None,
            Codec::V3(version, _) => Some(version),
            Codec::V5(_) => Some(Version::V5),
        }
    }

    /// The next packet, taken off the front of `buffer`; `None` when it isn't complete yet.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Incoming>, WireError> {
        let Some(frame) = guard::frame(buffer, self.packet_max)? else {
            return Ok(None);
        };
        catch_unwind(AssertUnwindSafe(|| self.decode(frame, buffer))).unwrap_or_else(|_| {
            tracing::error!(
                first_byte = frame.first,
                bytes = frame.total,
                "the MQTT codec panicked; the packet is taken as malformed"
            );
            Err(WireError::Broken(Reason::MALFORMED_PACKET))
        })
    }

    fn decode(
        &mut self,
        frame: guard::Frame,
        buffer: &mut BytesMut,
    ) -> Result<Option<Incoming>, WireError> {
        let broken = |error: DecodeError| WireError::Broken(reason(&error));
        match &mut self.codec {
            Codec::Unknown => {
                let protocol = guard::protocol(frame, buffer)?;
                self.codec = match protocol.version {
                    Version::V5 => Codec::V5(v5::Codec::new(0, 0)),
                    older => Codec::V3(older, v3::Codec::new(0)),
                };
                let checked = guard::connect(frame, protocol, buffer)?;
                let mut connect = match &mut self.codec {
                    Codec::V3(_, codec) => {
                        codec.decode(buffer).map_err(broken)?.map(convert::connect_v3)
                    }
                    Codec::V5(codec) => codec
                        .decode(buffer)
                        .map_err(broken)?
                        .map(|packet| convert::connect_v5(packet, checked.will)),
                    Codec::Unknown => None,
                }
                .ok_or(WireError::NotMqtt)??;
                connect.clean_start = checked.clean_start;
                connect.version = protocol.version;
                Ok(Some(Incoming::Connect(Box::new(connect))))
            }
            Codec::V3(version, codec) => {
                guard::packet(frame, buffer, *version)?;
                codec.decode(buffer).map_err(broken)?.map(|(p, _)| convert::v3(p)).transpose()
            }
            Codec::V5(codec) => {
                let extra = guard::packet(frame, buffer, Version::V5)?;
                let packet = codec.decode(buffer).map_err(broken)?;
                packet.map(|(p, _)| convert::v5(p, extra)).transpose()
            }
        }
    }
}

/// The reason code for a codec error (MQTT 5.0, 4.13).
fn reason(error: &DecodeError) -> Reason {
    match error {
        DecodeError::MaxSizeExceeded { .. } => Reason::PACKET_TOO_LARGE,
        DecodeError::InvalidTopicName => Reason::TOPIC_NAME_INVALID,
        DecodeError::InvalidTopicFilter
        | DecodeError::UnsupportedPacketType
        | DecodeError::PacketIdRequired => Reason::PROTOCOL_ERROR,
        DecodeError::InvalidProtocol
        | DecodeError::InvalidLength
        | DecodeError::MalformedPacket
        | DecodeError::UnsupportedProtocolLevel
        | DecodeError::ConnectReservedFlagSet
        | DecodeError::InvalidConnectFlags
        | DecodeError::ConnAckReservedFlagSet
        | DecodeError::InvalidClientId
        | DecodeError::Utf8Error
        | DecodeError::Io(_) => Reason::MALFORMED_PACKET,
    }
}

#[cfg(test)]
mod tests;
