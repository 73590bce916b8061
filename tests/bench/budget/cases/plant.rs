//! What the store and the payloads are given: always the same ten thousand readings.

use std::sync::Arc;
use std::time::Duration;

use fieldhold::model::{Batch, Class, ManualClock, Mono, Name, Reading, TagId, Value, Wall};
use fieldhold::store::{ConsumerSpec, Options, Policy, Store};

pub const TAGS: u32 = 100;
const ROUNDS: u32 = 100;

/// A hundred tags, a hundred times, each one decimal in a range of a hundred.
pub fn readings() -> Vec<Reading> {
    let rounds = (0..ROUNDS).flat_map(|round| (0..TAGS).map(move |tag| (round, tag)));
    let readings = rounds.map(|(round, tag)| {
        let step = (round * 7_919 + tag * 104_729) % 1_000;
        let value = Value::F64(200.0 + f64::from(step) / 10.0);
        Reading::good(TagId(tag + 1), Mono(i64::from(round) * 1_000), value)
    });
    readings.collect()
}

/// The same as buses hand them over.
pub fn batches() -> Vec<Batch> {
    let readings = readings();
    let rounds = readings.chunks(50);
    rounds.map(|round| Batch { class: Class::Normal, readings: round.to_vec() }).collect()
}

/// A store in memory with one consumer. Its clock stands still, so nothing falls due meanwhile.
pub fn store() -> Store {
    let options = Options {
        dir: None,
        commit: Duration::from_secs(1),
        write_behind: true,
        endurance_bytes: 4_000_000_000_000,
        max_bytes: None,
        max_age: Duration::from_secs(86_400),
        ram_bytes: 32 << 20,
    };
    let clock = Arc::new(ManualClock::new(Mono(0), Wall(1_700_000_000_000)));
    let store = Store::open(options, clock).unwrap();
    store.set_consumers(&[ConsumerSpec {
        name: Name::new("cloud").unwrap(),
        policy: Policy::Required,
    }]);
    store
}

/// What is there at once.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(ready) = future.as_mut().poll(&mut context) {
            return ready;
        }
    }
}
