//! The routes by subject. Each file has its `routes()`, which `routes.rs` puts together.

pub mod audit;
pub mod broker;
pub mod certificate;
pub mod commands;
pub mod config;
pub mod demo;
pub mod diagnostics;
pub mod draft;
pub mod logs;
pub mod mapping;
mod place;
pub mod ports;
pub mod preview;
pub mod probe;
pub mod profiles;
pub mod rehearsal;
pub mod scan;
pub mod session;
pub mod status;
pub mod store;
pub mod system;
pub mod tags;
pub mod trace;
pub mod uplinks;
pub mod users;
