//! Salvage by hand: a file from anywhere into the store of a gateway that is not running.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::survey::log_of;
use crate::model::Clock;
use crate::store::error::StoreError;
use crate::store::status::{Health, Quarantined};
use crate::store::{Options, Store, file, quarantine};

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Memory of the store meanwhile.
const RAM_BYTES: usize = 32 << 20;

/// Brings what is whole in `from` back into the store of `dir`, for the consumers that are owed it
/// there. A file that lies in that store's quarantine already is salvaged once; any other is copied
/// there first. `told` hears of progress.
pub fn salvage_into(
    from: &Path,
    dir: &Path,
    clock: Arc<dyn Clock>,
    mut told: impl FnMut(&Quarantined),
) -> Result<Quarantined, StoreError> {
    let database = file::database(dir);
    for needed in [from, &database] {
        if !needed.exists() && !log_of(needed).exists() {
            return Err(StoreError::Missing { file: needed.to_owned() });
        }
    }
    let unusable = |source: std::io::Error| StoreError::Directory {
        dir: dir.to_owned(),
        source: Arc::new(source),
    };
    let options = Options {
        dir: Some(dir.to_owned()),
        commit: Duration::from_secs(1),
        write_behind: false,
        endurance_bytes: 0,
        max_bytes: None,
        // Nothing is too old for who asks for it.
        max_age: Duration::from_secs(u64::from(u32::MAX)),
        ram_bytes: RAM_BYTES,
    };
    let store = Store::open(options, clock)?;
    let same = |aside: &Quarantined| is_same(Path::new(&aside.file), from);
    let listed = store.status().quarantined.into_iter().find(same);
    let number = match &listed {
        Some(aside) => aside.number,
        None => {
            let aside = quarantine::take_in(&database, from).map_err(unusable)?;
            let number = aside.number;
            store.shared.lock().disk.quarantined.push(aside);
            number
        }
    };
    store.shared.lock().consumers_known = true;
    store.shared.background.notify_all();
    loop {
        let status = store.status();
        if let Health::RamOnly(why) = status.health {
            return Err(unusable(std::io::Error::other(why)));
        }
        let aside = status.quarantined.into_iter().find(|aside| aside.number == number);
        let Some(aside) = aside else { return Err(StoreError::Missing { file: from.to_owned() }) };
        told(&aside);
        if aside.done {
            store.close();
            return Ok(aside);
        }
        std::thread::sleep(LOOK);
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| -> Option<PathBuf> { path.canonicalize().ok() };
    real(a).is_some() && real(a) == real(b)
}
