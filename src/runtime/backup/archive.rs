//! Files one after the other in a stream: for each a line of JSON that says what it is, then its
//! bytes; the end is an empty line. Names are what this program gives them, and are checked all the
//! same: nothing in an archive is ever written outside of where it belongs.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::seal::SealError;

/// Bytes of one line about a file.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative, and below itself.
    pub name: PathBuf,
    pub bytes: u64,
    pub mode: u32,
}

pub struct Writing<W: Write>(W);

impl<W: Write> Writing<W> {
    pub fn new(to: W) -> Self {
        Self(to)
    }

    pub fn file(&mut self, name: &Path, mode: u32, bytes: u64, from: impl Read) -> io::Result<()> {
        let entry = Entry { name: name.to_owned(), bytes, mode };
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        self.0.write_all(&line)?;
        let copied = io::copy(&mut from.take(bytes), &mut self.0)?;
        if copied != bytes {
            let why = format!("{} became shorter meanwhile", name.display());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<W> {
        self.0.write_all(b"\n")?;
        Ok(self.0)
    }
}

pub struct Reading<R: Read>(BufReader<R>);

impl<R: Read> Reading<R> {
    pub fn new(from: R) -> Self {
        Self(BufReader::new(from))
    }

    /// The next file; its bytes have to be read before the one after it. `None` at the end, which is
    /// the end of everything.
    pub fn entry(&mut self) -> Result<Option<(Entry, impl Read + '_)>, SealError> {
        let mut line = Vec::new();
        let read = self.0.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        read.map_err(SealError::of)?;
        if line == b"\n" {
            let more = self.0.fill_buf().map_err(SealError::of)?;
            return if more.is_empty() { Ok(None) } else { Err(SealError::Damaged) };
        }
        let entry: Entry = serde_json::from_slice(&line).map_err(|_| SealError::Damaged)?;
        if !is_inside(&entry.name) {
            return Err(SealError::Damaged);
        }
        let bytes = entry.bytes;
        Ok(Some((entry, self.0.by_ref().take(bytes))))
    }
}

/// Whether a path stays below where it begins.
pub fn is_inside(path: &Path) -> bool {
    let mut parts = path.components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(names: &[&str]) -> Vec<u8> {
        let mut writing = Writing::new(Vec::new());
        for name in names {
            writing.file(Path::new(name), 0o600, 5, &b"hello, and more"[..]).unwrap();
        }
        writing.finish().unwrap()
    }

    fn names(bytes: &[u8]) -> Result<Vec<String>, SealError> {
        let mut reading = Reading::new(bytes);
        let mut names = Vec::new();
        while let Some((entry, mut body)) = reading.entry()? {
            let mut text = String::new();
            body.read_to_string(&mut text).unwrap();
            names.push(format!("{}={text}", entry.name.display()));
        }
        Ok(names)
    }

    #[test]
    fn files_come_back_in_their_order_and_stay_inside() {
        let bytes = archive(&["config/a.yaml", "state/b/c"]);
        assert_eq!(names(&bytes).unwrap(), ["config/a.yaml=hello", "state/b/c=hello"]);
        for name in ["../x", "/etc/passwd", "a/../../x", "", "."] {
            assert!(matches!(names(&archive(&[name])), Err(SealError::Damaged)), "{name}");
        }
        let shorter = Writing::new(Vec::new()).file(Path::new("a"), 0o600, 50, &b"hello"[..]);
        assert_eq!(shorter.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(names(&bytes[..bytes.len() - 1]).is_err(), "no end");
        assert!(names(&[bytes.as_slice(), b"more"].concat()).is_err(), "more than the end");
    }
}
