//! What the engine tells others: readings northwards, exchanges to the schedule, counters and
//! states to the status. The other half of [`Engine`]; nothing here waits.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

use super::breaker::Turn;
use super::engine::Engine;
use super::guard::Echo;
use super::line::{Failure, Line};
use super::status::{BusStatus, DeviceState, LinkState, micros, millis};
use crate::model::{Batch, Command, Fault, Mono, Reading, Refusal};

impl Engine {
    /// All tags of a device that counts as silent, otherwise those of the poll.
    pub(super) fn bad_or_silent(
        &mut self,
        index: usize,
        bad: &[(usize, Fault)],
        fault: Fault,
        at: Mono,
    ) {
        if self.schedule.silent_since(index).is_some() {
            self.all_bad(index, fault, at);
        } else {
            self.some_bad(index, bad, at);
        }
    }

    pub(super) fn some_bad(&mut self, index: usize, bad: &[(usize, Fault)], at: Mono) {
        let Some(device) = self.devices.get_mut(index) else { return };
        let readings = device.failed(bad, at);
        self.emit(index, readings);
    }

    pub(super) fn all_bad(&mut self, index: usize, fault: Fault, at: Mono) {
        let Some(device) = self.devices.get_mut(index) else { return };
        if let Some(guests) = &self.guests {
            guests.forget(device.plan.unit);
        }
        let readings = device.silent(fault, at);
        self.emit(index, readings);
    }

    /// Tells schedule and status about an exchange of a command, which is no part of a job.
    pub(super) fn commanded(&mut self, index: usize, line: &Line, result: Result<(), &Failure>) {
        let (now, at, took) = (self.now(), self.clock.mono(), line.took());
        self.meter.busy(now, took);
        let Some(answered) = self.is_answer(result) else { return };
        let turn = self.schedule.wrote(index, now, took, answered);
        self.changed(index, turn, result);
        self.show_exchange(index, at, turn, result);
        self.show_line(line);
        if let (Turn::Opened, Err(failure)) = (turn, result) {
            self.all_bad(index, failure.fault(), at);
        }
    }

    /// Tells the schedule about a request by hand, where it says something about a device, and the
    /// status that the line was used.
    pub(super) fn asked_by_hand(
        &mut self,
        index: Option<usize>,
        line: &Line,
        waited: Duration,
        result: Result<(), &Failure>,
    ) {
        let (now, took) = (self.now(), line.took());
        self.meter.busy(now, took);
        self.status().requests += 1;
        self.show_line(line);
        let answered = match result {
            Ok(()) => true,
            Err(failure @ Failure::Exception { .. }) => !failure.is_gateways(),
            Err(Failure::NoAnswer) => false,
            Err(Failure::BadAnswer | Failure::NotAsked | Failure::Link(_)) => return,
        };
        if answered {
            self.heard = true;
            self.answers += 1;
        }
        let Some(index) = index else { return };
        let configured = self.devices.get(index).map(|device| device.plan.timeout);
        // Who was not given its time has not failed.
        if !answered && configured.is_none_or(|configured| waited < configured) {
            return;
        }
        let turn = self.schedule.wrote(index, now, took, answered);
        self.changed(index, turn, result);
        if let (Turn::Opened, Err(failure)) = (turn, result) {
            let at = self.clock.mono();
            self.show_exchange(index, at, turn, result);
            self.all_bad(index, failure.fault(), at);
        }
    }

    /// Why there is no line.
    pub(super) fn why_down(&self) -> String {
        match &self.status().state {
            LinkState::Down { reason, .. } => reason.clone(),
            LinkState::Connecting | LinkState::Up { .. } | LinkState::Stopped => {
                "it is just connecting".to_owned()
            }
        }
    }

    /// Whether this device is everybody on its line.
    pub(super) fn is_broadcast(&self, index: usize) -> bool {
        self.is_line && self.devices.get(index).is_some_and(|device| device.plan.unit == 0)
    }

    /// A write to everybody, which nobody answers: it says nothing about any device.
    pub(super) fn broadcast_sent(&mut self, index: usize, line: &Line) {
        let now = self.now();
        self.meter.busy(now, line.took());
        let mut status = self.status();
        status.requests += 1;
        if let Some(shown) = status.devices.get_mut(index) {
            shown.requests += 1;
        }
        drop(status);
        self.show_line(line);
    }

    /// Whether the device answered, in whatever way; `None` when the link broke or nothing
    /// was asked. On TCP a bad answer
    /// is an answer; on a serial line it cost a whole timeout. A gateway's word that the device is
    /// dead is none, but the connection works.
    fn is_answer(&mut self, result: Result<(), &Failure>) -> Option<bool> {
        let answered = match result {
            Err(Failure::Link(_) | Failure::NotAsked) => return None,
            Err(failure) if failure.is_gateways() => false,
            Ok(()) | Err(Failure::Exception { .. }) => true,
            Err(Failure::BadAnswer) => !self.is_line,
            Err(Failure::NoAnswer) => false,
        };
        self.heard = !matches!(result, Err(Failure::NoAnswer));
        self.answers += u64::from(self.heard && !matches!(result, Err(Failure::BadAnswer)));
        Some(answered)
    }

    /// Logs that a device fell silent or came back.
    fn changed(&mut self, index: usize, turn: Turn, result: Result<(), &Failure>) {
        let Some(device) = self.devices.get_mut(index) else { return };
        if turn == Turn::Closed {
            device.came_back();
        }
        let name = &device.plan.name;
        match (turn, result) {
            (Turn::Opened, Err(failure)) => {
                warn!(bus = %self.name, device = %name, "device is silent: {failure}");
            }
            (Turn::Closed, _) => info!(bus = %self.name, device = %name, "device answers again"),
            _ => {}
        }
    }

    /// Tells schedule, latency and status about an exchange: how long it kept the line, and what it
    /// says about the device's pace.
    pub(super) fn exchanged(
        &mut self,
        index: usize,
        line: &Line,
        took: Duration,
        sample: Option<Duration>,
        result: Result<(), &Failure>,
    ) {
        if matches!(result, Err(Failure::NotAsked)) {
            self.schedule.not_asked(index);
        }
        let (now, at) = (self.now(), self.clock.mono());
        self.meter.busy(now, took);
        let was_silent = self.schedule.silent_since(index).is_some();
        let Some(answered) = self.is_answer(result) else { return };
        let turn = if answered {
            self.schedule.answered(index, now)
        } else {
            self.schedule.failed(index, now, took)
        };
        let Some(device) = self.devices.get_mut(index) else { return };
        if let (true, Some(sample)) = (answered, sample)
            && !device.only
        {
            device.latency.answered_after(sample);
        }
        if let Some(sample) = sample
            && !was_silent
            && !matches!(result, Err(Failure::BadAnswer))
        {
            device.latency.add(sample);
        }
        if device.latency.take_changed() {
            self.keep_learned(index);
        }
        self.changed(index, turn, result);
        self.show_exchange(index, at, turn, result);
        self.show_line(line);
    }

    pub(super) fn show_exchange(
        &self,
        index: usize,
        at: Mono,
        turn: Turn,
        result: Result<(), &Failure>,
    ) {
        let Some(device) = self.devices.get(index) else { return };
        let mut status = self.status();
        status.requests += 1;
        let Some(shown) = status.devices.get_mut(index) else { return };
        shown.requests += 1;
        match result {
            Ok(()) => {
                shown.ok += 1;
                shown.state = DeviceState::Ok;
            }
            Err(Failure::Exception { code, .. }) => {
                shown.exceptions += 1;
                if self.schedule.silent_since(index).is_none() {
                    shown.state = DeviceState::Exception { code: *code };
                }
            }
            Err(Failure::BadAnswer) => shown.bad_answers += 1,
            Err(Failure::NoAnswer | Failure::NotAsked | Failure::Link(_)) => shown.timeouts += 1,
        }
        if let (Turn::Opened, Err(failure)) = (turn, result) {
            shown.state = DeviceState::silent(at, failure.fault());
        }
        shown.latency_p50_us = micros(device.latency.p50());
        shown.latency_p99_us = micros(device.latency.p99());
        shown.timeout_ms = millis(device.patience());
        shown.missed_ticks = self.schedule.missed(index);
        shown.suppressed = device.suppressed;
        shown.next_probe_at = self.schedule.next_probe(index).map(|probe| {
            let ahead = probe.saturating_sub(self.now());
            (at + ahead).0
        });
    }

    pub(super) fn show_line(&self, line: &Line) {
        let counters = line.counters();
        let echo = line.echo();
        let mut status = self.status();
        status.line = self.line_before.plus(counters);
        status.echo = match echo {
            Some(Echo::Present) => Some(true),
            Some(Echo::Absent) => Some(false),
            Some(Echo::Unknown) | None => None,
        };
    }

    pub(super) fn show_utilisation(&mut self) {
        let share = self.meter.share(self.now());
        self.status().utilisation = share;
    }

    pub(super) fn show_learned(&mut self, index: usize) {
        let at = self.clock.mono();
        let Some(device) = self.devices.get(index) else { return };
        let (facts, blocks) = (device.facts(), device.all_blocks(at));
        let mut status = self.status();
        if let Some(shown) = status.devices.get_mut(index) {
            (shown.learned, shown.blocks) = (facts, blocks);
        }
    }

    /// Persists what differs from what is shown, and shows it.
    pub(super) fn keep_learned(&mut self, index: usize) {
        let Some(device) = self.devices.get(index) else { return };
        let prefix = format!("{}/{}/", self.name, device.plan.name);
        let new = device.facts();
        let old = self.status().devices.get(index).map(|shown| shown.learned.clone());
        let old = old.unwrap_or_default();
        for (what, fact) in &new {
            if old.get(what) != Some(fact) {
                self.sink.learned(&format!("{prefix}{what}"), Some(fact));
            }
        }
        for what in old.keys().filter(|what| !new.contains_key(*what)) {
            self.sink.learned(&format!("{prefix}{what}"), None);
        }
        self.show_learned(index);
    }

    /// Hands readings on, one batch per class.
    pub(super) fn emit(&mut self, index: usize, readings: Vec<Reading>) {
        if readings.is_empty() {
            return;
        }
        {
            let bad = readings.iter().filter(|reading| reading.value().is_none()).count();
            let mut status = self.status();
            if let Some(shown) = status.devices.get_mut(index) {
                shown.readings += u64::try_from(readings.len()).unwrap_or(0);
                shown.readings_bad += u64::try_from(bad).unwrap_or(0);
            }
        }
        let Some(device) = self.devices.get(index) else { return };
        for (class, readings) in device.by_class(readings) {
            self.sink.readings(Batch { class, readings });
        }
    }

    pub(super) fn refuse(&self, command: Command, refusal: &Refusal) {
        *self.status().refused.entry(refusal.code()).or_default() += 1;
        command.refuse(refusal);
    }

    pub(super) fn status(&self) -> MutexGuard<'_, BusStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }
}
