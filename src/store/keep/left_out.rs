//! What is not in the file for want of memory while it waited, to be put once more when there is
//! room.
//!
//! Bounded, and complete all the same: where too much would have to be remembered, more stands for
//! it than was left out. Putting a row once more does no harm.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::Key;

/// Runs of messages that are remembered; beyond that the nearest become one.
const RUNS_MAX: usize = 256;
/// Bytes of topics that are remembered; beyond that it is all topics.
const TOPIC_BYTES_MAX: usize = 1 << 20;
/// What a topic costs in memory besides its bytes.
const TOPIC_OVERHEAD: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeftOut {
    /// Numbers of messages: from the first to the second, both included.
    runs: BTreeMap<u64, u64>,
    /// Topics of retained messages.
    topics: BTreeSet<Bytes>,
    topic_bytes: usize,
    has_all_topics: bool,
}

impl LeftOut {
    /// All messages there are.
    pub fn everything() -> Self {
        let runs = BTreeMap::from([(0, u64::MAX)]);
        Self { runs, has_all_topics: true, ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.topics.is_empty() && !self.has_all_topics
    }

    pub fn has_message(&self, number: u64) -> bool {
        self.runs.range(..=number).next_back().is_some_and(|(_, last)| *last >= number)
    }

    pub fn has_topic(&self, topic: &[u8]) -> bool {
        self.has_all_topics || self.topics.contains(topic)
    }

    /// Sessions and their progress are never left out.
    pub fn add(&mut self, key: &Key) {
        match key {
            Key::Message(number) => self.add_run(*number, *number),
            Key::Retained(topic) => self.add_topic(topic),
            Key::Session(_) | Key::Progress(_) => {}
        }
    }

    /// All that another names as well.
    pub fn merge(&mut self, other: &Self) {
        other.runs.iter().for_each(|(first, last)| self.add_run(*first, *last));
        other.topics.iter().for_each(|topic| self.add_topic(topic));
        if other.has_all_topics {
            self.add_all_topics();
        }
    }

    fn add_run(&mut self, first: u64, last: u64) {
        let (mut first, mut last) = (first, last);
        // Every run that touches it.
        while let Some((&from, &to)) = self.runs.range(..=last.saturating_add(1)).next_back()
            && to.saturating_add(1) >= first
        {
            self.runs.remove(&from);
            (first, last) = (first.min(from), last.max(to));
        }
        self.runs.insert(first, last);
        if self.runs.len() > RUNS_MAX {
            self.join_nearest();
        }
    }

    fn join_nearest(&mut self) {
        let pairs = self.runs.iter().zip(self.runs.iter().skip(1));
        let nearest = pairs.min_by_key(|((_, last), (next, _))| *next - *last);
        let Some(((&first, _), (&next, &last))) = nearest else { return };
        self.runs.remove(&next);
        self.runs.insert(first, last);
    }

    fn add_topic(&mut self, topic: &Bytes) {
        if self.has_all_topics || !self.topics.insert(topic.clone()) {
            return;
        }
        self.topic_bytes += TOPIC_OVERHEAD + topic.len();
        if self.topic_bytes > TOPIC_BYTES_MAX {
            self.add_all_topics();
        }
    }

    fn add_all_topics(&mut self) {
        (self.topics, self.topic_bytes, self.has_all_topics) = (BTreeSet::new(), 0, true);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn left_out(numbers: &[u64]) -> LeftOut {
        let mut left_out = LeftOut::default();
        numbers.iter().for_each(|number| left_out.add(&Key::Message(*number)));
        left_out
    }

    proptest! {
        /// In whatever order: what was left out is known, and nothing else while there is room.
        #[test]
        fn knows_what_was_left_out(
            numbers in prop::collection::vec(0..400_u64, 0..120),
            others in prop::collection::vec(0..400_u64, 0..120),
        ) {
            let mut all = left_out(&numbers);
            all.merge(&left_out(&others));
            for number in 0..400 {
                let is_out = numbers.contains(&number) || others.contains(&number);
                prop_assert_eq!(all.has_message(number), is_out);
            }
            let touching = all.runs.iter().zip(all.runs.keys().skip(1));
            prop_assert!(touching.into_iter().all(|((_, last), first)| last + 1 < *first));
        }
    }

    #[test]
    fn beyond_the_bounds_more_stands_for_it() {
        let numbers: Vec<u64> = (0..10_000).map(|n| n * n).collect();
        let scattered = left_out(&numbers);
        assert_eq!(scattered.runs.len(), RUNS_MAX);
        assert!(numbers.iter().all(|number| scattered.has_message(*number)));
        assert!(!scattered.has_message(9_999 * 9_999 - 1), "those far apart stay apart");
        let mut topics = LeftOut::default();
        for n in 0..100_000 {
            topics.add(&Key::Retained(format!("plant/{n}").into()));
            assert!(topics.has_topic(format!("plant/{n}").as_bytes()));
            assert!(topics.topic_bytes <= TOPIC_BYTES_MAX);
        }
        assert!(topics.has_topic(b"plant/0"));
    }

    #[test]
    fn everything_is_there_from_the_first_to_the_last() {
        let everything = LeftOut::everything();
        assert!(everything.has_message(0) && everything.has_message(u64::MAX));
        assert!(everything.has_topic(b"t") && !everything.is_empty());
        let mut left_out = left_out(&[0, 7, u64::MAX]);
        left_out.merge(&everything);
        assert_eq!(left_out, everything);
    }
}
