//! Who consumes: those who stay, those who are new, and what becomes of what the others waited for.

use super::losses::note_epoch;
use super::{Consumer, Share, State};
use crate::model::Class;
use crate::store::accounting::Reason;
use crate::store::cursor::Cursor;
use crate::store::entry::ConsumerSpec;
use crate::store::ledger::Loss;
use crate::store::per_class::PerClass;

impl State {
    /// Keeps those that stay, forgets the others, starts new ones at the head.
    pub fn set_consumers(&mut self, specs: &[ConsumerSpec]) {
        let mut kept = Vec::with_capacity(specs.len());
        let mut new = Vec::new();
        for spec in specs {
            if kept.iter().any(|c: &Consumer| c.name == spec.name) {
                continue;
            }
            let old = self.consumers.iter().position(|c| c.name == spec.name);
            if let Some(index) = old {
                let mut consumer = self.consumers.swap_remove(index);
                if consumer.policy != spec.policy {
                    consumer.policy = spec.policy;
                    consumer.sparse = true;
                    self.consumers_dirty = true;
                    // What was spared may be needed in the file now.
                    Class::ALL.iter().for_each(|class| self.lanes.get_mut(*class).rescan());
                }
                kept.push(consumer);
                continue;
            }
            self.consumer_id_last = self.consumer_id_last.saturating_add(1);
            self.consumers_dirty = true;
            new.push(kept.len());
            kept.push(Consumer {
                id: self.consumer_id_last,
                name: spec.name.clone(),
                policy: spec.policy,
                sparse: false,
                shares: PerClass::from_fn(|class| Share {
                    cursor: Cursor::at(self.lanes.get(class).head),
                    version: 1,
                    ..Share::default()
                }),
            });
        }
        self.consumers_dirty |= !self.consumers.is_empty();
        let removed = std::mem::replace(&mut self.consumers, kept);
        for consumer in &removed {
            self.note_removal(consumer);
            self.salvages.forget_consumer(&consumer.name);
        }
        for i in new {
            self.greet(i);
        }
        self.consumers_known = true;
        Class::ALL.iter().for_each(|class| self.after_settling(*class));
    }

    /// From now on a new consumer is told of what it misses; first, where its count begins.
    fn greet(&mut self, index: usize) {
        if let Some(consumer) = self.consumers.get(index) {
            self.ledger.follow(consumer.name.as_str());
            note_epoch(&mut self.ledger, consumer);
        }
    }

    /// Everyone is told that positions count under another epoch from now on.
    pub fn note_new_epoch(&mut self) {
        self.consumers.iter().for_each(|consumer| note_epoch(&mut self.ledger, consumer));
    }

    /// What a removed consumer was still waiting for is lost to it; the ledger remembers.
    fn note_removal(&mut self, consumer: &Consumer) {
        for class in Class::ALL {
            let (cursor, head) = (&consumer.shares.get(class).cursor, self.lanes.get(class).head);
            let waiting = cursor.waiting(head);
            if waiting > 0 {
                let (name, range) = (consumer.name.as_str(), cursor.base()..head);
                tracing::warn!(consumer = name, waiting, "removed with readings undelivered");
                let loss = Loss::of(Reason::ConsumerRemoved, name, class, range);
                self.ledger.record(&Loss { n: waiting, ..loss });
            }
        }
        self.ledger.unfollow(consumer.name.as_str());
    }
}
