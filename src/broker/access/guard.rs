//! Lets clients in: asks [`Access`] who they are, and looks at passwords where that decides.
//!
//! Passwords are verified away from the async threads, few at a time: a verification takes tens of
//! milliseconds and megabytes. Whoever waits for one waits within the time for its CONNECT.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};

use super::throttle::Throttle;
use super::{Access, Answer, Claim, Login, password};
use crate::broker::packet::{Password, Reason};
use crate::broker::peer::Peer;
use crate::broker::status::Counters;
use crate::model::Clock;

/// Passwords verified at a time.
const VERIFICATIONS_MAX: usize = 2;

pub struct Guard {
    access: watch::Receiver<Arc<Access>>,
    throttle: Mutex<Throttle>,
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
        Self { access, throttle: Mutex::default(), verifications, clock, counters }
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
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
        let Ok(turn) = Arc::clone(&self.verifications).acquire_owned().await else {
            return Err(Reason::SERVER_BUSY);
        };
        // Looked at after the wait: those before may have been wrong.
        self.admit(peer.ip())?;
        let hash = hash.zip(password);
        let right = tokio::task::spawn_blocking(move || {
            let right = hash.is_some_and(|(hash, password)| password::verify(&password.0, &hash));
            drop(turn);
            right
        });
        let right = right.await.unwrap_or(false);
        match login.filter(|_| right) {
            Some(login) => {
                if let Some(ip) = peer.ip() {
                    self.throttle().succeeded(ip);
                }
                Ok(login)
            }
            None => {
                if let Some(ip) = peer.ip() {
                    self.throttle().failed(ip, self.clock.mono());
                }
                self.counters.logins_refused.one();
                Err(Reason::BAD_USER_NAME_OR_PASSWORD)
            }
        }
    }

    /// Turns away an address that guesses. Processes of this machine on a Unix socket are known.
    fn admit(&self, ip: Option<IpAddr>) -> Result<(), Reason> {
        if ip.is_some_and(|ip| !self.throttle().admits(ip, self.clock.mono())) {
            self.counters.logins_throttled.one();
            return Err(Reason::CONNECTION_RATE_EXCEEDED);
        }
        Ok(())
    }
}
