//! Modbus TCP framing on the server's side: requests out of a stream, answers into it.
//! (Modbus Messaging on TCP/IP V1.0b, 3.1.3.) Pure.

use std::io;

/// Transaction id, protocol id, length, unit.
const HEADER_BYTES: usize = 7;
/// A unit byte and a PDU of 1 to 253 bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 2..=254;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// The transaction id.
    pub(crate) tid: [u8; 2],
    pub(crate) unit: u8,
    pub(crate) pdu: Vec<u8>,
    /// The bytes as they came.
    pub(crate) frame: Vec<u8>,
}

/// Takes the first whole request out of the input; after an error nothing in it can be trusted.
pub(crate) fn take(input: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let Some(&[t1, t0, p1, p0, l1, l0, unit]) = input.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([l1, l0]));
    if [p1, p0] != [0, 0] || !LENGTHS.contains(&length) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a broken Modbus TCP header"));
    }
    let end = HEADER_BYTES - 1 + length;
    if input.len() < end {
        return Ok(None);
    }
    let frame: Vec<u8> = input.drain(..end).collect();
    let pdu = frame.get(HEADER_BYTES..).unwrap_or_default().to_vec();
    Ok(Some(Request { tid: [t1, t0], unit, pdu, frame }))
}

/// A frame, in answer to the request with this id.
pub(crate) fn frame(tid: [u8; 2], unit: u8, pdu: &[u8]) -> Vec<u8> {
    let [t1, t0] = tid;
    let [l1, l0] = u16::try_from(pdu.len() + 1).unwrap_or(u16::MAX).to_be_bytes();
    let mut frame = vec![t1, t0, 0, 0, l1, l0, unit];
    frame.extend_from_slice(pdu);
    frame
}
