//! Wrong tags and what is said about them, word for word.

use super::problems::{Rows, compare};
use super::*;

#[test]
fn of_a_tag() {
    let rows: &Rows = &[
        (
            "type: u16",
            &[
                "t:6:36 devices.d.tags.t: the table and address are missing; write holding: 0, input: 0, coil: 0 or discrete: 0",
            ],
        ),
        (
            "holding: 0",
            &[
                "t:6:36 devices.d.tags.t: the key type is missing; a register does not say what it holds; write type: u16, i16, f32, …",
            ],
        ),
        (
            "holding: 0, input: 1, type: u16",
            &[
                "t:6:53 devices.d.tags.t.input: a tag has one address; a second table is written here",
            ],
        ),
        (
            "holding: 70000, type: u16",
            &["t:6:50 devices.d.tags.t.holding: \"70000\" is no address; allowed are 0 to 65535"],
        ),
        (
            "holding: 400101, type: u16",
            &[
                "t:6:50 devices.d.tags.t.holding: \"400101\" is no address; the manual's 400101 is address 100 on the wire",
            ],
        ),
        (
            "holding: 65535, type: f32",
            &["t:6:36 devices.d.tags.t: reaches address 65536, the last one is 65535"],
        ),
        (
            "holding: -1, type: u16",
            &["t:6:50 devices.d.tags.t.holding: \"-1\" is no address; allowed are 0 to 65535"],
        ),
        (
            "holding: x, type: u16",
            &[
                "t:6:50 devices.d.tags.t.holding: \"x\" is not a whole number; write it as in 100 or 0x64",
            ],
        ),
        (
            "holding: [1], type: u16",
            &["t:6:50 devices.d.tags.t.holding: expected a single value, found a list"],
        ),
        (
            "holding: , type: u16",
            &["t:6:48 devices.d.tags.t.holding: expected a single value, found nothing"],
        ),
        (
            "holding: 0, type: float",
            &["t:6:59 devices.d.tags.t.type: \"float\" is unknown; did you mean f32?"],
        ),
        (
            "holding: 0, type: uin32",
            &["t:6:59 devices.d.tags.t.type: \"uin32\" is unknown; did you mean u32?"],
        ),
        (
            "coil: 0, type: u16",
            &[
                "t:6:56 devices.d.tags.t.type: coils and discrete inputs hold bits, their type is bool",
            ],
        ),
        (
            "holding: 0, type: text",
            &[
                "t:6:59 devices.d.tags.t.type: \"text\" is unknown; write its length in registers, as in text:8",
            ],
        ),
        (
            "holding: 0, type: 'text:126'",
            &[
                "t:6:59 devices.d.tags.t.type: \"126\" is no number of text; allowed are text:1 to text:125",
            ],
        ),
        (
            "holding: 0, type: u16, order: little-endian",
            &["t:6:71 devices.d.tags.t.order: \"little-endian\" is not a byte order; write DCBA"],
        ),
        (
            "holding: 0, type: u16, scale: 0",
            &["t:6:71 devices.d.tags.t.scale: a scale of 0 would make every value 0"],
        ),
        (
            "holding: 0, type: u16, scale: '0,1'",
            &[
                "t:6:71 devices.d.tags.t.scale: \"0,1\" is not a number; decimals are written with a point",
            ],
        ),
        (
            "holding: 0, type: u16, scale: .nan",
            &["t:6:71 devices.d.tags.t.scale: \".nan\" is not a number"],
        ),
        (
            "holding: 0, type: 'text:2', scale: 2",
            &[
                "t:6:69 devices.d.tags.t.scale: only numbers have a scale, an offset or a map; this type is none",
            ],
        ),
        (
            "holding: 0, type: u16, scale: 2, labels: {0: a}",
            &[
                "t:6:74 devices.d.tags.t.labels: labels name the raw numbers, so they can't be scaled as well",
            ],
        ),
        (
            "holding: 0, type: u16, scale: 2, map: {raw: [0, 1], value: [0, 1]}",
            &["t:6:74 devices.d.tags.t.map: map replaces scale and offset, write only one of them"],
        ),
        (
            "holding: 0, type: u16, map: {raw: [0, 0], value: [0, 1]}",
            &["t:6:75 devices.d.tags.t.map.raw: the two numbers must differ"],
        ),
        (
            "holding: 0, type: u16, map: {raw: [0], value: [0, a]}",
            &[
                "t:6:75 devices.d.tags.t.map.raw: expected two numbers; write them as in [0, 100]",
                "t:6:91 devices.d.tags.t.map.value[1]: \"a\" is not a number",
            ],
        ),
        (
            "holding: 0, type: u16, map: {raw: 5}",
            &[
                "t:6:64 devices.d.tags.t.map: the key value is missing",
                "t:6:75 devices.d.tags.t.map.raw: expected two numbers; write them as in [0, 100]",
            ],
        ),
        (
            "holding: 0, type: u16, map: 5",
            &["t:6:69 devices.d.tags.t.map: expected a mapping, found a single value"],
        ),
        (
            "holding: 0, type: u16, not-available: 0x10000",
            &["t:6:79 devices.d.tags.t.not-available: \"0x10000\" does not fit the type's 16 bits"],
        ),
        (
            "holding: 0, type: i16, not-available: [-32769]",
            &[
                "t:6:80 devices.d.tags.t.not-available[0]: \"-32769\" does not fit the type's 16 bits",
            ],
        ),
        (
            "coil: 0, not-available: 1",
            &["t:6:50 devices.d.tags.t.not-available: this type has no codes to compare with"],
        ),
        (
            "holding: 0, type: f32, labels: {0: a}",
            &["t:6:64 devices.d.tags.t.labels: only whole numbers and bits have labels"],
        ),
        (
            "holding: 0, type: u16, labels: {70000: a, x: b, 1: c, 0x1: d}",
            &[
                "t:6:73 devices.d.tags.t.labels.70000: 70000 is out of range; allowed are 0 to 65535",
                "t:6:83 devices.d.tags.t.labels.x: \"x\" is not a whole number; write it as in 100 or 0x64",
                "t:6:95 devices.d.tags.t.labels.0x1: the code 1 is labelled in line 6 too",
            ],
        ),
        (
            "holding: 0, type: u16, labels: {}",
            &["t:6:72 devices.d.tags.t.labels: is empty; write { 0: stopped, 1: running }"],
        ),
        (
            "holding: 0, type: u16, labels: {0: a, 1: a}, write: true",
            &[
                "t:6:82 devices.d.tags.t.labels.1: the label \"a\" stands in line 6 too, so it can't be written",
            ],
        ),
        (
            "holding: 0, type: f32, count: 63",
            &[
                "t:6:36 devices.d.tags.t: takes 126 registers, more than the 125 of one request (registers-max)",
            ],
        ),
        (
            "holding: 0, type: 'bit:1', count: 2",
            &[
                "t:6:75 devices.d.tags.t.count: a list of bit fields is not possible; make each a tag of its own, or read the registers as u16",
            ],
        ),
        (
            "holding: 0, type: u16, count: 0",
            &["t:6:71 devices.d.tags.t.count: 0 is out of range; allowed are 1 to 2000"],
        ),
        (
            "holding: 0, type: u16, every: 5",
            &[
                "t:6:71 devices.d.tags.t.every: \"5\" is not a duration; write it with its unit, as in 5ms or 5s",
            ],
        ),
        (
            "holding: 0, type: u16, every: 1ms",
            &["t:6:71 devices.d.tags.t.every: 1ms is out of range; allowed are 10ms to 1d"],
        ),
        (
            "holding: 0, type: u16, every: 3fortnights",
            &[
                "t:6:71 devices.d.tags.t.every: \"3fortnights\" is not a duration; the units are ms, s, min, h and d",
            ],
        ),
        (
            "holding: 0, type: u16, class: alarms",
            &["t:6:71 devices.d.tags.t.class: \"alarms\" is unknown; did you mean alarm?"],
        ),
        ("holding: 0, type: u16, unit: ''", &["t:6:70 devices.d.tags.t.unit: is empty"]),
        (
            "holding: 0, type: u16, topic: a/+",
            &["t:6:71 devices.d.tags.t.topic: a topic name can't hold the wildcards '+' and '#'"],
        ),
        (
            "holding: 0, type: u16, topic: '{devize}/x'",
            &[
                "t:6:71 devices.d.tags.t.topic: the placeholder \"devize\" is unknown; did you mean {device}?",
            ],
        ),
        (
            "holding: 0, type: u16, topic: '$x'",
            &[
                "t:6:71 devices.d.tags.t.topic: the topic \"$x\" starts with '$'; those belong to the broker",
            ],
        ),
        (
            "holding: 0, type: u16, topic: '{tag'",
            &["t:6:71 devices.d.tags.t.topic: a '{' is not closed; write it as in {device}"],
        ),
        (
            "holding: 0, type: u16, publish: sometimes",
            &["t:6:73 devices.d.tags.t.publish: \"sometimes\" is unknown; one of always, changes"],
        ),
        (
            "holding: 0, type: u16, publish: {change: -1}",
            &["t:6:82 devices.d.tags.t.publish.change: a change is never negative"],
        ),
        (
            "holding: 0, type: u16, publish: {change: 5 %, at-least: 1s, at-most-every: 1min}",
            &["t:6:116 devices.d.tags.t.publish.at-most-every: is longer than at-least, 1s"],
        ),
        (
            "holding: 0, type: 'text:2', publish: {change: 2}",
            &[
                "t:6:87 devices.d.tags.t.publish.change: only single numbers change by an amount; write change: 0",
            ],
        ),
        (
            "holding: 0, type: u16, labels: {0: a}, publish: {change: 1}",
            &[
                "t:6:98 devices.d.tags.t.publish.change: only single numbers change by an amount; write change: 0",
            ],
        ),
        (
            "holding: 0, type: u16, publish: {change: 101%}",
            &[
                "t:6:82 devices.d.tags.t.publish.change: 101% is out of range; allowed are 0% to 100%",
            ],
        ),
        (
            "input: 0, type: u16, write: {min: 0, max: 1}",
            &[
                "t:6:62 devices.d.tags.t.write: input registers can't be written; only holding addresses can",
            ],
        ),
        (
            "discrete: 0, write: true",
            &[
                "t:6:54 devices.d.tags.t.write: discrete inputs can't be written; only coil addresses can",
            ],
        ),
        (
            "holding: 0, type: u16, write: true",
            &[
                "t:6:71 devices.d.tags.t.write: a number that can be written needs limits; write it as in write: { min: 0, max: 100 }",
            ],
        ),
        (
            "holding: 0, type: u16, write: {min: 5, max: 1}",
            &["t:6:77 devices.d.tags.t.write.min: min 5 is above max 1"],
        ),
        (
            "holding: 0, type: u16, write: {min: 0}",
            &["t:6:64 devices.d.tags.t.write: the key max is missing"],
        ),
        (
            "holding: 0, type: i16, scale: 0.1, write: {min: 0, max: 5000}",
            &[
                "t:6:83 devices.d.tags.t.write: 5000 does not fit the registers, it would be 50000 in them; check type, scale and limits",
            ],
        ),
        (
            "holding: 0, type: u16, labels: {0: off, 9: reset}, write: {min: 0, max: 1}",
            &[
                "t:6:99 devices.d.tags.t.write: the label \"reset\" (9) could be written as a text, though it is outside these limits; leave the label out, or widen the limits",
            ],
        ),
        (
            "holding: 0, type: 'text:2', write: {min: 0, max: 1}",
            &[
                "t:6:69 devices.d.tags.t.write: this type has no smallest and largest value; write: true allows every value, values: [ … ] only some",
            ],
        ),
        (
            "holding: 0, type: u16, write: yes",
            &["t:6:71 devices.d.tags.t.write: \"yes\" is neither true nor false"],
        ),
        (
            "address: 0, type: u16",
            &[
                "t:6:41 devices.d.tags.t.address: write the table with the address, as in holding: 100",
            ],
        ),
        (
            "holding: 0, typ: u16",
            &["t:6:53 devices.d.tags.t.typ: this key is unknown; did you mean type?"],
        ),
        (
            "holding: 0, type: u16, colour: red",
            &[
                "t:6:64 devices.d.tags.t.colour: this key is unknown; known here: holding, input, coil, discrete, field, type, order, scale, offset, map, scale-register, not-available, labels, count, unit, every, class, topic, publish, write",
            ],
        ),
        (
            "holding: 0, type: u16, type: i16",
            &["t:6:64 devices.d.tags.t.type: is written twice, first in line 6"],
        ),
        (
            "holding: 0, type: u16, [a]: b",
            &["t:6:64 devices.d.tags.t: a key must be a word, not a list"],
        ),
    ];
    compare(rows, |fragment| tag(fragment).unwrap_err());
}

#[test]
fn of_what_may_be_written() {
    let rows: &Rows = &[
        (
            "holding: 0, type: u16, write: {min: 0, max: 10, step: 0}",
            &["t:6:95 devices.d.tags.t.write.step: a step is a decimal number above 0"],
        ),
        (
            "holding: 0, type: u16, write: {min: 0, max: 10, step: 20}",
            &["t:6:95 devices.d.tags.t.write.step: is longer than the way from 0 to 10"],
        ),
        (
            "holding: 0, type: u16, scale: 0.1, write: {min: 0, max: 10, step: 0.25}",
            &[
                "t:6:107 devices.d.tags.t.write.step: 0.25 from 0 on does not meet the steps of the registers; check scale, min and step",
            ],
        ),
        ("holding: 0, type: f32, write: {min: 0, max: 10, step: 0.25}", &[]),
        (
            "holding: 0, type: u16, write: {min: 0, values: [1, 2]}",
            &[
                "t:6:80 devices.d.tags.t.write.values: says all that may be written, so there is nothing to limit; leave min out",
            ],
        ),
        (
            "holding: 0, type: u16, write: {values: []}",
            &["t:6:80 devices.d.tags.t.write.values: is empty; write values: [0, 1]"],
        ),
        (
            "holding: 0, type: u16, write: {values: [1, x, 70000]}",
            &[
                "t:6:84 devices.d.tags.t.write.values[1]: \"x\" is not a whole number; write it as in 100 or 0x64",
                "t:6:87 devices.d.tags.t.write.values[2]: 70000 does not fit the registers, it would be 70000 in them; check type, scale and limits",
            ],
        ),
        (
            "holding: 0, type: u16, labels: {0: off, 1: on}, write: {values: [off, onn]}",
            &[
                "t:6:111 devices.d.tags.t.write.values[1]: \"onn\" is no label of this tag; did you mean on?",
            ],
        ),
        (
            "holding: 0, type: u16, write: {verify: none}",
            &[
                "t:6:64 devices.d.tags.t.write: the key min is missing",
                "t:6:64 devices.d.tags.t.write: the key max is missing",
            ],
        ),
        (
            "coil: 0, write: {verify: maybe, expires: 10ms}",
            &[
                "t:6:66 devices.d.tags.t.write.verify: \"maybe\" is unknown; one of read-back, none",
                "t:6:82 devices.d.tags.t.write.expires: 10ms is out of range; allowed are 100ms to 1d",
            ],
        ),
        (
            "holding: 0, type: u16, write: {min: 0, max: 9, ttl: 5s}",
            &["t:6:88 devices.d.tags.t.write.ttl: how long a command is valid is called expires"],
        ),
        (
            "holding: 0, type: u16, write: {min: 0, max: 9, safe: {value: 10}}",
            &[
                "t:6:88 devices.d.tags.t.write.safe: the key after is missing",
                "t:6:102 devices.d.tags.t.write.safe.value: 10 is outside the limits 0 to 9",
            ],
        ),
        (
            "holding: 0, type: u16, count: 2, write: {min: 0, max: 9, safe: {value: 1, after: 1s}}",
            &["t:6:112 devices.d.tags.t.write.safe.value: this tag takes 2 values, not 1"],
        ),
        (
            "holding: 0, type: u16, scale: 0.1, write: {min: 0, max: 9, safe: {value: 0.05, after: 1s}}",
            &["t:6:114 devices.d.tags.t.write.safe.value: is between two steps of the registers"],
        ),
        (
            "holding: 0, type: 'raw:1', write: {values: [ff]}",
            &[
                "t:6:85 devices.d.tags.t.write.values[0]: bytes have no values that could be written here",
            ],
        ),
        (
            "holding: 0, type: u16, every: never",
            &[
                "t:6:71 devices.d.tags.t.every: is never read and can't be written, so it is of no use; add write, or an interval",
            ],
        ),
        ("holding: 0, type: u16, every: never, write: {min: 0, max: 9, verify: none}", &[]),
    ];
    compare(rows, |fragment| tag(fragment).err().unwrap_or_default());
    let rows: &Rows = &[
        ("d: { bus: rtu1, unit: 0, tags: { t: { coil: 0, write: true } } }", &[]),
        (
            "d: { bus: rtu1, unit: 0, tags: { t: { coil: 0 }, u: { coil: 1, every: 1s, write: { verify: read-back } } } }",
            &[
                "t:6:45 devices.d.tags.t: nobody answers unit 0, so its tags are only written; add write, or give the device's own unit",
                "t:6:82 devices.d.tags.u.every: nobody answers unit 0, so nothing is read from it; leave every out",
                "t:6:103 devices.d.tags.u.write.verify: nobody answers unit 0, so nothing can be read back; leave verify out",
            ],
        ),
        (
            "d: { bus: tcp1, write-with: 6, tags: { t: { holding: 0, type: f32, write: { min: 0, max: 1 } } } }",
            &[
                "t:6:79 devices.d.tags.t.write: takes 2 registers, but write-with: 6 writes them one by one; use write-with: 16, or don't make it writable",
            ],
        ),
        (
            "d: { bus: tcp1, write-with: 5, write-expires: 1ms, tags: { t: { coil: 0 } } }",
            &[
                "t:6:40 devices.d.write-with: \"5\" is unknown; one of 6, 16, 23",
                "t:6:58 devices.d.write-expires: 1ms is out of range; allowed are 100ms to 1d",
            ],
        ),
        (
            "d: { bus: rtu1, unit: 0, write-with: 23, tags: { t: { holding: 0, type: 'bit:1', write: true } } }",
            &[
                "t:6:49 devices.d.write-with: function 23 reads as well, and nobody answers unit 0; use 16, or leave it out",
            ],
        ),
        (
            "d: { bus: tcp1, tags: { t: { holding: 0, type: u16, count: 124, write: { min: 0, max: 1 } } } }",
            &[
                "t:6:76 devices.d.tags.t.write: takes 124 registers, of which one request writes 123 at most; split the tag",
            ],
        ),
        (
            "d: { bus: tcp1, tags: { set: { coil: 0 }, t: { coil: 1, write: true } } }",
            &[
                "t:6:36 warning: devices.d.tags.set: has the topic \"g/d/set\" where commands for several tags would come, so only single tags can be set; give the tag another name or topic",
            ],
        ),
        (
            "d: { bus: tcp1, tags: { t: { coil: 1, write: true }, u: { coil: 2, topic: '{gateway}/{device}' } } }",
            &[
                "t:6:86 devices.d.tags.u.topic: the topic \"g/d\" is where commands for several tags of devices.d come (g/d/set); give the tag another name or topic",
            ],
        ),
    ];
    compare(rows, |device| said(&format!("{AROUND}devices: {{ {device} }}")));
}

#[test]
fn a_scale_register_is_the_only_scale_and_close_by() {
    let rows: &Rows = &[
        (
            "holding: 0, type: u16, scale-register: 9, scale: 0.1",
            &[
                "t:6:64 devices.d.tags.t.scale-register: the register says the scale, so it can't be written as well",
            ],
        ),
        (
            "holding: 10, type: text:2, scale-register: 9",
            &[
                "t:6:68 devices.d.tags.t.scale-register: only numbers have a scale, an offset or a map; this type is none",
            ],
        ),
        (
            "holding: 200, type: u16, scale-register: 75",
            &[
                "t:6:36 devices.d.tags.t: takes 126 registers with its scale register, more than the 125 of one request (registers-max)",
            ],
        ),
        ("holding: 200, type: u16, scale-register: 76, write: { min: 0, max: 1000000 }", &[""]),
    ];
    compare(rows, |fragment| {
        said(&format!("{AROUND}devices: {{ d: {{ bus: tcp1, tags: {{ t: {{ {fragment} }} }} }} }}"))
    });
}
