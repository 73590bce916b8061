//! Whether the sensor is asked, with what and how often.

use super::layers::{Layers, unreported};
use super::parts;
use crate::config::defaults::{
    SENSOR_EVERY, SENSOR_EVERY_RANGE, SENSOR_TIMEOUT, SENSOR_TIMEOUT_RANGE, WAKE_PAUSE,
    WAKE_PAUSE_RANGE,
};
use crate::config::keys;
use crate::config::problem::{Complaint, Findings};
use crate::config::section::{Field, Section};
use crate::config::values::{self, quoted};
use crate::model::sensor::{Ask, Handshake, Poll};

const HANDSHAKES: [(&str, Option<Handshake>); 2] =
    [("none", None), ("iec-62056-21", Some(Handshake::Iec62056))];

/// `poll: none`, `poll: 500ms` (the preset says with what), or a mapping over the preset's.
pub(super) fn ask(layers: &Layers<'_, '_>, out: &mut Findings) -> Ask {
    let base = layers.base("poll").and_then(|field| {
        if field.text() == Some("none") {
            return None;
        }
        Some(unreported(|out| field.section(&keys::POLL, out)))
    });
    let Some(field) = layers.own.get("poll") else {
        return base.map_or(Ask::Push, |base| poll(&base, None, out));
    };
    match field.text() {
        Some("none") => Ask::Push,
        Some(text) => {
            let every = field.scalar(out, values::duration(SENSOR_EVERY_RANGE));
            let Some(base) = base else {
                let complaint = Complaint::new(format!("{} says not what is sent", quoted(text)));
                out.error(&field.spot(), complaint.hint("write poll: { send: \"…\", every: … }"));
                return Ask::Push;
            };
            match poll(&base, None, out) {
                Ask::Poll(base) => Ask::Poll(Poll { every: every.unwrap_or(base.every), ..base }),
                Ask::Push => Ask::Push,
            }
        }
        None => {
            let own = field.section(&keys::POLL, out);
            if base.is_none() {
                own.missing("send", out);
            }
            poll(&own, base.as_ref(), out)
        }
    }
}

fn poll(own: &Section<'_>, base: Option<&Section<'_>>, out: &mut Findings) -> Ask {
    let bytes = |key: &str, out: &mut Findings| {
        read(own, base, key, out, |field, out| field.scalar(out, parts::bytes))
    };
    let (send, wake) = (bytes("send", out), bytes("wake", out));
    let time = |key: &str, range, out: &mut Findings| {
        read(own, base, key, out, |field, out| field.scalar(out, values::duration(range)))
    };
    let every = time("every", SENSOR_EVERY_RANGE, out).unwrap_or(SENSOR_EVERY);
    let timeout = time("timeout", SENSOR_TIMEOUT_RANGE, out).unwrap_or(SENSOR_TIMEOUT);
    let wake_pause = time("wake-pause", WAKE_PAUSE_RANGE, out).unwrap_or(WAKE_PAUSE);
    let handshake = read(own, base, "handshake", out, |field, out| {
        field.scalar(out, values::word(&HANDSHAKES))
    });
    Ask::Poll(Poll {
        send: send.unwrap_or_default(),
        every,
        timeout,
        wake: wake.unwrap_or_default(),
        wake_pause,
        handshake: handshake.flatten(),
    })
}

fn read<'a, T>(
    own: &Section<'a>,
    base: Option<&Section<'a>>,
    key: &str,
    out: &mut Findings,
    read: impl FnOnce(&Field<'a>, &mut Findings) -> Option<T>,
) -> Option<T> {
    if let Some(field) = own.get(key) {
        return read(field, out);
    }
    let field = base.and_then(|base| base.get(key))?;
    unreported(|out| read(field, out))
}
