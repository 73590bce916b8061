//! What IEC 62056-21 has before its data: the request at 300 baud, the meter's identification, our
//! acknowledgement and the change of the baud rate (edition 2002, 6.3 and 6.4).

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::SensorRunner;
use super::io::Io;
use super::listen::{self, Ended, Treat};
use crate::model::sensor::{Handshake, Poll};

/// Longest identification line (6.3.2): `/`, three letters, baud rate, 16 characters, and more in
/// practice.
const IDENTIFICATION_MAX: usize = 64;
/// The meter waits at least so long before it sends at the new rate, and so long before it takes an
/// answer (6.4, reaction time).
const REACTION: Duration = Duration::from_millis(200);
/// The acknowledgement is out of the adapter by then.
const ADAPTER: Duration = Duration::from_millis(20);

/// What the fifth character of an identification says (6.3.2, item 13).
#[derive(Debug, PartialEq, Eq)]
enum Mode {
    /// No change of the rate.
    A,
    /// The meter changes by itself.
    B { baud: u32 },
    /// The meter changes when it is acknowledged.
    C { baud: u32, digit: u8 },
}

impl SensorRunner {
    /// Whether the data is on its way.
    pub(super) async fn shake_hands(
        &mut self,
        io: &mut Io,
        kind: Handshake,
        poll: &Poll,
        stop: &CancellationToken,
    ) -> Result<bool, Ended> {
        let Handshake::Iec62056 = kind;
        if let Some(baud) = io.baud() {
            io.set_baud(baud)?;
        }
        self.send(io, &poll.send).await?;
        let until = Instant::now() + poll.timeout;
        let Some((mode, rest)) = self.identification(io, until, stop).await? else {
            return Ok(false);
        };
        match (mode, io.baud()) {
            (Mode::A, _) => {}
            (Mode::B { baud }, _) => io.set_baud(baud)?,
            (Mode::C { baud, digit }, initial) => {
                tokio::time::sleep(REACTION).await;
                // Behind a device server the rate can't follow: the meter is asked to stay.
                let digit = if initial.is_some() { digit } else { b'0' };
                let acknowledge = [0x06, b'0', digit, b'0', b'\r', b'\n'];
                self.send(io, &acknowledge).await?;
                if let Some(initial) = initial {
                    let out = io.on_the_line(acknowledge.len(), initial);
                    tokio::time::sleep(out + ADAPTER).await;
                    io.set_baud(baud)?;
                }
            }
        }
        let at = self.clock.mono();
        let mut treat = Treat::Late;
        // In mode A the data follows at once.
        self.cut_all(io, &rest, at, &mut treat).await?;
        Ok(true)
    }

    /// The meter's identification, and what came behind it.
    async fn identification(
        &mut self,
        io: &mut Io,
        until: Instant,
        stop: &CancellationToken,
    ) -> Result<Option<(Mode, Vec<u8>)>, Ended> {
        let mut buffer = [0; IDENTIFICATION_MAX];
        let mut came: Vec<u8> = Vec::new();
        loop {
            let count = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Ended::Stopped),
                count = listen::read(io, &mut buffer) => count?,
                () = tokio::time::sleep_until(until) => return Ok(None),
            };
            self.note_bytes(buffer.get(..count).unwrap_or_default());
            came.extend_from_slice(buffer.get(..count).unwrap_or_default());
            while let Some(end) = came.windows(2).position(|pair| pair == b"\r\n") {
                let rest = came.split_off(end + 2);
                let line = std::mem::replace(&mut came, rest);
                if let Some(mode) = mode_of(&line) {
                    return Ok(Some((mode, came)));
                }
            }
            // An optical head may hand our own request back first; anything longer is no answer.
            if came.len() > IDENTIFICATION_MAX {
                self.count(|counters| counters.too_long += 1);
                self.disturbed = true;
                return Ok(None);
            }
        }
    }
}

/// `None` for a line that is no identification, such as the echo of a request.
fn mode_of(line: &[u8]) -> Option<Mode> {
    let start = line.iter().position(|byte| *byte == b'/')?;
    let [b'/', maker @ .., _, _] = line.get(start..)? else { return None };
    let [a, b, c, rate, ..] = *maker else { return None };
    if ![a, b, c].iter().all(u8::is_ascii_alphabetic) {
        return None;
    }
    let step = |first: u8| 300_u32.checked_shl(u32::from(rate.saturating_sub(first)));
    Some(match rate {
        b'A'..=b'F' => Mode::B { baud: step(b'A')?.checked_mul(2)? },
        b'0'..=b'6' => Mode::C { baud: step(b'0')?, digit: rate },
        _ => Mode::A,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identification_says_the_mode_and_the_rate() {
        let mode = |line: &str| mode_of(line.as_bytes());
        assert_eq!(mode("/ISk5MT174-0002\r\n"), Some(Mode::C { baud: 9600, digit: b'5' }));
        assert_eq!(mode("/LGZ4ZMF100AB\r\n"), Some(Mode::C { baud: 4800, digit: b'4' }));
        assert_eq!(mode("/EMH0xx\r\n"), Some(Mode::C { baud: 300, digit: b'0' }));
        assert_eq!(mode("/ABBE01\r\n"), Some(Mode::B { baud: 9600 }));
        assert_eq!(mode("/ABBAxx\r\n"), Some(Mode::B { baud: 600 }));
        assert_eq!(mode("/ABB@xx\r\n"), Some(Mode::A));
        assert_eq!(mode("/?!\r\n"), None, "our own request");
        assert_eq!(mode("noise/ISk5x\r\n"), Some(Mode::C { baud: 9600, digit: b'5' }));
        for wrong in ["", "/\r\n", "/AB\r\n", "\r\n", "/A"] {
            assert_eq!(mode(wrong), None, "{wrong:?}");
        }
    }
}
