//! Who may use the web page: accounts, sessions, tokens, and what keeps others out.

mod accounts;
mod book;
mod role;
mod secret;
mod sessions;
mod setup_code;
mod throttle;

pub use role::Role;
