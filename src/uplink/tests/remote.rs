//! What is said about the configuration, and what comes about it.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::fake::{End, Fake, Mood, WELL};
use super::world::{World, eventually, plan};
use crate::config::{RemotePlan, UplinkPlan};
use crate::model::{Name, TopicName};
use crate::uplink::remote::Telling;
use crate::uplink::{RemoteDoor, Told, What};

fn configured(fake: &Fake) -> UplinkPlan {
    let remote = RemotePlan {
        keys: Vec::new(),
        topic: TopicName::new("site/config").unwrap(),
        groups: Vec::new(),
        confirm: Duration::from_secs(1),
    };
    UplinkPlan { remote: Some(remote), ..plan(fake) }
}

fn told(revision: u64) -> Told {
    Told { revision, payload: format!("state {revision}").into() }
}

fn states(fake: &Fake) -> Vec<(usize, String, bool)> {
    let seen = fake.log(|log| log.seen.clone());
    let states = seen.iter().filter(|seen| seen.publish.topic == "site/config/status");
    states
        .map(|seen| {
            let text = String::from_utf8(seen.publish.payload.to_vec()).unwrap();
            (seen.connection, text, seen.publish.retain)
        })
        .collect()
}

#[tokio::test]
async fn the_state_is_told_at_every_connection_and_when_it_changes() {
    let fake = Fake::new([Mood { end: End::Reset(2), ..WELL }]).await;
    let world = World::new();
    let (arrived, mut arrivals) = mpsc::channel(2);
    let (tell, seen) = watch::channel(told(1));
    let door = RemoteDoor { arrived, told: seen, acknowledged: std::sync::Arc::default() };
    let acknowledged = door.acknowledged.clone();
    let running = world.start_with(configured(&fake), door);
    eventually("the first state", || states(&fake).len() == 1).await;
    let filters = fake.log(|log| log.filters.clone());
    let filters: Vec<_> =
        filters.iter().map(|(filter, before)| (filter.as_str(), *before)).collect();
    let wanted = ["set", "get", "confirm"].map(|word| (format!("site/config/{word}"), 0));
    assert_eq!(filters, wanted.each_ref().map(|(filter, before)| (filter.as_str(), *before)));
    let name = Name::new("cloud").unwrap();
    let newest = || acknowledged.borrow().get(&name).copied();
    eventually("its acknowledgement", || newest() == Some(1)).await;
    // The connection ends with the second one, and the next begins with the newest.
    tell.send_replace(told(2));
    let connections = || states(&fake).iter().map(|state| state.0).collect::<BTreeSet<_>>().len();
    eventually("the state on two connections", || connections() == 2).await;
    eventually("the acknowledgement of the second", || newest() == Some(2)).await;
    let all = states(&fake);
    assert!(all.iter().all(|(_, _, retain)| *retain), "{all:?}");
    assert_eq!(all.last().map(|(_, text, _)| text.as_str()), Some("state 2"));
    // What comes is handed on, and never taken for a command.
    fake.say("site/config/set", "signed", true);
    let what = arrivals.recv().await.unwrap();
    assert!(matches!(what.what, What::Set { message, retained: true } if message == b"signed"));
    assert_eq!(what.uplink, name);
    let status = running.until("online", |status| status.connects == 2).await;
    assert_eq!((status.commands.received, status.commands.ignored), (0, 0));
    running.stop().await;
}

/// A broker may answer one subscription before another that was asked for earlier.
#[tokio::test]
async fn only_the_answers_to_its_own_subscriptions_count() {
    let plan = configured(&Fake::new([]).await);
    let name = Name::new("cloud").unwrap();
    for (refused, proven) in [(0, Some(1)), (1, None)] {
        let (_tell, seen) = watch::channel(told(1));
        let arrived = mpsc::channel(1).0;
        let door = RemoteDoor { arrived, told: seen, acknowledged: std::sync::Arc::default() };
        let mut telling = Telling::start(&plan, &door, vec![1, 2, 3], 1 << 20).unwrap();
        telling.answered(7, 1);
        telling.answered(3, refused);
        telling.answered(1, 0);
        assert!(telling.next_bytes().is_none(), "one is not answered");
        telling.answered(2, 0);
        assert!(telling.next_bytes().is_some());
        telling.acknowledged(1);
        assert_eq!(door.acknowledged.borrow().get(&name).copied(), proven);
    }
}

#[tokio::test]
async fn a_state_that_is_too_large_is_a_problem_that_is_shown() {
    let fake = Fake::new([]).await;
    let world = World::new();
    let large = |bytes| Told { revision: 1, payload: vec![b'x'; bytes].into() };
    let (tell, seen) = watch::channel(large(3_000));
    let arrived = mpsc::channel(1).0;
    let door = RemoteDoor { arrived, told: seen, acknowledged: std::sync::Arc::default() };
    let plan = UplinkPlan { packet_bytes: 2_000, ..configured(&fake) };
    let running = world.start_with(plan, door);
    let status = running.until("said", |status| status.remote_problem.is_some()).await;
    let words = status.remote_problem.unwrap();
    assert!(words.contains("3028 bytes") && words.contains("allows 2000"), "{words}");
    assert!(states(&fake).is_empty());
    tell.send_replace(large(1_000));
    eventually("a smaller one", || states(&fake).len() == 1).await;
    running.until("no problem", |status| status.remote_problem.is_none()).await;
    running.stop().await;
}
