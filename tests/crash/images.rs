//! Power cuts: at every point of a store's life, with every fate of what was not synced.

use std::sync::Arc;

use fastrand::Rng;
use fieldhold::model::{Clock, ManualClock};
use fieldhold::store::Health;

use crate::image::{self, Cut, Image, Replay};
use crate::oracle::{self, History, NEVER, Setting};
use crate::panics;
use crate::vfs::{Disk, Manners, Op};
use crate::workload::{Workload, fast_dir};

/// How many images are made; `FIELDHOLD_CRASH_IMAGES` makes it more.
const IMAGES: usize = 150;
const STEPS: usize = 150;
/// Of so many images one is cut off again while it recovers.
const AGAIN: usize = 4;
/// Images made of one life.
const PER_LIFE: usize = 50;

fn images() -> usize {
    let asked = std::env::var("FIELDHOLD_CRASH_IMAGES").ok();
    asked.map_or(IMAGES, |text| text.parse().expect("FIELDHOLD_CRASH_IMAGES is a number"))
}

/// Whether everything is to be tried.
pub fn is_long_form() -> bool {
    images() > IMAGES
}

/// What came of some images.
#[derive(Debug, Default)]
struct Outcome {
    images: usize,
    back: u64,
    wrong: Vec<String>,
}

/// One image: what the oracle knows about it, and how to make it.
pub struct Case<'a> {
    pub history: &'a History,
    pub setting: Setting,
    pub moment: usize,
    pub clock: &'a ManualClock,
    pub nonce: u64,
}

impl Case<'_> {
    /// Opens the image, compares, goes on, compares again; maybe cuts the recovery off as well.
    pub fn survive(&self, image: &Image, rng: &mut Rng, again: bool) -> Result<u64, String> {
        let dir = fast_dir();
        image::write(image, dir.path());
        let manners = Manners { log: again, ..Manners::default() };
        let disk = Disk::watch(dir.path(), manners).unwrap();
        let clock = Arc::new(ManualClock::new(self.clock.mono(), self.clock.wall()));
        let store = oracle::open(dir.path(), self.setting, &clock);
        let status = store.status();
        if status.health != Health::Ok || !status.quarantined.is_empty() {
            return Err(format!("{:?}, set aside: {:?}", status.health, status.quarantined));
        }
        let back = self.history.compare(&store, self.setting, self.moment)?;
        let mut history = self.history.after_crash(&store, self.moment, disk.now());
        let mut nonce = self.nonce;
        history.goes_on(&store, &clock, &mut nonce, || disk.now())?;
        history.compare(&store, self.setting, disk.now())?;
        let ops = disk.ops();
        if rng.bool() {
            store.close();
        } else {
            drop(store);
        }
        let store = oracle::open(dir.path(), self.setting, &clock);
        history.compare(&store, self.setting, NEVER - 1)?;
        drop(store);
        if again && !ops.is_empty() {
            let at = rng.usize(..ops.len());
            let cut = *rng.choice(&Cut::ALL).unwrap();
            let mut replay = Replay::from(image);
            ops[..at].iter().for_each(|op| replay.advance(op));
            let case = Case { history: &history, moment: at, nonce, ..*self };
            let image = replay.image(cut, rng);
            case.survive(&image, rng, false)
                .map_err(|why| format!("{why}; the recovery was cut off at {at}, {cut:?}"))?;
        }
        Ok(back)
    }
}

/// Lives so many lives and cuts the power in each at random points.
fn cut_power(seeds: std::ops::Range<u64>, images: usize, manners: Manners) -> Outcome {
    let mut outcome = Outcome::default();
    for seed in seeds {
        if outcome.images >= images {
            break;
        }
        let mut life = Workload::new(seed, Manners { log: true, ..manners });
        life.begin();
        life.steps(STEPS);
        let ops = life.disk.ops();
        life.store.take();
        let mut rng = Rng::with_seed(!seed);
        let mut points: Vec<usize> =
            (0..PER_LIFE.min(images - outcome.images)).map(|_| rng.usize(1..=ops.len())).collect();
        points.sort_unstable();
        let mut replay = Replay::default();
        let mut done = 0;
        for point in points {
            ops[done..point].iter().for_each(|op: &Op| replay.advance(op));
            done = point;
            // With everything synced there is only one image to be had.
            let cut = if replay.is_open() { *rng.choice(&Cut::ALL).unwrap() } else { Cut::Kept };
            let case = Case {
                history: &life.history,
                setting: life.setting,
                moment: point,
                clock: &life.clock,
                nonce: life.nonce,
            };
            let again = outcome.images.is_multiple_of(AGAIN);
            match case.survive(&replay.image(cut, &mut rng), &mut rng, again) {
                Ok(back) => outcome.back += back,
                Err(why) => outcome
                    .wrong
                    .push(format!("seed {seed}, point {point} of {}, {cut:?}: {why}", ops.len())),
            }
            outcome.images += 1 + usize::from(again);
        }
    }
    outcome
}

#[test]
fn nothing_that_was_safe_is_lost_by_a_power_cut() {
    panics::count();
    let first = fastrand::u64(..1 << 40);
    let outcome = cut_power(first..u64::MAX, images(), Manners::default());
    println!("{} images, {} readings and messages came back", outcome.images, outcome.back);
    assert!(
        outcome.wrong.is_empty(),
        "{} of {}:\n{}",
        outcome.wrong.len(),
        outcome.images,
        outcome.wrong.join("\n")
    );
    assert!(outcome.back > 1_000, "only {} came through: the test tests nothing", outcome.back);
    assert_eq!(panics::counted(), 0);
}

/// Were it not for the syncs, the rig would see it.
#[test]
fn a_disk_that_lies_about_syncs_is_found_out() {
    let outcome = cut_power(1..u64::MAX, 40, Manners { lies: true, ..Manners::default() });
    assert!(outcome.wrong.len() > 5, "{} of {}", outcome.wrong.len(), outcome.images);
}

/// `synchronous=NORMAL` does not sync commits, and the rig sees it.
#[test]
fn fewer_syncs_would_lose_what_was_safe() {
    let outcome = cut_power(1..u64::MAX, 60, Manners { weakens: true, ..Manners::default() });
    let lost = outcome.wrong.iter().filter(|why| why.contains("was safe and is lost")).count();
    assert!(lost > 5, "{lost} of {}: {:?}", outcome.images, outcome.wrong);
}
