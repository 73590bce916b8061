//! What survives a crash of sessions: that they are there, whose they are, when they end, their wills.

use std::time::Duration;

use super::access::users;
use super::disk::Disk;
use super::durable::{clean, commit, crash, messages, resume, start, subscribe};
use super::notation::bytes;
use super::rig::{Rig, limits};
use crate::broker::outbox::End;
use crate::model::Wall;

#[test]
fn a_session_is_there_when_its_connack_says_so() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    rig.send("a", &bytes("10[ \"MQTT\" 04 00 0000 \"a\" ] 82[ 0001 \"t\" 01 ] c000"));
    assert_eq!(rig.read("a"), b"", "nothing before the CONNACK, and that not before the commit");
    disk.commit();
    rig.commit();
    assert_eq!(rig.read("a"), bytes("20020000 d000"), "what came early is taken then");
    commit(&mut rig, &disk);
    assert_eq!(rig.read("a"), bytes("90[ 0001 01 ]"));
    let mut rig = crash(rig, &disk);
    assert_eq!(resume(&mut rig, &disk, "a"), bytes("20020100"));
    rig.local("t", "x", false);
    assert_eq!(rig.read("a"), bytes("32[ \"t\" 0001 'x' ]"), "subscribed as before");
}

#[test]
fn what_a_client_sent_before_it_went_is_heard_even_without_its_connack() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    resume(&mut rig, &disk, "s");
    subscribe(&mut rig, &disk, "s", "#", 1);
    let connect = "10[ \"MQTT\" 04 0c 0000 \"p\" \"will\" \"gone\" ]";
    rig.send("p", &bytes(&format!("{connect} 30[ \"t\" '1' ] 32[ \"t\" 0001 '2' ] e000")));
    rig.lose("p");
    assert_eq!(rig.read("s"), bytes("30[ \"t\" '1' ] 32[ \"t\" 0001 '2' ]"));
    commit(&mut rig, &disk);
    assert_eq!(rig.read("s"), b"", "it said good-bye");
    // A packet that can't be is found out after those before it.
    rig.send("p", &bytes(&format!("{connect} 32[ \"t\" 0002 '3' ] f100")));
    assert_eq!((rig.read("p"), rig.end("p")), (vec![], End::Open));
    commit(&mut rig, &disk);
    assert_eq!((rig.read("p")[..4].to_vec(), rig.end("p")), (bytes("20020100"), End::Finish));
    assert_eq!(rig.read("s"), bytes("32[ \"t\" 0002 '3' ] 32[ \"will\" 0003 'gone' ]"));
    rig.lose("p");
    // Nor does it matter that it goes then.
    rig.send("p", &bytes(&format!("{connect} 32[ \"t\" 0003 '4' ] f100")));
    rig.lose("p");
    assert_eq!(rig.read("s"), bytes("32[ \"t\" 0004 '4' ] 32[ \"will\" 0005 'gone' ]"));
    commit(&mut rig, &disk);
    assert_eq!(rig.read("s"), b"");
}

#[test]
fn what_a_client_sent_before_its_own_takeover_is_heard_without_its_connack() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    clean(&mut rig, "s");
    rig.send("s", &bytes("82[ 0001 \"t\" 01 ]"));
    rig.read("s");
    let connect = "10[ \"MQTT\" 05 00 0000 [ 11 00000064 ] \"a\" ]";
    let early = "30[ \"t\" [] '0' ] 32[ \"t\" 0007 [] '1' ] 82[ 0002 [] \"mine\" 01 ]";
    rig.send("first", &bytes(&format!("{connect} {early}")));
    rig.send("second", &bytes(connect));
    assert_eq!(rig.read("s"), bytes("30[ \"t\" '0' ] 32[ \"t\" 0001 '1' ]"));
    commit(&mut rig, &disk);
    assert_eq!((rig.read("first"), rig.end("first")), (vec![], End::Finish));
    assert_eq!(rig.read("second"), bytes("20[ 01 00 [ @offer ] ]"));
    rig.send("s", &bytes("32[ \"mine\" 0001 'x' ]"));
    commit(&mut rig, &disk);
    assert_eq!(rig.read("second"), bytes("32[ \"mine\" 0001 [] 'x' ]"));
}

#[test]
fn without_a_commit_there_was_no_session() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    rig.send("a", &bytes("10[ \"MQTT\" 04 00 0000 \"a\" ]"));
    let mut rig = crash(rig, &disk);
    assert_eq!(resume(&mut rig, &disk, "a"), bytes("20020000"));
}

#[test]
fn a_clean_start_ends_what_survived() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    resume(&mut rig, &disk, "a");
    subscribe(&mut rig, &disk, "a", "t", 1);
    rig.lose("a");
    rig.local("t", "x", false);
    rig.send("a", &bytes("10[ \"MQTT\" 04 02 0000 \"a\" ]"));
    assert_eq!(rig.read("a"), b"", "the end of it is promised as well");
    commit(&mut rig, &disk);
    assert_eq!(rig.read("a"), bytes("20020000"));
    assert_eq!(disk.rows(), []);
}

#[test]
fn the_number_of_a_session_that_ended_is_not_anothers_while_a_message_names_it() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    for name in ["stays", "ends"] {
        resume(&mut rig, &disk, name);
        subscribe(&mut rig, &disk, name, "t", 1);
        rig.lose(name);
    }
    rig.local("t", "for two", false);
    commit(&mut rig, &disk);
    rig.send("ends", &bytes("10[ \"MQTT\" 04 02 0000 \"ends\" ] e000"));
    commit(&mut rig, &disk);
    assert_eq!(messages(&disk), 1, "still with both receivers");
    let mut rig = crash(rig, &disk);
    assert_eq!(resume(&mut rig, &disk, "new"), bytes("20020000"));
    let mut rig = crash(rig, &disk);
    assert_eq!(resume(&mut rig, &disk, "new"), bytes("20020100"), "nothing of another's");
    assert_eq!(resume(&mut rig, &disk, "stays"), bytes("20020100 32[ \"t\" 0001 'for two' ]"));
}

#[test]
fn wills_of_the_connected_are_published_after_the_restart() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    resume(&mut rig, &disk, "s");
    subscribe(&mut rig, &disk, "s", "will/+", 1);
    rig.lose("s");
    // At once; after ten seconds; for a session of five; and one that said good-bye.
    rig.send("a", &bytes("10[ \"MQTT\" 04 0e 0000 \"a\" \"will/a\" \"x\" ]"));
    let delayed =
        "10[ \"MQTT\" 05 0c 0000 [ 11 00000064 ] \"b\" [ 18 0000000a ] \"will/b\" \"x\" ]";
    rig.send("b", &bytes(delayed));
    let short = "10[ \"MQTT\" 05 0c 0000 [ 11 00000005 ] \"c\" [ 18 0000000a ] \"will/c\" \"x\" ]";
    rig.send("c", &bytes(short));
    rig.send("d", &bytes("10[ \"MQTT\" 04 0e 0000 \"d\" \"will/d\" \"x\" ]"));
    commit(&mut rig, &disk);
    assert_eq!(rig.read("a"), bytes("20020000"));
    rig.send("d", &bytes("e000"));
    commit(&mut rig, &disk);
    let mut rig = crash(rig, &disk);
    assert_eq!(resume(&mut rig, &disk, "s"), bytes("20020100"));
    rig.wait(Duration::from_millis(1));
    assert_eq!(rig.read("s"), bytes("32[ \"will/a\" 0001 'x' ]"));
    commit(&mut rig, &disk);
    rig.wait(Duration::from_secs(6));
    assert_eq!(rig.read("s"), bytes("32[ \"will/c\" 0002 'x' ]"));
    commit(&mut rig, &disk);
    // The delay counts from the start.
    let mut rig = crash(rig, &disk);
    resume(&mut rig, &disk, "s");
    rig.send("s", &bytes("4002 0001 4002 0002"));
    disk.set_wall(Wall(disk.wall().0 + 5_000));
    rig.wait(Duration::from_secs(9));
    assert_eq!(rig.read("s"), b"");
    rig.wait(Duration::from_secs(2));
    assert_eq!(rig.read("s"), bytes("32[ \"will/b\" 0003 'x' ]"));
    commit(&mut rig, &disk);
    let mut rig = crash(rig, &disk);
    rig.wait(Duration::from_secs(60));
    assert_eq!(rig.status().clients.len(), 2, "b and s");
    resume(&mut rig, &disk, "s");
    assert_eq!(rig.status().messages_out, 1, "no will is published twice");
}

#[test]
fn time_goes_on_while_the_gateway_is_off() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    let connect = |rig: &mut Rig, name: &str, seconds: u32| {
        let connect = format!("10[ \"MQTT\" 05 00 0000 [ 11 {seconds:08x} ] \"{name}\" ]");
        rig.send(name, &bytes(&connect));
        commit(rig, &disk);
        let connack = rig.read(name);
        rig.send(name, &bytes("82[ 0001 [] \"t\" 01 ]"));
        commit(rig, &disk);
        rig.read(name);
        connack[2] == 1
    };
    connect(&mut rig, "short", 60);
    connect(&mut rig, "long", 600);
    connect(&mut rig, "there", 60);
    rig.lose("short");
    rig.lose("long");
    clean(&mut rig, "p");
    rig.send("p", &bytes("32[ \"t\" 0001 'ever' ]"));
    rig.read("there");
    rig.send("q", &bytes("10[ \"MQTT\" 05 02 0000 [] \"q\" ]"));
    rig.send("q", &bytes("32[ \"t\" 0001 [ 02 0000000f ] 'soon' ]"));
    commit(&mut rig, &disk);
    disk.set_wall(Wall(disk.wall().0 + 20_000));
    let mut rig = crash(rig, &disk);
    rig.wait(Duration::from_secs(30));
    assert_eq!(rig.status().sessions, 3, "50 of 60 seconds are over");
    rig.wait(Duration::from_secs(15));
    assert_eq!(rig.status().sessions, 2, "who was connected is away since the start");
    rig.send("long", &bytes("10[ \"MQTT\" 04 00 0000 \"long\" ]"));
    commit(&mut rig, &disk);
    assert_eq!(rig.read("long"), bytes("20020100 32[ \"t\" 0001 'ever' ]"), "`soon` has expired");
    rig.wait(Duration::from_secs(20));
    assert_eq!(rig.status().sessions, 1);
}

#[test]
fn a_session_is_its_users_after_a_restart_too() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    resume(&mut rig, &disk, "a");
    subscribe(&mut rig, &disk, "a", "t", 1);
    let mut rig = crash(rig, &disk);
    assert_eq!(rig.status().sessions, 1);
    // Nobody may come in without a name any more.
    rig.set_users(Vec::new(), None);
    assert_eq!((rig.status().sessions, rig.status().sessions_not_allowed), (0, 1));
    commit(&mut rig, &disk);
    assert_eq!(disk.rows(), []);
}

#[test]
fn a_session_without_a_user_outlives_the_address_where_it_began() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    rig.move_door("127.0.0.1:1884");
    for name in ["away", "there"] {
        resume(&mut rig, &disk, name);
        subscribe(&mut rig, &disk, name, "t", 1);
    }
    rig.lose("away");
    rig.move_door("0.0.0.0:1884");
    assert_ne!(rig.end("there"), End::Open, "it has to come back by the new address");
    clean(&mut rig, "p");
    rig.send("p", &bytes("32[ \"t\" 0001 '1' ]"));
    commit(&mut rig, &disk);
    // Another one after a restart.
    let mut rig = crash(rig, &disk);
    clean(&mut rig, "p");
    rig.send("p", &bytes("32[ \"t\" 0001 '2' ]"));
    commit(&mut rig, &disk);
    for name in ["away", "there"] {
        let messages = "20020100 32[ \"t\" 0001 '1' ] 32[ \"t\" 0002 '2' ]";
        assert_eq!(resume(&mut rig, &disk, name), bytes(messages));
    }
    assert_eq!(rig.status().sessions_not_allowed, 0);
}

#[test]
fn a_session_that_nobody_may_resume_after_a_restart_is_counted_with_what_waited() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    resume(&mut rig, &disk, "a");
    subscribe(&mut rig, &disk, "a", "t", 1);
    rig.lose("a");
    rig.send("p", &bytes("10[ \"MQTT\" 04 02 0000 \"p\" ] 32[ \"t\" 0001 '1' ]"));
    commit(&mut rig, &disk);
    drop(rig);
    disk.crash();
    let mut rig = Rig::start_named(Vec::new(), limits(), &disk);
    let status = rig.status();
    assert_eq!((status.sessions, status.sessions_not_allowed), (0, 1));
    assert_eq!(status.dropped.session_ended, 1);
    commit(&mut rig, &disk);
    assert_eq!(disk.rows(), []);
}

#[test]
fn what_waited_for_a_user_who_is_gone_after_a_restart_goes_to_another_of_the_group() {
    let disk = Disk::new();
    let both = "    r: { PASSWORD, subscribe: 'a/#' }\n    o: { PASSWORD, subscribe: 'a/#' }\n    \
                w: { PASSWORD, roles: [ write ] }\n";
    let mut rig = Rig::start_named(users(both), limits(), &disk);
    let enter = |rig: &mut Rig, id: &str, user: &str| {
        rig.send(id, &bytes(&format!("10[ \"MQTT\" 04 80 0000 \"{id}\" \"{user}\" ]")));
        commit(rig, &disk);
        rig.read(id)
    };
    for (id, user) in [("gone", "r"), ("other", "o")] {
        enter(&mut rig, id, user);
        subscribe(&mut rig, &disk, id, "$share/g/a/#", 1);
        rig.lose(id);
    }
    enter(&mut rig, "p", "w");
    rig.send("p", &bytes("32[ \"a/1\" 0001 '1' ] 32[ \"a/2\" 0002 '2' ]"));
    commit(&mut rig, &disk);
    drop(rig);
    disk.crash();
    let others = both.split_once('\n').unwrap().1;
    let mut rig = Rig::start_named(users(others), limits(), &disk);
    let status = rig.status();
    assert_eq!((status.sessions_not_allowed, status.dropped.session_ended), (1, 0));
    commit(&mut rig, &disk);
    drop(rig);
    disk.crash();
    let mut rig = Rig::start_named(users(others), limits(), &disk);
    let expected = "20020100 32[ \"a/2\" 0001 '2' ] 32[ \"a/1\" 0002 '1' ]";
    assert_eq!(enter(&mut rig, "other", "o"), bytes(expected));
    assert_eq!(rig.status().sessions_not_allowed, 0);
}

#[test]
fn a_stopped_gateway_is_like_one_that_crashed() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    rig.send("a", &bytes("10[ \"MQTT\" 04 0e 0000 \"a\" \"will\" \"gone\" ]"));
    resume(&mut rig, &disk, "s");
    subscribe(&mut rig, &disk, "s", "will", 1);
    let now = rig.now;
    rig.router.shut_down(now);
    disk.commit();
    let mut rig = crash(rig, &disk);
    resume(&mut rig, &disk, "s");
    rig.wait(Duration::from_secs(1));
    assert_eq!(rig.read("s"), bytes("32[ \"will\" 0001 'gone' ]"));
}

#[test]
fn the_keep_alive_does_not_run_while_the_file_lets_a_client_wait() {
    let disk = Disk::new();
    let mut rig = start(&disk);
    rig.send("a", &bytes("10[ \"MQTT\" 04 00 000a \"a\" ]"));
    rig.wait(Duration::from_secs(60));
    commit(&mut rig, &disk);
    assert_eq!((rig.read("a"), rig.end("a")), (bytes("20020000"), End::Open));
    rig.wait(Duration::from_secs(14));
    assert_eq!(rig.end("a"), End::Open);
    rig.wait(Duration::from_secs(2));
    assert_eq!(rig.end("a"), End::Finish);
}
