//! Packet captures in the classic pcap format, as Wireshark, tshark and tcpdump read it. Pure.
//!
//! (Source: draft-ietf-opsawg-pcap; link types: www.tcpdump.org/linktypes.html.)

mod tcp;

pub use tcp::{Conversation, Side};

/// What the packets of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkType {
    Ethernet,
    /// For private use, the first and second of sixteen: the reader is told what they carry.
    User0,
    User1,
}

/// The longest packet that the file promises.
const SNAP_BYTES: u32 = 65_535;
const MICROS: i64 = 1_000_000;

/// A file under construction.
#[derive(Debug)]
pub struct Pcap(Vec<u8>);

impl Pcap {
    pub fn new(link: LinkType) -> Self {
        let number: u32 = match link {
            LinkType::Ethernet => 1,
            LinkType::User0 => 147,
            LinkType::User1 => 148,
        };
        let mut out = Vec::new();
        out.extend(0xA1B2_C3D4_u32.to_le_bytes()); // microseconds, in this byte order
        out.extend(2_u16.to_le_bytes());
        out.extend(4_u16.to_le_bytes());
        out.extend([0; 8]); // time zone and accuracy: unused
        out.extend(SNAP_BYTES.to_le_bytes());
        out.extend(number.to_le_bytes());
        Self(out)
    }

    /// A packet at this time, in microseconds since 1970; one beyond the limit is cut, and its true
    /// length said.
    pub fn packet(&mut self, at_us: i64, bytes: &[u8]) {
        let snap = usize::try_from(SNAP_BYTES).unwrap_or(usize::MAX);
        let kept = bytes.get(..snap).unwrap_or(bytes);
        let second = u32::try_from(at_us.div_euclid(MICROS)).unwrap_or(0);
        let micros = u32::try_from(at_us.rem_euclid(MICROS)).unwrap_or(0);
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        for word in [second, micros, length(kept), length(bytes)] {
            self.0.extend(word.to_le_bytes());
        }
        self.0.extend_from_slice(kept);
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_laid_out_as_the_format_says() {
        let mut pcap = Pcap::new(LinkType::User0);
        pcap.packet(1_700_000_000_250_001, &[1, 2, 3]);
        let bytes = pcap.into_bytes();
        assert_eq!(bytes.len(), 24 + 16 + 3);
        assert_eq!(bytes[..8], [0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0]);
        assert_eq!(bytes[20..24], 147_u32.to_le_bytes());
        assert_eq!(bytes[24..28], 1_700_000_000_u32.to_le_bytes());
        assert_eq!(bytes[28..32], 250_001_u32.to_le_bytes());
        assert_eq!(bytes[32..], [3, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3]);
    }

    #[test]
    fn a_packet_that_is_too_long_is_cut_and_its_length_said() {
        let mut pcap = Pcap::new(LinkType::Ethernet);
        pcap.packet(-5, &[9; 70_000]);
        let bytes = pcap.into_bytes();
        assert_eq!(bytes.len(), 24 + 16 + 65_535);
        assert_eq!(bytes[36..40], 70_000_u32.to_le_bytes());
    }
}
