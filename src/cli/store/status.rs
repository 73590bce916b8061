//! `fieldhold store status`: what waits, was delivered and dropped, in a store that is in use or not.

use std::process::ExitCode;

use anyhow::Context;

use super::{asked, both};
use crate::cli::place::StoreArgument;
use crate::cli::{status, view};
use crate::runtime::SystemClock;
use crate::store::{Inspector, Keep};

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
    let found = match asked(&place, "store")? {
        Some(status) => status,
        None => {
            let looked =
                Inspector::open(&place.file).and_then(|file| file.status(&SystemClock::new()));
            let looked =
                looked.with_context(|| format!("can't look into {}", place.file.display()))?;
            let broker = place.state_dir.as_deref().and_then(Keep::at_rest);
            both(&looked, broker.as_ref())?
        }
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&found)?);
    } else {
        status::show(&view::store(&found));
    }
    Ok(ExitCode::SUCCESS)
}
