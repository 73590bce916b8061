//! `fieldhold config`: the versions of a gateway's configuration, back to one of them, and signed
//! messages that change it from afar.

mod diff;
mod history;
mod rollback;
mod show;
mod sign;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::{BadConfig, load};
use crate::runtime::History;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The versions that are kept: who made them, when, what they changed, what became of them
    History(history::Arguments),
    /// Print the text of a version
    Show(show::Arguments),
    /// What two versions say differently
    Diff(diff::Arguments),
    /// Back to a version, or to the one before
    Rollback(rollback::Arguments),
    /// Make a signed message that changes the configuration of gateways, or confirms a change
    Sign(sign::Arguments),
}

/// Whose configuration it is.
#[derive(Debug, clap::Args)]
struct Place {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "fieldhold.yaml")]
    config: PathBuf,
    /// The state directory of the gateway, instead of looking it up in the configuration
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl Place {
    fn state_dir(&self) -> anyhow::Result<PathBuf> {
        if let Some(dir) = &self.state_dir {
            return Ok(dir.clone());
        }
        let Ok(plan) = load(&self.config) else {
            eprintln!("with --state-dir its history can be looked at all the same");
            return Err(BadConfig.into());
        };
        plan.store.path.context("this gateway has no state directory, and so no history")
    }

    fn history(&self) -> anyhow::Result<History> {
        let dir = self.state_dir()?;
        History::read(&dir).context("can't read the history of the configuration")
    }
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::History(arguments) => history::run(arguments),
        Command::Show(arguments) => show::run(arguments),
        Command::Diff(arguments) => diff::run(arguments),
        Command::Rollback(arguments) => rollback::run(arguments),
        Command::Sign(arguments) => sign::run(arguments),
    }
}
