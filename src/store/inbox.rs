//! What was appended and is not in the state yet.
//!
//! Pure. Who appends gets its positions here, under a lock of its own that nobody holds for longer
//! than that takes; whoever takes the state takes over what is here first ([`super::shared::Shared`]).
//! So nobody sees a state without what was appended before, and who appends never waits for the work
//! of others on it: short as that is, who sleeps for a lock is woken behind whoever holds the processor
//! then, milliseconds later on a kernel that does not preempt.

use std::ops::Range;

use tokio::sync::oneshot;

use super::error::StoreError;
use super::lane::Fresh;
use super::per_class::PerClass;
use super::state::State;
use crate::model::{Class, Mono};

/// What lies here at most is this, or an eighth of the memory bound, on top of that bound; who
/// appends more waits for the state.
const BYTES_MAX: usize = 1 << 20;
/// So many things at most, whatever they take: whoever takes the state next sorts them in.
pub const ARRIVALS_MAX: usize = 1_024;

/// Tells when something is safe.
pub type Tell = oneshot::Sender<Result<(), StoreError>>;

/// Something that has its place, and is to be put there.
#[derive(Debug)]
pub struct Arrival {
    pub class: Class,
    pub seq: u64,
    pub fresh: Fresh,
    pub at: Mono,
    pub tell: Option<Tell>,
}

#[derive(Default)]
pub struct Inbox {
    /// The next positions to be given out: those of the state, and what lies here.
    heads: PerClass<u64>,
    arrivals: Vec<Arrival>,
    bytes: usize,
    bytes_max: usize,
}

impl Inbox {
    pub fn new(state: &State) -> Self {
        let bytes_max = BYTES_MAX.min(state.ram_bytes_max / 8);
        let mut inbox = Self { bytes_max, ..Self::default() };
        inbox.follow(state);
        inbox
    }

    /// Gives what is appended its positions.
    pub fn push(
        &mut self,
        class: Class,
        items: Vec<Fresh>,
        at: Mono,
        mut tell: Option<Tell>,
    ) -> Range<u64> {
        let head = self.heads.get_mut(class);
        let start = *head;
        for fresh in items {
            let seq = *head;
            *head += fresh.n;
            self.bytes += fresh.bytes;
            self.arrivals.push(Arrival { class, seq, fresh, at, tell: tell.take() });
        }
        start..*head
    }

    /// Whether who appended has to see to it that this goes into the state.
    pub fn is_full(&self) -> bool {
        self.bytes > self.bytes_max || self.arrivals.len() > ARRIVALS_MAX
    }

    /// Gives all, in order, for the state, and goes on with an empty one: room is not made here,
    /// where others wait.
    pub fn take(&mut self, empty: Vec<Arrival>) -> Vec<Arrival> {
        self.bytes = 0;
        std::mem::replace(&mut self.arrivals, empty)
    }

    /// The state has given out positions itself, while this was empty.
    pub fn follow(&mut self, state: &State) {
        self.heads = PerClass::from_fn(|class| state.lanes.get(class).head);
    }
}
