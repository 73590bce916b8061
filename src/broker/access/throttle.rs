//! Slows down whoever guesses passwords, by address. Pure: the time comes in.
//!
//! Some mistakes are free; from then on each doubles the time in which further attempts from that
//! address are turned away unseen. Addresses that behave are forgotten. The table is bounded.

use std::net::IpAddr;

use crate::model::{Guesses, Mono, network};

/// Wrong passwords before the first pause.
const FREE: u32 = 5;

#[derive(Default)]
pub struct Throttle {
    addresses: Guesses<IpAddr>,
}

impl Throttle {
    /// Whether an attempt from here is looked at now.
    pub fn admits(&self, address: IpAddr, now: Mono) -> bool {
        self.addresses.wait(&network(address), FREE, now).is_none()
    }

    pub fn failed(&mut self, address: IpAddr, now: Mono) {
        self.addresses.failed(network(address), now);
    }

    pub fn succeeded(&mut self, address: IpAddr) {
        self.addresses.forget(&network(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GUESSES_MAX, GUESSES_MEMORY};
    use std::time::Duration;

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
        let later = Mono(0) + GUESSES_MEMORY;
        throttle.failed(address(1), later);
        assert!(throttle.admits(address(1), later));
    }

    #[test]
    fn the_table_is_bounded_and_one_ipv6_host_has_one_place() {
        let mut throttle = Throttle::default();
        for n in 0..10_000 {
            throttle.failed(address(n), Mono(i64::from(n)));
        }
        assert_eq!(throttle.addresses.size(), GUESSES_MAX);
        let mut throttle = Throttle::default();
        for n in 0..100_u128 {
            throttle.failed(IpAddr::V6(((0x2001_0db8 << 96) + n).into()), Mono(0));
        }
        assert_eq!(throttle.addresses.size(), 1);
    }
}
