//! Messages in, the state out, with a real gateway and a clock that stands still; the broker's
//! acknowledgements are the test's.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::codec::jws::SigningKey;
use crate::config;
use crate::model::{Clock, ManualClock, Mono, Wall};
use crate::runtime::{Found, Opened};

/// RFC 8037, A.1 and A.2.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";
const PUBLIC: &str = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const LONG: Duration = Duration::from_secs(600);

struct Rig {
    dir: tempfile::TempDir,
}

struct Life {
    gateway: Arc<Gateway>,
    told: watch::Receiver<Told>,
}

fn text(every: &str) -> String {
    format!(
        "gateway: {{ name: edge, site: works }}\nstore: {{ path: state }}\n\
         uplinks: {{ cloud: {{ url: 'mqtt://127.0.0.1:1', keep-alive: {every}, \
         remote: {{ keys: {{ ops: {PUBLIC} }}, groups: [line-a] }} }} }}\n"
    )
}

fn signed(claims: &str, config: &str) -> Vec<u8> {
    let config = serde_json::to_string(config).unwrap();
    let claims = format!(r#"{{{claims},"aud":["works/edge"],"config":{config}}}"#);
    let key = SigningKey::from_pem(PRIVATE.as_bytes()).unwrap();
    format!("{}\n", key.sign("ops", claims.as_bytes())).into_bytes()
}

impl Rig {
    fn new() -> Self {
        let rig = Self { dir: tempfile::tempdir().unwrap() };
        config::file::save(&rig.path(), &text("30s")).unwrap();
        rig
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("fieldhold.yaml")
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }

    fn start(&self) -> Life {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Mono(1), Wall(1_780_000_000_000)));
        let loaded = config::load(&self.path()).unwrap();
        let opened = Opened::new(&loaded.plan.store, Arc::clone(&clock)).unwrap();
        let (found, plan) = Found::look(&self.path(), loaded, &*clock);
        let gateway = Arc::new(Gateway::start_with(opened, plan, self.dir.path().to_owned()));
        let setup = Setup::start(&gateway, found);
        start(&gateway, &setup);
        let told = gateway.remote.door.told.clone();
        Life { gateway, told }
    }
}

impl Life {
    async fn say(&self, what: What) {
        let uplink = Name::new("cloud").unwrap();
        self.gateway.remote.door.arrived.send(Arrived { uplink, what }).await.unwrap();
    }

    async fn set(&self, message: Vec<u8>) {
        self.say(What::Set { message, retained: false }).await;
    }

    /// The state, once it is as wanted; its revision.
    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> (u64, Value) {
        let read = |told: &Told| serde_json::from_slice(&told.payload).unwrap_or(Value::Null);
        let seen = self.told.wait_for(|told| wanted(&read(told)));
        match tokio::time::timeout(LONG, seen).await {
            Ok(told) => {
                let told = told.unwrap();
                (told.revision, read(&told))
            }
            Err(_) => panic!("{}", read(&self.gateway.remote.door.told.borrow())),
        }
    }

    async fn outcome(&mut self, serial: u64, outcome: &str) -> (u64, Value) {
        self.until(|said| said["last"]["serial"] == serial && said["last"]["outcome"] == outcome)
            .await
    }

    /// The broker of an uplink has this state.
    fn acknowledge(&self, uplink: &str, revision: u64) {
        let uplink = Name::new(uplink).unwrap();
        self.gateway.remote.door.acknowledged.send_modify(|all| {
            all.insert(uplink, revision);
        });
    }

    async fn end(self) {
        self.gateway.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_stands_when_its_own_state_is_acknowledged_where_it_came_from() {
    let rig = Rig::new();
    let mut life = rig.start();
    let (before, _) = life.until(|said| said["version"] == 1).await;
    life.set(signed(r#""serial":5,"within":60"#, &text("31s"))).await;
    let (pending, said) = life.outcome(5, "pending").await;
    assert_eq!((said["state"].as_str(), said["version"].as_u64()), (Some("pending"), Some(2)));
    assert_eq!(said["until"], "2026-05-28T20:27:40.000Z");
    assert!(pending > before);
    // An older state, or another uplink, proves nothing.
    life.acknowledge("cloud", before);
    life.acknowledge("other", pending);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(life.outcome(5, "pending").await.0, pending);
    life.acknowledge("cloud", pending);
    let (_, said) = life.outcome(5, "stands").await;
    assert_eq!((said["state"].as_str(), &said["until"]), (Some("stands"), &Value::Null));
    tokio::time::sleep(LONG).await;
    assert_eq!(rig.file(), text("31s"));
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_said_again_is_told_again_and_never_taken_again() {
    let rig = Rig::new();
    let mut life = rig.start();
    let message = signed(r#""serial":5,"within":60"#, &text("31s"));
    life.set(message.clone()).await;
    let (_, said) = life.outcome(5, "rolled-back").await;
    assert_eq!(said["last"]["reason"], "nothing confirmed it in time");
    assert_eq!(said["rolled_back"]["version"], 2);
    assert_eq!(rig.file(), text("30s"));
    let (revision, said) = life.until(|said| said["state"] == "stands").await;
    life.say(What::Set { message: message.clone(), retained: true }).await;
    let again = life.told.wait_for(|told| told.revision > revision);
    let again = tokio::time::timeout(LONG, again).await.unwrap().unwrap().payload.clone();
    assert_eq!(serde_json::from_slice::<Value>(&again).unwrap(), said);
    life.end().await;
    // Nor by the next run, nor what was said before it.
    let mut life = rig.start();
    life.set(message).await;
    let (_, said) = life.outcome(5, "rolled-back").await;
    assert_eq!((said["version"].as_u64(), said["serial"].as_u64()), (Some(1), Some(5)));
    let older = signed(r#""serial":4"#, &text("32s"));
    life.say(What::Set { message: older.clone(), retained: true }).await;
    life.set(older).await;
    life.outcome(4, "refused").await;
    assert_eq!(rig.file(), text("30s"));
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ended_with_a_change_pending_says_so_in_the_next() {
    let rig = Rig::new();
    let mut life = rig.start();
    life.set(signed(r#""serial":5,"confirm":"operator","within":600"#, &text("31s"))).await;
    life.outcome(5, "pending").await;
    life.end().await;
    // As if the process had ended before it noted anything but the history.
    std::fs::remove_file(rig.dir.path().join("state/configurations/remote.json")).unwrap();
    let mut life = rig.start();
    let (_, said) = life.until(|said| said["serial"] == 5).await;
    assert_eq!(said["rolled_back"]["reason"], "the gateway ended before it was confirmed");
    life.set(signed(r#""serial":5,"within":600"#, &text("31s"))).await;
    life.set(signed(r#""serial":4"#, "")).await;
    life.outcome(4, "refused").await;
    assert_eq!(rig.file(), text("30s"), "the serial was used up all the same");
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_taken_now_may_be_later() {
    let rig = Rig::new();
    let mut life = rig.start();
    life.set(signed(r#""serial":5,"confirm":"operator","within":60"#, &text("31s"))).await;
    life.outcome(5, "pending").await;
    let second = signed(r#""serial":6"#, &text("32s"));
    life.set(second.clone()).await;
    let (_, said) = life.outcome(6, "refused").await;
    assert!(said["last"]["reason"].as_str().unwrap().starts_with("version 2 waits"), "{said}");
    assert_eq!((said["serial"].as_u64(), said["state"].as_str()), (Some(5), Some("pending")));
    // A stranger's words change nothing about what waits.
    life.set(b"x.y.z".to_vec()).await;
    life.until(|said| said["last"]["serial"].is_null()).await;
    life.until(|said| said["rolled_back"]["version"] == 2).await;
    life.set(second).await;
    let (revision, _) = life.outcome(6, "pending").await;
    life.acknowledge("cloud", revision);
    life.outcome(6, "stands").await;
    assert_eq!(rig.file(), text("32s"));
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_widens_reaches_who_was_held_before() {
    let rig = Rig::new();
    let mut life = rig.start();
    // works/edge stands at 87 of 100 with this salt.
    let staged = |percent: u8| {
        let claims = format!(r#""serial":5,"stage":{{"percent":{percent},"salt":"12"}}"#);
        signed(&claims, &text("31s"))
    };
    life.set(staged(50)).await;
    life.outcome(5, "held").await;
    assert_eq!(rig.file(), text("30s"));
    life.end().await;
    let mut life = rig.start();
    life.set(staged(87)).await;
    life.outcome(5, "held").await;
    life.set(staged(100)).await;
    let (revision, _) = life.outcome(5, "pending").await;
    life.acknowledge("cloud", revision);
    life.outcome(5, "stands").await;
    assert_eq!(rig.file(), text("31s"));
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_mistakes_of_a_configuration_are_told_with_their_places() {
    let rig = Rig::new();
    let mut life = rig.start();
    let wrong = text("30s").replace("keep-alive", "keep-alife").replace("url", "ulr");
    life.set(signed(r#""serial":5"#, &wrong)).await;
    let (_, said) = life.until(|said| said["last"]["problems"].is_array()).await;
    let problems = said["last"]["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 2, "{said}");
    assert_eq!(
        (&problems[0]["line"], &problems[0]["path"]),
        (&3.into(), &"uplinks.cloud.ulr".into())
    );
    assert_eq!(problems[0]["hint"], "did you mean url?");
    // Its serial is used up: the next one needs another.
    life.set(signed(r#""serial":5"#, &text("31s"))).await;
    let refused =
        |said: &Value| said["last"]["reason"].as_str().unwrap_or("").starts_with("another");
    life.until(refused).await;
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_takes_remote_configuration_away_can_not_prove_itself() {
    let rig = Rig::new();
    let mut life = rig.start();
    let without = "gateway: { name: edge, site: works }\nstore: { path: state }\n\
                   uplinks: { cloud: { url: 'mqtt://127.0.0.1:1' } }\n";
    life.set(signed(r#""serial":5,"within":60"#, without)).await;
    life.outcome(5, "pending").await;
    life.outcome(5, "rolled-back").await;
    assert_eq!(rig.file(), text("30s"));
    life.end().await;
}
