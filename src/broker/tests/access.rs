//! What users may do, and what happens to those who are there when that changes.

use std::time::Duration;

use super::notation::bytes;
use super::rig::{Rig, limits};
use crate::config::{Grant, PasswordHash, UserPlan};

/// Rules as they are written in a configuration, as user `name`.
pub fn users(yaml: &str) -> Vec<UserPlan> {
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
                qqSCqQPLbO7RKU+qFwvGng1pxgNv8yNZ1h4P0e1n3bQ";
    let yaml = yaml.replace("PASSWORD", &format!("password: '{hash}'"));
    let text = format!("gateway: {{ name: g }}\nbroker:\n  users:\n{yaml}");
    let loaded = crate::config::parse(&text, "t").unwrap_or_else(|problems| panic!("{problems}"));
    loaded.plan.broker.unwrap().users
}

fn rig(yaml: &str) -> Rig {
    let mut rig = Rig::new(limits()).with_rules();
    rig.set_users(users(yaml), None);
    rig
}

impl Rig {
    fn sends(&mut self, name: &str, packet: &str, answer: &str) {
        self.send(name, &bytes(packet));
        assert_eq!(self.read(name), bytes(answer), "{packet}");
    }

    fn enters3(&mut self, id: &str, user: &str) {
        let connect = format!("10[ \"MQTT\" 04 82 0000 \"{id}\" \"{user}\" ]");
        self.sends(id, &connect, "20020000");
    }

    fn enters5(&mut self, id: &str, user: &str) {
        let connect = format!("10[ \"MQTT\" 05 82 0000 [] \"{id}\" \"{user}\" ]");
        self.sends(id, &connect, "20[ 0000 [ @offer ] ]");
    }
}

const SENSOR: &str = "    s: { PASSWORD, publish: 'in/{client}/#', retain: 'in/{client}/last', \
                      subscribe: ['out/{user}/+'], qos-max: 0 }\n    w: { PASSWORD, roles: [ write ] }\n";

#[test]
fn whoever_is_not_let_in_hears_why() {
    let mut rig = rig(SENSOR);
    for (name, packet, answer) in [
        ("a", "10[ \"MQTT\" 04 02 0000 \"a\" ]", "20020005"),
        ("b", "10[ \"MQTT\" 05 02 0000 [] \"b\" ]", "20[ 00 87 @why:87 ]"),
        ("c", "10[ \"MQTT\" 04 82 0000 \"c\" \"nobody\" ]", "20020004"),
        ("d", "10[ \"MQTT\" 05 82 0000 [] \"d\" \"nobody\" ]", "20[ 00 86 @why:86 ]"),
        // A will where the user may not publish.
        ("e", "10[ \"MQTT\" 04 86 0000 \"e\" \"x\" \"w\" \"s\" ]", "20020005"),
        (
            "f",
            "10[ \"MQTT\" 05 86 0000 [] \"f\" [] \"in/e/x\" \"w\" \"s\" ]",
            "20[ 00 87 @why:87 ]",
        ),
    ] {
        rig.sends(name, packet, answer);
    }
    rig.sends("g", "10[ \"MQTT\" 04 86 0000 \"g\" \"in/g/x\" \"w\" \"s\" ]", "20020000");
}

#[test]
fn a_3_1_1_client_gets_its_acknowledgement_and_the_message_goes_nowhere() {
    let mut rig = rig(SENSOR);
    rig.enters3("w1", "w");
    rig.sends("w1", "82[ 0001 \"#\" 01 ]", "90[ 0001 01 ]");
    rig.enters3("c1", "s");
    rig.sends("c1", "30[ \"in/c1/x\" 'good' ]", "");
    rig.sends("w1", "c000", "30[ \"in/c1/x\" 'good' ] d000");
    // Not its topic; not its quality of service; retained where that is not allowed.
    rig.sends("c1", "30[ \"in/c2/x\" 'bad' ]", "");
    rig.sends("c1", "32[ \"in/c1/x\" 0001 'bad' ]", "40020001");
    rig.sends("c1", "31[ \"in/c1/x\" 'bad' ]", "");
    rig.sends("w1", "c000", "d000");
    rig.sends("c1", "31[ \"in/c1/last\" 'good' ]", "");
    rig.sends("w1", "c000", "30[ \"in/c1/last\" 'good' ] d000");
    let status = rig.status();
    assert_eq!((status.dropped.denied, status.retained), (3, 1));
    let client = status.clients.iter().find(|client| &*client.id == "c1").unwrap();
    assert_eq!(client.user.as_deref(), Some("s"));
}

#[test]
fn a_5_0_client_hears_what_it_may_not() {
    let mut rig = rig(SENSOR);
    rig.enters5("c1", "s");
    let why = "\"this user may not publish to this topic\"";
    let refusal = format!("40[ 0001 87 [ 1f {why} ] ]");
    rig.sends("c1", "32[ \"in/c1/x\" 0001 [] 'bad' ]", &refusal);
    // Each filter has its own answer; the last is allowed at the highest quality of service.
    rig.sends(
        "c1",
        "82[ 0002 [] \"#\" 00 \"out/+/x\" 00 \"out/s/#\" 00 \"$share/g/out/x/y\" 00 \"out/s/+\" 01 ]",
        "90[ 0002 @why:87 87 87 87 87 00 ]",
    );
    rig.enters3("c2", "s");
    rig.sends("c2", "82[ 0003 \"out/x/y\" 01 \"out/s/y\" 01 ]", "90[ 0003 80 00 ]");
}

#[test]
fn a_client_with_a_wildcard_for_a_name_gets_nothing() {
    let mut rig = rig(SENSOR);
    for id in ["#", "+", "c1/#"] {
        rig.enters5(id, "s");
        let packet = "32[ \"in/c1/x\" 0001 [] 'bad' ]";
        rig.send(id, &bytes(packet));
        assert_eq!(rig.read(id)[4], 0x87, "{id}");
    }
}

#[test]
fn commands_are_for_those_who_were_given_them() {
    let mut rig =
        rig("    w: { PASSWORD, roles: [ write ] }\n    a: { PASSWORD, roles: [ admin ] }\n    \
                       c: { PASSWORD, publish: 'plant/m1/v/set' }\n");
    for (id, user, answer) in [("w", "w", 0x87), ("a", "a", 0), ("c", "c", 0)] {
        rig.enters5(id, user);
        rig.send(id, &bytes("32[ \"plant/m1/v/set\" 0001 [] '1' ]"));
        let got = rig.read(id);
        assert_eq!(got.get(4).copied().unwrap_or(0), answer, "{user} {got:02x?}");
        // The tag itself is the gateway's, whatever anybody may.
        rig.send(id, &bytes("32[ \"plant/m1/v\" 0002 [] '1' ]"));
        assert_eq!(rig.read(id)[4], 0x87);
    }
    assert_eq!(rig.status().commands, 2);
}

#[test]
fn the_session_of_a_user_is_nobody_elses() {
    let mut rig = rig(SENSOR);
    rig.sends("c", "10[ \"MQTT\" 04 80 0000 \"c\" \"w\" ]", "20020000");
    rig.sends("c", "82[ 0001 \"t\" 01 ]", "90[ 0001 01 ]");
    // While it is there and while it is away.
    rig.sends("other", "10[ \"MQTT\" 04 82 0000 \"c\" \"s\" ]", "20020002");
    rig.lose("c");
    rig.sends("third", "10[ \"MQTT\" 04 80 0000 \"c\" \"s\" ]", "20020002");
    rig.sends("c", "10[ \"MQTT\" 04 80 0000 \"c\" \"w\" ]", "20020100");
}

#[test]
fn what_an_anonymous_client_left_is_not_resumed_by_a_user() {
    let mut rig = rig(SENSOR);
    rig.set_users(users(SENSOR), Some(vec![Grant::Everything]));
    rig.sends("c", "10[ \"MQTT\" 04 00 0000 \"c\" ]", "20020000");
    rig.lose("c");
    rig.sends("c", "10[ \"MQTT\" 04 80 0000 \"c\" \"w\" ]", "20020000");
}

#[test]
fn those_who_stay_allowed_notice_nothing_of_new_users() {
    let mut rig = rig(SENSOR);
    rig.enters5("c1", "s");
    rig.sends("c1", "82[ 0002 [] \"out/s/+\" 00 ]", "90[ 0002 [] 00 ]");
    rig.set_users(users(&format!("{SENSOR}    n: {{ PASSWORD, roles: [ read ] }}\n")), None);
    rig.enters5("w1", "w");
    rig.sends("w1", "30[ \"out/s/x\" [] 'still' ]", "");
    assert_eq!(rig.read("c1"), bytes("30[ \"out/s/x\" [] 'still' ]"));
    // A right that is new is there at once.
    let wider = SENSOR.replace("publish: 'in/{client}/#'", "publish: '#'");
    rig.set_users(users(&wider), None);
    rig.sends("c1", "30[ \"out/s/x\" [] 'own' ]", "30[ \"out/s/x\" [] 'own' ]");
}

#[test]
fn those_who_are_not_allowed_any_more_are_disconnected() {
    let both = SENSOR;
    let mut rig = rig(both);
    for (id, user) in [("s5", "s"), ("w5", "w")] {
        rig.enters5(id, user);
    }
    rig.enters3("w3", "w");
    rig.set_users(users("    s: { PASSWORD, roles: [ read ] }\n"), None);
    assert_eq!(rig.read("w5"), bytes("e0[ 98 @why:98 ]"));
    assert_eq!(rig.read("w3"), b"");
    assert_ne!(rig.end("w3"), crate::broker::outbox::End::Open);
    rig.sends("s5", "c000", "d000");
    // Another password: who knew the old one has to say the new one.
    let mut changed = users(both);
    let hash = changed[0].password.clone().unwrap().0.replace("c29t", "d29t");
    changed[0].password = Some(PasswordHash(hash));
    rig.set_users(changed, None);
    assert_eq!(rig.read("s5"), bytes("e0[ 98 @why:98 ]"));
}

#[test]
fn a_will_does_not_outlive_the_right_to_it() {
    let mut rig = rig(SENSOR);
    rig.enters5("w5", "w");
    rig.sends("w5", "82[ 0001 [] \"#\" 00 ]", "90[ 0001 [] 00 ]");
    rig.sends("g", "10[ \"MQTT\" 04 86 0000 \"g\" \"in/g/x\" \"bye\" \"s\" ]", "20020000");
    rig.set_users(users("    w: { PASSWORD, roles: [ write ] }\n"), None);
    assert_ne!(rig.end("g"), crate::broker::outbox::End::Open);
    assert_eq!(rig.read("w5"), b"");
    assert_eq!(rig.status().dropped.denied, 1);
}

#[test]
fn a_will_is_judged_by_what_its_user_may_do_when_it_is_published() {
    let mut rig = rig(SENSOR);
    rig.enters5("w5", "w");
    rig.sends("w5", "82[ 0001 [] \"#\" 00 ]", "90[ 0001 [] 00 ]");
    let delayed = "10[ \"MQTT\" 05 86 0000 [ 11 00000064 ] \"late\" [ 18 0000000a ] \
                   \"in/late/x\" \"bye\" \"s\" ]";
    for id in ["now", "gone"] {
        let connect = format!("10[ \"MQTT\" 04 86 0000 \"{id}\" \"in/{id}/x\" \"bye\" \"s\" ]");
        rig.sends(id, &connect, "20020000");
    }
    rig.sends("late", delayed, "20[ 0000 [ @offer ] ]");
    rig.lose("gone");
    assert_eq!(rig.read("w5"), bytes("30[ \"in/gone/x\" [] 'bye' ]"));
    // With another password it is still its user's to say that the client is gone.
    let mut changed = users(SENSOR);
    let hash = changed[0].password.clone().unwrap().0.replace("c29t", "d29t");
    changed[0].password = Some(PasswordHash(hash));
    rig.set_users(changed, None);
    assert_ne!(rig.end("now"), crate::broker::outbox::End::Open);
    assert_eq!(rig.read("w5"), bytes("30[ \"in/now/x\" [] 'bye' ]"));
    // The delayed one waits, and its user may say less when its time has come.
    rig.set_users(users(&SENSOR.replace("in/{client}/#", "else/#")), None);
    rig.wait(Duration::from_secs(11));
    assert_eq!(rig.read("w5"), b"");
    assert_eq!(rig.status().dropped.denied, 1);
}

#[test]
fn a_subscription_that_is_not_allowed_any_more_goes_with_what_waits_for_it() {
    let mut rig = rig(
        "    r: { PASSWORD, subscribe: ['a/#', 'b/#'] }\n    w: { PASSWORD, roles: [ write ] }\n",
    );
    rig.sends("away", "10[ \"MQTT\" 04 80 0000 \"away\" \"r\" ]", "20020000");
    rig.enters5("here", "r");
    rig.sends("here", "82[ 0001 [] \"a/#\" 01 ]", "90[ 0001 [] 01 ]");
    rig.sends("away", "82[ 0001 \"a/#\" 01 \"b/#\" 01 ]", "90[ 0001 01 01 ]");
    rig.lose("away");
    rig.enters3("w", "w");
    rig.sends("w", "32[ \"a/x\" 0001 'secret' ] 32[ \"b/x\" 0002 'fine' ]", "40020001 40020002");
    assert_eq!(rig.read("here"), bytes("32[ \"a/x\" 0001 [] 'secret' ]"));
    rig.set_users(
        users("    r: { PASSWORD, subscribe: 'b/#' }\n    w: { PASSWORD, roles: [ write ] }\n"),
        None,
    );
    assert_eq!(rig.read("here"), bytes("e0[ 87 @why:87 ]"));
    rig.sends(
        "away",
        "10[ \"MQTT\" 04 80 0000 \"away\" \"r\" ]",
        "20020100 32[ \"b/x\" 0002 'fine' ]",
    );
    rig.sends("w", "32[ \"a/x\" 0003 'secret' ]", "40020003");
    assert_eq!(rig.read("away"), b"");
    assert_eq!(rig.status().dropped.denied, 2, "one that waited, and one that was in flight");
}

#[test]
fn what_was_in_flight_when_a_right_was_lost_does_not_come_again() {
    let mut rig = rig(
        "    r: { PASSWORD, subscribe: ['a/#', 'b/#'] }\n    w: { PASSWORD, roles: [ write ] }\n",
    );
    for id in ["away", "here"] {
        rig.sends(id, &format!("10[ \"MQTT\" 04 80 0000 \"{id}\" \"r\" ]"), "20020000");
        rig.sends(id, "82[ 0001 \"a/#\" 01 \"b/#\" 02 ]", "90[ 0001 01 02 ]");
    }
    rig.enters3("w", "w");
    rig.sends("w", "32[ \"a/x\" 0001 'secret' ] 34[ \"b/x\" 0002 'fine' ]", "40020001 50020002");
    for id in ["away", "here"] {
        assert_eq!(rig.read(id), bytes("32[ \"a/x\" 0001 'secret' ] 34[ \"b/x\" 0002 'fine' ]"));
    }
    rig.lose("away");
    rig.set_users(
        users("    r: { PASSWORD, subscribe: 'b/#' }\n    w: { PASSWORD, roles: [ write ] }\n"),
        None,
    );
    rig.lose("here");
    for id in ["away", "here"] {
        let connect = format!("10[ \"MQTT\" 04 80 0000 \"{id}\" \"r\" ]");
        rig.sends(id, &connect, "20020100 3c[ \"b/x\" 0002 'fine' ]");
        rig.sends(id, "5002 0002", "6202 0002");
    }
    assert_eq!(rig.status().dropped.denied, 2);
}

#[test]
fn what_a_member_may_not_have_any_more_goes_to_another_of_its_group() {
    let members = "    r: { PASSWORD, subscribe: ['a/#', 'b/#'] }\n    o: { PASSWORD, subscribe: 'a/#' }\n    \
                   w: { PASSWORD, roles: [ write ] }\n";
    let mut rig = rig(members);
    for (id, user) in [("here", "r"), ("other", "o")] {
        rig.sends(id, &format!("10[ \"MQTT\" 04 80 0000 \"{id}\" \"{user}\" ]"), "20020000");
        rig.sends(id, "82[ 0001 \"$share/g/a/#\" 02 ]", "90[ 0001 02 ]");
    }
    rig.enters3("w", "w");
    rig.sends("w", "32[ \"a/1\" 0001 '1' ] 32[ \"a/2\" 0002 '2' ]", "40020001 40020002");
    rig.sends("w", "34[ \"a/3\" 0003 '3' ]", "50020003");
    assert_eq!(rig.read("here"), bytes("32[ \"a/1\" 0001 '1' ] 34[ \"a/3\" 0002 '3' ]"));
    assert_eq!(rig.read("other"), bytes("32[ \"a/2\" 0001 '2' ]"));
    rig.set_users(users(&members.replace("'a/#', ", "")), None);
    // What was sent at QoS 2 may have arrived, and nobody else gets it (MQTT 5.0, 4.8.2).
    assert_eq!(rig.read("other"), bytes("32[ \"a/1\" 0002 '1' ]"));
    assert_eq!(rig.status().dropped.denied, 1);
    rig.lose("here");
    rig.sends("here", "10[ \"MQTT\" 04 80 0000 \"here\" \"r\" ]", "20020100");
    // With nobody else in the group it is denied like any other.
    rig.sends("other", "40020001 40020002 82[ 0002 \"$share/alone/a/#\" 01 ]", "90[ 0002 01 ]");
    rig.sends("other", "a2[ 0003 \"$share/g/a/#\" ]", "b0020003");
    rig.sends("w", "32[ \"a/4\" 0004 '4' ]", "40020004");
    assert_eq!(rig.read("other"), bytes("32[ \"a/4\" 0003 '4' ]"));
    rig.set_users(users(&members.replace("subscribe: 'a/#'", "subscribe: 'c'")), None);
    let dropped = rig.status().dropped;
    assert_eq!((dropped.denied, dropped.session_ended), (2, 0));
}

#[test]
fn an_id_that_the_broker_assigns_is_nobody_elses() {
    let mut rig = Rig::new(limits());
    let id = |number: u32| format!("\"auto-0000000000000abc-{number}\"");
    let assigned = |number| format!("20[ 0000 [ @offer 12 {} ] ]", id(number));
    let nameless = "10[ \"MQTT\" 05 00 0000 [ 11 00000064 ] \"\" ]";
    rig.sends("first", nameless, &assigned(1));
    // From its own it knows what the next ones will be, and sows what they shall reap.
    for number in [2, 3] {
        let connect = format!("10[ \"MQTT\" 05 00 0000 [ 11 00000064 ] {} ]", id(number));
        let name = number.to_string();
        rig.sends(&name, &connect, "20[ 0000 [ @offer ] ]");
        rig.sends(&name, "82[ 0001 [] \"#\" 01 ]", "90[ 0001 [] 01 ]");
    }
    rig.lose("2");
    rig.sends("second", nameless, &assigned(4));
    rig.sends("3", "c000", "d000");
}
