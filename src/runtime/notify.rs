//! What the service manager is told (sd_notify(3)): ready, how it goes, and that all parts get on.
//!
//! Ready means that the configuration is read, the store open, and that the LAN broker and the web
//! page listen, or can't and are a state that is shown; never that a device or an uplink answered.
//! `WATCHDOG=1` is sent only while everything that has to get on made progress of its own lately: the
//! store's writer, the broker's router, whoever polls each bus. Who hangs for [`PATIENCE`] ends the
//! pings for all, and the service manager starts the process again.
//!
//! The protocol is a datagram of a few lines; the crate for it (sd-notify) is mostly the passing of
//! file descriptors, and unsafe for that.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::gateway::{BROKER_UNIT, Gateway};
use super::units::UnitState;
use crate::model::tone::grouped;
use crate::south::{BusPort, DeviceState, LinkState};
use crate::uplink::{Connection, UplinkPort};

const UNIT: &str = "service manager";
/// How often it is looked whether everything that is waited for is there.
const LOOK: Duration = Duration::from_millis(20);
/// How often the line of the status is made anew, unless it says the same.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// Without a step for so long something hangs: above what one exchange with a device may take (60 s)
/// and what a slow card needs for one commit.
const PATIENCE: Duration = Duration::from_secs(90);
/// Pings for each time that the service manager waits for one.
const PINGS: u32 = 3;

/// The way to the service manager; tells nobody where there is none. Cheap to clone.
#[derive(Clone, Default)]
pub struct Notify {
    to: Option<Arc<(UnixDatagram, SocketAddr)>>,
    /// How long the service manager waits for a ping; `None`: it does not.
    watchdog: Option<Duration>,
}

impl Notify {
    /// As the environment of the process says.
    pub fn from_environment() -> Self {
        let var = |name: &str| std::env::var(name).ok();
        let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        match Self::to(&socket, watchdog(var("WATCHDOG_USEC"), var("WATCHDOG_PID"))) {
            Ok(notify) => notify,
            Err(error) => {
                tracing::warn!(%error, "the service manager can't be told how it goes");
                Self::default()
            }
        }
    }

    fn to(socket: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match socket.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(socket)?,
        };
        let from = UnixDatagram::unbound()?;
        // A service manager that does not read must not hold up anything here.
        from.set_nonblocking(true)?;
        Ok(Self { to: Some(Arc::new((from, address))), watchdog })
    }

    fn say(&self, lines: &str) {
        let Some(to) = &self.to else { return };
        if let Err(error) = to.0.send_to_addr(lines.as_bytes(), &to.1) {
            tracing::debug!(%error, "the service manager was not told");
        }
    }

    /// The configuration is being read anew; [`Notify::ready`] follows.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let usec = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
    }

    pub fn ready(&self) {
        self.say("READY=1");
    }

    pub fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=stopping: what is in memory is written");
    }

    /// Tells from now on; `is_page_up`: the page listens, or there is none.
    pub fn start(
        &self,
        gateway: &Arc<Gateway>,
        is_page_up: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        if self.to.is_none() {
            return;
        }
        let (notify, told) = (self.clone(), Arc::clone(gateway));
        let is_page_up = Arc::new(is_page_up);
        gateway.start_unit(UNIT, move |stop| {
            let (notify, gateway) = (notify.clone(), Arc::clone(&told));
            let is_page_up = Arc::clone(&is_page_up);
            async move {
                notify.run(&gateway, &*is_page_up, stop).await;
                Ok::<_, Infallible>(())
            }
        });
    }

    async fn run(&self, gateway: &Gateway, is_page_up: impl Fn() -> bool, stop: CancellationToken) {
        let up = async {
            while !(gateway.is_broker_up() && (is_page_up() || gateway.is_waiting("web"))) {
                tokio::time::sleep(LOOK).await;
            }
        };
        if stop.run_until_cancelled(up).await.is_none() {
            return;
        }
        let mut said = gateway.in_a_line();
        self.say(&format!("READY=1\nSTATUS={said}"));
        let every = self.watchdog.map_or(STATUS_EVERY, |limit| limit / PINGS);
        let mut every = interval(every.max(LOOK));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut watch, mut status_at) = (Watch::default(), Instant::now() + STATUS_EVERY);
        while stop.run_until_cancelled(every.tick()).await.is_some() {
            let now = Instant::now();
            if self.watchdog.is_some() {
                match watch.look(&gateway.turns(), now) {
                    Ok(()) => self.say("WATCHDOG=1"),
                    Err(who) => self.say(&format!("STATUS={who} hangs: waiting to be ended")),
                }
            }
            if now >= status_at {
                status_at = now + STATUS_EVERY;
                let line = gateway.in_a_line();
                if line != said && watch.hangs.is_empty() {
                    self.say(&format!("STATUS={line}"));
                    said = line;
                }
            }
        }
    }
}

/// The time that the service manager gives this process; see sd_watchdog_enabled(3).
fn watchdog(usec: Option<String>, pid: Option<String>) -> Option<Duration> {
    let ours = pid.is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    let usec: u64 = usec?.parse().ok()?;
    (ours && usec > 0).then(|| Duration::from_micros(usec))
}

/// Who got on, and since when not.
#[derive(Default)]
struct Watch {
    seen: BTreeMap<String, (u64, Instant)>,
    /// Who was found to hang, so that it is said once.
    hangs: Vec<String>,
}

impl Watch {
    /// Whether everybody made a step within [`PATIENCE`]; if not, who did not.
    fn look(&mut self, turns: &BTreeMap<String, u64>, now: Instant) -> Result<(), String> {
        self.seen.retain(|name, _| turns.contains_key(name));
        for (name, turns) in turns {
            let seen = self.seen.entry(name.clone()).or_insert((*turns, now));
            if seen.0 != *turns {
                *seen = (*turns, now);
            }
        }
        let hangs = self.seen.iter().filter(|(_, (_, since))| now - *since >= PATIENCE);
        let hangs: Vec<String> = hangs.map(|(name, _)| name.clone()).collect();
        for name in hangs.iter().filter(|name| !self.hangs.contains(name)) {
            tracing::error!(part = name, patience = ?PATIENCE, "makes no progress");
        }
        self.hangs = hangs;
        if self.hangs.is_empty() { Ok(()) } else { Err(self.hangs.join(", ")) }
    }
}

impl Gateway {
    /// The broker listens, can't, or is not wanted.
    fn is_broker_up(&self) -> bool {
        self.doors.broker().is_some()
            || self.plan().broker.is_none()
            || self.is_waiting(BROKER_UNIT)
    }

    /// The unit failed and is tried again.
    fn is_waiting(&self, unit: &str) -> bool {
        let units = self.units.status();
        units.get(unit).is_some_and(|unit| matches!(unit.state, UnitState::Waiting { .. }))
    }

    /// Steps of everybody who has to get on. Who is just started again is not among them.
    fn turns(&self) -> BTreeMap<String, u64> {
        let mut turns = BTreeMap::from([("the store's writer".to_owned(), self.store.turns())]);
        if let Some(broker) = self.doors.broker() {
            turns.insert("the LAN broker".to_owned(), broker.turns());
        }
        let units = self.units.status();
        for (name, bus) in self.doors.buses() {
            let unit = units.get(&super::gateway::bus_unit(&name));
            if unit.is_some_and(|unit| unit.state == UnitState::Running) {
                turns.insert(format!("the bus {name}"), bus.turns());
            }
        }
        turns
    }

    /// `18 of 20 devices answer, 3 uplinks: 1 away, 12,345 waiting`.
    /// What is configured counts from the beginning, be it that its unit has not had its turn yet.
    fn in_a_line(&self) -> String {
        let (plan, doors) = (self.plan(), &self.doors);
        let buses: Vec<_> = doors.buses().values().map(BusPort::status).collect();
        let up = buses.iter().filter(|bus| matches!(bus.state, LinkState::Up { .. }));
        let devices = up.flat_map(|bus| &bus.devices);
        let answer = devices.filter(|device| device.state == DeviceState::Ok).count();
        let is_online =
            |uplink: &&UplinkPort| matches!(uplink.status().connection, Connection::Online { .. });
        let online = doors.uplinks().values().filter(is_online).count();
        let (devices, uplinks) = (plan.devices().count(), plan.uplinks.len());
        let consumers = self.store.status().consumers;
        let waiting = consumers.iter().flat_map(|consumer| &consumer.classes);
        let waiting = waiting.map(|class| class.waiting).sum();
        line((answer, devices), (uplinks, uplinks.saturating_sub(online)), waiting)
    }
}

fn line(
    (answer, devices): (usize, usize),
    (uplinks, away): (usize, usize),
    waiting: u64,
) -> String {
    let mut line = match devices {
        0 => "no devices configured".to_owned(),
        _ => format!("{answer} of {devices} devices answer"),
    };
    line += &match (uplinks, away) {
        (0, _) => ", no uplinks".to_owned(),
        (1, 0) => ", 1 uplink connected".to_owned(),
        (1, _) => ", 1 uplink: away".to_owned(),
        (n, 0) => format!(", {n} uplinks connected"),
        (n, away) => format!(", {n} uplinks: {away} away"),
    };
    if uplinks > 0 {
        line += &format!(", {} waiting", grouped(waiting));
    }
    line
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::config;
    use crate::model::{ManualClock, Mono, Wall};

    #[test]
    fn a_line_says_how_it_goes() {
        assert_eq!(
            line((18, 20), (3, 1), 12_345),
            "18 of 20 devices answer, 3 uplinks: 1 away, 12,345 waiting"
        );
        assert_eq!(line((0, 0), (0, 0), 0), "no devices configured, no uplinks");
        assert_eq!(line((1, 1), (1, 0), 7), "1 of 1 devices answer, 1 uplink connected, 7 waiting");
        assert_eq!(line((1, 1), (1, 1), 999), "1 of 1 devices answer, 1 uplink: away, 999 waiting");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn the_watchdog_is_meant_for_this_process_or_nobody() {
        let some = |text: &str| Some(text.to_owned());
        let own = std::process::id().to_string();
        assert_eq!(watchdog(some("30000000"), Some(own)), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(some("30000000"), None), Some(Duration::from_secs(30)));
        for (usec, pid) in [(some("30000000"), some("1")), (some("0"), None), (some("x"), None)] {
            assert_eq!(watchdog(usec, pid), None);
        }
        assert_eq!(watchdog(None, None), None);
    }

    #[test]
    fn who_makes_no_step_hangs_and_who_goes_on_does_not() {
        let begun = Instant::now();
        let mut watch = Watch::default();
        let turns = |writer, bus: Option<u64>| {
            let mut turns = BTreeMap::from([("writer".to_owned(), writer)]);
            turns.extend(bus.map(|bus| ("bus".to_owned(), bus)));
            turns
        };
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(watch.look(&turns(1, Some(1)), at(0)), Ok(()));
        assert_eq!(watch.look(&turns(2, Some(1)), at(89)), Ok(()));
        assert_eq!(watch.look(&turns(3, Some(1)), at(90)), Err("bus".to_owned()));
        assert_eq!(watch.look(&turns(3, Some(2)), at(100)), Ok(()), "it goes on");
        assert_eq!(watch.look(&turns(3, None), at(150)), Ok(()), "no such bus any more");
        assert_eq!(watch.look(&turns(3, None), at(180)), Err("writer".to_owned()));
    }

    fn listener() -> (tempfile::TempDir, UnixDatagram, Notify) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        listener.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        let notify = Notify::to(path.as_os_str(), Some(Duration::from_secs(30))).unwrap();
        (dir, listener, notify)
    }

    fn heard(listener: &UnixDatagram) -> String {
        let mut bytes = [0; 4_096];
        let n = listener.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..n].to_vec()).unwrap()
    }

    #[test]
    fn an_abstract_socket_and_a_full_one_are_no_trouble() {
        let name = format!("fieldhold-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        let notify = Notify::to(OsStr::new(&format!("@{name}")), None).unwrap();
        notify.reloading();
        let said = heard(&listener);
        assert!(said.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{said}");
        for _ in 0..10_000 {
            notify.ready(); // Nobody reads: this must not wait.
        }
        Notify::default().stopping();
    }

    /// Real parts under a clock that the test moves: pings go on while they get on, and end for all
    /// when one of them hangs.
    #[tokio::test(start_paused = true)]
    async fn pings_end_when_the_writer_hangs() {
        let (_dir, listener, notify) = listener();
        listener.set_nonblocking(true).unwrap();
        let pings = || {
            let mut bytes = [0; 4_096];
            let mut all = Vec::new();
            while let Ok(n) = listener.recv(&mut bytes) {
                all.push(String::from_utf8(bytes[..n].to_vec()).unwrap());
            }
            all
        };
        let text = "gateway: { name: g }\nstore: { path: none }\nweb: off\n";
        let plan = config::parse(text, "t").unwrap().plan;
        let clock = Arc::new(ManualClock::new(Mono(0), Wall(0)));
        let gateway = Gateway::start(plan, clock, std::path::PathBuf::new()).unwrap();
        let gateway = Arc::new(gateway);
        notify.start(&gateway, || true);
        let mut said = Vec::new();
        for _ in 0..30 {
            let before = gateway.store.turns();
            let _ = gateway.store.flush().now_or_never(); // It is asked, and not waited for.
            let end = Duration::from_secs(15).as_millis();
            for _ in 0..end {
                if gateway.store.turns() != before {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            tokio::time::sleep(Duration::from_secs(10)).await;
            said.extend(pings()); // A socket holds only a few.
        }
        assert!(said[0].starts_with("READY=1\nSTATUS=no devices configured"), "{said:?}");
        assert!(said.iter().filter(|line| *line == "WATCHDOG=1").count() >= 25, "{said:?}");
        gateway.store.clone().crash(); // The writer makes no step any more.
        tokio::time::sleep(PATIENCE + Duration::from_secs(15)).await;
        pings();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let said = pings();
        assert!(
            said.iter().any(|line| line == "STATUS=the store's writer hangs: waiting to be ended")
        );
        assert!(!said.contains(&"WATCHDOG=1".to_owned()), "{said:?}");
    }
}
