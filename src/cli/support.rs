//! `fieldhold support`: one file for whoever helps from afar, without passwords and keys; of a gateway
//! that runs, or of what lies on the disk.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::{ConfigArgument, doctor, run};
use crate::config::file;
use crate::model::Clock;
use crate::runtime::{SystemClock, control};
use crate::store::{self, Inspector};
use crate::web::support::{self, Parts};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The file to make, as press.tar.gz
    file: PathBuf,
    #[command(flatten)]
    config: ConfigArgument,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = &arguments.config.config;
    // A configuration with mistakes goes along as it is; the gateway may be running another one.
    let text = file::read_text(config);
    let looked = text.as_ref().ok().and_then(|text| file::look_at(config, text).plan);
    let state_dir = looked.and_then(|plan| plan.store.path);
    let asked = match &state_dir {
        Some(dir) => {
            run::runtime()?.block_on(control::ask(&control::socket_path(dir), "support")).ok()
        }
        None => None,
    };
    let asked = asked.and_then(|reply| serde_json::from_str::<Parts>(&reply).ok());
    let is_running = asked.is_some();
    let parts = asked.unwrap_or_else(|| {
        let text = text.unwrap_or_else(|problems| format!("# {problems}"));
        let looked = state_dir.as_ref().and_then(|dir| {
            let file = Inspector::open(&store::database(dir)).ok()?;
            file.status(&SystemClock::new()).ok()
        });
        let status = serde_json::json!({ "store": looked });
        support::of_files(text, status, state_dir.as_deref())
    });
    let findings = doctor::examine(&arguments.config)?;
    let parts = Parts { doctor: serde_json::to_value(findings)?, ..parts };
    let bytes = support::bundle(parts, SystemClock::new().wall());
    let made = file::create(&arguments.file, &bytes, 0o600);
    made.with_context(|| format!("can't write {}", arguments.file.display()))?;
    let of =
        if is_running { "the gateway that runs" } else { "what lies on the disk; no gateway runs" };
    println!("{}: of {of}; passwords, keys and tokens are taken out", arguments.file.display());
    Ok(ExitCode::SUCCESS)
}
