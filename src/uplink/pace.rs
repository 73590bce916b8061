//! How fast an uplink sends: never more than so many messages and bytes in a second, and evenly.
//!
//! What was sent is remembered in short slices of time. A message may go when the last second, itself
//! included, stays within the rate, and the last tenth of it within an eighth of that: the first is
//! what a service enforces, the second leaves no long waits for a live reading behind a burst. The
//! second is a little longer here than over there, so that messages which come together on their way
//! still keep the rate when they arrive. It goes on through reconnections. Pure: time
//! comes in.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::RatePlan;

const SLICE_MS: i64 = 10;
/// A second, and what messages may be delayed against each other on their way.
const LONG: i64 = 1_000 / SLICE_MS + 5;
const SHORT: i64 = 100 / SLICE_MS;
/// The part of a second's rate that the short time has; more than a tenth, or it would be the limit.
const SHORT_SHARE: u64 = 8;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Amount {
    messages: u64,
    bytes: u64,
}

#[derive(Debug)]
pub struct Pace {
    rate: RatePlan,
    /// What went in which slice, the newest last; at most [`LONG`] of them.
    sent: VecDeque<(i64, Amount)>,
}

fn slice(at: Duration) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX).div_euclid(SLICE_MS)
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

impl Pace {
    pub fn new(rate: RatePlan) -> Self {
        Self { rate, sent: VecDeque::new() }
    }

    /// Whether nothing bounds it.
    pub fn is_free(&self) -> bool {
        self.rate == RatePlan::default()
    }

    /// Whether a packet of this size may be sent now. One that is larger than a second's rate goes
    /// when nothing else went for a second; the configuration allows none.
    pub fn room(&self, now: Duration, bytes: usize) -> bool {
        let now = slice(now);
        let (long, short) = (self.since(now - LONG), self.since(now - SHORT));
        let messages = self.rate.messages.is_none_or(|rate| {
            let rate = u64::from(rate);
            long.messages < rate && short.messages < rate.div_ceil(SHORT_SHARE)
        });
        let fits = |sent: u64, most: u64| sent == 0 || sent.saturating_add(wide(bytes)) <= most;
        let bytes = self
            .rate
            .bytes
            .is_none_or(|rate| fits(long.bytes, rate) && fits(short.bytes, rate / SHORT_SHARE));
        messages && bytes
    }

    pub fn sent(&mut self, now: Duration, bytes: usize) {
        if self.is_free() {
            return;
        }
        let now = slice(now);
        while self.sent.front().is_some_and(|(slice, _)| *slice < now - LONG) {
            self.sent.pop_front();
        }
        let amount = match self.sent.back_mut() {
            Some((slice, amount)) if *slice >= now => amount,
            _ => {
                self.sent.push_back((now, Amount::default()));
                match self.sent.back_mut() {
                    Some((_, amount)) => amount,
                    None => return,
                }
            }
        };
        amount.messages += 1;
        amount.bytes = amount.bytes.saturating_add(wide(bytes));
    }

    /// When there may be room that is not there at `now`.
    pub fn again(now: Duration) -> Duration {
        Duration::from_millis(u64::try_from((slice(now) + 1) * SLICE_MS).unwrap_or(0))
    }

    /// The sum of this slice and all after it.
    fn since(&self, first: i64) -> Amount {
        let newest = self.sent.iter().rev().take_while(|(slice, _)| *slice >= first);
        newest.fold(Amount::default(), |sum, (_, amount)| Amount {
            messages: sum.messages + amount.messages,
            bytes: sum.bytes.saturating_add(amount.bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(at: i64) -> Duration {
        Duration::from_millis(at.unsigned_abs())
    }

    /// Sends whatever there is room for at these times; what went, and when.
    fn greedy(
        pace: &mut Pace,
        times: impl Iterator<Item = i64>,
        sizes: &[usize],
    ) -> Vec<(i64, usize)> {
        let mut sent = Vec::new();
        let mut sizes = sizes.iter().cycle().copied();
        let mut next = sizes.next().unwrap();
        for at in times {
            while pace.room(millis(at), next) {
                pace.sent(millis(at), next);
                sent.push((at, next));
                next = sizes.next().unwrap();
            }
        }
        sent
    }

    fn most_in(sent: &[(i64, usize)], millis: i64) -> (usize, usize) {
        let mut most = (0, 0);
        for (i, (start, _)) in sent.iter().enumerate() {
            let within = sent[i..].iter().take_while(|(at, _)| at - start < millis);
            let (n, bytes) = within.fold((0, 0), |(n, sum), (_, size)| (n + 1, sum + size));
            most = (most.0.max(n), most.1.max(bytes));
        }
        most
    }

    #[test]
    fn a_busy_uplink_uses_its_rate_and_stays_even() {
        let rate = RatePlan { messages: Some(100), bytes: Some(512_000) };
        let sent = greedy(&mut Pace::new(rate), 0..60_000, &[5_000]);
        assert!(sent.len() >= 60 * 94, "{} in a minute", sent.len());
        assert_eq!(most_in(&sent, 1_000), (100, 500_000));
        assert!(most_in(&sent, 100).0 <= 13, "{:?}", most_in(&sent, 100));
        let slow = RatePlan { messages: Some(10), bytes: None };
        let sent = greedy(&mut Pace::new(slow), 0..60_000, &[5_000]);
        assert!((560..=600).contains(&sent.len()), "{}", sent.len());
        assert_eq!(most_in(&sent, 1_000).0, 10);
    }

    #[test]
    fn without_a_rate_there_is_always_room_and_nothing_is_remembered() {
        let mut pace = Pace::new(RatePlan::default());
        for _ in 0..1_000 {
            assert!(pace.room(millis(5), 1 << 30));
            pace.sent(millis(5), 1 << 30);
        }
        assert!(pace.sent.is_empty());
    }

    #[test]
    fn a_large_packet_goes_alone() {
        let rate = RatePlan { messages: None, bytes: Some(100_000) };
        let sent = greedy(&mut Pace::new(rate), (0..5_000).step_by(3), &[90_000]);
        assert_eq!(sent.len(), 5, "one in a second");
    }

    proptest! {
        /// Whenever it is asked and whatever the sizes: never more than the rate in any second, nor
        /// than the rate times the time and one second's more in any longer time; and what comes up
        /// to 50 ms late still keeps the rate over there.
        #[test]
        fn no_second_has_more_than_the_rate(
            messages in 1..200_u32,
            bytes in 10_000..1_000_000_u64,
            sizes in prop::collection::vec(1..10_000_usize, 1..20),
            pauses in prop::collection::vec(0..200_i64, 1..400),
            late in prop::collection::vec(0..50_i64, 1..50),
        ) {
            let rate = RatePlan { messages: Some(messages), bytes: Some(bytes) };
            let mut at = 0;
            let times = pauses.iter().map(|pause| { at += pause; at });
            let sent = greedy(&mut Pace::new(rate), times, &sizes);
            prop_assert!(!sent.is_empty());
            let keeps = |sent: &[(i64, usize)]| {
                let (n, sum) = most_in(sent, 1_000);
                n <= usize::try_from(messages).unwrap() && u64::try_from(sum).unwrap() <= bytes
            };
            prop_assert!(keeps(&sent));
            for seconds in 2..5_u32 {
                let (n, sum) = most_in(&sent, 1_000 * i64::from(seconds));
                prop_assert!(u32::try_from(n).unwrap() <= messages * seconds);
                prop_assert!(u64::try_from(sum).unwrap() <= bytes * u64::from(seconds));
            }
            let mut arrived: Vec<_> = sent
                .iter()
                .zip(late.iter().cycle())
                .map(|((at, size), late)| (at + late, *size))
                .collect();
            arrived.sort_unstable();
            prop_assert!(keeps(&arrived));
        }
    }
}
