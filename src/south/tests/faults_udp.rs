//! The fault table of datagrams. The gate: never a wrong value, whatever gets lost, comes late,
//! twice, cut or in another order; and nothing that comes ends the exchange with others.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::scripted::{TIMEOUT, mbap, value};
use crate::model::Table;
use crate::south::guard::TcpMatcher;
use crate::south::line::{Failure, Line, Write};
use crate::south::silence::Pace;
use crate::south::trace::Tap;

/// Datagrams in memory: each chunk that is written is one chunk that is read.
struct Packets {
    out: mpsc::Sender<Vec<u8>>,
    back: mpsc::Receiver<Vec<u8>>,
}

impl AsyncRead for Packets {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.back.poll_recv(cx).map(|packet| {
            // As a socket does, what there is no room for is lost.
            let packet = packet.unwrap_or_default();
            buf.put_slice(&packet[..packet.len().min(buf.remaining())]);
            Ok(())
        })
    }
}

impl AsyncWrite for Packets {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        frame: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let _ = self.out.try_send(frame.to_vec());
        Poll::Ready(Ok(frame.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A request by its number, and the honest answer to it.
struct Asked {
    number: u16,
    tid: u16,
    answer: Vec<u8>,
}

/// Datagrams to send, each after this time.
type Script = Box<dyn FnMut(&Asked) -> Vec<(u64, Vec<u8>)> + Send>;

fn start(mut script: Script) -> (Line, JoinSet<()>) {
    let (out, mut requests) = mpsc::channel::<Vec<u8>>(16);
    let (answers, back) = mpsc::channel(64);
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut flying = JoinSet::new();
        let mut number = 0;
        while let Some(request) = requests.recv().await {
            number += 1;
            let [t0, t1, _, _, _, _, unit, ref pdu @ ..] = request[..] else {
                panic!("{request:?}")
            };
            let answer = mbap([t0, t1], unit, &honest(pdu, number));
            for (after, packet) in
                script(&Asked { number, tid: u16::from_be_bytes([t0, t1]), answer })
            {
                let answers = answers.clone();
                flying.spawn(async move {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    let _ = answers.try_send(packet);
                });
            }
        }
    });
    let matcher = TcpMatcher::new(0xFFF0).in_datagrams();
    (Line::tcp(Packets { out, back }, matcher, Pace::Task(Duration::ZERO), Tap::off()), server)
}

fn honest(pdu: &[u8], number: u16) -> Vec<u8> {
    let word = |at: usize| u16::from_be_bytes([pdu[at], pdu[at + 1]]);
    let mut answer = vec![pdu[0], u8::try_from(word(3) * 2).unwrap_or(0)];
    match pdu[0] {
        3 => {
            for at in 0..word(3) {
                answer.extend(value(word(1) + at, number).to_be_bytes());
            }
            answer
        }
        _ => pdu.to_vec(),
    }
}

/// Right, wrong, unanswered, badly answered.
async fn reads(line: &mut Line, times: u16) -> [u16; 4] {
    let mut tally = [0; 4];
    for number in 1..=times {
        let result = line.read(7, Table::Holding, (5, 3), 125, TIMEOUT).await;
        let at = match result {
            Ok(words) if words == [5, 6, 7].map(|at| value(at, number)) => 0,
            Ok(_) => 1,
            Err(Failure::NoAnswer) => 2,
            Err(Failure::BadAnswer) => 3,
            Err(failure) => panic!("{failure}"),
        };
        tally[at] += 1;
    }
    tally
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_is_a_timeout_and_what_is_late_is_nothing() {
    let (mut line, _server) = start(Box::new(|asked| match asked.number {
        2 => vec![],
        4 => vec![(55, asked.answer.clone())],
        // Twice, once together with the next answer.
        _ => vec![(1, asked.answer.clone()), (2, asked.answer.clone())],
    }));
    assert_eq!(reads(&mut line, 20).await, [18, 0, 2, 0]);
    assert!(line.counters().late >= 17, "{:?}", line.counters());
}

#[tokio::test(start_paused = true)]
async fn several_of_the_longest_answers_may_come_in_one_datagram() {
    let (mut line, _server) = start(Box::new(|asked| {
        let other = |tid: u16| [&tid.to_be_bytes(), &asked.answer[2..]].concat();
        let before = (1..5).flat_map(|ago| other(asked.tid.wrapping_sub(ago)));
        vec![(1, before.chain(asked.answer.clone()).collect())]
    }));
    let words = line.read(7, Table::Holding, (5, 125), 125, TIMEOUT).await.unwrap();
    assert_eq!(words, (5..130).map(|at| value(at, 1)).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn broken_datagrams_are_counted_and_end_nothing() {
    let (mut line, _server) = start(Box::new(|asked| {
        let mut protocol = asked.answer.clone();
        protocol[2] = 1;
        let mut length = asked.answer.clone();
        length[5] += 1;
        let half = asked.answer[..9].to_vec();
        let rest = asked.answer[9..].to_vec();
        let broken = [protocol, length, half, rest, vec![0; 512], vec![7]];
        let broken = broken.into_iter().map(|packet| (1, packet));
        broken.chain([(2, asked.answer.clone())]).collect()
    }));
    assert_eq!(reads(&mut line, 20).await, [20, 0, 0, 0]);
    assert!(line.counters().noise_bytes > 20 * 512, "{:?}", line.counters());
}

#[tokio::test(start_paused = true)]
async fn another_id_unit_function_or_shape() {
    let (mut line, _server) = start(Box::new(|asked| {
        let with = |at: usize, byte: u8| {
            let mut packet = asked.answer.clone();
            packet[at] = byte;
            packet
        };
        let mut before = asked.answer.clone();
        before[..2].copy_from_slice(&asked.tid.wrapping_sub(1).to_be_bytes());
        match asked.number % 4 {
            0 => vec![(1, before), (2, asked.answer.clone())],
            1 => vec![(1, with(6, 9))],
            2 => vec![(1, with(7, 4))],
            _ => vec![(1, with(8, 2))],
        }
    }));
    assert_eq!(reads(&mut line, 8).await, [2, 0, 0, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_write_needs_its_own_echo() {
    let (mut line, _server) = start(Box::new(|asked| {
        let mut packet = asked.answer.clone();
        if asked.number == 2 {
            packet[11] ^= 1;
        }
        vec![(1, packet)]
    }));
    assert!(line.write(7, 5, &Write::Register(77), TIMEOUT).await.is_ok());
    let result = line.write(7, 5, &Write::Register(77), TIMEOUT).await;
    assert!(matches!(result, Err(Failure::BadAnswer)), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn any_order_and_any_loss_and_never_a_wrong_value() {
    for seed in 0..150 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut line, _server) = start(Box::new(move |asked| {
            let copies = random.usize(0..4);
            let mut packets = Vec::new();
            for _ in 0..copies {
                let mut packet = asked.answer.clone();
                match random.u8(..6) {
                    0 => packet.truncate(random.usize(1..packet.len())),
                    // All but the id, which a checksum of the network protects.
                    1 => packet[random.usize(2..8)] ^= 1 << random.u8(..8),
                    2 => packet.extend(asked.answer.clone()),
                    _ => {}
                }
                packets.push((random.u64(..150), packet));
            }
            packets
        }));
        let [right, wrong, ..] = reads(&mut line, 40).await;
        assert_eq!(wrong, 0, "seed {seed}");
        assert!(right > 0, "seed {seed}");
    }
}
