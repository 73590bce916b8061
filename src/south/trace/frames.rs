//! The frames in bytes that were traced, and what each of them is: request, answer, echo, late.
//!
//! The same rules as in the guard, used afterwards: a frame is sound or it is none.

use super::{Exchange, Framing, Verdict, Way};
use crate::south::guard::sound_frame;

const MBAP_BYTES: usize = 7;
/// Unit and PDU, as the header counts them.
const MBAP_LENGTHS: std::ops::RangeInclusive<usize> = 2..=254;

/// What bytes of an exchange turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Request,
    Answer,
    Echo,
    Late,
    Foreign,
    /// Belongs to no frame.
    Noise,
}

/// Unit and PDU of a frame; `None` for bytes that are none.
pub type Content = Option<(u8, Vec<u8>)>;

/// A frame, or bytes between frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// From the exchange's first byte to this one's first.
    pub after_us: u32,
    pub role: Role,
    pub bytes: Vec<u8>,
    pub content: Content,
}

/// The frames of an exchange in the order of the wire.
pub fn frames(framing: Framing, exchange: &Exchange) -> Vec<Frame> {
    let mut out: Vec<Frame> = Vec::new();
    let mut sent = None;
    let mut rest = exchange.parts.as_slice();
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|part| part.way == first.way).count();
        let (run, after) = rest.split_at_checked(same).unwrap_or((rest, &[]));
        rest = after;
        let bytes: Vec<u8> = run.iter().flat_map(|part| part.bytes.iter().copied()).collect();
        let mut starts = Vec::new();
        for part in run {
            starts.extend(std::iter::repeat_n(part.after_us, part.bytes.len()));
        }
        let before = out.len();
        let mut at = 0;
        for (length, content) in split(framing, &bytes) {
            let part = bytes.get(at..at + length).unwrap_or_default().to_vec();
            let after_us = starts.get(at).copied().unwrap_or(first.after_us);
            let role = match (first.way, &content) {
                (Way::Out, _) => Role::Request,
                (Way::In, None) => Role::Noise,
                (Way::In, Some(_)) => Role::Foreign,
            };
            out.push(Frame { after_us, role, bytes: part, content });
            at += length;
        }
        match first.way {
            Way::Out => sent = out.get(before).cloned(),
            Way::In => name_roles(framing, exchange, sent.as_ref(), out.get_mut(before..)),
        }
    }
    out
}

/// What the frames are that came after the request `sent`, or before any.
fn name_roles(
    framing: Framing,
    exchange: &Exchange,
    sent: Option<&Frame>,
    came: Option<&mut [Frame]>,
) {
    let Some(came) = came else { return };
    let answered = matches!(exchange.verdict, Verdict::Ok | Verdict::Exception(_));
    if framing == Framing::Other {
        let role = if answered { Role::Answer } else { Role::Noise };
        came.iter_mut().for_each(|frame| frame.role = role);
        return;
    }
    if let Some(sent) = sent {
        // The answer ended the exchange, so it is the last frame that can be it.
        if let Some(answer) =
            came.iter_mut().rev().find(|frame| answered && fits(framing, sent, frame))
        {
            answer.role = Role::Answer;
        }
        if exchange.also.echoes > 0
            && let Some(echo) = came
                .iter_mut()
                .find(|frame| frame.role != Role::Answer && frame.bytes == sent.bytes)
        {
            echo.role = Role::Echo;
        }
    }
    let others = came.iter_mut().filter(|frame| frame.role == Role::Foreign);
    let late = usize::try_from(exchange.also.late).unwrap_or(usize::MAX);
    // On TCP all that is not the answer is an answer to something else.
    let late = if framing == Framing::Mbap { usize::MAX } else { late };
    let unit = |frame: &Frame| frame.content.as_ref().map(|(unit, _)| *unit);
    let ours = others.filter(|frame| sent.is_none_or(|sent| unit(sent) == unit(frame)));
    ours.take(late).for_each(|frame| frame.role = Role::Late);
}

/// Whether a frame can be the answer to the request.
fn fits(framing: Framing, sent: &Frame, frame: &Frame) -> bool {
    let (Some((unit, asked)), Some((from, said))) = (&sent.content, &frame.content) else {
        return false;
    };
    let function = |pdu: &[u8]| pdu.first().map(|function| function & 0x7F);
    let same_id = framing != Framing::Mbap || sent.bytes.get(..2) == frame.bytes.get(..2);
    unit == from && function(asked) == function(said) && same_id
}

/// Lengths of the frames and of what is between them.
fn split(framing: Framing, bytes: &[u8]) -> Vec<(usize, Content)> {
    let mut out = Vec::new();
    let (mut rest, mut noise) = (bytes, 0);
    while !rest.is_empty() {
        let length = match framing {
            Framing::Mbap => mbap_frame(rest),
            Framing::Rtu => sound_frame(rest),
            Framing::Other => Some(rest.len()),
        };
        let Some((frame, after)) = length.and_then(|length| rest.split_at_checked(length)) else {
            noise += 1;
            rest = rest.get(1..).unwrap_or_default();
            continue;
        };
        if noise > 0 {
            out.push((std::mem::take(&mut noise), None));
        }
        out.push((frame.len(), content(framing, frame)));
        rest = after;
    }
    if noise > 0 {
        out.push((noise, None));
    }
    out
}

fn content(framing: Framing, frame: &[u8]) -> Content {
    let ((Framing::Rtu, [unit, pdu @ .., _, _])
    | (Framing::Mbap, [_, _, _, _, _, _, unit, pdu @ ..])) = (framing, frame)
    else {
        return None;
    };
    Some((*unit, pdu.to_vec()))
}

fn mbap_frame(bytes: &[u8]) -> Option<usize> {
    let [_, _, 0, 0, l1, l0, _] = bytes.first_chunk::<MBAP_BYTES>()? else { return None };
    let length = usize::from(u16::from_be_bytes([*l1, *l0]));
    (MBAP_LENGTHS.contains(&length) && bytes.len() >= MBAP_BYTES - 1 + length)
        .then_some(MBAP_BYTES - 1 + length)
}
