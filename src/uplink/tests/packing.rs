//! Rows in, messages and fates out: none missing, none twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::fake::{Fake, json};
use super::world::{World, plan};
use crate::config::{LiveTopic, MqttVersion, Policy, RatePlan, UplinkPlan};
use crate::model::{
    Batch, Class, Clock, Form, ManualClock, Message, Mono, Name, Qos, Reading, Seq, TagId,
    TopicFilter, TopicName, Value, Wall,
};
use crate::store::{ConsumerSpec, Entry, Options, Store};
use crate::uplink::lanes::{Lane, Work};
use crate::uplink::pack::{Item, PUBLISH_OVERHEAD, Packed, Packer};
use crate::uplink::settling::{DeadReason, Fate, rows_in};

fn text(tag: TagId, at: Mono, bytes: usize) -> Reading {
    Reading::good(tag, at, Value::Text("x".repeat(bytes).into()))
}

fn message(topic: &str, payload: &str, qos: Qos, retain: bool) -> Message {
    let topic = TopicName::new(topic).unwrap();
    Message { topic, payload: payload.as_bytes().into(), qos, retain, at: Mono(1) }
}

async fn all(world: &World) -> (Work, Vec<Entry>) {
    let consumer = world.store.consumer("cloud").unwrap();
    let position = consumer.position(Class::Normal);
    let range = position.unsettled[0].start..position.head;
    let entries = consumer.read(Class::Normal, range.clone(), usize::MAX).await.unwrap();
    (Work { class: Class::Normal, lane: Lane::Backlog, range }, entries)
}

/// Packs everything in the store for this lane and checks that every row came out once.
async fn packed(world: &World, plan: UplinkPlan, lane: Lane) -> Vec<Packed> {
    let (work, entries) = all(world).await;
    let work = Work { lane, ..work };
    let packet_bytes = plan.packet_bytes;
    let packed = Packer::new(Arc::new(plan), world.store.clone()).pack(&work, entries);
    let mut rows: Vec<u64> = Vec::new();
    for packed in &packed {
        match packed {
            Packed::Item(item) => {
                assert!(item.bytes() + PUBLISH_OVERHEAD <= packet_bytes);
                let ranges = item.rows.delivered.iter().chain(&item.rows.excluded);
                rows.extend(ranges.flat_map(|range| range.start.0..range.end.0));
            }
            Packed::Settled(_, range) => rows.extend(range.start.0..range.end.0),
        }
    }
    rows.sort_unstable();
    assert_eq!(rows, (work.range.start.0..work.range.end.0).collect::<Vec<_>>());
    packed
}

fn items(packed: &[Packed]) -> Vec<&Item> {
    packed
        .iter()
        .filter_map(|packed| match packed {
            Packed::Item(item) => Some(item),
            Packed::Settled(..) => None,
        })
        .collect()
}

fn fates(packed: &[Packed]) -> Vec<(Fate, u64)> {
    let fate = |packed: &Packed| match packed {
        Packed::Item(_) => None,
        Packed::Settled(fate, range) => Some((*fate, range.end.0 - range.start.0)),
    };
    packed.iter().filter_map(fate).collect()
}

#[tokio::test]
async fn what_no_filter_wants_is_excluded() {
    let fake = Fake::new([]).await;
    let mut world = World::new();
    world.append(20);
    let send = ["press/tag3", "press/tag4", "+/tag7"];
    let send = send.map(|filter| TopicFilter::new(filter).unwrap());
    let plan = UplinkPlan { send: send.into(), ..plan(&fake) };
    let live = packed(&world, plan.clone(), Lane::Live).await;
    assert_eq!(items(&live).len(), 60);
    assert_eq!(fates(&live).iter().map(|(_, rows)| rows).sum::<u64>(), 140);
    assert!(fates(&live).iter().all(|(fate, _)| *fate == Fate::Excluded));
    let columnar = packed(&world, plan, Lane::Backlog).await;
    let delivered = items(&columnar).into_iter().map(|item| rows_in(&item.rows.delivered));
    assert_eq!(delivered.sum::<u64>(), 60);
    assert!(fates(&columnar).len() <= 1, "those in between are settled with their message");
}

#[tokio::test]
async fn what_can_never_be_sent_is_a_dead_letter_and_stops_nothing() {
    let fake = Fake::new([]).await;
    let mut world = World::new();
    world.append(1);
    let at = world.clock.mono();
    let readings = vec![
        text(world.tags[0], at, 5000),
        Reading::good(TagId(4711), at, Value::Bool(true)),
        Reading::good(world.tags[1], at, Value::Bool(true)),
    ];
    world.store.append(Batch { class: Class::Normal, readings });
    drop(
        world.store.append_message(
            Class::Normal,
            message("a", &"y".repeat(5000), Qos::AtLeastOnce, false),
        ),
    );
    world.append(1);
    let dead = [
        (Fate::Dead(DeadReason::TooLarge), 1),
        (Fate::Dead(DeadReason::UnknownTag), 1),
        (Fate::Dead(DeadReason::TooLarge), 1),
    ];
    for (lane, messages) in [(Lane::Live, 21), (Lane::Backlog, 2)] {
        let packed = packed(&world, plan(&fake), lane).await;
        assert_eq!(fates(&packed), dead, "{lane:?}");
        assert_eq!(items(&packed).len(), messages, "{lane:?}");
    }
    let bad = UplinkPlan { prefix: "si+te/".into(), ..plan(&fake) };
    let bad_topic = Fate::Dead(DeadReason::BadTopic);
    let unknown = Fate::Dead(DeadReason::UnknownTag);
    let fates = fates(&packed(&world, bad, Lane::Live).await);
    assert_eq!(fates, [(bad_topic, 11), (unknown, 1), (bad_topic, 12)]);
}

/// Larger than a message of many may be, smaller than the broker's limit: has one for itself.
#[tokio::test]
async fn a_reading_too_large_for_the_columns_goes_alone_and_in_order() {
    let fake = Fake::new([]).await;
    let mut world = World::new();
    world.append(1);
    let at = world.clock.mono();
    let readings = vec![text(world.tags[0], at, 40_000)];
    world.store.append(Batch { class: Class::Normal, readings });
    world.append(1);
    let plan = UplinkPlan { packet_bytes: 100_000, ..plan(&fake) };
    let packed = packed(&world, plan, Lane::Backlog).await;
    let topics: Vec<_> = items(&packed).iter().map(|item| item.topic.as_str()).collect();
    assert_eq!(topics, ["site/backlog"; 3]);
    let rows: Vec<_> = items(&packed).iter().map(|item| rows_in(&item.rows.delivered)).collect();
    assert_eq!(rows, [10, 1, 10]);
    let starts: Vec<_> = items(&packed).iter().map(|item| item.rows.delivered[0].start).collect();
    assert!(starts.is_sorted());
}

#[tokio::test]
async fn where_messages_alone_are_counted_each_is_as_large_as_the_service_takes() {
    let fake = Fake::new([]).await;
    let mut world = World::new();
    world.append(2_000);
    let mut largest = Vec::new();
    for (messages, bytes) in [(None, None), (Some(100), Some(512_000)), (Some(100), None)] {
        let rate = RatePlan { messages, bytes };
        let plan = UplinkPlan { packet_bytes: 100_000, rate, ..plan(&fake) };
        let packed = packed(&world, plan, Lane::Backlog).await;
        largest.push(items(&packed).iter().map(|item| item.payload.len()).max().unwrap());
    }
    assert!(largest[..2].iter().all(|bytes| (30_000..=32_768).contains(bytes)), "{largest:?}");
    assert!(largest[2] > 90_000, "{largest:?}");
}

#[tokio::test]
async fn forwarded_messages_keep_payload_retain_and_their_place() {
    let fake = Fake::new([]).await;
    let mut world = World::new();
    world.append(1);
    for (topic, retain) in [("lan/a", true), ("lan/b", false)] {
        let message = message(topic, "as it came", Qos::AtMostOnce, retain);
        drop(world.store.append_message(Class::Normal, message));
    }
    world.append(1);
    for backlog in [Form::Columnar, Form::Tag] {
        let packed = packed(&world, UplinkPlan { backlog, ..plan(&fake) }, Lane::Backlog).await;
        let items = items(&packed);
        let at = items.iter().position(|item| item.topic.as_str() == "site/lan/a").unwrap();
        assert!(items[at].retain);
        assert_eq!(&items[at].payload[..], b"as it came");
        assert_eq!((items[at + 1].topic.as_str(), items[at + 1].retain), ("site/lan/b", false));
        let starts: Vec<Seq> = items.iter().map(|item| item.rows.delivered[0].start).collect();
        assert!(starts.is_sorted());
    }
}

#[tokio::test]
async fn messages_stay_within_the_packet_limit() {
    let fake = Fake::new([]).await;
    let mut world = World::new();
    world.append(300);
    for packet_bytes in [200, 500, 4096] {
        let packed =
            packed(&world, UplinkPlan { packet_bytes, ..plan(&fake) }, Lane::Backlog).await;
        assert!(fates(&packed).is_empty());
        let largest = items(&packed).iter().map(|item| item.bytes()).max().unwrap();
        assert!(largest > packet_bytes / 2, "{largest} of {packet_bytes}");
        for item in items(&packed) {
            json(&item.payload);
        }
    }
}

/// A clock that nobody has set yet.
struct Unset {
    clock: ManualClock,
    synced: AtomicBool,
}

impl Clock for Unset {
    fn mono(&self) -> Mono {
        self.clock.mono()
    }
    fn wall(&self) -> Wall {
        self.clock.wall()
    }
    fn boot_id(&self) -> &str {
        self.clock.boot_id()
    }
    fn synced(&self) -> bool {
        self.synced.load(Ordering::Relaxed)
    }
}

/// What is sent again after the clock was set carries the right time, not that of the first try.
#[tokio::test]
async fn a_time_put_right_holds_for_the_very_last_reading_too() {
    let (fake, mut world) = (Fake::new([]).await, World::new());
    let clock = ManualClock::new(Mono(1_000), Wall(1_000));
    let clock = Arc::new(Unset { clock, synced: AtomicBool::new(false) });
    let options = Options {
        dir: None,
        commit: Duration::from_secs(1),
        write_behind: true,
        endurance_bytes: 4_000_000_000_000,
        max_bytes: Some(1 << 20),
        max_age: Duration::from_secs(1_000_000),
        ram_bytes: 1 << 20,
    };
    let metas: Vec<_> =
        world.tags.iter().map(|id| (*world.store.tag(*id).unwrap()).clone()).collect();
    world.store = Store::open(options, clock.clone()).unwrap();
    world.tags = world.store.register_tags(&metas);
    let name = Name::new("cloud").unwrap();
    world.store.set_consumers(&[ConsumerSpec { name, policy: Policy::Required }]);
    let readings = vec![text(world.tags[0], Mono(500), 5)];
    world.store.append(Batch { class: Class::Normal, readings });
    let mut packer = Packer::new(Arc::new(plan(&fake)), world.store.clone());
    let mut times = Vec::new();
    for _ in 0..2 {
        let (work, entries) = all(&world).await;
        let packed = packer.pack(&Work { lane: Lane::Live, ..work }, entries);
        times.push(json(&items(&packed)[0].payload)["ts"].as_i64());
        clock.clock.set_wall(Wall(1_700_000_000_000));
        clock.synced.store(true, Ordering::Relaxed);
        // Whoever appends looks at the clock.
        let readings = vec![text(world.tags[0], Mono(600), 5)];
        world.store.append(Batch { class: Class::Bulk, readings });
    }
    assert_eq!(times, [Some(500), Some(1_699_999_999_500)]);
}

/// Whatever the form, every row comes out once; messages of one device go to the device's topic.
#[tokio::test]
async fn every_form_packs_every_row_once() {
    let fake = Fake::new([]).await;
    let mut world = World::new();
    world.append(20);
    let of_device = LiveTopic::Pattern(device_topic());
    // Those of many readings have 4 KiB for 200.
    for (form, live_messages) in [
        (Form::Plain, 200..=200),
        (Form::Group, 20..=20),
        (Form::Columnar, 1..=1),
        (Form::Cbor, 1..=1),
        (Form::LineProtocol, 1..=1),
        (Form::SenmlJson, 2..=2),
        (Form::SenmlCbor, 1..=2),
        (Form::ThingsBoard, 1..=1),
    ] {
        let live_topic = match form {
            Form::Plain => LiveTopic::OfTag,
            _ => of_device.clone(),
        };
        let plan = UplinkPlan {
            live: form.clone(),
            live_topic,
            backlog: form.clone(),
            backlog_deflate: true,
            mqtt: MqttVersion::V5,
            ..plan(&fake)
        };
        let live = packed(&world, plan.clone(), Lane::Live).await;
        let sent = items(&live);
        assert!(live_messages.contains(&sent.len()), "{form:?}: {}", sent.len());
        let topic = if form == Form::Plain { "site/press/tag0" } else { "site/of/press" };
        assert_eq!(sent[0].topic.as_str(), topic);
        let media = Some(form.content_type()).filter(|media| *media != "application/json");
        assert_eq!(sent[0].content_type.as_deref(), media);
        let backlog = packed(&world, plan, Lane::Backlog).await;
        for item in items(&backlog) {
            let many = !matches!(form, Form::Plain | Form::Group);
            assert_eq!(item.topic.as_str() == "site/backlog", many, "{form:?}");
            assert!(item.content_type.as_deref().unwrap().ends_with("; encoding=deflate"));
            miniz_oxide::inflate::decompress_to_vec_zlib(&item.payload).expect("zlib");
        }
    }
}

/// Noise is not made smaller: messages that are full to the limit before are above it after.
#[tokio::test]
async fn what_grows_when_it_is_deflated_still_fits() {
    let fake = Fake::new([]).await;
    let world = World::new();
    let mut state = 1_u32;
    for n in 0..200 {
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24).to_be_bytes()[3]
        };
        let bytes: Vec<u8> = (0..400 + n).map(|_| noise()).collect();
        let value = Value::Bytes(bytes.into());
        let readings = vec![Reading::good(world.tags[0], world.clock.mono(), value)];
        world.store.append(Batch { class: Class::Normal, readings });
    }
    for packet_bytes in 1000..1100 {
        let plan = UplinkPlan {
            backlog: Form::Cbor,
            backlog_deflate: true,
            mqtt: MqttVersion::V5,
            packet_bytes,
            ..plan(&fake)
        };
        assert_eq!(fates(&packed(&world, plan, Lane::Backlog).await), [], "{packet_bytes}");
    }
}

/// `of/{device}`, by way of a configuration.
fn device_topic() -> crate::config::TopicPattern {
    let text = "gateway: { name: g }\nuplinks: { u: { url: 'mqtt://h', payload: group, topic: 'of/{device}' } }";
    match crate::config::parse(text, "t").unwrap().plan.uplinks.remove(0).live_topic {
        LiveTopic::Pattern(pattern) => pattern,
        LiveTopic::OfTag => panic!("no pattern"),
    }
}
