//! MQTT over WebSocket (MQTT 5.0, 6): the bytes of binary frames as one stream.
//!
//! Packets and frames have nothing to do with each other: a frame may hold many packets or a part
//! of one [MQTT-6.0.0-2]. A text frame ends the connection [MQTT-6.0.0-1]. Pings are answered
//! below. Both halves of the handshake: that of a listener and that of a client. Knows no MQTT.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

/// The sub-protocol that a client has to offer [MQTT-6.0.0-3], and the one of MQTT 3.1.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];
/// A message may hold this much more than the largest packet: clients send several together.
const MESSAGE_BYTES_EXTRA: usize = 512 * 1024;
/// Taken off the socket at once.
const READ_BYTES: usize = 8 * 1024;
/// Bytes of one message that we send.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// Encoded and not yet taken by the socket.
const WRITE_BYTES_MAX: usize = 4 * FRAME_BYTES_MAX;

pub struct WebSocket<S> {
    inner: WebSocketStream<S>,
    /// Of the last message, not yet read.
    rest: Bytes,
}

/// The server's half of the handshake.
pub async fn accept<S>(stream: S, packet_bytes: u32) -> io::Result<WebSocket<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let packet = usize::try_from(packet_bytes).unwrap_or(usize::MAX / 2);
    let config = Some(config(packet));
    let accepted = tokio_tungstenite::accept_hdr_async_with_config(stream, choose, config).await;
    Ok(WebSocket { inner: accepted.map_err(failed)?, rest: Bytes::new() })
}

/// Why a server did not become one of WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("it answers {0} instead of WebSocket")]
    Status(u16),
    #[error("it does not speak MQTT over WebSocket: {0}")]
    NotMqtt(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The client's half of the handshake. `url` begins with `ws://` or `wss://`; TLS, if any, is below.
pub async fn connect<S>(url: &str, stream: S, packet_bytes: usize) -> Result<WebSocket<S>, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = url.into_client_request().map_err(refused)?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("mqtt"));
    let config = Some(config(packet_bytes));
    let connected = tokio_tungstenite::client_async_with_config(request, stream, config).await;
    let (inner, _response) = connected.map_err(refused)?;
    Ok(WebSocket { inner, rest: Bytes::new() })
}

fn refused(error: Error) -> Refused {
    match error {
        Error::Io(error) => Refused::Io(error),
        Error::Http(response) => Refused::Status(response.status().as_u16()),
        other => Refused::NotMqtt(other.to_string()),
    }
}

fn config(packet_bytes: usize) -> WebSocketConfig {
    let message_max = packet_bytes.saturating_add(MESSAGE_BYTES_EXTRA);
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BYTES_MAX)
        .max_message_size(Some(message_max))
        .max_frame_size(Some(message_max))
}

/// Takes the sub-protocol, or turns the client away.
#[expect(clippy::result_large_err, reason = "the form that the handshake calls")]
fn choose(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offers = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let offers: Vec<&str> = offers
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .collect();
    let Some(chosen) = PROTOCOLS.into_iter().find(|known| offers.contains(known)) else {
        let mut refusal = ErrorResponse::new(Some("MQTT needs the sub-protocol mqtt\n".to_owned()));
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Err(refusal);
    };
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(chosen));
    Ok(response)
}

fn failed(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Text(_))) => {
                    let error = io::Error::new(io::ErrorKind::InvalidData, "a text frame");
                    return Poll::Ready(Err(error));
                }
                Some(Ok(Message::Close(_))) => {
                    // Answered if the socket takes that at once (RFC 6455, 5.5.1).
                    let _ = Pin::new(&mut self.inner).poll_flush(cx);
                    return Poll::Ready(Ok(()));
                }
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(failed(error))),
            }
        }
        let count = self.rest.len().min(out.remaining());
        out.put_slice(self.rest.get(..count).unwrap_or_default());
        self.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    /// One message of as much as a frame may have.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.inner).poll_ready(cx)).map_err(failed)?;
        let mut message = BytesMut::new();
        for piece in pieces {
            let room = FRAME_BYTES_MAX - message.len();
            message.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
        }
        let count = message.len();
        Pin::new(&mut self.inner).start_send(Message::Binary(message.freeze())).map_err(failed)?;
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx).map_err(failed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx).map_err(failed)
    }
}
