//! Roles, and who makes a request.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::secret::Digest;
use crate::web::problem::Problem;

/// What somebody may do; each may do all that those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Reads registers, writes values, prepares changes.
    Operator,
    /// Changes the configuration, accounts and certificates.
    Admin,
}

impl Role {
    const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// Who makes a request, as the guard found out.
#[derive(Debug, Clone)]
pub struct Who {
    /// Of the account, or `token NAME`.
    pub name: String,
    pub role: Role,
    pub address: IpAddr,
    pub key: Key,
}

/// By what somebody is known; what ends with it ends for them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    Session(Digest),
    /// The id of an API token.
    Token(String),
    /// The control socket of this machine.
    Console,
    /// A demonstration lets everyone in.
    Everyone,
}

impl Who {
    /// Everyone who looks at a demonstration.
    pub fn everyone(address: IpAddr) -> Self {
        Self { name: "demo".to_owned(), role: Role::Admin, address, key: Key::Everyone }
    }

    /// Who reaches the gateway's control socket owns its files.
    pub fn console() -> Self {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { name: "the console".to_owned(), role: Role::Admin, address, key: Key::Console }
    }
}

/// Whether a request certainly comes from the machine itself.
#[derive(Debug, Clone, Copy)]
pub struct AtMachine(pub bool);

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(signed_out)
    }
}

/// For those who have to sign in first.
pub fn signed_out() -> Problem {
    let title = "You are not signed in";
    Problem::new(StatusCode::UNAUTHORIZED, "signed-out", title, "this needs an account")
        .hint("sign in, or send an API token")
}
