//! Ethernet, IPv4 and TCP around bytes that were seen above them, so that a packet analyser takes
//! them for a conversation it can follow: a handshake, sequence numbers, checksums.
//! (RFC 791, RFC 9293.)

use std::net::Ipv4Addr;

use super::Pcap;

const ETHERNET_IPV4: [u8; 2] = [0x08, 0x00];
const IP_BYTES: usize = 20;
const TCP_BYTES: usize = 20;
const TCP_PROTOCOL: u8 = 6;
const TTL: u8 = 64;
const WINDOW: u16 = 65_535;
/// Data in one packet; more is put into several.
const SEGMENT_BYTES: usize = 1_460;

const SYN: u8 = 0x02;
const PUSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// One TCP connection.
#[derive(Debug, Clone)]
pub struct Conversation {
    client: End,
    server: End,
}

#[derive(Debug, Clone)]
struct End {
    address: Ipv4Addr,
    port: u16,
    /// Number of the next byte it sends.
    next: u32,
}

impl Conversation {
    /// Writes the handshake.
    pub fn open(
        pcap: &mut Pcap,
        at_us: i64,
        client: (Ipv4Addr, u16),
        server: (Ipv4Addr, u16),
    ) -> Self {
        let end = |(address, port)| End { address, port, next: 0 };
        let mut new = Self { client: end(client), server: end(server) };
        new.segment(pcap, at_us, Side::Client, SYN, &[]);
        new.client.next = 1;
        new.segment(pcap, at_us, Side::Server, SYN | ACK, &[]);
        new.server.next = 1;
        new.segment(pcap, at_us, Side::Client, ACK, &[]);
        new
    }

    /// Writes what one side sends.
    pub fn send(&mut self, pcap: &mut Pcap, at_us: i64, from: Side, bytes: &[u8]) {
        for part in bytes.chunks(SEGMENT_BYTES) {
            self.segment(pcap, at_us, from, PUSH | ACK, part);
            let sender = match from {
                Side::Client => &mut self.client,
                Side::Server => &mut self.server,
            };
            sender.next = sender.next.wrapping_add(u32::try_from(part.len()).unwrap_or(0));
        }
    }

    fn segment(&self, pcap: &mut Pcap, at_us: i64, side: Side, flags: u8, data: &[u8]) {
        let (from, to) = match side {
            Side::Client => (&self.client, &self.server),
            Side::Server => (&self.server, &self.client),
        };
        let acked = if flags & ACK == 0 { 0 } else { to.next };
        let mut tcp = Vec::with_capacity(TCP_BYTES + data.len());
        tcp.extend(from.port.to_be_bytes());
        tcp.extend(to.port.to_be_bytes());
        tcp.extend(from.next.to_be_bytes());
        tcp.extend(acked.to_be_bytes());
        tcp.extend([0x50, flags]); // a header of five words
        tcp.extend(WINDOW.to_be_bytes());
        tcp.extend([0; 4]); // checksum, urgent pointer
        tcp.extend_from_slice(data);
        let length = u16::try_from(tcp.len()).unwrap_or(u16::MAX);
        let mut pseudo = Vec::with_capacity(12 + tcp.len());
        pseudo.extend(from.address.octets());
        pseudo.extend(to.address.octets());
        pseudo.extend([0, TCP_PROTOCOL]);
        pseudo.extend(length.to_be_bytes());
        pseudo.extend_from_slice(&tcp);
        put(&mut tcp, 16, checksum(&pseudo));

        let total = u16::try_from(IP_BYTES + tcp.len()).unwrap_or(u16::MAX);
        let mut ip = vec![0x45, 0]; // version 4, a header of five words
        ip.extend(total.to_be_bytes());
        ip.extend([0, 0, 0x40, 0, TTL, TCP_PROTOCOL, 0, 0]); // not fragmented
        ip.extend(from.address.octets());
        ip.extend(to.address.octets());
        let sum = checksum(&ip);
        put(&mut ip, 10, sum);

        // Locally administered addresses: nobody's.
        let mac = |last| [0x02, 0, 0, 0, 0, last];
        let (to_mac, from_mac) = match side {
            Side::Client => (mac(2), mac(1)),
            Side::Server => (mac(1), mac(2)),
        };
        let mut frame = Vec::new();
        frame.extend(to_mac);
        frame.extend(from_mac);
        frame.extend(ETHERNET_IPV4);
        frame.extend(ip);
        frame.extend(tcp);
        pcap.packet(at_us, &frame);
    }
}

fn put(bytes: &mut [u8], at: usize, word: u16) {
    for (byte, part) in bytes.iter_mut().skip(at).zip(word.to_be_bytes()) {
        *byte = part;
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        let word = match pair {
            [high, low] => u16::from_be_bytes([*high, *low]),
            [high] => u16::from_be_bytes([*high, 0]),
            _ => 0,
        };
        sum += u32::from(word);
    }
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::LinkType;
    use super::*;

    const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 50_000);
    const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 2), 502);

    /// The packets of a file, without their headers.
    fn packets(bytes: &[u8]) -> Vec<&[u8]> {
        let (mut rest, mut out) = (&bytes[24..], Vec::new());
        while !rest.is_empty() {
            let length = u32::from_le_bytes(rest[8..12].try_into().unwrap());
            let (packet, after) = rest[16..].split_at(usize::try_from(length).unwrap());
            out.push(packet);
            rest = after;
        }
        out
    }

    fn number(packet: &[u8], at: usize) -> u32 {
        u32::from_be_bytes(packet[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn a_conversation_has_a_handshake_and_numbers_that_go_on() {
        let mut pcap = Pcap::new(LinkType::Ethernet);
        let mut talk = Conversation::open(&mut pcap, 0, CLIENT, SERVER);
        talk.send(&mut pcap, 1, Side::Client, &[7; 12]);
        talk.send(&mut pcap, 2, Side::Server, &[8; 2000]);
        talk.send(&mut pcap, 3, Side::Client, &[7; 1]);
        let bytes = pcap.into_bytes();
        let packets = packets(&bytes);
        let flags: Vec<u8> = packets.iter().map(|packet| packet[14 + 20 + 13]).collect();
        assert_eq!(flags, [SYN, SYN | ACK, ACK, 0x18, 0x18, 0x18, 0x18]);
        let sequence: Vec<u32> = packets.iter().map(|packet| number(packet, 14 + 24)).collect();
        assert_eq!(sequence, [0, 0, 1, 1, 1, 1461, 13]);
        let acked: Vec<u32> = packets.iter().map(|packet| number(packet, 14 + 28)).collect();
        assert_eq!(acked, [0, 1, 1, 1, 13, 13, 2001]);
    }

    #[test]
    fn sums_over_header_and_data_come_out_even() {
        assert_eq!(checksum(&[0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]), !0xDDF2);
        let mut pcap = Pcap::new(LinkType::Ethernet);
        let mut talk = Conversation::open(&mut pcap, 0, CLIENT, SERVER);
        talk.send(&mut pcap, 1, Side::Client, &[1, 2, 3]);
        let bytes = pcap.into_bytes();
        for packet in packets(&bytes) {
            let (ip, tcp) = packet[14..].split_at(20);
            assert_eq!(checksum(ip), 0);
            let mut pseudo = ip[12..20].to_vec();
            pseudo.extend([0, 6]);
            pseudo.extend(u16::try_from(tcp.len()).unwrap().to_be_bytes());
            pseudo.extend(tcp);
            assert_eq!(checksum(&pseudo), 0);
        }
    }
}
