//! Load, and what must come of it: everything that was called safe is there and right, or in the
//! ledger as given up for room.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fieldhold::model::{
    Batch, Class, Clock, Message, Mono, Name, Qos, Reading, Seq, TagId, TopicName, Value, Wall,
};
use fieldhold::store::{Body, ConsumerSpec, Health, Options, Policy, Store, StoreStatus};

pub struct KernelClock;

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

pub fn open(dir: &Path, max_bytes: Option<u64>) -> Store {
    let options = Options {
        dir: Some(dir.to_owned()),
        commit: Duration::from_millis(20),
        write_behind: true,
        endurance_bytes: 4_000_000_000_000,
        max_bytes,
        max_age: Duration::from_secs(86_400),
        ram_bytes: 1 << 20,
    };
    let store = Store::open(options, Arc::new(KernelClock)).unwrap();
    store.set_consumers(&[ConsumerSpec {
        name: Name::new("cloud").unwrap(),
        policy: Policy::Required,
    }]);
    store
}

pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Waits for a condition, not for a time.
pub fn wait_for(store: &Store, seconds: u64, what: &str, holds: impl Fn(&StoreStatus) -> bool) {
    let until = Instant::now() + Duration::from_secs(seconds);
    loop {
        let status = store.status();
        if holds(&status) {
            return;
        }
        assert!(Instant::now() < until, "never: {what}\n{status:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn is_ok(status: &StoreStatus) -> bool {
    status.health == Health::Ok
}

pub fn is_ram_only(status: &StoreStatus) -> bool {
    matches!(status.health, Health::RamOnly(_))
}

pub fn dropped(status: &StoreStatus, why: &str) -> u64 {
    let accounts = status.consumers.iter().flat_map(|consumer| &consumer.classes);
    accounts.filter_map(|account| account.dropped_why.get(why)).sum()
}

/// Readings that compress to nothing less than themselves.
pub fn noise(class: Class, n: u64) -> Batch {
    let now = KernelClock.mono();
    let readings = (0..n).map(|_| Reading::good(TagId(1), now, Value::U64(fastrand::u64(..))));
    Batch { class, readings: readings.collect() }
}

pub fn message(payload: &[u8]) -> Message {
    Message {
        topic: TopicName::new("lan/x").unwrap(),
        payload: payload.into(),
        qos: Qos::AtLeastOnce,
        retain: false,
        at: KernelClock.mono(),
    }
}

/// What LAN clients were told is safe: position → payload.
#[derive(Default, Clone)]
pub struct Oracle(Arc<Mutex<BTreeMap<u64, Vec<u8>>>>);

impl Oracle {
    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn safe(&self, seq: Seq, payload: Vec<u8>) {
        assert!(self.0.lock().unwrap().insert(seq.0, payload).is_none(), "{seq:?} given twice");
    }

    /// Publishes one message and waits until it is safe.
    pub fn publish(&self, store: &Store) {
        let payload: Vec<u8> = (0..200).map(|_| fastrand::u8(..)).collect();
        let commit = store.append_message(Class::Normal, message(&payload));
        let seq = commit.seq();
        run(commit.wait()).unwrap();
        self.safe(seq, payload);
    }

    /// Everything safe is there and right, or was given up for room. Gives how many are there.
    pub fn check(&self, store: &Store) -> usize {
        let status = store.status();
        assert!(status.balances(), "{status:#?}");
        let cloud = store.consumer("cloud").unwrap();
        let mut there = BTreeMap::new();
        for range in cloud.position(Class::Normal).unsettled {
            let mut at = range.start;
            while at < range.end {
                let entries = run(cloud.read(Class::Normal, at..range.end, 100_000)).unwrap();
                let Some(last) = entries.last() else { break };
                at = last.range().end;
                for entry in entries {
                    if let Body::Message(message) = entry.body {
                        there.insert(entry.seq.0, message.payload.to_vec());
                    }
                }
            }
        }
        let given_up = |seq: u64| {
            let mut rows = status.drops.iter().filter(|row| row.class == "normal");
            rows.any(|row| row.reason == "disk" && (row.seq_from..row.seq_to).contains(&seq))
        };
        let mut found = 0;
        for (seq, payload) in self.0.lock().unwrap().iter() {
            match there.get(seq) {
                Some(read) => assert_eq!(read, payload, "{seq} is wrong"),
                None => assert!(given_up(*seq), "{seq} was safe and is lost\n{:#?}", status.drops),
            }
            found += usize::from(there.contains_key(seq));
        }
        for lost in ["corrupt", "lost", "quota"] {
            assert_eq!(dropped(&store.status(), lost), 0, "{lost}");
        }
        found
    }
}

/// A plant that goes on whatever the disk does: readings all the time, and a LAN client that
/// waits for each of its messages.
pub struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    pub fn start(store: &Store, oracle: &Oracle, bulk_per_batch: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let poller = {
            let (store, stop) = (store.clone(), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    store.append(noise(Class::Bulk, bulk_per_batch));
                    store.append(noise(Class::Normal, 2));
                    assert!(began.elapsed() < Duration::from_secs(1), "the poller was held up");
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        };
        let client = {
            let (store, stop, oracle) = (store.clone(), Arc::clone(&stop), oracle.clone());
            move || {
                let mut nonce = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    nonce += 1;
                    let payload = [nonce.to_le_bytes(); 25].concat();
                    let commit = store.append_message(Class::Normal, message(&payload));
                    let seq = commit.seq();
                    // Dropped from memory: then it was told that it is not safe.
                    if run(commit.wait()).is_ok() {
                        oracle.safe(seq, payload);
                    }
                }
            }
        };
        Self { stop, threads: vec![std::thread::spawn(poller), std::thread::spawn(client)] }
    }

    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}
