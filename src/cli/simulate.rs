//! `fieldhold simulate`: plays the devices of a configuration, or one of a profile, with faults if wanted.
//!
//! What it prints is YAML that can be pasted, with the rest in comments. The first lines say where
//! each bus is, for programs: `# bus NAME tcp ADDRESS:PORT` or `# bus NAME pty PATH`.

mod place;
mod rules;
mod source;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::place::{Place, Wanted};
use self::source::Source;
use super::run::{self, Ends};
use super::{BadInput, check};
use crate::codec::registers::Decoded;
use crate::config::{Framing, paste};
use crate::model::{Clock, Table};
use crate::runtime::SystemClock;
use crate::south::simulator::{
    Faults, Line, Pty, RtuSlave, Start, Tag, TcpServer, UdpServer, World,
};

/// How often the values move.
const STEP: Duration = Duration::from_millis(200);
/// What clocks in devices show when nothing moves: 2026-01-01.
const FIXED_EPOCH_S: u64 = 1_767_225_600;
/// A serial line that was unplugged by a fault is back after this.
const REPLUG: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The configuration whose devices are played
    #[arg(default_value = "fieldhold.yaml", conflicts_with = "profile")]
    config: PathBuf,
    /// Play a device of this profile instead, on TCP or, with --pty, on a serial line
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// The device's unit; the factory's, or 1, unless given
    #[arg(long, requires = "profile", value_parser = clap::value_parser!(u8).range(1..=247))]
    unit: Option<u8>,
    /// Where a bus on TCP listens, as [BUS=]ADDRESS:PORT; free loopback ports unless given
    #[arg(long, value_name = "[BUS=]ADDR:PORT")]
    listen: Vec<String>,
    /// Where a serial bus is linked, as [BUS=]PATH; in the temporary directory unless given
    #[arg(long, value_name = "[BUS=]PATH")]
    pty: Vec<String>,
    /// Values don't move
    #[arg(long)]
    fixed: bool,
    /// Other values, and other moments for the faults of chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Gives a tag a value that stays until it is written
    #[arg(long, value_name = "DEVICE.TAG=VALUE")]
    set: Vec<String>,
    /// Makes answers go wrong: NAME[=VALUE][:every=N][:share=N%][:unit=N][:from=TIME][:to=TIME][:bus=NAME];
    /// `--fault help` lists the names
    #[arg(long, value_name = "FAULT")]
    fault: Vec<String>,
    /// A file of such faults, one a line, # for comments
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.fault.iter().any(|fault| fault == "help") {
        print!("{}", rules::help());
        return Ok(ExitCode::SUCCESS);
    }
    let source = match &arguments.profile {
        Some(name) => source::of_profile(name, arguments.unit, !arguments.pty.is_empty())?,
        None => source::of_file(&arguments.config)?,
    };
    let runtime = run::runtime()?;
    let end = runtime.block_on(simulate(arguments, &source));
    runtime.shutdown_background();
    end.map(|()| ExitCode::SUCCESS)
}

async fn simulate(arguments: &Arguments, source: &Source) -> anyhow::Result<()> {
    let plan = &source.plan;
    let clock = SystemClock::new();
    let now_s = u64::try_from(clock.wall().0 / 1000).unwrap_or(0);
    let epoch_s = if arguments.fixed { FIXED_EPOCH_S } else { now_s };
    let mut world = World::of(plan, Start { seed: arguments.seed, epoch_s });
    for skipped in plan.buses.iter().filter(|bus| bus.link.modbus().is_none()) {
        eprintln!("bus {} is not simulated: its devices don't speak Modbus", skipped.name);
    }
    if world.lines.is_empty() {
        return Err(BadInput("there is no bus with Modbus devices in this file".into()).into());
    }
    for set in &arguments.set {
        let (tag, value) = set
            .split_once('=')
            .ok_or_else(|| BadInput(format!("--set {set}: write it as DEVICE.TAG=VALUE")))?;
        world.set(tag.trim(), value.trim()).map_err(|error| BadInput(format!("--set {error}")))?;
    }
    let rules = rules::read(&arguments.fault, arguments.faults.as_deref(), &world.lines)?;
    for line in &mut world.lines {
        let own = rules.iter().filter(|rule| rule.is_for(line.name.as_str()));
        let own = own.map(|rule| rule.rule.clone()).collect();
        line.devices = line.devices.clone().with_faults(Faults::new(own, arguments.seed));
    }
    let places =
        Wanted::read(&arguments.listen, &arguments.pty, &world.lines)?.places(&world.lines);
    let mut ends = Ends::new()?;
    let stop = CancellationToken::new();
    let mut servers = JoinSet::new();
    let mut at = Vec::new();
    for (line, place) in world.lines.iter().zip(places) {
        at.push(serve(line, place, &mut servers, &stop).await?);
    }
    print!("{}", describe(source, &world.lines, &at));
    let begun = clock.mono();
    let mut step = tokio::time::interval(STEP);
    let ended = loop {
        tokio::select! {
            () = ends.recv() => break Ok(()),
            Some(ended) = servers.join_next() => {
                break ended.context("a simulated bus ended").and_then(|result| result);
            }
            _ = step.tick(), if !arguments.fixed => world.advance(clock.mono() - begun),
        }
    };
    stop.cancel();
    while servers.join_next().await.is_some() {}
    ended
}

/// Starts the server of one bus; says where it really is.
async fn serve(
    line: &Line,
    place: Place,
    servers: &mut JoinSet<anyhow::Result<()>>,
    stop: &CancellationToken,
) -> anyhow::Result<Place> {
    let (devices, stop) = (line.devices.clone(), stop.clone());
    let framing = line.link.modbus().map_or(Framing::Tcp, |modbus| modbus.framing);
    match place {
        Place::Tcp(wanted) => {
            let server = TcpServer::bind(wanted, devices)
                .await
                .with_context(|| format!("bus {} can't listen on {wanted}", line.name))?;
            let address = server.address()?;
            let server = server.with_framing(framing);
            servers.spawn(async move { Ok(server.run(stop).await?) });
            Ok(Place::Tcp(address))
        }
        Place::Udp(wanted) => {
            let server = UdpServer::bind(wanted, devices)
                .await
                .with_context(|| format!("bus {} can't listen on {wanted}", line.name))?;
            let address = server.address()?;
            let server = server.with_framing(framing);
            servers.spawn(async move { Ok(server.run(stop).await?) });
            Ok(Place::Udp(address))
        }
        Place::Pty(path) => {
            let plug = {
                let (path, name) = (path.clone(), line.name.clone());
                move || {
                    Pty::open_at(&path).with_context(|| {
                        format!("bus {name} can't be linked at {}", path.display())
                    })
                }
            };
            let mut pty = plug()?;
            servers.spawn(async move {
                loop {
                    let slave = RtuSlave::new(devices.clone()).with_framing(framing);
                    slave.run(pty, stop.clone()).await?;
                    let pause = tokio::time::sleep(REPLUG);
                    if stop.run_until_cancelled(pause).await.is_none() {
                        return Ok(());
                    }
                    pty = plug()?;
                }
            });
            Ok(Place::Pty(path))
        }
    }
}

/// What is printed when all is running.
fn describe(source: &Source, lines: &[Line], places: &[Place]) -> String {
    let mut out = String::new();
    for (line, place) in lines.iter().zip(places) {
        out += &format!("# bus {} {place}\n", line.name);
    }
    out += &source.before;
    out += "buses:\n";
    for (line, place) in lines.iter().zip(places) {
        out += &format!("  {}: {}\n", line.name, paste::bus(&place.link(&line.link)));
    }
    out += &source.after;
    for line in lines {
        let values = line.values();
        let names: Vec<_> =
            values.iter().map(|(tag, ..)| format!("{}.{}", tag.device, tag.name)).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for ((tag, words, value), name) in values.iter().zip(names) {
            out += &format!("# {name:<width$}  {}  {}\n", registers(tag, words), shown(tag, value));
        }
    }
    out
}

/// Where a tag is and what is there, as in `unit 3 input 0 to 1 [4367 6b85]`.
fn registers(tag: &Tag, words: &[u16]) -> String {
    let table = tag.registers.table;
    let span = check::span(tag.registers.address, tag.registers.coding.span());
    let one = |word: &u16| match table {
        Table::Coil | Table::Discrete => word.to_string(),
        Table::Holding | Table::Input => format!("{word:04x}"),
    };
    let words: Vec<_> = words.iter().map(one).collect();
    format!("unit {} {} {span} [{}]", tag.unit, table.name(), words.join(" "))
}

fn shown(tag: &Tag, value: &Decoded) -> String {
    match value {
        Decoded::Good(value) | Decoded::Uncertain(value, _) if tag.of.is_empty() => {
            value.to_string()
        }
        Decoded::Good(value) | Decoded::Uncertain(value, _) => format!("{value} {}", tag.of),
        Decoded::Bad(fault) => format!("no value: {fault}"),
    }
}
