//! A small file system of a test's own, mounted where it can be, and always unmounted.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::FallocateFlags;

pub const MIB: u64 = 1 << 20;

pub struct Disk {
    /// Holds the image and the mount point.
    dir: tempfile::TempDir,
    /// Loop devices of the image, the one in use last.
    devices: Vec<String>,
}

fn ran(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let command = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Disk {
    /// A tmpfs; `None` (and a word about it) where nothing may be mounted.
    pub fn tmpfs(mib: u64) -> Option<Self> {
        let disk = Self { dir: tempfile::tempdir().unwrap(), devices: Vec::new() };
        std::fs::create_dir(disk.path()).unwrap();
        let mounted = disk.mount(&["-t", "tmpfs", "-o", &format!("size={mib}M"), "tmpfs"]);
        mounted.then_some(disk)
    }

    /// An ext4 in a file, by way of a loop device.
    pub fn ext4(mib: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        File::create(&image).unwrap().set_len(mib * MIB).unwrap();
        if !ran("mkfs.ext4", &["-q", "-F", "-m", "0", image.to_str().unwrap()]) {
            eprintln!("SKIPPED: there is no mkfs.ext4");
            return None;
        }
        let mut disk = Self { dir, devices: Vec::new() };
        std::fs::create_dir(disk.path()).unwrap();
        disk.mount_image().then_some(disk)
    }

    /// By a loop device of its own each time, for one that broke down stays broken.
    fn mount_image(&mut self) -> bool {
        let mut losetup = Command::new("losetup");
        let made = losetup.args(["--show", "-f"]).arg(self.dir.path().join("image")).output();
        let device = made.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
        let Some(device) = device.ok().filter(|device| !device.is_empty()) else {
            eprintln!("SKIPPED: there is no loop device to be had");
            return false;
        };
        self.devices.push(device.clone());
        self.mount(&["-o", "errors=remount-ro", &device])
    }

    fn mount(&self, what: &[&str]) -> bool {
        let at = self.path();
        let arguments = [what, &[at.to_str().unwrap()]].concat();
        let mounted = ran("mount", &arguments);
        if !mounted {
            eprintln!("SKIPPED: nothing can be mounted here (needs root): {arguments:?}");
        }
        mounted
    }

    fn unmount(&self) {
        // Not there any more for anyone, whoever still has a file of it open.
        ran("umount", &["-l", self.path().to_str().unwrap_or_default()]);
    }

    /// Lets the kernel find an error in the file system, which makes it read-only for good.
    pub fn break_down(&self) -> bool {
        let device = self.devices.last().unwrap().trim_start_matches("/dev/");
        let done = std::fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "a test");
        if let Err(error) = &done {
            eprintln!("SKIPPED: no error of the file system can be made here: {error}");
        }
        done.is_ok()
    }

    pub fn mount_again(&mut self) {
        self.unmount();
        assert!(self.mount_image());
    }

    pub fn set_immutable(&self, name: &str, immutable: bool) -> bool {
        let how = if immutable { "+i" } else { "-i" };
        let done = ran("chattr", &[how, self.path().join(name).to_str().unwrap()]);
        if !done {
            eprintln!("SKIPPED: nothing can be made immutable here");
        }
        done
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    pub fn remount(&self, how: &str) {
        let option = format!("remount,{how}");
        assert!(ran("mount", &["-o", &option, self.path().to_str().unwrap()]), "{option}");
    }

    pub fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(self.path()).unwrap();
        found.f_bavail * found.f_frsize
    }

    /// What another program does that takes all that is left but for `leave`.
    pub fn fill(&self, leave: u64) {
        let path = self.path().join("filler");
        let mut filler = File::options().append(true).create(true).open(path).unwrap();
        for step in [MIB, 64 << 10, 4 << 10, 1 << 10] {
            let zeros = vec![0; usize::try_from(step).unwrap()];
            while self.free() >= leave + step {
                // No delayed allocation: the room is to be gone at once.
                let at = filler.metadata().unwrap().len();
                if rustix::fs::fallocate(&filler, FallocateFlags::empty(), at, step).is_err() {
                    match filler.write(&zeros) {
                        Ok(_) => {}
                        Err(error) if error.kind() == ErrorKind::StorageFull => break,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
    }

    pub fn empty(&self) {
        std::fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.unmount();
        for device in &self.devices {
            ran("losetup", &["-d", device]);
        }
    }
}

pub fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |file| file.len())
}
