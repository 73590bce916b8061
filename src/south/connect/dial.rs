//! A TCP connection that we make, and what is said when there is none.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::config::Endpoint;

/// The longest wait for a TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) async fn dial(to: &Endpoint) -> io::Result<TcpStream> {
    let connect = TcpStream::connect((to.host.as_str(), to.port));
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, connect)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))
        .and_then(|connected| connected)
        .map_err(|error| explain(&error, to))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(super) fn explain(error: &io::Error, to: &Endpoint) -> io::Error {
    let said = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("{to} connection refused: nothing listens on this port")
        }
        io::ErrorKind::TimedOut => {
            format!("{to} does not answer; check the address, the cable, the power")
        }
        _ if error.to_string().contains("lookup address") => {
            format!("the name {} has no address; check it, or write the address itself", to.host)
        }
        _ => format!("{to} {error}"),
    };
    io::Error::new(error.kind(), said)
}
