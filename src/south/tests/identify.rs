//! Function 43/14 over a serial line and over TCP, against the simulator and against devices that
//! don't answer as they should.

use tokio_util::sync::CancellationToken;

use super::scripted::{self, Asked, Deed, TIMEOUT};
use super::{ms, tcp_plan};
use crate::config::{Framing, Link, Parity, SerialLine, Switching};
use crate::model::Table;
use crate::south::identify::Interview;
use crate::south::line::{Failure, Line};
use crate::south::probe::{ProbeError, Session, object_name};
use crate::south::simulator::{Bank, Devices, Pty, RtuSlave, TcpServer};

/// A device with names of all categories, of which the extended ones take several answers.
fn named() -> Devices {
    let mut bank = Bank::default();
    for unit in [3, 4] {
        bank.set(unit, Table::Holding, 0, &[1]);
    }
    bank.name(3, 0, "Fieldhold");
    bank.name(3, 1, "FH-1");
    bank.name(3, 2, "v1.2 \0");
    bank.name(3, 5, "Press line");
    bank.name(3, 128, &"x".repeat(200));
    bank.name(3, 129, &"y".repeat(244));
    bank.name(3, 255, "last\u{7}");
    Devices::new(bank)
}

fn all() -> Vec<(u8, String)> {
    let all = [
        (0, "Fieldhold"),
        (1, "FH-1"),
        (2, "v1.2"),
        (5, "Press line"),
        (128, &"x".repeat(200)),
        (129, &"y".repeat(244)),
        (255, "last·"),
    ];
    all.map(|(object, text)| (object, text.to_owned())).to_vec()
}

async fn identified(link: &Link) {
    let mut session = Session::open(link, ms(300)).await.unwrap();
    assert_eq!(session.identify(3).await.unwrap(), all());
    let error = session.identify(4).await.unwrap_err();
    assert!(matches!(error, ProbeError::NoIdentification), "{error}");
    session.timeout = ms(50);
    let error = session.identify(9).await.unwrap_err();
    assert!(matches!(error, ProbeError::NoAnswer(_)), "{error}");
}

#[tokio::test]
async fn a_device_on_a_serial_line_says_what_it_is() {
    let pty = Pty::open().unwrap();
    let link = Link::modbus_rtu(SerialLine {
        port: pty.path().to_owned(),
        baud: 115_200,
        data_bits: 8,
        parity: Parity::Even,
        stop_bits: 1,
        switching: Switching::Adapter,
    });
    let mut slave = tokio::task::JoinSet::new();
    slave.spawn(RtuSlave::new(named()).run(pty, CancellationToken::new()));
    identified(&link).await;
}

#[tokio::test]
async fn a_device_on_tcp_says_what_it_is() {
    let server = TcpServer::bind("127.0.0.1:0", named()).await.unwrap();
    let link = tcp_plan(server.address().unwrap().port(), Vec::new()).link;
    let mut running = tokio::task::JoinSet::new();
    running.spawn(server.run(CancellationToken::new()));
    identified(&link).await;
}

/// All of unit 7.
async fn identify(line: &mut Line) -> Result<Vec<(u8, String)>, Failure> {
    let mut interview = Interview::new();
    while let Some(question) = interview.question() {
        interview.answered(line.identify(7, question, TIMEOUT).await?);
    }
    Ok(interview.said())
}

/// One object, `next` to be asked for then.
fn answer(asked: &Asked, next: Option<u8>) -> Vec<u8> {
    let object = asked.pdu[3];
    let (more, next) = next.map_or((0, 0), |next| (0xFF, next));
    vec![43, 14, asked.pdu[2], 0x81, more, next, 1, object, 1, b'a']
}

#[tokio::test(start_paused = true)]
async fn a_device_that_never_comes_to_an_end_is_left() {
    for forward in [0, 1] {
        let mut slave = scripted::start(Framing::Rtu, false, move |asked| {
            let next = asked.pdu[3].saturating_add(forward);
            Deed::instead(asked.frame(&answer(asked, Some(next))))
        });
        let objects = identify(&mut slave.line).await.unwrap();
        assert_eq!(objects.len(), if forward == 0 { 1 } else { 256 });
    }
}

#[tokio::test(start_paused = true)]
async fn noise_pieces_and_foreign_names_do_no_harm() {
    let mut slave = scripted::start(Framing::Rtu, false, |asked| {
        let mut other = answer(asked, None);
        other[9] = b'b';
        let before = asked.frame_of(9, &other);
        let before = [&[7, 43, 14, 1, 7][..], &before].concat();
        Deed { before, pieces: Some(3), ..Deed::instead(asked.frame(&answer(asked, None))) }
    });
    assert_eq!(identify(&mut slave.line).await.unwrap(), [(0, "a".to_owned())]);
    assert_eq!(slave.line.counters().foreign, 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_of_its_shape_is_none() {
    let mut slave = scripted::tcp(|asked| {
        let mut pdu = answer(asked, None);
        pdu[8] = 40;
        Deed::instead(asked.frame(&pdu))
    });
    let result = identify(&mut slave.line).await;
    assert!(matches!(result, Err(Failure::BadAnswer)), "{result:?}");
}

#[test]
fn objects_have_the_names_of_the_specification() {
    assert_eq!((object_name(0), object_name(6)), (Some("vendor"), Some("application")));
    assert_eq!(object_name(7), None);
}
