//! How long a request occupies its line: the yardstick of the block planner, of the utilisation
//! that is shown before a start, and of the share of the wire limit that is really reached.
//!
//! A transaction takes `characters * tc + 2 * t3.5 + Ts`: both frames, the silence before each
//! (MODBUS over Serial Line V1.02, 2.5.1.1) and the device's turnaround. On TCP the round trip
//! takes the place of the silences and the turnaround, and characters cost next to nothing.
//! Pure arithmetic; knows no port and no clock.

use std::time::Duration;

use super::link::{Link, Parity, SerialLine};
use crate::model::Table;

/// Turnaround of a serial device as long as nothing was measured.
pub const TURNAROUND_ASSUMED: Duration = Duration::from_millis(5);

/// Round trip to a TCP device, its turnaround included, as long as nothing was measured.
pub const ROUND_TRIP_ASSUMED: Duration = Duration::from_millis(10);

/// Above this baud rate the silence is a constant (MODBUS over Serial Line V1.02, 2.5.1.1).
const SILENCE_BAUD_MAX: u32 = 19_200;
const SILENCE_FAST_S: f64 = 0.001_75;

/// What a byte costs on TCP, in seconds: small, but a shorter answer still wins a tie.
const TCP_BYTE_S: f64 = 0.000_000_5;

/// Characters of a read's request and answer without the data.
const READ_CHARACTERS: u32 = 13;
/// Function 5 or 6, request and echo.
const WRITE_ONE_CHARACTERS: u32 = 16;
/// Function 15 or 16 without the data.
const WRITE_MANY_CHARACTERS: u32 = 17;
/// Function 22, request and echo.
const MASK_WRITE_CHARACTERS: u32 = 20;

/// Cost of one block, in seconds: `fixed + each * span`, a span counted in registers or bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    pub fixed: f64,
    pub each: f64,
}

impl Cost {
    /// Line time of a block of this span, in seconds.
    pub fn of(self, span: u32) -> f64 {
        self.fixed + self.each * f64::from(span)
    }
}

/// The times of one line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LineTime {
    /// One character (serial) or byte (TCP), in seconds.
    character: f64,
    /// Least silence between frames (t3.5), in seconds; 0 on TCP.
    silence: f64,
    /// What every transaction costs on top of its characters, in seconds.
    fixed: f64,
}

impl LineTime {
    /// The line with the assumed turnaround or round trip.
    pub fn of(link: &Link) -> Self {
        match link.serial() {
            Some(line) => Self::serial(line, TURNAROUND_ASSUMED),
            None => Self::tcp(ROUND_TRIP_ASSUMED),
        }
    }

    /// A serial line whose devices take `turnaround` from the request's last character to the
    /// answer's first, silences not included.
    pub fn serial(line: &SerialLine, turnaround: Duration) -> Self {
        let baud = line.baud.max(1);
        let character = f64::from(character_bits(line)) / f64::from(baud);
        let silence = if baud <= SILENCE_BAUD_MAX { 3.5 * character } else { SILENCE_FAST_S };
        Self { character, silence, fixed: 2.0 * silence + turnaround.as_secs_f64() }
    }

    /// One TCP connection with one request at a time.
    pub fn tcp(round_trip: Duration) -> Self {
        Self { character: TCP_BYTE_S, silence: 0.0, fixed: round_trip.as_secs_f64() }
    }

    /// The same line with a pause after every transaction.
    #[must_use]
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.fixed += pause.as_secs_f64();
        self
    }

    /// One character on the wire.
    pub fn character(&self) -> Duration {
        Duration::from_secs_f64(self.character)
    }

    /// The silence that separates two frames (t3.5); zero on TCP.
    pub fn silence(&self) -> Duration {
        Duration::from_secs_f64(self.silence)
    }

    /// Functions 3 and 4.
    pub fn read_registers(&self, count: u16) -> Duration {
        self.transaction(READ_CHARACTERS + 2 * u32::from(count))
    }

    /// Functions 1 and 2.
    pub fn read_bits(&self, count: u16) -> Duration {
        self.transaction(READ_CHARACTERS + u32::from(count.div_ceil(8)))
    }

    /// Reading `count` registers or bits of this table.
    pub fn read(&self, table: Table, count: u16) -> Duration {
        if table.is_bits() { self.read_bits(count) } else { self.read_registers(count) }
    }

    /// Functions 5 and 6.
    pub fn write_one(&self) -> Duration {
        self.transaction(WRITE_ONE_CHARACTERS)
    }

    /// Function 16.
    pub fn write_registers(&self, count: u16) -> Duration {
        self.transaction(WRITE_MANY_CHARACTERS + 2 * u32::from(count))
    }

    /// Function 15.
    pub fn write_bits(&self, count: u16) -> Duration {
        self.transaction(WRITE_MANY_CHARACTERS + u32::from(count.div_ceil(8)))
    }

    /// Function 22.
    pub fn mask_write(&self) -> Duration {
        self.transaction(MASK_WRITE_CHARACTERS)
    }

    /// F and R of the block planner for this table.
    pub fn cost(&self, table: Table) -> Cost {
        Cost {
            fixed: f64::from(READ_CHARACTERS) * self.character + self.fixed,
            each: self.character * if table.is_bits() { 0.125 } else { 2.0 },
        }
    }

    fn transaction(&self, characters: u32) -> Duration {
        Duration::from_secs_f64(f64::from(characters) * self.character + self.fixed)
    }
}

/// Bits of a character with its start, parity and stop bits.
fn character_bits(line: &SerialLine) -> u8 {
    let parity = u8::from(line.parity != Parity::None);
    1 + line.data_bits + parity + line.stop_bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(baud: u32, parity: Parity, stop_bits: u8) -> SerialLine {
        SerialLine { port: "/dev/ttyS0".into(), baud, data_bits: 8, parity, stop_bits }
    }

    fn ms(time: Duration) -> f64 {
        time.as_secs_f64() * 1e3
    }

    /// The yardstick table: 11 bits per character, turnaround 0.
    #[test]
    fn read_times_match_the_yardstick() {
        let rows = [
            (9_600, 25.2, 45.8, 309.4, 404.0),
            (19_200, 12.6, 22.9, 154.7, 808.0),
            (115_200, 4.9, 6.7, 28.6, 4_369.0),
        ];
        for (baud, one, ten, all, per_second) in rows {
            for serial in [line(baud, Parity::Even, 1), line(baud, Parity::None, 2)] {
                let time = LineTime::serial(&serial, Duration::ZERO);
                for (count, want) in [(1, one), (10, ten), (125, all)] {
                    let got = ms(time.read_registers(count));
                    assert!((got - want).abs() < 0.06, "{baud} n={count}: {got} for {want}");
                }
                let rate = 125.0 / time.read_registers(125).as_secs_f64();
                assert!((rate - per_second).abs() < 1.0, "{baud}: {rate} for {per_second}");
            }
        }
    }

    #[test]
    fn frames_have_the_length_of_the_specification() {
        // 1 ms per character, silences 3.5 ms each.
        let time = LineTime::serial(&line(11_000, Parity::Odd, 1), Duration::from_millis(2));
        let cases = [
            (time.read_bits(1), 14.0),
            (time.read_bits(8), 14.0),
            (time.read_bits(9), 15.0),
            (time.read(Table::Coil, 16), 15.0),
            (time.read(Table::Input, 16), 45.0),
            (time.write_one(), 16.0),
            (time.write_registers(3), 23.0),
            (time.write_bits(9), 19.0),
            (time.mask_write(), 20.0),
        ];
        for (i, (got, characters)) in cases.into_iter().enumerate() {
            assert!((ms(got) - (characters + 9.0)).abs() < 1e-6, "case {i}: {got:?}");
        }
        assert_eq!(time.character(), Duration::from_millis(1));
        assert_eq!(time.silence(), Duration::from_micros(3_500));
        let eight_n_one = LineTime::serial(&line(10_000, Parity::None, 1), Duration::ZERO);
        assert_eq!(eight_n_one.character(), Duration::from_millis(1));
    }

    #[test]
    fn the_planners_cost_is_the_read_time() {
        let serial = LineTime::of(&Link::modbus_rtu(line(19_200, Parity::Even, 1)));
        let tcp = LineTime::of(&Link::modbus_tcp("plc", 502));
        for time in [serial, tcp, serial.with_pause(Duration::from_millis(20))] {
            for table in [Table::Holding, Table::Coil] {
                let planned = time.cost(table).of(64);
                assert!((planned - time.read(table, 64).as_secs_f64()).abs() < 1e-8);
            }
        }
        assert!(
            serial.with_pause(Duration::from_millis(20)).read_registers(1)
                > serial.read_registers(1)
        );
        assert!(tcp.read_registers(125) < ROUND_TRIP_ASSUMED + Duration::from_millis(1));
    }
}
