//! Getting back what is whole in a file that was set aside, while work goes on with another.
//!
//! `pages` and `wal` read SQLite's files without SQLite, `known` says which rows are ours, `survey`
//! finds them in a file, `check` asks SQLite itself; `claims` knows who is owed what, `requeue` brings it back with the
//! accounts true at every moment, and `background` is the thread that
//! does it. `offline` does the same by hand.

mod background;
mod check;
mod claims;
mod known;
mod offline;
mod pages;
mod requeue;
mod survey;
mod wal;

#[cfg(test)]
mod tests;

pub use background::start;
pub use check::quick_check;
pub use claims::Salvage;
pub use known::{Known, recognize};
pub use offline::salvage_into;
pub use pages::{Field, Row as FoundRow};
pub use requeue::{Request, Returned, Rows as SalvageRows, Salvages};
pub use survey::{log_beside, log_of};
pub use wal::Database;
