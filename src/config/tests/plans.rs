//! What the plan says for a text, and what differs between two plans.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::model::{
    Class, Decimal, Form, Half, Kind, Linear, Name, NotAvailable, Order, PayloadPiece,
    PayloadPlace, Table, TagId, TopicName, Value,
};

#[test]
fn types_tables_and_orders() {
    let plan = tag("holding: 0x10, type: u8-high, order: BADC").unwrap();
    assert_eq!((from(&plan).table, from(&plan).address), (Table::Holding, 16));
    assert_eq!(from(&plan).coding.kind, Kind::Int8 { half: Half::High, signed: false });
    assert_eq!(from(&plan).coding.order, Order::Badc);
    assert_eq!(plan.topic.as_str(), "g/d/t");
    assert_eq!(plan.class, Class::Normal);
    assert_eq!(plan.every, Some(Duration::from_secs(1)));
    let plan = tag("coil: 65535").unwrap();
    assert_eq!(
        (from(&plan).table, from(&plan).address, from(&plan).coding.kind),
        (Table::Coil, 65535, Kind::Bool)
    );
    let plan = tag("holding: 65532, type: u64").unwrap();
    assert_eq!(from(&plan).coding.span(), 4);
}

fn linear(fragment: &str) -> Option<Linear> {
    from(&tag(fragment).unwrap()).coding.linear
}

#[test]
fn scales_are_kept_as_written() {
    let of = |factor, divisor, offset| Some(Linear { factor, divisor, offset, clamp: None });
    for (fragment, want) in [
        ("input: 0, type: i16", None),
        ("input: 0, type: i16, scale: 1", None),
        ("input: 0, type: i16, scale: 1.0, offset: 0", None),
        ("input: 0, type: i16, scale: 0.1", of(1.0, 10.0, 0.0)),
        ("input: 0, type: i16, scale: '0.10'", of(1.0, 10.0, 0.0)),
        ("input: 0, type: i16, scale: -0.25, offset: -40.5", of(-25.0, 100.0, -40.5)),
        ("input: 0, type: i16, scale: 1e-3", of(1.0, 1000.0, 0.0)),
        ("input: 0, type: f32, scale: 1000", of(1000.0, 1.0, 0.0)),
        ("input: 0, type: i16, offset: 5", of(1.0, 1.0, 5.0)),
        ("input: 0, type: f32, scale: 1.00000000000000001e-9", of(1e-9, 1.0, 0.0)),
    ] {
        assert_eq!(linear(fragment), want, "{fragment}");
    }
}

#[test]
fn two_points_make_a_line() {
    let map = linear("input: 0, type: i16, map: { raw: [0, 27648], value: [0, 100] }").unwrap();
    assert_eq!(27648.0 * map.factor / map.divisor + map.offset, 100.0);
    assert_eq!((map.factor, map.divisor, map.clamp), (25.0, 6912.0, None));
    let map =
        linear("input: 0, type: i16, map: { raw: [4000, 20000], value: [10, -2.5], clamp: true }")
            .unwrap();
    let at = |raw: f64| raw * map.factor / map.divisor + map.offset;
    assert_eq!((at(4000.0), at(20000.0)), (10.0, -2.5));
    assert_eq!(map.clamp, Some((-2.5, 10.0)));
    assert!(map.divisor > 0.0);
}

#[test]
fn codes_labels_and_rules() {
    let plan = tag("holding: 0, type: i16, not-available: [0x8000, -1, 7]").unwrap();
    let codes = [NotAvailable(0x8000), NotAvailable(0xFFFF), NotAvailable(7)];
    assert_eq!(from(&plan).coding.not_available, codes);
    let plan = tag("holding: 0, type: u64, not-available: 0xFFFFFFFFFFFFFFFF").unwrap();
    assert_eq!(from(&plan).coding.not_available, [NotAvailable(u64::MAX)]);

    let plan = tag("holding: 0, type: i16, labels: { -1: fault, 0x02: on }, write: true").unwrap();
    let labels: Vec<_> = from(&plan).coding.labels.iter().map(|l| (l.code, &*l.text)).collect();
    assert_eq!(labels, [(-1, "fault"), (2, "on")]);
    assert_eq!(plan.write, Some(WriteRule::within(-1.0, 2.0)));
    assert_eq!(tag("coil: 0, write: true").unwrap().write, Some(WriteRule::within(0.0, 1.0)));
    assert_eq!(tag("coil: 0, write: false").unwrap().write, None);
    let list = tag("holding: 0, type: u16, count: 3, write: { min: 0, max: 5 }").unwrap();
    assert_eq!(list.write, Some(WriteRule::within(0.0, 5.0)));
    let limited = tag("holding: 0, type: u16, labels: { 0: a, 2: b }, write: { min: 0, max: 2 }");
    assert_eq!(limited.unwrap().write, Some(WriteRule::within(0.0, 2.0)));

    let rule =
        |write: &str| tag(&format!("holding: 0, type: u16, {write}")).unwrap().write.unwrap();
    let all = rule(
        "write: { min: 0, max: 9, step: 0.5, at-most-every: 2s, expires: 5s, verify: none, \
         safe: { value: 3, after: 30s, from-start: true } }, scale: 0.5",
    );
    let step = Decimal::parse("0.5");
    assert_eq!(all.allowed, Allowed::Range { min: 0.0, max: 9.0, step });
    assert_eq!(all.at_most_every, Duration::from_secs(2));
    assert_eq!((all.expires, all.verify), (Duration::from_secs(5), Verify::Nothing));
    let (value, after) = (Value::F64(3.0), Duration::from_secs(30));
    assert_eq!(all.safe, Some(SafeValue { value, after, from_start: true }));
    let some = rule("labels: { 0: off, 1: on, 2: test }, write: { values: [off, 1] }");
    assert_eq!(some.allowed, Allowed::Values(vec![Value::I64(0), Value::I64(1)]));

    let second = Duration::from_secs(1);
    for (publish, want) in [
        ("always", PublishRule::Always),
        (
            "changes",
            PublishRule::OnChange {
                change: Deadband::Absolute(0.0),
                at_least: 60 * second,
                at_most_every: Duration::ZERO,
            },
        ),
        (
            "{ change: 5%, at-least: 10s, at-most-every: 1s }",
            PublishRule::OnChange {
                change: Deadband::Percent(5.0),
                at_least: 10 * second,
                at_most_every: second,
            },
        ),
    ] {
        let plan = tag(&format!("input: 0, type: f32, publish: {publish}")).unwrap();
        assert_eq!(plan.publish, want, "{publish}");
    }
}

#[test]
fn topics_follow_their_templates() {
    let text = "\
gateway: { name: g, site: s }
buses: { b: { modbus-tcp: { host: h } } }
devices:
  d:
    bus: b
    tags:
      one: { coil: 0 }
      two: { coil: 1, topic: 'x/{bus}/{tag}' }
topics: { tag: '{site}/{device}-{tag}' }
uplinks:
  up: { url: 'mqtt://h', prefix: 'p/{uplink}', backlog: { topic: 'b/{site}' } }
broker: {}
";
    let plan = parse(text, "t").unwrap().plan;
    let topics: Vec<_> = plan.tags().map(|(_, _, tag)| tag.topic.to_string()).collect();
    assert_eq!(topics, ["s/d-one", "x/b/two"]);
    let uplink = plan.uplinks.first().unwrap();
    assert_eq!(uplink.prefix, "p/up/");
    assert_eq!(uplink.backlog_topic.as_str(), "p/up/b/s");
    assert_eq!(uplink.notices_topic.as_ref().map(TopicName::as_str), Some("p/up/s/g/notice"));
    let off = text.replace("backlog: {", "notices: off, backlog: {");
    assert_eq!(parse(&off, "t").unwrap().plan.uplinks[0].notices_topic, None);
}

#[test]
fn payloads_and_their_topics() {
    let around = "\
gateway: { name: g, enterprise: e, site: s, line: l }
buses: { b: { modbus-tcp: { host: h } } }
devices: { d: { bus: b, tags: { one: { coil: 0 } } } }
";
    let uplink = |keys: &str| {
        let text = format!("{around}uplinks: {{ up: {{ url: 'mqtt://h', {keys} }} }}");
        parse(&text, "t").unwrap().plan
    };
    for (keys, live, topic, backlog, backlog_topic) in [
        ("prefix: p", Form::Tag, "p/s/g/d/one", Form::Columnar, "p/s/g/backlog"),
        ("payload: group, prefix: p", Form::Group, "p/s/g/d", Form::Columnar, "p/s/g/backlog"),
        (
            "payload: thingsboard",
            Form::ThingsBoard,
            "v1/gateway/telemetry",
            Form::ThingsBoard,
            "v1/gateway/telemetry",
        ),
        (
            "payload: plain, topic: isa-95",
            Form::Plain,
            "e/s/l/d/one",
            Form::Columnar,
            "s/g/backlog",
        ),
        ("payload: cbor, topic: isa-95", Form::Cbor, "e/s/l/d", Form::Columnar, "s/g/backlog"),
        (
            "payload: plain, backlog: { payload: tag }",
            Form::Plain,
            "s/g/d/one",
            Form::Tag,
            "s/g/backlog",
        ),
        (
            "topic: '{uplink}/{class}/{device}.{tag}'",
            Form::Tag,
            "up/normal/d.one",
            Form::Columnar,
            "s/g/backlog",
        ),
    ] {
        let plan = uplink(keys);
        let up = &plan.uplinks[0];
        let made = up.live_topic.topic(&up.prefix, &plan.metas()[0]).unwrap();
        assert_eq!((&up.live, made.as_str()), (&live, topic), "{keys}");
        assert_eq!((&up.backlog, up.backlog_topic.as_str()), (&backlog, backlog_topic), "{keys}");
    }
    let Form::Template(template) =
        uplink("payload: { template: '{\"v\":{value},\"x\":{}}' }").uplinks[0].live.clone()
    else {
        panic!("no template");
    };
    let text = |text: &str| PayloadPiece::Text(text.to_owned());
    let pieces = [text("{\"v\":"), PayloadPiece::Place(PayloadPlace::Value), text(",\"x\":{}}")];
    assert_eq!((template.json, &template.pieces[..]), (true, &pieces[..]));
    let isa = format!("{around}topics: {{ tag: isa-95 }}");
    assert_eq!(parse(&isa, "t").unwrap().plan.metas()[0].topic.as_str(), "e/s/l/d/one");
}

#[test]
fn urls_say_host_port_and_tls() {
    for (url, host, port, tls, path) in [
        ("mqtt://h", "h", 1883, false, None),
        ("mqtts://h/", "h", 8883, true, None),
        ("mqtt://10.0.0.1:2883", "10.0.0.1", 2883, false, None),
        ("mqtts://[::1]:443", "::1", 443, true, None),
        ("mqtt://[fe80::1]", "fe80::1", 1883, false, None),
        ("ws://h", "h", 80, false, Some("/mqtt")),
        ("wss://h:8443/a/b?c=%20d", "h", 8443, true, Some("/a/b?c=%20d")),
    ] {
        let text = format!("gateway: {{ name: g }}\nuplinks: {{ u: {{ url: '{url}' }} }}\n");
        let plan = parse(&text, "t").unwrap().plan;
        let uplink = plan.uplinks.first().unwrap();
        let broker = uplink.brokers.first().unwrap();
        assert_eq!((broker.host.as_str(), broker.port, uplink.tls.is_some()), (host, port, tls));
        assert_eq!((broker.secure, broker.path.as_deref()), (tls, path));
    }
}

fn base() -> Plan {
    let text = format!(
        "{AROUND}devices: {{ d: {{ bus: tcp1, tags: {{ t: {{ coil: 0 }} }} }} }}\n\
         uplinks: {{ u: {{ url: 'mqtt://h' }} }}\n"
    );
    parse(&text, "t").unwrap().plan
}

fn names(names: &[Name]) -> Vec<&str> {
    names.iter().map(Name::as_str).collect()
}

#[test]
fn equal_plans_do_not_differ() {
    assert_eq!(base().diff(&base()), Changes::default());
}

#[test]
fn a_difference_names_only_what_changed() {
    let old = base();

    let mut new = base();
    new.buses[0].devices[0].timeout = Duration::from_secs(9);
    let changes = old.diff(&new);
    assert_eq!(names(&changes.buses), ["tcp1"]);
    assert_eq!(changes, Changes { buses: changes.buses.clone(), ..Changes::default() });

    let mut new = base();
    new.buses.remove(1);
    assert_eq!(names(&old.diff(&new).buses), ["rtu1"], "removed");
    assert_eq!(names(&new.diff(&old).buses), ["rtu1"], "added");

    let mut new = base();
    new.buses.reverse();
    assert_eq!(old.diff(&new), Changes::default(), "the order of buses means nothing");

    let mut new = base();
    new.uplinks[0].window_messages = 7;
    assert_eq!(names(&old.diff(&new).uplinks), ["u"]);

    let mut new = base();
    new.store.path = Some(PathBuf::from("/elsewhere"));
    new.broker = None;
    new.gateway.site = Some(Name::new("s").unwrap());
    let changes = old.diff(&new);
    assert!(changes.store && changes.broker && changes.gateway);
    assert!(changes.buses.is_empty() && changes.uplinks.is_empty());
}

#[test]
fn tags_get_their_numbers_in_the_order_of_their_metas() {
    let mut plan = parse(&std::fs::read_to_string(DEMO).unwrap(), "demo").unwrap().plan;
    let metas = plan.metas();
    let ids: Vec<TagId> = (0..metas.len()).map(|i| TagId(u32::try_from(i).unwrap() + 7)).collect();
    plan.assign_ids(&ids);
    for ((meta, id), (_, device, tag)) in metas.iter().zip(&ids).zip(plan.tags()) {
        assert_eq!((&meta.topic, &meta.device, *id), (&tag.topic, &device.name, tag.id));
    }
    // Two tags that read the same registers with another meaning are two tags.
    let codings: std::collections::HashSet<_> =
        metas.iter().map(|m| (&m.topic, &m.coding)).collect();
    assert_eq!(codings.len(), metas.len());
}

#[test]
fn addresses_may_count_from_one_and_a_device_may_want_a_pause() {
    let text = |tags: &str| {
        format!(
            "{AROUND}devices: {{ d: {{ bus: rtu1, unit: 3, pause: 20ms, addresses: from-1, tags: {{ {tags} }} }} }}"
        )
    };
    let two = "a: { holding: 1, type: u16 }, b: { coil: 65536 }";
    let plan = parse(&text(two), "t").unwrap().plan;
    let device = &plan.buses[1].devices[0];
    assert_eq!(device.pause, Duration::from_millis(20));
    let addresses: Vec<u16> = device.tags.iter().map(|tag| from(tag).address).collect();
    assert_eq!(addresses, [0, 65_535]);
    for (tags, want) in [
        (
            "t: { holding: 0, type: u16 }",
            "t:6:91 devices.d.tags.t.holding: \"0\" is no address; allowed are 1 to 65536: the addresses of this device count from 1",
        ),
        (
            "t: { holding: 400101, type: u16 }",
            "t:6:91 devices.d.tags.t.holding: \"400101\" is no address; the manual's 400101 is 101 here, where addresses count from 1",
        ),
        (
            "t: { holding: 65536, type: u32 }",
            "t:6:77 devices.d.tags.t: reaches address 65537, the last one is 65536",
        ),
        (
            "t: { holding: 10, type: f32 }, u: { holding: 11, type: f32 }",
            "t:6:108 warning: devices.d.tags.u: begins at 11 within t, which takes 10 to 11 (line 6); check the addresses",
        ),
    ] {
        assert_eq!(said(&text(tags)), want, "{tags}");
    }
}

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/demo.yaml");

fn from(plan: &TagPlan) -> &Registers {
    plan.registers().unwrap()
}

#[test]
fn a_mode_sets_the_window_unless_it_is_set_exactly() {
    for (store, commit, write_behind) in [
        ("path: /s", 1_000, true),
        ("mode: safe", 100, true),
        ("mode: balanced", 1_000, true),
        ("mode: sd-saver, write-behind: false", 10_000, false),
        ("mode: sd-saver, commit: 2500ms", 2_500, true),
        ("commit: 50ms, mode: safe", 50, true),
    ] {
        let text = format!("gateway: {{ name: g }}\nstore: {{ {store} }}\n");
        let plan = parse(&text, "t").unwrap().plan.store;
        assert_eq!(plan.commit, Duration::from_millis(commit), "{store}");
        assert_eq!(plan.write_behind, write_behind, "{store}");
        assert_eq!(plan.endurance_bytes, 4_000_000_000_000);
    }
}

#[test]
fn the_class_of_a_device_holds_for_tags_that_do_not_say_theirs() {
    let text = "gateway: { name: g }\nstore: { path: none }\n\
                buses: { b: { modbus-tcp: { host: h } } }\n\
                devices: { d: { bus: b, class: bulk, tags: { \
                t: { holding: 0, type: u16 }, u: { holding: 1, type: u16, class: alarm } } } }\n";
    let plan = parse(text, "t").unwrap().plan;
    let classes: Vec<_> = plan.tags().map(|(_, _, tag)| tag.class).collect();
    assert_eq!(classes, [Class::Bulk, Class::Alarm]);
}
