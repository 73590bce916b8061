//! The brokers as processes of their own, and what the kernel says of them.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);
/// Of the times in /proc/PID/stat (proc(5)); Linux has had it for all of its architectures.
const TICKS_PER_SECOND: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Fieldhold,
    Mosquitto,
}

impl Kind {
    pub const BOTH: [Self; 2] = [Self::Fieldhold, Self::Mosquitto];

    pub fn name(self) -> &'static str {
        match self {
            Self::Fieldhold => "fieldhold",
            Self::Mosquitto => "mosquitto",
        }
    }
}

pub struct Broker {
    child: Child,
    pub address: SocketAddr,
    dir: tempfile::TempDir,
}

impl Broker {
    /// With what a plant would have: for Fieldhold its defaults, and for Mosquitto the same bounds
    /// and nothing that slows it down.
    pub fn start(kind: Kind, durable: bool) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let address = free_address();
        let state = dir.path().join("state");
        fs::create_dir(&state).unwrap();
        let (command, text) = match kind {
            Kind::Fieldhold => (fieldhold(), {
                let store = if durable { state.display().to_string() } else { "none".to_owned() };
                format!(
                    "gateway: {{ name: bench }}\nbroker: {{ listeners: [ {{ tcp: \"{address}\" }} ] }}\nstore: {{ path: {store} }}\n"
                )
            }),
            Kind::Mosquitto => {
                let mut text = format!(
                    "listener {} {}\nallow_anonymous true\nset_tcp_nodelay true\nmax_inflight_messages 100\nmax_queued_messages 0\nlog_type error\nuser root\n",
                    address.port(),
                    address.ip()
                );
                if durable {
                    text += &format!(
                        "persistence true\npersistence_location {}/\nautosave_interval 1\n",
                        state.display()
                    );
                }
                let mut command = Command::new("/usr/sbin/mosquitto");
                command.arg("-c");
                (command, text)
            }
        };
        let broker = Self::spawn(command, &text, dir, address);
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                start.elapsed() < PATIENCE,
                "{} does not listen: {}",
                kind.name(),
                broker.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        broker
    }

    /// Fieldhold without its broker, to tell what the broker takes.
    pub fn start_none() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let text = "gateway: { name: bench }\nstore: { path: none }\n";
        let broker = Self::spawn(fieldhold(), text, dir, free_address());
        let start = Instant::now();
        while !broker.log().contains("running") {
            assert!(start.elapsed() < PATIENCE, "does not start: {}", broker.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        broker
    }

    fn spawn(
        mut command: Command,
        text: &str,
        dir: tempfile::TempDir,
        address: SocketAddr,
    ) -> Self {
        let config = dir.path().join("config");
        fs::write(&config, text).unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let child = command
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, address, dir }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// CPU time of all its threads since the start.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
        let ticks: u64 = [12, 13].iter().map(|&at| fields[at].parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }

    /// Resident memory now, in KiB.
    pub fn rss(&self) -> u64 {
        self.figure("VmRSS:")
    }

    /// The most it ever had, in KiB.
    pub fn rss_max(&self) -> u64 {
        self.figure("VmHWM:")
    }

    /// Resident memory once it has stayed the same for a second.
    pub fn settled_rss(&self) -> u64 {
        let (mut last, mut same, start) = (0, 0, Instant::now());
        while same < 10 && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(100));
            let now = self.rss();
            same = if now == last { same + 1 } else { 0 };
            last = now;
        }
        last
    }

    fn figure(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fieldhold() -> Command {
    let built = env!("CARGO_BIN_EXE_fieldhold").to_owned();
    let mut command = Command::new(std::env::var("FIELDHOLD_BIN").unwrap_or(built));
    command.arg("run");
    command
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// As many as the system allows; the brokers inherit it.
pub fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
