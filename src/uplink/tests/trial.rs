//! A trial says of a right configuration that it is right, and of a wrong one what is wrong.

use std::path::Path;
use std::sync::Arc;

use super::fake::{End, Fake, Mood, WELL};
use super::world::plan;
use crate::config::{SasPlan, Secret, UplinkPlan, clouds};
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
async fn an_end_at_the_probe_is_told_of_its_topic() {
    let fake = Fake::new([Mood { end: End::Close(1), ack: super::fake::Ack::Never, ..WELL }]).await;
    let (good, last) = tried(&plan(&fake)).await;
    assert!(!good && last.step == "publish", "{last:?}");
    assert!(last.said.starts_with("after a probe on site/probe: "), "{last:?}");
    assert!(last.advice.unwrap().contains("the right to publish on this topic"), "{last:?}");
}

#[tokio::test]
async fn a_login_for_one_client_id_is_not_tried_beside_it() {
    let fake = Fake::new([]).await;
    assert_eq!(beside(&plan(&fake)).unwrap(), "press-line-3-test");
    let sas = SasPlan {
        key: Secret { file: "k".into() },
        lifetime: std::time::Duration::from_secs(600),
        resource: None,
        policy: None,
    };
    assert!(beside(&UplinkPlan { sas: Some(sas), ..plan(&fake) }).is_err());
    let long = UplinkPlan { client_id: "x".repeat(126), ..plan(&fake) };
    assert!(beside(&long).is_ok());
    assert!(beside(&of_service("aws-iot-core", long)).is_err(), "it takes 128 bytes");
    let named = UplinkPlan { username: Some("hub/press-line-3".to_owned()), ..plan(&fake) };
    assert!(beside(&named).is_ok(), "a name like any other");
    assert!(beside(&of_service("azure-iot-hub", named)).is_err());
}
