//! Looking for devices: which units answer, on a serial line of unknown settings or behind
//! addresses on TCP. Only ever what a person asked for; the gateway itself never scans.
//!
//! A unit is found when it answers a read, or refuses it with exception 1 to 4: also who does not
//! have the register is there. Exceptions 10 and 11 are a converter's, for a device that is not.
//! What was found is told at once, so a scan can be ended at any time.

mod order;
mod patience;
mod targets;
mod told;
mod units;

use std::time::Duration;

use self::patience::Patience;
use super::probe::{ProbeError, Session};
use crate::config::wire::LineTime;
use crate::config::{Framing, Link};
use crate::model::Table;

pub use targets::{OnPort, Target, behind};
pub use told::{describe, place, yaml};
pub use units::units;

/// What every unit is asked for: one register or bit.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    pub table: Table,
    pub address: u16,
    /// The longest wait, on top of the time that the frames take.
    pub patience: Duration,
}

/// Something to tell.
#[derive(Debug)]
pub enum Event {
    Found(Found),
    /// A target that can't be reached; the others are tried all the same.
    Unreachable {
        target: usize,
        error: ProbeError,
    },
    /// What comes next, and what is left of it all if nobody answers any more.
    Next {
        target: usize,
        unit: u8,
        tried: usize,
        of: usize,
        left: Duration,
    },
}

/// A device.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Index of the target.
    pub target: usize,
    pub unit: u8,
    /// The register or bit, or the code of the exception.
    pub answer: Result<u16, u8>,
    pub took: Duration,
    /// It answers to every unit that was tried, so it is one device and not several.
    pub any_unit: bool,
    /// The objects of its identification, if it has one.
    pub identity: Vec<(u8, String)>,
}

/// That many units of one address on TCP answer before it is taken for a device that does not
/// look at the unit; [`on_tcp`] puts those first that hardly anybody has.
const ANY_UNIT: usize = 3;

/// How often a bus that has no time for this is asked again.
const BUSY_MAX: usize = 60;
const BUSY_PAUSE: Duration = Duration::from_millis(500);

/// Asks all units of all targets; ends early only when a serial port fails.
pub async fn scan(
    targets: &[Target],
    question: Question,
    mut tell: impl FnMut(Event),
) -> Result<(), ProbeError> {
    let mut scan = Scan {
        targets,
        question,
        patience: Patience::new(question.patience),
        on_line: Vec::new(),
        tried: 0,
        of: targets.iter().map(|target| target.units.len()).sum(),
    };
    for at in 0..targets.len() {
        let (Some(target), before) = (targets.get(at), scan.tried) else { continue };
        match scan.target(at, target, &mut tell).await {
            Ok(()) => {}
            // The same port is what is left; it is not going to be any better.
            Err(error) if target.link.serial().is_some() => return Err(error),
            Err(error) => tell(Event::Unreachable { target: at, error }),
        }
        scan.tried = before + target.units.len();
    }
    Ok(())
}

struct Scan<'a> {
    targets: &'a [Target],
    question: Question,
    patience: Patience,
    /// Units that answered on the port already: with other settings they can't.
    on_line: Vec<u8>,
    tried: usize,
    of: usize,
}

impl Scan<'_> {
    async fn target(
        &mut self,
        at: usize,
        target: &Target,
        tell: &mut impl FnMut(Event),
    ) -> Result<(), ProbeError> {
        let wait = self.wait(&target.link);
        let mut session = match &target.through {
            Some(bus) => Session::on_bus(bus, wait)?,
            None => Session::open(&target.link, wait).await?,
        };
        // Where the unit may mean nothing, the first ones are told of when it is known.
        let is_line =
            !matches!(target.link.modbus(), Some(modbus) if modbus.framing == Framing::Tcp);
        let mut held: Vec<Found> = Vec::new();
        for (index, unit) in target.units.iter().enumerate() {
            if self.on_line.contains(unit) {
                self.tried += 1;
                continue;
            }
            let left = self.left(at, index);
            tell(Event::Next { target: at, unit: *unit, tried: self.tried, of: self.of, left });
            let found = self.ask(at, *unit, &mut session).await?;
            self.tried += 1;
            let telling = !is_line && index < ANY_UNIT && target.units.len() > ANY_UNIT;
            if target.link.serial().is_some() {
                self.on_line.extend(found.as_ref().map(|found| found.unit));
            }
            if !telling {
                found.into_iter().for_each(|found| tell(Event::Found(found)));
                continue;
            }
            held.extend(found);
            if index + 1 < ANY_UNIT {
                continue;
            }
            let any_unit = held.len() == ANY_UNIT;
            let count = if any_unit { 1 } else { held.len() };
            for found in held.drain(..).take(count) {
                tell(Event::Found(Found { any_unit, ..found }));
            }
            if any_unit {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn ask(
        &mut self,
        target: usize,
        unit: u8,
        session: &mut Session,
    ) -> Result<Option<Found>, ProbeError> {
        let link = self.targets.get(target).map(|target| &target.link);
        let wire = link.map_or(Duration::ZERO, frames);
        session.timeout = self.patience.wait(wire);
        let Question { table, address, .. } = self.question;
        let answer = match self.read(session, unit, table, address).await {
            Ok(words) => Ok(words.first().copied().unwrap_or(0)),
            Err(ProbeError::Exception(code)) => {
                // A converter's word for a silent device tells how long that takes as well.
                self.patience.answered(session.took().saturating_sub(wire));
                if !(1..=4).contains(&code) {
                    return Ok(None);
                }
                Err(code)
            }
            Err(ProbeError::NoAnswer(_) | ProbeError::BadAnswer) => return Ok(None),
            Err(error) => return Err(error),
        };
        let took = session.took();
        self.patience.answered(took.saturating_sub(wire));
        session.timeout = self.question.patience + wire;
        let identity = session.identify(unit).await.unwrap_or_default();
        Ok(Some(Found { target, unit, answer, took, any_unit: false, identity }))
    }

    /// A bus that has no time is asked again.
    async fn read(
        &self,
        session: &mut Session,
        unit: u8,
        table: Table,
        address: u16,
    ) -> Result<Vec<u16>, ProbeError> {
        for _ in 0..BUSY_MAX {
            match session.read(unit, table, (address, 1)).await {
                Err(ProbeError::Busy) => tokio::time::sleep(BUSY_PAUSE).await,
                result => return result,
            }
        }
        Err(ProbeError::Busy)
    }

    fn wait(&self, link: &Link) -> Duration {
        self.patience.wait(frames(link))
    }

    /// What is left from this unit of this target on, if nobody answers.
    fn left(&self, target: usize, unit: usize) -> Duration {
        let mut left = Duration::ZERO;
        for (at, other) in self.targets.iter().enumerate().skip(target) {
            let units = other.units.len() - if at == target { unit } else { 0 };
            let wait = self.wait(&other.link);
            left += wait * u32::try_from(units).unwrap_or(u32::MAX);
            if at > target && other.link.serial().is_some() && other.through.is_none() {
                left += wait; // a port is listened to before it is used
            }
        }
        left
    }
}

/// The time that a request and its answer take on the wire.
fn frames(link: &Link) -> Duration {
    match link.serial() {
        Some(line) => LineTime::serial(line, Duration::ZERO).read_registers(1),
        None => Duration::ZERO,
    }
}
