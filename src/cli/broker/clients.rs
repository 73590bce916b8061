//! `fieldhold broker clients`: who is connected or has a session, and how they fare.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::list::{Running, done, print, write};
use super::table::{Cell, Table};
use crate::cli::place::StateArgument;
use crate::cli::run;
use crate::cli::view::Tone;
use crate::cli::view::json::{bytes, flag, number, real, span, text};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    state: StateArgument,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

const HEADS: [&str; 12] = [
    "client",
    "user",
    "address",
    "MQTT",
    "",
    "for",
    "filters",
    "in/s",
    "out/s",
    "in flight",
    "queued",
    "dropped",
];

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let running = Running::of(&arguments.state)?;
    done(run::runtime()?.block_on(async {
        let question = json!({ "what": "clients" });
        let count = print(&running, question, arguments.json, Table::new(HEADS), row).await?;
        if count == 0 && !arguments.json {
            write(b"nobody is connected, and nobody has a session\n")?;
        }
        Ok(ExitCode::SUCCESS)
    }))
}

fn row(client: &Value) -> [Cell; 12] {
    let (tone, state) = match flag(client, "/connected") {
        true => (Tone::Good, "● here"),
        false => (Tone::Doubt, "▲ away"),
    };
    let queued = match number(client, "/queue") {
        0 => "0".to_owned(),
        n => format!("{n} ({})", bytes(number(client, "/queue_bytes"))),
    };
    [
        Cell::text(text(client, "/id")),
        Cell::text(text(client, "/user")),
        Cell::text(text(client, "/address")),
        Cell::text(text(client, "/version")),
        Cell::text(state).in_tone(tone),
        Cell::number(span(number(client, "/for_ms"))),
        Cell::count(number(client, "/subscriptions")),
        Cell::number(rate(real(client, "/received_per_s"))),
        Cell::number(rate(real(client, "/sent_per_s"))),
        Cell::count(number(client, "/inflight")),
        Cell::number(queued),
        Cell::fault(number(client, "/dropped")),
    ]
}

/// `0`, `0.4`, `12`.
fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0".to_owned(),
        slow if slow < 10.0 => format!("{slow:.1}"),
        fast => format!("{fast:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_one_line() {
        let mut client = json!({
            "id": "scada", "user": "operator", "address": "10.0.0.7:51000", "version": "5.0",
            "connected": true, "for_ms": 200_000, "subscriptions": 2, "received_per_s": 0.0,
            "sent_per_s": 12.4, "inflight": 1, "queue": 0, "queue_bytes": 0, "dropped": 0,
        });
        let shown = Table::new(HEADS).page(vec![row(&client)]);
        let shown = shown.lines().nth(1).unwrap();
        assert_eq!(
            shown.split_whitespace().collect::<Vec<_>>().join(" "),
            "scada operator 10.0.0.7:51000 5.0 ● here 3 min 2 0 12 1 0 0"
        );
        for (key, value) in
            [("connected", json!(false)), ("queue", json!(7)), ("queue_bytes", json!(1400))]
        {
            client[key] = value;
        }
        client["user"] = Value::Null;
        client["received_per_s"] = json!(0.44);
        let shown = Table::new(HEADS).page(vec![row(&client)]);
        assert!(shown.contains("▲ away"), "{shown}");
        assert!(shown.contains("0.4     12          1  7 (1.4 kB)"), "{shown}");
    }
}
