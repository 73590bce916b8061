//! The life of a bus: connect, ask the schedule what is next, do it, report it, for ever.
//!
//! A device that does not answer is the schedule's matter; only a broken stream or port ends a
//! connection. Commands are read and refused while the link is down, and stopping is heard at every
//! wait. State changes are logged once, polls never.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::bus::BusContext;
use super::connect::Connector;
use super::device::{Device, Request};
use super::guard::GuardCounters;
use super::line::{Failure, Line};
use super::schedule::{Next, Schedule};
use super::share::Guests;
use super::status::{BusStatus, LinkState, Meter};
use super::trace::{Purpose, Tap};
use super::visits::{Visit, Visits};
use super::writing::Writing;
use crate::config::BusPlan;
use crate::config::blocks::{Report, block_time_max};
use crate::config::wire::LineTime;
use crate::model::{Backoff, Clock, Command, Fault, Mono, Name, Pulse, Refusal, Sink};

pub(super) const RECONNECT_FIRST: Duration = Duration::from_millis(500);
pub(super) const RECONNECT_CAP: Duration = Duration::from_secs(5);
/// With all devices silent, a connection older than this is made anew before the next probe.
const DOUBTFUL_AFTER: Duration = Duration::from_secs(50);

/// A bus that is never idle hangs up after this time if another one waits for the connection.
const TURN: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Engine {
    pub(super) name: Name,
    pub(super) devices: Vec<Device>,
    pub(super) schedule: Schedule,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) clock: Arc<dyn Clock>,
    /// Line time of frames; zero without a port, where the round trip is the device's.
    pub(super) frames: Option<LineTime>,
    /// Whether unit 0 is everybody, and an answer does not say which request it is for.
    pub(super) is_line: bool,
    pub(super) commands: mpsc::Receiver<Command>,
    /// The command that is being carried out.
    /// A command that is the next to begin.
    pub(super) arrived: Option<Command>,
    pub(super) writing: Option<Writing>,
    pub(super) status: Arc<Mutex<BusStatus>>,
    pulse: Arc<Pulse>,
    pub(super) tap: Tap,
    /// What clients of the bus's server face get without the line.
    pub(super) guests: Option<Guests>,
    /// Requests of others for the line.
    pub(super) visits: Visits,
    pub(super) started: Instant,
    backoff: Backoff,
    pub(super) meter: Meter,
    /// Counters of connections that are gone.
    pub(super) line_before: GuardCounters,
    /// An outage was reported in the readings.
    outage: bool,
    /// Answers on this connection.
    pub(super) answers: u64,
    /// Something came back for the last request, be it a gateway's word that the device is dead.
    pub(super) heard: bool,
    connected: Duration,
}

/// Why a connection is no longer worked on.
enum Ended {
    Stopped,
    Broken(io::Error),
    /// Nobody answers: the connection may be dead without a word.
    Doubtful,
    /// The last request got no answer, and a newer connection waits.
    Replaced,
    /// Another bus waits for the connection, and there is nothing to do until then.
    Yielded(Instant),
}

impl Engine {
    pub(crate) fn new(
        plan: BusPlan,
        context: BusContext,
        commands: mpsc::Receiver<Command>,
        (status, pulse): (Arc<Mutex<BusStatus>>, Arc<Pulse>),
        tap: Tap,
        (guests, visits): (Option<Guests>, Visits),
    ) -> Self {
        let time = LineTime::of(&plan.link).with_pause(plan.pause);
        let block_time_max = block_time_max(&plan.link);
        let is_line = plan.link.is_line();
        let frames = LineTime::frames(&plan.link);
        let mut devices: Vec<Device> = plan
            .devices
            .into_iter()
            .map(|device| {
                let prefix = format!("{}/{}/", plan.name, device.name);
                let facts: BTreeMap<String, String> = context
                    .facts
                    .iter()
                    .filter_map(|(key, fact)| {
                        Some((key.strip_prefix(&prefix)?.to_owned(), fact.clone()))
                    })
                    .collect();
                Device::new(device, time, block_time_max, &facts)
            })
            .collect();
        let intervals: Vec<_> = devices.iter().map(|device| device.intervals().to_vec()).collect();
        let shortest = intervals.iter().flatten().min().copied().unwrap_or_default();
        if let [only] = devices.as_mut_slice() {
            only.only = true;
        }
        let mut schedule = Schedule::new(&intervals).begin_at(context.first_read.min(shortest));
        for (at, _) in devices.iter().enumerate().filter(|(_, device)| device.has_answered()) {
            schedule.met(at);
        }
        let mut engine = Self {
            name: plan.name,
            devices,
            schedule,
            sink: context.sink,
            clock: context.clock,
            is_line,
            frames,
            commands,
            arrived: None,
            writing: None,
            status,
            pulse,
            tap,
            guests,
            visits,
            started: Instant::now(),
            backoff: Backoff::new(RECONNECT_FIRST, RECONNECT_CAP, fastrand::u64(..)),
            meter: Meter::new(),
            line_before: GuardCounters::default(),
            outage: false,
            answers: 0,
            heard: false,
            connected: Duration::ZERO,
        };
        for at in 0..engine.devices.len() {
            engine.show_learned(at);
        }
        engine
    }

    pub(crate) async fn run(mut self, mut connector: Connector, stop: CancellationToken) {
        self.started = Instant::now();
        while let Some(mut line) = self.connect(&mut connector, &stop).await {
            let ended = self.work(&mut line, &mut connector, &stop).await;
            self.show_line(&line);
            connector.left(&line);
            let line_before = self.status().line;
            self.line_before = line_before;
            match ended {
                Ended::Stopped => {
                    self.abandon_writing(&Refusal::Stopping);
                    break;
                }
                Ended::Broken(error) => {
                    if self.answers == 0 {
                        connector.distrust();
                    }
                    self.broken(&error);
                }
                Ended::Doubtful => connector.distrust(),
                Ended::Replaced => {}
                Ended::Yielded(until) => {
                    drop(line);
                    connector.hung_up();
                    self.rest(until, &stop).await;
                    continue;
                }
            }
            drop(line);
            connector.hung_up();
            self.abandon_writing(&Refusal::LinkDown);
        }
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            self.refuse(command, &Refusal::Stopping);
        }
        self.status().state = LinkState::Stopped;
    }

    /// Without a connection until there is something to do.
    async fn rest(&mut self, until: Instant, stop: &CancellationToken) {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = tokio::time::sleep_until(until) => {}
            Some(command) = self.commands.recv(), if self.arrived.is_none() => {
                self.arrived = Some(command);
            }
            visit = self.visits.next() => self.visits.put_back(visit),
        }
    }

    /// Tries until there is a line; `None` when stopped.
    async fn connect(
        &mut self,
        connector: &mut Connector,
        stop: &CancellationToken,
    ) -> Option<Line> {
        // A line that worked and broke is tried again at once: some devices close idle connections.
        let mut wait = Duration::ZERO;
        if self.answers == 0 && self.outage {
            wait = self.backoff.next_delay();
        }
        loop {
            if !self.outage {
                // Waiting for a turn is no outage: commands wait too.
                stop.run_until_cancelled(connector.turn()).await?;
            }
            let tap = self.tap.clone();
            let attempt = async {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = connector.appears() => {}
                }
                connector.turn().await;
                connector.connect(tap).await
            };
            let attempt = self.refusing(attempt, stop).await?;
            self.status().refused_peers = connector.refused_peers();
            match attempt {
                Ok(mut line) => {
                    for device in &self.devices {
                        line.pause_after(device.plan.unit, device.plan.pause);
                    }
                    self.came_up(connector.peer().as_deref());
                    self.remark(connector.remarks());
                    return Some(line);
                }
                Err(error) => {
                    connector.hung_up();
                    self.went_down(&error.to_string());
                }
            }
            wait = self.backoff.next_delay();
        }
    }

    /// Shows what a port could not be given, and logs it once.
    fn remark(&self, remarks: &[String]) {
        let mut status = self.status();
        for remark in remarks.iter().filter(|remark| !status.remarks.contains(remark)) {
            warn!(bus = %self.name, remark, "the port is not as it should be");
        }
        status.remarks = remarks.to_vec();
    }

    /// Waits for `work` while refusing commands and clients; `None` when stopped.
    async fn refusing<T>(
        &mut self,
        work: impl Future<Output = T>,
        stop: &CancellationToken,
    ) -> Option<T> {
        tokio::pin!(work);
        let mut ports_gone = false;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                result = &mut work => return Some(result),
                command = self.commands.recv(), if !ports_gone => match command {
                    Some(command) => self.refuse(command, &Refusal::LinkDown),
                    None => ports_gone = true,
                },
                visit = self.visits.next() => visit.refuse(&self.why_down()),
            }
        }
    }

    fn came_up(&mut self, peer: Option<&str>) {
        let since = self.clock.mono();
        let now = self.now();
        let after_outage = std::mem::take(&mut self.outage);
        if after_outage {
            self.devices.iter_mut().for_each(Device::came_back);
        }
        self.schedule.restart(now, after_outage);
        self.answers = 0;
        // Nothing was asked yet.
        self.heard = true;
        self.connected = now;
        let mut status = self.status();
        let first = status.connects == 0;
        status.connects += 1;
        status.state = LinkState::Up { since: since.0 };
        let moved = status.peer.as_deref() != peer && !first;
        status.peer = peer.map(str::to_owned);
        let link = status.link.clone();
        drop(status);
        if first || after_outage || moved {
            info!(bus = %self.name, %link, peer, "bus is up");
        }
    }

    /// The connection broke. Whether that is an outage is seen when the next one fails.
    fn broken(&mut self, error: &io::Error) {
        if self.answers > 0 {
            self.backoff.reset();
        } else {
            self.went_down(&format!("connection lost: {error}"));
        }
    }

    fn went_down(&mut self, reason: &str) {
        let at = self.clock.mono();
        let first = !std::mem::replace(&mut self.outage, true);
        self.visits.refuse_first(reason);
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
        for device in 0..self.devices.len() {
            self.all_bad(device, Fault::LinkDown, at);
        }
    }

    /// Works until stopped or broken.
    async fn work(
        &mut self,
        line: &mut Line,
        connector: &mut Connector,
        stop: &CancellationToken,
    ) -> Ended {
        let mut ports_gone = false;
        let pulse = Arc::clone(&self.pulse);
        while !stop.is_cancelled() {
            pulse.turn();
            if !self.heard && connector.has_newer() {
                return Ended::Replaced;
            }
            let now = self.now();
            let write_waits =
                self.writing.is_some() || self.arrived.is_some() || !self.commands.is_empty();
            let next = self.schedule.next(now, write_waits);
            if let Some(visit) = self.visits.turn(&next, now) {
                let _at_work = pulse.work();
                if let Err(error) = self.visit(line, visit, stop).await {
                    return Ended::Broken(error);
                }
                continue;
            }
            match next {
                Next::Write => {
                    let _at_work = pulse.work();
                    if let Err(error) = self.write_step(line).await {
                        return Ended::Broken(error);
                    }
                }
                Next::Plan { device, due } => {
                    let worked = self.answers > 0 || now > self.connected + DOUBTFUL_AFTER;
                    if self.frames.is_none() && worked && !self.heard && self.schedule.all_silent()
                    {
                        return Ended::Doubtful;
                    }
                    let had_its_time = now > self.connected + TURN;
                    if had_its_time && self.writing.is_none() && connector.is_wanted() {
                        return Ended::Yielded(Instant::now());
                    }
                    let at = self.clock.mono();
                    let Some(state) = self.devices.get_mut(device) else { continue };
                    let (requests, resting) = state.start_job(due, at);
                    self.schedule.planned(device, requests);
                    self.some_bad(device, &resting, at);
                }
                Next::Request { device } => {
                    let _at_work = pulse.work();
                    let result = tokio::select! {
                        biased;
                        () = stop.cancelled() => return Ended::Stopped,
                        result = self.poll(line, device) => result,
                    };
                    if let Err(error) = result {
                        return Ended::Broken(error);
                    }
                }
                Next::Wait(until) => {
                    self.show_utilisation();
                    self.status().refused_peers = connector.refused_peers();
                    let until = self.started + until;
                    let wanted = connector.wanted();
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return Ended::Stopped,
                        command = self.commands.recv(), if !ports_gone => match command {
                            Some(command) => self.arrived = Some(command),
                            None => ports_gone = true,
                        },
                        () = wanted => return Ended::Yielded(until),
                        () = connector.newer(), if !self.heard => return Ended::Replaced,
                        visit = self.visits.next() => {
                            let _at_work = pulse.work();
                            if let Err(error) = self.visit(line, visit, stop).await {
                                return Ended::Broken(error);
                            }
                        }
                        () = tokio::time::sleep_until(until) => {}
                    }
                }
            }
        }
        Ended::Stopped
    }

    /// Answers in every case; an error is a broken link.
    async fn visit(
        &mut self,
        line: &mut Line,
        visit: Visit,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        match visit {
            Visit::Pass(pass) => self.pass(line, pass).await,
            Visit::Hand(asked) => self.by_hand(line, asked, stop).await,
        }
    }

    /// Sends the device's next request and hands on what came of it.
    async fn poll(&mut self, line: &mut Line, index: usize) -> io::Result<()> {
        let company = self.company(line, index);
        if !company.is_empty() {
            self.tap.about(Some(index), Purpose::Poll);
            return self.poll_together(line, index, company).await;
        }
        let Some(device) = self.devices.get_mut(index) else { return Ok(()) };
        let Some((request, again)) = device.next_request() else {
            // The schedule and the device disagree about the job: end it.
            self.schedule.planned(index, 0);
            return Ok(());
        };
        let Request { table, block } = &request;
        let frames = self.frames.map_or(Duration::ZERO, |time| time.read(*table, block.count));
        let timeout = device.timeout(frames, self.schedule.is_doubtful(index));
        let (unit, most) = (device.plan.unit, device.most(*table));
        let silent = self.schedule.silent_since(index).is_some();
        self.tap.about(Some(index), if silent { Purpose::Probe } else { Purpose::Poll });
        let result = line.read(unit, *table, (block.start, block.count), most, timeout).await;
        let at = self.clock.mono();
        let pace = line.took().saturating_sub(frames);
        self.exchanged(index, line, line.took(), Some(pace), result.as_ref().map(|_| ()));
        match result {
            Ok(words) => {
                if let Some(again) = again {
                    self.answered_alone(index, line, &request, again);
                }
                self.read_done(index, &request, &words, at);
            }
            Err(Failure::Link(error)) => return Err(error),
            Err(failure) => self.read_failed(index, &request, &failure, at),
        }
        Ok(())
    }

    pub(super) fn read_done(&mut self, index: usize, request: &Request, words: &[u16], at: Mono) {
        let Some(device) = self.devices.get_mut(index) else { return };
        let Request { table, block } = request;
        if let Some(guests) = &self.guests {
            guests.keep(&device.plan, (*table, block.start), words);
        }
        let readings = device.readings(block, words, at);
        let healed = device.report(request, Report::Answered, at);
        self.emit(index, readings);
        if healed.learned {
            self.keep_learned(index);
        }
    }

    pub(super) fn read_failed(
        &mut self,
        index: usize,
        request: &Request,
        failure: &Failure,
        at: Mono,
    ) {
        let silent = self.schedule.silent_since(index).is_some();
        let Some(device) = self.devices.get_mut(index) else { return };
        let report = match failure {
            // It may answer an earlier request: it says nothing about this one.
            Failure::Exception { doubtful: true, .. } | Failure::BadAnswer | Failure::NotAsked => {
                None
            }
            failure if failure.is_gateways() => None,
            Failure::Exception { code, .. } => Some(Report::Exception(*code)),
            Failure::NoAnswer | Failure::Link(_) => Some(Report::Silent).filter(|_| !silent),
        };
        let fault = failure.fault();
        let Some(report) = report else {
            let bad: Vec<_> = request.block.items.iter().map(|tag| (*tag, fault)).collect();
            self.bad_or_silent(index, &bad, fault, at);
            return;
        };
        let healed = device.report(request, report, at);
        self.schedule.extend(index, healed.added);
        self.bad_or_silent(index, &healed.bad, fault, at);
        if healed.learned {
            self.keep_learned(index);
        }
    }
}
