//! The newest of what was appended, for whoever watches: kept whether or not it was settled already.
//!
//! Pure. Bounded in bytes; what falls out is counted by the numbers: every reading and message since
//! the start of the process has the next one, whatever its class, so who comes back with the number
//! after the last one seen learns how many were missed.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::entry::{Body, BootNo, Entry};
use super::lane::Content;
use super::row::Row;
use crate::model::{Class, Seq};

/// Most memory kept, as readings count in memory.
const BYTES_MAX: usize = 512 << 10;
/// Most rows in one page.
const ROWS_PER_PAGE: u64 = 1_000;

/// A page of rows as a running gateway gives them out.
#[derive(Debug, Serialize, Deserialize)]
pub struct TailPage {
    /// Names this run of the gateway; numbers compare only within one.
    pub run: u64,
    /// How many since the number that was asked for are not in memory any more.
    pub missed: u64,
    /// The number to ask with next.
    pub next: u64,
    /// Whether there is more already.
    pub more: bool,
    pub rows: Vec<Row>,
}

#[derive(Debug)]
struct Item {
    number: u64,
    n: u64,
    class: Class,
    seq: u64,
    boot: BootNo,
    content: Content,
    bytes: usize,
}

#[derive(Debug)]
pub struct Recent {
    pub run: u64,
    items: VecDeque<Item>,
    bytes: usize,
    next: u64,
}

/// What is in memory from a number on.
#[derive(Debug, PartialEq)]
pub struct Since {
    pub missed: u64,
    pub next: u64,
    pub more: bool,
    pub entries: Vec<(Class, Entry)>,
}

impl Recent {
    pub fn new(run: u64) -> Self {
        Self { run, items: VecDeque::new(), bytes: 0, next: 0 }
    }

    /// Takes note of what was appended; the content is shared, not copied.
    pub fn push(
        &mut self,
        class: Class,
        seq: u64,
        n: u64,
        boot: BootNo,
        content: Content,
        bytes: usize,
    ) {
        let number = self.next;
        self.next += n;
        self.bytes += bytes;
        self.items.push_back(Item { number, n, class, seq, boot, content, bytes });
        while self.bytes > BYTES_MAX
            && let Some(item) = self.items.pop_front()
        {
            self.bytes -= item.bytes;
        }
    }

    pub fn since(&self, number: u64) -> Since {
        let oldest = self.items.front().map_or(self.next, |item| item.number);
        // A number of another run may be beyond ours.
        let from = number.max(oldest).min(self.next);
        let end = from.saturating_add(ROWS_PER_PAGE).min(self.next);
        let first = self.items.partition_point(|item| item.number + item.n <= from);
        let items = self.items.range(first..).take_while(|item| item.number < end);
        Since {
            missed: oldest.saturating_sub(number),
            next: end,
            more: end < self.next,
            entries: items.map(|item| (item.class, item.part(from, end))).collect(),
        }
    }
}

impl Item {
    /// A copy of what has these numbers.
    fn part(&self, from: u64, end: u64) -> Entry {
        let skipped = from.saturating_sub(self.number);
        let taken = end.min(self.number + self.n) - self.number - skipped;
        let body = match &self.content {
            Content::Message(message) => Body::Message((**message).clone()),
            Content::Readings(readings) => {
                let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
                let taken = usize::try_from(taken).unwrap_or(usize::MAX);
                Body::Readings(readings.iter().skip(skipped).take(taken).cloned().collect())
            }
        };
        Entry { seq: Seq(self.seq + skipped), boot: self.boot, body }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Mono, Reading, TagId, Value};

    fn push(recent: &mut Recent, class: Class, seq: u64, n: u64, bytes: usize) {
        let readings = (0..n).map(|i| Reading::good(TagId(1), Mono(0), Value::U64(seq + i)));
        let content = Content::Readings(Arc::new(readings.collect()));
        recent.push(class, seq, n, BootNo(1), content, bytes);
    }

    fn positions(since: &Since) -> Vec<(Class, u64, u64)> {
        let ends = since.entries.iter();
        ends.map(|(class, entry)| (*class, entry.range().start.0, entry.range().end.0)).collect()
    }

    #[test]
    fn every_row_is_given_once_across_classes_and_pages() {
        let mut recent = Recent::new(1);
        push(&mut recent, Class::Normal, 40, 700, 1);
        push(&mut recent, Class::Alarm, 7, 1, 1);
        push(&mut recent, Class::Normal, 740, 700, 1);
        let page = recent.since(0);
        assert_eq!((page.missed, page.next, page.more), (0, 1_000, true));
        let first = [(Class::Normal, 40, 740), (Class::Alarm, 7, 8), (Class::Normal, 740, 1_039)];
        assert_eq!(positions(&page), first);
        let page = recent.since(page.next);
        assert_eq!((page.missed, page.next, page.more), (0, 1_401, false));
        assert_eq!(positions(&page), [(Class::Normal, 1_039, 1_440)]);
        assert_eq!(positions(&recent.since(page.next)), []);
        assert_eq!(recent.since(u64::MAX).next, 1_401, "a number of another run");
    }

    #[test]
    fn memory_is_bounded_and_what_fell_out_is_counted() {
        let mut recent = Recent::new(1);
        for batch in 0..10 {
            push(&mut recent, Class::Normal, batch * 10, 10, BYTES_MAX / 4);
        }
        let page = recent.since(5);
        assert_eq!((page.missed, positions(&page).len()), (55, 4));
        push(&mut recent, Class::Normal, 100, 10, BYTES_MAX + 1);
        let page = recent.since(95);
        assert_eq!((page.missed, page.next, positions(&page)), (15, 110, vec![]));
    }
}
