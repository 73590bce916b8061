//! Passwords against hashes, and hashes of new passwords. Slow on purpose: not for an async task.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

/// Longest password taken, by the protocol (MQTT 5.0, 3.1.3.6).
pub const PASSWORD_BYTES_MAX: usize = 65_535;

#[derive(Debug, thiserror::Error)]
pub enum HashError {
    #[error("the password is empty")]
    Empty,
    #[error("the password has more than {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    #[error("the password can't be hashed: {0}")]
    Failed(String),
}

/// The line's value for the configuration: argon2id with 19 MiB and two passes, which OWASP
/// recommends and a small gateway can bear.
pub fn hash_password(password: &[u8]) -> Result<String, HashError> {
    match password.len() {
        0 => return Err(HashError::Empty),
        1..=PASSWORD_BYTES_MAX => {}
        _ => return Err(HashError::TooLong),
    }
    let hash = Argon2::default().hash_password(password);
    hash.map(|hash| hash.to_string()).map_err(|error| HashError::Failed(error.to_string()))
}

/// Whether a password belongs to a hash, which says itself how much work that is.
pub fn verify(password: &[u8], hash: &str) -> bool {
    Argon2::default().verify_password(password, hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_belongs_to_its_hash_alone() {
        let hash = hash_password("Grüße".as_bytes()).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify("Grüße".as_bytes(), &hash));
        assert!(!verify(b"Gr\xFC\xDFe", &hash) && !verify(b"", &hash));
        assert_ne!(hash, hash_password("Grüße".as_bytes()).unwrap(), "each has its own salt");
        assert!(!verify(b"x", "no hash"));
        assert!(matches!(hash_password(b""), Err(HashError::Empty)));
    }

    /// Made with libargon2, which others use.
    #[test]
    fn hashes_of_others_are_understood_with_their_parameters() {
        let hash = "$argon2id$v=19$m=8192,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$Ev4uZjQwdBSwAVbfJVOTz5LLcjz5fkFL1W0gTT2bs/M";
        assert!(verify(b"secret", hash) && !verify(b"Secret", hash));
        assert!(!verify(b"secret", &hash.replace("t=3", "t=2")));
    }
}
