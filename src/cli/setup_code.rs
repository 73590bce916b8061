//! `fieldhold setup-code`: the code that the web page asks for before the first account is made. It
//! is that of the run, so a gateway has to be running.

use std::process::ExitCode;

use anyhow::Context;
use serde_json::Value;

use super::place::StateArgument;
use super::run;
use crate::runtime::control;
use crate::web::access::AccessAsk;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    state: StateArgument,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let dir = arguments.state.dir()?;
    let words = format!("access {}", serde_json::to_string(&AccessAsk::SetupCode)?);
    let asked = run::runtime()?.block_on(control::ask(&control::socket_path(&dir), &words));
    let reply = match asked {
        Err(error) if error.nobody_there() => anyhow::bail!(
            "no gateway is running here, and each run has a code of its own; without one, \
             `fieldhold user add NAME --role admin` makes the first account"
        ),
        other => other?,
    };
    let reply: Value = serde_json::from_str(&reply).context("the gateway has not answered yet")?;
    if let Some(error) = reply.get("error").and_then(Value::as_str) {
        anyhow::bail!("the gateway says: {error}");
    }
    match reply.get("code").and_then(Value::as_str) {
        Some(code) => println!("{code}"),
        None => anyhow::bail!(
            "the setup is done: there is an account; `fieldhold user passwd NAME` sets a password"
        ),
    }
    Ok(ExitCode::SUCCESS)
}
