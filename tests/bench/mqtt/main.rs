//! The LAN broker beside Debian's Mosquitto, in one run and with one load generator, against the
//! bars it is held to: `cargo bench --bench mqtt -- SCENARIO...` (default: all but `hostile`).
//! Plain lines, and lines of JSON in which `held` says whether the bar was. Medians of five runs
//! (`RUNS` in the environment says otherwise), taken in turns.
//!
//! - `flood`: 50 -> 1 and 1 -> 50 at QoS 0 and 1, as fast as it goes without loss
//! - `durable`: 50 -> 1 at QoS 1 to a session that survives, both brokers with their files
//! - `paced`: delay at a rate both carry easily
//! - `idle`: memory without clients, and per idle connection
//! - `hostile`: what other clients notice of storms, floods and those who don't read
//!
//! The generator has one thread that publishes and one that subscribes; the broker's CPU time and
//! memory come from /proc. Nothing leaves the machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a measurement by hand, not a part of the gateway"
)]

mod broker;
mod client;
mod flood;
mod hostile;
mod idle;
mod paced;

use broker::Kind;

fn main() {
    broker::raise_open_files();
    let words: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let default = ["flood", "durable", "paced", "idle"].map(str::to_owned).to_vec();
    for word in if words.is_empty() { default } else { words } {
        match word.as_str() {
            "flood" => flood::measure(),
            "durable" => flood::measure_durable(),
            "paced" => paced::measure(),
            "idle" => idle::measure(),
            "hostile" => hostile::measure(),
            _ => {
                eprintln!("no scenario is called {word}");
                std::process::exit(2);
            }
        }
    }
}

fn runs() -> usize {
    std::env::var("RUNS").map_or(5, |text| text.parse().unwrap())
}

/// Runs both in turns; the results of each in the order of [`Kind::BOTH`].
fn in_turns<T>(mut run: impl FnMut(Kind) -> T) -> [Vec<T>; 2] {
    let mut results = [Vec::new(), Vec::new()];
    for _ in 0..runs() {
        for (kind, results) in Kind::BOTH.into_iter().zip(&mut results) {
            results.push(run(kind));
        }
    }
    results
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
