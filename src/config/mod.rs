//! Configuration: text → [`Plan`], with all problems at once.

mod plan;

pub use plan::*;
