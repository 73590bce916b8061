//! The store against a plain list: whatever is done to it, every reading is where the accounts say
//! it is, comes back as it was appended, and is in the ledger when it is gone.
//!
//! `PROPTEST_CASES=5000` runs the long form.

mod hearing;
mod steps;
mod world;

use proptest::prelude::*;

use steps::{limits, step};
use world::World;

/// Cases of the short form.
const CASES: u32 = 12;

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(CASES)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_reading_is_where_the_accounts_say(
        steps in prop::collection::vec(step(), 1..60),
        limits in limits(),
    ) {
        let mut world = World::new(&limits);
        for (i, step) in steps.iter().enumerate() {
            world.step(step);
            world.check();
            if i % 7 == 0 {
                world.read_back();
            }
        }
        world.read_back();
        world.end();
    }
}
