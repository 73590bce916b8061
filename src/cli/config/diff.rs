//! `fieldhold config diff`: two versions, line by line.

use std::process::ExitCode;

use anyhow::Context;

use super::Place;
use crate::config::edit::lines::difference;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The older one; without it, the one before that which runs
    a: Option<u64>,
    /// The newer one; without it, the one that runs
    b: Option<u64>,
    #[command(flatten)]
    place: Place,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let history = arguments.place.history()?;
    let current = || history.current().map(|record| record.version);
    let new = arguments.b.or_else(current).context("this gateway has not run yet")?;
    let before = || history.before(new).map(|record| record.version);
    let old = arguments.a.or_else(before).context("there is no version before this one")?;
    let (old_text, new_text) = (history.text(old)?, history.text(new)?);
    if old_text == new_text {
        println!("versions {old} and {new} are the same");
    } else {
        print!("--- {old}\n+++ {new}\n{}", difference(&old_text, &new_text));
    }
    Ok(ExitCode::SUCCESS)
}
