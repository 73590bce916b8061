//! Listening to a wire for a while, for `fieldhold frame`: the bytes as they come, nothing decoded.

use std::time::Duration;

use tokio::time::Instant;

use super::io::Io;
use super::listen;
use crate::codec::sensor::Splitter;
use crate::config::SensorLink;
use crate::model::sensor::Ask;

/// Most bytes kept of one capture.
const CAPTURE_MAX: usize = 1 << 20;

/// Opens the wire, sends what the sensor needs to talk, and hands each piece that comes to `came`,
/// with whether the line was silent before it for as long as ends a frame.
pub async fn listen(
    link: &SensorLink,
    time: Duration,
    mut came: impl FnMut(bool, &[u8]),
) -> std::io::Result<()> {
    let mut io = Io::open(&link.wire).await?;
    let started = Instant::now();
    let gap = Splitter::new(&link.sensor).gap();
    let mut last = started;
    // The first byte after a question is the beginning of its answer.
    let mut asked = false;
    for line in &link.sensor.init {
        listen::send(&mut io, line).await?;
    }
    let poll = match &link.sensor.ask {
        Ask::Poll(poll) => Some(poll),
        Ask::Push => None,
    };
    let mut next_poll = started;
    let mut buffer = [0; 4_096];
    let mut total = 0;
    while started.elapsed() < time && total < CAPTURE_MAX {
        if let Some(poll) = poll
            && Instant::now() >= next_poll
        {
            if !poll.wake.is_empty() {
                listen::send(&mut io, &poll.wake).await?;
                tokio::time::sleep(poll.wake_pause).await;
            }
            listen::send(&mut io, &poll.send).await?;
            next_poll = Instant::now() + poll.every;
            asked = true;
        }
        let until = if poll.is_some() { next_poll.min(started + time) } else { started + time };
        tokio::select! {
            count = listen::read(&mut io, &mut buffer) => {
                let bytes = buffer.get(..count?).unwrap_or_default();
                total += bytes.len();
                let silent = last.elapsed() >= gap || std::mem::take(&mut asked);
                last = Instant::now();
                came(silent, bytes);
            }
            () = tokio::time::sleep_until(until) => {}
        }
    }
    Ok(())
}
