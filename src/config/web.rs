//! The web page: where it is served, what shows who we are, and by which names it may be called.

use std::net::SocketAddr;

use super::broker::ServerTlsPlan;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebPlan {
    pub listen: SocketAddr,
    pub tls: WebTls,
    /// Names by which browsers may call it, beside those that the machine has itself.
    pub hosts: Vec<String>,
    /// Most connections at a time.
    pub connections: usize,
}

/// What the page shows of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebTls {
    /// A certificate of an authority of our own, both made by the gateway.
    Device,
    /// Somebody else's certificate, which asks nobody for one.
    Files(ServerTlsPlan),
    /// Nothing: plain HTTP.
    Off,
}
