//! How readings are written into messages.

use std::sync::Arc;

/// The form of a message's payload. `docs/payloads.md` shows each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// The value alone, as text.
    Plain,
    /// JSON, one reading.
    Tag,
    /// JSON, the readings of one device and moment.
    Group,
    /// JSON, many readings, column by column.
    Columnar,
    /// The same in CBOR.
    Cbor,
    /// InfluxDB line protocol.
    LineProtocol,
    /// RFC 8428 in JSON.
    SenmlJson,
    /// RFC 8428 in CBOR.
    SenmlCbor,
    /// What ThingsBoard takes from a gateway.
    ThingsBoard,
    /// One reading, as the user wrote it down.
    Template(Arc<PayloadTemplate>),
}

/// What one message of a form can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// One reading; which tag it is of, only the topic says.
    One,
    /// Readings of one device and one moment.
    Moment,
    /// Readings of several devices and moments.
    Many,
}

impl Form {
    pub fn holds(&self) -> Holds {
        match self {
            Self::Plain | Self::Tag | Self::Template(_) => Holds::One,
            Self::Group => Holds::Moment,
            Self::Columnar
            | Self::Cbor
            | Self::LineProtocol
            | Self::SenmlJson
            | Self::SenmlCbor
            | Self::ThingsBoard => Holds::Many,
        }
    }

    /// The media type of a payload.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Tag | Self::Group | Self::Columnar | Self::ThingsBoard => "application/json",
            Self::Cbor => "application/cbor",
            Self::SenmlJson => "application/senml+json",
            Self::SenmlCbor => "application/senml+cbor",
            Self::Template(template) if template.json => "application/json",
            Self::Plain | Self::LineProtocol | Self::Template(_) => "text/plain",
        }
    }
}

/// A payload that the user wrote down, in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadTemplate {
    pub pieces: Vec<PayloadPiece>,
    /// Whether it makes JSON: values are then JSON values, and texts are escaped for a string.
    pub json: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadPiece {
    /// As it stands there.
    Text(String),
    /// Names of this gateway and the like, which are known beforehand.
    Known(String),
    Place(PayloadPlace),
}

/// What a piece of a template stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadPlace {
    Value,
    /// Empty for none.
    Unit,
    /// `good` as well.
    Quality,
    /// Milliseconds since 1970.
    Time,
    /// Seconds since 1970, with three decimals.
    Seconds,
    /// RFC 3339 in UTC, with milliseconds.
    Iso,
    Tag,
    Device,
    /// The tag's topic as this uplink sends it.
    Topic,
    /// What names the reading for good.
    Id,
    Class,
}
