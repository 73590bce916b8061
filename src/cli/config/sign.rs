//! `fieldhold config sign`: a message that changes the configuration of gateways, ready to publish.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Map, Value, json};

use crate::cli::{BadConfig, BadInput, load};
use crate::codec::jws::SigningKey;
use crate::config::{self, file};
use crate::model::Clock;
use crate::runtime::SystemClock;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The configuration
    #[arg(required_unless_present = "confirms", conflicts_with = "confirms")]
    file: Option<PathBuf>,
    /// The private key, as `openssl genpkey -algorithm ed25519` makes it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// What the gateways call the key; without it, the name of its file
    #[arg(long, value_name = "NAME")]
    id: Option<String>,
    /// The number of the message, larger than that of every message before to these gateways
    #[arg(
        long,
        value_name = "N",
        required_unless_present = "confirms",
        conflicts_with = "confirms"
    )]
    serial: Option<u64>,
    /// A gateway: its site/name, or its name if it has no site. May be repeated
    #[arg(long = "for", value_name = "GATEWAY", required_unless_present = "groups")]
    gateways: Vec<String>,
    /// A group of gateways. May be repeated
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Only so many percent of them, chosen by their names; signed again with more, and the same
    /// serial, the others follow
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100),
          conflicts_with = "confirms")]
    stage: Option<u8>,
    /// What the choice starts from; without it, the serial
    #[arg(long, requires = "stage")]
    salt: Option<String>,
    /// Let it stand only when it is confirmed by a message, not when the gateway is reachable again
    #[arg(long, conflicts_with = "confirms")]
    ask_operator: bool,
    /// How long it may take to be confirmed, as in 90s; without it, what the gateway's says
    #[arg(long, value_name = "TIME", value_parser = config::parse_duration,
          conflicts_with = "confirms")]
    within: Option<Duration>,
    /// How long the message counts, as in 1d; without it, for ever
    #[arg(long, value_name = "TIME", value_parser = config::parse_duration)]
    expires: Option<Duration>,
    /// Sign it even with mistakes: profiles may be there that are not here
    #[arg(long, conflicts_with = "confirms")]
    unchecked: bool,
    /// Instead of a configuration: let the one stand that came with this serial
    #[arg(long, value_name = "SERIAL")]
    confirms: Option<u64>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let pem = std::fs::read(&arguments.key)
        .with_context(|| format!("can't read the key {}", arguments.key.display()))?;
    let key = SigningKey::from_pem(&pem)
        .map_err(|error| BadInput(format!("{}: {error}", arguments.key.display())))?;
    let stem = arguments.key.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let id = arguments.id.clone().or(stem).unwrap_or_default();
    let claims = match &arguments.file {
        Some(file) => set(arguments, &text(file, arguments.unchecked)?)?,
        None => confirm(arguments)?,
    };
    println!("{}", key.sign(&id, Value::Object(claims).to_string().as_bytes()));
    Ok(ExitCode::SUCCESS)
}

/// A mistake is cheaper here than in a thousand gateways.
fn text(path: &Path, unchecked: bool) -> anyhow::Result<String> {
    if !unchecked {
        load(path).map_err(|_| BadConfig)?;
    }
    file::read_text(path).map_err(|problems| {
        eprintln!("{problems}");
        BadConfig.into()
    })
}

fn set(arguments: &Arguments, text: &str) -> anyhow::Result<Map<String, Value>> {
    let serial = arguments.serial.unwrap_or_default();
    let mut claims = common(arguments)?;
    claims.insert("serial".to_owned(), json!(serial));
    if let Some(percent) = arguments.stage {
        let salt = arguments.salt.clone().unwrap_or_else(|| serial.to_string());
        claims.insert("stage".to_owned(), json!({ "percent": percent, "salt": salt }));
    }
    if arguments.ask_operator {
        claims.insert("confirm".to_owned(), json!("operator"));
    }
    if let Some(within) = arguments.within {
        claims.insert("within".to_owned(), json!(within.as_secs()));
    }
    claims.insert("config".to_owned(), json!(text));
    Ok(claims)
}

fn confirm(arguments: &Arguments) -> anyhow::Result<Map<String, Value>> {
    let mut claims = common(arguments)?;
    claims.insert("confirms".to_owned(), json!(arguments.confirms));
    Ok(claims)
}

fn common(arguments: &Arguments) -> anyhow::Result<Map<String, Value>> {
    let groups = arguments.groups.iter().map(|group| format!("group:{group}"));
    let aud: Vec<String> = arguments.gateways.iter().cloned().chain(groups).collect();
    let mut claims = Map::new();
    claims.insert("aud".to_owned(), json!(aud));
    if let Some(expires) = arguments.expires {
        let now = u64::try_from(SystemClock::new().wall().0).context("the clock is not set")?;
        claims.insert("exp".to_owned(), json!(now / 1000 + expires.as_secs()));
    }
    Ok(claims)
}
