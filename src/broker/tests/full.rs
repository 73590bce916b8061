//! What happens while the broker's file takes nothing, and where there is no room.

use std::time::Duration;

use super::disk::Disk;
use super::durable::{clean, commit, crash, messages, resume, start, subscribe};
use super::notation::bytes;
use super::rig::{Rig, limits};
use crate::broker::outbox::End;
use crate::config::BrokerLimits;

#[test]
fn a_full_disk_is_said_and_what_was_promised_happens_when_there_is_room() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    resume(&mut rig, &disk, "a");
    subscribe(&mut rig, &disk, "a", "t", 2);
    rig.send("p", &bytes("10[ \"MQTT\" 05 02 0000 [] \"p\" ]"));
    rig.read("p");
    rig.send("p", &bytes("34[ \"t\" 0001 [] '1' ]"));
    commit(&mut rig, &disk);
    assert_eq!((rig.read("a"), rig.read("p")), (bytes("34[ \"t\" 0001 '1' ]"), bytes("50020001")));
    disk.set_full(true);
    rig.send("a", &bytes("5002 0001"));
    rig.send("p", &bytes("32[ \"t\" 0002 [] '2' ] 34[ \"t\" 0003 [] '3' ]"));
    commit(&mut rig, &disk);
    // What has been routed may not come again as another message: its PUBREC waits.
    assert_eq!(rig.read("p"), bytes("40[ 0002 83 ]"));
    assert_eq!(rig.read("a"), bytes("32[ \"t\" 0002 '2' ]"), "no PUBREL, no QoS 2");
    rig.send("new", &bytes("10[ \"MQTT\" 04 00 0000 \"new\" ]"));
    commit(&mut rig, &disk);
    assert_eq!(rig.read("new"), bytes("20020003"), "server unavailable");
    assert_ne!(rig.end("new"), End::Open);
    disk.set_full(false);
    rig.wait(Duration::from_secs(1));
    commit(&mut rig, &disk);
    assert_eq!(
        rig.read("a"),
        bytes("6202 0001 34[ \"t\" 0003 '3' ]"),
        "memory is the truth while the gateway runs"
    );
    assert_eq!(rig.read("p"), bytes("5002 0003"));
}

#[test]
fn qos_2_comes_once_though_its_commit_failed() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    resume(&mut rig, &disk, "s");
    subscribe(&mut rig, &disk, "s", "t", 2);
    rig.lose("s");
    clean(&mut rig, "gone");
    resume(&mut rig, &disk, "p");
    disk.set_full(true);
    rig.send("gone", &bytes("34[ \"t\" 0001 '1' ]"));
    rig.send("p", &bytes("34[ \"t\" 0001 '2' ]"));
    commit(&mut rig, &disk);
    assert_eq!((rig.read("p"), rig.end("p")), (vec![], End::Open), "it need not send it again");
    rig.lose("gone");
    for _ in 0..2 {
        rig.wait(Duration::from_secs(1));
        commit(&mut rig, &disk);
    }
    rig.send("p", &bytes("3c[ \"t\" 0001 '2' ]"));
    assert_eq!(rig.read("p"), b"", "but may");
    disk.set_full(false);
    rig.wait(Duration::from_secs(1));
    commit(&mut rig, &disk);
    assert_eq!(rig.read("p"), bytes("5002 0001"));
    let expected = "20020100 34[ \"t\" 0001 '1' ] 34[ \"t\" 0002 '2' ]";
    assert_eq!(resume(&mut rig, &disk, "s"), bytes(expected));
}

#[test]
fn a_commit_that_failed_is_not_made_up_for_by_the_next() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    resume(&mut rig, &disk, "s");
    subscribe(&mut rig, &disk, "s", "#", 1);
    rig.lose("s");
    for name in ["p", "q"] {
        rig.send(name, &bytes(&format!("10[ \"MQTT\" 05 02 0000 [] \"{name}\" ]")));
        rig.read(name);
    }
    rig.send("p", &bytes("32[ \"up/1\" 0001 [] 'x' ]"));
    rig.send("q", &bytes("32[ \"t\" 0001 [] '1' ]"));
    disk.set_full(true);
    commit(&mut rig, &disk);
    disk.set_full(false);
    rig.send("q", &bytes("32[ \"t\" 0002 [] '2' ]"));
    commit(&mut rig, &disk);
    assert_eq!(rig.read("q"), bytes("40[ 0001 83 ] 4002 0002"));
    // Only now the store has the first one, which may be in no file of the broker's.
    rig.appended.recv().unwrap().done.send(Ok(())).unwrap();
    rig.commit();
    assert_eq!(rig.read("p"), bytes("40[ 0001 83 ]"));
    rig.send("p", &bytes("32[ \"up/1\" 0002 [] 'y' ]"));
    rig.appended.recv().unwrap().done.send(Ok(())).unwrap();
    commit(&mut rig, &disk);
    assert_eq!(rig.read("p"), bytes("4002 0002"));
}

#[test]
fn a_session_that_ends_with_its_connection_waits_for_no_file_because_of_its_will() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    resume(&mut rig, &disk, "s");
    subscribe(&mut rig, &disk, "s", "will", 1);
    disk.set_full(true);
    for _ in 0..2 {
        rig.send("a", &bytes("10[ \"MQTT\" 04 0e 0000 \"a\" \"will\" \"gone\" ]"));
        assert_eq!(rig.read("a"), bytes("20020000"), "nothing is promised that could be broken");
        rig.lose("a");
    }
    assert_eq!(rig.read("s").len(), 2 * bytes("32[ \"will\" 0001 'gone' ]").len());
    rig.send("a", &bytes("10[ \"MQTT\" 04 0e 0000 \"a\" \"will\" \"gone\" ]"));
    disk.set_full(false);
    disk.commit();
    let mut rig = crash(rig, &disk);
    rig.wait(Duration::from_secs(1));
    commit(&mut rig, &disk);
    let messages = resume(&mut rig, &disk, "s");
    assert!(messages.ends_with(&bytes("32[ \"will\" 0003 'gone' ]")), "the will is in the file");
}

#[test]
fn a_client_that_asks_on_while_nothing_can_be_written_is_disconnected() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    rig.send("a", &bytes("10[ \"MQTT\" 05 02 0000 [ 11 ffffffff ] \"a\" ]"));
    commit(&mut rig, &disk);
    rig.read("a");
    disk.set_full(true);
    let asked = 65_535 + 1024;
    rig.send("a", &bytes("6202 0001").repeat(asked));
    for _ in 0..3 {
        commit(&mut rig, &disk);
        rig.wait(Duration::from_millis(250));
    }
    assert_eq!(rig.status().dropped.store, 0, "no message was refused");
    assert_eq!((rig.read("a"), rig.end("a")), (vec![], End::Open), "as many as there are ids");
    rig.send("a", &bytes("6202 0001"));
    assert_eq!((rig.read("a"), rig.end("a")), (bytes("e0[ 93 @why:93 ]"), End::Finish));
    commit(&mut rig, &disk);
    rig.wait(Duration::from_millis(250));
    assert!(!rig.is_waiting(), "nor does anything wait for the file any more");
    disk.set_full(false);
    rig.lose("a");
    assert_eq!(resume(&mut rig, &disk, "a"), bytes("20020100"));
    rig.send("a", &bytes("6202 0001"));
    commit(&mut rig, &disk);
    assert_eq!(rig.read("a"), bytes("7002 0001"));
}

#[test]
fn what_has_no_room_among_the_retained_waits_for_those_who_survive() {
    let disk = Disk::new();
    let limits = BrokerLimits { retained_messages: 1, ..limits() };
    let mut rig = Rig::start(limits, Some(&disk));
    rig.local("full", "x", true);
    resume(&mut rig, &disk, "s");
    subscribe(&mut rig, &disk, "s", "t", 2);
    rig.lose("s");
    clean(&mut rig, "p");
    rig.send("p", &bytes("33[ \"t\" 0001 '1' ] 35[ \"t\" 0002 '2' ]"));
    assert_eq!(rig.read("p"), b"", "nothing is safe yet");
    commit(&mut rig, &disk);
    rig.send("p", &bytes("3d[ \"t\" 0002 '2' ]"));
    assert_eq!(rig.read("p"), bytes("4002 0001 5002 0002 5002 0002"));
    assert_eq!((messages(&disk), rig.status().dropped.retained_full), (2, 2), "known again");
    // With nobody who waits for it 3.1.1 can't be told that it was for nothing.
    rig.send("p", &bytes("35[ \"u\" 0003 '3' ] 3d[ \"u\" 0003 '3' ]"));
    assert_eq!(rig.read("p"), bytes("5002 0003 5002 0003"));
    assert_eq!(rig.status().dropped.retained_full, 3);
    // 5.0 is told, but not before the others have it.
    rig.send("q", &bytes("10[ \"MQTT\" 05 02 0000 [ 11 00000064 ] \"q\" ]"));
    commit(&mut rig, &disk);
    rig.read("q");
    rig.send("q", &bytes("33[ \"t\" 0001 [] '4' ] 35[ \"t\" 0002 [] '5' ]"));
    assert_eq!(rig.read("q"), b"");
    commit(&mut rig, &disk);
    assert_eq!(rig.read("q"), bytes("40[ 0001 97 ] 50[ 0002 97 ]"));
    assert_eq!(messages(&disk), 4);
    rig.send("q", &bytes("35[ \"t\" 0003 [] '6' ]"));
    disk.commit();
    let mut rig = crash(rig, &disk);
    resume(&mut rig, &disk, "q");
    rig.send("q", &bytes("34[ \"t\" 0003 'new' ]"));
    commit(&mut rig, &disk);
    assert_eq!(messages(&disk), 6, "the id of what is refused may be another's");
}

#[test]
fn what_had_no_room_is_written_when_there_is_some() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    for name in ["s", "s2"] {
        resume(&mut rig, &disk, name);
        subscribe(&mut rig, &disk, name, "t", 2);
        rig.lose(name);
    }
    rig.send("p", &bytes("10[ \"MQTT\" 05 02 0000 [] \"p\" ]"));
    rig.read("p");
    disk.set_room(Some(1));
    for id in 1..=8 {
        rig.send("p", &bytes(&format!("32[ \"t\" {id:04x} [] '{id}' ]")));
    }
    rig.send("p", &bytes("31[ \"r1\" [] 'kept' ] 31[ \"r2\" [] 'kept' ]"));
    commit(&mut rig, &disk);
    let refused: String = (2..=8).map(|id| format!("40[ {id:04x} 83 ] ")).collect();
    let answers = bytes(&format!("4002 0001 {refused}"));
    assert_eq!(rig.read("p"), answers, "a crash could lose them");
    assert_eq!(messages(&disk), 1);
    rig.wait(Duration::from_millis(250));
    commit(&mut rig, &disk);
    assert_eq!(messages(&disk), 1, "there is no room yet");
    disk.set_room(None);
    let mut steps = 0;
    while disk.rows().len() < 2 * 2 + 8 + 2 {
        let before = disk.rows().len();
        rig.wait(Duration::from_millis(250));
        commit(&mut rig, &disk);
        assert!(disk.rows().len() > before, "{:?}", disk.rows());
        steps += 1;
    }
    assert!(steps > 1, "not all at once");
    rig.wait(Duration::from_millis(250));
    assert_eq!(disk.waiting_changes(), 0, "each of them once");
    let mut rig = crash(rig, &disk);
    let all: String = (1..=8).map(|id| format!("32[ \"t\" {id:04x} '{id}' ] ")).collect();
    for name in ["s", "s2"] {
        assert_eq!(resume(&mut rig, &disk, name), bytes(&format!("20020100 {all}")));
    }
    rig.send("s", &bytes("82[ 0001 \"+\" 00 ]"));
    commit(&mut rig, &disk);
    let retained = bytes("90[ 0001 00 ] 31[ \"r1\" 'kept' ] 31[ \"r2\" 'kept' ]");
    assert_eq!(rig.read("s"), retained);
}
