//! What an exchange came to, in one word, and what it was for.
//!
//! The guard knows which frames it saw, the line whether one of them was the answer; where there
//! is no answer the word says what came instead of it.

use serde::{Deserialize, Serialize};

use super::{Framing, Record};
use crate::south::guard::{Expect, GuardCounters};
use crate::south::line::Failure;

/// Why the line was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    #[default]
    Poll,
    /// A poll of a device that counts as silent.
    Probe,
    /// A command: the write, and the looks before and after it.
    Write,
    /// Asked for by a client of the bus's server face.
    PassThrough,
    /// Asked for by a person.
    Hand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    Out,
    In,
}

/// What came of it. Where there was an answer: ok or its exception; otherwise what came instead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    #[default]
    Ok,
    Exception(u8),
    /// Nothing came.
    Timeout,
    /// The beginning of an answer.
    Short,
    /// An answer whose checksum is wrong.
    Crc,
    /// A sound answer of another length, or another echo of a write.
    WrongShape,
    /// Only the answer to an earlier request.
    Late,
    /// Only a frame of others.
    Foreign,
    /// Only our own request, sent back by the line.
    Echo,
    /// Only bytes that are no frame.
    Noise,
    /// The link broke.
    Link,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Exception(code) => return write!(f, "exception-{code}"),
            Self::Timeout => "timeout",
            Self::Short => "short",
            Self::Crc => "crc",
            Self::WrongShape => "wrong-shape",
            Self::Late => "late",
            Self::Foreign => "foreign",
            Self::Echo => "echo",
            Self::Noise => "noise",
            Self::Link => "link",
        })
    }
}

/// The word for a request of a guarded line; `also` is what its guard counted during it.
pub(super) fn of(
    result: Result<(), &Failure>,
    also: GuardCounters,
    framing: Framing,
    record: &Record,
) -> Verdict {
    match result {
        Ok(()) => return Verdict::Ok,
        Err(Failure::Exception { code, .. }) => return Verdict::Exception(*code),
        Err(Failure::Link(_)) => return Verdict::Link,
        Err(Failure::NoAnswer | Failure::NotAsked | Failure::BadAnswer) => {}
    }
    let came = record.since_request();
    if also.wrong_shape > 0 {
        return Verdict::WrongShape;
    }
    if let (true, Some(missing)) = (also.damaged > 0, is_missing(record, &came)) {
        return if missing { Verdict::Short } else { Verdict::Crc };
    }
    let seen = [
        (also.damaged, Verdict::Crc),
        (also.late, Verdict::Late),
        (also.foreign + also.collisions, Verdict::Foreign),
        (also.echoes, Verdict::Echo),
        (also.noise_bytes, Verdict::Noise),
    ];
    match seen.into_iter().find(|(count, _)| *count > 0) {
        Some((_, verdict)) => verdict,
        None if came.is_empty() => Verdict::Timeout,
        // On TCP a frame that is not whole is not counted as anything.
        None if framing == Framing::Mbap => Verdict::Short,
        None => Verdict::Noise,
    }
}

/// Whether an answer that began on a serial line lacks bytes; `None` when none began.
fn is_missing(record: &Record, came: &[u8]) -> Option<bool> {
    let request = record.request()?;
    let [unit, pdu @ .., _, _] = request else { return None };
    let expect = Expect::of(*unit, pdu)?;
    let header = request.get(..2)?;
    // Our own request may have been sent back; an answer comes after it.
    let after_echo = came.strip_prefix(request).unwrap_or(came);
    let at = after_echo.windows(2).position(|window| window == header)?;
    let answer = after_echo.get(at..)?;
    let pdu_len = expect.pdu_len(answer.get(1..)?);
    Some(pdu_len.is_none_or(|pdu_len| answer.len() < pdu_len + 3))
}

impl Record {
    fn request(&self) -> Option<&[u8]> {
        self.parts().find(|(piece, _)| piece.way == Way::Out).map(|(_, bytes)| bytes)
    }

    /// What came after the request.
    fn since_request(&self) -> Vec<u8> {
        let after = self.parts().skip_while(|(piece, _)| piece.way == Way::In);
        let mut came = Vec::new();
        for (_, bytes) in after.filter(|(piece, _)| piece.way == Way::In) {
            came.extend_from_slice(bytes);
        }
        came
    }
}
