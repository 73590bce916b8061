//! Commands against the simulator and against devices that only seem to obey.

use super::*;
use crate::config::Deadband;
use crate::model::Refusal;
use crate::south::simulator::{Bank, Devices, TcpServer};

/// Registers 0 to 9 and coils 0 to 9, all writable but register 9.
fn bank() -> Bank {
    let mut bank = Bank::default();
    bank.set(1, Table::Holding, 0, &[0; 10]);
    bank.set(1, Table::Coil, 0, &[0; 10]);
    bank.set(1, Table::Discrete, 0, &[0; 10]);
    bank.allow_writes(1, Table::Holding, 0..=8);
    bank.allow_writes(1, Table::Coil, 0..=9);
    bank
}

async fn stand_on(devices: &Devices, tags: Vec<TagPlan>) -> (Stand, tokio_util::sync::DropGuard) {
    let server = TcpServer::bind("127.0.0.1:0", devices.clone()).await.unwrap();
    let port = server.address().unwrap().port();
    let stop = CancellationToken::new();
    #[expect(clippy::disallowed_methods, reason = "ends with the guard")]
    tokio::spawn(server.run(stop.clone()));
    let stand = Stand::start(tcp_plan(port, vec![device("a", 1, tags)]));
    stand.until("first poll", |s| s.port.status().devices[0].ok > 0).await;
    (stand, stop.drop_guard())
}

fn done(value: Value) -> Outcome {
    Outcome::Done { read_back: value }
}

#[tokio::test]
async fn registers_and_coils_are_written_and_read_back() {
    let devices = Devices::new(bank());
    let mut wide = tag(3, Table::Holding, 2);
    set_coding(&mut wide, Coding::plain(Kind::Int { bits: 32, signed: false }));
    wide.write = Some(WriteRule::within(0.0, 1e9));
    let tags = vec![tag(1, Table::Holding, 0), tag(2, Table::Coil, 3), wide];
    let (stand, _server) = stand_on(&devices, tags).await;
    assert_eq!(stand.command("a", "t1", Value::U64(1234)).await, done(Value::U64(1234)));
    assert_eq!(stand.command("a", "t2", Value::Bool(true)).await, done(Value::Bool(true)));
    assert_eq!(stand.command("a", "t3", Value::U64(70_000)).await, done(Value::U64(70_000)));
    assert_eq!(devices.bank().get(1, Table::Holding, 0), Some(1234));
    assert_eq!(devices.bank().get(1, Table::Coil, 3), Some(1));
    assert_eq!(devices.bank().get(1, Table::Holding, 2), Some(1));
    assert_eq!(devices.bank().get(1, Table::Holding, 3), Some(4464));
    let status = stand.stop().await;
    assert_eq!(status.writes, 3);
    assert!(status.refused.is_empty());
}

#[tokio::test]
async fn the_new_value_goes_out_at_once_whatever_the_rule_says() {
    let devices = Devices::new(bank());
    let mut slow = tag(1, Table::Holding, 0);
    slow.every = Some(Duration::from_secs(3600));
    slow.publish = PublishRule::OnChange {
        change: Deadband::Absolute(1e6),
        at_least: Duration::from_secs(3600),
        at_most_every: Duration::from_secs(3600),
    };
    let (stand, _server) = stand_on(&devices, vec![slow]).await;
    assert_eq!(stand.command("a", "t1", Value::U64(7)).await, done(Value::U64(7)));
    assert_eq!(stand.value(1), Some(Value::U64(7)));
    stand.stop().await;
}

#[tokio::test]
async fn bits_are_written_without_touching_their_neighbours() {
    let devices = Devices::new(bank());
    devices.bank().set(1, Table::Holding, 5, &[0b1010_0101]);
    let mut bit = tag(1, Table::Holding, 5);
    set_coding(&mut bit, Coding::plain(Kind::Bit(3)));
    let mut field = tag(2, Table::Holding, 5);
    set_coding(&mut field, Coding::plain(Kind::Bits { from: 4, width: 4 }));
    let (stand, _server) = stand_on(&devices, vec![bit.clone(), field]).await;
    assert_eq!(stand.command("a", "t1", Value::Bool(true)).await, done(Value::Bool(true)));
    assert_eq!(devices.bank().get(1, Table::Holding, 5), Some(0b1010_1101));
    assert_eq!(stand.command("a", "t2", Value::U64(3)).await, done(Value::U64(3)));
    assert_eq!(devices.bank().get(1, Table::Holding, 5), Some(0b0011_1101));
    stand.stop().await;

    // A device without functions 22 and 6: learned once, then 16 with the register read before.
    devices.bank().lack(1, 22);
    devices.bank().lack(1, 6);
    let (stand, _server) = stand_on(&devices, vec![bit]).await;
    assert_eq!(stand.command("a", "t1", Value::Bool(false)).await, done(Value::Bool(false)));
    assert_eq!(stand.command("a", "t1", Value::Bool(true)).await, done(Value::Bool(true)));
    assert_eq!(devices.bank().get(1, Table::Holding, 5), Some(0b0011_1101));
    let learned = stand.collected.learned.lock().unwrap().clone();
    assert_eq!(learned.last().unwrap().0, "hall/a/writes");
    let status = stand.stop().await;
    assert_eq!(status.devices[0].exceptions, 2, "each is tried once");
    assert_eq!(status.devices[0].learned["writes"], "no-22 no-single");
}

#[tokio::test]
async fn what_must_not_be_written_is_refused() {
    let devices = Devices::new(bank());
    let mut read_only = tag(2, Table::Holding, 1);
    read_only.write = None;
    let tags = vec![
        tag(1, Table::Holding, 0),
        read_only,
        tag(3, Table::Discrete, 0),
        tag(4, Table::Holding, 9),
    ];
    let (stand, _server) = stand_on(&devices, tags).await;
    let refused = |refusal| Outcome::Refused(refusal);
    let limits = Refusal::OutOfLimits { value: 60_001.0, min: 0.0, max: 60_000.0 };
    assert_eq!(stand.command("a", "t1", Value::U64(60_001)).await, refused(limits));
    for (device, tag) in [("a", "t2"), ("a", "t3"), ("a", "none"), ("b", "t1")] {
        let outcome = stand.command(device, tag, Value::U64(1)).await;
        assert_eq!(outcome, refused(Refusal::UnknownTag), "{device} {tag}");
    }
    let outcome = stand.command("a", "t1", Value::Text("x".into())).await;
    assert!(matches!(outcome, Outcome::Refused(Refusal::BadPayload(_))), "{outcome:?}");
    let outcome = stand.command("a", "t4", Value::U64(1)).await;
    assert_eq!(outcome, refused(Refusal::Exception(2)));
    let status = stand.stop().await;
    assert_eq!(status.refused["unknown-tag"], 4);
    assert_eq!(status.writes, 1, "only the last reached the device");
}

#[tokio::test]
async fn t17_a_stale_command_is_never_written() {
    let devices = Devices::new(bank());
    let (stand, _server) = stand_on(&devices, vec![tag(1, Table::Holding, 0)]).await;
    let expired = stand.clock.mono();
    let outcome = stand.command_until("a", "t1", Value::U64(5), expired).await;
    assert_eq!(outcome, Outcome::Refused(Refusal::Expired));
    assert_eq!(devices.bank().get(1, Table::Holding, 0), Some(0));
    stand.stop().await;
}

#[tokio::test]
async fn a_device_that_acknowledges_and_does_not_obey_is_told_apart() {
    let devices = Devices::new(bank());
    devices.bank().pretend(1, Table::Holding, 0);
    let (stand, _server) = stand_on(&devices, vec![tag(1, Table::Holding, 0)]).await;
    let outcome = stand.command("a", "t1", Value::U64(5)).await;
    assert_eq!(outcome, Outcome::Refused(Refusal::ReadBack(Value::U64(0))));
    stand.stop().await;
}

#[tokio::test]
async fn a_dead_device_answers_no_command_and_a_flood_is_busy() {
    let devices = Devices::new(bank());
    let (stand, _server) = stand_on(&devices, vec![tag(1, Table::Holding, 0)]).await;
    devices.switch(1, false);
    let outcome = stand.command("a", "t1", Value::U64(5)).await;
    assert_eq!(outcome, Outcome::Refused(Refusal::NoAnswer));
    let (count, outcomes) = tokio::sync::mpsc::channel(300);
    for _ in 0..200 {
        let count = count.clone();
        stand.port.try_send(Command {
            device: name("a"),
            sets: vec![Set { tag: name("t1"), value: Value::U64(1) }],
            expires: stand.clock.mono() + DEADLINE,
            reply: Box::new(move |mut outcomes| count.try_send(outcomes.remove(0)).unwrap()),
        });
    }
    drop(count);
    let outcomes: Vec<_> = {
        let mut all = Vec::new();
        let mut outcomes = outcomes;
        while let Some(outcome) = outcomes.recv().await {
            all.push(outcome);
        }
        all
    };
    assert_eq!(outcomes.len(), 200, "each is answered exactly once");
    let busy = outcomes.iter().filter(|o| **o == Outcome::Refused(Refusal::Busy)).count();
    assert!(busy >= 200 - crate::south::COMMANDS_MAX - 10, "{busy}");
    assert!(!outcomes.iter().any(|o| matches!(o, Outcome::Done { .. })));
    assert_eq!(devices.bank().get(1, Table::Holding, 0), Some(0));
    stand.stop().await;
}

#[tokio::test]
async fn commands_left_at_the_end_are_answered() {
    let devices = Devices::new(bank());
    let (stand, _server) = stand_on(&devices, vec![tag(1, Table::Holding, 0)]).await;
    let port = stand.port.clone();
    stand.stop().await;
    let (reply, outcome) = tokio::sync::oneshot::channel();
    port.try_send(Command {
        device: name("a"),
        sets: vec![Set { tag: name("t1"), value: Value::U64(1) }],
        expires: Mono(i64::MAX),
        reply: Box::new(move |mut outcomes| reply.send(outcomes.remove(0)).unwrap()),
    });
    assert_eq!(outcome.await.unwrap(), Outcome::Refused(Refusal::Stopping));
}

/// The power of ten stands before the value, and changes between two writes.
#[tokio::test]
async fn a_value_is_written_with_the_scale_that_was_just_read() {
    let devices = Devices::new(bank());
    devices.bank().set(1, Table::Holding, 0, &[(-1_i16).cast_unsigned(), 0, 2300]);
    let mut scaled = tag(1, Table::Holding, 2);
    set_coding(
        &mut scaled,
        Coding { scale_register: true, ..Coding::plain(Kind::Int { bits: 16, signed: false }) },
    );
    let Source::Registers(from) = &mut scaled.source else { panic!("no registers") };
    from.scale_register = Some(0);
    let (stand, _server) = stand_on(&devices, vec![scaled]).await;
    stand.until("a value", |s| s.value(1) == Some(Value::F64(230.0))).await;
    let set = |value: f64| stand.command("a", "t1", Value::F64(value));
    assert_eq!(set(231.4).await, done(Value::F64(231.4)));
    assert_eq!(devices.bank().get(1, Table::Holding, 2), Some(2314));
    devices.bank().set(1, Table::Holding, 0, &[2]);
    assert_eq!(set(300.0).await, done(Value::F64(300.0)));
    assert_eq!(devices.bank().get(1, Table::Holding, 2), Some(3));
    assert!(matches!(set(310.0).await, Outcome::Refused(Refusal::BadPayload(_))));
    devices.bank().set(1, Table::Holding, 0, &[0x8000]);
    assert_eq!(set(300.0).await, Outcome::Refused(Refusal::NoAnswer));
    assert_eq!(devices.bank().get(1, Table::Holding, 2), Some(3), "nothing was written");
    stand.stop().await;
}
