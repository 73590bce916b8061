//! Another master on our line: its requests, and the answers to them.
//!
//! A serial line belongs to one master; where a second one talks all the same, its exchanges are told
//! from ours by their content: a frame that is a request was not sent by a device, and the frame
//! that answers it is not for us. What can't be told is an answer of the very shape that we wait
//! for: a request like ours that goes over the line during our exchange spoils it. Pure.

use std::collections::VecDeque;

use super::Expect;
use super::expect::{Judgement, word};

/// Requests whose answers have not been seen; the oldest is forgotten.
const OPEN_MAX: usize = 32;
/// Most registers and bits in one request (Modbus Application Protocol V1.1b3, 6.1 and 6.3).
const REGISTERS_MAX: u16 = 125;
const BITS_MAX: u16 = 2000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Others {
    open: VecDeque<Request>,
    /// Its answer would come now, if it comes.
    waiting: bool,
}

#[derive(Debug)]
struct Request {
    expect: Expect,
    /// It came since our own open request.
    during: bool,
    answered: bool,
    /// The line has been told of it.
    told: bool,
}

impl Others {
    /// Whether this sound frame answers a request of another master.
    pub(super) fn answers(&mut self, unit: u8, pdu: &[u8]) -> bool {
        let fits = |request: &&mut Request| {
            request.expect.unit == unit
                && !request.answered
                && matches!(request.expect.judge(pdu), Judgement::Answer | Judgement::Exception)
        };
        let Some(request) = self.open.iter_mut().find(fits) else { return false };
        request.answered = true;
        self.waiting = false;
        true
    }

    /// Whether this sound frame is a request; not ours, as we did not send it.
    pub(super) fn asks(&mut self, unit: u8, pdu: &[u8]) -> bool {
        let Some(expect) = Expect::of(unit, pdu).filter(|_| is_request(pdu)) else { return false };
        if self.open.len() >= OPEN_MAX {
            self.open.pop_front();
        }
        // Nobody answers a broadcast.
        if unit != 0 {
            self.waiting = true;
            self.open.push_back(Request { expect, during: true, answered: false, told: false });
        }
        true
    }

    /// We send a request, so what was asked before no longer counts as during it.
    pub(super) fn begin(&mut self) {
        self.waiting = false;
        self.open.retain(|request| !request.answered);
        self.open.iter_mut().for_each(|request| request.during = false);
    }

    /// Whether an answer to `expect` may be meant for another master.
    pub(super) fn spoils(&self, expect: &Expect, judgement: Judgement) -> bool {
        self.open.iter().filter(|request| request.during).any(
            |Request { expect: other, .. }| {
                let same = other.unit == expect.unit && other.function == expect.function;
                same && (judgement == Judgement::Exception || other == expect)
            },
        )
    }

    /// Whether a device is about to answer another master.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Requests that were not answered yet, each once.
    pub(super) fn take(&mut self) -> Vec<Expect> {
        let fresh = self.open.iter_mut().filter(|request| !request.told && !request.answered);
        fresh
            .map(|request| {
                request.told = true;
                request.expect.clone()
            })
            .collect()
    }
}

/// Whether a device answers this function with a frame that could as well be a request.
pub(super) fn is_echoed(function: u8) -> bool {
    matches!(function, 5 | 6 | 22)
}

/// Whether it has exactly the length and the fields of a request.
fn is_request(pdu: &[u8]) -> bool {
    let quantity = |most: u16| word(pdu, 3).is_some_and(|count| (1..=most).contains(&count));
    let counted = |at: usize| pdu.get(at).is_some_and(|n| pdu.len() == at + 1 + usize::from(*n));
    match pdu.first() {
        Some(1 | 2) => pdu.len() == 5 && quantity(BITS_MAX),
        Some(3 | 4) => pdu.len() == 5 && quantity(REGISTERS_MAX),
        Some(5) => pdu.len() == 5 && matches!(word(pdu, 3), Some(0 | 0xFF00)),
        Some(6) => pdu.len() == 5,
        Some(15) => counted(5) && quantity(BITS_MAX),
        Some(16) => counted(5) && quantity(REGISTERS_MAX),
        Some(22) => pdu.len() == 7,
        Some(23) => counted(9) && quantity(REGISTERS_MAX),
        Some(43) => pdu.len() == 4,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASK: [u8; 5] = [3, 0, 10, 0, 2];
    const ANSWER: [u8; 6] = [3, 4, 1, 2, 3, 4];

    #[test]
    fn a_request_and_its_answer_belong_together() {
        let mut others = Others::default();
        assert!(!others.answers(7, &ANSWER), "nobody asked");
        assert!(!others.asks(7, &ANSWER), "an answer is no request");
        assert!(others.asks(7, &ASK));
        assert!(others.is_waiting());
        others.begin();
        assert!(!others.answers(8, &ANSWER), "of another unit");
        assert!(others.answers(7, &ANSWER));
        assert!(!others.answers(7, &ANSWER), "only once");
        assert!(others.asks(7, &[6, 0, 1, 0, 2]) && others.answers(7, &[6, 0, 1, 0, 2]));
        assert!(others.asks(0, &[6, 0, 1, 0, 2]) && !others.is_waiting(), "a broadcast");
        assert!(others.asks(7, &ASK) && others.answers(7, &[0x83, 2]));
    }

    #[test]
    fn only_a_request_like_ours_spoils_our_exchange() {
        let ours = Expect::of(7, &[3, 0, 50, 0, 2]).unwrap();
        let spoilt = |unit: u8, pdu: &[u8]| {
            let mut others = Others::default();
            assert!(others.asks(unit, pdu));
            let answer = others.spoils(&ours, Judgement::Answer);
            let exception = others.spoils(&ours, Judgement::Exception);
            others.begin();
            assert!(!others.spoils(&ours, Judgement::Exception), "it was before");
            (answer, exception)
        };
        assert_eq!(spoilt(7, &ASK), (true, true));
        assert_eq!(spoilt(7, &[3, 0, 10, 0, 3]), (false, true), "another length");
        assert_eq!(spoilt(7, &[4, 0, 10, 0, 2]), (false, false), "another function");
        assert_eq!(spoilt(8, &ASK), (false, false), "another unit");
    }

    #[test]
    fn the_line_is_told_once_and_nothing_grows() {
        let mut others = Others::default();
        for _ in 0..100 {
            assert!(others.asks(7, &ASK));
        }
        assert_eq!(others.open.len(), OPEN_MAX);
        assert_eq!(others.take().len(), OPEN_MAX);
        assert!(others.take().is_empty());
    }

    #[test]
    fn what_has_not_the_form_of_a_request_is_none() {
        let requests: [&[u8]; 9] = [
            &[1, 0, 0, 7, 208],
            &[4, 0, 0, 0, 125],
            &[5, 0, 1, 0xFF, 0],
            &[6, 0, 1, 2, 3],
            &[15, 0, 0, 0, 3, 1, 5],
            &[16, 0, 0, 0, 1, 2, 1, 2],
            &[22, 0, 4, 0, 0xF2, 0, 0x25],
            &[23, 0, 0, 0, 2, 0, 9, 0, 1, 2, 1, 2],
            &[43, 14, 1, 0],
        ];
        for pdu in requests {
            assert!(is_request(pdu), "{pdu:?}");
            assert!(!is_request(&[pdu, &[0]].concat()), "{pdu:?} and more");
            assert!(!is_request(&pdu[..pdu.len() - 1]), "{pdu:?} cut");
        }
        for pdu in [&[3, 0, 0, 0, 126][..], &[1, 0, 0, 0, 0], &[5, 0, 1, 1, 0], &[7], &[]] {
            assert!(!is_request(pdu), "{pdu:?}");
        }
    }
}
