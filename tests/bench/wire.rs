//! Share of the wire limit: `cargo bench --bench wire [-- SCENARIO...]`.
//!
//! A strict slave on a pseudo terminal that keeps the time of a real line: every character takes
//! its bits, one after the other in both directions; a request counts only after t3.5 of silence;
//! its answer starts at once after that (turnaround 0) and is handed over character by character,
//! as a UART would. The gateway polls faster than the line can carry. The limit is
//! `(13 + 2n) * tc + 2 * t3.5` per read of n registers (MODBUS over Serial Line V1.02, 2.5.1.1); the
//! share is what was carried of it, by the slave's own count. Requests that came too early after the
//! last character are not answered and counted as violations. Every value is checked.
//!
//! The emulator spins on one core, the gateway's line has the other.

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

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fieldhold::model::{Batch, Sink, Value};
use fieldhold::runtime::SystemClock;
use fieldhold::south::{BusContext, Quotas, bus};
use tokio_util::sync::CancellationToken;

const WARM_UP: Duration = Duration::from_secs(3);
const MEASURE: Duration = Duration::from_secs(10);
/// With dead devices: until they are known to be dead.
const WARM_UP_DEAD: Duration = Duration::from_secs(15);
/// Interval of the living devices, of the time that reading them takes.
const DEMAND: f64 = 0.8;
/// Bits of a character: start, 8 data, even parity, stop.
const CHARACTER_BITS: u32 = 11;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    println!("scenario            limit ms   carried/s   limit/s   share   violations   wrong");
    for baud in [9_600, 19_200, 115_200] {
        for count in [1, 10, 125] {
            for dead in [0, 9] {
                let name = format!("{baud}-n{count}-dead{dead}");
                let chosen = wanted.is_empty() || wanted.iter().any(|w| name.contains(w.as_str()));
                if chosen {
                    measure(&name, baud, count, dead);
                }
            }
        }
    }
}

fn measure(name: &str, baud: u32, count: u16, dead: u8) {
    let line = Line::new(baud);
    let alive = if dead > 0 { 1 } else { 10 };
    let (slave, path) = Slave::open(line, alive);
    let tally = Arc::clone(&slave.tally);
    let stop = CancellationToken::new();
    let emulator = std::thread::spawn({
        let stop = stop.clone();
        move || slave.run(&stop)
    });
    let sink = Arc::new(Checker::default());
    let plan = plan(&path, baud, count, (alive, dead));
    let context = BusContext {
        sink: sink.clone(),
        clock: Arc::new(SystemClock::new()),
        facts: Vec::new(),
        quotas: Quotas::default(),
        first_read: Duration::ZERO,
    };
    let (_port, runner) = bus(plan, context);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (carried, took) = runtime.block_on(async {
        let mut running = tokio::task::JoinSet::new();
        running.spawn(runner.run(stop.clone()));
        tokio::time::sleep(if dead > 0 { WARM_UP_DEAD } else { WARM_UP }).await;
        tally.early.store(0, Ordering::SeqCst);
        let (before, begun) = (tally.answered.load(Ordering::SeqCst), Instant::now());
        tokio::time::sleep(if dead > 0 { MEASURE * 3 } else { MEASURE }).await;
        let carried = tally.answered.load(Ordering::SeqCst) - before;
        let took = begun.elapsed();
        stop.cancel();
        while running.join_next().await.is_some() {}
        (carried, took)
    });
    emulator.join().unwrap();
    let limit = line.limit(count);
    let share = carried as f64 * limit.as_secs_f64() / took.as_secs_f64();
    println!(
        "{name:<18} {:>9.2} {:>11.1} {:>9.1} {:>6.1}% {:>12} {:>7}",
        limit.as_secs_f64() * 1e3,
        carried as f64 / took.as_secs_f64(),
        1.0 / limit.as_secs_f64(),
        share * 100.0,
        tally.early.load(Ordering::SeqCst),
        sink.wrong.load(Ordering::SeqCst),
    );
    if std::env::var_os("WIRE_VERBOSE").is_some() {
        tally.show_gaps(line);
    }
}

/// `devices` devices, those that live read faster than the line can carry, all together.
fn plan(
    path: &std::path::Path,
    baud: u32,
    count: u16,
    (alive, dead): (u8, u8),
) -> fieldhold::config::BusPlan {
    let mut text = format!(
        "gateway: {{ name: bench }}\nbuses:\n  line: {{ modbus-rtu: {{ port: {}, baud: {baud} }} }}\ndevices:\n",
        path.display()
    );
    for unit in 1..=alive + dead {
        text += &format!(
            "  dev{unit}: {{ bus: line, unit: {unit}, every: 60s, tags: {{ a: {{ holding: 7, type: u16, count: {count} }} }} }}\n"
        );
    }
    text += "store: { path: state }\n";
    let loaded = fieldhold::config::parse(&text, "bench").unwrap_or_else(|p| panic!("{p}"));
    let mut plan = loaded.plan.buses.into_iter().next().unwrap();
    // A configuration that wants more than the line has is refused, so it is changed afterwards.
    let every = Line::new(baud).limit(count).mul_f64(f64::from(alive) * DEMAND);
    for tag in plan.devices.iter_mut().flat_map(|device| Arc::make_mut(&mut device.tags)) {
        tag.every = Some(every);
    }
    plan
}

/// The value of a register, by its address.
fn value(address: u16) -> u16 {
    address.wrapping_mul(257) ^ 0x5A5A
}

#[derive(Default)]
struct Checker {
    wrong: AtomicU64,
}

impl Sink for Checker {
    fn readings(&self, batch: Batch) {
        let right = |value_: &Value| match value_ {
            Value::U64(v) => *v == u64::from(value(7)),
            Value::List(list) => {
                (7_u16..).zip(list.iter()).all(|(at, v)| *v == Value::U64(u64::from(value(at))))
            }
            _ => false,
        };
        for reading in &batch.readings {
            if reading.value().is_some_and(|v| !right(v)) {
                self.wrong.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn learned(&self, _key: &str, _fact: Option<&str>) {}
}

#[derive(Clone, Copy)]
struct Line {
    character: Duration,
    silence: Duration,
}

impl Line {
    fn new(baud: u32) -> Self {
        let character = Duration::from_secs(1) * CHARACTER_BITS / baud;
        let silence =
            if baud <= 19_200 { character.mul_f64(3.5) } else { Duration::from_micros(1_750) };
        Self { character, silence }
    }

    fn limit(self, count: u16) -> Duration {
        self.character * (13 + 2 * u32::from(count)) + self.silence * 2
    }
}

#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    /// Requests that came before the line was silent for t3.5.
    early: AtomicU64,
    running: AtomicBool,
    /// From the last character of an answer to the first of the next request.
    gaps: Mutex<Vec<Duration>>,
}

impl Tally {
    fn show_gaps(&self, line: Line) {
        let mut gaps = self.gaps.lock().unwrap().clone();
        gaps.sort_unstable();
        let at = |share: f64| gaps[((gaps.len() - 1) as f64 * share) as usize];
        if !gaps.is_empty() {
            println!(
                "    gap before a request, t3.5 = {:?}: p1 {:?} p50 {:?} p90 {:?} p99 {:?}",
                line.silence,
                at(0.01),
                at(0.5),
                at(0.9),
                at(0.99)
            );
        }
    }
}

/// Units 1 to `alive` on one line; all others are dead.
struct Slave {
    master: OwnedFd,
    _line: OwnedFd,
    at: Line,
    alive: u8,
    tally: Arc<Tally>,
}

impl Slave {
    fn open(at: Line, alive: u8) -> (Self, PathBuf) {
        use rustix::fs::{Mode, OFlags};
        use rustix::pty::OpenptFlags;
        use std::os::unix::ffi::OsStrExt as _;
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let line = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let mut settings = rustix::termios::tcgetattr(&line).unwrap();
        settings.make_raw();
        rustix::termios::tcsetattr(&line, rustix::termios::OptionalActions::Now, &settings)
            .unwrap();
        let flags = rustix::fs::fcntl_getfl(&master).unwrap();
        rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK).unwrap();
        let tally = Arc::new(Tally::default());
        (Self { master, _line: line, at, alive, tally }, path)
    }

    /// Serves until stopped. The line's time is kept by looking at the clock without sleeping.
    fn run(self, stop: &CancellationToken) {
        self.tally.running.store(true, Ordering::SeqCst);
        let mut request = Vec::new();
        // When the last character on the wire, of either side, was over.
        let mut quiet_since = Instant::now();
        while !stop.is_cancelled() {
            let mut chunk = [0_u8; 256];
            let Ok(read) = rustix::io::read(&self.master, &mut chunk) else {
                std::hint::spin_loop();
                continue;
            };
            let now = Instant::now();
            if request.is_empty() && !self.is_silent(now, quiet_since) {
                // A strict slave takes this for a part of the frame before, and drops both.
                self.tally.early.fetch_add(1, Ordering::SeqCst);
                quiet_since = now.max(quiet_since) + self.at.character * read as u32;
                continue;
            }
            if request.is_empty() && self.tally.answered.load(Ordering::SeqCst) > 0 {
                self.tally.gaps.lock().unwrap().push(now.saturating_duration_since(quiet_since));
            }
            quiet_since = now.max(quiet_since) + self.at.character * read as u32;
            request.extend_from_slice(&chunk[..read]);
            if request.len() < 8 {
                continue;
            }
            let frame = std::mem::take(&mut request);
            assert_eq!(crc16(&frame[..6]).to_le_bytes(), frame[6..8], "{frame:?}");
            if frame[0] <= self.alive {
                quiet_since = self.answer(&frame, quiet_since);
            }
        }
    }

    fn is_silent(&self, now: Instant, quiet_since: Instant) -> bool {
        now.saturating_duration_since(quiet_since) >= self.at.silence
    }

    /// Hands the answer over as the wire would; returns when its last character is over.
    fn answer(&self, request: &[u8], over: Instant) -> Instant {
        let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
        let (first, count) = (word(2), word(4));
        let mut frame = vec![request[0], request[1], (count * 2) as u8];
        for address in first..first + count {
            frame.extend(value(address).to_be_bytes());
        }
        frame.extend(crc16(&frame).to_le_bytes());
        let mut at = over + self.at.silence;
        for byte in frame {
            at += self.at.character;
            while Instant::now() < at {
                std::hint::spin_loop();
            }
            rustix::io::write(&self.master, &[byte]).unwrap();
        }
        self.tally.answered.fetch_add(1, Ordering::SeqCst);
        at
    }
}

fn crc16(bytes: &[u8]) -> u16 {
    crc::Crc::<u16>::new(&crc::CRC_16_MODBUS).checksum(bytes)
}
