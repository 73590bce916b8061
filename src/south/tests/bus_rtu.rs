//! A whole bus over a pseudo terminal, on its own thread.

use super::*;
use crate::config::{Parity, SerialLine, Switching};
use crate::model::{Fault, Refusal};
use crate::south::simulator::{Bank, Devices, Pty, RtuSlave};
use crate::south::{DeviceState, LinkState, probe};

/// A slave on a pty whose path is a link in `dir`; dropping the set pulls the plug.
fn plug(
    devices: &Devices,
    dir: &tempfile::TempDir,
) -> (std::path::PathBuf, tokio::task::JoinSet<()>) {
    let path = dir.path().join("usb-adapter");
    let pty = Pty::open_at(&path).unwrap();
    let slave = RtuSlave::new(devices.clone());
    let mut set = tokio::task::JoinSet::new();
    set.spawn(async move {
        let _ = slave.run(pty, CancellationToken::new()).await;
    });
    (path, set)
}

pub(super) fn rtu_plan(port: &std::path::Path, devices: Vec<DevicePlan>) -> BusPlan {
    let link = Link::modbus_rtu(SerialLine {
        port: port.to_owned(),
        baud: 115_200,
        data_bits: 8,
        parity: Parity::Even,
        stop_bits: 1,
        switching: Switching::Adapter,
    });
    BusPlan {
        name: name("rs485"),
        link,
        pause: Duration::ZERO,
        trace_bytes: 64 * 1024,
        share: None,
        devices,
    }
}

fn units(units: &[u8]) -> Devices {
    let mut bank = Bank::default();
    for unit in units {
        let words: Vec<u16> = (0..50).map(|at| at * 10 + u16::from(*unit)).collect();
        bank.set(*unit, Table::Holding, 0, &words);
        bank.set(*unit, Table::Coil, 0, &[1, 0, 1]);
        bank.allow_writes(*unit, Table::Holding, 0..=49);
    }
    Devices::new(bank)
}

#[tokio::test]
async fn values_and_commands_go_over_the_line() {
    let devices = units(&[3, 4]);
    let dir = tempfile::tempdir().unwrap();
    let (path, _slave) = plug(&devices, &dir);
    let plan = rtu_plan(
        &path,
        vec![
            device("a", 3, vec![tag(1, Table::Holding, 4), tag(2, Table::Coil, 2)]),
            device("b", 4, vec![tag(3, Table::Holding, 4)]),
        ],
    );
    let stand = Stand::start(plan);
    stand.until("polls", |s| s.of(3).len() >= 10).await;
    assert_eq!(stand.value(1), Some(Value::U64(43)));
    assert_eq!(stand.value(2), Some(Value::Bool(true)));
    assert_eq!(stand.value(3), Some(Value::U64(44)));
    let outcome = stand.command("b", "t3", Value::U64(500)).await;
    assert_eq!(outcome, Outcome::Done { read_back: Value::U64(500) });
    let status = stand.stop().await;
    assert_eq!(status.echo, Some(false));
    assert_eq!(status.line.foreign + status.line.damaged + status.line.noise_bytes, 0);
}

#[tokio::test]
async fn t16_unplugged_and_replugged_it_resumes_by_its_path() {
    let devices = units(&[3]);
    let dir = tempfile::tempdir().unwrap();
    let (path, slave) = plug(&devices, &dir);
    let plan = rtu_plan(&path, vec![device("a", 3, vec![tag(1, Table::Holding, 4)])]);
    let stand = Stand::start(plan);
    stand.until("polls", |s| s.of(1).len() >= 3).await;
    drop(slave);
    stand.until("down", |s| s.quality(1) == Some(Quality::Bad(Fault::LinkDown))).await;
    assert!(matches!(stand.port.status().state, LinkState::Down { .. }));
    let outcome = stand.command("a", "t1", Value::U64(1)).await;
    assert_eq!(outcome, Outcome::Refused(Refusal::LinkDown));
    stand.until("the descriptor of the gone port is closed", |_| !holds_deleted_terminal()).await;
    let (_, _slave) = plug(&devices, &dir);
    stand.until("up again", |s| s.value(1) == Some(Value::U64(43))).await;
    let status = stand.stop().await;
    assert_eq!(status.connects, 2);
}

/// Whether this process holds a terminal whose other end is gone, apart from other tests' own.
fn holds_deleted_terminal() -> bool {
    let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    files.filter_map(|file| std::fs::read_link(file.path()).ok()).any(|target| {
        target.to_string_lossy().contains("(deleted)") && target.starts_with("/dev/pts")
    })
}

#[tokio::test]
async fn t12_a_port_that_is_missing_at_boot_is_found_when_it_comes() {
    let devices = units(&[3]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usb-adapter");
    let plan = rtu_plan(&path, vec![device("a", 3, vec![tag(1, Table::Holding, 4)])]);
    let stand = Stand::start(plan);
    stand.until("down", |s| s.quality(1) == Some(Quality::Bad(Fault::LinkDown))).await;
    let (_, _slave) = plug(&devices, &dir);
    stand.until("up", |s| s.value(1) == Some(Value::U64(43))).await;
    stand.stop().await;
}

#[tokio::test]
async fn t14_dead_devices_leave_the_living_one_its_rate() {
    let devices = units(&[3]);
    let dir = tempfile::tempdir().unwrap();
    let (path, _slave) = plug(&devices, &dir);
    let mut all = vec![device("living", 3, vec![tag(1, Table::Holding, 4)])];
    for unit in 10..14 {
        let mut dead =
            device(&format!("dead{unit}"), unit, vec![tag(unit.into(), Table::Holding, 4)]);
        dead.timeout = ms(60);
        all.push(dead);
    }
    let stand = Stand::start(rtu_plan(&path, all));
    stand.until("all found dead", |s| (10..14).all(|tag| s.last(tag).is_some())).await;
    let (from, count) = (Instant::now(), stand.of(1).len());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let polls = stand.of(1).len() - count;
    let wanted = from.elapsed().as_millis() / 50;
    assert!(polls as u128 * 100 >= wanted * 60, "{polls} of {wanted}");
    let status = stand.stop().await;
    assert!(matches!(status.devices[1].state, DeviceState::Silent { .. }));
    assert!(status.devices[1].next_probe_at.is_some());
    assert!(stand_bad(&status) > 0);
}

fn stand_bad(status: &BusStatus) -> u64 {
    status.devices.iter().map(|device| device.readings_bad).sum()
}

#[tokio::test]
async fn a_port_that_is_in_use_says_by_whom() {
    let devices = units(&[3]);
    let dir = tempfile::tempdir().unwrap();
    let (path, _slave) = plug(&devices, &dir);
    let first =
        Stand::start(rtu_plan(&path, vec![device("a", 3, vec![tag(1, Table::Holding, 4)])]));
    first.until("polls", |s| s.of(1).len() >= 3).await;
    let second =
        Stand::start(rtu_plan(&path, vec![device("a", 3, vec![tag(1, Table::Holding, 4)])]));
    second.until("refused", |s| matches!(s.port.status().state, LinkState::Down { .. })).await;
    let LinkState::Down { reason, .. } = second.port.status().state else { panic!("not down") };
    assert!(reason.contains("this process"), "{reason}");
    second.stop().await;
    let polls = first.of(1).len();
    first.until("goes on", |s| s.of(1).len() > polls + 3).await;
    assert!(first.of(1).iter().all(|r| r.quality() == Quality::Good));
    first.stop().await;
}

#[tokio::test]
async fn a_probe_reads_once() {
    let devices = units(&[3]);
    let dir = tempfile::tempdir().unwrap();
    let (path, _slave) = plug(&devices, &dir);
    let plan = rtu_plan(&path, Vec::new());
    let mut session = probe::Session::open(&plan.link, ms(300)).await.unwrap();
    assert_eq!(session.read(3, Table::Holding, (4, 2)).await.unwrap(), [43, 53]);
    assert_eq!(session.read(3, Table::Coil, (0, 3)).await.unwrap(), [1, 0, 1]);
    let error = session.read(3, Table::Input, (4, 2)).await.unwrap_err();
    assert_eq!(error.to_string(), "the device refused with exception 2 (illegal data address)");
    let silent = session.read(9, Table::Holding, (0, 1)).await;
    assert!(matches!(silent, Err(probe::ProbeError::NoAnswer(_))), "{silent:?}");
    // Registers 0 to 49 are there; what is beyond is refused one by one.
    let split = probe::Split::new(40, 20, 125);
    let all = session.read_all(3, Table::Holding, split, |_, _| true).await.unwrap();
    assert_eq!(all.len(), 20);
    assert_eq!((all[&49], all[&50], all[&59]), (Ok(493), Err(2), Err(2)));
}

#[tokio::test]
async fn the_answer_to_a_request_of_an_earlier_life_is_nobodys_value() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let dir = tempfile::tempdir().unwrap();
    let mut pty = Pty::open_at(&dir.path().join("usb-adapter")).unwrap();
    let path = pty.path().to_owned();
    let asked = Arc::new(std::sync::atomic::AtomicU16::new(u16::MAX));
    let newest = asked.clone();
    let mut slave = tokio::task::JoinSet::new();
    // It takes its time, and every register holds its address.
    slave.spawn(async move {
        let mut request = [0; 8];
        while pty.read_exact(&mut request).await.is_ok() {
            let address = u16::from_be_bytes([request[2], request[3]]);
            newest.store(address, std::sync::atomic::Ordering::SeqCst);
            tokio::time::sleep(ms(150)).await;
            let mut pdu = vec![3, 2 * request[5]];
            for at in 0..u16::from(request[5]) {
                pdu.extend((address + at).to_be_bytes());
            }
            let frame = crate::south::guard::frame_rtu(request[0], &pdu);
            pty.write_all(&frame).await.unwrap();
        }
    });
    let plan = || {
        let mut far = device("a", 3, vec![tag(1, Table::Holding, 4), tag(2, Table::Holding, 600)]);
        Arc::make_mut(&mut far.tags).iter_mut().for_each(|tag| tag.every = Some(ms(500)));
        rtu_plan(&path, vec![far])
    };
    let first = Stand::start(plan());
    while asked.load(std::sync::atomic::Ordering::SeqCst) != 600 {
        tokio::time::sleep(ms(1)).await;
    }
    first.stop().await;
    let second = Stand::start(plan());
    second.until("values", |s| s.of(1).len() >= 2 && s.of(2).len() >= 2).await;
    for (id, address) in [(1, 4), (2, 600)] {
        for reading in second.of(id) {
            assert_eq!(reading.value(), Some(&Value::U64(address)), "{reading:?}");
        }
    }
    second.stop().await;
}

#[tokio::test]
async fn one_lost_answer_does_not_silence_a_device_of_a_single_register() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let dir = tempfile::tempdir().unwrap();
    let mut pty = Pty::open_at(&dir.path().join("usb-adapter")).unwrap();
    let path = pty.path().to_owned();
    let mut slave = tokio::task::JoinSet::new();
    slave.spawn(async move {
        let mut request = [0; 8];
        let mut number = 0;
        while pty.read_exact(&mut request).await.is_ok() {
            number += 1;
            let pdu: &[u8] = match (request[3], request[5]) {
                _ if number == 10 => continue,
                (4, 1) => &[3, 2, 0, 7],
                _ => &[0x83, 2],
            };
            let frame = crate::south::guard::frame_rtu(request[0], pdu);
            pty.write_all(&frame).await.unwrap();
        }
    });
    let mut only = device("a", 3, vec![tag(1, Table::Holding, 4)]);
    Arc::make_mut(&mut only.tags).iter_mut().for_each(|tag| tag.every = Some(ms(200)));
    let stand = Stand::start(rtu_plan(&path, vec![only]));
    stand.until("lost", |s| s.quality(1) == Some(Quality::Bad(Fault::NoAnswer))).await;
    let mut silent = false;
    stand
        .until("back", |s| {
            silent |= matches!(s.port.status().devices[0].state, DeviceState::Silent { .. });
            s.quality(1) == Some(Quality::Good)
        })
        .await;
    assert!(!silent, "it answered all the time");
    assert!(stand.of(1).iter().filter_map(Reading::value).all(|value| *value == Value::U64(7)));
    stand.stop().await;
}
