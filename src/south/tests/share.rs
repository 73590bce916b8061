//! A bus that is shared: clients of its server face beside the polls.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::*;
use crate::config::{ModbusLink, Network, ShareMode, SharePlan, ShareWrite, Wire, Writable};
use crate::south::mbap;
use crate::south::simulator::{Bank, Devices, Pty, RtuSlave, TcpServer};
use crate::south::{DeviceState, FaceState, ShareStatus};

/// A client of the face, as an old SCADA is one.
struct Client {
    stream: TcpStream,
    tid: u16,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Ok(stream) = TcpStream::connect(address).await {
                return Self { stream, tid: 0 };
            }
            assert!(Instant::now() < deadline, "nobody listens on {address}");
            tokio::time::sleep(ms(5)).await;
        }
    }

    /// The PDU of the answer; `None` when the connection was closed.
    async fn ask(&mut self, unit: u8, pdu: &[u8]) -> Option<Vec<u8>> {
        self.tid += 1;
        let frame = mbap::frame(self.tid.to_be_bytes(), unit, pdu);
        self.stream.write_all(&frame).await.ok()?;
        let mut header = [0; 7];
        let read = tokio::time::timeout(DEADLINE, self.stream.read_exact(&mut header)).await;
        read.expect("an answer in time").ok()?;
        assert_eq!(header[..2], self.tid.to_be_bytes());
        assert_eq!(header[6], unit);
        let mut pdu = vec![0; usize::from(u16::from_be_bytes([header[4], header[5]])) - 1];
        self.stream.read_exact(&mut pdu).await.ok()?;
        Some(pdu)
    }

    /// Holding registers, or the exception.
    async fn read(&mut self, unit: u8, start: u16, count: u16) -> Result<Vec<u16>, u8> {
        let ([s1, s0], [c1, c0]) = (start.to_be_bytes(), count.to_be_bytes());
        let pdu = self.ask(unit, &[3, s1, s0, c1, c0]).await.expect("an answer");
        match pdu.as_slice() {
            [0x83, code] => Err(*code),
            [3, _, data @ ..] => {
                Ok(data.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
            }
            other => panic!("{other:?}"),
        }
    }

    async fn write(&mut self, unit: u8, address: u16, value: u16) -> Result<(), u8> {
        let ([a1, a0], [v1, v0]) = (address.to_be_bytes(), value.to_be_bytes());
        let request = [6, a1, a0, v1, v0];
        let pdu = self.ask(unit, &request).await.expect("an answer");
        match pdu.as_slice() {
            [0x86, code] => Err(*code),
            other => {
                assert_eq!(other, request);
                Ok(())
            }
        }
    }
}

/// An address that was free a moment ago.
fn free() -> SocketAddr {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

fn shared(mut plan: BusPlan, mode: ShareMode, write: ShareWrite) -> (BusPlan, SocketAddr) {
    let listen = free();
    let allow = vec![Network::parse("127.0.0.0/8").unwrap()];
    plan.share = Some(SharePlan { listen, allow, mode, write, stale: None, connections: 8 });
    (plan, listen)
}

fn status(stand: &Stand) -> ShareStatus {
    stand.port.status().share.expect("a shared bus")
}

/// Unit 1 and 2, holding registers 0 to 99 with their address times ten plus the unit.
pub(super) fn two_units() -> Devices {
    let mut bank = Bank::default();
    for unit in [1_u8, 2] {
        let words: Vec<u16> = (0..100).map(|at| at * 10 + u16::from(unit)).collect();
        bank.set(unit, Table::Holding, 0, &words);
        bank.allow_writes(unit, Table::Holding, 0..=99);
    }
    Devices::new(bank)
}

pub(super) async fn on_tcp(devices: &Devices) -> (BusPlan, tokio_util::sync::DropGuard) {
    let server = TcpServer::bind(("127.0.0.1", 0), devices.clone()).await.unwrap();
    let port = server.address().unwrap().port();
    let stop = CancellationToken::new();
    #[expect(clippy::disallowed_methods, reason = "ends with the guard")]
    tokio::spawn(server.run(stop.clone()));
    let one = device("a", 1, vec![tag(1, Table::Holding, 4), tag(2, Table::Holding, 5)]);
    let two = device("b", 2, vec![tag(3, Table::Holding, 4)]);
    (tcp_plan(port, vec![one, two]), stop.drop_guard())
}

#[tokio::test]
async fn what_was_polled_is_served_and_nothing_else() {
    let devices = two_units();
    let (plan, _server) = on_tcp(&devices).await;
    let (plan, listen) = shared(plan, ShareMode::Cached, ShareWrite::Nothing);
    let stand = Stand::start(plan);
    let mut client = Client::connect(listen).await;
    stand.until("polls", |s| s.of(2).len() >= 3 && s.of(3).len() >= 3).await;
    assert_eq!(client.read(1, 4, 2).await, Ok(vec![41, 51]));
    assert_eq!(client.read(2, 4, 1).await, Ok(vec![42]));
    assert_eq!(client.read(1, 4, 3).await, Err(4), "one of them is not polled");
    assert_eq!(client.read(2, 50, 1).await, Err(4));
    assert_eq!(client.read(9, 4, 1).await, Err(10), "no such unit");
    assert_eq!(client.read(1, 4, 0).await, Err(3));
    assert_eq!(client.write(1, 4, 7).await, Err(1), "read-only");
    assert_eq!(client.ask(1, &[43, 14, 1, 0]).await.unwrap(), [0xAB, 1]);
    // A device that fell silent has no value, however fresh the last one is.
    devices.switch(1, false);
    let silent = |s: &Stand| matches!(s.port.status().devices[0].state, DeviceState::Silent { .. });
    stand.until("silent", silent).await;
    assert_eq!(client.read(1, 4, 1).await, Err(11));
    assert_eq!(client.read(2, 4, 1).await, Ok(vec![42]));
    let seen = status(&stand);
    assert_eq!((seen.clients, seen.hits, seen.stale), (1, 3, 3));
    assert_eq!((seen.writes_refused, seen.passed, seen.writes), (1, 0, 0));
    assert_eq!(seen.requests, 10);
    stand.stop().await;
    assert!(client.ask(1, &[3, 0, 4, 0, 1]).await.is_none(), "the face ends with the bus");
    assert!(TcpStream::connect(listen).await.is_err());
}

#[tokio::test]
async fn a_value_that_is_too_old_is_not_served() {
    let devices = two_units();
    let (mut plan, _server) = on_tcp(&devices).await;
    Arc::make_mut(&mut plan.devices[0].tags)[1].every = Some(Duration::from_secs(3600));
    let (mut plan, listen) = shared(plan, ShareMode::Cached, ShareWrite::Nothing);
    plan.share.as_mut().unwrap().stale = Some(ms(200));
    let stand = Stand::start(plan);
    let mut client = Client::connect(listen).await;
    stand.until("the tag that is read once an hour", |s| s.of(2).len() == 1).await;
    let deadline = Instant::now() + DEADLINE;
    while client.read(1, 5, 1).await != Err(11) {
        assert!(Instant::now() < deadline, "never too old");
        tokio::time::sleep(ms(10)).await;
    }
    let polls = stand.of(1).len();
    stand.until("the other is read on", |s| s.of(1).len() > polls).await;
    assert_eq!(client.read(1, 4, 1).await, Ok(vec![41]));
    stand.stop().await;
}

#[tokio::test]
async fn requests_go_through_and_writes_only_where_they_are_allowed() {
    let devices = two_units();
    let (plan, _server) = on_tcp(&devices).await;
    let write =
        ShareWrite::Only(vec![Writable { unit: 1, table: Table::Holding, addresses: 50..=52 }]);
    let (plan, listen) = shared(plan, ShareMode::Through, write);
    let stand = Stand::start(plan);
    let mut client = Client::connect(listen).await;
    stand.until("up", |s| s.of(1).len() >= 2).await;
    assert_eq!(client.read(1, 50, 3).await, Ok(vec![501, 511, 521]));
    assert_eq!(client.read(2, 99, 1).await, Ok(vec![992]));
    assert_eq!(client.read(2, 99, 2).await, Err(2), "as the device says");
    assert_eq!(client.write(1, 50, 777).await, Ok(()));
    assert_eq!(client.read(1, 50, 1).await, Ok(vec![777]));
    assert_eq!(client.write(1, 53, 7).await, Err(1));
    assert_eq!(client.write(2, 50, 7).await, Err(1));
    let several = [16, 0, 51, 0, 2, 4, 0, 1, 0, 2];
    assert_eq!(client.ask(1, &several).await.unwrap(), several[..5]);
    assert_eq!(client.read(1, 51, 2).await, Ok(vec![1, 2]));
    let seen = status(&stand);
    assert_eq!((seen.writes, seen.writes_refused, seen.hits), (2, 2, 0));
    assert_eq!(seen.passed, 5);
    // A silent device costs the line no more than its share, whoever asks for it.
    devices.switch(2, false);
    let started = Instant::now();
    for _ in 0..30 {
        assert_eq!(client.read(2, 4, 1).await, Err(11));
    }
    assert!(started.elapsed() < ms(300) * 15, "{:?}", started.elapsed());
    assert!(stand.of(1).iter().all(|r| r.quality() == Quality::Good));
    stand.stop().await;
}

#[tokio::test]
async fn who_may_not_come_is_turned_away_and_a_taken_port_is_a_state() {
    let devices = two_units();
    let (plan, _server) = on_tcp(&devices).await;
    let (mut plan, listen) = shared(plan, ShareMode::Cached, ShareWrite::Nothing);
    let share = plan.share.as_mut().unwrap();
    share.allow = vec![Network::parse("192.0.2.0/24").unwrap()];
    let taken = std::net::TcpListener::bind(listen).unwrap();
    let stand = Stand::start(plan);
    stand.until("down", |s| matches!(status(s).state, FaceState::Down { .. })).await;
    let FaceState::Down { reason } = status(&stand).state else { panic!("not down") };
    assert!(reason.contains("in use"), "{reason}");
    stand.until("polls all the same", |s| s.of(1).len() >= 5).await;
    drop(taken);
    stand.until("listening", |s| status(s).state == FaceState::Listening).await;
    let mut client = Client::connect(listen).await;
    assert!(client.ask(1, &[3, 0, 4, 0, 1]).await.is_none());
    stand.until("counted", |s| status(s).clients_refused == 1).await;
    assert_eq!(status(&stand).requests, 0);
    stand.stop().await;
}

#[tokio::test]
async fn no_more_clients_than_configured() {
    let devices = two_units();
    let (plan, _server) = on_tcp(&devices).await;
    let (mut plan, listen) = shared(plan, ShareMode::Through, ShareWrite::Nothing);
    plan.share.as_mut().unwrap().connections = 2;
    let stand = Stand::start(plan);
    let (mut one, mut two) = (Client::connect(listen).await, Client::connect(listen).await);
    assert_eq!(one.read(1, 4, 1).await, Ok(vec![41]));
    assert_eq!(two.read(1, 4, 1).await, Ok(vec![41]));
    assert!(Client::connect(listen).await.ask(1, &[3, 0, 4, 0, 1]).await.is_none());
    drop(one);
    stand.until("a place", |s| status(s).clients == 1).await;
    assert_eq!(Client::connect(listen).await.read(1, 4, 1).await, Ok(vec![41]));
    // What is no Modbus TCP ends the connection.
    two.stream.write_all(&[0xFF; 12]).await.unwrap();
    assert_eq!(two.stream.read(&mut [0; 8]).await.unwrap(), 0);
    stand.stop().await;
}

/// While it has nothing to poll, a bus leaves the connection to another one.
#[tokio::test]
async fn a_bus_without_its_connection_takes_it_back_for_a_client() {
    let devices = two_units();
    let (mut plan, _server) = on_tcp(&devices).await;
    let Link::Modbus(ModbusLink { wire: Wire::Tcp(wire), .. }) = &mut plan.link else {
        panic!("another link")
    };
    wire.connections = Some(1);
    plan.devices.iter_mut().flat_map(|device| Arc::make_mut(&mut device.tags)).for_each(|tag| {
        tag.every = Some(Duration::from_secs(3600));
    });
    let other = plan.clone();
    let (plan, listen) = shared(plan, ShareMode::Through, ShareWrite::Nothing);
    let quotas = crate::south::Quotas::default();
    let stand = Stand::start_among(plan, &[], quotas.clone());
    stand.until("polled", |s| s.of(1).len() == 1 && s.of(3).len() == 1).await;
    let other = Stand::start_among(other, &[], quotas);
    other.until("polled", |s| s.of(1).len() == 1 && s.of(3).len() == 1).await;
    let mut client = Client::connect(listen).await;
    for _ in 0..3 {
        assert_eq!(client.read(1, 50, 2).await, Ok(vec![501, 511]));
    }
    other.stop().await;
    stand.stop().await;
}

/// A slave on a pseudo-terminal with 19200 baud.
pub(super) fn on_line(devices: &Devices, dir: &tempfile::TempDir) -> (BusPlan, JoinSet<()>) {
    let path = dir.path().join("usb-adapter");
    let pty = Pty::open_at(&path).unwrap();
    let mut slave = JoinSet::new();
    let rtu = RtuSlave::new(devices.clone()).with_speed(19_200, ms(2));
    slave.spawn(async move {
        let _ = rtu.run(pty, CancellationToken::new()).await;
    });
    let plan = bus_rtu::rtu_plan(&path, Vec::new());
    (plan, slave)
}

#[tokio::test]
async fn after_a_broadcast_no_units_old_value_is_served() {
    let devices = two_units();
    devices.bank().set(0, Table::Holding, 0, &[0; 100]);
    let dir = tempfile::tempdir().unwrap();
    let (mut plan, _slave) = on_line(&devices, &dir);
    let once = |id, address| TagPlan {
        every: Some(Duration::from_secs(3600)),
        ..tag(id, Table::Holding, address)
    };
    let mut to_all = tag(3, Table::Holding, 4);
    to_all.every = None;
    to_all.write.as_mut().unwrap().verify = crate::config::Verify::Nothing;
    plan.devices = vec![
        device("a", 1, vec![once(1, 4), once(2, 5)]),
        DevicePlan { timeout: ms(20), ..device("all", 0, vec![to_all]) },
    ];
    let (plan, listen) = shared(plan, ShareMode::Cached, ShareWrite::Nothing);
    let stand = Stand::start(plan);
    stand.until("polled", |s| s.of(1).len() == 1 && s.of(2).len() == 1).await;
    let mut client = Client::connect(listen).await;
    assert_eq!(client.read(1, 4, 2).await, Ok(vec![41, 51]));
    assert_eq!(stand.command("all", "t3", Value::U64(7)).await, Outcome::Broadcast);
    assert_eq!(client.read(1, 4, 1).await, Err(11), "it may hold another value");
    assert_eq!(client.read(1, 5, 1).await, Ok(vec![51]), "this one was not written");
    stand.stop().await;
}

/// What is read every 50 ms is too old after 2 s, though it was once read together with what is
/// read every hour.
#[tokio::test]
async fn every_value_is_too_old_by_its_own_interval() {
    let devices = two_units();
    let (mut plan, _server) = on_tcp(&devices).await;
    Arc::make_mut(&mut plan.devices[0].tags)[1].every = Some(Duration::from_secs(3600));
    Arc::make_mut(&mut plan.devices[0].tags)[0].every = Some(ms(600));
    let (plan, listen) = shared(plan, ShareMode::Cached, ShareWrite::Nothing);
    let stand = Stand::start(plan);
    stand.until("both polled, together", |s| s.of(1).len() == 1 && s.of(2).len() == 1).await;
    // From now on the device is there, but refuses the one register.
    devices.bank().limit(1, 0, 0);
    let mut client = Client::connect(listen).await;
    assert_eq!(client.read(1, 4, 2).await, Ok(vec![41, 51]));
    stand.until("refused", |s| s.quality(1).is_some_and(|q| q != Quality::Good)).await;
    let deadline = Instant::now() + DEADLINE;
    while client.read(1, 4, 1).await != Err(11) {
        assert!(Instant::now() < deadline, "never too old");
        tokio::time::sleep(ms(10)).await;
    }
    assert_eq!(client.read(1, 5, 1).await, Ok(vec![51]), "this one is for hours");
    stand.stop().await;
}

/// Clients that ask as fast as they are answered.
fn flood(listen: SocketAddr, clients: usize) -> JoinSet<()> {
    let mut flood = JoinSet::new();
    for _ in 0..clients {
        flood.spawn(async move {
            let mut client = Client::connect(listen).await;
            while let Some(answer) = client.ask(2, &[3, 0, 20, 0, 10]).await {
                if answer[0] == 3 {
                    assert_eq!(answer[2..4], 202_u16.to_be_bytes());
                } else {
                    assert_eq!(answer, [0x83, 6], "busy is the only refusal");
                }
            }
        });
    }
    flood
}

#[tokio::test]
async fn a_flood_of_clients_makes_no_poll_miss_its_tick() {
    let devices = two_units();
    let dir = tempfile::tempdir().unwrap();
    let (mut plan, _slave) = on_line(&devices, &dir);
    let mut polled = device("a", 1, vec![tag(1, Table::Holding, 4)]);
    Arc::make_mut(&mut polled.tags)[0].every = Some(ms(200));
    plan.devices = vec![polled, device("b", 2, Vec::new())];
    let (plan, listen) = shared(plan, ShareMode::Through, ShareWrite::Nothing);
    let stand = Stand::start(plan);
    stand.until("up", |s| s.of(1).len() >= 2).await;
    let missed = stand.port.status().devices[0].missed_ticks;
    let mut clients = flood(listen, 6);
    let polls = stand.of(1).len();
    stand.until("25 polls under the flood", |s| s.of(1).len() >= polls + 25).await;
    let (seen, bus) = (status(&stand), stand.port.status());
    // Two ticks for a machine that is busy with other tests.
    assert!(bus.devices[0].missed_ticks <= missed + 2, "{bus:#?}");
    assert!(seen.passed >= 50, "{seen:?}");
    assert!(stand.of(1).iter().all(|r| r.value() == Some(&Value::U64(41))));
    clients.abort_all();
    while let Some(ended) = clients.join_next().await {
        assert!(!ended.is_err_and(|error| error.is_panic()), "a wrong answer");
    }
    stand.stop().await;
}

#[tokio::test]
async fn a_line_that_is_polled_without_a_pause_still_serves_clients() {
    let devices = two_units();
    let dir = tempfile::tempdir().unwrap();
    let (mut plan, _slave) = on_line(&devices, &dir);
    let mut polled = device("a", 1, vec![tag(1, Table::Holding, 4), tag(2, Table::Holding, 90)]);
    Arc::make_mut(&mut polled.tags).iter_mut().for_each(|tag| tag.every = Some(ms(10)));
    plan.devices = vec![polled, device("b", 2, Vec::new())];
    let (plan, listen) = shared(plan, ShareMode::Through, ShareWrite::Nothing);
    let stand = Stand::start(plan);
    stand.until("up", |s| s.of(2).len() >= 2).await;
    let mut client = Client::connect(listen).await;
    let polls = || stand.of(1).len() + stand.of(2).len();
    let before = polls();
    for _ in 0..20 {
        assert_eq!(client.read(2, 20, 1).await, Ok(vec![202]));
    }
    // For each there was more than one poll, of about the same length.
    assert!(polls() >= before + 20, "{}", polls() - before);
    stand.stop().await;
}

/// Every register holds its address in the high byte, so a value of another one is always seen.
#[tokio::test]
async fn a_late_answer_to_a_client_is_never_a_polled_value_nor_the_other_way() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usb-adapter");
    let mut pty = Pty::open_at(&path).unwrap();
    let mut slave = JoinSet::new();
    slave.spawn(async move {
        let mut request = [0; 8];
        let mut random = fastrand::Rng::with_seed(3);
        while pty.read_exact(&mut request).await.is_ok() {
            // One in four comes after the master has given up, at any time of the next request.
            let late = if random.u8(..4) == 0 { random.u64(95..260) } else { 0 };
            tokio::time::sleep(ms(late)).await;
            let mut pdu = vec![3, 2 * request[5]];
            for at in 0..request[5] {
                pdu.extend([request[3].wrapping_add(at), random.u8(..)]);
            }
            let frame = crate::south::guard::frame_rtu(request[0], &pdu);
            if pty.write_all(&frame).await.is_err() {
                return;
            }
        }
    });
    let mut polled = device("a", 3, vec![tag(1, Table::Holding, 4)]);
    polled.timeout = ms(80);
    Arc::make_mut(&mut polled.tags)[0].every = Some(ms(40));
    let (plan, listen) =
        shared(bus_rtu::rtu_plan(&path, vec![polled]), ShareMode::Through, ShareWrite::Nothing);
    let stand = Stand::start(plan);
    stand.until("up", |s| s.port.status().connects == 1).await;
    let mut client = Client::connect(listen).await;
    let (mut right, mut failed) = (0, 0);
    let deadline = Instant::now() + DEADLINE;
    while right < 10 && Instant::now() < deadline {
        match client.read(3, 60, 1).await {
            Ok(words) => {
                assert_eq!(words[0] >> 8, 60, "a value of another register");
                right += 1;
            }
            Err(code) => {
                assert!(matches!(code, 6 | 11), "exception {code}");
                failed += 1;
                tokio::time::sleep(ms(5)).await;
            }
        }
    }
    assert!(right > 0 && failed > 0, "{right} answers, {failed} failures");
    for reading in stand.of(1) {
        if let Some(Value::U64(word)) = reading.value() {
            assert_eq!(word >> 8, 4, "a client's value became a reading: {reading:?}");
        }
    }
    assert!(stand.of(1).iter().any(|r| r.value().is_some()));
    stand.stop().await;
}
