//! Secrets that the gateway makes: the tokens of sessions and programs. It keeps their digests only.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

/// 256 bits: nobody guesses one, so a plain digest is enough to know it again.
const TOKEN_BYTES: usize = 32;
/// What base64 makes of them, and what stands before a token for programs.
pub const TOKEN_CHARACTERS_MAX: usize = 64;

/// The system has no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness;

/// SHA-256 of a secret, in hexadecimal digits where it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// A new secret: letters, digits, `-` and `_`.
pub fn token() -> Result<String, NoRandomness> {
    let mut bytes = [0; TOKEN_BYTES];
    fill(&mut bytes)?;
    Ok(Base64UrlUnpadded::encode_string(&bytes))
}

pub fn fill(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    SystemRandom::new().fill(bytes).map_err(|_| NoRandomness)
}

impl Digest {
    pub fn of(secret: &str) -> Self {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(digest(&SHA256, secret.as_bytes()).as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const WRONG: &str = "a digest has 64 hexadecimal digits";
        if text.len() != 64 || !text.is_ascii() {
            return Err(WRONG);
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * i..2 * i + 2).unwrap_or_default();
            *byte = u8::from_str_radix(digits, 16).map_err(|_| WRONG)?;
        }
        Ok(Self(bytes))
    }
}

/// Its beginning is enough to tell one from another.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, ..] = self.0;
        write!(f, "Digest({a:02x}{b:02x}…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_are_known_by_their_digest() {
        let (one, two) = (token().unwrap(), token().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 43);
        assert!(one.len() <= TOKEN_CHARACTERS_MAX);
        assert_ne!(Digest::of(&one), Digest::of(&two));
        assert_eq!(Digest::of(&one), Digest::of(&one.clone()));
        assert!(!format!("{:?}", Digest::of(&one)).contains(&one));
    }

    #[test]
    fn a_digest_is_kept_as_text() {
        let digest = Digest::of("abc");
        let text = serde_json::to_string(&digest).unwrap();
        // FIPS 180-2, B.1.
        assert_eq!(text, "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"");
        assert_eq!(serde_json::from_str::<Digest>(&text).unwrap(), digest);
        for wrong in ["\"\"", "\"zz\"", &text.replace('b', "g"), &text.replace("ba", "é")] {
            assert!(serde_json::from_str::<Digest>(wrong).is_err(), "{wrong}");
        }
    }
}
