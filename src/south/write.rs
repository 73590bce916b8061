//! Carrying out a command: writes, then a look at what the device made of them.
//!
//! Order: still wanted? -> known and within limits? -> write once, never again -> read back ->
//! compare -> reply, and the new values go north as readings of their own. A write is never
//! repeated: after a timeout nobody knows whether it was carried out. A command of several tags
//! takes one step per request, so that reads which are due get their turn in between; after a
//! request that failed nothing more of it is written.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use super::device::{Lacks, Request};
use super::engine::Engine;
use super::guard::Echo;
use super::line::{Failure, Line, Write};
use super::trace::Purpose;
use super::writing::{Group, Part, Scales, Together, Writing};
use crate::config::blocks::Item;
use crate::config::{TagPlan, WriteWith};
use crate::model::{Command, Outcome, Refusal, Table};

/// Looks at the device after a write, before its value is reported as different.
const READ_BACKS: u32 = 2;
/// Before the second look: some devices acknowledge first and take over later.
const SETTLE: Duration = Duration::from_millis(100);
const ILLEGAL_FUNCTION: u8 = 1;

/// How a request went that was answered.
enum Written {
    Acknowledged,
    /// With what the registers hold now.
    ReadBack(Vec<u16>),
    /// The device does not know this function: nothing was written, the group was split.
    Again,
}

impl Failure {
    /// What the sender of a command is told.
    fn refusal(&self) -> Refusal {
        match self {
            Self::NoAnswer
            | Self::NotAsked
            | Self::BadAnswer
            | Self::Exception { doubtful: true, .. } => Refusal::NoAnswer,
            failure if failure.is_gateways() => Refusal::NoAnswer,
            Self::Exception { code, .. } => Refusal::Exception(*code),
            Self::Link(_) => Refusal::LinkBroke,
        }
    }

    fn is_illegal_function(&self) -> bool {
        matches!(self, Self::Exception { code: ILLEGAL_FUNCTION, doubtful: false })
    }
}

impl Write {
    /// Function 5 or 6, for a single item.
    fn single(table: Table, words: &[u16]) -> Option<Self> {
        let [word] = words else { return None };
        Some(if table.is_bits() { Self::Coil(*word != 0) } else { Self::Register(*word) })
    }

    /// Function 15 or 16.
    fn many(table: Table, words: Vec<u16>) -> Self {
        if table.is_bits() {
            Self::Coils(words.iter().map(|word| *word != 0).collect())
        } else {
            Self::Registers(words)
        }
    }
}

impl Engine {
    /// Takes a command; the writing follows step by step. `scales` are the scale registers of its
    /// tags, just read.
    fn begin(&mut self, command: Command, scales: &Scales) {
        if self.clock.mono() >= command.expires {
            return self.refuse(command, &Refusal::Expired);
        }
        let name = command.device.as_str();
        let Some(at) = self.devices.iter().position(|d| d.plan.name.as_str() == name) else {
            return self.refuse(command, &Refusal::UnknownTag);
        };
        let Some(device) = self.devices.get(at) else { return };
        let together = Together::of(&device.plan, device.lacks.many_write);
        match Writing::begin(at, &device.plan, together, command, scales) {
            Ok(writing) => self.writing = Some(writing),
            Err(refused) => self.count_refused(&refused.end()),
        }
    }

    /// The next step of the command that is under way, or the first of the oldest that waits. An
    /// error is a broken link.
    pub(super) async fn write_step(&mut self, line: &mut Line) -> io::Result<()> {
        if self.writing.is_none()
            && let Some(command) = self.arrived.take().or_else(|| self.commands.try_recv().ok())
        {
            let scales = match self.scaled_tags(&command) {
                Some(scaled) => self.scales(line, scaled).await,
                None => Ok(Scales::new()),
            };
            match scales {
                Ok(scales) => self.begin(command, &scales),
                Err(error) => {
                    self.refuse(command, &Refusal::LinkDown);
                    return Err(error);
                }
            }
        }
        let Some(mut writing) = self.writing.take() else { return Ok(()) };
        let result = self.advance(line, &mut writing).await;
        match result {
            Ok(()) if writing.has_more() => self.writing = Some(writing),
            Ok(()) => self.count_refused(&writing.end()),
            Err(error) => {
                writing.broken(&Refusal::LinkDown);
                self.count_refused(&writing.end());
                return Err(error);
            }
        }
        Ok(())
    }

    /// The tags of a command that can be written only with their scale registers known.
    fn scaled_tags(&self, command: &Command) -> Option<(usize, Vec<usize>)> {
        let at = self.devices.iter().position(|d| d.plan.name == command.device)?;
        let scaled = |tag: &TagPlan| tag.registers().is_some_and(|r| r.scale_register.is_some());
        let tags: Vec<usize> = (self.devices.get(at)?.plan.tags.iter().enumerate())
            .filter(|(_, tag)| scaled(tag) && command.sets.iter().any(|set| set.tag == tag.name))
            .map(|(index, _)| index)
            .collect();
        let may = self.clock.mono() < command.expires && self.schedule.may_write(at, self.now());
        (may && !tags.is_empty()).then_some((at, tags))
    }

    /// What the scale registers of these tags hold now.
    async fn scales(
        &mut self,
        line: &mut Line,
        (device, tags): (usize, Vec<usize>),
    ) -> io::Result<Scales> {
        let looked = self.look_at(line, device, &tags).await?;
        let plan = self.devices.get(device).map(|device| &device.plan);
        let scale = |(tag, words): (usize, Option<Vec<u16>>)| {
            let from = plan?.tags.get(tag)?.registers()?;
            Some((tag, from.split(&words?)?.1?))
        };
        Ok(looked.into_iter().filter_map(scale).collect())
    }

    /// Ends the command that is under way, if there is one, with what is known of it.
    pub(super) fn abandon_writing(&mut self, refusal: &Refusal) {
        if let Some(command) = self.arrived.take() {
            self.refuse(command, refusal);
        }
        if let Some(mut writing) = self.writing.take() {
            writing.broken(refusal);
            self.count_refused(&writing.end());
        }
    }

    fn count_refused(&self, codes: &[&'static str]) {
        let mut status = self.status();
        for code in codes {
            *status.refused.entry(code).or_default() += 1;
        }
    }

    /// One request, and after the last one the look at what became of all.
    async fn advance(&mut self, line: &mut Line, writing: &mut Writing) -> io::Result<()> {
        let Some(group) = writing.next() else { return Ok(()) };
        self.tap.about(Some(writing.device), Purpose::Write);
        match self.write(line, writing, &group).await {
            Ok(Written::Again) => return Ok(()),
            Ok(Written::Acknowledged) if self.is_broadcast(writing.device) => {
                writing.written(&group, &Outcome::Broadcast);
            }
            Ok(Written::Acknowledged) => writing.written(&group, &Outcome::Acknowledged),
            Ok(Written::ReadBack(words)) => {
                writing.written(&group, &Outcome::Acknowledged);
                self.take_over(
                    writing,
                    |part| group.part(part, &words).map(<[u16]>::to_vec),
                    false,
                );
            }
            Err(Failure::Link(error)) => {
                writing.failed(&group, &Refusal::LinkBroke);
                return Err(error);
            }
            Err(failure) => writing.failed(&group, &failure.refusal()),
        }
        if writing.has_more() { Ok(()) } else { self.read_back(line, writing).await }
    }

    /// Sends one group, with the function that the device has for it.
    async fn write(
        &mut self,
        line: &mut Line,
        writing: &mut Writing,
        group: &Group,
    ) -> Result<Written, Failure> {
        let device = writing.device;
        let broadcast = self.is_broadcast(device);
        let range = (group.address, u16::try_from(group.words.len()).unwrap_or(u16::MAX));
        if !writing.begun {
            if !self.schedule.may_write(device, self.now()) {
                return Err(Failure::NoAnswer);
            }
            // On a line that may echo, only an answered read tells a device from our own echo.
            if line.echo() == Some(Echo::Unknown) && !broadcast {
                match self.look(line, device, group.table, range).await {
                    Ok(_) | Err(Failure::Exception { .. }) => {}
                    Err(failure) => return Err(failure),
                }
            }
            writing.begun = true;
            self.status().writes += 1;
        }
        let Some(state) = self.devices.get(device) else { return Err(Failure::NoAnswer) };
        let (with, lacks) = (state.plan.write_with, state.lacks);
        let words = match group.mask {
            None => group.words.clone(),
            Some(mask) => {
                let may = broadcast || (with == WriteWith::Automatic && !lacks.mask_write);
                if let (true, [word]) = (may, group.words.as_slice()) {
                    let write = Write::Mask { and: !mask, or: word & mask };
                    match self.send(line, device, range, &write).await {
                        Err(failure) if failure.is_illegal_function() && !broadcast => {}
                        result => return result,
                    }
                    self.learn(device, |lacks| lacks.mask_write = true);
                }
                let current = self.look(line, device, group.table, range).await?;
                let merge = |(now, new): (&u16, &u16)| (now & !mask) | (new & mask);
                current.iter().zip(&group.words).map(merge).collect()
            }
        };
        if with == WriteWith::TwentyThree && !group.table.is_bits() && !broadcast {
            return self.send(line, device, range, &Write::AndRead(words)).await;
        }
        let single = Write::single(group.table, &words);
        let many = Write::many(group.table, words);
        let may_learn = matches!(with, WriteWith::Automatic | WriteWith::TwentyThree) && !broadcast;
        if let Some(single) = single.filter(|_| with != WriteWith::Sixteen) {
            if !(may_learn && lacks.single_write) {
                match self.send(line, device, range, &single).await {
                    Err(failure) if failure.is_illegal_function() && may_learn => {}
                    result => return result,
                }
                self.learn(device, |lacks| lacks.single_write = true);
            }
            return self.send(line, device, range, &many).await;
        }
        match self.send(line, device, range, &many).await {
            Err(failure) if failure.is_illegal_function() && may_learn => {
                let Some(state) = self.devices.get(device) else { return Err(failure) };
                if !writing.split(group, Together::of(&state.plan, true)) {
                    return Err(failure);
                }
                self.learn(device, |lacks| lacks.many_write = true);
                Ok(Written::Again)
            }
            result => result,
        }
    }

    async fn send(
        &mut self,
        line: &mut Line,
        device: usize,
        (address, count): (u16, u16),
        write: &Write,
    ) -> Result<Written, Failure> {
        let frames = self.frames.map_or(Duration::ZERO, |time| write.time(&time));
        let broadcast = self.is_broadcast(device);
        let Some(state) = self.devices.get(device) else { return Err(Failure::NoAnswer) };
        // Writing may take a device longer than reading (flash), so nothing learned shortens this.
        let (unit, time) = (state.plan.unit, state.plan.timeout + frames);
        if let Some(guests) = &self.guests {
            let units = self.devices.iter().map(|device| device.plan.unit);
            for unit in units.filter(|of| broadcast || *of == unit) {
                guests.changed(unit, write.table(), (address, count));
            }
        }
        if broadcast {
            line.broadcast(address, write, time).await?;
            self.broadcast_sent(device, line);
            return Ok(Written::Acknowledged);
        }
        let result = line.write(unit, address, write, time).await;
        self.commanded(device, line, result.as_ref().map(|_| ()));
        Ok(match result? {
            Some(words) => Written::ReadBack(words),
            None => Written::Acknowledged,
        })
    }

    /// Looks at everything that was written and is to be verified.
    async fn read_back(&mut self, line: &mut Line, writing: &mut Writing) -> io::Result<()> {
        for round in 1..=READ_BACKS {
            let tags: Vec<usize> = writing.unverified().iter().map(|(_, part)| part.tag).collect();
            if tags.is_empty() {
                break;
            }
            if round > 1 {
                tokio::time::sleep(SETTLE).await;
            }
            let looked = self.look_at(line, writing.device, &tags).await?;
            let gone =
                |part: &Part| looked.iter().any(|(tag, words)| *tag == part.tag && words.is_none());
            writing.not_read_back(gone);
            let words_of = |part: &Part| {
                looked.iter().find(|(tag, _)| *tag == part.tag).and_then(|(_, words)| words.clone())
            };
            self.take_over(writing, words_of, round == READ_BACKS);
        }
        Ok(())
    }

    /// Reads tags in as few requests as the device allows; `None` for those that gave no answer.
    async fn look_at(
        &mut self,
        line: &mut Line,
        device: usize,
        tags: &[usize],
    ) -> io::Result<Vec<(usize, Option<Vec<u16>>)>> {
        let Some(state) = self.devices.get(device) else { return Ok(Vec::new()) };
        let mut requests: VecDeque<_> = state.requests_for(tags, self.clock.mono()).into();
        let mut looked = Vec::with_capacity(tags.len());
        while let Some(Request { table, block }) = requests.pop_front() {
            let result = self.look(line, device, table, (block.start, block.count)).await;
            let Some(state) = self.devices.get(device) else { break };
            match result {
                Ok(words) => looked.extend(block.items.iter().map(|tag| {
                    let from = state.plan.tags.get(*tag).and_then(|tag| tag.registers());
                    let part = from.and_then(|from| block.part(&Item::of(from, *tag)));
                    (*tag, part.and_then(|part| words.get(part)).map(<[u16]>::to_vec))
                })),
                Err(Failure::Link(error)) => return Err(error),
                // What lies between them may be what the device does not give.
                Err(Failure::Exception { .. }) if block.items.len() > 1 => {
                    requests.extend(block.items.iter().filter_map(|tag| state.request_for(*tag)));
                }
                Err(_) => looked.extend(block.items.iter().map(|tag| (*tag, None))),
            }
        }
        Ok(looked)
    }

    /// Compares what the device holds with what was written; the values go north. What differs is
    /// left open until the `last` look.
    fn take_over(
        &mut self,
        writing: &mut Writing,
        words_of: impl Fn(&Part) -> Option<Vec<u16>>,
        last: bool,
    ) {
        let at = self.clock.mono();
        let found: Vec<_> = writing
            .unverified()
            .into_iter()
            .filter_map(|(index, part)| {
                let words = words_of(part)?;
                Some((index, part.tag, part.holds(&words), words))
            })
            .filter(|(_, _, same, _)| *same || last)
            .collect();
        let mut readings = Vec::with_capacity(found.len());
        for (part, tag, same, words) in found {
            let state = self.devices.get_mut(writing.device);
            let reading = state.and_then(|state| state.written(tag, &words, at));
            let value = reading.as_ref().and_then(|reading| reading.value().cloned());
            readings.extend(reading);
            let outcome = match value {
                Some(read_back) if same => Outcome::Done { read_back },
                Some(read_back) => Outcome::Refused(Refusal::ReadBack(read_back)),
                None => Outcome::Refused(Refusal::NotReadBack),
            };
            writing.conclude(part, outcome);
        }
        self.emit(writing.device, readings);
    }

    /// Reads registers or bits of a device.
    async fn look(
        &mut self,
        line: &mut Line,
        device: usize,
        table: Table,
        (address, count): (u16, u16),
    ) -> Result<Vec<u16>, Failure> {
        let count = count.max(1);
        let frames = self.frames.map_or(Duration::ZERO, |time| time.read(table, count));
        let Some(state) = self.devices.get(device) else { return Err(Failure::NoAnswer) };
        let (unit, most) = (state.plan.unit, state.most(table));
        let timeout = state.timeout(frames, self.schedule.is_doubtful(device));
        let result = line.read(unit, table, (address, count), most, timeout).await;
        self.commanded(device, line, result.as_ref().map(|_| ()));
        if let (Ok(words), Some(guests), Some(state)) =
            (&result, &self.guests, self.devices.get(device))
        {
            guests.keep(&state.plan, (table, address), words);
        }
        result
    }

    fn learn(&mut self, device: usize, what: impl FnOnce(&mut Lacks)) {
        if let Some(state) = self.devices.get_mut(device) {
            what(&mut state.lacks);
        }
        self.keep_learned(device);
    }
}
