//! A serial sensor that does not speak Modbus: how it is asked, where its frames begin and end, how
//! they are checked, and what they hold. The description, not the doing.
//!
//! `config` makes it from YAML, a preset or both; `codec::sensor` cuts and decodes by it; `south` asks.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::{Linear, Quality};

/// Most memory that one compiled pattern may take; a pattern that needs more is refused.
pub const PATTERN_BYTES_MAX: usize = 1 << 20;

/// The whole description.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensor {
    pub framing: Framing,
    /// Longest frame; what is longer is skipped and counted.
    pub frame_max: usize,
    /// Which part of a frame is parsed; `None`: what the framing calls its content.
    pub body: Option<Span>,
    pub check: Option<Check>,
    /// Tried in this order; the first that fits a frame decodes it.
    pub forms: Vec<Form>,
    pub ask: Ask,
    /// Sent one after the other whenever the port was opened.
    pub init: Vec<Vec<u8>>,
    /// Sent after every good frame; empty for none.
    pub ack: Vec<u8>,
    pub emit: Emit,
    /// A value that was not renewed for so long is bad; `None`: values never age.
    pub silent_after: Option<Duration>,
}

/// How the sensor is made to talk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// It sends by itself.
    Push,
    Poll(Poll),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    pub send: Vec<u8>,
    pub every: Duration,
    /// From the end of the request to the end of the answer.
    pub timeout: Duration,
    /// Sent `wake_pause` before each request; empty for none.
    pub wake: Vec<u8>,
    pub wake_pause: Duration,
    /// What has to be talked over before the data comes.
    pub handshake: Option<Handshake>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// Identification, acknowledgement and change of the baud rate (IEC 62056-21:2002, 6.3 and 6.4).
    Iec62056,
}

/// Which good frames become readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    Every,
    /// Those that differ from the one before.
    Changes,
    /// Those that the sensor calls stable, once per rest; failures as with `Changes`.
    Stable,
}

/// Where a frame begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framing {
    /// Up to any of these; empty lines are no frames.
    Line { ends: Vec<Vec<u8>> },
    /// From `start` to `end` and so many bytes `after` it; a byte behind `escape` is content.
    StartStop { start: Vec<u8>, end: Vec<u8>, after: usize, escape: Option<u8> },
    /// `length` bytes that begin with `sync`.
    Fixed { length: usize, sync: Vec<u8> },
    /// The whole frame has as many bytes as its length field says, plus `adjust`.
    LengthField { sync: Vec<u8>, offset: usize, width: usize, order: ByteOrder, adjust: i64 },
    /// What comes without such a silence.
    Idle { gap: Duration },
    /// The transport of the Smart Message Language, with its own checksum.
    Sml,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    Big,
    Little,
}

/// Bytes of a frame, both ends included; negative numbers count from its end, -1 being the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub first: i32,
    pub last: i32,
}

impl Span {
    /// The bytes in a frame of this length, if it has them all.
    pub fn within(self, length: usize) -> Option<Range<usize>> {
        let at = |n: i32| {
            let n = i64::from(n);
            let from_start = if n < 0 { i64::try_from(length).ok()? + n } else { n };
            usize::try_from(from_start).ok()
        };
        let (first, last) = (at(self.first)?, at(self.last)?);
        (first <= last && last < length).then(|| first..last + 1)
    }
}

/// A checksum: what it is made of, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub sum: Sum,
    pub range: Span,
    pub position: Span,
    pub encoding: Encoding,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sum {
    Xor,
    /// The low eight bits of the sum.
    Sum8,
    /// Its two's complement, as in Modbus ASCII.
    Lrc,
    /// Two's complement of the sum of the low seven bits, in seven bits.
    Negated7,
    Crc(Crc),
}

/// A cyclic redundancy check by its parameters (Williams, "A painless guide to CRC error detection
/// algorithms").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crc {
    pub name: &'static str,
    pub width: u8,
    pub poly: u64,
    pub init: u64,
    pub reflect_in: bool,
    pub reflect_out: bool,
    pub xor_out: u64,
}

impl Crc {
    /// Of these bytes. Bit by bit: frames are short and lines are slow.
    pub fn of(&self, bytes: &[u8]) -> u64 {
        let width = u32::from(self.width.clamp(1, 64));
        let mask = u64::MAX >> (64 - width);
        let top = 1_u64 << (width - 1);
        let mut register = self.init & mask;
        for byte in bytes {
            let byte = if self.reflect_in { byte.reverse_bits() } else { *byte };
            for bit in (0..8).rev() {
                let carry = (register & top != 0) ^ (byte >> bit & 1 != 0);
                register = (register << 1) & mask;
                if carry {
                    register ^= self.poly & mask;
                }
            }
        }
        if self.reflect_out {
            register = register.reverse_bits() >> (64 - width);
        }
        (register ^ self.xor_out) & mask
    }
}

impl Sum {
    /// Bits of the result.
    pub fn width(&self) -> u8 {
        match self {
            Self::Xor | Self::Sum8 | Self::Lrc => 8,
            Self::Negated7 => 7,
            Self::Crc(crc) => crc.width,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Binary(ByteOrder),
    /// Two digits per byte, high ones first.
    Hex,
}

/// One kind of frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// A pattern that such a frame begins with; `None`: any.
    pub when: Option<String>,
    pub parse: Parse,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parse {
    /// A pattern for the whole frame; its named groups are the pieces.
    Regex(String),
    /// Pieces by their position: columns of text, members of a binary structure.
    Bytes,
    /// Items between separators, counted from 0.
    Split(u8),
    /// Every match of a pattern with the groups `key`, `value` and perhaps `unit`.
    KeyValue(String),
    Json,
    Sml,
}

/// One value of a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: Arc<str>,
    pub place: Place,
    pub kind: FieldKind,
    /// These bits of a whole number only: the lowest, and how many.
    pub bits: Option<(u8, u8)>,
    /// Texts that mean another text.
    pub labels: Vec<(String, String)>,
    /// Texts that mean that there is no value.
    pub not_available: Vec<String>,
    pub linear: Option<Linear>,
    /// The decimal separator is a comma.
    pub comma: bool,
    /// Fields of the same form, by their index, that say more about this one.
    pub decimals_from: Option<usize>,
    pub sign_from: Option<usize>,
    pub unit: UnitFrom,
    pub quality_from: Vec<usize>,
    /// What this field's texts say about those that take their quality from it.
    pub verdicts: Vec<(String, Quality)>,
    /// The same for texts that are not listed; `None`: such a text makes the others undecodable.
    pub other_verdict: Option<Quality>,
    /// The quality of this field in any frame of this form.
    pub quality: Option<Quality>,
}

/// Where a field stands in what the parser found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Group(String),
    Bytes(Span),
    Item(usize),
    /// The key of a key-value frame; an OBIS code of an SML one.
    Key(String),
    /// A JSON pointer (RFC 6901).
    Pointer(String),
    /// In no place: the field is made of its quality alone.
    Nowhere,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A decimal number as text.
    Number,
    /// A whole number as text, kept whole.
    Integer,
    /// Hexadecimal digits, as a whole number.
    Hex,
    /// Trimmed text.
    Text,
    /// `1`, `true`, `0` or `false`.
    Bool,
    /// Degrees and minutes as `dddmm.mmmm`, as a number of degrees (NMEA 0183).
    DegreesMinutes,
    Unsigned(ByteOrder),
    Signed(ByteOrder),
    Float(ByteOrder),
    /// Two decimal digits per byte.
    Bcd(ByteOrder),
    /// The bytes as they are.
    Raw,
}

impl FieldKind {
    /// Whether its values are numbers to calculate with.
    pub fn is_number(self) -> bool {
        !matches!(self, Self::Text | Self::Bool | Self::Raw)
    }
}

/// Where the unit of a field is known from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitFrom {
    /// It has none, or whoever configured the tag knows it.
    Unknown,
    Fixed(String),
    /// The first of these fields whose text is not empty.
    Fields(Vec<usize>),
    /// Beside the value in the frame.
    Beside,
}

impl UnitFrom {
    /// Whether the frame says it, so that it may change from frame to frame.
    pub fn is_in_frame(&self) -> bool {
        matches!(self, Self::Fields(_) | Self::Beside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_count_from_either_end() {
        let span = |first, last| Span { first, last };
        assert_eq!(span(1, -4).within(10), Some(1..7));
        assert_eq!(span(-2, -1).within(10), Some(8..10));
        assert_eq!(span(0, 9).within(10), Some(0..10));
        for wrong in [span(0, 10), span(-11, 3), span(5, 4), span(3, -9)] {
            assert_eq!(wrong.within(10), None, "{wrong:?}");
        }
        assert_eq!(span(0, -1).within(0), None);
    }
}
