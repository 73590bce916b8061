//! What the clocks say, and who has to be told when they said something else before.

use super::losses::note_shift;
use super::{SHIFTS_MAX, State};
use crate::model::{Class, Clock};
use crate::store::boot::Shift;
use crate::store::per_class::PerClass;

impl State {
    /// Looks at the clocks: a step of the wall clock begins a new boot row, and a clock that is
    /// trusted more puts earlier rows right.
    pub fn observe_clock(&mut self, clock: &dyn Clock) {
        let heads = PerClass::from_fn(|class| self.lanes.get(class).head);
        let observed = self.boots.observe(clock, &heads);
        self.boot = observed.boot;
        if observed.changed {
            let version = self.times.version + u64::from(!observed.shifts.is_empty());
            self.times = self.boots.times(version);
            for shift in observed.shifts {
                self.correct(&shift);
                self.shifts.push_back((version, shift));
            }
            while self.shifts.len() > SHIFTS_MAX {
                self.shifts.pop_front();
            }
        }
    }

    /// Tells those who were delivered something with a wrong time. What still waits is sent with
    /// the right one.
    fn correct(&mut self, shift: &Shift) {
        for class in Class::ALL {
            let range = shift.ranges.get(class);
            self.ledger.shift_times(class, range, shift.by_ms);
            for consumer in &self.consumers {
                let share = consumer.shares.get(class);
                if share.account.delivered == 0 {
                    continue;
                }
                let mut at = range.start;
                let ends = std::iter::once(range.end..range.end);
                for open in share.cursor.unsettled_in(range.clone()).chain(ends) {
                    note_shift(&mut self.ledger, &consumer.name, class, at..open.start, shift);
                    at = open.end;
                }
            }
        }
    }

    /// Forgets boots that nothing is left of, when there are too many.
    pub fn forget_boots(&mut self) {
        let stored = Class::ALL.iter().filter_map(|class| *self.disk.oldest.get(*class));
        let in_memory = Class::ALL.into_iter().filter_map(|c| self.lanes.get(c).items.front());
        let used = stored.map(|(boot, _)| boot).chain(in_memory.map(|item| item.boot));
        self.boots.shorten(used.min().unwrap_or(self.boot));
    }
}
