//! The life of an uplink: wait, connect, run one session, settle, wait.
//!
//! One task owns the client and the session. Every connection gets a fresh client: no state of a
//! dead one, stale acknowledgements least of all, reaches the next.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::UplinkError;
use super::cause::{Cause, Ended, explain};
use super::client::{self, Client};
use super::engine::{Closing, Engine};
use super::failover::Failover;
use super::remote::Told;
use super::reply::{REPLIES_MAX, Reply};
use super::session::{End, Session};
use super::settings;
use super::sparkplug::{self, Edge};
use crate::config::file::SecretPlaces;
use crate::model::Backoff;
use crate::store::{Consumer, Store};

/// What the task owns besides the engine.
pub struct Life {
    pub store: Store,
    pub places: SecretPlaces,
    pub replies: mpsc::Receiver<Reply>,
    /// Somebody does not want to wait for the next attempt.
    pub again: Arc<Notify>,
    pub told: watch::Receiver<Told>,
    pub backoff: Backoff,
    pub failover: Failover,
    /// For an edge node of Sparkplug.
    pub edge: Option<Edge>,
}

/// When a session ends that has not failed.
#[derive(Clone, Copy)]
pub(super) struct Ends<'a> {
    pub stop: &'a CancellationToken,
    /// Its login is good until then.
    pub renew: Option<Instant>,
}

/// How a connection ended.
enum Over {
    Stopped,
    /// Its login had to be renewed.
    Renewed,
    Failed(Ended),
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
        engine.connecting(life.failover.current());
        let (closing, over) = connection(&mut engine, &mut life, stop).await?;
        let ended = match over {
            Over::Stopped => break,
            Over::Renewed => {
                delay = Duration::ZERO;
                continue;
            }
            Over::Failed(ended) => ended,
        };
        delay = pause(&mut life.failover, &mut life.backoff, closing, &ended);
        let next_try = engine.clock.mono() + delay;
        engine.ended(ended, closing, next_try);
    }
    life.edge.iter().for_each(Edge::close);
    engine.stopped();
    Ok(())
}

/// How long to wait after a connection that ended like this. An open socket is not success: a broker
/// that takes us and then hangs up, does not take a message, has no host application, or sends us elsewhere,
/// has failed.
fn pause(
    failover: &mut Failover,
    backoff: &mut Backoff,
    closing: Closing,
    ended: &Ended,
) -> Duration {
    let worked = (closing.acknowledged && !closing.refused) || closing.lasted;
    let stays = worked && !matches!(ended.cause, Cause::HostAway | Cause::Moved);
    // A host that goes after a long time is waited for as at first.
    if stays || closing.lasted {
        failover.worked();
        backoff.reset();
    }
    if stays || failover.failed() { backoff.next_delay() } else { Duration::ZERO }
}

/// Waits before the next attempt; false if a stop came first.
async fn wait(
    engine: &mut Engine,
    life: &mut Life,
    delay: Duration,
    stop: &CancellationToken,
) -> bool {
    let (until, again) = (Instant::now() + delay, life.again.clone());
    let wait = async {
        tokio::select! {
            () = sleep_until(until) => {}
            () = again.notified() => {}
        }
    };
    meanwhile(engine, life, stop, wait).await.is_some()
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

/// One connection from its first packet to its end: how it went, and why it ended.
async fn connection(
    engine: &mut Engine,
    life: &mut Life,
    stop: &CancellationToken,
) -> Result<(Closing, Over), UplinkError> {
    let Some(consumer) = life.store.consumer(engine.plan.name.as_str()) else {
        let reason = "the store has no place for this uplink";
        let ended = Ended::new(Cause::Store, reason);
        return Ok((Closing::default(), Over::Failed(ended)));
    };
    let (plan, places) = (engine.plan.clone(), life.places.clone());
    let (broker, now) = (life.failover.current(), engine.clock.wall());
    let dial =
        tokio::task::spawn_blocking(move || settings::dial(&plan, &places, broker, now)).await?;
    let mut dial = match dial {
        Ok(dial) => dial,
        Err(error) => return Ok((Closing::default(), Over::Failed(error.into()))),
    };
    engine.certificates(&dial.certificates);
    let mut edge = life.edge.take();
    if let Some(edge) = &mut edge {
        dial.hello.will = Some(edge.will(sparkplug::millis(engine.clock.wall())).await);
    }
    let patience = engine.timing.patience();
    let mut came = None;
    let mut done = |step| came = Some(step);
    let connecting = client::connect(&dial.target, &dial.hello, patience, &mut done);
    let connected = meanwhile(engine, life, stop, connecting).await;
    if let Some(edge) = &mut edge {
        edge.tried(came >= Some(dial.target.last_step()));
    }
    let Some(connected) = connected else {
        life.edge = edge;
        return Ok((Closing::default(), Over::Stopped));
    };
    let peer = engine.plan.brokers.get(broker).map(ToString::to_string).unwrap_or_default();
    let renew = dial.good_for.map(|good_for| Instant::now() + good_for);
    let ends = Ends { stop, renew };
    let (closing, end) = match (connected, &mut edge) {
        (Ok(client), None) => session(engine, life, client, consumer, ends).await,
        (Ok(client), Some(edge)) => {
            let several = engine.plan.brokers.len() > 1;
            let (place, replies) = ((peer.as_str(), several), &mut life.replies);
            sparkplug::run(engine, edge, client, consumer, place, replies, ends).await
        }
        (Err(failure), _) => (Closing::default(), Err(End::Failed(failure))),
    };
    engine.closed();
    life.edge = edge;
    let over = match end {
        Ok(()) if stop.is_cancelled() => Over::Stopped,
        Ok(()) => Over::Renewed,
        Err(End::Failed(failure)) => {
            let now = engine.clock.wall();
            Over::Failed(explain(&failure, &peer, now).with_token(engine.plan.sas.is_some(), now))
        }
        Err(End::Ours(ended)) => Over::Failed(ended),
    };
    Ok((closing, over))
}

/// From CONNACK on.
async fn session(
    engine: &mut Engine,
    life: &mut Life,
    mut client: Client,
    consumer: Consumer,
    ends: Ends<'_>,
) -> (Closing, Result<(), End>) {
    let changed = life.store.changed();
    let mut session = match Session::start(engine, &mut client, consumer) {
        Ok(session) => session,
        Err(end) => return (Closing::default(), Err(end)),
    };
    let end = drive(&mut session, &mut client, changed, life, ends).await;
    let closing = session.close();
    if end.is_ok() {
        client.goodbye().await;
    }
    (closing, end)
}

/// Runs a session until it fails, or has come to its end after a stop or a renewal: what was out is
/// acknowledged then, if the broker does so in time.
async fn drive(
    session: &mut Session<'_>,
    client: &mut Client,
    mut changed: watch::Receiver<u64>,
    life: &mut Life,
    ends: Ends<'_>,
) -> Result<(), End> {
    let mut tick = interval(session.tick_every());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopped = pin!(ends.stop.cancelled());
    loop {
        session.pump(client)?;
        if session.done() {
            return Ok(());
        }
        if let Some(nap) = session.nap() {
            client.write().await;
            // Blocks the thread on purpose: a wait of the runtime would be woken by what comes
            // meanwhile, and takes a millisecond at least.
            std::thread::sleep(nap);
        }
        let paced = session.paced();
        tokio::select! {
            event = client.next() => {
                session.event(event?);
                while let Some(event) = client.ready()? {
                    session.event(event);
                }
            }
            () = &mut stopped, if !session.stopping() => session.stop(),
            () = at(ends.renew), if !session.stopping() => session.finish(),
            found = session.read() => session.found(found),
            Ok(()) = changed.changed() => session.appended(),
            () = at(paced) => {}
            Some(reply) = life.replies.recv(), if session.takes_replies() => session.reply(reply),
            Ok(()) = life.told.changed() => session.told(),
            _ = tick.tick(), if session.ticking() => session.tick()?,
        }
    }
}

/// Waits for this moment; for ever if there is none.
pub(super) async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_goes_after_a_long_time_is_waited_for_as_at_first() {
        let first = Duration::from_secs(1);
        let mut backoff = Backoff::new(first, Duration::from_secs(60), 7);
        let away = Ended::new(Cause::HostAway, "it went");
        let brief = Closing { acknowledged: true, ..Closing::default() };
        let long = Closing { lasted: true, ..brief };
        let mut failover = Failover::new(1);
        let waits = [(); 10].map(|()| pause(&mut failover, &mut backoff, brief, &away));
        assert!(waits.iter().any(|wait| *wait > first * 10), "one that comes and goes: {waits:?}");
        let waits = [(); 10].map(|()| pause(&mut failover, &mut backoff, long, &away));
        assert!(waits.iter().all(|wait| *wait <= first), "{waits:?}");
        // Where there are others to go to, the next is tried at once; also if the broker itself says so.
        let moved = Ended::new(Cause::Moved, "elsewhere");
        for ended in [&away, &moved] {
            let mut failover = Failover::new(2);
            for broker in [1, 0, 1] {
                let wait = pause(&mut failover, &mut backoff, long, ended);
                assert_eq!((wait, failover.current()), (Duration::ZERO, broker));
            }
        }
    }
}
