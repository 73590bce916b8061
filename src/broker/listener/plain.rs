//! A TCP connection whose packets are written from two sides: by its own task, and by the router for
//! it. Who writes when is the outbox's matter.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::net::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// For the router.
#[derive(Clone)]
pub struct Plain(Arc<OwnedWriteHalf>);

impl Plain {
    /// Writes what the socket takes at once.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }
}

/// For the connection's task.
pub struct Duplex {
    reading: OwnedReadHalf,
    writing: Plain,
}

impl Duplex {
    pub fn new(stream: TcpStream) -> (Self, Plain) {
        let (reading, writing) = stream.into_split();
        let writing = Plain(Arc::new(writing));
        (Self { reading, writing: writing.clone() }, writing)
    }

    fn stream(&self) -> &TcpStream {
        (*self.writing.0).as_ref()
    }

    /// Tries again when the socket takes more.
    fn when_ready(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream().poll_write_ready(cx))?;
            match write(self.stream()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncRead for Duplex {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reading).poll_read(cx, out)
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.when_ready(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.when_ready(cx, |stream| stream.try_write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match rustix::net::shutdown(self.stream(), Shutdown::Write) {
            Err(error) if error != rustix::io::Errno::NOTCONN => Poll::Ready(Err(error.into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}
