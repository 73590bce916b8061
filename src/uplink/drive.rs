//! The life of an uplink: wait, connect, run one session, settle, wait.
//!
//! One task owns the client and the session. Every connection gets a fresh client: no state of a
//! dead one, stale acknowledgements least of all, reaches the next.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::UplinkError;
use super::cause::{Cause, Ended, explain};
use super::client::{self, Client, Patience};
use super::engine::{Closing, Engine};
use super::reply::{REPLIES_MAX, Reply};
use super::session::{End, Session};
use super::settings::{self, SecretPlaces};
use super::sparkplug::{self, Edge};
use crate::model::Backoff;
use crate::store::{Consumer, Store};

/// What the task owns besides the engine.
pub struct Life {
    pub store: Store,
    pub places: SecretPlaces,
    pub replies: mpsc::Receiver<Reply>,
    pub backoff: Backoff,
    /// For an edge node of Sparkplug.
    pub edge: Option<Edge>,
}

pub async fn run(
    mut engine: Engine,
    mut life: Life,
    stop: &CancellationToken,
) -> Result<(), UplinkError> {
    // The very first attempt is jittered too: after a power cut a whole fleet starts at once.
    let mut delay = life.backoff.next_delay();
    life.backoff.reset();
    loop {
        if !wait(&mut engine, &mut life, delay, stop).await {
            break;
        }
        engine.connecting();
        let (closing, end) = connection(&mut engine, &mut life, stop).await?;
        // An open socket is not success: a broker that takes us and then hangs up, or does
        // not take a message, waits longer.
        if (closing.acknowledged && !closing.refused) || closing.lasted {
            life.backoff.reset();
        }
        let Some(ended) = end else { break };
        delay = life.backoff.next_delay();
        let next_try = engine.clock.mono() + delay;
        engine.ended(ended, closing, next_try);
    }
    engine.stopped();
    Ok(())
}

/// Waits before the next attempt; false if a stop came first.
async fn wait(
    engine: &mut Engine,
    life: &mut Life,
    delay: Duration,
    stop: &CancellationToken,
) -> bool {
    let until = Instant::now() + delay;
    meanwhile(engine, life, stop, sleep_until(until)).await.is_some()
}

/// Waits for something that is no session; `None` if a stop came first. Replies are taken
/// meanwhile.
async fn meanwhile<T>(
    engine: &mut Engine,
    life: &mut Life,
    stop: &CancellationToken,
    what: impl Future<Output = T>,
) -> Option<T> {
    let mut what = pin!(what);
    loop {
        tokio::select! {
            () = stop.cancelled() => return None,
            done = &mut what => return Some(done),
            Some(reply) = life.replies.recv(), if engine.replies.len() < REPLIES_MAX => {
                engine.replies.push_back(reply);
            }
        }
    }
}

/// One connection from its first packet to its end: how it went, and why it ended (`None`: a
/// stop).
async fn connection(
    engine: &mut Engine,
    life: &mut Life,
    stop: &CancellationToken,
) -> Result<(Closing, Option<Ended>), UplinkError> {
    let Some(consumer) = life.store.consumer(engine.plan.name.as_str()) else {
        let reason = "the store has no place for this uplink";
        return Ok((Closing::default(), Some(Ended::new(Cause::Store, reason))));
    };
    let (plan, places) = (engine.plan.clone(), life.places.clone());
    let dial = tokio::task::spawn_blocking(move || settings::dial(&plan, &places)).await?;
    let (target, mut hello) = match dial {
        Ok(dial) => dial,
        Err(error) => return Ok((Closing::default(), Some(error.into()))),
    };
    let mut edge = life.edge.take();
    if let Some(edge) = &mut edge {
        hello.will = Some(edge.will(sparkplug::millis(engine.clock.wall())).await);
    }
    let patience = Patience { connect: engine.timing.connect, answer: engine.timing.watchdog };
    let mut ignore = |_| {};
    let connecting = client::connect(&target, &hello, patience, &mut ignore);
    let Some(connected) = meanwhile(engine, life, stop, connecting).await else {
        return Ok((Closing::default(), None));
    };
    let peer = format!("{}:{}", target.host, target.port);
    if let Some(edge) = &mut edge {
        edge.connected(connected.as_ref());
    }
    let (closing, end) = match (connected, &mut edge) {
        (Ok(client), None) => session(engine, life, client, consumer, stop).await,
        (Ok(client), Some(edge)) => {
            let (place, replies) = ((peer.as_str(), false), &mut life.replies);
            sparkplug::run(engine, edge, client, consumer, place, replies, stop).await
        }
        (Err(failure), _) => (Closing::default(), Err(End::Failed(failure))),
    };
    life.edge = edge;
    Ok((
        closing,
        end.err().map(|end| match end {
            End::Failed(failure) => explain(&failure, &peer, engine.clock.wall()),
            End::Ours(ended) => ended,
        }),
    ))
}

/// From CONNACK on.
async fn session(
    engine: &mut Engine,
    life: &mut Life,
    mut client: Client,
    consumer: Consumer,
    stop: &CancellationToken,
) -> (Closing, Result<(), End>) {
    let changed = life.store.changed();
    let mut session = match Session::start(engine, &mut client, consumer) {
        Ok(session) => session,
        Err(end) => return (Closing::default(), Err(end)),
    };
    let end = drive(&mut session, &mut client, changed, &mut life.replies, stop).await;
    let closing = session.close();
    if end.is_ok() {
        client.goodbye().await;
    }
    (closing, end)
}

/// Runs a session until it fails or a stop is complete.
async fn drive(
    session: &mut Session<'_>,
    client: &mut Client,
    mut changed: watch::Receiver<u64>,
    replies: &mut mpsc::Receiver<Reply>,
    stop: &CancellationToken,
) -> Result<(), End> {
    let mut tick = interval(session.tick_every());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        session.pump(client)?;
        if session.done() {
            return Ok(());
        }
        tokio::select! {
            event = client.next() => {
                session.event(event?);
                while let Some(event) = client.ready()? {
                    session.event(event);
                }
            }
            () = stop.cancelled(), if !session.stopping() => session.stop(),
            found = session.read() => session.found(found),
            Ok(()) = changed.changed() => session.appended(),
            Some(reply) = replies.recv(), if session.takes_replies() => session.reply(reply),
            _ = tick.tick(), if session.ticking() => session.tick()?,
        }
    }
}
