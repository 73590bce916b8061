//! Other ways to a broker: the second of a list, a proxy, WebSocket, tokens that end.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::fake::Fake;
use super::world::{World, broker, plan};
use crate::config::{BrokerUrl, ProxyPlan, SasPlan, Secret, UplinkPlan, Username};
use crate::uplink::Cause;
use crate::websocket;

/// A port on which nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a secret, not a configuration")]
fn secret(dir: &tempfile::TempDir, name: &str, text: &str) -> Secret {
    std::fs::write(dir.path().join(name), text).unwrap();
    Secret { file: name.into() }
}

#[tokio::test]
async fn the_second_broker_takes_over_and_is_kept() {
    let fake = Fake::new([]).await;
    let mut world = World::new();
    world.append(5);
    let gone = nobody().await;
    let brokers = vec![broker(gone), broker(fake.addr)];
    let running = world.start(UplinkPlan { brokers, ..plan(&fake) });
    let status = running.until_nothing_waits().await;
    assert_eq!(status.peer, fake.addr.to_string());
    assert_eq!(status.ends.get(&Cause::Unreachable), Some(&1), "the first was tried once");
    // The first one comes back, and nothing changes while the second works.
    let first = Fake::at(gone, []).await;
    world.append(5);
    running.until_nothing_waits().await;
    assert_eq!(first.log(|log| log.connects.len()), 0);
    world.check_nothing_lost(&fake);
    running.stop().await;
}

/// Connects on, or answers with a status; remembers what it was asked.
async fn proxy(answer: &'static str) -> (SocketAddr, JoinSet<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut asked = Vec::new();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(near.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let to = head.split(' ').nth(1).unwrap().to_owned();
            asked.push(head);
            near.write_all(answer.as_bytes()).await.unwrap();
            if answer.contains(" 200 ") {
                let mut far = TcpStream::connect(to).await.unwrap();
                let _over = copy_bidirectional(&mut near, &mut far).await;
                return asked;
            }
        }
    });
    (addr, tasks)
}

#[tokio::test]
async fn a_proxy_connects_further_or_says_no() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::new([]).await;
    let mut world = World::new();
    world.append(5);
    let (addr, mut tasks) = proxy("HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n").await;
    let through = |addr: SocketAddr| ProxyPlan {
        host: addr.ip().to_string(),
        port: addr.port(),
        username: Some("me".to_owned()),
        password: Some(secret(&dir, "proxy.password", "s3cret\n")),
    };
    let with = |addr| UplinkPlan { proxy: Some(through(addr)), ..plan(&fake) };
    let running = world.start_in(with(addr), dir.path().to_owned());
    running.until_nothing_waits().await;
    running.stop().await;
    world.check_nothing_lost(&fake);
    let asked = tasks.join_next().await.unwrap().unwrap();
    assert!(asked[0].starts_with(&format!("CONNECT {} HTTP/1.1\r\n", fake.addr)), "{asked:?}");
    assert!(asked[0].contains("Proxy-Authorization: Basic bWU6czNjcmV0\r\n"), "{asked:?}");

    for (answer, words) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "username and password (407)"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "403 Forbidden"),
        ("HTTP/1.1 403 not for bWU6czNjcmV0\r\n\r\n", "does not connect to"),
        ("HTTP/1.1 403 not with s3cret\r\n\r\n", "does not connect to"),
    ] {
        let (addr, _tasks) = proxy(answer).await;
        let running = world.start_in(with(addr), dir.path().to_owned());
        let status = running.until(words, |s| s.ends.contains_key(&Cause::Proxy)).await;
        let said = status.last_end.unwrap();
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("s3cret") && !said.contains("bWU6czNjcmV0"), "{said}");
        running.stop().await;
    }

    let gone = nobody().await;
    let nameless = ProxyPlan { host: "proxy..invalid".to_owned(), ..through(gone) };
    for (proxy, words) in [
        (through(gone), format!("nothing listens on the proxy {gone}")),
        (nameless, format!("the name of the proxy proxy..invalid:{}", gone.port())),
    ] {
        let plan = UplinkPlan { proxy: Some(proxy), ..plan(&fake) };
        let running = world.start_in(plan, dir.path().to_owned());
        let status = running.until(&words, |status| !status.ends.is_empty()).await;
        assert!(status.ends.contains_key(&Cause::Proxy), "{status:#?}");
        let said = status.last_end.unwrap();
        assert!(said.contains(&words) && !said.contains(&fake.addr.to_string()), "{said}");
        running.stop().await;
    }
}

#[tokio::test]
async fn websocket_carries_rows_and_a_web_server_is_named() {
    let fake = Fake::new([]).await;
    let to = fake.addr;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (near, _) = listener.accept().await.unwrap();
        let mut near = websocket::accept(near, 1 << 20).await.unwrap();
        let mut far = TcpStream::connect(to).await.unwrap();
        let _over = copy_bidirectional(&mut near, &mut far).await;
        // At every attempt from here on, or the next one would end for another reason.
        while let Ok((mut near, _)) = listener.accept().await {
            let mut some = [0; 100];
            let _bytes = near.read(&mut some).await;
            let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
            let _gone = near.write_all(answer).await;
            let _until_closed = near.read(&mut some).await;
        }
    });
    let mut world = World::new();
    world.append(200);
    let brokers = vec![BrokerUrl { path: Some("/mqtt".to_owned()), ..broker(addr) }];
    let web = UplinkPlan { brokers, ..plan(&fake) };
    let running = world.start(web.clone());
    running.until_nothing_waits().await;
    running.stop().await;
    world.check_nothing_lost(&fake);
    let running = world.start(web);
    let status = running.until("no WebSocket", |s| s.ends.contains_key(&Cause::WebSocket)).await;
    assert!(status.last_end.unwrap().contains("404"));
    running.stop().await;
}

/// A token is renewed by a new connection, in good time, and nothing is sent twice for it.
#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::new([]).await;
    let mut world = World::new();
    let sas = SasPlan {
        key: secret(&dir, "hub.key", "c2VjcmV0IGtleQ==\n"),
        lifetime: Duration::from_millis(400),
        resource: None,
        policy: None,
    };
    let username = Some(Username::Plain("hub/d1".to_owned()));
    let tokens = UplinkPlan { sas: Some(sas), username, ..plan(&fake) };
    let running = world.start_in(tokens, dir.path().to_owned());
    running.until("online", |s| s.connects == 1).await;
    while running.port.status().connects < 4 {
        world.append(1);
        tokio::time::sleep(Duration::from_millis(3)).await;
        assert!(world.appended < 100_000, "stuck: {:#?}", running.port.status());
    }
    let status = running.until_nothing_waits().await;
    assert!(status.ends.is_empty() && status.duplicates_possible == 0, "{status:#?}");
    world.check_nothing_lost(&fake);
    let login = fake.log(|log| log.connects[0].login.clone()).unwrap();
    let resource = format!("sr={}%2Fdevices%2Fpress-line-3&", fake.addr.ip());
    assert!(login.password.starts_with("SharedAccessSignature "), "{}", login.password);
    assert!(login.password.contains(&resource), "{}", login.password);
    running.stop().await;
}
