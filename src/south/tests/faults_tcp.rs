//! The fault table of Modbus TCP. The gate: never a wrong value, whatever the server does.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use super::scripted::{Deed, TIMEOUT, Tally, mbap, tcp};
use crate::model::Table;
use crate::south::guard::TcpMatcher;
use crate::south::line::{Failure, Line, Write};
use crate::south::silence::Pace;
use crate::south::trace::Tap;

fn all_right(times: usize) -> Tally {
    Tally { right: times, ..Tally::default() }
}

#[tokio::test(start_paused = true)]
async fn a_good_server_is_read_with_ids_of_our_own() {
    let mut slave = tcp(|_| Deed::well());
    assert_eq!(slave.reads(20, 5, 10).await, all_right(20));
    let asked = slave.asked.lock().unwrap();
    let ids: Vec<u16> = asked.iter().map(|asked| u16::from_be_bytes(asked.tid)).collect();
    assert_eq!(ids[0], 0xFFF1, "from the seed on");
    assert!(!ids.contains(&0), "never zero, also where it wraps: {ids:04x?}");
}

/// Behind half a write, the next request would be the other half: register `id` would be set to 0.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_half_sent_is_never_gone_on_with_by_the_next() {
    let (near, mut far) = tokio::io::duplex(20);
    let pace = Pace::Task(Duration::ZERO);
    let mut line = Line::tcp(near, TcpMatcher::new(0xFFF0), pace, Tap::off());
    for _ in 0..2 {
        let result = line.write(7, 10, &Write::Register(1), TIMEOUT).await;
        assert!(matches!(result, Err(Failure::NoAnswer)), "{result:?}");
    }
    let mut took = [0; 20];
    far.read_exact(&mut took).await.unwrap();
    let result = line.write(7, 10, &Write::Register(1), TIMEOUT).await;
    assert!(matches!(result, Err(Failure::Link(_))), "{result:?}");
    drop(line);
    let mut rest = Vec::new();
    far.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "{rest:02x?} after {took:02x?}");
}

#[tokio::test(start_paused = true)]
async fn one_late_answer_costs_one_read() {
    let mut slave = tcp(|asked| match asked.number {
        1 => Deed::late(Duration::from_millis(55)),
        _ => Deed::well(),
    });
    let tally = slave.reads(20, 5, 10).await;
    assert_eq!(tally, Tally { right: 19, no_answer: 1, ..Tally::default() });
    assert_eq!(slave.line.counters().late, 1);
}

#[tokio::test(start_paused = true)]
async fn t8_an_answer_with_a_wrong_id_is_ignored_and_the_right_one_taken() {
    let mut slave = tcp(|asked| {
        let id = u16::from_be_bytes(asked.tid);
        let wrong = [id.wrapping_sub(1), id.wrapping_add(1), 0, 0xFFFF];
        let other = |id: u16| mbap(id.to_be_bytes(), asked.unit, &asked.honest_words(3, 10));
        let before = wrong.into_iter().filter(|other| *other != id).flat_map(other);
        Deed::before(before.collect())
    });
    assert_eq!(slave.reads(20, 5, 10).await, all_right(20));
}

#[tokio::test(start_paused = true)]
async fn wrong_values_under_a_wrong_id_never_come_up() {
    let mut slave = tcp(|asked| {
        let mut stale = asked.clone();
        stale.number = stale.number.wrapping_sub(1);
        let id = u16::from_be_bytes(asked.tid).wrapping_sub(1).to_be_bytes();
        Deed::before(mbap(id, asked.unit, &stale.honest()))
    });
    assert_eq!(slave.reads(20, 5, 10).await, all_right(20));
}

#[tokio::test(start_paused = true)]
async fn only_a_wrong_id_is_a_timeout() {
    let mut slave = tcp(|asked| match asked.number % 2 {
        0 => Deed::instead(mbap([0, 0], asked.unit, &asked.honest())),
        _ => Deed::well(),
    });
    let tally = slave.reads(6, 5, 10).await;
    assert_eq!(tally, Tally { right: 3, no_answer: 3, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn a_broken_header_ends_the_connection() {
    let broken = [
        ("protocol id", 2, [0, 1]),
        ("length 0", 4, [0, 0]),
        ("length 1", 4, [0, 1]),
        ("length 65535", 4, [0xFF, 0xFF]),
    ];
    for (what, at, bytes) in broken {
        let mut slave = tcp(move |asked| {
            let mut frame = asked.frame(&asked.honest());
            if asked.number == 2 {
                frame[at..at + 2].copy_from_slice(&bytes);
            }
            Deed::instead(frame)
        });
        let tally = slave.reads(2, 5, 10).await;
        assert_eq!(tally, Tally { right: 1, link: 1, ..Tally::default() }, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_or_long_answer_is_a_bad_answer_at_once() {
    for given in [0, 2, 9, 11] {
        let mut slave = tcp(move |asked| match asked.number {
            2 => Deed::instead(asked.frame(&asked.honest_words(3, given))),
            _ => Deed::well(),
        });
        let started = tokio::time::Instant::now();
        let tally = slave.reads(5, 5, 10).await;
        assert_eq!(tally, Tally { right: 4, bad_answer: 1, ..Tally::default() }, "{given}");
        assert!(started.elapsed() < TIMEOUT, "not after a timeout");
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_count_that_lies_is_a_bad_answer() {
    let mut slave = tcp(|asked| {
        let mut pdu = asked.honest();
        pdu[1] = 4;
        Deed::instead(asked.frame(&pdu))
    });
    let tally = slave.reads(2, 5, 10).await;
    assert_eq!(tally, Tally { bad_answer: 2, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn another_unit_or_function_under_our_id_is_a_bad_answer() {
    let mut slave = tcp(|asked| match asked.number {
        1 => Deed::instead(mbap(asked.tid, 9, &asked.honest())),
        2 => Deed::instead(asked.frame(&asked.honest_words(4, asked.count()))),
        _ => Deed::well(),
    });
    let tally = slave.reads(5, 5, 10).await;
    assert_eq!(tally, Tally { right: 3, bad_answer: 2, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn frames_in_pieces_and_two_at_once() {
    for pieces in [1, 3, 8] {
        let mut slave = tcp(move |_| Deed { pieces: Some(pieces), ..Deed::well() });
        assert_eq!(slave.reads(3, 5, 4).await, all_right(3));
    }
    let mut slave = tcp(|asked| Deed { after: asked.frame(&asked.honest()), ..Deed::well() });
    assert_eq!(slave.reads(10, 5, 4).await, all_right(10), "each answer comes twice");
}

#[tokio::test(start_paused = true)]
async fn exceptions_come_through_with_their_code() {
    let mut slave = tcp(|asked| Deed::instead(asked.frame(&[0x83, 11])));
    let result = slave.line.read(7, Table::Holding, (5, 3), 125, TIMEOUT).await;
    assert!(matches!(result, Err(Failure::Exception { code: 11, doubtful: false })), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_echo_differs_is_no_success() {
    let mut slave = tcp(|asked| {
        let mut pdu = asked.honest();
        let last = pdu.len() - 1;
        pdu[last] ^= 1;
        Deed::instead(asked.frame(&pdu))
    });
    for write in [Write::Register(77), Write::Registers(vec![1, 2]), Write::Coils(vec![true; 9])] {
        let result = slave.line.write(7, 5, &write, TIMEOUT).await;
        assert!(matches!(result, Err(Failure::BadAnswer)), "{write:?}: {result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_third_late_and_random_faults() {
    for seed in 0..150 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut slave = tcp(move |asked| match random.u8(..7) {
            0 => Deed::late(Duration::from_millis(random.u64(35..100))),
            1 => Deed::silence(),
            2 => Deed { overtaken: true, ..Deed::late(Duration::from_millis(random.u64(45..200))) },
            3 => Deed::instead(asked.frame(&asked.honest_words(3, random.u16(1..10)))),
            4 => Deed { pieces: Some(random.usize(1..9)), ..Deed::well() },
            _ => Deed::well(),
        });
        let tally = slave.reads(40, 5, 10).await;
        assert_eq!((tally.wrong, tally.link), (0, 0), "seed {seed}: {tally:?}");
        assert!(tally.right > 0, "seed {seed}: {tally:?}");
    }
}
