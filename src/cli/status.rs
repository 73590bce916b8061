//! `fieldhold status`: asks the running gateway and shows what it says.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::BadInput;
use super::place::StateArgument;
use super::run;
use super::view::{self, Line, painted};
use super::worse::worse;
use crate::runtime::control;

/// Characters per line where there is no terminal to ask.
const WIDTH: usize = 120;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    state: StateArgument,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
    /// Succeed only if everything that was well in FILE still is: an earlier answer of --json, or - for
    /// standard input
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    as_well_as: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let socket = control::socket_path(&arguments.state.dir()?);
    let reply = run::runtime()?.block_on(control::ask(&socket, "status"))?;
    if arguments.json {
        print!("{reply}");
    } else {
        let status: serde_json::Value =
            serde_json::from_str(&reply).context("the gateway's answer is not JSON")?;
        if let Some(path) = &arguments.as_well_as {
            return compare(path, &status);
        }
        show(&view::listing(&status, width()));
    }
    Ok(ExitCode::SUCCESS)
}

fn compare(path: &Path, now: &serde_json::Value) -> anyhow::Result<ExitCode> {
    let before = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    let before =
        before.map_err(|error| BadInput(format!("can't read {}: {error}", path.display())))?;
    let before = serde_json::from_str(&before)
        .map_err(|error| BadInput(format!("{} is no status: {error}", path.display())))?;
    let lines = worse(&before, now);
    for line in &lines {
        println!("{line}");
    }
    Ok(if lines.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints lines, in colours on a terminal. They are never cut: a reason may be at the end.
pub fn show(lines: &[Line]) {
    let terminal = std::io::stdout().is_terminal();
    for line in lines {
        println!("{}", if terminal { painted(line) } else { line.to_string() });
    }
}

fn width() -> usize {
    let terminal = std::io::stdout().is_terminal();
    let size = crossterm::terminal::size().ok().filter(|_| terminal);
    size.map_or(WIDTH, |(width, _)| width.into())
}
