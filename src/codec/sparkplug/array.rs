//! Lists as bytes (Sparkplug 3.0, 6.4.16, "Array types"): numbers one after the other, least
//! significant byte first; bits behind their number, most significant first; texts ended by NUL.

use super::Misfit;
use super::datatype::{DataType, real, whole};
use crate::model::Value;

/// Bytes of a 64-bit number.
const WIDTH: usize = 8;
const BIT_COUNT: usize = 4;

pub(super) fn encode(datatype: DataType, list: &[Value]) -> Result<Vec<u8>, Misfit> {
    let mut bytes = Vec::with_capacity(list.len() * WIDTH);
    match datatype {
        DataType::BooleanArray => {
            let count = u32::try_from(list.len()).map_err(|_| Misfit)?;
            bytes.extend(count.to_le_bytes());
            for eight in list.chunks(8) {
                let mut byte = 0;
                for (place, bit) in eight.iter().enumerate() {
                    let Value::Bool(bit) = bit else { return Err(Misfit) };
                    byte |= u8::from(*bit) << (7 - place);
                }
                bytes.push(byte);
            }
        }
        DataType::StringArray => {
            for text in list {
                let text = match text {
                    Value::Bytes(_) | Value::List(_) => return Err(Misfit),
                    text => text.to_string(),
                };
                if text.contains('\0') {
                    return Err(Misfit);
                }
                bytes.extend(text.as_bytes());
                bytes.push(0);
            }
        }
        DataType::DoubleArray => {
            for number in list {
                bytes.extend(real(number).ok_or(Misfit)?.to_le_bytes());
            }
        }
        DataType::Int64Array => {
            for number in list {
                let number = i64::try_from(whole(number).ok_or(Misfit)?).map_err(|_| Misfit)?;
                bytes.extend(number.to_le_bytes());
            }
        }
        DataType::UInt64Array => {
            for number in list {
                let number = u64::try_from(whole(number).ok_or(Misfit)?).map_err(|_| Misfit)?;
                bytes.extend(number.to_le_bytes());
            }
        }
        _ => return Err(Misfit),
    }
    Ok(bytes)
}

pub(super) fn decode(datatype: DataType, bytes: &[u8]) -> Option<Vec<Value>> {
    let (numbers, rest) = bytes.as_chunks::<WIDTH>();
    let numbers = rest.is_empty().then_some(numbers);
    Some(match datatype {
        DataType::Int64Array => {
            numbers?.iter().map(|bytes| Value::I64(i64::from_le_bytes(*bytes))).collect()
        }
        DataType::UInt64Array => {
            numbers?.iter().map(|bytes| Value::U64(u64::from_le_bytes(*bytes))).collect()
        }
        DataType::DoubleArray => {
            let numbers = numbers?.iter().map(|bytes| f64::from_le_bytes(*bytes));
            let finite = |number: f64| number.is_finite().then_some(Value::F64(number));
            numbers.map(finite).collect::<Option<_>>()?
        }
        DataType::BooleanArray => {
            let (count, bits) = bytes.split_first_chunk::<BIT_COUNT>()?;
            let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
            if bits.len() != count.div_ceil(8) {
                return None;
            }
            let bits = bits.iter().flat_map(|byte| (0..8).map(move |at| byte & (0x80 >> at) != 0));
            bits.take(count).map(Value::Bool).collect()
        }
        DataType::StringArray => {
            let Some(all) = bytes.strip_suffix(&[0]) else {
                return bytes.is_empty().then(Vec::new);
            };
            let texts = all.split(|byte| *byte == 0).map(std::str::from_utf8);
            texts.map(|text| Some(Value::Text(text.ok()?.into()))).collect::<Option<_>>()?
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_go_there_and_back() {
        let bits: Vec<_> = [true, false, true, true, false, false, false, false, true]
            .into_iter()
            .map(Value::Bool)
            .collect();
        let cases = [
            (DataType::BooleanArray, bits, vec![9, 0, 0, 0, 0b1011_0000, 0b1000_0000]),
            (
                DataType::StringArray,
                vec![Value::Text("a".into()), Value::Text("".into())],
                vec![b'a', 0, 0],
            ),
            (DataType::Int64Array, vec![Value::I64(-1)], vec![0xFF; 8]),
            (DataType::UInt64Array, vec![Value::U64(1)], vec![1, 0, 0, 0, 0, 0, 0, 0]),
            (DataType::DoubleArray, vec![Value::F64(1.0)], vec![0, 0, 0, 0, 0, 0, 0xF0, 0x3F]),
            (DataType::DoubleArray, vec![], vec![]),
        ];
        for (datatype, list, bytes) in cases {
            assert_eq!(encode(datatype, &list), Ok(bytes.clone()), "{datatype:?}");
            assert_eq!(decode(datatype, &bytes), Some(list), "{datatype:?}");
        }
        assert_eq!(decode(DataType::Int64Array, &[0; 9]), None);
        assert_eq!(decode(DataType::BooleanArray, &[9, 0, 0, 0, 1]), None);
        assert_eq!(decode(DataType::StringArray, b"a"), None, "not ended");
        assert_eq!(encode(DataType::Int64Array, &[Value::F64(0.5)]), Err(Misfit));
    }
}
