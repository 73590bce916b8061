//! A rehearsal in plain words: what comes of it first, then everything, uplink by uplink. Pure.

use crate::cli::view::json::{bytes, count};
use crate::model::tone::{Line, Tone, grouped};
use crate::runtime::rehearsal::{Answer, Drain, StoreAnswer, UplinkAnswer, Way};
use crate::store::drop_words;
use crate::uplink::rehearsal::Bound;

/// The width of what stands before a fact.
const NAME: usize = 13;

/// The answer: what waits, what goes, how soon all is there.
pub fn answer(answer: &Answer) -> Vec<Line> {
    let away = span(answer.outage_ms);
    let store = &answer.store;
    let place = if store.path.is_some() { "" } else { " of memory" };
    let wait = format!(
        "After {away} away {} wait in {}{place}.",
        readings_in_full(store.readings),
        bytes(store.bytes)
    );
    let mut out = vec![Line::new().add(Tone::Strong, wait)];
    let droppers: Vec<_> = answer.uplinks.iter().filter(|uplink| lost(uplink) > 0).collect();
    if droppers.is_empty() {
        out.push(Line::new().add(Tone::Good, "Nothing is dropped."));
    }
    for uplink in droppers {
        let tone = if uplink.required { Tone::Bad } else { Tone::Doubt };
        out.push(Line::new().add(tone, drop_sentence(uplink)));
    }
    for uplink in &answer.uplinks {
        out.push(match &uplink.drain {
            Drain::Drained(way) => Line::from(format!(
                "{} has all of it {} after the link is back.",
                uplink.name,
                span(way.ms.max(way.machine_ms))
            )),
            Drain::FallsBehind(_) => Line::new().add(
                Tone::Bad,
                format!("{} never gets through: as much comes as it may send.", uplink.name),
            ),
            Drain::Unknown { why } => Line::new()
                .add(Tone::Doubt, format!("How soon {} has it can't be said: {why}.", uplink.name)),
        });
    }
    out
}

fn lost(uplink: &UplinkAnswer) -> u64 {
    let meanwhile = match &uplink.drain {
        Drain::Drained(way) | Drain::FallsBehind(way) => way.dropped,
        Drain::Unknown { .. } => 0,
    };
    uplink.sum().dropped + meanwhile
}

fn drop_sentence(uplink: &UplinkAnswer) -> String {
    let from = uplink.first_drop_ms.map(|ms| format!(" from {} on", span(ms))).unwrap_or_default();
    let whose = if uplink.required { "" } else { " (best-effort)" };
    format!("{} of {}{whose} are dropped{from}.", readings_in_full(lost(uplink)), uplink.name)
}

/// Everything, one part below the other.
pub fn table(answer: &Answer) -> Vec<Line> {
    let mut out = Vec::new();
    for uplink in &answer.uplinks {
        let policy = if uplink.required { "required" } else { "best-effort" };
        out.push(Line::new());
        out.push(
            Line::new()
                .add(Tone::Strong, format!("uplink {}", uplink.name))
                .text(format!(" ({policy})")),
        );
        out.extend(of_uplink(uplink));
    }
    out.push(Line::new());
    out.push(Line::new().add(Tone::Strong, "store").text(match &answer.store.path {
        Some(path) => format!(" in {path}"),
        None => " in memory only".to_owned(),
    }));
    out.extend(of_store(&answer.store, answer.outage_ms));
    let field = &answer.field;
    out.push(fact(
        "field",
        format!(
            "{}, {:.1} values read and {:.1} readings made in a second",
            count(u64::try_from(field.tags).unwrap_or(u64::MAX), "tag"),
            field.reads_per_second,
            field.readings_per_second
        ),
    ));
    out.push(Line::new());
    out.push(Line::new().add(Tone::Strong, "taken for granted"));
    out.extend(answer.assumed.iter().map(|text| Line::from(format!("- {text}"))));
    out
}

fn fact(name: &str, text: impl Into<String>) -> Line {
    Line::new().left(Tone::Faint, &format!("  {name}"), NAME).text(text)
}

fn of_uplink(uplink: &UplinkAnswer) -> Vec<Line> {
    let mut out = Vec::new();
    for (class, of) in &uplink.classes {
        let account = &of.account;
        if account.appended == 0 {
            continue;
        }
        let equation = format!(
            "read {} = delivered {} + waiting {} + dropped {}",
            grouped(account.appended),
            grouped(account.delivered),
            grouped(account.waiting),
            grouped(account.dropped)
        );
        out.push(fact(class, equation));
        for (reason, n) in of.dropped_why.iter().filter(|(_, n)| **n > 0) {
            let text = format!("{} dropped: {} ({reason})", grouped(*n), drop_words(reason));
            out.push(Line::new().left(Tone::Plain, "", NAME).add(Tone::Bad, text));
        }
    }
    if let Some(first) = uplink.first_drop_ms {
        let last = uplink.last_drop_ms.filter(|last| *last > first);
        let to = last.map(|last| format!(" to {}", span(last))).unwrap_or_default();
        out.push(fact("dropping", format!("from {}{to} after the beginning", span(first))));
    }
    match &uplink.drain {
        Drain::Drained(way) => out.extend(of_way(way, "after the link is back")),
        Drain::FallsBehind(way) => out.extend(of_way(way, "watched, and little got through")),
        Drain::Unknown { why } => out.push(fact("drain", why.clone())),
    }
    out
}

fn of_way(way: &Way, when: &str) -> Vec<Line> {
    let about = if way.computed { "about " } else { "" };
    let each = way.bytes_per_reading.map(|each| format!(", {each:.1} bytes per reading"));
    let mut out = vec![
        fact("drain", format!("{about}{} {when}", span(way.ms))),
        fact(
            "",
            format!(
                "{about}{} in {}{}",
                bytes(way.sent.bytes),
                counted(way.sent.messages, "message"),
                each.unwrap_or_default()
            ),
        ),
        match way.machine_ms > way.ms {
            true => fact(
                "bound by",
                format!("this machine, which needs about {}", span(way.machine_ms)),
            ),
            false => fact("bound by", bound(way.bound)),
        },
    ];
    if way.sent.excluded > 0 {
        let text = format!("{about}{} that it does not send", grouped(way.sent.excluded));
        out.push(fact("left out", text));
    }
    if way.sent.dead > 0 {
        let text = format!("{about}{} that it can never send", grouped(way.sent.dead));
        out.push(Line::new().left(Tone::Faint, "  dead", NAME).add(Tone::Bad, text));
    }
    if let Some((middle, most)) = way.live_ms {
        let text = format!("{middle} ms old when they arrive meanwhile, {most} ms at most");
        out.push(fact("live", text));
    }
    out
}

fn bound(bound: Bound) -> &'static str {
    match bound {
        Bound::WindowMessages => {
            "the messages that may be out (window: messages) and the round trip"
        }
        Bound::WindowBytes => "the bytes that may be out (window: bytes) and the round trip",
        Bound::RateMessages => "the messages in a second (rate: messages)",
        Bound::RateBytes => "the bytes in a second (rate: bytes)",
        Bound::Nothing => "nothing but the machine",
    }
}

fn of_store(store: &StoreAnswer, outage_ms: u64) -> Vec<Line> {
    let mut out = Vec::new();
    let each = store.bytes_per_reading.map(|each| format!(", {each:.1} bytes per reading"));
    let most =
        if store.allowed_bytes < store.quota_bytes { " that the disk has room for" } else { "" };
    let age = format!("; kept for {}", span(store.max_age_ms));
    let used = (bytes(store.bytes), bytes(store.allowed_bytes));
    out.push(fact(
        "room",
        format!("{} of {}{most}{}{age}", used.0, used.1, each.unwrap_or_default()),
    ));
    if let Some(enough) = store.enough_ms {
        let (tone, word) = match enough > outage_ms {
            true => (Tone::Good, "enough"),
            false => (Tone::Bad, "too little"),
        };
        let line = Line::new().left(Tone::Plain, "", NAME).add(tone, word);
        out.push(line.text(format!(": the first reading goes after {}", span(enough))));
    }
    if store.path.is_some() {
        let mut text = format!("{} written in the outage", bytes(store.written_bytes));
        if let Some(day) = store.written_bytes_per_day {
            text += &format!(", {} in a day of one", bytes(day));
        }
        out.push(fact("card", text));
        if let Some(years) = store.card_years {
            let endurance = bytes(store.endurance_bytes);
            let text = format!("one for {endurance} lasts {years:.1} years of nothing but outage");
            out.push(fact("", text));
        }
    }
    out.push(match store.power_cut_ms {
        Some(ms) => fact(
            "power cut",
            format!(
                "costs at most the last {}: {}",
                span(ms),
                readings_in_full(store.power_cut_readings)
            ),
        ),
        None => Line::new()
            .left(Tone::Faint, "  power cut", NAME)
            .add(Tone::Bad, format!("costs all of it: {}", readings_in_full(store.readings))),
    });
    out
}

fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(n), if n == 1 { "" } else { "s" })
}

fn readings_in_full(n: u64) -> String {
    counted(n, "reading")
}

/// A number in few characters: `820`, `3.6 M`.
pub fn readings(n: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    match UNITS.iter().find(|(unit, _)| n >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", n / unit, n % unit / (unit / 10)),
        None => n.to_string(),
    }
}

/// A span of time with its two largest parts: `3 d 4 h`, `4 min 10 s`, `0.4 s`.
pub fn span(ms: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min")];
    let parts = UNITS.iter().zip(UNITS.iter().skip(1).chain([&(1_000, "s")]));
    for ((unit, name), (next, next_name)) in parts {
        if ms >= *unit {
            let rest = ms % unit / next;
            let rest = (rest > 0).then(|| format!(" {rest} {next_name}"));
            return format!("{} {name}{}", ms / unit, rest.unwrap_or_default());
        }
    }
    match ms {
        0 => "0 s".to_owned(),
        1..1_000 => format!("{ms} ms"),
        _ if ms < 10_000 && ms % 1_000 >= 100 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} s", ms / 1_000),
    }
}
