//! Requests in, commands out to a bus that the test plays, with time standing still but for what
//! the test lets pass.

use tokio::time::Instant;

use super::*;
use crate::config;
use crate::model::{Name, TopicName, Wall};
use crate::runtime::live;
use crate::south::BusPort;
use crate::store::{AuditRow, Options};

const PLAN: &str = "
gateway: { name: edge }
buses: { line: { modbus-tcp: { host: 127.0.0.1 } } }
devices:
  press:
    bus: line
    tags:
      run: { holding: 0, type: u16, write: { min: 0, max: 1, safe: { value: 0, after: 30s } } }
      speed: { holding: 1, type: u16, write: { min: 0, max: 90, step: 10, at-most-every: 2s } }
      fixed: { holding: 2, type: u16 }
";

/// The paused clock of tokio, seen as ours.
struct Paused(Instant);

impl Clock for Paused {
    fn mono(&self) -> Mono {
        Mono(1_000) + self.0.elapsed()
    }
    fn wall(&self) -> Wall {
        Wall(1_700_000_000_000 + self.mono().0)
    }
    fn boot_id(&self) -> &str {
        "test"
    }
    fn synced(&self) -> bool {
        true
    }
}

struct Bench {
    commands: Arc<Commands>,
    clock: Arc<Paused>,
    inbox: mpsc::Sender<SetRequest>,
    bus: mpsc::Receiver<Command>,
    store: Store,
    _running: tokio::task::JoinSet<()>,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(Paused(Instant::now()));
        let as_clock: Arc<dyn Clock> = clock.clone();
        let store = Store::open(Options::in_memory(), as_clock.clone()).unwrap();
        let (_, _, board) = live::lane(store.clone(), as_clock.clone());
        let plan = config::parse(PLAN, "test").unwrap().plan;
        let doors = Arc::new(Doors::default());
        let (port, bus) = BusPort::stub(&plan.buses[0]);
        doors.set_bus(&Name::new("line").unwrap(), Some(port));
        let commands = Arc::new(Commands::new(as_clock, doors, board, store.clone()));
        commands.set_plan(&plan);
        let (inbox, mut requests) = mpsc::channel(INBOX_MAX);
        let mut running = tokio::task::JoinSet::new();
        let serving = commands.clone();
        running.spawn(async move {
            serving.run(&mut requests, CancellationToken::new()).await;
        });
        Self { commands, clock, inbox, bus, store, _running: running }
    }

    async fn send(&self, topic: &str, payload: &str) {
        let request = SetRequest {
            origin: Origin::Lan("hmi".to_owned()),
            topic: TopicName::new(topic).unwrap(),
            payload: payload.into(),
            retain: false,
            expires: None,
            at: self.clock.mono(),
            reply_to: None,
            answer: None,
        };
        self.inbox.send(request).await.unwrap();
    }

    /// The next command that reaches the bus, answered as if the device had obeyed.
    async fn obey(&mut self) -> Vec<Set> {
        self.answer(|set| Outcome::Done { read_back: set.value.clone() }).await
    }

    async fn answer(&mut self, outcome: impl Fn(&Set) -> Outcome) -> Vec<Set> {
        let command = self.bus.recv().await.unwrap();
        let outcomes = command.sets.iter().map(outcome).collect();
        (command.reply)(outcomes);
        command.sets
    }

    /// Whether the bus hears of nothing for this long.
    async fn is_quiet(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.bus.recv()).await.is_err()
    }

    fn records(&self) -> Vec<(String, String, String)> {
        let row = |row: AuditRow| (row.record.origin, row.record.asked, row.record.outcome);
        self.store.audit().into_iter().map(row).collect()
    }
}

fn set(tag: &str, value: i64) -> Set {
    Set { tag: Name::new(tag).unwrap(), value: Value::I64(value) }
}

fn record(origin: &str, asked: &str, outcome: &str) -> (String, String, String) {
    (origin.to_owned(), asked.to_owned(), outcome.to_owned())
}

#[tokio::test(start_paused = true)]
async fn the_safe_value_is_written_once_when_the_master_is_silent() {
    let mut bench = Bench::new();
    assert!(bench.is_quiet(Duration::from_secs(3600)).await, "no command, no safe value");
    bench.send("edge/press/run/set", "1").await;
    assert_eq!(bench.obey().await, [set("run", 1)]);
    assert!(bench.is_quiet(Duration::from_secs(29)).await);
    bench.send("edge/press/run/set", "1").await;
    assert_eq!(bench.obey().await, [set("run", 1)]);
    let began = bench.clock.mono();
    assert_eq!(bench.obey().await, [set("run", 0)], "the safe value");
    let after = bench.clock.mono() - began;
    assert!((29_999..30_100).contains(&after.as_millis()), "{after:?}");
    assert!(bench.is_quiet(Duration::from_secs(86_400)).await, "once");
    let status = bench.commands.status();
    assert_eq!((status.safe_values, status.done, status.safe[0].state), (1, 2, "written"));
    let want = [record("lan:hmi", "1", "done"), record("safe-value", "0", "done")];
    assert_eq!(bench.records(), want);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_never_reached_the_device_arms_no_safe_value() {
    let mut bench = Bench::new();
    for refusal in [Refusal::LinkDown, Refusal::Busy, Refusal::Expired] {
        bench.send("edge/press/run/set", "1").await;
        bench.answer(|_| Outcome::Refused(refusal.clone())).await;
        assert!(bench.is_quiet(Duration::from_secs(3600)).await, "{refusal}");
    }
    assert!(bench.commands.status().safe.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_safe_value_that_gets_no_answer_is_tried_again_until_it_does() {
    let mut bench = Bench::new();
    bench.send("edge/press/run/set", "1").await;
    bench.obey().await;
    for _ in 0..3 {
        bench.answer(|_| Outcome::Refused(Refusal::NoAnswer)).await;
    }
    bench.obey().await;
    assert!(bench.is_quiet(Duration::from_secs(86_400)).await);
    let last = bench.store.audit();
    let tried = last.iter().find(|row| row.record.outcome == "no-answer").unwrap();
    assert_eq!(tried.n, 3);
    assert_eq!(bench.commands.status().safe_values, 1);
}

#[tokio::test(start_paused = true)]
async fn a_command_too_soon_waits_for_its_turn() {
    let mut bench = Bench::new();
    bench.send("edge/press/speed/set", "10").await;
    bench.obey().await;
    bench.send("edge/press/speed/set", "20").await;
    bench.send("edge/press/set", r#"{"speed":30,"run":1}"#).await;
    assert!(bench.is_quiet(Duration::from_secs(1)).await);
    assert_eq!(bench.commands.status().refused["too-soon"], 2);
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.send("edge/press/speed/set", "20").await;
    assert_eq!(bench.obey().await, [set("speed", 20)]);
}

#[tokio::test(start_paused = true)]
async fn several_tags_are_one_command_or_none() {
    let mut bench = Bench::new();
    bench.send("edge/press/set", r#"{"speed":30,"run":1}"#).await;
    assert_eq!(bench.obey().await, [set("speed", 30), set("run", 1)]);
    for wrong in [
        r#"{"speed":35,"run":1}"#,
        r#"{"speed":30,"fixed":1}"#,
        r#"{"run":1,"run":0}"#,
        r#"{"v":{"run":1},"ts":1000,"ttl":5000}"#,
        "1",
    ] {
        bench.send("edge/press/set", wrong).await;
        assert!(bench.is_quiet(Duration::from_secs(2)).await, "{wrong}");
    }
    let refused = bench.commands.status().refused;
    let want = [("bad-payload", 2), ("expired", 1), ("off-step", 1), ("unknown-tag", 1)];
    assert_eq!(refused, want.into_iter().collect());
    let records = bench.records();
    assert_eq!(records[..2], [record("lan:hmi", "30", "done"), record("lan:hmi", "1", "done")]);
    let told: u64 = bench.store.audit().iter().map(|row| row.n).sum();
    assert_eq!((records.len(), told), (2 + 4, 2 + 5), "both without a tag are one row");
    assert_eq!(bench.store.audit()[2].record.tag, "press.speed", "the one to blame");
}
