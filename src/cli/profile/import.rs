//! `fieldhold profile import`: a profile from SunSpec models or from a register list.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;

use crate::cli::link::{MODBUS_PORT, peer_of};
use crate::cli::{BAD_INPUT, BadInput, run};
use crate::codec::registers::{Decoded, decode};
use crate::config::import::sunspec::{self, BASES, CHAIN_MAX, END, Found, MARKER, Model};
use crate::config::import::{self, Imported};
use crate::config::profile::FILE_SUFFIX;
use crate::config::{Framing, Link, ModbusLink, Problems, TcpWire, Wire, file};
use crate::model::{Coding, Kind, Table};
use crate::south::probe::Session;

/// Registers of one request.
const REQUEST_MAX: u16 = 125;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// From the JSON files of the models (repository sunspec/models) that a device has
    #[command(group = clap::ArgGroup::new("models").required(true))]
    Sunspec {
        /// model_*.json
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The device to ask which models it has, as HOST or HOST:PORT
        #[arg(long, value_name = "HOST", group = "models")]
        tcp: Option<String>,
        /// Its unit
        #[arg(long, default_value_t = 1)]
        unit: u8,
        /// How long to wait for an answer, in milliseconds
        #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
        timeout_ms: u64,
        /// The models it has, as ID@ADDRESS:LENGTH, as in 1@40002:66,103@40070:50
        #[arg(long, group = "models")]
        chain: Option<String>,
        #[command(flatten)]
        to: OutArgument,
    },
    /// From a list with a header: name, table, address, type, scale, unit, …
    Csv {
        /// The list
        file: PathBuf,
        #[command(flatten)]
        to: OutArgument,
    },
}

#[derive(Debug, clap::Args)]
struct OutArgument {
    /// The profile's file, NAME.yaml; it must not exist
    #[arg(short = 'o', long = "output", value_name = "NAME.yaml")]
    output: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.from {
        From::Csv { file: path, to } => {
            let name = to.name()?;
            let made = file::read_text(path)
                .and_then(|text| import::csv(&text, &name, &path.display().to_string()));
            to.write(made)
        }
        From::Sunspec { files, tcp, unit, timeout_ms, chain, to } => {
            let name = to.name()?;
            let models = match models(files) {
                Ok(models) => models,
                Err(problems) => return to.write(Err(problems)),
            };
            let chain = match (chain, tcp) {
                (Some(text), _) => {
                    sunspec::chain(text).map_err(|error| BadInput(error.to_string()))?
                }
                (None, peer) => {
                    let peer = peer.as_deref().unwrap_or_default();
                    let wire = Wire::Tcp(TcpWire::new(peer_of("--tcp", peer, MODBUS_PORT)?));
                    let link = Link::Modbus(ModbusLink { wire, framing: Framing::Tcp });
                    let timeout = Duration::from_millis(*timeout_ms);
                    run::runtime()?.block_on(async {
                        let session = Session::open(&link, timeout).await?;
                        Device { session, unit: *unit }.chain(&models).await
                    })?
                }
            };
            for found in &chain {
                let known = models.iter().any(|model| model.id == found.id);
                let known = if known { "" } else { ", no file for it" };
                println!(
                    "model {} at {}, {} registers{known}",
                    found.id, found.address, found.length
                );
            }
            let title = identity(&chain).unwrap_or_else(|| name.clone());
            to.write(sunspec::profile(&models, &chain, &name, &title))
        }
    }
}

/// All files, or the problems of all.
fn models(files: &[PathBuf]) -> Result<Vec<Model>, Problems> {
    let mut models = Vec::new();
    let mut problems = Vec::new();
    for path in files {
        let model =
            file::read_text(path).and_then(|text| Model::parse(&text, &path.display().to_string()));
        match model {
            Ok(model) => models.push(model),
            Err(Problems(more)) => problems.extend(more),
        }
    }
    if problems.is_empty() { Ok(models) } else { Err(Problems(problems)) }
}

impl OutArgument {
    fn name(&self) -> anyhow::Result<String> {
        let name = self.output.file_name().and_then(|name| name.to_str());
        let name = name.and_then(|name| name.strip_suffix(FILE_SUFFIX)).filter(|n| !n.is_empty());
        let path = self.output.display();
        let name = name.ok_or_else(|| BadInput(format!("{path} is no NAME{FILE_SUFFIX}")))?;
        if Path::new(&self.output).exists() {
            return Err(BadInput(format!("{path} is there already, and stays as it is")).into());
        }
        Ok(name.to_owned())
    }

    fn write(&self, made: Result<Imported, Problems>) -> anyhow::Result<ExitCode> {
        let made = match made {
            Ok(made) => made,
            Err(problems) => {
                eprintln!("{problems}");
                return Ok(ExitCode::from(BAD_INPUT));
            }
        };
        for note in &made.notes {
            eprintln!("{note}");
        }
        file::save_profile(&self.output, &made.text)?;
        println!("{}: {} tags", self.output.display(), made.tags);
        Ok(ExitCode::SUCCESS)
    }
}

/// A live device.
struct Device {
    session: Session,
    unit: u8,
}

impl Device {
    async fn read(&mut self, address: u16, count: u16) -> anyhow::Result<Vec<u16>> {
        self.session
            .read(self.unit, Table::Holding, (address, count))
            .await
            .with_context(|| format!("can't read {count} holding registers from {address}"))
    }

    /// Finds the marker and follows the models behind it.
    async fn chain(mut self, models: &[Model]) -> anyhow::Result<Vec<Found>> {
        let mut last = None;
        let mut base = None;
        for address in BASES {
            match self.read(address, 2).await {
                Ok(words) if words == MARKER => {
                    base = Some(address);
                    break;
                }
                Ok(_) => {}
                // At another base there may be an answer, but not from a device that is silent.
                Err(error) => last = Some(error),
            }
        }
        let Some(base) = base else {
            let bases = BASES.map(|base| base.to_string()).join(", ");
            let nothing = format!("no SunSpec marker at {bases}");
            return Err(match last {
                Some(error) => error.context(nothing),
                None => anyhow::anyhow!(nothing),
            });
        };
        let mut chain = Vec::new();
        let mut at = base.checked_add(2);
        while let Some(address) = at.filter(|_| chain.len() < CHAIN_MAX) {
            let words = self.read(address, 2).await?;
            let [id, length] = *words.as_slice() else { break };
            if id == END {
                return Ok(chain);
            }
            let next = address.checked_add(2).and_then(|at| at.checked_add(length));
            let words = match models.iter().any(|model| model.id == id) {
                true => Some(self.model(address, length).await?),
                false => None,
            };
            chain.push(Found { id, address, length, words });
            at = next;
        }
        let models = chain.len();
        anyhow::bail!("the chain of models does not end: {models} models from {base} on")
    }

    /// All registers of a model.
    async fn model(&mut self, address: u16, length: u16) -> anyhow::Result<Vec<u16>> {
        let mut words = Vec::new();
        let (mut at, mut left) = (Some(address), length.saturating_add(2));
        while let Some(address) = at.filter(|_| left > 0) {
            let count = left.min(REQUEST_MAX);
            words.extend(self.read(address, count).await?);
            left -= count;
            at = address.checked_add(count);
        }
        Ok(words)
    }
}

/// Manufacturer and model of the common block (model 1), if it was read.
fn identity(chain: &[Found]) -> Option<String> {
    let words = chain.iter().find(|found| found.id == 1)?.words.as_ref()?;
    let text = |from: usize| {
        let coding = Coding::plain(Kind::Text { registers: 16 });
        match decode(&coding, false, words.get(from..from + 16)?) {
            Decoded::Good(value) => Some(value.to_string()).filter(|text| !text.is_empty()),
            _ => None,
        }
    };
    Some(format!("{} {}", text(2)?, text(18)?))
}
