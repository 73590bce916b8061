//! `fieldhold broker …`: the LAN broker from outside.

mod clients;
mod kick;
mod list;
mod password;
mod retained;
mod table;
mod topics;

use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Who is connected or has a session, and how they fare
    Clients(clients::Arguments),
    /// Disconnect a client; it may come back
    Kick(kick::Arguments),
    /// Who subscribed to what, and what is published where
    Topics(topics::Arguments),
    /// Retained messages: list or remove them
    Retained(retained::Arguments),
    /// Make the line of a user's password, from the terminal or standard input
    Password(password::Arguments),
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Clients(arguments) => clients::run(arguments),
        Command::Kick(arguments) => kick::run(arguments),
        Command::Topics(arguments) => topics::run(arguments),
        Command::Retained(arguments) => retained::run(arguments),
        Command::Password(arguments) => password::run(arguments),
    }
}
