//! The life of a sensor bus: open, listen or ask, decode, hand on, for ever.
//!
//! A sensor that says nothing is a state and makes its tags bad; only a broken port or stream ends a
//! connection, and it is opened again for ever. What is not a whole, sound frame of a known form is
//! counted and never becomes a value. A poll's answer is the first frame that began after the
//! request; what comes later is counted as late and dropped.
//!
//! Below it: `io` (the wire), `listen` (bytes to frames, in time), `tags` and `gate` (frames to
//! readings; pure), `handshake` (what IEC 62056-21 has before its data).

pub mod capture;
mod gate;
mod handshake;
mod io;
mod listen;
mod status;
mod tags;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::gate::Gate;
use self::io::Io;
use self::listen::{Ended, Treat};
pub use self::status::SensorCounters;
use self::tags::{Out, Tags};
use super::bus::BusContext;
use super::engine::{RECONNECT_CAP, RECONNECT_FIRST};
use super::status::{BusStatus, DeviceState, LinkState, Meter, micros};
use super::trace::{Tap, Verdict};
use crate::codec::sensor::{Decoder, PatternError, Sample, Splitter};
use crate::config::{BusPlan, SensorLink};
use crate::model::sensor::{Ask, Poll};
use crate::model::{Backoff, Clock, Command, Fault, Mono, Name, Refusal, Sink};

/// Polls without an answer after which the device counts as silent.
const SILENT_POLLS: u32 = 3;
/// The longest time a port is only listened to before the first poll: an answer to a poll of an
/// earlier life may still come.
const LISTEN_MAX: Duration = Duration::from_secs(5);

/// See the module.
pub(crate) struct SensorRunner {
    name: Name,
    link: Box<SensorLink>,
    decoder: Decoder,
    splitter: Splitter,
    gate: Gate,
    tags: Tags,
    sink: Arc<dyn Sink>,
    clock: Arc<dyn Clock>,
    commands: mpsc::Receiver<Command>,
    status: Arc<Mutex<BusStatus>>,
    tap: Tap,
    started: Instant,
    backoff: Backoff,
    meter: Meter,
    outage: bool,
    /// Something that was no good frame came since the last good one.
    disturbed: bool,
    /// Polls that failed in a row.
    failed: u32,
}

impl SensorRunner {
    pub(crate) fn new(
        plan: BusPlan,
        link: Box<SensorLink>,
        context: BusContext,
        commands: mpsc::Receiver<Command>,
        status: Arc<Mutex<BusStatus>>,
        tap: Tap,
    ) -> Result<Self, PatternError> {
        Ok(Self {
            name: plan.name,
            decoder: Decoder::new(&link.sensor)?,
            splitter: Splitter::new(&link.sensor),
            gate: Gate::new(link.sensor.emit),
            link,
            tags: Tags::new(plan.devices),
            sink: context.sink,
            clock: context.clock,
            commands,
            status,
            tap,
            started: Instant::now(),
            backoff: Backoff::new(RECONNECT_FIRST, RECONNECT_CAP, fastrand::u64(..)),
            meter: Meter::new(),
            outage: false,
            disturbed: false,
            failed: 0,
        })
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        self.started = Instant::now();
        while let Some(mut io) = self.connect(&stop).await {
            self.came_up(&io);
            match self.work(&mut io, &stop).await {
                Ended::Stopped => break,
                Ended::Broken(error) => self.went_down(&format!("connection lost: {error}")),
            }
        }
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            self.refuse(command, &Refusal::Stopping);
        }
        self.status().state = LinkState::Stopped;
    }

    /// Tries until the wire is open; `None` when stopped.
    async fn connect(&mut self, stop: &CancellationToken) -> Option<Io> {
        let mut wait = if self.outage { self.backoff.next_delay() } else { Duration::ZERO };
        let mut ports_gone = false;
        loop {
            let wire = self.link.wire.clone();
            let attempt = async move {
                tokio::time::sleep(wait).await;
                Io::open(&wire).await
            };
            tokio::pin!(attempt);
            let result = loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return None,
                    result = &mut attempt => break result,
                    command = self.commands.recv(), if !ports_gone => match command {
                        Some(command) => self.refuse(command, &Refusal::LinkDown),
                        None => ports_gone = true,
                    },
                }
            };
            match result {
                Ok(io) => return Some(io),
                Err(error) => self.went_down(&error.to_string()),
            }
            wait = self.backoff.next_delay();
        }
    }

    async fn work(&mut self, io: &mut Io, stop: &CancellationToken) -> Ended {
        let result = match self.link.sensor.ask.clone() {
            Ask::Push => self.pushed(io, stop).await,
            Ask::Poll(poll) => self.polled(io, &poll, stop).await,
        };
        match result {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn pushed(
        &mut self,
        io: &mut Io,
        stop: &CancellationToken,
    ) -> Result<std::convert::Infallible, Ended> {
        self.send_init(io).await?;
        loop {
            let until = Instant::now() + LISTEN_MAX;
            self.listen(io, until, Treat::Pushed, stop).await?;
        }
    }

    async fn polled(
        &mut self,
        io: &mut Io,
        poll: &Poll,
        stop: &CancellationToken,
    ) -> Result<std::convert::Infallible, Ended> {
        self.send_init(io).await?;
        let mut next = Instant::now() + poll.timeout.max(self.splitter.gap()).min(LISTEN_MAX);
        loop {
            self.listen(io, next, Treat::Late, stop).await?;
            let asked = Instant::now();
            let answered = self.ask(io, poll, stop).await?;
            let now = Instant::now();
            self.meter.busy(self.started.elapsed(), now - asked);
            next = (next + poll.every).max(asked);
            if next < now {
                // Polls that can't be made in time are left out, not queued.
                let behind = (now - next).as_nanos() / poll.every.as_nanos().max(1) + 1;
                let behind = u32::try_from(behind).unwrap_or(u32::MAX);
                self.missed(u64::from(behind));
                next += poll.every.saturating_mul(behind);
            }
            if !answered {
                // A late answer would pass for the answer to the next request.
                next = next.max(now + poll.timeout.min(LISTEN_MAX));
            }
        }
    }

    /// One poll; whether it was answered.
    async fn ask(
        &mut self,
        io: &mut Io,
        poll: &Poll,
        stop: &CancellationToken,
    ) -> Result<bool, Ended> {
        self.disturbed = false;
        if !poll.wake.is_empty() {
            self.send(io, &poll.wake).await?;
            let until = Instant::now() + poll.wake_pause;
            self.listen(io, until, Treat::Late, stop).await?;
        }
        // What has begun already is no answer to what is asked now.
        let begun = self.splitter.has_begun();
        let sent = Instant::now();
        let talked = match poll.handshake {
            None => {
                self.send(io, &poll.send).await?;
                true
            }
            Some(kind) => self.shake_hands(io, kind, poll, stop).await?,
        };
        let until = Instant::now() + poll.timeout;
        let treat = Treat::Answer { skip: begun };
        let answered = talked && self.listen(io, until, treat, stop).await?;
        self.polled_once(answered, sent.elapsed());
        Ok(answered)
    }

    async fn send_init(&mut self, io: &mut Io) -> Result<(), Ended> {
        for line in self.link.sensor.init.clone() {
            self.send(io, &line).await?;
        }
        Ok(())
    }

    fn polled_once(&mut self, answered: bool, took: Duration) {
        let at = self.clock.mono();
        self.failed = if answered { 0 } else { self.failed.saturating_add(1) };
        let fault = if self.disturbed { Fault::BadAnswer } else { Fault::NoAnswer };
        {
            let share = self.meter.share(self.started.elapsed());
            let mut status = self.status();
            status.requests += 1;
            status.utilisation = share;
            for device in &mut status.devices {
                device.requests += 1;
                match (answered, fault) {
                    (true, _) => device.latency_p50_us = micros(took),
                    (false, Fault::BadAnswer) => device.bad_answers += 1,
                    (false, _) => device.timeouts += 1,
                }
            }
        }
        if answered {
            return;
        }
        self.tap.conclude(Verdict::Timeout);
        let out = self.tags.all_bad(fault, at);
        self.emit(out);
        if self.failed >= SILENT_POLLS {
            (0..self.tags.devices().len()).for_each(|device| self.fell_silent(device, fault, at));
        }
    }

    fn missed(&mut self, ticks: u64) {
        self.status().devices.iter_mut().for_each(|device| device.missed_ticks += ticks);
    }

    /// A sound frame: its samples become readings.
    fn frame(&mut self, body: &[u8], samples: &[Sample], at: Mono, expected: bool) {
        self.disturbed = false;
        self.backoff.reset();
        let emit = self.gate.passes(body, samples);
        {
            let mut status = self.status();
            let counters = status.sensor.get_or_insert_default();
            counters.frames += 1;
            counters.held_back += u64::from(!emit);
        }
        let out = self.tags.frame(samples, at, emit, expected);
        self.emit(out);
        for device in 0..self.tags.devices().len() {
            let fields = self.tags.devices().get(device).map(|d| d.tags.as_slice());
            let mut fields = fields.unwrap_or_default().iter().filter_map(|tag| tag.field());
            if expected || fields.any(|f| samples.iter().any(|s| *s.name == *f.name)) {
                self.heard(device);
            }
        }
    }

    /// What was not renewed in time is bad.
    fn age(&mut self) {
        let Some(after) = self.link.sensor.silent_after else { return };
        let now = self.clock.mono();
        let fault = if self.disturbed { Fault::BadAnswer } else { Fault::NoAnswer };
        let out = self.tags.aged(after, fault, now);
        self.emit(out);
        for device in 0..self.tags.devices().len() {
            if self.tags.is_silent(device, after, now) {
                self.fell_silent(device, fault, now);
            }
        }
    }

    fn heard(&self, device: usize) {
        let mut status = self.status();
        let Some(shown) = status.devices.get_mut(device) else { return };
        shown.ok += 1;
        let before = std::mem::replace(&mut shown.state, DeviceState::Ok);
        drop(status);
        if let (DeviceState::Silent { .. }, Some(plan)) = (before, self.tags.devices().get(device))
        {
            info!(bus = %self.name, device = %plan.name, "sensor is heard again");
        }
    }

    fn fell_silent(&self, device: usize, fault: Fault, at: Mono) {
        let mut status = self.status();
        let Some(shown) = status.devices.get_mut(device) else { return };
        if matches!(shown.state, DeviceState::Silent { .. }) {
            return;
        }
        shown.state = DeviceState::silent(at, fault);
        drop(status);
        if let Some(plan) = self.tags.devices().get(device) {
            warn!(bus = %self.name, device = %plan.name, "sensor is silent: {fault}");
        }
    }

    fn came_up(&mut self, io: &Io) {
        self.tap.connected();
        let since = self.clock.mono();
        let after_outage = std::mem::take(&mut self.outage);
        self.splitter = Splitter::new(&self.link.sensor);
        self.decoder.forget();
        self.gate.forget();
        self.tags.wait_from(since);
        self.disturbed = false;
        let mut status = self.status();
        let first = status.connects == 0;
        status.connects += 1;
        status.state = LinkState::Up { since: since.0 };
        status.remarks = io.remarks().to_vec();
        let link = status.link.clone();
        drop(status);
        if first || after_outage {
            info!(bus = %self.name, %link, "bus is up");
        }
    }

    fn went_down(&mut self, reason: &str) {
        let at = self.clock.mono();
        let first = !std::mem::replace(&mut self.outage, true);
        {
            let mut status = self.status();
            let since = match &status.state {
                LinkState::Down { since, .. } => *since,
                _ => at.0,
            };
            status.state = LinkState::Down { since, reason: reason.to_owned() };
        }
        if first {
            warn!(bus = %self.name, reason, "bus is down, trying again for ever");
        }
        let out = self.tags.all_bad(Fault::LinkDown, at);
        self.emit(out);
    }

    fn emit(&self, out: Vec<Out>) {
        for Out { device, batches, suppressed } in out {
            {
                let readings = || batches.iter().flat_map(|batch| &batch.readings);
                let bad = readings().filter(|reading| reading.value().is_none()).count();
                let mut status = self.status();
                if let Some(shown) = status.devices.get_mut(device) {
                    shown.readings += u64::try_from(readings().count()).unwrap_or(0);
                    shown.readings_bad += u64::try_from(bad).unwrap_or(0);
                    shown.suppressed += suppressed;
                }
            }
            batches.into_iter().for_each(|batch| self.sink.readings(batch));
        }
    }

    /// No tag of a sensor can be written.
    fn refuse(&self, command: Command, refusal: &Refusal) {
        *self.status().refused.entry(refusal.code()).or_default() += 1;
        command.refuse(refusal);
    }

    fn count(&self, change: impl FnOnce(&mut SensorCounters)) {
        change(self.status().sensor.get_or_insert_default());
    }

    fn status(&self) -> MutexGuard<'_, BusStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
