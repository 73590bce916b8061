//! `fieldhold uplink status [NAME]`: state, cause, next step, window, lanes and rest of the uplinks
//! of a running gateway.

use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};

use crate::cli::place::StateArgument;
use crate::cli::view;
use crate::cli::view::json::entries;
use crate::cli::{BadInput, run, status};
use crate::runtime::control;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only this uplink
    name: Option<String>,
    #[command(flatten)]
    state: StateArgument,
    /// As JSON, by name
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let socket = control::socket_path(&arguments.state.dir()?);
    let reply = run::runtime()?.block_on(control::ask(&socket, "status"))?;
    let mut found: Value =
        serde_json::from_str(&reply).context("the gateway's answer is not JSON")?;
    if let Some(name) = &arguments.name {
        let of = entries(&found, "/uplinks").find(|(known, _)| *known == name);
        let Some((_, uplink)) = of else {
            let names: Vec<_> =
                entries(&found, "/uplinks").map(|(name, _)| name.as_str()).collect();
            anyhow::bail!(BadInput(format!("no uplink {name}; there is {}", names.join(", "))));
        };
        let uplink = uplink.clone();
        if let Some(all) = found.get_mut("uplinks") {
            *all = json!({ name.as_str(): uplink });
        }
    }
    if arguments.json {
        println!("{}", found.get("uplinks").unwrap_or(&Value::Null));
    } else {
        status::show(&view::uplinks(&found));
    }
    Ok(ExitCode::SUCCESS)
}
