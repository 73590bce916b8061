//! A whole bus over TCP against the simulator.

use super::*;
use crate::model::{Fault, Refusal};
use crate::south::simulator::{Bank, Devices, TcpServer};
use crate::south::{DeviceState, LinkState};

/// A server for these devices; it ends with the returned guard.
async fn serve(devices: &Devices, port: u16) -> (u16, tokio_util::sync::DropGuard) {
    let server = TcpServer::bind(("127.0.0.1", port), devices.clone()).await.unwrap();
    let port = server.address().unwrap().port();
    let stop = CancellationToken::new();
    let run = server.run(stop.clone());
    #[expect(clippy::disallowed_methods, reason = "ends with the guard")]
    tokio::spawn(run);
    (port, stop.drop_guard())
}

/// Unit 1 and 2, holding registers 0 to 99 with their address times ten plus the unit.
pub(super) fn two_units() -> Devices {
    let mut bank = Bank::default();
    for unit in [1_u8, 2] {
        let words: Vec<u16> = (0..100).map(|at| at * 10 + u16::from(unit)).collect();
        bank.set(unit, Table::Holding, 0, &words);
        bank.set(unit, Table::Coil, 0, &[0, 1, 0]);
        bank.allow_writes(unit, Table::Holding, 0..=99);
        bank.allow_writes(unit, Table::Coil, 0..=2);
    }
    Devices::new(bank)
}

#[tokio::test]
async fn values_of_two_units_arrive() {
    let devices = two_units();
    let (port, _server) = serve(&devices, 0).await;
    let plan = tcp_plan(
        port,
        vec![
            device("a", 1, vec![tag(1, Table::Holding, 4), tag(2, Table::Coil, 1)]),
            device("b", 2, vec![tag(3, Table::Holding, 4)]),
        ],
    );
    let stand = Stand::start(plan);
    stand.until("ten polls", |s| s.of(3).len() >= 10).await;
    assert_eq!(stand.value(1), Some(Value::U64(41)));
    assert_eq!(stand.value(2), Some(Value::Bool(true)));
    assert_eq!(stand.value(3), Some(Value::U64(42)));
    assert!(stand.readings().iter().all(|r| r.quality() == Quality::Good));
    let at: Vec<_> = stand.of(3).iter().map(|r| r.at().0).collect();
    assert!(at.is_sorted());
    let status = stand.stop().await;
    assert_eq!(status.state, LinkState::Stopped);
    assert_eq!(status.devices[0].state, DeviceState::Ok);
    assert!(status.devices[0].latency_p50_us > 0);
    assert_eq!(status.devices[0].blocks.len(), 2);
    assert!(serde_json::to_value(&status).is_ok());
}

#[tokio::test]
async fn t4_a_dead_unit_does_not_touch_the_other() {
    let devices = two_units();
    devices.switch(2, false);
    let (port, _server) = serve(&devices, 0).await;
    let plan = tcp_plan(
        port,
        vec![
            device("a", 1, vec![tag(1, Table::Holding, 4)]),
            device("b", 2, vec![tag(2, Table::Holding, 4)]),
        ],
    );
    let stand = Stand::start(plan);
    stand.until("b is silent", |s| s.quality(2) == Some(Quality::Bad(Fault::NoAnswer))).await;
    stand.until("a goes on", |s| s.of(1).len() >= 10).await;
    assert!(stand.of(1).iter().all(|r| r.quality() == Quality::Good));
    assert!(matches!(stand.port.status().devices[1].state, DeviceState::Silent { .. }));
    devices.switch(2, true);
    stand.until("b is back", |s| s.value(2) == Some(Value::U64(42))).await;
    let status = stand.stop().await;
    assert_eq!(status.connects, 1, "a timeout is no link error");
}

#[tokio::test]
async fn t1_t5_a_refused_register_shifts_and_suppresses_nothing() {
    let mut bank = Bank::default();
    for at in (0..40).filter(|at| *at != 17) {
        bank.set(1, Table::Holding, at, &[1000 + at]);
    }
    let devices = Devices::new(bank);
    let (port, _server) = serve(&devices, 0).await;
    let tags = (0..40).map(|at| tag(u32::from(at), Table::Holding, at)).collect();
    let stand = Stand::start(tcp_plan(port, vec![device("a", 1, tags)]));
    stand.until("five polls of the last", |s| s.of(39).len() >= 5).await;
    for reading in stand.readings() {
        let tag = reading.tag().0;
        let want = Value::U64(1000 + u64::from(tag));
        match reading.value() {
            Some(value) => assert_eq!(*value, want, "tag {tag}"),
            None => assert_eq!((tag, reading.quality()), (17, Quality::Bad(Fault::Exception(2)))),
        }
    }
    assert!(stand.last(17).is_some());
    let learned = stand.collected.learned.lock().unwrap().clone();
    let (key, fact) = learned.last().cloned().unwrap();
    assert_eq!(key, "hall/a/holding");
    stand.stop().await;

    // What was learned is taken back: nothing is refused but the one bad tag, tried alone.
    let tags = (0..40).map(|at| tag(u32::from(at), Table::Holding, at)).collect();
    let fact = fact.unwrap();
    let stand = Stand::start_with(tcp_plan(port, vec![device("a", 1, tags)]), &[(&key, &fact)]);
    stand.until("five polls of the last", |s| s.of(39).len() >= 5).await;
    let status = stand.stop().await;
    assert_eq!(status.devices[0].exceptions, 1, "{fact}");
    assert_eq!(status.devices[0].learned.get("holding"), Some(&fact));
}

#[tokio::test]
async fn a_server_that_comes_late_and_goes_again() {
    let devices = two_units();
    let (port, server) = serve(&devices, 0).await;
    drop(server);
    let plan = tcp_plan(port, vec![device("a", 1, vec![tag(1, Table::Holding, 4)])]);
    let stand = Stand::start(plan);
    stand.until("down", |s| s.quality(1) == Some(Quality::Bad(Fault::LinkDown))).await;
    assert!(matches!(stand.port.status().state, LinkState::Down { .. }));
    let outcome = stand.command("a", "t1", Value::U64(5)).await;
    assert_eq!(outcome, Outcome::Refused(Refusal::LinkDown));

    // The port may still be in use by the closing server.
    let server = loop {
        match TcpServer::bind(("127.0.0.1", port), devices.clone()).await {
            Ok(server) => break server,
            Err(_) => tokio::time::sleep(ms(20)).await,
        }
    };
    drop(server);
    let (_, server) = serve(&devices, port).await;
    stand.until("up", |s| s.value(1) == Some(Value::U64(41))).await;
    drop(server);
    stand.until("down again", |s| s.quality(1) == Some(Quality::Bad(Fault::LinkDown))).await;
    let bad = stand.of(1).iter().filter(|r| r.value().is_none()).count();
    assert_eq!(bad, 2, "each outage is reported once");
    stand.stop().await;
}

#[tokio::test]
async fn a_connect_that_hangs_blocks_neither_commands_nor_stopping() {
    // A listener whose backlog is full leaves further connects hanging.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fill = tokio::task::JoinSet::new();
    for _ in 0..8 {
        fill.spawn(tokio::net::TcpStream::connect(address));
    }
    tokio::time::sleep(ms(50)).await;
    let plan = tcp_plan(address.port(), vec![device("a", 1, vec![tag(1, Table::Holding, 4)])]);
    let stand = Stand::start(plan);
    let asked = Instant::now();
    let outcome = stand.command("a", "t1", Value::U64(5)).await;
    assert_eq!(outcome, Outcome::Refused(Refusal::LinkDown));
    assert!(asked.elapsed() < ms(1000), "{:?}", asked.elapsed());
    stand.stop().await;
}

#[tokio::test]
async fn a_bus_without_devices_runs_and_stops() {
    let (port, _server) = serve(&Devices::default(), 0).await;
    let stand = Stand::start(tcp_plan(port, Vec::new()));
    stand.until("up", |s| matches!(s.port.status().state, LinkState::Up { .. })).await;
    stand.stop().await;
}

#[tokio::test]
async fn dead_bands_hold_values_back_and_count_them() {
    let devices = two_units();
    let (port, _server) = serve(&devices, 0).await;
    let mut quiet = tag(1, Table::Holding, 4);
    quiet.publish = PublishRule::OnChange {
        change: crate::config::Deadband::Absolute(5.0),
        at_least: Duration::from_secs(3600),
        at_most_every: Duration::ZERO,
    };
    let mut alarm = tag(2, Table::Holding, 5);
    alarm.class = Class::Alarm;
    let stand = Stand::start(tcp_plan(port, vec![device("a", 1, vec![quiet, alarm])]));
    stand.until("polls", |s| s.of(2).len() >= 10).await;
    devices.bank().set(1, Table::Holding, 4, &[44]);
    let seen = stand.of(2).len();
    stand.until("more polls", |s| s.of(2).len() >= seen + 5).await;
    assert_eq!(stand.of(1).len(), 1, "41 to 44 is within the band");
    devices.bank().set(1, Table::Holding, 4, &[46]);
    stand.until("published", |s| s.of(1).len() == 2).await;
    let batches = stand.collected.batches.lock().unwrap().clone();
    for batch in batches {
        let alarm = batch.readings.iter().all(|r| r.tag() == TagId(2));
        assert_eq!(batch.class == Class::Alarm, alarm, "one batch per class");
    }
    let status = stand.stop().await;
    let polls = status.devices[0].ok;
    assert_eq!(status.devices[0].suppressed, polls - 2);
}

/// A server that answers after `wait` says so, for each request, with what `deed` makes of it.
async fn serve_by(
    devices: Devices,
    deed: impl Fn(u8, &[u8]) -> (Duration, Option<Vec<u8>>) + Send + Sync + 'static,
) -> (u16, tokio::task::JoinSet<()>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 12];
            while stream.read_exact(&mut request).await.is_ok() {
                let (wait, instead) = deed(request[6], &request[7..]);
                let honest = || devices.bank().answer(request[6], &request[7..]).unwrap();
                let answer = instead.unwrap_or_else(honest);
                tokio::time::sleep(wait).await;
                let frame = scripted::mbap([request[0], request[1]], request[6], &answer);
                if stream.write_all(&frame).await.is_err() {
                    break;
                }
            }
        }
    });
    (port, server)
}

#[tokio::test]
async fn a_device_that_becomes_slow_is_given_the_configured_time_again() {
    let slow = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_slow = slow.clone();
    let deed = move |unit: u8, _: &[u8]| {
        let slow = unit == 1 && is_slow.load(std::sync::atomic::Ordering::SeqCst);
        (ms(250) * u32::from(slow), None)
    };
    let (port, _server) = serve_by(two_units(), deed).await;
    let mut plan = device("a", 1, vec![tag(1, Table::Holding, 4)]);
    plan.timeout = ms(600);
    let other = device("b", 2, vec![tag(2, Table::Holding, 4)]);
    let stand = Stand::start(tcp_plan(port, vec![plan, other]));
    stand.until("its speed is learned", |s| s.port.status().devices[0].timeout_ms == 100).await;
    slow.store(true, std::sync::atomic::Ordering::SeqCst);
    stand.until("it misses one", |s| s.quality(1) == Some(Quality::Bad(Fault::NoAnswer))).await;
    let from = stand.of(1).len();
    stand.until("ten more polls", |s| s.of(1).len() >= from + 10).await;
    let bad = stand.of(1).iter().skip(from).filter(|r| r.quality() != Quality::Good).count();
    let status = stand.stop().await;
    assert_eq!(bad, 0, "{status:#?}");
}

#[tokio::test]
async fn a_device_alone_on_its_bus_is_given_all_its_time() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    // So seldom slow that it is not what is learned of it.
    let deed = move |_: u8, _: &[u8]| {
        let number = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        (ms(if matches!(number, 300 | 520) { 250 } else { 0 }), None)
    };
    let (port, _server) = serve_by(two_units(), deed).await;
    let often = TagPlan { every: Some(ms(10)), ..tag(1, Table::Holding, 4) };
    let plan = DevicePlan { timeout: ms(600), ..device("a", 1, vec![often]) };
    let stand = Stand::start(tcp_plan(port, vec![plan]));
    stand.until("many polls", |s| s.of(1).len() >= 540).await;
    assert!(stand.readings().iter().all(|r| r.quality() == Quality::Good));
    let device = stand.stop().await.devices.remove(0);
    assert_eq!((device.timeouts, device.timeout_ms), (0, 600));
    assert!(device.latency_p99_us < 100_000, "{device:?}");
}

#[tokio::test]
async fn t14_a_unit_that_its_gateway_calls_dead_leaves_the_others_their_rate() {
    let found = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_found = found.clone();
    // The gateway waits for the dead unit before it says so.
    let deed = move |unit: u8, pdu: &[u8]| {
        if unit == 2 && !is_found.load(std::sync::atomic::Ordering::SeqCst) {
            (ms(200), Some(vec![pdu[0] | 0x80, 11]))
        } else {
            (ms(1), None)
        }
    };
    let (port, _server) = serve_by(two_units(), deed).await;
    let mut plan = tcp_plan(
        port,
        vec![
            device("a", 1, vec![tag(1, Table::Holding, 4)]),
            device("b", 2, vec![tag(2, Table::Holding, 4)]),
        ],
    );
    plan.devices.iter_mut().for_each(|device| device.timeout = ms(2000));
    let stand = Stand::start(plan);
    tokio::time::sleep(ms(3000)).await;
    let status = stand.port.status();
    assert!(status.devices[0].ok >= 30, "of 60 polls {}", status.devices[0].ok);
    assert!(status.devices[1].requests <= 5, "{} of the dead one", status.devices[1].requests);
    assert_eq!(stand.quality(2), Some(Quality::Bad(Fault::Exception(11))));
    assert!(matches!(&status.devices[1].state, DeviceState::Silent { .. }), "{status:#?}");
    found.store(true, std::sync::atomic::Ordering::SeqCst);
    stand.until("b is back", |s| s.value(2) == Some(Value::U64(42))).await;
    let status = stand.stop().await;
    assert_eq!(status.connects, 1);
}

#[tokio::test]
async fn a_gateway_whose_units_are_all_dead_keeps_its_connection() {
    let deed = |_: u8, pdu: &[u8]| (ms(1), Some(vec![pdu[0] | 0x80, 11]));
    let (port, _server) = serve_by(two_units(), deed).await;
    let plan = tcp_plan(port, vec![device("a", 1, vec![tag(1, Table::Holding, 4)])]);
    let stand = Stand::start(plan);
    stand.until("three probes", |s| s.port.status().devices[0].requests >= 3).await;
    let status = stand.stop().await;
    assert_eq!(status.connects, 1, "it is the gateway that answers");
}

#[tokio::test]
async fn a_device_that_comes_back_with_more_registers_is_read_whole_at_once() {
    let devices = two_units();
    let (port, _server) = serve(&devices, 0).await;
    let tags = vec![tag(1, Table::Holding, 4), tag(2, Table::Holding, 150)];
    let stand = Stand::start(tcp_plan(port, vec![device("a", 1, tags)]));
    let refused = Some(Quality::Bad(Fault::Exception(2)));
    stand.until("refused", |s| s.quality(2) == refused).await;
    devices.switch(1, false);
    let is_silent =
        |s: &Stand| matches!(s.port.status().devices[0].state, DeviceState::Silent { .. });
    stand.until("silent", is_silent).await;
    devices.bank().set(1, Table::Holding, 150, &[7]);
    devices.switch(1, true);
    stand.until("back", |s| s.quality(1) == Some(Quality::Good)).await;
    let back = Instant::now();
    stand.until("whole", |s| s.value(2) == Some(Value::U64(7))).await;
    assert!(back.elapsed() < ms(2000), "{:?}", back.elapsed());
    stand.stop().await;
}
