//! Bytes ↔ meaning: registers, payloads. Pure.

pub mod columnar;
pub mod find;
pub mod json;
pub mod pcap;
pub mod pdu;
pub mod registers;
