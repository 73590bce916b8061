//! Faults: what was appended must be acknowledged in the end, whatever happens on the way.

use std::time::Duration;

use rumqttc::ConnectReturnCode;
use tokio::time::Instant;

use super::fake::{Ack, End, Fake, Mood, WELL, Welcome};
use super::world::{World, plan};
use crate::config::UplinkPlan;
use crate::model::Form;
use crate::uplink::Cause;

fn random_mood(random: &mut fastrand::Rng) -> Mood {
    let after = random.usize(1..40);
    let late = Ack::Late(Duration::from_millis(random.u64(1..30)));
    match random.u32(0..11) {
        0 => Mood { end: End::Reset(after), ..WELL },
        1 => Mood { end: End::Close(after), ..WELL },
        2 => Mood { end: End::StopReading(after), ..WELL },
        3 => Mood { ack: late, end: End::Reset(after), ..WELL },
        4 => Mood { ack: late, end: End::Close(after), ..WELL },
        5 => Mood { ack: Ack::Never, end: End::Close(after.min(20)), ..WELL },
        6 => Mood { ack: Ack::Never, ..WELL },
        7 => Mood { ack: Ack::Reversed(random.usize(2..15)), end: End::Reset(after), ..WELL },
        8 => Mood { end: End::Close(0), ..WELL },
        9 => Mood { ack: Ack::WithEnd, end: End::Close(after.min(17)), ..WELL },
        _ => Mood { welcome: Welcome::Refuse(ConnectReturnCode::ServiceUnavailable), ..WELL },
    }
}

async fn random_faults(backlog: Form, faults: usize, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let fake = Fake::new((0..faults).map(|_| random_mood(&mut random))).await;
    let mut world = World::impatient();
    let mut plan = plan(&fake);
    plan.backlog = backlog.clone();
    let window = u64::from(plan.window_messages);
    world.append(30);
    let running = world.start(plan);
    // Rows keep coming until every fault has happened, so that both lanes see them.
    while fake.script_left() > 0 {
        world.append(1);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(world.appended < 200_000, "stuck: {:#?}", running.port.status());
    }
    world.append(50);
    let status = running.until_nothing_waits().await;
    world.check_nothing_lost(&fake);
    let ends: u64 = status.ends.values().sum();
    assert!(ends >= faults as u64, "{:?}", status.ends);
    let received = fake.log(|log| log.seen.len()) as u64;
    if backlog == Form::Tag {
        let duplicates = received - world.appended;
        assert!(duplicates <= status.duplicates_possible, "{duplicates}: {status:#?}");
        assert!(status.duplicates_possible <= ends * window, "{status:#?}");
    }
    running.stop().await;
}

#[tokio::test]
async fn fifty_random_faults_per_tag_lose_nothing() {
    random_faults(Form::Tag, 50, 1).await;
}

#[tokio::test]
async fn fifty_random_faults_columnar_lose_nothing() {
    random_faults(Form::Columnar, 50, 2).await;
}

/// T13: no RST, no FIN, nothing is read any more.
#[tokio::test]
async fn t13_a_black_hole_loses_nothing() {
    let hole = Mood { end: End::StopReading(5), ..WELL };
    let fake = Fake::new([hole, hole]).await;
    let mut world = World::impatient();
    world.append(100);
    let mut plan = plan(&fake);
    plan.backlog = Form::Tag;
    let running = world.start(plan);
    let status = running.until_nothing_waits().await;
    assert!(status.ends[&Cause::NoAcknowledgement] >= 2, "{:?}", status.ends);
    world.check_nothing_lost(&fake);
    running.stop().await;
}

/// A broker that throws one message away and answers all others is not trusted with the next ones for
/// hours, until the window is full.
#[tokio::test]
async fn a_message_that_is_forgotten_among_others_is_sent_again_soon() {
    let fake = Fake::new([Mood { ack: Ack::ForgetsFirst, ..WELL }]).await;
    let mut world = World::impatient();
    let plan = UplinkPlan { window_messages: 10_000, ..plan(&fake) };
    let running = world.start(plan);
    running.until("online", |status| status.connects == 1).await;
    let began = Instant::now();
    while running.port.status().ends.is_empty() {
        world.append(1);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(began.elapsed() < Duration::from_secs(10), "{:#?}", running.port.status());
    }
    let status = running.until_nothing_waits().await;
    assert!(status.last_end.unwrap().contains("left one unacknowledged"));
    assert_eq!(status.ends[&Cause::NoAcknowledgement], 1);
    world.check_nothing_lost(&fake);
    running.stop().await;
}

/// An answer counts once, and one to nothing not at all; neither ends a connection, since the next would
/// have them too.
#[tokio::test]
async fn answers_that_nobody_asked_for_settle_nothing_and_end_nothing() {
    let fake = Fake::new([Mood { ack: Ack::Twice, ..WELL }]).await;
    let mut world = World::new();
    world.append(30);
    let running = world.start(UplinkPlan { backlog: Form::Tag, ..plan(&fake) });
    let status = running.until_nothing_waits().await;
    assert_eq!((status.acked_rows, status.acked_messages, status.connects), (300, 300, 1));
    assert_eq!((status.ends.len(), fake.log(|log| log.seen.len())), (0, 300));
    world.check_nothing_lost(&fake);
    running.stop().await;
}

/// T10: a connection that fails at any publish keeps the data.
#[tokio::test]
async fn t10_any_publish_error_keeps_the_data() {
    let moods = (1..30).map(|after| Mood { ack: Ack::Never, end: End::Reset(after), ..WELL });
    let fake = Fake::new(moods).await;
    let mut world = World::impatient();
    world.append(10);
    let mut plan = plan(&fake);
    plan.backlog = Form::Tag;
    let running = world.start(plan);
    let status = running.until_nothing_waits().await;
    assert_eq!(status.acked_rows, world.appended);
    world.check_nothing_lost(&fake);
    running.stop().await;
}

/// The last acknowledgements arrive together with FIN and must still count. The client takes nine
/// packets at a time, so the tenth comes with the error.
#[tokio::test]
async fn acknowledgements_that_come_with_the_end_count() {
    let fake = Fake::new([Mood { ack: Ack::WithEnd, end: End::Close(10), ..WELL }]).await;
    let mut world = World::new();
    world.append(1);
    let mut plan = plan(&fake);
    plan.backlog = Form::Tag;
    let running = world.start(plan);
    running.until("the connection has ended", |status| !status.ends.is_empty()).await;
    running.until("back", |status| status.connects == 2).await;
    running.until_nothing_waits().await;
    world.check_nothing_lost(&fake);
    assert_eq!(fake.log(|log| log.seen.len()), 10, "nothing was sent twice");
    running.stop().await;
}
