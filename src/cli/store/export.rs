//! `fieldhold store export`: what is in a store's file, for spreadsheets and programs.
//!
//! A gateway that runs is asked to write what it has in memory first; then its file is read beside
//! it, page by page, up to where it ended at the beginning.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use super::selection::{Losses, Selection, blamed};
use super::{asked, csv};
use crate::cli::BadInput;
use crate::cli::place::{Place, StoreArgument};
use crate::model::{Clock, Mono};
use crate::runtime::SystemClock;
use crate::store::{Inspector, Pages, Row};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    store: StoreArgument,
    #[command(flatten)]
    selection: Selection,
    /// Only what waits for this uplink
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// Write to this file, which must not exist yet, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// For spreadsheets: a heading, one line each
    Csv,
    /// For programs: one JSON object per line, with messages' QoS and times in milliseconds
    Ndjson,
}

const AFTER_HELP: &str = "\
Class by class, in order of position. What was delivered is not in the file any
more. A best-effort uplink's readings are in it only while others need them.

  fieldhold store export --consumer cloud -o waiting.csv
  fieldhold store export --file /mnt/card/store/queue.db --format ndjson
  fieldhold store export --tag 'plant1/+/press/#' --from 2026-11-23 | head

Copy a store while no gateway uses it, queue.db and queue.db-wal together.
Exit code 1 says that something in the file is damaged; it is left out and told.";

/// No word of progress before this, and how often then.
const PATIENCE: Duration = Duration::from_secs(1);

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let place = arguments.store.place()?;
    let filter = arguments.selection.filter()?;
    flush(&place);
    let failed = || format!("can't read {}", place.file.display());
    let file = Inspector::open(&place.file).with_context(failed)?;
    let pages = file.pages(&filter, arguments.consumer.as_deref()).map_err(blamed)?;
    // Only now, so that no wrong word leaves an empty file behind.
    let Some(path) = &arguments.output else {
        return match copy(pages, arguments.format, io::stdout().lock()) {
            Err(error) if is_closed(&error) => Ok(ExitCode::SUCCESS),
            other => other,
        };
    };
    let output = create(path)?;
    let incomplete = || format!("{} is incomplete", path.display());
    let code = copy(pages, arguments.format, &output).with_context(incomplete)?;
    output.sync_all().with_context(incomplete)?;
    Ok(code)
}

/// Has a running gateway write what it has in memory alone.
fn flush(place: &Place) {
    let why = match asked(place, "store flush") {
        Ok(None) => return,
        Ok(Some(status)) => match status.get("state").and_then(serde_json::Value::as_str) {
            Some("ok") => return,
            state => format!("its store is {}", state.unwrap_or("in an unknown state")),
        },
        Err(error) => error.to_string(),
    };
    eprintln!(
        "fieldhold: the running gateway could not write everything ({why}): what it has in memory \
         alone is not exported"
    );
}

fn create(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            BadInput(format!("{} exists; nothing is overwritten", path.display())).into()
        } else {
            anyhow::Error::new(error).context(format!("can't write {}", path.display()))
        }
    })
}

/// Whether the reader of our output has had enough.
pub fn is_closed(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn copy(mut pages: Pages<'_>, format: Format, output: impl Write) -> anyhow::Result<ExitCode> {
    let mut output = BufWriter::new(output);
    let (mut losses, mut progress) = (Losses::default(), Progress::new(pages.left()));
    pages.remarks.iter().for_each(|remark| losses.remark(remark));
    if matches!(format, Format::Csv) {
        output.write_all(csv::HEADING.as_bytes())?;
    }
    let mut line = Vec::new();
    while let Some(page) = pages.next_page()? {
        for row in &page.rows {
            line.clear();
            match format {
                Format::Csv => csv::line(&mut line, row),
                Format::Ndjson => {
                    serde_json::to_writer(&mut line, row)?;
                    line.push(b'\n');
                }
            }
            output.write_all(&line)?;
        }
        progress.add(&page.rows, page.passed);
        page.damaged.into_iter().for_each(|damage| losses.add(damage));
    }
    output.flush()?;
    progress.finish();
    Ok(losses.finish())
}

/// How far it is, on standard error: while it lasts for a person, at the end for everyone.
struct Progress {
    clock: SystemClock,
    told: Mono,
    shown: bool,
    total: u64,
    passed: u64,
    readings: u64,
    messages: u64,
}

impl Progress {
    fn new(total: u64) -> Self {
        let clock = SystemClock::new();
        let told = clock.mono();
        Self { clock, told, shown: false, total, passed: 0, readings: 0, messages: 0 }
    }

    fn add(&mut self, rows: &[Row], passed: u64) {
        let readings = rows.iter().filter(|row| row.value.is_some()).count() as u64;
        self.readings += readings;
        self.messages += rows.len() as u64 - readings;
        self.passed += passed;
        let now = self.clock.mono();
        if now - self.told >= PATIENCE && io::stderr().is_terminal() {
            self.told = now;
            self.shown = true;
            let percent = self.passed.saturating_mul(100) / self.total.max(1);
            eprint!("\r{percent:>3} %, {} rows", self.readings + self.messages);
        }
    }

    fn finish(&self) {
        let messages = match self.messages {
            0 => String::new(),
            n => format!(" and {n} messages"),
        };
        let start = if self.shown { "\r" } else { "" };
        eprintln!("{start}{} readings{messages} exported", self.readings);
    }
}
