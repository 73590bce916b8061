//! The store on its own: where it is, how it is, and for every uplink and class what became of
//! everything that was appended.

use serde_json::Value;

use super::account;
use super::json::{entries, flag, items, number, real, signed, some, span, text};
use super::north::{kept, set_aside, wear};
use crate::codec::registers::utc;
use crate::model::tone::{Line, Tone};

pub fn lines(store: &Value) -> Vec<Line> {
    let mut out = vec![head(store), room(store)];
    for key in ["/why", "/last_error"] {
        if some(store, key) && (key == "/why" || text(store, "/why") != text(store, key)) {
            out.push(indented(Tone::Bad, text(store, key)));
        }
    }
    out.push(safety(store));
    out.extend(wear(store));
    out.extend(items(store, "/violations").filter_map(Value::as_str).map(|violation| {
        indented(Tone::Bad, &format!("the accounts contradict themselves: {violation}"))
    }));
    out.extend(set_aside(store, "/quarantined"));
    for consumer in items(store, "/consumers") {
        out.extend(one_consumer(consumer));
    }
    if !some(store, "/consumers/0") {
        out.push(indented(Tone::Faint, "no uplink takes from it"));
    }
    if some(store, "/broker_file") {
        let file = text(store, "/broker_file/file");
        out.push(Line::new().add(Tone::Strong, "LAN broker").text(format!("  {file}")));
        out.extend(kept(store));
    }
    out
}

fn indented(tone: Tone, text: &str) -> Line {
    Line::new().add(tone, format!("       {text}"))
}

/// `store  ● ok  state, epoch 5f3a…`.
fn head(store: &Value) -> Line {
    let state = text(store, "/state");
    let (tone, word) = match state {
        "ok" | "memory-only" => (Tone::Good, state),
        "ram-only" => (Tone::Bad, state),
        "closed" => (Tone::Plain, "no gateway uses it"),
        _ => (Tone::Doubt, state),
    };
    let line = Line::new().add(Tone::Strong, "store  ").state(tone, word, 0);
    line.text(format!("  {}", text(store, "/file")))
        .add(Tone::Faint, format!(" · epoch {}", text(store, "/epoch")))
}

fn room(store: &Value) -> Line {
    let mut room = format!("{:.1} MB on disk", real(store, "/disk_bytes") / 1e6);
    if number(store, "/disk_bytes_max") > 0 {
        room += &format!(" of {:.0} MB", real(store, "/disk_bytes_max") / 1e6);
    }
    let allowed = number(store, "/disk_bytes_allowed");
    if allowed > 0 && allowed < number(store, "/disk_bytes_max") {
        room += &format!(
            " (now {:.0} MB, the disk has little room)",
            real(store, "/disk_bytes_allowed") / 1e6
        );
    }
    if some(store, "/disk_bytes_free") {
        room += &format!(" · {:.1} GB free", real(store, "/disk_bytes_free") / 1e9);
    }
    if number(store, "/ram_bytes_max") > 0 {
        let (used, most) = (real(store, "/ram_bytes") / 1e6, real(store, "/ram_bytes_max") / 1e6);
        room += &format!(" · {used:.1} MB in memory of {most:.0} MB");
    }
    indented(Tone::Plain, &room)
}

/// What a power cut would cost, and how the last end was.
fn safety(store: &Value) -> Line {
    let mut said = Vec::new();
    if some(store, "/loss_bound_ms") {
        said.push(format!("a power cut costs {} at most", span(number(store, "/loss_bound_ms"))));
    }
    if let Some(at) = signed(store, "/last_commit_ms").and_then(utc) {
        said.push(format!("last written {at}"));
    }
    let clean = flag(store, "/clean_start");
    said.push(match (text(store, "/state"), clean) {
        ("closed", true) => "closed in order".to_owned(),
        ("closed", false) => "not closed in order".to_owned(),
        (_, true) => "the last run ended in order".to_owned(),
        (_, false) => "the last run did not end in order".to_owned(),
    });
    indented(if clean { Tone::Plain } else { Tone::Doubt }, &said.join(" · "))
}

fn one_consumer(consumer: &Value) -> Vec<Line> {
    let policy = if flag(consumer, "/required") { "required" } else { "best effort" };
    let mut out = vec![
        Line::new()
            .add(Tone::Strong, "uplink ")
            .text(text(consumer, "/name"))
            .add(Tone::Faint, format!(" · {policy}")),
    ];
    for row in items(consumer, "/classes").filter(|row| number(row, "/appended") > 0) {
        let sum = account::Account::of(row);
        let tone = if sum.holds() { Tone::Plain } else { Tone::Bad };
        let mut line = Line::new()
            .text(format!("       {:<7}", text(row, "/class")))
            .add(tone, sum.to_string());
        if some(row, "/oldest_ms") {
            line = line.text(format!(", oldest {}", span(number(row, "/oldest_ms"))));
        }
        out.push(line);
        let reasons: Vec<_> =
            entries(row, "/dropped_why").map(|(why, n)| format!("{why} {n}")).collect();
        if !reasons.is_empty() {
            let text = format!("              dropped: {}", reasons.join(", "));
            out.push(Line::new().add(Tone::Doubt, text));
        }
    }
    if out.len() == 1 {
        out.push(indented(Tone::Faint, "nothing was appended yet"));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn store(state: &str) -> Value {
        let row = json!({ "class": "normal", "appended": 15, "delivered": 4, "waiting": 9, "dropped": 2,
            "excluded": 0, "dropped_why": { "quota": 2 }, "oldest_ms": 5_200 });
        json!({ "state": state, "file": "state", "epoch": "5f3a", "disk_bytes": 2_100_000,
            "disk_bytes_max": 4_000_000_000_u64, "disk_bytes_allowed": 3_000_000_000_u64,
            "disk_bytes_free": 1_200_000_000_u64, "ram_bytes": 100_000, "ram_bytes_max": 8_000_000,
            "loss_bound_ms": 1_000, "last_commit_ms": 1_700_000_000_123_u64, "clean_start": true,
            "consumers": [{ "name": "cloud", "required": true, "classes": [row] }],
            "quarantined": [{ "file": "state/store/quarantine/000001.db", "why": "damaged",
                "salvaged": 40, "lost": 2, "done": true }] })
    }

    fn shown(store: &Value) -> String {
        lines(store).iter().map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn a_store_in_use_is_told_in_a_few_lines() {
        assert_eq!(
            shown(&store("ok")),
            "store  ● ok  state · epoch 5f3a\n\
             \x20      2.1 MB on disk of 4000 MB (now 3000 MB, the disk has little room) · 1.2 GB free · 0.1 MB in memory of 8 MB\n\
             \x20      a power cut costs 1.0 s at most · last written 2023-11-14T22:13:20.123Z · the last run ended in order\n\
             \x20      state/store/quarantine/000001.db was set aside: damaged; 40 are back, 2 are lost\n\
             uplink cloud · required\n\
             \x20      normal read 15 = delivered 4 + waiting 9 + dropped 2, oldest 5.2 s\n\
             \x20             dropped: quota 2\n"
        );
    }

    #[test]
    fn what_is_wrong_is_told() {
        let mut ill = store("ram-only");
        ill["why"] = json!("disk full");
        ill["last_error"] = json!("disk full");
        ill["clean_start"] = json!(false);
        ill["consumers"][0]["classes"][0]["delivered"] = json!(1);
        let said = shown(&ill);
        for words in ["✕ ram-only", "did not end in order", "DOES NOT ADD UP"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert_eq!(said.matches("disk full").count(), 1, "{said}");
        ill["broker_file"] =
            json!({ "state": "closed", "file": "s/broker.db", "file_bytes": 24_576 });
        let said = shown(&ill);
        assert!(
            said.ends_with(
                "LAN broker  s/broker.db\n       sessions and messages on disk: 24 kB\n"
            )
        );
        let closed = shown(&json!({ "state": "closed", "file": "queue.db" }));
        assert!(
            closed.contains("no gateway uses it") && closed.contains("no uplink takes"),
            "{closed}"
        );
    }
}
