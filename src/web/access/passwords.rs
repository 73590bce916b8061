//! Passwords hashed and verified: work of tens of milliseconds and megabytes, on purpose. One at a time
//! and away from the async threads; so many may wait for their turn, one more is turned away.

use std::sync::{Arc, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::broker::{hash_password, verify_password};

/// Requests that wait for their turn, the one whose turn it is among them.
const WAITING_MAX: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordsError {
    #[error("too many sign in at the same time; try again in a moment")]
    Busy,
    #[error("the password can't be hashed")]
    Failed,
}

pub struct Passwords {
    waiting: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// The right to work on a password now.
pub struct Turn {
    _turn: OwnedSemaphorePermit,
    _waiting: OwnedSemaphorePermit,
}

impl Passwords {
    pub fn new() -> Self {
        Self { waiting: Arc::new(Semaphore::new(WAITING_MAX)), turns: Arc::new(Semaphore::new(1)) }
    }

    pub async fn turn(&self) -> Result<Turn, PasswordsError> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned();
        let waiting = waiting.map_err(|_| PasswordsError::Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| PasswordsError::Busy)?;
        Ok(Turn { _turn: turn, _waiting: waiting })
    }
}

impl Turn {
    pub async fn hash(self, password: String) -> Result<String, PasswordsError> {
        // The turn goes along, so that it is over when the work is, whoever still waits for that.
        let work = move || (hash_password(password.as_bytes()), self);
        match crate::runtime::blocking(work).await {
            Ok((Ok(hash), _)) => Ok(hash),
            Ok((Err(_), _)) | Err(_) => Err(PasswordsError::Failed),
        }
    }

    /// Whether a password is that of this hash. Nobody's takes as long as anybody's, so that names
    /// can't be told from others by the time.
    pub async fn verify(self, password: String, hash: Option<String>) -> bool {
        let work = move || {
            let is_right = match &hash {
                Some(hash) => verify_password(password.as_bytes(), hash),
                None => {
                    verify_password(password.as_bytes(), decoy());
                    false
                }
            };
            (is_right, self)
        };
        crate::runtime::blocking(work).await.is_ok_and(|(is_right, _)| is_right)
    }
}

/// The hash of a password that nobody has.
fn decoy() -> &'static str {
    static DECOY: OnceLock<String> = OnceLock::new();
    DECOY.get_or_init(|| {
        super::secret::token()
            .ok()
            .and_then(|secret| hash_password(secret.as_bytes()).ok())
            .unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_that_of_its_hash_and_nobodys_of_none() {
        let passwords = Passwords::new();
        let hash = passwords.turn().await.unwrap().hash("korrekt pferd".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        for (password, hash, want) in [
            ("korrekt pferd", Some(hash.clone()), true),
            ("korrekt pfera", Some(hash.clone()), false),
            ("korrekt pferd", None, false),
            ("", Some(String::new()), false),
        ] {
            let turn = passwords.turn().await.unwrap();
            assert_eq!(turn.verify(password.into(), hash).await, want, "{password}");
        }
    }

    #[tokio::test]
    async fn so_many_wait_for_their_turn_and_one_more_is_turned_away() {
        let passwords = Arc::new(Passwords::new());
        let first = passwords.turn().await.unwrap();
        let mut others = tokio::task::JoinSet::new();
        for _ in 1..WAITING_MAX {
            let passwords = Arc::clone(&passwords);
            others.spawn(async move { passwords.turn().await.is_ok() });
        }
        while passwords.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(passwords.turn().await.err(), Some(PasswordsError::Busy));
        drop(first);
        while let Some(turn) = others.join_next().await {
            assert!(turn.unwrap(), "each has its turn when the one before is over");
        }
        assert!(passwords.turn().await.is_ok());
    }
}
