//! What the buses of a plan read while all devices answer, on a clock that someone else moves.
//!
//! The gateway's own schedule, blocks, decoding and publish rules, before simulated devices; each
//! request keeps its line for as long as `check` counts with, one after the other. A tag that can be written stays as it is. Pure but for
//! its memory: time is what it is asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::signal::Signal;
use super::world::{POWER, Start};
use crate::codec::registers::{at_power, decode};
use crate::config::blocks::block_time_max;
use crate::config::wire::LineTime;
use crate::config::{BusPlan, Plan, Registers, Source, TagPlan};
use crate::model::sensor::Ask;
use crate::model::{Batch, Coding, Kind, Mono, Reading, Table, TagId, ValueKind};
use crate::south::device::Device;
use crate::south::schedule::{Next, Schedule};

/// How often a sensor that sends by itself is taken to send: nothing says how often it does.
pub const PUSH_ASSUMED: Duration = Duration::from_secs(1);
/// What the text of a sensor is taken to take.
const TEXT_REGISTERS: u8 = 6;

/// See the module.
pub struct Field {
    lines: Vec<Line>,
    /// What is time zero for the readings.
    begun: Mono,
    read: u64,
}

/// The readings of one answer.
pub struct FieldAnswer {
    /// Since the start.
    pub at: Duration,
    pub batches: Vec<Batch>,
}

struct Line {
    poller: Poller,
    devices: Vec<Played>,
    /// The answer that comes next, as far as it is known.
    next: Option<FieldAnswer>,
    /// Until when the line is in use, or nothing is due.
    free_at: Duration,
    /// Values of an answer that comes later than was asked for, and when it does.
    ahead: (Duration, u64),
}

enum Poller {
    Modbus(Schedule),
    Sensor { every: Duration },
}

/// A device and the courses of its tags.
struct Played {
    device: Device,
    time: LineTime,
    tags: Vec<Tag>,
}

struct Tag {
    id: TagId,
    signal: Signal,
    coding: Coding,
    is_bits: bool,
    /// It stays as it is.
    held: bool,
}

impl Field {
    /// Every bus of a plan whose tags have their numbers.
    pub fn new(plan: &Plan, start: Start, begun: Mono) -> Self {
        let lines = plan.buses.iter().map(|bus| Line::new(bus, start)).collect();
        Self { lines, begun, read: 0 }
    }

    /// The next answer that has readings and comes no later than this.
    pub fn until(&mut self, end: Duration) -> Option<FieldAnswer> {
        for line in &mut self.lines {
            line.look(end, self.begun, &mut self.read);
        }
        let waits = self.lines.iter_mut().filter(|line| line.next.is_some());
        let first = waits.min_by_key(|line| line.next.as_ref().map(|answer| answer.at))?;
        first.next.take_if(|answer| answer.at <= end)
    }

    /// Values read so far, those included that were not worth a reading.
    pub fn read(&self) -> u64 {
        self.read
    }
}

impl Line {
    fn new(bus: &BusPlan, start: Start) -> Self {
        let time = LineTime::of(&bus.link).with_pause(bus.pause);
        let played = |plan: &crate::config::DevicePlan| {
            let seed = |tag: &TagPlan| {
                let path = format!("{}.{}", plan.name, tag.name);
                start.seed ^ u64::from(crc32fast::hash(path.as_bytes()))
            };
            let tags = plan.tags.iter().map(|tag| Tag::new(tag, seed(tag), start.epoch_s));
            let learned = BTreeMap::new();
            Played {
                tags: tags.collect(),
                device: Device::new(plan.clone(), time, block_time_max(&bus.link), &learned),
                time: time.with_pause(plan.pause),
            }
        };
        let devices: Vec<_> = bus.devices.iter().map(played).collect();
        let poller = match bus.link.sensor().map(|link| &link.sensor.ask) {
            Some(Ask::Push) => Poller::Sensor { every: PUSH_ASSUMED },
            Some(Ask::Poll(poll)) => Poller::Sensor { every: poll.every },
            None => {
                let intervals = devices.iter().map(|played| played.device.intervals().to_vec());
                Poller::Modbus(Schedule::new(&intervals.collect::<Vec<_>>()))
            }
        };
        let free_at = Duration::ZERO;
        Self { poller, devices, next: None, free_at, ahead: (free_at, 0) }
    }

    /// Goes on until an answer has readings, or nothing more can come by `end`.
    fn look(&mut self, end: Duration, begun: Mono, read: &mut u64) {
        *read += self.ahead.1 * u64::from(self.ahead.0 <= end);
        self.ahead.1 *= u64::from(self.ahead.0 > end);
        while self.next.is_none() && self.free_at <= end {
            match &mut self.poller {
                Poller::Sensor { every } => {
                    self.free_at += (*every).max(Duration::from_millis(1));
                    let at = self.free_at;
                    let mut batches = Vec::new();
                    for played in &mut self.devices {
                        let tags: Vec<_> = (0..played.tags.len()).collect();
                        batches.extend(played.readings(&tags, at, begun));
                        self.ahead.1 += wide(tags.len());
                    }
                    self.answered(at, batches, end, read);
                }
                Poller::Modbus(schedule) => match schedule.next(self.free_at, false) {
                    Next::Wait(until) => {
                        // A schedule without anything to read waits and waits.
                        self.free_at = until.max(self.free_at + Duration::from_millis(1));
                    }
                    Next::Plan { device: index, due } => {
                        let played = self.devices.get_mut(index);
                        let n = played.map_or(0, |p| p.device.start_job(due, begun).0);
                        schedule.planned(index, n);
                    }
                    Next::Request { device: index } => {
                        let Some(played) = self.devices.get_mut(index) else { return };
                        let Some((request, _)) = played.device.next_request() else {
                            schedule.not_asked(index);
                            continue;
                        };
                        self.free_at += played.time.read(request.table, request.block.count);
                        let at = self.free_at;
                        schedule.answered(index, at);
                        let tags = &request.block.items;
                        let batches = played.readings(tags, at, begun);
                        self.ahead.1 += wide(tags.len());
                        self.answered(at, batches, end, read);
                    }
                    // There are no commands.
                    Next::Write => return,
                },
            }
        }
    }

    /// Values came, of which these readings were made.
    fn answered(&mut self, at: Duration, batches: Vec<Batch>, end: Duration, read: &mut u64) {
        self.ahead.0 = at;
        if at <= end {
            *read += std::mem::take(&mut self.ahead.1);
        }
        self.next = (!batches.is_empty()).then_some(FieldAnswer { at, batches });
    }
}

impl Played {
    /// What these tags show, where their publish rules want it told.
    fn readings(&mut self, tags: &[usize], at: Duration, begun: Mono) -> Vec<Batch> {
        let mut readings = Vec::with_capacity(tags.len());
        for index in tags {
            let Some(tag) = self.tags.get(*index) else { continue };
            readings.extend(self.device.offer(*index, tag.reading(at, begun + at)));
        }
        let batch = |(class, readings)| Batch { class, readings };
        self.device.by_class(readings).into_iter().map(batch).collect()
    }
}

impl Tag {
    fn new(tag: &TagPlan, seed: u64, epoch_s: u64) -> Self {
        let mut from = match &tag.source {
            Source::Registers(registers) => registers.clone(),
            Source::Field(field) => like_registers(field.kind),
        };
        if from.scale_register.is_some() {
            let scaled = at_power(&from.coding, POWER.cast_unsigned());
            from.coding = scaled.unwrap_or(from.coding);
        }
        Self {
            id: tag.id,
            signal: Signal::of(tag, &from, seed, epoch_s),
            is_bits: from.table.is_bits(),
            coding: from.coding,
            held: tag.write.is_some(),
        }
    }

    fn reading(&self, time: Duration, at: Mono) -> Reading {
        let time = if self.held { Duration::ZERO } else { time };
        let words = self.signal.words(time).words;
        decode(&self.coding, self.is_bits, &words).reading(self.id, at)
    }
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// Registers that hold values like those of a sensor's field.
fn like_registers(kind: ValueKind) -> Registers {
    let (table, kind) = match kind {
        ValueKind::Bool => (Table::Coil, Kind::Bool),
        ValueKind::Integer => (Table::Holding, Kind::Int { bits: 32, signed: true }),
        ValueKind::Unsigned => (Table::Holding, Kind::Int { bits: 32, signed: false }),
        ValueKind::Real => (Table::Holding, Kind::F64),
        ValueKind::Text => (Table::Holding, Kind::Text { registers: TEXT_REGISTERS }),
        ValueKind::Bytes => (Table::Holding, Kind::Raw { registers: TEXT_REGISTERS }),
    };
    Registers { table, address: 0, coding: Coding::plain(kind), scale_register: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Class;

    fn field(text: &str) -> Field {
        let mut plan = crate::config::parse(text, "test").unwrap().plan;
        let ids: Vec<_> = (1..).map(TagId).take(plan.metas().len()).collect();
        plan.assign_ids(&ids);
        Field::new(&plan, Start { seed: 1, epoch_s: 0 }, Mono(1_000))
    }

    /// All readings that come by then, in their order.
    fn all(field: &mut Field, end: Duration) -> Vec<(Duration, Class, Reading)> {
        let mut readings = Vec::new();
        while let Some(answer) = field.until(end) {
            for batch in answer.batches {
                let of = |reading| (answer.at, batch.class, reading);
                readings.extend(batch.readings.into_iter().map(of));
            }
        }
        readings
    }

    const HEAD: &str = "gateway: { name: g }\nbuses:\n  b: { modbus-tcp: { host: h } }\n";

    #[test]
    fn every_tag_is_read_at_its_period_and_never_more() {
        let mut field = field(&format!(
            "{HEAD}devices:\n  d: {{ bus: b, tags: {{ a: {{ holding: 0, type: u16, every: 1s }}, \
             s: {{ holding: 1, type: u16, every: 10s, class: alarm }} }} }}\n"
        ));
        let readings = all(&mut field, Duration::from_secs(100));
        let of = |id| readings.iter().filter(move |(_, _, r)| r.tag() == TagId(id));
        // At 0 s and then each second; the answer of the hundredth comes a little too late.
        assert_eq!((of(1).count(), of(2).count(), field.read()), (100, 10, 110));
        assert!(of(2).all(|(_, class, _)| *class == Class::Alarm));
        assert!(of(1).all(|(at, _, reading)| reading.at() == Mono(1_000) + *at));
        assert!(readings.windows(2).all(|pair| pair[0].0 <= pair[1].0), "in order of time");
        assert!(readings.iter().all(|(_, _, reading)| reading.value().is_some()));
    }

    #[test]
    fn a_request_keeps_its_line_and_the_next_one_waits() {
        let mut field = field(
            "gateway: { name: g }\nbuses:\n  b: { modbus-rtu: { port: /dev/ttyS0, baud: 9600 } }\n\
             devices:\n\
             \x20 d: { bus: b, unit: 1, tags: { a: { holding: 0, type: u16, every: 1s } } }\n\
             \x20 e: { bus: b, unit: 2, tags: { a: { holding: 0, type: u16, every: 1s } } }\n",
        );
        let readings = all(&mut field, Duration::from_secs(10));
        let line = crate::config::SerialLine {
            port: "/dev/ttyS0".into(),
            baud: 9_600,
            data_bits: 8,
            parity: crate::config::Parity::Even,
            stop_bits: 1,
            switching: crate::config::Switching::Adapter,
        };
        let time = LineTime::serial(&line, crate::config::wire::TURNAROUND_ASSUMED);
        let one = time.read_registers(1);
        let at: Vec<_> = readings.iter().map(|(at, _, reading)| (*at, reading.tag().0)).collect();
        assert_eq!(at[..2], [(one, 1), (one * 2, 2)]);
        assert_eq!((at.len(), at[19]), (20, (Duration::from_secs(9) + one * 2, 2)));
    }

    #[test]
    fn what_does_not_change_is_held_back_and_counted_as_read() {
        let mut field = field(&format!(
            "{HEAD}devices:\n  d: {{ bus: b, tags: {{ a: {{ holding: 0, type: u16, every: 1s, \
             publish: changes, write: {{ min: 0, max: 9 }} }} }} }}\n"
        ));
        let readings = all(&mut field, Duration::from_secs(600));
        assert_eq!((readings.len(), field.read()), (10, 600));
    }

    #[test]
    fn every_example_is_played_with_good_values() {
        for text in [
            include_str!("../../../configs/demo.yaml"),
            include_str!("../../../configs/examples/modbus-tcp.yaml"),
            include_str!("../../../configs/examples/sensors.yaml"),
        ] {
            let readings = all(&mut field(text), Duration::from_secs(120));
            assert!(!readings.is_empty());
            let bad = readings.iter().find(|(_, _, reading)| reading.value().is_none());
            assert_eq!(bad, None);
        }
    }
}
