//! One packet after the other out of a stream of bytes.
//!
//! Invariant: what comes out is whole, so that a decoder that asks for more bytes has met a broken
//! packet. (rumqttc's own decoder takes a broken packet out of the stream and waits for more, for
//! ever.)

use bytes::{Buf, BytesMut};

use super::failure::Failure;

/// The remaining length has at most so many bytes.
const LENGTH_BYTES_MAX: usize = 4;

/// A whole packet.
pub struct Frame {
    pub bytes: BytesMut,
    /// Bytes before the variable header.
    header: usize,
}

/// The kinds of packets that decoders look at before they decode.
pub const CONNACK: u8 = 2;
pub const DISCONNECT: u8 = 14;

impl Frame {
    pub fn kind(&self) -> u8 {
        self.bytes.first().map_or(0, |byte| byte >> 4)
    }

    /// What follows the fixed header.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.header..).unwrap_or_default()
    }

    /// A byte of the body; what is left out means 0.
    pub fn code(&self, at: usize) -> u8 {
        self.body().get(at).copied().unwrap_or(0)
    }
}

/// How PUBACK begins where nothing is added, in both versions: nearly all that comes.
const PUBACK_SHORT: [u8; 2] = [0x40, 2];

/// Takes the next packet off the stream if it says, without more words, that a message was taken: the
/// packet id.
pub fn acknowledged(stream: &mut BytesMut) -> Option<u16> {
    let (begin, rest) = stream.split_first_chunk::<2>()?;
    let id = u16::from_be_bytes(*rest.first_chunk::<2>()?);
    if *begin != PUBACK_SHORT {
        return None;
    }
    stream.advance(4);
    Some(id)
}

/// Takes the next packet off the stream if all of it is there.
pub fn split(stream: &mut BytesMut, most: usize) -> Result<Option<Frame>, Failure> {
    let mut length = 0;
    let mut header = 1;
    loop {
        let Some(byte) = stream.get(header) else { return Ok(None) };
        length |= usize::from(byte & 0x7F) << (7 * (header - 1));
        header += 1;
        if byte & 0x80 == 0 {
            break;
        }
        if header > LENGTH_BYTES_MAX {
            return Err(Failure::protocol("a packet has no valid length"));
        }
    }
    if length > most {
        let words = format!("a packet has {length} bytes, of which {most} are taken");
        return Err(Failure::protocol(words));
    }
    if stream.len() < header + length {
        return Ok(None);
    }
    Ok(Some(Frame { bytes: stream.split_to(header + length), header }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_all(bytes: &[u8]) -> (Vec<(u8, usize)>, bool) {
        let mut stream = BytesMut::from(bytes);
        let mut found = Vec::new();
        loop {
            match split(&mut stream, 300) {
                Ok(Some(frame)) => found.push((frame.kind(), frame.body().len())),
                Ok(None) => return (found, true),
                Err(_) => return (found, false),
            }
        }
    }

    #[test]
    fn a_short_acknowledgement_is_taken_when_all_of_it_is_there() {
        let mut stream = BytesMut::from(&[0x40, 2, 1, 2, 0x40, 2, 0][..]);
        assert_eq!(acknowledged(&mut stream), Some(0x102));
        assert_eq!(acknowledged(&mut stream), None);
        assert_eq!(&stream[..], [0x40, 2, 0]);
        for other in [&[0x40, 3, 0, 1, 0x10][..], &[0x50, 2, 0, 1], &[]] {
            let mut stream = BytesMut::from(other);
            assert_eq!((acknowledged(&mut stream), &stream[..]), (None, other));
        }
    }

    #[test]
    fn a_stream_is_cut_at_its_packets() {
        assert_eq!(split_all(&[0xD0, 0, 0x40, 2, 0, 1, 0xD0]), (vec![(13, 0), (4, 2)], true));
        assert_eq!(split_all(&[0x30, 0x81]), (vec![], true), "the length is not there yet");
        let mut long = vec![0x30, 0x81, 0x01];
        long.extend([0; 129]);
        assert_eq!(split_all(&long), (vec![(3, 129)], true));
        assert_eq!(split_all(&[0xD0, 0, 0x30, 0xAD, 0x02]), (vec![(13, 0)], false), "301 bytes");
        assert_eq!(split_all(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1]), (vec![], false));
        assert_eq!(split_all(&[]), (vec![], true));
    }
}
