//! Password hashes as they are written: argon2id in the PHC string format, and strong enough.
//!
//! `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`. What is wrong is said without quoting the text, which
//! may be the password itself.

use crate::config::access::PasswordHash;
use crate::config::problem::Complaint;

/// The least that RFC 9106 and OWASP's guidance have in common: memory (KiB) times passes. More
/// passes make up for less memory.
const WORK_MIN: u64 = 19_456 * 2;
const MEMORY_MIN: u64 = 7 * 1024;
/// More than a gateway should spend on one login.
const MEMORY_MAX: u64 = 256 * 1024;
const PASSES_MAX: u64 = 64;
const LANES_MAX: u64 = 16;
/// Base64 digits of 8 bytes of salt and of 16 bytes of hash.
const SALT_MIN: usize = 11;
const HASH_MIN: usize = 22;
const TEXT_MAX: usize = 256;

const HINT: &str = "make it with fieldhold broker password";

/// A hash, and whether it is weak.
pub(super) fn read(text: &str) -> Result<(PasswordHash, bool), Complaint> {
    let complaint = |message: &str| Complaint::new(message).hint(HINT);
    let Some(rest) = text.strip_prefix('$').filter(|_| text.len() <= TEXT_MAX) else {
        return Err(complaint("is no password hash; the password itself does not belong here"));
    };
    let parts: Vec<&str> = rest.split('$').collect();
    let (kind, rest) = parts.split_first().unwrap_or((&"", &[]));
    if *kind != "argon2id" {
        return Err(complaint("is not a hash of argon2id"));
    }
    if let [_, memory] = rest
        && memory.starts_with("m=")
    {
        let complaint = Complaint::new("is cut off at a comma");
        return Err(complaint.hint("between braces a hash stands in quotes"));
    }
    let [version, parameters, salt, hash] = rest else {
        return Err(complaint("is a damaged hash: it has not all of its parts"));
    };
    if *version != "v=19" {
        return Err(complaint("is a hash of an old version of argon2"));
    }
    let mut numbers = [("m", None), ("t", None), ("p", None)];
    for (part, (name, number)) in parameters.split(',').zip(&mut numbers) {
        let digits = part.strip_prefix(*name).and_then(|part| part.strip_prefix('='));
        *number = digits.and_then(|digits| digits.parse::<u64>().ok());
    }
    let [(_, Some(memory)), (_, Some(passes)), (_, Some(lanes))] = numbers else {
        return Err(complaint("is a damaged hash: its parameters can't be read"));
    };
    if parameters.split(',').count() != numbers.len() {
        return Err(complaint("is a hash with parameters that are not known"));
    }
    if memory > MEMORY_MAX
        || passes > PASSES_MAX
        || lanes > LANES_MAX
        || passes == 0
        || lanes == 0
        || memory < 8 * lanes
    {
        return Err(complaint("is a hash that no login could be checked with in time"));
    }
    let is_base64 =
        |part: &&str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
    if ![salt, hash].into_iter().all(is_base64) || salt.len() < SALT_MIN || hash.len() < HASH_MIN {
        return Err(complaint("is a damaged hash: salt or hash can't be read"));
    }
    let weak = memory < MEMORY_MIN || memory.saturating_mul(passes) < WORK_MIN;
    Ok((PasswordHash(text.to_owned()), weak))
}

/// What is said of a weak one.
pub(super) fn weak() -> Complaint {
    Complaint::new("is a hash that is quickly guessed").hint(HINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: &str = "c29tZXNhbHRzb21lc2FsdA";
    const HASH: &str = "qqSCqQPLbO7RKU+qFwvGng1pxgNv8yNZ1h4P0e1n3bQ";

    #[test]
    fn a_good_hash_is_taken_and_a_weak_one_is_known() {
        for (parameters, weak) in [
            ("m=19456,t=2,p=1", false),
            ("m=7168,t=6,p=1", false),
            ("m=65536,t=3,p=4", false),
            ("m=4096,t=60,p=1", true),
            ("m=19456,t=1,p=1", true),
        ] {
            let text = format!("$argon2id$v=19${parameters}${SALT}${HASH}");
            assert_eq!(read(&text).unwrap().1, weak, "{parameters}");
        }
    }

    #[test]
    fn a_hash_without_quotes_between_braces_is_known() {
        let complaint = read("$argon2id$v=19$m=19456").unwrap_err();
        assert_eq!(complaint.hint.as_deref(), Some("between braces a hash stands in quotes"));
    }

    #[test]
    fn anything_else_is_refused_and_never_quoted() {
        for text in [
            "secret",
            "$secret",
            "$2b$10$abcdefghijklmnopqrstuv",
            "$7$101$c2VjcmV0$c2VjcmV0",
            &format!("$argon2i$v=19$m=19456,t=2,p=1${SALT}${HASH}"),
            &format!("$argon2id$v=16$m=19456,t=2,p=1${SALT}${HASH}"),
            &format!("$argon2id$v=19$m=999999999,t=2,p=1${SALT}${HASH}"),
            &format!("$argon2id$v=19$m=19456,t=0,p=1${SALT}${HASH}"),
            &format!("$argon2id$v=19$m=19456,t=2,p=1,x=3${SALT}${HASH}"),
            &format!("$argon2id$v=19$m=19456,t=2${SALT}${HASH}"),
            &format!("$argon2id$v=19$m=19456,t=2,p=1${SALT}$secret"),
            &format!("$argon2id$v=19$m=19456,t=2,p=1${SALT}"),
        ] {
            let complaint = read(text).unwrap_err();
            assert!(!complaint.message.contains("secret"), "{}", complaint.message);
            assert_eq!(complaint.hint.as_deref(), Some(HINT), "{text}");
        }
    }
}
