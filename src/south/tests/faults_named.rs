//! The simulator's named faults, alone and in pairs, on a line and on TCP. The gate: never a wrong
//! value, whatever they are and however they add up.

use std::time::Duration;

use super::scripted::{Asked, Deed, Tally, start};
use crate::config::Framing;
use crate::south::simulator::{self, Faults, Rule, fault_names};

/// Reads of each combination.
const READS: usize = 30;

/// The names with values that fit the timeout of these tests, 40 ms.
fn all() -> Vec<String> {
    let named = fault_names().map(|name| match name {
        "late" => "late=55ms".to_owned(),
        "swapped" => "swapped=130ms".to_owned(),
        "exception" => "exception-4".to_owned(),
        "drip" => "drip=3".to_owned(),
        other => other.to_owned(),
    });
    named.collect()
}

/// Left out is what no master can see: an answer that is late and of another request's length at
/// once, so that it looks like the answer to what is asked next; and one that loses a register and
/// gains another, so that it has the right shape again.
fn can_be_seen(a: &str, b: &str) -> bool {
    let late = |name: &str| name.starts_with("late") || name.starts_with("swapped");
    let other_length = |name: &str| matches!(name, "short" | "long");
    let both = other_length(a) && other_length(b) && a != b;
    !(both || late(a) && other_length(b) || late(b) && other_length(a))
}

async fn reads(rules: Vec<Rule>, framing: Framing, seed: u64) -> Tally {
    let mut faults = Faults::new(rules, seed);
    let script = move |asked: &Asked| -> Deed {
        let request = simulator::Asked {
            unit: asked.unit,
            pdu: asked.pdu.clone(),
            tid: asked.tid,
            frame: asked.frame(&asked.pdu),
        };
        let honest = || Some(asked.honest());
        let (right, deed) = faults.respond(&request, framing, Duration::ZERO, honest);
        let instead = deed.instead.clone().or(right.map(|pdu| asked.frame(&pdu)));
        Deed { instead, ..deed }
    };
    start(framing, false, script).reads(READS, 5, 10).await
}

#[tokio::test(start_paused = true)]
async fn every_named_fault_alone_and_in_pairs_and_never_a_wrong_value() {
    let names = all();
    let mut right = 0;
    let mut seed = 0;
    for framing in [Framing::Rtu, Framing::Ascii, Framing::Tcp] {
        for (at, a) in names.iter().enumerate() {
            for b in names.iter().skip(at).filter(|b| can_be_seen(a, b)) {
                seed += 1;
                let rule = |name: &str, more: &str| format!("{name}{more}").parse().unwrap();
                let rules = vec![rule(a, ":every=3"), rule(b, ":share=40%")];
                let tally = reads(rules, framing, seed).await;
                assert_eq!(tally.wrong, 0, "{framing:?} {a} + {b}: {tally:?}");
                right += tally.right;
            }
        }
    }
    assert!(right > 3_000, "only {right} reads were right at all");
}
