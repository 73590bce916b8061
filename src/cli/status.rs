//! `fieldhold status`: asks the running gateway and shows what it says.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::{ConfigArgument, run, view};
use crate::runtime::control;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// The state directory of the gateway, instead of looking it up in the configuration
    #[arg(long)]
    state_dir: Option<PathBuf>,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let dir = match &arguments.state_dir {
        Some(dir) => dir.clone(),
        None => match super::load(&arguments.config.config) {
            Ok(plan) => match plan.store.path {
                Some(dir) => dir,
                None => bail!("this gateway keeps no state directory, and so has no status socket"),
            },
            Err(code) => return Ok(code),
        },
    };
    let socket = control::socket_path(&dir);
    let reply = run::runtime()?
        .block_on(control::ask(&socket, "status"))
        .with_context(|| format!("the gateway is not running, or not with {}", socket.display()))?;
    if arguments.json {
        print!("{reply}");
    } else {
        let status: serde_json::Value =
            serde_json::from_str(&reply).context("the gateway's answer is not JSON")?;
        for line in view::lines(&status) {
            println!("{line}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
