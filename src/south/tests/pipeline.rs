//! Reads in flight together, against servers that mistreat them. The gate: never a wrong value.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::config::{ModbusLink, Wire};
use crate::model::Fault;
use crate::south::guard::TcpMatcher;
use crate::south::line::{Failure, Line};
use crate::south::mbap;
use crate::south::pipeline::{Batch, Read};
use crate::south::silence::Pace;
use crate::south::trace::{self, Tap, Verdict};

/// What to send, and how long after the request.
type Plan = Vec<(Duration, Vec<u8>)>;

/// What a register holds: every one its own.
fn held(table_function: u8, address: u16) -> u16 {
    address.wrapping_mul(7).wrapping_add(u16::from(table_function) << 12)
}

/// What an honest device answers to a read.
fn honest(pdu: &[u8]) -> Vec<u8> {
    let [function, a1, a0, c1, c0] = *pdu else { panic!("{pdu:?}") };
    let (address, count) = (u16::from_be_bytes([a1, a0]), u16::from_be_bytes([c1, c0]));
    let mut data = Vec::new();
    if function < 3 {
        data.resize(usize::from(count.div_ceil(8)), 0);
        for at in 0..count {
            data[usize::from(at / 8)] |=
                u8::try_from(held(function, address + at) % 2).unwrap() << (at % 8);
        }
    } else {
        data.extend((0..count).flat_map(|at| held(function, address + at).to_be_bytes()));
    }
    [vec![function, u8::try_from(data.len()).unwrap()], data].concat()
}

fn answer(request: &mbap::Request) -> Vec<u8> {
    mbap::frame(request.tid, request.unit, &honest(&request.pdu))
}

/// Serves until the other side hangs up. The script says of each request what to send, and when.
async fn serve<T>(mut io: T, mut script: impl FnMut(mbap::Request) -> Plan)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut input = Vec::new();
    let mut planned: Vec<(Instant, usize, Vec<u8>)> = Vec::new();
    let mut number = 0;
    loop {
        planned.sort_by_key(|(at, number, _)| (*at, *number));
        let next = planned.first().map(|(at, ..)| *at);
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = due => {
                let (.., frame) = planned.remove(0);
                if io.write_all(&frame).await.is_err() {
                    return;
                }
            }
            read = io.read_buf(&mut input) => {
                if !matches!(read, Ok(1..)) {
                    return;
                }
                while let Some(request) = mbap::take(&mut input).unwrap() {
                    for (after, frame) in script(request) {
                        number += 1;
                        planned.push((Instant::now() + after, number, frame));
                    }
                }
            }
        }
    }
}

const TIMEOUT: Duration = Duration::from_millis(100);

struct Scripted {
    line: Line,
    tap: Tap,
    _server: JoinSet<()>,
}

fn line(most: usize, script: impl FnMut(mbap::Request) -> Plan + Send + 'static) -> Scripted {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let tap = scripted::tap(trace::Framing::Mbap);
    let pace = Pace::Task(Duration::ZERO);
    let line = Line::pipelined(near, TcpMatcher::new(0xFFF0), pace, tap.clone(), most);
    let mut server = JoinSet::new();
    server.spawn(serve(far, script));
    Scripted { line, tap, _server: server }
}

/// Reads of different lengths.
fn reads(count: u16) -> Vec<Read> {
    let read = |at| Read { table: Table::Holding, address: at * 100, count: at + 1, pad: 0 };
    (0..count).map(read).collect()
}

fn function(table: Table) -> u8 {
    match table {
        Table::Coil => 1,
        Table::Discrete => 2,
        Table::Holding => 3,
        Table::Input => 4,
    }
}

fn right(read: &Read) -> Vec<u16> {
    let all = (0..read.count).map(|at| held(function(read.table), read.address + at));
    all.map(|word| if read.table.is_bits() { word % 2 } else { word }).collect()
}

/// Right, not right, wrong.
fn tally(reads: &[Read], batch: &Batch) -> (usize, usize, usize) {
    let good = |one: &&crate::south::pipeline::Landed| one.result.is_ok();
    let is_right = |one: &&crate::south::pipeline::Landed| {
        one.result.as_ref().is_ok_and(|words| *words == right(&reads[one.index]))
    };
    let ok = batch.landed.iter().filter(good).count();
    let all_right = batch.landed.iter().filter(is_right).count();
    (all_right, batch.landed.len() - ok, ok - all_right)
}

#[tokio::test(start_paused = true)]
async fn all_are_out_before_the_first_answer_and_any_order_is_right() {
    let mut waiting = Vec::new();
    // Answers when all eight are there, the last first.
    let mut s = line(8, move |request| {
        waiting.push(answer(&request));
        if waiting.len() < 8 {
            return Vec::new();
        }
        std::mem::take(&mut waiting).into_iter().rev().map(|frame| (ms(5), frame)).collect()
    });
    for _ in 0..3 {
        let reads = reads(8);
        let batch = s.line.read_together(7, &reads, TIMEOUT).await;
        assert_eq!(tally(&reads, &batch), (8, 0, 0));
        assert_eq!(batch.landed[0].index, 7, "in the order in which they came");
    }
    let page = s.tap.page(String::new(), 0, Wall(0));
    assert_eq!(page.exchanges.len(), 24);
    for exchange in page.exchanges {
        assert_eq!(exchange.verdict, Verdict::Ok);
        let [out, came] = exchange.parts.as_slice() else { panic!("{exchange:?}") };
        assert_eq!(out.bytes[..2], came.bytes[..2], "the answer beside its own request");
        assert_eq!(exchange.took_us, 5_000);
    }
}

#[tokio::test(start_paused = true)]
async fn padding_and_bits_are_cut_off() {
    let mut s = line(4, |request| vec![(ms(1), answer(&request))]);
    let reads = [
        Read { table: Table::Holding, address: 5, count: 10, pad: 0 },
        Read { table: Table::Holding, address: 50, count: 10, pad: 1 },
        Read { table: Table::Coil, address: 3, count: 13, pad: 0 },
        Read { table: Table::Discrete, address: 3, count: 5, pad: 8 },
    ];
    let batch = s.line.read_together(7, &reads, TIMEOUT).await;
    assert_eq!(tally(&reads, &batch), (4, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lost_one_times_out_alone_and_its_late_answer_is_nobodys() {
    let mut number = 0;
    let mut s = line(4, move |request| {
        number += 1;
        vec![(if number == 2 { ms(150) } else { ms(10) }, answer(&request))]
    });
    let reads = reads(4);
    let started = Instant::now();
    let batch = s.line.read_together(7, &reads, TIMEOUT).await;
    assert_eq!(tally(&reads, &batch), (3, 1, 0));
    assert_eq!(batch.landed[3].index, 1);
    assert!(matches!(batch.landed[3].result, Err(Failure::NoAnswer)));
    assert_eq!(started.elapsed(), ms(110), "the timeout, from the last answer on");
    tokio::time::sleep(ms(60)).await;
    let batch = s.line.read_together(7, &reads, TIMEOUT).await;
    assert_eq!(tally(&reads, &batch), (4, 0, 0));
    assert_eq!(s.line.counters().late, 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_works_one_after_the_other_has_its_time_for_each() {
    let mut free = Instant::now();
    let mut s = line(8, move |request| {
        free = free.max(Instant::now()) + ms(60);
        vec![(free - Instant::now(), answer(&request))]
    });
    let reads = reads(8);
    let batch = s.line.read_together(7, &reads, TIMEOUT).await;
    assert_eq!(tally(&reads, &batch), (8, 0, 0));
    assert!(batch.landed.iter().all(|one| one.took == ms(60)), "{batch:?}");
}

#[tokio::test(start_paused = true)]
async fn every_answer_under_the_newest_id_is_never_a_value() {
    // The bug of a server that keeps one id for the whole connection.
    let mut waiting: Vec<mbap::Request> = Vec::new();
    let mut s = line(4, move |request| {
        waiting.push(request);
        if waiting.len() < 4 {
            return Vec::new();
        }
        let tid = waiting[3].tid;
        let all = std::mem::take(&mut waiting).into_iter();
        all.map(|request| (ms(5), mbap::frame(tid, request.unit, &honest(&request.pdu)))).collect()
    });
    let reads = reads(4);
    let batch = s.line.read_together(7, &reads, TIMEOUT).await;
    assert_eq!(tally(&reads, &batch), (0, 4, 0));
    assert_eq!(s.line.counters().wrong_shape, 1);
    assert_eq!(s.line.counters().late, 3);
}

#[tokio::test(start_paused = true)]
async fn a_broken_header_ends_it_for_all_that_are_out() {
    let mut number = 0;
    let mut s = line(4, move |request| {
        number += 1;
        let mut frame = answer(&request);
        if number == 3 {
            frame[2] = 9;
        }
        vec![(ms(number), frame)]
    });
    let reads = reads(4);
    let batch = s.line.read_together(7, &reads, TIMEOUT).await;
    assert!(batch.broken.is_some());
    assert_eq!(tally(&reads, &batch), (2, 0, 0));
    let page = s.tap.page(String::new(), 0, Wall(0));
    let verdicts: Vec<_> = page.exchanges.iter().map(|exchange| exchange.verdict).collect();
    assert_eq!(verdicts, [Verdict::Ok, Verdict::Ok, Verdict::Link, Verdict::Link]);
}

#[tokio::test(start_paused = true)]
async fn one_at_a_time_between_batches_is_as_ever() {
    let mut s = line(4, |request| {
        // Each answer twice: the second comes while something else is asked.
        vec![(ms(2), answer(&request)), (ms(3), answer(&request))]
    });
    let reads = reads(4);
    for _ in 0..20 {
        let batch = s.line.read_together(7, &reads, TIMEOUT).await;
        assert_eq!(tally(&reads, &batch), (4, 0, 0));
        let words = s.line.read(7, Table::Holding, (300, 4), 125, TIMEOUT).await.unwrap();
        assert_eq!(words, right(&reads[3]));
    }
}

/// What a server may do to a request; ids are those it knows when the request comes.
fn misbehave(
    random: &mut fastrand::Rng,
    seen: &mut VecDeque<mbap::Request>,
    request: &mbap::Request,
) -> Plan {
    seen.push_front(request.clone());
    seen.truncate(6);
    let other = seen[random.usize(..seen.len())].clone();
    let pdu = honest(&request.pdu);
    let frame = answer(request);
    let soon = ms(random.u64(..40));
    match random.u8(..11) {
        0 => Vec::new(),
        1 => vec![(ms(random.u64(80..300)), frame)],
        2 => vec![(soon, frame.clone()), (soon + ms(random.u64(..50)), frame)],
        3 => vec![(soon, mbap::frame(other.tid, request.unit, &pdu))],
        4 => vec![(soon, answer(&other))],
        5 => vec![(soon, mbap::frame(other.tid, request.unit, &[request.pdu[0] | 0x80, 2]))],
        6 => vec![(soon, mbap::frame(request.tid, request.unit ^ 1, &pdu))],
        _ => vec![(soon, frame)],
    }
}

#[tokio::test(start_paused = true)]
async fn random_misbehaviour_is_never_a_wrong_value() {
    let (mut all_right, mut not_right) = (0, 0);
    for seed in 0..400 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut seen = VecDeque::new();
        let mut s = line(8, move |request| misbehave(&mut random, &mut seen, &request));
        let reads = reads(8);
        for _ in 0..10 {
            let batch = s.line.read_together(7, &reads, TIMEOUT).await;
            assert_eq!(batch.landed.len(), 8);
            let (right, bad, wrong) = tally(&reads, &batch);
            assert_eq!(wrong, 0, "seed {seed}: {batch:?}");
            all_right += right;
            not_right += bad;
        }
    }
    assert!(all_right > 10_000 && not_right > 3_000, "{all_right} {not_right}");
}

/// A bus that asks a server on a real socket, up to `most` at once, for blocks far apart.
fn pipelined(port: u16, most: usize, tags: Vec<TagPlan>) -> BusPlan {
    let mut plan = tcp_plan(port, vec![device("a", 7, tags)]);
    let Link::Modbus(ModbusLink { wire: Wire::Tcp(wire), .. }) = &mut plan.link else { panic!() };
    wire.pipeline = most;
    plan
}

/// Tags of 16 blocks, which no plan makes fewer of; all blocks have the same length.
fn sixteen() -> Vec<TagPlan> {
    (0..16).map(|at| tag(u32::from(at), Table::Holding, at * 1000)).collect()
}

fn value_of(tag: u32) -> Value {
    Value::U64(held(3, u16::try_from(tag).unwrap() * 1000).into())
}

/// A server on a free port; the script is made for each connection.
async fn listen<S>(mut script: impl FnMut() -> S + Send + 'static) -> (u16, JoinSet<()>)
where
    S: FnMut(mbap::Request) -> Plan + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            connections.spawn(serve(stream, script()));
        }
    });
    (port, server)
}

fn all_good(stand: &Stand) -> bool {
    stand.readings().iter().all(|reading| {
        reading.quality() == Quality::Good && *reading.value().unwrap() == value_of(reading.tag().0)
    })
}

#[tokio::test]
async fn a_cycle_of_sixteen_blocks_takes_a_few_turnarounds_instead_of_sixteen() {
    let mut cycles = Vec::new();
    for most in [1, 8] {
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        let (port, _server) = listen(move || {
            let count = Arc::clone(&count);
            move |request: mbap::Request| {
                count.fetch_add(1, Ordering::SeqCst);
                vec![(ms(10), answer(&request))]
            }
        })
        .await;
        let mut tags = sixteen();
        tags.iter_mut().for_each(|tag| tag.every = Some(ms(10)));
        let stand = Stand::start(pipelined(port, most, tags));
        stand.until("first cycle", |s| s.of(15).len() == 1).await;
        let (began, before) = (Instant::now(), stand.of(15).len());
        stand.until("ten cycles", |s| s.of(15).len() >= before + 10).await;
        let done = stand.of(15).len() - before;
        let cycle = began.elapsed() / u32::try_from(done).unwrap();
        println!("pipeline {most}: {cycle:?} a cycle");
        assert!(all_good(&stand));
        let status = stand.stop().await;
        assert_eq!(status.devices[0].timeouts, 0);
        assert!(status.devices[0].latency_p50_us >= 9_000, "{}", status.devices[0].latency_p50_us);
        cycles.push(cycle);
    }
    assert!(cycles[1] * 3 < cycles[0], "{cycles:?}");
}

#[tokio::test]
async fn a_server_that_forgets_all_but_one_is_asked_one_by_one_in_the_end() {
    // Drops what comes while it works, as some do.
    let (port, _server) = listen(|| {
        let mut free = Instant::now();
        move |request: mbap::Request| {
            if Instant::now() < free {
                return Vec::new();
            }
            free = Instant::now() + ms(5);
            vec![(ms(5), answer(&request))]
        }
    })
    .await;
    let mut plan = pipelined(port, 4, sixteen());
    plan.devices[0].timeout = ms(150); // Longer than a busy machine takes.
    let stand = Stand::start(plan);
    stand.until("five cycles", |s| (0..16).all(|tag| s.of(tag).len() >= 5)).await;
    let lost = stand.port.status().devices[0].timeouts;
    let seen = stand.of(15).len();
    stand.until("ten more", |s| (0..16).all(|tag| s.of(tag).len() >= seen + 10)).await;
    assert_eq!(stand.port.status().devices[0].timeouts, lost, "nothing is lost any more");
    assert!((1..=9).contains(&lost), "three batches of four, of which one is answered: {lost}");
    assert!(all_good(&stand), "what was lost in company was asked again alone");
    stand.stop().await;
}

#[tokio::test]
async fn what_is_not_there_behind_a_block_is_left_alone() {
    // Of each thousand only the first register is there.
    let asked = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&asked);
    let (port, _server) = listen(move || {
        let all = Arc::clone(&all);
        move |request: mbap::Request| {
            let count = request.pdu[4];
            all.lock().unwrap().push(count);
            let refused = mbap::frame(request.tid, request.unit, &[0x83, 2]);
            vec![(ms(1), if count > 1 { refused } else { answer(&request) })]
        }
    })
    .await;
    let stand = Stand::start(pipelined(port, 4, sixteen()));
    stand.until("cycles", |s| s.of(15).len() >= 5).await;
    asked.lock().unwrap().clear();
    let seen = stand.of(15).len();
    stand.until("more", |s| s.of(15).len() >= seen + 5).await;
    assert!(asked.lock().unwrap().iter().all(|count| *count == 1), "nothing is tried twice");
    assert!(all_good(&stand));
    let status = stand.stop().await;
    let learned = &status.devices[0].learned;
    assert!(!learned.contains_key("holding"), "nothing about the block itself: {learned:?}");
}

#[tokio::test]
async fn a_refused_register_is_found_as_ever() {
    let (port, _server) = listen(|| {
        |request: mbap::Request| {
            let address = u16::from_be_bytes([request.pdu[1], request.pdu[2]]);
            let refused = mbap::frame(request.tid, request.unit, &[0x83, 2]);
            vec![(ms(1), if address == 5000 { refused } else { answer(&request) })]
        }
    })
    .await;
    let stand = Stand::start(pipelined(port, 4, sixteen()));
    stand.until("cycles", |s| s.of(15).len() >= 5 && s.last(5).is_some()).await;
    for reading in stand.readings() {
        match reading.value() {
            Some(value) => assert_eq!(*value, value_of(reading.tag().0)),
            None => {
                assert_eq!(
                    (reading.tag().0, reading.quality()),
                    (5, Quality::Bad(Fault::Exception(2)))
                );
            }
        }
    }
    stand.stop().await;
}

#[tokio::test]
async fn a_device_that_falls_silent_and_comes_back() {
    let seen = Arc::new(AtomicUsize::new(0));
    let (port, _server) = listen(move || {
        let seen = Arc::clone(&seen);
        move |request: mbap::Request| {
            let number = seen.fetch_add(1, Ordering::SeqCst);
            if (100..107).contains(&number) { Vec::new() } else { vec![(ms(1), answer(&request))] }
        }
    })
    .await;
    let mut plan = pipelined(port, 4, sixteen());
    plan.devices[0].timeout = ms(40);
    let stand = Stand::start(plan);
    stand.until("silent", |s| s.quality(3) == Some(Quality::Bad(Fault::NoAnswer))).await;
    stand.until("back", |s| (0..16).all(|tag| s.value(tag) == Some(value_of(tag)))).await;
    let seen = stand.of(15).len();
    stand.until("goes on", |s| (0..16).all(|tag| s.of(tag).len() > seen + 3)).await;
    let right = |reading: &Reading| reading.value().is_none_or(|v| *v == value_of(reading.tag().0));
    assert!(stand.readings().iter().all(right));
    stand.stop().await;
}

#[tokio::test]
async fn random_misbehaviour_on_a_bus_with_commands_is_never_a_wrong_value() {
    let (port, _server) = listen(|| {
        let mut random = fastrand::Rng::with_seed(fastrand::u64(..));
        let mut seen = VecDeque::new();
        move |request: mbap::Request| {
            if request.pdu[0] == 6 {
                let echo = mbap::frame(request.tid, request.unit, &request.pdu);
                return vec![(ms(5), echo)];
            }
            if random.u8(..4) > 0 {
                seen.push_front(request.clone());
                return vec![(ms(random.u64(..10)), answer(&request))];
            }
            misbehave(&mut random, &mut seen, &request)
        }
    })
    .await;
    let mut plan = pipelined(port, 8, sixteen());
    plan.devices[0].timeout = ms(60);
    let stand = Stand::start(plan);
    stand.until("up", |s| s.last(0).is_some()).await;
    for at in 0..20 {
        stand.command("a", "t3", Value::U64(at)).await;
    }
    stand.until("readings", |s| s.readings().len() > 300).await;
    for reading in stand.readings().iter().filter(|reading| reading.tag().0 != 3) {
        let right = reading.value().is_none_or(|value| *value == value_of(reading.tag().0));
        assert!(right, "{reading:?}");
    }
    let status = stand.stop().await;
    assert!(status.writes > 0);
}

#[tokio::test]
async fn commands_are_alone_on_the_connection() {
    let (writes, overlaps) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (written, overlapped) = (Arc::clone(&writes), Arc::clone(&overlaps));
    let (port, _server) = listen(move || {
        let (writes, overlaps) = (Arc::clone(&writes), Arc::clone(&overlaps));
        let (mut reading_until, mut writing_until) = (Instant::now(), Instant::now());
        move |request: mbap::Request| {
            let (now, until) = (Instant::now(), Instant::now() + ms(3));
            if request.pdu[0] == 6 {
                writes.fetch_add(1, Ordering::SeqCst);
                overlaps.fetch_add(usize::from(now < reading_until), Ordering::SeqCst);
                writing_until = until;
                return vec![(ms(3), mbap::frame(request.tid, request.unit, &request.pdu))];
            }
            overlaps.fetch_add(usize::from(now < writing_until), Ordering::SeqCst);
            reading_until = until;
            vec![(ms(3), answer(&request))]
        }
    })
    .await;
    let mut tags = sixteen();
    tags.iter_mut().for_each(|tag| tag.every = Some(ms(10)));
    let stand = Stand::start(pipelined(port, 8, tags));
    stand.until("up", |s| s.last(0).is_some()).await;
    for at in 0..30 {
        stand.command("a", "t3", Value::U64(at)).await;
    }
    stand.stop().await;
    assert!(written.load(Ordering::SeqCst) >= 30);
    assert_eq!(overlapped.load(Ordering::SeqCst), 0);
}
