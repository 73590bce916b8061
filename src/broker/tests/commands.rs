//! What leaves the broker: commands to tags, messages for the store.

use super::notation::bytes;
use super::rig::{Rig, limits};
use crate::model::{Mono, Origin, Qos};

fn rig() -> Rig {
    Rig::new(limits()).with_rules()
}

fn connect(rig: &mut Rig, name: &str, level: &str) {
    let properties = if level == "05" { "[]" } else { "" };
    rig.send(name, &bytes(&format!("10[ \"MQTT\" {level} 02 0000 {properties} \"{name}\" ]")));
    assert_eq!(rig.read(name)[0], 0x20);
}

#[test]
fn a_command_goes_to_the_inbox_with_all_it_needs_and_to_nobody_else() {
    let mut rig = rig();
    connect(&mut rig, "A", "05");
    rig.send("A", &bytes("82[ 0001 [] \"#\" 01 ]"));
    rig.read("A");
    let properties = "02 00000005 08 \"reply\" 09 \"c1\"";
    rig.send("A", &bytes(&format!("33[ \"plant/m1/v/set\" 0009 [{properties}] '21.5' ]")));
    assert_eq!(rig.read("A"), bytes("4002 0009"), "acknowledged, not routed");
    let request = rig.commands.try_recv().unwrap();
    assert_eq!(request.origin, Origin::Lan("A".to_owned()));
    assert_eq!(request.topic.as_str(), "plant/m1/v/set");
    assert_eq!(request.payload, b"21.5");
    assert!(request.retain, "the flag goes along, so that it can be refused");
    assert_eq!(request.expires, Some(Mono(rig.now.0 + 5000)));
    let (topic, data) = request.reply_to.unwrap();
    assert_eq!((topic.as_str(), data.as_slice()), ("reply", b"c1".as_slice()));
    assert_eq!(rig.status().retained, 0, "never kept");
    assert_eq!(rig.status().commands, 1);
}

#[test]
fn a_devices_set_topic_is_a_command_and_the_device_itself_a_topic_like_any_other() {
    let mut rig = rig();
    connect(&mut rig, "A", "04");
    rig.send("A", &bytes("82[ 0001 \"#\" 00 ]"));
    rig.read("A");
    rig.send("A", &bytes("30[ \"plant/m1/set\" '{}' ] 30[ \"plant/m1\" '1' ]"));
    assert_eq!(rig.read("A"), bytes("30[ \"plant/m1\" '1' ]"));
    assert_eq!(rig.commands.try_recv().unwrap().topic.as_str(), "plant/m1/set");
}

#[test]
fn commands_are_refused_while_too_many_wait() {
    let mut rig = rig();
    connect(&mut rig, "A", "05");
    connect(&mut rig, "B", "04");
    for _ in 0..2 {
        rig.send("A", &bytes("32[ \"plant/m1/v/set\" 0001 [] '1' ]"));
        assert_eq!(rig.read("A"), bytes("4002 0001"));
    }
    rig.send("A", &bytes("32[ \"plant/m1/v/set\" 0001 [] '1' ]"));
    assert_eq!(rig.read("A"), bytes("40[ 0001 97 [ 1f \"too many commands are waiting\" ] ]"));
    rig.send("B", &bytes("32[ \"plant/m1/v/set\" 0001 '1' ]"));
    assert_eq!(rig.read("B"), bytes("4002 0001"), "3.1.1 knows no refusal");
    assert_eq!(rig.status().dropped.commands_full, 2);
}

#[test]
fn a_set_topic_of_no_tag_is_a_topic_like_any_other() {
    let mut rig = rig();
    connect(&mut rig, "A", "04");
    rig.send("A", &bytes("82[ 0001 \"#\" 00 ]"));
    rig.read("A");
    rig.send("A", &bytes("30[ \"plant/m2/v/set\" '1' ]"));
    assert_eq!(rig.read("A"), bytes("30[ \"plant/m2/v/set\" '1' ]"));
    assert!(rig.commands.try_recv().is_err());
}

#[test]
fn refused_publishes_to_tags_are_counted() {
    let mut rig = rig();
    connect(&mut rig, "A", "04");
    rig.send("A", &bytes("31[ \"plant/m1/v\" '1' ] 30[ \"$SYS/broker/uptime\" '1' ]"));
    let status = rig.status();
    assert_eq!(status.dropped.reserved, 2);
    assert_eq!(status.retained, 0);
}

#[test]
fn what_an_uplink_wants_is_acknowledged_after_the_commit_in_order() {
    let mut rig = rig();
    connect(&mut rig, "A", "05");
    connect(&mut rig, "S", "04");
    rig.send("S", &bytes("82[ 0001 \"up/#\" 00 ]"));
    rig.read("S");
    rig.send("A", &bytes("32[ \"up/1\" 0001 [] 'x' ] 33[ \"up/2\" 0002 [] 'y' ]"));
    rig.send("A", &bytes("32[ \"here\" 0003 [] 'z' ]"));
    assert_eq!(rig.read("A"), b"", "nothing before the commit, and nothing out of turn");
    assert_eq!(rig.read("S"), bytes("30[ \"up/1\" 'x' ] 30[ \"up/2\" 'y' ]"), "routed at once");
    let (first, second) = (rig.appended.recv().unwrap(), rig.appended.recv().unwrap());
    assert_eq!((first.message.topic.as_str(), &*first.message.payload), ("up/1", b"x".as_slice()));
    assert_eq!((second.message.qos, second.message.retain), (Qos::AtLeastOnce, true));
    second.done.send(Ok(())).unwrap();
    rig.commit();
    assert_eq!(rig.read("A"), b"", "the first one's turn comes first");
    first.done.send(Ok(())).unwrap();
    rig.commit();
    assert_eq!(rig.read("A"), bytes("4002 0001 4002 0002 40[ 0003 10 ]"));
    assert_eq!(rig.status().forwarded, 2);
}

#[test]
fn what_the_store_refuses_is_not_acknowledged() {
    let mut rig = rig();
    connect(&mut rig, "A", "05");
    connect(&mut rig, "B", "04");
    for name in ["A", "B"] {
        let properties = if name == "A" { "[]" } else { "" };
        rig.send(name, &bytes(&format!("32[ \"up/1\" 0001 {properties} 'x' ]")));
        rig.appended.recv().unwrap().done.send(Err("full".to_owned())).unwrap();
        rig.commit();
    }
    assert_eq!(rig.read("A"), bytes("40[ 0001 83 ]"));
    assert_eq!(rig.read("B"), b"");
    assert_ne!(rig.end("B"), crate::broker::outbox::End::Open, "closed, so that it sends again");
    assert_eq!(rig.status().dropped.store, 2);
}

#[test]
fn an_acknowledgement_never_goes_to_a_later_connection() {
    let mut rig = rig();
    connect(&mut rig, "A", "04");
    rig.send("A", &bytes("32[ \"up/1\" 0001 'x' ]"));
    let appended = rig.appended.recv().unwrap();
    rig.lose("A");
    connect(&mut rig, "A", "04");
    appended.done.send(Ok(())).unwrap();
    rig.commit();
    assert_eq!(rig.read("A"), b"");
}

#[test]
fn a_5_0_client_above_its_receive_maximum_is_disconnected() {
    let mut rig = rig();
    connect(&mut rig, "A", "05");
    for id in 1..=1024_u16 {
        rig.send("A", &bytes(&format!("32[ \"up/1\" {id:04x} [] 'x' ]")));
    }
    assert_eq!(rig.end("A"), crate::broker::outbox::End::Open);
    rig.send("A", &bytes("32[ \"up/1\" 0401 [] 'x' ]"));
    assert_eq!(rig.read("A"), bytes("e0[ 93 @why:93 ]"), "[MQTT-3.3.4-9]");
}

#[test]
fn what_comes_from_within_is_never_sent_up() {
    let mut rig = rig();
    connect(&mut rig, "S", "04");
    rig.send("S", &bytes("82[ 0001 \"#\" 00 ]"));
    rig.read("S");
    rig.local("up/1", "from within", true);
    assert_eq!(rig.read("S"), bytes("30[ \"up/1\" 'from within' ]"));
    let message = crate::model::FromCloud {
        topic: crate::model::TopicName::new("up/2").unwrap(),
        payload: b"from a cloud".to_vec(),
        qos: Qos::AtLeastOnce,
        retain: true,
    };
    rig.router.publish_from_cloud(message, rig.now);
    assert_eq!(rig.read("S"), bytes("30[ \"up/2\" 'from a cloud' ]"));
    assert!(rig.appended.try_recv().is_err(), "though an uplink wants this topic of clients");
    assert_eq!(rig.status().forwarded, 0);
}

#[test]
fn a_command_of_qos_2_is_carried_out_once() {
    let mut rig = rig();
    connect(&mut rig, "A", "05");
    rig.send(
        "A",
        &bytes("34[ \"plant/m1/v/set\" 0001 [] '1' ] 3c[ \"plant/m1/v/set\" 0001 [] '1' ]"),
    );
    rig.send("A", &bytes("6202 0001"));
    assert_eq!(rig.read("A"), bytes("5002 0001 5002 0001 7002 0001"));
    assert!(rig.commands.try_recv().is_ok());
    assert!(rig.commands.try_recv().is_err());
}

#[test]
fn a_message_of_qos_2_for_an_uplink_is_routed_once_the_store_has_it() {
    let mut rig = rig();
    connect(&mut rig, "A", "05");
    connect(&mut rig, "S", "04");
    rig.send("S", &bytes("82[ 0001 \"up/#\" 00 ]"));
    rig.read("S");
    rig.send("A", &bytes("34[ \"up/1\" 0001 [] 'x' ] 34[ \"up/2\" 0002 [] 'y' ]"));
    rig.send("A", &bytes("3c[ \"up/1\" 0001 [] 'x' ]"));
    let (first, second) = (rig.appended.recv().unwrap(), rig.appended.recv().unwrap());
    assert!(rig.appended.try_recv().is_err(), "what comes again is not stored again");
    assert_eq!((first.message.qos, &*first.message.payload), (Qos::ExactlyOnce, b"x".as_slice()));
    second.done.send(Ok(())).unwrap();
    rig.commit();
    assert_eq!((rig.read("A"), rig.read("S")), (vec![], vec![]), "the first one's turn");
    first.done.send(Ok(())).unwrap();
    rig.commit();
    assert_eq!(rig.read("S"), bytes("30[ \"up/1\" 'x' ] 30[ \"up/2\" 'y' ]"));
    assert_eq!(rig.read("A"), bytes("5002 0001 5002 0002"));
}

#[test]
fn a_message_of_qos_2_that_the_store_refuses_is_nowhere_and_may_come_again() {
    for version in ["05", "04"] {
        let mut rig = rig();
        connect(&mut rig, "A", version);
        connect(&mut rig, "S", "04");
        rig.send("S", &bytes("82[ 0001 \"up/#\" 00 ]"));
        rig.read("S");
        let publish =
            if version == "05" { "34[ \"up/1\" 0001 [] 'x' ]" } else { "34[ \"up/1\" 0001 'x' ]" };
        rig.send("A", &bytes(publish));
        rig.appended.recv().unwrap().done.send(Err("full".to_owned())).unwrap();
        rig.commit();
        assert_eq!(rig.read("S"), b"");
        if version == "05" {
            assert_eq!(rig.read("A"), bytes("50[ 0001 83 ]"));
        } else {
            assert_eq!(rig.read("A"), b"");
            assert_ne!(rig.end("A"), crate::broker::outbox::End::Open);
            rig.lose("A");
            connect(&mut rig, "A", version);
        }
        rig.send("A", &bytes(publish));
        rig.appended.recv().unwrap().done.send(Ok(())).unwrap();
        rig.commit();
        assert_eq!(rig.read("A"), bytes("5002 0001"));
        assert_eq!(rig.read("S"), bytes("30[ \"up/1\" 'x' ]"));
    }
}

#[test]
fn a_pubrec_that_waits_for_the_store_goes_to_the_connection_that_asks_for_it() {
    let mut rig = rig();
    let connect = |rig: &mut Rig| {
        rig.send("A", &bytes("10[ \"MQTT\" 04 00 0000 \"A\" ]"));
        assert_eq!(rig.read("A")[..2], [0x20, 2]);
    };
    connect(&mut rig);
    rig.send("A", &bytes("34[ \"up/1\" 0001 'x' ]"));
    let appended = rig.appended.recv().unwrap();
    rig.lose("A");
    connect(&mut rig);
    rig.send("A", &bytes("3c[ \"up/1\" 0001 'x' ] 32[ \"t\" 0002 'y' ]"));
    assert_eq!(rig.read("A"), b"");
    appended.done.send(Ok(())).unwrap();
    rig.commit();
    assert_eq!(rig.read("A"), bytes("5002 0001 4002 0002"));
    assert!(rig.appended.try_recv().is_err());
}

#[test]
fn the_receive_maximum_counts_qos_2_until_its_pubcomp() {
    let mut rig = rig();
    connect(&mut rig, "A", "05");
    for id in 1..=1024_u16 {
        rig.send("A", &bytes(&format!("34[ \"t\" {id:04x} [] 'x' ]")));
    }
    rig.read("A");
    // Again the same one: not one more.
    rig.send("A", &bytes("3c[ \"t\" 0001 [] 'x' ]"));
    rig.send("A", &bytes("6202 0001 34[ \"t\" 0401 [] 'x' ]"));
    assert_eq!(rig.read("A"), bytes("5002 0001 7002 0001 50[ 0401 10 ]"));
    rig.send("A", &bytes("34[ \"t\" 0402 [] 'x' ]"));
    assert_eq!(rig.read("A"), bytes("e0[ 93 @why:93 ]"));
}
