//! The engine's side of a shared bus: requests of clients carried out between polls, and what polls
//! read kept for clients. The other half of [`Engine`].

use std::cmp::Reverse;
use std::io;
use std::time::Duration;

use tracing::info;

use super::ask::{Ask, BUSY, Code, NO_ANSWER, NO_PATH};
use super::{Pass, ShareStatus, Shared};
use crate::config::{DevicePlan, Registers, ShareMode, TagPlan};
use crate::model::Table;
use crate::south::engine::Engine;
use crate::south::guard::Echo;
use crate::south::line::{Failure, Line};
use crate::south::trace::Purpose;

/// A request that waited for longer is answered "busy": its client has given up or soon will.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// What was read holds for so many intervals, when it is not configured how long.
const INTERVALS: u32 = 3;
/// And for no less than this.
const STALE_MIN: Duration = Duration::from_secs(2);

/// The clients of a bus, as the engine sees them.
pub(crate) struct Guests {
    shared: Shared,
}

impl Pass {
    /// While there is no line.
    pub(crate) fn refuse(self) {
        let _ = self.reply.send(Err(NO_PATH));
    }
}

impl Guests {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared }
    }

    pub(crate) fn status(&self) -> std::sync::Arc<std::sync::Mutex<ShareStatus>> {
        std::sync::Arc::clone(&self.shared.status)
    }

    /// These were read of the device. A tag's hold as long as its own interval says, and what lies
    /// between tags as long as the slowest of them.
    pub(crate) fn keep(&self, device: &DevicePlan, (table, start): (Table, u16), words: &[u16]) {
        if self.shared.plan.mode == ShareMode::Through {
            return;
        }
        let part = |(_, tag, from): (usize, &TagPlan, &Registers)| {
            let range = from.range();
            let first = usize::try_from(range.start.checked_sub(start.into())?).ok()?;
            let part = words.get(first..first + range.len())?;
            Some((u16::try_from(range.start).ok()?, part, tag.every?))
        };
        let mut parts: Vec<_> = device.in_table(table).filter_map(part).collect();
        // Where tags overlap the one that is read most often says it.
        parts.sort_by_key(|(_, _, every)| Reverse(*every));
        let slowest = parts.first().map(|(_, _, every)| *every).unwrap_or_default();
        let now = self.shared.clock.mono();
        let mut cache = self.shared.cache();
        for (start, words, every) in [(start, words, slowest)].into_iter().chain(parts) {
            let holds = self.shared.plan.stale.unwrap_or((every * INTERVALS).max(STALE_MIN));
            cache.put(device.unit, table, start, words, now + holds);
        }
    }

    /// Nothing that was read of this unit holds any more: its device is silent, or the link down.
    pub(crate) fn forget(&self, unit: u8) {
        self.shared.cache().expire_unit(unit);
    }

    /// These may hold something else now.
    pub(crate) fn changed(&self, unit: u8, table: Table, (start, count): (u16, u16)) {
        let end = start.saturating_add(count.saturating_sub(1));
        self.shared.cache().expire(unit, table, &(start..=end));
    }
}

impl Engine {
    /// Answers in every case; an error is a broken link.
    pub(crate) async fn pass(&mut self, line: &mut Line, pass: Pass) -> io::Result<()> {
        // A client that went away asks nothing any more.
        if pass.reply.is_closed() {
            return Ok(());
        }
        let started = self.now();
        let result = self.attempt_pass(line, &pass).await;
        let took = self.now().saturating_sub(started);
        self.visits.took(took);
        if let Some(guests) = &self.guests {
            let mut status = guests.shared.status();
            match (&result, &pass.ask.write) {
                (Err(Refused::Code(BUSY)), _) => status.busy += 1,
                (_, None) => status.passed += 1,
                (Ok(_), Some(_)) => status.writes += 1,
                (Err(_), Some(_)) => {}
            }
        }
        let (answer, end) = match result {
            Ok(items) => (Ok(items), Ok(())),
            Err(Refused::Code(code)) => (Err(code), Ok(())),
            Err(Refused::Broken(error)) => (Err(NO_PATH), Err(error)),
        };
        self.audit(&pass, &answer);
        let _ = pass.reply.send(answer);
        end
    }

    async fn attempt_pass(&mut self, line: &mut Line, pass: &Pass) -> Result<Vec<u16>, Refused> {
        if pass.asked.elapsed() > WAIT_MAX {
            return Err(Refused::Code(BUSY));
        }
        let of_unit = |device: &crate::south::device::Device| device.plan.unit == pass.unit;
        let index = self.devices.iter().position(of_unit).ok_or(Refused::Code(NO_PATH))?;
        if self.is_broadcast(index) {
            return Err(Refused::Code(NO_PATH));
        }
        // A silent device costs a timeout: that is counted with the probes of the silent ones.
        if !self.schedule.may_write(index, self.now()) {
            return Err(Refused::Code(NO_ANSWER));
        }
        self.tap.about(Some(index), Purpose::PassThrough);
        let Some(write) = &pass.ask.write else {
            return self.pass_read(line, index, &pass.ask).await;
        };
        // On a line that may echo, only an answered read tells a device from our own echo.
        if line.echo() == Some(Echo::Unknown) {
            self.pass_read(line, index, &pass.ask).await?;
        }
        let Ask { table, start, count, .. } = pass.ask;
        let frames = self.frames.map_or(Duration::ZERO, |time| write.time(&time));
        let Some(device) = self.devices.get(index) else { return Err(Refused::Code(NO_PATH)) };
        let timeout = device.plan.timeout + frames;
        self.status().writes += 1;
        let result = line.write(pass.unit, start, write, timeout).await;
        self.commanded(index, line, result.as_ref().map(|_| ()));
        // Whatever was answered: it may have been carried out.
        if let Some(guests) = &self.guests {
            guests.changed(pass.unit, table, (start, count));
        }
        result.map(|_| Vec::new()).map_err(Refused::from)
    }

    async fn pass_read(
        &mut self,
        line: &mut Line,
        index: usize,
        ask: &Ask,
    ) -> Result<Vec<u16>, Refused> {
        let frames = self.frames.map_or(Duration::ZERO, |time| time.read(ask.table, ask.count));
        let Some(device) = self.devices.get(index) else { return Err(Refused::Code(NO_PATH)) };
        let timeout = device.timeout(frames, self.schedule.is_doubtful(index));
        let most = device.most(ask.table).max(ask.count);
        let unit = device.plan.unit;
        let result = line.read(unit, ask.table, (ask.start, ask.count), most, timeout).await;
        self.commanded(index, line, result.as_ref().map(|_| ()));
        result.map_err(Refused::from)
    }

    /// Every write of a client leaves a record, whatever came of it.
    fn audit(&self, pass: &Pass, answer: &Result<Vec<u16>, Code>) {
        let Some(write) = &pass.ask.write else { return };
        let (client, unit, address) = (pass.client, pass.unit, pass.ask.start);
        let outcome = match answer {
            Ok(_) => "done".to_owned(),
            Err(code) => format!("exception {code}"),
        };
        info!(bus = %self.name, %client, unit, address, ?write, outcome, "client wrote");
    }
}

enum Refused {
    Code(Code),
    Broken(io::Error),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        match failure {
            // An exception that may answer an earlier request says nothing about this one.
            Failure::Exception { code, doubtful: false } => Self::Code(code),
            Failure::Exception { .. }
            | Failure::NoAnswer
            | Failure::NotAsked
            | Failure::BadAnswer => Self::Code(NO_ANSWER),
            Failure::Link(error) => Self::Broken(error),
        }
    }
}
