//! Passwords that were right: a thousand clients that come back cost no thousand verifications.
//!
//! Kept is not the password but its MAC under a key of this process, with the hash it belongs to. A
//! hash that is no user's any more is forgotten when the users change, so a new password is verified
//! anew. A wrong password is never kept: guessing stays as slow as it is meant to be.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ring::hmac;
use ring::rand::SystemRandom;

use super::Access;

/// Passwords that are known; there can be as many users.
const KNOWN_MAX: usize = 10_000;

pub struct Verified {
    /// `None` if the system has no randomness: then nothing is kept.
    key: Option<hmac::Key>,
    known: HashMap<Arc<str>, hmac::Tag>,
    /// Whose hashes these are.
    users: Option<Arc<Access>>,
}

impl Verified {
    pub fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok();
        Self { key, known: HashMap::new(), users: None }
    }

    /// Forgets the hashes that nobody has among these users, if they are others than before.
    pub fn follow(&mut self, users: &Arc<Access>) {
        if self.users.as_ref().is_some_and(|before| Arc::ptr_eq(before, users)) {
            return;
        }
        let hashes: HashSet<&str> = users.hashes().collect();
        self.known.retain(|hash, _| hashes.contains(&**hash));
        self.users = Some(Arc::clone(users));
    }

    /// Whether `password` was found to be that of `hash`.
    pub fn was_right(&self, hash: &str, password: &[u8]) -> bool {
        let Some((key, tag)) = self.key.as_ref().zip(self.known.get(hash)) else { return false };
        hmac::verify(key, password, tag.as_ref()).is_ok()
    }

    /// Remembers that `password` is that of `hash`.
    pub fn keep(&mut self, hash: &Arc<str>, password: &[u8]) {
        let Some(key) = &self.key else { return };
        if self.known.len() < KNOWN_MAX {
            self.known.insert(Arc::clone(hash), hmac::sign(key, password));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::tests::rig::{door, limits};
    use crate::config::{BrokerPlan, Grant, PasswordHash, UserPlan};

    fn users(hashes: &[&str]) -> Arc<Access> {
        let user = |hash: &&str| UserPlan {
            name: format!("user of {hash}"),
            password: Some(PasswordHash((*hash).to_owned())),
            grants: vec![Grant::Everything],
        };
        let users = hashes.iter().map(user).collect();
        Arc::new(Access::of(&BrokerPlan { listeners: vec![door()], users, limits: limits() }))
    }

    #[test]
    fn a_right_password_is_known_until_its_hash_is_nobodys() {
        let mut verified = Verified::new();
        verified.follow(&users(&["$a", "$b"]));
        assert!(!verified.was_right("$a", b"secret"));
        verified.keep(&"$a".into(), b"secret");
        verified.keep(&"$b".into(), b"other");
        assert!(verified.was_right("$a", b"secret") && verified.was_right("$b", b"other"));
        for (hash, password) in [("$a", "other"), ("$a", ""), ("$a", "secret\0"), ("$c", "secret")]
        {
            assert!(!verified.was_right(hash, password.as_bytes()), "{hash} {password}");
        }
        verified.follow(&users(&["$b", "$c"]));
        assert!(!verified.was_right("$a", b"secret"));
        assert!(verified.was_right("$b", b"other"), "others are not concerned");
    }
}
