//! What lies north of the field: uplinks with their queues, the store, the LAN broker, commands,
//! and units that are not well.

use serde_json::Value;

use super::account;
use super::field::reason;
use super::json::{
    ago, bytes, count, entries, flag, items, number, real, signed, some, span, text,
};
use crate::model::tone::{Line, Tone};

/// Characters of a queue's bar.
const BAR: usize = 20;

/// How much is said of an uplink's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// One line of accounting per class.
    Classes,
    /// A bar that is full at so many waiting readings, and the accounting.
    Queue { full: u64, classes: bool },
}

pub fn lines(status: &Value, detail: Detail) -> Vec<Line> {
    let mut out = uplinks_in(status, detail);
    out.extend(store(status));
    out.extend(broker(status));
    out.extend(super::commands::lines(status));
    out.extend(units(status));
    out
}

/// Only the uplinks, with all that is known of them.
pub fn uplinks(status: &Value) -> Vec<Line> {
    uplinks_in(status, Detail::Classes)
}

fn uplinks_in(status: &Value, detail: Detail) -> Vec<Line> {
    entries(status, "/uplinks")
        .flat_map(|(name, uplink)| one_uplink(status, name, uplink, detail))
        .collect()
}

fn one_uplink(status: &Value, name: &str, uplink: &Value, detail: Detail) -> Vec<Line> {
    let state = text(uplink, "/state");
    let tone = match state {
        "online" => Tone::Good,
        "offline" => Tone::Bad,
        _ => Tone::Doubt,
    };
    let rate = real(uplink, "/acked_rows_per_s");
    let mut out = vec![
        Line::new()
            .add(Tone::Strong, "uplink ")
            .left(Tone::Plain, name, 12)
            .text(" ")
            .state(tone, state, 13)
            .text(format!(" {rate:.0} delivered/s "))
            .add(Tone::Faint, format!("· {}", text(uplink, "/peer"))),
    ];
    if state == "offline" {
        let since = ago(signed(status, "/gateway/wall_ms"), signed(uplink, "/since"));
        let next = some(uplink, "/next_try_ms").then(|| number(uplink, "/next_try_ms"));
        out.push(reason(text(uplink, "/reason"), since, next));
        let advice = text(uplink, "/advice");
        if !advice.is_empty() {
            out.push(Line::new().text(format!("       next: {advice}")));
        }
    }
    for problem in ["/store_problem", "/remote_problem"] {
        if some(uplink, problem) {
            out.push(reason(text(uplink, problem), None, None));
        }
    }
    out.extend(refused(uplink));
    if let Some(consumer) = items(status, "/store/consumers").find(|c| text(c, "/name") == name) {
        out.extend(queue(consumer, uplink, detail));
    }
    out.extend(certificates(status, uplink));
    out.extend(local(uplink));
    out
}

/// Topics whose messages the broker does not take now, and notices that it never will.
fn refused(uplink: &Value) -> Vec<Line> {
    let bad = |words: String| Line::new().text("       ").add(Tone::Bad, words);
    let named: Vec<&Value> = items(uplink, "/refused").collect();
    let count = number(uplink, "/refused_topics");
    let more = count.saturating_sub(u64::try_from(named.len()).unwrap_or(u64::MAX));
    let mut out: Vec<Line> =
        named.iter().map(|topic| bad(text(topic, "/reason").to_owned())).collect();
    if more > 0 {
        out.push(bad(format!("and so on {more} more topics")));
    }
    let notices = number(uplink, "/notices_refused");
    if notices > 0 {
        out.push(bad(format!("{notices} notices of losses can never be told here")));
    }
    out
}

/// Certificates of this side that end soon.
fn certificates(status: &Value, uplink: &Value) -> Vec<Line> {
    let now = signed(status, "/gateway/wall_ms");
    let line = |certificate: &Value| {
        let ends = signed(certificate, "/ends_ms")?;
        let days = ends.saturating_sub(now?).div_euclid(86_400_000);
        let what = text(certificate, "/what");
        let (tone, words) = match days {
            ..0 => (Tone::Bad, "is no longer valid".to_owned()),
            days if days < RENEW_DAYS => (Tone::Doubt, format!("is valid for {days} more days")),
            _ => return None,
        };
        Some(Line::new().add(tone, format!("       the {what} certificate {words}")))
    };
    items(uplink, "/certificates").filter_map(line).collect()
}

/// What came from the cloud for the clients of this network.
fn local(uplink: &Value) -> Option<Line> {
    let published = number(uplink, "/local/published");
    let turned: Vec<_> = entries(uplink, "/local/turned")
        .map(|(why, n)| format!("{why} {}", n.as_u64().unwrap_or(0)))
        .collect();
    if published == 0 && turned.is_empty() {
        return None;
    }
    let line = Line::new().text(format!("       {published} received and published here"));
    Some(match turned.is_empty() {
        true => line,
        false => line.add(Tone::Doubt, format!(", not published: {}", turned.join(", "))),
    })
}

fn queue(consumer: &Value, uplink: &Value, detail: Detail) -> Vec<Line> {
    let sum = account::sum(consumer);
    let classes = account::classes(consumer);
    let mut out = Vec::new();
    let (bar, by_class) = match detail {
        Detail::Classes => (None, true),
        Detail::Queue { full, classes } => (Some(full), classes),
    };
    if let Some(full) = bar {
        let (filled, rest) = bar_of(sum.waiting, full);
        let tone = if sum.waiting > 0 && text(uplink, "/state") != "online" {
            Tone::Doubt
        } else {
            Tone::Good
        };
        let line = Line::new().text("       queue ").add(tone, filled).add(Tone::Faint, rest);
        out.push(line.text(format!(" {} waiting{}", sum.waiting, outlook(consumer, uplink))));
    }
    if by_class {
        let shown = classes.iter().map(|(class, account)| (*class, *account));
        out.extend(shown.map(|(class, account)| equation(class, account)));
    } else {
        out.push(equation("all", sum));
    }
    let losses = account::losses(consumer);
    if !losses.is_empty() {
        out.push(Line::new().add(Tone::Doubt, format!("       dropped: {}", losses.join(", "))));
    }
    out
}

fn equation(class: &str, account: account::Account) -> Line {
    let tone = if account.holds() { Tone::Plain } else { Tone::Bad };
    Line::new().text(format!("       {class:<7}")).add(tone, account.to_string())
}

pub(super) fn set_aside(status: &Value, path: &str) -> Vec<Line> {
    items(status, path)
        .map(|file| {
            let (name, why) = (text(file, "/file"), text(file, "/why"));
            let (back, lost) = (number(file, "/salvaged"), number(file, "/lost"));
            let (tone, came) = match (flag(file, "/done"), lost) {
                (false, _) => (Tone::Doubt, format!("; {back} are back so far, {lost} looked for")),
                (true, 0) => (Tone::Doubt, format!("; {back} are back, nothing is lost")),
                (true, _) => (Tone::Bad, format!("; {back} are back, {lost} are lost")),
            };
            Line::new().add(tone, format!("       {name} was set aside: {why}{came}"))
        })
        .collect()
}

/// How old the oldest that waits is, and when nothing will wait any more.
fn outlook(consumer: &Value, uplink: &Value) -> String {
    let mut out = String::new();
    let oldest = items(consumer, "/classes").map(|row| number(row, "/oldest_ms")).max();
    if let Some(ms) = oldest.filter(|ms| *ms >= 1000) {
        out += &format!(", oldest {}", span(ms));
    }
    if let Some(s) = uplink.pointer("/eta_s").and_then(Value::as_u64).filter(|s| *s > 0)
        && text(uplink, "/state") == "online"
    {
        out += &format!(", empty in {}", span(s.saturating_mul(1000)));
    }
    out
}

fn bar_of(waiting: u64, full: u64) -> (String, String) {
    let cells = waiting.saturating_mul(BAR as u64).div_ceil(full.max(1));
    let filled = usize::try_from(cells).unwrap_or(BAR).min(BAR);
    ("█".repeat(filled), "░".repeat(BAR - filled))
}

fn store(status: &Value) -> Vec<Line> {
    let state = text(status, "/store/state");
    let tone = match state {
        "ok" | "memory-only" => Tone::Good,
        "ram-only" => Tone::Bad,
        _ => Tone::Doubt,
    };
    let mut line = Line::new()
        .add(Tone::Strong, "store  ")
        .left(Tone::Plain, "", 12)
        .text(" ")
        .state(tone, state, 13)
        .text(format!(
            " {:.1} of {:.0} MB on disk",
            real(status, "/store/disk_bytes") / 1e6,
            real(status, "/store/disk_bytes_max") / 1e6,
        ));
    line = line
        .add(Tone::Faint, format!(" · {} kB in memory", number(status, "/store/ram_bytes") / 1000));
    if some(status, "/store/loss_bound_ms") {
        let bound = span(number(status, "/store/loss_bound_ms"));
        line = line.add(Tone::Faint, format!(" · a power cut loses at most the last {bound}"));
    }
    let mut out = vec![line];
    let why = text(status, "/store/why");
    let last = text(status, "/store/last_error");
    if !why.is_empty() || !last.is_empty() {
        out.push(reason(if why.is_empty() { last } else { why }, None, None));
    }
    out.extend(status.pointer("/store").and_then(wear));
    out.extend(set_aside(status, "/store/quarantined"));
    let violations = items(status, "/store/violations").filter_map(Value::as_str);
    out.extend(violations.map(|what| {
        Line::new().add(Tone::Bad, format!("       the accounts contradict themselves: {what}"))
    }));
    out
}

/// What is written in a day, and how long the card lasts; nothing while that is not known.
pub(super) fn wear(store: &Value) -> Option<Line> {
    some(store, "/wear/store_bytes_per_day").then(|| {
        let mut said = format!("       {}/day", bytes(number(store, "/wear/store_bytes_per_day")));
        if some(store, "/wear/process_bytes_per_day") {
            let all = bytes(number(store, "/wear/process_bytes_per_day"));
            said += &format!(" ({all}/day with all else)");
        }
        if some(store, "/wear/card_years") {
            let card = bytes(number(store, "/wear/endurance_bytes"));
            let years = match real(store, "/wear/card_years") {
                years if years > 100.0 => "more than 100".to_owned(),
                years if years >= 10.0 => format!("{years:.0}"),
                years => format!("{years:.1}"),
            };
            said += &format!(", card of {card} lasts {years} years");
        }
        Line::new().add(Tone::Faint, said)
    })
}

fn broker(status: &Value) -> Vec<Line> {
    if !some(status, "/broker") {
        return Vec::new();
    }
    let clients = number(status, "/broker/connections");
    let mut out = vec![
        Line::new()
            .add(Tone::Strong, "broker ")
            .left(Tone::Plain, "", 12)
            .text(" ")
            .state(Tone::Good, "listening", 13)
            .text(format!(" {}", count(clients, "client"))),
    ];
    out.extend(
        items(status, "/broker/listeners").flat_map(|listener| one_listener(status, listener)),
    );
    if some(status, "/broker_file") {
        out.extend(kept(status));
    }
    out
}

/// What of the broker survives a restart, and what does not.
pub(super) fn kept(status: &Value) -> Vec<Line> {
    let indented = |tone, text: &str| Line::new().add(tone, format!("       {text}"));
    let size = bytes(number(status, "/broker_file/file_bytes"));
    let mut out = vec![match text(status, "/broker_file/state") {
        "ok" => {
            let waiting = number(status, "/broker_file/waiting");
            let waiting = count(waiting, "change");
            indented(
                Tone::Faint,
                &format!("sessions and messages on disk: {size}, {waiting} waiting"),
            )
        }
        "closed" => indented(Tone::Faint, &format!("sessions and messages on disk: {size}")),
        "memory-only" => indented(Tone::Faint, "sessions and messages end with the gateway"),
        _ => {
            let why = text(status, "/broker_file/why");
            indented(Tone::Bad, &format!("sessions and messages can't be written: {why}"))
        }
    }];
    let (late_tone, late) = match flag(status, "/broker_file/incomplete") {
        true => (Tone::Bad, "not written for want of memory, and not all written since"),
        false => (Tone::Doubt, "written late for want of memory"),
    };
    for (path, tone, words) in [
        ("/broker_file/counters/rows_damaged", Tone::Bad, "damaged, and left out"),
        ("/broker_file/counters/left_out", late_tone, late),
    ] {
        let rows = number(status, path);
        if rows > 0 {
            out.push(indented(tone, &format!("{} {words}", count(rows, "row"))));
        }
    }
    out.extend(items(status, "/broker_file/quarantined").map(|file| {
        let (name, why) = (text(file, "/file"), text(file, "/why"));
        let back = match number(file, "/salvaged") {
            0 => String::new(),
            rows => format!("; {} of it are in use", count(rows, "row")),
        };
        indented(Tone::Bad, &format!("{name} was set aside: {why}{back}"))
    }));
    out
}

/// A certificate that ends this soon is somebody's work.
const RENEW_DAYS: i64 = 30;

fn one_listener(status: &Value, listener: &Value) -> Vec<Line> {
    let clients = number(listener, "/connections");
    let at = format!("{} {}", text(listener, "/kind"), text(listener, "/at"));
    let mut line =
        Line::new().text("       ").left(Tone::Plain, &at, 34).text(count(clients, "client"));
    let ends = signed(listener, "/certificate_ends_ms");
    if let Some((ends, now)) = ends.zip(signed(status, "/gateway/wall_ms")) {
        let days = ends.saturating_sub(now).div_euclid(86_400_000);
        let (tone, words) = match days {
            ..0 => (Tone::Bad, "certificate is no longer valid".to_owned()),
            days => {
                let tone = if days < RENEW_DAYS { Tone::Doubt } else { Tone::Faint };
                (tone, format!("certificate valid for {days} days"))
            }
        };
        line = line.add(Tone::Faint, " · ").add(tone, words);
    }
    let mut out = vec![line];
    if some(listener, "/certificate_problem") {
        let problem = text(listener, "/certificate_problem");
        out.push(reason(&format!("the certificate before stays in use: {problem}"), None, None));
    }
    out
}

/// Only units that are not well.
fn units(status: &Value) -> Vec<Line> {
    entries(status, "/units")
        .filter(|(_, unit)| text(unit, "/state") != "running")
        .map(|(name, unit)| {
            let (state, why) = (text(unit, "/state"), text(unit, "/reason"));
            Line::new().state(Tone::Bad, &format!("{name}: {state}"), 0).text(format!(" · {why}"))
        })
        .collect()
}
