//! The web page: its API and who may use it. Stands on the runtime; the command line starts it.

pub mod access;
