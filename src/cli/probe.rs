//! `fieldhold probe`: reads registers of a device and shows them in every interpretation, or finds
//! those that hold a value.

mod find;
mod table;

use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;

use self::table::Look;
use super::link::LinkArguments;
use super::run::{self, Ends};
use super::{BadInput, check, out};
use crate::codec::find::Shown;
use crate::codec::side_by_side::Item;
use crate::model::Table;
use crate::south::probe::{ProbeError, Session, Split, object_name};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    link: LinkArguments,
    /// Unit (slave) id of the device
    #[arg(long, default_value_t = 1)]
    unit: u8,
    /// How long to wait for the answer, in milliseconds
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    timeout_ms: u64,
    /// Most registers or bits in one request, for devices that take fewer than the protocol allows
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=2000))]
    at_once: Option<u16>,
    /// Show 64-bit values as well
    #[arg(long)]
    wide: bool,
    /// Look for the number that the device's own display shows, in every type, order and scale
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    find: Option<String>,
    /// How far a value may be from it; half of its last digit or 0.2 % unless given
    #[arg(long, requires = "find", value_parser = tolerance)]
    tolerance: Option<f64>,
    /// Read again every second and mark what changes
    #[arg(long, conflicts_with = "find")]
    watch: bool,
    /// Ask the device who it is (function 43/14)
    #[arg(long, conflicts_with_all = ["find", "watch"])]
    identify: bool,
    /// Where to read
    #[arg(value_enum, required_unless_present = "identify")]
    table: Option<TableWord>,
    /// Zero-based address, decimal or 0x...
    #[arg(value_parser = address, required_unless_present = "identify")]
    address: Option<u16>,
    /// How many registers or bits
    #[arg(default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    count: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum TableWord {
    Coil,
    Discrete,
    Holding,
    Input,
}

impl From<TableWord> for Table {
    fn from(word: TableWord) -> Self {
        match word {
            TableWord::Coil => Self::Coil,
            TableWord::Discrete => Self::Discrete,
            TableWord::Holding => Self::Holding,
            TableWord::Input => Self::Input,
        }
    }
}

/// Between two reads of --watch.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Of a line where there is no terminal to say.
const WIDTH: usize = 100;
/// Requests before a long read says how far it is.
const QUIET_REQUESTS: u32 = 8;

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let link = arguments.link.link()?;
    if link.is_line() && !(1..=247).contains(&arguments.unit) {
        return Err(bad(format!(
            "a device on a line has a unit from 1 to 247, not {}",
            arguments.unit
        )));
    }
    let probe = Probe { arguments, unit: arguments.unit };
    let timeout = Duration::from_millis(arguments.timeout_ms);
    let (table, address) = match (arguments.table, arguments.address) {
        (Some(table), Some(address)) => (Table::from(table), address),
        _ => (Table::Holding, 0),
    };
    if u32::from(address) + arguments.count > 0x1_0000 {
        return Err(bad("the last address would be beyond 65535".to_owned()));
    }
    let wanted = arguments.find.as_deref().map(wanted).transpose()?;
    if wanted.is_some() && table.is_bits() {
        return Err(bad("--find looks into registers, holding or input".to_owned()));
    }
    let runtime = run::runtime()?;
    runtime.block_on(async {
        let mut session = Session::open(&link, timeout).await?;
        if arguments.identify {
            probe.identify(&mut session).await?;
        }
        if arguments.table.is_none() {
            return Ok(ExitCode::SUCCESS);
        }
        if arguments.watch {
            return probe.watch(&mut session, table, address).await;
        }
        let items = probe.read(&mut session, table, address).await?;
        match wanted {
            Some(wanted) => Ok(find::show(table, &items, &wanted, arguments.tolerance)),
            None => {
                let code = only_refusals(&items)?;
                print(&table::show(table, &items, |_| false, probe.look()));
                Ok(code)
            }
        }
    })
}

struct Probe<'a> {
    arguments: &'a Arguments,
    unit: u8,
}

impl Probe<'_> {
    fn look(&self) -> Look {
        Look { width: width(), wide: self.arguments.wide }
    }

    async fn read(
        &self,
        session: &mut Session,
        table: Table,
        address: u16,
    ) -> anyhow::Result<Vec<Item>> {
        let most = if table.is_bits() { 2000 } else { 125 };
        let most = self.arguments.at_once.map_or(most, |own| own.min(most));
        let count = self.arguments.count;
        let split = Split::new(address, count, most);
        let mut requests = 0;
        let tells = std::io::stderr().is_terminal();
        let result = session
            .read_all(self.unit, table, split, |split, _| {
                requests += 1;
                if tells && requests > QUIET_REQUESTS {
                    eprint!("\r{} of {count} read, {requests} requests ", split.done());
                }
                true
            })
            .await;
        if tells && requests > QUIET_REQUESTS {
            eprint!("\r{:<60}\r", "");
        }
        let found = result.with_context(|| format!("can't read unit {}", self.unit))?;
        Ok(found.into_iter().collect())
    }

    /// Shows the registers over and over until someone ends it.
    async fn watch(
        &self,
        session: &mut Session,
        table: Table,
        address: u16,
    ) -> anyhow::Result<ExitCode> {
        let mut ends = Ends::new()?;
        let mut every = tokio::time::interval(WATCH_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut before: Vec<Item> = Vec::new();
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = ends.recv() => return Ok(ExitCode::SUCCESS),
            }
            let items = match self.read(session, table, address).await {
                Ok(items) => items,
                Err(error) => {
                    eprintln!("{}", super::advice::explain(&error));
                    if before.is_empty() || is_link(&error) {
                        return Ok(ExitCode::FAILURE);
                    }
                    continue;
                }
            };
            let changed = |at: u16| {
                let old = before.iter().find(|(address, _)| *address == at);
                old.is_some_and(|old| !items.contains(old))
            };
            let lines = table::show(table, &items, changed, self.look());
            if std::io::stdout().is_terminal() {
                print!("\x1b[H\x1b[2J");
            } else if !before.is_empty() {
                println!();
            }
            print(&lines);
            if out::ended() {
                return Ok(ExitCode::SUCCESS);
            }
            std::io::stdout().flush()?;
            before = items;
        }
    }

    async fn identify(&self, session: &mut Session) -> anyhow::Result<()> {
        let objects = session
            .identify(self.unit)
            .await
            .with_context(|| format!("can't identify unit {}", self.unit))?;
        if objects.is_empty() {
            println!("unit {} answers, but says nothing about itself", self.unit);
        }
        for (object, text) in objects {
            match object_name(object) {
                Some(name) => println!("{name:<22}  {text}"),
                None => println!("{:<22}  {text}", format!("object {object}")),
            }
        }
        Ok(())
    }
}

/// Success, or the first refusal if there is nothing else.
fn only_refusals(items: &[Item]) -> anyhow::Result<ExitCode> {
    let refusals = items.iter().map(|(_, item)| item.err());
    match refusals.collect::<Option<Vec<_>>>().as_deref() {
        Some([code, ..]) => Err(ProbeError::Exception(*code))
            .with_context(|| format!("there is nothing at {}", addresses(items))),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn addresses(items: &[Item]) -> String {
    let first = items.first().map_or(0, |(at, _)| *at);
    check::span(first, u16::try_from(items.len()).unwrap_or(u16::MAX))
}

/// Whether the connection or the port itself is gone.
fn is_link(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(ProbeError::Link { .. })))
}

fn print(lines: &[String]) {
    for line in lines {
        println!("{line}");
    }
}

/// Of the terminal.
fn width() -> usize {
    if !std::io::stdout().is_terminal() {
        return WIDTH;
    }
    crossterm::terminal::size().map_or(WIDTH, |(width, _)| width.into())
}

fn wanted(text: &str) -> anyhow::Result<Shown> {
    Shown::parse(text).map_err(|why| bad(format!("--find {text}: {why}")))
}

fn bad(problem: String) -> anyhow::Error {
    BadInput(problem).into()
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("a tolerance is a number that is not negative".to_owned()),
    }
}

pub(super) fn address(text: &str) -> Result<u16, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "an address is 0 to 65535, or 0x0 to 0xFFFF".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_decimal_or_hex() {
        assert_eq!(address("0x10"), Ok(16));
        assert_eq!(address("0"), Ok(0));
        assert!(address("65536").is_err());
    }

    #[test]
    fn a_read_of_nothing_but_refusals_failed() {
        assert!(
            only_refusals(&[(1, Err(2)), (2, Err(2))]).unwrap_err().to_string().contains("1 to 2")
        );
        assert!(only_refusals(&[(1, Err(2)), (2, Ok(0))]).is_ok());
    }
}
