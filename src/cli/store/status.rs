//! `fieldhold store status`: what waits, in a store that no gateway is using.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::cli::{status, view};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The state directory (`store: path` of the configuration)
    state_dir: PathBuf,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let dir = &arguments.state_dir;
    let found = crate::store::inspect(dir)
        .with_context(|| format!("can't look into the store in {}", dir.display()))?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&found)?);
    } else {
        status::show(&view::store(&serde_json::to_value(&found)?));
    }
    Ok(ExitCode::SUCCESS)
}
