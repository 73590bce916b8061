//! Slows down whoever guesses passwords, by account and by address. Pure: the time comes in.
//!
//! Some mistakes are free; from then on each doubles the time in which further attempts are turned
//! away unseen. An account that is guessed at from many places slows down each of those places, but
//! none from which nothing wrong came: who guesses can't lock out who knows. The tables are bounded;
//! in a full one the entry that failed longest ago makes room.

use std::net::IpAddr;
use std::time::Duration;

use crate::model::{Guesses, Mono, network};

/// Wrong attempts before the first pause.
const FREE_OF_ADDRESS: u32 = 5;
const FREE_OF_ACCOUNT: u32 = 10;

#[derive(Debug, Default)]
pub struct Throttle {
    addresses: Guesses<IpAddr>,
    accounts: Guesses<String>,
}

impl Throttle {
    /// How long an attempt from here at this account has to wait; `None`: it is looked at now.
    pub fn wait(&self, account: &str, address: IpAddr, now: Mono) -> Option<Duration> {
        let here = network(address);
        if self.addresses.failures(&here, now) == 0 {
            return None;
        }
        let of_address = self.addresses.wait(&here, FREE_OF_ADDRESS, now);
        of_address.max(self.accounts.wait(account, FREE_OF_ACCOUNT, now))
    }

    pub fn failed(&mut self, account: &str, address: IpAddr, now: Mono) {
        self.addresses.failed(network(address), now);
        self.accounts.failed(account.to_owned(), now);
    }

    /// What went wrong here before was a mistake, for the account as well.
    pub fn succeeded(&mut self, account: &str, address: IpAddr) {
        let failures = self.addresses.forget(&network(address));
        self.accounts.forgive(account, failures);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Clock, GUESSES_MEMORY, ManualClock, Wall};

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
        assert_eq!(throttle.accounts.failures("anna", now), 20);
        for _ in 0..4 {
            throttle.failed("ben", address(99), now);
        }
        throttle.succeeded("ben", address(99));
        assert_eq!(throttle.accounts.failures("ben", now), 0);
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let (mut throttle, clock) = (Throttle::default(), clock());
        (0..20).for_each(|_| throttle.failed("anna", address(1), clock.mono()));
        clock.advance(GUESSES_MEMORY);
        throttle.failed("anna", address(1), clock.mono());
        assert_eq!(throttle.wait("anna", address(1), clock.mono()), None);
    }

    #[test]
    fn the_tables_are_bounded_and_one_ipv6_host_has_one_place() {
        let mut throttle = Throttle::default();
        for n in 0..10_000 {
            throttle.failed(&format!("user{n}"), address(n), Mono(i64::from(n)));
        }
        assert_eq!((throttle.addresses.size(), throttle.accounts.size()), (4_096, 4_096));
        let mut throttle = Throttle::default();
        for n in 0..100_u128 {
            let host = IpAddr::V6(((0x2001_0db8 << 96) + n).into());
            throttle.failed("anna", host, Mono(0));
        }
        assert_eq!(throttle.addresses.size(), 1);
    }
}
