//! A trial says of a right configuration that it is right, and of a wrong one what is wrong.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use rumqttc::ConnectReturnCode;

use super::announcing::home;
use super::edge_node::node;
use super::fake::{End, Fake, Mood, WELL, Welcome};
use super::world::{World, plan};
use crate::config::{SasPlan, Secret, UplinkPlan, Username, clouds};
use crate::model::{TopicName, Wall};
use crate::uplink::{Tried, beside, trial};

async fn tried(plan: &UplinkPlan) -> (bool, Tried) {
    let mut last = None;
    let mut tell = |tried| last = Some(tried);
    let good = trial(plan, None, Path::new("/nonexistent"), Wall(0), &mut tell).await;
    (good, last.unwrap())
}

fn of_service(name: &str, plan: UplinkPlan) -> UplinkPlan {
    let service = clouds::services().find(|service| service.name == name).unwrap();
    UplinkPlan { service: Some(Arc::new(service)), ..plan }
}

#[tokio::test]
async fn a_service_gets_no_probe_on_a_topic_that_it_does_not_know() {
    let fake = Fake::new([]).await;
    let backlog_topic = TopicName::new("v1/gateway/telemetry").unwrap();
    let board = UplinkPlan { backlog_topic, ..plan(&fake) };
    let (good, last) = tried(&of_service("thingsboard", board)).await;
    assert!(good && last.ok && last.said.starts_with("not tried: ThingsBoard"), "{last:?}");
    assert_eq!(fake.log(|log| log.seen.len()), 0);
    let (good, last) = tried(&plan(&fake)).await;
    assert!(good && last.said == "on site/probe", "{last:?}");
    assert_eq!(fake.log(|log| log.seen.len()), 1);
}

#[tokio::test]
async fn an_edge_node_gets_no_probe_on_a_topic_of_no_node() {
    let (world, fake) = (World::new(), Fake::new([]).await);
    let (good, last) = tried(&node(&world, &fake, None)).await;
    assert!(good && last.said == "not tried: Sparkplug has no topic for it", "{last:?}");
    assert_eq!(fake.log(|log| log.seen.len()), 0);
}

/// A gateway that runs is not gone when a trial beside it ends.
#[tokio::test]
async fn a_trial_has_no_last_will() {
    let fake = Fake::new([]).await;
    assert!(tried(&home(&fake)).await.0);
    assert!(fake.log(|log| log.connects[0].last_will.is_none()));
}

#[tokio::test]
async fn an_end_at_the_probe_is_told_of_its_topic() {
    let fake = Fake::new([Mood { end: End::Close(1), ack: super::fake::Ack::Never, ..WELL }]).await;
    let (good, last) = tried(&plan(&fake)).await;
    assert!(!good && last.step == "publish", "{last:?}");
    assert!(last.said.starts_with("after a probe on site/probe: "), "{last:?}");
    assert!(last.advice.unwrap().contains("the right to publish on this topic"), "{last:?}");
}

#[tokio::test]
async fn a_token_that_is_refused_names_the_clock_that_it_counts_from() {
    let refused = Welcome::Refuse(ConnectReturnCode::NotAuthorized);
    let fake = Fake::new([Mood { welcome: refused, ..WELL }]).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hub.key");
    std::fs::File::create(&file).unwrap().write_all(b"c2VjcmV0IGtleQ==").unwrap();
    let sas = SasPlan { key: Secret { file }, ..token() };
    let username = Some(Username::Plain("hub/d1".to_owned()));
    let (good, last) = tried(&UplinkPlan { sas: Some(sas), username, ..plan(&fake) }).await;
    assert!(!good && last.step == "login", "{last:?}");
    let words = "its token counts from the gateway's clock, which reads 1970-01-01T00:00:00.000Z";
    assert!(last.said.ends_with(words), "{last:?}");
    assert!(
        last.advice.unwrap().starts_with("check the clock of this machine, the file of sas.key")
    );
}

fn token() -> SasPlan {
    SasPlan {
        key: Secret { file: "k".into() },
        lifetime: std::time::Duration::from_secs(600),
        resource: None,
        policy: None,
    }
}

#[tokio::test]
async fn a_login_for_one_client_id_is_not_tried_beside_it() {
    let fake = Fake::new([]).await;
    assert_eq!(beside(&plan(&fake)).unwrap(), "press-line-3-test");
    assert!(beside(&UplinkPlan { sas: Some(token()), ..plan(&fake) }).is_err());
    let long = UplinkPlan { client_id: "x".repeat(126), ..plan(&fake) };
    assert!(beside(&long).is_ok());
    assert!(beside(&of_service("aws-iot-core", long)).is_err(), "it takes 128 bytes");
    let username = Some(Username::Plain("hub/press-line-3".to_owned()));
    let named = UplinkPlan { username, ..plan(&fake) };
    assert!(beside(&named).is_ok(), "a name like any other");
    assert!(beside(&of_service("azure-iot-hub", named)).is_err());
}
