//! The bus against simulated and misbehaving devices. [`Stand`] runs a bus and collects what it
//! hands on; every wait has a deadline and none is a guess.

mod bus_rtu;
mod bus_tcp;
mod combined;
mod commands;
mod demo;
mod dialects;
mod faults_named;
mod faults_tcp;
mod faults_udp;
mod forgotten;
mod hand;
mod identify;
mod others;
mod pipeline;
mod profiles;
mod scripted;
mod sensors;
mod share;
mod traces;
mod writes;

/// The faults of a line, once in each framing.
#[path = "."]
mod in_rtu {
    const FRAMING: crate::config::Framing = crate::config::Framing::Rtu;
    #[allow(clippy::duplicate_mod, reason = "the same faults in another framing")]
    #[path = "faults_line.rs"]
    mod faults;
}
#[path = "."]
mod in_ascii {
    const FRAMING: crate::config::Framing = crate::config::Framing::Ascii;
    #[allow(clippy::duplicate_mod, reason = "the same faults in another framing")]
    #[path = "faults_line.rs"]
    mod faults;
}

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::{
    BusPlan, DevicePlan, Link, PublishRule, Registers, Source, TagPlan, WriteRule, WriteWith,
};
use crate::model::{
    Batch, Class, Clock, Coding, Command, Kind, Mono, Name, Outcome, Quality, Reading, Set, Sink,
    Table, TagId, TopicName, Value, Wall,
};
use crate::south::{BusContext, BusPort, BusStatus, bus};

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// Keeps everything a bus hands on.
#[derive(Default)]
struct Collected {
    batches: Mutex<Vec<Batch>>,
    learned: Mutex<Vec<(String, Option<String>)>>,
}

impl Sink for Collected {
    fn readings(&self, batch: Batch) {
        self.batches.lock().unwrap().push(batch);
    }

    fn learned(&self, key: &str, fact: Option<&str>) {
        self.learned.lock().unwrap().push((key.to_owned(), fact.map(str::to_owned)));
    }
}

/// The machine's monotonic time, from when the test began.
struct TestClock(Instant);

impl Clock for TestClock {
    fn mono(&self) -> Mono {
        Mono(1000) + self.0.elapsed()
    }
    fn wall(&self) -> Wall {
        Wall(self.mono().0)
    }
    fn boot_id(&self) -> &str {
        "test"
    }
    fn synced(&self) -> bool {
        true
    }
}

/// A running bus.
struct Stand {
    port: BusPort,
    clock: Arc<TestClock>,
    collected: Arc<Collected>,
    stop: CancellationToken,
    runner: tokio::task::JoinHandle<Result<(), crate::south::BusError>>,
}

impl Stand {
    fn start(plan: BusPlan) -> Self {
        Self::start_with(plan, &[])
    }

    fn start_with(plan: BusPlan, facts: &[(&str, &str)]) -> Self {
        Self::start_among(plan, facts, crate::south::Quotas::default())
    }

    /// Sharing connections with others.
    #[expect(clippy::disallowed_methods, reason = "the test owns the task and joins it in stop")]
    fn start_among(plan: BusPlan, facts: &[(&str, &str)], quotas: crate::south::Quotas) -> Self {
        let clock = Arc::new(TestClock(Instant::now()));
        let collected = Arc::new(Collected::default());
        let facts = facts.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let sink: Arc<dyn Sink> = collected.clone();
        let first_read = Duration::ZERO;
        let context = BusContext { sink, clock: clock.clone(), facts, quotas, first_read };
        let (port, runner) = bus(plan, context);
        let stop = CancellationToken::new();
        let runner = tokio::spawn(runner.run(stop.clone()));
        Self { port, clock, collected, stop, runner }
    }

    async fn stop(self) -> BusStatus {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(5), self.runner).await;
        ended.expect("stops in time").expect("does not panic").expect("no error");
        self.port.status()
    }

    fn readings(&self) -> Vec<Reading> {
        let batches = self.collected.batches.lock().unwrap();
        batches.iter().flat_map(|batch| batch.readings.clone()).collect()
    }

    /// The readings of one tag so far.
    fn of(&self, tag: u32) -> Vec<Reading> {
        self.readings().into_iter().filter(|reading| reading.tag() == TagId(tag)).collect()
    }

    fn last(&self, tag: u32) -> Option<Reading> {
        self.of(tag).pop()
    }

    fn quality(&self, tag: u32) -> Option<Quality> {
        self.last(tag).map(|reading| reading.quality())
    }

    fn value(&self, tag: u32) -> Option<Value> {
        self.last(tag).and_then(|reading| reading.value().cloned())
    }

    async fn until(&self, what: &str, mut is: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is(self) {
            let status = self.port.status();
            assert!(Instant::now() < deadline, "never: {what}\n{status:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn command(&self, device: &str, tag: &str, value: Value) -> Outcome {
        self.command_until(device, tag, value, self.clock.mono() + DEADLINE).await
    }

    async fn command_until(&self, device: &str, tag: &str, value: Value, expires: Mono) -> Outcome {
        let (reply, outcome) = tokio::sync::oneshot::channel();
        self.port.try_send(Command {
            device: name(device),
            sets: vec![Set { tag: name(tag), value }],
            expires,
            reply: Box::new(move |outcomes| {
                let _ = reply.send(outcomes);
            }),
        });
        let outcomes = tokio::time::timeout(DEADLINE, outcome).await.expect("in time");
        let [outcome] = outcomes.expect("a reply").try_into().expect("one for one");
        outcome
    }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn tcp_plan(port: u16, devices: Vec<DevicePlan>) -> BusPlan {
    let link = Link::modbus_tcp("127.0.0.1", port);
    BusPlan {
        name: name("hall"),
        link,
        pause: Duration::ZERO,
        trace_bytes: 64 * 1024,
        share: None,
        devices,
    }
}

fn device(device: &str, unit: u8, tags: Vec<TagPlan>) -> DevicePlan {
    DevicePlan {
        name: name(device),
        unit,
        timeout: ms(300),
        pause: Duration::ZERO,
        registers_max: 125,
        bits_max: 2000,
        write_with: WriteWith::Automatic,
        topic: None,
        tags: Arc::new(tags),
    }
}

/// A tag of one 16-bit register or bit, read every 50 ms, always published, writable.
fn tag(id: u32, table: Table, address: u16) -> TagPlan {
    let kind = if table.is_bits() { Kind::Bool } else { Kind::Int { bits: 16, signed: false } };
    TagPlan {
        id: TagId(id),
        name: name(&format!("t{id}")),
        topic: TopicName::new(&format!("test/t{id}")).unwrap(),
        class: Class::Normal,
        every: Some(ms(50)),
        source: Source::Registers(Registers {
            table,
            address,
            coding: Coding::plain(kind),
            scale_register: None,
        }),
        unit: String::new(),
        publish: PublishRule::Always,
        write: table.is_writable().then_some(WriteRule::within(0.0, 60_000.0)),
    }
}

fn set_coding(tag: &mut TagPlan, coding: Coding) {
    let Source::Registers(registers) = &mut tag.source else { panic!("no registers") };
    registers.coding = coding;
}
