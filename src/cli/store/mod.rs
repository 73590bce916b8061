//! `fieldhold store`: look into a store, and get out of it what is in it.

mod csv;
mod drops;
mod export;
mod salvage;
mod selection;
mod status;
mod tail;
mod verify;

use std::process::ExitCode;

use anyhow::Context;

pub use export::is_closed;

use super::place::Place;
use super::run;
use crate::runtime::control;
use crate::store::{KeepStatus, StoreStatus};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// What is waiting, delivered and dropped, per uplink
    Status(status::Arguments),
    /// What is in the store's file, as CSV or NDJSON
    Export(export::Arguments),
    /// The newest readings and messages, and those that come
    Tail(tail::Arguments),
    /// What was dropped, for whom and why
    Drops(drops::Arguments),
    /// Whether the store's file is sound
    Verify(verify::Arguments),
    /// Queue again what is whole in a damaged file
    Salvage(salvage::Arguments),
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Status(arguments) => status::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Tail(arguments) => tail::run(arguments),
        Command::Drops(arguments) => drops::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Salvage(arguments) => salvage::run(arguments),
    }
}

/// What the gateway that uses this store answers; `None` if none is running there.
fn asked(place: &Place, words: &str) -> anyhow::Result<Option<serde_json::Value>> {
    let Some(dir) = &place.state_dir else { return Ok(None) };
    match run::runtime()?.block_on(control::ask(&control::socket_path(dir), words)) {
        Ok(reply) => {
            let reply: serde_json::Value =
                serde_json::from_str(&reply).context("the gateway's answer is not JSON")?;
            match reply.get("error").and_then(serde_json::Value::as_str) {
                Some(error) => anyhow::bail!("the gateway says: {error}"),
                None => Ok(Some(reply)),
            }
        }
        Err(error) if error.nobody_there() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What the store tells, with what the file of the LAN broker tells.
pub fn both(
    store: &StoreStatus,
    broker: Option<&KeepStatus>,
) -> serde_json::Result<serde_json::Value> {
    let mut both = serde_json::to_value(store)?;
    if let (Some(both), Some(broker)) = (both.as_object_mut(), broker) {
        both.insert("broker_file".to_owned(), serde_json::to_value(broker)?);
    }
    Ok(both)
}
