//! What the store costs and how fast it is, against the bars it is held to:
//! `cargo bench --bench store -- SCENARIO...`, each with plain lines and lines of JSON.
//!
//! - `wear [SECONDS]`: bytes written and flushes, by the counters of loop devices (root)
//! - `purge`: what deleting a drained backlog writes (root)

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

mod disk;
mod ring;
mod wear;
mod workload;

fn main() {
    let mut words = std::env::args().skip(1).filter(|a| !a.starts_with('-')).peekable();
    while let Some(word) = words.next() {
        let mut number = |default: u64| {
            let given = words.peek().and_then(|word| word.parse().ok());
            if given.is_some() {
                words.next();
            }
            given.unwrap_or(default)
        };
        match word.as_str() {
            "wear" => wear::measure(number(300)),
            "purge" => wear::purge(),
            _ => {
                eprintln!("no scenario is called {word}");
                std::process::exit(2);
            }
        }
    }
}
