//! Tests of the broker: bytes in, bytes out; without sockets and without a clock where that shows
//! it.

mod access;
mod bounds;
mod certificates;
mod commands;
mod crashes;
mod disk;
mod durable;
mod full;
mod hostile;
mod listeners;
mod lists;
mod logins;
#[path = "../../../tests/wire/notation.rs"]
pub mod notation;
pub mod rig;
mod running;
mod sessions;
mod sockets;
