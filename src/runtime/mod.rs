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
mod remote;
mod setup;
mod status;
mod units;

pub use asks::BrokerAsk;
pub use clock::SystemClock;
pub use gateway::{ApplyError, GRACE, Gateway, Opened};
pub use live::TagNow;
pub use remote::start as start_remote;
pub use setup::{
    Author, Found, History, HistoryError, Proposal, Record, Refused, Setup, SetupStatus, State,
};
pub use status::Status;
pub use units::{UnitState, UnitStatus, Units, in_full};
