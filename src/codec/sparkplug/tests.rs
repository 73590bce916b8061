//! Whole payloads, both ways, and any bytes.

use proptest::prelude::*;
use prost::Message;

use super::*;

fn bytes(metrics: &[(Metric, DataType)]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for (metric, datatype) in metrics {
        metric.encode(*datatype, &mut encoded).unwrap();
    }
    payload(1_700_000_000_000, Some(7), &encoded)
}

#[test]
fn a_message_made_of_single_metrics_is_one_message() {
    let birth = Metric {
        name: Some("temperature".to_owned()),
        alias: Some(3),
        timestamp: Some(1_699_999_999_000),
        datatype: Some(DataType::Double),
        value: Some(Value::F64(21.5)),
        properties: vec![
            ("engUnit", Property::Text("°C".to_owned())),
            ("Quality", Property::Int32(192)),
        ],
        ..Metric::default()
    };
    let lost =
        Metric { alias: Some(4), timestamp: Some(5), is_historical: true, ..Metric::default() };
    let all = bytes(&[(birth, DataType::Double), (lost, DataType::Int64)]);
    let payload = Payload::decode(all.as_slice()).unwrap();
    assert_eq!((payload.timestamp, payload.seq), (Some(1_700_000_000_000), Some(7)));
    let [birth, lost] = payload.metrics.as_slice() else { panic!("two metrics") };
    assert_eq!(birth.value, Some(Content::Double(21.5)));
    assert_eq!((birth.datatype, birth.is_historical, birth.is_null), (Some(10), None, None));
    let set = birth.properties.as_ref().unwrap();
    assert_eq!(set.keys, ["engUnit", "Quality"]);
    let values: Vec<_> = set.values.iter().map(|v| (v.datatype, v.value.clone())).collect();
    assert_eq!(
        values,
        [
            (Some(12), Some(PropertyContent::Text("°C".to_owned()))),
            (Some(3), Some(PropertyContent::Int(192)))
        ]
    );
    assert_eq!((lost.name.as_ref(), lost.alias, lost.is_null), (None, Some(4), Some(true)));
    assert_eq!((lost.is_historical, &lost.value), (Some(true), &None));
}

#[test]
fn a_death_has_no_seq() {
    let payload = Payload::decode(payload(5, None, &[]).as_slice()).unwrap();
    assert_eq!((payload.timestamp, payload.seq), (Some(5), None));
    // Zero is said, not left out.
    let first = super::payload(5, Some(0), &[]);
    assert_eq!(Payload::decode(first.as_slice()).unwrap().seq, Some(0));
}

#[test]
fn datasets_and_templates_are_refused_by_name() {
    let with = |value| {
        let metric = proto::Metric { alias: Some(1), value: Some(value), ..Default::default() };
        command(&Payload { metrics: vec![metric], ..Default::default() }.encode_to_vec())
    };
    assert_eq!(with(Content::DataSet(vec![8, 1])), Err(DecodeError::DataSet));
    assert_eq!(with(Content::Template(vec![])), Err(DecodeError::Template));
    assert_eq!(with(Content::Extension(vec![])), Err(DecodeError::Extension));
    let typed = proto::Metric { datatype: Some(19), ..Default::default() };
    let typed = Payload { metrics: vec![typed], ..Default::default() }.encode_to_vec();
    assert_eq!(command(&typed), Err(DecodeError::Template));
    assert!(matches!(command(&[0xFF, 0xFF]), Err(DecodeError::Malformed(_))));
}

#[test]
fn a_command_says_its_type_or_has_that_of_the_birth() {
    let metric = proto::Metric {
        name: Some("setpoint".to_owned()),
        value: Some(Content::Long(u64::MAX)),
        ..Default::default()
    };
    let said = proto::Metric { datatype: Some(8), ..metric.clone() };
    let null = proto::Metric { is_null: Some(true), ..metric.clone() };
    let all = Payload { timestamp: Some(9), metrics: vec![metric, said, null], seq: None };
    let (at, wanted) = command(&all.encode_to_vec()).unwrap();
    assert_eq!(at, Some(9));
    let values: Vec<_> = wanted.iter().map(|wanted| wanted.value(DataType::Int64)).collect();
    assert_eq!(values, [Ok(Some(Value::I64(-1))), Ok(Some(Value::U64(u64::MAX))), Ok(None)]);
}

proptest! {
    #[test]
    fn anything_at_all_is_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok((_, wanted)) = command(&bytes) {
            for wanted in wanted {
                let _ = wanted.value(DataType::Int8);
                let _ = wanted.value(DataType::BooleanArray);
            }
        }
    }
}

#[test]
fn a_command_of_many_empty_metrics_is_refused_before_it_is_read() {
    let empty = [0x12, 0].repeat(COMMAND_BYTES_MAX / 2);
    assert_eq!(command(&empty).unwrap().1.len(), COMMAND_BYTES_MAX / 2);
    assert_eq!(command(&[&empty[..], &[0x12, 0]].concat()), Err(DecodeError::TooLarge));
}
