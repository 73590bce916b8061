//! What receivers are told of the gateway itself.

use super::fake::Fake;
use super::world::{World, eventually, plan};
use crate::config::{RatePlan, UplinkPlan, parse};

/// A configuration's Home Assistant, with one device.
pub fn home(fake: &Fake) -> UplinkPlan {
    let text = "\
gateway: { name: g, site: s }
buses: { b: { modbus-tcp: { host: h } } }
devices: { m1: { bus: b, tags: { u: { input: 0, type: u16 } } } }
uplinks: { up: { url: 'mqtt://h', home-assistant: {} } }
";
    let home_assistant = parse(text, "t").unwrap().plan.uplinks.remove(0).home_assistant;
    UplinkPlan { home_assistant, ..plan(fake) }
}

/// Topic, first byte and retain flag of all that came.
fn told(fake: &Fake) -> Vec<(String, Option<u8>, bool)> {
    fake.log(|log| {
        let one = |seen: &super::fake::Seen| {
            let publish = &seen.publish;
            (publish.topic.clone(), publish.payload.first().copied(), publish.retain)
        };
        log.seen.iter().map(one).collect()
    })
}

#[tokio::test]
async fn home_assistant_is_told_at_the_start_when_it_starts_and_at_the_end() {
    let fake = Fake::new([]).await;
    let world = World::new();
    let running = world.start(home(&fake));
    let online = ("s/g/status".to_owned(), Some(b'o'), true);
    let count = |of: &str| told(&fake).iter().filter(|(topic, ..)| topic.contains(of)).count();
    eventually("the first telling", || told(&fake).contains(&online)).await;
    assert_eq!(count("homeassistant/device/fieldhold_s_g_m1_"), 1);
    assert!(told(&fake).iter().all(|(.., retain)| *retain));
    let filters = fake.log(|log| log.filters.clone());
    let want = ["homeassistant/status", "homeassistant/device/+/config"];
    assert_eq!(filters.iter().map(|(filter, _)| filter.as_str()).collect::<Vec<_>>(), want);
    fake.say("homeassistant/status", "online", false);
    eventually("the second telling", || count("s/g/status") == 2).await;
    assert_eq!(count("homeassistant/device/"), 2);
    running.stop().await;
    let last = fake.log(|log| log.seen.last().map(|seen| seen.publish.clone())).unwrap();
    assert_eq!(
        (last.topic.as_str(), &last.payload[..], last.retain),
        ("s/g/status", &b"offline"[..], true)
    );
    let will = fake.log(|log| log.connects.first().and_then(|connect| connect.last_will.clone()));
    let will = will.unwrap();
    assert_eq!(
        (will.topic, &will.message[..], will.retain),
        ("s/g/status".to_owned(), &b"offline"[..], true)
    );
}

/// A goodbye without it would leave the gateway online for Home Assistant, for ever.
#[tokio::test]
async fn the_end_is_told_though_the_rate_is_used_up() {
    let (mut world, fake) = (World::new(), Fake::new([]).await);
    let rate = RatePlan { messages: Some(5), bytes: None };
    let running = world.start(UplinkPlan { rate, ..home(&fake) });
    running.until("online", |status| status.connects == 1).await;
    world.append(5);
    eventually("the rate is used", || told(&fake).len() >= 10).await;
    running.stop().await;
    let last = told(&fake).pop().unwrap();
    let payload = fake.log(|log| log.seen.last().map(|seen| seen.publish.payload.clone()));
    assert_eq!((last.0.as_str(), payload.as_deref()), ("s/g/status", Some(&b"offline"[..])));
}
