//! Every I/O fails once, and from some I/O on all of them do: the store goes on, recovers when the
//! disk does, loses nothing that was safe, and a power cut in between finds it no worse.

use std::time::Duration;

use fastrand::Rng;
use fieldhold::store::Health;

use crate::image::{Cut, Replay};
use crate::images::{self, Case};
use crate::oracle::{Setting, UNREADABLE};
use crate::panics;
use crate::vfs::{Fault, How, Io, Manners, Op};
use crate::workload::Workload;

const STEPS: usize = 30;
/// Positions tried of each kind of failure in the short form.
const SAMPLES: u64 = 6;

/// What fails, how, and what the store may then drop, counted.
const KINDS: [(Io, How, &[&str]); 8] = [
    (Io::Write, How::Error, &[]),
    (Io::Write, How::Full, &["disk"]),
    (Io::Write, How::Short, &["disk"]),
    (Io::Sync, How::Error, &[]),
    (Io::Read, How::Error, &[]),
    (Io::Truncate, How::Error, &[]),
    (Io::Open, How::Error, &[]),
    (Io::Delete, How::Error, &[]),
];

/// A life in which an I/O fails; whether there was such an I/O at all.
fn survive(fault: Fault, reasons: &'static [&'static str]) -> Result<bool, String> {
    let mut life = Workload::new(3 * fault.at, Manners { log: true, ..Manners::default() });
    life.setting = Setting { reasons, ..life.setting };
    life.restarts = false;
    life.disk.set_fault(Some(fault));
    life.begin();
    life.steps(STEPS);
    let struck = life.disk.fault_hits() > 0;
    match life.history.compare_live(life.store(), life.setting) {
        // As long as nothing can be read a reader is told so, which is no loss; later it has to be.
        Err(why) if fault.io == Io::Read && fault.lasting && why.starts_with(UNREADABLE) => {}
        result => result?,
    }
    let broken = life.disk.now();
    life.disk.set_fault(None);
    let mut tries = 0;
    while life.store().status().health != Health::Ok {
        life.clock.advance(Duration::from_secs(6));
        life.flush();
        tries += 1;
        if tries > 1_000 {
            return Err(format!("does not recover: {:?}", life.store().status().health));
        }
    }
    life.flush();
    life.history.compare_live(life.store(), life.setting)?;
    life.steps(3);
    life.flush();
    life.history.compare_live(life.store(), life.setting)?;
    let ops = life.disk.ops();
    life.store.take();

    // The disk that is watched is SQLite's: it does not show where a file went that was set aside,
    // nor the note beside it. A salvage that is cut off has tests of its own (`store/salvage`).
    let is_of_it = |name: &str| name.starts_with("store/queue.db");
    let aside = ops.iter().position(|op| matches!(op, Op::Gone { name } if is_of_it(name)));
    let end = aside.unwrap_or(ops.len());
    let mut rng = Rng::with_seed(fault.at);
    for _ in 0..2 {
        // Most of it happens around the recovery.
        let point = if rng.bool() { rng.usize(broken.min(end) / 2..=end) } else { end };
        let cut = *rng.choice(&Cut::ALL).unwrap();
        let mut replay = Replay::default();
        ops[..point].iter().for_each(|op| replay.advance(op));
        let case = Case {
            history: &life.history,
            setting: life.setting,
            moment: point,
            clock: &life.clock,
            nonce: life.nonce,
        };
        case.survive(&replay.image(cut, &mut rng), &mut rng, false)
            .map_err(|why| format!("{why}; cut at {point} of {}, {cut:?}", ops.len()))?;
    }
    Ok(struck)
}

/// Tries positions of one kind of failure until there is no such I/O.
fn sweep(
    io: Io,
    how: How,
    lasting: bool,
    reasons: &'static [&'static str],
    wrong: &mut Vec<String>,
) -> u64 {
    let whole = images::is_long_form();
    let mut rng = Rng::new();
    let (mut at, mut tried, mut step) = (1, 0, 1);
    loop {
        let fault = Fault { io, how, at, lasting };
        match survive(fault, reasons) {
            Ok(true) => {}
            Ok(false) => return tried,
            Err(why) => wrong.push(format!("{fault:?}: {why}")),
        }
        tried += 1;
        if !whole {
            // The first ones are special, later ones are much alike.
            if tried > SAMPLES {
                return tried;
            }
            step *= 3;
        }
        at += rng.u64(1..=step);
    }
}

#[test]
fn no_failing_io_loses_what_was_safe() {
    panics::count();
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for (io, how, reasons) in KINDS {
        for lasting in [false, true] {
            tried += sweep(io, how, lasting, reasons, &mut wrong);
        }
    }
    println!("{tried} failures");
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(panics::counted(), 0);
}
