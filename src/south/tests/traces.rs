//! What the trace says of a line that misbehaves: the verdicts, the bytes, the times.

use std::time::Duration;

use super::scripted::{Asked, Deed, Scripted, Tally, start, tcp};
use crate::config::Framing;
use crate::model::Wall;
use crate::south::guard::frame_rtu;
use crate::south::trace::{self, Exchange, Role, Verdict, Way, frames};

const LATE: Duration = Duration::from_millis(55);

fn exchanges(slave: &Scripted) -> Vec<Exchange> {
    slave.tap.page(String::new(), 0, Wall(1_000_000_000)).exchanges
}

/// The exchange of one read that the script answers in its way.
async fn one(mut slave: Scripted) -> Exchange {
    slave.read(&mut Tally::default(), 5, 2).await;
    let [only] = exchanges(&slave).try_into().expect("one exchange");
    only
}

fn cut(asked: &Asked, by: usize) -> Vec<u8> {
    let mut frame = asked.frame(&asked.honest());
    frame.truncate(frame.len() - by);
    frame
}

fn damaged(asked: &Asked) -> Vec<u8> {
    let mut frame = asked.frame(&asked.honest());
    frame[4] ^= 1;
    frame
}

#[tokio::test(start_paused = true)]
async fn every_verdict_of_a_serial_line() {
    let verdict =
        async |script: fn(&Asked) -> Deed| one(start(Framing::Rtu, false, script)).await.verdict;
    assert_eq!(verdict(|_| Deed::well()).await, Verdict::Ok);
    assert_eq!(verdict(|_| Deed::silence()).await, Verdict::Timeout);
    assert_eq!(verdict(|a| Deed::instead(cut(a, 2))).await, Verdict::Short);
    assert_eq!(verdict(|a| Deed::instead(cut(a, 5))).await, Verdict::Short);
    assert_eq!(verdict(|a| Deed::instead(damaged(a))).await, Verdict::Crc);
    let longer = |a: &Asked| Deed::instead(a.frame(&a.honest_words(3, 9)));
    assert_eq!(verdict(longer).await, Verdict::WrongShape);
    let foreign = |a: &Asked| Deed::instead(frame_rtu(9, &a.honest()));
    assert_eq!(verdict(foreign).await, Verdict::Foreign);
    assert_eq!(verdict(|_| Deed::instead(vec![0xAA; 3])).await, Verdict::Noise);
    assert_eq!(verdict(|a| Deed::instead(a.frame(&[0x83, 4]))).await, Verdict::Exception(4));
    let echo = one(start(Framing::Rtu, true, |_| Deed::silence())).await;
    assert_eq!((echo.verdict, echo.also.echoes), (Verdict::Echo, 1));
    let noise = one(start(Framing::Rtu, false, |_| Deed::before(vec![0x55; 3]))).await;
    assert_eq!((noise.verdict, noise.also.noise_bytes), (Verdict::Ok, 3));
}

#[tokio::test(start_paused = true)]
async fn every_verdict_of_a_tcp_connection() {
    let verdict = async |script: fn(&Asked) -> Deed| one(tcp(script)).await.verdict;
    assert_eq!(verdict(|_| Deed::well()).await, Verdict::Ok);
    assert_eq!(verdict(|_| Deed::silence()).await, Verdict::Timeout);
    let short = |a: &Asked| Deed::instead(a.frame(&a.honest())[..9].to_vec());
    assert_eq!(verdict(short).await, Verdict::Short);
    let longer = |a: &Asked| Deed::instead(a.frame(&a.honest_words(3, 9)));
    assert_eq!(verdict(longer).await, Verdict::WrongShape);
    assert_eq!(verdict(|a| Deed::instead(a.frame(&[0x83, 2]))).await, Verdict::Exception(2));
    assert_eq!(verdict(|_| Deed::instead(vec![0xFF; 12])).await, Verdict::Link);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_shown_where_it_came() {
    let mut slave = start(Framing::Rtu, false, |asked| match asked.number {
        1 => Deed::late(LATE),
        2 => Deed::silence(),
        _ => Deed::well(),
    });
    slave.reads(3, 5, 2).await;
    let seen = exchanges(&slave);
    let words: Vec<_> = seen.iter().map(|exchange| exchange.verdict).collect();
    assert_eq!(words, [Verdict::Timeout, Verdict::Late, Verdict::Ok]);
    assert_eq!(seen[1].also.late, 1);
}

#[tokio::test(start_paused = true)]
async fn the_bytes_are_those_of_the_wire_with_their_times() {
    let late = Duration::from_millis(20);
    let script = move |_: &Asked| Deed { pieces: Some(4), ..Deed::late(late) };
    let seen = one(start(Framing::Rtu, false, script)).await;
    let request = frame_rtu(7, &[3, 0, 5, 0, 2]);
    assert_eq!((seen.parts[0].way, &seen.parts[0].bytes), (Way::Out, &request));
    let answer: Vec<u8> = seen.parts[1..].iter().flat_map(|part| part.bytes.clone()).collect();
    assert_eq!(answer, frame_rtu(7, &[3, 4, 5, 1, 6, 1]));
    let after: Vec<_> = seen.parts.iter().map(|part| part.after_us).collect();
    assert!(after[1] >= 20_000 && after[2] >= after[1] + 1_000, "{after:?}");
    assert!(seen.took_us >= 22_000, "{}", seen.took_us);
}

#[tokio::test(start_paused = true)]
async fn what_else_came_is_named_where_it_lies() {
    let roles = async |slave: Scripted| {
        let seen = one(slave).await;
        frames(trace::Framing::Rtu, &seen).iter().map(|frame| frame.role).collect::<Vec<_>>()
    };
    let noise = roles(start(Framing::Rtu, false, |_| Deed::before(vec![0x55; 3]))).await;
    assert_eq!(noise, [Role::Request, Role::Noise, Role::Answer]);
    let echo = roles(start(Framing::Rtu, true, |_| Deed::well())).await;
    assert_eq!(echo, [Role::Request, Role::Echo, Role::Answer]);
    let foreign =
        roles(start(Framing::Rtu, false, |a| Deed::before(frame_rtu(9, &a.honest())))).await;
    assert_eq!(foreign, [Role::Request, Role::Foreign, Role::Answer]);
    let silence = roles(start(Framing::Rtu, false, |_| Deed::silence())).await;
    assert_eq!(silence, [Role::Request]);

    let mut slave = start(Framing::Rtu, false, |asked| match asked.number {
        1 => Deed::late(LATE),
        _ => Deed::well(),
    });
    slave.reads(2, 5, 2).await;
    let second = &exchanges(&slave)[1];
    let late = frames(trace::Framing::Rtu, second);
    assert!(late.iter().any(|frame| frame.role == Role::Late), "{late:?}");
    assert_eq!(late.last().map(|frame| frame.role), Some(Role::Answer));
}
