//! Tests of the broker without sockets and without a clock: bytes in, bytes out.

mod bounds;
mod commands;
pub mod notation;
mod rig;
mod script;
mod sockets;
