//! The data types of Sparkplug 3.0 (6.4.16), and values as they are sent under each.
//!
//! Invariant: what comes out of `decode` goes through `encode` to the same meaning; a value that a
//! type can't hold exactly is an error, never a neighbour.

use super::array;
use super::proto::Content;
use super::{DecodeError, Misfit};
use crate::model::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float,
    Double,
    Boolean,
    String,
    /// Milliseconds since 1970 in UTC.
    DateTime,
    Text,
    Uuid,
    Bytes,
    File,
    Int64Array,
    UInt64Array,
    DoubleArray,
    BooleanArray,
    StringArray,
}

/// Number on the wire, type.
const CODES: [(u32, DataType); 22] = [
    (1, DataType::Int8),
    (2, DataType::Int16),
    (3, DataType::Int32),
    (4, DataType::Int64),
    (5, DataType::UInt8),
    (6, DataType::UInt16),
    (7, DataType::UInt32),
    (8, DataType::UInt64),
    (9, DataType::Float),
    (10, DataType::Double),
    (11, DataType::Boolean),
    (12, DataType::String),
    (13, DataType::DateTime),
    (14, DataType::Text),
    (15, DataType::Uuid),
    (17, DataType::Bytes),
    (18, DataType::File),
    (25, DataType::Int64Array),
    (29, DataType::UInt64Array),
    (31, DataType::DoubleArray),
    (32, DataType::BooleanArray),
    (33, DataType::StringArray),
];

impl DataType {
    pub fn code(self) -> u32 {
        CODES.iter().find(|(_, datatype)| *datatype == self).map_or(0, |(code, _)| *code)
    }

    /// The inverse of [`DataType::code`]; what it does not know is said by name.
    pub fn from_code(code: u32) -> Result<Self, DecodeError> {
        let found = CODES.iter().find(|(known, _)| *known == code);
        found.map(|(_, datatype)| *datatype).ok_or(match code {
            16 => DecodeError::DataSet,
            19 => DecodeError::Template,
            20 | 21 => DecodeError::PropertySet,
            _ => DecodeError::DataType(code),
        })
    }

    /// Whether it can hold this value.
    pub fn takes(self, value: &Value) -> Result<(), Misfit> {
        encode(self, value).map(drop)
    }

    /// Bits of a whole number, and whether it has a sign.
    fn whole(self) -> Option<(u32, bool)> {
        match self {
            Self::Int8 => Some((8, true)),
            Self::Int16 => Some((16, true)),
            Self::Int32 => Some((32, true)),
            Self::Int64 => Some((64, true)),
            Self::UInt8 => Some((8, false)),
            Self::UInt16 => Some((16, false)),
            Self::UInt32 => Some((32, false)),
            Self::UInt64 | Self::DateTime => Some((64, false)),
            _ => None,
        }
    }
}

/// A value in the form of its type. Whole numbers may come as reals without a fraction and the
/// other way round, and anything may come as text, as long as nothing of it is lost.
pub(super) fn encode(datatype: DataType, value: &Value) -> Result<Content, Misfit> {
    if let Some((bits, signed)) = datatype.whole() {
        let number = whole(value).ok_or(Misfit)?;
        let limit = 1_i128 << (bits - u32::from(signed));
        let least = if signed { -limit } else { 0 };
        if number < least || number >= limit {
            return Err(Misfit);
        }
        // Negative ones as two's complement of their type's width.
        let number = number.rem_euclid(1_i128 << bits);
        return if bits == 64 {
            u64::try_from(number).map(Content::Long).map_err(|_| Misfit)
        } else {
            u32::try_from(number).map(Content::Int).map_err(|_| Misfit)
        };
    }
    Ok(match (datatype, value) {
        (DataType::Float, value) => Content::Float(narrow(real(value).ok_or(Misfit)?)?),
        (DataType::Double, value) => Content::Double(real(value).ok_or(Misfit)?),
        (DataType::Boolean, Value::Bool(bit)) => Content::Boolean(*bit),
        (DataType::Bytes | DataType::File, Value::Bytes(bytes)) => Content::Bytes(bytes.to_vec()),
        (DataType::String | DataType::Text | DataType::Uuid, value) => match value {
            Value::Text(text) => Content::Text(text.to_string()),
            Value::Bytes(_) | Value::List(_) => return Err(Misfit),
            value => Content::Text(value.to_string()),
        },
        (_, Value::List(list)) => Content::Bytes(array::encode(datatype, list)?),
        _ => return Err(Misfit),
    })
}

/// The inverse of [`encode`]. Senders differ in whether they fill the upper bits of a narrow
/// negative number and in whether they take the wide field; both are understood.
pub(super) fn decode(datatype: DataType, content: Content) -> Result<Value, DecodeError> {
    let wrong = DecodeError::Value(datatype);
    if let Some((bits, signed)) = datatype.whole() {
        let (raw, width) = match content {
            Content::Int(raw) => (u64::from(raw), 32),
            Content::Long(raw) => (raw, 64),
            _ => return Err(wrong),
        };
        if !signed {
            let fits = bits == 64 || raw >> bits == 0;
            return fits.then_some(Value::U64(raw)).ok_or(wrong);
        }
        let full = i128::from(raw);
        let at = |width: u32| {
            if full >= 1_i128 << (width - 1) { full - (1_i128 << width) } else { full }
        };
        // As its own width if it fits that, otherwise as the width of the field.
        let number = if full < 1_i128 << bits { at(bits) } else { at(width) };
        let half = 1_i128 << (bits - 1);
        let number = i64::try_from(number).map_err(|_| DecodeError::Value(datatype))?;
        let fits = (-half..half).contains(&i128::from(number));
        return fits.then_some(Value::I64(number)).ok_or(wrong);
    }
    Ok(match (datatype, content) {
        (DataType::Float | DataType::Double, content) => {
            let number = match content {
                Content::Float(number) => widen(number),
                Content::Double(number) => number,
                _ => return Err(wrong),
            };
            Some(number).filter(|number| number.is_finite()).map(Value::F64).ok_or(wrong)?
        }
        (DataType::Boolean, Content::Boolean(bit)) => Value::Bool(bit),
        (DataType::String | DataType::Text | DataType::Uuid, Content::Text(text)) => {
            Value::Text(text.into())
        }
        (DataType::Bytes | DataType::File, Content::Bytes(bytes)) => Value::Bytes(bytes.into()),
        (datatype, Content::Bytes(bytes)) => {
            Value::List(array::decode(datatype, &bytes).ok_or(wrong)?.into())
        }
        _ => return Err(wrong),
    })
}

/// The whole number that a value is, if it is one.
pub(super) fn whole(value: &Value) -> Option<i128> {
    /// From here on not every whole number is an f64.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::I64(number) => Some((*number).into()),
        Value::U64(number) => Some((*number).into()),
        Value::F64(number) if number.fract() == 0.0 && number.abs() <= EXACT => {
            format!("{number:.0}").parse().ok()
        }
        _ => None,
    }
}

/// The real number that a value is exactly, if it is one.
pub(super) fn real(value: &Value) -> Option<f64> {
    match value {
        Value::F64(number) => Some(*number),
        Value::I64(_) | Value::U64(_) => {
            let number = value.as_f64()?;
            (whole(&Value::F64(number)) == whole(value)).then_some(number)
        }
        _ => None,
    }
}

/// A narrow number is the shortest decimal that is still the same narrow number, as in registers:
/// who sends 0.3 means 0.3, not 0.30000001192092896.
fn widen(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| f64::from(number))
}

#[expect(clippy::cast_possible_truncation, reason = "what it made of the number is compared")]
fn narrow(number: f64) -> Result<f32, Misfit> {
    let narrow = number as f32;
    let same = |wide: f64| wide.to_bits() == number.to_bits();
    if same(widen(narrow)) || same(f64::from(narrow)) { Ok(narrow) } else { Err(Misfit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_there_and_back_at_the_ends_of_their_types() {
        let i = Value::I64;
        let u = Value::U64;
        let cases = [
            (DataType::Int8, i(-128), Content::Int(0x80)),
            (DataType::Int8, i(127), Content::Int(0x7F)),
            (DataType::Int16, i(-1), Content::Int(0xFFFF)),
            (DataType::Int32, i(i32::MIN.into()), Content::Int(0x8000_0000)),
            (DataType::Int64, i(i64::MIN), Content::Long(1 << 63)),
            (DataType::Int64, i(-1), Content::Long(u64::MAX)),
            (DataType::UInt8, u(255), Content::Int(255)),
            (DataType::UInt16, u(65_535), Content::Int(65_535)),
            (DataType::UInt32, u(u32::MAX.into()), Content::Int(u32::MAX)),
            (DataType::UInt64, u(u64::MAX), Content::Long(u64::MAX)),
            (DataType::DateTime, u(1_700_000_000_000), Content::Long(1_700_000_000_000)),
            (DataType::Float, Value::F64(0.5), Content::Float(0.5)),
            (DataType::Float, Value::F64(0.3), Content::Float(0.3)),
            (DataType::Float, Value::F64(-1e-40), Content::Float(-1e-40)),
            (DataType::Float, Value::F64(1e38), Content::Float(1e38)),
            (DataType::Double, Value::F64(0.1), Content::Double(0.1)),
            (DataType::Boolean, Value::Bool(true), Content::Boolean(true)),
            (DataType::String, Value::Text("ü".into()), Content::Text("ü".into())),
            (DataType::Bytes, Value::Bytes([1, 2].into()), Content::Bytes(vec![1, 2])),
        ];
        for (datatype, value, content) in cases {
            assert_eq!(encode(datatype, &value), Ok(content.clone()), "{datatype:?} {value}");
            assert_eq!(decode(datatype, content), Ok(value), "{datatype:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_said_and_never_rounded() {
        let refused = [
            (DataType::Int8, Value::I64(128)),
            (DataType::UInt8, Value::I64(-1)),
            (DataType::UInt64, Value::F64(0.5)),
            (DataType::Int64, Value::U64(u64::MAX)),
            (DataType::Float, Value::F64(0.123_456_789_012)),
            (DataType::Double, Value::I64(9_007_199_254_740_993)),
            (DataType::Double, Value::Text("1".into())),
            (DataType::Boolean, Value::I64(1)),
            (DataType::Int64, Value::Bool(true)),
        ];
        for (datatype, value) in refused {
            assert_eq!(encode(datatype, &value), Err(Misfit), "{datatype:?} {value}");
        }
        assert_eq!(encode(DataType::Int64, &Value::F64(-3.0)), Ok(Content::Long(u64::MAX - 2)));
        assert_eq!(encode(DataType::Double, &Value::U64(7)), Ok(Content::Double(7.0)));
        assert_eq!(encode(DataType::String, &Value::I64(7)), Ok(Content::Text("7".into())));
    }

    #[test]
    fn other_senders_forms_are_understood() {
        let i = |number| Ok(Value::I64(number));
        assert_eq!(decode(DataType::Int8, Content::Int(0xFFFF_FFFF)), i(-1), "filled up");
        assert_eq!(decode(DataType::Int32, Content::Long(u64::MAX)), i(-1), "in the wide field");
        assert_eq!(decode(DataType::Int64, Content::Int(5)), i(5));
        assert_eq!(decode(DataType::Double, Content::Float(0.5)), Ok(Value::F64(0.5)));
        for (datatype, content) in [
            (DataType::Int8, Content::Int(0x1FF)),
            (DataType::UInt8, Content::Int(256)),
            (DataType::Int64, Content::Text("5".into())),
            (DataType::Double, Content::Double(f64::NAN)),
            (DataType::Boolean, Content::Int(1)),
        ] {
            assert_eq!(decode(datatype, content), Err(DecodeError::Value(datatype)));
        }
    }

    #[test]
    fn every_code_comes_back() {
        for (code, datatype) in CODES {
            assert_eq!(DataType::from_code(code), Ok(datatype));
            assert_eq!(datatype.code(), code);
        }
        assert_eq!(DataType::from_code(16), Err(DecodeError::DataSet));
        assert_eq!(DataType::from_code(19), Err(DecodeError::Template));
        assert_eq!(DataType::from_code(99), Err(DecodeError::DataType(99)));
    }
}
