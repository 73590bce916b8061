//! The store of a rehearsal: in a directory that nobody needs, on a clock that someone moves, as if it
//! lay where the configuration says.
//!
//! All of it is the store as ever, but for two things: the room is that of the configured place, and
//! nothing waits for the disk (`synchronous=OFF`), since there is no power cut to survive. What is
//! written is counted by pages (`wear.rs`), so that count is the same.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::ballast::Ballast;
use super::file::database;
use super::space::Space;
use super::status::Health;
use super::{Options, Store, StoreError};
use crate::model::{Clock, Mono};

/// The room that an empty store has in a state directory: what its file takes now counts as free, and
/// what its ballast will take as taken.
pub fn room(dir: &Path) -> io::Result<Space> {
    let space = Space::of(dir)?;
    let database = database(dir);
    let file = database.metadata().map_or(0, |file| file.len());
    let ballast = database.parent().map_or(0, |place| Ballast::of(place).missing(space));
    Ok(Space { free: (space.free + file).saturating_sub(ballast), ..space })
}

impl Store {
    /// Opens an empty store for a rehearsal in `options.dir`, with the room of another place.
    pub fn rehearse(
        options: Options,
        space: Space,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        Self::open_as_if(options, clock, Some(space))
    }

    /// Resolves when the writer has done all that is due at this moment of the clock, with the moment
    /// at which it will have something to do again; for whoever moves the clock.
    pub async fn caught_up(&self) -> Result<Mono, StoreError> {
        let (tell, told) = oneshot::channel();
        {
            let mut state = self.shared.lock();
            if state.health == Health::Closed {
                return Err(StoreError::Closed);
            }
            state.control.idle.push(tell);
        }
        self.shared.wake();
        told.await.map_err(|_| StoreError::Closed)
    }

    /// Until when the writer sleeps; `None` when it does not, and is to be waited for.
    pub fn sleeps_until(&self) -> Option<Mono> {
        let state = self.shared.lock();
        Some(state.control.wake_at)
            .filter(|at| *at > Mono(i64::MIN) && state.control.idle.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Batch, Class, ManualClock, Name, Reading, Seq, TagId, Value, Wall};
    use crate::store::{ConsumerSpec, Policy, tests::run};

    const MIB: u64 = 1 << 20;

    fn batch(n: u32, at: Mono) -> Batch {
        let reading = |tag| Reading::good(TagId(tag), at, Value::F64(f64::from(fastrand::u32(..))));
        Batch { class: Class::Normal, readings: (1..=n).map(reading).collect() }
    }

    fn open(dir: &Path, space: Space) -> (Store, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Mono(0), Wall(1_800_000_000_000)));
        let dir = Some(dir.to_owned());
        let options = Options { dir, max_bytes: None, ram_bytes: 8 << 20, ..Options::in_memory() };
        let store = Store::rehearse(options, space, clock.clone()).unwrap();
        let cloud = ConsumerSpec { name: Name::new("cloud").unwrap(), policy: Policy::Required };
        store.set_consumers(&[cloud]);
        run(store.flush());
        (store, clock)
    }

    #[test]
    fn each_window_is_written_when_it_ends_and_no_sooner() {
        let dir = tempfile::tempdir().unwrap();
        let space = Space { total: 1_000 * MIB, free: 900 * MIB };
        let (store, clock) = open(dir.path(), space);
        for second in 0..20_u64 {
            store.append(batch(10, clock.mono()));
            let due = run(store.caught_up()).unwrap();
            assert_eq!(store.status().counters.written, second * 10);
            assert_eq!(
                (due, store.sleeps_until()),
                (clock.mono() + Duration::from_secs(1), Some(due))
            );
            clock.advance(Duration::from_secs(1));
            run(store.caught_up()).unwrap();
            assert_eq!(store.status().counters.written, (second + 1) * 10);
        }
        assert_eq!(store.status().disk_bytes_max, 250 * MIB, "a quarter of that file system");
        let other = store.clone();
        store.close();
        assert!(run(other.caught_up()).is_err());
    }

    #[test]
    fn room_that_is_not_there_is_missed_as_if_it_were_not() {
        let dir = tempfile::tempdir().unwrap();
        // A quarter of it is 1 MiB, and less than that is free beside what is left to others.
        let space = Space { total: 4 * MIB, free: MIB };
        let (store, clock) = open(dir.path(), space);
        for _ in 0..400 {
            store.append(batch(500, clock.mono()));
            clock.advance(Duration::from_secs(1));
            run(store.caught_up()).unwrap();
        }
        let status = store.status();
        let account = status.consumers[0].classes.iter().find(|a| a.class == "normal").unwrap();
        assert!(account.dropped > 0 && status.balances(), "{account:?}");
        assert!(status.disk_bytes <= MIB + 65_536, "{}", status.disk_bytes);
        let cloud = store.consumer("cloud").unwrap();
        assert_eq!(cloud.position(Class::Normal).head, Seq(200_000));
    }

    #[test]
    fn the_room_of_a_place_counts_what_is_the_stores_as_free() {
        let dir = tempfile::tempdir().unwrap();
        let before = room(dir.path()).unwrap();
        let database = database(dir.path());
        std::fs::create_dir_all(database.parent().unwrap()).unwrap();
        std::fs::File::create(&database).unwrap().set_len(1 << 40).unwrap();
        let after = room(dir.path()).unwrap();
        assert!(after.free >= before.free + (1 << 39), "{before:?} {after:?}");
    }
}
