//! The `fieldhold` command.

#![forbid(unsafe_code)]

fn main() {}
