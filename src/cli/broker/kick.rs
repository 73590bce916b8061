//! `fieldhold broker kick`: ends the connection of a client.

use std::process::ExitCode;

use serde_json::json;

use super::list::Running;
use crate::cli::place::StateArgument;
use crate::cli::run;
use crate::cli::view::json::flag;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The client's id, as `fieldhold broker clients` shows it
    client: String,
    #[command(flatten)]
    state: StateArgument,
    /// End its session, too: its subscriptions and what waits for it are gone
    #[arg(long)]
    session: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let running = Running::of(&arguments.state)?;
    let client = &arguments.client;
    let question = json!({ "what": "kick", "client": client, "session": arguments.session });
    let done = run::runtime()?.block_on(running.ask(&question))?;
    let session = match flag(&done, "/session_kept") {
        true => "its session is kept for it",
        false => "its session has ended",
    };
    let client = client.replace(char::is_control, "�");
    if flag(&done, "/was_connected") {
        println!(
            "{client} was disconnected, with reason 0x98 if it speaks MQTT 5; {session}. It may come \
             back: to keep it out, change its user or its rights."
        );
    } else {
        println!("{client} was not connected; {session}");
    }
    Ok(ExitCode::SUCCESS)
}
