//! Who may use the web page: accounts, sessions, tokens, and what keeps others out.
//!
//! ```text
//! request ─▶ guard: called by a name of ours? sent by our own page? who is it? may they?
//!                      │
//!                  [`Access`] ─▶ book (accounts.json) · sessions (memory) · journal (audit.jsonl)
//!                      └▶ throttle, passwords, setup code
//! ```
//!
//! Pure are `accounts`, `sessions`, `throttle`, `setup_code`, `cookie` and `door`; they get the time and
//! the headers as input.

mod accounts;
mod asks;
mod book;
mod certificate;
pub mod cookie;
mod door;
mod encryption;
mod guard;
mod journal;
pub mod names;
mod passwords;
mod problems;
mod reception;
mod role;
mod secret;
mod sessions;
mod setup_code;
mod throttle;

pub use accounts::{AccountError, Token, User};
pub use asks::{AccessAsk, answer, answer_without_gateway};
pub use book::is_claimed;
pub use certificate::{authority, keep_own};
pub use encryption::{Encryption, EncryptionError};
pub use guard::{Guard, guard};
pub use journal::{PAGE_MAX, Row};
pub use reception::{Access, Opening, Refused, SignedIn};
pub use role::{AtMachine, Key, Role, Who, signed_out};
