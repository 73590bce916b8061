//! `fieldhold store verify`: whether a store's file is sound.

use std::process::ExitCode;

use anyhow::Context;

use crate::cli::place::StoreArgument;
use crate::cli::status;
use crate::cli::view::{Line, Tone};
use crate::store::{Findings, Inspector};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    store: StoreArgument,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Looks at every page (SQLite's quick_check), the CRC of every chunk and row, whether
positions are in order, and whether all is there that uplinks wait for. It may take
half a minute per gigabyte, and may run beside the gateway.

Exit code 0: sound; 1: not.";

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let file = arguments.store.place()?.file;
    let found = Inspector::open(&file).and_then(|file| file.verify());
    let found = found.with_context(|| format!("can't look into {}", file.display()))?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&found)?);
    } else {
        status::show(&lines(&file.display().to_string(), &found));
    }
    Ok(if found.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn lines(file: &str, found: &Findings) -> Vec<Line> {
    let (tone, word) = if found.sound { (Tone::Good, "sound") } else { (Tone::Bad, "damaged") };
    let mut out = vec![Line::new().state(tone, word, 9).text(format!(
        " {file}: {} readings and messages in {} chunks, {} rows",
        found.items, found.chunks, found.rows
    ))];
    let told = found.problems.iter();
    out.extend(told.map(|problem| Line::new().add(Tone::Bad, format!("  {problem}"))));
    if found.more > 0 {
        out.push(Line::new().text(format!("  and {} more problems", found.more)));
    }
    if !found.sound {
        out.push(Line::new().add(
            Tone::Faint,
            "  `fieldhold store salvage FILE` reads what is whole; the gateway does it by itself",
        ));
    }
    out
}
