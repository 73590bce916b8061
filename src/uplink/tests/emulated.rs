//! A cloud service that enforces what its preset says, and ends the connection at the first breach.
//!
//! Bytes and times in, answers out: it has no socket and no clock, so that a test may let it live in a
//! time of its own. It reads MQTT 3.1.1 with code of its own, since it judges what others wrote.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::clouds::{CLIENT_ID, Login, ServiceLimits};
use crate::model::TopicFilter;

const SECOND: Duration = Duration::from_secs(1);

/// What it has seen.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    pub connects: u64,
    pub messages: u64,
    /// Of whole packets.
    pub bytes: u64,
    /// The most in any second.
    pub peak_messages: usize,
    pub peak_bytes: usize,
    /// The most that was unacknowledged.
    pub peak_in_flight: usize,
    /// Each ended its connection.
    pub breaches: Vec<String>,
}

/// What it knows of a client, over one connection after the other.
pub struct Connection {
    limits: ServiceLimits,
    /// How long an acknowledgement takes.
    latency: Duration,
    client_id: String,
    /// Publishes of the last second.
    recent: VecDeque<(Duration, usize)>,
    recent_bytes: usize,
    /// Unacknowledged: when it is due, packet id, size.
    owed: VecDeque<(Duration, u16, usize)>,
    owed_bytes: usize,
}

/// A packet from the client.
struct Packet<'a> {
    kind: u8,
    flags: u8,
    body: &'a [u8],
    /// With its header.
    size: usize,
}

/// The first whole packet.
fn packet(buffer: &[u8]) -> Option<Packet<'_>> {
    let first = *buffer.first()?;
    let (mut length, mut shift, mut at) = (0_usize, 0, 1);
    loop {
        let byte = *buffer.get(at)?;
        length |= usize::from(byte & 0x7f) << shift;
        (shift, at) = (shift + 7, at + 1);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let body = buffer.get(at..at + length)?;
    Some(Packet { kind: first >> 4, flags: first & 0x0f, body, size: at + length })
}

/// A two-byte number, and what follows it.
fn number(bytes: &[u8]) -> (u16, &[u8]) {
    let (number, rest) = bytes.split_first_chunk::<2>().expect("a packet as MQTT wants it");
    (u16::from_be_bytes(*number), rest)
}

fn text(bytes: &[u8]) -> (&str, &[u8]) {
    let (length, rest) = number(bytes);
    let (text, rest) = rest.split_at(length.into());
    (std::str::from_utf8(text).expect("UTF-8"), rest)
}

impl Connection {
    pub fn new(limits: &ServiceLimits, latency: Duration) -> Self {
        Self {
            limits: limits.clone(),
            latency,
            client_id: String::new(),
            recent: VecDeque::new(),
            recent_bytes: 0,
            owed: VecDeque::new(),
            owed_bytes: 0,
        }
    }

    /// Takes what came at `now`. What is to be answered; `None` to hang up.
    pub fn take(
        &mut self,
        now: Duration,
        buffer: &mut Vec<u8>,
        counts: &mut Counts,
    ) -> Option<Vec<u8>> {
        let mut answer = Vec::new();
        let mut done = 0;
        while let Some(packet) = packet(buffer.get(done..)?) {
            done += packet.size;
            let said = match packet.kind {
                1 => {
                    counts.connects += 1;
                    self.connect(&packet).map(|()| answer.extend([0x20, 2, 0, 0]))
                }
                3 => self.publish(now, &packet, counts),
                8 => {
                    let (id, _) = number(packet.body);
                    let [high, low] = id.to_be_bytes();
                    answer.extend([0x90, 3, high, low, 1]);
                    Ok(())
                }
                12 => {
                    answer.extend([0xd0, 0]);
                    Ok(())
                }
                14 => return None,
                _ => Ok(()),
            };
            if let Err(breach) = said {
                counts.breaches.push(breach);
                return None;
            }
        }
        buffer.drain(..done);
        Some(answer)
    }

    /// When the next acknowledgement is due.
    pub fn due(&self) -> Option<Duration> {
        self.owed.front().map(|(due, ..)| *due)
    }

    /// The acknowledgements that are due.
    pub fn acknowledge(&mut self, now: Duration) -> Vec<u8> {
        let mut answer = Vec::new();
        while let Some((due, id, size)) = self.owed.front().copied().filter(|owed| owed.0 <= now) {
            debug_assert!(due <= now);
            let [high, low] = id.to_be_bytes();
            answer.extend([0x40, 2, high, low]);
            self.owed_bytes -= size;
            self.owed.pop_front();
        }
        answer
    }

    fn connect(&mut self, packet: &Packet<'_>) -> Result<(), String> {
        let (_, rest) = text(packet.body);
        let flags = rest[1];
        let (keep_alive, rest) = number(&rest[2..]);
        let (client_id, _) = text(rest);
        client_id.clone_into(&mut self.client_id);
        self.owed.clear();
        self.owed_bytes = 0;
        let limits = &self.limits;
        let keep_alive = Duration::from_secs(keep_alive.into());
        if limits.keep_alive.as_ref().is_some_and(|range| !range.contains(&keep_alive)) {
            return Err(format!("a keep-alive of {keep_alive:?}"));
        }
        if limits.client_id_bytes.is_some_and(|max| client_id.len() > max) {
            return Err("a client id that is too long".to_owned());
        }
        let anonymous = flags & 0x80 == 0;
        let by_name = [Login::Password, Login::Token];
        if anonymous && limits.login.iter().all(|login| by_name.contains(login)) {
            return Err("nobody's connection".to_owned());
        }
        Ok(())
    }

    fn publish(
        &mut self,
        now: Duration,
        packet: &Packet<'_>,
        counts: &mut Counts,
    ) -> Result<(), String> {
        let limits = self.limits.clone();
        let (qos, retain) = (packet.flags >> 1 & 3, packet.flags & 1 == 1);
        let (topic, rest) = text(packet.body);
        if qos > limits.qos.level() || (retain && !limits.retain) {
            return Err(format!("QoS {qos}, retain {retain}"));
        }
        let levels = topic.split('/').count();
        if limits.topic_bytes.is_some_and(|max| topic.len() > max)
            || limits.topic_levels.is_some_and(|max| levels > max)
        {
            return Err(format!("the topic {topic}"));
        }
        let known = |filter: &String| {
            let filter = filter.replace(CLIENT_ID, &self.client_id);
            TopicFilter::new(&filter).is_ok_and(|filter| filter.matches(topic))
        };
        if !limits.topics.is_empty() && !limits.topics.iter().any(known) {
            return Err(format!("the unknown topic {topic}"));
        }
        if limits.packet_bytes.is_some_and(|max| packet.size > max) {
            return Err(format!("a packet of {} bytes", packet.size));
        }
        while self.recent.front().is_some_and(|(at, _)| now.saturating_sub(*at) >= SECOND) {
            self.recent_bytes -= self.recent.pop_front().map_or(0, |(_, size)| size);
        }
        self.recent.push_back((now, packet.size));
        self.recent_bytes += packet.size;
        counts.messages += 1;
        counts.bytes += u64::try_from(packet.size).expect("64 bits");
        counts.peak_messages = counts.peak_messages.max(self.recent.len());
        counts.peak_bytes = counts.peak_bytes.max(self.recent_bytes);
        if limits
            .rate
            .messages
            .is_some_and(|max| self.recent.len() > usize::try_from(max).expect("32 bits"))
        {
            return Err(format!("{} messages in a second", self.recent.len()));
        }
        if limits
            .rate
            .bytes
            .is_some_and(|max| u64::try_from(self.recent_bytes).expect("64 bits") > max)
        {
            return Err(format!("{} bytes in a second", self.recent_bytes));
        }
        if qos > 0 {
            let (id, _) = number(rest);
            self.owed.push_back((now + self.latency, id, packet.size));
            self.owed_bytes += packet.size;
            counts.peak_in_flight = counts.peak_in_flight.max(self.owed.len());
        }
        if limits.window_messages.is_some_and(|max| self.owed.len() > max.into())
            || limits.window_bytes.is_some_and(|max| self.owed_bytes > max)
        {
            return Err(format!(
                "{} messages of {} bytes in flight",
                self.owed.len(),
                self.owed_bytes
            ));
        }
        Ok(())
    }
}
