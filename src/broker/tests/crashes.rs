//! Whatever happens in whatever order, with the power gone at any moment: no acknowledged message
//! is lost for a session that survives but those counted as dropped, nor a retained one that its
//! SUBACK promised, and none of QoS 2 is delivered twice.
//!
//! The clients are by the book and don't crash; the gateway and the connections do.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::disk::Disk;
use super::notation::bytes;
use super::rig::{Rig, limits};
use crate::broker::outbox::End;
use crate::config::BrokerLimits;

const SUBSCRIBERS: [&str; 2] = ["s1", "s2"];
const PUBLISHERS: [&str; 2] = ["p1", "p2"];
/// What is retained, each under a topic of its own.
const RETAINED: [&str; 8] = ["1-a", "1-b", "1-c", "1-d", "2-e", "2-f", "2-g", "2-h"];

#[derive(Debug, Clone, Copy)]
enum Step {
    /// One of the publishers sends a message of this QoS.
    Publish(usize, u8),
    /// One of the subscribers asks for all that is retained.
    Ask(usize),
    /// A client takes so many packets that were sent to it, and answers them.
    Take(usize, usize),
    /// A client connects, if it is not connected.
    Connect(usize),
    /// A client's connection breaks, with what is on its way to it.
    Lose(usize),
    /// What was put is durable, and the router hears of it or not yet.
    Commit {
        told: bool,
    },
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..SUBSCRIBERS.len() + PUBLISHERS.len();
    prop_oneof![
        6 => (0..PUBLISHERS.len(), 1..=2_u8).prop_map(|(p, qos)| Step::Publish(p, qos)),
        1 => (0..SUBSCRIBERS.len()).prop_map(Step::Ask),
        8 => (client.clone(), 1..6_usize).prop_map(|(c, n)| Step::Take(c, n)),
        3 => client.clone().prop_map(Step::Connect),
        1 => client.prop_map(Step::Lose),
        5 => any::<bool>().prop_map(|told| Step::Commit { told }),
        1 => Just(Step::Crash),
    ]
}

/// How far the exchange about a message is, as its publisher knows.
#[derive(Debug, Clone)]
enum Sent {
    Publish { qos: u8, payload: String },
    Release,
}

#[derive(Default)]
struct Client {
    /// Whether it has its CONNACK.
    greeted: bool,
    /// Received and not taken.
    input: Vec<u8>,
    sent: BTreeMap<u16, Sent>,
    acknowledged: BTreeSet<String>,
    /// QoS 2 ids whose message it has delivered.
    has: BTreeSet<u16>,
    delivered: BTreeMap<String, usize>,
    /// How often it asked for all that is retained, and whether that was promised.
    asked: usize,
    is_promised: bool,
}

struct World {
    disk: Disk,
    rig: Rig,
    clients: BTreeMap<&'static str, Client>,
    published: usize,
    /// What fell out of full queues before the last crash.
    dropped: u64,
}

/// Few enough that publishers are made to wait for their subscribers.
fn bounds() -> BrokerLimits {
    BrokerLimits { inflight: 3, queue_messages: 12, ..limits() }
}

impl World {
    fn new() -> Self {
        let disk = Disk::new();
        let rig = Rig::start(bounds(), Some(&disk));
        let names = SUBSCRIBERS.into_iter().chain(PUBLISHERS);
        let clients = names.map(|name| (name, Client::default())).collect();
        let mut world = Self { disk, rig, clients, published: 0, dropped: 0 };
        for name in SUBSCRIBERS.into_iter().chain(PUBLISHERS) {
            world.rig.send(name, &bytes(&format!("10[ \"MQTT\" 04 00 0000 \"{name}\" ]")));
            world.commit(true);
            assert_eq!(world.rig.read(name), bytes("20020000"));
            world.clients.get_mut(name).unwrap().greeted = true;
        }
        world.rig.send("r", &bytes("10[ \"MQTT\" 04 02 0000 \"r\" ]"));
        for kept in RETAINED {
            let (qos, topic) = kept.split_once('-').unwrap();
            let first = if qos == "1" { "33" } else { "35" };
            world.rig.send("r", &bytes(&format!("{first}[ \"{topic}\" 0001 'kept-{kept}' ]")));
            world.commit(true);
            world.rig.send("r", &bytes("62020001"));
        }
        for name in SUBSCRIBERS {
            world.rig.send(name, &bytes("82[ 0001 \"t\" 02 ]"));
            world.commit(true);
            assert_eq!(world.rig.read(name), bytes("90[ 0001 02 ]"));
        }
        world
    }

    fn name(client: usize) -> &'static str {
        SUBSCRIBERS.into_iter().chain(PUBLISHERS).nth(client).unwrap()
    }

    fn client(&mut self, name: &'static str) -> &mut Client {
        self.clients.get_mut(name).unwrap()
    }

    fn commit(&mut self, told: bool) {
        self.disk.commit();
        if told {
            self.rig.commit();
        }
    }

    fn connect(&mut self, name: &'static str) {
        if self.rig.has(name) {
            return;
        }
        self.rig.send(name, &bytes(&format!("10[ \"MQTT\" 04 00 0000 \"{name}\" ]")));
    }

    fn lose(&mut self, name: &'static str) {
        if self.rig.has(name) {
            self.rig.lose(name);
        }
        let client = self.client(name);
        client.greeted = false;
        client.input.clear();
    }

    fn crash(&mut self) {
        self.dropped += self.rig.status().dropped.queue_full;
        self.disk.crash();
        self.rig = Rig::start(bounds(), Some(&self.disk));
        for client in self.clients.values_mut() {
            client.greeted = false;
            client.input.clear();
        }
    }

    fn publish(&mut self, name: &'static str, qos: u8) {
        let payload = format!("{name}-{qos}-{:03}", self.published);
        self.published += 1;
        let client = self.client(name);
        let Some(id) = (1..=5).find(|id| !client.sent.contains_key(id)) else { return };
        client.sent.insert(id, Sent::Publish { qos, payload: payload.clone() });
        if client.greeted {
            let first = 0x30 | (qos << 1);
            self.rig.send(name, &bytes(&format!("{first:02x}[ \"t\" {id:04x} '{payload}' ]")));
        }
    }

    fn ask(&mut self, name: &'static str) {
        let client = self.client(name);
        if client.greeted {
            client.asked += 1;
            self.rig.send(name, &bytes("82[ 0002 \"+\" 02 ]"));
        }
    }

    /// Takes packets one by one as its TCP connection would give them.
    fn take(&mut self, name: &'static str, count: usize) {
        if !self.rig.has(name) {
            return;
        }
        let output = self.rig.read(name);
        self.client(name).input.extend(output);
        for _ in 0..count {
            let client = self.client(name);
            let Some(&[first, length]) = client.input.first_chunk() else { break };
            let packet: Vec<u8> = client.input.drain(..usize::from(length) + 2).collect();
            let answer = client.answer(first, &packet[2..]);
            if !answer.is_empty() {
                self.rig.send(name, &answer);
            }
        }
        if self.rig.end(name) != End::Open {
            self.lose(name);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish(publisher, qos) => self.publish(PUBLISHERS[publisher], qos),
            Step::Ask(subscriber) => self.ask(SUBSCRIBERS[subscriber]),
            Step::Take(client, count) => self.take(Self::name(client), count),
            Step::Connect(client) => self.connect(Self::name(client)),
            Step::Lose(client) => self.lose(Self::name(client)),
            Step::Commit { told } => self.commit(told),
            Step::Crash => self.crash(),
        }
    }

    /// Lets everything come to its end.
    fn finish(&mut self) {
        for _ in 0..100 {
            for name in SUBSCRIBERS.into_iter().chain(PUBLISHERS) {
                self.connect(name);
                self.take(name, 100);
            }
            self.commit(true);
        }
    }
}

impl Client {
    /// What the client does about a packet.
    fn answer(&mut self, first: u8, body: &[u8]) -> Vec<u8> {
        let id = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        match first {
            0x20 => {
                assert_eq!(body, [1, 0], "the session is there");
                self.greeted = true;
                let again = self.sent.iter().flat_map(|(id, sent)| match sent {
                    Sent::Release => bytes(&format!("6202 {id:04x}")),
                    Sent::Publish { qos, payload } => {
                        let first = 0x38 | (qos << 1);
                        bytes(&format!("{first:02x}[ \"t\" {id:04x} '{payload}' ]"))
                    }
                });
                again.collect()
            }
            // A publisher's side.
            0x40 => {
                if let Some(Sent::Publish { payload, .. }) = self.sent.remove(&id(0)) {
                    self.acknowledged.insert(payload);
                }
                Vec::new()
            }
            0x50 => {
                if let Some(Sent::Publish { payload, .. }) = self.sent.get(&id(0)) {
                    self.acknowledged.insert(payload.clone());
                }
                self.sent.insert(id(0), Sent::Release);
                bytes(&format!("6202 {:04x}", id(0)))
            }
            0x70 => {
                assert!(matches!(self.sent.remove(&id(0)), Some(Sent::Release)));
                Vec::new()
            }
            // A subscriber's side.
            0x30..=0x3F => {
                let qos = (first >> 1) & 3;
                let (id, payload) = (id(3), String::from_utf8(body[5..].to_vec()).unwrap());
                if qos == 1 || self.has.insert(id) {
                    *self.delivered.entry(payload).or_default() += 1;
                }
                let first = if qos == 1 { 0x40 } else { 0x50 };
                bytes(&format!("{first:02x}02 {id:04x}"))
            }
            0x90 => {
                self.is_promised = true;
                Vec::new()
            }
            0x62 => {
                self.has.remove(&id(0));
                bytes(&format!("7002 {:04x}", id(0)))
            }
            other => panic!("a packet {other:02x}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_lost_and_nothing_of_qos_2_comes_twice(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.finish();
        let dropped = world.dropped + world.rig.status().dropped.queue_full;
        let mut lost = 0;
        let publishers = PUBLISHERS.map(|name| &world.clients[name]);
        prop_assert!(publishers.iter().all(|p| p.sent.is_empty()), "every exchange ended");
        let acknowledged: Vec<&String> =
            publishers.iter().flat_map(|p| &p.acknowledged).collect();
        for name in SUBSCRIBERS {
            let Client { delivered, asked, is_promised, .. } = &world.clients[name];
            let kept = RETAINED.map(|kept| format!("kept-{kept}"));
            let promised = kept.iter().filter(|_| *is_promised);
            for payload in acknowledged.iter().copied().chain(promised) {
                lost += u64::from(!delivered.contains_key(payload));
            }
            for (payload, count) in delivered {
                let most = if kept.contains(payload) { *asked } else { 1 };
                prop_assert!(!payload.contains("-2-") || *count <= most, "{name}: {payload} {count} times");
            }
        }
        prop_assert!(lost <= dropped, "{lost} are lost, {dropped} were counted");
        // Nothing is left behind in the file.
        let rows = world.disk.rows();
        let messages = rows.iter().filter(|key| matches!(key, crate::store::Key::Message(_)));
        prop_assert_eq!(messages.count(), 0);
    }
}
