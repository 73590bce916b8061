//! Lets clients in: asks [`Access`] who they are, and looks at passwords where that decides.
//!
//! A password that was right before is known again. Others are verified away from the async threads,
//! few at a time: a verification takes tens of milliseconds and megabytes. Whoever waits for one
//! waits within the time for its CONNECT.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};

use super::throttle::Throttle;
use super::verified::Verified;
use super::{Access, Answer, Claim, Login, password};
use crate::broker::packet::{Password, Reason};
use crate::broker::peer::Peer;
use crate::broker::status::Counters;
use crate::model::Clock;

/// Passwords verified at a time.
const VERIFICATIONS_MAX: usize = 2;

/// Where an attempt comes from, and who it says it is.
#[derive(Clone, Copy)]
struct Guess<'a> {
    ip: Option<IpAddr>,
    user: &'a str,
}

pub struct Guard {
    access: watch::Receiver<Arc<Access>>,
    throttle: Mutex<Throttle>,
    verified: Mutex<Verified>,
    verifications: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
}

impl Guard {
    pub fn new(
        access: watch::Receiver<Arc<Access>>,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
    ) -> Self {
        let verifications = Arc::new(Semaphore::new(VERIFICATIONS_MAX));
        let verified = Mutex::new(Verified::new());
        Self { access, throttle: Mutex::default(), verified, verifications, clock, counters }
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verified(&self) -> MutexGuard<'_, Verified> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who the client is, or why it is not let in.
    pub async fn login(
        &self,
        claim: Claim<'_>,
        password: Option<Password>,
        peer: Peer,
    ) -> Result<Login, Reason> {
        let answer = self.access.borrow().answer(&claim);
        let (hash, login) = match answer {
            Answer::Enter(login) => return Ok(login),
            Answer::Refuse(reason) => {
                self.counters.logins_refused.one();
                return Err(reason);
            }
            Answer::Verify { hash, login } => (hash, login),
        };
        let guess = Guess { ip: peer.ip(), user: claim.username.unwrap_or_default() };
        self.admit(guess)?;
        // Nobody's password is never known, so that nobody is told apart by the time it takes.
        let known = login.as_ref().and(hash.as_ref().zip(password.as_ref()));
        let right = match known {
            Some((hash, password)) if self.was_right(hash, password) => true,
            _ => self.verify(hash.zip(password), login.is_some(), guess).await?,
        };
        match login.filter(|_| right) {
            Some(login) => {
                if let Some(ip) = guess.ip {
                    self.throttle().succeeded(ip, guess.user);
                }
                Ok(login)
            }
            None => {
                self.counters.logins_refused.one();
                Err(Reason::BAD_USER_NAME_OR_PASSWORD)
            }
        }
    }

    /// Whether this is the password of this hash, as found out before.
    fn was_right(&self, hash: &str, password: &Password) -> bool {
        let mut verified = self.verified();
        verified.follow(&self.access.borrow());
        verified.was_right(hash, &password.0)
    }

    /// Finds out whether a password is right, which is work; `exists` says whether there is a user.
    ///
    /// It counts as wrong until it is known to be right: else whoever goes before that had it for
    /// nothing.
    async fn verify(
        &self,
        claimed: Option<(Arc<str>, Password)>,
        exists: bool,
        guess: Guess<'_>,
    ) -> Result<bool, Reason> {
        let Ok(turn) = Arc::clone(&self.verifications).acquire_owned().await else {
            return Err(Reason::SERVER_BUSY);
        };
        // Looked at after the wait: those before may have been wrong, or this very password right.
        self.admit(guess)?;
        let known = claimed.as_ref().filter(|_| exists);
        if known.is_some_and(|(hash, password)| self.was_right(hash, password)) {
            return Ok(true);
        }
        if let Some(ip) = guess.ip {
            self.throttle().failed(ip, guess.user, self.clock.mono());
        }
        let Some((hash, password)) = claimed else { return Ok(false) };
        self.counters.passwords_verified.one();
        let asked = (Arc::clone(&hash), password.clone());
        // The turn goes along, so that it is over when the work is, whoever still waits for that.
        let work = move || (password::verify(&asked.1.0, &asked.0), turn);
        let Ok((right, turn)) = tokio::task::spawn_blocking(work).await else { return Ok(false) };
        if right && exists {
            self.verified().keep(&hash, &password.0);
        }
        drop(turn);
        Ok(right)
    }

    /// Turns away an address that guesses. Processes of this machine on a Unix socket are known.
    fn admit(&self, Guess { ip, user }: Guess<'_>) -> Result<(), Reason> {
        if ip.is_some_and(|ip| !self.throttle().admits(ip, user, self.clock.mono())) {
            self.counters.logins_throttled.one();
            return Err(Reason::CONNECTION_RATE_EXCEEDED);
        }
        Ok(())
    }
}
