//! A client of MQTT 3.1.1 that costs next to nothing: all messages of a run have one length.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Bytes of a payload; the first eight hold a time.
pub const PAYLOAD: usize = 64;
/// All topics have this many bytes.
pub const TOPIC: usize = 8;
const PATIENCE: Duration = Duration::from_secs(20);

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first, u8::try_from(body.len()).unwrap()];
    assert!(body.len() < 128);
    out.extend(body);
    out
}

fn text(text: &str) -> Vec<u8> {
    let mut out = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    out.extend(text.as_bytes());
    out
}

pub fn connect_packet(id: &str, clean: bool) -> Vec<u8> {
    let mut body = text("MQTT");
    body.extend([4, u8::from(clean) << 1, 0, 0]);
    body.extend(text(id));
    packet(0x10, &body)
}

/// A connection that was accepted; `from` chooses the source address.
pub async fn connect(to: SocketAddr, id: &str, clean: bool, from: Option<SocketAddr>) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(from) = from {
        socket.set_reuseaddr(true).unwrap();
        socket.bind(from).unwrap();
    }
    let mut stream = socket.connect(to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(&connect_packet(id, clean)).await.unwrap();
    let mut connack = [0; 4];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut connack)).await.unwrap().unwrap();
    assert_eq!([connack[0], connack[1], connack[3]], [0x20, 2, 0], "{id} was refused");
    stream
}

pub async fn subscribe(stream: &mut TcpStream, filter: &str, qos: u8) {
    let mut body = vec![0, 1];
    body.extend(text(filter));
    body.push(qos);
    stream.write_all(&packet(0x82, &body)).await.unwrap();
    let mut suback = [0; 5];
    stream.read_exact(&mut suback).await.unwrap();
    assert_eq!(suback, [0x90, 3, 0, 1, qos]);
}

/// Length of a PUBLISH of this benchmark.
pub fn publish_bytes(qos: u8) -> usize {
    2 + 2 + TOPIC + 2 * usize::from(qos > 0) + PAYLOAD
}

/// Appends a PUBLISH; the id is left out at QoS 0.
pub fn publish(out: &mut Vec<u8>, topic: &str, qos: u8, id: u16, stamp: u64) {
    assert_eq!(topic.len(), TOPIC);
    out.extend([0x30 | (qos << 1), (publish_bytes(qos) - 2) as u8, 0, TOPIC as u8]);
    out.extend(topic.as_bytes());
    if qos > 0 {
        out.extend(id.to_be_bytes());
    }
    out.extend(stamp.to_be_bytes());
    out.resize(out.len() + PAYLOAD - 8, 0x55);
}

pub fn puback(out: &mut Vec<u8>, id: [u8; 2]) {
    out.extend([0x40, 2, id[0], id[1]]);
}

/// Takes whole packets of one length off a stream.
pub struct Reader {
    buffer: Vec<u8>,
    filled: usize,
    length: usize,
}

impl Reader {
    pub fn new(length: usize) -> Self {
        Self { buffer: vec![0; 256 * 1024], filled: 0, length }
    }

    /// Reads once and hands every whole packet to `each`; says how many there were.
    pub async fn read(
        &mut self,
        stream: &mut (impl AsyncReadExt + Unpin),
        mut each: impl FnMut(&[u8]),
    ) -> std::io::Result<usize> {
        let count = stream.read(&mut self.buffer[self.filled..]).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.filled += count;
        let whole = self.filled / self.length;
        let end = whole * self.length;
        self.buffer[..end].chunks_exact(self.length).for_each(&mut each);
        self.buffer.copy_within(end..self.filled, 0);
        self.filled -= end;
        Ok(whole)
    }
}
