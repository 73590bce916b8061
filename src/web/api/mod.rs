//! The routes by subject. Each file has its `routes()`, which `routes.rs` puts together.

pub mod broker;
pub mod commands;
pub mod demo;
pub mod diagnostics;
pub mod logs;
mod place;
pub mod ports;
pub mod probe;
mod redact;
pub mod scan;
pub mod status;
pub mod store;
pub mod system;
pub mod tags;
pub mod trace;
pub mod uplinks;
