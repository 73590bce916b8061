//! Who may use the broker, and for what: one unchanging picture, replaced as a whole when the
//! configuration changes.
//!
//! Pure: [`Guard`] asks it who a client is, the router what the client may do. A [`Login`] remembers
//! how the client proved who it is, so that a later picture can tell whether that still holds.

mod guard;
mod password;
mod rights;
mod throttle;
mod verified;

use std::collections::HashMap;
use std::sync::Arc;

use super::packet::Reason;
use crate::config::{BrokerPlan, Grant, Place};

pub use guard::Guard;
pub use password::verify as verify_password;
pub use password::{HashError, PASSWORD_BYTES_MAX, hash_password};
pub use rights::{Publication, Rights};

pub struct Access {
    users: HashMap<String, User>,
    doors: HashMap<Place, Rules>,
}

struct User {
    /// `None` for one who shows a certificate.
    hash: Option<Arc<str>>,
    grants: Arc<[Grant]>,
}

/// What a listener asks of its clients.
struct Rules {
    /// What those may do who name no user; `None` turns them away.
    anonymous: Option<Arc<[Grant]>>,
    certificates: bool,
}

/// A client that was let in.
#[derive(Debug, Clone)]
pub struct Login {
    /// `None` for one that names no user.
    pub user: Option<Arc<str>>,
    /// Where it came in, as the configuration calls it.
    pub place: Place,
    proof: Proof,
}

#[derive(Debug, Clone)]
enum Proof {
    Nothing,
    Certificate,
    /// The password of this hash.
    Password(Arc<str>),
}

impl Login {
    /// Of a client of an earlier run of the gateway. It collects messages; to get them, it has to
    /// log in.
    pub fn before(user: Option<&str>, place: Place) -> Self {
        Self { user: user.map(Arc::from), place, proof: Proof::Nothing }
    }
}

/// How a client says who it is.
pub struct Claim<'a> {
    pub place: &'a Place,
    /// The name in its certificate, where it showed one.
    pub certificate: Option<&'a str>,
    pub username: Option<&'a str>,
}

/// What is to be done about a [`Claim`].
pub enum Answer {
    Enter(Login),
    Refuse(Reason),
    /// The password decides. A user that does not exist has a stranger's hash, so that both take
    /// the same time, and no login.
    Verify {
        hash: Option<Arc<str>>,
        login: Option<Login>,
    },
}

impl Access {
    pub fn of(plan: &BrokerPlan) -> Self {
        let users = plan.users.iter().map(|user| {
            let hash = user.password.as_ref().map(|hash| Arc::from(hash.0.as_str()));
            (user.name.clone(), User { hash, grants: user.grants.clone().into() })
        });
        let doors = plan.listeners.iter().map(|listener| {
            let anonymous = listener.anonymous.clone().map(Arc::from);
            let asks = listener.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
            (listener.place.clone(), Rules { anonymous, certificates: asks })
        });
        Self { users: users.collect(), doors: doors.collect() }
    }

    /// Who somebody is, as far as that is known without looking at a password.
    pub fn answer(&self, claim: &Claim<'_>) -> Answer {
        let Some(door) = self.doors.get(claim.place) else {
            return Answer::Refuse(Reason::NOT_AUTHORIZED);
        };
        let login = |user, proof| Login { user, place: claim.place.clone(), proof };
        if door.certificates {
            let known = claim.certificate.filter(|name| self.users.contains_key(*name));
            if let Some(name) = known {
                return Answer::Enter(login(Some(name.into()), Proof::Certificate));
            }
        } else if let Some(name) = claim.username.filter(|_| !self.users.is_empty()) {
            let user = self.users.get(name).and_then(|user| user.hash.clone());
            let login = user.clone().map(|hash| login(Some(name.into()), Proof::Password(hash)));
            return Answer::Verify { hash: user.or_else(|| self.any_hash()), login };
        }
        match door.anonymous {
            Some(_) => Answer::Enter(login(None, Proof::Nothing)),
            None => Answer::Refuse(Reason::NOT_AUTHORIZED),
        }
    }

    fn hashes(&self) -> impl Iterator<Item = &str> {
        self.users.values().filter_map(|user| user.hash.as_deref())
    }

    fn any_hash(&self) -> Option<Arc<str>> {
        self.users.values().find_map(|user| user.hash.clone())
    }

    /// What a client may do; `None` if it would not be let in today.
    pub fn rights(&self, login: &Login, client_id: &str) -> Option<Rights> {
        let door = self.doors.get(&login.place)?;
        let user = login.user.as_deref();
        let grants = match (&login.proof, user) {
            (Proof::Nothing, _) => door.anonymous.as_ref()?,
            (Proof::Certificate, Some(name)) if door.certificates => &self.users.get(name)?.grants,
            (Proof::Password(hash), Some(name)) => {
                let user = self.users.get(name)?;
                // With another password everybody has to log in anew.
                if user.hash.as_ref() != Some(hash) {
                    return None;
                }
                &user.grants
            }
            _ => return None,
        };
        Some(Rights::of(grants, user, client_id))
    }

    /// What the session of a client that is away may go on collecting: its owner logs in again
    /// before it gets any of it, so a new password does not matter. Nor does it where a client
    /// without a name came in: its listener may have another address now, and whichever it comes
    /// back by decides what stays. `None` ends the session: nobody could ever resume it.
    pub fn rights_away(&self, login: &Login, client_id: &str) -> Option<Rights> {
        match &login.user {
            Some(name) => {
                let grants = &self.users.get(&**name)?.grants;
                Some(Rights::of(grants, Some(name), client_id))
            }
            None => self.rights(login, client_id).or_else(|| self.rights_anywhere(client_id)),
        }
    }

    /// What a client without a name may do at one listener or another.
    fn rights_anywhere(&self, client_id: &str) -> Option<Rights> {
        let doors: Vec<_> =
            self.doors.values().filter_map(|door| door.anonymous.as_deref()).collect();
        (!doors.is_empty()).then(|| Rights::of(&doors.concat(), None, client_id))
    }
}
