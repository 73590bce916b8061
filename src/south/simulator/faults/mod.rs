//! Named faults of lines and devices, composable: what happens to which answer. Pure: the time
//! comes in, and chance comes from a seed.
//!
//! A [`Rule`] is a fault and the answers it hits. Rules are independent of each other, so one answer
//! may be late, in pieces and behind noise at once; what replaces the answer's content comes first,
//! then what damages its frame, then what surrounds it and when.

#[cfg(test)]
mod tests;
mod text;

use std::time::Duration;

pub use self::text::names;
use super::slave::{Asked, Deed, answer};
use crate::config::Framing;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The answer comes this much later.
    Late(Duration),
    /// No answer.
    Silent,
    /// An exception with this code instead of the answer; nothing is carried out.
    Exception(u8),
    /// A sound answer with one register or byte less.
    Short,
    /// A sound answer with one register more.
    Long,
    /// The second half of the answer is missing.
    Cut,
    /// A bit of the answer flips on the way, so its CRC is wrong.
    CrcDamage,
    /// Modbus TCP: the answer has the id of the request before.
    WrongTid,
    /// Modbus TCP: the header's protocol id is not 0.
    BrokenHeader,
    /// The same answer from another unit comes first.
    WrongUnitFirst,
    /// Random bytes instead of the answer.
    Noise(usize),
    /// Random bytes before the answer.
    NoiseBefore(usize),
    /// Random bytes after the answer.
    NoiseAfter(usize),
    /// The request comes back before the answer.
    Echo,
    /// The request and the answer of another master come first.
    ForeignMaster,
    /// The answer comes twice.
    Duplicate,
    /// The answer comes in pieces of so many bytes.
    Drip(usize),
    /// The answer waits this long, and later ones overtake it.
    Swapped(Duration),
    /// The connection ends instead of an answer; a serial adapter is unplugged.
    Disconnect,
}

/// A fault and the answers that it hits.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub fault: Fault,
    /// Only this unit; `None` is all of them.
    pub unit: Option<u8>,
    /// Each answer of so many, counted over the answers that the rest of the rule fits.
    pub every: u32,
    /// The chance of each of those, 0 to 1.
    pub share: f64,
    /// From the start of the simulation.
    pub from: Duration,
    pub to: Duration,
}

impl Rule {
    /// The fault in every answer.
    pub fn always(fault: Fault) -> Self {
        let (from, to) = (Duration::ZERO, Duration::MAX);
        Self { fault, unit: None, every: 1, share: 1.0, from, to }
    }
}

/// The faults of one line.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// With the answers counted for `every`.
    rules: Vec<(Rule, u32)>,
    random: Random,
}

/// Chance that can be repeated.
#[derive(Debug, Clone)]
struct Random(fastrand::Rng);

impl Default for Random {
    fn default() -> Self {
        Self(fastrand::Rng::with_seed(0))
    }
}

impl Fault {
    /// Whether a line of this kind can have it.
    pub fn fits(self, framing: Framing) -> bool {
        match self {
            Self::WrongTid | Self::BrokenHeader => framing == Framing::Tcp,
            Self::CrcDamage | Self::Echo | Self::ForeignMaster => framing != Framing::Tcp,
            _ => true,
        }
    }

    /// The code of an exception.
    fn exception(&self) -> Option<u8> {
        match self {
            Self::Exception(code) => Some(*code),
            _ => None,
        }
    }
}

impl Faults {
    pub fn new(rules: Vec<Rule>, seed: u64) -> Self {
        let rules = rules.into_iter().map(|rule| (rule, 0)).collect();
        Self { rules, random: Random(fastrand::Rng::with_seed(seed)) }
    }

    /// The right answer, unless an exception takes its place, and what is done with it.
    pub fn respond(
        &mut self,
        asked: &Asked,
        framing: Framing,
        now: Duration,
        right: impl FnOnce() -> Option<Vec<u8>>,
    ) -> (Option<Vec<u8>>, Deed) {
        let hits = self.hits(asked, framing, now);
        let refusal = hits.iter().find_map(Fault::exception);
        let right = match (refusal, asked.pdu.first()) {
            (Some(code), Some(function)) => Some(vec![function | 0x80, code]),
            _ => right(),
        };
        let deed = self.deed(&hits, asked, right.as_deref(), framing);
        (right, deed)
    }

    /// The faults that hit the answer to this request.
    fn hits(&mut self, asked: &Asked, framing: Framing, now: Duration) -> Vec<Fault> {
        let mut hits = Vec::new();
        for (rule, seen) in &mut self.rules {
            let meant = rule.unit.is_none_or(|unit| unit == asked.unit)
                && (rule.from..rule.to).contains(&now)
                && rule.fault.fits(framing);
            if !meant {
                continue;
            }
            *seen = (*seen + 1) % rule.every.max(1);
            if *seen == 0 && self.random.0.f64() < rule.share {
                hits.push(rule.fault);
            }
        }
        hits
    }

    /// What becomes of the right answer, `None` if nobody gives one.
    fn deed(
        &mut self,
        hits: &[Fault],
        asked: &Asked,
        right: Option<&[u8]>,
        framing: Framing,
    ) -> Deed {
        let mut deed = Deed::default();
        if hits.is_empty() {
            return deed;
        }
        if let Some(pdu) = right {
            let frame = self.frame(hits, asked, pdu, framing);
            if hits.contains(&Fault::Duplicate) {
                deed.after.clone_from(&frame);
            }
            if hits.contains(&Fault::WrongUnitFirst) {
                deed.before = answer(framing, asked, asked.unit.wrapping_add(1).max(1), pdu);
            }
            deed.instead = Some(frame);
        }
        for hit in hits {
            match *hit {
                Fault::Late(by) => deed.late += by,
                Fault::Swapped(by) => {
                    deed.late += by;
                    deed.overtaken = true;
                }
                Fault::Drip(bytes) => deed.pieces = Some(bytes),
                Fault::Echo => deed.echo = true,
                Fault::NoiseBefore(bytes) => deed.before.extend(self.noise(bytes)),
                Fault::NoiseAfter(bytes) => deed.after.extend(self.noise(bytes)),
                Fault::ForeignMaster => deed.before.extend(foreign(asked, framing)),
                Fault::Disconnect => {
                    deed = Deed { close: true, instead: Some(Vec::new()), ..Deed::default() };
                    break;
                }
                _ => {}
            }
        }
        deed
    }

    /// The answer's frame with what its own faults make of it.
    fn frame(&mut self, hits: &[Fault], asked: &Asked, pdu: &[u8], framing: Framing) -> Vec<u8> {
        let mut pdu = pdu.to_vec();
        for hit in hits {
            match hit {
                Fault::Short => resize(&mut pdu, false),
                Fault::Long => resize(&mut pdu, true),
                _ => {}
            }
        }
        let mut frame = answer(framing, asked, asked.unit, &pdu);
        for hit in hits {
            match *hit {
                Fault::Silent => return Vec::new(),
                Fault::Noise(bytes) => frame = self.noise(bytes),
                Fault::Cut => frame.truncate(frame.len() / 2),
                Fault::CrcDamage => {
                    let at = frame.len().saturating_sub(3);
                    frame.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 0x10);
                }
                Fault::WrongTid => {
                    let id = u16::from_be_bytes(asked.tid).wrapping_sub(1).to_be_bytes();
                    frame.iter_mut().zip(id).for_each(|(byte, id)| *byte = id);
                }
                Fault::BrokenHeader => {
                    frame.iter_mut().skip(3).take(1).for_each(|byte| *byte = 1);
                }
                _ => {}
            }
        }
        frame
    }

    fn noise(&mut self, bytes: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.random.0.u8(..)).take(bytes).collect()
    }
}

/// Makes the answer to a read one register (or byte of bits) longer or shorter, with a byte count
/// that says so; any other answer loses or gains a byte.
fn resize(pdu: &mut Vec<u8>, longer: bool) {
    let step = match pdu.as_slice() {
        [3 | 4 | 23, ..] => 2,
        _ => 1,
    };
    if longer {
        pdu.resize(pdu.len() + step, 0);
    } else {
        pdu.truncate(pdu.len().saturating_sub(step).max(1));
    }
    if let [1..=4 | 23, bytes, data @ ..] = pdu.as_mut_slice() {
        *bytes = u8::try_from(data.len()).unwrap_or(u8::MAX);
    }
}

/// Another master asks the unit above for two registers and gets them.
fn foreign(asked: &Asked, framing: Framing) -> Vec<u8> {
    let unit = asked.unit.wrapping_add(1).max(1);
    let request = answer(framing, asked, unit, &[3, 0, 9, 0, 2]);
    [request, answer(framing, asked, unit, &[3, 4, 0x12, 0x34, 0x56, 0x78])].concat()
}
