//! How fast an uplink sends: never more than so many messages and bytes in a second, and evenly.
//!
//! The limit is one of the service, which counts what arrives there. When that is nobody here can
//! know: a thread may wait for its turn, a line may stop for a while and then carry all at once. But
//! it is before the answer. So a message counts from when it is handed over until a second after it
//! was answered, and may go when all that count stay within the rate with it: however long anything is
//! kept on its way, no second over there has more. That costs the way there and back, once in a second.
//! What a connection that broke has left on its way counts for a second after its end, and what may
//! have been sent before this uplink began, for a second after that.
//!
//! The last tenth of a second, as it is handed over, has an eighth of the rate: no long waits for a
//! live reading behind a burst. All goes on through reconnections. Pure: time comes in.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::RatePlan;

const SLICE_MS: i64 = 10;
const LONG: i64 = 1_000 / SLICE_MS;
const SHORT: i64 = 100 / SLICE_MS;
/// The part of a second's rate that the short time has; more than a tenth, or it would be the limit.
const SHORT_SHARE: u64 = 8;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Amount {
    messages: u64,
    bytes: u64,
}

impl Amount {
    /// What this rate allows in a second; `None` if nothing bounds it.
    fn of(rate: RatePlan) -> Option<Self> {
        let second = Self {
            messages: rate.messages.unwrap_or_default().into(),
            bytes: rate.bytes.unwrap_or_default(),
        };
        (rate != RatePlan::default()).then_some(second)
    }

    fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    fn less(&mut self, other: Self) {
        self.messages = self.messages.saturating_sub(other.messages);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

#[derive(Debug, Default)]
pub struct Pace {
    rate: RatePlan,
    /// What was answered in which slice of time, the newest last; at most [`LONG`] of them.
    answered: VecDeque<(i64, Amount)>,
    /// What was handed over in which slice; at most [`SHORT`] of them.
    handed_over: VecDeque<(i64, Amount)>,
    /// What was handed over and is not yet answered.
    out: Amount,
}

fn slice(at: Duration) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX).div_euclid(SLICE_MS)
}

fn wide(amount: usize) -> u64 {
    u64::try_from(amount).unwrap_or(u64::MAX)
}

impl Pace {
    /// From time 0 on.
    pub fn new(rate: RatePlan) -> Self {
        let Some(second) = Amount::of(rate) else {
            return Self::default();
        };
        Self {
            rate,
            // Whoever sent before it may have used all of the rate.
            answered: [(0, second)].into(),
            handed_over: VecDeque::new(),
            out: Amount::default(),
        }
    }

    /// Whether nothing bounds it.
    pub fn is_free(&self) -> bool {
        self.rate == RatePlan::default()
    }

    /// Whether a packet of this size may be sent now. One that is larger than a second's rate goes
    /// when nothing else counts; the configuration allows none.
    pub fn room(&self, now: Duration, bytes: usize) -> bool {
        let now = slice(now);
        let mut long = sum(&self.answered, now - LONG);
        long.add(self.out);
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
            self.out.add(amount);
        }
    }

    /// So many messages, of so many bytes together, were answered.
    pub fn answered(&mut self, now: Duration, messages: usize, bytes: usize) {
        if !self.is_free() {
            let amount = Amount { messages: wide(messages), bytes: wide(bytes) };
            self.out.less(amount);
            add(&mut self.answered, slice(now), LONG, amount);
        }
    }

    /// The connection ended: what was not answered counts as if it had been now.
    pub fn closed(&mut self, now: Duration) {
        let amount = std::mem::take(&mut self.out);
        if amount.messages > 0 {
            add(&mut self.answered, slice(now), LONG, amount);
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

    /// Sends whatever there is room for at these times over a line that keeps the order and takes so
    /// long there and back with each; when each message arrived.
    fn greedy(
        pace: &mut Pace,
        times: impl Iterator<Item = i64>,
        sizes: &[usize],
        ways: &[(i64, i64)],
    ) -> Vec<(i64, usize)> {
        let mut arrived: Vec<(i64, usize)> = Vec::new();
        let mut answers: VecDeque<(i64, usize)> = VecDeque::new();
        let mut sizes = sizes.iter().cycle().copied();
        let mut ways = ways.iter().cycle();
        let mut next = sizes.next().unwrap();
        for now in times {
            while let Some((_, size)) = answers.pop_front_if(|(at, _)| *at <= now) {
                pace.answered(millis(now), 1, size);
            }
            while pace.room(millis(now), next) {
                pace.handed_over(millis(now), next);
                let (there, back) = ways.next().unwrap();
                let at = arrived.last().map_or(0, |(last, _)| *last).max(now + there);
                arrived.push((at, next));
                let answer = answers.back().map_or(0, |(last, _)| *last).max(at + back);
                answers.push_back((answer, next));
                next = sizes.next().unwrap();
            }
        }
        arrived
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
        let sent = greedy(&mut Pace::new(rate), 0..60_000, &[5_000], &[(20, 20)]);
        assert!(sent.len() >= 59 * 94, "{} in a minute", sent.len());
        assert_eq!(most_in(&sent, 1_000), (100, 500_000));
        assert!(most_in(&sent, 100).0 <= 13, "{:?}", most_in(&sent, 100));
        let slow = RatePlan { messages: Some(10), bytes: None };
        let sent = greedy(&mut Pace::new(slow), 0..60_000, &[5_000], &[(20, 20)]);
        assert!((550..=600).contains(&sent.len()), "{}", sent.len());
        assert_eq!(most_in(&sent, 1_000).0, 10);
    }

    #[test]
    fn without_a_rate_there_is_always_room_and_nothing_is_remembered() {
        let mut pace = Pace::new(RatePlan::default());
        for _ in 0..1_000 {
            assert!(pace.room(millis(5), 1 << 30));
            pace.handed_over(millis(5), 1 << 30);
            pace.answered(millis(5), 1, 1 << 30);
        }
        assert!(pace.answered.is_empty() && pace.handed_over.is_empty());
    }

    #[test]
    fn what_a_connection_took_with_it_counts_for_a_second() {
        let mut pace = Pace::new(RatePlan { messages: Some(8), bytes: None });
        assert!(!pace.room(millis(0), 1), "it may have had another before this");
        for message in 6..14 {
            assert!(pace.room(millis(message * 200), 1));
            pace.handed_over(millis(message * 200), 1);
        }
        assert!(!pace.room(millis(9_000), 1), "nobody has said that they arrived");
        pace.closed(millis(9_000));
        assert!(!pace.room(millis(10_000), 1));
        assert!(pace.room(millis(10_010), 1));
    }

    #[test]
    fn a_large_packet_goes_alone() {
        let rate = RatePlan { messages: None, bytes: Some(100_000) };
        let sent = greedy(&mut Pace::new(rate), (0..5_000).step_by(3), &[90_000], &[(1, 1)]);
        assert_eq!(sent.len(), 4, "one in a second");
    }

    proptest! {
        /// Whenever it is asked, whatever the sizes, and however long each takes on its way: what
        /// arrives is never more than the rate in any second, nor than the rate times the time in any
        /// longer time of whole seconds.
        #[test]
        fn no_second_has_more_than_the_rate(
            messages in 1..200_u32,
            bytes in 10_000..1_000_000_u64,
            sizes in prop::collection::vec(1..10_000_usize, 1..20),
            pauses in prop::collection::vec(0..200_i64, 1..400),
            ways in prop::collection::vec((0..3_000_i64, 0..500_i64), 1..50),
        ) {
            let rate = RatePlan { messages: Some(messages), bytes: Some(bytes) };
            let mut at = 1_010;
            let later = pauses.iter().map(|pause| { at += pause; at });
            let times = std::iter::once(1_010).chain(later);
            let arrived = greedy(&mut Pace::new(rate), times, &sizes, &ways);
            prop_assert!(!arrived.is_empty());
            for seconds in 1..5_u32 {
                let (n, sum) = most_in(&arrived, 1_000 * i64::from(seconds));
                prop_assert!(u32::try_from(n).unwrap() <= messages * seconds);
                prop_assert!(u64::try_from(sum).unwrap() <= bytes * u64::from(seconds));
            }
        }
    }
}
