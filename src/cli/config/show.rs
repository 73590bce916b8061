//! `fieldhold config show`.

use std::process::ExitCode;

use super::Place;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    version: u64,
    #[command(flatten)]
    place: Place,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let text = arguments.place.history()?.text(arguments.version)?;
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}
