//! Shutdowns of a real ext4, with an oracle: what a child said was safe must be there.
//!
//! A file system in a file, on a loop device, is shut down by `EXT4_IOC_SHUTDOWN` without flushing
//! its journal: what was not synced is gone, as after a power cut. Needs root, mkfs.ext4 and loop
//! devices; where they are missing it says so and proves nothing. The child is this test binary
//! again, in the test `child`.

#![allow(unsafe_code, reason = "an ioctl has no safe form")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fieldhold::model::{Class, ManualClock, Message, Mono, Name, Qos, Seq, TopicName, Wall};
use fieldhold::store::{Body, ConsumerSpec, Options, Policy, Settled, Store};

/// Shutdowns in the short form; `FIELDHOLD_EXT4_CYCLES` makes it more.
const CYCLES: u32 = 3;
const DIR: &str = "FIELDHOLD_EXT4_DIR";
const FIRST: &str = "FIELDHOLD_EXT4_FIRST";
const IMAGE_BYTES: u64 = 48 << 20;

fn open(dir: &Path) -> Store {
    let options = Options {
        dir: Some(dir.to_owned()),
        commit: Duration::from_millis(20),
        max_bytes: Some(1 << 30),
        max_age: Duration::from_secs(86_400),
        ram_bytes: 1 << 20,
        write_behind: true,
        endurance_bytes: 4_000_000_000_000,
    };
    let clock = ManualClock::new(Mono(1_000), Wall(1_700_000_000_000));
    let store = Store::open(options, Arc::new(clock)).unwrap();
    store.set_consumers(&[ConsumerSpec {
        name: Name::new("cloud").unwrap(),
        policy: Policy::Required,
    }]);
    store
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Appends messages and says which are safe, until its file system is gone.
#[test]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let mut nonce: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let store = open(Path::new(&dir));
    loop {
        let message = Message {
            topic: TopicName::new("lan/x").unwrap(),
            payload: nonce.to_le_bytes().as_slice().into(),
            qos: Qos::AtLeastOnce,
            retain: false,
            at: Mono(1_000),
        };
        let commit = store.append_message(Class::Normal, message);
        let seq = commit.seq().0;
        if run(commit.wait()).is_err() {
            return;
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "D {seq} {nonce}").unwrap();
        out.flush().unwrap();
        nonce += 1;
    }
}

/// A file system that is unmounted and gone when this is dropped, whatever happened.
struct Ext4 {
    dir: tempfile::TempDir,
    device: String,
}

fn tool(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|e| e.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

impl Ext4 {
    fn new() -> Result<Self, String> {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        File::create(&image).and_then(|file| file.set_len(IMAGE_BYTES)).unwrap();
        std::fs::create_dir(dir.path().join("mount")).unwrap();
        tool("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()])?;
        let device = tool("losetup", &["--find", "--show", image.to_str().unwrap()])?;
        let ext4 = Self { dir, device };
        ext4.mount()?;
        Ok(ext4)
    }

    fn place(&self) -> PathBuf {
        self.dir.path().join("mount")
    }

    fn mount(&self) -> Result<(), String> {
        tool("mount", &["-t", "ext4", &self.device, self.place().to_str().unwrap()]).map(|_| ())
    }

    fn unmount(&self) -> Result<(), String> {
        tool("umount", &[self.place().to_str().unwrap()]).map(|_| ())
    }

    /// Everything that is not on the device is lost; the journal is not flushed.
    fn shut_down(&self) -> Result<(), String> {
        const EXT4_IOC_SHUTDOWN: rustix::ioctl::Opcode = 0x8004_587d;
        const NO_LOG_FLUSH: u32 = 2;
        let root = File::open(self.place()).map_err(|error| error.to_string())?;
        // SAFETY: this opcode takes a pointer to one u32 and writes nothing.
        let done = unsafe {
            let call = rustix::ioctl::Setter::<EXT4_IOC_SHUTDOWN, u32>::new(NO_LOG_FLUSH);
            rustix::ioctl::ioctl(root.as_fd(), call)
        };
        done.map_err(|error| error.to_string())
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        let _ = self.unmount(); // Not mounted if mounting failed.
        if let Err(error) = tool("losetup", &["--detach", &self.device]) {
            eprintln!("{} stays: {error}", self.device);
        }
    }
}

/// What is there, by position.
fn contents(store: &Store) -> Vec<(u64, u64)> {
    let cloud = store.consumer("cloud").unwrap();
    let mut there = Vec::new();
    for range in cloud.position(Class::Normal).unsettled {
        let mut at = range.start;
        while at < range.end {
            let entries = run(cloud.read(Class::Normal, at..range.end, 1 << 20)).unwrap();
            let Some(last) = entries.last() else { break };
            at = last.range().end;
            for entry in &entries {
                let Body::Message(message) = &entry.body else { panic!("only messages were sent") };
                let bytes = message.payload[..].try_into().unwrap();
                there.push((entry.seq.0, u64::from_le_bytes(bytes)));
            }
        }
    }
    there
}

#[test]
fn nothing_that_was_safe_is_lost_when_ext4_is_shut_down() {
    let cycles = std::env::var("FIELDHOLD_EXT4_CYCLES").ok();
    let cycles: u32 = cycles.map_or(CYCLES, |text| text.parse().expect("a number of cycles"));
    let ext4 = match Ext4::new() {
        Ok(ext4) => ext4,
        Err(why) => {
            return eprintln!("SKIPPED, nothing is proven: no ext4 on a loop device: {why}");
        }
    };
    let (mut lost, mut safe_total, mut nonce) = (Vec::new(), 0, 0);
    for cycle in 1..=cycles {
        // Every other cycle begins with a new store, whose files still grow.
        if cycle % 2 == 1 {
            let _ = std::fs::remove_dir_all(ext4.place().join("state"));
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(DIR, ext4.place().join("state"))
            .env(FIRST, nonce.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut safe = BTreeSet::new();
        let mut hear = |line: &str| {
            // The harness writes a line of its own first, without an end.
            let Some((_, words)) = line.split_once("D ") else { return };
            let (seq, said) = words.split_once(' ').unwrap();
            safe.insert((seq.parse::<u64>().unwrap(), said.parse::<u64>().unwrap()));
        };
        // Shut down after so many lines: in the middle of some commit.
        for _ in 0..fastrand::u32(1..200) {
            let Some(Ok(line)) = lines.next() else { break };
            hear(&line);
        }
        let down = ext4.shut_down();
        child.kill().unwrap();
        lines.map_while(Result::ok).for_each(|line| hear(&line));
        child.wait().unwrap();
        down.unwrap();
        ext4.unmount().unwrap();
        ext4.mount().unwrap();

        let store = open(&ext4.place().join("state"));
        assert!(store.status().quarantined.is_empty(), "{:?}", store.status().quarantined);
        let there: BTreeSet<_> = contents(&store).into_iter().collect();
        lost.extend(safe.difference(&there).map(|what| (cycle, *what)));
        nonce += 1 + safe.len() as u64 + 1_000;
        safe_total += safe.len();
        let cloud = store.consumer("cloud").unwrap();
        cloud.settle(Class::Normal, &[Seq(0)..Seq(u64::MAX)], Settled::Delivered);
        store.close();
    }
    println!("{cycles} shutdowns, {safe_total} messages were safe, {} are lost", lost.len());
    assert!(lost.is_empty(), "{lost:?}");
    assert!(safe_total > 0, "nothing was ever safe: the test tests nothing");
}
