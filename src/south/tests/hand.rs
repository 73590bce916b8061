//! Requests by hand through a bus that polls: what they bring, and what they must not cost.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::share::{on_line, on_tcp, two_units};
use super::*;
use crate::model::Blame;
use crate::south::DeviceState;
use crate::south::probe::{ProbeError, Session, Split};
use crate::south::simulator::Pty;
use crate::south::trace::{Purpose, Verdict};

#[tokio::test]
async fn a_bus_that_polls_is_asked_by_hand_for_anything() {
    let devices = two_units();
    devices.bank().name(2, 0, "Fieldhold");
    devices.bank().set(5, Table::Input, 0, &[0x4367, 0x6B85]);
    let (plan, _server) = on_tcp(&devices).await;
    let stand = Stand::start(plan);
    stand.until("polls", |s| s.of(1).len() >= 2).await;
    let mut session = Session::on_bus(&stand.port, ms(300)).unwrap();
    assert_eq!(session.read(1, Table::Holding, (50, 2)).await.unwrap(), [501, 511]);
    let heard = session.heard().clone();
    assert_eq!(heard.sent[6..], [1, 3, 0, 50, 0, 2]);
    assert_eq!(heard.received[6..], [1, 3, 4, 1, 0xF5, 1, 0xFF]);
    assert!(session.took() > Duration::ZERO);
    // A unit that is not in the configuration.
    assert_eq!(session.read(5, Table::Input, (0, 2)).await.unwrap(), [0x4367, 0x6B85]);
    let refused = session.read(1, Table::Holding, (99, 2)).await.unwrap_err();
    assert!(matches!(refused, ProbeError::Exception(2)), "{refused}");
    assert_eq!(stand.port.status().devices[0].state, DeviceState::Ok, "nobody's state");
    let found =
        session.read_all(1, Table::Holding, Split::new(98, 4, 125), |_, _| true).await.unwrap();
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [(98, Ok(981)), (99, Ok(991)), (100, Err(2)), (101, Err(2))]
    );
    assert_eq!(session.identify(2).await.unwrap(), [(0, "Fieldhold".to_owned())]);
    let unknown = session.identify(1).await.unwrap_err();
    assert!(matches!(unknown, ProbeError::NoIdentification), "{unknown}");
    let page = stand.port.trace(0, Wall(0));
    let by_hand: Vec<_> = page.exchanges.iter().filter(|e| e.purpose == Purpose::Hand).collect();
    assert!(by_hand.iter().any(|e| e.device.is_none() && e.verdict == Verdict::Ok), "{by_hand:?}");
    assert!(by_hand.iter().any(|e| e.device.as_deref() == Some("a")));
    for (tag, value) in [(1, 41), (2, 51), (3, 42)] {
        assert!(stand.of(tag).iter().all(|r| r.value() == Some(&Value::U64(value))));
    }
    stand.stop().await;
    let ended = session.read(1, Table::Holding, (50, 2)).await.unwrap_err();
    assert!(matches!(ended, ProbeError::Ended), "{ended}");
}

/// Somebody who looks for a unit that is not there, over and over, costs no poll its tick.
#[tokio::test]
async fn silence_by_hand_makes_no_poll_miss_its_tick() {
    let devices = two_units();
    let dir = tempfile::tempdir().unwrap();
    let (mut plan, _slave) = on_line(&devices, &dir);
    let mut polled = device("a", 1, vec![tag(1, Table::Holding, 4)]);
    Arc::make_mut(&mut polled.tags)[0].every = Some(ms(250));
    plan.devices = vec![polled];
    let stand = Stand::start(plan);
    stand.until("up", |s| s.of(1).len() >= 2).await;
    let missed = stand.port.status().devices[0].missed_ticks;
    let mut asking = JoinSet::new();
    for _ in 0..3 {
        let mut session = Session::on_bus(&stand.port, ms(80)).unwrap();
        asking.spawn(async move {
            let mut silent = 0_u32;
            loop {
                match session.read(9, Table::Holding, (0, 1)).await {
                    Err(ProbeError::NoAnswer(_)) => silent += 1,
                    Err(ProbeError::Ended) => return silent,
                    other => panic!("{other:?}"),
                }
            }
        });
    }
    let polls = stand.of(1).len();
    stand.until("20 polls under it", |s| s.of(1).len() >= polls + 20).await;
    let status = stand.port.status();
    // Two ticks for a machine that is busy with other tests.
    assert!(status.devices[0].missed_ticks <= missed + 2, "{status:#?}");
    assert_eq!(status.devices[0].timeouts, 0, "the device has nothing to do with it");
    assert!(stand.of(1).iter().all(|r| r.value() == Some(&Value::U64(41))));
    stand.stop().await;
    let mut asked = 0;
    while let Some(silent) = asking.join_next().await {
        asked += silent.expect("no other answer");
    }
    assert!(asked >= 20, "{asked}");
}

#[tokio::test]
async fn more_than_may_wait_are_busy_at_once_and_polling_goes_on() {
    let devices = two_units();
    let dir = tempfile::tempdir().unwrap();
    let (mut plan, _slave) = on_line(&devices, &dir);
    plan.devices = vec![device("a", 1, vec![tag(1, Table::Holding, 4)])];
    let stand = Stand::start(plan);
    stand.until("up", |s| s.of(1).len() >= 2).await;
    let mut asking = JoinSet::new();
    for _ in 0..30 {
        let mut session = Session::on_bus(&stand.port, ms(100)).unwrap();
        asking.spawn(async move { session.read(9, Table::Holding, (0, 1)).await });
    }
    let (mut busy, mut silent) = (0, 0);
    while let Some(result) = asking.join_next().await {
        match result.unwrap() {
            Err(ProbeError::Busy) => busy += 1,
            Err(ProbeError::NoAnswer(_)) => silent += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(busy >= 10 && silent >= 8, "{busy} busy, {silent} asked");
    let polls = stand.of(1).len();
    stand.until("polls on", |s| s.of(1).len() >= polls + 5).await;
    stand.stop().await;
}

#[tokio::test]
async fn a_bus_without_a_line_says_why_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let plan = bus_rtu::rtu_plan(
        &dir.path().join("unplugged"),
        vec![device("a", 1, vec![tag(1, Table::Holding, 4)])],
    );
    let stand = Stand::start(plan);
    stand.until("down", |s| s.quality(1).is_some_and(|q| q != Quality::Good)).await;
    let mut session = Session::on_bus(&stand.port, ms(300)).unwrap();
    let error = session.read(1, Table::Holding, (0, 1)).await.unwrap_err();
    assert!(matches!(&error, ProbeError::Down { reason } if reason.contains("plugged")), "{error}");
    assert_eq!(error.blame(), Blame::Link);
    stand.stop().await;
}

/// A device that counts as silent is asked all the same when a person wants it, and is polled again
/// at once when it answers.
#[tokio::test]
async fn a_silent_device_that_answers_by_hand_is_back() {
    let devices = two_units();
    let (mut plan, _server) = on_tcp(&devices).await;
    plan.devices.truncate(1);
    let stand = Stand::start(plan);
    stand.until("polls", |s| s.of(1).len() >= 2).await;
    let mut session = Session::on_bus(&stand.port, ms(300)).unwrap();
    devices.switch(1, false);
    let silent = |s: &Stand| matches!(s.port.status().devices[0].state, DeviceState::Silent { .. });
    stand.until("silent", silent).await;
    let error = session.read(1, Table::Holding, (4, 1)).await.unwrap_err();
    assert!(matches!(error, ProbeError::NoAnswer(_)), "{error}");
    devices.switch(1, true);
    assert_eq!(session.read(1, Table::Holding, (4, 1)).await.unwrap(), [41]);
    stand.until("back", |s| s.value(1) == Some(Value::U64(41))).await;
    stand.until("ok", |s| s.port.status().devices[0].state == DeviceState::Ok).await;
    stand.stop().await;
}

/// Every register holds its address in the high byte, so a value of another one is always seen.
#[tokio::test]
async fn a_late_answer_is_neither_a_polled_value_nor_one_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usb-adapter");
    let mut pty = Pty::open_at(&path).unwrap();
    let mut slave = JoinSet::new();
    slave.spawn(async move {
        let mut request = [0; 8];
        let mut random = fastrand::Rng::with_seed(7);
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
    let stand = Stand::start(bus_rtu::rtu_plan(&path, vec![polled]));
    stand.until("up", |s| s.port.status().connects == 1).await;
    let mut session = Session::on_bus(&stand.port, ms(80)).unwrap();
    let (mut right, mut failed) = (0, 0);
    let deadline = Instant::now() + DEADLINE;
    while (right < 10 || failed == 0) && Instant::now() < deadline {
        match session.read(3, Table::Holding, (60, 1)).await {
            Ok(words) => {
                assert_eq!(words[0] >> 8, 60, "a value of another register");
                right += 1;
            }
            Err(ProbeError::NoAnswer(_)) => failed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(right > 0 && failed > 0, "{right} answers, {failed} failures");
    for reading in stand.of(1) {
        if let Some(Value::U64(word)) = reading.value() {
            assert_eq!(word >> 8, 4, "what was asked by hand became a reading: {reading:?}");
        }
    }
    assert!(stand.of(1).iter().any(|r| r.value().is_some()));
    stand.stop().await;
}
