//! A page of the trace, as it is told over the control socket and read by the command line.

use serde::{Deserialize, Serialize};

use super::{Framing, Piece, Purpose, Record, Ring, Tap, Verdict, Way};
use crate::model::Wall;
use crate::south::guard::GuardCounters;

/// Exchanges on one page at most; who wants more asks again.
const PAGE_EXCHANGES_MAX: usize = 500;
/// Bytes of the line on one page at most, which its text is two or three times as long as.
const PAGE_BYTES_MAX: usize = 64 * 1024;

/// A clock that moved by as much was set.
const WALL_STEP_US: u64 = 100_000;

/// Some exchanges of a bus, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Page {
    /// The link, as people write it.
    pub link: String,
    pub framing: Framing,
    /// Names this trace: another number means that the bus was started anew and counts from 0.
    pub trace: u64,
    /// What to ask for to go on.
    pub next: u64,
    /// Whether there are more already.
    pub more: bool,
    /// Exchanges from the number asked for on that were no longer kept.
    pub lost: u64,
    pub exchanges: Vec<Exchange>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Exchange {
    pub number: u64,
    /// Microseconds since 1970 of its first byte, by the wall clock as it is now.
    pub at_us: i64,
    /// From the request to the verdict.
    pub took_us: u64,
    pub device: Option<String>,
    pub purpose: Purpose,
    pub verdict: Verdict,
    /// Frames and bytes beside the request and its answer.
    pub also: GuardCounters,
    /// Grows with every connection of the link.
    pub connection: u32,
    pub parts: Vec<Part>,
    /// Bytes that were not kept.
    pub cut: u32,
}

/// Bytes that went or came in one piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// From the exchange's first byte.
    pub after_us: u32,
    pub way: Way,
    #[serde(with = "hex")]
    pub bytes: Vec<u8>,
}

impl Tap {
    /// The exchanges from number `since` on; `wall` is the time now.
    pub(crate) fn page(&self, link: String, since: u64, wall: Wall) -> Page {
        self.lock().page(link, since, wall)
    }
}

impl Ring {
    fn page(&mut self, link: String, since: u64, wall: Wall) -> Page {
        let kept = u64::try_from(self.kept.len()).unwrap_or(u64::MAX);
        let oldest = self.next.saturating_sub(kept);
        let first = since.clamp(oldest, self.next);
        let skip = usize::try_from(first - oldest).unwrap_or(usize::MAX);
        let origin_us = self.origin_wall_us(wall);
        let mut exchanges = Vec::new();
        let mut bytes = 0;
        for (number, record) in (first..).zip(self.kept.iter().skip(skip)) {
            if exchanges.len() >= PAGE_EXCHANGES_MAX || bytes >= PAGE_BYTES_MAX {
                break;
            }
            bytes += record.bytes.len();
            exchanges.push(self.exchange(number, record, origin_us));
        }
        let next = exchanges.last().map_or(first, |last| last.number + 1);
        Page {
            link,
            framing: self.framing,
            trace: self.id,
            next,
            more: next < self.next,
            lost: first.saturating_sub(since),
            exchanges,
        }
    }

    /// The clock counts milliseconds, so what it says of the origin wavers by one; only a step of
    /// the clock is followed, or times would run backwards from page to page.
    fn origin_wall_us(&mut self, wall: Wall) -> i64 {
        let now_us = i64::try_from(self.origin.elapsed().as_micros()).unwrap_or(i64::MAX);
        let new = wall.0.saturating_mul(1000).saturating_sub(now_us);
        let kept = self.origin_wall_us.filter(|kept| new.abs_diff(*kept) < WALL_STEP_US);
        *self.origin_wall_us.insert(kept.unwrap_or(new))
    }

    fn exchange(&self, number: u64, record: &Record, origin_us: i64) -> Exchange {
        let part = |(Piece { after_us, way, .. }, bytes): (Piece, &[u8])| Part {
            after_us,
            way,
            bytes: bytes.to_vec(),
        };
        let at_us = i64::try_from(record.at_us).unwrap_or(i64::MAX);
        Exchange {
            number,
            at_us: origin_us.saturating_add(at_us),
            took_us: record.took_us,
            device: record.device.and_then(|device| self.devices.get(device)).cloned(),
            purpose: record.purpose,
            verdict: record.verdict,
            also: record.also,
            connection: record.connection,
            parts: record.parts().map(part).collect(),
            cut: record.cut,
        }
    }
}

/// Bytes as hexadecimal text.
mod hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
        bytes.ok_or_else(|| D::Error::custom("not hexadecimal"))
    }
}
