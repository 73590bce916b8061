//! Who may use the web page: accounts, sessions, tokens, and what keeps others out.

mod encryption;
mod guard;
mod role;

pub use encryption::Encryption;
pub use guard::{Guard, guard};
pub use role::{Role, Who};
