//! The engine against a broker that misbehaves on purpose.

mod announcing;
mod away;
mod commanding;
mod delivery;
mod edge_node;
mod emulated;
mod fake;
mod faults;
mod five;
mod local;
mod notices;
mod packing;
mod remote;
mod services;
mod storm;
mod tls;
mod trial;
mod ways;
mod world;
