//! TLS, WebSocket and Unix sockets, each with clients that do it wrong as well.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::certificates::{Authority, dial};
use super::notation::bytes;
use super::rig::limits;
use super::running::{PATIENCE, Running, expect, expect_end, send, start_plan};
use crate::broker::{Broker, BrokerError, Deps};
use crate::config::{BrokerLimits, BrokerPlan, ListenerPlan, Place, ServerTlsPlan};
use crate::model::{ManualClock, Mono, Wall};
use crate::store::Keep;

const CONNECT: &str = "10[ \"MQTT\" 04 02 0000 \"a\" ]";

fn free() -> ListenerPlan {
    ListenerPlan::tcp("127.0.0.1:0".parse().unwrap(), 100)
}

fn tls(files: ServerTlsPlan) -> ListenerPlan {
    ListenerPlan { tls: Some(files), ..free() }
}

async fn with(listener: ListenerPlan) -> Running {
    start_plan(BrokerPlan { listeners: vec![listener], users: Vec::new(), limits: limits() }).await
}

async fn refused(listener: ListenerPlan) -> BrokerError {
    let plan = BrokerPlan { listeners: vec![listener], users: Vec::new(), limits: limits() };
    let (inbox, _commands) = tokio::sync::mpsc::channel(1);
    let clock = std::sync::Arc::new(ManualClock::new(Mono(0), Wall(0)));
    Broker::bind(&plan, Deps { clock, inbox, store: None, keep: Keep::none() }).await.err().unwrap()
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken() {
    let authority = Authority::new();
    authority.sign_until("broker", "broker", "localhost", 2050);
    let running = with(tls(authority.server("broker", false))).await;
    for version in [&TLS12, &TLS13] {
        let connector = authority.client(None, &[version]);
        let mut client = dial(&connector, running.address).await.unwrap();
        let spoken = client.get_ref().1.protocol_version().unwrap();
        assert_eq!(spoken, version.version);
        send(&mut client, CONNECT).await;
        expect(&mut client, "20020000").await;
        send(&mut client, "82[ 0001 \"t\" 00 ]").await;
        expect(&mut client, "90[ 0001 00 ]").await;
        // What one layer holds back must be flushed, whatever its size.
        for size in [1, 100, 4000] {
            let packet = format!("30[ \"t\" '{}' ]", "x".repeat(size));
            send(&mut client, &packet).await;
            expect(&mut client, &packet).await;
        }
    }
    let status = running.broker.status();
    let [listener] = status.listeners.as_slice() else { panic!("one listener") };
    assert_eq!(listener.kind, "tls");
    assert_eq!(listener.certificate_ends_ms, Some(2_524_608_000_000), "2050-01-01");
    assert_eq!(listener.certificate_problem, None);
}

#[tokio::test]
async fn last_words_reach_a_client_over_tls() {
    let authority = Authority::new();
    authority.sign("broker", "broker", "localhost");
    let running = with(tls(authority.server("broker", false))).await;
    let connector = authority.client(None, &[&TLS13]);
    let mut client = dial(&connector, running.address).await.unwrap();
    send(&mut client, CONNECT).await;
    expect(&mut client, "20020000").await;
    running.stop.cancel();
    expect_end(&mut client).await;
}

#[tokio::test]
async fn a_client_without_the_right_certificate_stays_outside() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    authority.sign("broker", "broker", "localhost");
    authority.sign("line7", "line7", "line7.plant1");
    stranger.sign("line7", "line7", "line7.plant1");
    std::fs::copy(authority.path("ca.pem"), stranger.path("ca.pem")).unwrap();
    let running = with(tls(authority.server("broker", true))).await;
    for (from, name, enters) in [
        (&authority, Some("line7"), true),
        (&authority, None, false),
        (&stranger, Some("line7"), false),
    ] {
        for version in [&TLS12, &TLS13] {
            let connector = from.client(name, &[version]);
            let Ok(mut client) = dial(&connector, running.address).await else {
                assert!(!enters, "{name:?}");
                continue;
            };
            // With TLS 1.3 a client hears of its refusal only when it reads.
            let mut connack = [0; 4];
            let entered = client.write_all(&bytes(CONNECT)).await.is_ok()
                && client.read_exact(&mut connack).await.is_ok();
            assert_eq!(entered, enters, "{name:?}");
        }
    }
    running.until("counted", |s| s.listeners[0].handshakes_failed == 4).await;
}

#[tokio::test]
async fn a_peer_that_does_not_shake_hands_holds_up_nobody() {
    let authority = Authority::new();
    authority.sign("broker", "broker", "localhost");
    let limits = BrokerLimits { connect_timeout: Duration::from_millis(300), ..limits() };
    let listeners = vec![tls(authority.server("broker", false))];
    let running = start_plan(BrokerPlan { listeners, users: Vec::new(), limits }).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    let mut wrong = TcpStream::connect(running.address).await.unwrap();
    wrong.write_all(&bytes(CONNECT)).await.unwrap();
    let connector = authority.client(None, &[&TLS13]);
    let mut client = dial(&connector, running.address).await.unwrap();
    send(&mut client, CONNECT).await;
    expect(&mut client, "20020000").await;
    expect_end(&mut silent).await;
    running.until("counted", |s| s.listeners[0].handshakes_failed == 2).await;
}

#[tokio::test]
async fn files_that_do_not_fit_are_an_error_that_says_so() {
    let authority = Authority::new();
    authority.sign("broker", "broker", "localhost");
    authority.sign("other", "other", "localhost");
    let fits = authority.server("broker", false);
    let mismatch = ServerTlsPlan { key: authority.path("other.key"), ..fits.clone() };
    let missing = ServerTlsPlan { certificate: authority.path("none.pem"), ..fits.clone() };
    let broken = ServerTlsPlan { client_ca: Some(authority.path("broker.key")), ..fits };
    for (files, words) in [
        (mismatch, "does not belong to the key"),
        (missing, "none.pem can't be read"),
        (broken, "CA file"),
    ] {
        let error = refused(tls(files)).await;
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(words), "{source}");
        assert_eq!(error.retry(), crate::model::Retry::Later);
    }
}

fn unix(path: std::path::PathBuf) -> ListenerPlan {
    ListenerPlan { place: Place::Path(path), ..free() }
}

#[tokio::test]
async fn a_unix_socket_is_for_owner_and_group_and_goes_with_the_broker() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mqtt.sock");
    // Left behind by a killed process: nobody answers.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let running = with(unix(path.clone())).await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let mut client = UnixStream::connect(&path).await.unwrap();
    send(&mut client, CONNECT).await;
    expect(&mut client, "20020000").await;
    let status = running.broker.status();
    assert!(status.clients[0].address.to_string().starts_with("unix uid "), "{status:?}");
    assert_eq!(status.listeners[0].at, path.display().to_string());
    // Somebody answers: it is left alone.
    let error = refused(unix(path.clone())).await;
    assert!(error.to_string().starts_with("can't listen on unix "), "{error}");
    running.stop.cancel();
    expect_end(&mut client).await;
    drop(client);
    timeout(PATIENCE, running.runner).await.expect("ends in time").unwrap().unwrap();
    assert!(!path.exists(), "removed with its listener");
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    super::certificates::put(&path, "data");
    let error = refused(unix(path.clone())).await;
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "the file is no socket");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
}

#[tokio::test]
async fn one_listener_can_have_fewer_places() {
    let narrow = ListenerPlan { connections: 1, ..free() };
    let plan = BrokerPlan { listeners: vec![narrow, free()], users: Vec::new(), limits: limits() };
    let running = start_plan(plan).await;
    let _first = running.connect("a").await;
    let mut second = TcpStream::connect(running.address).await.unwrap();
    let gone = timeout(PATIENCE, second.read(&mut [0; 8])).await.unwrap();
    assert!(matches!(gone, Ok(0) | Err(_)), "{gone:?}");
    let mut other = TcpStream::connect(running.broker.addresses()[1]).await.unwrap();
    send(&mut other, "10[ \"MQTT\" 04 02 0000 \"b\" ]").await;
    expect(&mut other, "20020000").await;
    running.until("counted", |s| s.listeners[0].refused == 1 && s.listeners[1].refused == 0).await;
}

fn ws() -> ListenerPlan {
    ListenerPlan { is_websocket: true, ..free() }
}

type Client = WebSocketStream<TcpStream>;

async fn websocket(running: &Running, protocol: Option<&str>) -> Result<Client, String> {
    let stream = TcpStream::connect(running.address).await.unwrap();
    let mut request = format!("ws://{}/mqtt", running.address).into_client_request().unwrap();
    if let Some(protocol) = protocol {
        let value = protocol.parse().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", value);
    }
    let connected = tokio_tungstenite::client_async(request, stream).await;
    connected.map(|(client, _)| client).map_err(|error| error.to_string())
}

/// The bytes of binary messages until there are as many as `packet` has.
async fn expect_frames(client: &mut Client, packet: &str) {
    let (want, mut got) = (bytes(packet), Vec::new());
    while got.len() < want.len() {
        match timeout(PATIENCE, client.next()).await.expect("in time").unwrap().unwrap() {
            Message::Binary(bytes) => got.extend_from_slice(&bytes),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(got, want);
}

#[tokio::test]
async fn packets_and_frames_have_nothing_to_do_with_each_other() {
    let running = with(ws()).await;
    let mut client = websocket(&running, Some("other, mqtt")).await.unwrap();
    // Byte by byte, then two packets in one frame, then an empty frame and a ping.
    for byte in bytes(CONNECT) {
        client.send(Message::Binary(vec![byte].into())).await.unwrap();
    }
    expect_frames(&mut client, "20020000").await;
    let two = bytes("82[ 0001 \"t\" 00 ] 30[ \"t\" 'hello' ]");
    client.send(Message::Binary(two.into())).await.unwrap();
    client.send(Message::Binary(Vec::new().into())).await.unwrap();
    expect_frames(&mut client, "90[ 0001 00 ] 30[ \"t\" 'hello' ]").await;
    client.send(Message::Ping(Vec::new().into())).await.unwrap();
    let pong = timeout(PATIENCE, client.next()).await.expect("in time").unwrap().unwrap();
    assert!(matches!(pong, Message::Pong(_)), "{pong:?}");
    let packet = format!("30[ \"t\" '{}' ]", "x".repeat(4000));
    for _ in 0..100 {
        client.send(Message::Binary(bytes(&packet).into())).await.unwrap();
        expect_frames(&mut client, &packet).await;
    }
}

#[tokio::test]
async fn a_text_frame_ends_the_connection() {
    let running = with(ws()).await;
    let mut client = websocket(&running, Some("mqtt")).await.unwrap();
    client.send(Message::Text("hello".into())).await.unwrap();
    let end = timeout(PATIENCE, client.next()).await.expect("in time");
    assert!(!matches!(end, Some(Ok(Message::Binary(_) | Message::Text(_)))), "{end:?}");
}

#[tokio::test]
async fn a_close_is_answered_by_a_close() {
    let running = with(ws()).await;
    let mut client = websocket(&running, Some("mqtt")).await.unwrap();
    client.send(Message::Binary(bytes(CONNECT).into())).await.unwrap();
    expect_frames(&mut client, "20020000").await;
    client.close(None).await.unwrap();
    let answer = timeout(PATIENCE, client.next()).await.expect("in time");
    assert!(matches!(answer, Some(Ok(Message::Close(_)))), "{answer:?}");
}

#[tokio::test]
async fn what_a_frame_holds_back_before_the_connect_is_bounded() {
    /// The head of a masked binary frame of 500,000 bytes.
    const HEAD: [u8; 14] = [0x82, 0xFF, 0, 0, 0, 0, 0, 0x07, 0xA1, 0x20, 1, 2, 3, 4];
    let running = with(ws()).await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = websocket(&running, Some("mqtt")).await.unwrap();
        // Nearly all of it; the last ones are cut while they send.
        let stream = client.get_mut();
        let _ = stream.write_all(&HEAD).await;
        let _ = stream.write_all(&[0; 480_000]).await;
        clients.push(client);
    }
    running.until("cut", |status| status.half_open_cut >= 5).await;
    assert!(running.broker.status().half_open_cut < 10, "16 MiB are for all");
    drop(clients);
    running.until("gone", |status| status.half_open == 0).await;
    let mut client = websocket(&running, Some("mqtt")).await.unwrap();
    client.send(Message::Binary(bytes(CONNECT).into())).await.unwrap();
    expect_frames(&mut client, "20020000").await;
    // Whoever has said who it is may send as large messages as ever.
    let packets = bytes(&format!("30[ \"t\" '{}' ]", "x".repeat(4000))).repeat(100);
    client.send(Message::Binary(packets.into())).await.unwrap();
    client.send(Message::Binary(bytes("c000").into())).await.unwrap();
    expect_frames(&mut client, "d000").await;
}

#[tokio::test]
async fn a_client_must_offer_the_sub_protocol() {
    let running = with(ws()).await;
    for protocol in [None, Some("soap"), Some("mqttx")] {
        let error = websocket(&running, protocol).await.err().unwrap();
        assert!(error.contains("400"), "{error}");
    }
    running.until("counted", |s| s.listeners[0].handshakes_failed == 3).await;
}

#[tokio::test]
async fn a_frame_that_is_too_large_is_not_waited_for() {
    let running = with(ws()).await;
    let mut client = websocket(&running, Some("mqtt")).await.unwrap();
    let huge = vec![0; 4096 + 512 * 1024 + 1];
    let _ = client.send(Message::Binary(huge.into())).await;
    let end = timeout(PATIENCE, client.next()).await.expect("in time");
    assert!(!matches!(end, Some(Ok(Message::Binary(_)))), "{end:?}");
    running.until("gone", |s| s.listeners[0].connections == 0).await;
}

#[tokio::test]
async fn secure_websocket_is_both() {
    let authority = Authority::new();
    authority.sign("broker", "broker", "localhost");
    let files = authority.server("broker", false);
    let running = with(ListenerPlan { tls: Some(files), ..ws() }).await;
    let stream = dial(&authority.client(None, &[&TLS13]), running.address).await.unwrap();
    let mut request = "wss://localhost/".into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
    let (mut client, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    client.send(Message::Binary(bytes(CONNECT).into())).await.unwrap();
    let answer = timeout(PATIENCE, client.next()).await.expect("in time").unwrap().unwrap();
    assert_eq!(answer.into_data(), bytes("20020000"));
    assert_eq!(running.broker.status().listeners[0].kind, "wss");
}
