//! Slows down whoever guesses passwords, by account and by address. Pure: the time comes in.
//!
//! Some mistakes are free; from then on each doubles the time in which further attempts are turned
//! away unseen. An account that is guessed at from many places slows down each of those places, but
//! none from which nothing wrong came: who guesses can't lock out who knows. The tables are bounded;
//! in a full one the entry that failed longest ago makes room.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use crate::model::Mono;

/// Wrong attempts before the first pause.
const FREE_OF_ADDRESS: u32 = 5;
const FREE_OF_ACCOUNT: u32 = 10;
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// What failed this long ago is forgotten.
const MEMORY: Duration = Duration::from_secs(600);
/// Addresses remembered, and accounts.
const ENTRIES_MAX: usize = 4_096;
/// Bits of an IPv6 address that one host has for itself.
const HOST_BITS: u32 = 64;

#[derive(Debug, Default)]
pub struct Throttle {
    addresses: Table<IpAddr>,
    accounts: Table<String>,
}

#[derive(Debug)]
struct Table<K>(HashMap<K, Record>);

#[derive(Debug, Clone, Copy)]
struct Record {
    failures: u32,
    last: Mono,
}

impl Throttle {
    /// How long an attempt from here at this account has to wait; `None`: it is looked at now.
    pub fn wait(&self, account: &str, address: IpAddr, now: Mono) -> Option<Duration> {
        let here = self.addresses.get(&network(address), now)?;
        let of_address = here.left(FREE_OF_ADDRESS, now);
        let account = self.accounts.get(account, now);
        let of_account = account.and_then(|account| account.left(FREE_OF_ACCOUNT, now));
        of_address.max(of_account)
    }

    pub fn failed(&mut self, account: &str, address: IpAddr, now: Mono) {
        self.addresses.failed(network(address), now);
        self.accounts.failed(account.to_owned(), now);
    }

    /// What went wrong here before was a mistake, for the account as well.
    pub fn succeeded(&mut self, account: &str, address: IpAddr) {
        let Some(here) = self.addresses.0.remove(&network(address)) else { return };
        if let Some(record) = self.accounts.0.get_mut(account) {
            record.failures = record.failures.saturating_sub(here.failures);
        }
    }
}

impl Record {
    /// What is left of the pause that its failures beyond the free ones cost.
    fn left(&self, free: u32, now: Mono) -> Option<Duration> {
        let over = self.failures.checked_sub(free)?;
        let pause = PAUSE_FIRST.saturating_mul(1 << over.min(16)).min(PAUSE_MAX);
        pause.checked_sub(now - self.last).filter(|left| !left.is_zero())
    }
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone> Table<K> {
    fn get<Q>(&self, key: &Q, now: Mono) -> Option<&Record>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.get(key).filter(|record| now - record.last < MEMORY)
    }

    fn failed(&mut self, key: K, now: Mono) {
        if !self.0.contains_key(&key) && self.0.len() >= ENTRIES_MAX {
            self.make_room(now);
        }
        let record = self.0.entry(key).or_insert(Record { failures: 0, last: now });
        if now - record.last >= MEMORY {
            record.failures = 0;
        }
        record.failures = record.failures.saturating_add(1);
        record.last = now;
    }

    fn make_room(&mut self, now: Mono) {
        self.0.retain(|_, record| now - record.last < MEMORY);
        if self.0.len() >= ENTRIES_MAX {
            let oldest = self.0.iter().min_by_key(|(_, record)| record.last);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.0.remove(&key);
            }
        }
    }
}

/// A host can choose the rest of its IPv6 address as it likes.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> HOST_BITS << HOST_BITS).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Clock, ManualClock, Wall};

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    fn clock() -> ManualClock {
        ManualClock::new(Mono(0), Wall(0))
    }

    #[test]
    fn some_mistakes_are_free_then_pauses_double_up_to_a_minute() {
        let (mut throttle, clock) = (Throttle::default(), clock());
        for _ in 0..FREE_OF_ADDRESS {
            assert_eq!(throttle.wait("anna", address(1), clock.mono()), None);
            throttle.failed("anna", address(1), clock.mono());
        }
        for pause in [1, 2, 4, 8, 16, 32, 60, 60].map(Duration::from_secs) {
            assert_eq!(throttle.wait("anna", address(1), clock.mono()), Some(pause));
            assert_eq!(throttle.wait("ben", address(1), clock.mono()), Some(pause), "any account");
            clock.advance(pause);
            assert_eq!(throttle.wait("anna", address(1), clock.mono()), None, "{pause:?}");
            throttle.failed("anna", address(1), clock.mono());
        }
        throttle.succeeded("anna", address(1));
        assert_eq!(throttle.wait("anna", address(1), clock.mono()), None);
    }

    #[test]
    fn guessing_from_many_places_is_slow_and_locks_nobody_out() {
        let (mut throttle, clock) = (Throttle::default(), clock());
        let mut looked_at = 0;
        // Two hundred hosts try for a minute, each as often as it may.
        for _ in 0..600 {
            for host in 0..200 {
                if throttle.wait("anna", address(host), clock.mono()).is_none() {
                    throttle.failed("anna", address(host), clock.mono());
                    looked_at += 1;
                }
            }
            assert_eq!(throttle.wait("anna", address(999), clock.mono()), None, "the owner");
            clock.advance(Duration::from_millis(100));
        }
        assert!(looked_at < 220, "{looked_at} attempts: one for each host, then nearly none");
        assert!(throttle.wait("ben", address(7), clock.mono()).is_none(), "another account");
    }

    #[test]
    fn ones_own_mistakes_are_forgiven_and_those_of_others_are_not() {
        let (mut throttle, now) = (Throttle::default(), Mono(0));
        for host in 0..20 {
            throttle.failed("anna", address(host), now);
        }
        throttle.failed("anna", address(99), now);
        throttle.succeeded("anna", address(99));
        assert_eq!(throttle.accounts.0["anna"].failures, 20);
        for _ in 0..4 {
            throttle.failed("ben", address(99), now);
        }
        throttle.succeeded("ben", address(99));
        assert_eq!(throttle.accounts.0["ben"].failures, 0);
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let (mut throttle, clock) = (Throttle::default(), clock());
        (0..20).for_each(|_| throttle.failed("anna", address(1), clock.mono()));
        clock.advance(MEMORY);
        throttle.failed("anna", address(1), clock.mono());
        assert_eq!(throttle.wait("anna", address(1), clock.mono()), None);
    }

    #[test]
    fn the_tables_are_bounded_and_one_ipv6_host_has_one_place() {
        let mut throttle = Throttle::default();
        for n in 0..10_000 {
            throttle.failed(&format!("user{n}"), address(n), Mono(i64::from(n)));
        }
        assert_eq!((throttle.addresses.0.len(), throttle.accounts.0.len()), (4_096, 4_096));
        let mut throttle = Throttle::default();
        for n in 0..100_u128 {
            let host = IpAddr::V6(((0x2001_0db8 << 96) + n).into());
            throttle.failed("anna", host, Mono(0));
        }
        assert_eq!(throttle.addresses.0.len(), 1);
    }
}
