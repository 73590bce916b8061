//! `fieldhold broker password`: a password in, the line for the configuration out.

use std::process::ExitCode;

use crate::broker::{PASSWORD_BYTES_MAX, hash_password};
use crate::cli::{BadInput, secret};

#[derive(Debug, clap::Args)]
pub struct Arguments {}

pub fn run(_: &Arguments) -> anyhow::Result<ExitCode> {
    let password = secret::read(PASSWORD_BYTES_MAX)?;
    let hash = hash_password(&password).map_err(|error| BadInput(error.to_string()))?;
    // Quoted, since between braces its commas would end it.
    println!("password: \"{hash}\"");
    Ok(ExitCode::SUCCESS)
}
