//! `fieldhold store status`: what waits, was delivered and dropped, in a store that is in use or not.

use std::process::ExitCode;

use anyhow::Context;

use crate::cli::place::{Place, StoreArgument};
use crate::cli::{run, status, view};
use crate::runtime::{SystemClock, control};
use crate::store::Inspector;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    store: StoreArgument,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let place = arguments.store.place()?;
    let found = match running(&place)? {
        Some(status) => status,
        None => {
            let looked =
                Inspector::open(&place.file).and_then(|file| file.status(&SystemClock::new()));
            let looked =
                looked.with_context(|| format!("can't look into {}", place.file.display()))?;
            serde_json::to_value(&looked)?
        }
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&found)?);
    } else {
        status::show(&view::store(&found));
    }
    Ok(ExitCode::SUCCESS)
}

/// What a running gateway says about its store; `None` if none is running there.
pub fn running(place: &Place) -> anyhow::Result<Option<serde_json::Value>> {
    let Some(dir) = &place.state_dir else { return Ok(None) };
    match run::runtime()?.block_on(control::ask(&control::socket_path(dir), "store")) {
        Ok(reply) => {
            let reply = serde_json::from_str(&reply).context("the gateway's answer is not JSON")?;
            Ok(Some(reply))
        }
        Err(error) if error.nobody_there() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
