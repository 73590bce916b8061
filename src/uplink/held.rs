//! Topics whose messages the broker does not take now (MQTT 5: not authorized, a quota is used up):
//! they wait, and all others go on.
//!
//! What is held back stays in the store, unsettled; only the refused message itself is kept here, and
//! tried again after a pause of its own, which grows. When it is taken, what has come on the topic
//! meanwhile is read from the store once more. Lasts for one connection: the next one tries
//! everything.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::pack::Item;
use super::status::RefusedTopic;
use crate::model::TopicName;

/// More topics than this are no matter of topics.
const TOPICS_MAX: usize = 1_024;
/// Those that the status names.
pub const NAMED_MAX: usize = 8;
/// The pause grows up to so many times the first one.
const PAUSE_GROWTH: u32 = 16;

struct Hold {
    /// The message that was refused first.
    item: Item,
    /// It is out, to see whether the broker takes it now.
    trying: bool,
    /// Others of this topic were passed over.
    others: bool,
    pause: Duration,
    until: Instant,
    reason: String,
}

pub struct Held {
    topics: BTreeMap<TopicName, Hold>,
    bytes: usize,
    bytes_max: usize,
    pause: Duration,
}

impl Held {
    pub fn new(bytes_max: usize, pause: Duration) -> Self {
        Self { topics: BTreeMap::new(), bytes: 0, bytes_max, pause }
    }

    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// The broker does not take this now. Says whether that is news of the topic; an error if there
    /// is no place for more.
    pub fn refused(&mut self, item: Item, reason: &str) -> Result<bool, Full> {
        let now = Instant::now();
        if let Some(hold) = self.topics.get_mut(&item.topic) {
            if hold.trying && hold.item.rows == item.rows {
                hold.trying = false;
                hold.pause = (hold.pause * 2).min(self.pause * PAUSE_GROWTH);
                hold.until = now + hold.pause;
            } else {
                hold.others = true;
            }
            reason.clone_into(&mut hold.reason);
            return Ok(false);
        }
        if self.topics.len() >= TOPICS_MAX || self.bytes + item.bytes() > self.bytes_max {
            return Err(Full);
        }
        self.bytes += item.bytes();
        let (pause, reason) = (self.pause, reason.to_owned());
        let until = now + pause;
        let hold = Hold { item, trying: false, others: false, pause, until, reason };
        self.topics.insert(hold.item.topic.clone(), hold);
        Ok(true)
    }

    /// Whether this message has to wait; it is in the store.
    pub fn passes_over(&mut self, item: &Item) -> bool {
        let hold = self.topics.get_mut(&item.topic);
        hold.is_some_and(|hold| {
            hold.others |= hold.item.rows != item.rows;
            true
        })
    }

    /// The next message that is to be tried again.
    pub fn due(&self) -> Option<&Item> {
        let now = Instant::now();
        let due = |hold: &&Hold| !hold.trying && hold.until <= now;
        self.topics.values().find(due).map(|hold| &hold.item)
    }

    /// The message of this topic is out again.
    pub fn trying(&mut self, topic: &TopicName) {
        self.topics.get_mut(topic).into_iter().for_each(|hold| hold.trying = true);
    }

    /// The broker has taken this message, or will never take it. Says whether others of its topic
    /// wait in the store, which may go now.
    pub fn answered(&mut self, item: &Item) -> bool {
        let tried = |hold: &Hold| hold.trying && hold.item.rows == item.rows;
        self.topics.get(&item.topic).is_some_and(tried) && self.release(&item.topic)
    }

    /// Holds the topic back no longer. Says whether others of it wait in the store.
    pub fn release(&mut self, topic: &TopicName) -> bool {
        self.topics.remove(topic).is_some_and(|hold| {
            self.bytes -= hold.item.bytes();
            hold.others
        })
    }

    /// How many there are, and the first of them.
    pub fn named(&self) -> (usize, Vec<RefusedTopic>) {
        let named = |(topic, hold): (&TopicName, &Hold)| RefusedTopic {
            topic: topic.to_string(),
            reason: hold.reason.clone(),
        };
        (self.topics.len(), self.topics.iter().take(NAMED_MAX).map(named).collect())
    }
}

/// So much is refused that the connection is of no use.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Class, Seq};
    use crate::uplink::pack::Rows;

    fn item(topic: &str, seq: u64) -> Item {
        let rows = Rows {
            class: Class::Normal,
            times: 1,
            delivered: vec![Seq(seq)..Seq(seq + 1)],
            excluded: Vec::new(),
        };
        let topic = TopicName::new(topic).unwrap();
        Item { topic, payload: b"12".as_slice().into(), retain: false, content_type: None, rows }
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_waits_longer_each_time_and_tells_whether_others_wait_behind_it() {
        let first = Duration::from_secs(60);
        let mut held = Held::new(100, first);
        assert_eq!(held.refused(item("a", 1), "no"), Ok(true));
        assert!(held.passes_over(&item("a", 1)), "read again, and no other");
        assert!(!held.passes_over(&item("b", 2)));
        for growth in [1, 2, 4, 8, 16, 16] {
            tokio::time::advance(first * growth - Duration::from_millis(1)).await;
            assert_eq!(held.due(), None);
            tokio::time::advance(Duration::from_millis(1)).await;
            let due = held.due().cloned().unwrap();
            held.trying(&due.topic);
            assert_eq!(held.due(), None, "it is out");
            assert_eq!(held.refused(due, "still no"), Ok(false));
        }
        assert_eq!(held.named().1[0].reason, "still no");
        tokio::time::advance(first * 16).await;
        held.trying(&item("a", 1).topic);
        assert!(!held.answered(&item("a", 9)), "one that was out before");
        assert!(!held.answered(&item("a", 1)) && held.is_empty(), "nothing was passed over");
        assert_eq!(held.refused(item("a", 2), "no"), Ok(true));
        assert!(held.passes_over(&item("a", 3)));
        held.trying(&item("a", 2).topic);
        assert!(held.answered(&item("a", 2)));
        assert_eq!((held.bytes, held.named().0), (0, 0));
    }

    #[test]
    fn there_is_no_place_for_everything() {
        let mut held = Held::new(7, Duration::from_secs(1));
        assert_eq!(held.refused(item("a", 1), "no"), Ok(true));
        assert_eq!(held.refused(item("b", 2), "no"), Ok(true));
        assert_eq!(held.refused(item("c", 3), "no"), Err(Full));
        assert_eq!(held.refused(item("b", 4), "no"), Ok(false));
    }
}
