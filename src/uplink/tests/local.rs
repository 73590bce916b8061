//! Messages of the cloud for the clients of this network.

use std::sync::atomic::Ordering;

use rumqttc::QoS;

use super::fake::Fake;
use super::world::{World, eventually, plan};
use crate::config::{LocalPlan, UplinkPlan};
use crate::model::{FromCloud, Qos, TopicFilter, TopicName};

fn local(filter: &str, under: &str, qos: Qos, retain: bool) -> LocalPlan {
    let filter = TopicFilter::new(filter).unwrap();
    LocalPlan { filter, under: TopicName::new(under).unwrap(), qos, retain }
}

fn receiving(fake: &Fake) -> UplinkPlan {
    UplinkPlan {
        receive: vec![TopicFilter::new("site/+/+/set").unwrap()],
        local: vec![
            local("site/recipes/#", "cloud", Qos::ExactlyOnce, true),
            local("site/#", "from/hq", Qos::AtMostOnce, false),
        ],
        ..plan(fake)
    }
}

#[tokio::test]
async fn what_the_cloud_says_is_published_under_a_prefix_as_it_came() {
    let fake = Fake::new([]).await;
    let mut world = World::new();
    world.lan.most.store(4, Ordering::Relaxed);
    let mut running = world.start(receiving(&fake));
    world.append(1);
    running.until_nothing_waits().await;
    assert_eq!(
        fake.log(|log| log.asked.clone()),
        [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::AtMostOnce]
    );
    fake.say_at("site/recipes/5", "a", false, QoS::ExactlyOnce);
    fake.say_at("site/notes", "b", true, QoS::AtMostOnce);
    fake.say_at("site/recipes/6", "c", false, QoS::AtLeastOnce);
    // A command, though the second filter is for it as well; one that is no tag's is not.
    fake.say("site/press/tag1/set", "7", false);
    fake.say("site/set", "8", false);
    let command = running.requests.recv().await.unwrap();
    assert_eq!(command.topic.as_str(), "press/tag1/set");
    running.until("published", |status| status.local.published == 4).await;
    let got = world.lan.messages.lock().unwrap().clone();
    let message = |topic: &str, payload: &str, qos, retain| FromCloud {
        topic: TopicName::new(topic).unwrap(),
        payload: payload.into(),
        qos,
        retain,
    };
    let want = [
        message("cloud/recipes/5", "a", Qos::ExactlyOnce, true),
        message("from/hq/notes", "b", Qos::AtMostOnce, false),
        message("cloud/recipes/6", "c", Qos::AtLeastOnce, true),
        message("from/hq/set", "8", Qos::AtLeastOnce, false),
    ];
    assert_eq!(got, want);
    eventually("QoS 2 is completed", || fake.log(|log| log.pubcomps) == 1).await;
    running.stop().await;
}

#[tokio::test]
async fn what_is_not_published_is_counted_by_reason() {
    let fake = Fake::new([]).await;
    let world = World::new();
    let running = world.start(receiving(&fake));
    running.until("subscribed", |status| status.commands.filters_granted == 3).await;
    fake.say("site/recipes/5", "nobody has room", false);
    fake.say("site/recipes/cloud/5", "was here before", false);
    fake.say("site/a/from/hq/b", "this, too", false);
    fake.say("else/where", "not asked for", false);
    let status = running.until("looked at", |status| status.commands.ignored == 1).await;
    let turned: Vec<_> = status.local.turned.into_iter().collect();
    assert_eq!(turned, [("full", 1), ("looped", 2)]);
    assert_eq!((status.local.published, status.commands.received), (0, 0));
    running.stop().await;
}
