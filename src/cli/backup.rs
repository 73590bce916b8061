//! `fieldhold backup` and `fieldhold restore`: a gateway in one file, sealed with a passphrase.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde_json::Value;

use super::{BadInput, ConfigArgument, run, secret};
use crate::codec::registers::utc;
use crate::model::Clock;
use crate::runtime::backup::{self, BackupError, Left, Manifest, Wanted};
use crate::runtime::{SystemClock, control, in_full};
use crate::store::KeepCopied;

const PASSPHRASE_BYTES_MAX: usize = 4_096;

#[derive(Debug, clap::Args)]
pub struct Make {
    /// The file to make, as press.backup
    file: PathBuf,
    #[command(flatten)]
    config: ConfigArgument,
    /// With what waits in the store, and the LAN broker's sessions and retained messages
    #[arg(long)]
    queue: bool,
    /// A file with the passphrase; without it, it is asked for, or read from standard input
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct Restore {
    /// The backup
    file: PathBuf,
    #[command(flatten)]
    config: ConfigArgument,
    /// Open and check all of it, show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// A file with the passphrase; without it, it is asked for, or read from standard input
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

pub fn make(arguments: &Make) -> anyhow::Result<ExitCode> {
    let config = &arguments.config.config;
    let passphrase = match &arguments.passphrase_file {
        Some(file) => in_file(file)?,
        None => secret::read(PASSPHRASE_BYTES_MAX)?,
    };
    backup::look_at(&arguments.file, &passphrase).map_err(said)?;
    let broker = if arguments.queue { prepared(config)? } else { None };
    let made = backup::make(&Wanted {
        config,
        archive: &arguments.file,
        passphrase: &passphrase,
        queue: arguments.queue,
        broker,
        now: SystemClock::new().wall(),
    });
    let made = made.map_err(said)?;
    for missing in &made.missing {
        eprintln!(
            "not in the backup: {} can't be read, or belongs to this machine",
            missing.display()
        );
    }
    let (file, files) = (arguments.file.display(), made.files.len());
    println!(
        "{file}: {files} files of gateway {}, {} kB",
        made.manifest.gateway,
        made.bytes / 1_000
    );
    println!("{}", queue(&made.manifest));
    println!("{}", sessions(&made.manifest));
    println!("keep the passphrase somewhere else: without it nobody can open the backup");
    Ok(ExitCode::SUCCESS)
}

pub fn restore(arguments: &Restore) -> anyhow::Result<ExitCode> {
    let config = &arguments.config.config;
    let passphrase = match &arguments.passphrase_file {
        Some(file) => in_file(file)?,
        None => secret::read_again(PASSPHRASE_BYTES_MAX)?,
    };
    if !arguments.dry_run {
        match backup::resume(config).map_err(said)? {
            None => {}
            Some(Left::Removed) => eprintln!("a restore was interrupted that had changed nothing"),
            Some(Left::Ended) => eprintln!("a restore was interrupted; it was ended first"),
            Some(Left::TakenBack(error)) => {
                eprintln!("a restore was interrupted; it was taken back ({})", in_full(&error));
            }
        }
    }
    let now = SystemClock::new().wall();
    let done = match arguments.dry_run {
        true => backup::show(&arguments.file, &passphrase, config, now),
        false => backup::restore(&arguments.file, &passphrase, config, now),
    };
    let done = done.map_err(said)?;
    let (wrote, kept) = match arguments.dry_run {
        true => ("would write", "would keep aside"),
        false => ("wrote", "kept aside"),
    };
    let Manifest { gateway, version, made_wall_ms, .. } = &done.manifest;
    let at = utc(*made_wall_ms).unwrap_or_default();
    println!("gateway {gateway}, as of {at}, made by version {version}");
    done.replaced.iter().for_each(|path| println!("{kept}: {}", path.display()));
    done.written.iter().for_each(|path| println!("{wrote}: {}", path.display()));
    println!("{}", queue(&done.manifest));
    println!("{}", sessions(&done.manifest));
    done.aside.iter().for_each(|path| println!("what was there: {}", path.display()));
    if !arguments.dry_run {
        println!("next: `fieldhold check {}`, then start the gateway", config.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn queue(manifest: &Manifest) -> String {
    match manifest.queue {
        None => "the queue is not in it".to_owned(),
        Some(copied) => format!(
            "{} readings wait in its queue, and are sent under a new epoch: what the gateway it was \
             made of delivers meanwhile arrives twice",
            copied.waiting
        ),
    }
}

fn sessions(manifest: &Manifest) -> String {
    match manifest.broker {
        None => "nothing that the LAN broker keeps is in it".to_owned(),
        Some(KeepCopied { sessions, retained, damaged }) => {
            let left_out = match damaged {
                0 => String::new(),
                _ => format!("; {damaged} rows of its file were damaged and are not in it"),
            };
            format!(
                "of the LAN broker: sessions {sessions}, retained messages {retained}{left_out}"
            )
        }
    }
}

/// What a running gateway has in memory alone is written first, and what it alone may read is copied.
fn prepared(config: &Path) -> anyhow::Result<Option<KeepCopied>> {
    // That it has problems is said later, with all of them.
    let Ok(loaded) = crate::config::load(config) else { return Ok(None) };
    let Some(dir) = loaded.plan.store.path else { return Ok(None) };
    let asked = run::runtime()?.block_on(control::ask(&control::socket_path(&dir), "store copy"));
    let reply = match asked {
        Err(error) if error.nobody_there() => return Ok(None),
        reply => reply?,
    };
    let mut reply: Value =
        serde_json::from_str(&reply).context("the gateway's answer is not JSON")?;
    if let Some(error) = reply.get("error").and_then(Value::as_str) {
        anyhow::bail!("the gateway says: {error}");
    }
    let broker = reply.get_mut("broker").map(Value::take).unwrap_or_default();
    serde_json::from_value(broker).context("the gateway's answer is not understood")
}

fn in_file(file: &Path) -> anyhow::Result<Vec<u8>> {
    let read = std::fs::read_to_string(file);
    let text = read.with_context(|| format!("can't read {}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).as_bytes().to_owned())
}

/// What a person said wrong, and what went wrong.
fn said(error: BackupError) -> anyhow::Error {
    match error.blame() {
        crate::model::Blame::Config => BadInput(in_full(&error)).into(),
        _ => error.into(),
    }
}
