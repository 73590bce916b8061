//! Getting a line up: a connection, a datagram socket or an opened serial port, with a guard on it.

mod datagrams;
pub(super) mod dial;
mod listen;
mod quota;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite};

use self::dial::Dialler;
use self::listen::Listener;
pub use self::quota::Quotas;
use self::quota::{Place, Quota};
use super::guard::{SerialMatcher, TcpMatcher};
use super::line::Line;
use super::port;
use super::rts::RtsPort;
use super::silence::Pace;
use super::trace::Tap;
use crate::config::wire::LineTime;
use crate::config::{Endpoint, Framing, Link, ModbusLink, SerialLine, Switching, Wire};

/// The longest time a line is only listened to before its first request.
const LISTEN_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether an adapter is plugged in again: cheaper than to try to open it.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Of one answer.
const REGISTERS_MAX: u16 = 125;

/// What bytes come and go through.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Where a line comes from. A serial port is to be used on the line's own thread.
pub(crate) struct Connector {
    source: Source,
    framing: Framing,
    pace: Pace,
    listen: Duration,
    /// Reads in flight together.
    pipeline: usize,
    /// Answers to requests of before, perhaps of an earlier life of this bus, may still come.
    owed: bool,
    /// Where connections to the host are counted.
    quota: Option<Arc<Quota>>,
    place: Option<Place>,
    remarks: Vec<String>,
}

enum Source {
    Serial(SerialLine),
    Tcp(Dialler),
    Udp(Endpoint),
    Listen(Listener),
}

impl Connector {
    /// `timeout` is the longest one of the devices.
    pub(crate) fn new(
        link: &ModbusLink,
        pause: Duration,
        timeout: Duration,
        quotas: &Quotas,
    ) -> Self {
        let whole = Link::Modbus(link.clone());
        let frame = LineTime::of(&whole).read_registers(REGISTERS_MAX);
        let pace = match LineTime::frames(&whole) {
            Some(frames) => Pace::Thread(frames.silence() + pause),
            None => Pace::Task(pause),
        };
        let ModbusLink { wire, framing } = link;
        let quota = match wire {
            Wire::Tcp(wire) => wire.connections.map(|most| quotas.to(&wire.to, most)),
            Wire::Serial(_) | Wire::Udp(_) | Wire::Listen(_) => None,
        };
        let source = match wire.clone() {
            Wire::Serial(line) => Source::Serial(line),
            Wire::Tcp(wire) => Source::Tcp(Dialler::new(wire)),
            Wire::Udp(to) => Source::Udp(to),
            Wire::Listen(wire) => Source::Listen(Listener::new(wire)),
        };
        let listen = (timeout + frame).min(LISTEN_MAX);
        let (framing, pipeline, remarks) = (*framing, link.pipeline(), Vec::new());
        Self { source, framing, pace, listen, pipeline, owed: true, quota, place: None, remarks }
    }

    /// Who is at the other end, where the link does not say it.
    pub(crate) fn peer(&self) -> Option<String> {
        match &self.source {
            Source::Tcp(dialler) => dialler.backup().map(|backup| format!("backup {backup}")),
            Source::Listen(listener) => listener.peer().map(|peer| peer.to_string()),
            Source::Serial(_) | Source::Udp(_) => None,
        }
    }

    /// Connections from addresses that may not make one.
    pub(crate) fn refused_peers(&self) -> u64 {
        match &self.source {
            Source::Listen(listener) => listener.refused(),
            Source::Serial(_) | Source::Tcp(_) | Source::Udp(_) => 0,
        }
    }

    /// Notes how the last line was left.
    pub(crate) fn left(&mut self, line: &Line) {
        self.owed = line.owes();
    }

    /// What the line could not be given, and can do without.
    pub(crate) fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Comes back when a port that is not there is plugged in, and never otherwise.
    pub(crate) async fn appears(&self) {
        match &self.source {
            Source::Serial(line) if !line.port.exists() => {
                while !line.port.exists() {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
            _ => std::future::pending().await,
        }
    }

    /// Nobody answered on the last line: another way to the devices, if there is one, comes first.
    pub(crate) fn distrust(&mut self) {
        if let Source::Tcp(dialler) = &mut self.source {
            dialler.distrust();
        }
    }

    /// Waits until one more connection may be made.
    pub(crate) async fn turn(&mut self) {
        if let (Some(quota), None) = (&self.quota, &self.place) {
            self.place = quota.place().await;
        }
    }

    /// The connection is gone, or was not made: another bus may have its place.
    pub(crate) fn hung_up(&mut self) {
        self.place = None;
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.quota.as_ref().is_some_and(|quota| quota.is_wanted())
    }

    /// Ends when another bus waits for a place.
    pub(crate) fn wanted(&self) -> impl Future<Output = ()> + use<> {
        let quota = self.quota.clone();
        async move {
            match quota {
                Some(quota) => quota.wanted().await,
                None => std::future::pending().await,
            }
        }
    }

    /// Ends when a newer connection waits to take the place of the one in use.
    pub(crate) async fn newer(&mut self) {
        match &mut self.source {
            Source::Listen(listener) => listener.newer().await,
            Source::Serial(_) | Source::Tcp(_) | Source::Udp(_) => std::future::pending().await,
        }
    }

    pub(crate) fn has_newer(&mut self) -> bool {
        self.newer().now_or_never().is_some()
    }

    /// `tap` sees every byte of the line.
    pub(crate) async fn connect(&mut self, tap: Tap) -> io::Result<Line> {
        let (stream, datagrams): (Box<dyn Stream>, bool) = match &mut self.source {
            Source::Tcp(dialler) => (dialler.dial().await?, false),
            Source::Listen(listener) => (Box::new(listener.accept().await?), false),
            Source::Udp(to) => (Box::new(datagrams::open(to).await?), true),
            Source::Serial(line) => {
                let port::Opened { stream, remarks } = port::open(line)?;
                self.remarks = remarks;
                let character = LineTime::serial(line, Duration::ZERO).character();
                let stream: Box<dyn Stream> = match line.switching {
                    Switching::Gateway(times) => Box::new(RtsPort::new(stream, times, character)?),
                    Switching::Adapter | Switching::Driver(_) => Box::new(stream),
                };
                (stream, false)
            }
        };
        let line = match self.framing {
            Framing::Tcp => {
                // Ids begin at random.
                let matcher = TcpMatcher::new(fastrand::u16(1..));
                let matcher = if datagrams { matcher.in_datagrams() } else { matcher };
                Line::pipelined(stream, matcher, self.pace, tap, self.pipeline)
            }
            Framing::Rtu => Line::serial(stream, SerialMatcher::rtu(), self.pace, tap),
            Framing::Ascii => Line::serial(stream, SerialMatcher::ascii(), self.pace, tap),
        };
        let line = match &self.source {
            Source::Tcp(_) | Source::Udp(_) => line.renewable(),
            // A port forgets nothing, and a converter that dials in does so when it sees fit.
            Source::Serial(_) | Source::Listen(_) => line,
        };
        if self.owed && self.framing != Framing::Tcp {
            // What comes now could pass as the answer to our first request. It becomes stale input.
            tokio::time::sleep(self.listen).await;
        }
        Ok(line)
    }
}
