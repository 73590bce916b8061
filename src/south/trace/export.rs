//! A trace as a file: text as it is shown, or packets for Wireshark.

use std::net::Ipv4Addr;

use super::text;
use super::{Exchange, Framing, Page, Way, frames};
use crate::codec::pcap::{Conversation, LinkType, Pcap, Side};
use crate::config::Plan;

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
    /// Exchanges as a file; `page` is one of those they came with.
    pub fn write<'a>(
        self,
        page: &Page,
        exchanges: impl Iterator<Item = &'a Exchange>,
        plan: &Plan,
    ) -> Vec<u8> {
        match self {
            Self::Text => written(page, exchanges, plan).into_bytes(),
            Self::Pcap => match page.framing {
                Framing::Mbap => ethernet(exchanges),
                Framing::Rtu => user(page.framing, exchanges, LinkType::User0),
                Framing::Other => user(page.framing, exchanges, LinkType::User1),
            },
        }
    }
}

fn written<'a>(page: &Page, all: impl Iterator<Item = &'a Exchange>, plan: &Plan) -> String {
    let lines = all.flat_map(|exchange| text::exchange(page, exchange, plan));
    text::head(page).into_iter().chain(lines).map(|line| format!("{line}\n")).collect()
}

/// Every piece a packet of its connection.
fn ethernet<'a>(exchanges: impl Iterator<Item = &'a Exchange>) -> Vec<u8> {
    let mut pcap = Pcap::new(LinkType::Ethernet);
    let mut open: Option<(u32, Conversation)> = None;
    for exchange in exchanges {
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
fn user<'a>(
    framing: Framing,
    exchanges: impl Iterator<Item = &'a Exchange>,
    link: LinkType,
) -> Vec<u8> {
    let mut pcap = Pcap::new(link);
    for exchange in exchanges {
        for frame in frames(framing, exchange) {
            pcap.packet(at(exchange, frame.after_us), &frame.bytes);
        }
    }
    pcap.into_bytes()
}

fn at(exchange: &Exchange, after_us: u32) -> i64 {
    exchange.at_us.saturating_add(after_us.into())
}
