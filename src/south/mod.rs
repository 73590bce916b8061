//! The field side: buses, guards, schedule.
