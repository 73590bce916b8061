//! `fieldhold uplink test NAME`: resolve, connect, TLS, login, publish; each step on a line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::view::{Line, Tone};
use crate::cli::{BadConfig, BadInput, load, run, status};
use crate::config::Plan;
use crate::model::Clock;
use crate::runtime::{SystemClock, control};
use crate::uplink::{Tried, beside, trial};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The uplink, by its name in the configuration
    name: String,
    /// The configuration file
    #[arg(default_value = "fieldhold.yaml")]
    config: PathBuf,
    /// One JSON object per step and line
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let plan = load(&arguments.config).map_err(|_| BadConfig)?;
    let Some(uplink) = plan.uplinks.iter().find(|uplink| uplink.name.as_str() == arguments.name)
    else {
        let names: Vec<_> = plan.uplinks.iter().map(|uplink| uplink.name.as_str()).collect();
        let message = format!("no uplink {}; there is {}", arguments.name, names.join(", "));
        anyhow::bail!(BadInput(message));
    };
    let secrets = arguments.config.parent().unwrap_or(Path::new("."));
    let now = SystemClock::new().wall();
    run::runtime()?.block_on(async {
        let beside = match runs(&plan).await {
            false => None,
            true => Some(beside(uplink).map_err(|alone| {
                let name = &uplink.name;
                anyhow::anyhow!(
                    "{alone}; ask it with fieldhold uplink status {name}, or stop it first"
                )
            })?),
        };
        if let Some(client_id) = &beside
            && !arguments.json
        {
            println!("the gateway is running: tried as client {client_id}, beside it");
        }
        let mut tell = |tried: Tried| match arguments.json {
            true => println!("{}", serde_json::json!(tried)),
            false => status::show(&lines(&tried)),
        };
        let good = trial(uplink, beside, secrets, now, &mut tell).await;
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// Whether this gateway is running. With its client id its connection would be cut off.
async fn runs(plan: &Plan) -> bool {
    match &plan.store.path {
        Some(dir) => control::ask(&control::socket_path(dir), "status").await.is_ok(),
        None => false,
    }
}

fn lines(tried: &Tried) -> Vec<Line> {
    let (tone, word) = if tried.ok { (Tone::Good, "ok") } else { (Tone::Bad, "failed") };
    let line = Line::new()
        .left(Tone::Plain, tried.step, 10)
        .text(" ")
        .state(tone, word, 8)
        .text(format!(" {:>6} ms  ", tried.ms))
        .add(Tone::Faint, if tried.step == "settings" { tried.broker.as_str() } else { "" });
    let line = match (tried.said.as_str(), tried.step) {
        ("", _) => line,
        (said, "settings") if tried.ok => line.add(Tone::Faint, format!("; {said}")),
        (said, _) => line.text(said.to_owned()),
    };
    let next = tried.advice.map(|advice| Line::new().text(format!("           next: {advice}")));
    std::iter::once(line).chain(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uplink::Cause;

    #[test]
    fn a_step_is_a_line_and_a_failure_says_what_to_do() {
        let tried = |step, wrong: Option<&'static str>| Tried {
            broker: "b:1883".to_owned(),
            step,
            ok: wrong.is_none(),
            ms: 7,
            said: if wrong.is_some() { "it is wrong".to_owned() } else { String::new() },
            cause: wrong.map(|_| Cause::Login),
            advice: wrong,
        };
        let shown = |tried: &Tried| {
            let lines: Vec<_> = lines(tried).iter().map(ToString::to_string).collect();
            lines.join("\n").split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown(&tried("settings", None)), "settings ● ok 7 ms b:1883");
        assert_eq!(
            shown(&tried("login", Some("do this"))),
            "login ✕ failed 7 ms it is wrong next: do this"
        );
    }
}
