//! `fieldhold scan`: looks for devices on a serial line of unknown settings, or behind addresses on
//! TCP, and prints what it found as YAML to paste. Ctrl-C prints what was found so far.

mod words;

use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use self::words::units;
use super::link::{FramingWord, MODBUS_PORT, ParityWord, peer_of};
use super::probe::{TableWord, address};
use super::run::{self, Ends};
use super::{BadInput, advice, paste};
use crate::codec::pdu::exception_name;
use crate::config::profile;
use crate::config::{Framing, Link, Parity, SerialLine, Switching, show_duration};
use crate::model::{Coding, Kind, Table};
use crate::south::scan::{
    Event, Found, Question, Settings, Target, Wanted, on_tcp, order, scan, usual,
};

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("link").required(true))]
pub struct Arguments {
    /// The serial port of a line with Modbus RTU devices; no gateway may be using it
    #[arg(long, group = "link")]
    rtu: Option<PathBuf>,
    /// A Modbus TCP device or converter, as HOST or HOST:PORT; can be given several times
    #[arg(long, value_name = "HOST", group = "link")]
    tcp: Vec<String>,
    /// What the frames look like behind --tcp: rtu or ascii for a converter that passes them on
    #[arg(long, value_enum, default_value_t = FramingWord::Tcp, conflicts_with = "rtu")]
    framing: FramingWord,
    /// Units to try, as in 1-10,17 [default: 1-247, and on TCP 0 and 255 as well]
    #[arg(long, value_parser = units)]
    units: Option<Units>,
    /// Baud rates to try, as in 9600,19200 [default: the usual ones]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(300..=4_000_000), conflicts_with = "tcp")]
    baud: Vec<u32>,
    /// Parities to try [default: none,even,odd]
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "tcp")]
    parity: Vec<ParityWord>,
    /// Stop bits to try; most devices understand 1 whatever they have [default: 1]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=2), conflicts_with = "tcp")]
    stop_bits: Vec<u8>,
    /// Longest wait for an answer, in milliseconds; answers shorten it [default: 300, on TCP 1500]
    #[arg(long, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    timeout_ms: Option<u64>,
    /// What is read of each unit
    #[arg(long, value_enum, default_value_t = TableWord::Holding)]
    table: TableWord,
    /// Its zero-based address; a device that does not have it is found all the same
    #[arg(long, default_value = "0", value_parser = address)]
    address: u16,
}

/// Several units; a type of its own, since a list is several arguments to clap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Units(Vec<u8>);

const PATIENCE_SERIAL_MS: u64 = 300;
/// A converter waits for its devices itself, mostly a second.
const PATIENCE_TCP_MS: u64 = 1_500;

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let targets = targets(arguments)?;
    let usual = if arguments.rtu.is_some() { PATIENCE_SERIAL_MS } else { PATIENCE_TCP_MS };
    let patience = Duration::from_millis(arguments.timeout_ms.unwrap_or(usual));
    let question = Question { table: arguments.table.into(), address: arguments.address, patience };
    let mut report = Report::new(&targets, question.table, question.address);
    let ended = run::runtime()?.block_on(async {
        let mut ends = Ends::new()?;
        tokio::select! {
            result = scan(&targets, question, |event| report.tell(event)) => result.map(|()| true),
            () = ends.recv() => Ok(false),
        }
        .map_err(anyhow::Error::from)
    });
    report.clear();
    let all = match ended {
        Ok(all) => all,
        Err(error) if report.found.is_empty() => return Err(error),
        Err(error) => {
            report.print();
            return Err(error);
        }
    };
    report.print();
    if !all {
        eprintln!("ended before all was tried: {}", report.progress());
    }
    Ok(if report.found.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Where to look, in the order in which it is done.
fn targets(arguments: &Arguments) -> anyhow::Result<Vec<Target>> {
    let given = arguments.units.as_ref().map(|units| units.0.clone());
    let Some(port) = &arguments.rtu else {
        let framing = Framing::from(arguments.framing);
        let all = || match framing {
            Framing::Tcp => (0..=247).chain([255]).collect(),
            Framing::Rtu | Framing::Ascii => (1..=247).collect(),
        };
        let units = on_tcp(&given.unwrap_or_else(all));
        let links = arguments.tcp.iter().map(|peer| {
            let to = peer_of("--tcp", peer, MODBUS_PORT)?;
            let link = Link::modbus_tcp(to.host, to.port).with_framing(framing);
            Ok(Target { link, units: units.clone() })
        });
        return links.collect();
    };
    let units = given.unwrap_or_else(|| (1..=247).collect());
    if let Some(unit) = units.iter().find(|unit| !(1..=247).contains(*unit)) {
        let problem = format!("a device on a serial line has a unit from 1 to 247, not {unit}");
        return Err(BadInput(problem).into());
    }
    let wanted = Wanted { settings: settings(arguments), units, factory: factory() };
    let target = |group: crate::south::scan::Group| {
        let Settings { baud, parity, stop_bits } = group.settings;
        let line = SerialLine {
            port: port.clone(),
            baud,
            data_bits: 8,
            parity,
            stop_bits,
            switching: Switching::Adapter,
        };
        Target { link: Link::modbus_rtu(line), units: group.units }
    };
    Ok(order(&wanted).into_iter().map(target).collect())
}

/// How the devices of the shipped profiles leave their factories, the commonest first.
fn factory() -> Vec<(Settings, u8)> {
    let mut counted: Vec<((Settings, u8), usize)> = Vec::new();
    for (name, text) in profile::SHIPPED {
        let Ok((profile, _)) = profile::check(text, name, name) else { continue };
        let Some(serial) = profile.head.serial else { continue };
        let (Some(baud), Some(unit)) = (serial.baud, serial.unit) else { continue };
        let parity = serial.parity.unwrap_or(Parity::None);
        // One stop bit understands two.
        let own = (Settings { baud, parity, stop_bits: 1 }, unit);
        match counted.iter_mut().find(|(other, _)| *other == own) {
            Some((_, count)) => *count += 1,
            None => counted.push((own, 1)),
        }
    }
    counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counted.into_iter().map(|(own, _)| own).collect()
}

/// The usual settings, as far as they are asked for, and those that nobody uses but were named.
fn settings(arguments: &Arguments) -> Vec<Settings> {
    let parities: Vec<Parity> = arguments.parity.iter().map(|word| (*word).into()).collect();
    let stops = if arguments.stop_bits.is_empty() { vec![1] } else { arguments.stop_bits.clone() };
    let mut known = usual();
    for baud in &arguments.baud {
        for parity in [Parity::None, Parity::Even, Parity::Odd] {
            let settings = Settings { baud: *baud, parity, stop_bits: 1 };
            if !known.contains(&settings) {
                known.push(settings);
            }
        }
    }
    let meant = |s: &Settings| {
        (arguments.baud.is_empty() || arguments.baud.contains(&s.baud))
            && (parities.is_empty() || parities.contains(&s.parity))
    };
    let meant: Vec<Settings> = known.into_iter().filter(meant).collect();
    stops
        .into_iter()
        .flat_map(|stop_bits| meant.iter().map(move |s| Settings { stop_bits, ..*s }))
        .collect()
}

/// What is told while it goes on, and at the end.
struct Report<'a> {
    targets: &'a [Target],
    table: Table,
    address: u16,
    found: Vec<Found>,
    tried: usize,
    of: usize,
    /// Targets that were never asked, though they count as tried.
    unreachable: usize,
    /// Whether standard error is a terminal, where one line shows the progress.
    live: bool,
    /// Where there is none, a line for each target.
    last: Option<usize>,
}

impl<'a> Report<'a> {
    fn new(targets: &'a [Target], table: Table, address: u16) -> Self {
        let of = targets.iter().map(|target| target.units.len()).sum();
        let live = std::io::stderr().is_terminal();
        Self {
            targets,
            table,
            address,
            found: Vec::new(),
            tried: 0,
            of,
            unreachable: 0,
            live,
            last: None,
        }
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::Next { target, unit, tried, left, .. } => {
                self.tried = tried;
                let new = self.last.replace(target) != Some(target);
                let place = self.place(target);
                if self.live {
                    let line = format!(
                        "{} · {place} · unit {unit} · {} found · {} left at most",
                        self.progress(),
                        self.found.len(),
                        roughly(left)
                    );
                    eprint!("\r{line:<78}");
                    let _ = std::io::stderr().flush();
                } else if new {
                    eprintln!("{place}: {}, {} left at most", self.progress(), roughly(left));
                }
            }
            Event::Found(found) => {
                self.clear();
                eprintln!("found {}", self.describe(&found));
                self.found.push(found);
            }
            Event::Unreachable { target, error } => {
                self.clear();
                let error = anyhow::Error::from(error);
                eprintln!("{}: {}", self.place(target), advice::explain(&error));
                self.unreachable += 1;
                self.tried += self.targets.get(target).map_or(0, |target| target.units.len());
            }
        }
    }

    fn progress(&self) -> String {
        format!("{} of {} tried", self.tried, self.of)
    }

    /// Takes the progress off the terminal.
    fn clear(&self) {
        if self.live {
            eprint!("\r{:78}\r", "");
        }
    }

    /// The settings of a line, or the address.
    fn place(&self, target: usize) -> String {
        match self.targets.get(target).map(|target| &target.link) {
            Some(link) => match link.serial() {
                Some(line) => format!("{} {}", line.baud, line.character()),
                None => link.to_string(),
            },
            None => String::new(),
        }
    }

    fn describe(&self, found: &Found) -> String {
        let (table, address) = (self.table.name(), self.address);
        let unit = match found.any_unit {
            true => "any unit".to_owned(),
            false => format!("unit {}", found.unit),
        };
        let answer = match found.answer {
            Ok(word) => format!("{table} {address} is {word}"),
            Err(code) => format!(
                "refuses {table} {address} with exception {code} ({})",
                exception_name(code)
            ),
        };
        let who = identity(found).map(|who| format!(", {who}")).unwrap_or_default();
        let took = found.took.as_secs_f64() * 1000.0;
        format!("{unit} at {}: {answer}, {took:.0} ms{who}", self.place(found.target))
    }

    /// What was found, as a configuration with the rest in comments.
    fn print(&self) {
        let mut out = String::new();
        if self.found.is_empty() {
            // Nothing was asked, and why stands above.
            if self.unreachable == self.targets.len() {
                return;
            }
            let address = format!("{} {}", self.table.name(), self.address);
            eprintln!("no device answered a read of {address}; {}", self.progress());
            return;
        }
        let mut links: Vec<&Link> = Vec::new();
        for found in &self.found {
            out += &format!("# {}\n", self.describe(found));
            if let Some(target) = self.targets.get(found.target)
                && !links.contains(&&target.link)
            {
                links.push(&target.link);
            }
        }
        out += "buses:\n";
        for (index, link) in links.iter().enumerate() {
            out += &format!("  bus{}: {}\n", index + 1, paste::bus(link));
        }
        out += "devices:\n";
        for found in &self.found {
            let link = self.targets.get(found.target).map(|target| &target.link);
            let Some(bus) = links.iter().position(|other| Some(*other) == link) else { continue };
            let many = if links.len() > 1 { format!("bus{}_", bus + 1) } else { String::new() };
            out += &format!(
                "  {many}unit{}: {{ bus: bus{}, unit: {}, tags: ",
                found.unit,
                bus + 1,
                found.unit
            );
            let kind = if self.table.is_bits() {
                Kind::Bool
            } else {
                Kind::Int { bits: 16, signed: false }
            };
            let tag = paste::tag(self.table, self.address, &Coding::plain(kind), None);
            out += &format!("{{ {}_{}: {tag} }} }}", self.table.name(), self.address);
            if found.answer.is_err() {
                out += "  # not this register: find one with fieldhold probe";
            }
            out += "\n";
        }
        print!("{out}");
    }
}

/// Vendor, product and revision, as far as there are any.
fn identity(found: &Found) -> Option<String> {
    let text = |object: u8| {
        let (_, text) = found.identity.iter().find(|(own, _)| *own == object)?;
        (!text.is_empty()).then_some(text.as_str())
    };
    let all: Vec<&str> = [0, 1, 2].into_iter().filter_map(text).collect();
    (!all.is_empty()).then(|| all.join(" "))
}

/// In seconds below two minutes, in minutes above, rounded up.
fn roughly(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let step = if seconds < 120 { 1 } else { 60 };
    show_duration(Duration::from_secs(seconds.div_ceil(step) * step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Words {
        #[command(flatten)]
        scan: Arguments,
    }

    fn parsed(words: &str) -> Result<Vec<Target>, String> {
        let words = std::iter::once("scan").chain(words.split_whitespace());
        let words = Words::try_parse_from(words).map_err(|error| error.to_string())?;
        targets(&words.scan).map_err(|error| error.to_string())
    }

    #[test]
    fn a_serial_scan_tries_what_is_asked_for() {
        let all = parsed("--rtu /dev/x").unwrap();
        let of: usize = all.iter().map(|target| target.units.len()).sum();
        assert_eq!(of, 8 * 3 * 247);
        let few = parsed("--rtu /dev/x --baud 9600,7000 --parity none --units 1-3,9").unwrap();
        let lines: Vec<_> = few
            .iter()
            .map(|target| (target.link.serial().unwrap().baud, target.units.clone()))
            .collect();
        assert_eq!(lines, [(9_600, vec![1, 2, 3, 9]), (7_000, vec![1, 2, 3, 9])]);
        let two =
            parsed("--rtu /dev/x --baud 9600 --parity even --stop-bits 1,2 --units 5").unwrap();
        let characters: Vec<_> =
            two.iter().map(|target| target.link.serial().unwrap().character()).collect();
        assert_eq!(characters, ["8E1", "8E2"]);
    }

    #[test]
    fn factory_settings_come_from_the_profiles() {
        let factory = factory();
        assert!(factory.len() > 3, "{factory:?}");
        let first = parsed("--rtu /dev/x").unwrap().remove(0);
        let line = first.link.serial().unwrap().clone();
        assert!(factory.iter().any(|(s, unit)| s.baud == line.baud && first.units.contains(unit)));
    }

    #[test]
    fn a_tcp_scan_tries_all_units_of_the_hosts_that_are_named() {
        let hosts = parsed("--tcp a --tcp b:1502").unwrap();
        assert_eq!(hosts.len(), 2);
        assert_eq!(hosts[0].units.len(), 249);
        assert_eq!(hosts[1].link, Link::modbus_tcp("b", 1502));
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        for words in [
            "",
            "--rtu x --tcp y",
            "--rtu x --units 0",
            "--tcp y --baud 9600",
            "--rtu x --units 9-1",
        ] {
            assert!(parsed(words).is_err(), "{words}");
        }
    }

    #[test]
    fn the_time_left_is_said_roughly() {
        assert_eq!(roughly(Duration::from_millis(1_200)), "2s");
        assert_eq!(roughly(Duration::from_secs(121)), "3min");
    }
}
