//! Modbus ASCII on the wire: `:`, two hexadecimal characters per byte, LRC, CR LF (Modbus over
//! Serial Line V1.02, 2.5.2).
//!
//! Frames are translated to and from those of RTU, so that everything above sees one kind. A frame
//! that is damaged on the wire stays damaged: it is handed on with a CRC that is wrong.

use super::crc16;

const START: u8 = b':';
/// A unit, a PDU of at most 253 bytes and the LRC, in characters, and the CR.
const CHARACTERS_MAX: usize = 2 * 255 + 1;

/// A frame of RTU as it goes over the wire.
pub(crate) fn encode(frame: &[u8]) -> Vec<u8> {
    let body = frame.split_last_chunk::<2>().map_or(frame, |(body, _crc)| body);
    let mut characters = Vec::with_capacity(2 * body.len() + 5);
    characters.push(START);
    for byte in body.iter().chain(&[lrc(body)]) {
        characters.extend([hex(byte >> 4), hex(byte & 0x0F)]);
    }
    characters.extend(b"\r\n");
    characters
}

/// What makes the sum of all bytes of a frame zero.
fn lrc(body: &[u8]) -> u8 {
    body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 }
}

/// Takes frames out of a stream of characters.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The characters since the last colon; `None` outside of a frame.
    inside: Option<Vec<u8>>,
}

impl Decoder {
    /// Appends the frames that end in these characters to `frames`; returns the number of
    /// characters that belong to none.
    pub(crate) fn decode(&mut self, characters: &[u8], frames: &mut Vec<u8>) -> usize {
        let mut noise = 0;
        for character in characters {
            if *character == START {
                // A frame that never ended, if there was one.
                noise += self.reset();
                self.inside = Some(Vec::new());
                continue;
            }
            let Some(inside) = &mut self.inside else {
                noise += 1;
                continue;
            };
            if *character == b'\n' && inside.last() == Some(&b'\r') {
                inside.pop();
                frames.extend(frame(inside));
                self.inside = None;
                continue;
            }
            inside.push(*character);
            if inside.len() > CHARACTERS_MAX {
                noise += self.reset();
            }
        }
        noise
    }

    /// Forgets a frame that has begun; returns its characters' number.
    pub(crate) fn reset(&mut self) -> usize {
        self.inside.take().map_or(0, |inside| inside.len() + 1)
    }
}

/// The frame of RTU, with a wrong CRC if the LRC or a character is.
fn frame(characters: &[u8]) -> Vec<u8> {
    let bytes = characters.chunks(2).map_while(|pair| match pair {
        [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
        _ => None,
    });
    let mut body: Vec<u8> = bytes.collect();
    let whole = body.len() * 2 == characters.len();
    let sum = body.pop_if(|_| whole);
    let sound = whole && sum == Some(lrc(&body));
    let crc = crc16(&body);
    let crc = if sound { crc } else { !crc };
    body.extend_from_slice(&crc.to_le_bytes());
    body
}

fn nibble(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::super::frame_rtu;
    use super::*;

    /// Modbus over Serial Line V1.02 gives the form; the sum is 0x1F, so the LRC is 0xE1.
    const WIRE: &[u8] = b":110300130008D1\r\n";

    fn request() -> Vec<u8> {
        frame_rtu(0x11, &[3, 0, 0x13, 0, 8])
    }

    #[test]
    fn there_and_back() {
        assert_eq!(encode(&request()), WIRE);
        let mut frames = Vec::new();
        assert_eq!(Decoder::default().decode(WIRE, &mut frames), 0);
        assert_eq!(frames, request());
        let lower: Vec<u8> = WIRE.to_ascii_lowercase();
        frames.clear();
        assert_eq!(Decoder::default().decode(&lower, &mut frames), 0);
        assert_eq!(frames, request());
    }

    #[test]
    fn in_pieces_among_noise_and_after_a_frame_that_broke_off() {
        for pieces in 1..6 {
            let wire = [b"x\r\n0F:1103", WIRE, b"\r\n:", WIRE].concat();
            let (mut decoder, mut frames, mut noise) = (Decoder::default(), Vec::new(), 0);
            for piece in wire.chunks(pieces) {
                noise += decoder.decode(piece, &mut frames);
            }
            assert_eq!(frames, [request(), request()].concat());
            assert_eq!(noise, 13);
        }
    }

    #[test]
    fn one_wrong_character_is_never_a_sound_frame() {
        let sound = |bytes: &[u8]| {
            let (body, crc) = bytes.split_last_chunk::<2>().unwrap();
            crc16(body).to_le_bytes() == *crc
        };
        for at in 1..WIRE.len() - 2 {
            for other in (0..=255_u8).filter(|c| !c.eq_ignore_ascii_case(&WIRE[at])) {
                let mut wire = WIRE.to_vec();
                wire[at] = other;
                let mut frames = Vec::new();
                Decoder::default().decode(&wire, &mut frames);
                assert!(frames.is_empty() || !sound(&frames), "{wire:?}");
            }
        }
    }

    #[test]
    fn what_never_ends_is_bounded() {
        let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
        let noise = decoder.decode(&[b"::", vec![b'0'; 10_000].as_slice()].concat(), &mut frames);
        assert!(noise > 9_000 && frames.is_empty());
        assert!(decoder.reset() <= CHARACTERS_MAX + 1);
    }
}
