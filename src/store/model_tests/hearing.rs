//! What consumers are told, against what they lost.

use std::collections::BTreeMap;

use super::steps::WHO;
use super::world::World;
use crate::model::{Class, Seq};
use crate::store::{NOTICES_MAX, Notice, NoticeKind, Range};

/// What one consumer was told.
#[derive(Debug, Default)]
pub struct Heard {
    /// By epoch and id, as it came first.
    notices: BTreeMap<(u64, i64), Notice>,
    acknowledged: i64,
}

impl Heard {
    /// A crash may forget an acknowledgement.
    pub fn forget_acknowledged(&mut self) {
        self.acknowledged = 0;
    }
}

impl World {
    /// Hears what there is to be told: in order, never changed, nothing that was acknowledged.
    pub fn tell(&mut self, who: usize, max: usize, acknowledged: bool) {
        let Some(consumer) = self.store().consumer(WHO[who]) else { return };
        let epoch = self.store().epoch();
        let notices = consumer.notices(max);
        assert!(notices.len() <= max.min(NOTICES_MAX));
        assert!(notices.is_sorted_by_key(|notice| notice.id));
        let heard = &mut self.heard[who];
        for notice in &notices {
            assert!(notice.id > heard.acknowledged, "told again: {notice:?}");
            let first = heard.notices.entry((epoch, notice.id)).or_insert_with(|| notice.clone());
            assert_eq!(first, notice, "changed after it was handed out");
        }
        if let Some(last) = notices.last().filter(|_| acknowledged) {
            consumer.told(last.id);
            heard.acknowledged = last.id;
        }
    }

    /// In the end everyone knows of every loss, exactly: each lost position lies in a gap, and no
    /// gap holds more than was lost.
    pub fn hear_all(&mut self) {
        for who in self.consumers() {
            let name = WHO[who];
            let consumer = self.store().consumer(name).unwrap();
            while consumer.has_notices() {
                self.tell(who, NOTICES_MAX, true);
                self.flush();
            }
            for class in Class::ALL {
                let Some(lost) = self.lost(who, class) else { continue };
                let (mut told, mut jumps) = (0, Vec::new());
                // The same row comes under another epoch when the file is a new one.
                let mut gaps: BTreeMap<i64, (Range<Seq>, u64)> = BTreeMap::new();
                for notice in self.heard[who].notices.values().filter(|n| n.class == class) {
                    if let NoticeKind::Gap { n, .. } = notice.kind
                        && gaps.insert(notice.id, (notice.range.clone(), n)).is_none()
                    {
                        told += n;
                    }
                    if notice.kind == NoticeKind::Resume {
                        jumps.push(notice.range.clone());
                    }
                }
                for seq in lost {
                    let mut ranges = gaps.values().map(|(range, _)| range).chain(&jumps);
                    let inside = ranges.any(|range| range.contains(&Seq(seq)));
                    assert!(inside, "{name} {class:?} {seq}: lost and never told");
                }
                let account = self.account(who, class);
                assert_eq!(told, account.dropped, "{name} {class:?}: {gaps:?}");
            }
        }
    }
}
