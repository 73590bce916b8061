//! Payloads made smaller: the zlib format (RFC 1950), which `zlib.decompress` and its like take as it is.
//!
//! It begins with the bytes `78 9C`. None of our forms does: JSON begins with a bracket or brace, CBOR
//! with 80 to BF, and in a text `9C` never follows an `x`. So a receiver can tell without being told.

/// The level that zlib takes when nobody says: the higher ones cost several times as much for 2 % less.
const LEVEL: u8 = 6;

pub fn zlib(payload: &[u8]) -> Vec<u8> {
    miniz_oxide::deflate::compress_to_vec_zlib(payload, LEVEL)
}

#[cfg(test)]
mod tests {
    use super::*;

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
