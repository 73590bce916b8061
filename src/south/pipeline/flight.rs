//! Reads in flight together on one connection, each matched by its transaction id.
//!
//! Requests go out one frame at a time; answers come in any order. A read that nothing came for is
//! lost when the connection brought none of the awaited answers for a whole timeout: a server that
//! works one after the other lets the last wait for all before it, so each is given its time from
//! the answer before it on. Frames that nobody waits for give no further time.

use std::io;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};

use crate::model::Table;
use crate::south::connect::Stream;
use crate::south::guard::{Came, Judgement, Matcher as _, Shared, TcpMatcher};
use crate::south::line::Failure;
use crate::south::trace::{Tap, Way};

/// Bytes read from the port in one go.
const CHUNK_BYTES: usize = 2048;
/// Chunks of stale input taken before the first request.
const DRAIN_CHUNKS_MAX: usize = 64;
/// Batches in a row that lost a read which was answered alone, before it goes one by one.
const LOSSES_MAX: u32 = 3;

/// See the module.
pub(crate) struct Flight {
    port: Box<dyn Stream>,
    matcher: Shared<TcpMatcher>,
    tap: Tap,
    most: usize,
    /// Batches in a row that lost a read.
    losses: u32,
    /// The last batch did.
    lost: bool,
}

/// What to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Read {
    pub(crate) table: Table,
    pub(crate) address: u16,
    /// Items that are wanted.
    pub(crate) count: u16,
    /// Items that are read behind them.
    pub(crate) pad: u16,
}

/// A read that is over.
#[derive(Debug)]
pub(crate) struct Landed {
    /// Which of those asked for.
    pub(crate) index: usize,
    pub(crate) result: Result<Vec<u16>, Failure>,
    pub(crate) at: Instant,
    /// Its share of the time: since the one before it, or since the first was sent.
    pub(crate) took: Duration,
}

/// In the order in which they came; those that are missing went down with the link.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) landed: Vec<Landed>,
    pub(crate) broken: Option<io::Error>,
}

/// A request that is out.
struct Out {
    index: usize,
    id: u16,
    frame: Vec<u8>,
    sent: Instant,
}

impl Flight {
    pub(crate) fn new(
        port: Box<dyn Stream>,
        matcher: Shared<TcpMatcher>,
        tap: Tap,
        most: usize,
    ) -> Self {
        Self { port, matcher, tap, most, losses: 0, lost: false }
    }

    /// Reads that may be in flight together.
    pub(crate) fn most(&self) -> usize {
        if self.losses >= LOSSES_MAX { 1 } else { self.most }
    }

    /// A read that came to nothing in company was answered alone. Says whether it goes one by one
    /// from now on.
    pub(crate) fn lost(&mut self) -> bool {
        if std::mem::replace(&mut self.lost, true) {
            return false;
        }
        self.losses += 1;
        self.losses == LOSSES_MAX
    }

    pub(crate) async fn read(&mut self, unit: u8, reads: &[Read], time: Duration) -> Batch {
        if !std::mem::take(&mut self.lost) {
            self.losses = 0;
        }
        let mut batch = Batch::default();
        let mut out = Vec::with_capacity(reads.len());
        let flown = self.fly(unit, reads, time, &mut out, &mut batch.landed).await;
        if let Err(error) = flown {
            for one in &out {
                let failure = Failure::Link(error.kind().into());
                self.tell(one, None, Err(&failure), Instant::now());
            }
            batch.broken = Some(error);
        }
        self.matcher.lock().close();
        batch
    }

    async fn fly(
        &mut self,
        unit: u8,
        reads: &[Read],
        time: Duration,
        out: &mut Vec<Out>,
        landed: &mut Vec<Landed>,
    ) -> io::Result<()> {
        self.drain()?;
        let mut last = Instant::now();
        for (index, read) in reads.iter().enumerate() {
            let (id, frame) = self.matcher.lock().open(unit, &read.pdu())?;
            out.push(Out { index, id, frame, sent: Instant::now() });
            let Some(Out { frame, .. }) = out.last() else { continue };
            // After a part of a frame nothing else can be sent.
            timeout(time, self.port.write_all(frame)).await??;
            self.port.flush().await?;
        }
        let mut space = [0_u8; CHUNK_BYTES];
        while !out.is_empty() {
            let Ok(read) = timeout_at(last + time, self.port.read(&mut space)).await else {
                break;
            };
            let now = Instant::now();
            let fed = match space.get(..read?) {
                None | Some([]) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(bytes) => self.matcher.lock().feed(bytes),
            };
            let came = self.matcher.lock().take_came();
            for came in came {
                let at = out.iter().position(|one| Some(one.id) == came.id);
                let Some(one) = at.map(|at| out.remove(at)) else {
                    self.tap.passes(Way::In, &came.frame, now);
                    continue;
                };
                let read = reads.get(one.index);
                let result = read.map_or(Err(Failure::BadAnswer), |read| read.result(&came));
                self.tell(&one, Some(&came), result.as_ref().map(|_| ()), now);
                let took = now.saturating_duration_since(last);
                landed.push(Landed { index: one.index, result, at: now, took });
                last = now;
            }
            fed?;
        }
        let now = Instant::now();
        for one in out.drain(..) {
            self.tell(&one, None, Err(&Failure::NoAnswer), now);
            let took = now.saturating_duration_since(last);
            landed.push(Landed { index: one.index, result: Err(Failure::NoAnswer), at: now, took });
            last = now;
        }
        Ok(())
    }

    /// What came before the first request answers none of them.
    fn drain(&mut self) -> io::Result<()> {
        let mut space = [0_u8; CHUNK_BYTES];
        for _ in 0..DRAIN_CHUNKS_MAX {
            let Some(read) = self.port.read(&mut space).now_or_never() else { break };
            match space.get(..read?) {
                None | Some([]) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(bytes) => {
                    self.tap.came(bytes);
                    self.matcher.lock().stale(bytes)?;
                }
            }
        }
        Ok(())
    }

    /// Tells the trace of one exchange as if it had gone on alone.
    fn tell(&self, one: &Out, came: Option<&Came>, result: Result<(), &Failure>, ended: Instant) {
        self.tap.passes(Way::Out, &one.frame, one.sent);
        let counters = match came {
            Some(came) => {
                self.tap.passes(Way::In, &came.frame, ended);
                came.counters
            }
            None => self.matcher.lock().counters(),
        };
        self.tap.answered(result, counters, ended);
    }
}

impl Read {
    fn pdu(&self) -> [u8; 5] {
        let function = match self.table {
            Table::Coil => 1,
            Table::Discrete => 2,
            Table::Holding => 3,
            Table::Input => 4,
        };
        let [a1, a0] = self.address.to_be_bytes();
        let [c1, c0] = self.count.saturating_add(self.pad).to_be_bytes();
        [function, a1, a0, c1, c0]
    }

    /// The wanted items of an answer whose shape is right.
    fn result(&self, came: &Came) -> Result<Vec<u16>, Failure> {
        let (pdu, count) = (came.pdu(), usize::from(self.count));
        match (came.judgement, pdu) {
            (Judgement::Exception, [_, code]) => {
                Err(Failure::Exception { code: *code, doubtful: true })
            }
            (Judgement::Answer, [_, _, data @ ..]) => {
                let items: Vec<u16> = if self.table.is_bits() {
                    let bits = data.iter().flat_map(|byte| (0..8).map(move |at| byte >> at & 1));
                    bits.take(count).map(u16::from).collect()
                } else {
                    let (words, _) = data.as_chunks::<2>();
                    words.iter().take(count).map(|word| u16::from_be_bytes(*word)).collect()
                };
                if items.len() == count { Ok(items) } else { Err(Failure::BadAnswer) }
            }
            _ => Err(Failure::BadAnswer),
        }
    }
}
