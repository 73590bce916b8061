//! `fieldhold rehearse`: what an outage of the cloud would come to, by the user's own configuration.

mod plot;
mod words;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;

use super::run::{self, Ends};
use super::{BadInput, ConfigArgument, status};
use crate::config::parse_duration;
use crate::runtime::rehearsal::{Answer, Drain, RehearsalError, Wanted, rehearse};

/// Characters per line where there is no terminal to ask.
const WIDTH: usize = 80;
/// The narrowest picture that says anything, and the widest that is easily read.
const WIDTHS: (usize, usize) = (40, 140);

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// How long the uplinks are away: 10s to 366d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration)]
    outage: Duration,
    /// From a message to its acknowledgement, up to 1min; `fieldhold uplink test` measures it
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = parse_duration)]
    rtt: Duration,
    /// Where temporary files are made, up to 290 MB; the system's directory for them unless given
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
    /// Other values of the simulated devices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Needs no hardware and no cloud, and leaves a running gateway alone: the store of a rehearsal lies in
a temporary directory, on a clock that runs as fast as the machine can. About the first 5 million
readings are gone through; what is beyond is computed from their rates, and said to be.

Exit code 0: nothing that an uplink requires would be lost; 1: something would be dropped, or would
never get through; 2: the input was wrong.";

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let plan = match super::load(&arguments.config.config) {
        Ok(plan) => plan,
        Err(code) => return Ok(code),
    };
    let wanted = Wanted {
        round_trip: arguments.rtt,
        dir: arguments.dir.clone(),
        seed: arguments.seed,
        ..Wanted::of(arguments.outage)
    };
    let answer = until_ended(move |go_on| rehearse(&plan, &wanted, &|_| go_on()))?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
    } else {
        let terminal = std::io::stdout().is_terminal();
        let size = crossterm::terminal::size().ok().filter(|_| terminal);
        let width = size.map_or(WIDTH, |(width, _)| width.into()).clamp(WIDTHS.0, WIDTHS.1);
        let mut lines = words::answer(&answer);
        let marks = if terminal && is_utf8() { plot::Marks::Blocks } else { plot::Marks::Ascii };
        lines.extend(plot::lines(&answer, width, marks));
        lines.extend(words::table(&answer));
        status::show(&lines);
    }
    Ok(if is_lossless(&answer) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether all that the required uplinks wait for would arrive.
fn is_lossless(answer: &Answer) -> bool {
    answer.uplinks.iter().filter(|uplink| uplink.required).all(|uplink| {
        uplink.sum().dropped == 0
            && match &uplink.drain {
                Drain::Drained(way) => way.dropped == 0,
                Drain::FallsBehind(_) => false,
                Drain::Unknown { .. } => true,
            }
    })
}

/// Works on a thread of its own, so that an interrupt ends it in order and no file is left behind.
fn until_ended(
    work: impl FnOnce(&dyn Fn() -> bool) -> Result<Answer, RehearsalError> + Send + 'static,
) -> anyhow::Result<Answer> {
    let runtime = run::runtime()?;
    let ended = Arc::new(AtomicBool::new(false));
    let answer = runtime.block_on(async {
        let mut ends = Ends::new()?;
        let seen = Arc::clone(&ended);
        let work = move || work(&|| !seen.load(Ordering::Relaxed));
        let mut working = tokio::task::spawn_blocking(work);
        tokio::select! {
            answer = &mut working => return answer.context("the rehearsal broke off"),
            () = ends.recv() => ended.store(true, Ordering::Relaxed),
        }
        working.await.context("the rehearsal broke off")
    })?;
    answer.map_err(explained)
}

/// What the user asked for wrongly is a mistake of the input.
fn explained(error: RehearsalError) -> anyhow::Error {
    match error {
        RehearsalError::NoUplink => {
            BadInput(format!("{error}; `uplinks` in docs/uplinks.md says how to add one")).into()
        }
        RehearsalError::NothingRead | RehearsalError::Outage | RehearsalError::RoundTrip => {
            BadInput(error.to_string()).into()
        }
        RehearsalError::Room { .. } | RehearsalError::Directory { .. } => {
            anyhow::Error::new(error).context("choose another directory with --dir")
        }
        RehearsalError::Machine(_) | RehearsalError::Store(_) | RehearsalError::Cancelled => {
            error.into()
        }
    }
}

/// Whether the terminal shows more than ASCII, by what the environment says.
fn is_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(std::env::var_os);
    let first = set.map(|value| value.to_string_lossy().to_lowercase()).find(|v| !v.is_empty());
    first.is_some_and(|value| value.contains("utf-8") || value.contains("utf8"))
}

#[cfg(test)]
mod tests;
