//! The field side: buses, guards, schedule.

mod breaker;
mod guard;
mod latency;
mod line;
mod resync;
mod schedule;
