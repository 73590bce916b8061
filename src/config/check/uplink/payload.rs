//! What messages of readings look like and where they go, live and from a backlog.

use std::sync::Arc;

use super::topics::Topics;
use crate::config::check::ISA_95;
use crate::config::defaults::{
    TEMPLATE_BYTES_MAX, TOPIC_BACKLOG, TOPIC_DEVICE, TOPIC_ISA_95, TOPIC_THINGSBOARD,
};
use crate::config::keys;
use crate::config::problem::{Complaint, Findings, closest};
use crate::config::section::{Field, Section};
use crate::config::template::{LiveTopic, OF_TAG, Template};
use crate::config::values::{self, quoted};
use crate::model::{Form, Holds, PayloadPiece, PayloadPlace, PayloadTemplate, TopicName};

const FORMS: [(&str, Form); 9] = [
    ("plain", Form::Plain),
    ("tag", Form::Tag),
    ("group", Form::Group),
    ("columnar", Form::Columnar),
    ("cbor", Form::Cbor),
    ("line-protocol", Form::LineProtocol),
    ("senml-json", Form::SenmlJson),
    ("senml-cbor", Form::SenmlCbor),
    ("thingsboard", Form::ThingsBoard),
];

/// What a template of the user may name of a reading.
const PLACES: [(&str, PayloadPlace); 11] = [
    ("value", PayloadPlace::Value),
    ("unit", PayloadPlace::Unit),
    ("quality", PayloadPlace::Quality),
    ("time", PayloadPlace::Time),
    ("seconds", PayloadPlace::Seconds),
    ("iso", PayloadPlace::Iso),
    ("tag", PayloadPlace::Tag),
    ("device", PayloadPlace::Device),
    ("topic", PayloadPlace::Topic),
    ("id", PayloadPlace::Id),
    ("class", PayloadPlace::Class),
];

pub(super) struct Payloads {
    pub live: Form,
    pub live_topic: LiveTopic,
    pub backlog: Form,
    /// `None` only after something was reported.
    pub backlog_topic: Option<TopicName>,
    pub deflate: bool,
}

pub(super) fn check(
    section: &Section<'_>,
    prefix: &str,
    topics: &Topics<'_>,
    out: &mut Findings,
) -> Payloads {
    let live = section.get("payload").and_then(|field| form(field, topics, out));
    let live = live.unwrap_or(Form::Tag);
    let part = section.section("backlog", &keys::BACKLOG, out);
    let backlog = part.get("payload").and_then(|field| form(field, topics, out));
    // What a service takes live, it takes later as well; only its own form is sure to be read.
    let backlog = backlog.unwrap_or(match live {
        Form::ThingsBoard => Form::ThingsBoard,
        _ => Form::Columnar,
    });
    let deflate = part.scalar("deflate", out, values::boolean).unwrap_or(false);
    if deflate && backlog == Form::ThingsBoard {
        let message = "ThingsBoard does not take what is deflated";
        let hint = "leave deflate out, or choose another payload for the backlog";
        out.error(&part.spot_of("deflate"), Complaint::new(message).hint(hint));
    }
    share_topic(&live, &backlog, section, &part, out);
    // Messages of one reading, in either of the two, go by the live topic.
    let one = live.holds() == Holds::One || backlog.holds() == Holds::One;
    let live_topic = section.scalar("topic", out, |text| pattern(text, &live, one, topics));
    let topic = part.scalar("topic", out, |text| topics.render(text));
    let default = if backlog == Form::ThingsBoard { TOPIC_THINGSBOARD } else { TOPIC_BACKLOG };
    let topic = topic.or_else(|| topics.render(default).ok());
    let backlog_topic = topic.and_then(|topic| TopicName::new(&format!("{prefix}{topic}")).ok());
    if backlog_topic.is_none() {
        out.error(&part.spot, "the backlog has no valid topic");
    }
    Payloads {
        live_topic: live_topic.unwrap_or_else(|| default_topic(&live, one, topics)),
        live,
        backlog,
        backlog_topic,
        deflate,
    }
}

/// Payloads of one reading and of several can't have `topic` in common: it names the tag for the one.
fn share_topic(
    live: &Form,
    backlog: &Form,
    section: &Section<'_>,
    part: &Section<'_>,
    out: &mut Findings,
) {
    let [live, backlog] = [live, backlog].map(Form::holds);
    // Those of many have backlog.topic.
    let share = backlog != Holds::Many;
    if share && (live == Holds::One) != (backlog == Holds::One) {
        let spot = if part.get("payload").is_some() {
            part.spot_of("payload")
        } else {
            section.spot_of("payload")
        };
        let message = "one of the two payloads, live and of the backlog, holds one reading and the other \
                       several, and both go to topic: every message would hold one reading";
        let hint =
            "choose columnar or another of many readings for the backlog, or the same for both";
        out.error(&spot, Complaint::new(message).hint(hint));
    }
}

fn default_topic(live: &Form, one: bool, topics: &Topics<'_>) -> LiveTopic {
    if one {
        return LiveTopic::OfTag;
    }
    let text = if *live == Form::ThingsBoard { TOPIC_THINGSBOARD } else { TOPIC_DEVICE };
    bound(text, topics).unwrap_or(LiveTopic::OfTag)
}

fn pattern(
    text: &str,
    live: &Form,
    one: bool,
    topics: &Topics<'_>,
) -> Result<LiveTopic, Complaint> {
    let isa_95 = text == ISA_95;
    let text = if isa_95 { TOPIC_ISA_95 } else { text };
    if isa_95 && live.holds() != Holds::One && !one {
        return bound(text.trim_end_matches("/{tag}"), topics);
    }
    let topic = bound(text, topics)?;
    if one && topic.may_join_tags() {
        let message = "names no {device} or no {tag}, so several tags would share one topic";
        let hint = "name both, or choose a payload that says of which tag it is";
        return Err(Complaint::new(message).hint(hint));
    }
    Ok(topic)
}

fn bound(text: &str, topics: &Topics<'_>) -> Result<LiveTopic, Complaint> {
    let known = [Topics::placeholders(), &OF_TAG].concat();
    Ok(LiveTopic::Pattern(Template::parse(text, &known)?.bind(&topics.values)?))
}

/// A word, or `{ template: … }`.
fn form(field: &Field<'_>, topics: &Topics<'_>, out: &mut Findings) -> Option<Form> {
    if !field.is_mapping() {
        return field.scalar(out, values::word(&FORMS));
    }
    let section = field.section(&keys::PAYLOAD, out);
    let text = section.required("template", out, values::text(TEMPLATE_BYTES_MAX))?;
    let template = section.scalar("template", out, |_| template(&text, topics))?;
    Some(Form::Template(Arc::new(template)))
}

/// Placeholders are words in braces; any other brace stands for itself, so that JSON can be written.
fn template(text: &str, topics: &Topics<'_>) -> Result<PayloadTemplate, Complaint> {
    let mut pieces = Vec::new();
    let (mut rest, mut plain) = (text, String::new());
    while let Some((before, after)) = rest.split_once('{') {
        plain.push_str(before);
        match after.split_once('}').filter(|(word, _)| is_word(word)) {
            Some((word, behind)) => {
                if !plain.is_empty() {
                    pieces.push(PayloadPiece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(piece(word, topics)?);
                rest = behind;
            }
            None => {
                plain.push('{');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(PayloadPiece::Text(plain));
    }
    if !pieces.contains(&PayloadPiece::Place(PayloadPlace::Value)) {
        return Err(Complaint::new("says nothing of the value").hint("write {value} in it"));
    }
    let json = pieces.first().is_some_and(|piece| match piece {
        PayloadPiece::Text(text) => text.trim_start().starts_with(['{', '[']),
        PayloadPiece::Known(_) | PayloadPiece::Place(_) => false,
    });
    if json {
        makes_json(&pieces)?;
    }
    Ok(PayloadTemplate { pieces, json })
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn piece(word: &str, topics: &Topics<'_>) -> Result<PayloadPiece, Complaint> {
    if let Some((_, place)) = PLACES.iter().find(|(name, _)| *name == word) {
        return Ok(PayloadPiece::Place(*place));
    }
    if let Some((_, value)) = topics.values.iter().find(|(name, _)| *name == word) {
        return Ok(PayloadPiece::Known(value.unwrap_or_default().to_owned()));
    }
    let known =
        || PLACES.iter().map(|(name, _)| *name).chain(Topics::placeholders().iter().copied());
    let message = format!("the placeholder {} is unknown", quoted(word));
    let hint = match closest(word, known()) {
        Some(close) => format!("did you mean {{{close}}}?"),
        None => format!("known here: {{{}}}", known().collect::<Vec<_>>().join("}, {")),
    };
    Err(Complaint::new(message).hint(hint))
}

/// Whether it is JSON with a number and with a text for the value.
fn makes_json(pieces: &[PayloadPiece]) -> Result<(), Complaint> {
    let sample = |value: &str| {
        let texts = pieces.iter().map(|piece| match piece {
            PayloadPiece::Text(text) => text.as_str(),
            PayloadPiece::Place(PayloadPlace::Value) => value,
            // Stand for themselves as numbers, or within quotes.
            PayloadPiece::Place(PayloadPlace::Time | PayloadPlace::Seconds) => "1",
            PayloadPiece::Known(_) | PayloadPiece::Place(_) => "x",
        });
        serde_json::from_str::<serde::de::IgnoredAny>(&texts.collect::<String>())
    };
    for value in ["1", "\"x\""] {
        if let Err(error) = sample(value) {
            let message = format!("begins like JSON and does not make JSON: {error}");
            let hint = "{value} makes its own quotes; every other text needs them around it";
            return Err(Complaint::new(message).hint(hint));
        }
    }
    Ok(())
}
