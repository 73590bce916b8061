//! Slows down whoever guesses passwords, by address and by user. Pure: the time comes in.
//!
//! Some mistakes are free; from then on each doubles the time in which further attempts from that
//! address at that user are turned away unseen. Who tries many users has fewer mistakes free at each
//! of them. A right password forgives the mistakes at its own user alone: who has one account can't
//! guess at another as often as he likes, and a neighbour with a wrong password locks nobody out.
//! What behaves is forgotten. The tables are bounded.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use crate::model::{Guesses, Mono, network};

/// Wrong passwords of one address at one user before the first pause.
const FREE: u32 = 5;
/// Of one address at all users together, of which [`FREE`] at each count.
const FREE_OF_ADDRESS: u32 = 20;

#[derive(Default)]
pub struct Throttle {
    addresses: Guesses<IpAddr>,
    /// Users by a hash of the name that was given, which may be long, and nobody's.
    users: Guesses<(IpAddr, u64)>,
    hasher: RandomState,
}

impl Throttle {
    fn key(&self, address: IpAddr, user: &str) -> (IpAddr, u64) {
        (network(address), self.hasher.hash_one(user))
    }

    /// Whether an attempt from here at this user is looked at now.
    pub fn admits(&self, address: IpAddr, user: &str, now: Mono) -> bool {
        let of_user = self.users.wait(&self.key(address, user), FREE, now);
        let of_address = self.addresses.wait(&network(address), FREE_OF_ADDRESS, now);
        of_user.max(of_address).is_none()
    }

    pub fn failed(&mut self, address: IpAddr, user: &str, now: Mono) {
        let key = self.key(address, user);
        if self.users.failures(&key, now) < FREE {
            self.addresses.failed(network(address), now);
        }
        self.users.failed(key, now);
    }

    pub fn succeeded(&mut self, address: IpAddr, user: &str) {
        let mistakes = self.users.forget(&self.key(address, user));
        self.addresses.forgive(&network(address), mistakes.min(FREE));
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
            assert!(throttle.admits(address(1), "u", now));
            throttle.failed(address(1), "u", now);
        }
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            let early = now + Duration::from_millis(pause * 1000 - 1);
            assert!(!throttle.admits(address(1), "u", early));
            assert!(throttle.admits(address(2), "u", now), "others are not concerned");
            assert!(throttle.admits(address(1), "v", now), "nor are other users");
            now = now + Duration::from_secs(pause);
            assert!(throttle.admits(address(1), "u", now), "{pause}");
            throttle.failed(address(1), "u", now);
        }
        throttle.succeeded(address(1), "u");
        assert!(throttle.admits(address(1), "u", now));
    }

    #[test]
    fn who_has_an_account_guesses_no_faster_at_another() {
        let (mut throttle, mut now) = (Throttle::default(), Mono(0));
        let mut looked_at = 0;
        for _ in 0..600 {
            if throttle.admits(address(1), "admin", now) {
                throttle.failed(address(1), "admin", now);
                looked_at += 1;
            }
            throttle.succeeded(address(1), "own");
            now = now + Duration::from_millis(100);
        }
        assert!(looked_at <= 11, "{looked_at} in a minute");
    }

    #[test]
    fn who_tries_many_users_is_slowed_down_at_all_of_them() {
        let (mut throttle, mut now) = (Throttle::default(), Mono(0));
        let mut looked_at = 0;
        for n in 0..6_000 {
            let user = (n % 100).to_string();
            if throttle.admits(address(1), &user, now) {
                throttle.failed(address(1), &user, now);
                looked_at += 1;
            }
            now = now + Duration::from_millis(10);
        }
        assert!(looked_at <= 26, "{looked_at} in a minute");
    }

    #[test]
    fn a_neighbour_with_a_wrong_password_locks_nobody_out() {
        let (mut throttle, mut now) = (Throttle::default(), Mono(0));
        for _ in 0..24 * 60 * 60 {
            if throttle.admits(address(1), "wrong", now) {
                throttle.failed(address(1), "wrong", now);
            }
            assert!(throttle.admits(address(1), "right", now));
            now = now + Duration::from_secs(1);
        }
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut throttle = Throttle::default();
        (0..20).for_each(|_| throttle.failed(address(1), "u", Mono(0)));
        let later = Mono(0) + GUESSES_MEMORY;
        throttle.failed(address(1), "u", later);
        assert!(throttle.admits(address(1), "u", later));
    }

    #[test]
    fn the_tables_are_bounded_and_one_ipv6_host_has_one_place() {
        let mut throttle = Throttle::default();
        for n in 0..10_000 {
            throttle.failed(address(n), "u", Mono(i64::from(n)));
        }
        assert_eq!((throttle.addresses.size(), throttle.users.size()), (GUESSES_MAX, GUESSES_MAX));
        let mut throttle = Throttle::default();
        for n in 0..100_u128 {
            let host = IpAddr::V6(((0x2001_0db8 << 96) + n).into());
            throttle.failed(host, "u", Mono(0));
        }
        assert_eq!((throttle.addresses.size(), throttle.users.size()), (1, 1));
    }
}
