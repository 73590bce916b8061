//! What survives a crash: a router is dropped, and another begins with what the disk has.

use std::collections::BTreeMap;
use std::time::Duration;

use super::disk::Disk;
use super::notation::bytes;
use super::rig::{Rig, limits};
use crate::config::BrokerLimits;
use crate::store::{Key, Table};

pub fn start(disk: &Disk) -> Rig {
    Rig::start(limits(), Some(disk)).with_rules()
}

/// Everything that was put becomes durable, and is heard of.
pub fn commit(rig: &mut Rig, disk: &Disk) {
    for _ in 0..3 {
        disk.commit();
        rig.commit();
    }
}

/// The power goes, and the gateway starts anew.
pub fn crash(rig: Rig, disk: &Disk) -> Rig {
    drop(rig);
    disk.crash();
    start(disk)
}

pub fn resume(rig: &mut Rig, disk: &Disk, name: &str) -> Vec<u8> {
    rig.send(name, &bytes(&format!("10[ \"MQTT\" 04 00 0000 \"{name}\" ]")));
    commit(rig, disk);
    rig.read(name)
}

pub fn clean(rig: &mut Rig, name: &str) {
    rig.send(name, &bytes(&format!("10[ \"MQTT\" 04 02 0000 \"{name}\" ]")));
    assert_eq!(rig.read(name), bytes("20020000"));
}

pub fn subscribe(rig: &mut Rig, disk: &Disk, name: &str, filter: &str, qos: u8) {
    rig.send(name, &bytes(&format!("82[ 0001 \"{filter}\" {qos:02x} ]")));
    commit(rig, disk);
    assert_eq!(rig.read(name), bytes(&format!("90[ 0001 {qos:02x} ]")));
}

pub fn messages(disk: &Disk) -> usize {
    disk.rows().iter().filter(|key| matches!(key, Key::Message(_))).count()
}

#[test]
fn what_waits_for_an_absent_client_survives_with_its_packet_ids() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    for name in ["a", "b"] {
        resume(&mut rig, &disk, name);
        subscribe(&mut rig, &disk, name, "t", 2);
        rig.lose(name);
    }
    clean(&mut rig, "p");
    rig.send("p", &bytes("32[ \"t\" 0001 '1' ] 34[ \"t\" 0002 '2' ] 30[ \"t\" '0' ]"));
    assert_eq!(rig.read("p"), b"", "not acknowledged before the commit");
    commit(&mut rig, &disk);
    assert_eq!(rig.read("p"), bytes("4002 0001 5002 0002"));
    assert_eq!(messages(&disk), 2, "one row for each message, however many wait for it");
    let mut rig = crash(rig, &disk);
    let expected = bytes("20020100 32[ \"t\" 0001 '1' ] 34[ \"t\" 0002 '2' ]");
    assert_eq!(resume(&mut rig, &disk, "a"), expected);
    rig.send("a", &bytes("4002 0001 5002 0002"));
    commit(&mut rig, &disk);
    assert_eq!(rig.read("a"), bytes("6202 0002"));
    assert_eq!(messages(&disk), 2, "for the other one");
    rig.send("a", &bytes("7002 0002"));
    assert_eq!(resume(&mut rig, &disk, "b"), expected);
    rig.send("b", &bytes("4002 0001 5002 0002"));
    commit(&mut rig, &disk);
    assert_eq!(messages(&disk), 0);
    let mut rig = crash(rig, &disk);
    assert_eq!(resume(&mut rig, &disk, "a"), bytes("20020100"));
    assert_eq!(resume(&mut rig, &disk, "b"), bytes("20020100 6202 0002"));
    rig.local("t", "next", false);
    assert_eq!(rig.read("a"), bytes("32[ \"t\" 0003 'next' ]"), "numbers go on");
}

#[test]
fn what_nobody_durable_wants_is_neither_written_nor_waited_for() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    for name in ["s", "p"] {
        clean(&mut rig, name);
    }
    rig.send("s", &bytes("82[ 0001 \"t\" 02 ]"));
    assert_eq!(rig.read("s"), bytes("90[ 0001 02 ]"));
    rig.send("p", &bytes("32[ \"t\" 0001 'x' ] 34[ \"t\" 0002 'y' ] 6202 0002"));
    assert_eq!(rig.read("p"), bytes("4002 0001 5002 0002 7002 0002"));
    assert_eq!(rig.read("s"), bytes("32[ \"t\" 0001 'x' ] 34[ \"t\" 0002 'y' ]"));
    rig.send("s", &bytes("4002 0001 5002 0002 7002 0002"));
    assert_eq!(rig.read("s"), bytes("6202 0002"));
    assert_eq!(disk.waiting_changes(), 0);
    // Nor by a publisher whose session survives, nor at QoS 0 for one.
    resume(&mut rig, &disk, "d");
    subscribe(&mut rig, &disk, "d", "q0", 0);
    rig.send("d", &bytes("34[ \"t\" 0001 'z' ] 6202 0001 32[ \"q0\" 0002 'z' ]"));
    assert_eq!(rig.read("d"), bytes("5002 0001 7002 0001 30[ \"q0\" 'z' ] 4002 0002"));
    assert_eq!(disk.waiting_changes(), 0);
}

#[test]
fn a_client_that_is_there_gets_qos_1_at_once_and_qos_2_when_it_is_durable() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    resume(&mut rig, &disk, "a");
    subscribe(&mut rig, &disk, "a", "t", 2);
    clean(&mut rig, "p");
    rig.send("p", &bytes("32[ \"t\" 0001 '1' ]"));
    assert_eq!((rig.read("a"), rig.read("p")), (bytes("32[ \"t\" 0001 '1' ]"), vec![]));
    rig.send("p", &bytes("34[ \"t\" 0002 '2' ] 30[ \"t\" '0' ]"));
    assert_eq!(rig.read("a"), bytes("30[ \"t\" '0' ]"));
    commit(&mut rig, &disk);
    assert_eq!(rig.read("a"), bytes("34[ \"t\" 0002 '2' ]"));
    assert_eq!(rig.read("p"), bytes("4002 0001 5002 0002"));
}

/// The publisher is made to wait for a subscriber that is behind; the power goes meanwhile.
#[test]
fn what_waits_for_a_slow_subscriber_is_known_when_it_comes_again_after_a_crash() {
    let disk = Disk::new();
    let bounds = BrokerLimits { inflight: 1, queue_messages: 4, ..limits() };
    let mut rig = Rig::start(bounds.clone(), Some(&disk));
    resume(&mut rig, &disk, "a");
    subscribe(&mut rig, &disk, "a", "t", 2);
    resume(&mut rig, &disk, "p");
    for id in 1..=3 {
        rig.send("p", &bytes(&format!("34[ \"t\" {id:04x} '{id}' ]")));
        commit(&mut rig, &disk);
    }
    assert_eq!(
        rig.read("p"),
        bytes("5002 0001 5002 0002"),
        "two wait, from there on the publisher"
    );
    drop(rig);
    disk.crash();
    let mut rig = Rig::start(bounds, Some(&disk));
    resume(&mut rig, &disk, "p");
    rig.send("p", &bytes("6202 0001 6202 0002 3c[ \"t\" 0003 '3' ]"));
    commit(&mut rig, &disk);
    assert_eq!(messages(&disk), 3, "the third came once");
}

#[test]
fn a_pubrel_leaves_when_the_pubrec_is_durable() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    resume(&mut rig, &disk, "a");
    subscribe(&mut rig, &disk, "a", "t", 2);
    clean(&mut rig, "p");
    rig.send("p", &bytes("34[ \"t\" 0001 'x' ]"));
    commit(&mut rig, &disk);
    assert_eq!(rig.read("a"), bytes("34[ \"t\" 0001 'x' ]"));
    rig.send("a", &bytes("5002 0001 5002 0001"));
    assert_eq!(rig.read("a"), b"");
    // Lost before it was durable: the client never had a PUBREL, and knows the id when it comes.
    let mut rig = crash(rig, &disk);
    assert_eq!(resume(&mut rig, &disk, "a"), bytes("20020100 3c[ \"t\" 0001 'x' ]"));
    rig.send("a", &bytes("5002 0001"));
    rig.lose("a");
    disk.commit();
    rig.commit();
    assert_eq!(resume(&mut rig, &disk, "a"), bytes("20020100 6202 0001"));
    let mut rig = crash(rig, &disk);
    assert_eq!(resume(&mut rig, &disk, "a"), bytes("20020100 6202 0001"));
    rig.send("a", &bytes("7002 0001"));
    commit(&mut rig, &disk);
    let mut rig = crash(rig, &disk);
    assert_eq!(resume(&mut rig, &disk, "a"), bytes("20020100"));
}

#[test]
fn a_publishers_ids_survive_with_its_messages() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    resume(&mut rig, &disk, "s");
    subscribe(&mut rig, &disk, "s", "t", 2);
    rig.lose("s");
    resume(&mut rig, &disk, "p");
    rig.send("p", &bytes("34[ \"t\" 0005 'x' ]"));
    disk.commit();
    // The power goes before the PUBREC is written: the publisher sends it again.
    let mut rig = crash(rig, &disk);
    resume(&mut rig, &disk, "p");
    rig.send("p", &bytes("3c[ \"t\" 0005 'x' ]"));
    assert_eq!(rig.read("p"), bytes("5002 0005"), "known and safe");
    rig.send("p", &bytes("6202 0005"));
    assert_eq!(rig.read("p"), b"", "a PUBCOMP frees the id for another message");
    commit(&mut rig, &disk);
    assert_eq!(rig.read("p"), bytes("7002 0005"));
    let mut rig = crash(rig, &disk);
    resume(&mut rig, &disk, "p");
    rig.send("p", &bytes("6202 0005"));
    commit(&mut rig, &disk);
    assert_eq!(rig.read("p"), bytes("7002 0005"), "the PUBCOMP may have been lost");
    rig.send("p", &bytes("34[ \"t\" 0005 'y' ]"));
    commit(&mut rig, &disk);
    assert_eq!(rig.read("p"), bytes("5002 0005"));
    let expected = "20020100 34[ \"t\" 0001 'x' ] 34[ \"t\" 0002 'y' ]";
    assert_eq!(resume(&mut rig, &disk, "s"), bytes(expected));
}

#[test]
fn a_publishers_ids_survive_for_what_an_uplink_alone_wants() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    resume(&mut rig, &disk, "p");
    rig.send("p", &bytes("34[ \"up/1\" 0005 'x' ]"));
    rig.appended.recv().unwrap().done.send(Ok(())).unwrap();
    rig.commit();
    assert_eq!(rig.read("p"), b"", "the id has to be safe as well");
    commit(&mut rig, &disk);
    assert_eq!(rig.read("p"), bytes("5002 0005"));
    let mut rig = crash(rig, &disk);
    resume(&mut rig, &disk, "p");
    rig.send("p", &bytes("3c[ \"up/1\" 0005 'x' ]"));
    assert!(rig.appended.try_recv().is_err(), "what comes again is not stored again");
    assert_eq!(rig.read("p"), bytes("5002 0005"));
    rig.send("p", &bytes("6202 0005"));
    commit(&mut rig, &disk);
    assert_eq!(rig.read("p"), bytes("7002 0005"));
    rig.send("p", &bytes("34[ \"up/1\" 0005 'y' ]"));
    assert_eq!(&*rig.appended.recv().unwrap().message.payload, b"y", "another one");
}

#[test]
fn only_what_may_have_been_sent_comes_with_dup() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    rig.send("a", &bytes("10[ \"MQTT\" 05 00 0000 [ 11 ffffffff 21 0002 ] \"a\" ]"));
    commit(&mut rig, &disk);
    rig.read("a");
    rig.send("a", &bytes("82[ 0001 [] \"t\" 01 ]"));
    commit(&mut rig, &disk);
    rig.read("a");
    for number in 1..=4 {
        rig.local("t", &number.to_string(), false);
    }
    assert_eq!(rig.read("a"), bytes("32[ \"t\" 0001 [] '1' ] 32[ \"t\" 0002 [] '2' ]"));
    commit(&mut rig, &disk);
    let mut rig = crash(rig, &disk);
    let expected = "20020100 3a[ \"t\" 0001 '1' ] 3a[ \"t\" 0002 '2' ] 32[ \"t\" 0003 '3' ] \
                    32[ \"t\" 0004 '4' ]";
    assert_eq!(resume(&mut rig, &disk, "a"), bytes(expected), "two could be in flight");
    rig.send("a", &bytes("4002 0001 4002 0002"));
    rig.lose("a");
    rig.local("t", "5", false);
    commit(&mut rig, &disk);
    let mut rig = crash(rig, &disk);
    let expected = "20020100 3a[ \"t\" 0003 '3' ] 3a[ \"t\" 0004 '4' ] 32[ \"t\" 0005 '5' ]";
    assert_eq!(resume(&mut rig, &disk, "a"), bytes(expected));
}

#[test]
fn what_clients_retained_survives_and_the_gateways_own_is_never_written() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    clean(&mut rig, "p");
    rig.send("p", &bytes("33[ \"r/1\" 0001 '1' ] 31[ \"r/2\" '2' ] 31[ \"r/3\" '3' ]"));
    assert_eq!(rig.read("p"), b"");
    rig.local("plant/m1/v", "21", true);
    commit(&mut rig, &disk);
    assert_eq!(rig.read("p"), bytes("4002 0001"));
    assert_eq!(disk.rows().len(), 3);
    rig.send("p", &bytes("31[ \"r/2\" ] 31[ \"nothing\" ]"));
    commit(&mut rig, &disk);
    rig.local("r/3", "mine", true);
    commit(&mut rig, &disk);
    assert_eq!(disk.rows(), [Key::Retained("r/1".into())]);
    let mut rig = crash(rig, &disk);
    clean(&mut rig, "s");
    rig.send("s", &bytes("82[ 0001 \"#\" 01 ]"));
    assert_eq!(rig.read("s"), bytes("90[ 0001 01 ] 33[ \"r/1\" 0001 '1' ]"));
}

#[test]
fn retained_messages_that_a_session_is_owed_survive() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    for number in 0..5 {
        rig.local(&format!("r/{number}"), "x", true);
    }
    resume(&mut rig, &disk, "a");
    rig.send("a", &bytes("82[ 0001 \"r/#\" 02 ]"));
    commit(&mut rig, &disk);
    rig.read("a");
    commit(&mut rig, &disk);
    assert_eq!(messages(&disk), 5);
    let mut rig = crash(rig, &disk);
    let got = resume(&mut rig, &disk, "a");
    let expected: Vec<u8> =
        (0..5).flat_map(|n| bytes(&format!("3b[ \"r/{n}\" 000{} 'x' ]", n + 1))).collect();
    assert_eq!(got[4..], expected);
}

#[test]
fn retained_messages_that_are_still_to_come_survive_and_none_comes_anew() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    clean(&mut rig, "p");
    for number in 0..25 {
        rig.send("p", &bytes(&format!("33[ \"r/{number:02}\" 0001 'x' ]")));
    }
    resume(&mut rig, &disk, "a");
    rig.send("a", &bytes("82[ 0001 \"r/#\" 01 ]"));
    commit(&mut rig, &disk);
    assert_eq!(rig.read("a")[..5], bytes("90[ 0001 01 ]"));
    let mut topics = BTreeMap::new();
    // One acknowledgement in each life of the gateway.
    for life in 1..=25_u16 {
        commit(&mut rig, &disk);
        rig = crash(rig, &disk);
        let got = resume(&mut rig, &disk, "a");
        for message in got[4..].chunks(11) {
            let id = u16::from_be_bytes([message[8], message[9]]);
            let topic = String::from_utf8(message[4..8].to_vec()).unwrap();
            assert_eq!(topics.entry(id).or_insert_with(|| topic.clone()), &topic, "{id}");
        }
        let [high, low] = life.to_be_bytes();
        rig.send("a", &[0x40, 2, high, low]);
    }
    let expected = (0..25).map(|number| (number + 1, format!("r/{number:02}")));
    assert_eq!(topics, expected.collect::<BTreeMap<u16, String>>());
    commit(&mut rig, &disk);
    let mut rig = crash(rig, &disk);
    assert_eq!(resume(&mut rig, &disk, "a"), bytes("20020100"));
    // What is owed to a subscription ends with it.
    rig.send("a", &bytes("82[ 0001 \"r/#\" 01 ]"));
    commit(&mut rig, &disk);
    rig.send("a", &bytes("a2[ 0002 \"r/#\" ]"));
    commit(&mut rig, &disk);
    let mut rig = crash(rig, &disk);
    assert_eq!(resume(&mut rig, &disk, "a").len(), 4 + 10 * 11, "what was in flight");
    let acks: Vec<u8> = (26..=35).flat_map(|id| [0x40, 2, 0, id]).collect();
    rig.send("a", &acks);
    assert_eq!(rig.read("a"), b"");
}

#[test]
fn a_file_that_was_lost_is_written_anew() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    for name in ["a", "b"] {
        resume(&mut rig, &disk, name);
        subscribe(&mut rig, &disk, name, "t", 2);
    }
    rig.lose("b");
    clean(&mut rig, "p");
    rig.send("p", &bytes("34[ \"t\" 0001 'x' ] 33[ \"r\" 0002 'kept' ]"));
    commit(&mut rig, &disk);
    let before = disk.rows();
    assert_eq!(before.len(), 6);
    disk.lose();
    rig.wait(Duration::from_secs(1));
    commit(&mut rig, &disk);
    assert_eq!(disk.rows(), before);
    let mut rig = crash(rig, &disk);
    assert_eq!(resume(&mut rig, &disk, "a"), bytes("20020100 3c[ \"t\" 0001 'x' ]"));
    assert_eq!(resume(&mut rig, &disk, "b"), bytes("20020100 34[ \"t\" 0001 'x' ]"));
}

#[test]
fn a_client_that_is_cut_and_those_who_get_its_will_go_on_as_before() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    resume(&mut rig, &disk, "s");
    subscribe(&mut rig, &disk, "s", "will", 1);
    rig.send("a", &bytes("10[ \"MQTT\" 04 0c 0000 \"a\" \"will\" \"gone\" ]"));
    commit(&mut rig, &disk);
    rig.read("a");
    for _ in 0..40 {
        rig.send("a", &bytes("c000").repeat(1000));
    }
    assert_eq!(rig.status().slow_cut, 1);
    assert!(rig.is_woken("s"), "there is something to send");
    assert_eq!(rig.read("s"), bytes("32[ \"will\" 0001 'gone' ]"));
    rig.lose("a");
    assert_eq!(resume(&mut rig, &disk, "a"), bytes("20020100"));
    for name in ["a", "s"] {
        subscribe(&mut rig, &disk, name, "t", 1);
    }
    let mut rig = crash(rig, &disk);
    assert_eq!(resume(&mut rig, &disk, "a"), bytes("20020100"));
    resume(&mut rig, &disk, "s");
    rig.local("t", "x", false);
    assert_eq!(rig.read("a"), bytes("32[ \"t\" 0001 'x' ]"), "subscribed after it was cut");
    assert_eq!(rig.read("s"), bytes("32[ \"t\" 0002 'x' ]"), "subscribed after the will");
}

#[test]
fn all_queues_together_are_bounded_and_the_longest_pays() {
    let disk = Disk::new();
    let limits = BrokerLimits { all_queues_bytes: 10_000, queue_bytes: 9_000, ..limits() };
    let mut rig = Rig::start(limits, Some(&disk));
    for (name, filter) in [("much", "m/#"), ("more", "m/more"), ("little", "l")] {
        resume(&mut rig, &disk, name);
        subscribe(&mut rig, &disk, name, filter, 1);
        rig.lose(name);
    }
    rig.local("l", "x", false);
    for _ in 0..7 {
        rig.local("m/more", &"x".repeat(800), false);
        rig.local("m/other", &"x".repeat(800), false);
    }
    commit(&mut rig, &disk);
    let status = rig.status();
    let bytes: usize = status.clients.iter().map(|client| client.queue_bytes).sum();
    assert!(bytes <= 10_000, "{bytes}");
    let client = |name: &str| status.clients.iter().find(|c| &*c.id == name).unwrap();
    assert_eq!((client("little").queue, client("little").dropped), (1, 0));
    assert!(client("much").dropped >= 4 && client("more").dropped <= 3);
    assert_eq!(status.dropped.queue_full, client("much").dropped + client("more").dropped);
}

#[test]
fn damaged_rows_cost_what_they_held_and_go() {
    let set_up = || {
        let disk = Disk::new();
        let mut rig = start(&disk);
        resume(&mut rig, &disk, "a");
        subscribe(&mut rig, &disk, "a", "t", 2);
        clean(&mut rig, "p");
        rig.send("p", &bytes("33[ \"r\" 0001 'kept' ] 34[ \"t\" 0002 '1' ] 34[ \"t\" 0003 '2' ]"));
        commit(&mut rig, &disk);
        rig.read("a");
        rig.send("a", &bytes("5002 0001"));
        commit(&mut rig, &disk);
        (disk, rig)
    };
    for (table, connack) in [
        (Table::Session, "20020000"),
        // Who knows what it had: the message again, and the PUBREL never.
        (Table::Progress, "20020100 3c[ \"t\" 0002 '2' ]"),
        (Table::Message, "20020100 6202 0001"),
        (Table::Retained, "20020100 6202 0001 3c[ \"t\" 0002 '2' ]"),
    ] {
        let (disk, rig) = set_up();
        let before = disk.rows().len();
        disk.damage(table);
        let mut rig = crash(rig, &disk);
        assert_eq!(resume(&mut rig, &disk, "a"), bytes(connack), "{table:?}");
        assert_eq!(rig.status().retained, usize::from(table != Table::Retained));
        clean(&mut rig, "p");
        rig.send("p", &bytes("34[ \"t\" 0001 'new' ]"));
        commit(&mut rig, &disk);
        assert!(disk.rows().len() <= before + 1, "{table:?}: {:?}", disk.rows());
        let mut rig = crash(rig, &disk);
        assert_eq!(resume(&mut rig, &disk, "a")[..4], bytes("20020100"), "{table:?}");
    }
}

#[test]
fn retained_messages_come_after_a_suback_that_waits_for_the_file() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    rig.local("r/1", "x", true);
    resume(&mut rig, &disk, "a");
    rig.send("a", &bytes("82[ 0001 \"r/#\" 00 ]"));
    assert_eq!(rig.read("a"), b"");
    commit(&mut rig, &disk);
    assert_eq!(rig.read("a"), bytes("90[ 0001 00 ] 31[ \"r/1\" 'x' ]"));
}
