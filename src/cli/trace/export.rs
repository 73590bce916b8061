//! A trace as a file: text as it is shown, or packets for Wireshark.

use std::net::Ipv4Addr;
use std::path::Path;

use super::{Trace, text};
use crate::cli::BadInput;
use crate::codec::pcap::{Conversation, LinkType, Pcap, Side};
use crate::config::Plan;
use crate::south::trace::{Exchange, Framing, Way, frames};

/// Stand in for both ends (RFC 5737), since the bytes were seen above them.
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// Where every analyser expects Modbus TCP.
const MODBUS_PORT: u16 = 502;
/// Ports of clients begin here, one more for each connection.
const CLIENT_PORT: u16 = 50_000;
const CLIENT_PORTS: u32 = 10_000;

#[derive(Debug, Clone, Copy)]
pub enum Format {
    Text,
    Pcap,
}

impl Format {
    /// By the end of the file's name.
    pub fn of(path: &Path) -> Result<Self, BadInput> {
        match path.extension().and_then(|end| end.to_str()) {
            Some("txt") => Ok(Self::Text),
            Some("pcap") => Ok(Self::Pcap),
            _ => Err(BadInput(format!(
                "{}: what to write is said by the name: FILE.txt or FILE.pcap",
                path.display()
            ))),
        }
    }

    pub fn write(self, trace: &Trace, plan: &Plan) -> Vec<u8> {
        match self {
            Self::Text => written(trace, plan).into_bytes(),
            Self::Pcap => match trace.page.framing {
                Framing::Mbap => ethernet(trace),
                Framing::Rtu => user(trace, LinkType::User0),
                Framing::Other => user(trace, LinkType::User1),
            },
        }
    }
}

fn written(trace: &Trace, plan: &Plan) -> String {
    let mut out = String::new();
    let lines = trace.exchanges.iter().flat_map(|e| text::exchange(&trace.page, e, plan));
    for line in text::head(&trace.page).into_iter().chain(lines) {
        out += &format!("{line}\n");
    }
    out
}

/// Every piece a packet of its connection.
fn ethernet(trace: &Trace) -> Vec<u8> {
    let mut pcap = Pcap::new(LinkType::Ethernet);
    let mut open: Option<(u32, Conversation)> = None;
    for exchange in &trace.exchanges {
        let mut talk = match open.take() {
            Some((connection, talk)) if connection == exchange.connection => talk,
            _ => {
                let port = u16::try_from(exchange.connection % CLIENT_PORTS).unwrap_or(0);
                let client = (CLIENT, CLIENT_PORT.saturating_add(port));
                let server = (SERVER, MODBUS_PORT);
                Conversation::open(&mut pcap, exchange.at_us, client, server)
            }
        };
        for part in &exchange.parts {
            let side = match part.way {
                Way::Out => Side::Client,
                Way::In => Side::Server,
            };
            talk.send(&mut pcap, at(exchange, part.after_us), side, &part.bytes);
        }
        open = Some((exchange.connection, talk));
    }
    pcap.into_bytes()
}

/// Every frame a packet, and what is between frames as well.
fn user(trace: &Trace, link: LinkType) -> Vec<u8> {
    let mut pcap = Pcap::new(link);
    for exchange in &trace.exchanges {
        for frame in frames(trace.page.framing, exchange) {
            pcap.packet(at(exchange, frame.after_us), &frame.bytes);
        }
    }
    pcap.into_bytes()
}

fn at(exchange: &Exchange, after_us: u32) -> i64 {
    exchange.at_us.saturating_add(after_us.into())
}
