//! Commands down, answers up.

use super::fake::{End, Fake, Mood, WELL};
use super::world::{World, eventually, plan};
use crate::config::UplinkPlan;
use crate::model::{Name, Origin, TopicFilter, TopicName};
use crate::uplink::Connection;

fn receiving(fake: &Fake) -> UplinkPlan {
    let receive = ["site/+/+/set", "cmd/#"].map(|filter| TopicFilter::new(filter).unwrap());
    UplinkPlan { receive: receive.into(), ..plan(fake) }
}

#[tokio::test]
async fn a_set_topic_becomes_a_request_and_the_rest_is_ignored() {
    let fake = Fake::new([]).await;
    let mut world = World::new();
    world.append(20);
    let mut running = world.start(receiving(&fake));
    running.until_nothing_waits().await;
    let filters = fake.log(|log| log.filters.clone());
    let before: Vec<_> =
        filters.iter().map(|(filter, before)| (filter.as_str(), *before)).collect();
    assert_eq!(before, [("site/+/+/set", 0), ("cmd/#", 0)], "subscribed before any publish");
    fake.say("site/press/tag1/set", "7.5", false);
    fake.say("site/press/tag1", "1", false);
    fake.say("cmd/press/tag2/set", "8", true);
    let first = running.requests.recv().await.unwrap();
    assert_eq!(first.topic, TopicName::new("press/tag1/set").unwrap());
    assert_eq!((first.payload.as_slice(), first.retain), (b"7.5".as_slice(), false));
    assert_eq!(first.origin, Origin::Uplink(Name::new("cloud").unwrap()));
    let second = running.requests.recv().await.unwrap();
    assert!(second.retain, "said, so that it can be refused");
    assert_eq!(second.topic.as_str(), "cmd/press/tag2/set");
    eventually("all three are acknowledged", || fake.log(|log| log.pubacks) == 3).await;
    // Nobody takes them out any more: the inbox of four fills up.
    for _ in 0..6 {
        fake.say("site/press/tag1/set", "9", false);
    }
    let status = running.until("refused", |status| status.commands.refused == 2).await;
    assert_eq!((status.commands.received, status.commands.ignored), (6, 1));
    assert!(matches!(status.connection, Connection::Online { .. }));
    running.stop().await;
}

#[tokio::test]
async fn a_reply_survives_a_broken_connection() {
    let fake = Fake::new([Mood { end: End::Reset(1), ack: super::fake::Ack::Never, ..WELL }]).await;
    let world = World::new();
    let running = world.start(receiving(&fake));
    running.until("online", |status| status.connects == 1).await;
    running.port.reply(TopicName::new("press/tag1/result").unwrap(), b"done".to_vec());
    running.port.reply(TopicName::new("press/tag1/result").unwrap(), vec![b'x'; 5000]);
    let status = running.until("replied", |status| status.commands.replies == 1).await;
    assert_eq!(status.commands.replies_dropped, 1, "the large one");
    let seen = fake.log(|log| log.seen.clone());
    assert_eq!(seen.len(), 2);
    for seen in seen {
        assert_eq!(seen.publish.topic, "site/press/tag1/result");
        assert_eq!(&seen.publish.payload[..], b"done");
    }
    running.stop().await;
}

/// A broker of MQTT 3.1.1 says no by hanging up; rows must get through all the same.
#[tokio::test]
async fn a_reply_that_ends_connections_is_given_up() {
    let hangs_up = Mood { end: End::Close(1), ack: super::fake::Ack::Never, ..WELL };
    let fake = Fake::new([hangs_up, hangs_up]).await;
    let mut world = World::new();
    let running = world.start(receiving(&fake));
    running.until("online", |status| status.connects == 1).await;
    running.port.reply(TopicName::new("press/tag1/result").unwrap(), b"done".to_vec());
    let status = running.until("given up", |status| status.commands.replies_dropped == 1).await;
    assert_eq!(status.commands.replies, 0);
    world.append(5);
    running.until_nothing_waits().await;
    let replies = fake.log(|log| {
        let is_reply = |seen: &&super::fake::Seen| seen.publish.topic.ends_with("/result");
        log.seen.iter().filter(is_reply).count()
    });
    assert_eq!(replies, 2);
    running.stop().await;
}

#[tokio::test]
async fn refused_subscriptions_are_counted_and_rows_still_flow() {
    let fake = Fake::new([]).await;
    fake.refuse_filters();
    let mut world = World::new();
    world.append(5);
    let running = world.start(receiving(&fake));
    running.until("refused", |status| status.commands.filters_refused == 2).await;
    running.until_nothing_waits().await;
    world.check_nothing_lost(&fake);
    running.stop().await;
}
