//! `fieldhold uplink`: what lies north of the gateway.

mod presets;

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the cloud services that are known, or show all limits of one
    Presets { name: Option<String> },
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Presets { name } => presets::run(name.as_deref()),
    }
}
