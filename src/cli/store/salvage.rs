//! `fieldhold store salvage`: what is whole in a damaged file, back into a store.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;

use crate::cli::status;
use crate::cli::view::{Line, Tone};
use crate::runtime::SystemClock;
use crate::store;

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The damaged file: queue.db, or one in quarantine; its -wal beside it if there is one
    file: PathBuf,
    /// The state directory of a gateway that is not running; it delivers what comes back when it
    /// is started
    #[arg(long, value_name = "STATE_DIR")]
    into: PathBuf,
    /// The result, as JSON
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
A gateway salvages the files it sets aside by itself. This is for files from elsewhere:
a card out of another gateway, a copy, a backup. Every chunk whose CRC holds, and that
an uplink of the same name has not settled by the file's own account, is queued again.

  fieldhold store salvage /mnt/card/store/queue.db --into /var/lib/fieldhold

The file is copied into the store's quarantine first and is not changed. Salvaging the
same copy twice queues it twice. Exit code 1: a part of it is lost.";

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let clock = Arc::new(SystemClock::new());
    let shown = std::io::stderr().is_terminal();
    let result = store::salvage_into(&arguments.file, &arguments.into, clock, |aside| {
        if shown {
            eprint!("\r{} readings and messages are back", aside.salvaged);
            let _ = std::io::stderr().flush();
        }
    });
    if shown {
        eprintln!();
    }
    let aside = result.with_context(|| format!("can't salvage {}", arguments.file.display()))?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&aside)?);
    } else {
        let (tone, word) =
            if aside.lost == 0 { (Tone::Good, "whole") } else { (Tone::Bad, "in part") };
        let what = format!(
            " {} readings and messages are queued again, {} are lost",
            aside.salvaged, aside.lost
        );
        status::show(&[Line::new().state(tone, word, 9).text(what)]);
    }
    Ok(if aside.lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
