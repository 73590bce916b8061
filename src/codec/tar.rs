//! Several files as one: a tar archive in the old form that everybody reads (POSIX ustar), gzipped.
//!
//! Names are short and of ASCII letters; whoever makes an archive chooses them.

use crc32fast::hash;
use miniz_oxide::deflate::compress_to_vec;

/// Everything in an archive is a multiple of this.
const BLOCK: usize = 512;
/// Bytes of a name, with the zero at its end.
const NAME_BYTES: usize = 100;
/// As fast as it is small.
const LEVEL: u8 = 6;

/// An archive that is being written.
pub struct Tar {
    bytes: Vec<u8>,
    /// Seconds since 1970 that all files have.
    time: u64,
}

impl Tar {
    pub fn new(time: u64) -> Self {
        Self { bytes: Vec::new(), time }
    }

    /// One more file. Of a name that is too long the end is left out.
    pub fn file(&mut self, name: &str, content: &[u8]) {
        let name = name.get(..name.len().min(NAME_BYTES - 1)).unwrap_or_default();
        let mut head = Vec::with_capacity(BLOCK);
        put(&mut head, name.as_bytes(), NAME_BYTES);
        for (number, width) in [(0o644, 8), (0, 8), (0, 8)] {
            octal(&mut head, number, width); // mode, owner, group
        }
        octal(&mut head, u64::try_from(content.len()).unwrap_or(u64::MAX), 12);
        octal(&mut head, self.time, 12);
        let sum_at = head.len();
        put(&mut head, b"        ", 8); // the sum counts as spaces in itself
        put(&mut head, b"0", 1); // a file
        put(&mut head, b"", NAME_BYTES); // no link
        put(&mut head, b"ustar\x0000", 8);
        let rest = BLOCK - head.len();
        put(&mut head, b"", rest);
        let sum: u64 = head.iter().map(|byte| u64::from(*byte)).sum();
        let sum = format!("{sum:06o}\0 ");
        for (to, from) in head.iter_mut().skip(sum_at).zip(sum.bytes()) {
            *to = from;
        }
        self.bytes.extend(head);
        self.bytes.extend_from_slice(content);
        let rest = content.len().next_multiple_of(BLOCK) - content.len();
        self.bytes.extend(std::iter::repeat_n(0, rest));
    }

    /// The whole archive, gzipped (RFC 1952).
    pub fn gzip(mut self) -> Vec<u8> {
        self.bytes.extend(std::iter::repeat_n(0, 2 * BLOCK));
        let mut out = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF];
        out.extend(compress_to_vec(&self.bytes, LEVEL));
        out.extend(hash(&self.bytes).to_le_bytes());
        let length = u32::try_from(self.bytes.len() & 0xFFFF_FFFF).unwrap_or(0);
        out.extend(length.to_le_bytes());
        out
    }
}

fn put(head: &mut Vec<u8>, bytes: &[u8], width: usize) {
    head.extend(bytes.iter().take(width));
    head.extend(std::iter::repeat_n(0, width.saturating_sub(bytes.len())));
}

fn octal(head: &mut Vec<u8>, number: u64, width: usize) {
    put(head, format!("{number:0>digits$o}", digits = width - 1).as_bytes(), width);
}

#[cfg(test)]
mod tests {
    use miniz_oxide::inflate::decompress_to_vec;

    use super::*;

    #[test]
    fn an_archive_is_blocks_with_sums() {
        let mut tar = Tar::new(1_700_000_000);
        tar.file("a.txt", b"hello");
        tar.file("b.bin", &[7; 600]);
        let zipped = tar.gzip();
        let whole = decompress_to_vec(&zipped[10..zipped.len() - 8]).unwrap();
        assert_eq!(whole.len(), BLOCK * (2 + 3 + 2));
        assert_eq!(&whole[..6], b"a.txt\0");
        assert_eq!(&whole[124..136], b"00000000005\0");
        assert_eq!(&whole[257..265], b"ustar\x0000");
        assert_eq!(&whole[BLOCK..BLOCK + 6], b"hello\0");
        let sum: u32 = whole[..BLOCK]
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        assert_eq!(std::str::from_utf8(&whole[148..154]).unwrap(), format!("{sum:06o}"));
        let crc =
            u32::from_le_bytes(zipped[zipped.len() - 8..zipped.len() - 4].try_into().unwrap());
        assert_eq!(crc, hash(&whole));
    }
}
