//! `fieldhold store`: look into a store, and get out of it what is in it.

mod salvage;
mod status;
mod verify;

use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// What is waiting, delivered and dropped, per uplink
    Status(status::Arguments),
    /// Whether the store's file is sound
    Verify(verify::Arguments),
    /// Queue again what is whole in a damaged file
    Salvage(salvage::Arguments),
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Status(arguments) => status::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Salvage(arguments) => salvage::run(arguments),
    }
}
