//! Carrying out a command: one write, then a look at what the device made of it.
//!
//! Order: still wanted? -> known and within limits? -> write once, never again -> read back ->
//! compare -> reply, and the new value goes north as a reading of its own. A write is never
//! repeated: after a timeout nobody knows whether it was carried out.

use std::io;
use std::time::Duration;

use super::engine::Engine;
use super::guard::Echo;
use super::line::{Failure, Line, Write};
use crate::codec::registers::{Encoded, encode};
use crate::config::{Registers, TagPlan};
use crate::model::{Command, Outcome, Refusal, Set, Table, Value};

/// Looks at the device after a write, before its value is reported as different.
const READ_BACKS: u32 = 2;
/// Before the second look: some devices acknowledge first and take over later.
const SETTLE: Duration = Duration::from_millis(100);
const ILLEGAL_FUNCTION: u8 = 1;

/// How an attempt ended.
enum Attempt {
    Outcome(Outcome),
    Broken(io::Error),
}

impl From<Refusal> for Attempt {
    fn from(refusal: Refusal) -> Self {
        Self::Outcome(Outcome::Refused(refusal))
    }
}

impl From<Failure> for Attempt {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoAnswer | Failure::NotAsked | Failure::BadAnswer => Refusal::NoAnswer.into(),
            Failure::Exception { code, .. } => Refusal::Exception(code).into(),
            Failure::Link(error) => Self::Broken(error),
        }
    }
}

impl Engine {
    /// Replies in every case; an error is a broken link.
    pub(super) async fn carry_out(&mut self, line: &mut Line, command: Command) -> io::Result<()> {
        let Command { device, sets, expires, reply } = command;
        let [Set { tag, value }] = sets.as_slice() else {
            reply(vec![Outcome::Refused(Refusal::UnknownTag); sets.len()]);
            return Ok(());
        };
        let attempt = if self.clock.mono() >= expires {
            Attempt::from(Refusal::Expired)
        } else {
            match self.find(device.as_str(), tag.as_str()) {
                Some((device, tag)) => self.attempt(line, device, tag, value).await,
                None => Refusal::UnknownTag.into(),
            }
        };
        let (outcome, result) = match attempt {
            Attempt::Outcome(outcome) => (outcome, Ok(())),
            Attempt::Broken(error) => (Outcome::Refused(Refusal::LinkDown), Err(error)),
        };
        if let Outcome::Refused(refusal) = &outcome {
            *self.status().refused.entry(refusal.code()).or_default() += 1;
        }
        reply(vec![outcome]);
        result
    }

    fn find(&self, device: &str, tag: &str) -> Option<(usize, usize)> {
        let at = self.devices.iter().position(|d| d.plan.name.as_str() == device)?;
        let tags = &self.devices.get(at)?.plan.tags;
        Some((at, tags.iter().position(|t| t.name.as_str() == tag)?))
    }

    async fn attempt(
        &mut self,
        line: &mut Line,
        device: usize,
        tag: usize,
        value: &Value,
    ) -> Attempt {
        match self.write_and_look(line, device, tag, value).await {
            Ok(outcome) => Attempt::Outcome(outcome),
            Err(attempt) => attempt,
        }
    }

    async fn write_and_look(
        &mut self,
        line: &mut Line,
        device: usize,
        index: usize,
        value: &Value,
    ) -> Result<Outcome, Attempt> {
        let tag = self
            .devices
            .get(device)
            .and_then(|device| device.plan.tags.get(index))
            .cloned()
            .ok_or(Refusal::UnknownTag)?;
        let from = tag.registers().ok_or(Refusal::UnknownTag)?;
        let encoded = check(&tag, from, value)?;
        if !self.schedule.may_write(device, self.now()) {
            return Err(Refusal::NoAnswer.into());
        }
        // On a line that may echo, only an answered read tells a device from our own echo.
        if line.echo() == Some(Echo::Unknown) {
            self.look(line, device, from).await?;
        }
        self.status().writes += 1;
        self.write(line, device, from, &encoded).await?;
        for round in 0..READ_BACKS {
            if round > 0 {
                tokio::time::sleep(SETTLE).await;
            }
            let words = match self.look(line, device, from).await {
                Ok(words) => words,
                Err(Failure::Link(error)) => return Err(Attempt::Broken(error)),
                Err(_) => return Err(Refusal::NotReadBack.into()),
            };
            let same = holds(&words, &encoded);
            if !same && round + 1 < READ_BACKS {
                continue;
            }
            let at = self.clock.mono();
            let state = self.devices.get_mut(device);
            let Some(reading) = state.and_then(|state| state.written(index, &words, at)) else {
                return Err(Refusal::NotReadBack.into());
            };
            let read_back = reading.value().cloned();
            self.emit(device, vec![reading]);
            return Ok(match read_back {
                Some(read_back) if same => Outcome::Done { read_back },
                Some(read_back) => Outcome::Refused(Refusal::ReadBack(read_back)),
                None => Outcome::Refused(Refusal::NotReadBack),
            });
        }
        Err(Refusal::NotReadBack.into())
    }

    /// Reads the tag's registers.
    async fn look(
        &mut self,
        line: &mut Line,
        device: usize,
        from: &Registers,
    ) -> Result<Vec<u16>, Failure> {
        let count = from.coding.span().max(1);
        let frames = self.frames.map_or(Duration::ZERO, |time| time.read(from.table, count));
        let Some(state) = self.devices.get(device) else { return Err(Failure::NoAnswer) };
        let (unit, most) = (state.plan.unit, state.most(from.table));
        let timeout = state.timeout(frames, self.schedule.is_doubtful(device));
        let result = line.read(unit, from.table, (from.address, count), most, timeout).await;
        self.commanded(device, line, result.as_ref().map(|_| ()));
        result
    }

    async fn write(
        &mut self,
        line: &mut Line,
        device: usize,
        from: &Registers,
        encoded: &Encoded,
    ) -> Result<(), Failure> {
        let lacks = self.devices.get(device).map(|device| device.lacks).unwrap_or_default();
        let write = match (encoded.mask, from.table) {
            (Some(mask), _) => {
                if let ([word], false) = (encoded.words.as_slice(), lacks.mask_write) {
                    let write = Write::Mask { and: !mask, or: word & mask };
                    match self.send(line, device, from, &write).await {
                        Err(Failure::Exception { code: ILLEGAL_FUNCTION, .. }) => {}
                        result => return result,
                    }
                    self.learn(device, |lacks| lacks.mask_write = true);
                }
                let current = self.look(line, device, from).await?;
                let merge = |(now, new): (&u16, &u16)| (now & !mask) | (new & mask);
                let merged: Vec<u16> = current.iter().zip(&encoded.words).map(merge).collect();
                match merged.as_slice() {
                    [word] => Write::Register(*word),
                    _ => Write::Registers(merged),
                }
            }
            (None, Table::Coil | Table::Discrete) => match encoded.words.as_slice() {
                [bit] => Write::Coil(*bit != 0),
                bits => Write::Coils(bits.iter().map(|bit| *bit != 0).collect()),
            },
            (None, Table::Holding | Table::Input) => match encoded.words.as_slice() {
                [word] => Write::Register(*word),
                words => Write::Registers(words.to_vec()),
            },
        };
        let many = match &write {
            Write::Coil(on) => Write::Coils(vec![*on]),
            Write::Register(word) => Write::Registers(vec![*word]),
            _ => return self.send(line, device, from, &write).await,
        };
        if !lacks.single_write {
            match self.send(line, device, from, &write).await {
                Err(Failure::Exception { code: ILLEGAL_FUNCTION, .. }) => {}
                result => return result,
            }
            self.learn(device, |lacks| lacks.single_write = true);
        }
        self.send(line, device, from, &many).await
    }

    async fn send(
        &mut self,
        line: &mut Line,
        device: usize,
        from: &Registers,
        write: &Write,
    ) -> Result<(), Failure> {
        let frames = self.frames.map_or(Duration::ZERO, |time| match write {
            Write::Coil(_) | Write::Register(_) => time.write_one(),
            Write::Coils(_) => time.write_bits(from.coding.span()),
            Write::Registers(_) => time.write_registers(from.coding.span()),
            Write::Mask { .. } => time.mask_write(),
        });
        let Some(state) = self.devices.get(device) else { return Err(Failure::NoAnswer) };
        // Writing may take a device longer than reading (flash), so nothing learned shortens this.
        let timeout = state.plan.timeout + frames;
        let result = line.write(state.plan.unit, from.address, write, timeout).await;
        self.commanded(device, line, result.as_ref().copied());
        result
    }

    fn learn(&mut self, device: usize, what: impl FnOnce(&mut super::device::Lacks)) {
        if let Some(state) = self.devices.get_mut(device) {
            what(&mut state.lacks);
        }
        self.keep_learned(device);
    }
}

/// The words to write, if the value may be written at all.
fn check(tag: &TagPlan, from: &Registers, value: &Value) -> Result<Encoded, Refusal> {
    let Some(rule) = tag.write.as_ref().filter(|_| from.table.is_writable()) else {
        return Err(Refusal::UnknownTag);
    };
    rule.check(&from.coding, value)?;
    encode(&from.coding, value).map_err(|error| Refusal::BadPayload(error.to_string()))
}

/// Whether the device holds what was written, as far as the mask goes.
fn holds(words: &[u16], encoded: &Encoded) -> bool {
    let mask = encoded.mask.unwrap_or(u16::MAX);
    words.len() == encoded.words.len()
        && words.iter().zip(&encoded.words).all(|(a, b)| a & mask == b & mask)
}
