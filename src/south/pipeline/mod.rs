//! Several reads of one device in flight together, on a bus that asks for it.
//!
//! In company only a right answer counts. Whatever else becomes of a read there (an exception that
//! may be another's, the wrong length, nothing) is shown and traced, and the read is asked again
//! alone; that decides, as on any bus. Only when a whole batch came to nothing its first read
//! counts as unanswered, so that a device that fell silent is noticed as soon as on any bus. So the
//! schedule, the breaker and the healing never see more than one request at a time. Devices that
//! are silent, or missed their last request, or ask for a pause, are asked one by one; so are
//! commands and probes.

mod choose;
mod flight;

use std::io;
use std::time::Duration;

use tracing::warn;

pub(crate) use self::choose::{Chosen, choose};
#[cfg(test)]
pub(crate) use self::flight::Landed;
pub(crate) use self::flight::{Batch, Flight, Read};
use super::breaker::Turn;
use super::device::{Again, Request};
use super::engine::Engine;
use super::line::{Failure, Line};
use crate::model::Mono;

impl Engine {
    /// The device's next reads that may be in flight together; none when there are not several.
    pub(super) fn company(&mut self, line: &Line, index: usize) -> Vec<Chosen> {
        let most = line.together_max();
        if most < 2 || self.schedule.is_doubtful(index) {
            return Vec::new();
        }
        self.devices.get_mut(index).map(|device| device.company(most)).unwrap_or_default()
    }

    pub(super) async fn poll_together(
        &mut self,
        line: &mut Line,
        index: usize,
        chosen: Vec<Chosen>,
    ) -> io::Result<()> {
        let Some(device) = self.devices.get(index) else { return Ok(()) };
        let timeout = device.timeout(Duration::ZERO, false);
        let unit = device.plan.unit;
        let reads: Vec<Read> = chosen
            .iter()
            .map(|Chosen { request, pad }| Read {
                table: request.table,
                address: request.block.start,
                count: request.block.count,
                pad: *pad,
            })
            .collect();
        let batch = line.read_together(unit, &reads, timeout).await;
        let now = self.clock.mono();
        let nobody = batch.landed.iter().all(|one| matches!(one.result, Err(Failure::NoAnswer)));
        // The pace of the device is the longest wait between two answers: that is what a timeout
        // has to cover, and the place in the queue is not in it.
        let answered = batch.landed.iter().filter(|one| one.result.is_ok());
        let mut pace = answered.map(|one| one.took).max();
        let mut first = true;
        for one in batch.landed {
            let Some(Chosen { request, pad }) = chosen.get(one.index) else { continue };
            let ago = i64::try_from(one.at.elapsed().as_millis()).unwrap_or(0);
            let at = Mono(now.0.saturating_sub(ago));
            match one.result {
                Ok(words) => {
                    self.exchanged(index, line, one.took, pace.take(), Ok(()));
                    self.read_done(index, request, &words, at);
                }
                Err(failure) if nobody && std::mem::take(&mut first) => {
                    self.exchanged(index, line, one.took, Some(one.took), Err(&failure));
                    self.read_failed(index, request, &failure, at);
                }
                Err(failure) => {
                    let busy_until = self.now();
                    self.meter.busy(busy_until, one.took);
                    self.show_exchange(index, at, Turn::Same, Err(&failure));
                    self.show_line(line);
                    let refused = matches!(failure, Failure::Exception { code: 2 | 3, .. });
                    if let Some(device) = self.devices.get_mut(index) {
                        device.ask_alone(request.clone(), Again { too_far: *pad > 0 && refused });
                    }
                }
            }
        }
        batch.broken.map_or(Ok(()), Err)
    }

    /// A read that came to nothing in company was answered alone.
    pub(super) fn answered_alone(
        &mut self,
        index: usize,
        line: &mut Line,
        request: &Request,
        again: Again,
    ) {
        if again.too_far {
            // It was what was read behind the block.
            if let Some(device) = self.devices.get_mut(index) {
                device.note_tight(request);
            }
        } else if line.lost_in_company() {
            let device = self.devices.get(index).map(|device| device.plan.name.as_str());
            warn!(
                bus = %self.name,
                device,
                "requests in flight together are lost or mixed up and answered alone: \
                 asking one by one on this connection; leave out pipeline"
            );
        }
    }
}
