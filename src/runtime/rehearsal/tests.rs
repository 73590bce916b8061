//! What a rehearsal says against what is known by arithmetic, and its two ways against each other.

use std::collections::BTreeMap;

use super::*;
use crate::uplink::rehearsal::Bound;

const NO_STOP: &Progress<'static> = &|_| true;

/// Ten tags a second, five of class bulk each 5 s, and an alarm each minute.
fn plan(uplinks: &str, state: &std::path::Path) -> Plan {
    let tag =
        |n: u16, more: &str| format!("t{n}: {{ holding: {}, type: f32, unit: V, {more} }}", 2 * n);
    let normal = (0..10).map(|n| tag(n, "every: 1s"));
    let bulk = (10..15).map(|n| tag(n, "every: 5s, class: bulk"));
    let alarm = [tag(15, "every: 1min, class: alarm")].into_iter();
    let tags: Vec<_> = normal.chain(bulk).chain(alarm).collect();
    let text = format!(
        "gateway: {{ name: g, site: s }}\nbuses:\n  b: {{ modbus-tcp: {{ host: h }} }}\ndevices:\n\
         \x20 d: {{ bus: b, tags: {{ {} }} }}\nuplinks:\n{uplinks}store: {{ path: {} }}\n",
        tags.join(", "),
        state.display()
    );
    crate::config::parse(&text, "test").unwrap().plan
}

const CLOUD: &str = "  cloud: { url: \"mqtt://h\", send: [\"#\"] }\n";

fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

fn all(plan: &Plan, wanted: &Wanted) -> Answer {
    let answer = rehearse(plan, wanted, NO_STOP).unwrap();
    for sample in &answer.samples {
        for (name, account) in &sample.uplinks {
            assert!(account.holds(), "{name} at {} ms: {account:?}", sample.at_ms);
        }
    }
    assert!(answer.samples.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
    for class in answer.uplinks.iter().flat_map(|uplink| uplink.classes.values()) {
        assert!(class.account.holds(), "{class:?}");
        assert_eq!(class.dropped_why.values().sum::<u64>(), class.account.dropped);
    }
    answer
}

fn way(uplink: &UplinkAnswer) -> &Way {
    match &uplink.drain {
        Drain::Drained(way) => way,
        Drain::FallsBehind(_) | Drain::Unknown { .. } => panic!("{} is not drained", uplink.name),
    }
}

fn near(a: u64, b: u64, percent: u64) {
    assert!(a.abs_diff(b) * 100 <= percent * a.max(b), "{a} and {b}");
}

#[test]
fn exactly_what_was_read_waits_and_all_of_it_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let answer = all(&plan(CLOUD, dir.path()), &Wanted::of(minutes(10)));
    let cloud = &answer.uplinks[0];
    let waiting = |class: &str| cloud.classes[class].account.waiting;
    assert_eq!((waiting("normal"), waiting("bulk"), waiting("alarm")), (6_000, 600, 10));
    assert_eq!((answer.measured_ms, answer.store.readings), (600_000, 6_610));
    assert_eq!((cloud.first_drop_ms, cloud.sum().dropped), (None, 0));
    let way = way(cloud);
    assert!(!way.computed && way.ms > 0, "{way:?}");
    // All that had waited, and what came meanwhile.
    assert!(way.sent.readings >= 6_610 && way.sent.readings < 6_650, "{way:?}");
    let last = answer.samples.last().unwrap().uplinks["cloud"];
    assert!(last.delivered >= 6_610, "{last:?}");
    assert_eq!(answer.store.power_cut_ms, Some(1_000));
    assert_eq!(answer.store.power_cut_readings, 11);
    assert!(!dir.path().join("store").exists(), "nothing is made in the configured place");
}

#[test]
fn what_no_filter_wants_is_left_out_and_two_uplinks_go_their_own_ways() {
    let dir = tempfile::tempdir().unwrap();
    let uplinks = "  cloud: { url: \"mqtt://h\", send: [\"s/g/d/t0\"] }\n\
                   \x20 lab: { url: \"mqtt://h\", send: [\"#\"], policy: best-effort }\n";
    let answer = all(&plan(uplinks, dir.path()), &Wanted::of(minutes(5)));
    let [cloud, lab] = &answer.uplinks[..] else { panic!() };
    assert_eq!((cloud.required, lab.required), (true, false));
    assert_eq!(cloud.sum().waiting, 3_305);
    assert!(way(cloud).sent.readings < 310 && way(cloud).sent.excluded >= 3_005);
    assert_eq!(way(lab).sent.excluded, 0);
}

#[test]
fn a_quota_drops_the_oldest_bulk_first_and_the_ledger_says_what_the_equation_does() {
    let dir = tempfile::tempdir().unwrap();
    let mut plan = plan(CLOUD, dir.path());
    plan.store.max_bytes = Some(300_000);
    let wanted = Wanted { readings_max: 1 << 30, ..Wanted::of(minutes(600)) };
    let answer = all(&plan, &wanted);
    let cloud = &answer.uplinks[0];
    assert_eq!(answer.measured_ms, answer.outage_ms);
    assert_eq!(cloud.sum().appended, 600 * 661);
    let bulk = &cloud.classes["bulk"];
    assert!(bulk.account.dropped > 0 && bulk.dropped_why.contains_key("quota"), "{bulk:?}");
    assert!(answer.store.bytes <= 310_000, "{}", answer.store.bytes);
    // The first drop is where the file was full: what waited until then is the room.
    let first = cloud.first_drop_ms.unwrap();
    let before = answer.samples.iter().take_while(|sample| sample.at_ms < first).last().unwrap();
    assert_eq!(before.uplinks["cloud"].dropped, 0);
    assert!(before.bytes > 270_000, "{before:?}");
    let after = answer.samples.iter().find(|sample| sample.at_ms > first).unwrap();
    assert!(after.uplinks["cloud"].dropped > 0);
    assert!(answer.store.enough_ms.is_some_and(|enough| enough == first));

    // The same outage computed from its first part says about the same.
    let less = Wanted { readings_max: 1, ..wanted };
    let computed = all(&plan, &less);
    assert!(computed.measured_ms < first / 2, "{}", computed.measured_ms);
    let cloud_computed = &computed.uplinks[0];
    near(cloud_computed.sum().appended, cloud.sum().appended, 1);
    near(cloud_computed.first_drop_ms.unwrap(), first, 15);
    near(cloud_computed.sum().waiting, cloud.sum().waiting, 15);
    near(computed.store.written_bytes, answer.store.written_bytes, 25);
    assert!(computed.assumed.iter().any(|text| text.contains("computed")));
}

#[test]
fn with_room_a_long_outage_is_computed_to_the_reading() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(CLOUD, dir.path());
    let wanted = Wanted { readings_max: 1, ..Wanted::of(minutes(6_000)) };
    let answer = all(&plan, &wanted);
    assert!(answer.measured_ms < answer.outage_ms);
    assert_eq!(answer.store.readings, 6_000 * 661);
    let ends: Vec<_> = answer.samples.iter().map(|sample| sample.at_ms).collect();
    assert!(ends.contains(&answer.outage_ms), "{ends:?}");
    let gone = all(&plan, &Wanted { readings_max: READINGS, ..Wanted::of(minutes(300)) });
    near(gone.store.bytes * 20, answer.store.bytes, 20);
    near(
        gone.store.written_bytes_per_day.unwrap(),
        answer.store.written_bytes_per_day.unwrap(),
        15,
    );
}

#[test]
fn what_grows_too_old_is_dropped_for_its_age() {
    let dir = tempfile::tempdir().unwrap();
    let mut plan = plan(CLOUD, dir.path());
    plan.store.max_age = minutes(30);
    let answer = all(&plan, &Wanted::of(minutes(60)));
    let cloud = &answer.uplinks[0];
    let first = cloud.first_drop_ms.unwrap();
    // A chunk goes as a whole, when the last of it is old, and the file is looked at each 10 s.
    assert!((30 * 60_000..31 * 60_000).contains(&first), "{first}");
    let normal = &cloud.classes["normal"];
    assert_eq!(normal.dropped_why.keys().collect::<Vec<_>>(), ["age"]);
    near(normal.account.dropped, 18_000, 3);
    let computed = all(&plan, &Wanted { readings_max: 1, ..Wanted::of(minutes(60)) });
    near(computed.uplinks[0].classes["normal"].account.dropped, 18_000, 3);
    assert_eq!(computed.uplinks[0].first_drop_ms, Some(30 * 60_000));
}

#[test]
fn a_rate_is_kept_and_binds() {
    let dir = tempfile::tempdir().unwrap();
    let uplink = "  cloud: { url: \"mqtt://h\", send: [\"#\"], backlog: { payload: tag }, \
                  rate: { messages: 100/s } }\n";
    let answer = all(&plan(uplink, dir.path()), &Wanted::of(minutes(10)));
    let way = way(&answer.uplinks[0]);
    // One message for each reading: 6,610 that waited, while eleven more come in each second.
    assert_eq!((way.bound, way.sent.messages), (Bound::RateMessages, way.sent.readings));
    let rate = f64::from(u32::try_from(way.sent.messages).unwrap())
        / Duration::from_millis(way.ms).as_secs_f64();
    assert!((90.0..=101.0).contains(&rate), "{rate}");
    near(way.ms, 6_610 * 1_000 / 84, 6);
    let (middle, most) = way.live_ms.unwrap();
    assert!(middle < 400 && most < 2_000, "live values go first: {middle} {most}");
}

#[test]
fn the_window_and_the_round_trip_bind() {
    let dir = tempfile::tempdir().unwrap();
    let uplink = "  cloud: { url: \"mqtt://h\", send: [\"#\"], backlog: { payload: tag }, \
                  window: { messages: 10 } }\n";
    let wanted = Wanted { round_trip: Duration::from_millis(200), ..Wanted::of(minutes(10)) };
    let answer = all(&plan(uplink, dir.path()), &wanted);
    let way = way(&answer.uplinks[0]);
    // Ten in each 200 ms are 50 in a second, of which eleven are live.
    assert_eq!(way.bound, Bound::WindowMessages);
    near(way.ms, 6_610 * 1_000 / 39, 8);
}

#[test]
fn an_uplink_that_may_send_less_than_comes_falls_behind() {
    let dir = tempfile::tempdir().unwrap();
    let uplink = "  cloud: { url: \"mqtt://h\", send: [\"#\"], backlog: { payload: tag }, \
                  rate: { messages: 5/s } }\n";
    let answer = all(&plan(uplink, dir.path()), &Wanted::of(minutes(120)));
    let Drain::FallsBehind(way) = &answer.uplinks[0].drain else { panic!("it got through") };
    assert!(way.ms > 600_000, "{way:?}");
}

#[test]
fn memory_only_is_bounded_by_memory_and_a_power_cut_costs_all() {
    let dir = tempfile::tempdir().unwrap();
    let mut plan = plan(CLOUD, dir.path());
    plan.store.path = None;
    plan.store.ram_bytes = 1 << 20;
    let answer = all(&plan, &Wanted::of(minutes(120)));
    let cloud = &answer.uplinks[0];
    assert!(cloud.sum().dropped > 0 && cloud.first_drop_ms.is_some(), "{cloud:?}");
    assert_eq!((answer.store.power_cut_ms, answer.store.written_bytes), (None, 0));
    assert_eq!(answer.store.power_cut_readings, cloud.sum().waiting);
    assert!(answer.store.bytes <= 1 << 20);
}

#[test]
fn the_same_question_has_the_same_answer() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(CLOUD, dir.path());
    let answer = || {
        let mut answer = all(&plan, &Wanted::of(minutes(20)));
        for uplink in &mut answer.uplinks {
            if let Drain::Drained(way) = &mut uplink.drain {
                // The machine takes its time, and each store has a number of its own in its messages.
                near(way.sent.bytes, 132_400, 1);
                (way.machine_ms, way.sent.bytes, way.bytes_per_reading) = (0, 0, None);
            }
        }
        answer
    };
    assert!(answer() == answer(), "two answers to one question");
}

#[test]
fn what_cannot_be_rehearsed_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let sound = plan(CLOUD, dir.path());
    let says =
        |plan: &Plan, wanted: &Wanted| rehearse(plan, wanted, NO_STOP).unwrap_err().to_string();
    let hour = Wanted::of(minutes(60));
    let without = |change: fn(&mut Plan)| {
        let mut plan = sound.clone();
        change(&mut plan);
        says(&plan, &hour)
    };
    assert!(without(|plan| plan.uplinks.clear()).contains("no uplink"));
    assert!(without(|plan| plan.buses.clear()).contains("no tag"));
    for outage in [Duration::from_secs(9), OUTAGE_MAX + Duration::from_secs(1)] {
        assert!(says(&sound, &Wanted::of(outage)).contains("10s to 366d"));
    }
    let slow = Wanted { round_trip: minutes(2), ..hour.clone() };
    assert!(says(&sound, &slow).contains("at most 1min"));
    let nowhere = Wanted { dir: Some(dir.path().join("absent")), ..hour.clone() };
    assert!(says(&sound, &nowhere).contains("absent can't be used"));
    let stopped = rehearse(&sound, &hour, &|share| share < 0.1).unwrap_err();
    assert!(matches!(stopped, RehearsalError::Cancelled));
}

#[test]
fn an_edge_nodes_queue_is_told_and_its_drain_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let uplink = "  host: { url: \"mqtt://h\", sparkplug: { group: p } }\n";
    let answer = all(&plan(uplink, dir.path()), &Wanted::of(minutes(2)));
    assert_eq!(answer.uplinks[0].sum().waiting, 1_322);
    assert!(matches!(&answer.uplinks[0].drain, Drain::Unknown { why } if why.contains("host")));
}

#[test]
fn the_demonstrations_plant_is_rehearsed() {
    let dir = tempfile::tempdir().unwrap();
    let text = include_str!("../../../configs/demo.yaml");
    let mut plan = crate::config::parse(text, "example").unwrap().plan;
    plan.store.path = Some(dir.path().to_owned());
    let answer = all(&plan, &Wanted::of(minutes(5)));
    let delivered: BTreeMap<_, _> =
        answer.uplinks.iter().map(|uplink| (&uplink.name, way(uplink).sent.readings)).collect();
    assert!(delivered.values().all(|readings| *readings > 1_000), "{delivered:?}");
}
