//! `kill -9` at random moments, with an oracle: what a child said was safe must be there, right,
//! and no position may ever be given out twice.
//!
//! The child is this test binary again, in the test `child`, which does nothing without its
//! environment variable. (A kill proves recovery, not power cuts; those are in `crash/`.)

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fieldhold::model::{
    Batch, Class, Clock, Message, Mono, Name, Qos, Reading, Seq, TagId, TopicName, Value, Wall,
};
use fieldhold::store::{Body, ConsumerSpec, Options, Policy, Settled, Store};

/// Kills in the short form; `FIELDHOLD_KILL_CYCLES` makes it more.
const CYCLES: u32 = 40;
const DIR: &str = "FIELDHOLD_STORE_KILL_DIR";
const ROUND: &str = "FIELDHOLD_STORE_KILL_ROUND";

struct KernelClock;

fn read_clock(id: rustix::time::ClockId) -> i64 {
    let now = rustix::time::clock_gettime(id);
    now.tv_sec * 1_000 + now.tv_nsec / 1_000_000
}

impl Clock for KernelClock {
    fn mono(&self) -> Mono {
        Mono(read_clock(rustix::time::ClockId::Boottime))
    }
    fn wall(&self) -> Wall {
        Wall(read_clock(rustix::time::ClockId::Realtime))
    }
    fn boot_id(&self) -> &str {
        "this"
    }
    fn synced(&self) -> bool {
        true
    }
}

fn open(dir: &str) -> Store {
    let options = Options {
        dir: Some(dir.into()),
        commit: Duration::from_millis(20),
        write_behind: true,
        endurance_bytes: 4_000_000_000_000,
        max_bytes: Some(1 << 30),
        max_age: Duration::from_secs(86_400),
        ram_bytes: 300_000, // So that some of it is read back from the file.
    };
    let store = Store::open(options, Arc::new(KernelClock)).unwrap();
    store.set_consumers(&[ConsumerSpec {
        name: Name::new("cloud").unwrap(),
        policy: Policy::Required,
    }]);
    store
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// Appends, settles, flushes and says what it did, until it is killed.
#[test]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = open(&dir);
    let cloud = store.consumer("cloud").unwrap();
    say(&format!("E {} {}", store.epoch(), store.status().quarantined.len()));
    let mut nonce = round << 32;
    let mut unsafe_yet = Vec::new();
    loop {
        let class = *fastrand::choice(&Class::ALL).unwrap();
        if fastrand::u8(..) < 40 {
            let message = Message {
                topic: TopicName::new("lan/x").unwrap(),
                payload: nonce.to_le_bytes().as_slice().into(),
                qos: Qos::AtLeastOnce,
                retain: false,
                at: KernelClock.mono(),
            };
            let commit = store.append_message(class, message);
            let seq = commit.seq().0;
            say(&format!("A {} {seq} {} {nonce}", class.as_str(), seq + 1));
            nonce += 1;
            runtime.block_on(commit.wait()).unwrap();
            say(&format!("D {} {seq} {}", class.as_str(), seq + 1));
        } else {
            let n = fastrand::u64(1..200);
            let now = KernelClock.mono();
            let readings = (nonce..nonce + n).map(|v| Reading::good(TagId(1), now, Value::U64(v)));
            let range = store.append(Batch { class, readings: readings.collect() });
            let (from, to) = (range.start.0, range.end.0);
            say(&format!("A {} {from} {to} {nonce}", class.as_str()));
            nonce += n;
            if fastrand::bool() {
                // Said before it is done: from now on it may be there or not.
                say(&format!("S {} {from} {to}", class.as_str()));
                cloud.settle(class, &[range], Settled::Delivered);
            } else {
                unsafe_yet.push((class, from, to));
            }
        }
        if fastrand::u8(..) < 60 {
            runtime.block_on(store.flush());
            for (class, from, to) in unsafe_yet.drain(..) {
                say(&format!("D {} {from} {to}", class.as_str()));
            }
        }
    }
}

#[derive(Default)]
struct Oracle {
    /// What was given out: (class, position) → nonce.
    given: HashMap<(String, u64), u64>,
    /// What must be there.
    safe: std::collections::BTreeSet<(String, u64)>,
    settled: std::collections::HashSet<(String, u64)>,
}

impl Oracle {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |i: usize| words[i].parse::<u64>().unwrap();
        match words[0] {
            "A" => {
                for seq in number(2)..number(3) {
                    let nonce = number(4) + (seq - number(2));
                    let before = self.given.insert((words[1].to_owned(), seq), nonce);
                    assert_eq!(before, None, "position {seq} was given out twice");
                }
            }
            "D" => self.safe.extend((number(2)..number(3)).map(|seq| (words[1].to_owned(), seq))),
            "S" => {
                self.settled.extend((number(2)..number(3)).map(|seq| (words[1].to_owned(), seq)));
            }
            _ => {}
        }
    }

    /// Compares with what is there, and settles some of it.
    fn compare(&mut self, store: &Store) -> usize {
        let cloud = store.consumer("cloud").unwrap();
        let mut found = 0;
        for class in Class::ALL {
            let mut there = HashMap::new();
            for range in cloud.position(class).unsettled {
                let mut at = range.start;
                while at < range.end {
                    let entries = futures(cloud.read(class, at..range.end, 10_000)).unwrap();
                    let Some(last) = entries.last() else { break };
                    at = last.range().end;
                    for entry in &entries {
                        match &entry.body {
                            Body::Readings(readings) => {
                                for (i, reading) in readings.iter().enumerate() {
                                    let Some(Value::U64(v)) = reading.value() else { panic!() };
                                    there.insert(entry.seq.0 + i as u64, *v);
                                }
                            }
                            Body::Message(message) => {
                                let bytes = message.payload[..].try_into().unwrap();
                                there.insert(entry.seq.0, u64::from_le_bytes(bytes));
                            }
                        }
                    }
                }
            }
            let name = class.as_str().to_owned();
            for (seq, value) in &there {
                // A kill between append and the child's word leaves a position nobody told us of.
                if let Some(nonce) = self.given.get(&(name.clone(), *seq)) {
                    assert_eq!(nonce, value, "{name} {seq} is wrong");
                }
            }
            for (_, seq) in self.safe.iter().filter(|(of, _)| *of == name) {
                assert!(there.contains_key(seq), "{name} {seq} was safe and is lost");
            }
            found += there.len();
            // Keep the next rounds short: half of it is delivered, for good.
            let high = there.keys().max().map_or(0, |seq| seq + 1);
            let low = there.keys().min().copied().unwrap_or(0);
            let middle = low + (high - low) / 2;
            cloud.settle(class, &[Seq(0)..Seq(middle)], Settled::Delivered);
            self.safe.retain(|(of, seq)| *of != name || *seq >= middle);
        }
        let status = store.status();
        assert!(status.balances(), "{status:#?}");
        assert_eq!(
            status.consumers.iter().flat_map(|c| &c.classes).map(|a| a.dropped).sum::<u64>(),
            0
        );
        found
    }
}

fn futures<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn nothing_that_was_safe_is_lost_by_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut oracle = Oracle::default();
    let (mut found, mut epoch) = (0, None);
    let cycles = std::env::var("FIELDHOLD_KILL_CYCLES").ok();
    let cycles = cycles.map_or(CYCLES, |text| text.parse().expect("a number of cycles"));
    for round in 1..=cycles {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(DIR, dir.path())
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed after so many lines: no clock, and at a random place of its work.
        let mut left = fastrand::u32(1..300);
        for line in lines.map_while(Result::ok) {
            if let Some(place) = line.find("E ").filter(|_| !line.starts_with(['A', 'D', 'S'])) {
                let words: Vec<&str> = line[place..].split(' ').collect();
                assert_eq!(words[2], "0", "a kill never makes a file bad");
                assert_eq!(*epoch.get_or_insert_with(|| words[1].to_owned()), words[1]);
            }
            oracle.hear(&line);
            left = left.saturating_sub(1);
            if left == 0 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let store = open(dir.path().to_str().unwrap());
        found += oracle.compare(&store);
        if round % 3 == 0 {
            store.close();
        }
    }
    println!("{cycles} kills, {found} readings and messages came back");
    assert!(found > 1_000, "only {found} readings came through: the test tests nothing");
}
