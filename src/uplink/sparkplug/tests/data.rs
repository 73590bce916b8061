//! Rows in, data messages and fates out.

use super::*;
use crate::codec::sparkplug::{Content, PropertyContent};
use crate::model::Fault;
use crate::uplink::settling::Fate;

fn lost(rig: &Rig, at: i64) -> Vec<Reading> {
    ["count", "setpoint", "mode"]
        .map(|tag| Reading::bad(rig.ids[tag], Mono(at), Fault::NoAnswer))
        .into()
}

fn fates(sent: &Sent) -> Vec<(bool, u64)> {
    let is_delivered = |fate: &Fate| matches!(fate, Fate::Delivered(_));
    sent.rows.iter().map(|(_, fate, r)| (is_delivered(fate), r.end.0 - r.start.0)).collect()
}

fn metrics(out: &Out) -> Vec<WireMetric> {
    payload(out).metrics
}

#[test]
fn live_data_has_aliases_only_and_says_nothing_twice() {
    let mut rig = Rig::new();
    rig.births();
    let readings = vec![
        rig.read("count", 1001, Value::U64(1)),
        rig.read("heat", 1001, Value::F64(0.5)),
        rig.read("count", 1002, Value::U64(1)),
        rig.read("count", 1003, Value::U64(2)),
    ];
    let (sent, outs) = rig.take(Lane::Live, readings);
    assert_eq!(topics(&outs), ["DDATA/edge/press", "DDATA/edge/oven"]);
    assert_eq!(seqs(&outs), [Some(3), Some(4)]);
    let press = metrics(&outs[0]);
    let values: Vec<_> = press.iter().map(|metric| metric.value.clone().unwrap()).collect();
    assert_eq!(values, [Content::Long(1), Content::Long(2)]);
    assert!(
        press.iter().all(|m| m.name.is_none() && m.datatype.is_none() && m.is_historical.is_none())
    );
    assert_eq!(fates(&sent), [(true, 2), (false, 1), (true, 1)]);
    assert_eq!((sent.messages, sent.bytes), (2, outs.iter().map(Out::bytes).sum()));
}

#[test]
fn what_waited_is_historical_whole_and_in_order() {
    let mut rig = Rig::new();
    let newest = rig.read("count", 900, Value::U64(9));
    rig.latest.0.lock().unwrap().insert(newest.tag(), newest.clone());
    rig.births();
    let waited = vec![
        rig.read("count", 700, Value::U64(7)),
        rig.read("count", 800, Value::U64(7)),
        newest.clone(),
    ];
    let (sent, outs) = rig.take(Lane::Backlog, waited);
    assert_eq!(fates(&sent), [(true, 3)]);
    let values: Vec<_> =
        metrics(&outs[0]).into_iter().map(|m| (m.value, m.is_historical)).collect();
    let historical = |value| (Some(Content::Long(value)), Some(true));
    assert_eq!(values, [historical(7), historical(7), historical(9)]);
    // The birth had it: as a live row it is delivered, and not sent.
    let (sent, outs) = rig.take(Lane::Live, vec![newest]);
    assert_eq!((fates(&sent), outs.len()), (vec![(true, 1)], 0));
    // What is older than the birth is historical, even if it was appended after it.
    let (_, outs) = rig.take(Lane::Live, vec![rig.read("count", 850, Value::U64(8))]);
    assert_eq!(metrics(&outs[0])[0].is_historical, Some(true));
    // And what waited and is newer than the birth is what holds now.
    let (_, outs) = rig.take(Lane::Backlog, vec![rig.read("count", 950, Value::U64(10))]);
    assert_eq!(metrics(&outs[0])[0].is_historical, None);
}

/// Of a host that remembers what was said last.
#[test]
fn what_waited_takes_back_nothing_of_what_is_wrong_now() {
    let mut rig = Rig::new();
    rig.births();
    let quality = |outs: &[Out]| {
        let set = metrics(&outs[0]).remove(0).properties?;
        let at = set.keys.iter().position(|key| key == "Quality")?;
        set.values[at].value.clone()
    };
    let good = Some(PropertyContent::Int(192));
    let wrong = Reading::bad(rig.ids["count"], Mono(1001), Fault::Exception(2));
    let (_, outs) = rig.take(Lane::Live, vec![wrong]);
    assert_eq!(quality(&outs), Some(PropertyContent::Int(0)));
    let (_, outs) = rig.take(Lane::Backlog, vec![rig.read("count", 700, Value::U64(7))]);
    assert_eq!(quality(&outs), good, "it was good then");
    let (_, outs) = rig.take(Lane::Live, vec![rig.read("count", 1002, Value::U64(8))]);
    assert_eq!(quality(&outs), good, "it is good again");
    let wrong = Reading::bad(rig.ids["count"], Mono(800), Fault::Exception(2));
    rig.take(Lane::Backlog, vec![wrong]);
    let (_, outs) = rig.take(Lane::Live, vec![rig.read("count", 1003, Value::U64(9))]);
    assert_eq!(quality(&outs), good, "and was never wrong since");
    for (lane, at) in [(Lane::Live, 1004), (Lane::Backlog, 900)] {
        let (_, outs) = rig.take(lane, vec![rig.read("count", at, Value::I64(at))]);
        assert_eq!(quality(&outs), None);
    }
}

#[test]
fn two_values_of_one_moment_go_in_two_messages_and_large_batches_in_several() {
    let mut rig = Rig::new();
    rig.births();
    let twice =
        vec![rig.read("count", 1001, Value::U64(1)), rig.read("count", 1001, Value::U64(2))];
    let (_, outs) = rig.take(Lane::Backlog, twice);
    assert_eq!(outs.len(), 2);
    let many: Vec<_> = (0..1000).map(|n| rig.read("count", 2000 + n, Value::I64(n))).collect();
    let (sent, outs) = rig.take(Lane::Backlog, many);
    assert_eq!(fates(&sent), [(true, 1000)]);
    assert!(outs.len() > 2 && outs.iter().all(|out| out.bytes() <= 4096));
    assert_eq!(outs.iter().map(|out| metrics(out).len()).sum::<usize>(), 1000);
}

#[test]
fn a_lost_device_dies_once_and_is_born_before_its_next_data() {
    let mut rig = Rig::new();
    rig.births();
    rig.take(Lane::Live, vec![rig.read("count", 1001, Value::U64(1))]);
    let (_, outs) = rig.take(Lane::Live, lost(&rig, 1002));
    let nulls = metrics(&outs[0]);
    assert!(nulls.len() == 3 && nulls.iter().all(|metric| metric.is_null == Some(true)));
    rig.node.device_deaths(true);
    let deaths: Vec<_> = rig.node.outbox.drain(..).collect();
    assert_eq!(topics(&deaths), ["DDEATH/edge/press"]);
    assert!(metrics(&deaths[0]).is_empty());
    rig.node.device_deaths(false);
    assert!(rig.node.outbox.is_empty());
    let (sent, outs) = rig.take(Lane::Live, lost(&rig, 1003));
    assert_eq!((fates(&sent), outs.len()), (vec![(false, 3)], 0), "its death has said so");
    let (sent, outs) = rig.take(Lane::Live, vec![rig.read("count", 1004, Value::U64(2))]);
    assert_eq!((fates(&sent), topics(&outs)), (vec![(true, 1)], vec!["DBIRTH/edge/press"]));
    assert_eq!(named(&outs[0], "count").value, Some(Content::Long(2)));
}

#[test]
fn a_birth_that_overtakes_a_reading_does_not_swallow_it() {
    let mut rig = Rig::new();
    rig.births();
    rig.take(Lane::Live, lost(&rig, 1002));
    rig.node.device_deaths(false);
    rig.node.outbox.clear();
    let newer = rig.read("count", 1005, Value::U64(3));
    rig.latest.0.lock().unwrap().insert(newer.tag(), newer);
    let (_, outs) = rig.take(Lane::Live, vec![rig.read("count", 1004, Value::U64(2))]);
    assert_eq!(topics(&outs), ["DBIRTH/edge/press", "DDATA/edge/press"]);
    assert_eq!(named(&outs[0], "count").value, Some(Content::Long(3)));
    let data = metrics(&outs[1]);
    assert_eq!(
        (data[0].value.clone(), data[0].is_historical),
        (Some(Content::Long(2)), Some(true))
    );
}

#[test]
fn what_waited_of_a_lost_device_goes_between_a_birth_and_a_death() {
    let mut rig = Rig::new();
    for reading in lost(&rig, 900) {
        rig.latest.0.lock().unwrap().insert(reading.tag(), reading);
    }
    rig.births();
    rig.node.device_deaths(true);
    assert!(rig.node.outbox.is_empty(), "something of it may be waiting");
    let (_, outs) = rig.take(Lane::Backlog, vec![rig.read("count", 700, Value::U64(7))]);
    assert_eq!(topics(&outs), ["DDATA/edge/press"]);
    rig.node.device_deaths(false);
    assert_eq!(topics(&rig.node.outbox.drain(..).collect::<Vec<_>>()), ["DDEATH/edge/press"]);
    let (_, outs) = rig.take(Lane::Backlog, vec![rig.read("count", 701, Value::U64(8))]);
    assert_eq!(topics(&outs), ["DBIRTH/edge/press", "DDATA/edge/press"]);
}

#[test]
fn a_tag_that_is_no_longer_configured_is_announced_and_sent() {
    let mut rig = Rig::new();
    rig.births();
    let old =
        [meta("press", "gone", "a"), meta("press", "count", "as text"), meta("pump", "flow", "")];
    let ids = rig.store.register_tags(&old);
    let readings = vec![
        Reading::good(ids[0], Mono(500), Value::Bool(true)),
        Reading::good(ids[1], Mono(501), Value::Text("many".into())),
        Reading::good(ids[2], Mono(502), Value::F64(0.5)),
    ];
    let (sent, outs) = rig.take(Lane::Backlog, readings);
    assert_eq!(fates(&sent), [(true, 3)]);
    assert_eq!(
        topics(&outs),
        [
            "NBIRTH/edge",
            "DBIRTH/edge/press",
            "DBIRTH/edge/oven",
            "DBIRTH/edge/pump",
            "DDATA/edge/press",
            "DDATA/edge/pump"
        ]
    );
    assert_eq!(named(&outs[1], "gone").datatype, Some(11));
    assert_eq!(named(&outs[1], "count~2").datatype, Some(12));
    let values: Vec<_> =
        metrics(&outs[4]).into_iter().map(|metric| metric.value.unwrap()).collect();
    assert_eq!(values, [Content::Boolean(true), Content::Text("many".to_owned())]);
    rig.node.device_deaths(false);
    assert_eq!(topics(&rig.node.outbox.drain(..).collect::<Vec<_>>()), ["DDEATH/edge/pump"]);
}

#[test]
fn a_value_never_goes_under_another_unit_device_or_name() {
    let mut rig = Rig::new();
    rig.births();
    let same = TagMeta { coding: "scaled otherwise".to_owned(), ..meta("press", "count", "") };
    let unit = TagMeta { unit: "psi".to_owned(), ..meta("press", "count", "") };
    let device = TagMeta { device: Name::new("oven").unwrap(), ..meta("press", "count", "") };
    let name = TagMeta { name: Name::new("pieces").unwrap(), ..meta("press", "count", "") };
    let ids = rig.store.register_tags(&[same, unit, device, name]);
    let readings =
        (0_i64..).zip(&ids).map(|(n, id)| Reading::good(*id, Mono(500 + n), Value::U64(7)));
    let (sent, outs) = rig.take(Lane::Backlog, readings.collect());
    assert_eq!(fates(&sent), [(true, 4)]);
    let births: Vec<_> = outs.iter().filter(|out| out.topic.contains("DBIRTH")).collect();
    let unit_of = |metric: &WireMetric| {
        let set = metric.properties.clone().unwrap();
        let at = set.keys.iter().position(|key| key == "engUnit").unwrap();
        format!("{:?}", set.values[at].value.clone().unwrap())
    };
    let (press, oven) = (births[0], births[1]);
    assert!(unit_of(&named(press, "count")).contains("bar"));
    assert!(unit_of(&named(press, "count~2")).contains("psi"));
    let data: Vec<_> = outs.iter().filter(|out| out.topic.contains("DDATA")).collect();
    let aliases = |out: &Out| metrics(out).iter().map(|metric| metric.alias).collect::<Vec<_>>();
    let alias = |birth: &Out, name: &str| named(birth, name).alias;
    assert_eq!(
        aliases(data[0]),
        [alias(press, "count"), alias(press, "count~2"), alias(press, "pieces")]
    );
    assert_eq!(aliases(data[1]), [alias(oven, "count")]);
}

#[test]
fn a_device_whose_birth_is_too_large_waits_and_no_other_does() {
    let mut rig = Rig::new();
    let both = |rig: &Rig, at| {
        vec![rig.read("count", at, Value::U64(1)), rig.read("heat", at, Value::F64(0.5))]
    };
    rig.node.connected("broker:1883", 200);
    assert_eq!(topics(&rig.births()), ["NBIRTH/edge", "DBIRTH/edge/oven"]);
    assert!(rig.node.holds_back());
    let (sent, outs) = rig.take(Lane::Live, both(&rig, 1001));
    assert_eq!((fates(&sent), topics(&outs)), (vec![(true, 1)], vec!["DDATA/edge/oven"]));
    // Tried again in vain, it is still not taken for said.
    for _ in 0..2 {
        rig.node.try_again();
        let (sent, outs) = rig.take(Lane::Live, vec![rig.read("count", 1001, Value::U64(1))]);
        assert!(sent.rows.is_empty() && outs.is_empty() && rig.node.holds_back());
    }
    rig.node.connected("broker:1883", 4096);
    assert_eq!(rig.births().len(), 3);
    let (sent, outs) = rig.take(Lane::Backlog, both(&rig, 1001));
    assert_eq!((fates(&sent), outs.len()), (vec![(true, 2)], 2));
}
