//! Bytes ↔ meaning: registers, payloads. Pure.

pub mod registers;
