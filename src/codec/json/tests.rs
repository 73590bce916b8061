//! Payloads as the broker's clients see them.

use proptest::prelude::*;

use super::*;
use crate::codec::registers::{Decoded, decode, encode};
use crate::model::{Doubt, Fault, Label, Linear, Mono, TagId};

const TAG: TagId = TagId(7);
const AT: Mono = Mono(5);
const WALL: Wall = Wall(1_700_000_000_000);

fn live(reading: &Reading, unit: &str, id: Option<&Key>) -> String {
    let mut out = Vec::new();
    tag_live(&mut out, reading, WALL, unit, id);
    let text = String::from_utf8(out).unwrap();
    serde_json::from_str::<Json>(&text).expect("valid JSON");
    text
}

fn good(value: Value) -> String {
    live(&Reading::good(TAG, AT, value), "", None)
}

#[test]
fn live_readings() {
    let reading = Reading::good(TAG, AT, Value::F64(231.42));
    assert_eq!(live(&reading, "V", None), r#"{"v":231.42,"ts":1700000000000,"u":"V"}"#);
    let key = Key { epoch: 0x5f3a, class: Class::Normal, seq: Seq(1042) };
    assert_eq!(
        live(&reading, "µ\"V", Some(&key)),
        r#"{"v":231.42,"ts":1700000000000,"u":"µ\"V","id":"5f3a-n-1042"}"#
    );
    let bad = Reading::bad(TAG, AT, Fault::Exception(2));
    assert_eq!(
        live(&bad, "V", None),
        r#"{"v":null,"ts":1700000000000,"u":"V","q":"bad:exception-2"}"#
    );
    let clamped = Reading::uncertain(TAG, AT, Value::F64(100.0), Doubt::Clamped);
    assert_eq!(
        live(&clamped, "", None),
        r#"{"v":100.0,"ts":1700000000000,"q":"uncertain:clamped"}"#
    );
}

#[test]
fn every_kind_of_value() {
    let list = Value::List([Value::I64(1), Value::Text("a".into())].into());
    let cases = [
        (Value::Bool(true), "true"),
        (Value::Bool(false), "false"),
        (Value::I64(i64::MIN), "-9223372036854775808"),
        (Value::U64(u64::MAX), "18446744073709551615"),
        (Value::U64((1 << 53) + 1), "9007199254740993"),
        (Value::F64(123_456.0), "123456.0"),
        (Value::F64(-0.0), "-0.0"),
        (Value::F64(1e300), "1e+300"),
        (Value::Text("tab\t\"quote\" \u{1}".into()), r#""tab\t\"quote\" \u0001""#),
        (Value::Bytes([0, 0xAB, 0xFF].into()), r#""00abff""#),
        (list, r#"[1,"a"]"#),
        (Value::List([].into()), "[]"),
    ];
    for (value, want) in cases {
        assert_eq!(good(value), format!(r#"{{"v":{want},"ts":1700000000000}}"#));
    }
}

#[test]
fn keys_name_the_class() {
    for (class, want) in
        [(Class::Alarm, "ff-a-0"), (Class::Normal, "ff-n-0"), (Class::Bulk, "ff-b-0")]
    {
        assert_eq!(Key { epoch: 255, class, seq: Seq(0) }.to_string(), want);
    }
}

#[test]
fn set_payloads() {
    let bare = |json: Json| Ok(SetPayload { value: json, times: Times::default() });
    assert_eq!(parse_set(b" 21.5\n"), bare(21.5.into()));
    assert_eq!(parse_set(b"18446744073709551615"), bare(u64::MAX.into()));
    assert_eq!(parse_set(br#""open""#), bare("open".into()));
    assert_eq!(parse_set(b"[1,2]"), bare(vec![1, 2].into()));
    assert_eq!(parse_set(br#"{"v":true}"#), bare(true.into()));
    let whole = SetPayload {
        value: 5.into(),
        times: Times {
            ts: Some(Wall(1_700_000_000_000)),
            ttl: Some(std::time::Duration::from_secs(2)),
        },
    };
    assert_eq!(parse_set(br#"{"v":5,"ts":1700000000000,"ttl":2000}"#), Ok(whole));
    for (wrong, hint) in [
        (&b""[..], "empty"),
        (b"open", "needs quotes"),
        (b"1 2", "trailing"),
        (b"\xff", "expected value"),
        (br#"{"value":5}"#, "unknown field"),
        (br#"{"ts":5}"#, "missing field"),
        (br#"{"v":1,"v":2}"#, "duplicate field"),
        (br#"{"v":1,"ttl":-5}"#, "ttl"),
        (br#"{"v":1,"ttl":"5s"}"#, "invalid type"),
    ] {
        let error = parse_set(wrong).unwrap_err();
        assert!(error.contains(hint) || hint == "ttl", "{error:?} for {hint:?}");
    }
}

/// The nearest double, not its neighbour: a set point of an f64 register is written as sent.
#[test]
fn numbers_are_parsed_to_the_last_bit() {
    for text in ["51.24817837550540", "0.1", "8.41", "4.1956e-33", "9007199254740993.5"] {
        let SetPayload { value, .. } = parse_set(text.as_bytes()).unwrap();
        assert_eq!(value.as_f64(), text.parse().ok(), "{text}");
    }
}

#[test]
fn json_becomes_what_the_tag_takes() {
    let int = Coding::plain(Kind::Int { bits: 64, signed: false });
    let tenth = Linear { factor: 1.0, divisor: 10.0, offset: 0.0, clamp: None };
    let scaled = Coding { linear: Some(tenth), ..int.clone() };
    let label = Label { code: 3, text: "open".into() };
    let labelled = Coding { labels: vec![label], ..int.clone() };
    let pair = Coding { count: 2, ..int.clone() };
    let text = Coding::plain(Kind::Text { registers: 4 });
    let raw = Coding::plain(Kind::Raw { registers: 2 });
    let f32 = Coding::plain(Kind::F32);
    let bool = Coding::plain(Kind::Bool);
    let mac = Coding::plain(Kind::Mac);
    let ok: [(&Coding, &str, Value); 17] = [
        (&int, "18446744073709551615", Value::U64(u64::MAX)),
        (&int, "-5", Value::I64(-5)),
        (&int, "5.0", Value::F64(5.0)),
        (&scaled, "231", Value::F64(231.0)),
        (&scaled, "231.4", Value::F64(231.4)),
        (&scaled, "9007199254740993", Value::I64(9_007_199_254_740_993)),
        (&f32, "21", Value::F64(21.0)),
        (&labelled, "\"open\"", Value::Text("open".into())),
        (&labelled, "3", Value::I64(3)),
        (&pair, "[1,2]", Value::List([Value::I64(1), Value::I64(2)].into())),
        (&text, "\"abc\"", Value::Text("abc".into())),
        (&raw, "\"00AbfF01\"", Value::Bytes([0, 0xAB, 0xFF, 1].into())),
        (&bool, "true", Value::Bool(true)),
        (&bool, "0", Value::Bool(false)),
        (&bool, "1", Value::Bool(true)),
        (&mac, "\"00:1b:2c:3d:4e:5f\"", Value::Text("00:1b:2c:3d:4e:5f".into())),
        (&Coding { count: 1, ..bool.clone() }, "false", Value::Bool(false)),
    ];
    for (coding, json, want) in ok {
        assert_eq!(coerce(coding, serde_json::from_str(json).unwrap()), Ok(want), "{json}");
    }
    let refused = [
        (&int, "\"5\"", "this tag takes a number, not a text"),
        (&int, "true", "this tag takes a number, not true or false"),
        (&int, "null", "not null"),
        (&int, "[5]", "not a list"),
        (&pair, "5", "a list of 2 values, not a number"),
        (&pair, "[5]", "a list of 2 values, not 1"),
        (&bool, "2", "true or false, not a number"),
        (&labelled, "true", "one of its texts, or a code, not true or false"),
        (&raw, "\"0\"", "is not hex text"),
        (&raw, "\"0g\"", "is not hex text"),
        (&text, "5", "a text, not a number"),
        (&f32, "{\"a\":1}", "not an object"),
    ];
    for (coding, json, want) in refused {
        let error = coerce(coding, serde_json::from_str(json).unwrap()).unwrap_err();
        assert!(error.contains(want), "{error:?} for {want:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Registers → payload → set command → the same registers.
    #[test]
    fn a_published_value_can_be_set(words in prop::collection::vec(any::<u16>(), 4), at in 0_usize..9) {
        let kinds = [
            Kind::Int { bits: 64, signed: true },
            Kind::Int { bits: 64, signed: false },
            Kind::Int { bits: 48, signed: true },
            Kind::F64,
            Kind::F32,
            Kind::F16,
            Kind::Text { registers: 4 },
            Kind::Raw { registers: 4 },
            Kind::Ipv4,
        ];
        let coding = Coding::plain(kinds[at]);
        let words = &words[..usize::from(coding.span())];
        if let Decoded::Good(value) = decode(&coding, false, words) {
            let payload = good(value.clone());
            let json: Json = serde_json::from_str(&payload).unwrap();
            let set = coerce(&coding, json["v"].clone()).unwrap();
            let back = encode(&coding, &set).unwrap().words;
            prop_assert_eq!(decode(&coding, false, &back), Decoded::Good(value));
        }
    }

    #[test]
    fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(set) = parse_set(&payload) {
            let _ = coerce(&Coding::plain(Kind::F32), set.value);
        }
    }
}
