//! Uplinks to cloud brokers.
