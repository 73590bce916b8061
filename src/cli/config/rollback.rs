//! `fieldhold config rollback`: a running gateway goes back itself; where none runs, only the file
//! does, and the next start takes it.

use std::process::ExitCode;

use anyhow::Context;

use super::Place;
use crate::cli::{BadConfig, run};
use crate::config::file::{self, SaveError};
use crate::runtime::control;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The version to go back to; without it, away from the one that is pending, or to the one before
    version: Option<u64>,
    #[command(flatten)]
    place: Place,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let dir = arguments.place.state_dir()?;
    let version = arguments.version.map_or_else(|| "-".to_owned(), |version| version.to_string());
    let words = format!("config rollback {version}");
    let asked = run::runtime()?.block_on(control::ask(&control::socket_path(&dir), &words));
    match asked {
        Ok(reply) => said(&reply),
        Err(error) if error.nobody_there() => in_the_file(arguments),
        Err(error) => Err(error.into()),
    }
}

fn said(reply: &str) -> anyhow::Result<ExitCode> {
    let reply: serde_json::Value = serde_json::from_str(reply).context(
        "the gateway has not answered yet; `fieldhold config history` shows what it did",
    )?;
    if let Some(error) = reply.get("error").and_then(serde_json::Value::as_str) {
        anyhow::bail!("the gateway says: {error}");
    }
    println!("version {} runs", reply.get("version").unwrap_or(&reply));
    Ok(ExitCode::SUCCESS)
}

fn in_the_file(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (history, path) = (arguments.place.history()?, &arguments.place.config);
    let version = match (arguments.version, history.current()) {
        (Some(version), _) => version,
        (None, Some(current)) => {
            // A file that does not load was never a version: the newest one is what was before it.
            let there = file::read_text(path).ok();
            let newest = history.text(current.version).ok();
            if there == newest {
                let before = history.before(current.version);
                before.context("there is no version before this one")?.version
            } else {
                current.version
            }
        }
        (None, None) => anyhow::bail!("this gateway has not run yet"),
    };
    match file::save(path, &history.text(version)?) {
        Ok(_) => {
            let file = path.display();
            println!("no gateway is running here: {file} is that of version {version} again");
            Ok(ExitCode::SUCCESS)
        }
        Err(SaveError::Refused(problems)) => {
            eprintln!("{problems}");
            Err(BadConfig.into())
        }
        Err(error) => Err(error.into()),
    }
}
