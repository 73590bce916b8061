//! Payloads of Sparkplug B (Eclipse Sparkplug 3.0, chapter 6), both ways.
//!
//! Values are those of the model; the protobuf stays in here. Metrics are encoded one by one, so
//! that a message can be filled up to a size. Knows no topics, and nothing of what order messages
//! have.

mod array;
mod datatype;
mod proto;
#[cfg(test)]
mod tests;

use prost::Message;

pub use datatype::DataType;
pub use proto::{Content, Metric as WireMetric, Payload, PropertyContent};

use crate::model::Value;

/// Largest command that is taken; it has a few metrics. Empty ones are two bytes here and a hundred
/// times that in memory.
const COMMAND_BYTES_MAX: usize = 64 * 1024;

/// One metric. What is `None` is left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metric {
    pub name: Option<String>,
    pub alias: Option<u64>,
    /// Milliseconds since 1970 in UTC.
    pub timestamp: Option<u64>,
    pub datatype: Option<DataType>,
    pub is_historical: bool,
    /// `None` says that there is no value (`is_null`).
    pub value: Option<Value>,
    pub properties: Vec<(&'static str, Property)>,
}

/// What is said of a metric beside its value.
#[derive(Debug, Clone, PartialEq)]
pub enum Property {
    Int32(i32),
    Text(String),
}

/// A value is none that this data type can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value does not fit its data type")]
pub struct Misfit;

/// Why a payload is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("it is no Sparkplug payload: {0}")]
    Malformed(String),
    #[error("it is larger than {COMMAND_BYTES_MAX} bytes")]
    TooLarge,
    #[error("datasets are not taken")]
    DataSet,
    #[error("templates are not taken")]
    Template,
    #[error("extensions are not taken")]
    Extension,
    #[error("a property set is no value")]
    PropertySet,
    #[error("{0} is no data type that is known here")]
    DataType(u32),
    #[error("the value is none of type {0:?}")]
    Value(DataType),
}

impl Metric {
    /// Appends the metric to a message. `datatype` says in which form the value goes, also where it
    /// is not said in the message; on an error nothing is appended.
    pub fn encode(&self, datatype: DataType, out: &mut Vec<u8>) -> Result<(), Misfit> {
        let value = self.value.as_ref().map(|value| datatype::encode(datatype, value));
        let value = value.transpose()?;
        let metric = proto::Metric {
            name: self.name.clone(),
            alias: self.alias,
            timestamp: self.timestamp,
            datatype: self.datatype.map(DataType::code),
            is_historical: self.is_historical.then_some(true),
            is_null: value.is_none().then_some(true),
            properties: properties(&self.properties),
            value,
        };
        // Writing to a vector always finds room.
        let _ = proto::Single { metric: Some(metric) }.encode(out);
        Ok(())
    }
}

fn properties(all: &[(&'static str, Property)]) -> Option<proto::PropertySet> {
    if all.is_empty() {
        return None;
    }
    let (keys, values) =
        all.iter().map(|(key, value)| ((*key).to_owned(), property(value))).unzip();
    Some(proto::PropertySet { keys, values })
}

fn property(property: &Property) -> proto::PropertyValue {
    let (datatype, value) = match property {
        Property::Int32(number) => (DataType::Int32, PropertyContent::Int(number.cast_unsigned())),
        Property::Text(text) => (DataType::String, PropertyContent::Text(text.clone())),
    };
    proto::PropertyValue { datatype: Some(datatype.code()), is_null: None, value: Some(value) }
}

/// Makes a message of encoded metrics. Without `seq` it is an NDEATH.
pub fn payload(timestamp: u64, seq: Option<u8>, metrics: &[u8]) -> Vec<u8> {
    let head = proto::Frame { timestamp: Some(timestamp), seq: None };
    let tail = proto::Frame { timestamp: None, seq: seq.map(u64::from) };
    let mut message = head.encode_to_vec();
    message.extend(metrics);
    message.extend(tail.encode_to_vec());
    message
}

/// The most that [`payload`] adds to the metrics.
pub const FRAME_BYTES: usize = 16;

/// A metric of a command: what it names, and its value once the type is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub name: Option<String>,
    pub alias: Option<u64>,
    pub timestamp: Option<u64>,
    /// As the sender says.
    pub datatype: Option<DataType>,
    content: Option<Content>,
}

impl Wanted {
    /// The value, read as `datatype` unless the sender says another; `None` if it is null.
    pub fn value(&self, datatype: DataType) -> Result<Option<Value>, DecodeError> {
        let datatype = self.datatype.unwrap_or(datatype);
        self.content.clone().map(|content| datatype::decode(datatype, content)).transpose()
    }
}

/// Reads the payload of a command: the time it was sent, and what it wants.
pub fn command(bytes: &[u8]) -> Result<(Option<u64>, Vec<Wanted>), DecodeError> {
    if bytes.len() > COMMAND_BYTES_MAX {
        return Err(DecodeError::TooLarge);
    }
    let payload =
        Payload::decode(bytes).map_err(|error| DecodeError::Malformed(error.to_string()))?;
    let wanted = payload.metrics.into_iter().map(wanted).collect::<Result<_, _>>()?;
    Ok((payload.timestamp, wanted))
}

fn wanted(metric: proto::Metric) -> Result<Wanted, DecodeError> {
    match &metric.value {
        Some(Content::DataSet(_)) => return Err(DecodeError::DataSet),
        Some(Content::Template(_)) => return Err(DecodeError::Template),
        Some(Content::Extension(_)) => return Err(DecodeError::Extension),
        _ => {}
    }
    let datatype =
        metric.datatype.filter(|code| *code != 0).map(DataType::from_code).transpose()?;
    Ok(Wanted {
        name: metric.name.filter(|name| !name.is_empty()),
        alias: metric.alias,
        timestamp: metric.timestamp,
        datatype,
        content: metric.value.filter(|_| metric.is_null != Some(true)),
    })
}
