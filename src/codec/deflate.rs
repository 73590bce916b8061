//! Payloads made smaller: the zlib format (RFC 1950), which `zlib.decompress` and its like take as it is.
//!
//! It begins with the bytes `78 9C`. None of our forms does: JSON begins with a bracket or brace, CBOR
//! with 80 to BF, and in a text `9C` never follows an `x`. So a receiver can tell without being told.

/// The level that zlib takes when nobody says: the higher ones cost several times as much for 2 % less.
const LEVEL: u8 = 6;

pub fn zlib(payload: &[u8]) -> Vec<u8> {
    miniz_oxide::deflate::compress_to_vec_zlib(payload, LEVEL)
}

/// The most by which a payload of this length grows if there is nothing to make smaller: it is stored
/// in blocks then, between a head of 2 bytes and a checksum of 4.
pub fn growth_max(bytes: usize) -> usize {
    6 + STORED_BLOCK_BYTES * (2 + bytes / STORED_BYTES_MIN)
}

/// Before each stored block.
const STORED_BLOCK_BYTES: usize = 6;
/// What a stored block holds at least, but for the last.
const STORED_BYTES_MIN: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Of noise, and of noise between words.
        #[test]
        fn what_cannot_be_made_smaller_grows_within_the_bound(
            noise in prop::collection::vec(any::<u8>(), 0..400),
            length in 0..40_000_usize,
            word in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut state = noise.iter().fold(1_u64, |state, byte| state * 31 % 65_521 + u64::from(*byte));
            let mut payload = noise;
            while payload.len() < length {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                payload.extend(state.to_be_bytes().into_iter().take(5));
                if state % 97 == 0 {
                    payload.extend(&word);
                }
            }
            let grown = zlib(&payload).len().saturating_sub(payload.len());
            prop_assert!(grown <= growth_max(payload.len()), "{} of {}", grown, payload.len());
        }
    }

    #[test]
    fn it_comes_back_and_is_known_by_its_beginning() {
        for payload in [&b""[..], b"x", &[b'a'; 100_000], b"{\"v\":231.42,\"ts\":1700000000000}"] {
            let small = zlib(payload);
            assert_eq!(small.get(..2), Some(&[0x78, 0x9C][..]));
            let back = miniz_oxide::inflate::decompress_to_vec_zlib(&small).unwrap();
            assert_eq!(back, payload);
        }
    }
}
