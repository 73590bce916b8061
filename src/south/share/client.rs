//! One client of a bus's server face: its requests, one after the other, and their answers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::ask::{
    Ask, BUSY, Code, ILLEGAL_FUNCTION, NO_ANSWER, NO_PATH, SERVER_FAILURE, exception, written,
};
use super::cache::Missing;
use super::{Pass, Shared};
use crate::config::ShareMode;
use crate::south::mbap;

/// A client that asks nothing for so long gives its place to others.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// How long a client may take to take an answer.
const WRITE_MAX: Duration = Duration::from_secs(5);
/// Bytes read in one go; the longest request has 260.
const CHUNK_BYTES: usize = 512;

/// Serves until the client goes, is idle for too long, or sends what is no Modbus TCP.
pub(super) async fn serve(
    mut stream: TcpStream,
    peer: SocketAddr,
    shared: Shared,
    passes: mpsc::Sender<Pass>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::new();
    let mut chunk = [0_u8; CHUNK_BYTES];
    loop {
        while let Some(request) = mbap::take(&mut input)? {
            let pdu = answer(&request, peer, &shared, &passes).await;
            let frame = mbap::frame(request.tid, request.unit, &pdu);
            timeout(WRITE_MAX, stream.write_all(&frame)).await??;
        }
        let n = timeout(IDLE_MAX, stream.read(&mut chunk)).await??;
        if n == 0 {
            return Ok(());
        }
        input.extend_from_slice(chunk.get(..n).unwrap_or_default());
    }
}

async fn answer(
    request: &mbap::Request,
    peer: SocketAddr,
    shared: &Shared,
    passes: &mpsc::Sender<Pass>,
) -> Vec<u8> {
    shared.status().requests += 1;
    let function = request.pdu.first().copied().unwrap_or(0);
    let ask = match Ask::parse(&request.pdu) {
        Ok(ask) => ask,
        Err(code) => return exception(function, code),
    };
    let result = if !shared.units.contains(&request.unit) {
        Err(NO_PATH)
    } else if ask.write.is_some() {
        if shared.plan.write.allows(request.unit, ask.table, &ask.addresses()) {
            pass(request.unit, ask.clone(), peer, shared, passes).await
        } else {
            shared.status().writes_refused += 1;
            Err(ILLEGAL_FUNCTION)
        }
    } else {
        match shared.plan.mode {
            ShareMode::Cached => cached(request.unit, &ask, shared),
            ShareMode::Through => pass(request.unit, ask.clone(), peer, shared, passes).await,
        }
    };
    match result {
        Ok(_) if ask.write.is_some() => written(&request.pdu),
        Ok(items) if items.len() == usize::from(ask.count) => ask.answer(&items),
        Ok(_) => exception(function, SERVER_FAILURE),
        Err(code) => exception(function, code),
    }
}

fn cached(unit: u8, ask: &Ask, shared: &Shared) -> Result<Vec<u16>, Code> {
    let now = shared.clock.mono();
    let result = shared.cache().get(unit, ask.table, &ask.addresses(), now);
    let mut status = shared.status();
    match result {
        Ok(_) => status.hits += 1,
        Err(_) => status.stale += 1,
    }
    result.map_err(|missing| match missing {
        Missing::Unknown => SERVER_FAILURE,
        Missing::Stale => NO_ANSWER,
    })
}

/// Waits for the line.
async fn pass(
    unit: u8,
    ask: Ask,
    client: SocketAddr,
    shared: &Shared,
    passes: &mpsc::Sender<Pass>,
) -> Result<Vec<u16>, Code> {
    let (reply, answer) = oneshot::channel();
    let pass = Pass { unit, ask, client, asked: Instant::now(), reply };
    if let Err(error) = passes.try_send(pass) {
        return Err(match error {
            mpsc::error::TrySendError::Full(_) => {
                shared.status().busy += 1;
                BUSY
            }
            mpsc::error::TrySendError::Closed(_) => NO_PATH,
        });
    }
    // Dropped unanswered only when the bus ends.
    answer.await.unwrap_or(Err(NO_PATH))
}
