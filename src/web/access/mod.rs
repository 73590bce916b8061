//! Who may use the web page: accounts, sessions, tokens, and what keeps others out.

mod accounts;
mod book;
mod encryption;
mod guard;
mod role;
mod secret;
mod sessions;
mod setup_code;
mod throttle;

pub use encryption::Encryption;
pub use guard::{Guard, guard};
pub use role::{Role, Who};
