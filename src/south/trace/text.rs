//! Exchanges as lines of text: the bytes, what they mean, what became of it.

use super::{Exchange, Frame, Framing, Page, Purpose, Role, Verdict, frames};
use crate::codec::{pdu, registers};
use crate::config::Plan;
use crate::model::Mono;
use crate::model::tone::{Line, Tone};

/// Bytes shown in one line.
const BYTES_PER_LINE: usize = 24;
/// Tags whose values are shown of one answer.
const TAGS_MAX: usize = 12;

/// What is said once, before everything.
pub fn head(page: &Page) -> Vec<Line> {
    let said = if page.exchanges.is_empty() && page.next == 0 { ", nothing yet" } else { "" };
    vec![
        Line::new()
            .add(Tone::Strong, page.link.clone())
            .add(Tone::Faint, format!(" · times are UTC · # is the number of the exchange{said}")),
    ]
}

pub fn anew() -> Vec<Line> {
    vec![Line::new().add(Tone::Doubt, "--- the bus was started anew ---")]
}

pub fn lost(exchanges: u64) -> Vec<Line> {
    let said = format!("--- {exchanges} exchanges were gone before they could be shown ---");
    vec![Line::new().add(Tone::Doubt, said)]
}

/// One exchange: a line about it, and one or more per frame.
pub fn exchange(page: &Page, exchange: &Exchange, plan: &Plan) -> Vec<Line> {
    let frames = frames(page.framing, exchange);
    let mut out = vec![summary(exchange)];
    let request = frames.iter().find(|frame| frame.role == Role::Request);
    let asked = request.and_then(|frame| frame.content.as_ref()).map(|(_, pdu)| pdu.as_slice());
    let sent_us = request.map_or(0, |frame| frame.after_us);
    for frame in &frames {
        out.extend(bytes(frame, sent_us, &meaning(page.framing, frame, asked)));
        if frame.role == Role::Answer
            && let (Some(asked), Some((_, said))) = (asked, &frame.content)
        {
            out.extend(values(plan, exchange, asked, said));
        }
    }
    if exchange.cut > 0 {
        out.push(Line::new().add(Tone::Faint, format!("    {} more bytes not kept", exchange.cut)));
    }
    out
}

fn summary(exchange: &Exchange) -> Line {
    let tone = match exchange.verdict {
        Verdict::Ok => Tone::Good,
        Verdict::Exception(_) => Tone::Doubt,
        _ => Tone::Bad,
    };
    let mut line = Line::new()
        .add(Tone::Strong, time(exchange.at_us))
        .add(Tone::Faint, format!(" #{} ", exchange.number));
    if let Some(device) = &exchange.device {
        line = line.text(format!("{device} · "));
    }
    line = line.text(format!("{} ", purpose(exchange.purpose))).state(
        tone,
        &exchange.verdict.to_string(),
        0,
    );
    let took = i64::try_from(exchange.took_us).unwrap_or(i64::MAX);
    line.add(Tone::Faint, format!(" after {} ms", Millis(took)))
}

fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Poll => "poll",
        Purpose::Probe => "probe",
        Purpose::Write => "write",
        Purpose::PassThrough => "pass-through",
        Purpose::Hand => "by hand",
    }
}

fn bytes(frame: &Frame, sent_us: u32, meaning: &str) -> Vec<Line> {
    let (arrow, tone) = match frame.role {
        Role::Request => ("→", Tone::Plain),
        Role::Answer => ("←", Tone::Plain),
        Role::Echo | Role::Late | Role::Foreign | Role::Noise => ("←", Tone::Doubt),
    };
    let after = match frame.role {
        Role::Request => String::new(),
        _ => format!("{:+}", Millis(i64::from(frame.after_us) - i64::from(sent_us))),
    };
    let line = |(at, bytes): (usize, &[u8])| {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let (arrow, after) = if at == 0 { (arrow, after.as_str()) } else { ("", "") };
        Line::new().add(tone, format!("  {arrow:1} {after:>10}  {}", hex.join(" ")))
    };
    let mut out: Vec<Line> = frame.bytes.chunks(BYTES_PER_LINE).enumerate().map(line).collect();
    out.push(Line::new().add(Tone::Faint, format!("{:16}{meaning}", "")));
    out
}

/// What a frame says, as the answer to the request `asked`.
pub fn meaning(framing: Framing, frame: &Frame, asked: Option<&[u8]>) -> String {
    let plain = match (&frame.content, frame.role) {
        (Some((unit, pdu)), Role::Request | Role::Echo) => {
            format!("unit {unit}: {}", pdu::request(pdu))
        }
        (Some((unit, pdu)), Role::Answer) => format!("unit {unit}: {}", pdu::answer(asked, pdu)),
        (Some((unit, pdu)), _) => format!("unit {unit}: {}", pdu::answer(None, pdu)),
        (None, _) if framing == Framing::Other => text(&frame.bytes),
        (None, _) => format!("{} bytes that are no frame", frame.bytes.len()),
    };
    match frame.role {
        Role::Request | Role::Answer | Role::Noise => plain,
        Role::Echo => format!("our own request, sent back · {plain}"),
        Role::Late => format!("late, to an earlier request · {plain}"),
        Role::Foreign => format!("foreign, not asked for · {plain}"),
    }
}

/// What is readable of bytes that are no Modbus.
fn text(bytes: &[u8]) -> String {
    let readable = |byte: &u8| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '·',
    };
    format!("\"{}\"", bytes.iter().map(readable).collect::<String>())
}

/// The tags that an answer holds, as the configuration says.
fn values(plan: &Plan, exchange: &Exchange, asked: &[u8], said: &[u8]) -> Option<Line> {
    let read = pdu::read(asked)?;
    let items = pdu::items(&read, said)?;
    let name = exchange.device.as_deref()?;
    let device =
        plan.buses.iter().flat_map(|bus| &bus.devices).find(|d| d.name.as_str() == name)?;
    let shown: Vec<String> = device
        .in_table(read.table)
        .filter_map(|(_, tag, from)| {
            let at = usize::from(from.address.checked_sub(read.start)?);
            let words = items.get(at..at + usize::from(from.coding.span().max(1)))?;
            let decoded = registers::decode(&from.coding, read.table.is_bits(), words);
            let reading = decoded.reading(tag.id, Mono(0));
            Some(match reading.value() {
                Some(value) => format!("{} {value} {}", tag.name, tag.unit).trim_end().to_owned(),
                None => format!("{} {}", tag.name, reading.quality()),
            })
        })
        .take(TAGS_MAX + 1)
        .collect();
    let (kept, more) = match shown.get(..TAGS_MAX) {
        Some(kept) if shown.len() > TAGS_MAX => (kept, ", …"),
        _ => (shown.as_slice(), ""),
    };
    (!kept.is_empty())
        .then(|| Line::new().add(Tone::Plain, format!("{:16}{}{more}", "", kept.join(", "))))
}

/// `13:36:28.104512`.
fn time(at_us: i64) -> String {
    let second = at_us.div_euclid(1_000_000);
    let (hour, minute) =
        (second.div_euclid(3600).rem_euclid(24), second.div_euclid(60).rem_euclid(60));
    let (second, micros) = (second.rem_euclid(60), at_us.rem_euclid(1_000_000));
    format!("{hour:02}:{minute:02}:{second:02}.{micros:06}")
}

/// Microseconds, shown in milliseconds.
struct Millis(i64);

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = match (self.0 < 0, f.sign_plus()) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        let micros = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:03}", micros / 1000, micros % 1000)
    }
}
