//! A pseudo terminal as a serial line: one end for the simulated slave, a path for the gateway.
//!
//! Dropping it is pulling the plug: whoever has the path open gets an error. Speeds are ignored by
//! the kernel; [`RtuSlave`](super::RtuSlave) keeps the time.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// See the module. Reads and writes are those of the slave's end.
pub struct Pty {
    master: AsyncFd<OwnedFd>,
    /// Held open, so that the gateway closing its end is not the end of the line.
    _line: OwnedFd,
    path: PathBuf,
    link: Option<PathBuf>,
}

impl Pty {
    /// Needs a tokio runtime around it.
    pub fn open() -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        let path = PathBuf::from(OsStr::from_bytes(name.as_bytes()));
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let line = rustix::fs::open(&path, flags, Mode::empty())?;
        let mut settings = rustix::termios::tcgetattr(&line)?;
        settings.make_raw();
        rustix::termios::tcsetattr(&line, OptionalActions::Now, &settings)?;
        let flags = rustix::fs::fcntl_getfl(&master)?;
        rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK)?;
        #[expect(
            deprecated,
            reason = "sound for an OwnedFd that stays where it is; its successor is unsafe code"
        )]
        let master = AsyncFd::new(master)?;
        Ok(Self { master, _line: line, path, link: None })
    }

    /// As [`Pty::open`], with a symbolic link to it at `link`, replacing one that is there. The link
    /// goes when the line goes.
    pub fn open_at(link: &Path) -> io::Result<Self> {
        let mut pty = Self::open()?;
        match std::fs::symlink_metadata(link) {
            Ok(there) if there.is_symlink() => std::fs::remove_file(link)?,
            _ => {}
        }
        std::os::unix::fs::symlink(&pty.path, link)?;
        pty.link = Some(link.to_owned());
        Ok(pty)
    }

    /// What the gateway opens.
    pub fn path(&self) -> &Path {
        self.link.as_deref().unwrap_or(&self.path)
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            let _ = std::fs::remove_file(link);
        }
    }
}

impl AsyncRead for Pty {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.master.poll_read_ready(cx))?;
            let space = buf.initialize_unfilled();
            match ready.try_io(|fd| rustix::io::read(fd, space).map_err(Into::into)) {
                Ok(n) => {
                    buf.advance(n?);
                    return Poll::Ready(Ok(()));
                }
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Pty {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.master.poll_write_ready(cx))?;
            match ready.try_io(|fd| rustix::io::write(fd, bytes).map_err(Into::into)) {
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
