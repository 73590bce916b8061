//! The routes by subject. Each file has its `routes()`, which `routes.rs` puts together.

pub mod audit;
pub mod certificate;
pub mod demo;
pub mod session;
pub mod status;
pub mod tags;
pub mod users;
