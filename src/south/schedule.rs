//! What a line does next: a pure scheduler, without clock or I/O.
//!
//! Deadlines lie on a fixed grid from the start, so a period never drifts (T11); ticks that could
//! not be kept are counted and coalesced, never queued. Among the devices that are due, the one
//! whose next tick comes first goes first, request by request, so a long job of a slow device
//! does not hold up a fast one. Strangers, which never answered and may all be dead, take turns with
//! those that did. A write goes before any read, but two writes never go without a
//! read in between if one is due. Silent devices are left to their [`Breaker`].
//!
//! Time is a `Duration` since the schedule was made. The caller asks [`Schedule::next`], carries
//! the request out and reports it with [`Schedule::answered`] or [`Schedule::failed`].

use std::time::Duration;

use super::breaker::{Breaker, INTERVAL_ALONE_MAX, SilentTime, Turn};

/// The intervals of a device that are due, as a bit set over its sorted distinct intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Due(pub(crate) u64);

/// Distinct intervals per device; further ones share the last.
pub(crate) const INTERVALS_MAX: usize = 64;

impl Due {
    pub(crate) fn has(self, interval: usize) -> bool {
        self.0 & (1 << interval.min(INTERVALS_MAX - 1)) != 0
    }

    fn add(&mut self, interval: usize) {
        self.0 |= 1 << interval.min(INTERVALS_MAX - 1);
    }
}

/// The answer to "what next?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Carry out the oldest waiting command.
    Write,
    /// A device's due tags have to be read: tell how many requests that takes with
    /// [`Schedule::planned`], then ask again.
    Plan { device: usize, due: Due },
    /// Send the device's next planned request.
    Request { device: usize },
    /// Nothing to do before this moment, unless a command comes.
    Wait(Duration),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Schedule {
    devices: Vec<Device>,
    silent: SilentTime,
    /// Since when nobody answers.
    dead_since: Option<Duration>,
    wrote_last: bool,
}

#[derive(Debug)]
struct Device {
    ticks: Vec<Tick>,
    breaker: Breaker,
    /// It has answered once, be it in an earlier life.
    met: bool,
    /// Ticks that are due and not yet in a job.
    pending: Due,
    /// When the first of them comes again.
    deadline: Duration,
    job: Option<Job>,
    missed: u64,
}

#[derive(Debug)]
struct Tick {
    every: Duration,
    next: Duration,
}

/// The requests that read one due set.
#[derive(Debug, Clone, Copy)]
struct Job {
    due: Due,
    /// Requests left; `None` before the plan is made.
    left: Option<usize>,
    /// When the first tick of the set comes again: whose is first goes first.
    deadline: Duration,
}

impl Schedule {
    /// One list of distinct intervals per device, shortest first. The grid of each starts at 0.
    pub(crate) fn new(devices: &[Vec<Duration>]) -> Self {
        let device = |intervals: &Vec<Duration>| Device {
            ticks: intervals
                .iter()
                .map(|every| Tick {
                    every: (*every).max(Duration::from_millis(1)),
                    next: Duration::ZERO,
                })
                .collect(),
            breaker: Breaker::new(),
            met: false,
            pending: Due::default(),
            deadline: Duration::MAX,
            job: None,
            missed: 0,
        };
        Self {
            devices: devices.iter().map(device).collect(),
            silent: SilentTime::new(),
            dead_since: None,
            wrote_last: false,
        }
    }

    /// Each grid starts at this moment instead.
    pub(crate) fn begin_at(mut self, first: Duration) -> Self {
        let ticks = self.devices.iter_mut().flat_map(|device| &mut device.ticks);
        ticks.for_each(|tick| tick.next = first);
        self
    }

    /// The device is no stranger: it answered in an earlier life.
    pub(crate) fn met(&mut self, device: usize) {
        if let Some(device) = self.devices.get_mut(device) {
            device.met = true;
        }
    }

    pub(crate) fn next(&mut self, now: Duration, write_waits: bool) -> Next {
        for device in &mut self.devices {
            device.release(now);
        }
        let alone = self.all_silent();
        let read = self
            .devices
            .iter()
            .enumerate()
            .filter_map(|(at, device)| {
                let job = device.job?;
                // Silent devices take their turns by when their probe was due.
                let deadline = device.breaker.deadline().unwrap_or(job.deadline);
                let free_at = self.free_at(device, alone).unwrap_or(now);
                (free_at <= now).then_some(((deadline, !device.met, at), job))
            })
            .min_by_key(|(order, _)| *order);
        if write_waits && !(self.wrote_last && read.is_some()) {
            self.wrote_last = true;
            return Next::Write;
        }
        match read {
            Some(((.., device), Job { left: Some(_), .. })) => {
                self.wrote_last = false;
                Next::Request { device }
            }
            Some(((.., device), Job { due, left: None, .. })) => Next::Plan { device, due },
            None => Next::Wait(self.wake(now)),
        }
    }

    /// The device's due set takes this many requests.
    pub(crate) fn planned(&mut self, device: usize, requests: usize) {
        let Some(device) = self.devices.get_mut(device) else { return };
        match &mut device.job {
            Some(job) if requests > 0 => job.left = Some(requests),
            _ => device.job = None,
        }
    }

    /// This many requests more (a block was split), to be sent in the same job.
    pub(crate) fn extend(&mut self, device: usize, requests: usize) {
        let job = self.devices.get_mut(device).and_then(|device| device.job.as_mut());
        if let Some(left) = job.and_then(|job| job.left.as_mut()) {
            *left += requests;
        }
    }

    /// The device answered, be it with an exception.
    pub(crate) fn answered(&mut self, device: usize, now: Duration) -> Turn {
        let Some(state) = self.devices.get_mut(device) else { return Turn::Same };
        state.request_done();
        self.well(device, now)
    }

    fn well(&mut self, device: usize, now: Duration) -> Turn {
        let Some(state) = self.devices.get_mut(device) else { return Turn::Same };
        state.met = true;
        self.silent.refund(now, state.breaker.refund());
        let came_back = state.breaker.is_doubtful();
        let turn = state.breaker.answered(now);
        let dead_since = self.dead_since.take();
        if came_back {
            let was_dead = dead_since.is_some_and(|since| now >= since + INTERVAL_ALONE_MAX);
            for other in &mut self.devices {
                other.breaker.try_again(now, was_dead);
            }
        }
        turn
    }

    /// Without an answer. On a line where nobody answers, nobody is kept waiting by it.
    fn unwell(&mut self, device: usize, now: Duration, took: Duration) -> Turn {
        let alone = self.all_silent();
        let Some(state) = self.devices.get_mut(device) else { return Turn::Same };
        if !alone && !state.breaker.is_free() {
            self.silent.spend(now, took);
        }
        let turn = state.breaker.failed(now);
        state.breaker.took(took);
        if !state.met {
            self.put_strangers_off(now + took);
        }
        if self.dead_since.is_none() && self.all_silent() {
            self.dead_since = Some(now);
        }
        turn
    }

    /// One of them was asked in vain: the others wait for as long as that took, unless nobody else is
    /// due.
    fn put_strangers_off(&mut self, until: Duration) {
        let strangers = self.devices.iter_mut().filter(|device| !device.met);
        for job in strangers.filter_map(|device| device.job.as_mut()) {
            job.deadline = job.deadline.max(until);
        }
    }

    /// A request of the device was left out: that says nothing about it.
    pub(crate) fn not_asked(&mut self, device: usize) {
        if let Some(device) = self.devices.get_mut(device) {
            device.request_done();
        }
    }

    /// The device did not answer within `took`. If it counts as silent now, its job waits for the
    /// next probe, to be read as a whole then.
    pub(crate) fn failed(&mut self, device: usize, now: Duration, took: Duration) -> Turn {
        let turn = self.unwell(device, now, took);
        let Some(device) = self.devices.get_mut(device) else { return turn };
        if device.breaker.is_open() {
            device.give_up();
        } else {
            device.request_done();
        }
        turn
    }

    /// A command's exchange with this device. Its job goes on, unless it counts as silent now.
    pub(crate) fn wrote(
        &mut self,
        device: usize,
        now: Duration,
        took: Duration,
        answered: bool,
    ) -> Turn {
        let turn = if answered { self.well(device, now) } else { self.unwell(device, now, took) };
        let Some(device) = self.devices.get_mut(device) else { return turn };
        if device.breaker.is_open() {
            device.give_up();
        }
        turn
    }

    /// Whether a command for this device may use the line: always, unless it is silent and the
    /// silent devices have had their share.
    pub(crate) fn may_write(&self, device: usize, now: Duration) -> bool {
        self.devices
            .get(device)
            .is_some_and(|device| !device.breaker.is_open() || self.silent.free_at() <= now)
    }

    /// The link came back: what was under way is due again, and after an outage that was reported
    /// everything is, and nobody counts as silent any more.
    pub(crate) fn restart(&mut self, now: Duration, all: bool) {
        for device in &mut self.devices {
            device.give_up();
            if all {
                self.dead_since = None;
                device.breaker = Breaker::new();
                for at in 0..device.ticks.len() {
                    device.pending.add(at);
                }
                device.deadline = now;
            }
        }
    }

    pub(crate) fn missed(&self, device: usize) -> u64 {
        self.devices.get(device).map_or(0, |device| device.missed)
    }

    pub(crate) fn silent_since(&self, device: usize) -> Option<Duration> {
        self.devices.get(device)?.breaker.silent_since()
    }

    /// When a silent device is asked next.
    pub(crate) fn next_probe(&self, device: usize) -> Option<Duration> {
        self.free_at(self.devices.get(device)?, self.all_silent())
    }

    /// Whether the device's last request got no answer.
    pub(crate) fn is_doubtful(&self, device: usize) -> bool {
        self.devices.get(device).is_some_and(|device| device.breaker.is_doubtful())
    }

    /// Whether every device that is asked at all is silent: then it may be the link.
    pub(crate) fn all_silent(&self) -> bool {
        let mut asked = self.devices.iter().filter(|device| !device.ticks.is_empty()).peekable();
        asked.peek().is_some() && asked.all(|device| device.breaker.is_open())
    }

    /// When a silent device may be asked; `alone` when all are.
    fn free_at(&self, device: &Device, alone: bool) -> Option<Duration> {
        if alone {
            return device.breaker.probe_at_alone();
        }
        let probe_at = device.breaker.probe_at()?;
        if device.breaker.is_free() {
            Some(probe_at)
        } else {
            Some(probe_at.max(self.silent.free_at()))
        }
    }

    /// The next moment at which anything can become due.
    fn wake(&self, now: Duration) -> Duration {
        let alone = self.all_silent();
        let of = |device: &Device| {
            // A device without a job has nothing due before its next tick.
            let work = match device.job {
                Some(_) => Duration::ZERO,
                None => device.ticks.iter().map(|tick| tick.next).min()?,
            };
            Some(work.max(self.free_at(device, alone).unwrap_or(work)))
        };
        let idle = now + super::breaker::INTERVAL_MAX;
        self.devices.iter().filter_map(of).min().unwrap_or(idle).clamp(now, idle)
    }
}

impl Device {
    /// Notes the ticks that are due, and makes them the job if there is none.
    fn release(&mut self, now: Duration) {
        for (at, tick) in self.ticks.iter_mut().enumerate() {
            if tick.next > now {
                continue;
            }
            let behind = (now - tick.next).as_nanos() / tick.every.as_nanos();
            let behind = u32::try_from(behind).unwrap_or(u32::MAX);
            tick.next += tick.every * behind + tick.every;
            self.missed += u64::from(behind) + u64::from(self.pending.has(at));
            self.pending.add(at);
            self.deadline = self.deadline.min(tick.next);
        }
        if self.job.is_none() && self.pending != Due::default() {
            self.job = Some(Job { due: self.pending, left: None, deadline: self.deadline });
            self.pending = Due::default();
            self.deadline = Duration::MAX;
        }
    }

    /// Puts the job back among what is due.
    fn give_up(&mut self) {
        if let Some(job) = self.job.take() {
            self.pending.0 |= job.due.0;
            self.deadline = self.deadline.min(job.deadline);
        }
    }

    fn request_done(&mut self) {
        if let Some(job) = &mut self.job {
            match job.left {
                Some(left) if left > 1 => job.left = Some(left - 1),
                _ => self.job = None,
            }
        }
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
