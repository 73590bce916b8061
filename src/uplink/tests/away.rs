//! A broker that is not there, says no, or is set up wrongly: a state with a reason, never an end.

use std::time::Duration;

use rumqttc::ConnectReturnCode;
use tokio::net::TcpListener;

use super::fake::{Ack, End, Fake, Mood, WELL, Welcome};
use super::world::{World, broker, eventually, plan};
use crate::config::{BrokerUrl, Secret, UplinkPlan, Username};
use crate::model::Form;
use crate::uplink::{Cause, Connection};

#[tokio::test]
async fn a_broker_that_comes_later_gets_everything() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let away = Fake::new([]).await;
    let mut world = World::new();
    let running = world.start(UplinkPlan { brokers: vec![broker(addr)], ..plan(&away) });
    world.append(20);
    let tried = |ends: Option<&u64>| ends.is_some_and(|ends| *ends >= 3);
    let status = running.until("tried", |s| tried(s.ends.get(&Cause::Unreachable))).await;
    assert!(status.last_end.unwrap().contains("nothing listens on 127.0.0.1:"));
    assert_eq!(status.waiting, 200);
    let fake = Fake::at(addr, []).await;
    running.until_nothing_waits().await;
    world.check_nothing_lost(&fake);
    running.stop().await;
}

/// The first attempt of this one would come within a day.
#[tokio::test]
async fn who_does_not_want_to_wait_has_it_tried_at_once() {
    let fake = Fake::new([WELL]).await;
    let mut world = World::new();
    world.timing.backoff_first = Duration::from_secs(86_400);
    let running = world.start(plan(&fake));
    let give_up = tokio::time::Instant::now() + Duration::from_secs(20);
    while running.port.status().connects == 0 {
        assert!(tokio::time::Instant::now() < give_up, "{:#?}", running.port.status());
        running.port.try_now();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Who is connected is not disturbed.
    running.port.try_now();
    world.append(3);
    let status = running.until_nothing_waits().await;
    assert_eq!(status.connects, 1);
    running.stop().await;
}

#[tokio::test]
async fn every_way_to_be_away_has_its_words() {
    let refused = |code| Mood { welcome: Welcome::Refuse(code), ..WELL };
    let silent = Mood { welcome: Welcome::Silent, ..WELL };
    let cases = [
        (
            Some(refused(ConnectReturnCode::BadUserNamePassword)),
            Cause::Login,
            "username or password",
        ),
        (Some(refused(ConnectReturnCode::BadClientId)), Cause::Refused, "client id"),
        (Some(silent), Cause::NoAnswer, "does not answer CONNECT"),
        (None, Cause::NameNotFound, "has no address"),
    ];
    for (mood, cause, words) in cases {
        let fake = Fake::new(mood).await;
        let host = if mood.is_some() { "127.0.0.1" } else { "no such name.invalid" };
        let world = World::new();
        let broker = BrokerUrl { host: host.into(), ..broker(fake.addr) };
        let running = world.start(UplinkPlan { brokers: vec![broker], ..plan(&fake) });
        let status = running.until(words, |status| status.ends.contains_key(&cause)).await;
        assert!(status.last_end.clone().unwrap().contains(words), "{status:#?}");
        if mood.is_some() {
            running.until("online after all", |s| s.connects == 1).await;
        }
        let status = running.stop().await;
        assert_eq!(status.connection, Connection::Stopped);
    }
}

#[tokio::test]
async fn the_password_is_read_for_every_attempt_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::new([]).await;
    let secret = Secret { file: "uplink.password".into() };
    let username = Some(Username::Plain("me".to_owned()));
    let plan = UplinkPlan { username, password: Some(secret), ..plan(&fake) };
    let world = World::new();
    let running = world.start_in(plan, dir.path().to_owned());
    let status = running.until("missed", |s| s.ends.contains_key(&Cause::Settings)).await;
    assert!(status.last_end.unwrap().starts_with("the password file "));
    assert_eq!(fake.log(|log| log.connects.len()), 0, "no attempt without the password");
    let file = dir.path().join("uplink.password");
    #[expect(clippy::disallowed_methods, reason = "a secret, not a configuration")]
    std::fs::write(file, "s3cret\n").unwrap();
    let status = running.until("online", |s| s.connects == 1).await;
    let login = fake.log(|log| log.connects[0].login.clone()).unwrap();
    assert_eq!((login.username.as_str(), login.password.as_str()), ("me", "s3cret"));
    let connect = fake.log(|log| log.connects[0].clone());
    assert!(connect.clean_session && connect.client_id == "press-line-3");
    let shown = serde_json::to_string(&status).unwrap() + &format!("{status:?}");
    assert!(!shown.contains("s3cret"));
    running.stop().await;
}

/// What is out when a stop comes still gets a moment; what is not acknowledged then is kept.
#[tokio::test]
async fn a_stop_settles_what_is_acknowledged_and_keeps_the_rest() {
    for (ack, waiting) in [(Ack::Late(Duration::from_millis(60)), 0), (Ack::Never, 10)] {
        let fake = Fake::new([Mood { ack, ..WELL }]).await;
        let mut world = World::new();
        let running = world.start(UplinkPlan { backlog: Form::Tag, ..plan(&fake) });
        running.until("online", |s| s.connects == 1).await;
        world.append(1);
        eventually("all are out", || fake.log(|log| log.seen.len()) == 10).await;
        let status = running.stop().await;
        assert_eq!((status.waiting, status.duplicates_possible), (waiting, waiting));
    }
}

/// MQTT 3.1.1 can refuse a publish only by hanging up; that must not look like a bad line.
#[tokio::test]
async fn a_broker_that_hangs_up_on_every_publish_is_named() {
    let moods = [Mood { ack: Ack::Never, end: End::Close(1), ..WELL }; 6];
    let fake = Fake::new(moods).await;
    let mut world = World::new();
    world.append(1);
    let running = world.start(plan(&fake));
    let hint = "it may refuse a topic, or take smaller packets than 4096 bytes";
    let says = |end: &Option<String>| end.as_ref().is_some_and(|said| said.contains(hint));
    let status = running.until("named", |status| says(&status.last_end)).await;
    assert!(status.ends[&Cause::Closed] >= 3);
    running.until_nothing_waits().await;
    world.check_nothing_lost(&fake);
    running.stop().await;
}
