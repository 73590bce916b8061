//! The routes by subject. Each file has its `routes()`, which `routes.rs` puts together.

pub mod demo;
pub mod status;
pub mod tags;
