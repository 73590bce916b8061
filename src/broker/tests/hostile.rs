//! Clients that mean harm, or are broken: nobody else notices.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, duplex};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::notation::bytes;
use super::rig::{Rig, limits};
use crate::broker::access::{Access, Guard};
use crate::broker::connection::{self, EVENT_BYTES_MAX, Shared, Visitor};
use crate::broker::listener::{Door, HalfOpen};
use crate::broker::outbox::End;
use crate::broker::peer::Peer;
use crate::broker::router::Event;
use crate::broker::session::ConnId;
use crate::broker::status::Counters;
use crate::config::{BrokerPlan, ListenerPlan};
use crate::model::{Clock, ManualClock, Mono, Wall};

/// Mutated packets; `FIELDHOLD_PACKETS=1000000` is the long form.
const PACKETS: usize = 20_000;
/// Clients that send them.
const CLIENTS: usize = 8;

/// Good packets, the seeds of the mutations: of 3.1.1, of 5.0, and of both.
const SEEDS: [&[&str]; 3] = [
    &[
        r#"32[ "topic" 0001 'hi' ]"#,
        r#"34[ "topic" 0001 'hi' ]"#,
        r#"31[ "r/1" 'kept' ]"#,
        r#"30[ "plant/m1/v/set" '1' ]"#,
        r#"82[ 0001 "a" 01 "topic" 02 "+/b" 01 "r/#" 00 ]"#,
        r#"a2[ 0001 "a" "+/b" ]"#,
        "e0[]",
    ],
    &[
        r#"32[ "topic" 0001 [ 0101 02 00000005 03 "t" 08 "r" 09 "c" 23 0001 ] 'hello' ]"#,
        r#"32[ "" 0002 [ 23 0001 ] 'again' ]"#,
        r#"30[ "up/1" [ 26 "k" "v" 26 "k" "" ] 'x' ]"#,
        r#"31[ "r/2" [ 02 00000001 ] 'kept' ]"#,
        r#"40[ 0001 10 [ 1f "why" ] ]"#,
        r#"82[ 0001 [ 0b05 ] "a/#" 2d "topic" 01 "$share/g/t" 01 ]"#,
        r#"a2[ 0001 [] "a" ]"#,
        "e0[ 04 [ 11 0000000a ] ]",
        r#"f0[ 18 [ 15 "SCRAM" 16 "d" ] ]"#,
    ],
    &["40[ 0001 ]", "50[ 0001 ]", "62[ 0001 ]", "70[ 0001 ]", "c0[]"],
];

const CONNECTS: [&str; 2] = [
    r#"10[ "MQTT" 04 06 003c "m" "will" "gone" ]"#,
    r#"10[ "MQTT" 05 04 003c [ 11 0000000a 21 0005 27 00000100 26 "k" "v" ] "m"
        [ 18 00000001 08 "re" ] "will" "gone" ]"#,
];

fn damage(packet: &mut Vec<u8>, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(0..4) {
        if packet.is_empty() {
            return;
        }
        let at = random.usize(..packet.len());
        match random.u8(0..6) {
            0 | 1 => packet[at] = random.u8(..),
            2 => packet[at] = random.choice([0, 1, 0x7F, 0x80, 0xFF, 0x26]).unwrap(),
            3 => packet.truncate(at),
            4 => packet.insert(at, random.u8(..)),
            _ => packet.extend_from_within(at..),
        }
    }
    // With the length put right the damage reaches the fields.
    if random.bool() && (2..130).contains(&packet.len()) {
        packet[1] = u8::try_from(packet.len() - 2).unwrap();
    }
}

thread_local! {
    /// Panics of this thread: the codec's are caught where they happen.
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

#[test]
fn mutated_packets_harm_nobody() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.set(PANICS.get() + 1);
        before(info);
    }));
    let count = std::env::var("FIELDHOLD_PACKETS").map_or(PACKETS, |text| text.parse().unwrap());
    let seed = std::env::var("FIELDHOLD_SEED").map_or(1, |text| text.parse().unwrap());
    let mut random = fastrand::Rng::with_seed(seed);
    let mut rig = Rig::new(limits()).with_rules();
    for name in ["good", "sender"] {
        rig.send(name, &bytes(&format!("10[ \"MQTT\" 04 02 0000 \"{name}\" ]")));
        rig.read(name);
    }
    rig.send("good", &bytes("82[ 0001 \"good/#\" 01 ]"));
    rig.read("good");
    let mut versions = [0; CLIENTS];
    let mut id = 0_u16;
    for number in 1..=count {
        let who = random.usize(..CLIENTS);
        let name = format!("m{who}");
        let mut packet = if rig.has(&name) {
            let seeds = SEEDS[random.choice([versions[who], versions[who], 2]).unwrap()];
            bytes(random.choice(seeds).unwrap())
        } else {
            versions[who] = random.usize(..2);
            bytes(CONNECTS[versions[who]])
        };
        if !rig.has(&name) && random.u8(..4) > 0 {
            // A good one mostly, each its own.
            packet = bytes(&CONNECTS[versions[who]].replace("\"m\"", &format!("\"{name}\"")));
        } else {
            damage(&mut packet, &mut random);
        }
        rig.send(&name, &packet);
        // Some read rarely.
        if random.usize(..CLIENTS) >= who {
            rig.read(&name);
        }
        while let Ok(appended) = rig.appended.try_recv() {
            let _ = appended.done.send(if random.bool() { Ok(()) } else { Err("full".to_owned()) });
        }
        rig.commit();
        while rig.commands.try_recv().is_ok() {}
        if rig.end(&name) != End::Open {
            rig.lose(&name);
        }
        if number % 100 == 0 {
            rig.wait(Duration::from_millis(random.u64(1..500)));
            id = id.checked_add(1).unwrap_or(1);
            rig.send("sender", &bytes(&format!("32[ \"good/1\" {id:04x} 'still there' ]")));
            let got = rig.read("good");
            let got_id = u16::from_be_bytes([got[10], got[11]]);
            let expected = format!("32[ \"good/1\" {got_id:04x} 'still there' ]");
            assert_eq!(got, bytes(&expected), "after {number}");
            rig.send("good", &bytes(&format!("40[ {got_id:04x} ]")));
            let mut ack = rig.read("sender");
            if ack.is_empty() {
                // One of the others subscribed to everything and is behind: nobody waits long for it.
                rig.wait(Duration::from_secs(2));
                ack = rig.read("sender");
            }
            assert_eq!(ack, bytes(&format!("40[ {id:04x} ]")));
        }
    }
    let (status, most) = (rig.status(), limits());
    assert_eq!(PANICS.get(), 0, "the codec panicked");
    assert!(status.malformed > u64::try_from(count).unwrap() / 100, "{status:?}");
    assert!(status.messages_in > u64::try_from(count).unwrap() / 100, "{status:?}");
    assert!(status.sessions <= 2 * most.connections && status.retained <= most.retained_messages);
    for client in &status.clients {
        assert!(client.subscriptions <= most.subscriptions_per_client, "{client:?}");
        assert!(client.queue <= most.queue_messages && client.queue_bytes <= most.queue_bytes);
    }
}

/// A connection without a router behind it.
#[tokio::test(start_paused = true)]
async fn a_client_that_floods_has_few_packets_waiting_for_the_router() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Mono(0), Wall(0)));
    let counters = Arc::new(Counters::default());
    let listener = ListenerPlan::tcp("127.0.0.1:0".parse().unwrap(), 100);
    let (open, _socket) = Door::open(listener.clone()).await.unwrap();
    let plan = BrokerPlan { listeners: vec![listener], users: Vec::new(), limits: limits() };
    let (_access, access) = watch::channel(Arc::new(Access::of(&plan)));
    let (_limits, limits) = watch::channel(Arc::new(plan.limits));
    let (events, mut from_events) = mpsc::channel(1000);
    let shared = Shared {
        events,
        budget: Arc::new(tokio::sync::Semaphore::new(EVENT_BYTES_MAX)),
        counters: Arc::clone(&counters),
        guard: Arc::new(Guard::new(access, clock, Arc::clone(&counters))),
        limits,
    };
    let visitor = Visitor {
        conn: ConnId(1),
        peer: Peer::Local { uid: None },
        turn: HalfOpen::new(counters).enter(ConnId(1), &open, 10),
        door: open,
        certificate: None,
        deadline: Instant::now() + Duration::from_secs(10),
    };
    let (mut client, served) = duplex(1024 * 1024);
    let mut tasks = JoinSet::new();
    tasks.spawn(connection::run(served, visitor, shared));
    client.write_all(&bytes("10[ \"MQTT\" 04 02 0000 \"a\" ]")).await.unwrap();
    let connected = from_events.recv().await;
    assert!(matches!(connected, Some(Event::Connect { login: Ok(_), .. })));
    client.write_all(&bytes("c000").repeat(100_000)).await.unwrap();
    let mut waiting = Vec::new();
    while let Ok(event) = timeout(Duration::from_secs(1), from_events.recv()).await {
        waiting.push(event);
    }
    assert_eq!(waiting.len(), 2, "200,000 bytes would be 13 batches");
    // One more for each that the router is through with.
    waiting.pop();
    assert!(timeout(Duration::from_secs(1), from_events.recv()).await.is_ok());
}
