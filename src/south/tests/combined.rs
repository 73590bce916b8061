//! Two faults at once, each in every pairing, on lines with and without echo: never a wrong value.
//!
//! `FIELDHOLD_READS=100000` reads as often as that in all; without it a bounded number. Left out is
//! what no master can see: an answer that is late and of another request's length at once.

use std::time::Duration;

use super::scripted::{Asked, Deed, Tally, start};
use crate::config::Framing;

/// In all, when nothing else is said.
const READS: usize = 9_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Late,
    Silent,
    NoiseBefore,
    NoiseAfter,
    ForeignUnit,
    /// Another master asks the same device for the same quantity, and gets its answer.
    OtherMaster,
    Short,
    Damaged,
    Twice,
    InPieces,
}

const FAULTS: [Fault; 10] = [
    Fault::Late,
    Fault::Silent,
    Fault::NoiseBefore,
    Fault::NoiseAfter,
    Fault::ForeignUnit,
    Fault::OtherMaster,
    Fault::Short,
    Fault::Damaged,
    Fault::Twice,
    Fault::InPieces,
];

impl Fault {
    fn hit(self, asked: &Asked, random: &mut fastrand::Rng, deed: &mut Deed) {
        let mut noise = || -> Vec<u8> {
            let length = random.usize(1..40);
            std::iter::repeat_with(|| random.u8(..)).take(length).collect()
        };
        match self {
            Self::Late => deed.late = Duration::from_millis(random.u64(35..140)),
            Self::Silent => deed.instead = Some(Vec::new()),
            Self::NoiseBefore => deed.before.extend(noise()),
            Self::NoiseAfter => deed.after.extend(noise()),
            Self::ForeignUnit => {
                deed.before.extend(asked.frame_of(9, &asked.honest_words(3, asked.count())));
            }
            Self::OtherMaster => {
                let [n1, n0] = asked.count().to_be_bytes();
                let answer = vec![0xEE; 2 * usize::from(asked.count())];
                let pdu = [&[3, 2 * n0][..], &answer].concat();
                deed.before.extend(asked.frame(&[3, 0, 200, n1, n0]));
                deed.before.extend(asked.frame(&pdu));
            }
            Self::Short => {
                let count = random.u16(1..asked.count().max(2));
                deed.instead = Some(asked.frame(&asked.honest_words(3, count)));
            }
            Self::Damaged => {
                let mut frame = asked.frame(&asked.honest());
                let at = random.usize(..frame.len());
                frame[at] ^= 1 << random.u8(..7);
                deed.instead = Some(frame);
            }
            Self::Twice => deed.after.extend(asked.frame(&asked.honest())),
            Self::InPieces => deed.pieces = Some(random.usize(1..9)),
        }
    }
}

fn pairs() -> Vec<(Fault, Fault)> {
    let all = FAULTS.iter().enumerate();
    let pairs = all.flat_map(|(at, first)| FAULTS[at..].iter().map(|second| (*first, *second)));
    pairs.filter(|pair| *pair != (Fault::Late, Fault::Short)).collect()
}

async fn run(framing: Framing, reads: usize) -> Tally {
    let pairs = pairs();
    let each = reads.div_ceil(2 * pairs.len());
    let mut sum = Tally::default();
    for (seed, (first, second)) in pairs.into_iter().enumerate() {
        for echo in [false, true] {
            let mut random = fastrand::Rng::with_seed(seed as u64);
            let mut pauses = random.fork();
            let mut slave = start(framing, echo, move |asked| {
                let mut deed = Deed::well();
                if asked.number % 3 == 0 {
                    first.hit(asked, &mut random, &mut deed);
                }
                if random.bool() {
                    second.hit(asked, &mut random, &mut deed);
                }
                deed
            });
            let mut tally = Tally::default();
            for _ in 0..each {
                slave.read(&mut tally, 5, 10).await;
                // Mostly at once, so that what is late falls into the next exchange.
                if pauses.u8(..4) == 0 {
                    tokio::time::sleep(Duration::from_secs(3)).await;
                }
            }
            let what = format!("{first:?} and {second:?}, echo {echo}: {tally:?}");
            assert_eq!((tally.wrong, tally.link), (0, 0), "{what}");
            // A master that asks for just what we ask, all the time, leaves hardly an answer ours.
            let crowded = first == Fault::OtherMaster || second == Fault::OtherMaster;
            assert!(tally.right > 0 || crowded, "{what}");
            sum.right += tally.right;
            sum.no_answer += tally.no_answer;
            sum.bad_answer += tally.bad_answer;
            sum.exceptions += tally.exceptions;
        }
    }
    sum
}

fn reads() -> usize {
    std::env::var("FIELDHOLD_READS").ok().and_then(|reads| reads.parse().ok()).unwrap_or(READS)
}

#[tokio::test(start_paused = true)]
async fn two_faults_at_once_are_never_a_wrong_value() {
    let tally = run(Framing::Rtu, reads()).await;
    println!("RTU: {tally:?}");
    assert!(tally.right >= reads() / 3, "{tally:?}");
}

#[tokio::test(start_paused = true)]
async fn nor_are_they_in_ascii() {
    let tally = run(Framing::Ascii, reads()).await;
    println!("ASCII: {tally:?}");
    assert!(tally.right >= reads() / 3, "{tally:?}");
}
