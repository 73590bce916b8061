//! Slows down whoever guesses secrets, by any key. Pure: the time comes in.
//!
//! Some mistakes are free; from then on each doubles the pause before the next attempt is looked at.
//! What behaves is forgotten. The table is bounded: in a full one the entry that failed longest ago
//! makes room.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use super::Mono;

const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// What failed this long ago is forgotten.
pub const GUESSES_MEMORY: Duration = Duration::from_secs(600);
/// Entries of one table.
pub const GUESSES_MAX: usize = 4_096;
/// Bits of an IPv6 address that one host has for itself.
const HOST_BITS: u32 = 64;

/// What failed lately, and how often.
#[derive(Debug)]
pub struct Guesses<K>(HashMap<K, Record>);

#[derive(Debug, Clone, Copy)]
struct Record {
    failures: u32,
    last: Mono,
}

impl<K> Default for Guesses<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone> Guesses<K> {
    /// How often it failed lately.
    pub fn failures<Q: Hash + Eq + ?Sized>(&self, key: &Q, now: Mono) -> u32
    where
        K: Borrow<Q>,
    {
        self.get(key, now).map_or(0, |record| record.failures)
    }

    /// What is left of the pause that the failures beyond the free ones cost.
    pub fn wait<Q: Hash + Eq + ?Sized>(&self, key: &Q, free: u32, now: Mono) -> Option<Duration>
    where
        K: Borrow<Q>,
    {
        let record = self.get(key, now)?;
        let over = record.failures.checked_sub(free)?;
        let pause = PAUSE_FIRST.saturating_mul(1 << over.min(16)).min(PAUSE_MAX);
        pause.checked_sub(now - record.last).filter(|left| !left.is_zero())
    }

    pub fn failed(&mut self, key: K, now: Mono) {
        if !self.0.contains_key(&key) && self.0.len() >= GUESSES_MAX {
            self.make_room(now);
        }
        let record = self.0.entry(key).or_insert(Record { failures: 0, last: now });
        if now - record.last >= GUESSES_MEMORY {
            record.failures = 0;
        }
        record.failures = record.failures.saturating_add(1);
        record.last = now;
    }

    /// Forgets an entry; how often it had failed.
    pub fn forget<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> u32
    where
        K: Borrow<Q>,
    {
        self.0.remove(key).map_or(0, |record| record.failures)
    }

    /// So many of its failures were mistakes.
    pub fn forgive<Q: Hash + Eq + ?Sized>(&mut self, key: &Q, failures: u32)
    where
        K: Borrow<Q>,
    {
        if let Some(record) = self.0.get_mut(key) {
            record.failures = record.failures.saturating_sub(failures);
        }
    }

    /// Entries that are remembered.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q, now: Mono) -> Option<&Record>
    where
        K: Borrow<Q>,
    {
        self.0.get(key).filter(|record| now - record.last < GUESSES_MEMORY)
    }

    fn make_room(&mut self, now: Mono) {
        self.0.retain(|_, record| now - record.last < GUESSES_MEMORY);
        if self.0.len() >= GUESSES_MAX {
            let oldest = self.0.iter().min_by_key(|(_, record)| record.last);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.0.remove(&key);
            }
        }
    }
}

/// Where an address belongs to: a host can choose the rest of its IPv6 address as it likes.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> HOST_BITS << HOST_BITS).into()),
        v4 => v4,
    }
}
