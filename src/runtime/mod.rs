//! Wires a plan into supervised units; knows every layer below and no command line.

mod asks;
mod clock;
mod commands;
pub mod control;
mod doors;
mod files;
mod gateway;
mod live;
mod locks;
mod machine;
mod status;
mod units;

pub use asks::BrokerAsk;
pub use clock::SystemClock;
pub use gateway::{ApplyError, GRACE, Gateway};
pub use status::Status;
pub use units::{UnitState, UnitStatus, Units, in_full};
