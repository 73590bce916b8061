//! Bounds: what happens when a queue, a buffer or a table is full, and that it is counted.

use super::notation::bytes;
use super::rig::{Rig, limits};
use crate::broker::outbox::End;
use crate::config::{BrokerLimits, QueueDrops};

const KEEP: &str = "00";
const CLEAN: &str = "02";

fn connect(rig: &mut Rig, name: &str, flags: &str) {
    rig.send(name, &bytes(&format!("10[ \"MQTT\" 04 {flags} 0000 \"{name}\" ]")));
    let connack = rig.read(name);
    assert_eq!(connack[..2], [0x20, 2]);
    assert_eq!(connack[3], 0);
}

fn subscribe(rig: &mut Rig, name: &str, filter: &str, qos: u8) {
    rig.send(name, &bytes(&format!("82[ 0001 \"{filter}\" {qos:02x} ]")));
    assert_eq!(rig.read(name), bytes(&format!("90[ 0001 {qos:02x} ]")));
}

fn publish(rig: &mut Rig, name: &str, qos: u8, payload: &str) {
    let (first, id) = if qos == 0 { ("30", "") } else { ("32", "0001") };
    rig.send(name, &bytes(&format!("{first}[ \"t\" {id} '{payload}' ]")));
    rig.read(name);
}

#[test]
fn a_full_queue_drops_the_oldest_and_counts() {
    let mut rig = Rig::new(BrokerLimits { queue_messages: 3, ..limits() });
    connect(&mut rig, "A", KEEP);
    subscribe(&mut rig, "A", "t", 1);
    rig.lose("A");
    connect(&mut rig, "P", CLEAN);
    for number in 0..5 {
        publish(&mut rig, "P", 1, &number.to_string());
    }
    let status = rig.status();
    assert_eq!(status.dropped.queue_full, 2);
    let client = status.clients.iter().find(|c| &*c.id == "A").unwrap();
    assert_eq!((client.queue, client.dropped, client.connected), (3, 2, false));
    rig.send("A", &bytes("10[ \"MQTT\" 04 00 0000 \"A\" ]"));
    let expected = "2002 0100 32[ \"t\" 0003 '2' ] 32[ \"t\" 0004 '3' ] 32[ \"t\" 0005 '4' ]";
    assert_eq!(rig.read("A"), bytes(expected));
    let client = rig.status().clients.into_iter().find(|c| &*c.id == "A").unwrap();
    assert_eq!((client.queue, client.queue_bytes, client.inflight), (0, 0, 3));
}

#[test]
fn a_full_queue_can_keep_the_oldest_instead() {
    let limits = BrokerLimits { queue_messages: 3, queue_drops: QueueDrops::Newest, ..limits() };
    let mut rig = Rig::new(limits);
    connect(&mut rig, "A", KEEP);
    subscribe(&mut rig, "A", "t", 1);
    rig.lose("A");
    connect(&mut rig, "P", CLEAN);
    for number in 0..5 {
        publish(&mut rig, "P", 1, &number.to_string());
    }
    assert_eq!(rig.status().dropped.queue_full, 2);
    rig.send("A", &bytes("10[ \"MQTT\" 04 00 0000 \"A\" ]"));
    let expected = "2002 0100 32[ \"t\" 0001 '0' ] 32[ \"t\" 0002 '1' ] 32[ \"t\" 0003 '2' ]";
    assert_eq!(rig.read("A"), bytes(expected));
}

#[test]
fn new_bounds_hold_for_those_who_are_there() {
    let mut rig = Rig::new(limits());
    connect(&mut rig, "A", KEEP);
    subscribe(&mut rig, "A", "t", 1);
    rig.lose("A");
    connect(&mut rig, "P", CLEAN);
    for number in 0..5 {
        publish(&mut rig, "P", 1, &number.to_string());
        rig.send("P", &bytes(&format!("31[ \"r/{number}\" 'x' ]")));
    }
    rig.router.set_limits(BrokerLimits { queue_messages: 2, retained_messages: 3, ..limits() });
    assert_eq!((rig.status().retained, rig.end("P")), (5, End::Open));
    publish(&mut rig, "P", 1, "5");
    rig.send("P", &bytes("31[ \"r/0\" 'y' ] 31[ \"r/5\" 'x' ]"));
    let status = rig.status();
    assert_eq!((status.dropped.queue_full, status.dropped.retained_full), (4, 1));
    let client = status.clients.iter().find(|c| &*c.id == "A").unwrap();
    assert_eq!((client.queue, client.dropped), (2, 4));
}

#[test]
fn a_queue_is_bounded_in_bytes_too() {
    let mut rig = Rig::new(BrokerLimits { queue_bytes: 5000, ..limits() });
    connect(&mut rig, "A", KEEP);
    subscribe(&mut rig, "A", "t", 1);
    rig.lose("A");
    connect(&mut rig, "P", CLEAN);
    for _ in 0..20 {
        publish(&mut rig, "P", 1, &"x".repeat(1000));
    }
    let client = rig.status().clients.into_iter().find(|c| &*c.id == "A").unwrap();
    assert!(client.queue_bytes <= 5000, "{client:?}");
    assert_eq!(client.queue, 4);
    assert_eq!(rig.status().dropped.queue_full, 16);
}

#[test]
fn the_identifiers_of_a_clients_subscriptions_count_in_its_queue() {
    let most = BrokerLimits { queue_bytes: 5000, subscriptions_per_client: 128, ..limits() };
    let mut rig = Rig::new(most);
    rig.send("A", &bytes("10[ \"MQTT\" 05 00 0000 [ 11 ffffffff ] \"A\" ]"));
    // All of them match the one topic.
    for number in 0..128_u32 {
        let level = |bit: u32| if number >> bit & 1 == 0 { "t" } else { "+" };
        let filter = (0..7).map(level).collect::<Vec<_>>().join("/");
        let id = number + 128;
        let id = format!("0b {:02x} {:02x}", id & 0x7f | 0x80, id >> 7);
        rig.send("A", &bytes(&format!("82[ 0001 [ {id} ] \"{filter}\" 01 ]")));
    }
    rig.lose("A");
    connect(&mut rig, "P", CLEAN);
    for _ in 0..20 {
        rig.send("P", &bytes("32[ \"t/t/t/t/t/t/t\" 0001 'x' ]"));
    }
    let client = rig.status().clients.into_iter().find(|c| &*c.id == "A").unwrap();
    assert!((1..=5000 / 512).contains(&client.queue), "{client:?}");
    assert!(client.queue_bytes <= 5000, "{client:?}");
}

#[test]
fn a_client_that_does_not_read_loses_qos_0_and_keeps_qos_1_while_others_flow() {
    let mut rig = Rig::new(limits());
    for name in ["slow", "quick"] {
        connect(&mut rig, name, CLEAN);
        subscribe(&mut rig, name, "t", 1);
    }
    connect(&mut rig, "P", CLEAN);
    let mut seen = 0;
    for _ in 0..50 {
        publish(&mut rig, "P", 0, &"x".repeat(1000));
        seen += rig.read("quick").len();
    }
    // 10,000 bytes are allowed to wait, each packet has 1,006.
    assert_eq!(rig.status().dropped.slow, 40);
    assert!(seen >= 50 * 1000);
    publish(&mut rig, "P", 1, "important");
    assert_eq!(rig.read("quick"), bytes("32[ \"t\" 0001 'important' ]"));
    let slow = rig.read("slow");
    assert_eq!(slow[slow.len() - 9..], *b"important", "came when there was room again");
    assert_eq!(rig.end("slow"), End::Open);
}

#[test]
fn a_client_that_reads_nothing_for_long_is_cut() {
    let mut rig = Rig::new(limits());
    connect(&mut rig, "slow", CLEAN);
    subscribe(&mut rig, "slow", "t", 1);
    connect(&mut rig, "P", CLEAN);
    publish(&mut rig, "P", 0, "x");
    for _ in 0..29 {
        rig.wait(std::time::Duration::from_secs(1));
    }
    assert_eq!(rig.status().slow_cut, 0);
    rig.wait(std::time::Duration::from_secs(2));
    assert_eq!(rig.status().slow_cut, 1);
    assert_eq!(rig.end("slow"), End::Abort);
    assert_eq!(rig.end("P"), End::Open);
}

#[test]
fn a_client_that_takes_no_answers_is_cut() {
    let mut rig = Rig::new(limits());
    connect(&mut rig, "A", CLEAN);
    for _ in 0..200 {
        rig.send("A", &bytes("c000").repeat(100));
        if rig.status().slow_cut == 1 {
            assert_eq!(rig.end("A"), End::Abort);
            return;
        }
    }
    panic!("40,000 bytes of answers wait unread");
}

#[test]
fn retained_messages_are_bounded() {
    let mut rig = Rig::new(BrokerLimits { retained_bytes: 3000, ..limits() });
    connect(&mut rig, "P", CLEAN);
    for number in 0..10 {
        let payload = "x".repeat(800);
        rig.send("P", &bytes(&format!("31[ \"r/{number}\" '{payload}' ]")));
    }
    let status = rig.status();
    assert_eq!((status.retained, status.dropped.retained_full), (3, 7));
    assert!(status.retained_bytes <= 3000);
    for number in 0..10 {
        rig.send("P", &bytes(&format!("31[ \"r/{number}\" ]")));
    }
    let status = rig.status();
    assert_eq!((status.retained, status.retained_bytes), (0, 0));
}

#[test]
fn many_retained_messages_come_as_fast_as_they_are_read_and_none_is_lost() {
    let limits = BrokerLimits { retained_messages: 5000, retained_bytes: 10_000_000, ..limits() };
    let mut rig = Rig::new(limits);
    for number in 0..3000 {
        rig.local(&format!("tag/{number:04}/value"), "12345", true);
    }
    connect(&mut rig, "A", CLEAN);
    rig.send("A", &bytes("82[ 0001 \"tag/+/value\" 00 ]"));
    let expected: Vec<u8> = (0..3000)
        .flat_map(|number| bytes(&format!("31[ \"tag/{number:04}/value\" '12345' ]")))
        .collect();
    let got = rig.read("A");
    assert_eq!(got[..5], bytes("90[ 0001 00 ]"));
    assert_eq!(got[5..], expected);
    let status = rig.status();
    assert_eq!((status.dropped.slow, status.dropped.queue_full), (0, 0));
}

#[test]
fn who_subscribes_again_and_again_has_no_more_turns_than_others() {
    let limits = BrokerLimits { retained_messages: 12_000, retained_bytes: 10_000_000, ..limits() };
    let mut rig = Rig::new(limits);
    for number in 0..10_000 {
        rig.local(&format!("tag/{number:05}/value"), "12345", true);
    }
    connect(&mut rig, "A", CLEAN);
    let before = rig.steps;
    // Nothing matches, so that looking is all there is to do: 2,000 topics in a step.
    rig.send("A", &bytes("82[ 0001 \"+/none\" 00 ]").repeat(5));
    assert_eq!(rig.steps - before, 5, "one for each 2,000 topics, whatever the first was for");
    assert_eq!(rig.read("A"), bytes("90[ 0001 00 ]").repeat(5));
}

#[test]
fn sessions_of_absent_clients_are_bounded() {
    let mut rig = Rig::new(BrokerLimits { connections: 2, ..limits() });
    for number in 0..10 {
        let name = format!("C{number}");
        connect(&mut rig, &name, KEEP);
        subscribe(&mut rig, &name, "t", 1);
        rig.lose(&name);
        rig.wait(std::time::Duration::from_secs(1));
    }
    let status = rig.status();
    let ids: Vec<&str> = status.clients.iter().map(|c| &*c.id).collect();
    assert_eq!(ids, ["C6", "C7", "C8", "C9"], "the one away for longest goes first");
    assert_eq!((status.sessions, status.subscriptions), (4, 4));
}

#[test]
fn a_stopped_broker_says_so_and_sends_no_wills() {
    let mut rig = Rig::new(limits());
    connect(&mut rig, "W", CLEAN);
    subscribe(&mut rig, "W", "will", 0);
    rig.send("A", &bytes("10[ \"MQTT\" 05 06 0000 [] \"a\" [] \"will\" \"gone\" ]"));
    rig.read("A");
    let now = rig.now;
    rig.router.shut_down(now);
    assert_eq!(rig.read("A"), bytes("e0[ 8b @why:8b ]"));
    assert_eq!(rig.read("W"), b"");
    assert_eq!((rig.end("A"), rig.end("W")), (End::Finish, End::Finish));
    assert_eq!(rig.status().connections, 0);
}

#[test]
fn a_packet_id_is_not_used_again_while_it_is_in_flight() {
    let mut rig = Rig::new(limits());
    connect(&mut rig, "A", CLEAN);
    subscribe(&mut rig, "A", "t", 1);
    rig.local("t", "held", false);
    assert_eq!(rig.read("A"), bytes("32[ \"t\" 0001 'held' ]"));
    for number in 2..=65_535_u16 {
        rig.local("t", "x", false);
        assert_eq!(rig.read("A"), bytes(&format!("32[ \"t\" {number:04x} 'x' ]")));
        rig.send("A", &bytes(&format!("4002 {number:04x}")));
    }
    rig.local("t", "next", false);
    assert_eq!(rig.read("A"), b"", "id 1 would come next, and is still in flight");
    rig.send("A", &bytes("4002 0001"));
    assert_eq!(rig.read("A"), bytes("32[ \"t\" 0001 'next' ]"));
}

#[test]
fn publishers_wait_for_a_subscriber_that_is_behind_and_nothing_is_lost() {
    let mut rig = Rig::new(BrokerLimits { queue_messages: 10, inflight: 2, ..limits() });
    connect(&mut rig, "A", CLEAN);
    subscribe(&mut rig, "A", "t", 1);
    connect(&mut rig, "P", CLEAN);
    let mut acknowledged = 0;
    for id in 1..=10_u8 {
        rig.send("P", &bytes(&format!("32[ \"t\" 00{id:02x} 'x' ]")));
        acknowledged += rig.read("P").len() / 4;
    }
    // Two are in flight, four may wait, from the fifth on the publisher does.
    assert_eq!(acknowledged, 6);
    for id in 1..=4_u8 {
        rig.read("A");
        rig.send("A", &bytes(&format!("4002 00{id:02x}")));
    }
    assert_eq!(rig.read("P"), bytes("4002 0007 4002 0008 4002 0009 4002 000a"));
    for id in 5..=10_u8 {
        rig.read("A");
        rig.send("A", &bytes(&format!("4002 00{id:02x}")));
    }
    assert_eq!(rig.status().dropped.queue_full, 0);
    assert_eq!(rig.status().messages_out, 10);
}

#[test]
fn a_subscriber_without_progress_or_gone_holds_up_nobody_for_long() {
    for gone in [false, true] {
        let mut rig = Rig::new(BrokerLimits { queue_messages: 4, inflight: 1, ..limits() });
        connect(&mut rig, "A", CLEAN);
        subscribe(&mut rig, "A", "t", 1);
        connect(&mut rig, "P", CLEAN);
        for id in 1..=3_u8 {
            rig.send("P", &bytes(&format!("32[ \"t\" 00{id:02x} 'x' ]")));
        }
        assert_eq!(rig.read("P"), bytes("4002 0001 4002 0002"));
        if gone {
            rig.lose("A");
        } else {
            rig.wait(std::time::Duration::from_millis(900));
            assert_eq!(rig.read("P"), b"");
            rig.wait(std::time::Duration::from_millis(200));
        }
        assert_eq!(rig.read("P"), bytes("4002 0003"));
        rig.send("P", &bytes("32[ \"t\" 0004 'x' ] 32[ \"t\" 0005 'x' ] 32[ \"t\" 0006 'x' ]"));
        assert_eq!(rig.read("P").len(), 12, "at once from now on");
    }
}

/// 1,024 are offered; a message of QoS 2 counts until its PUBCOMP [MQTT-3.3.4-7].
#[test]
fn a_client_above_the_receive_maximum_is_disconnected() {
    let mut rig = Rig::new(limits());
    rig.send("A", &bytes("10[ \"MQTT\" 05 02 0000 [] \"a\" ]"));
    rig.read("A");
    for id in 1..=1024 {
        rig.send("A", &bytes(&format!("34[ \"t\" {id:04x} [] 'x' ]")));
        assert_eq!(rig.read("A"), bytes(&format!("50[ {id:04x} 10 ]")));
    }
    rig.send("A", &bytes("34[ \"t\" 0401 [] 'x' ]"));
    assert_eq!(rig.read("A"), bytes("e0[ 93 @why:93 ]"));
    assert_eq!(rig.end("A"), End::Finish);
}

#[test]
fn a_subscriber_that_is_slow_for_long_holds_up_nobody() {
    for (acks_per_second, holds_up) in [(2, false), (20, true)] {
        let limits = BrokerLimits { queue_messages: 100, inflight: 10, ..limits() };
        let mut rig = Rig::new(limits);
        connect(&mut rig, "A", CLEAN);
        subscribe(&mut rig, "A", "t", 1);
        connect(&mut rig, "P", CLEAN);
        let (mut sent, mut answered, mut acks) = (0_u16, 0, 0_u16);
        // Whatever it is let, for ten seconds.
        for _ in 0..10 {
            for _ in 0..acks_per_second {
                while sent - answered < 20 && sent < 600 {
                    sent += 1;
                    rig.send("P", &bytes(&format!("32[ \"t\" {sent:04x} 'x' ]")));
                    answered += u16::try_from(rig.read("P").len() / 4).unwrap();
                }
                rig.read("A");
                acks += 1;
                rig.send("A", &bytes(&format!("4002 {acks:04x}")));
                rig.wait(std::time::Duration::from_millis(1000 / acks_per_second));
                answered += u16::try_from(rig.read("P").len() / 4).unwrap();
            }
        }
        assert_eq!(answered < 600, holds_up, "{answered} answered, {acks} acknowledged");
        assert_eq!(rig.status().dropped.queue_full == 0, holds_up);
    }
}

#[test]
fn what_nobody_acknowledges_counts_among_all_queues() {
    let mut rig = Rig::new(BrokerLimits { all_queues_bytes: 20_000, ..limits() });
    for number in 0..10 {
        let (name, topic) = (format!("C{number}"), format!("t/{number}"));
        connect(&mut rig, &name, KEEP);
        subscribe(&mut rig, &name, &topic, 1);
        // All in flight at once, nothing in a queue.
        for _ in 0..3 {
            rig.local(&topic, &"x".repeat(3000), false);
        }
        rig.read(&name);
        rig.lose(&name);
    }
    let status = rig.status();
    let in_flight: usize = status.clients.iter().map(|client| client.inflight).sum();
    assert!((4..=6).contains(&in_flight), "{in_flight} messages of 3,000 bytes");
    assert_eq!(status.dropped.queue_full, u64::try_from(30 - in_flight).unwrap());
    // What is left comes again.
    let again = (0..10).map(|number| {
        let name = format!("C{number}");
        rig.send(&name, &bytes(&format!("10[ \"MQTT\" 04 00 0000 \"{name}\" ]")));
        rig.read(&name).len() / 3000
    });
    assert_eq!(again.sum::<usize>(), in_flight);
}

#[test]
fn what_is_in_flight_is_bounded_in_bytes_too() {
    let mut rig = Rig::new(limits());
    connect(&mut rig, "A", CLEAN);
    subscribe(&mut rig, "A", "t", 1);
    for _ in 0..8 {
        rig.local("t", &"x".repeat(3000), false);
        rig.read("A");
    }
    let client = |rig: &mut Rig| {
        let client = rig.status().clients.into_iter().next().unwrap();
        (client.inflight, client.queue)
    };
    // 10,000 bytes, and the one that reaches them.
    assert_eq!(client(&mut rig), (4, 4));
    rig.send("A", &bytes("4002 0001"));
    assert_eq!(client(&mut rig), (4, 3));
    for id in 2..=8 {
        rig.read("A");
        rig.send("A", &bytes(&format!("4002 000{id}")));
    }
    assert_eq!(client(&mut rig), (0, 0));
}

#[test]
fn wills_of_all_clients_together_are_bounded() {
    let mut rig = Rig::new(BrokerLimits { all_queues_bytes: 10_000, ..limits() });
    let large = "x".repeat(3000);
    let enters = |rig: &mut Rig, id: &str, will: &str, answer: &str| {
        let connect = format!("10[ \"MQTT\" 05 06 0000 [] \"{id}\" [] \"will\" \"{will}\" ]");
        rig.send(id, &bytes(&connect));
        assert_eq!(rig.read(id), bytes(answer), "{id}");
    };
    for id in ["a", "b", "c"] {
        enters(&mut rig, id, &large, "20[ 0000 [ @offer ] ]");
    }
    enters(&mut rig, "d", &large, "20[ 00 97 @why:97 ]");
    enters(&mut rig, "e", "a small one", "20[ 0000 [ @offer ] ]");
    rig.send("a", &bytes("e000"));
    enters(&mut rig, "f", &large, "20[ 0000 [ @offer ] ]");
}
