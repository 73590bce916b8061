//! Guard transports: what stands between a port and an unmodified tokio-modbus.
//!
//! On write the stale input is drained and the request recorded; on read only the one frame that
//! answers it is handed up. The flush of a serial port is not passed on (it is a blocking
//! `tcdrain`). [`Guard`] does the I/O; the decisions are in the pure matchers. Between two requests
//! an [`Ear`] hears what the line carries.
//!
//! Invariants: bytes that came before a request are never part of its answer; a frame that does
//! not match in every checked field is never handed up; nothing here waits for a clock.

pub(crate) mod ascii;
mod expect;
mod others;
mod serial;
mod tcp;

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) use expect::{Expect, Judgement};
pub(crate) use serial::{Echo, SerialMatcher, crc16, frame_rtu, sound_frame};
pub(crate) use tcp::{Came, TcpMatcher};

use super::trace::Tap;

/// Bytes read from the port in one go. A datagram is read as a whole or it is cut, so not less than
/// the longest that Ethernet carries.
const CHUNK_BYTES: usize = 1500;
/// Chunks of stale input thrown away before a request; a source that never runs dry ends here.
const DRAIN_CHUNKS_MAX: usize = 64;

/// Everything a line carried that was not an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardCounters {
    /// Frames of the asked unit and function whose checksum was wrong.
    pub damaged: u64,
    /// Sound frames that nobody asked for.
    pub foreign: u64,
    /// Frames of another master: its requests, the answers to them, and answers that may be.
    pub collisions: u64,
    /// Answers that came after their request had been given up.
    pub late: u64,
    /// Sound answers of the wrong length, or write echoes with another content.
    pub wrong_shape: u64,
    /// Our own requests that the line sent back.
    pub echoes: u64,
    /// Bytes that belonged to no frame.
    pub noise_bytes: u64,
}

impl GuardCounters {
    /// What was counted since `before`.
    pub(crate) fn minus(self, before: Self) -> Self {
        Self {
            damaged: self.damaged.saturating_sub(before.damaged),
            foreign: self.foreign.saturating_sub(before.foreign),
            collisions: self.collisions.saturating_sub(before.collisions),
            late: self.late.saturating_sub(before.late),
            wrong_shape: self.wrong_shape.saturating_sub(before.wrong_shape),
            echoes: self.echoes.saturating_sub(before.echoes),
            noise_bytes: self.noise_bytes.saturating_sub(before.noise_bytes),
        }
    }

    /// The sum.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            damaged: self.damaged + other.damaged,
            foreign: self.foreign + other.foreign,
            collisions: self.collisions + other.collisions,
            late: self.late + other.late,
            wrong_shape: self.wrong_shape + other.wrong_shape,
            echoes: self.echoes + other.echoes,
            noise_bytes: self.noise_bytes + other.noise_bytes,
        }
    }
}

/// What came instead of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Saw {
    #[default]
    Nothing,
    /// The device spoke, but what it said was damaged or of the wrong shape.
    BadAnswer,
}

/// The pure half of a guard: bytes in, at most one matching frame out.
pub(crate) trait Matcher: Send {
    /// Bytes that came before the next request.
    fn stale(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Takes a request as tokio-modbus framed it; returns the bytes to send.
    fn begin(&mut self, frame: &[u8]) -> io::Result<Vec<u8>>;
    /// Bytes that came after the request.
    fn feed(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// The matching frame, as tokio-modbus wants to see it.
    fn take(&mut self) -> Option<Vec<u8>>;
    /// The exchange is over, with or without an answer; says what else was seen.
    fn conclude(&mut self, answered: bool) -> Saw;
    fn counters(&self) -> GuardCounters;
}

/// A matcher shared between the transport, which tokio-modbus owns, and the line that asks it.
pub(crate) struct Shared<M>(Arc<Mutex<M>>);

impl<M> Shared<M> {
    pub(crate) fn new(matcher: M) -> Self {
        Self(Arc::new(Mutex::new(matcher)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, M> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M> Clone for Shared<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Hears what comes over a line while nothing is asked.
pub(crate) trait Hear: Send {
    /// Takes what is there as input before the next request; the number of bytes, 0 when there is
    /// nothing.
    fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>>;
}

/// A port shared between the transport, which tokio-modbus owns, and an [`Ear`].
struct Port<T>(Arc<Mutex<T>>);

impl<T> Port<T> {
    fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Port<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Port<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_shutdown(cx)
    }
}

/// The listening end of a [`Guard`].
struct Ear<T, M> {
    port: Port<T>,
    matcher: Shared<M>,
    tap: Tap,
}

impl<T: AsyncRead + Unpin + Send, M: Matcher> Hear for Ear<T, M> {
    fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match poll_chunk(&self.port, &self.matcher, &self.tap, cx, M::stale) {
            Poll::Pending => Poll::Ready(Ok(0)),
            heard => heard,
        }
    }
}

/// Reads what is there and feeds it; the number of bytes, never 0.
fn poll_chunk<T: AsyncRead + Unpin, M>(
    port: &Port<T>,
    matcher: &Shared<M>,
    tap: &Tap,
    cx: &mut Context<'_>,
    feed: impl FnOnce(&mut M, &[u8]) -> io::Result<()>,
) -> Poll<io::Result<usize>> {
    let mut space = [0_u8; CHUNK_BYTES];
    let mut chunk = ReadBuf::new(&mut space);
    ready!(Pin::new(&mut *port.lock()).poll_read(cx, &mut chunk))?;
    if chunk.filled().is_empty() {
        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
    }
    tap.came(chunk.filled());
    feed(&mut matcher.lock(), chunk.filled())?;
    Poll::Ready(Ok(chunk.filled().len()))
}

/// The transport that tokio-modbus is given.
pub(crate) struct Guard<T, M> {
    port: Port<T>,
    matcher: Shared<M>,
    /// Sees every byte that passes.
    tap: Tap,
    /// The request on its way out.
    out: Vec<u8>,
    sent: usize,
    /// The answer on its way up.
    up: Vec<u8>,
    handed: usize,
}

impl<T, M> std::fmt::Debug for Guard<T, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guard")
    }
}

impl<T, M: Matcher + 'static> Guard<T, M>
where
    T: AsyncRead + Unpin + Send + 'static,
{
    /// For the time between requests.
    pub(crate) fn ear(&self) -> Box<dyn Hear> {
        let port = Port(Arc::clone(&self.port.0));
        Box::new(Ear { port, matcher: self.matcher.clone(), tap: self.tap.clone() })
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin, M: Matcher> Guard<T, M> {
    pub(crate) fn new(io: T, matcher: Shared<M>, tap: Tap) -> Self {
        let port = Port(Arc::new(Mutex::new(io)));
        Self { port, matcher, tap, out: Vec::new(), sent: 0, up: Vec::new(), handed: 0 }
    }

    /// The port itself, for the time between requests.
    pub(crate) fn port(&self) -> impl AsyncRead + AsyncWrite + Unpin + Send + 'static
    where
        T: Send + 'static,
    {
        Port(Arc::clone(&self.port.0))
    }

    fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut *self.port.lock()).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.sent = self.sent.saturating_add(n),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin, M: Matcher> AsyncWrite for Guard<T, M> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        frame: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if (1..this.out.len()).contains(&this.sent) {
            // What comes next would be read as the rest of the last request.
            let stuck = "the other side takes no more, and the last request is half sent";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, stuck)));
        }
        for _ in 0..DRAIN_CHUNKS_MAX {
            match poll_chunk(&this.port, &this.matcher, &this.tap, cx, M::stale) {
                Poll::Pending => break,
                Poll::Ready(heard) => drop(heard?),
            }
        }
        this.up.clear();
        this.handed = 0;
        this.out = this.matcher.lock().begin(frame)?;
        this.tap.sent(&this.out);
        this.sent = 0;
        if let Poll::Ready(result) = this.poll_push(cx) {
            result?;
        }
        Poll::Ready(Ok(frame.len()))
    }

    /// Hands the frame to the port, and does not wait until the port has sent it.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_push(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().port.lock()).poll_shutdown(cx)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin, M: Matcher> AsyncRead for Guard<T, M> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if let Some(rest) = this.up.get(this.handed..).filter(|rest| !rest.is_empty()) {
                let n = rest.len().min(buf.remaining());
                buf.put_slice(rest.get(..n).unwrap_or_default());
                this.handed = this.handed.saturating_add(n);
                return Poll::Ready(Ok(()));
            }
            let found = this.matcher.lock().take();
            if let Some(frame) = found {
                this.up = frame;
                this.handed = 0;
                continue;
            }
            ready!(poll_chunk(&this.port, &this.matcher, &this.tap, cx, M::feed))?;
        }
    }
}
