//! The field side: buses, guards, schedule.
//!
//! A [`bus`] polls the devices of one line and hands [`Reading`](crate::model::Reading)s to a
//! [`Sink`](crate::model::Sink); commands come the other way through its [`BusPort`]. Knows no MQTT.
//!
//! From the wire upwards: `guard` (only the matching frame passes), `line` (checked requests),
//! `silence` (what is waited before), `identify` (what a device says it is), `resync` (late answers), `schedule` and `breaker` (what next; pure), `device` (tags, blocks,
//! readings), `publish` (dead bands; pure), `engine`, `report` and `write` (the
//! loop, what it tells, the commands),
//! `visits`, `fair` and `hand` (what others ask of the line, and when), `pipeline` (reads in flight together), `trace` (the last exchanges, byte by byte), `bus` (the
//! door). `sensor` is a bus of its own for what does not speak Modbus.

mod breaker;
mod bus;
mod connect;
mod device;
mod engine;
mod fair;
mod guard;
mod hand;
mod identify;
mod latency;
mod line;
mod mbap;
mod pipeline;
mod port;
mod ports;
pub mod probe;
mod publish;
mod report;
mod resync;
mod rts;
pub mod scan;
mod schedule;
pub mod sensor;
mod share;
mod silence;
pub mod simulator;
mod status;
pub mod trace;
mod visits;
mod write;
mod writing;

pub use bus::{BusContext, BusError, BusPort, BusRunner, COMMANDS_MAX, bus};
pub use connect::Quotas;
pub use guard::GuardCounters;
pub use ports::{SerialPort, serial_ports};
pub use sensor::SensorCounters;
pub use share::{FaceState, ShareStatus};
pub use status::{BlockStatus, BusStatus, DeviceState, DeviceStatus, LinkState};
#[cfg(test)]
mod tests;
