//! Who is at the other end of a connection, as far as the network says.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Network(SocketAddr),
    /// A process of this machine, with the user it runs as.
    Local {
        uid: Option<u32>,
    },
}

impl Peer {
    /// `None` for a process of this machine on a Unix socket.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Network(address) => Some(address.ip()),
            Self::Local { .. } => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(address) => address.fmt(f),
            Self::Local { uid: Some(uid) } => write!(f, "unix uid {uid}"),
            Self::Local { uid: None } => f.write_str("unix"),
        }
    }
}

impl serde::Serialize for Peer {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
