//! Bytes ↔ meaning: registers, payloads. Pure.
