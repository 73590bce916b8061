//! `fieldhold store`: look into a store that no gateway is using.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::view;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// What is waiting, delivered and dropped, per uplink
    Status {
        /// The state directory (`store: path` of the configuration)
        state_dir: PathBuf,
        /// Everything, as JSON
        #[arg(long)]
        json: bool,
    },
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Command::Status { state_dir, json } = &arguments.command;
    let status = crate::store::inspect(state_dir)
        .with_context(|| format!("can't look into the store in {}", state_dir.display()))?;
    if *json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        super::status::show(&view::store(&serde_json::to_value(&status)?));
    }
    Ok(ExitCode::SUCCESS)
}
