//! `fieldhold store drops`: the ledger of losses, in words.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::Value as Json;

use super::asked;
use crate::cli::place::StoreArgument;
use crate::cli::status::show;
use crate::cli::view::{Line, Tone};
use crate::codec::registers::utc;
use crate::store::{Inspector, drop_words};

/// Rows shown if nothing is said.
const LAST: usize = 50;

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    store: StoreArgument,
    /// How many rows, the newest last
    #[arg(short = 'n', long, value_name = "N", default_value_t = LAST)]
    last: usize,
    /// As JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// As CSV
    #[arg(long)]
    csv: bool,
}

const AFTER_HELP: &str = "\
A row is a stretch of positions of one class that one uplink did not get, and
why. The times are those at which the first and the last of it were read. The
store keeps the last 10,000 rows; the sums in `store status` are kept for ever.";

const CSV_HEADING: &str =
    "id,uplink,class,reason,count,position_from,position_to,time_from,time_to";

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let place = arguments.store.place()?;
    let running = asked(&place, "store")?;
    let mut rows: BTreeMap<i64, Json> = BTreeMap::new();
    let mut add = |row: Json| rows.insert(row.get("id").and_then(Json::as_i64).unwrap_or(0), row);
    if running.is_none() || place.file.exists() {
        let old = Inspector::open(&place.file).and_then(|file| file.drops(arguments.last));
        for row in old.with_context(|| format!("can't read {}", place.file.display()))? {
            add(serde_json::to_value(row)?);
        }
    }
    // The newest are not in the file yet, or not as they are now.
    let newest = running.as_ref().and_then(|status| status.get("drops")).and_then(Json::as_array);
    newest.into_iter().flatten().for_each(|row| drop(add(row.clone())));
    let shown: Vec<&Json> = rows.values().skip(rows.len().saturating_sub(arguments.last)).collect();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&shown)?);
    } else if arguments.csv {
        let lines = shown.iter().map(|row| csv(row) + "\r\n");
        let text: String = std::iter::once(format!("{CSV_HEADING}\r\n")).chain(lines).collect();
        print!("{text}");
    } else if shown.is_empty() {
        println!("nothing was dropped");
    } else {
        show(&shown.iter().map(|row| line(row)).collect::<Vec<_>>());
    }
    Ok(ExitCode::SUCCESS)
}

fn text<'a>(row: &'a Json, key: &str) -> &'a str {
    row.get(key).and_then(Json::as_str).unwrap_or_default()
}

fn number(row: &Json, key: &str) -> u64 {
    row.get(key).and_then(Json::as_u64).unwrap_or(0)
}

fn time(row: &Json, key: &str) -> Option<String> {
    utc(row.get(key).and_then(Json::as_i64)?)
}

fn csv(row: &Json) -> String {
    let last = number(row, "seq_to").saturating_sub(1);
    [
        row.get("id").map(Json::to_string).unwrap_or_default(),
        text(row, "consumer").to_owned(),
        text(row, "class").to_owned(),
        text(row, "reason").to_owned(),
        number(row, "n").to_string(),
        number(row, "seq_from").to_string(),
        last.to_string(),
        time(row, "wall_from_ms").unwrap_or_default(),
        time(row, "wall_to_ms").unwrap_or_default(),
    ]
    .join(",")
}

/// `2023-11-14T22:13:20.000Z  cloud  normal  120 dropped: the byte quota was used up (quota)`.
fn line(row: &Json) -> Line {
    let (reason, n) = (text(row, "reason"), number(row, "n"));
    let (from, to) = (number(row, "seq_from"), number(row, "seq_to"));
    let newest = time(row, "wall_to_ms");
    let at = newest.as_deref().unwrap_or("(time not known)");
    let uplink = Some(text(row, "consumer")).filter(|name| !name.is_empty()).unwrap_or("-");
    let what = if n == 0 { "note".to_owned() } else { format!("{n} dropped") };
    let tone = if n == 0 { Tone::Faint } else { Tone::Bad };
    let mut line = Line::new()
        .add(Tone::Faint, format!("{at:<24}  "))
        .text(format!("{uplink:<12} {:<7}", text(row, "class")))
        .add(tone, format!("{what:>14}"))
        // Files of an earlier version write them with underscores.
        .text(format!(": {}", drop_words(&reason.replace('_', "-"))))
        .add(Tone::Faint, format!(" ({reason}), positions {from} to {}", to.saturating_sub(1)));
    if let Some(first) = time(row, "wall_from_ms").filter(|first| Some(first) != newest.as_ref()) {
        line = line.add(Tone::Faint, format!(", the first read {first}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_says_when_who_what_and_why() {
        let mut row = json!({
            "id": 7, "reason": "ram-full", "consumer": "cloud", "class": "bulk", "seq_from": 10,
            "seq_to": 22, "n": 12, "wall_from_ms": 1_700_000_000_000_u64,
            "wall_to_ms": 1_700_000_001_500_u64,
        });
        assert_eq!(
            line(&row).to_string(),
            "2023-11-14T22:13:21.500Z  cloud        bulk       12 dropped: the memory was full before \
             the disk took it (ram-full), positions 10 to 21, the first read 2023-11-14T22:13:20.000Z"
        );
        assert_eq!(
            csv(&row),
            "7,cloud,bulk,ram-full,12,10,21,2023-11-14T22:13:20.000Z,2023-11-14T22:13:21.500Z"
        );
        assert_eq!(csv(&row).split(',').count(), CSV_HEADING.split(',').count());
        row["wall_to_ms"] = Json::Null;
        row["n"] = json!(0);
        row["reason"] = json!("skipped");
        row["consumer"] = json!("");
        let note = line(&row).to_string();
        assert!(
            note.starts_with("(time not known)          -            bulk             note: "),
            "{note}"
        );
    }
}
