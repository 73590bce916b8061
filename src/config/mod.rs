//! Configuration: text → [`Plan`], with all problems at once.

pub mod blocks;
mod plan;
pub mod wire;

pub use plan::*;
