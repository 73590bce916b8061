//! What is said about descriptions of serial sensors, and that every preset stands.

use super::*;
use crate::model::ValueKind;

/// A serial bus with one tag.
fn around(serial: &str, tag: &str) -> String {
    format!(
        "gateway: {{ name: g }}\nbroker: {{}}\nbuses: {{ b: {{ serial: {{ {serial} }} }} }}\n\
         devices: {{ d: {{ bus: b, tags: {{ t: {{ {tag} }} }} }} }}\n"
    )
}

#[test]
fn every_preset_stands() {
    for name in sensor_presets() {
        let link = sensor_preset(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!link.sensor.forms.is_empty(), "{name}");
        assert_eq!(link.preset.as_deref(), Some(name));
    }
    let error = sensor_preset("mt-sic").unwrap_err();
    assert_eq!(error, "there is no preset \"mt-sic\"; did you mean mt-sics?");
}

/// A whole number in the frame, with its decimals or its unit elsewhere, is no whole number.
#[test]
fn what_may_have_a_fraction_is_a_real() {
    let kind = |serial: &str, tag: &str| {
        let plan = parse(&around(serial, tag), "t").unwrap_or_else(|p| panic!("{p}")).plan;
        match &plan.buses[0].devices[0].tags[0].source {
            Source::Field(from) => from.kind,
            Source::Registers(_) => panic!("a sensor has no registers"),
        }
    };
    let weight =
        |unit| kind("port: p, preset: toledo-continuous", &format!("field: weight, unit: {unit}"));
    assert_eq!((weight("kg"), weight("g")), (ValueKind::Real, ValueKind::Real));
    let grams = r#"port: p, framing: { line: { end: "\r\n" } }, parse: { regex: '(?<v>[0-9]+)' },
        fields: { v: { from: v, type: integer, unit: g } }"#;
    let grams = grams.replace('\n', " ");
    assert_eq!(kind(&grams, "field: v"), ValueKind::Integer);
    assert_eq!(kind(&grams, "field: v, unit: kg"), ValueKind::Real);
}

#[test]
fn a_profile_on_a_sensor_is_one_problem() {
    let text = around("port: p, preset: mt-sics", "field: status")
        .replace("bus: b,", "bus: b, profile: eastron-sdm630,");
    let problems = parse(&text, "t").unwrap_err().to_string();
    assert_eq!(problems.trim().lines().count(), 1, "{problems}");
    assert!(problems.contains("devices.d.profile: has no use with a serial sensor"), "{problems}");
}

#[test]
fn of_a_sensor() {
    let line = r#"port: p, framing: { line: { end: "\r\n" } }"#;
    let regex = "parse: { regex: '(?<v>[0-9]+)' }";
    let own = format!("{line}, {regex}, fields: {{ v: {{ from: v, type: number }} }}");
    let with = |what: &str| format!("{own}, {what}");
    let rows: Vec<(String, &str, &[&str])> = vec![
        ("preset: mt-sics".into(), "field: status", &["buses.b.serial: the key port is missing"]),
        (
            "port: 4001, preset: mt-sics".into(),
            "field: status",
            &["buses.b.serial.port: \"4001\" is no serial port; write host beside it"],
        ),
        (
            "host: h, port: 4001, baud: 9600, preset: mt-sics".into(),
            "field: status",
            &["buses.b.serial.baud: has no use over TCP"],
        ),
        (
            "port: p, preset: mt-sic".into(),
            "field: status",
            &["buses.b.serial.preset: there is no preset \"mt-sic\"; did you mean mt-sics?"],
        ),
        (
            format!("{line}, parse: {{ regex: '(?<v>[0-9+' }}, fields: {{ v: {{ from: v }} }}"),
            "field: v",
            &["buses.b.serial.parse.regex: \"(?<v>[0-9+\" is no pattern: unclosed character class"],
        ),
        (
            format!(
                "{line}, parse: {{ regex: '(?<v>.*)', split: ',' }}, fields: {{ v: {{ from: v }} }}"
            ),
            "field: v",
            &[
                "buses.b.serial.parse.split: a frame is taken apart in one way; a second is written here",
            ],
        ),
        (
            format!("{line}, {regex}, fields: {{ v: {{ from: w }} }}"),
            "field: v",
            &["buses.b.serial.fields.v.from: the pattern has no group \"w\""],
        ),
        (
            format!("{line}, {regex}, fields: {{ v: {{ from: v, unit-from: u }} }}"),
            "field: v",
            &["buses.b.serial.fields.v.unit-from: this frame has no field \"u\""],
        ),
        (
            format!("{line}, {regex}, fields: {{ v: {{ from: v, quality-from: v }} }}"),
            "field: v",
            &["buses.b.serial.fields.v: the field v says no quality"],
        ),
        (
            format!("{line}, parse: json, fields: {{ v: {{ from: p }} }}"),
            "field: v",
            &["buses.b.serial.fields.v.from: \"p\" is no JSON pointer; write /p"],
        ),
        (own.clone(), "field: w", &["devices.d.tags.t.field: the frames have no field \"w\""]),
        (
            own.clone(),
            "field: v, every: 1s, write: true",
            &[
                "devices.d.tags.t.every: has no use with a serial sensor; write poll: { every: … }",
                "devices.d.tags.t.write: has no use with a serial sensor; values of a sensor",
            ],
        ),
        (
            "port: p, preset: mt-sics".into(),
            "field: weight",
            &[
                "devices.d.tags.t: the unit of this field is in the frame and may change; write unit",
            ],
        ),
        (
            "port: p, preset: nmea-0183".into(),
            "field: speed, unit: kg",
            &["devices.d.tags.t.unit: comes in kn, which can't be converted to kg"],
        ),
        (
            "port: p, framing: { fixed: { length: 8, sync: '=' } }, parse: bytes, \
             check: { kind: xor, range: 0..8, position: 9 }, fields: { v: { from: 7, type: u16 } }"
                .into(),
            "field: v",
            &[
                "buses.b.serial.check.range: reaches beyond the frame, which has 8 bytes",
                "buses.b.serial.check.position: reaches beyond the frame, which has 8 bytes",
                "buses.b.serial.fields.v.from: reaches beyond the frame, which has 8 bytes",
            ],
        ),
        (
            with("check: { kind: crc-16/modbus, range: 0..-1, position: -1 }"),
            "field: v",
            &[
                "buses.b.serial.check.range: covers the checksum itself",
                "buses.b.serial.check.position: has 1 bytes, but this checksum takes 2",
            ],
        ),
        (
            with("check: { kind: crc-16/modbas, range: 0..-3, position: -2..-1 }"),
            "field: v",
            &[
                "buses.b.serial.check.kind: \"crc-16/modbas\" is no checksum; did you mean crc-16/modbus",
            ],
        ),
        (
            r"port: p, framing: { line: { end: '\r\n' } }, preset: barcode".into(),
            "field: code",
            &["buses.b.serial.framing.line.end: \"\\\\r\\\\n\" holds a backslash"],
        ),
        (
            with("poll: 500ms"),
            "field: v",
            &["buses.b.serial.poll: \"500ms\" says not what is sent"],
        ),
        (
            "port: p, preset: mt-sics, poll: 1min, silent-after: 10s".into(),
            "field: status",
            &["buses.b.serial.silent-after: values are polled every 1min"],
        ),
    ];
    for (serial, tag, wanted) in rows {
        let said = said(&around(&serial, tag));
        assert_eq!(said.lines().count(), wanted.len(), "{serial}\n{said}");
        for want in wanted {
            assert!(
                said.lines().any(|line| line.contains(want)),
                "{want}\nis not said of {serial}:\n{said}"
            );
        }
        assert!(said.lines().all(|line| line.starts_with("t:")), "located: {said}");
    }
}
