//! Wires a plan into supervised units; knows every layer below and no command line.

mod asks;
pub mod backup;
mod blocking;
mod by_hand;
mod clock;
mod commands;
pub mod control;
mod doors;
mod gateway;
mod limits;
mod live;
mod locks;
mod logs;
mod machine;
mod notify;
pub mod rehearsal;
mod rehearsals;
mod remote;
mod scans;
mod setup;
mod status;
mod trend;
mod trials;
mod units;

pub use asks::BrokerAsk;
pub use blocking::{BrokeOff, blocking};
pub use by_hand::{NoWay, Place, Way};
pub use clock::SystemClock;
pub use commands::NoAnswer;
pub use gateway::{ApplyError, GRACE, Gateway, Opened};
pub use limits::no_core_dumps;
pub use live::TagNow;
pub use logs::{LogLine, LogPage, Logs};
pub use notify::Notify;
pub use rehearsals::{End as RehearsalEnd, Rehearsed};
pub use remote::start as start_remote;
pub use scans::{End as ScanEnd, Progress as ScanProgress, Scan};
pub use setup::{
    Author, Found, History, HistoryError, Proposal, Record, Refused, Setup, SetupStatus, State,
};
pub use status::Status;
pub use trend::{EVERY as TREND_EVERY, Point as TrendPoint};
pub use trials::Trial;
pub use units::{UnitState, UnitStatus, Units, in_full};
