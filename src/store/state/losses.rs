//! What the ledger is told of a consumer.

use std::ops::Range;

use super::Consumer;
use crate::model::{Class, Name, Wall};
use crate::store::accounting::Reason;
use crate::store::boot::Shift;
use crate::store::ledger::{Ledger, Loss};

/// Notes exactly what a consumer lost: the positions that it was still waiting for.
pub fn note(
    ledger: &mut Ledger,
    consumer: &Name,
    class: Class,
    open: Vec<Range<u64>>,
    reason: Reason,
    read: Option<(Wall, Wall)>,
) {
    for range in open {
        ledger.record(&Loss { read, ..Loss::of(reason, consumer.as_str(), class, range) });
    }
}

/// Notes that these were delivered with a wrong time.
pub fn note_shift(
    ledger: &mut Ledger,
    consumer: &Name,
    class: Class,
    range: Range<u64>,
    shift: &Shift,
) {
    if range.start < range.end {
        let loss = Loss::of(Reason::TimeCorrected, consumer.as_str(), class, range);
        ledger.record(&Loss { shift_ms: Some(shift.by_ms), ..loss });
    }
}

/// Nothing below the first position that a consumer waits for comes under the new epoch.
pub fn note_epoch(ledger: &mut Ledger, consumer: &Consumer) {
    for class in Class::ALL {
        let first = consumer.shares.get(class).cursor.base();
        ledger.record(&Loss::of(Reason::NewEpoch, consumer.name.as_str(), class, first..first));
    }
}
