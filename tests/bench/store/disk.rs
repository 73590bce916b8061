//! An ext4 of its own on a loop device with direct I/O, whose counters tell to the byte what was
//! written to it. Needs root.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What a device was asked to do since it was attached.
#[derive(Debug, Clone, Copy)]
pub struct Counters {
    pub bytes_written: u64,
    pub writes: u64,
    pub flushes: u64,
    /// Commits of the file system's journal.
    pub journal_commits: u64,
}

impl Counters {
    pub fn since(self, before: Self) -> Self {
        Self {
            bytes_written: self.bytes_written - before.bytes_written,
            writes: self.writes - before.writes,
            flushes: self.flushes - before.flushes,
            journal_commits: self.journal_commits - before.journal_commits,
        }
    }
}

/// Unmounted and detached when it goes.
pub struct LoopDisk {
    device: String,
    place: tempfile::TempDir,
}

impl LoopDisk {
    /// `None`, said loudly, where that is not possible.
    pub fn make(bytes: u64) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("SKIPPED: a loop device needs root");
            return None;
        }
        let place = tempfile::tempdir().unwrap();
        let image = place.path().join("image");
        std::fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        let image = image.to_str().unwrap().to_owned();
        run("mkfs.ext4", &["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", &image])?;
        let device = run("losetup", &["--direct-io=on", "-f", "--show", &image])?;
        let disk = Self { device: device.trim().to_owned(), place };
        let mount = disk.path();
        std::fs::create_dir(&mount).unwrap();
        run("mount", &["-o", "noatime", &disk.device, mount.to_str().unwrap()])?;
        Some(disk)
    }

    pub fn path(&self) -> PathBuf {
        self.place.path().join("mount")
    }

    /// After everything that is under way has reached the device.
    pub fn settled(&self) -> Counters {
        run("sync", &["-f", self.path().to_str().unwrap()]);
        self.counters()
    }

    pub fn counters(&self) -> Counters {
        let name = Path::new(&self.device).file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(format!("/sys/block/{name}/stat")).unwrap();
        // Fields of Documentation/block/stat.rst; a sector is 512 bytes whatever the device's is.
        let fields: Vec<u64> = text.split_whitespace().map(|f| f.parse().unwrap()).collect();
        // The journal's inode is 8; the first word tells the transactions so far.
        let journal = std::fs::read_to_string(format!("/proc/fs/jbd2/{name}-8/info")).unwrap();
        let journal_commits = journal.split_whitespace().next().unwrap().parse().unwrap();
        Counters {
            bytes_written: fields[6] * 512,
            writes: fields[4],
            flushes: fields[15],
            journal_commits,
        }
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        run("umount", &[self.path().to_str().unwrap()]);
        run("losetup", &["-d", &self.device]);
    }
}

/// What a program says, or `None`, said loudly, if it fails.
fn run(program: &str, args: &[&str]) -> Option<String> {
    match Command::new(program).args(args).output() {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => {
            println!("SKIPPED: {program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
            None
        }
        Err(error) => {
            println!("SKIPPED: {program}: {error}");
            None
        }
    }
}
