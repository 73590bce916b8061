//! The engine against a broker that misbehaves on purpose.

mod announcing;
mod away;
mod commanding;
mod delivery;
mod fake;
mod faults;
mod local;
mod notices;
mod packing;
mod tls;
mod world;
