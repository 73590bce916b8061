//! What is packed comes out again; the limit holds; the size is what the design promises.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::codec::json::put_value;
use crate::model::{Doubt, Fault, Mono, Value};

const AT: Mono = Mono(0);

fn topic(tag: u32) -> TopicName {
    TopicName::new(&format!("plant1/press-line-3/meter{}/tag_{}", tag / 10, tag)).unwrap()
}

fn good(tag: u32, value: Value) -> Reading {
    Reading::good(TagId(tag), AT, value)
}

fn push(builder: &mut Builder, reading: &Reading, seq: u64, wall: i64) -> bool {
    builder.push(reading, Seq(seq), Wall(wall), &topic(reading.tag().0))
}

/// What a consumer must find.
fn point(reading: &Reading, seq: u64, wall: i64) -> Point {
    let mut value = Vec::new();
    match reading.value() {
        Some(v) => put_value(&mut value, v),
        None => value.extend_from_slice(b"null"),
    }
    Point {
        topic: topic(reading.tag().0).as_str().to_owned(),
        wall: Wall(wall),
        seq: Seq(seq),
        value: serde_json::from_slice(&value).unwrap(),
        quality: reading.quality().to_string(),
    }
}

#[test]
fn looks_as_documented() {
    let mut builder = Builder::new(0x5f3a, Class::Normal, 1000, Notation::Json);
    let name = |text| TopicName::new(text).unwrap();
    let (u, i) = (name("m1/u"), name("m1/i"));
    let t0 = 1_700_000_000_000;
    let bad = Reading::bad(TagId(1), AT, Fault::NoAnswer);
    let clamped = Reading::uncertain(TagId(2), AT, Value::I64(9), Doubt::Clamped);
    builder.push(&good(1, Value::F64(231.42)), Seq(1042), Wall(t0), &u);
    builder.push(&good(2, Value::U64(5)), Seq(1043), Wall(t0), &i);
    builder.push(&bad, Seq(1044), Wall(t0 + 1000), &u);
    builder.push(&clamped, Seq(1045), Wall(t0 + 1000), &i);
    // Not consecutive, an earlier column, an earlier time: each begins a row.
    builder.push(&good(2, Value::U64(6)), Seq(1047), Wall(t0 + 1000), &i);
    builder.push(&good(1, Value::U64(7)), Seq(1048), Wall(t0 + 1000), &u);
    builder.push(&good(2, Value::U64(8)), Seq(1049), Wall(t0 - 5), &i);
    assert_eq!(builder.readings(), 7);
    let length = builder.length();
    let payload = builder.finish().unwrap();
    assert_eq!(payload.len(), length);
    assert_eq!(
        String::from_utf8(payload).unwrap(),
        concat!(
            r#"{"id":"5f3a-n","ts":1700000000000,"tags":["m1/u","m1/i"],"rows":["#,
            r#"[0,1042,231.42,5],[1000,1044,{"q":"bad:no-answer"},{"v":9,"q":"uncertain:clamped"}],"#,
            r#"[1000,1047,null,6],[1000,1048,7],[-5,1049,null,8]]}"#
        )
    );
    assert_eq!(Builder::new(1, Class::Bulk, 10, Notation::Json).finish(), None);
}

#[test]
fn far_columns_are_skipped_and_not_listed() {
    let mut builder = Builder::new(1, Class::Alarm, 100_000, Notation::Json);
    let first: Vec<Reading> = (0..1000).map(|tag| good(tag, Value::Bool(true))).collect();
    for (seq, reading) in (0..).zip(&first) {
        assert!(!push(&mut builder, reading, seq, 0));
    }
    let before = builder.length();
    push(&mut builder, &good(900, Value::Bool(false)), 1000, 50);
    assert!(builder.length() - before < 40, "a sparse row stays short");
    let (_, points) = decode(&builder.finish().unwrap()).unwrap();
    assert_eq!(points[1000], point(&good(900, Value::Bool(false)), 1000, 50));
}

#[test]
fn the_limit_holds_and_what_is_refused_leaves_no_trace() {
    for bytes_max in [120, 200, 333, 1000] {
        let mut builder = Builder::new(1, Class::Normal, bytes_max, Notation::Json);
        let mut taken = 0;
        while !push(&mut builder, &good(taken % 7, Value::U64(12_345)), taken.into(), 0) {
            taken += 1;
        }
        let refused = builder.length();
        assert!(push(&mut builder, &good(99, Value::U64(1)), 500, 9), "a new tag is longer still");
        assert_eq!(builder.length(), refused);
        let payload = builder.finish().unwrap();
        assert!(payload.len() <= bytes_max && payload.len() + 80 > bytes_max, "{bytes_max}");
        assert_eq!(decode(&payload).unwrap().1.len(), usize::try_from(taken).unwrap());
    }
    let mut builder = Builder::new(1, Class::Normal, 10, Notation::Json);
    let large = good(1, Value::Text("x".repeat(100).into()));
    assert!(!push(&mut builder, &large, 0, 0), "the first is always taken");
    assert!(push(&mut builder, &good(1, Value::U64(1)), 1, 0));
}

/// Bytes of 1,000 readings of a plant: meters polled once a second, each in one request.
fn plant_bytes(meters: u32, tags: u32) -> usize {
    let mut random = fastrand::Rng::with_seed(1);
    let mut builder = Builder::new(0x18_bcfe_5687, Class::Normal, usize::MAX, Notation::Json);
    let mut energy = 48_213.7;
    for seq in 0..1000_u32 {
        let (poll, column) = (seq / (meters * tags), seq % (meters * tags));
        energy += random.f64() * 0.1;
        let decimals = |value: f64, ten: f64| Value::F64((value * ten).round() / ten);
        let value = match column % tags % 8 {
            0 => decimals(230.0 + random.f64() * 4.0, 10.0),
            1 => decimals(4.0 + random.f64(), 1000.0),
            2 => decimals(900.0 + random.f64() * 200.0, 10.0),
            3 => decimals(50.0 + random.f64() * 0.04, 100.0),
            4 => decimals(60.0 + random.f64() * 9.0, 10.0),
            5 => decimals(energy, 100.0),
            6 => Value::U64(random.u64(0..40_000)),
            _ => Value::Bool(random.u8(0..10) > 0),
        };
        let wall = 1_700_000_000_000 + i64::from(poll * 1000 + column / tags * 13);
        push(&mut builder, &good(column, value), 7_300_000 + u64::from(seq), wall);
    }
    assert_eq!(builder.readings(), 1000);
    builder.finish().unwrap().len()
}

#[test]
fn a_plants_readings_take_ten_bytes_each() {
    for (meters, tags, bytes_max) in [(1, 40, 9_000), (2, 20, 9_500), (5, 8, 10_500)] {
        let bytes = plant_bytes(meters, tags);
        println!("{meters} meters of {tags} tags: {bytes} bytes for 1,000 readings");
        assert!(bytes <= bytes_max, "{bytes} bytes for 1,000 readings");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let single = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::I64),
        any::<u64>().prop_map(Value::U64),
        any::<f64>().prop_map(Value::F64),
        ".{0,6}".prop_map(|t| Value::Text(t.into())),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(|b| Value::Bytes(b.into())),
    ];
    let list = prop::collection::vec(single.clone(), 0..3).prop_map(|l| Value::List(l.into()));
    prop_oneof![4 => single, 1 => list]
}

fn any_reading() -> impl Strategy<Value = Reading> {
    (0_u32..12, any_value(), 0..8).prop_map(|(tag, value, quality)| match quality {
        0 => Reading::bad(TagId(tag), AT, Fault::Exception(3)),
        1 => Reading::uncertain(TagId(tag), AT, value, Doubt::UnknownLabel),
        _ => Reading::good(TagId(tag), AT, value),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_packed_comes_out_again(
        readings in prop::collection::vec((any_reading(), 0_u64..4, -1_i64..2), 0..60),
        bytes_max in 50_usize..3000,
    ) {
        let (mut seq, mut wall) = (10, 1_700_000_000_000);
        let (mut packed, mut out) = (Vec::new(), Vec::new());
        let mut builder = Builder::new(0xe, Class::Bulk, bytes_max, Notation::Json);
        let mut unpack = |builder: Builder| -> Result<(), TestCaseError> {
            let alone = builder.readings() == 1;
            if let Some(payload) = builder.finish() {
                prop_assert!(payload.len() <= bytes_max || alone);
                let (id, points) = decode(&payload).map_err(TestCaseError::fail)?;
                prop_assert_eq!(id, "e-b");
                out.extend(points);
            }
            Ok(())
        };
        for (reading, jump, step) in &readings {
            (seq, wall) = (seq + jump / 3 + 1, wall + step);
            if push(&mut builder, reading, seq, wall) {
                unpack(std::mem::replace(&mut builder, Builder::new(0xe, Class::Bulk, bytes_max, Notation::Json)))?;
                prop_assert!(!push(&mut builder, reading, seq, wall));
            }
            packed.push(point(reading, seq, wall));
        }
        unpack(builder)?;
        prop_assert_eq!(out, packed);
    }

    #[test]
    fn no_payload_panics(
        rows in prop::collection::vec(prop::collection::vec(any::<i32>().prop_map(Json::from), 0..4), 0..4),
    ) {
        let payload = serde_json::json!({ "id": "", "ts": i64::MAX, "tags": ["a"], "rows": rows });
        let _ = decode(payload.to_string().as_bytes());
    }
}
