//! The engine against a broker that misbehaves on purpose.

mod delivery;
mod fake;
mod faults;
mod world;
