//! `fieldhold broker retained`: retained messages, to look at and to remove.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::{Value, json};

use super::list::{FilterArgument, Running, done, print, question, write};
use super::table::{Cell, Table};
use crate::cli::view::Tone;
use crate::cli::view::json::{bytes, flag, number, some, span, text};
use crate::cli::{BadInput, run};

/// Characters of a payload that are shown.
const PREVIEW: usize = 60;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    filter: FilterArgument,
    /// Remove those that match the filter; subscribers are sent an empty message
    #[arg(long)]
    remove: bool,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let filter = arguments.filter.filter()?;
    if arguments.remove && filter.is_none() {
        bail!(BadInput("--remove needs a filter; '#' is for all of them".to_owned()));
    }
    let running = Running::of(&arguments.filter.state)?;
    done(run::runtime()?.block_on(async {
        if let Some(filter) = filter.filter(|_| arguments.remove) {
            return remove(&running, filter, arguments.json).await;
        }
        let table = Table::new(["topic", "size", "QoS", "age", "", "payload"]);
        let count =
            print(&running, question("retained", filter), arguments.json, table, row).await?;
        if count == 0 && !arguments.json {
            let there = if filter.is_some() { " there" } else { "" };
            write(format!("no message is retained{there}\n").as_bytes())?;
        }
        Ok(ExitCode::SUCCESS)
    }))
}

async fn remove(running: &Running, filter: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let (mut removed, mut kept) = (0, 0);
    let question = json!({ "what": "remove-retained", "filter": filter });
    let each = |rows: &[Value]| {
        let mut out = String::new();
        for row in rows {
            let is_removed = flag(row, "/removed");
            *(if is_removed { &mut removed } else { &mut kept }) += 1;
            if as_json {
                out.push_str(&format!("{row}\n"));
            } else if is_removed {
                let topic = text(row, "/topic").replace(char::is_control, "�");
                out.push_str(&format!("removed {topic}\n"));
            }
        }
        write(out.as_bytes())
    };
    running.each(question, each).await?;
    match (removed, kept) {
        (0, 0) => bail!("no retained message matches {filter:?}"),
        (0, _) => bail!(
            "only the gateway's own messages match {filter:?}: those stay as long as their tags do"
        ),
        (_, 1..) if !as_json => {
            write(format!("{kept} of the gateway's own stay, as their tags do\n").as_bytes())?;
        }
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn row(row: &Value) -> [Cell; 6] {
    let mut notes = Vec::new();
    if flag(row, "/reserved") {
        notes.push("gateway's own".to_owned());
    }
    if some(row, "/expires_in_ms") {
        notes.push(format!("ends in {}", span(number(row, "/expires_in_ms"))));
    }
    let payload = match some(row, "/payload") {
        true => text(row, "/payload").to_owned(),
        false => format!("hex {}", text(row, "/payload_hex")),
    };
    let mut shown: String = payload.chars().take(PREVIEW).collect();
    if flag(row, "/is_cut") || payload.chars().nth(PREVIEW).is_some() {
        shown.push('…');
    }
    [
        Cell::text(text(row, "/topic")),
        Cell::number(bytes(number(row, "/bytes"))),
        Cell::count(number(row, "/qos")),
        Cell::number(span(number(row, "/age_ms"))),
        Cell::text(&notes.join(", ")).in_tone(Tone::Faint),
        Cell::text(&shown),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(row_of: &Value) -> String {
        let mut table = Table::new(["topic", "size", "QoS", "age", "", "payload"]);
        let shown = table.page(vec![row(row_of)]);
        shown.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_retained_message_is_one_line() {
        let mut row = json!({ "topic": "a/b", "bytes": 5, "qos": 1, "age_ms": 61_000,
            "expires_in_ms": null, "reserved": false, "payload": "he\nlo", "payload_hex": null,
            "is_cut": false });
        assert_eq!(shown(&row), "a/b 5 B 1 61 s he�lo");
        row["payload"] = json!("x".repeat(100));
        row["reserved"] = json!(true);
        assert_eq!(shown(&row), format!("a/b 5 B 1 61 s gateway's own {}…", "x".repeat(60)));
        row["payload"] = Value::Null;
        row["payload_hex"] = json!("00ff");
        row["expires_in_ms"] = json!(5_000);
        assert_eq!(shown(&row), "a/b 5 B 1 61 s gateway's own, ends in 5.0 s hex 00ff");
    }
}
