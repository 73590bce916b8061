//! Buses and the devices on them.

use serde_json::Value;

use super::json::{ago, count, entries, items, number, real, signed, span, text};
use crate::model::tone::{Line, Tone};

/// Characters for a name, and for a state with its shape.
const NAME: usize = 12;
const STATE: usize = 13;

/// A line per bus and device, and one more for every reason why something is not well.
pub fn buses(status: &Value) -> Vec<Line> {
    let now = signed(status, "/gateway/mono_ms");
    entries(status, "/buses").flat_map(|(name, bus)| one_bus(name, bus, now)).collect()
}

fn one_bus(name: &str, bus: &Value, now: Option<i64>) -> Vec<Line> {
    let state = text(bus, "/state/state");
    let up = state == "up";
    let tone = match state {
        "up" => Tone::Good,
        "down" => Tone::Bad,
        _ => Tone::Doubt,
    };
    let mut out = vec![
        Line::new()
            .add(Tone::Strong, "bus    ")
            .left(Tone::Plain, name, NAME)
            .text(" ")
            .state(tone, state, STATE)
            .text(format!(" busy {:>4.1} % ", real(bus, "/utilisation") * 100.0))
            .add(Tone::Faint, format!("· {}", text(bus, "/link")))
            .add(Tone::Plain, peer(bus)),
    ];
    if state == "down" {
        out.push(reason(text(bus, "/state/reason"), ago(now, signed(bus, "/state/since")), None));
    }
    let sensor = bus.get("sensor").filter(|sensor| sensor.is_object());
    out.extend(sensor.map(frames));
    out.extend(on_the_line(bus));
    for device in items(bus, "/devices") {
        out.extend(one_device(device, sensor.is_some(), up, now));
    }
    out.extend(bus.get("share").filter(|share| share.is_object()).map(|share| shared(name, share)));
    out
}

/// What a sensor sent: its frames, and what was none.
fn frames(sensor: &Value) -> Line {
    let mut said = vec![count(number(sensor, "/frames"), "frame")];
    let counters = [
        ("/damaged", "damaged"),
        ("/unmatched", "of no known form"),
        ("/incomplete", "incomplete"),
        ("/too_long", "too long"),
        ("/malformed", "malformed"),
        ("/late", "late"),
        ("/held_back", "held back"),
        ("/noise_bytes", "bytes of noise"),
    ];
    for (path, word) in counters {
        let n = number(sensor, path);
        said.extend((n > 0).then(|| format!("{n} {word}")));
    }
    Line::new().add(Tone::Faint, format!("       {}", said.join(", ")))
}

/// What a line may carry that is no answer: its counter, and how one and many are called.
const NO_ANSWERS: [(&str, &str, &str); 6] = [
    ("/line/collisions", "frame of another master", "frames of another master"),
    ("/line/foreign", "foreign frame", "foreign frames"),
    ("/line/late", "late answer", "late answers"),
    ("/line/damaged", "damaged answer", "damaged answers"),
    ("/line/wrong_shape", "answer of the wrong shape", "answers of the wrong shape"),
    ("/line/noise_bytes", "byte of noise", "bytes of noise"),
];

/// What is to be known of the port and the line behind it, if anything is.
fn on_the_line(bus: &Value) -> Vec<Line> {
    let remarks = items(bus, "/remarks").filter_map(Value::as_str);
    let mut out: Vec<Line> =
        remarks.map(|remark| Line::new().add(Tone::Doubt, format!("       {remark}"))).collect();
    let mut carried: Vec<String> = Vec::new();
    for (path, one, many) in NO_ANSWERS {
        let n = number(bus, path);
        carried.extend((n > 0).then(|| format!("{n} {}", if n == 1 { one } else { many })));
    }
    carried.extend((bus.pointer("/echo") == Some(&Value::Bool(true))).then(|| "local echo".into()));
    if !carried.is_empty() {
        out.push(Line::new().add(Tone::Faint, format!("       {}", carried.join(" · "))));
    }
    out
}

/// Who is at the other end, where the link does not say it.
fn peer(bus: &Value) -> String {
    let refused = number(bus, "/refused_peers");
    let mut said = match text(bus, "/peer") {
        "" => String::new(),
        peer => format!(" · {peer}"),
    };
    if refused > 0 {
        said += &format!(" · {} refused", count(refused, "connection"));
    }
    said
}

/// The server face of a bus.
fn shared(bus: &str, share: &Value) -> Line {
    let state = text(share, "/state/state");
    let tone = match state {
        "listening" => Tone::Good,
        "down" => Tone::Bad,
        _ => Tone::Doubt,
    };
    let line = Line::new()
        .text("share  ")
        .left(Tone::Plain, bus, NAME)
        .text(" ")
        .state(tone, state, STATE)
        .text(format!(" {} ·", text(share, "/listen")));
    if state == "down" {
        return line.add(Tone::Bad, format!(" {}", text(share, "/state/reason")));
    }
    let mut counters = vec![
        count(number(share, "/clients"), "client"),
        count(number(share, "/requests"), "request"),
    ];
    let more = [
        ("/hits", "from the cache"),
        ("/stale", "too old or unknown"),
        ("/passed", "through the line"),
        ("/busy", "too busy"),
        ("/writes", "written"),
        ("/writes_refused", "writes refused"),
        ("/clients_refused", "clients turned away"),
    ];
    for (path, what) in more {
        let n = number(share, path);
        counters.extend((n > 0).then(|| format!("{n} {what}")));
    }
    let mode = text(share, "/mode");
    line.add(Tone::Faint, format!(" {mode} · {}", counters.join(", ")))
}

fn one_device(device: &Value, is_sensor: bool, bus_up: bool, now: Option<i64>) -> Vec<Line> {
    let state = text(device, "/state/state");
    let code = number(device, "/state/code");
    // Of a device behind a dead link nothing is known, whatever its last answer was.
    let (tone, word) = match state {
        "silent" if bus_up => (Tone::Bad, "silent".to_owned()),
        _ if !bus_up => (Tone::Bad, "link-down".to_owned()),
        "ok" => (Tone::Good, "ok".to_owned()),
        "exception" => (Tone::Doubt, format!("exception-{code}")),
        other => (Tone::Doubt, other.to_owned()),
    };
    let mut counters = vec![format!("{} answers", number(device, "/ok"))];
    for (path, noun) in
        [("/timeouts", "timeout"), ("/bad_answers", "bad answer"), ("/exceptions", "exception")]
    {
        let n = number(device, path);
        counters.extend((n > 0).then(|| count(n, noun)));
    }
    let missed = number(device, "/missed_ticks");
    counters.extend((missed > 0).then(|| format!("{missed} missed")));
    let latency = real(device, "/latency_p50_us") / 1000.0;
    let mut out = vec![
        Line::new()
            .text("device ")
            .left(Tone::Plain, text(device, "/name"), NAME)
            .text(" ")
            .state(tone, &word, STATE)
            .text(if is_sensor {
                " sensor  ".to_owned()
            } else {
                format!(" unit {:<3}", number(device, "/unit"))
            })
            .add(Tone::Faint, format!("· {latency:.1} ms · {}", counters.join(", "))),
    ];
    if bus_up && state == "silent" {
        let next = ago(signed(device, "/next_probe_at"), now);
        out.push(reason(
            text(device, "/state/fault"),
            ago(now, signed(device, "/state/since")),
            next,
        ));
    }
    out
}

/// Why something is not well, since when, and when it is tried again.
pub fn reason(why: &str, since_ms: Option<u64>, next_ms: Option<u64>) -> Line {
    let mut said = format!("       {why}");
    if let Some(ms) = since_ms {
        said += &format!(" · for {}", span(ms));
    }
    if let Some(ms) = next_ms {
        said += &format!(" · next try in {}", span(ms));
    }
    Line::new().add(Tone::Bad, said)
}
