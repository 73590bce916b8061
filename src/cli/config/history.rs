//! `fieldhold config history`.

use std::process::ExitCode;

use super::Place;
use crate::cli::status;
use crate::cli::view::{Line, Tone};
use crate::codec::registers::utc;
use crate::runtime::{Record, State};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let history = arguments.place.history()?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(history.records())?);
        return Ok(ExitCode::SUCCESS);
    }
    let current = history.current().map(|record| record.version);
    let lines: Vec<Line> = history.records().iter().map(|record| line(record, current)).collect();
    if lines.is_empty() {
        println!("this gateway has not run yet");
    }
    status::show(&lines);
    Ok(ExitCode::SUCCESS)
}

/// `  17  2026-11-23T14:31:00.123Z  ● runs  uplinks cloud  by the key ops over cloud, serial 12`.
fn line(record: &Record, current: Option<u64>) -> Line {
    let at = utc(record.at_ms).unwrap_or_default();
    let runs = current == Some(record.version);
    let (tone, word) = match &record.state {
        State::Pending { .. } => (Tone::Doubt, "pending"),
        State::Stands if runs => (Tone::Good, "runs"),
        State::Stands => (Tone::Plain, "stood"),
        State::RolledBack { .. } => (Tone::Bad, "rolled back"),
    };
    let number = record.version.to_string();
    let mut line =
        Line::new().right(Tone::Strong, &number, 5).add(Tone::Faint, format!("  {at}  "));
    line = line.state(tone, word, 15).text(record.what.clone());
    line = line.add(Tone::Faint, format!("  by {}", record.author));
    match &record.state {
        State::RolledBack { reason } => line.text(format!("  ({reason})")),
        State::Pending { before } => line.text(format!("  (unless confirmed, back to {before})")),
        State::Stands => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Author;

    #[test]
    fn a_version_is_one_line() {
        let mut record = Record {
            version: 17,
            sha256: String::new(),
            at_ms: 1_700_000_000_123,
            clock_synced: true,
            author: Author::Local,
            what: "buses line".to_owned(),
            state: State::Stands,
        };
        let said = line(&record, Some(17)).to_string();
        assert_eq!(
            said,
            "   17  2023-11-14T22:13:20.123Z  ● runs         buses line  by a person at the gateway"
        );
        record.state = State::RolledBack { reason: "so".to_owned() };
        let said = line(&record, Some(16)).to_string();
        assert!(said.contains("✕ rolled back  buses line"), "{said}");
        assert!(said.ends_with("(so)"), "{said}");
    }
}
