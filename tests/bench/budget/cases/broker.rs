//! A broker with clients on sockets, of which the router's part is counted.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use fieldhold::broker::{Broker, Deps};
use fieldhold::config::{BrokerLimits, BrokerPlan, ListenerPlan};
use fieldhold::model::{ManualClock, Mono, Wall};
use fieldhold::store::Keep;
use tokio_util::sync::CancellationToken;

/// The way of a packet through the router, with every copy of a message that it makes.
pub const COUNTED: &str = "fieldhold::broker::router::Router::take";
pub const SUBSCRIBERS: u64 = 50;
pub const MESSAGES: u64 = 200;

/// One message after the other, each with QoS 1, to subscribers with QoS 0.
pub fn route() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let listener = ListenerPlan::tcp(SocketAddr::from(([127, 0, 0, 1], 0)), 100);
    let plan = BrokerPlan {
        listeners: vec![listener],
        users: Vec::new(),
        limits: BrokerLimits::default(),
    };
    let (inbox, _commands) = tokio::sync::mpsc::channel(1);
    let clock = Arc::new(ManualClock::new(Mono(0), Wall(1_700_000_000_000)));
    let deps = Deps { clock, inbox, store: None, keep: Keep::none() };
    let (broker, runner) = runtime.block_on(Broker::bind(&plan, deps)).unwrap();
    let stop = CancellationToken::new();
    let running = runtime.spawn(runner.run(stop.clone()));
    let address = broker.addresses()[0];
    let mut subscribers: Vec<_> = (0..SUBSCRIBERS).map(|n| subscriber(address, n)).collect();
    let mut publisher = client(address, "p");
    let packet = [b"\x32\x2b\x00\x05b/t/1\x00\x01" as &[u8], &[0x55; 34]].concat();
    for _ in 0..MESSAGES {
        publisher.write_all(&packet).unwrap();
        assert_eq!(take(&mut publisher, 4), [0x40, 2, 0, 1]);
        for subscriber in &mut subscribers {
            assert_eq!(take(subscriber, packet.len() - 2)[0], 0x30);
        }
    }
    stop.cancel();
    runtime.block_on(running).unwrap().unwrap();
}

fn subscriber(address: SocketAddr, number: u64) -> TcpStream {
    let mut stream = client(address, &format!("s{number}"));
    stream.write_all(b"\x82\x0a\x00\x01\x00\x05b/+/1\x00").unwrap();
    assert_eq!(take(&mut stream, 5), [0x90, 3, 0, 1, 0]);
    stream
}

fn client(address: SocketAddr, name: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut connect = b"\x10\x00\x00\x04MQTT\x04\x02\x00\x00\x00\x00".to_vec();
    connect.extend(name.as_bytes());
    connect[13] = u8::try_from(name.len()).unwrap();
    connect[1] = u8::try_from(connect.len() - 2).unwrap();
    stream.write_all(&connect).unwrap();
    assert_eq!(take(&mut stream, 4), [0x20, 2, 0, 0]);
    stream
}

fn take(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut packet = vec![0; bytes];
    stream.read_exact(&mut packet).unwrap();
    packet
}
