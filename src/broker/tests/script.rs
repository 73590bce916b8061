//! Runs the wire tests in `v3.txt`, `v5.txt` and `qos2.txt`.
//!
//! A case starts with `case` and its rule. `A > packet` sends, `A < packet` expects exactly this
//! next, `A closed` and `A open` say how the connection stands, `A lost` loses it, `wait 5s` lets
//! time pass, `limit inflight 2` sets a bound before the first packet, `gateway topic payload
//! [retain]` publishes in-process. `A connect3 id`, `A resume3 id`, `A connect5 id [properties]`
//! and `A resume5 …` connect with clean start or without and expect to be accepted. At the end of
//! a case nothing may be left unread.

use std::time::Duration;

use super::notation::bytes;
use super::rig::{Rig, limits};
use crate::broker::outbox::End;
use crate::config::BrokerLimits;

/// The CONNACK of an accepted 5.0 connection: receive maximum 1024, packets of 4096 bytes at most,
/// 32 aliases, no shared subscriptions.
const OFFER: &str = "210400 2700001000";
const OFFER_END: &str = "220020 2a00";

fn set(limits: &mut BrokerLimits, name: &str, value: usize) {
    match name {
        "inflight" => limits.inflight = u16::try_from(value).unwrap(),
        "queue_messages" => limits.queue_messages = value,
        "retained_messages" => limits.retained_messages = value,
        "subscriptions" => limits.subscriptions_per_client = value,
        other => panic!("no limit {other}"),
    }
}

fn run(case: &str) {
    let mut lines = case.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let title = lines.next().unwrap_or_default();
    let lines: Vec<&str> = lines.collect();
    let mut limits = limits();
    for line in &lines {
        if let Some(limit) = line.strip_prefix("limit ") {
            let (name, value) = limit.split_once(' ').unwrap();
            set(&mut limits, name, value.parse().unwrap());
        }
    }
    let mut rig = Rig::new(limits).with_rules();
    let mut names = Vec::new();
    for line in lines {
        let context = || format!("{title}\n  at: {line}");
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match first {
            "limit" => continue,
            "wait" => {
                let seconds = rest.trim_end_matches('s').parse().unwrap();
                rig.wait(Duration::from_secs_f64(seconds));
                continue;
            }
            "gateway" => {
                let mut words = rest.split(' ');
                let (topic, payload) = (words.next().unwrap(), words.next().unwrap());
                rig.local(topic, payload, words.next() == Some("retain"));
                continue;
            }
            _ => {}
        }
        let name = first;
        if !names.contains(&name) {
            names.push(name);
        }
        let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let expect = |rig: &mut Rig, packet: Vec<u8>| {
            let output = rig.output(name);
            assert!(
                output.starts_with(&packet),
                "{}\n  expected {packet:02x?}\n  got      {output:02x?}",
                context()
            );
            output.drain(..packet.len());
        };
        match verb {
            ">" => rig.send(name, &bytes(rest)),
            "<" => expect(&mut rig, bytes(rest)),
            "closed" => {
                assert_eq!(rig.output(name), b"", "{}", context());
                assert_ne!(rig.end(name), End::Open, "{}", context());
            }
            "open" => assert_eq!(rig.end(name), End::Open, "{}", context()),
            "lost" => {
                assert_eq!(rig.output(name), b"", "{}", context());
                rig.lose(name);
            }
            "connect3" | "resume3" => {
                let clean = if verb == "connect3" { "02" } else { "00" };
                rig.send(name, &bytes(&format!("10[ \"MQTT\" 04 {clean} 0000 \"{rest}\" ]")));
                let output = rig.output(name);
                assert!(output.starts_with(&[0x20, 2]) && output[3] == 0, "{}", context());
                output.drain(..4);
            }
            "connect5" | "resume5" => {
                let (id, properties) = rest.split_once(' ').unwrap_or((rest, ""));
                let clean = if verb == "connect5" { "02" } else { "00" };
                let packet = format!("10[ \"MQTT\" 05 {clean} 0000 [{properties}] \"{id}\" ]");
                rig.send(name, &bytes(&packet));
                let output = rig.output(name);
                let connack = bytes(&format!("20[ 0000 [{OFFER} {OFFER_END}] ]"));
                assert!(output.len() >= connack.len(), "{} {output:02x?}", context());
                assert_eq!(output[3], 0, "{} {output:02x?}", context());
                output.drain(..connack.len());
            }
            other => panic!("no verb {other:?}: {}", context()),
        }
    }
    for name in names {
        if rig.has(name) {
            let left = rig.read(name);
            assert!(left.is_empty(), "{title}\n  left for {name}: {left:02x?}");
        }
    }
}

fn run_all(text: &str, at_least: usize) {
    let cases: Vec<&str> = text.split("\ncase ").skip(1).collect();
    assert!(cases.len() >= at_least, "only {} cases were found", cases.len());
    let failed =
        cases.iter().filter(|case| std::panic::catch_unwind(|| run(case)).is_err()).count();
    assert_eq!(failed, 0, "cases failed, see above");
}

#[test]
fn mqtt_3_1_1() {
    run_all(include_str!("v3.txt"), 20);
}

#[test]
fn mqtt_5_0() {
    run_all(include_str!("v5.txt"), 40);
}

#[test]
fn qos_2() {
    run_all(include_str!("qos2.txt"), 20);
}

/// The offer of the CONNACK, in full.
#[test]
fn connack_tells_what_is_offered() {
    let mut rig = Rig::new(limits());
    rig.send("A", &bytes("10[ \"MQTT\" 05 02 0000 [] \"\" ]"));
    let id = "\"auto-0000000000000abc-1\"";
    assert_eq!(rig.read("A"), bytes(&format!("20[ 0000 [{OFFER} 12 {id} {OFFER_END}] ]")));
}
