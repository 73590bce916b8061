//! A fleet that lost its broker and comes back: the real back-off, ten thousand times.
//!
//! Simulated in whole milliseconds; a gateway does what `drive` does: waits, tries, and after a failure
//! waits longer. The broker takes so many connections in every second and refuses the rest.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::config::DEFAULT_RECONNECT_MAX;
use crate::model::Backoff;
use crate::uplink::Timing;

const GATEWAYS: u32 = 10_000;
const ADMITTED_PER_SECOND: u32 = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    /// By a broker that was there.
    refused: u32,
    /// Milliseconds from its return until the last gateway was online.
    all_back: u64,
}

/// All lose their connection at once and the broker is away for so long. `cap` as in `reconnect-max`.
fn storm(gateways: u32, away: Duration, cap: Duration) -> Outcome {
    let first = Timing::default().backoff_first;
    let away = u64::try_from(away.as_millis()).unwrap();
    let millis = |delay: Duration| u64::try_from(delay.as_millis()).unwrap();
    let mut backoffs: Vec<Backoff> =
        (0..gateways).map(|seed| Backoff::new(first, cap, seed.into())).collect();
    let mut attempts: BinaryHeap<Reverse<(u64, usize)>> = backoffs
        .iter_mut()
        .enumerate()
        .map(|(gateway, backoff)| Reverse((millis(backoff.next_delay()), gateway)))
        .collect();
    let mut outcome = Outcome { refused: 0, all_back: 0 };
    let (mut second, mut admitted) = (0, 0);
    while let Some(Reverse((at, gateway))) = attempts.pop() {
        if at >= away {
            if second != (at - away) / 1_000 {
                (second, admitted) = ((at - away) / 1_000, 0);
            }
            if admitted < ADMITTED_PER_SECOND {
                admitted += 1;
                outcome.all_back = at - away;
                continue;
            }
            outcome.refused += 1;
        }
        let delay = backoffs[gateway].next_delay();
        attempts.push(Reverse((at + millis(delay), gateway)));
    }
    outcome
}

#[test]
fn ten_thousand_gateways_come_back_after_ten_minutes_and_none_is_refused() {
    let outcome = storm(GATEWAYS, Duration::from_secs(600), DEFAULT_RECONNECT_MAX);
    println!("10 minutes: {outcome:?}");
    assert_eq!(outcome.refused, 0);
    assert!(outcome.all_back <= 60_000, "{outcome:?}");
}

/// The rule of docs/fleet.md: a cap of two seconds for as many gateways as are admitted in one.
#[test]
fn a_larger_fleet_needs_a_larger_cap() {
    let long = Duration::from_secs(1_200);
    let small = storm(50_000, long, Duration::from_secs(60));
    let large = storm(50_000, long, Duration::from_secs(300));
    println!("50,000 with a cap of 60 s: {small:?}; of 300 s: {large:?}");
    assert!(small.refused > 0);
    assert_eq!(large.refused, 0);
    assert!(large.all_back <= 300_000);
}

/// A broker that restarts finds short waits: a gateway is refused a few times, no more.
#[test]
fn after_a_short_outage_some_are_refused_and_all_are_back_soon() {
    for seconds in [0, 5, 30, 120] {
        let outcome = storm(GATEWAYS, Duration::from_secs(seconds), DEFAULT_RECONNECT_MAX);
        println!("{seconds} s: {outcome:?}");
        assert!(outcome.all_back <= 90_000, "{seconds} s: {outcome:?}");
        assert!(outcome.refused <= 4 * GATEWAYS, "{seconds} s: {outcome:?}");
    }
}
