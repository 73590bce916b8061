//! The engine against a broker that misbehaves on purpose.

mod away;
mod commanding;
mod delivery;
mod fake;
mod faults;
mod local;
mod notices;
mod packing;
mod storm;
mod tls;
mod world;
