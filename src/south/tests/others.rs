//! Another master on the line: it is heard, counted and let finish, and what is meant for it is
//! never taken for ours.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::scripted::{Asked, Deed, Scripted, TIMEOUT, Tally, start, tap};
use crate::config::Framing;
use crate::model::Table;
use crate::south::guard::{SerialMatcher, frame_rtu};
use crate::south::line::{Line, Write};
use crate::south::silence::Pace;
use crate::south::trace;

fn line(script: impl FnMut(&Asked) -> Deed + Send + 'static) -> Scripted {
    start(Framing::Rtu, false, script)
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What another master asks of our device: the same table and length, another address.
fn like_ours(asked: &Asked) -> Vec<u8> {
    let [n1, n0] = asked.count().to_be_bytes();
    asked.frame(&[3, 0, 200, n1, n0])
}

/// Of a device that was asked for so many registers by the other master.
fn answer_of(asked: &Asked, count: u8) -> Vec<u8> {
    let words = (0..2 * count).map(|_| 0xEE);
    asked.frame(&[3, 2 * count].into_iter().chain(words).collect::<Vec<u8>>())
}

/// The answer to that: no value of it is one that we asked for.
fn answer_to_it(asked: &Asked) -> Vec<u8> {
    answer_of(asked, u8::try_from(asked.count()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn its_requests_and_answers_are_collisions_and_no_foreign_frames() {
    let exchange = [
        frame_rtu(9, &[3, 0, 0, 0, 2]),
        frame_rtu(9, &[3, 4, 0, 1, 0, 2]),
        frame_rtu(9, &[6, 0, 1, 0, 7]),
        frame_rtu(9, &[6, 0, 1, 0, 7]),
        frame_rtu(9, &[16, 0, 1, 0, 1, 2, 0, 7]),
        frame_rtu(9, &[16, 0, 1, 0, 1]),
        frame_rtu(9, &[4, 0, 0, 0, 2]),
        frame_rtu(9, &[0x84, 2]),
    ];
    let after = exchange.concat();
    let mut slave = line(move |asked| {
        let after = if asked.number == 2 { after.clone() } else { Vec::new() };
        Deed { after, pause: ms(5), ..Deed::well() }
    });
    let mut tally = Tally::default();
    for _ in 0..5 {
        slave.read(&mut tally, 5, 10).await;
        tokio::time::sleep(ms(20)).await;
    }
    assert_eq!(tally, Tally { right: 5, ..Tally::default() });
    let counters = slave.line.counters();
    assert_eq!((counters.collisions, counters.foreign), (8, 0), "{counters:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_may_be_meant_for_it_is_nobodys() {
    // Its request and the answer to it come during ours, before, instead of or after our answer.
    let kinds: [fn(&Asked) -> Deed; 4] = [
        |asked| Deed::before([like_ours(asked), answer_to_it(asked)].concat()),
        |asked| Deed::instead([like_ours(asked), answer_to_it(asked)].concat()),
        |asked| Deed { before: like_ours(asked), after: answer_to_it(asked), ..Deed::well() },
        // The request is heard when ours is over, the answer falls into our next exchange.
        |asked| Deed { after: like_ours(asked), pause: ms(45), ..Deed::silence() },
    ];
    for (kind, deed) in kinds.into_iter().enumerate() {
        let mut slave = line(move |asked| match asked.number {
            3 => deed(asked),
            4 if kind == 3 => Deed::before(answer_of(asked, 10)),
            _ => Deed::well(),
        });
        let tally = slave.reads(12, 5, 10).await;
        assert_eq!(tally.wrong, 0, "kind {kind}: {tally:?}");
        assert!(tally.right >= 10, "kind {kind}: {tally:?}");
        let counters = slave.line.counters();
        assert!(counters.collisions >= 1, "kind {kind}: {counters:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_exception_that_may_be_meant_for_it_is_nobodys() {
    let mut slave = line(|asked| match asked.number {
        2 => Deed::before([asked.frame(&[3, 0, 200, 0, 3]), asked.frame(&[0x83, 2])].concat()),
        _ => Deed::well(),
    });
    assert_eq!(slave.reads(4, 5, 10).await, Tally { right: 4, ..Tally::default() });
    assert_eq!(slave.line.counters().collisions, 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_answered_is_not_waited_for_for_ever() {
    let mut slave = line(|asked| match asked.number {
        2 => Deed { after: like_ours(asked), pause: ms(5), ..Deed::well() },
        _ => Deed::well(),
    });
    let mut tally = Tally::default();
    for _ in 0..6 {
        slave.read(&mut tally, 5, 10).await;
        tokio::time::sleep(ms(10)).await;
    }
    assert_eq!(tally, Tally { right: 6, ..Tally::default() });
    let counts: Vec<u16> = slave.asked.lock().unwrap().iter().map(Asked::count).collect();
    assert_eq!(counts, [10, 10, 11, 11, 11, 11], "its answer may come as long as it is suspect");
    tokio::time::sleep(Duration::from_secs(11)).await;
    slave.read(&mut tally, 5, 10).await;
    assert_eq!(slave.asked.lock().unwrap().last().map(Asked::count), Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_differs_is_no_collision() {
    let mut slave = line(|asked| match asked.pdu[0] {
        6 => Deed::instead(asked.frame(&[6, 0, 5, 0, 78])),
        _ => Deed::well(),
    });
    let _ = slave.reads(1, 5, 1).await;
    assert!(slave.line.write(7, 5, &Write::Register(77), TIMEOUT).await.is_err());
    let counters = slave.line.counters();
    assert_eq!((counters.wrong_shape, counters.collisions), (1, 0));
}

/// The moments at which bytes came over a line.
async fn arrivals(far: &mut tokio::io::DuplexStream, bytes: usize) -> Vec<Instant> {
    let mut all = Vec::new();
    let mut byte = [0];
    while all.len() < bytes && far.read_exact(&mut byte).await.is_ok() {
        all.push(Instant::now());
    }
    all
}

#[tokio::test(start_paused = true)]
async fn we_never_talk_into_its_frame_and_let_its_device_answer() {
    let (near, mut far) = tokio::io::duplex(1024);
    let mut line =
        Line::serial(near, SerialMatcher::rtu(), Pace::Task(ms(4)), tap(trace::Framing::Rtu));
    let request = frame_rtu(9, &[3, 0, 0, 0, 2]);
    let answer = frame_rtu(9, &[3, 4, 0, 1, 0, 2]);
    let other = async {
        for byte in request {
            far.write_all(&[byte]).await.unwrap();
            tokio::time::sleep(ms(1)).await;
        }
        tokio::time::sleep(ms(30)).await;
        far.write_all(&answer).await.unwrap();
        let answered = Instant::now();
        let ours = arrivals(&mut far, 8).await;
        far.write_all(&frame_rtu(7, &[3, 2, 0, 42])).await.unwrap();
        (answered, ours)
    };
    let ours = async {
        // In the middle of its request.
        tokio::time::sleep(ms(4)).await;
        line.read(7, Table::Holding, (5, 1), 125, TIMEOUT).await
    };
    let ((answered, asked), read) = tokio::join!(other, ours);
    assert_eq!(read.unwrap(), [42]);
    assert!(asked[0] >= answered + ms(4), "{:?} after the answer", asked[0] - answered);
    assert!(asked[0] < answered + ms(12), "{:?} after the answer", asked[0] - answered);
    let counters = line.counters();
    assert_eq!((counters.collisions, counters.noise_bytes), (2, 0), "{counters:?}");
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_never_silent_is_used_all_the_same() {
    let (near, far) = tokio::io::duplex(1024);
    let (mut from, mut to) = tokio::io::split(far);
    let mut line =
        Line::serial(near, SerialMatcher::rtu(), Pace::Task(ms(4)), tap(trace::Framing::Rtu));
    let mut noise = tokio::task::JoinSet::new();
    noise.spawn(async move {
        while to.write_all(&[0x55]).await.is_ok() {
            tokio::time::sleep(ms(1)).await;
        }
    });
    let asked =
        tokio::join!(async { line.read(7, Table::Holding, (5, 1), 125, TIMEOUT).await }, async {
            from.read_exact(&mut [0; 8]).await.map(|_| Instant::now())
        },);
    assert!(asked.0.is_err(), "nobody answers");
    assert!(asked.1.is_ok(), "it was asked");
    assert!(line.counters().noise_bytes >= 400);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_needs_a_pause_gets_it_and_no_other() {
    let mut slave = line(|_| Deed::well());
    slave.line.pause_after(7, ms(20));
    let mut gaps = Vec::new();
    for unit in [7, 7, 8, 8, 7] {
        let started = Instant::now();
        slave.line.read(unit, Table::Holding, (5, 1), 125, TIMEOUT).await.unwrap();
        gaps.push(started.elapsed() >= ms(20));
    }
    assert_eq!(gaps, [false, true, true, false, false]);
}
