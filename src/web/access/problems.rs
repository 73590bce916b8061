//! What is refused, as routes answer it.

use axum::http::StatusCode;

use super::accounts::AccountError;
use super::reception::Refused;
use crate::runtime::in_full;
use crate::web::millis;
use crate::web::problem::Problem;

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let reason = in_full(&refused);
        match refused {
            Refused::WrongLogin => {
                Self::new(StatusCode::UNAUTHORIZED, "wrong-login", "You are not signed in", reason)
                    .hint("`fieldhold user passwd NAME` on the gateway sets a new password")
            }
            Refused::WrongCode => {
                Self::new(StatusCode::FORBIDDEN, "wrong-code", "This is not the code", reason)
                    .hint("the log of the gateway shows it, and `fieldhold setup-code`")
                    .field("code")
            }
            Refused::Wait(left) => {
                let ms = millis(left);
                let title = "Too many attempts failed";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "wait", title, reason)
                    .hint(format!("try again in {} s", left.as_secs().saturating_add(1)))
                    .with("retry_after_ms", ms)
            }
            Refused::SetUp => Self::conflict("set-up", "The setup is done", reason)
                .hint("sign in; an administrator can make more accounts"),
            Refused::Account(error) => account(&error, reason),
            Refused::Password(_) => {
                let title = "Too many sign in now";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "wait", title, reason)
                    .with("retry_after_ms", 1_000)
            }
            Refused::Disk(_) => Self::unavailable(reason)
                .hint("look at the disk of the gateway: it may be full or read-only"),
            Refused::NoRandomness(_) | Refused::Stopping => Self::unavailable(reason),
        }
    }
}

fn account(error: &AccountError, reason: String) -> Problem {
    match error {
        AccountError::Unknown(_) | AccountError::UnknownToken(_) => Problem::not_found(reason),
        AccountError::Taken(_) => {
            Problem::conflict("taken", "This name is taken", reason).field("name")
        }
        AccountError::LastAdmin(_) => {
            Problem::conflict("last-admin", "Somebody has to be the administrator", reason)
        }
        AccountError::TooMany(_) => Problem::conflict("too-many", "There are too many", reason),
        AccountError::FirstAdmin => Problem::refused(reason).field("role"),
        AccountError::Name(_) => Problem::refused(reason).field("name"),
        AccountError::PasswordShort
        | AccountError::PasswordLong
        | AccountError::PasswordGuessed => Problem::refused(reason).field("password"),
    }
}
