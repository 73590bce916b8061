//! What is missing and what was corrected reaches the cloud, once acknowledged, and stops nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value as Json;

use super::fake::{Ack, End, Fake, Mood, Seen, WELL, json};
use super::world::{World, eventually, plan};
use crate::config::{Policy, UplinkPlan};
use crate::model::{
    Batch, Class, Clock, Form, ManualClock, Mono, Name, Reading, TagId, TopicName, Value, Wall,
};
use crate::store::{ConsumerSpec, Options, Store};

const TOPIC: &str = "site/notice";

fn telling(fake: &Fake) -> UplinkPlan {
    UplinkPlan { notices_topic: Some(TopicName::new(TOPIC).unwrap()), ..plan(fake) }
}

/// A clock that nobody has confirmed yet.
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

/// As [`World::new`], with its own memory bound and clock.
fn world_with(ram_bytes: usize, clock: Arc<dyn Clock>) -> World {
    let mut world = World::new();
    let options = Options {
        dir: None,
        commit: Duration::from_secs(1),
        write_behind: true,
        max_bytes: None,
        max_age: Duration::from_secs(1_000_000),
        ram_bytes,
        endurance_bytes: 4_000_000_000_000,
    };
    let metas: Vec<_> =
        world.tags.iter().map(|id| (*world.store.tag(*id).unwrap()).clone()).collect();
    world.store = Store::open(options, clock).unwrap();
    world.tags = world.store.register_tags(&metas);
    let name = Name::new("cloud").unwrap();
    world.store.set_consumers(&[ConsumerSpec { name, policy: Policy::Required }]);
    world
}

fn told(fake: &Fake) -> Vec<Json> {
    let notice = |seen: &&Seen| seen.publish.topic == TOPIC;
    fake.log(|log| log.seen.iter().filter(notice).map(|seen| json(&seen.publish.payload)).collect())
}

fn of<'a>(told: &'a [Json], kind: &str) -> Vec<&'a Json> {
    told.iter().filter(|notice| notice["notice"] == kind).collect()
}

/// Positions of class normal that arrived, whatever the form.
fn arrived(fake: &Fake) -> Vec<u64> {
    let data = |seen: &&Seen| seen.publish.topic != TOPIC;
    let position = |seen: &Seen| {
        let id = json(&seen.publish.payload)["id"].as_str().unwrap().to_owned();
        id.rsplit_once('-').unwrap().1.parse().unwrap()
    };
    fake.log(|log| log.seen.iter().filter(data).map(position).collect())
}

/// The broker loses interest in the middle of the notices; they come again, as they were, and what
/// arrived and what was told to be missing are everything.
#[tokio::test]
async fn every_position_arrives_or_is_told_as_a_gap() {
    let hasty = Mood { ack: Ack::Never, end: End::Close(3), ..WELL };
    let fake = Fake::new([hasty]).await;
    let mut world = world_with(20_000, World::new().clock);
    world.append(100);
    let tag = Form::Tag;
    let running = world.start(UplinkPlan { backlog: tag, ..telling(&fake) });
    running.until_nothing_waits().await;
    running.until("told", |status| status.notices >= 4).await;
    let all = told(&fake);
    let mut missing: Vec<u64> = Vec::new();
    let mut seen = std::collections::BTreeMap::new();
    for gap in of(&all, "gap") {
        if let Some(before) = seen.insert(gap["id"].as_str().unwrap(), gap) {
            assert_eq!(before, gap, "a repetition is the same");
            continue;
        }
        assert_eq!((&gap["reason"], &gap["class"]), (&"ram-full".into(), &"normal".into()));
        let (from, to) = (gap["from"].as_u64().unwrap(), gap["to"].as_u64().unwrap());
        assert_eq!(gap["n"].as_u64(), Some(to - from));
        assert!(gap["ts_from"].as_i64() < gap["ts_to"].as_i64());
        missing.extend(from..to);
    }
    assert!(missing.len() > 100, "{all:?}");
    assert_eq!(of(&all, "new-epoch").len() % 3, 0, "one per class, and again: {all:?}");
    let prefix = format!("{:x}-n", world.store.epoch());
    assert!(of(&all, "new-epoch").iter().any(|n| n["prefix"] == prefix.as_str() && n["from"] == 0));
    let mut everything: Vec<u64> = arrived(&fake).into_iter().chain(missing).collect();
    everything.sort_unstable();
    everything.dedup();
    assert_eq!(everything, (0..world.appended).collect::<Vec<_>>());
    let first_data = fake.log(|log| log.seen.iter().position(|s| s.publish.topic != TOPIC));
    assert!(first_data >= Some(3), "what is missing is told before the rows that follow");
    assert!(!world.store.consumer("cloud").unwrap().has_notices(), "told once and for all");
    running.stop().await;
}

/// Rows that can never be sent are missing like any others; with one place in the window both
/// notices and rows get through.
#[tokio::test]
async fn dead_rows_are_told_through_the_narrowest_window() {
    let fake = Fake::new([]).await;
    let mut world = World::new();
    let running = world.start(UplinkPlan { window_messages: 1, ..telling(&fake) });
    world.append(3);
    let at = world.clock.mono();
    let readings = vec![Reading::good(TagId(99), at, Value::Bool(true))];
    world.store.append(Batch { class: Class::Normal, readings });
    world.append(3);
    running.until("told", |status| status.notices == 4).await;
    running.until_nothing_waits().await;
    let told = told(&fake);
    let gaps = of(&told, "gap");
    assert_eq!((gaps.len(), gaps[0]["reason"].as_str()), (1, Some("dead:unknown-tag")));
    assert_eq!((gaps[0]["from"].as_u64(), gaps[0]["to"].as_u64()), (Some(30), Some(31)));
    running.stop().await;
}

#[tokio::test]
async fn switched_off_they_count_as_told() {
    let fake = Fake::new([]).await;
    let mut world = World::new();
    let running = world.start(plan(&fake));
    world.append(1);
    running.until_nothing_waits().await;
    let cloud = world.store.consumer("cloud").unwrap();
    running.until("forgotten", |_| !cloud.has_notices()).await;
    assert_eq!((told(&fake).len(), running.stop().await.notices), (0, 0));
}

/// A reading goes out with the time of an unset clock and is acknowledged only after the clock was
/// set; the correction covers it, and the one that was still waiting went with the right time.
#[tokio::test]
async fn what_was_on_its_way_with_a_wrong_time_is_corrected() {
    let late = Mood { ack: Ack::Late(Duration::from_millis(400)), ..WELL };
    let fake = Fake::new([late]).await;
    let clock = ManualClock::new(Mono(1_000), Wall(1_000));
    let clock = Arc::new(Unset { clock, synced: AtomicBool::new(false) });
    let world = world_with(1 << 20, clock.clone());
    let running = world.start(telling(&fake));
    running.until("online", |status| status.connects == 1).await;
    let append = |at| {
        let readings = vec![Reading::good(world.tags[0], Mono(at), Value::Bool(true))];
        world.store.append(Batch { class: Class::Normal, readings });
    };
    append(500);
    let sent = || fake.log(|log| log.seen.iter().any(|seen| seen.publish.topic != TOPIC));
    eventually("sent", sent).await;
    clock.clock.set_wall(Wall(1_700_000_000_000));
    clock.synced.store(true, Ordering::Relaxed);
    append(600);
    running.until_nothing_waits().await;
    running.until("told", |status| status.notices == 4).await;
    let times = fake.log(|log| {
        let data = log.seen.iter().filter(|seen| seen.publish.topic != TOPIC);
        data.map(|seen| json(&seen.publish.payload)["ts"].as_i64().unwrap()).collect::<Vec<_>>()
    });
    let told = told(&fake);
    let corrections = of(&told, "time-correction");
    assert_eq!(corrections.len(), 1, "{told:?}");
    let shift = corrections[0]["shift_ms"].as_i64().unwrap();
    assert_eq!(
        (corrections[0]["from"].as_u64(), corrections[0]["to"].as_u64()),
        (Some(0), Some(1))
    );
    assert_eq!([times[0] + shift, times[1]], [1_699_999_999_500, 1_699_999_999_600]);
    running.stop().await;
}
