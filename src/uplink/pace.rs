//! How fast an uplink sends: never more than so many messages and bytes in a second, and evenly.
//!
//! What was sent is remembered in short slices of time. A message may go when the last second, itself
//! included, stays within the rate, and the last tenth of it within an eighth of that: the first is
//! what a service enforces, the second leaves no long waits for a live reading behind a burst. The
//! second is a little longer here than over there, so that messages which come together on their way
//! still keep the rate when they arrive. A message that was handed over counts from the moment when it
//! is written: those of a backlog are packed and deflated one after the other and written together,
//! which on a slow machine is later than that. It goes on through reconnections. Pure: time comes in.

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

impl Amount {
    fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

#[derive(Debug)]
pub struct Pace {
    rate: RatePlan,
    /// What was written in which slice, the newest last; at most [`LONG`] of them.
    written: VecDeque<(i64, Amount)>,
    /// What was handed over in which slice; at most [`SHORT`] of them.
    handed_over: VecDeque<(i64, Amount)>,
    /// What was handed over and is not yet written.
    unwritten: Amount,
}

fn slice(at: Duration) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX).div_euclid(SLICE_MS)
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

impl Pace {
    pub fn new(rate: RatePlan) -> Self {
        Self {
            rate,
            written: VecDeque::new(),
            handed_over: VecDeque::new(),
            unwritten: Amount::default(),
        }
    }

    /// Whether nothing bounds it.
    pub fn is_free(&self) -> bool {
        self.rate == RatePlan::default()
    }

    /// Whether a packet of this size may be sent now. One that is larger than a second's rate goes
    /// when nothing else went for a second; the configuration allows none.
    pub fn room(&self, now: Duration, bytes: usize) -> bool {
        let now = slice(now);
        let mut long = sum(&self.written, now - LONG);
        long.add(self.unwritten);
        let short = sum(&self.handed_over, now - SHORT);
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

    pub fn handed_over(&mut self, now: Duration, bytes: usize) {
        if !self.is_free() {
            let amount = Amount { messages: 1, bytes: wide(bytes) };
            add(&mut self.handed_over, slice(now), SHORT, amount);
            self.unwritten.add(amount);
        }
    }

    /// All that was handed over is on its way.
    pub fn written(&mut self, now: Duration) {
        let amount = std::mem::take(&mut self.unwritten);
        if amount.messages > 0 {
            add(&mut self.written, slice(now), LONG, amount);
        }
    }

    /// When there may be room that is not there at `now`.
    pub fn again(now: Duration) -> Duration {
        Duration::from_millis(u64::try_from((slice(now) + 1) * SLICE_MS).unwrap_or(0))
    }
}

/// Forgets what is older than `kept` slices.
fn add(slices: &mut VecDeque<(i64, Amount)>, now: i64, kept: i64, amount: Amount) {
    while slices.front().is_some_and(|(slice, _)| *slice < now - kept) {
        slices.pop_front();
    }
    match slices.back_mut() {
        Some((slice, sum)) if *slice >= now => sum.add(amount),
        _ => slices.push_back((now, amount)),
    }
}

/// Of this slice and all after it.
fn sum(slices: &VecDeque<(i64, Amount)>, first: i64) -> Amount {
    let mut sum = Amount::default();
    for (_, amount) in slices.iter().rev().take_while(|(slice, _)| *slice >= first) {
        sum.add(*amount);
    }
    sum
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
                pace.handed_over(millis(at), next);
                sent.push((at, next));
                next = sizes.next().unwrap();
            }
            pace.written(millis(at));
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
            pace.handed_over(millis(5), 1 << 30);
            pace.written(millis(5));
        }
        assert!(pace.written.is_empty() && pace.handed_over.is_empty());
    }

    /// Every other second each message takes 8 ms to be packed, and all wait for the last.
    #[test]
    fn what_is_packed_slowly_keeps_the_rate_when_it_is_written() {
        let mut pace = Pace::new(RatePlan { messages: Some(100), bytes: None });
        let (mut now, mut arrived) = (0, Vec::new());
        while now < 60_000 {
            let mut company = 0;
            while company < 25 && pace.room(millis(now), 1_000) {
                pace.handed_over(millis(now), 1_000);
                company += 1;
                now += if now % 2_000 < 1_000 { 8 } else { 0 };
            }
            pace.written(millis(now));
            arrived.extend((0..company).map(|_| (now, 1_000)));
            now += 1;
        }
        assert_eq!(most_in(&arrived, 1_000).0, 100);
        assert!(arrived.len() > 60 * 85, "{} in a minute", arrived.len());
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
