//! Bytes ↔ meaning: registers, frames of sensors, payloads, signed messages. Pure.

pub mod columnar;
pub mod deflate;
pub mod find;
pub mod json;
pub mod jws;
pub mod payload;
pub mod pcap;
pub mod pdu;
pub mod registers;
pub mod sensor;
pub mod side_by_side;
pub mod sparkplug;
pub mod tar;
