//! `fieldhold scan`: looks for devices on a serial line of unknown settings, or behind addresses on
//! TCP, and prints what it found as YAML to paste. Ctrl-C prints what was found so far.

use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::link::{FramingWord, MODBUS_PORT, ParityWord, peer_of};
use super::probe::{TableWord, address};
use super::run::{self, Ends};
use super::{BadInput, advice};
use crate::config::{Framing, Link, show_duration};
use crate::south::scan::{
    Event, Found, OnPort, Question, Target, behind, describe, place, scan, units, yaml,
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
    #[arg(long, value_parser = given_units)]
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
    let mut report = Report::new(&targets, question);
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
    let units = arguments.units.as_ref().map(|units| units.0.clone());
    let bad = |problem: String| anyhow::Error::from(BadInput(problem));
    let Some(port) = &arguments.rtu else {
        let framing = Framing::from(arguments.framing);
        let links = arguments.tcp.iter().map(|peer| {
            let to = peer_of("--tcp", peer, MODBUS_PORT)?;
            let link = Link::modbus_tcp(to.host, to.port).with_framing(framing);
            behind(link, units.clone()).map_err(bad)
        });
        return links.collect();
    };
    let on_port = OnPort {
        port: port.clone(),
        units,
        baud: arguments.baud.clone(),
        parity: arguments.parity.iter().map(|word| (*word).into()).collect(),
        stop_bits: arguments.stop_bits.clone(),
    };
    on_port.targets().map_err(bad)
}

fn given_units(text: &str) -> Result<Units, String> {
    units(text).map(Units)
}

/// What is told while it goes on, and at the end.
struct Report<'a> {
    targets: &'a [Target],
    question: Question,
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
    fn new(targets: &'a [Target], question: Question) -> Self {
        let of = targets.iter().map(|target| target.units.len()).sum();
        let live = std::io::stderr().is_terminal();
        Self {
            targets,
            question,
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

    fn place(&self, target: usize) -> String {
        self.targets.get(target).map(|target| place(&target.link)).unwrap_or_default()
    }

    fn describe(&self, found: &Found) -> String {
        describe(found, self.targets, self.question)
    }

    fn print(&self) {
        if !self.found.is_empty() {
            print!("{}", yaml(&self.found, self.targets, self.question));
            return;
        }
        // Nothing was asked, and why stands above.
        if self.unreachable < self.targets.len() {
            let Question { table, address, .. } = self.question;
            let asked = format!("{} {address}", table.name());
            eprintln!("no device answered a read of {asked}; {}", self.progress());
        }
    }
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
