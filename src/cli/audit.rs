//! `fieldhold audit`: who commanded what, and what became of it.
//!
//! The records come from the store's file, which may be in use; a running gateway adds those that
//! are not in it yet.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context;

use super::place::StateArgument;
use super::run;
use super::view::{Line, Tone};
use crate::codec::registers::utc;
use crate::runtime::control;
use crate::store::{self, AuditRow, Inspector};

/// Records shown if nothing is said.
const LAST: usize = 50;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    state: StateArgument,
    /// How many records, the newest last
    #[arg(long, value_name = "N", default_value_t = LAST)]
    last: usize,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let dir = arguments.state.dir()?;
    let in_file = Inspector::open(&store::database(&dir))
        .and_then(|file| file.audit(arguments.last))
        .with_context(|| format!("can't read the record of commands in {}", dir.display()))?;
    let mut rows: BTreeMap<i64, AuditRow> = in_file.into_iter().map(|row| (row.id, row)).collect();
    // A gateway that is not running has nothing to add.
    let asked = run::runtime()?.block_on(control::ask(&control::socket_path(&dir), "audit"));
    if let Ok(newest) = asked {
        let newest: Vec<AuditRow> =
            serde_json::from_str(&newest).context("the gateway's answer is no list of records")?;
        rows.extend(newest.into_iter().map(|row| (row.id, row)));
    }
    let shown: Vec<&AuditRow> =
        rows.values().skip(rows.len().saturating_sub(arguments.last)).collect();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&shown)?);
    } else if shown.is_empty() {
        println!("no command has come yet");
    } else {
        super::status::show(&shown.iter().map(|row| line(row)).collect::<Vec<_>>());
    }
    Ok(ExitCode::SUCCESS)
}

/// `2026-11-23T14:31:00.123Z  ● done  press.setpoint  20 -> 42.5  by lan:hmi, 12 ms`.
fn line(row: &AuditRow) -> Line {
    let record = &row.record;
    let at = utc(row.last_ms).unwrap_or_default();
    let tone = match (record.outcome.as_str(), record.carried_out) {
        ("done", _) => Tone::Good,
        ("acknowledged" | "sent", _) => Tone::Doubt,
        _ => Tone::Bad,
    };
    let what = if record.tag.is_empty() { &record.topic } else { &record.tag };
    let mut line = Line::new().add(Tone::Faint, format!("{at}  ")).state(tone, &record.outcome, 16);
    line = line.text(format!("{what}  "));
    if let Some(old) = &record.old {
        line = line.add(Tone::Faint, format!("{old} -> "));
    }
    line = line.text(record.asked.replace(char::is_control, " "));
    if let Some(read_back) = record.read_back.as_ref().filter(|held| **held != record.asked) {
        line = line.add(Tone::Doubt, format!(", held {read_back}"));
    }
    if let Some(reason) = &record.reason {
        line = line.add(Tone::Faint, format!("  ({reason})"));
    }
    line = line.add(Tone::Faint, format!("  by {}, {} ms", record.origin, record.took_ms));
    if row.n > 1 {
        let since = utc(row.first_ms).unwrap_or_default();
        line = line.add(Tone::Strong, format!("  {} times since {since}", row.n));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::AuditRecord;

    #[test]
    fn a_record_is_one_line() {
        let mut row = AuditRow {
            id: 1,
            n: 1,
            first_ms: 1_700_000_000_000,
            last_ms: 1_700_000_000_123,
            record: AuditRecord {
                origin: "lan:hmi".to_owned(),
                topic: "works/edge/press/setpoint/set".to_owned(),
                tag: "press.setpoint".to_owned(),
                old: Some("20".to_owned()),
                asked: "42.5".to_owned(),
                outcome: "done".to_owned(),
                reason: None,
                read_back: Some("42.5".to_owned()),
                carried_out: true,
                took_ms: 12,
            },
        };
        assert_eq!(
            line(&row).to_string(),
            "2023-11-14T22:13:20.123Z  ● done          press.setpoint  20 -> 42.5  by lan:hmi, 12 ms"
        );
        row.n = 3;
        row.record.outcome = "read-back".to_owned();
        row.record.read_back = Some("7".to_owned());
        row.record.reason = Some("so".to_owned());
        row.record.old = None;
        assert_eq!(
            line(&row).to_string(),
            "2023-11-14T22:13:20.123Z  ✕ read-back     press.setpoint  42.5, held 7  (so)  by lan:hmi, 12 ms  3 times since 2023-11-14T22:13:20.000Z"
        );
    }
}
