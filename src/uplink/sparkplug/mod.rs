//! An uplink as an edge node of Sparkplug B 3.0 (Eclipse Sparkplug; `docs/sparkplug.md`).
//!
//! The same engine, store and client as any uplink; other topics, other payloads, and another proof
//! of delivery: data is QoS 0, so rows are settled by the answer to a ping behind them. `node` is
//! the session's state machine, `book` its metrics, `chunk` makes messages of rows, `barrier` knows
//! which ping proves what, `session` is one connection, `edge` what lasts longer. Knows nothing of
//! buses, and nothing of what a command means.

mod barrier;
mod book;
mod chunk;
mod commands;
mod edge;
mod host;
mod node;
mod session;
#[cfg(test)]
mod tests;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

pub use edge::{Edge, millis};
use session::Session;

use super::client::Client;
use super::drive::{Ends, at};
use super::engine::{Closing, Engine};
use super::reply::Reply;
use super::session::End;
use crate::store::Consumer;

/// Runs a session from CONNACK until it fails, the primary host goes, or a stop or a renewal of the
/// login is complete: both end it with a death certificate.
pub async fn run(
    engine: &mut Engine,
    edge: &mut Edge,
    mut client: Client,
    consumer: Consumer,
    place: (&str, bool),
    replies: &mut mpsc::Receiver<Reply>,
    ends: Ends<'_>,
) -> (Closing, Result<(), End>) {
    let mut session = match Session::start(engine, edge, &mut client, consumer, place) {
        Ok(session) => session,
        Err(end) => return (Closing::default(), Err(end)),
    };
    let end = drive(&mut session, &mut client, replies, ends).await;
    let (closing, ended, told) = session.close();
    // DISCONNECT only behind a death certificate; otherwise the broker publishes the will.
    if end.is_ok() && told {
        client.goodbye().await;
    }
    let end = end.map_err(End::Failed);
    (closing, end.and_then(|()| ended.map_or(Ok(()), |ended| Err(End::Ours(ended)))))
}

async fn drive(
    session: &mut Session<'_>,
    client: &mut Client,
    replies: &mut mpsc::Receiver<Reply>,
    ends: Ends<'_>,
) -> Result<(), super::client::Failure> {
    let mut changed = session.changed();
    let mut tick = interval(session.tick_every());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        session.pump(client)?;
        if session.done() {
            return Ok(());
        }
        let paced = session.paced();
        tokio::select! {
            event = client.next() => {
                session.event(event?);
                while let Some(event) = client.ready()? {
                    session.event(event);
                }
            }
            () = ends.stop.cancelled(), if !session.stopping() => session.stop(),
            () = at(ends.renew), if !session.stopping() => session.stop(),
            found = session.read() => session.found(found),
            Ok(()) = changed.changed() => session.appended(),
            () = at(paced) => {}
            // Sparkplug has no answers to commands: the metric says what the device holds.
            Some(_) = replies.recv() => {}
            _ = tick.tick(), if session.ticking() => session.tick(),
        }
    }
}
