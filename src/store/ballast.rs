//! The ballast: a file that takes room only to give it back when the disk is full, for then even
//! deleting needs room.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::space::Space;

const SIZE_MAX: u64 = 16 << 20;
/// On a small file system it takes one part in so many ...
const PART: u64 = 8;
/// ... and nothing at all if that is too little to be of use.
const SIZE_MIN: u64 = 1 << 20;
/// Where room can't be reserved, zeros are written in pieces of this size.
const ZEROS: usize = 64 << 10;

pub struct Ballast {
    path: PathBuf,
}

impl Ballast {
    /// Of the store whose files lie in `place`.
    pub fn of(place: &Path) -> Self {
        Self { path: place.join("ballast") }
    }

    pub fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// How much there is to give back.
    pub fn size(&self) -> u64 {
        self.path.metadata().map_or(0, |file| file.len())
    }

    /// How much room it would take, if it is not there and should be.
    pub fn missing(&self, space: Space) -> u64 {
        let size = (space.total / PART).min(SIZE_MAX);
        if size < SIZE_MIN || self.is_there() { 0 } else { size }
    }

    /// Takes the room, really.
    pub fn make(&self, size: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).open(&self.path)?;
        let made = match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, size) {
            Err(Errno::OPNOTSUPP) => write_zeros(&file, size),
            other => other.map_err(io::Error::from),
        };
        if made.is_err() {
            self.give_up();
        }
        made
    }

    /// Gives the room back; says whether there was any.
    pub fn give_up(&self) -> bool {
        std::fs::remove_file(&self.path).is_ok()
    }
}

fn write_zeros(mut file: &File, size: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS];
    for _ in 0..size / ZEROS as u64 {
        file.write_all(&zeros)?;
    }
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn it_takes_its_room_and_gives_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::of(dir.path());
        let space = Space { total: 1 << 30, free: 0 };
        assert_eq!(ballast.missing(space), SIZE_MAX);
        ballast.make(SIZE_MAX).unwrap();
        let there = std::fs::metadata(dir.path().join("ballast")).unwrap();
        assert!(there.len() == SIZE_MAX && there.blocks() * 512 >= SIZE_MAX, "{there:?}");
        assert_eq!(ballast.missing(space), 0);
        assert!(ballast.make(1).is_err(), "it is there");
        assert!(ballast.give_up() && !ballast.give_up());
    }

    #[test]
    fn on_a_small_disk_it_is_small_and_on_a_tiny_one_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::of(dir.path());
        let missing = |mib: u64| ballast.missing(Space { total: mib << 20, free: 0 });
        assert_eq!([7, 32, 4_096].map(missing), [0, 4 << 20, 16 << 20]);
    }

    #[test]
    fn zeros_do_where_room_cannot_be_reserved() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("zeros")).unwrap();
        write_zeros(&file, 1 << 20).unwrap();
        let there = file.metadata().unwrap();
        assert!(there.len() == 1 << 20 && there.blocks() * 512 >= 1 << 20, "{there:?}");
    }
}
