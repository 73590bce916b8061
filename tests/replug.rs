//! An adapter that is pulled and plugged in again under the same by-id path, a hundred times while
//! its line is polled: every time polling resumes in time, and no descriptor is left behind.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fieldhold::config;
use fieldhold::model::{Batch, Clock, Mono, Sink, Table, Wall};
use fieldhold::south::simulator::{Bank, Devices, Pty, RtuSlave};
use fieldhold::south::{BusContext, Quotas, bus};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const CYCLES: u32 = 100;
/// From the plug to the first good reading.
const RESUME_MAX: Duration = Duration::from_secs(5);

/// Counts good readings.
#[derive(Default)]
struct Good(Mutex<u64>);

impl Sink for Good {
    fn readings(&self, batch: Batch) {
        let good = batch.readings.iter().filter(|reading| reading.value().is_some()).count();
        *self.0.lock().unwrap() += u64::try_from(good).unwrap();
    }

    fn learned(&self, _: &str, _: Option<&str>) {}
}

struct Monotonic(tokio::time::Instant);

impl Clock for Monotonic {
    fn mono(&self) -> Mono {
        Mono(1000) + self.0.elapsed()
    }
    fn wall(&self) -> Wall {
        Wall(self.mono().0)
    }
    fn boot_id(&self) -> &str {
        "test"
    }
    fn synced(&self) -> bool {
        true
    }
}

fn plug(devices: &Devices, path: &Path) -> JoinSet<()> {
    let pty = Pty::open_at(path).unwrap();
    let slave = RtuSlave::new(devices.clone());
    let mut running = JoinSet::new();
    running.spawn(async move {
        let _ = slave.run(pty, CancellationToken::new()).await;
    });
    running
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[expect(clippy::disallowed_methods, reason = "a test measures with the machine's clock")]
fn now() -> Instant {
    Instant::now()
}

async fn until(what: &str, deadline: Duration, is: impl Fn() -> bool) -> Duration {
    let started = now();
    while !is() {
        assert!(started.elapsed() < deadline, "not within {deadline:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    started.elapsed()
}

#[tokio::test]
async fn a_hundred_times_unplugged_it_resumes_and_leaks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usb-adapter");
    let mut bank = Bank::default();
    bank.set(3, Table::Holding, 0, &[42; 10]);
    let devices = Devices::new(bank);
    let text = format!(
        "gateway: {{ name: g }}\n\
         buses: {{ line: {{ modbus-rtu: {{ port: {}, baud: 115200 }} }} }}\n\
         devices:\n  d: {{ bus: line, unit: 3, every: 20ms, timeout: 50ms, \
         tags: {{ t: {{ holding: 0, type: u16 }} }} }}\n",
        path.display()
    );
    let plan = config::parse(&text, "t").unwrap().plan.buses.remove(0);
    let good = Arc::new(Good::default());
    let clock = Arc::new(Monotonic(tokio::time::Instant::now()));
    let sink: Arc<dyn Sink> = good.clone();
    let mut slave = plug(&devices, &path);
    let context = BusContext {
        sink,
        clock,
        facts: Vec::new(),
        quotas: Quotas::default(),
        first_read: Duration::ZERO,
    };
    let (port, runner) = bus(plan, context);
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    let stopped = stop.clone();
    running.spawn(async move { runner.run(stopped).await });
    let count = || *good.0.lock().unwrap();
    until("the first values", RESUME_MAX, || count() >= 3).await;
    let before = descriptors();
    let mut slowest = Duration::ZERO;
    for cycle in 0..CYCLES {
        slave.shutdown().await;
        let gone = || serde_json::to_value(port.status()).unwrap()["state"]["state"] == "down";
        until("it is seen to be gone", RESUME_MAX, gone).await;
        slave = plug(&devices, &path);
        let seen = count();
        let took = until("values again", RESUME_MAX, || count() > seen).await;
        slowest = slowest.max(took);
        let now = descriptors();
        assert!(now <= before, "after {} cycles {now} descriptors, {before} before", cycle + 1);
    }
    println!("{CYCLES} cycles, at most {slowest:?} from the plug to a value");
    assert_eq!(port.status().connects, u64::from(CYCLES) + 1);
    stop.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
}
