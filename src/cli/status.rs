//! `fieldhold status`: asks the running gateway and shows what it says.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Context;

use super::place::StateArgument;
use super::run;
use super::view::{self, Line, painted};
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
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let socket = control::socket_path(&arguments.state.dir()?);
    let reply = run::runtime()?.block_on(control::ask(&socket, "status"))?;
    if arguments.json {
        print!("{reply}");
    } else {
        let status: serde_json::Value =
            serde_json::from_str(&reply).context("the gateway's answer is not JSON")?;
        show(&view::listing(&status, width()));
    }
    Ok(ExitCode::SUCCESS)
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
