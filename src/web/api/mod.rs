//! The routes by subject. Each file has its `routes()`, which `routes.rs` puts together.

pub mod config;
pub mod demo;
pub mod draft;
pub mod mapping;
pub mod preview;
pub mod profiles;
pub mod status;
pub mod tags;
