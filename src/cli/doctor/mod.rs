//! `fieldhold doctor`: everything about a gateway and its machine that a person might have to mend, in
//! plain words, each with the next step.
//!
//! It looks and changes nothing, beside a gateway that runs or without one. What can't be looked at is
//! said as that, never as good.

mod certificates;
mod files;
mod machine;
mod network;
mod store;

use std::process::ExitCode;

use serde::Serialize;

use super::view::{Line, Tone};
use super::{ConfigArgument, status};
use crate::config::Plan;
use crate::config::file;
use crate::model::{Clock, Wall};
use crate::runtime::{SystemClock, control};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Looks at the configuration, the disk, the clock, permissions, serial ports, certificates,
addresses, names, the store and the memory. Run it as the user who runs the gateway
(`sudo -u fieldhold fieldhold doctor FILE`): what that user may not do is then found, too.

Exit code 0: nothing to mend; 1: something.";

/// How it is about something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Good,
    /// Worth a look; nothing is broken by it.
    Doubt,
    Bad,
}

/// What was found out about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `disk`, `clock`, …
    about: &'static str,
    level: Level,
    text: String,
    /// What to do.
    next: Option<String>,
}

impl Finding {
    fn good(about: &'static str, text: impl Into<String>) -> Self {
        Self { about, level: Level::Good, text: text.into(), next: None }
    }

    fn doubt(about: &'static str, text: impl Into<String>, next: impl Into<String>) -> Self {
        Self { about, level: Level::Doubt, text: text.into(), next: Some(next.into()) }
    }

    fn bad(about: &'static str, text: impl Into<String>, next: impl Into<String>) -> Self {
        Self { about, level: Level::Bad, text: text.into(), next: Some(next.into()) }
    }
}

/// What is looked at.
struct Patient<'a> {
    path: &'a std::path::Path,
    plan: &'a Plan,
    now: Wall,
    /// The gateway that runs with this state directory, as it describes itself.
    running: Option<serde_json::Value>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let findings = examine(&arguments.config)?;
    let is_ill = findings.iter().any(|finding| finding.level == Level::Bad);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        status::show(&findings.iter().flat_map(lines).chain([last(&findings)]).collect::<Vec<_>>());
    }
    Ok(if is_ill { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

pub fn examine(config: &ConfigArgument) -> anyhow::Result<Vec<Finding>> {
    let clock = SystemClock::new();
    let mut findings =
        vec![Finding::good("version", concat!("this is ", env!("CARGO_PKG_VERSION")))];
    findings.push(machine::clock(clock.wall(), clock.synced()));
    findings.push(machine::memory());
    let path = &config.config;
    let loaded = match file::load(path) {
        Ok(loaded) => loaded,
        Err(problems) => {
            let next = format!("mend them; `fieldhold check {}` tells them, too", path.display());
            let text = format!("the configuration has mistakes:\n{problems}");
            findings.push(Finding::bad("configuration", text.trim_end(), next));
            return Ok(findings);
        }
    };
    let runtime = super::run::runtime()?;
    let running = runtime.block_on(running(&loaded.plan));
    let patient = Patient { path, plan: &loaded.plan, now: clock.wall(), running };
    findings.push(configuration(&loaded.warnings));
    findings.extend(machine::process(&patient));
    findings.extend(files::state(&patient));
    findings.extend(files::secrets(&patient));
    findings.extend(files::serial(&patient));
    findings.extend(certificates::all(&patient));
    findings.extend(network::addresses(&patient));
    findings.extend(network::open_broker(&patient));
    findings.extend(runtime.block_on(network::names(&patient)));
    // A resolver that does not answer is not waited for.
    runtime.shutdown_background();
    findings.extend(store::all(&patient));
    Ok(findings)
}

async fn running(plan: &Plan) -> Option<serde_json::Value> {
    let dir = plan.store.path.as_ref()?;
    let reply = control::ask(&control::socket_path(dir), "status").await.ok()?;
    serde_json::from_str(&reply).ok()
}

fn configuration(warnings: &[crate::config::Problem]) -> Finding {
    if warnings.is_empty() {
        return Finding::good("configuration", "can run, and nothing about it is doubtful");
    }
    let all: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    Finding::doubt("configuration", all.join("\n"), "it runs all the same; is it meant so?")
}

fn lines(finding: &Finding) -> Vec<Line> {
    let (tone, word) = match finding.level {
        Level::Good => (Tone::Good, "good"),
        Level::Doubt => (Tone::Doubt, "look"),
        Level::Bad => (Tone::Bad, "mend"),
    };
    let mut texts = finding.text.lines();
    let first = texts.next().unwrap_or_default();
    let head = Line::new().state(tone, word, 7).left(Tone::Strong, finding.about, 14);
    let mut out = vec![head.text(format!(" {first}"))];
    out.extend(texts.map(|text| Line::new().text(format!("{:22} {text}", ""))));
    let next = finding.next.as_ref();
    out.extend(next.map(|next| Line::new().add(Tone::Faint, format!("{:22} → {next}", ""))));
    out
}

fn last(findings: &[Finding]) -> Line {
    let of = |level| findings.iter().filter(|finding| finding.level == level).count();
    match (of(Level::Bad), of(Level::Doubt)) {
        (0, 0) => Line::new().add(Tone::Good, "nothing to mend"),
        (0, doubts) => Line::new().add(Tone::Good, format!("nothing to mend, {doubts} to look at")),
        (bad, doubts) => Line::new().add(Tone::Bad, format!("{bad} to mend, {doubts} to look at")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_with_what_to_do_below_it() {
        let finding = Finding::bad("disk", "full\nreally", "make room");
        let shown: Vec<String> = lines(&finding).iter().map(ToString::to_string).collect();
        assert!(
            shown[0].contains("mend") && shown[0].contains("disk") && shown[0].ends_with("full")
        );
        assert_eq!(shown[1].trim(), "really");
        assert_eq!(shown[2].trim(), "→ make room");
        assert_eq!(last(&[finding]).to_string(), "1 to mend, 0 to look at");
        assert_eq!(last(&[Finding::good("a", "b")]).to_string(), "nothing to mend");
        let doubt = Finding::doubt("a", "b", "c");
        assert_eq!(last(&[doubt]).to_string(), "nothing to mend, 1 to look at");
    }
}
