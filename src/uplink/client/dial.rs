//! From a name to a broker that has said welcome, step by step.
//!
//! Every step is reported when it is done, so that a person can be told how far it came. Nothing
//! is tried again here; the driver waits and tries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::failure::{Failure, Step};
use super::packet::{Hello, Incoming, Limits, Outgoing};
use super::proxy::{self, Proxy};
use super::{Client, INCOMING_BYTES_MAX, Wire};
use crate::websocket;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// What a connection runs over.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where to.
#[derive(Clone)]
pub struct Target {
    pub host: String,
    pub port: u16,
    pub proxy: Option<Proxy>,
    /// `None` for plain TCP.
    pub tls: Option<Secure>,
    /// Over WebSocket at this path.
    pub path: Option<String>,
}

impl Target {
    /// The step after which CONNECT is sent.
    pub fn last_step(&self) -> Step {
        if self.path.is_some() {
            Step::WebSocket
        } else if self.tls.is_some() {
            Step::Tls
        } else if self.proxy.is_some() {
            Step::Proxy
        } else {
            Step::Connect
        }
    }
}

#[derive(Clone)]
pub struct Secure {
    pub config: Arc<ClientConfig>,
    /// The name that is asked for and that the certificate must have.
    pub name: String,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// All steps together.
    pub connect: Duration,
    /// A connection on which an answer is due and nothing comes is dead after this.
    pub answer: Duration,
    /// What has to go out before the answer is waited for besides, at so many bytes per second.
    pub slowest: u64,
}

/// Connects. `done` hears of every step.
pub async fn connect(
    target: &Target,
    hello: &Hello,
    patience: Patience,
    done: &mut (dyn FnMut(Step) + Send),
) -> Result<Client, Failure> {
    let until = Instant::now() + patience.connect;
    let stream = stream(target, until, done).await?;
    let mut wire = Wire::new(stream, hello.version);
    let limits = within(until, Step::Mqtt, greet(&mut wire, hello)).await??;
    done(Step::Mqtt);
    let keep_alive = limits.keep_alive.unwrap_or(hello.keep_alive);
    let keep_alive = Duration::from_secs(keep_alive.into());
    let mut client = Client::new(wire, limits, keep_alive, patience);
    client.has_will = hello.will.is_some();
    Ok(client)
}

async fn stream(
    target: &Target,
    until: Instant,
    done: &mut (dyn FnMut(Step) + Send),
) -> Result<Box<dyn Stream>, Failure> {
    let stream = match &target.proxy {
        None => tcp(&target.host, target.port, until, done).await?,
        Some(proxy) => {
            let at = |failure| Failure::AtProxy(place(&proxy.host, proxy.port), Box::new(failure));
            let mut stream = tcp(&proxy.host, proxy.port, until, done).await.map_err(at)?;
            let asked = proxy::ask(&mut stream, proxy, &target.host, target.port);
            let asked = within(until, Step::Proxy, asked).await.and_then(|asked| asked);
            asked.map_err(|failure| match failure {
                Failure::Io(_) => at(failure),
                failure => failure,
            })?;
            done(Step::Proxy);
            stream
        }
    };
    let stream: Box<dyn Stream> = match &target.tls {
        None => Box::new(stream),
        Some(secure) => {
            let name = ServerName::try_from(secure.name.clone())
                .map_err(|_| Failure::ServerName(secure.name.clone()))?;
            let connector = TlsConnector::from(secure.config.clone());
            let stream = within(until, Step::Tls, connector.connect(name, stream)).await?;
            let stream = stream.map_err(Failure::Tls)?;
            done(Step::Tls);
            Box::new(stream)
        }
    };
    let Some(path) = &target.path else { return Ok(stream) };
    let scheme = if target.tls.is_some() { "wss" } else { "ws" };
    let url = format!("{scheme}://{}{path}", place(&target.host, target.port));
    let connected = websocket::connect(&url, stream, INCOMING_BYTES_MAX);
    let stream = within(until, Step::WebSocket, connected).await?.map_err(Failure::WebSocket)?;
    done(Step::WebSocket);
    Ok(Box::new(stream))
}

/// `host:port`, as in a URL.
pub fn place(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

async fn within<T>(
    until: Instant,
    step: Step,
    what: impl Future<Output = T>,
) -> Result<T, Failure> {
    timeout_at(until, what).await.map_err(|_| Failure::Timeout(step))
}

/// A connection to this host.
async fn tcp(
    host: &str,
    port: u16,
    until: Instant,
    done: &mut (dyn FnMut(Step) + Send),
) -> Result<TcpStream, Failure> {
    let addresses = within(until, Step::Resolve, lookup_host((host, port))).await?;
    let addresses: Vec<_> = addresses.map_err(Failure::Resolve)?.take(ADDRESSES_MAX).collect();
    done(Step::Resolve);
    let stream = one_of(&addresses, until).await?;
    done(Step::Connect);
    Ok(stream)
}

/// Tries one address after the other. One that does not answer must not use up the time of those
/// behind it.
async fn one_of(addresses: &[SocketAddr], until: Instant) -> Result<TcpStream, Failure> {
    let mut failure = Failure::Resolve(std::io::Error::other("no address for this name"));
    for (tried, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = until.saturating_duration_since(Instant::now()) / left;
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(Failure::Connect)?;
                return Ok(stream);
            }
            Ok(Err(error)) => failure = Failure::Connect(error),
            Err(_) => failure = Failure::Timeout(Step::Connect),
        }
    }
    Err(failure)
}

/// CONNECT and its answer.
async fn greet(wire: &mut Wire, hello: &Hello) -> Result<Limits, Failure> {
    wire.send(Outgoing::Hello(hello))?;
    match wire.next().await? {
        Incoming::Welcome { reason, limits } if reason.code == 0 => Ok(limits),
        Incoming::Welcome { reason, .. } => Err(Failure::Refused(reason)),
        Incoming::Goodbye(reason) => Err(Failure::Dismissed(reason)),
        _ => Err(Failure::protocol("it did not answer CONNECT with CONNACK")),
    }
}
