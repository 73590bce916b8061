//! Which requests a command turns into, and what they are told: against a device that keeps every
//! request it has seen.

use super::*;
use crate::config::{Framing, Parity, SerialLine, Switching, Verify};
use crate::model::{Refusal, Set};
use crate::south::LinkState;
use crate::south::simulator::{Asked, Bank, Deed, Pty, Tempo, serve};

/// What the device was asked, in order.
type Seen = Arc<Mutex<Vec<Asked>>>;

/// The PDU of an answer, and how it is given.
type Reaction = (Option<Vec<u8>>, Deed);

/// A device with holding registers and coils 0 to 49, all writable, that answers as `script` says
/// or, where that says nothing, honestly.
struct Device {
    bank: Arc<Mutex<Bank>>,
    seen: Seen,
    framing: Framing,
}

impl Device {
    fn new(framing: Framing) -> Self {
        let mut bank = Bank::default();
        for unit in [0, 1, 2] {
            bank.set(unit, Table::Holding, 0, &[0; 50]);
            bank.set(unit, Table::Coil, 0, &[0; 50]);
            bank.allow_writes(unit, Table::Holding, 0..=49);
            bank.allow_writes(unit, Table::Coil, 0..=49);
        }
        Self { bank: Arc::new(Mutex::new(bank)), seen: Seen::default(), framing }
    }

    fn answer(
        &self,
        asked: &Asked,
        script: &mut impl FnMut(&Asked) -> Option<Reaction>,
    ) -> Reaction {
        self.seen.lock().unwrap().push(asked.clone());
        if let Some(reaction) = script(asked) {
            return reaction;
        }
        let answer = self.bank.lock().unwrap().answer(asked.unit, &asked.pdu);
        // Nobody answers a broadcast.
        let answer = answer.filter(|_| asked.unit != 0 || self.framing == Framing::Tcp);
        (answer, Deed::default())
    }

    fn get(&self, table: Table, address: u16) -> Option<u16> {
        self.bank.lock().unwrap().get(1, table, address)
    }
}

/// PDUs of the writes among what was seen.
fn writes(seen: &Seen) -> Vec<Vec<u8>> {
    let seen = seen.lock().unwrap();
    let is_write = |asked: &&Asked| asked.pdu[0] > 4;
    seen.iter().filter(is_write).map(|asked| asked.pdu.clone()).collect()
}

struct Bench {
    stand: Stand,
    device: Arc<Device>,
    _server: tokio::task::JoinSet<()>,
    _dir: Option<tempfile::TempDir>,
}

impl Bench {
    async fn tcp(
        plan: DevicePlan,
        mut script: impl FnMut(&Asked) -> Option<Reaction> + Send + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let device = Arc::new(Device::new(Framing::Tcp));
        let mut server = tokio::task::JoinSet::new();
        let answering = device.clone();
        server.spawn(async move {
            loop {
                let (io, _) = listener.accept().await.unwrap();
                let stop = CancellationToken::new();
                let deeds = |asked: &Asked| answering.answer(asked, &mut script);
                let _ = serve(io, Framing::Tcp, Tempo::default(), &stop, deeds).await;
            }
        });
        let stand = Stand::start(tcp_plan(port, vec![plan]));
        stand.until("the bus is up", is_up).await;
        Self { stand, device, _server: server, _dir: None }
    }

    async fn line(
        plans: Vec<DevicePlan>,
        mut script: impl FnMut(&Asked) -> Option<Reaction> + Send + 'static,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("adapter");
        let pty = Pty::open_at(&path).unwrap();
        let device = Arc::new(Device::new(Framing::Rtu));
        let mut server = tokio::task::JoinSet::new();
        let answering = device.clone();
        server.spawn(async move {
            let stop = CancellationToken::new();
            let deeds = |asked: &Asked| answering.answer(asked, &mut script);
            let _ = serve(pty, Framing::Rtu, Tempo::default(), &stop, deeds).await;
        });
        let link = Link::modbus_rtu(SerialLine {
            port: path,
            baud: 115_200,
            data_bits: 8,
            parity: Parity::Even,
            stop_bits: 1,
            switching: Switching::Adapter,
        });
        let plan = BusPlan {
            name: name("rs485"),
            link,
            pause: Duration::ZERO,
            trace_bytes: 64 * 1024,
            share: None,
            devices: plans,
        };
        let stand = Stand::start(plan);
        stand.until("the bus is up", is_up).await;
        Self { stand, device, _server: server, _dir: Some(dir) }
    }

    async fn sets(&self, device: &str, sets: &[(&str, Value)]) -> Vec<Outcome> {
        let (reply, outcomes) = tokio::sync::oneshot::channel();
        let set = |(tag, value): &(&str, Value)| Set { tag: name(tag), value: value.clone() };
        self.stand.port.try_send(Command {
            device: name(device),
            sets: sets.iter().map(set).collect(),
            expires: self.stand.clock.mono() + DEADLINE,
            reply: Box::new(move |outcomes| drop(reply.send(outcomes))),
        });
        tokio::time::timeout(DEADLINE, outcomes).await.expect("in time").expect("a reply")
    }
}

fn is_up(stand: &Stand) -> bool {
    matches!(stand.port.status().state, LinkState::Up { .. })
}

/// As [`tag`], but not read on its own, so that only what commands do is seen.
fn unread(id: u32, table: Table, address: u16) -> TagPlan {
    TagPlan { every: None, ..tag(id, table, address) }
}

fn done(value: u64) -> Outcome {
    Outcome::Done { read_back: Value::U64(value) }
}

fn refused(refusal: Refusal) -> Outcome {
    Outcome::Refused(refusal)
}

const fn u(value: u64) -> Value {
    Value::U64(value)
}

#[tokio::test]
async fn what_adjoins_is_one_request_and_read_back_in_one() {
    let mut wide = unread(3, Table::Holding, 12);
    set_coding(&mut wide, Coding::plain(Kind::Int { bits: 32, signed: false }));
    let tags = vec![
        unread(1, Table::Holding, 10),
        unread(2, Table::Holding, 11),
        wide,
        unread(4, Table::Holding, 20),
        unread(5, Table::Coil, 3),
        unread(6, Table::Coil, 4),
    ];
    let bench = Bench::tcp(device("a", 1, tags), |_| None).await;
    let sets =
        [("t4", u(44)), ("t3", u(7)), ("t1", u(11)), ("t5", Value::Bool(true)), ("t2", u(22))];
    let outcomes = bench.sets("a", &sets).await;
    let on = Outcome::Done { read_back: Value::Bool(true) };
    assert_eq!(outcomes, [done(44), done(7), done(11), on, done(22)], "in the order asked");
    let expected = [
        vec![5, 0, 3, 0xFF, 0],
        vec![16, 0, 10, 0, 4, 8, 0, 11, 0, 22, 0, 0, 0, 7],
        vec![6, 0, 20, 0, 44],
    ];
    assert_eq!(writes(&bench.device.seen), expected);
    let seen = bench.device.seen.lock().unwrap().clone();
    let reads: Vec<_> = seen.iter().filter(|a| a.pdu[0] < 5).map(|a| a.pdu.clone()).collect();
    assert_eq!(reads, [vec![1, 0, 3, 0, 1], vec![3, 0, 10, 0, 11]], "planned, over the gap");
    let readings = bench.stand.readings();
    assert_eq!(readings.len(), 5, "each value goes north once");
    let status = bench.stand.stop().await;
    assert_eq!((status.writes, status.refused.len()), (1, 0));
}

#[tokio::test]
async fn one_tag_that_may_not_be_written_keeps_all_from_it() {
    let tags = vec![
        unread(1, Table::Holding, 10),
        unread(2, Table::Holding, 11),
        TagPlan { write: None, ..tag(3, Table::Holding, 12) },
    ];
    let bench = Bench::tcp(device("a", 1, tags), |_| None).await;
    let not = refused(Refusal::NotWritten);
    let limits = refused(Refusal::OutOfLimits { value: 60_001.0, min: 0.0, max: 60_000.0 });
    let outcomes = bench.sets("a", &[("t1", u(1)), ("t2", u(60_001))]).await;
    assert_eq!(outcomes, [not.clone(), limits]);
    for other in ["t3", "t9"] {
        let outcomes = bench.sets("a", &[("t1", u(1)), (other, u(1))]).await;
        assert_eq!(outcomes, [not.clone(), refused(Refusal::UnknownTag)], "{other}");
    }
    let outcomes = bench.sets("a", &[("t1", u(1)), ("t1", u(2))]).await;
    let twice = Refusal::BadPayload("it lies in the same registers as t1".to_owned());
    assert_eq!(outcomes, [not, refused(twice)]);
    assert_eq!(writes(&bench.device.seen), Vec::<Vec<u8>>::new());
    bench.stand.stop().await;
}

#[tokio::test]
async fn after_a_request_that_failed_nothing_more_is_written() {
    let tags = vec![
        unread(1, Table::Holding, 10),
        unread(2, Table::Holding, 20),
        unread(3, Table::Holding, 30),
    ];
    let script = |asked: &Asked| {
        let busy = asked.pdu.starts_with(&[6, 0, 20]);
        busy.then(|| (Some(vec![0x86, 6]), Deed::default()))
    };
    let bench = Bench::tcp(device("a", 1, tags), script).await;
    let outcomes = bench.sets("a", &[("t1", u(1)), ("t2", u(2)), ("t3", u(3))]).await;
    let failed = refused(Refusal::Exception(6));
    assert_eq!(outcomes, [done(1), failed, refused(Refusal::NotWritten)]);
    assert_eq!(writes(&bench.device.seen).len(), 2);
    let status = bench.stand.stop().await;
    assert_eq!((status.refused["exception"], status.refused["not-written"]), (1, 1));
}

/// "The device does not answer" is no refusal by the device, which may have obeyed.
#[tokio::test]
async fn a_gateway_that_speaks_for_a_silent_device_is_no_answer() {
    let script =
        |asked: &Asked| (asked.pdu[0] == 6).then(|| (Some(vec![0x86, 11]), Deed::default()));
    let bench = Bench::tcp(device("a", 1, vec![unread(1, Table::Holding, 10)]), script).await;
    let outcome = bench.stand.command("a", "t1", u(1)).await;
    assert_eq!(outcome, refused(Refusal::NoAnswer));
    assert!(outcome.may_have_written());
    bench.stand.stop().await;
}

#[tokio::test]
async fn a_device_without_function_16_gets_them_one_by_one() {
    let tags = vec![unread(1, Table::Holding, 10), unread(2, Table::Holding, 11)];
    let bench = Bench::tcp(device("a", 1, tags), |_| None).await;
    bench.device.bank.lock().unwrap().lack(1, 16);
    assert_eq!(bench.sets("a", &[("t1", u(1)), ("t2", u(2))]).await, [done(1), done(2)]);
    assert_eq!(bench.sets("a", &[("t1", u(3)), ("t2", u(4))]).await, [done(3), done(4)]);
    let functions: Vec<u8> = writes(&bench.device.seen).iter().map(|pdu| pdu[0]).collect();
    assert_eq!(functions, [16, 6, 6, 6, 6], "learned once");
    let status = bench.stand.stop().await;
    assert_eq!(status.devices[0].learned["writes"], "no-many");
}

#[tokio::test]
async fn bits_of_one_register_are_set_together() {
    let bit = |id, at| {
        let mut bit = unread(id, Table::Holding, 5);
        set_coding(&mut bit, Coding::plain(Kind::Bit(at)));
        bit
    };
    let bench = Bench::tcp(device("a", 1, vec![bit(1, 0), bit(2, 3)]), |_| None).await;
    bench.device.bank.lock().unwrap().set(1, Table::Holding, 5, &[0b1000_1000]);
    let sets = [("t1", Value::Bool(true)), ("t2", Value::Bool(false))];
    let outcomes = bench.sets("a", &sets).await;
    let held = |on| Outcome::Done { read_back: Value::Bool(on) };
    assert_eq!(outcomes, [held(true), held(false)]);
    assert_eq!(bench.device.get(Table::Holding, 5), Some(0b1000_0001));
    assert_eq!(writes(&bench.device.seen), [vec![22, 0, 5, 0xFF, 0xF6, 0, 1]]);
    bench.stand.stop().await;
}

#[tokio::test]
async fn a_device_is_written_with_the_function_it_was_given() {
    let cases: [(WriteWith, &[u8]); 4] = [
        (WriteWith::Automatic, &[16, 6]),
        (WriteWith::Six, &[6, 6, 6]),
        (WriteWith::Sixteen, &[16, 16]),
        (WriteWith::TwentyThree, &[23, 23]),
    ];
    for (write_with, functions) in cases {
        let tags = (0..3).map(|at| unread(at + 1, Table::Holding, [10, 11, 20][at as usize]));
        let plan = DevicePlan { write_with, ..device("a", 1, tags.collect()) };
        let bench = Bench::tcp(plan, |_| None).await;
        let outcomes = bench.sets("a", &[("t1", u(1)), ("t2", u(2)), ("t3", u(3))]).await;
        assert_eq!(outcomes, [done(1), done(2), done(3)], "{write_with:?}");
        let seen = bench.device.seen.lock().unwrap().clone();
        let used: Vec<u8> = seen.iter().map(|a| a.pdu[0]).filter(|f| *f > 4).collect();
        assert_eq!(used, functions, "{write_with:?}");
        if write_with == WriteWith::TwentyThree {
            assert_eq!(seen.len(), 2, "read back in the same exchange");
            assert_eq!(seen[0].pdu, [23, 0, 10, 0, 2, 0, 10, 0, 2, 4, 0, 1, 0, 2]);
        }
        bench.stand.stop().await;
    }
}

#[tokio::test]
async fn what_function_23_reads_back_is_looked_at_again_if_it_differs() {
    let plan = DevicePlan {
        write_with: WriteWith::TwentyThree,
        ..device("a", 1, vec![unread(1, Table::Holding, 10)])
    };
    let bench = Bench::tcp(plan, |_| None).await;
    bench.device.bank.lock().unwrap().pretend(1, Table::Holding, 10);
    let outcome = bench.stand.command("a", "t1", u(5)).await;
    assert_eq!(outcome, refused(Refusal::ReadBack(u(0))));
    let functions: Vec<u8> = bench.device.seen.lock().unwrap().iter().map(|a| a.pdu[0]).collect();
    assert_eq!(functions, [23, 3, 3]);
    bench.stand.stop().await;
}

#[tokio::test]
async fn a_late_answer_of_function_23_is_not_taken_for_the_next() {
    let plan = DevicePlan {
        write_with: WriteWith::TwentyThree,
        timeout: ms(150),
        ..device("a", 1, vec![unread(1, Table::Holding, 10), unread(2, Table::Holding, 30)])
    };
    // The first write is answered after the second one was sent.
    let mut first = true;
    let script = move |asked: &Asked| {
        (asked.pdu[0] == 23 && std::mem::take(&mut first)).then(|| {
            let late = Deed { late: ms(200), overtaken: true, ..Deed::default() };
            (Some(vec![23, 2, 0, 1]), late)
        })
    };
    let bench = Bench::line(vec![plan], script).await;
    // An echo is out of the question before the first command.
    bench.device.bank.lock().unwrap().pretend(1, Table::Holding, 30);
    let outcome = bench.stand.command("a", "t1", u(1)).await;
    assert_eq!(outcome, refused(Refusal::NoAnswer));
    let outcome = bench.stand.command("a", "t2", u(1)).await;
    assert!(
        !matches!(outcome, Outcome::Done { .. }),
        "the device did not obey, and the late answer says 1: {outcome:?}"
    );
    bench.stand.stop().await;
}

/// The exception is for the first write, whose time was up; the second one was carried out.
#[tokio::test]
async fn a_late_exception_is_no_refusal_of_the_next_write() {
    let tags = vec![unread(1, Table::Holding, 10), unread(2, Table::Holding, 30)];
    let plan = DevicePlan { timeout: ms(150), ..device("a", 1, tags) };
    let script = |asked: &Asked| {
        let late = |by| Deed { late: ms(by), overtaken: true, ..Deed::default() };
        match asked.pdu[..] {
            [6, 0, 10, ..] => Some((Some(vec![0x86, 4]), late(200))),
            [6, 0, 30, ..] => Some((Some(asked.pdu.clone()), late(120))),
            _ => None,
        }
    };
    let bench = Bench::line(vec![plan], script).await;
    assert_eq!(bench.stand.command("a", "t1", u(1)).await, refused(Refusal::NoAnswer));
    let outcome = bench.stand.command("a", "t2", u(1)).await;
    assert!(outcome.may_have_written(), "{outcome:?}");
    bench.stand.stop().await;
}

#[tokio::test]
async fn what_is_not_to_be_verified_is_only_written() {
    let mut pulse = unread(1, Table::Holding, 10);
    pulse.write.as_mut().unwrap().verify = Verify::Nothing;
    let tags = vec![pulse, unread(2, Table::Holding, 11)];
    let bench = Bench::tcp(device("a", 1, tags), |_| None).await;
    bench.device.bank.lock().unwrap().pretend(1, Table::Holding, 10);
    let outcome = bench.stand.command("a", "t1", u(5)).await;
    assert_eq!(outcome, Outcome::Acknowledged);
    assert_eq!(bench.device.seen.lock().unwrap().len(), 1, "one write, no read");
    assert!(bench.stand.readings().is_empty(), "nobody knows what it holds");
    let outcomes = bench.sets("a", &[("t1", u(5)), ("t2", u(6))]).await;
    assert_eq!(outcomes, [Outcome::Acknowledged, done(6)], "each by its own rule");
    bench.stand.stop().await;
}

#[tokio::test]
async fn a_broadcast_is_sent_once_and_the_line_left_alone_after_it() {
    let pause = ms(60);
    let all = |id| {
        let mut tag = unread(id, Table::Holding, 9 + u16::try_from(id).unwrap());
        tag.write.as_mut().unwrap().verify = Verify::Nothing;
        tag
    };
    let everybody = DevicePlan { timeout: pause, ..device("all", 0, vec![all(1), all(2)]) };
    let mut one = tag(3, Table::Holding, 10);
    one.every = Some(ms(10));
    let times: Arc<Mutex<Vec<(u8, Instant)>>> = Arc::default();
    let seen_at = times.clone();
    let script = move |asked: &Asked| {
        seen_at.lock().unwrap().push((asked.unit, Instant::now()));
        None
    };
    let bench = Bench::line(vec![everybody, device("a", 1, vec![one])], script).await;
    bench.stand.until("polls", |s| s.of(3).len() > 2).await;
    let outcomes = bench.sets("all", &[("t1", u(7)), ("t2", u(8))]).await;
    assert_eq!(outcomes, [Outcome::Broadcast, Outcome::Broadcast]);
    assert_eq!(writes(&bench.device.seen), [vec![16, 0, 10, 0, 2, 4, 0, 7, 0, 8]]);
    let polls = bench.stand.of(3).len();
    bench.stand.until("polls after it", |s| s.of(3).len() > polls).await;
    let times = times.lock().unwrap().clone();
    let at = times.iter().position(|(unit, _)| *unit == 0).unwrap();
    let quiet = times[at + 1].1 - times[at].1;
    assert!(quiet >= pause, "{quiet:?}");
    assert!(bench.stand.of(1).is_empty(), "it is never read");
    let status = bench.stand.stop().await;
    assert_eq!(status.devices[0].timeouts, 0);
}

/// Between two writes of one command a read that is due has its turn.
#[tokio::test]
async fn reads_go_between_the_writes_of_one_command() {
    let mut fast = tag(9, Table::Holding, 40);
    fast.every = Some(ms(10));
    let writable = (0_u16..4).map(|at| unread(u32::from(at) + 1, Table::Holding, at * 2));
    let tags: Vec<_> = writable.chain([fast]).collect();
    let script = |asked: &Asked| {
        let slow = asked.pdu[0] == 6;
        // A slow write: meanwhile the next read becomes due.
        slow.then(|| (Some(asked.pdu.clone()), Deed { late: ms(30), ..Deed::default() }))
    };
    let bench = Bench::tcp(device("a", 1, tags), script).await;
    bench.stand.until("polls", |s| s.of(9).len() > 2).await;
    let sets = [("t1", u(1)), ("t2", u(2)), ("t3", u(3)), ("t4", u(4))];
    bench.sets("a", &sets).await;
    let seen = bench.device.seen.lock().unwrap().clone();
    let functions: Vec<u8> = seen.iter().map(|asked| asked.pdu[0]).collect();
    let first = functions.iter().position(|f| *f == 6).unwrap();
    assert_eq!(functions[first..first + 7], [6, 3, 6, 3, 6, 3, 6]);
    bench.stand.stop().await;
}

#[tokio::test]
async fn a_link_that_breaks_in_the_middle_tells_what_was_written_and_what_not() {
    let tags = vec![
        unread(1, Table::Holding, 10),
        unread(2, Table::Holding, 20),
        unread(3, Table::Holding, 30),
    ];
    let script = |asked: &Asked| {
        let second = asked.pdu.starts_with(&[6, 0, 20]);
        second.then(|| (None, Deed { close: true, ..Deed::default() }))
    };
    let bench = Bench::tcp(device("a", 1, tags), script).await;
    let outcomes = bench.sets("a", &[("t1", u(1)), ("t2", u(2)), ("t3", u(3))]).await;
    let want = [Refusal::NotReadBack, Refusal::LinkBroke, Refusal::NotWritten].map(refused);
    assert_eq!(outcomes, want);
    bench.stand.stop().await;
}
