//! A random but seeded life of a store: every class, readings and messages, consumers that settle
//! out of order, checkpoints, trims, positions running out, orderly restarts.

use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fastrand::Rng;
use fieldhold::model::{Batch, Class, Clock, ManualClock, Mono, Wall};
use fieldhold::store::{Commit, Health, Store};

use crate::oracle::{self, BEST_EFFORT, Given, History, NEVER, REQUIRED, Setting, TAGS};
use crate::run;
use crate::vfs::{Disk, Manners};

/// A directory in memory if there is one: thousands of images are written.
pub fn fast_dir() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("fieldhold-crash").tempdir_in(place).unwrap()
}

pub struct Workload {
    pub dir: tempfile::TempDir,
    pub disk: Disk,
    pub clock: Arc<ManualClock>,
    pub setting: Setting,
    pub history: History,
    pub rng: Rng,
    pub nonce: u64,
    pub store: Option<Store>,
    /// Whether there are orderly restarts in this life.
    pub restarts: bool,
}

/// With plenty of room, with little memory, and with little disk.
pub fn setting(seed: u64) -> Setting {
    let roomy = Setting {
        max_bytes: 1 << 30,
        max_age: Duration::from_secs(86_400),
        ram_bytes: 1 << 20,
        reasons: &[],
    };
    match seed % 3 {
        0 => roomy,
        1 => Setting { ram_bytes: 80_000, ..roomy },
        _ => Setting {
            max_bytes: 90_000,
            max_age: Duration::from_secs(3_600),
            reasons: &["quota", "age"],
            ..roomy
        },
    }
}

impl Workload {
    pub fn new(seed: u64, manners: Manners) -> Self {
        let dir = fast_dir();
        let disk = Disk::watch(dir.path(), manners).unwrap();
        Self {
            disk,
            clock: Arc::new(ManualClock::new(Mono(50_000), Wall(1_700_000_000_000))),
            setting: setting(seed),
            history: History { epoch_must: NEVER, ..History::default() },
            rng: Rng::with_seed(seed),
            nonce: 1,
            store: None,
            restarts: true,
            dir,
        }
    }

    pub fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// Opens the store, with the tags that the readings have.
    pub fn begin(&mut self) {
        let store = oracle::open(self.dir.path(), self.setting, &self.clock);
        let ids: Vec<_> =
            (1..=TAGS).map(|id| fieldhold::model::TagId(u32::try_from(id).unwrap())).collect();
        let metas: Vec<_> = ids.iter().map(|id| oracle::tag(*id)).collect();
        assert_eq!(store.register_tags(&metas), ids);
        self.store = Some(store);
        self.note_epoch();
    }

    pub fn steps(&mut self, n: usize) {
        for _ in 0..n {
            self.step();
        }
    }

    fn step(&mut self) {
        let class = *self.rng.choice(&Class::ALL).unwrap();
        match self.rng.u8(..100) {
            0..40 => {
                let n = self.rng.u64(1..60);
                self.append(class, n);
            }
            40..55 => self.send(class),
            55..75 => self.settle_some(class),
            75..85 => self.flush(),
            85..95 => self.clock.advance(Duration::from_millis(self.rng.u64(10..300))),
            95..97 => {
                // Settled chunks are deleted then, and with nothing left the table is emptied.
                if self.rng.bool() {
                    self.settle_all(class);
                }
                self.clock.advance(Duration::from_secs(61));
                self.flush();
            }
            97 if self.rng.u8(..10) == 0 => self.use_up_positions(class),
            97 => {
                // A checkpoint is due, then.
                self.clock.advance(Duration::from_secs(601));
                self.flush();
            }
            // What memory alone knows is gone with the process.
            98 if self.restarts => {
                self.count();
                self.store.take().unwrap().close();
                self.history.all_safe(self.disk.now());
                self.begin();
            }
            _ => {
                let minutes =
                    if self.setting.reasons.contains(&"age") { self.rng.u64(1..30) } else { 0 };
                self.clock.advance(Duration::from_secs(11 + 60 * minutes));
            }
        }
        if self.store().status().ram_bytes > self.setting.ram_bytes / 4 {
            self.flush();
        }
    }

    pub fn append(&mut self, class: Class, n: u64) -> (u64, u64) {
        let (at, may, nonce) = (self.clock.mono(), self.disk.now(), self.nonce);
        let readings = (nonce..nonce + n).map(|nonce| oracle::reading(nonce, at)).collect();
        let range = self.store().append(Batch { class, readings });
        self.nonce += n;
        let given = Given {
            end: range.end.0,
            nonce,
            at,
            is_message: false,
            epoch: self.store().epoch(),
            may,
            must: NEVER,
        };
        self.give(class, range.start.0, given);
        (range.start.0, range.end.0)
    }

    fn give(&mut self, class: Class, start: u64, given: Given) {
        let head = self.history.head(class, given.epoch);
        assert!(start >= head, "a position is given out twice");
        self.history.given.insert((class, start), given);
    }

    fn send(&mut self, class: Class) {
        let (at, may, nonce) = (self.clock.mono(), self.disk.now(), self.nonce);
        let commit = self.store().append_message(class, oracle::message(nonce, at));
        self.nonce += 1;
        let start = commit.seq().0;
        let given = Given {
            end: start + 1,
            nonce,
            at,
            is_message: true,
            epoch: self.store().epoch(),
            may,
            must: NEVER,
        };
        self.give(class, start, given);
        if self.rng.bool() && self.wait(commit) {
            let now = self.disk.now();
            self.history.given.get_mut(&(class, start)).unwrap().must = now;
        }
    }

    /// Waits until the message is safe, or can't be: without a disk it is waited for until there
    /// is one.
    fn wait(&self, commit: Commit) -> bool {
        let mut commit = std::pin::pin!(commit.wait());
        loop {
            let is_lost = self.store().status().health != Health::Ok;
            match run(std::future::poll_fn(|context| Poll::Ready(commit.as_mut().poll(context)))) {
                Poll::Ready(told) => return told.is_ok(),
                Poll::Pending if is_lost => return false,
                Poll::Pending => std::thread::yield_now(),
            }
        }
    }

    fn settle_some(&mut self, class: Class) {
        let who = *self.rng.choice(&[REQUIRED[0], REQUIRED[1], BEST_EFFORT]).unwrap();
        let unsettled = self.store().consumer(who).unwrap().position(class).unsettled;
        let Some(range) = self.rng.choice(&unsettled) else { return };
        let (mut start, mut end) = (range.start.0, range.end.0);
        if self.rng.u8(..4) == 0 {
            start += self.rng.u64(..end - start);
        }
        if self.rng.bool() {
            end = start + self.rng.u64(..=end - start);
        }
        let now = self.disk.now();
        let store = self.store.take().unwrap();
        oracle::settle(&mut self.history, &store, who, class, start..end, now);
        self.store = Some(store);
    }

    fn settle_all(&mut self, class: Class) {
        let store = self.store.take().unwrap();
        for who in [REQUIRED[0], REQUIRED[1], BEST_EFFORT] {
            for range in store.consumer(who).unwrap().position(class).unsettled {
                let (range, now) = (range.start.0..range.end.0, self.disk.now());
                oracle::settle(&mut self.history, &store, who, class, range, now);
            }
        }
        self.store = Some(store);
    }

    fn count(&mut self) {
        let count = self.history.facts.len() as u64 + 1;
        self.history.facts.push((count, self.disk.now(), NEVER));
        self.store().set_fact("count", Some(&count.to_string()));
    }

    pub fn flush(&mut self) {
        self.count();
        let all_written = run(self.store().flush());
        self.note_epoch();
        if all_written {
            self.history.all_safe(self.disk.now());
        }
    }

    /// The epoch of the file; with a new file in between nothing is said about it.
    fn note_epoch(&mut self) {
        let status = self.store().status();
        if status.health == Health::Ok && status.quarantined.is_empty() {
            if self.history.epoch_must == NEVER {
                self.history.epoch = self.store().epoch();
                self.history.epoch_must = self.disk.now();
            }
        } else if !status.quarantined.is_empty() {
            self.history.epoch_must = NEVER;
        }
    }

    /// Many positions that are settled before they are written, so that new ones are reserved. With
    /// nothing unsettled before them they take no memory, whatever the disk does.
    fn use_up_positions(&mut self, class: Class) {
        self.flush();
        self.settle_all(class);
        for _ in 0..1_100 {
            let (start, end) = self.append(class, 250);
            let store = self.store.take().unwrap();
            for who in [REQUIRED[0], REQUIRED[1], BEST_EFFORT] {
                let now = self.disk.now();
                oracle::settle(&mut self.history, &store, who, class, start..end, now);
            }
            self.store = Some(store);
        }
    }
}
