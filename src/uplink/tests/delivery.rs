//! What is sent, in which order, and what is not.

use std::sync::Arc;
use std::time::Duration;

use super::fake::{Ack, Fake, Mood, Seen, WELL};
use super::world::{World, eventually, plan, rows};
use crate::config::UplinkPlan;
use crate::model::{Batch, Class, Clock, Form, Reading, TagId, TopicFilter, Value};
use crate::store::Settled;
use crate::uplink::pack::Packer;
use crate::uplink::settling::rows_in;
use crate::uplink::supply::Supply;

#[tokio::test]
async fn backlog_goes_columnar_and_live_goes_by_tag() {
    let fake = Fake::new([WELL]).await;
    let mut world = World::new();
    world.append(50);
    let running = world.start(plan(&fake));
    running.until_nothing_waits().await;
    world.append(3);
    running.until_nothing_waits().await;
    world.check_nothing_lost(&fake);
    let (backlog, live): (Vec<_>, Vec<_>) = fake
        .log(|log| log.seen.iter().cloned().partition(|seen| seen.publish.topic == "site/backlog"));
    assert!(backlog.len() < 20, "{} messages for 500 rows", backlog.len());
    let topics: Vec<_> = live.iter().map(|seen| seen.publish.topic.as_str()).collect();
    assert_eq!(topics.len(), 30);
    assert_eq!(topics[..2], ["site/press/tag0", "site/press/tag1"]);
    assert!(live.iter().all(|seen| !seen.publish.retain));
    for lane in [backlog, live] {
        let seqs: Vec<_> = lane
            .iter()
            .flat_map(|seen| rows(seen, world.store.epoch()))
            .map(|(seq, _)| seq)
            .collect();
        assert!(seqs.is_sorted(), "each lane from old to new");
    }
    let status = running.stop().await;
    eventually("said goodbye", || fake.log(|log| log.disconnects) == 1).await;
    assert_eq!((status.duplicates_possible, status.acked_rows), (0, 530));
}

/// What 4 KB take on a line of 9.6 kbit/s is no silence, whatever the watchdog says.
#[tokio::test]
async fn a_slow_line_makes_progress() {
    let late = Ack::Late(Duration::from_secs(1));
    let fake = Fake::new([Mood { ack: late, ..WELL }]).await;
    let mut world = World::slow();
    world.append(50);
    let running = world.start(plan(&fake));
    let status = running.until_nothing_waits().await;
    assert!(status.ends.is_empty() && status.connects == 1, "{status:#?}");
    world.check_nothing_lost(&fake);
    running.stop().await;
}

/// Whatever the broker's order and however small the window, ids never collide.
#[tokio::test]
async fn any_window_and_any_order_of_acknowledgements_will_do() {
    for (window, ack) in [(1, Ack::AtOnce), (2, Ack::Reversed(2)), (16, Ack::Reversed(7))] {
        let fake = Fake::new([Mood { ack, ..WELL }]).await;
        let mut world = World::new();
        world.append(20);
        let tag = Form::Tag;
        let running =
            world.start(UplinkPlan { window_messages: window, backlog: tag, ..plan(&fake) });
        let status = running.until_nothing_waits().await;
        world.check_nothing_lost(&fake);
        assert_eq!(fake.log(|log| log.seen.len()), 200, "nothing twice");
        assert!(status.ends.is_empty(), "{:?}", status.ends);
        running.stop().await;
    }
}

/// The window in bytes: with room for about two messages, never more than that is out.
#[tokio::test]
async fn the_window_in_bytes_holds() {
    let fake = Fake::new([Mood { ack: Ack::Never, ..WELL }]).await;
    let mut world = World::impatient();
    world.append(5);
    let tag = Form::Tag;
    let running = world.start(UplinkPlan { window_bytes: 200, backlog: tag, ..plan(&fake) });
    let status = running.until("full", |status| status.in_flight_messages > 0).await;
    assert!(status.in_flight_bytes <= 200, "{status:?}");
    running.until("gave up", |status| !status.ends.is_empty()).await;
    let first = fake.log(|log| log.seen.iter().filter(|seen| seen.connection == 1).count());
    assert!((1..=3).contains(&first), "{first} messages of about 80 bytes");
    running.until_nothing_waits().await;
    world.check_nothing_lost(&fake);
    running.stop().await;
}

#[tokio::test]
async fn live_rows_do_not_wait_for_the_backlog() {
    let late = Ack::Late(Duration::from_millis(5));
    let fake = Fake::new([Mood { ack: late, ..WELL }]).await;
    let mut world = World::new();
    world.append(300);
    let tag = Form::Tag;
    let running = world.start(UplinkPlan { backlog: tag, ..plan(&fake) });
    running.until("draining", |status| status.acked_rows > 100).await;
    let before = world.appended;
    world.append(1);
    let is_live = |seen: &Seen| rows(seen, world.store.epoch())[0].1 >= before;
    eventually("live", || fake.log(|log| log.seen.iter().filter(|s| is_live(s)).count() == 10))
        .await;
    let backlog = fake.log(|log| log.seen.iter().filter(|seen| !is_live(seen)).count());
    assert!(backlog < 2000, "{backlog} of 3000 went first");
    running.until_nothing_waits().await;
    world.check_nothing_lost(&fake);
    running.stop().await;
}

#[tokio::test]
async fn excluded_and_dead_rows_are_settled_and_counted() {
    let fake = Fake::new([]).await;
    let mut world = World::new();
    world.append(10);
    let send = vec![TopicFilter::new("+/tag1").unwrap()];
    let running = world.start(UplinkPlan { send, ..plan(&fake) });
    running.until_nothing_waits().await;
    let at = world.clock.mono();
    let readings = vec![
        Reading::good(TagId(99), at, Value::Bool(true)),
        Reading::good(world.tags[0], at, Value::Bool(true)),
    ];
    world.store.append(Batch { class: Class::Normal, readings });
    let status = running.until("counted", |status| status.dead_rows.len() == 1).await;
    assert_eq!(status.dead_rows.get("unknown-tag"), Some(&1));
    let status = running.until("counted", |status| status.excluded_rows == 91).await;
    assert_eq!((status.acked_rows, status.waiting), (10, 0));
    assert!(world.store.status().balances());
    running.stop().await;
}

/// One tag in ten: thousands of separate rows in a message. The store keeps only so many pieces of
/// its books, so the rows between must be settled together with them.
#[tokio::test]
async fn a_sparse_filter_sends_nothing_twice() {
    let fake = Fake::new([]).await;
    let mut world = World::new();
    world.append(8000);
    let send = vec![TopicFilter::new("+/tag1").unwrap()];
    let plan = UplinkPlan { send, packet_bytes: 1 << 20, ..plan(&fake) };
    let running = world.start(plan);
    let status = running.until_nothing_waits().await;
    assert_eq!((status.acked_rows, status.excluded_rows), (8000, 72_000));
    let rows = |seen: &Seen| rows(seen, world.store.epoch()).len();
    assert_eq!(fake.log(|log| log.seen.iter().map(rows).sum::<usize>()), 8000);
    running.stop().await;
}

/// The wait for an acknowledgement starts with the hand-over, not with the last acknowledgement.
#[tokio::test]
async fn a_long_silence_before_a_row_is_no_fault() {
    let fake = Fake::new([]).await;
    let mut world = World::new();
    world.timing.watchdog = Duration::from_secs(1);
    let running = world.start(plan(&fake));
    running.until("online", |status| status.connects == 1).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    world.append(1);
    let status = running.until_nothing_waits().await;
    assert!(status.ends.is_empty(), "{:?}", status.ends);
    running.stop().await;
}

/// A store may leave rows unsettled that were acknowledged; they are not forgotten till the next
/// connection.
#[tokio::test]
async fn what_stays_unsettled_is_given_out_again() {
    let fake = Fake::new([]).await;
    let mut world = World::new();
    world.append(30);
    let consumer = world.store.consumer("cloud").unwrap();
    // The positions are reserved by the store's own thread before anyone may know them.
    eventually("all can be read", || {
        rows_in(&consumer.position(Class::Normal).unsettled) == world.appended
    })
    .await;
    let mut packer = Packer::new(Arc::new(plan(&fake)), world.store.clone());
    let mut supply = Supply::start(consumer.clone(), Duration::ZERO);
    for _ in 0..2 {
        let mut given = 0;
        while given < world.appended {
            supply.read_ahead();
            let found = supply.read().await;
            supply.found(found, &mut packer).unwrap();
            while let Some(item) = supply.next(true, true) {
                given += rows_in(&item.rows.delivered);
            }
        }
        assert!(supply.idle() && supply.rescan(), "all is owed still");
    }
    let position = consumer.position(Class::Normal);
    consumer.settle(Class::Normal, &position.unsettled, Settled::Delivered);
    let mut supply = Supply::start(consumer, Duration::ZERO);
    assert!(!supply.rescan());
}
