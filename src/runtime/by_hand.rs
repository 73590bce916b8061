//! Asking devices by hand beside a gateway that runs: through the bus that has the line, in its turn,
//! or on a line of its own where no bus has it.
//!
//! Invariants: a port that a bus holds is never opened a second time; at most [`AT_ONCE_MAX`] ask at
//! once; nothing asks for longer than [`LONGEST`], nor for somebody who went away.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::gateway::Gateway;
use crate::config::{BusPlan, Link, ModbusLink, Plan, SerialLine, Wire};
use crate::model::{Blame, Name};
use crate::south::BusPort;
use crate::south::probe::{ProbeError, Session};
use crate::thread::{self, ThreadError};

/// People, and programs, that ask at once.
const AT_ONCE_MAX: usize = 8;
/// Beyond this nobody waits for an answer any more.
const LONGEST: Duration = Duration::from_secs(100);

/// Where devices are to be asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// On a bus of the configuration that runs.
    Bus(Name),
    /// On a line, whether or not a bus has it.
    Link(Link),
}

/// How they are reached.
#[derive(Clone)]
pub enum Way {
    Bus { name: Name, link: Link, port: BusPort },
    Own(Link),
}

/// Why they are not.
#[derive(Debug, thiserror::Error)]
pub enum NoWay {
    #[error("there is no bus {0} in the configuration that runs")]
    NoBus(Name),
    #[error("the bus {0} is just starting")]
    Starting(Name),
    #[error("the devices of bus {0} do not speak Modbus")]
    NoModbus(Name),
    #[error("the bus {bus} runs on this port, as {link}")]
    Held { bus: Name, link: String },
    #[error("{AT_ONCE_MAX} others ask at once already")]
    Full,
    #[error("it took longer than {} s", LONGEST.as_secs())]
    TooLong,
    #[error("the gateway is stopping")]
    Stopping,
    #[error("asking broke off")]
    Thread(#[from] ThreadError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

impl NoWay {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Probe(error) => error.blame(),
            Self::NoBus(_) | Self::NoModbus(_) | Self::Held { .. } => Blame::Config,
            Self::Starting(_) | Self::Full | Self::TooLong | Self::Stopping | Self::Thread(_) => {
                Blame::Us
            }
        }
    }
}

/// Who asks now.
pub(super) struct Hands {
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Hands {
    pub(super) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE_MAX)), stop: CancellationToken::new() }
    }

    /// Nobody asks any more.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }
}

impl Way {
    pub fn link(&self) -> &Link {
        match self {
            Self::Bus { link, .. } | Self::Own(link) => link,
        }
    }

    async fn open(&self, timeout: Duration) -> Result<Session, ProbeError> {
        match self {
            Self::Bus { port, .. } => Session::on_bus(port, timeout),
            Self::Own(link) => Session::open(link, timeout).await,
        }
    }
}

impl Gateway {
    /// How devices are reached there.
    pub fn way(&self, place: &Place) -> Result<Way, NoWay> {
        let plan = self.plan();
        let (bus, link) = match place {
            Place::Bus(name) => {
                let bus = plan.buses.iter().find(|bus| bus.name == *name);
                let bus = bus.ok_or_else(|| NoWay::NoBus(name.clone()))?;
                (Some(bus), &bus.link)
            }
            Place::Link(link) => (holder(&plan, link), link),
        };
        let Some(bus) = bus else { return Ok(Way::Own(link.clone())) };
        if bus.link.modbus().is_none() {
            return Err(NoWay::NoModbus(bus.name.clone()));
        }
        if !same_line(&bus.link, link) {
            let (bus, link) = (bus.name.clone(), bus.link.to_string());
            return Err(NoWay::Held { bus, link });
        }
        let port = self.doors.bus(&bus.name).ok_or_else(|| NoWay::Starting(bus.name.clone()))?;
        Ok(Way::Bus { name: bus.name.clone(), link: bus.link.clone(), port })
    }

    /// Asks there; the session waits for an answer for `timeout` at first. Ends with whoever waits
    /// for it.
    pub async fn ask_by_hand<T: Send + 'static>(
        &self,
        way: Way,
        timeout: Duration,
        work: impl AsyncFnOnce(&mut Session) -> Result<T, ProbeError> + Send + 'static,
    ) -> Result<T, NoWay> {
        let place = Arc::clone(&self.hands.places).try_acquire_owned();
        let place = place.map_err(|_| NoWay::Full)?;
        let stop = self.hands.stop.child_token();
        let _ends_with_us = stop.clone().drop_guard();
        // A serial port wants a thread that does nothing else.
        let asked = thread::run("by-hand", async move || {
            let _place = place;
            let asked = async {
                let mut session = way.open(timeout).await?;
                work(&mut session).await
            };
            let in_time = tokio::time::timeout(LONGEST, asked);
            match stop.run_until_cancelled(in_time).await {
                Some(Ok(result)) => result.map_err(NoWay::from),
                Some(Err(_)) => Err(NoWay::TooLong),
                None => Err(NoWay::Stopping),
            }
        });
        asked.await.map_err(NoWay::from)?
    }
}

/// The bus that has this line, so that nobody else may use it.
fn holder<'p>(plan: &'p Plan, link: &Link) -> Option<&'p BusPlan> {
    plan.buses.iter().find(|bus| match (bus.link.serial(), link.serial()) {
        (Some(ours), Some(wanted)) => same_port(ours, wanted),
        // A host that takes several connections is asked through the bus all the same.
        (None, None) => same_line(&bus.link, link),
        _ => false,
    })
}

fn same_port(a: &SerialLine, b: &SerialLine) -> bool {
    let path =
        |line: &SerialLine| std::fs::canonicalize(&line.port).unwrap_or_else(|_| line.port.clone());
    path(a) == path(b)
}

fn same_line(a: &Link, b: &Link) -> bool {
    let (Some(a), Some(b)) = (a.modbus(), b.modbus()) else { return false };
    let ModbusLink { wire, framing } = a;
    *framing == b.framing
        && match (wire, &b.wire) {
            (Wire::Serial(a), Wire::Serial(b)) => {
                let settings =
                    |line: &SerialLine| (line.baud, line.data_bits, line.parity, line.stop_bits);
                same_port(a, b) && settings(a) == settings(b)
            }
            (Wire::Tcp(a), Wire::Tcp(b)) => a.to == b.to && a.tls.is_some() == b.tls.is_some(),
            (Wire::Udp(a), Wire::Udp(b)) => a == b,
            (Wire::Listen(a), Wire::Listen(b)) => a.at == b.at,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Framing, Parity, Switching};

    fn line(port: &str, baud: u32) -> Link {
        Link::modbus_rtu(SerialLine {
            port: port.into(),
            baud,
            data_bits: 8,
            parity: Parity::Even,
            stop_bits: 1,
            switching: Switching::Adapter,
        })
    }

    fn plan(link: &str) -> Plan {
        let text = format!(
            "gateway: {{ name: g }}\nbuses: {{ hall: {link} }}\ndevices:\n  d:\n    bus: hall\n    unit: 1\n    \
             tags: {{ t: {{ holding: 0, type: u16 }} }}\n"
        );
        crate::config::parse(&text, "t").unwrap_or_else(|error| panic!("{error}")).plan
    }

    #[test]
    fn a_line_that_a_bus_has_is_known_by_every_name() {
        let dir = tempfile::tempdir().unwrap();
        let (port, id) = (dir.path().join("ttyUSB0"), dir.path().join("by-id"));
        std::fs::File::create(&port).unwrap();
        std::os::unix::fs::symlink(&port, &id).unwrap();
        let serial = plan(&format!(
            "{{ modbus-rtu: {{ port: \"{}\", baud: 9600, parity: even, stop-bits: 1 }} }}",
            port.display()
        ));
        for (link, held, same) in [
            (line(&id.to_string_lossy(), 9_600), true, true),
            (line(&port.to_string_lossy(), 19_200), true, false),
            (line("/dev/other", 9_600), false, false),
            (Link::modbus_tcp("plc", 502), false, false),
        ] {
            assert_eq!(holder(&serial, &link).is_some(), held, "{link}");
            assert_eq!(same_line(&serial.buses[0].link, &link), same, "{link}");
        }
        let tcp = plan("{ modbus-tcp: { host: plc, port: 502 } }");
        assert!(holder(&tcp, &Link::modbus_tcp("plc", 502)).is_some());
        for other in [
            Link::modbus_tcp("plc", 503),
            Link::modbus_tcp("plc", 502).with_framing(Framing::Rtu),
            line("plc", 9_600),
        ] {
            assert!(holder(&tcp, &other).is_none(), "{other}");
        }
    }
}
