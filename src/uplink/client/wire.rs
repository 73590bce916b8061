//! Packets over a stream, in both directions.
//!
//! Nothing waits but [`Wire::next`], which may be dropped at any time: what was half read or half
//! written is kept here. Packets to send gather until then, and go out together. When sending
//! fails, what the other side had sent before still comes: acknowledgements must not be missed.
//! Answers that the other side does not take are bounded.

use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::INCOMING_BYTES_MAX;
use super::dial::Stream;
use super::failure::Failure;
use super::packet::{Incoming, Message, Outgoing, Reason, Version};
use super::{frame, publish, v4, v5};

/// Read at once.
const READ_BYTES: usize = 16 * 1024;
/// A buffer that had to grow beyond this is given back when it is empty.
const BUFFER_KEPT: usize = 256 * 1024;
/// Answers to the broker's packets that may wait behind what a slow line has still to carry.
pub const ANSWERS_MAX: usize = 16 * 1024;

pub struct Wire {
    stream: Box<dyn Stream>,
    version: Version,
    incoming: BytesMut,
    outgoing: BytesMut,
    /// Bytes of all packets since the start, those that wait included.
    sent: u64,
    /// Where the answers end that wait to be written.
    answers: VecDeque<u64>,
    /// The stream took nothing when it was last asked.
    blocked: bool,
    /// Nothing that was written lies in a buffer of the stream.
    flushed: bool,
    /// Sending failed like this.
    broken: Option<Failure>,
    /// The other side showed life since this was last asked.
    heard: bool,
}

impl Wire {
    pub fn new(stream: Box<dyn Stream>, version: Version) -> Self {
        Self {
            stream,
            version,
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            sent: 0,
            answers: VecDeque::new(),
            blocked: false,
            flushed: true,
            broken: None,
            heard: false,
        }
    }

    /// Puts a packet behind those that wait to be written. Says where it ends, in bytes since the
    /// start.
    pub fn send(&mut self, packet: Outgoing<'_>) -> Result<u64, Failure> {
        let before = self.outgoing.len();
        match self.version {
            Version::V4 => v4::encode(packet, &mut self.outgoing)
                .map_err(|error| Failure::Unwritable(error.to_string()))?,
            Version::V5 => v5::encode(packet, &mut self.outgoing)
                .map_err(|error| Failure::Unwritable(error.to_string()))?,
        }
        self.sent += wide(self.outgoing.len() - before);
        Ok(self.sent)
    }

    /// As [`Wire::send`], a message; `id` is 0 for QoS 0.
    pub fn publish(&mut self, id: u16, message: &Message<'_>) -> Result<u64, Failure> {
        let before = self.outgoing.len();
        publish::encode(self.version, id, message, &mut self.outgoing)?;
        self.sent += wide(self.outgoing.len() - before);
        Ok(self.sent)
    }

    /// Answers a packet of the broker. One that sends and sends, and takes no answers, must not
    /// fill the memory.
    pub fn answer(&mut self, packet: Outgoing<'_>) -> Result<(), Failure> {
        let written = self.sent - wide(self.outgoing.len());
        while self.answers.front().is_some_and(|end| *end <= written) {
            self.answers.pop_front();
        }
        if self.answers.len() >= ANSWERS_MAX {
            return Err(Failure::protocol("it sends messages and does not read the answers"));
        }
        let end = self.send(packet)?;
        self.answers.push_back(end);
        Ok(())
    }

    /// The next packet that is here already.
    pub fn take(&mut self) -> Result<Option<Incoming>, Failure> {
        if let Some(id) = frame::acknowledged(&mut self.incoming) {
            return Ok(Some(Incoming::PubAck { id, reason: Reason::GOOD }));
        }
        let Some(frame) = frame::split(&mut self.incoming, INCOMING_BYTES_MAX)? else {
            return Ok(None);
        };
        let kind = frame.kind();
        let decoded = match self.version {
            Version::V4 => v4::decode(frame).map_err(|error| Failure::protocol(error.to_string())),
            Version::V5 => v5::decode(frame).map_err(|error| Failure::protocol(error.to_string())),
        };
        let packet =
            decoded?.ok_or_else(|| Failure::protocol(format!("a packet of kind {kind} came")))?;
        Ok(Some(packet))
    }

    /// Whether the other side showed life since this was last asked: something came, or a stream
    /// that was full has room again.
    pub fn heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    /// Writes what waits, and waits for the next packet. May be dropped.
    pub async fn next(&mut self) -> Result<Incoming, Failure> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Incoming, Failure>> {
        loop {
            if let Some(packet) = self.take()? {
                return Poll::Ready(Ok(packet));
            }
            self.write_some(context);
            self.incoming.reserve(READ_BYTES);
            let read = pin!(self.stream.read_buf(&mut self.incoming)).poll(context);
            match (read, self.broken.take()) {
                (Poll::Ready(Ok(bytes)), broken) if bytes > 0 => {
                    self.heard = true;
                    self.broken = broken;
                }
                // The alert of a peer says more than the end of what we write.
                (Poll::Ready(Err(error)), Some(broken)) => {
                    let failed = failure(error);
                    let says = matches!(failed, Failure::Tls(_));
                    return Poll::Ready(Err(if says { failed } else { broken }));
                }
                (_, Some(broken)) => return Poll::Ready(Err(broken)),
                (Poll::Ready(Ok(_)), None) => return Poll::Ready(Err(Failure::Closed)),
                (Poll::Ready(Err(error)), None) => return Poll::Ready(Err(failure(error))),
                (Poll::Pending, None) => return Poll::Pending,
            }
        }
    }

    /// Writes what the stream takes now; never waits. [`Wire::next`] says what went wrong.
    pub async fn write(&mut self) {
        let written = std::future::poll_fn(|context| {
            self.write_some(context);
            Poll::Ready(())
        });
        written.await;
    }

    fn write_some(&mut self, context: &mut Context<'_>) {
        if self.broken.is_none()
            && let Poll::Ready(Err(error)) = self.poll_write(context)
        {
            self.outgoing.clear();
            self.broken = Some(failure(error));
        }
    }

    /// Until all is written and flushed.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(context, &self.outgoing);
            let was_blocked = std::mem::replace(&mut self.blocked, written.is_pending());
            let written = ready!(written)?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.heard |= was_blocked;
            self.outgoing.advance(written);
            self.flushed = false;
        }
        if self.outgoing.capacity() > BUFFER_KEPT {
            self.outgoing = BytesMut::new();
        }
        if !self.flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what waits and shuts the stream down.
    pub async fn finish(&mut self) {
        let written = std::future::poll_fn(|context| self.poll_write(context)).await;
        if written.is_ok() {
            let _gone =
                std::future::poll_fn(|context| Pin::new(&mut self.stream).poll_shutdown(context))
                    .await;
        }
    }
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// What a broken stream means. TLS can fail late: a server of TLS 1.3 looks at our certificate
/// after the handshake has ended for us.
fn failure(error: io::Error) -> Failure {
    let of_tls =
        error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>);
    if of_tls { Failure::Tls(error) } else { Failure::Io(error) }
}
