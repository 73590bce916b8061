//! Passwords, certificates and changes of the plan on real sockets.

use std::sync::Arc;
use std::time::Duration;

use rustls::version::TLS13;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::certificates::{Authority, dial};
use super::rig::limits;
use super::running::{PATIENCE, Running, expect, expect_end, send, start_plan};
use crate::broker::access::{Access, Claim, Guard};
use crate::broker::hash_password;
use crate::broker::packet::{Password, Reason};
use crate::broker::peer::Peer;
use crate::config::{
    BrokerPlan, Grant, Identity, ListenerPlan, PasswordHash, Pattern, Place, Rule, ServerTlsPlan,
    UserPlan,
};
use crate::model::{ManualClock, Mono, Wall};

fn user(name: &str, password: &str) -> UserPlan {
    let hash = hash_password(password.as_bytes()).unwrap();
    UserPlan {
        name: name.to_owned(),
        password: Some(PasswordHash(hash)),
        grants: vec![Grant::Everything],
    }
}

fn listener(address: &str) -> ListenerPlan {
    ListenerPlan { anonymous: None, ..ListenerPlan::tcp(address.parse().unwrap(), 100) }
}

fn plan(listeners: Vec<ListenerPlan>, users: Vec<UserPlan>) -> BrokerPlan {
    BrokerPlan { listeners, users, limits: limits() }
}

/// The reason code of the CONNACK to this login, for MQTT 5.
async fn login(running: &Running, id: &str, user: &str, password: &str) -> u8 {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let connect = format!("10[ \"MQTT\" 05 c2 0000 [] \"{id}\" \"{user}\" \"{password}\" ]");
    send(&mut stream, &connect).await;
    let mut head = [0; 4];
    timeout(PATIENCE, stream.read_exact(&mut head)).await.expect("in time").unwrap();
    head[3]
}

#[tokio::test]
async fn a_password_lets_in_and_guessing_is_slowed_down() {
    let running = start_plan(plan(vec![listener("127.0.0.1:0")], vec![user("u", "right")])).await;
    assert_eq!(login(&running, "a", "u", "right").await, 0);
    for (user, password) in [("u", "wrong"), ("nobody", "right"), ("u", ""), ("U", "right")] {
        assert_eq!(login(&running, "b", user, password).await, 0x86, "{user}");
    }
    // A right one in between: nobody is guessing.
    assert_eq!(login(&running, "a", "u", "right").await, 0);
    for _ in 0..5 {
        assert_eq!(login(&running, "b", "u", "wrong").await, 0x86);
    }
    // The clock stands still: from now on nothing is looked at.
    assert_eq!(login(&running, "b", "u", "wrong").await, 0x9F);
    assert_eq!(login(&running, "b", "u", "right").await, 0x9F);
    let status = running.broker.status();
    assert_eq!((status.logins_refused, status.logins_throttled), (9, 2));
}

#[tokio::test]
async fn who_has_an_account_of_his_own_guesses_no_faster() {
    let users = vec![user("admin", "right"), user("guest", "guest")];
    let running = start_plan(plan(vec![listener("127.0.0.1:0")], users)).await;
    for _ in 0..5 {
        assert_eq!(login(&running, "a", "admin", "wrong").await, 0x86);
        assert_eq!(login(&running, "b", "guest", "guest").await, 0);
    }
    assert_eq!(login(&running, "a", "admin", "wrong").await, 0x9F);
    assert_eq!(login(&running, "b", "guest", "guest").await, 0, "others are not concerned");
}

#[tokio::test]
async fn an_attempt_that_nobody_waits_for_counts_as_well() {
    let plan = plan(vec![listener("127.0.0.1:1883")], vec![user("u", "right")]);
    let (_access, access) = watch::channel(Arc::new(Access::of(&plan)));
    let clock = Arc::new(ManualClock::new(Mono(0), Wall(0)));
    let guard = Guard::new(access, clock, Arc::default());
    let peer = Peer::Network("192.0.2.1:5000".parse().unwrap());
    let start = Instant::now();
    loop {
        let claim =
            Claim { place: &plan.listeners[0].place, certificate: None, username: Some("u") };
        let attempt = guard.login(claim, Some(Password("wrong".into())), peer);
        // Far less than it takes to look at a password.
        let answer = timeout(Duration::from_millis(1), attempt).await;
        if matches!(answer, Ok(Err(Reason::CONNECTION_RATE_EXCEEDED))) {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "never slowed down");
    }
}

#[tokio::test]
async fn a_thousand_that_come_back_cost_one_verification_each_user() {
    let users = vec![user("u", "right"), user("v", "other")];
    let running = start_plan(plan(vec![listener("127.0.0.1:0")], users.clone())).await;
    let verified = || running.broker.status().passwords_verified;
    // All at once at first, so that nobody is known yet.
    let ids: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    let many = ids.iter().map(|id| login(&running, id, "u", "right"));
    assert_eq!(futures_util::future::join_all(many).await, [0; 50]);
    assert!((1..=2).contains(&verified()), "{} at a time", verified());
    let before = verified();
    for n in 0..950 {
        assert_eq!(login(&running, &n.to_string(), "u", "right").await, 0);
    }
    assert_eq!(verified(), before);
    // Others are not let in for it, and are looked at each time.
    for (user, password) in [("u", "wrong"), ("v", "right"), ("nobody", "right")] {
        assert_eq!(login(&running, "x", user, password).await, 0x86, "{user}");
    }
    assert_eq!(verified(), before + 3);
    // The same user with another password: known no more.
    let changed = vec![user("u", "new"), users[1].clone()];
    running.broker.change(&plan(vec![listener("127.0.0.1:0")], changed)).await.unwrap();
    assert_eq!(login(&running, "x", "u", "right").await, 0x86);
    assert_eq!(login(&running, "x", "u", "new").await, 0);
    assert_eq!(verified(), before + 5);
}

#[tokio::test]
async fn nobody_comes_in_without_a_name_where_that_is_not_allowed() {
    let open = ListenerPlan::tcp("127.0.0.1:0".parse().unwrap(), 100);
    let closed = ListenerPlan {
        anonymous: None,
        place: Place::Address("[::1]:0".parse().unwrap()),
        ..open.clone()
    };
    let running = start_plan(plan(vec![open, closed], vec![user("u", "right")])).await;
    running.connect("a").await;
    let mut stream = TcpStream::connect(running.broker.addresses()[1]).await.unwrap();
    send(&mut stream, "10[ \"MQTT\" 04 02 0000 \"b\" ]").await;
    expect(&mut stream, "20020005").await;
    expect_end(&mut stream).await;
}

fn mutual(files: ServerTlsPlan) -> ListenerPlan {
    ListenerPlan { tls: Some(files), ..listener("127.0.0.1:0") }
}

#[tokio::test]
async fn a_certificate_says_who_its_client_is() {
    let authority = Authority::new();
    authority.sign("broker", "broker", "localhost");
    authority.sign("line7", "line 7", "line7.plant1");
    let only = |topic: &str| {
        Grant::Only(Rule {
            publish: Vec::new(),
            retain: Vec::new(),
            subscribe: vec![Pattern::new(topic).unwrap()],
            qos_max: crate::model::Qos::ExactlyOnce,
            commands: true,
        })
    };
    let user = |name: &str, topic: &str| UserPlan {
        name: name.to_owned(),
        password: None,
        grants: vec![only(topic)],
    };
    let users = vec![user("line 7", "by-cn"), user("line7.plant1", "by-san")];
    for (identity, name, allowed) in [
        (Identity::CommonName, "line 7", "by-cn"),
        (Identity::AlternativeName, "line7.plant1", "by-san"),
    ] {
        let files = ServerTlsPlan { identity, ..authority.server("broker", true) };
        let running = start_plan(plan(vec![mutual(files)], users.clone())).await;
        let connector = authority.client(Some("line7"), &[&TLS13]);
        let mut client = dial(&connector, running.address).await.unwrap();
        // What it calls itself besides is of no importance.
        send(&mut client, "10[ \"MQTT\" 04 82 0000 \"a\" \"admin\" ]").await;
        expect(&mut client, "20020000").await;
        for topic in ["by-cn", "by-san"] {
            send(&mut client, &format!("82[ 0001 \"{topic}\" 00 ]")).await;
            let answer = if topic == allowed { "90[ 0001 00 ]" } else { "90[ 0001 80 ]" };
            expect(&mut client, answer).await;
        }
        assert_eq!(running.broker.status().clients[0].user.as_deref(), Some(name));
        // Its user is removed: the certificate alone is not enough.
        let listeners =
            vec![mutual(ServerTlsPlan { identity, ..authority.server("broker", true) })];
        running.broker.change(&plan(listeners, Vec::new())).await.unwrap();
        expect_end(&mut client).await;
        let mut client = dial(&connector, running.address).await.unwrap();
        send(&mut client, "10[ \"MQTT\" 04 02 0000 \"a\" ]").await;
        expect(&mut client, "20020005").await;
    }
}

/// The common name of the certificate that a listener shows.
async fn shown(authority: &Authority, running: &Running) -> String {
    let stream = dial(&authority.client(None, &[&TLS13]), running.address).await.unwrap();
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    crate::tls::common_name(&chain[0]).unwrap()
}

#[tokio::test]
async fn a_renewed_certificate_is_for_new_connections_and_old_ones_stay() {
    let authority = Authority::new();
    authority.sign("broker", "first", "localhost");
    let open = ListenerPlan {
        tls: Some(authority.server("broker", false)),
        ..ListenerPlan::tcp("127.0.0.1:0".parse().unwrap(), 100)
    };
    let plan = plan(vec![open], Vec::new());
    let running = start_plan(plan.clone()).await;
    let connector = authority.client(None, &[&TLS13]);
    let mut client = dial(&connector, running.address).await.unwrap();
    send(&mut client, "10[ \"MQTT\" 04 02 0000 \"a\" ]").await;
    expect(&mut client, "20020000").await;
    assert_eq!(shown(&authority, &running).await, "first");
    // Half of a renewal: the key does not fit any more.
    let key = std::fs::read_to_string(authority.path("broker.key")).unwrap();
    authority.sign("broker", "second", "localhost");
    let new_key = std::fs::read_to_string(authority.path("broker.key")).unwrap();
    super::certificates::put(&authority.path("broker.key"), &key);
    running.broker.change(&plan).await.unwrap();
    assert_eq!(shown(&authority, &running).await, "first");
    let problem = running.broker.status().listeners[0].certificate_problem.clone();
    assert!(problem.unwrap().contains("does not belong to the key"));
    super::certificates::put(&authority.path("broker.key"), &new_key);
    running.broker.change(&plan).await.unwrap();
    assert_eq!(shown(&authority, &running).await, "second");
    assert_eq!(running.broker.status().listeners[0].certificate_problem, None);
    send(&mut client, "c000").await;
    expect(&mut client, "d000").await;
}

#[tokio::test]
async fn listeners_come_and_go_while_clients_of_the_others_stay() {
    let open = |address: &str| ListenerPlan::tcp(address.parse().unwrap(), 100);
    let running = start_plan(plan(vec![open("127.0.0.1:0")], Vec::new())).await;
    let mut stays = running.connect("stays").await;
    let two = plan(vec![open("127.0.0.1:0"), open("[::1]:0")], Vec::new());
    running.broker.change(&two).await.unwrap();
    let second = running.broker.addresses()[1];
    let mut goes = TcpStream::connect(second).await.unwrap();
    send(&mut goes, "10[ \"MQTT\" 05 02 0000 [] \"goes\" ]").await;
    expect(&mut goes, "20[ 0000 [ @offer ] ]").await;
    // One that can't be opened: nothing changes.
    let taken = open(&second.to_string());
    let wrong = plan(vec![open("[::1]:0"), taken], Vec::new());
    let error = running.broker.change(&wrong).await.unwrap_err();
    assert!(error.to_string().starts_with("can't listen on tcp [::1]:"), "{error}");
    send(&mut stays, "c000").await;
    expect(&mut stays, "d000").await;
    running.broker.change(&plan(vec![open("127.0.0.1:0")], Vec::new())).await.unwrap();
    expect(&mut goes, "e0[ 98 @why:98 ]").await;
    expect_end(&mut goes).await;
    running.until("closed", |status| status.listeners.len() == 1).await;
    send(&mut stays, "c000").await;
    expect(&mut stays, "d000").await;
    // The kind may change as well: the place stays, with whom it has.
    let authority = Authority::new();
    authority.sign("broker", "broker", "localhost");
    let tls = ListenerPlan { tls: Some(authority.server("broker", false)), ..open("127.0.0.1:0") };
    running.broker.change(&plan(vec![tls], Vec::new())).await.unwrap();
    assert_eq!(shown(&authority, &running).await, "broker");
    send(&mut stays, "c000").await;
    expect(&mut stays, "d000").await;
    running.stop.cancel();
    expect_end(&mut stays).await;
    drop(stays);
    timeout(PATIENCE, running.runner).await.expect("ends in time").unwrap().unwrap();
}
