//! Which rows go next: live first, the backlog in what is left.
//!
//! At every (re)connect all that waits is backlog and everything appended from then on is live.
//! Within a class each lane goes from old to new, so each source keeps its order. Live that falls
//! too far behind is no longer live: it becomes the newest part of the backlog, where it is packed
//! tighter. Invariants: every unsettled position is in exactly one lane or was given out;
//! nothing is given out twice within a connection. Pure: positions in, ranges out.

use std::collections::VecDeque;
use std::ops::Range;

use serde::Serialize;

use crate::model::{Class, Seq};

/// Live rows of one class that may wait before they become backlog.
pub const LIVE_LAG_MAX: u64 = 10_000;

/// One message in this many goes to the backlog even while live ones wait; otherwise a live
/// stream that fills the line would keep the backlog waiting for ever.
const BACKLOG_TURN: u32 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    Live,
    Backlog,
}

/// Rows to read next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    pub class: Class,
    pub lane: Lane,
    pub range: Range<Seq>,
}

struct ClassLanes {
    class: Class,
    live: Range<Seq>,
    backlog: VecDeque<Range<Seq>>,
}

/// Where one class stands, for the status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LanePosition {
    pub class: &'static str,
    /// The next live row, and how many are there to be read.
    pub live_next: u64,
    pub live_rows: u64,
    /// The oldest row of the backlog that is still to be read, if any.
    pub backlog_next: Option<u64>,
    pub backlog_rows: u64,
}

/// The lanes of one connection.
pub struct Lanes {
    classes: [ClassLanes; 3],
    live_lag_max: u64,
}

fn length(range: &Range<Seq>) -> u64 {
    range.end.0.saturating_sub(range.start.0)
}

impl Lanes {
    /// `position` gives each class's next position to be assigned and its unsettled ranges, oldest
    /// first, at this moment: those are the backlog.
    pub fn start(position: impl Fn(Class) -> (Seq, Vec<Range<Seq>>), live_lag_max: u64) -> Self {
        let classes = Class::ALL.map(|class| {
            let (head, unsettled) = position(class);
            let backlog = unsettled
                .into_iter()
                .map(|range| range.start..range.end.min(head))
                .filter(|range| !range.is_empty())
                .collect();
            ClassLanes { class, live: head..head, backlog }
        });
        Self { classes, live_lag_max }
    }

    /// The store appended up to `head`; says how many rows that is.
    pub fn appended(&mut self, class: Class, head: Seq) -> u64 {
        let live_lag_max = self.live_lag_max;
        let mut rows = 0;
        if let Some(lanes) = self.classes.iter_mut().find(|lanes| lanes.class == class) {
            rows = length(&(lanes.live.end..head));
            lanes.live.end = lanes.live.end.max(head);
            if length(&lanes.live) > live_lag_max {
                // A range of its own, not merged: a read of it may be under way, and is known by
                // its start.
                lanes.backlog.push_back(lanes.live.clone());
                lanes.live.start = lanes.live.end;
            }
        }
        rows
    }

    /// What to read next from this lane: alarms before the normal class before bulk.
    pub fn next(&self, lane: Lane) -> Option<Work> {
        self.classes.iter().find_map(|lanes| {
            let range = match lane {
                Lane::Live => Some(&lanes.live).filter(|range| !range.is_empty()),
                Lane::Backlog => lanes.backlog.front(),
            }?;
            Some(Work { class: lanes.class, lane, range: range.clone() })
        })
    }

    /// Everything of this work below `upto` was read (or exists no more).
    pub fn read(&mut self, work: &Work, upto: Seq) {
        let Some(lanes) = self.classes.iter_mut().find(|lanes| lanes.class == work.class) else {
            return;
        };
        match work.lane {
            // The live range may have become backlog while it was being read.
            Lane::Live if lanes.live.start == work.range.start => {
                lanes.live.start = upto.clamp(lanes.live.start, lanes.live.end);
            }
            Lane::Live | Lane::Backlog => {
                let at = lanes.backlog.iter().position(|range| range.start == work.range.start);
                if let Some(index) = at
                    && let Some(range) = lanes.backlog.get_mut(index)
                {
                    range.start = upto.clamp(range.start, range.end);
                    if range.is_empty() {
                        lanes.backlog.remove(index);
                    }
                }
            }
        }
    }

    pub fn positions(&self) -> Vec<LanePosition> {
        self.classes
            .iter()
            .map(|lanes| LanePosition {
                class: lanes.class.as_str(),
                live_next: lanes.live.start.0,
                live_rows: length(&lanes.live),
                backlog_next: lanes.backlog.front().map(|range| range.start.0),
                backlog_rows: lanes.backlog.iter().map(length).sum(),
            })
            .collect()
    }
}

/// Whose turn it is when both lanes have something ready.
#[derive(Debug, Default)]
pub struct Turns {
    live_in_a_row: u32,
}

impl Turns {
    pub fn next(&self, live_ready: bool, backlog_ready: bool) -> Option<Lane> {
        match (live_ready, backlog_ready) {
            (false, false) => None,
            (false, true) => Some(Lane::Backlog),
            (true, true) if self.live_in_a_row + 1 >= BACKLOG_TURN => Some(Lane::Backlog),
            (true, _) => Some(Lane::Live),
        }
    }

    pub fn took(&mut self, lane: Lane) {
        self.live_in_a_row = match lane {
            Lane::Live => self.live_in_a_row.saturating_add(1),
            Lane::Backlog => 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seqs(range: Range<u64>) -> Range<Seq> {
        Seq(range.start)..Seq(range.end)
    }

    fn rows(lanes: &Lanes, lane: Lane) -> u64 {
        let of = |at: LanePosition| match lane {
            Lane::Live => at.live_rows,
            Lane::Backlog => at.backlog_rows,
        };
        lanes.positions().into_iter().map(of).sum()
    }

    fn lanes() -> Lanes {
        let unsettled = vec![seqs(10..20), seqs(30..100)];
        Lanes::start(
            move |class| match class {
                Class::Alarm => (Seq(5), vec![]),
                Class::Normal => (Seq(100), unsettled.clone()),
                Class::Bulk => (Seq(8), vec![seqs(2..8)]),
            },
            50,
        )
    }

    #[test]
    fn what_waits_at_connect_is_backlog_and_what_comes_is_live() {
        let mut lanes = lanes();
        assert_eq!(lanes.next(Lane::Live), None);
        assert_eq!(rows(&lanes, Lane::Backlog), 86);
        lanes.appended(Class::Normal, Seq(103));
        lanes.appended(Class::Alarm, Seq(6));
        let live = lanes.next(Lane::Live).unwrap();
        assert_eq!((live.class, live.range.clone()), (Class::Alarm, seqs(5..6)), "alarms first");
        lanes.read(&live, Seq(6));
        assert_eq!(lanes.next(Lane::Live).unwrap().range, seqs(100..103));
        assert_eq!(rows(&lanes, Lane::Backlog), 86, "live never touched the backlog");
    }

    #[test]
    fn the_backlog_is_given_out_once_and_from_old_to_new() {
        let mut lanes = lanes();
        let mut given = Vec::new();
        while let Some(work) = lanes.next(Lane::Backlog) {
            let upto = work.range.start.plus(7).min(work.range.end);
            given.extend((work.range.start.0..upto.0).map(|seq| (work.class, seq)));
            lanes.read(&work, upto);
        }
        let normal = (10..20).chain(30..100).map(|seq| (Class::Normal, seq));
        let bulk = (2..8).map(|seq| (Class::Bulk, seq));
        assert_eq!(given, normal.chain(bulk).collect::<Vec<_>>());
    }

    #[test]
    fn live_that_falls_behind_becomes_backlog() {
        let mut lanes = lanes();
        lanes.appended(Class::Normal, Seq(140));
        let reading = lanes.next(Lane::Live).unwrap();
        lanes.appended(Class::Normal, Seq(160));
        assert_eq!(lanes.next(Lane::Live), None);
        assert_eq!(rows(&lanes, Lane::Backlog), 146);
        // The read that was under way ends afterwards and still counts.
        lanes.read(&reading, Seq(140));
        assert_eq!(rows(&lanes, Lane::Backlog), 106);
        lanes.appended(Class::Normal, Seq(161));
        assert_eq!(lanes.next(Lane::Live).unwrap().range, seqs(160..161));
    }

    #[test]
    fn the_backlog_gets_its_turn_under_a_full_live_stream() {
        let mut turns = Turns::default();
        let mut backlog = 0;
        for _ in 0..800 {
            let lane = turns.next(true, true).unwrap();
            backlog += u32::from(lane == Lane::Backlog);
            turns.took(lane);
        }
        assert_eq!(backlog, 100);
        assert_eq!(turns.next(false, true), Some(Lane::Backlog));
        assert_eq!(turns.next(true, false), Some(Lane::Live));
        assert_eq!(turns.next(false, false), None);
    }
}
