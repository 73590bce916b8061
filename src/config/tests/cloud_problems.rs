//! What `check` says of an uplink to a cloud service.

use std::time::Duration;

use super::*;
use crate::config::clouds;

const DEVICE: &str = "\
gateway: { name: g, site: s }
buses: { b: { modbus-tcp: { host: 10.0.0.1 } } }
devices: { d: { bus: b, tags: { t: { coil: 0 } } } }
topics: { tag: TAG }
uplinks:
";

fn about(tag: &str, uplink: &str) -> String {
    said(&format!("{}  u: {{ {uplink} }}\n", DEVICE.replace("TAG", tag)))
}

const AWS: &str = "preset: aws-iot-core, url: 'mqtts://h', certificate: a, key: b";

#[test]
fn what_a_service_would_refuse_is_said_where_it_is_written() {
    for (uplink, want) in [
        (AWS, ""),
        (
            "preset: aws, url: 'mqtts://h'",
            "t:6:16 uplinks.u.preset: there is no preset \"aws\"; one of aws-iot-core, \
             azure-event-grid, azure-iot-hub, emqx, emqx-cloud, hivemq-cloud, home-assistant, \
             mosquitto, thingsboard",
        ),
        (
            "preset: aws-iot-core, url: 'mqtt://h'",
            "t:6:3 uplinks.u: AWS IoT Core knows nobody without credentials; write certificate: … \
             and key: …\n\
             t:6:35 uplinks.u.url: AWS IoT Core takes connections over TLS only; write mqtts://",
        ),
        (
            "preset: aws-iot-core, url: ['mqtts://h:443', 'wss://h'], certificate: a, key: b",
            "t:6:35 uplinks.u.url: AWS IoT Core can't be reached over WebSocket from here: it wants \
             SigV4 or a custom authorizer there, and looks at no certificate; write mqtts:// with \
             port 8883 or 443",
        ),
        (
            "preset: azure-event-grid, url: 'mqtts://h:1883', username: u, password: { file: f }",
            "t:6:39 warning: uplinks.u.url: Azure Event Grid listens on port 8883 or 443, not on 1883",
        ),
        (
            "preset: thingsboard, url: 'mqtts://h'",
            "t:6:3 uplinks.u: ThingsBoard knows nobody without credentials; write username: with the \
             access token, or certificate: … and key: …",
        ),
        (
            "preset: emqx-cloud, url: 'mqtts://h', username: u, password: { file: f }, rate: { messages: 20/s }",
            "t:6:88 uplinks.u.rate: EMQX Cloud Serverless takes a rate of messages of at most 10/s; \
             write at most 10/s",
        ),
    ] {
        assert_eq!(about("'{device}/{tag}'", uplink), want, "{uplink}");
    }
}

#[test]
fn every_limit_of_a_service_is_held_against_what_is_written() {
    let wrong = format!(
        "{AWS}, client-id: {}, packet-max: 256KiB, keep-alive: 1h, window: {{ messages: 200 }}, \
         rate: {{ messages: 200/s, bytes: 1MB/s }}, receive: [ {{ filter: x, under: y, qos: 2 }} ]",
        "c".repeat(129)
    );
    let said = about("'{device}/{tag}'", &wrong);
    for want in [
        "uplinks.u.client-id: AWS IoT Core takes client ids of at most 128 bytes",
        "uplinks.u.packet-max: AWS IoT Core takes packets of at most 128KiB; write at most 128KiB",
        "uplinks.u.keep-alive: AWS IoT Core takes a keep-alive of 5s to 20min",
        "uplinks.u.window: AWS IoT Core takes unacknowledged messages of at most 100",
        "uplinks.u.rate: AWS IoT Core takes a rate of messages of at most 100/s",
        "uplinks.u.rate: AWS IoT Core takes a rate of bytes of at most 512kB/s",
        "uplinks.u.receive: AWS IoT Core has no QoS 2, which is asked for with x; write qos: 1",
    ] {
        assert!(said.contains(want), "{want}\n{said}");
    }
    let grid = "preset: azure-event-grid, url: 'mqtts://h', certificate: a, key: b, \
                packet-max: 100KB";
    assert_eq!(
        about("'{device}/{tag}'", grid),
        "t:6:88 uplinks.u.packet-max: a packet may have 100000 bytes (packet-max), but the window \
         only 64000 (window.bytes)"
    );
    let hub = "preset: azure-iot-hub, url: 'mqtts://h', certificate: a, key: b, retain: true";
    assert_eq!(
        about("'{device}/{tag}'", hub),
        "t:6:81 warning: uplinks.u.retain: Azure IoT Hub retains no messages; write retain: false"
    );
}

/// Whatever subscribes: commands, remote configuration, Home Assistant, an edge node.
#[test]
fn a_service_is_asked_for_no_more_subscriptions_than_it_takes() {
    let emqx = "preset: emqx-cloud, url: 'mqtts://h', username: u, password: { file: f }";
    let uplink = |count: usize, more: &str| {
        let filters: Vec<String> = (0..count).map(|n| format!("a/{n}/set")).collect();
        format!("{more}{emqx}, receive: [{}]", filters.join(", "))
    };
    let words = "EMQX Cloud Serverless takes a number of subscriptions of at most 10";
    let key = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let remote = format!("remote: {{ keys: {{ k: {key} }} }}, ");
    for (more, filters_max) in [("", 10), (remote.as_str(), 7), ("home-assistant: {}, ", 8)] {
        for (count, is_said) in [(filters_max, false), (filters_max + 1, true)] {
            let said = about("'{device}/{tag}'", &uplink(count, more));
            assert_eq!(said.contains(words), is_said, "{more} {count}: {said}");
        }
    }
    let node = |devices: usize| {
        let device = |n| {
            format!("  d{n}: {{ bus: b, unit: {n}, tags: {{ t: {{ coil: 0, write: true }} }} }}\n")
        };
        let devices: String = (1..=devices).map(device).collect();
        said(&format!(
            "gateway: {{ name: g, site: s }}\nbuses: {{ b: {{ modbus-tcp: {{ host: 10.0.0.1 }} }} }}\n\
             devices:\n{devices}uplinks:\n  u: {{ {emqx}, sparkplug: {{ group: p }} }}\n"
        ))
    };
    assert_eq!(node(9), "");
    let said = node(10);
    assert!(said.contains("at most 10 subscriptions, and this edge node needs 11"), "{said}");
}

#[test]
fn home_assistant_is_sent_no_old_value_as_a_state() {
    let words = "Home Assistant would take old values for new ones";
    for (backlog, is_said) in [("columnar", false), ("tag", true), ("plain", true)] {
        let uplink =
            format!("url: 'mqtt://h', home-assistant: {{}}, backlog: {{ payload: {backlog} }}");
        let said = about("'{device}/{tag}'", &uplink);
        assert_eq!(said.contains(words), is_said, "{backlog}: {said}");
    }
}

#[test]
fn topics_that_a_service_refuses_name_a_tag() {
    assert_eq!(
        about("'1/2/3/4/5/6/7/{device}/{tag}'", AWS),
        "t:6:3 uplinks.u: the topic 1/2/3/4/5/6/7/d/t of devices.d.tags.t is not for AWS IoT Core: \
         it has 9 levels, at most 8 are taken; change topic, topics.tag, prefix, or what is sent with send"
    );
    let unsent = format!("{AWS}, send: [x]");
    assert_eq!(about("'1/2/3/4/5/6/7/{device}/{tag}'", &unsent), "");
    let said = about(
        "'{device}/{tag}'",
        "preset: thingsboard, url: 'mqtts://h', username: token, payload: tag, topic: '{device}/{tag}'",
    );
    assert!(
        said.contains(
            "the topic d/t of devices.d.tags.t is not for ThingsBoard: it is unknown there: only \
             v1/gateway/# and v1/devices/me/# may be published to"
        ),
        "{said}"
    );
}

fn uplink(text: &str) -> UplinkPlan {
    let text = format!("{}  u: {{ {text} }}\n", DEVICE.replace("TAG", "'{device}/{tag}'"));
    parse(&text, "t").unwrap_or_else(|problems| panic!("{problems}")).plan.uplinks.remove(0)
}

#[test]
fn what_the_user_writes_wins_over_the_preset_key_by_key() {
    let plain = uplink(AWS);
    assert_eq!(plain.rate, RatePlan { messages: Some(100), bytes: Some(512_000) });
    assert_eq!((plain.window_messages, plain.packet_bytes), (100, 128 * 1024));
    let slower = uplink(&format!("{AWS}, rate: {{ messages: 50/s }}, window: {{ bytes: 300KB }}"));
    assert_eq!(slower.rate, RatePlan { messages: Some(50), bytes: Some(512_000) });
    assert_eq!((slower.window_messages, slower.window_bytes), (100, 300_000));
    let hub = uplink(
        "preset: azure-iot-hub, url: ['mqtts://hub.example', 'mqtts://spare.example'], client-id: dev7, \
         certificate: a, key: b",
    );
    let named = |plan: &UplinkPlan| -> Vec<_> {
        plan.brokers.iter().filter_map(|hub| Some(plan.username.as_ref()?.at(hub))).collect()
    };
    let name = |hub: &str| format!("{hub}/dev7/?api-version=2021-04-12");
    assert_eq!(named(&hub), ["hub.example", "spare.example"].map(name), "each hub has its own");
    assert_eq!(hub.prefix, "devices/dev7/messages/events/");
    assert_eq!((hub.keep_alive, hub.retain), (Duration::from_secs(240), false));
    let own = uplink(
        "preset: azure-iot-hub, url: 'mqtts://h', username: '{host}', password: { file: f }, keep-alive: 1min",
    );
    assert_eq!(named(&own), ["{host}"]);
    assert_eq!(own.keep_alive, Duration::from_secs(60));
}

/// With nothing but credentials a preset breaks none of its service's limits.
#[test]
fn no_preset_breaks_the_limits_of_its_own_service() {
    for service in clouds::services() {
        let text = format!(
            "preset: {}, url: 'mqtts://h', username: u, password: {{ file: f }}, certificate: a, \
             key: b",
            service.name
        );
        let said = about("'{device}/{tag}'", &text);
        assert_eq!(said, "", "{}", service.name);
    }
}

#[test]
fn a_service_is_not_sent_what_it_cannot_read() {
    let hub = "preset: azure-iot-hub, url: 'mqtts://h', certificate: a, key: b, retain: false";
    let words = "the topic tells Azure IoT Hub that the payload is JSON, and it is not";
    for (backlog, is_said) in [
        ("", false),
        (", backlog: { payload: senml-json }", true),
        (", backlog: { deflate: true }", true),
        (", backlog: { deflate: true, topic: x }", false),
    ] {
        let said = about("'{device}/{tag}'", &format!("{hub}{backlog}"));
        assert_eq!(said.contains(words), is_said, "{backlog}: {said}");
    }
    for (payload, is_said) in [
        ("tag", false),
        ("plain", true),
        ("line-protocol", true),
        ("{ template: '{value}' }", true),
        ("{ template: '[{value}]' }", false),
    ] {
        let said = about("'{device}/{tag}'", &format!("{hub}, payload: {payload}"));
        assert_eq!(said.contains(words), is_said, "{payload}: {said}");
    }
    let own = "url: 'mqtt://h', payload: thingsboard, backlog: { deflate: true }";
    assert_eq!(
        about("'{device}/{tag}'", own),
        "t:6:67 uplinks.u.backlog.deflate: ThingsBoard does not take what is deflated; leave deflate \
         out, or choose another payload for the backlog"
    );
}

#[test]
fn a_field_that_influxdb_does_not_take_is_named() {
    let tags = |line: &str, topic: &str| {
        let text = format!(
            "gateway: {{ name: g }}\nbuses: {{ b: {{ modbus-tcp: {{ host: h }} }} }}\ndevices:\n  d:\n    \
             bus: b\n    tags:\n      time: {{ holding: 1, type: u16 }}\n      _x: {{ holding: 2, type: u16 }}\n      \
             timer: {{ holding: 3, type: u16 }}\nuplinks: {{ u: {{ url: 'mqtt://h', send: ['{topic}'], {line} }} }}"
        );
        let loaded = parse(&text, "t").unwrap();
        loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let line = "payload: line-protocol";
    let said = tags(line, "#");
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(
        said[0],
        "t:7:7 warning: devices.d.tags.time: uplinks.u sends line-protocol, and InfluxDB refuses or drops a \
         field of this name; choose another name"
    );
    assert_eq!(tags("backlog: { payload: line-protocol }", "#").len(), 2);
    assert_eq!(tags("payload: group", "#").len(), 0);
    assert_eq!(tags(line, "+/d/timer").len(), 0);
}

#[test]
fn payloads_that_would_spoil_each_other_and_shared_filters_are_refused() {
    let words = "every message would hold one reading";
    for (keys, is_said) in [
        ("payload: group", false),
        ("payload: plain, backlog: { payload: tag }", false),
        ("payload: group, backlog: { payload: tag }", true),
        ("payload: cbor, backlog: { payload: plain }", true),
        ("backlog: { payload: group }", true),
        ("payload: cbor, backlog: { payload: group }", false),
    ] {
        let said = about("'{device}/{tag}'", &format!("url: 'mqtt://h', {keys}"));
        assert_eq!(said.contains(words), is_said, "{keys}: {said}");
    }
    let shared = "url: 'mqtt://h', send: [ '$share/g/a' ], receive: [ '$share/g/+/set', { filter: \
                  '$share/g/b', under: c } ]";
    let said = about("'{device}/{tag}'", shared);
    for place in ["uplinks.u.send[0]", "uplinks.u.receive[0]", "uplinks.u.receive[1].filter"] {
        assert!(said.contains(&format!("{place}: \"$share/g/")), "{place}: {said}");
    }
}
