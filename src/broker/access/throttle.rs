//! Slows down whoever guesses passwords, by address. Pure: the time comes in.
//!
//! Some mistakes are free; from then on each doubles the time in which further attempts from that
//! address are turned away unseen. Addresses that behave are forgotten. The table is bounded: when
//! it is full, the address that failed longest ago makes room.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::model::Mono;

/// Wrong passwords before the first pause.
const FREE: u32 = 5;
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// An address that failed this long ago is forgotten.
const MEMORY: Duration = Duration::from_secs(600);
/// Addresses remembered.
const ADDRESSES_MAX: usize = 4096;
/// Bits of an IPv6 address that one host has for itself.
const HOST_BITS: u32 = 64;

#[derive(Default)]
pub struct Throttle {
    addresses: HashMap<IpAddr, Record>,
}

struct Record {
    failures: u32,
    last: Mono,
}

impl Throttle {
    /// Whether an attempt from here is looked at now.
    pub fn admits(&self, address: IpAddr, now: Mono) -> bool {
        let Some(record) = self.addresses.get(&network(address)) else { return true };
        let Some(over) = record.failures.checked_sub(FREE) else { return true };
        let pause = PAUSE_FIRST.saturating_mul(1 << over.min(16)).min(PAUSE_MAX);
        now - record.last >= pause
    }

    pub fn failed(&mut self, address: IpAddr, now: Mono) {
        let address = network(address);
        if !self.addresses.contains_key(&address) && self.addresses.len() >= ADDRESSES_MAX {
            self.make_room(now);
        }
        let record = self.addresses.entry(address).or_insert(Record { failures: 0, last: now });
        if now - record.last >= MEMORY {
            record.failures = 0;
        }
        record.failures = record.failures.saturating_add(1);
        record.last = now;
    }

    fn make_room(&mut self, now: Mono) {
        self.addresses.retain(|_, record| now - record.last < MEMORY);
        if self.addresses.len() >= ADDRESSES_MAX {
            let oldest = self.addresses.iter().min_by_key(|(_, record)| record.last);
            if let Some(address) = oldest.map(|(address, _)| *address) {
                self.addresses.remove(&address);
            }
        }
    }

    pub fn succeeded(&mut self, address: IpAddr) {
        self.addresses.remove(&network(address));
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

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn some_mistakes_are_free_then_pauses_double_up_to_a_minute() {
        let mut throttle = Throttle::default();
        let mut now = Mono(0);
        for _ in 0..FREE {
            assert!(throttle.admits(address(1), now));
            throttle.failed(address(1), now);
        }
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(!throttle.admits(address(1), now + Duration::from_millis(pause * 1000 - 1)));
            assert!(throttle.admits(address(2), now), "others are not concerned");
            now = now + Duration::from_secs(pause);
            assert!(throttle.admits(address(1), now), "{pause}");
            throttle.failed(address(1), now);
        }
        throttle.succeeded(address(1));
        assert!(throttle.admits(address(1), now));
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut throttle = Throttle::default();
        (0..20).for_each(|_| throttle.failed(address(1), Mono(0)));
        let later = Mono(0) + MEMORY;
        throttle.failed(address(1), later);
        assert!(throttle.admits(address(1), later));
    }

    #[test]
    fn the_table_is_bounded_and_one_ipv6_host_has_one_place() {
        let mut throttle = Throttle::default();
        for n in 0..10_000 {
            throttle.failed(address(n), Mono(i64::from(n)));
        }
        assert_eq!(throttle.addresses.len(), ADDRESSES_MAX);
        let mut throttle = Throttle::default();
        for n in 0..100_u128 {
            throttle.failed(IpAddr::V6(((0x2001_0db8 << 96) + n).into()), Mono(0));
        }
        assert_eq!(throttle.addresses.len(), 1);
    }
}
