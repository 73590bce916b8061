//! Births, deaths, sequence numbers, rebirths, the primary host.

use super::*;
use crate::codec::sparkplug::{Content, PropertyContent};
use crate::model::{Fault, Qos};
use crate::uplink::sparkplug::host::Turn;
use crate::uplink::sparkplug::node::REBIRTH_COOLDOWN;

#[test]
fn births_come_in_order_and_count_from_zero_each_time() {
    let mut rig = Rig::new();
    let first = rig.births();
    assert_eq!(topics(&first), ["NBIRTH/edge", "DBIRTH/edge/press", "DBIRTH/edge/oven"]);
    assert_eq!(seqs(&first), [Some(0), Some(1), Some(2)]);
    assert!(first.iter().all(|out| out.qos == Qos::AtMostOnce));
    let rebirth = named(&first[0], "Node Control/Rebirth");
    assert_eq!(
        (rebirth.alias, rebirth.datatype, rebirth.value),
        (None, Some(11), Some(Content::Boolean(false)))
    );
    assert_eq!(named(&first[0], "bdSeq").value, Some(Content::Long(0)));
    let mut aliases: Vec<_> =
        first.iter().flat_map(|out| payload(out).metrics).filter_map(|m| m.alias).collect();
    aliases.sort_unstable();
    assert_eq!(aliases, [1, 2, 3, 4, 5, 6]);
    rig.take(Lane::Live, vec![rig.read("count", 1001, Value::U64(1))]);
    let again = rig.births();
    assert_eq!(seqs(&again), [Some(0), Some(1), Some(2)]);
    assert_eq!(named(&again[1], "count").alias, named(&first[1], "count").alias);
    assert_eq!(named(&again[0], "bdSeq").value, Some(Content::Long(0)), "the same will stands");
}

#[test]
fn a_birth_holds_what_is_known_now_in_the_order_of_time() {
    let mut rig = Rig::new();
    let known = [
        rig.read("setpoint", 900, Value::F64(2.5)),
        Reading::bad(rig.ids["mode"], Mono(800), Fault::Undecodable),
    ];
    for reading in known {
        rig.latest.0.lock().unwrap().insert(reading.tag(), reading);
    }
    let births = rig.births();
    let press = payload(&births[1]).metrics;
    let names: Vec<_> = press.iter().filter_map(|metric| metric.name.as_deref()).collect();
    assert_eq!(
        names,
        ["mode", "setpoint", "count"],
        "what was never read has the time of the birth"
    );
    assert_eq!(press[1].value, Some(Content::Double(2.5)));
    assert_eq!((press[0].is_null, press[2].is_null), (Some(true), Some(true)));
    let quality = |metric: &WireMetric| {
        let set = metric.properties.clone().unwrap();
        let at = set.keys.iter().position(|key| key == "Quality").unwrap();
        set.values[at].value.clone()
    };
    let codes: Vec<_> = press.iter().map(|metric| quality(metric).unwrap()).collect();
    assert_eq!(codes, [0, 192, 500].map(PropertyContent::Int));
}

#[test]
fn bd_seq_grows_with_every_connect_that_was_sent_and_begins_again_after_255() {
    let mut rig = Rig::new();
    assert_eq!(rig.node.next_bd_seq(), 1);
    assert_eq!(rig.node.next_bd_seq(), 1, "the attempt before did not come to CONNECT");
    rig.node.sent_connect();
    assert_eq!(rig.node.next_bd_seq(), 2);
    let plan = rig.node.plan.clone();
    let mut node = Node::new(plan, Some(255));
    assert_eq!(node.next_bd_seq(), 0);
    let death = node.death(7, 5);
    assert_eq!((death.topic.as_str(), death.qos), ("spBv1.0/plant/NDEATH/edge", Qos::AtLeastOnce));
    let payload = payload(&death);
    assert_eq!((payload.seq, payload.metrics.len()), (None, 1));
    assert_eq!(payload.metrics[0].value, Some(Content::Long(7)));
}

#[test]
fn nothing_is_said_at_the_end_if_nothing_was_said_before() {
    let mut rig = Rig::new();
    rig.node.farewell(5);
    assert!(rig.node.outbox.is_empty());
    rig.births();
    rig.node.farewell(5);
    assert_eq!(topics(&rig.node.outbox.drain(..).collect::<Vec<_>>()), ["NDEATH/edge"]);
}

#[tokio::test(start_paused = true)]
async fn a_rebirth_comes_at_once_and_the_next_after_the_cooldown() {
    let mut rig = Rig::new();
    rig.node.want_rebirth();
    assert!(!rig.node.is_free(), "not before the first births");
    rig.births();
    assert!(rig.node.is_free() && rig.node.births_due().is_none());
    rig.node.want_rebirth();
    assert!(!rig.node.is_free(), "no data before the births");
    assert_eq!(rig.node.births_due(), Some(Instant::now()));
    rig.births();
    rig.node.want_rebirth();
    assert_eq!(rig.node.births_due(), Some(Instant::now() + REBIRTH_COOLDOWN));
    tokio::time::advance(REBIRTH_COOLDOWN).await;
    assert!(rig.node.births_due().unwrap() <= Instant::now());
}

#[test]
fn births_are_not_made_behind_births_that_wait_to_be_sent() {
    let mut rig = Rig::new();
    rig.with_now(Node::births);
    rig.node.want_rebirth();
    assert_eq!(rig.node.births_due(), None);
    rig.node.outbox.clear();
    assert!(rig.node.births_due().is_some());
}

#[test]
fn data_that_waits_to_be_sent_gives_way_to_births() {
    let mut rig = Rig::new();
    rig.births();
    assert!(!rig.node.want_rebirth(), "nothing waits");
    rig.with_now(Node::births);
    rig.node.notice(5, String::new());
    rig.node.data(0, Vec::new());
    rig.with_now(|node, now| node.device_birth(1, now));
    assert!(rig.node.want_rebirth());
    let left: Vec<_> = rig.node.outbox.drain(..).collect();
    assert_eq!(topics(&left), ["NBIRTH/edge", "DBIRTH/edge/press", "DBIRTH/edge/oven"]);
    assert_eq!(seqs(&rig.births()), [Some(0), Some(1), Some(2)]);
}

#[test]
fn a_message_has_the_time_at_which_it_is_sent() {
    let mut rig = Rig::new();
    let births = rig.births();
    let times = births.iter().map(|out| Payload::decode(&*out.payload(NOW + 9)).unwrap().timestamp);
    assert!(times.into_iter().all(|time| time == Some(NOW + 9)));
}

#[test]
fn births_wait_for_the_primary_host() {
    let mut rig = Rig::with_host(Some("scada"));
    assert!(rig.node.plan.subscribed().contains(&"spBv1.0/STATE/scada".to_owned()));
    assert_eq!(rig.node.births_due(), None);
    let online = br#"{"online":true,"timestamp":5}"#;
    assert_eq!(rig.node.state("another", online), None);
    assert_eq!(rig.node.births_due(), None);
    assert_eq!(rig.node.state("scada", online), Some(Turn::Online));
    assert!(rig.node.births_due().is_some());
}

#[test]
fn filters_are_those_of_the_node_and_of_devices_that_take_commands() {
    let filters = Rig::new().node.plan.subscribed();
    assert_eq!(filters, ["spBv1.0/plant/NCMD/edge", "spBv1.0/plant/DCMD/edge/press"]);
}

#[test]
fn a_notice_is_data_of_the_node_and_stands_in_its_next_birth() {
    let mut rig = Rig::new();
    let births = rig.births();
    let before = named(&births[0], "Notices");
    assert_eq!((before.is_null, before.datatype), (Some(true), Some(12)));
    rig.node.notice(77, "{\"notice\":\"gap\"}".to_owned());
    let told: Vec<_> = rig.node.outbox.drain(..).collect();
    assert_eq!((topics(&told), seqs(&told)), (vec!["NDATA/edge"], vec![Some(3)]));
    let metric = payload(&told[0]).metrics.remove(0);
    assert_eq!((metric.name, metric.alias, metric.timestamp), (None, before.alias, Some(77)));
    let text = Some(Content::Text("{\"notice\":\"gap\"}".to_owned()));
    assert_eq!(metric.value, text);
    assert_eq!(named(&rig.births()[0], "Notices").value, text);
}

#[test]
fn a_birth_is_as_large_as_check_says() {
    let mut rig = Rig::new();
    let births = rig.births();
    for (birth, device) in births[1..].iter().zip(&rig.node.plan.devices) {
        // Its time and seq.
        assert_eq!(birth.payload(NOW).len(), device.birth_bytes() + 7 + 2, "{}", device.name);
    }
}

#[test]
fn what_did_not_go_out_before_the_death_certificate_does_not_go_out_behind_it() {
    let mut rig = Rig::new();
    rig.with_now(Node::births);
    rig.node.farewell(5);
    assert_eq!(topics(&rig.node.outbox.drain(..).collect::<Vec<_>>()), ["NDEATH/edge"]);
}
