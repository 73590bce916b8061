//! A UDP socket as a stream whose chunks are datagrams.
//!
//! There is no connection that could break: what a router or the other machine says about a
//! datagram that did not arrive is taken as silence, and the request runs into its timeout.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UdpSocket;

use super::dial::explain;
use crate::config::Endpoint;

/// See the module.
pub(super) struct Datagrams(UdpSocket);

/// Takes datagrams from this address and port alone.
pub(super) async fn open(to: &Endpoint) -> io::Result<Datagrams> {
    let resolved = tokio::net::lookup_host((to.host.as_str(), to.port)).await;
    let address = resolved.map_err(|error| explain(&error, to))?.next();
    let address = address.ok_or_else(|| explain(&io::ErrorKind::NotFound.into(), to))?;
    let any = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await.map_err(|error| explain(&error, to))?;
    Ok(Datagrams(socket))
}

/// Said of an earlier datagram that had no taker.
fn is_about_another(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable)
}

impl AsyncRead for Datagrams {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match ready!(self.0.poll_recv(cx, buf)) {
                // An empty one would look like the end of a stream.
                Ok(()) if buf.filled().is_empty() => {}
                Err(error) if is_about_another(&error) => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

impl AsyncWrite for Datagrams {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        frame: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.0.poll_send(cx, frame)) {
            // The socket's error is cleared by saying it; a second one is this datagram's loss.
            Err(error) if is_about_another(&error) => match ready!(self.0.poll_send(cx, frame)) {
                Err(error) if is_about_another(&error) => Poll::Ready(Ok(frame.len())),
                result => Poll::Ready(result),
            },
            result => Poll::Ready(result),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
