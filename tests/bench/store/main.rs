//! What the store costs and how fast it is, against the bars it is held to:
//! `cargo bench --bench store -- SCENARIO...`, each with plain lines and lines of JSON in which
//! `held` says whether the bar was. Rates are medians of three.
//!
//! - `ring`: rates against the raw ring, with and without 20 ms more per sync (strace)
//! - `wear [SECONDS]`: bytes written and flushes, by the counters of loop devices (root)
//! - `syncs [SECONDS]`: calls of fdatasync and fsync per commit in real time (strace, root)
//! - `purge`: what deleting a drained backlog writes (root)
//! - `start [MILLIONS]`: the first safe reading after a start with so many in the file
//! - `append [SECONDS]`: what pollers wait for with 500 ms per sync (strace)
//! - `drain [MILLIONS]`: three consumers and a backlog while 50,000 readings/s are written
//! - `keep`: the broker's file: rates, and the bytes that a message costs
//! - `outage [HOURS]`: simulated hours at 1,000 readings/s without an uplink, then drained

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

mod append;
mod disk;
mod drain;
mod keep;
mod outage;
mod rate;
mod ring;
mod start;
mod syncs;
mod wear;
mod workload;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["rate-child", way, n] => return rate::child(way, n.parse().unwrap()),
        ["syncs-child", seconds] => return syncs::child(seconds.parse().unwrap()),
        ["start-fill", dir, millions] => {
            return start::fill(dir.as_ref(), millions.parse().unwrap());
        }
        ["start-child", dir, end] => return start::child(dir.as_ref(), end),
        _ => {}
    }
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let given = words.next_if(|next| next.bytes().all(|byte| byte.is_ascii_digit()));
        let number = |default: u64| given.map_or(default, |given| given.parse().unwrap());
        match word {
            "ring" => rate::measure(),
            "wear" => wear::measure(number(300)),
            "syncs" => syncs::measure(number(300)),
            "purge" => wear::purge(),
            "start" => start::measure(number(300)),
            "append" => append::measure(number(60)),
            "drain" => drain::measure(number(20)),
            "keep" => keep::measure(),
            "outage" => outage::measure(number(24)),
            _ => {
                eprintln!("no scenario is called {word}");
                std::process::exit(2);
            }
        }
    }
}
