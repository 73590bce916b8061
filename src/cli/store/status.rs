//! `fieldhold store status`: what waits, was delivered and dropped, in a store that is in use or not.

use std::process::ExitCode;

use anyhow::Context;

use super::asked;
use crate::cli::place::StoreArgument;
use crate::cli::{status, view};
use crate::runtime::SystemClock;
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
    let found = match asked(&place, "store")? {
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
