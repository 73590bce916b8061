//! An MQTT client that hides nothing: 3.1.1 and 5.0 behind one face.
//!
//! rumqttc makes and reads the packets; its event loop is not used. That loop hides when a packet
//! was written, has no token for an acknowledgement and no ping on demand, flushes every message
//! by itself, hangs on 5.0 when the peer stops reading, and dials in one piece, so that nobody can
//! tell a name that is not found from a proxy that says no. Invariants here:
//!
//! * A message has its packet id from the hand-over on, and an id stands for one message until its
//!   PUBACK.
//! * Packets leave in the order of the calls: a ping that is answered proves that all before it
//!   arrived, QoS 0 too.
//! * Nothing waits but [`Client::next`], which may be dropped at any time.
//! * A client is one connection. It ends with the first failure.
//!
//! Knows nothing of rows, of the store, or of when to connect again.

mod dial;
mod failure;
mod frame;
mod ids;
mod line;
mod packet;
mod proxy;
mod publish;
mod v4;
mod v5;
mod wire;

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until, timeout};

use ids::{Ids, Use};
use line::Line;
use packet::{Incoming, Outgoing};
use wire::Wire;

use crate::model::Qos;

pub use dial::{Patience, Secure, Target, connect};
pub use failure::{Failure, Step};
pub use ids::ById;
pub use packet::{
    Correlated, Hello, Limits, Message, Reason, Received, Subscription, Version, Will,
};
pub use proxy::{Proxy, ProxyRefusal};

/// Largest packet taken from the broker. A larger one ends the connection, so this is generous:
/// a retained one would come again at each subscription.
const INCOMING_BYTES_MAX: usize = 1 << 20;
/// Messages above QoS 0 that the broker may send before they are answered (MQTT 5). They are
/// answered at once.
const RECEIVE_MAXIMUM: u16 = 256;
/// How long a DISCONNECT may take to be written.
const FAREWELL: Duration = Duration::from_millis(500);

/// What happens on a connection.
#[derive(Debug)]
pub enum Event {
    /// The broker has taken the message with this packet id, or refuses to.
    Acked(u16, Reason),
    Received(Received),
    /// Filters of the SUBSCRIBE with this packet id that were granted and refused.
    Subscribed {
        id: u16,
        granted: usize,
        refused: usize,
    },
    /// The ping of this number was answered, see [`Client::ping`].
    PingAcked(u64),
}

pub struct Client {
    wire: Wire,
    limits: Limits,
    /// The broker has a will, which a goodbye lets it publish (MQTT 5).
    has_will: bool,
    /// A message went without its retain flag, and that was said.
    unretained: bool,
    /// The broker answered what nobody asked, and that was said.
    unasked: bool,
    ids: Ids,
    /// Packet ids of QoS 2 messages that came and are not released.
    held: HashSet<u16>,
    pings: Pings,
    line: Line,
}

/// Pings that are out, and the time for the next.
struct Pings {
    /// `None` if the broker wants none.
    every: Option<Duration>,
    patience: Duration,
    answered: u64,
    /// Where those end on the line that are not answered.
    out: VecDeque<u64>,
    /// Since when an answer is due and nothing came.
    waiting_since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Client {
    fn new(wire: Wire, limits: Limits, keep_alive: Duration, patience: Patience) -> Self {
        let every = (!keep_alive.is_zero()).then_some(keep_alive);
        let now = Instant::now();
        let Patience { answer, slowest, .. } = patience;
        let pings = Pings {
            every,
            patience: answer,
            answered: 0,
            out: VecDeque::new(),
            waiting_since: now,
            timer: Box::pin(sleep_until(now + every.unwrap_or(answer))),
        };
        let (ids, held, line) = (Ids::default(), HashSet::new(), Line::new(slowest));
        let (has_will, unretained, unasked) = (false, false, false);
        Self { wire, limits, has_will, unretained, unasked, ids, held, pings, line }
    }

    /// What the broker said of itself.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Hands a message over; its packet id, or 0 for QoS 0. Sent by the next [`Client::next`].
    pub fn publish(&mut self, mut message: Message<'_>) -> Result<u16, Failure> {
        if message.retain && !self.limits.retain {
            message.retain = false;
            if !std::mem::replace(&mut self.unretained, true) {
                tracing::warn!(
                    topic = message.topic,
                    "the broker takes no retained messages; this one and later ones go without"
                );
            }
        }
        if message.qos == Qos::AtMostOnce {
            self.wire.publish(0, &message)?;
            return Ok(0);
        }
        let id = self.take_id(Use::Publish)?;
        let end = self.wire.publish(id, &message)?;
        self.awaits(id, end);
        Ok(id)
    }

    /// Its packet id, which comes again in [`Event::Subscribed`].
    pub fn subscribe(&mut self, to: Subscription<'_>) -> Result<u16, Failure> {
        let id = self.take_id(Use::Subscribe)?;
        let end = self.wire.send(Outgoing::Subscribe { id, to })?;
        self.awaits(id, end);
        Ok(id)
    }

    /// The packet with this id ends here, and will be answered.
    fn awaits(&mut self, id: u16, end: u64) {
        self.ids.ends(id, end);
        self.line.awaits(end);
    }

    /// How much longer than ever the next answer may take, for all that has to go out before it.
    pub fn slack(&self) -> Duration {
        self.line.slack()
    }

    fn take_id(&mut self, what: Use) -> Result<u16, Failure> {
        self.ids.take(what).ok_or_else(|| Failure::protocol("all packet ids are in use"))
    }

    /// Sends a PINGREQ behind all that was handed over; its number, which comes again in
    /// [`Event::PingAcked`].
    pub fn ping(&mut self) -> Result<u64, Failure> {
        let end = self.wire.send(Outgoing::Ping)?;
        self.line.awaits(end);
        Ok(self.pings.sent(end))
    }

    /// Writes what was handed over, and waits for what happens next. May be dropped.
    pub async fn next(&mut self) -> Result<Event, Failure> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// Writes what was handed over, as far as the line takes it now.
    pub async fn write(&mut self) {
        self.wire.write().await;
    }

    /// What has happened already.
    pub fn ready(&mut self) -> Result<Option<Event>, Failure> {
        while let Some(packet) = self.wire.take()? {
            let event = self.react(packet)?;
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        loop {
            let packet = self.wire.poll_next(context);
            if self.wire.heard() {
                self.pings.heard();
            }
            if let Poll::Ready(packet) = packet {
                match self.react(packet?)? {
                    Some(event) => return Poll::Ready(Ok(event)),
                    None => continue,
                }
            }
            match self.pings.poll(context, self.line.slack()) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Due::Ping) => {
                    self.ping()?;
                }
                Poll::Ready(Due::End) => return Poll::Ready(Err(Failure::Silent)),
            }
        }
    }

    /// What a packet means; `None` if it is answered here.
    fn react(&mut self, packet: Incoming) -> Result<Option<Event>, Failure> {
        match packet {
            Incoming::PubAck { id, reason } => {
                let is_out = self.give_back(id, Use::Publish);
                Ok(is_out.then_some(Event::Acked(id, reason)))
            }
            Incoming::SubAck { id, granted: answers } => {
                if !self.give_back(id, Use::Subscribe) {
                    return Ok(None);
                }
                let granted = answers.iter().filter(|granted| **granted).count();
                let refused = answers.len() - granted;
                Ok(Some(Event::Subscribed { id, granted, refused }))
            }
            Incoming::Publish { id, message } => {
                let news = match message.qos {
                    Qos::AtMostOnce => true,
                    Qos::AtLeastOnce => {
                        self.wire.answer(Outgoing::PubAck(id))?;
                        true
                    }
                    Qos::ExactlyOnce => {
                        self.wire.answer(Outgoing::PubRec(id))?;
                        self.held.insert(id)
                    }
                };
                Ok(news.then_some(Event::Received(message)))
            }
            Incoming::PubRel(id) => {
                self.held.remove(&id);
                self.wire.answer(Outgoing::PubComp(id))?;
                Ok(None)
            }
            Incoming::Pong => Ok(self.pings.answered().map(|(number, end)| {
                self.line.answered(end);
                Event::PingAcked(number)
            })),
            Incoming::Goodbye(reason) => Err(Failure::Dismissed(reason)),
            Incoming::Welcome { .. } => Err(Failure::protocol("a second CONNACK came")),
        }
    }

    /// Whether a packet with this id was out. A broker that answers twice, or what nobody asked, is not
    /// left for it: the next connection would be to the same one.
    fn give_back(&mut self, id: u16, what: Use) -> bool {
        let end = self.ids.give_back(id, what);
        if end.is_none() && !std::mem::replace(&mut self.unasked, true) {
            tracing::warn!(id, "the broker answered a packet that is not out; it is not heeded");
        }
        end.into_iter().for_each(|end| self.line.answered(end));
        end.is_some()
    }

    /// Says DISCONNECT, if the other side still listens.
    pub async fn goodbye(mut self) {
        let with_will = self.has_will;
        if self.wire.send(Outgoing::Goodbye { with_will }).is_ok() {
            let _late = timeout(FAREWELL, self.wire.finish()).await;
        }
    }
}

/// What the time brings.
enum Due {
    Ping,
    End,
}

impl Pings {
    /// A ping that ends here went out; its number.
    fn sent(&mut self, end: u64) -> u64 {
        if !self.is_due() {
            self.waiting_since = Instant::now();
        }
        self.out.push_back(end);
        self.timer.as_mut().reset(self.waiting_since + self.patience);
        self.answered + u64::try_from(self.out.len()).unwrap_or(u64::MAX)
    }

    fn is_due(&self) -> bool {
        !self.out.is_empty()
    }

    fn heard(&mut self) {
        self.waiting_since = Instant::now();
    }

    /// The number of the ping that was answered and where it ended; `None` if none was out.
    fn answered(&mut self) -> Option<(u64, u64)> {
        let end = self.out.pop_front()?;
        self.answered += 1;
        if !self.is_due() {
            let now = Instant::now();
            self.timer.as_mut().reset(now + self.every.unwrap_or(self.patience));
        }
        Some((self.answered, end))
    }

    /// `slack` is what an answer may take longer.
    fn poll(&mut self, context: &mut Context<'_>, slack: Duration) -> Poll<Due> {
        loop {
            if self.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            let dead = self.waiting_since + self.patience + slack;
            if self.is_due() {
                if now >= dead {
                    return Poll::Ready(Due::End);
                }
                self.timer.as_mut().reset(dead);
            } else if self.every.is_some() {
                return Poll::Ready(Due::Ping);
            } else {
                self.timer.as_mut().reset(now + self.patience);
            }
        }
    }
}

#[cfg(test)]
mod tests;
