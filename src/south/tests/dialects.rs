//! Every wire and framing against the simulator, from the connector up: values, commands, and a
//! server that goes and returns.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use tokio::task::JoinSet;

use super::*;
use crate::config::{
    Endpoint, Framing, ListenWire, ModbusLink, ModbusTls, Network, Parity, SerialLine, Switching,
    TcpWire, TlsPlan, Wire,
};
use crate::south::probe;
use crate::south::simulator::{Bank, Devices, Pty, RtuSlave, TcpServer, UdpServer};

fn devices() -> Devices {
    let mut bank = Bank::default();
    bank.set(3, Table::Holding, 0, &[10, 11, 12, 13]);
    bank.set(3, Table::Coil, 0, &[1, 0, 1]);
    bank.allow_writes(3, Table::Holding, 0..=3);
    Devices::new(bank)
}

fn local(port: u16) -> Endpoint {
    Endpoint { host: "127.0.0.1".to_owned(), port }
}

fn over_tcp(port: u16, framing: Framing) -> Link {
    Link::Modbus(ModbusLink { wire: Wire::Tcp(TcpWire::new(local(port))), framing })
}

/// A bus with one device reads and writes over this link.
async fn works(link: Link, devices: &Devices) {
    let said = link.to_string();
    let value = read_once(&link).await;
    assert_eq!(value.unwrap(), [11, 12], "{said}");
    let tags = vec![tag(1, Table::Holding, 2), tag(2, Table::Coil, 2)];
    let plan = BusPlan {
        name: name("bus"),
        link,
        pause: Duration::ZERO,
        trace_bytes: 0,
        share: None,
        devices: vec![device("a", 3, tags)],
    };
    let stand = Stand::start(plan);
    stand.until("values", |s| s.value(1) == Some(Value::U64(12)) && s.of(2).len() > 2).await;
    assert_eq!(stand.value(2), Some(Value::Bool(true)), "{said}");
    let done = stand.command("a", "t1", Value::U64(77)).await;
    assert!(matches!(done, Outcome::Done { .. }), "{said}: {done:?}");
    assert_eq!(devices.bank().get(3, Table::Holding, 2), Some(77), "{said}");
    stand.until("the new value", |s| s.value(1) == Some(Value::U64(77))).await;
    let status = stand.stop().await;
    assert_eq!(status.link, said);
    assert_eq!(status.devices[0].bad_answers, 0, "{status:#?}");
    devices.bank().set(3, Table::Holding, 2, &[12]);
}

#[tokio::test]
async fn tcp_in_each_framing() {
    for framing in [Framing::Tcp, Framing::Rtu, Framing::Ascii] {
        let devices = devices();
        let server = TcpServer::bind("127.0.0.1:0", devices.clone()).await.unwrap();
        let server = server.with_framing(framing);
        let port = server.address().unwrap().port();
        let mut running = JoinSet::new();
        running.spawn(server.run(CancellationToken::new()));
        works(over_tcp(port, framing), &devices).await;
    }
}

#[tokio::test]
async fn udp_in_each_framing() {
    for framing in [Framing::Tcp, Framing::Rtu, Framing::Ascii] {
        let devices = devices();
        let server = UdpServer::bind("127.0.0.1:0", devices.clone()).await.unwrap();
        let server = server.with_framing(framing);
        let to = local(server.address().unwrap().port());
        let mut running = JoinSet::new();
        running.spawn(server.run(CancellationToken::new()));
        works(Link::Modbus(ModbusLink { wire: Wire::Udp(to), framing }), &devices).await;
    }
}

#[tokio::test]
async fn ascii_on_a_port() {
    let devices = devices();
    let pty = Pty::open().unwrap();
    let line = SerialLine {
        port: pty.path().to_owned(),
        baud: 19_200,
        data_bits: 8,
        parity: Parity::None,
        stop_bits: 1,
        switching: Switching::Adapter,
    };
    let mut running = JoinSet::new();
    let slave = RtuSlave::new(devices.clone()).with_framing(Framing::Ascii);
    running.spawn(slave.run(pty, CancellationToken::new()));
    let link = ModbusLink { wire: Wire::Serial(line), framing: Framing::Ascii };
    works(Link::Modbus(link), &devices).await;
}

#[tokio::test]
async fn a_udp_server_that_is_not_there_is_a_silent_device_and_found_when_it_comes() {
    let server = UdpServer::bind("127.0.0.1:0", devices()).await.unwrap();
    let address = server.address().unwrap();
    drop(server);
    let link = ModbusLink { wire: Wire::Udp(local(address.port())), framing: Framing::Tcp };
    let plan = BusPlan {
        name: name("bus"),
        link: Link::Modbus(link),
        pause: Duration::ZERO,
        trace_bytes: 0,
        share: None,
        devices: vec![device("a", 3, vec![tag(1, Table::Holding, 2)])],
    };
    let stand = Stand::start(plan);
    let silent = Quality::Bad(crate::model::Fault::NoAnswer);
    stand.until("silence", |s| s.quality(1) == Some(silent)).await;
    assert_eq!(stand.port.status().connects, 1, "no connection that could break");
    let server = UdpServer::bind(address, devices()).await.unwrap();
    let mut running = JoinSet::new();
    running.spawn(server.run(CancellationToken::new()));
    stand.until("the value", |s| s.value(1) == Some(Value::U64(12))).await;
    stand.stop().await;
}

fn pem(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/uplink/tests/pem").join(name)
}

fn with_tls(port: u16, ca: &str, client: bool, server_name: Option<&str>) -> Link {
    let files = TlsPlan {
        ca: Some(pem(ca)),
        client: client.then(|| (pem("client.pem"), pem("client.key"))),
    };
    let tls = ModbusTls { files, server_name: server_name.map(str::to_owned) };
    let wire = TcpWire { tls: Some(tls), ..TcpWire::new(local(port)) };
    Link::Modbus(ModbusLink { wire: Wire::Tcp(wire), framing: Framing::Tcp })
}

#[tokio::test]
async fn tls_with_certificates_on_both_sides_and_what_is_said_without() {
    let devices = devices();
    let config = crate::tls::server_config(
        &pem("server.pem"),
        &pem("server.key"),
        Some(pem("ca.pem").as_path()),
    );
    let server = TcpServer::bind("127.0.0.1:0", devices.clone()).await.unwrap();
    let port = server.address().unwrap().port();
    let mut running = JoinSet::new();
    running.spawn(server.with_tls(config.unwrap()).run(CancellationToken::new()));
    works(with_tls(port, "ca.pem", true, None), &devices).await;
    works(with_tls(port, "ca.pem", true, Some("localhost")), &devices).await;
    for (link, words) in [
        (with_tls(port, "other-ca.pem", true, None), "UnknownIssuer"),
        (with_tls(port, "ca.pem", false, None), "CertificateRequired"),
        (with_tls(port, "ca.pem", true, Some("another.example")), "not valid for name"),
        (with_tls(port, "nowhere.pem", true, None), "the CA file"),
    ] {
        let error = read_once(&link).await.unwrap_err();
        let probe::ProbeError::Link { source } = error else { panic!("{words}: {error}") };
        assert!(source.to_string().contains(words), "{words}: {source}");
    }
    // Plain TCP to a server with TLS, and TLS to a plain one.
    let plain = TcpServer::bind("127.0.0.1:0", devices.clone()).await.unwrap();
    let plain_port = plain.address().unwrap().port();
    running.spawn(plain.run(CancellationToken::new()));
    for link in [over_tcp(port, Framing::Tcp), with_tls(plain_port, "ca.pem", true, None)] {
        let result = read_once(&link).await;
        assert!(matches!(result, Err(probe::ProbeError::Link { .. })), "{link}: {result:?}");
    }
}

/// Reads two registers over a link of its own.
async fn read_once(link: &Link) -> Result<Vec<u16>, probe::ProbeError> {
    let mut session = probe::Session::open(link, ms(500)).await?;
    session.read(3, Table::Holding, (1, 2)).await
}

fn plan_of(wire: Wire, framing: Framing) -> BusPlan {
    BusPlan {
        name: name("bus"),
        link: Link::Modbus(ModbusLink { wire, framing }),
        pause: Duration::ZERO,
        trace_bytes: 0,
        share: None,
        devices: vec![device("a", 3, vec![tag(1, Table::Holding, 2)])],
    }
}

/// A server whose register 2 holds `value`, until the set is dropped.
async fn server(at: &str, value: u16) -> (u16, Devices, JoinSet<std::io::Result<()>>) {
    let devices = devices();
    devices.bank().set(3, Table::Holding, 2, &[value]);
    let server = TcpServer::bind(at, devices.clone()).await.unwrap();
    let port = server.address().unwrap().port();
    let mut running = JoinSet::new();
    running.spawn(server.run(CancellationToken::new()));
    (port, devices, running)
}

#[tokio::test]
async fn a_backup_takes_over_and_stays_until_it_fails() {
    let (port, main, mut first) = server("127.0.0.1:0", 1).await;
    let (backup_port, backup, second) = server("127.0.0.1:0", 2).await;
    let wire = TcpWire { backup: Some(local(backup_port)), ..TcpWire::new(local(port)) };
    let stand = Stand::start(plan_of(Wire::Tcp(wire), Framing::Tcp));
    stand.until("the host", |s| s.value(1) == Some(Value::U64(1))).await;
    assert_eq!(stand.port.status().peer, None);
    // It does not connect any more.
    first.shutdown().await;
    stand.until("the backup", |s| s.value(1) == Some(Value::U64(2))).await;
    let peer = stand.port.status().peer.unwrap();
    assert_eq!(peer, format!("backup 127.0.0.1:{backup_port}"));
    let (_, main_again, _first) = server(&format!("127.0.0.1:{port}"), 3).await;
    let seen = stand.of(1).len();
    stand.until("more", |s| s.of(1).len() > seen + 10).await;
    assert_eq!(stand.value(1), Some(Value::U64(2)), "it stays");
    // It connects, and nobody answers behind it.
    backup.switch(3, false);
    stand.until("the host again", |s| s.value(1) == Some(Value::U64(3))).await;
    assert_eq!(stand.port.status().peer, None);
    drop((main, main_again, second));
    stand.stop().await;
}

#[tokio::test]
async fn with_host_and_backup_away_both_are_named() {
    let (port, _, first) = server("127.0.0.1:0", 1).await;
    let (backup_port, _, second) = server("127.0.0.1:0", 2).await;
    drop((first, second));
    let wire = TcpWire { backup: Some(local(backup_port)), ..TcpWire::new(local(port)) };
    let stand = Stand::start(plan_of(Wire::Tcp(wire), Framing::Tcp));
    let both = |reason: &str| {
        reason.contains(&port.to_string()) && reason.contains(&backup_port.to_string())
    };
    stand
        .until("both in the reason", |s| match s.port.status().state {
            crate::south::LinkState::Down { reason, .. } => both(&reason),
            _ => false,
        })
        .await;
    stand.stop().await;
}

/// A free port of this machine.
async fn free() -> std::net::SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A converter that dials in, with a value of its own, as soon as somebody listens.
async fn dial_in(
    at: std::net::SocketAddr,
    framing: Framing,
    value: u16,
) -> (Devices, JoinSet<std::io::Result<()>>) {
    let devices = devices();
    devices.bank().set(3, Table::Holding, 2, &[value]);
    let deadline = Instant::now() + DEADLINE;
    let stream = loop {
        match tokio::net::TcpStream::connect(at).await {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(ms(5)).await;
    };
    let mut running = JoinSet::new();
    let slave = RtuSlave::new(devices.clone()).with_framing(framing);
    running.spawn(slave.run(stream, CancellationToken::new()));
    (devices, running)
}

#[tokio::test]
async fn a_converter_dials_in_and_a_newer_one_takes_over_when_it_falls_silent() {
    for framing in [Framing::Rtu, Framing::Tcp, Framing::Ascii] {
        let at = free().await;
        let wire = ListenWire { at, allow: vec![Network::parse("127.0.0.0/8").unwrap()] };
        let stand = Stand::start(plan_of(Wire::Listen(wire), framing));
        let (first, _connection) = dial_in(at, framing, 1).await;
        stand.until("the first", |s| s.value(1) == Some(Value::U64(1))).await;
        assert!(stand.port.status().peer.unwrap().starts_with("127.0.0.1:"));
        // While the first one answers, a second one waits.
        let (_second, second_connection) = dial_in(at, framing, 2).await;
        let seen = stand.of(1).len();
        stand.until("more", |s| s.of(1).len() > seen + 10).await;
        assert_eq!(stand.value(1), Some(Value::U64(1)));
        // The first one's power goes, without a word to us.
        first.switch(3, false);
        stand.until("the second", |s| s.value(1) == Some(Value::U64(2))).await;
        // The second one hangs up; a third one comes.
        drop(second_connection);
        let (_third, _connection) = dial_in(at, framing, 3).await;
        stand.until("the third", |s| s.value(1) == Some(Value::U64(3))).await;
        stand.stop().await;
    }
}

/// More buses than connections: all are served in turn, and no further connection is made.
#[tokio::test]
async fn buses_share_the_connections_to_one_host() {
    for most in [1, 2] {
        let devices = devices();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (now, highest) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut running = JoinSet::new();
        let counts = (now.clone(), highest.clone());
        running.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (now, highest) = counts.clone();
                let slave = RtuSlave::new(devices.clone()).with_framing(Framing::Tcp);
                connections.spawn(async move {
                    highest.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                    let _ = slave.run(stream, CancellationToken::new()).await;
                    now.fetch_sub(1, SeqCst);
                });
            }
        });
        let quotas = crate::south::Quotas::default();
        let wire = TcpWire { connections: Some(most), ..TcpWire::new(local(port)) };
        let stand = || {
            let plan = plan_of(Wire::Tcp(wire.clone()), Framing::Tcp);
            Stand::start_among(plan, &[], quotas.clone())
        };
        let stands = [stand(), stand(), stand(), stand()];
        for stand in &stands {
            stand.until("a turn", |s| s.of(1).len() >= 20).await;
            let done = stand.command("a", "t1", Value::U64(12)).await;
            assert!(matches!(done, Outcome::Done { .. }), "{done:?}");
        }
        for stand in stands {
            assert!(stand.of(1).iter().all(|reading| reading.value() == Some(&Value::U64(12))));
            let status = stand.stop().await;
            assert!(status.connects > 1 && status.refused.is_empty(), "{status:#?}");
        }
        // The server may learn of the end of one connection after the beginning of the next.
        assert!(highest.load(SeqCst) <= most + 1, "{} at once", highest.load(SeqCst));
    }
}

#[tokio::test]
async fn who_is_not_allowed_is_turned_away_and_counted() {
    let at = free().await;
    let wire = ListenWire { at, allow: vec![Network::parse("10.0.0.0/8").unwrap()] };
    let stand = Stand::start(plan_of(Wire::Listen(wire), Framing::Rtu));
    let (_devices, mut connection) = dial_in(at, Framing::Rtu, 1).await;
    // It is hung up on.
    tokio::time::timeout(DEADLINE, connection.join_next()).await.unwrap().unwrap().unwrap().ok();
    stand
        .until("a reason", |s| match s.port.status().state {
            crate::south::LinkState::Down { reason, .. } => reason.contains("no converter"),
            _ => false,
        })
        .await;
    assert_eq!(stand.port.status().refused_peers, 1);
    assert!(stand.value(1).is_none());
    stand.stop().await;
}
