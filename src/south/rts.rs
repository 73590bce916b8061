//! Switching the transmitter of a two-wire adapter by RTS, for adapters that don't do it themselves
//! and whose driver can't.
//!
//! RTS is on from `before` the first character until `after` the last one; how long the characters
//! take is computed, as a driver that could tell would have its own RS-485 mode. All of it blocks
//! the thread, which serves this line alone: answers that come meanwhile wait in the kernel.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_serial::{SerialPort as _, SerialStream};

use crate::config::RtsTimes;

/// A port with the line RTS.
pub(crate) trait HasRts {
    fn set_rts(&mut self, on: bool) -> io::Result<()>;
}

impl HasRts for SerialStream {
    fn set_rts(&mut self, on: bool) -> io::Result<()> {
        self.write_request_to_send(on).map_err(io::Error::from)
    }
}

/// See the module.
pub(crate) struct RtsPort<T> {
    port: T,
    times: RtsTimes,
    /// One character on the wire.
    character: Duration,
    sending: bool,
}

impl<T: HasRts> RtsPort<T> {
    /// Listens at first; an error if the port has no RTS.
    pub(crate) fn new(mut port: T, times: RtsTimes, character: Duration) -> io::Result<Self> {
        port.set_rts(false).map_err(|error| {
            let why =
                format!("RTS can't be switched (rts): {error}; does the port have this line?");
            io::Error::new(error.kind(), why)
        })?;
        Ok(Self { port, times, character, sending: false })
    }

    fn listen(&mut self) -> io::Result<()> {
        self.sending = false;
        self.port.set_rts(false)
    }
}

impl<T: HasRts + AsyncWrite + Unpin> AsyncWrite for RtsPort<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.sending {
            this.port.set_rts(true)?;
            this.sending = true;
            std::thread::sleep(this.times.before);
        }
        // While the port takes nothing, it still sends what it took.
        let written = ready!(Pin::new(&mut this.port).poll_write(cx, bytes));
        if let Ok(count) = &written {
            let characters = u32::try_from(*count).unwrap_or(u32::MAX);
            std::thread::sleep(this.character.saturating_mul(characters) + this.times.after);
        }
        this.listen()?;
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().port).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().port).poll_shutdown(cx)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for RtsPort<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().port).poll_read(cx, buf)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio::time::Instant;

    use super::*;

    /// A port that notes when RTS was switched and when bytes went out.
    struct Noted {
        io: DuplexStream,
        events: Vec<(Instant, &'static str)>,
        broken: bool,
    }

    impl Noted {
        fn note(&mut self, what: &'static str) {
            self.events.push((Instant::now(), what));
        }
    }

    impl HasRts for Noted {
        fn set_rts(&mut self, on: bool) -> io::Result<()> {
            self.note(if on { "on" } else { "off" });
            if self.broken { Err(io::ErrorKind::Unsupported.into()) } else { Ok(()) }
        }
    }

    impl AsyncRead for Noted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.io).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Noted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.note("bytes");
            Pin::new(&mut self.io).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.io).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.io).poll_shutdown(cx)
        }
    }

    const MS: Duration = Duration::from_millis(1);

    fn noted(broken: bool) -> (Noted, DuplexStream) {
        let (io, far) = tokio::io::duplex(64);
        (Noted { io, events: Vec::new(), broken }, far)
    }

    #[tokio::test]
    async fn rts_is_on_around_the_characters_and_no_longer() {
        let (port, mut far) = noted(false);
        let times = RtsTimes { before: 4 * MS, after: 6 * MS };
        let mut port = RtsPort::new(port, times, MS).unwrap();
        port.write_all(&[1, 2, 3, 4, 5, 6, 7, 8]).await.unwrap();
        far.write_all(&[9]).await.unwrap();
        assert_eq!(port.read_u8().await.unwrap(), 9);
        let events = &port.port.events;
        let what: Vec<_> = events.iter().map(|(_, what)| *what).collect();
        assert_eq!(what, ["off", "on", "bytes", "off"]);
        assert!(events[2].0 - events[1].0 >= times.before);
        assert!(events[3].0 - events[2].0 >= 8 * MS + times.after);
    }

    #[tokio::test]
    async fn rts_goes_off_when_the_port_breaks() {
        let (port, far) = noted(false);
        let times = RtsTimes { before: Duration::ZERO, after: Duration::ZERO };
        let mut port = RtsPort::new(port, times, MS).unwrap();
        drop(far);
        assert!(port.write_all(&[1]).await.is_err());
        assert_eq!(port.port.events.last().map(|(_, what)| *what), Some("off"));
    }

    #[test]
    fn a_port_without_rts_is_said_so() {
        let (port, _far) = noted(true);
        let times = RtsTimes { before: MS, after: MS };
        let error = RtsPort::new(port, times, MS).err().unwrap().to_string();
        assert!(error.contains("RTS can't be switched"), "{error}");
    }
}
