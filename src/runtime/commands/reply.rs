//! The answer to a command, as JSON, and the way back to whoever sent it.
//!
//! One tag: `{"ok":true,"v":42.5,"verified":true,"ts":…}`, or `{"ok":false,"code":…,"reason":…}`.
//! Several: the same for each under `tags`, and `ok` for all of them together.

use crate::broker::Publish;
use crate::codec::json as payload;
use crate::model::{Origin, Outcome, Qos, Refusal, SetRequest, TopicName, Value, Wall};
use crate::runtime::doors::Doors;

/// What an MQTT 5 answer says besides its payload.
const CODE: &str = "code";

/// One tag of an answer.
pub struct Answer<'a> {
    pub tag: &'a str,
    pub outcome: &'a Outcome,
    /// What was asked for; `None` where it was no value.
    pub asked: Option<&'a Value>,
}

/// The answer for a single tag.
pub fn one(outcome: &Outcome, asked: Option<&Value>, at: Wall) -> Vec<u8> {
    let mut body = Vec::with_capacity(128);
    body.push(b'{');
    put(&mut body, outcome, asked);
    body.extend_from_slice(format!(",\"ts\":{}}}", at.0).as_bytes());
    body
}

/// The answer for several.
pub fn many(answers: &[Answer<'_>], at: Wall) -> Vec<u8> {
    let mut body = Vec::with_capacity(128 * answers.len());
    let refused = first_refusal(answers.iter().map(|answer| answer.outcome));
    match refused {
        None => body.extend_from_slice(b"{\"ok\":true"),
        Some(refusal) => {
            body.extend_from_slice(b"{\"ok\":false,\"code\":");
            payload::put_text(&mut body, refusal.code());
        }
    }
    body.extend_from_slice(b",\"tags\":{");
    for (at, Answer { tag, outcome, asked }) in answers.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        payload::put_text(&mut body, tag);
        body.extend_from_slice(b":{");
        put(&mut body, outcome, *asked);
        body.push(b'}');
    }
    body.extend_from_slice(format!("}},\"ts\":{}}}", at.0).as_bytes());
    body
}

/// The refusal that says most about a command: the first that is not the fault of another tag.
pub fn first_refusal<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Option<&'a Refusal> {
    let refused = outcomes.filter_map(|outcome| match outcome {
        Outcome::Refused(refusal) => Some(refusal),
        _ => None,
    });
    refused.min_by_key(|refusal| **refusal == Refusal::NotWritten)
}

fn put(body: &mut Vec<u8>, outcome: &Outcome, asked: Option<&Value>) {
    let verified = match outcome {
        Outcome::Done { .. } => "\"verified\":true",
        Outcome::Acknowledged => "\"verified\":false",
        Outcome::Broadcast => "\"sent\":true,\"verified\":false",
        Outcome::Refused(refusal) => {
            body.extend_from_slice(b"\"ok\":false,\"code\":");
            payload::put_text(body, refusal.code());
            body.extend_from_slice(b",\"reason\":");
            payload::put_text(body, &refusal.to_string());
            match refusal {
                Refusal::ReadBack(value) => {
                    body.extend_from_slice(b",\"v\":");
                    payload::put_value(body, value);
                }
                Refusal::TooSoon { next } => {
                    let next = format!(",\"next_ms\":{}", next.as_millis());
                    body.extend_from_slice(next.as_bytes());
                }
                _ => {}
            }
            return;
        }
    };
    body.extend_from_slice(b"\"ok\":true,");
    let value = if let Outcome::Done { read_back } = outcome { Some(read_back) } else { asked };
    if let Some(value) = value {
        body.extend_from_slice(b"\"v\":");
        payload::put_value(body, value);
        body.push(b',');
    }
    body.extend_from_slice(verified.as_bytes());
}

/// Sends an answer back the way the request came.
pub fn send(doors: &Doors, request: SetRequest, code: &'static str, body: Vec<u8>) {
    if let Some(answer) = request.answer {
        answer(&body);
    }
    let (topic, correlation) = match request.reply_to {
        Some((topic, data)) => (topic, Some(data)),
        // A set topic has at least four bytes to spare below the protocol's limit only if it is
        // not of the very longest kind; then there is no place for an answer.
        None => match TopicName::new(&format!("{}/result", request.topic)) {
            Ok(topic) => (topic, None),
            Err(_) => return,
        },
    };
    match request.origin {
        Origin::Lan(_) | Origin::Person(_) | Origin::Safe => {
            if let Some(broker) = doors.broker() {
                broker.publish(Publish {
                    topic,
                    payload: body.into(),
                    qos: Qos::AtLeastOnce,
                    retain: false,
                    correlation,
                    user_property: Some((CODE, code)),
                    expiry: None,
                });
            }
        }
        Origin::Uplink(name) => {
            if let Some(uplink) = doors.uplink(&name) {
                match correlation {
                    Some(data) => uplink.answer(topic, body, data, (CODE, code)),
                    None => uplink.reply(topic, body),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn text(body: Vec<u8>) -> String {
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn an_answer_says_what_is_known() {
        let asked = Value::F64(42.5);
        for (outcome, want) in [
            (Outcome::Done { read_back: asked.clone() }, r#""ok":true,"v":42.5,"verified":true"#),
            (Outcome::Acknowledged, r#""ok":true,"v":42.5,"verified":false"#),
            (Outcome::Broadcast, r#""ok":true,"v":42.5,"sent":true,"verified":false"#),
            (
                Outcome::Refused(Refusal::ReadBack(Value::U64(7))),
                r#""ok":false,"code":"read-back","reason":"the device acknowledged the write, but then held 7","v":7"#,
            ),
            (
                Outcome::Refused(Refusal::TooSoon { next: Duration::from_millis(640) }),
                r#""ok":false,"code":"too-soon","reason":"too soon after the last command; the next is taken in 640 ms","next_ms":640"#,
            ),
        ] {
            assert_eq!(text(one(&outcome, Some(&asked), Wall(9))), format!("{{{want},\"ts\":9}}"));
        }
    }

    #[test]
    fn several_tags_answer_together_and_each_for_itself() {
        let (done, not, failed) = (
            Outcome::Done { read_back: Value::U64(1) },
            Outcome::Refused(Refusal::NotWritten),
            Outcome::Refused(Refusal::Exception(4)),
        );
        let answer = |tag, outcome| Answer { tag, outcome, asked: None };
        let all = [answer("a", &done), answer("b", &not), answer("c", &failed)];
        let got: serde_json::Value = serde_json::from_slice(&many(&all, Wall(9))).unwrap();
        assert_eq!((&got["ok"], &got["code"]), (&false.into(), &"exception".into()));
        assert_eq!(got["tags"]["a"]["v"], 1);
        assert_eq!(got["tags"]["b"]["code"], "not-written");
        let got: serde_json::Value = serde_json::from_slice(&many(&all[..1], Wall(9))).unwrap();
        assert_eq!((&got["ok"], got.get("code")), (&true.into(), None));
    }
}
