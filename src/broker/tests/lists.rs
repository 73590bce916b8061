//! What an operator sees and does: clients, subscriptions, topics, retained messages.

use std::time::Duration;

use super::notation::bytes;
use super::rig::{Rig, limits};
use super::running::start;
use crate::broker::lists::{Kicked, Removed};
use crate::broker::outbox::End;
use crate::config::BrokerLimits;
use crate::model::{FromCloud, Qos, TopicFilter, TopicName, Turned};

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

fn connect(rig: &mut Rig, name: &str, level: &str, flags: &str) {
    let properties = if level == "05" { "[ 11 0000ffff ]" } else { "" };
    rig.send(name, &bytes(&format!("10[ \"MQTT\" {level} {flags} 0000 {properties} \"{name}\" ]")));
    assert_eq!(rig.read(name)[0], 0x20);
}

#[test]
fn a_client_that_is_kicked_is_told_and_may_come_back_to_its_session() {
    let mut rig = Rig::new(limits());
    connect(&mut rig, "new", "05", "00");
    connect(&mut rig, "old", "04", "02");
    rig.send("new", &bytes("82[ 0001 [] \"a\" 01 ]"));
    rig.read("new");
    let now = rig.now;
    let done = Kicked::Done { was_connected: true, session_kept: true };
    assert_eq!(rig.router.kick("new", false, now), done);
    assert_eq!(rig.read("new"), bytes("e0[ 98 @why:98 ]"));
    assert_eq!(rig.end("new"), End::Finish);
    assert_eq!(rig.router.kick("new", false, now), Kicked::Away);
    let done = Kicked::Done { was_connected: true, session_kept: false };
    assert_eq!(rig.router.kick("old", false, now), done);
    assert_eq!((rig.read("old"), rig.end("old")), (vec![], End::Finish));
    assert_eq!(rig.router.kick("old", true, now), Kicked::Unknown);
    // It comes back and has what it subscribed to; until its session is ended, too.
    rig.lose("new");
    rig.send("new", &bytes("10[ \"MQTT\" 05 00 0000 [ 11 0000ffff ] \"new\" ]"));
    assert_eq!(rig.read("new")[2], 1, "session present");
    assert_eq!(rig.router.kick("new", true, now), done);
    assert_eq!(rig.status().sessions, 0);
}

#[test]
fn every_client_is_shown_with_its_version() {
    let mut rig = Rig::new(limits());
    rig.send("old", &bytes("10[ \"MQIsdp\" 03 02 0000 \"old\" ]"));
    connect(&mut rig, "usual", "04", "02");
    connect(&mut rig, "new", "05", "02");
    let clients = rig.counters.clients_after(None, 10);
    let shown: Vec<_> = clients.iter().map(|client| (&*client.id, client.version)).collect();
    assert_eq!(shown, [("new", "5.0"), ("old", "3.1"), ("usual", "3.1.1")]);
}

#[test]
fn a_kicked_client_leaves_its_will() {
    let mut rig = Rig::new(limits());
    connect(&mut rig, "S", "04", "02");
    rig.send("S", &bytes("82[ 0001 \"#\" 00 ]"));
    rig.read("S");
    rig.send("W", &bytes("10[ \"MQTT\" 04 06 0000 \"W\" \"gone\" 0001 'x' ]"));
    let now = rig.now;
    rig.router.kick("W", false, now);
    assert_eq!(rig.read("S"), bytes("30[ \"gone\" 'x' ]"));
}

#[test]
fn subscriptions_come_in_order_and_in_pages() {
    let limits = BrokerLimits {
        connections: 3000,
        subscriptions_per_client: 1000,
        topic_bytes: 1000,
        ..limits()
    };
    let mut rig = Rig::new(limits);
    for name in ["b", "a"] {
        connect(&mut rig, name, "04", "02");
        for n in (0..700).rev() {
            rig.send(name, &bytes(&format!("82[ 0001 \"t/{n:03}\" 01 ]")));
            rig.output(name).clear();
        }
    }
    rig.send("b", &bytes("82[ 0001 \"other/+\" 00 ]"));
    let mut all = Vec::new();
    let (mut after, mut pages) = (None, 0);
    loop {
        let page = rig.router.subscriptions(None, after.as_ref());
        all.extend(page.rows);
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((all.len(), pages), (1401, 3));
    let order: Vec<_> = all.iter().map(|row| (row.client.as_str(), row.filter.as_str())).collect();
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!((order[0], order[700]), (("a", "t/000"), ("b", "other/+")));
    assert_eq!((all[0].qos, all[700].qos), (1, 0));
    for (wanted, count) in [("other/x", 1), ("+/650", 3), ("t/#", 1400), ("none/x/y", 0)] {
        let mut found = 0;
        let mut after = None;
        loop {
            let page = rig.router.subscriptions(Some(&filter(wanted)), after.as_ref());
            found += page.rows.len();
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, count, "{wanted}");
    }
}

#[test]
fn many_clients_without_subscriptions_are_passed_over_in_steps() {
    let mut rig = Rig::new(BrokerLimits { connections: 5000, ..limits() });
    for n in 0..4500 {
        connect(&mut rig, &format!("c{n:04}"), "04", "02");
    }
    rig.send("c4499", &bytes("82[ 0001 \"x\" 00 ]"));
    let first = rig.router.subscriptions(None, None);
    assert!(first.rows.is_empty() && first.next.is_some());
    let second = rig.router.subscriptions(None, first.next.as_ref());
    let third = rig.router.subscriptions(None, second.next.as_ref());
    assert_eq!(third.rows[0].client, "c4499");
    assert_eq!(third.next, None);
}

#[test]
fn topics_tell_what_came_last_from_whom_and_who_gets_it() {
    let mut rig = Rig::new(limits()).with_rules();
    connect(&mut rig, "A", "04", "02");
    connect(&mut rig, "S", "04", "02");
    rig.send("S", &bytes("82[ 0001 \"#\" 00 \"x/+\" 01 ]"));
    rig.send("A", &bytes("30[ \"x/1\" 'old' ]"));
    rig.wait(Duration::from_secs(3));
    rig.send("A", &bytes("33[ \"x/1\" 0001 'newer' ]"));
    rig.local("plant/m1/v", "7", true);
    rig.wait(Duration::from_secs(2));
    let now = rig.now;
    let page = rig.router.topics(None, None, now);
    assert_eq!(page.next, None);
    let [tag, x] = &page.rows[..] else { panic!("{page:?}") };
    assert_eq!((tag.topic.as_str(), tag.by.as_deref(), tag.subscribers), ("plant/m1/v", None, 1));
    assert_eq!((x.topic.as_str(), x.messages, x.age_ms, x.bytes), ("x/1", 2, 2000, 5));
    assert_eq!((x.qos, x.retain, x.by.as_deref(), x.subscribers), (1, true, Some("A"), 1));
    assert_eq!(rig.router.topics(Some(&filter("x/#")), None, now).rows.len(), 1);
    for n in 0..250 {
        rig.send("A", &bytes(&format!("30[ \"n/{n:03}\" '1' ]")));
    }
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = rig.router.topics(Some(&filter("n/#")), after.as_deref(), now);
        assert!(page.rows.len() <= 100);
        all.extend(page.rows.into_iter().map(|row| row.topic));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(all.is_sorted() && all.len() == 250, "{}", all.len());
}

#[test]
fn retained_messages_are_listed_and_removed_but_for_the_gateways_own() {
    let mut rig = Rig::new(BrokerLimits { retained_messages: 5000, ..limits() }).with_rules();
    connect(&mut rig, "A", "05", "02");
    connect(&mut rig, "S", "04", "02");
    for n in 0..2600 {
        rig.send("A", &bytes(&format!("31[ \"n/{n:04}\" [] '1' ]")));
    }
    rig.send("A", &bytes("33[ \"m/text\" 0001 [ 02 0000000a ] 'Öl' ]"));
    rig.send("A", &bytes("31[ \"m/bytes\" [] ff00 ]"));
    rig.local("plant/m1/v", "7", true);
    rig.wait(Duration::from_secs(4));
    let now = rig.now;
    let page = rig.router.retained(Some(&filter("m/+")), None, now);
    let [binary, text] = &page.rows[..] else { panic!("{page:?}") };
    assert_eq!((binary.payload_hex.as_deref(), binary.payload.as_deref()), (Some("ff00"), None));
    assert_eq!((text.payload.as_deref(), text.bytes, text.qos), (Some("Öl"), 3, 1));
    assert_eq!((text.age_ms, text.expires_in_ms), (4000, Some(6000)));
    let (mut all, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = rig.router.retained(None, after.as_deref(), now);
        all.extend(page.rows);
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((all.len(), pages), (2603, 6));
    assert!(all.iter().filter(|row| row.reserved).all(|row| row.topic == "plant/m1/v"));
    // Removing tells subscribers, as an empty message does.
    rig.send("S", &bytes("82[ 0001 \"m/text\" 01 ]"));
    rig.read("S");
    let removed = |wanted: &str, rig: &mut Rig| {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = rig.router.remove_retained(&filter(wanted), after.as_deref(), now);
            all.extend(page.rows);
            after = page.next;
            if after.is_none() {
                return all;
            }
        }
    };
    let row = |topic: &str, removed| Removed { topic: topic.to_owned(), removed };
    assert_eq!(removed("m/#", &mut rig), [row("m/bytes", true), row("m/text", true)]);
    assert_eq!(rig.read("S"), bytes("32[ \"m/text\" 0002 ]"));
    assert_eq!(removed("plant/#", &mut rig), [row("plant/m1/v", false)]);
    assert_eq!(rig.status().retained, 2601);
}

#[tokio::test]
async fn lists_are_answered_by_a_broker_that_runs() {
    let running = start(limits()).await;
    let mut streams = Vec::new();
    for id in ["c", "a", "b"] {
        streams.push(running.connect(id).await);
    }
    let rows = running.broker.clients(None).rows;
    let ids: Vec<_> = rows.iter().map(|row| &*row.client.id).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    assert_eq!(running.broker.clients(Some("a")).rows.len(), 2);
    let kicked = running.broker.kick("b".to_owned(), false).await.unwrap();
    assert_eq!(kicked, Kicked::Done { was_connected: true, session_kept: false });
    super::running::expect_end(&mut streams[2]).await;
    // All but `$SYS`.
    let all = || Some(filter("#"));
    assert!(running.broker.topics(all(), None).await.unwrap().rows.is_empty());
    assert!(running.broker.retained(all(), None).await.unwrap().rows.is_empty());
    assert!(running.broker.subscriptions(None, None).await.unwrap().rows.is_empty());
    running.stop.cancel();
    drop(streams);
    tokio::time::timeout(super::running::PATIENCE, running.runner)
        .await
        .expect("ends in time")
        .unwrap()
        .unwrap();
    let error = running.broker.topics(None, None).await.unwrap_err();
    assert_eq!(error.to_string(), "a part of the broker stopped unexpectedly");
}

#[tokio::test]
async fn messages_of_a_cloud_never_reach_topics_of_the_gateway() {
    use super::running::{expect, send};
    let running = start(limits()).await;
    running.broker.set_rules(crate::broker::Rules {
        reserved: [TopicName::new("plant/m1/v").unwrap()].into(),
        devices: [TopicName::new("plant/m1").unwrap()].into(),
        // An uplink that wants everything gets none of it: there is no store to be asked.
        forward: vec![filter("#")],
    });
    let mut stream = running.connect("s").await;
    send(&mut stream, "82[ 0001 \"#\" 01 ]").await;
    expect(&mut stream, "90[ 0001 01 ]").await;
    let message = |topic: &str, bytes: usize| FromCloud {
        topic: TopicName::new(topic).unwrap(),
        payload: vec![b'x'; bytes],
        qos: Qos::AtLeastOnce,
        retain: false,
    };
    let publish = |topic: &str, bytes| running.broker.publish_from_cloud(message(topic, bytes));
    for topic in ["plant/m1/v", "plant/m1/v/set", "plant/m1/set", "$SYS/x", "$other"] {
        assert_eq!(publish(topic, 1), Err(Turned::Reserved), "{topic}");
    }
    assert_eq!(publish("a/b/c/d/e/f/g/h/i", 1), Err(Turned::TooLong));
    assert_eq!(publish(&"x".repeat(101), 1), Err(Turned::TooLong));
    assert_eq!(publish("cloud/x", 4096), Err(Turned::TooLong));
    assert_eq!(publish("cloud/x", 1), Ok(()));
    expect(&mut stream, "32[ \"cloud/x\" 0001 'x' ]").await;
    assert_eq!(running.broker.status().forwarded, 0);
}
