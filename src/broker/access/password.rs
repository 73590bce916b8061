//! Passwords against hashes, and hashes of new passwords. Slow on purpose: not for an async task.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use ring::rand::{SecureRandom, SystemRandom};

/// Longest password taken, by the protocol (MQTT 5.0, 3.1.3.6).
pub const PASSWORD_BYTES_MAX: usize = 65_535;

/// What the PHC string format recommends.
const SALT_BYTES: usize = 16;
/// Room that is asked for, of which only what is needed is used: above 32 MiB glibc maps memory for
/// itself and gives it back, below it keeps it, for each thread that ever looked at a password. That
/// was 500 MB after a flood of logins.
const BLOCKS_MAPPED: usize = 33 * 1_024;

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
    let argon2 = Argon2::default();
    let failed = |error: &dyn std::fmt::Display| HashError::Failed(error.to_string());
    let mut salt = [0; SALT_BYTES];
    SystemRandom::new().fill(&mut salt).map_err(|_| failed(&"there are no random numbers"))?;
    let salt = Salt::new(&salt).map_err(|error| failed(&error))?;
    let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
    fill(&argon2, password, &salt, &mut out).ok_or_else(|| failed(&"there is no memory for it"))?;
    let hash = PasswordHash {
        algorithm: Algorithm::default().ident(),
        version: Some(Version::default().into()),
        params: ParamsString::try_from(argon2.params()).map_err(|error| failed(&error))?,
        salt: Some(salt),
        hash: Some(Output::new(&out).map_err(|error| failed(&error))?),
    };
    Ok(hash.to_string())
}

/// Whether a password belongs to a hash, which says itself how much work that is.
pub fn verify(password: &[u8], hash: &str) -> bool {
    let found = PasswordHash::new(hash).ok().and_then(|hash| {
        let (salt, expected) = (hash.salt.as_ref()?, hash.hash.as_ref()?);
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = hash.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
        let params = Params::try_from(&hash).ok()?;
        let mut out = [0; Output::MAX_LENGTH];
        let out = out.get_mut(..expected.len())?;
        fill(&Argon2::new(algorithm, version, params), password, salt, out)?;
        // Compared in the same time whatever differs.
        Some(Output::new(out).ok()? == *expected)
    });
    found.unwrap_or(false)
}

/// Hashes into `out`; `None` where it can't.
fn fill(argon2: &Argon2<'_>, password: &[u8], salt: &[u8], out: &mut [u8]) -> Option<()> {
    let blocks = argon2.params().block_count();
    let mut memory = Vec::new();
    memory.try_reserve_exact(blocks.max(BLOCKS_MAPPED)).ok()?;
    memory.resize(blocks, Block::default());
    argon2.hash_password_into_with_memory(password, salt, out, &mut memory).ok()
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
