//! The gateway of a rehearsal: the buses and the store of a plan, on a clock that is moved.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::answer::{Account, Sample};
use super::{RehearsalError, Wanted, scratch};
use crate::config::Plan;
use crate::model::sensor::Ask;
use crate::model::{Class, Clock, ManualClock, Mono, Wall};
use crate::south::simulator::{Field, FieldAnswer, PUSH_ASSUMED, Start};
use crate::store::{ConsumerSpec, Options, Space, Store, StoreStatus, room};

/// What the wall clock says when the outage begins; any moment after 2025 is as good.
const BEGUN_WALL: Wall = Wall(1_800_000_000_000);
const BEGUN: Mono = Mono(1_000_000);

/// See the module.
pub struct Run {
    pub plan: Plan,
    pub store: Store,
    pub field: Field,
    pub runtime: Runtime,
    clock: Arc<ManualClock>,
    /// Since the beginning of the outage.
    now: Duration,
    /// When the writer has something to do next.
    writer_at: Mono,
    /// What was written before it all began.
    written_before: u64,
    /// Lives as long as the store.
    _dir: Option<TempDir>,
}

impl Run {
    /// An empty store with all uplinks away.
    pub fn new(plan: &Plan, wanted: &Wanted, readings: u64) -> Result<Self, RehearsalError> {
        let mut plan = plan.clone();
        let clock = Arc::new(ManualClock::new(BEGUN, BEGUN_WALL));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(RehearsalError::Machine)?;
        let mut options = Options::from(&plan.store);
        let mut dir = None;
        let store = match &plan.store.path {
            Some(place) => {
                let space = place_room(place)?;
                let within = wanted.dir.clone().unwrap_or_else(scratch::usual);
                let made = scratch::make(&within, readings)?;
                options.dir = Some(made.path().to_owned());
                dir = Some(made);
                Store::rehearse(options, space, clock.clone())?
            }
            None => Store::open(options, clock.clone())?,
        };
        let ids = store.register_tags(&plan.metas());
        plan.assign_ids(&ids);
        let uplinks = plan.uplinks.iter();
        let consumers: Vec<_> = uplinks
            .map(|uplink| ConsumerSpec { name: uplink.name.clone(), policy: uplink.policy })
            .collect();
        store.set_consumers(&consumers);
        runtime.block_on(store.flush());
        let writer_at = runtime.block_on(store.caught_up())?;
        let epoch_s = u64::try_from(BEGUN_WALL.0 / 1_000).unwrap_or(0);
        let field = Field::new(&plan, Start { seed: wanted.seed, epoch_s }, BEGUN);
        let written_before = store.status().wear.store_bytes_total;
        let now = Duration::ZERO;
        Ok(Self { plan, store, field, runtime, clock, now, writer_at, written_before, _dir: dir })
    }

    pub fn now(&self) -> Duration {
        self.now
    }

    /// Lets time go on until then; looks in each time the writer has done something.
    pub fn away(
        &mut self,
        until: Duration,
        progress: &dyn Fn(Duration) -> bool,
        mut look: impl FnMut(&Self) -> bool,
    ) -> Result<(), RehearsalError> {
        loop {
            let end = until.min(self.writer_due());
            if let Some(answer) = self.field.until(end) {
                self.take(answer)?;
                continue;
            }
            self.go_to(end)?;
            if !progress(self.now) {
                return Err(RehearsalError::Cancelled);
            }
            if !look(self) || end >= until {
                return Ok(());
            }
        }
    }

    /// When the writer has something to do, on the clock of the outage.
    pub fn writer_due(&self) -> Duration {
        (self.writer_at - BEGUN).max(self.now)
    }

    /// Readings come in.
    pub fn take(&mut self, answer: FieldAnswer) -> Result<(), RehearsalError> {
        self.set_clock(answer.at);
        for batch in answer.batches {
            let _: std::ops::Range<_> = self.store.append(batch);
        }
        self.settled()
    }

    /// Something was appended or settled: whether the writer has something to do now.
    pub fn settled(&mut self) -> Result<(), RehearsalError> {
        match self.store.sleeps_until() {
            Some(until) if until > self.clock.mono() => self.writer_at = until,
            _ => self.writer_at = self.runtime.block_on(self.store.caught_up())?,
        }
        Ok(())
    }

    /// Nothing happens before then.
    pub fn go_to(&mut self, at: Duration) -> Result<(), RehearsalError> {
        self.set_clock(at);
        if self.clock.mono() >= self.writer_at {
            self.writer_at = self.runtime.block_on(self.store.caught_up())?;
        }
        Ok(())
    }

    fn set_clock(&mut self, at: Duration) {
        self.now = self.now.max(at);
        self.clock.advance(BEGUN + self.now - self.clock.mono());
    }

    pub fn sample(&self) -> Sample {
        sample(&self.store.status(), self.now, self.written_before)
    }
}

/// The store as it is at a moment of the outage.
pub fn sample(status: &StoreStatus, at: Duration, written_before: u64) -> Sample {
    let uplinks = status.consumers.iter().map(|consumer| {
        let mut sum = Account::default();
        for class in &consumer.classes {
            sum.appended += class.appended;
            sum.delivered += class.delivered;
            sum.excluded += class.excluded;
            sum.dropped += class.dropped;
            sum.waiting += class.waiting;
        }
        (consumer.name.clone(), sum)
    });
    let bytes = match status.file {
        Some(_) => status.disk_bytes,
        None => u64::try_from(status.ram_bytes).unwrap_or(u64::MAX),
    };
    Sample {
        at_ms: millis(at),
        bytes,
        written_bytes: status.wear.store_bytes_total.saturating_sub(written_before),
        uplinks: uplinks.collect(),
        computed: false,
    }
}

pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn place_room(place: &std::path::Path) -> Result<Space, RehearsalError> {
    room(place).map_err(|source| RehearsalError::Directory { dir: PathBuf::from(place), source })
}

/// How often tags of a class are read.
#[derive(Debug, Clone, Copy)]
pub struct Polls {
    pub class: Class,
    every: Duration,
    /// Whether the first one is at the beginning.
    at_once: bool,
}

impl Polls {
    /// Of every tag that is read. A plan that asks a line for more than it can do is no plan, so they
    /// are reached.
    pub fn of(plan: &Plan) -> Vec<Self> {
        let polls = plan.tags().filter_map(|(bus, _, tag)| {
            let every = match bus.link.sensor().map(|link| &link.sensor.ask) {
                None => tag.every,
                Some(Ask::Push) => Some(PUSH_ASSUMED),
                Some(Ask::Poll(poll)) => Some(poll.every),
            };
            let every = every?.max(Duration::from_millis(1));
            Some(Self { class: tag.class, every, at_once: bus.link.sensor().is_none() })
        });
        polls.collect()
    }

    pub fn per_second(self) -> f64 {
        1.0 / self.every.as_secs_f64()
    }

    /// How many are answered in this time: the one that begins with its end is not.
    pub fn within(self, time: Duration) -> f64 {
        let rounds = time.as_secs_f64() / self.every.as_secs_f64();
        if self.at_once { rounds.ceil() } else { rounds.floor() }
    }
}
