//! A copy of a store's file, made beside the gateway that writes it, and what makes of a copy the
//! store of a gateway.
//!
//! A copy is one moment of the file. The original goes on from there and gives out positions that the
//! copy would give out again, for other readings: so a copy that is taken into use has a new epoch
//! ([`adopt`]), and everyone who receives from it is told. What waits in it is delivered again, under
//! that epoch, even if the original delivered it meanwhile: twice, never lost and never taken for
//! another reading.

use std::path::Path;
use std::sync::Arc;

use super::error::StoreError;
use super::inspect::Inspector;
use super::ledger_rows;
use super::rows::{self, LoadError};
use super::schema;
use super::{checkpoint, file};

/// Room for the file while it is changed; its quota is the matter of who uses it.
const BYTES_MAX: u64 = 1 << 42;

/// What a copy has in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Copied {
    pub bytes: u64,
    /// Readings and messages that somebody waits for; the most of any consumer.
    pub waiting: u64,
}

/// Copies a store's file, which may be in use, to a new one.
pub fn copy(from: &Path, to: &Path) -> Result<Copied, StoreError> {
    let file = Inspector::open(from)?;
    file.copy_to(to)?;
    let copied = Inspector::open(to)?;
    let bytes = std::fs::metadata(to).map_or(0, |metadata| metadata.len());
    Ok(Copied { bytes, waiting: copied.waiting()? })
}

/// Whether a gateway has the store of this state directory.
pub fn in_use(dir: &Path) -> bool {
    let lock = file::database(dir).with_file_name("lock");
    let Ok(lock) = std::fs::File::open(lock) else { return false };
    let taken = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared);
    taken == Err(rustix::io::Errno::WOULDBLOCK)
}

/// Makes a store of its own of a copy, in one transaction.
pub fn adopt(path: &Path) -> Result<(), StoreError> {
    let failed =
        |source| StoreError::Sqlite { doing: "take over the copy", source: Arc::new(source) };
    let take_over = || -> Result<(), LoadError> {
        let mut connection = schema::connect(&schema::QUEUE, path, BYTES_MAX)?;
        let all = connection.transaction()?;
        let before = rows::needed_meta(&all, rows::EPOCH)?;
        // What was noted counts under the epoch that was.
        ledger_rows::date(&all, before)?;
        let mut state = file::read_state(&all, 0)?;
        // Positions are jumped over by a gateway that starts.
        state.ledger = ledger_rows::load(&all, &state.consumers)?;
        state.note_new_epoch();
        ledger_rows::put(&all, &state.ledger.dirty())?;
        rows::put_meta(&all, rows::EPOCH, fastrand::u64(1..))?;
        all.commit()?;
        checkpoint::run(&connection, "TRUNCATE")?;
        Ok(())
    };
    take_over().map_err(|error| match error {
        LoadError::Sqlite(error) => failed(error),
        LoadError::Damaged(what) => StoreError::Damaged { what },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Batch, Class, Clock, ManualClock, Mono, Name, Reading, TagId, Value, Wall};
    use crate::store::{ConsumerSpec, NoticeKind, Options, Policy, Store, database};

    fn open(dir: &Path) -> Store {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Mono(0), Wall(1_800_000_000_000)));
        let options = Options { dir: Some(dir.to_owned()), ..Options::in_memory() };
        let store = Store::open(options, clock).unwrap();
        let name = Name::new("cloud").unwrap();
        store.set_consumers(&[ConsumerSpec { name, policy: Policy::Required }]);
        store
    }

    fn append(store: &Store, from: u64, n: u64) {
        let readings =
            (from..from + n).map(|i| Reading::good(TagId(1), Mono(0), Value::U64(i))).collect();
        store.append(Batch { class: Class::Normal, readings });
    }

    fn waiting(store: &Store) -> u64 {
        let consumers = store.status().consumers;
        consumers.iter().flat_map(|c| &c.classes).map(|class| class.waiting).sum()
    }

    #[tokio::test]
    async fn a_copy_of_a_store_in_use_goes_on_under_an_epoch_of_its_own() {
        let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let original = open(home.path());
        append(&original, 0, 500);
        assert!(in_use(home.path()) && !in_use(other.path()));
        original.flush().await;
        std::fs::create_dir(other.path().join("store")).unwrap();
        let place = database(other.path());
        let copied = copy(&database(home.path()), &place).unwrap();
        assert_eq!(copied.waiting, 500);
        assert!(copied.bytes > 0);
        // The original goes on: these positions would be given out twice.
        append(&original, 500, 10);
        original.flush().await;
        adopt(&place).unwrap();
        let restored = open(other.path());
        assert_ne!(restored.epoch(), original.epoch());
        assert_eq!((waiting(&restored), waiting(&original)), (500, 510));
        let consumer = restored.consumer("cloud").unwrap();
        let epochs = |consumer: &crate::store::Consumer| {
            let notices = consumer.notices(100);
            notices.iter().filter(|n| n.kind == NoticeKind::NewEpoch).count()
        };
        restored.flush().await;
        assert!(epochs(&consumer) >= Class::ALL.len(), "everyone is told");
        // And again, of a copy of the copy.
        drop(consumer);
        let epoch = restored.epoch();
        restored.close();
        adopt(&place).unwrap();
        let restored = open(other.path());
        assert_ne!(restored.epoch(), epoch);
        assert_eq!(waiting(&restored), 500);
        original.close();
        restored.close();
    }

    #[test]
    fn what_is_no_store_is_not_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queue.db");
        assert!(matches!(copy(&path, &dir.path().join("x")), Err(StoreError::Missing { .. })));
        crate::config::file::replace(&path, "no database at all, but long enough to look").unwrap();
        assert!(adopt(&path).is_err());
    }
}
