//! Every wire and framing against the simulator, from the connector up: values, commands, and a
//! server that goes and returns.

use tokio::task::JoinSet;

use super::*;
use crate::config::{Endpoint, Framing, ModbusLink, Parity, SerialLine, TcpWire, Wire};
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
    Link::Modbus(ModbusLink { wire: Wire::Tcp(TcpWire { to: local(port) }), framing })
}

/// A bus with one device reads and writes over this link.
async fn works(link: Link, devices: &Devices) {
    let said = link.to_string();
    let value = probe::read(&link, 3, Table::Holding, 1, 2, ms(500)).await;
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
