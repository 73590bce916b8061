//! Takes connections, plain or with TLS, and serves them within bounds.
//!
//! A connection that is slow, silent or one too many costs nobody else anything: there is room for
//! so many, the head of a request has to come in time, and an answer is awaited for so long.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::access::Encryption;
use super::{App, events, routes};
use crate::model::{Blame, Retry};

/// For the handshake of TLS, and for the head of a request.
const HEAD: Duration = Duration::from_secs(10);
/// Pause after a failed accept: out of file descriptors is the usual reason.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// What open connections get to end their answers.
const GRACE: Duration = Duration::from_secs(1);
/// Requests of one HTTP/2 connection at a time.
const STREAMS_MAX: u32 = 64;

/// Why the page is not there.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error("the web page can't listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the web page has no certificate to show")]
    Certificate(#[source] Box<dyn Error + Send + Sync>),
}

impl WebError {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Listen { .. } => Blame::Config,
            Self::Certificate(_) => Blame::Disk,
        }
    }

    pub fn retry(&self) -> Retry {
        Retry::Later
    }
}

/// Who is at the other end, as every request knows it.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    pub address: SocketAddr,
    #[expect(dead_code, reason = "sessions will need it for their cookies")]
    pub encrypted: bool,
}

/// Serves until told to stop.
pub async fn serve(app: App, stop: CancellationToken) -> Result<(), WebError> {
    let address = app.plan().listen;
    let listener =
        TcpListener::bind(address).await.map_err(|source| WebError::Listen { address, source })?;
    let encryption = Encryption::new(&app).map_err(WebError::Certificate)?;
    let router = routes::router(&app);
    let mut connections = JoinSet::new();
    let mut work = JoinSet::new();
    work.spawn(events::run(app.clone(), stop.clone()));
    work.spawn(encryption.clone().renew(stop.clone()));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept(), if connections.len() < app.plan().connections => accepted,
        };
        let Ok((stream, address)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let serving = connection(stream, address, router.clone(), encryption.clone(), stop.clone());
        connections.spawn(serving);
    }
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(GRACE, all).await; // What is not done then is cut off with the set.
    Ok(())
}

/// The peer's trouble is the peer's: nobody is told.
async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    encryption: Encryption,
    stop: CancellationToken,
) {
    let address = SocketAddr::new(unmapped(address.ip()), address.port());
    let _ = stream.set_nodelay(true);
    match encryption.config() {
        None => http(stream, Caller { address, encrypted: false }, router, stop).await,
        Some(config) => {
            let acceptor = TlsAcceptor::from(config);
            if let Ok(Ok(stream)) = timeout(HEAD, acceptor.accept(stream)).await {
                http(stream, Caller { address, encrypted: true }, router, stop).await;
            }
        }
    }
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    caller: Caller,
    router: Router,
    stop: CancellationToken,
) {
    let service = router.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(caller);
        request
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(Some(HEAD))
        .keep_alive_timeout(HEAD);
    let connection =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// An IPv4 address as such, also where the socket is of both families.
fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
