//! Takes connections, plain or with TLS, and serves them within bounds.
//!
//! A connection that is slow, silent or one too many costs nobody else anything: there is room for
//! so many, the head of a request has to come in time, and an answer is awaited for so long.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
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

use super::access::{Encryption, EncryptionError, Opening, names};
use super::crowd::{Crowd, Place};
use super::{App, events, routes};
use crate::config::{WebPlan, WebTls};
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
    Certificate(#[source] EncryptionError),
    #[error("nobody can sign in at the web page")]
    Access(#[source] Opening),
}

impl WebError {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Listen { .. } => Blame::Config,
            Self::Certificate(error) => error.blame(),
            Self::Access(error) => error.blame(),
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
    pub encrypted: bool,
}

/// Serves until told to stop.
pub async fn serve(app: App, stop: CancellationToken) -> Result<(), WebError> {
    let address = app.plan().listen;
    let listener =
        TcpListener::bind(address).await.map_err(|source| WebError::Listen { address, source })?;
    let encryption = Encryption::new(app.plan(), app.state_dir().cloned(), Arc::clone(app.clock()))
        .await
        .map_err(WebError::Certificate)?;
    app.access().announce(&address_of(app.plan()));
    app.set_up();
    let router = routes::router(&app);
    let crowd = Crowd::new(app.plan().connections);
    // A proxy here connects for everybody.
    let is_proxied = |address: IpAddr| app.plan().tls == WebTls::Off && address.is_loopback();
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
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let place = crowd.place(address.ip());
        if place.is_none() && !is_proxied(address.ip()) {
            continue;
        }
        let (router, encryption, stop) = (router.clone(), encryption.clone(), stop.clone());
        connections.spawn(connection(stream, address, place, router, encryption, stop));
    }
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(GRACE, all).await; // What is not done then is cut off with the set.
    Ok(())
}

/// Where a person finds the page.
fn address_of(plan: &WebPlan) -> String {
    let scheme = if plan.tls == WebTls::Off { "http" } else { "https" };
    let host = match plan.listen.ip() {
        ip if !ip.is_unspecified() => return format!("{scheme}://{}/", plan.listen),
        _ => names::host_name().map_or_else(|| "localhost".to_owned(), |name| name + ".local"),
    };
    format!("{scheme}://{host}:{}/", plan.listen.port())
}

/// The peer's trouble is the peer's: nobody is told.
async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    _place: Option<Place>,
    router: Router,
    encryption: Encryption,
    stop: CancellationToken,
) {
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
