//! Profiles made from what others wrote down: register lists as CSV, SunSpec models as JSON.
//!
//! An importer makes a [`Draft`]; the draft becomes a tree like that of a YAML file, which the one
//! check of profiles judges, and then the text of the file. Where the draft came from rows and
//! columns, problems name those. Pure: texts come in.

mod csv;
mod draft;
pub(super) mod sheet;
pub mod sunspec;
#[cfg(test)]
mod tests;

pub use self::csv::csv;
pub use self::draft::Imported;
