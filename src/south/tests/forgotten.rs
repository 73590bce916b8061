//! Connections over TCP that die without a word: in use, and in the pauses of a bus that is seldom asked.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::bus_tcp::two_units;
use super::*;
use crate::config::{ModbusLink, Wire};
use crate::model::{Fault, Refusal};

/// Longer than NATs and firewalls remember a connection that carries nothing.
const PAUSE: Duration = Duration::from_secs(900);

/// A server whose first connection swallows everything after so many answers, and later ones after
/// others.
async fn serve(first: usize, later: usize) -> (u16, JoinSet<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let devices = two_units();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let limit = if held.is_empty() { first } else { later };
            let devices = devices.clone();
            let mut task = JoinSet::new();
            task.spawn(async move {
                let mut request = [0; 12];
                let mut answered = 0;
                while stream.read_exact(&mut request).await.is_ok() {
                    if answered == limit {
                        continue;
                    }
                    answered += 1;
                    let answer = devices.bank().answer(request[6], &request[7..]).unwrap();
                    let tid = [request[0], request[1]];
                    let frame = scripted::mbap(tid, request[6], &answer);
                    stream.write_all(&frame).await.unwrap();
                }
            });
            held.push(task);
        }
    });
    (port, server)
}

fn impatient(tags: Vec<TagPlan>) -> DevicePlan {
    DevicePlan { timeout: ms(100), ..device("a", 1, tags) }
}

/// It is later by so much, at once.
async fn leap(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn t13_a_connection_that_dies_without_a_word_is_made_anew() {
    let (port, _server) = serve(5, usize::MAX).await;
    let stand = Stand::start(tcp_plan(port, vec![impatient(vec![tag(1, Table::Holding, 4)])]));
    stand.until("silent", |s| s.quality(1) == Some(Quality::Bad(Fault::NoAnswer))).await;
    stand.until("back", |s| s.value(1) == Some(Value::U64(41))).await;
    let status = stand.stop().await;
    assert_eq!(status.connects, 2);
}

#[tokio::test]
async fn a_connection_that_was_forgotten_in_a_pause_costs_no_reading() {
    for pipeline in [1, 4] {
        let seldom = |id: u32, address: u16| TagPlan {
            every: Some(PAUSE),
            ..tag(id, Table::Holding, address)
        };
        let tags = vec![seldom(1, 4), TagPlan { every: Some(PAUSE), ..tag(2, Table::Coil, 1) }];
        let (port, _server) = serve(2, usize::MAX).await;
        let mut plan = tcp_plan(port, vec![impatient(tags)]);
        let Link::Modbus(ModbusLink { wire: Wire::Tcp(wire), .. }) = &mut plan.link else {
            panic!()
        };
        wire.pipeline = pipeline;
        let stand = Stand::start(plan);
        stand.until("the first poll", |s| s.of(1).len() + s.of(2).len() == 2).await;
        leap(PAUSE).await;
        stand.until("the second", |s| s.of(1).len() + s.of(2).len() == 4).await;
        let qualities: Vec<_> = stand.readings().iter().map(Reading::quality).collect();
        assert_eq!(qualities, [Quality::Good; 4], "{pipeline} at once");
        assert_eq!(stand.stop().await.connects, 2);
    }
}

#[tokio::test]
async fn a_device_that_is_gone_after_a_pause_is_said_to_be() {
    let (port, _server) = serve(1, 0).await;
    let seldom = TagPlan { every: Some(PAUSE), ..tag(1, Table::Holding, 4) };
    let stand = Stand::start(tcp_plan(port, vec![impatient(vec![seldom])]));
    stand.until("the first poll", |s| s.of(1).len() == 1).await;
    leap(PAUSE).await;
    let silent = Some(Quality::Bad(Fault::NoAnswer));
    stand.until("the second", |s| s.quality(1) == silent).await;
    assert_eq!(stand.stop().await.connects, 2, "the connection is not to blame again");
}

#[tokio::test]
async fn a_bus_that_is_only_written_to_is_reached_again_by_the_second_command() {
    let unread = TagPlan { every: None, ..tag(1, Table::Holding, 4) };
    let (port, _server) = serve(2, usize::MAX).await;
    let stand = Stand::start(tcp_plan(port, vec![impatient(vec![unread])]));
    stand.until("up", |s| s.port.status().connects == 1).await;
    let done = |value| Outcome::Done { read_back: Value::U64(value) };
    assert_eq!(stand.command("a", "t1", Value::U64(5)).await, done(5));
    leap(PAUSE).await;
    // Nobody knows whether it was carried out, so it is not written again.
    let lost = stand.command("a", "t1", Value::U64(6)).await;
    assert_eq!(lost, Outcome::Refused(Refusal::LinkBroke));
    stand.until("up again", |s| s.port.status().connects == 2).await;
    assert_eq!(stand.command("a", "t1", Value::U64(7)).await, done(7));
    stand.stop().await;
}
