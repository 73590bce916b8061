//! Roles, and who makes a request.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    pub name: String,
    pub role: Role,
    pub address: IpAddr,
}

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
