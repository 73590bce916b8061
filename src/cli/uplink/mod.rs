//! `fieldhold uplink …`: the way to a cloud broker, tried and shown.

mod presets;
mod status;
mod test;

use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Try an uplink from the configuration alone: every step, and what to do where it ends
    Test(test::Arguments),
    /// Show what the uplinks of a running gateway are doing
    Status(status::Arguments),
    /// List the cloud services that are known, or show all limits of one
    Presets { name: Option<String> },
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Presets { name } => presets::run(name.as_deref()),
        Command::Test(arguments) => test::run(arguments),
        Command::Status(arguments) => status::run(arguments),
    }
}
