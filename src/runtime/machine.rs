//! What makes this machine differ from others of its fleet: the seed of all its back-offs. And what
//! makes its buses differ from one another.
//!
//! After an outage thousands of gateways come back at once; each must wait a time of its own. The
//! machine id is that of the installation; images that were cloned share it, so the client id goes in
//! as well. Where there is none, a number is drawn once and kept.

use std::path::Path;
use std::time::Duration;

use crate::model::Name;
use crate::store::Store;

/// systemd writes it at the first start (machine-id(5)): 32 hexadecimal digits.
const MACHINE_ID: &str = "/etc/machine-id";
const MACHINE_ID_DIGITS: usize = 32;
const FACT: &str = "fleet.seed";

/// The same after every restart.
pub(super) fn seed(store: &Store, client_id: &str) -> u64 {
    seed_from(Path::new(MACHINE_ID), store, client_id)
}

fn seed_from(file: &Path, store: &Store, client_id: &str) -> u64 {
    let machine = machine_id(file).unwrap_or_else(|| drawn(store));
    hash(&[machine.as_str(), client_id])
}

fn machine_id(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let id = text.trim();
    let whole = id.len() == MACHINE_ID_DIGITS && id.chars().all(|c| c.is_ascii_hexdigit());
    whole.then(|| id.to_owned())
}

fn drawn(store: &Store) -> String {
    let kept = store.facts().into_iter().find(|(key, _)| key == FACT);
    kept.map(|(_, number)| number).unwrap_or_else(|| {
        let number = format!("{:016x}", fastrand::u64(..));
        store.set_fact(FACT, Some(&number));
        number
    })
}

/// When a bus is first read after the start: in the first second, by its name. Without this all
/// buses would be read at the same moment of every second, and their readings stand in line.
pub(super) fn first_read(bus: &Name) -> Duration {
    // The upper half of the hash: names that differ in their last digit are far apart there.
    Duration::from_millis((hash(&[bus.as_str()]) >> 32) % 1_000)
}

/// FNV-1a (Fowler, Noll, Vo): any spread does, and this one never changes.
fn hash(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0]));
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::sync::Arc;

    use super::*;
    use crate::model::{Clock, ManualClock, Mono, Wall};
    use crate::store::Options;

    fn store() -> Store {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Mono(0), Wall(0)));
        Store::open(Options::in_memory(), clock).unwrap()
    }

    #[test]
    fn buses_with_like_names_are_read_at_different_moments() {
        let mut times: Vec<_> = (1..=10)
            .map(|n| first_read(&Name::new(&format!("line-{n}")).unwrap()))
            .chain([Duration::from_secs(1)])
            .collect();
        times.sort_unstable();
        let apart = |pair: &[Duration]| pair[1] - pair[0] >= Duration::from_millis(10);
        assert!(times.windows(2).all(apart), "{times:?}");
    }

    #[test]
    fn the_seed_stays_and_differs_from_every_other() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("machine-id");
        let store = store();
        let write = |text: &str| {
            File::create(&file).unwrap().write_all(text.as_bytes()).unwrap();
        };
        write("uninitialized\n");
        let drawn = seed_from(&file, &store, "g1-cloud");
        assert_eq!(drawn, seed_from(&file, &store, "g1-cloud"), "drawn once");
        assert_ne!(drawn, seed_from(&file, &self::store(), "g1-cloud"), "another gateway");
        write("0123456789abcdef0123456789abcdef\n");
        let own = seed_from(&file, &store, "g1-cloud");
        assert_ne!(own, drawn);
        assert_eq!(own, seed_from(&file, &self::store(), "g1-cloud"), "needs no store");
        assert_ne!(own, seed_from(&file, &store, "g2-cloud"), "a cloned image");
    }
}
