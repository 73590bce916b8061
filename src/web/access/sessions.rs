//! Who is signed in, in memory: a restart ends all sessions. Pure: the time comes in.
//!
//! A session is known by the digest of its token, which only the browser has. It ends when it was not
//! used for some hours and in any case after some days. What it may do is that of its account at the
//! moment, looked up with every request. There is room for so many; one more ends the one that was
//! not used for longest, first among those of the same account.

use std::collections::HashMap;
use std::time::Duration;

use super::secret::Digest;
use crate::model::Mono;

/// A shift, and some overtime.
pub const IDLE: Duration = Duration::from_secs(12 * 3_600);
pub const LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// Of all accounts, and of one.
const SESSIONS_MAX: usize = 512;
const SESSIONS_PER_USER_MAX: usize = 32;

#[derive(Debug, Default)]
pub struct Sessions(HashMap<Digest, Session>);

#[derive(Debug, Clone)]
struct Session {
    user: String,
    started: Mono,
    used: Mono,
}

impl Session {
    fn is_over(&self, now: Mono) -> bool {
        now - self.used >= IDLE || now - self.started >= LIFETIME
    }
}

impl Sessions {
    pub fn start(&mut self, token: Digest, user: &str, now: Mono) {
        self.0.retain(|_, session| !session.is_over(now));
        if self.0.values().filter(|session| session.user == user).count() >= SESSIONS_PER_USER_MAX {
            self.end_least_used(|session| session.user == user);
        }
        if self.0.len() >= SESSIONS_MAX {
            self.end_least_used(|_| true);
        }
        self.0.insert(token, Session { user: user.to_owned(), started: now, used: now });
    }

    /// Whose session it is, if it goes on; it is used now.
    pub fn user(&mut self, token: &Digest, now: Mono) -> Option<&str> {
        if self.0.get(token)?.is_over(now) {
            self.0.remove(token);
            return None;
        }
        let session = self.0.get_mut(token)?;
        session.used = now;
        Some(&session.user)
    }

    pub fn end(&mut self, token: &Digest) {
        self.0.remove(token);
    }

    /// Ends all of an account, but the one that is named.
    pub fn end_of(&mut self, user: &str, but: Option<&Digest>) {
        self.0.retain(|token, session| session.user != user || Some(token) == but);
    }

    fn end_least_used(&mut self, of: impl Fn(&Session) -> bool) {
        let candidates = self.0.iter().filter(|(_, session)| of(session));
        let oldest = candidates.min_by_key(|(_, session)| session.used).map(|(token, _)| *token);
        if let Some(token) = oldest {
            self.0.remove(&token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Clock, ManualClock, Wall};

    fn token(n: usize) -> Digest {
        Digest::of(&n.to_string())
    }

    #[test]
    fn a_session_ends_when_it_is_not_used_and_after_its_lifetime() {
        let clock = ManualClock::new(Mono(7), Wall(0));
        let mut sessions = Sessions::default();
        sessions.start(token(1), "anna", clock.mono());
        clock.advance(IDLE - Duration::from_millis(1));
        assert_eq!(sessions.user(&token(1), clock.mono()), Some("anna"));
        clock.advance(IDLE);
        assert_eq!(sessions.user(&token(1), clock.mono()), None);
        assert!(sessions.0.is_empty());

        sessions.start(token(2), "anna", clock.mono());
        let mut used = Duration::ZERO;
        let step = Duration::from_secs(3_600);
        while sessions.user(&token(2), clock.mono()).is_some() {
            clock.advance(step);
            used += step;
        }
        assert_eq!(used, LIFETIME, "however much it is used");
    }

    #[test]
    fn it_is_known_by_its_token_alone_and_ends_alone() {
        let mut sessions = Sessions::default();
        for (n, user) in [(1, "anna"), (2, "anna"), (3, "ben"), (4, "anna")] {
            sessions.start(token(n), user, Mono(0));
        }
        assert_eq!(sessions.user(&token(9), Mono(0)), None);
        sessions.end(&token(4));
        assert_eq!(sessions.user(&token(4), Mono(0)), None);
        sessions.end_of("anna", Some(&token(2)));
        let left: Vec<_> =
            (1..=4).filter(|n| sessions.user(&token(*n), Mono(0)).is_some()).collect();
        assert_eq!(left, [2, 3]);
        sessions.end_of("anna", None);
        assert_eq!(sessions.user(&token(2), Mono(0)), None);
    }

    #[test]
    fn there_is_room_for_so_many_and_nobody_takes_that_of_others() {
        let mut sessions = Sessions::default();
        sessions.start(token(0), "ben", Mono(0));
        for n in 1..1_000 {
            sessions.start(token(n), "anna", Mono(i64::try_from(n).unwrap()));
        }
        assert_eq!(sessions.0.len(), 1 + SESSIONS_PER_USER_MAX);
        assert_eq!(sessions.user(&token(0), Mono(1_000)), Some("ben"));
        assert_eq!(sessions.user(&token(999), Mono(1_000)), Some("anna"), "the newest");
        for n in 1_000..3_000 {
            sessions.start(token(n), &format!("user{n}"), Mono(i64::try_from(n).unwrap()));
        }
        assert_eq!(sessions.0.len(), SESSIONS_MAX);
    }
}
