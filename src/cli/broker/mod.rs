//! `fieldhold broker …`: the LAN broker from outside.

mod password;

use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make the line of a user's password, from the terminal or standard input
    Password(password::Arguments),
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Password(arguments) => password::run(arguments),
    }
}
