//! Fieldhold: an industrial edge gateway that bridges field buses to MQTT.
//!
//! The layers, what each may know, and the invariants are in `ARCHITECTURE.md`.

#![forbid(unsafe_code)]

pub mod broker;
pub mod cli;
pub mod codec;
pub mod config;
pub mod model;
pub mod runtime;
pub mod south;
pub mod store;
pub mod thread;
pub mod tls;
pub mod uplink;
pub mod web;
pub mod websocket;
