//! The bytes of a record: numbers in big endian, texts and lists with their length in front.
//!
//! Reading never panics: whatever does not fit is `None`, and so is the record.

use bytes::{BufMut, Bytes};

/// Writes fields one after the other.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn new(version: u8) -> Self {
        Self(vec![version])
    }

    pub fn byte(&mut self, value: u8) -> &mut Self {
        self.0.put_u8(value);
        self
    }

    pub fn flag(&mut self, value: bool) -> &mut Self {
        self.byte(u8::from(value))
    }

    pub fn short(&mut self, value: u16) -> &mut Self {
        self.0.put_u16(value);
        self
    }

    pub fn word(&mut self, value: u32) -> &mut Self {
        self.0.put_u32(value);
        self
    }

    pub fn long(&mut self, value: u64) -> &mut Self {
        self.0.put_u64(value);
        self
    }

    pub fn signed(&mut self, value: i64) -> &mut Self {
        self.0.put_i64(value);
        self
    }

    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.count(value.len());
        self.0.put_slice(value);
        self
    }

    pub fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    /// Nothing in a record is longer than a packet or a bounded queue.
    pub fn count(&mut self, count: usize) -> &mut Self {
        self.word(u32::try_from(count).unwrap_or(u32::MAX))
    }

    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) -> &mut Self {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
        self
    }

    pub fn list<T>(
        &mut self,
        values: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.count(values.len());
        for value in values {
            write(self, value);
        }
        self
    }

    pub fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.0).into()
    }
}

/// Reads fields one after the other.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// `None` if the record is of another version.
    pub fn new(bytes: &'a [u8], version: u8) -> Option<Self> {
        let (first, rest) = bytes.split_first()?;
        (*first == version).then_some(Self(rest))
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    pub fn byte(&mut self) -> Option<u8> {
        self.take().map(u8::from_be_bytes)
    }

    pub fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub fn short(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    pub fn word(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    pub fn long(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    pub fn signed(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }

    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.word()?).ok()?;
        let (field, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// `Some(None)` is a field that is not there.
    pub fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }

    /// Reserves nothing for a count that the bytes don't hold.
    pub fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.word()?;
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(read(self)?);
        }
        Some(values)
    }

    /// The record, if nothing is left over.
    pub fn end<T>(self, record: T) -> Option<T> {
        self.0.is_empty().then_some(record)
    }
}
