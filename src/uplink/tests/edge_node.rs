//! An edge node of Sparkplug against a broker that misbehaves on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use prost::Message as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::fake::{Fake, Manners};
use super::world::{World, broker, eventually, plan};
use crate::codec::sparkplug::{Content, DataType, Metric, Payload, payload};
use crate::config::{
    ProxyPlan, RatePlan, SasPlan, Secret, SparkplugDevice, SparkplugMetric, SparkplugPlan,
    UplinkPlan, Username,
};
use crate::model::{Name, TopicName, Value, ValueKind};
use crate::uplink::Cause;

/// Ten devices of one tag each.
pub fn node(world: &World, fake: &Fake, primary_host: Option<&str>) -> UplinkPlan {
    let device = |(n, tag)| SparkplugDevice {
        name: Name::new(&format!("d{n}")).unwrap(),
        topic: None,
        metrics: vec![SparkplugMetric {
            tag,
            name: Name::new(&format!("tag{n}")).unwrap(),
            topic: TopicName::new(&format!("press/tag{n}")).unwrap(),
            unit: "V".to_owned(),
            kind: ValueKind::Unsigned,
            is_list: false,
            is_writable: false,
        }],
    };
    let sparkplug = SparkplugPlan {
        group: "plant".to_owned(),
        node: "edge".to_owned(),
        primary_host: primary_host.map(str::to_owned),
        devices: world.tags.iter().copied().enumerate().map(device).collect(),
    };
    UplinkPlan { sparkplug: Some(sparkplug), ..plan(fake) }
}

fn topics(fake: &Fake) -> Vec<String> {
    fake.log(|log| log.seen.iter().map(|seen| seen.publish.topic.clone()).collect())
}

#[tokio::test]
async fn a_primary_host_that_may_not_be_heard_is_named() {
    let (world, fake) = (World::new(), Fake::new([]).await);
    fake.refuse_filters();
    let running = world.start(node(&world, &fake, Some("scada")));
    let status = running.until("left", |s| s.ends.contains_key(&Cause::Refused)).await;
    assert!(status.last_end.unwrap().contains("spBv1.0/STATE/scada"));
    running.stop().await;
    // Without commands a node goes on.
    let running = world.start(node(&world, &fake, None));
    eventually("born", || topics(&fake).contains(&"spBv1.0/plant/NBIRTH/edge".to_owned())).await;
    running.stop().await;
}

#[tokio::test]
async fn a_broker_that_talks_and_does_not_answer_is_left() {
    let pings = Manners { ignores_pings: true, talks: true, ..Manners::default() };
    let filters = Manners { ignores_filters: true, talks: true, ..Manners::default() };
    let free = RatePlan::default();
    let slow = RatePlan { messages: Some(2), bytes: None };
    for (manners, rate, words) in
        [(pings, free, "no ping"), (pings, slow, "no ping"), (filters, free, "subscription")]
    {
        let (mut world, fake) = (World::new(), Fake::new([]).await);
        world.timing.watchdog = Duration::from_secs(1);
        world.append(3);
        fake.behave(manners);
        let running = world.start(UplinkPlan { rate, ..node(&world, &fake, None) });
        let left = |s: &crate::uplink::UplinkStatus| s.ends.contains_key(&Cause::NoAcknowledgement);
        let status = running.until(words, left).await;
        assert!(status.last_end.as_ref().unwrap().contains(words), "{status:?}");
        assert_eq!(status.acked_rows, 0);
        running.stop().await;
    }
}

#[tokio::test]
async fn the_death_certificate_does_not_wait_for_the_rate() {
    let (mut world, fake) = (World::new(), Fake::new([]).await);
    world.append(20);
    let rate = RatePlan { messages: Some(2), bytes: None };
    let running = world.start(UplinkPlan { rate, ..node(&world, &fake, None) });
    eventually("born", || !topics(&fake).is_empty()).await;
    let status = running.stop().await;
    eventually("over", || fake.log(|log| log.disconnects) == 1).await;
    let topics = topics(&fake);
    assert!(topics.len() < 8, "the births were not all out: {topics:?}");
    assert_eq!(topics.last().unwrap(), "spBv1.0/plant/NDEATH/edge");
    assert_eq!((status.acked_rows, status.waiting), (0, world.appended));
}

/// What a host sends that wants births.
fn rebirth() -> Vec<u8> {
    let rebirth = Metric {
        name: Some("Node Control/Rebirth".to_owned()),
        value: Some(Value::Bool(true)),
        ..Metric::default()
    };
    let mut metrics = Vec::new();
    rebirth.encode(DataType::Boolean, &mut metrics).unwrap();
    payload(0, None, &metrics)
}

/// On a line that is slower than a host that asks again and again they would fill the memory.
#[tokio::test]
async fn births_are_not_sent_behind_births_that_may_not_have_arrived() {
    let (world, fake) = (World::new(), Fake::new([]).await);
    fake.behave(Manners { ignores_pings: true, ..Manners::default() });
    let running = world.start(node(&world, &fake, None));
    let births = || topics(&fake).iter().filter(|topic| topic.contains("/NBIRTH/")).count();
    eventually("born", || births() == 1).await;
    let wish = "spBv1.0/plant/NCMD/edge";
    fake.say(wish, rebirth(), false);
    running.until("asked", |status| status.commands.received == 1).await;
    // What is acknowledged after it comes behind all that it could have brought about.
    fake.say(wish, "no command", false);
    eventually("acknowledged", || fake.log(|log| log.pubacks) == 2).await;
    assert_eq!(births(), 1);
    running.stop().await;
}

/// What waits for the rate is data too: it is said again behind the births, and nothing is lost.
#[tokio::test]
async fn no_data_goes_out_between_the_wish_for_births_and_them() {
    const RATE: u32 = 16;
    let (mut world, fake) = (World::new(), Fake::new([]).await);
    world.append(20);
    let rate = RatePlan { messages: Some(RATE), bytes: None };
    let running = world.start(UplinkPlan { rate, ..node(&world, &fake, None) });
    let is_data = |topic: &String| topic.contains("/DDATA/");
    eventually("data", || topics(&fake).iter().any(is_data)).await;
    let before = topics(&fake).len();
    fake.say("spBv1.0/plant/NCMD/edge", rebirth(), false);
    let status = running.until_nothing_waits().await;
    running.stop().await;
    let topics = topics(&fake);
    let rest = &topics[before..];
    let births = rest.iter().position(|topic| topic.contains("/NBIRTH/")).unwrap();
    // What was on its way when the wish came is no more than a moment's share of the rate.
    assert!(births <= 2, "{rest:?}");
    assert!(rest[births + 1..][..10].iter().all(|topic| topic.contains("/DBIRTH/")), "{rest:?}");
    let sent = fake.log(|log| log.seen.clone());
    let mut seq = None;
    let mut values = BTreeSet::new();
    let mut aliases = BTreeMap::new();
    for seen in sent.iter().filter(|seen| !seen.publish.topic.contains("NDEATH")) {
        let payload = Payload::decode(&*seen.publish.payload).unwrap();
        let follows = seq.map(|last: u64| (last + 1) % 256);
        let is_birth = seen.publish.topic.contains("/NBIRTH/");
        assert_eq!(payload.seq, if is_birth { Some(0) } else { follows });
        seq = payload.seq;
        for metric in payload.metrics {
            if let (Some(name), Some(alias)) = (metric.name, metric.alias) {
                assert_eq!(*aliases.entry(alias).or_insert(name.clone()), name);
            }
            if let (true, Some(Content::Long(value))) = (is_data(&seen.publish.topic), metric.value)
            {
                values.insert(value);
            }
        }
    }
    assert_eq!(values, (0..world.appended).collect(), "{status:?}");
    assert!(world.store.status().balances());
}

/// Hangs up on so many, and connects the next.
async fn proxy(mut hangs_up: usize) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(near.read_u8().await.unwrap());
            }
            if hangs_up > 0 {
                hangs_up -= 1;
                continue;
            }
            let to = String::from_utf8(head).unwrap().split(' ').nth(1).unwrap().to_owned();
            near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let mut far = TcpStream::connect(to).await.unwrap();
            let _over = copy_bidirectional(&mut near, &mut far).await;
        }
    });
    (addr, tasks)
}

#[tokio::test]
async fn an_attempt_that_ends_at_the_proxy_uses_no_bd_seq() {
    let (world, fake) = (World::new(), Fake::new([]).await);
    let (addr, _tasks) = proxy(3).await;
    let (host, port) = (addr.ip().to_string(), addr.port());
    let proxy = Some(ProxyPlan { host, port, username: None, password: None });
    let running = world.start(UplinkPlan { proxy, ..node(&world, &fake, None) });
    eventually("connected", || fake.log(|log| !log.connects.is_empty())).await;
    let status = running.stop().await;
    assert_eq!(status.ends.values().sum::<u64>(), 3);
    let will = fake.log(|log| log.connects[0].last_will.clone()).unwrap();
    let metrics = Payload::decode(will.message.as_ref()).unwrap().metrics;
    assert_eq!(metrics[0].value, Some(Content::Long(0)));
}

#[tokio::test]
async fn a_restart_while_the_broker_is_away_uses_no_bd_seq() {
    let (world, fake) = (World::new(), Fake::new([]).await);
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let away = UplinkPlan { brokers: vec![broker(gone)], ..node(&world, &fake, None) };
    for _ in 0..2 {
        let running = world.start(away.clone());
        running.until("tried", |status| !status.ends.is_empty()).await;
        running.stop().await;
    }
    let running = world.start(node(&world, &fake, None));
    eventually("connected", || fake.log(|log| !log.connects.is_empty())).await;
    running.stop().await;
    let will = fake.log(|log| log.connects[0].last_will.clone()).unwrap();
    let metrics = Payload::decode(will.message.as_ref()).unwrap().metrics;
    assert_eq!(metrics[0].value, Some(Content::Long(0)));
}

/// A token is renewed by a new connection, and each session ends with a death certificate.
#[tokio::test]
async fn a_token_is_renewed_and_the_hosts_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut key = std::fs::File::create(dir.path().join("hub.key")).unwrap();
    std::io::Write::write_all(&mut key, b"c2VjcmV0IGtleQ==").unwrap();
    let (mut world, fake) = (World::new(), Fake::new([]).await);
    world.append(5);
    let lifetime = Duration::from_millis(400);
    let sas =
        SasPlan { key: Secret { file: "hub.key".into() }, lifetime, resource: None, policy: None };
    let username = Some(Username::Plain("hub/d1".to_owned()));
    let node = UplinkPlan { sas: Some(sas), username, ..node(&world, &fake, None) };
    let running = world.start_in(node, dir.path().to_owned());
    let status = running.until("renewed", |status| status.connects == 3).await;
    assert!(status.ends.is_empty(), "{status:?}");
    let deaths = topics(&fake).iter().filter(|topic| topic.contains("/NDEATH/")).count();
    assert_eq!((deaths, fake.log(|log| log.disconnects)), (2, 2));
    running.stop().await;
}
