//! Whether what the accounts say is so: the identity for every consumer and class, and beyond it
//! facts that don't follow from it.
//!
//! Pure. Checked at the start, every minute and whenever everything is flushed, a bounded part of the
//! file at a time. What contradicts is told (log, counter, status) and never put right in silence.

use std::collections::BTreeMap;
use std::ops::Range;

use super::entry::Policy;
use super::lane::Item;
use super::per_class::PerClass;
use super::state::State;
use crate::model::Class;

/// Chunks of a class looked at in one go.
pub const ROWS: usize = 256;
/// Items in memory looked at in one go, so that nobody waits for the lock.
const ITEMS: usize = 4_096;
/// Most contradictions told at once.
const TOLD_MAX: usize = 16;

/// What was seen before, and how far the file was looked through.
#[derive(Debug, Default)]
pub struct Proof {
    heads: PerClass<u64>,
    shares: BTreeMap<(u32, &'static str), Seen>,
    from: PerClass<u64>,
    /// What the last whole way through the file found, and what the present one did so far.
    of_rounds: PerClass<(Vec<String>, Vec<String>)>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Appended, delivered, excluded.
    sums: [u64; 3],
    /// How much more the account has than the ledger of this process: from before it, and what
    /// earlier consumers of this name lost.
    before_ledger: u64,
}

impl Proof {
    /// Where the next look into the file of a class begins.
    pub fn from(&self, class: Class) -> u64 {
        *self.from.get(class)
    }

    /// What contradicts in memory alone, or what was seen before.
    pub fn contradictions(&mut self, state: &State) -> Vec<String> {
        let mut found = state.contradictions();
        for class in Class::ALL {
            let head = state.lanes.get(class).head;
            let seen = self.heads.get_mut(class);
            if head < *seen {
                found.push(format!("{}: the head went back by {}", class.as_str(), *seen - head));
            }
            *seen = head;
        }
        let shares = std::mem::take(&mut self.shares);
        for consumer in &state.consumers {
            for class in Class::ALL {
                let account = &consumer.shares.get(class).account;
                let dropped = account.dropped_total();
                let sums = [account.appended, account.delivered, account.excluded];
                let ledger = state.ledger.sum(consumer.name.as_str(), class);
                let key = (consumer.id, class.as_str());
                let before_ledger = match shares.get(&key) {
                    None => dropped.wrapping_sub(ledger),
                    Some(seen) => {
                        let who = format!("{} {}", consumer.name, class.as_str());
                        if sums.iter().zip(&seen.sums).any(|(now, before)| now < before) {
                            found.push(format!("{who}: a sum went back"));
                        }
                        let more = dropped.wrapping_sub(ledger).wrapping_sub(seen.before_ledger);
                        if more != 0 {
                            let more = more.cast_signed();
                            found.push(format!("{who}: {more} dropped that are not in the ledger"));
                        }
                        seen.before_ledger
                    }
                };
                self.shares.insert(key, Seen { sums, before_ledger });
            }
        }
        found
    }

    /// What a class's chunks contradict: `rows` are those from [`Proof::from`] on, at most [`ROWS`],
    /// and `end` is where the newest ends.
    pub fn of_file(
        &mut self,
        state: &State,
        class: Class,
        rows: &[Range<u64>],
        end: u64,
    ) -> Vec<String> {
        let (lane, from) = (state.lanes.get(class), self.from(class));
        let mut found = Vec::new();
        if end > lane.head {
            let beyond = end - lane.head;
            found.push(format!("{}: {beyond} in the file beyond the head", class.as_str()));
        }
        let mut to = match rows.last() {
            Some(last) if rows.len() >= ROWS => last.end,
            _ => lane.head,
        };
        let items = lane.items.range(lane.index_at(from)..);
        let mut there: Vec<Range<u64>> = items.take(ITEMS).map(Item::range).collect();
        if there.len() >= ITEMS {
            to = to.min(there.last().map_or(to, |last| last.end));
        }
        there.extend_from_slice(rows);
        there.sort_unstable_by_key(|range| range.start);
        for consumer in &state.consumers {
            // What a best-effort one waits for may be gone: it notices when it reads.
            if consumer.policy != Policy::Required || consumer.sparse {
                continue;
            }
            let waiting = consumer.shares.get(class).cursor.unsettled_in(from..to);
            let missing: u64 = waiting.map(|range| not_in(&range, &there)).sum();
            if missing > 0 {
                let (name, class) = (&consumer.name, class.as_str());
                found.push(format!(
                    "{name} {class}: {missing} waiting that are neither in memory nor in the file"
                ));
            }
        }
        let (last, present) = self.of_rounds.get_mut(class);
        present.extend(found);
        *self.from.get_mut(class) = if to >= lane.head { 0 } else { to };
        if to >= lane.head {
            *last = std::mem::take(present);
        }
        let mut all = [last.as_slice(), present.as_slice()].concat();
        all.dedup();
        all
    }
}

/// How many positions of `range` are in none of `there`, which are ordered by their starts.
fn not_in(range: &Range<u64>, there: &[Range<u64>]) -> u64 {
    let (mut at, mut missing) = (range.start, 0);
    let first = there.partition_point(|other| other.end <= range.start);
    for other in there.iter().skip(first).take_while(|other| other.start < range.end) {
        missing += other.start.saturating_sub(at);
        at = at.max(other.end);
    }
    missing + range.end.saturating_sub(at)
}

impl State {
    /// What contradicts itself in memory.
    pub fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        for class in Class::ALL {
            let (lane, name) = (self.lanes.get(class), class.as_str());
            for consumer in &self.consumers {
                let share = consumer.shares.get(class);
                let waiting = share.cursor.waiting(lane.head);
                let account = &share.account;
                if !account.balances(waiting) {
                    let fates = account.delivered + account.excluded + account.dropped_total();
                    let off = account.appended.cast_signed() - (fates + waiting).cast_signed();
                    found.push(format!("{} {name}: {off} appended without a fate", consumer.name));
                }
                if share.cursor.end() > lane.head {
                    found.push(format!("{} {name}: settled beyond the head", consumer.name));
                }
            }
            let ordered = lane.items.iter().take(ITEMS).zip(lane.items.iter().skip(1));
            let beyond = lane.items.back().is_some_and(|last| last.end() > lane.head);
            if beyond || ordered.into_iter().any(|(a, b)| a.end() > b.seq) {
                found.push(format!("{name}: what is in memory is out of order"));
            }
        }
        let items = Class::ALL.map(|class| &self.lanes.get(class).items);
        if items.iter().map(|items| items.len()).sum::<usize>() <= ITEMS {
            let bytes: usize = items.into_iter().flatten().map(|item| item.bytes).sum();
            if bytes != self.ram_bytes {
                found.push("the bytes in memory are miscounted".to_owned());
            }
        }
        found
    }

    /// Tells what was found, what is new of it in the log too.
    pub fn tell_contradictions(&mut self, mut found: Vec<String>) {
        found.truncate(TOLD_MAX);
        for what in found.iter().filter(|what| !self.violations.contains(what)) {
            tracing::error!(what, "the store's accounts contradict themselves");
            self.counters.violations += 1;
        }
        self.violations = found;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_between_overlapping_ranges_is_counted_once() {
        let there = [0..10, 5..20, 30..40, 50..60];
        for (range, missing) in [(0..20, 0), (0..30, 10), (15..55, 20), (60..61, 1), (7..8, 0)] {
            assert_eq!(not_in(&range, &there), missing, "{range:?}");
        }
        assert_eq!(not_in(&(3..9), &[]), 6);
    }
}
