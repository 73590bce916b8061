//! The life of an uplink: wait, connect, run one session, settle, wait.
//!
//! One task owns the client, its event loop and the session. The client's `poll()` must not be
//! dropped half-way (it is not cancel-safe while connecting), so one poll lives across all turns
//! of the `select!` until it ends or the whole loop is thrown away. Every connection gets a fresh
//! client: no state of a dead one, stale acknowledgements least of all, reaches the next.

use std::pin::pin;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, Outgoing};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::UplinkError;
use super::cause::{Cause, Ended, explain};
use super::engine::{Closing, Engine};
use super::inflight::Window;
use super::reply::{REPLIES_MAX, Reply};
use super::session::Session;
use super::settings::{self, SecretPlaces};
use crate::model::Backoff;
use crate::store::Store;

/// How long a DISCONNECT may take to be written.
const FAREWELL: Duration = Duration::from_millis(500);

/// What the task owns besides the engine.
pub struct Life {
    pub store: Store,
    pub places: SecretPlaces,
    pub replies: mpsc::Receiver<Reply>,
    pub backoff: Backoff,
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
        // An open socket is not success: a broker that takes us and then hangs up waits longer.
        if closing.acknowledged || closing.lasted {
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

/// Waits before the next attempt; false if a stop came first. Replies are taken meanwhile.
async fn wait(
    engine: &mut Engine,
    life: &mut Life,
    delay: Duration,
    stop: &CancellationToken,
) -> bool {
    let until = Instant::now() + delay;
    loop {
        tokio::select! {
            () = stop.cancelled() => return false,
            () = sleep_until(until) => return true,
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
    let window = Window::new(engine.plan.window_messages, engine.plan.window_bytes);
    let (plan, places) = (engine.plan.clone(), life.places.clone());
    let options =
        tokio::task::spawn_blocking(move || settings::options(&plan, &places, window)).await?;
    let options = match options {
        Ok(options) => options,
        Err(error) => return Ok((Closing::default(), Some(error.into()))),
    };
    // The client's queue always has room: messages keep to the window, the rest is counted here.
    let capacity =
        usize::from(window.messages) + engine.plan.receive.len() + engine.plan.local.len() + 4;
    let (client, mut eventloop) = AsyncClient::new(options, capacity);
    eventloop.network_options.set_tcp_nodelay(true);
    let connect = engine.timing.connect;
    let seconds = connect.as_secs() + u64::from(connect.subsec_nanos() > 0);
    eventloop.network_options.set_connection_timeout(seconds.max(1));

    let peer = format!("{}:{}", engine.plan.host, engine.plan.port);
    let clock = engine.clock.clone();
    let changed = life.store.changed();
    let mut session = Session::new(engine, client, consumer, window);
    let end = drive(&mut session, &mut eventloop, changed, &mut life.replies, stop).await;
    // Acknowledgements that came together with the end still count.
    while let Some(event) = eventloop.state.events.pop_front() {
        if session.late(event).is_err() {
            break;
        }
    }
    let end = match end {
        Ok(()) => {
            farewell(&mut session, &mut eventloop).await;
            None
        }
        Err(End::Client(error)) => Some(explain(&error, &peer, clock.wall())),
        Err(End::Ours(ended)) => Some(ended),
    };
    Ok((session.close(), end))
}

/// Who ended it.
enum End {
    Client(Box<rumqttc::ConnectionError>),
    Ours(Ended),
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        Self::Ours(ended)
    }
}

/// Runs a session until it fails or a stop is complete.
async fn drive(
    session: &mut Session<'_>,
    eventloop: &mut EventLoop,
    mut changed: watch::Receiver<u64>,
    replies: &mut mpsc::Receiver<Reply>,
    stop: &CancellationToken,
) -> Result<(), End> {
    let mut tick = interval(session.tick_every());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let event = {
            let mut poll = pin!(eventloop.poll());
            loop {
                session.pump()?;
                if session.done() {
                    return Ok(());
                }
                tokio::select! {
                    event = &mut poll => break event,
                    () = stop.cancelled(), if !session.stopping() => session.stop(),
                    found = session.read() => session.found(found),
                    Ok(()) = changed.changed(), if session.online() => session.appended(),
                    Some(reply) = replies.recv(), if session.takes_replies() => {
                        session.reply(reply);
                    }
                    _ = tick.tick(), if session.ticking() => session.tick()?,
                }
            }
        };
        session.event(event.map_err(|error| End::Client(Box::new(error)))?)?;
        while let Some(event) = eventloop.state.events.pop_front() {
            session.event(event)?;
        }
    }
}

/// Says DISCONNECT, if the other side still listens.
async fn farewell(session: &mut Session<'_>, eventloop: &mut EventLoop) {
    if !session.disconnect() {
        return;
    }
    let written = async {
        while let Ok(event) = eventloop.poll().await {
            let last = event == Event::Outgoing(Outgoing::Disconnect);
            if session.late(event).is_err() || last {
                break;
            }
        }
    };
    tokio::select! {
        () = written => {}
        () = sleep(FAREWELL) => {}
    }
}
