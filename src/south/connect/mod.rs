//! Getting a line up: a connection, a datagram socket or an opened serial port, with a guard on it.

mod datagrams;
mod dial;

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::guard::{SerialMatcher, TcpMatcher};
use super::line::Line;
use super::port;
use super::silence::Pace;
use super::trace::Tap;
use crate::config::wire::LineTime;
use crate::config::{Framing, Link, ModbusLink, Wire};

/// The longest time a line is only listened to before its first request.
const LISTEN_MAX: Duration = Duration::from_secs(5);
/// Of one answer.
const REGISTERS_MAX: u16 = 125;

/// Where a line comes from. A serial port is to be used on the line's own thread.
pub(crate) struct Connector {
    link: ModbusLink,
    pace: Pace,
    listen: Duration,
    /// Answers to requests of before, perhaps of an earlier life of this bus, may still come.
    owed: bool,
}

impl Connector {
    /// `timeout` is the longest one of the devices.
    pub(crate) fn new(link: &Link, pause: Duration, timeout: Duration) -> Self {
        let frame = LineTime::of(link).read_registers(REGISTERS_MAX);
        let pace = match LineTime::frames(link) {
            Some(frames) => Pace::Thread(frames.silence() + pause),
            None => Pace::Task(pause),
        };
        let Link::Modbus(link) = link;
        Self { link: link.clone(), pace, listen: (timeout + frame).min(LISTEN_MAX), owed: true }
    }

    /// Notes how the last line was left.
    pub(crate) fn left(&mut self, line: &Line) {
        self.owed = line.owes();
    }

    /// `tap` sees every byte of the line.
    pub(crate) async fn connect(&mut self, tap: Tap) -> io::Result<Line> {
        let line = match &self.link.wire {
            Wire::Tcp(wire) => self.over(dial::dial(&wire.to).await?, tap),
            Wire::Udp(to) => match self.link.framing {
                Framing::Tcp => {
                    let matcher = TcpMatcher::new(seed()).in_datagrams();
                    Line::tcp(datagrams::open(to).await?, matcher, self.pace, tap)
                }
                Framing::Rtu | Framing::Ascii => self.over(datagrams::open(to).await?, tap),
            },
            Wire::Serial(line) => self.over(port::open(line)?, tap),
        };
        if self.owed && self.link.framing != Framing::Tcp {
            // What comes now could pass as the answer to our first request. It becomes stale input.
            tokio::time::sleep(self.listen).await;
        }
        Ok(line)
    }

    fn over<T>(&self, io: T, tap: Tap) -> Line
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match self.link.framing {
            Framing::Tcp => Line::tcp(io, TcpMatcher::new(seed()), self.pace, tap),
            Framing::Rtu => Line::serial(io, SerialMatcher::rtu(), self.pace, tap),
            Framing::Ascii => Line::serial(io, SerialMatcher::ascii(), self.pace, tap),
        }
    }
}

/// Of the transaction ids.
fn seed() -> u16 {
    fastrand::u16(1..)
}
