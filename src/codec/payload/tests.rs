//! Every form against its documented shape, and what holds for all of them. Independent readers see
//! the same in `tests/e2e/test_payloads.py`.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::*;
use crate::model::{Class, Doubt, Mono, PayloadPiece, PayloadPlace, PayloadTemplate, Seq};

const T0: i64 = 1_700_000_000_000;

fn tag(device: &str, name: &str, unit: &str) -> TagText {
    TagText {
        topic: TopicName::new(&format!("plant/{device}/{name}")).unwrap(),
        device: Name::new(device).unwrap(),
        name: Name::new(name).unwrap(),
        unit: unit.to_owned(),
    }
}

fn key(seq: u64) -> Key {
    Key { epoch: 0x5f3a, class: Class::Normal, seq: Seq(seq) }
}

/// A reading to be: tag, value or fault, position, milliseconds after the first.
type Row = (TagText, Reading, u64, i64);

fn good(id: u32, value: Value) -> Reading {
    Reading::good(TagId(id), Mono(0), value)
}

/// Two values of one moment, then one bad and one doubtful of the next.
fn rows() -> Vec<Row> {
    let bad = Reading::bad(TagId(2), Mono(0), Fault::NoAnswer);
    let clamped = Reading::uncertain(TagId(1), Mono(0), Value::U64(9), Doubt::Clamped);
    vec![
        (tag("m1", "u", "V"), good(1, Value::F64(231.42)), 1042, 0),
        (tag("m1", "i", ""), good(2, Value::U64(5)), 1043, 0),
        (tag("m1", "i", ""), bad, 1044, 1500),
        (tag("m1", "u", "V"), clamped, 1045, 1500),
    ]
}

fn build(form: &Form, rows: &[Row], bytes_max: usize) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let mut open: Option<Builder> = None;
    for (tag, reading, seq, after) in rows {
        let sample = Sample::new(reading, Wall(T0 + after), tag, key(*seq));
        let full = open.as_mut().is_none_or(|builder| builder.push(&sample) == Pushed::Full);
        if full {
            payloads.extend(open.take().and_then(Builder::finish));
            let mut fresh = Builder::new(form, key(*seq), bytes_max).unwrap();
            assert_eq!(fresh.push(&sample), Pushed::Taken);
            open = Some(fresh);
        }
    }
    let last = open.take().unwrap();
    let length = last.length();
    payloads.extend(last.finish());
    assert_eq!(payloads.last().map(Vec::len), Some(length), "{form:?}");
    payloads
}

fn texts(form: &Form, rows: &[Row]) -> Vec<String> {
    let payloads = build(form, rows, 10_000);
    payloads.into_iter().map(|payload| String::from_utf8(payload).unwrap()).collect()
}

fn one_text(form: &Form, reading: &Reading, tag: &TagText) -> String {
    let mut out = Vec::new();
    one(form, &Sample::new(reading, Wall(T0), tag, key(1042)), &mut out);
    String::from_utf8(out).unwrap()
}

/// What the document shows is what is sent.
#[test]
fn the_document_shows_what_is_sent() {
    let document = include_str!("../../../docs/payloads.md");
    let mut shown = Vec::new();
    for form in
        [Form::Group, Form::Columnar, Form::LineProtocol, Form::SenmlJson, Form::ThingsBoard]
    {
        shown.extend(texts(&form, &rows()));
    }
    let (u, volts) = (tag("m1", "u", "V"), good(1, Value::F64(231.42)));
    shown.push(one_text(&Form::Tag, &volts, &u));
    shown.push(one_text(&Form::Plain, &Reading::bad(TagId(1), Mono(0), Fault::NoAnswer), &u));
    for text in shown {
        for line in text.lines() {
            assert!(document.contains(line), "not in the document: {line}");
        }
    }
}

#[test]
fn a_group_is_of_one_device_and_moment() {
    let [first, second] = &texts(&Form::Group, &rows())[..] else { panic!("two moments") };
    let first: Json = serde_json::from_str(first).unwrap();
    let want =
        json!({"ts": T0, "device": "m1", "id": "5f3a-n-1042", "values": {"u": 231.42, "i": 5}});
    assert_eq!(first, want);
    let second: Json = serde_json::from_str(second).unwrap();
    let want = json!({
        "ts": T0 + 1500, "device": "m1", "id": "5f3a-n-1044", "values": {"i": null, "u": 9},
        "q": {"i": "bad:no-answer", "u": "uncertain:clamped"},
    });
    assert_eq!(second, want);
    let mut others = rows();
    others.truncate(2);
    others[1].2 = 1045;
    others.push((tag("m1", "u", "V"), good(1, Value::U64(3)), 1046, 0));
    others.push((tag("m2", "u", "V"), good(7, Value::U64(4)), 1047, 0));
    let ends: Vec<bool> =
        texts(&Form::Group, &others).iter().map(|t| t.contains("\"at\"")).collect();
    assert_eq!(ends, [true, false, false], "a tag twice, or another device, is another message");
    assert!(
        texts(&Form::Group, &others)[0].ends_with(r#""values":{"u":231.42,"i":5},"at":[0,3]}"#)
    );
}

/// A reader of line protocol that knows the grammar, not our writer.
mod line {
    pub fn fields(text: &str) -> Vec<(String, String)> {
        let (mut fields, mut field, mut quoted, mut escaped) =
            (Vec::new(), String::new(), false, false);
        for c in text.chars() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = !quoted,
                ',' if !quoted => {
                    fields.push(std::mem::take(&mut field));
                    continue;
                }
                _ => {}
            }
            field.push(c);
        }
        fields.push(field);
        let pair = |field: String| field.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        fields.into_iter().filter_map(pair).collect()
    }
}

#[test]
fn line_protocol_keeps_types_and_escapes() {
    let values = [
        ("a", Value::F64(5.0), "5.0"),
        ("b", Value::F64(1e300), "1e300"),
        ("c", Value::I64(-3), "-3i"),
        ("d", Value::U64(u64::MAX), "18446744073709551615u"),
        ("e", Value::Bool(true), "true"),
        ("f", Value::Text("say \"a,b=c\\\" d\né".into()), r#""say \"a,b=c\\\" d\\né""#),
        ("g", Value::Bytes([0, 0xAB].into()), "\"00ab\""),
    ];
    let row = |(at, (name, value, _)): (usize, &(&str, Value, &str))| {
        let id = u32::try_from(at).unwrap();
        (tag("m1", name, "V"), good(id, value.clone()), 7 + u64::from(id), 0)
    };
    let rows: Vec<Row> = values.iter().enumerate().map(row).collect();
    let [text] = &texts(&Form::LineProtocol, &rows)[..] else { panic!("one message") };
    let body = text.strip_prefix("m1 ").unwrap().strip_suffix(" 1700000000000000000\n").unwrap();
    let mut want = vec![(":id".to_owned(), "\"5f3a-n-7\"".to_owned())];
    want.extend(values.iter().map(|(name, _, text)| ((*name).to_owned(), (*text).to_owned())));
    assert_eq!(line::fields(body), want);
    let list = Value::List([Value::I64(1), Value::I64(2)].into());
    let [text] = &texts(&Form::LineProtocol, &[(tag("m1", "l", ""), good(1, list), 7, 0)])[..]
    else {
        panic!("one message")
    };
    assert!(text.contains(",l:0=1i,l:1=2i "), "{text}");
}

/// InfluxDB takes one type for a field, for all time.
#[test]
fn line_protocol_writes_a_code_without_a_label_as_the_labels() {
    let unknown = |id, value| Reading::uncertain(TagId(id), Mono(0), value, Doubt::UnknownLabel);
    let list = Value::List([Value::Text("run".into()), Value::U64(9)].into());
    let rows = [
        (tag("m1", "state", ""), unknown(1, Value::U64(7)), 7, 0),
        (tag("m1", "states", ""), unknown(2, list), 8, 0),
    ];
    let [text] = &texts(&Form::LineProtocol, &rows)[..] else { panic!("one message") };
    let want = r#",state="7",state:q="uncertain:unknown-label",states:0="run",states:1="9","#;
    assert!(text.contains(want), "{text}");
}

#[test]
fn senml_resolves_as_the_standard_says() {
    let mut rows = rows();
    rows.push((tag("Öl", "level", "°C"), good(3, Value::Text("a\"\n".into())), 1046, 1500));
    rows.push((tag("m1", "raw", ""), good(4, Value::Bytes([0xFB, 0xFF, 1, 2].into())), 1050, 1500));
    let [text] = &texts(&Form::SenmlJson, &rows)[..] else { panic!("one pack") };
    let pack: Vec<Json> = serde_json::from_str(text).unwrap();
    // RFC 8428, 4.6: bases hold until the next one.
    let (mut base_name, mut base_time) = (String::new(), 0.0);
    let mut resolved = Vec::new();
    for record in &pack {
        if let Some(name) = record["bn"].as_str() {
            name.clone_into(&mut base_name);
        }
        base_time = record["bt"].as_f64().unwrap_or(base_time);
        let name = format!("{base_name}{}", record["n"].as_str().unwrap());
        let ok = |b: u8| b.is_ascii_alphanumeric() || b"-:./_".contains(&b);
        assert!(name.bytes().all(ok) && name.as_bytes()[0].is_ascii_alphanumeric(), "{name}");
        let values = ["v", "vs", "vb", "vd"].iter().filter(|label| !record[**label].is_null());
        assert_eq!(values.count(), 1, "{record}");
        resolved.push((name, base_time + record["t"].as_f64().unwrap_or(0.0)));
    }
    let names: Vec<_> = resolved.iter().map(|(name, _)| name.as_str()).collect();
    let want = [
        "plant/m1/u",
        "plant/m1/i",
        "plant/m1/i:q",
        "plant/m1/u",
        "plant/:d6:l/level",
        "plant/m1/raw",
    ];
    assert_eq!(names, want);
    let times: Vec<_> = resolved.iter().map(|(_, time)| *time).collect();
    assert_eq!(times[..3], [1_700_000_000.0, 1_700_000_000.0, 1_700_000_001.5]);
    assert_eq!(
        (&pack[2]["vs"], &pack[3]["q"]),
        (&json!("bad:no-answer"), &json!("uncertain:clamped"))
    );
    assert_eq!((&pack[4]["u"], &pack[4]["vs"]), (&json!("Cel"), &json!("a\"\n")));
    assert_eq!(pack[5]["vd"], json!("-_8BAg"));
    let ids: Vec<_> = pack.iter().map(|record| record["id"].as_str()).collect();
    assert_eq!(ids, [Some("5f3a-n-1042"), None, None, None, None, Some("5f3a-n-1050")]);
}

#[test]
fn thingsboard_has_each_device_once_and_no_null() {
    let mut rows = rows();
    rows.push((tag("m2", "u", "V"), good(7, Value::Bool(true)), 1046, 1500));
    rows.push((tag("m1", "i", ""), good(2, Value::U64(u64::MAX)), 1047, 3000));
    let [text] = &texts(&Form::ThingsBoard, &rows)[..] else { panic!("one message") };
    let want = r#"{"m1":[{"ts":1700000000000,"values":{"u":231.42,"i":5}},{"ts":1700000001500,"values":{"i:q":"bad:no-answer","u":9,"u:q":"uncertain:clamped"}},{"ts":1700000003000,"values":{"i":18446744073709551615}}],"m2":[{"ts":1700000001500,"values":{"u":true}}]}"#;
    assert_eq!(text, want);
}

#[test]
fn plain_values_and_templates() {
    let u = tag("m\u{e9}", "u", "\"V\\");
    let text = Value::Text("a \"b\"\n".into());
    let list = Value::List([Value::I64(1), Value::I64(2)].into());
    let bad = Reading::bad(TagId(1), Mono(0), Fault::Exception(2));
    for (reading, want) in [
        (good(1, Value::F64(5.0)), "5.0"),
        (good(1, Value::U64(u64::MAX)), "18446744073709551615"),
        (good(1, Value::Bool(false)), "false"),
        (good(1, text.clone()), "a \"b\"\n"),
        (good(1, Value::Bytes([1, 0xFF].into())), "01ff"),
        (good(1, list), "[1,2]"),
        (bad.clone(), "bad:exception-2"),
    ] {
        assert_eq!(one_text(&Form::Plain, &reading, &u), want);
    }
    let place = PayloadPiece::Place;
    let template = |json: bool, pieces: Vec<PayloadPiece>| {
        Form::Template(Arc::new(PayloadTemplate { pieces, json }))
    };
    let words = |text: &str| PayloadPiece::Text(text.to_owned());
    let form = template(
        true,
        vec![
            words("{\"v\":"),
            place(PayloadPlace::Value),
            words(",\"u\":\""),
            place(PayloadPlace::Unit),
            words("\",\"q\":\""),
            place(PayloadPlace::Quality),
            words("\",\"t\":"),
            place(PayloadPlace::Time),
            words(",\"s\":"),
            place(PayloadPlace::Seconds),
            words(",\"i\":\""),
            place(PayloadPlace::Iso),
            words("\",\"n\":\""),
            place(PayloadPlace::Topic),
            words("\",\"k\":\""),
            place(PayloadPlace::Id),
            words("\",\"g\":\""),
            PayloadPiece::Known("g\"1".to_owned()),
            words("\"}"),
        ],
    );
    let made: Json = serde_json::from_str(&one_text(&form, &good(1, text.clone()), &u)).unwrap();
    let want = json!({
        "v": "a \"b\"\n", "u": "\"V\\", "q": "good", "t": T0, "s": 1_700_000_000.0,
        "i": "2023-11-14T22:13:20.000Z", "n": "plant/m\u{e9}/u", "k": "5f3a-n-1042", "g": "g\"1",
    });
    assert_eq!(made, want);
    let made: Json = serde_json::from_str(&one_text(&form, &bad, &u)).unwrap();
    assert_eq!((&made["v"], &made["q"]), (&Json::Null, &json!("bad:exception-2")));
    let form =
        template(false, vec![place(PayloadPlace::Device), words(";"), place(PayloadPlace::Value)]);
    assert_eq!(one_text(&form, &good(1, text), &u), "m\u{e9};a \"b\"\n");
    assert_eq!(one_text(&form, &bad, &u), "m\u{e9};");
}

/// The registers' codec lets none through; if one came, it must not become a number.
#[test]
fn what_is_no_number_never_becomes_one() {
    let nan = || vec![(tag("m1", "u", ""), good(1, Value::F64(f64::NAN)), 7, 0)];
    let said = "bad:not-available";
    for form in [Form::Group, Form::LineProtocol, Form::SenmlJson, Form::ThingsBoard] {
        let [text] = &texts(&form, &nan())[..] else { panic!("one message") };
        assert!(text.contains(said) && !text.to_lowercase().contains("nan"), "{text}");
    }
    let (tag, reading, ..) = nan().remove(0);
    assert_eq!(one_text(&Form::Plain, &reading, &tag), said);
    assert!(one_text(&Form::Tag, &reading, &tag).starts_with("{\"v\":null,"));
}

/// Forms of many readings keep their limit, lose nothing, and cost what the design counts on.
#[test]
fn limits_hold_and_sizes_are_as_promised() {
    let tags: Vec<TagText> = (0..50).map(|n| tag("meter-12", &format!("tag_{n}"), "V")).collect();
    let rows: Vec<Row> = (0..1000_u32)
        .map(|n| {
            let at = usize::try_from(n % 50).unwrap();
            let value = Value::F64(f64::from(n * 7919 % 10_000) / 10.0);
            (tags[at].clone(), good(n % 50, value), u64::from(n), i64::from(n / 50) * 1000)
        })
        .collect();
    let header = |topic: usize| topic + 7;
    for (form, most) in [
        (Form::Group, 31.0),
        (Form::Columnar, 8.5),
        (Form::Cbor, 13.0),
        (Form::LineProtocol, 52.0),
        (Form::SenmlJson, 50.0),
        (Form::SenmlCbor, 40.0),
        (Form::ThingsBoard, 40.0),
    ] {
        for bytes_max in [300, 32_000] {
            let payloads = build(&form, &rows, bytes_max);
            assert!(payloads.iter().all(|payload| payload.len() <= bytes_max), "{form:?}");
        }
        let payloads = build(&form, &rows, 32_000);
        let bytes: usize = payloads.iter().map(|payload| payload.len() + header(21)).sum();
        let deflated: usize =
            payloads.iter().map(|p| super::super::deflate::zlib(p).len() + header(21)).sum();
        let per = |bytes: usize| f64::from(u32::try_from(bytes).unwrap()) / 1000.0;
        println!("{form:?}: {:.1} bytes per reading, {:.1} deflated", per(bytes), per(deflated));
        assert!(per(bytes) <= most, "{form:?}: {}", per(bytes));
    }
}
