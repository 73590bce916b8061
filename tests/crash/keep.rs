//! The broker's file through power cuts and failing I/O: what was told as committed is there, and
//! what is there was the broker's memory at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use fieldhold::model::{ManualClock, Mono, Wall};
use fieldhold::store::{Change, Health, Keep, Key, Store, Table};

use crate::image::{self, Cut, Image, Replay};
use crate::panics;
use crate::vfs::{Disk, Fault, How, Io, Manners};
use crate::workload::fast_dir;
use crate::{open, run};

/// How many images are made; `FIELDHOLD_CRASH_IMAGES` makes it more.
const IMAGES: usize = 100;
/// Images made of one life.
const PER_LIFE: usize = 25;
const STEPS: usize = 250;

type Rows = BTreeMap<Key, Bytes>;

/// What the broker's memory was, when it became so, and when it was told to be safe; in things that
/// had happened to the disk by then.
struct Moment {
    rows: Rows,
    may: usize,
    must: usize,
}

struct Life {
    dir: tempfile::TempDir,
    disk: Disk,
    clock: Arc<ManualClock>,
    rng: Rng,
    running: Option<(Store, Keep)>,
    rows: Rows,
    moments: Vec<Moment>,
    message_last: u64,
    /// Whether there are orderly restarts in this life: what can't be written is lost by them.
    restarts: bool,
}

impl Life {
    fn begin(seed: u64, manners: Manners) -> Self {
        let dir = fast_dir();
        let disk = Disk::watch(dir.path(), Manners { log: true, ..manners }).unwrap();
        let clock = Arc::new(ManualClock::new(Mono(50_000), Wall(1_700_000_000_000)));
        let store = open(dir.path(), &clock);
        let keep = Keep::open(&store).unwrap();
        let start = Moment { rows: Rows::new(), may: 0, must: 0 };
        Self {
            dir,
            disk,
            clock,
            rng: Rng::with_seed(seed),
            running: Some((store, keep)),
            rows: Rows::new(),
            moments: vec![start],
            message_last: 0,
            restarts: true,
        }
    }

    fn keep(&self) -> &Keep {
        &self.running.as_ref().unwrap().1
    }

    fn change(&mut self, change: Change) {
        match &change.value {
            Some(value) => self.rows.insert(change.key.clone(), value.clone()),
            None => self.rows.remove(&change.key),
        };
        let may = self.disk.now();
        self.keep().put([change]);
        self.moments.push(Moment { rows: self.rows.clone(), may, must: usize::MAX });
    }

    /// Whether it was told that all is safe.
    fn commit(&mut self) -> bool {
        let is_safe = run(self.keep().committed().wait()).is_ok();
        if is_safe {
            self.moments.last_mut().unwrap().must = self.disk.now();
        }
        is_safe
    }

    fn step(&mut self) {
        let name = Bytes::from(format!("name {}", self.rng.u8(..20)));
        let size = if self.rng.u8(..10) == 0 { 9_000 } else { 200 };
        let value: Vec<u8> = (0..self.rng.usize(..size)).map(|_| self.rng.u8(..)).collect();
        let put = |key| Change::put(key, Bytes::from(value));
        match self.rng.u8(..100) {
            0..35 => {
                self.message_last += 1;
                self.change(put(Key::Message(self.message_last)));
            }
            35..50 => {
                let before = self.message_last.saturating_sub(self.rng.u64(..30));
                self.change(Change::remove(Key::Message(before)));
            }
            50..60 => self.change(put(Key::Progress(self.rng.clone().u64(..20)))),
            60..65 => self.change(put(Key::Session(name))),
            65..70 => self.change(put(Key::Retained(name))),
            70..73 => self.change(Change::remove(Key::Retained(name))),
            73..95 => drop(self.commit()),
            95..99 => self.clock.advance(Duration::from_secs(2)),
            _ if self.restarts => self.restart(),
            _ => {}
        }
    }

    fn restart(&mut self) {
        let (store, keep) = self.running.take().unwrap();
        keep.close();
        self.moments.last_mut().unwrap().must = self.disk.now();
        store.close();
        let store = open(self.dir.path(), &self.clock);
        let keep = Keep::open(&store).unwrap();
        self.running = Some((store, keep));
    }

    /// The image must be one of the moments between the last that was safe and the last there was.
    fn compare(&self, image: &Image, at: usize) -> Result<usize, String> {
        let dir = fast_dir();
        image::write(image, dir.path());
        let store = open(dir.path(), &self.clock);
        let keep = Keep::open(&store).unwrap();
        let rows = load(&keep);
        let status = keep.status();
        if status.health != Health::Ok
            || !status.quarantined.is_empty()
            || status.counters.rows_damaged > 0
        {
            return Err(format!("{status:?}"));
        }
        let safe = self.moments.iter().rposition(|moment| moment.must <= at).unwrap_or(0);
        let possible = self.moments[safe..].iter().take_while(|moment| moment.may <= at);
        if !possible.into_iter().any(|moment| moment.rows == rows) {
            let safe = &self.moments[safe].rows;
            let lost = safe.iter().filter(|(key, value)| rows.get(*key) != Some(value)).count();
            return Err(format!("a state that never was, or is over: {lost} of {}", safe.len()));
        }
        // And it goes on from there.
        keep.put([Change::put(Key::Message(1 << 40), Bytes::from_static(b"more"))]);
        run(keep.committed().wait()).map_err(|error| error.to_string())?;
        drop((keep, store));
        let store = open(dir.path(), &self.clock);
        let after = load(&Keep::open(&store).unwrap());
        if after.len() != rows.len() + 1 {
            return Err(format!("{} rows, and {} after a restart", rows.len(), after.len()));
        }
        Ok(rows.len())
    }
}

fn load(keep: &Keep) -> Rows {
    let mut rows = Rows::new();
    for table in [Table::Session, Table::Progress, Table::Message, Table::Retained] {
        let read = keep.load(table, &mut |key, value| {
            rows.insert(key, Bytes::copy_from_slice(value));
        });
        read.unwrap();
    }
    rows
}

/// Rows that came back, and images that were wrong.
fn cut_power(first: u64, images: usize, manners: Manners) -> (usize, Vec<String>) {
    let (mut back, mut wrong, mut done) = (0, Vec::new(), 0);
    for seed in first.. {
        if done >= images {
            break;
        }
        let mut life = Life::begin(seed, manners);
        (0..STEPS).for_each(|_| life.step());
        let ops = life.disk.ops();
        life.running.take();
        let mut rng = Rng::with_seed(!seed);
        let mut points: Vec<usize> = (0..PER_LIFE).map(|_| rng.usize(1..=ops.len())).collect();
        points.sort_unstable();
        let (mut replay, mut at) = (Replay::default(), 0);
        for point in points {
            ops[at..point].iter().for_each(|op| replay.advance(op));
            at = point;
            let cut = if replay.is_open() { *rng.choice(&Cut::ALL).unwrap() } else { Cut::Kept };
            match life.compare(&replay.image(cut, &mut rng), point) {
                Ok(rows) => back += rows,
                Err(why) => {
                    wrong.push(format!("seed {seed}, {point} of {}, {cut:?}: {why}", ops.len()));
                }
            }
            done += 1;
        }
    }
    (back, wrong)
}

fn images() -> usize {
    let asked = std::env::var("FIELDHOLD_CRASH_IMAGES").ok();
    asked.map_or(IMAGES, |text| text.parse().expect("FIELDHOLD_CRASH_IMAGES is a number"))
}

#[test]
fn nothing_that_the_broker_was_told_is_safe_is_lost_by_a_power_cut() {
    panics::count();
    let images = images();
    let (back, wrong) = cut_power(fastrand::u64(..1 << 40), images, Manners::default());
    println!("{images} images, {back} rows came back");
    assert!(wrong.is_empty(), "{} of {images}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(back > images * 5, "only {back} rows came through: the test tests nothing");
    assert_eq!(panics::counted(), 0);
}

/// Were it not for the syncs, the rig would see it.
#[test]
fn a_disk_that_lies_to_the_broker_is_found_out() {
    let (_, wrong) = cut_power(1, 50, Manners { lies: true, ..Manners::default() });
    assert!(wrong.len() > 5, "{}", wrong.len());
}

/// An I/O fails, once or from then on: what was told as safe is safe, and it goes on by itself.
#[test]
fn no_failing_io_loses_what_the_broker_was_told_is_safe() {
    panics::count();
    let kinds = [
        (Io::Write, How::Error),
        (Io::Write, How::Full),
        (Io::Write, How::Short),
        (Io::Sync, How::Error),
        (Io::Read, How::Error),
        (Io::Truncate, How::Error),
        (Io::Open, How::Error),
    ];
    let mut struck = 0;
    for (i, (io, how)) in kinds.into_iter().enumerate() {
        for (at, lasting) in [(1, false), (7, false), (40, false), (3, true), (25, true)] {
            let mut life = Life::begin(i as u64 * 100 + at, Manners::default());
            (0..20).for_each(|_| life.step());
            life.restarts = false;
            life.disk.set_fault(Some(Fault { io, how, at, lasting }));
            (0..60).for_each(|_| life.step());
            struck += u64::from(life.disk.fault_hits() > 0);
            life.disk.set_fault(None);
            let what = format!("{io:?} {how:?} {at} {lasting}");
            let mut tries = 0;
            while life.keep().status().health != Health::Ok {
                life.clock.advance(Duration::from_secs(6));
                std::thread::sleep(Duration::from_millis(10));
                tries += 1;
                assert!(tries < 1_000, "{what}: {:?}", life.keep().status());
            }
            let renewed = life.keep().take_renewed();
            if renewed {
                let all: Vec<_> =
                    life.rows.iter().map(|(k, v)| Change::put(k.clone(), v.clone())).collect();
                life.keep().put(all);
            }
            assert!(life.commit(), "{what}: {:?}", life.keep().status());
            assert!(load(life.keep()) == life.rows, "{what}: {:?}", life.keep().status());
            let ops = life.disk.ops();
            life.running.take();
            let mut rng = Rng::with_seed(at);
            let mut replay = Replay::default();
            ops.iter().for_each(|op| replay.advance(op));
            let image = replay.image(Cut::Some, &mut rng);
            let compared = life.compare(&image, ops.len());
            assert!(compared.is_ok() || renewed, "{what}: {compared:?}");
        }
    }
    println!("{struck} faults struck");
    assert!(struck > 15, "{struck}");
    assert_eq!(panics::counted(), 0);
}
